"""One-offs of a benchmark: detected with the base model, and how much of slates is near to them."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.configs import Config, ModelSection
from recsys.evidence.one_offs import detect_one_offs
from recsys.models import registry
from recsys.splits import select_purchases
from recsys.support.cache import Cache, CacheEntry
from recsys.support.progress import show_progress
from recsys.support.provenance import hash_own_modules
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import Dataset, RecsysError, Split
from recsys.types.arrays import Doubles, Ints
from recsys.types.one_offs import OneOffs

EQUAL_COSINES = 1e-6  # by which rounding may tell cosines apart


def apply_one_offs(
    config: Config, dataset: Dataset, split: Split, cache: Cache | None, part: str, quiet: bool
) -> Split:
    """Return a split whose one-offs count less, as [evidence.one_offs] says; as it is where the config has none.

    The model of [model], fitted to all positives alike, tells the influence of each. `part` names the training
    positives in the key of the cache.

    Raises:
        RecsysError: as `recsys.detect_one_offs` does, naming the section.
    """
    section = None if config.evidence is None else config.evidence.one_offs
    if section is None:
        return split
    model = _build_model(config.model, config.seed)
    bought = None if dataset.interactions.datetime is None else select_purchases(dataset, split)

    def detect() -> CacheEntry:
        start = time.perf_counter()
        plain = replace(split, time_decay=None, one_offs=None)
        with show_progress(quiet):
            fitted = model.fit(plain.train, plain.side_information)
        try:
            found = detect_one_offs(plain, fitted, purchases=bought, **section.model_dump())
        except RecsysError as error:
            raise RecsysError(f"[evidence] {error}") from None
        assert found.one_offs is not None
        return CacheEntry(flatten_record(found.one_offs), time.perf_counter() - start)

    key = [split.fingerprint, part, config.seed, *make_one_offs_key(config)]
    entry = detect() if cache is None else cache.get_or_make("one_offs", key, detect)
    return replace(split, one_offs=restore_record(OneOffs, dict(entry.arrays)))


def make_one_offs_key(config: Config) -> list[Any]:
    """Return the settings that decide which positives count less: part of the key of all that reads their weights."""
    section = None if config.evidence is None else config.evidence.one_offs
    if section is None:
        return []
    kind = config.model.kind
    own = [hash_own_modules([kind])] if ":" in kind else []
    return ["one_offs", section.model_dump(), kind, *own, dict(config.model.model_extra or {})]


def describe_one_offs(split: Split) -> tuple[str, ...]:
    """Return a note on how many positives count less, () where none are looked for."""
    if split.one_offs is None:
        return ()
    flags, users = split.one_offs.flags, np.repeat(np.arange(split.shape[0]), np.diff(split.train.indptr))
    found = f"{int(flags.sum()):,} of {len(flags):,} training positives, of {len(np.unique(users[flags])):,} users"
    why = "they fit nothing else of their history and were not bought again"
    return (f"one-offs: {found}, count {split.one_offs.weight:g}: {why}",)


def measure_near_shares(one_offs: OneOffs, items: Ints) -> Doubles:
    """Return the share of the picks of each slate whose nearest liked item is a one-off, (U,).

    `items` are slates (U, k), -1 for none. Near is as isolation has it: by the cosine in the space `cooccurrence`; of
    equally near items each counts by its part. NaN for an empty slate, and for a user without one-offs.
    """
    vectors, pointers = one_offs.vectors, one_offs.scores.indptr
    shares, flags = np.full(len(items), np.nan), one_offs.flags
    for user, slate in enumerate(items):
        own, picks = slice(pointers[user], pointers[user + 1]), slate[slate >= 0]
        if not flags[own].any() or not len(picks):
            continue
        cosines = vectors[picks] @ vectors[one_offs.scores.indices[own]].T
        nearest = cosines >= cosines.max(axis=1, keepdims=True) - EQUAL_COSINES
        shares[user] = ((nearest & flags[own]).sum(axis=1) / nearest.sum(axis=1)).mean()
    return shares


def _build_model(section: ModelSection, seed: int) -> Any:
    settings = dict(section.model_extra or {})
    if "seed" in registry.find_model(section.kind).__dataclass_fields__:
        settings.setdefault("seed", seed)
    return section.model_copy(update=settings).build_model("[model]")
