"""Guest runs of a benchmark: positives in a row that somebody else may have left, beside counting them whole."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.configs import Config
from recsys.evidence.guest_runs import detect_guest_runs
from recsys.support.cache import Cache, CacheEntry
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import RecsysError, Split
from recsys.types.guest_runs import GuestRuns


def apply_guest_runs(config: Config, split: Split, cache: Cache | None, part: str) -> Split:
    """Return a split whose guest runs count less, as [evidence.guest_runs] says; as it is where the config has none.

    `part` names the training positives in the key of the cache.

    Raises:
        RecsysError: as `recsys.detect_guest_runs` does, naming the section.
    """
    section = None if config.evidence is None else config.evidence.guest_runs
    if section is None:
        return split

    def detect() -> CacheEntry:
        start = time.perf_counter()
        try:
            found = detect_guest_runs(replace(split, time_decay=None, one_offs=None), **section.model_dump())
        except RecsysError as error:
            raise RecsysError(f"[evidence] {error}") from None
        assert found.guest_runs is not None
        return CacheEntry(flatten_record(found.guest_runs), time.perf_counter() - start)

    key = [split.fingerprint, part, *make_guest_runs_key(config)]
    entry = detect() if cache is None else cache.get_or_make("guest_runs", key, detect)
    return replace(split, guest_runs=restore_record(GuestRuns, dict(entry.arrays)))


def make_guest_runs_key(config: Config) -> list[Any]:
    """Return the settings that decide which runs count less: part of the key of all that reads their weights."""
    section = None if config.evidence is None else config.evidence.guest_runs
    return [] if section is None else ["guest_runs", section.model_dump()]


def describe_guest_runs(split: Split) -> tuple[str, ...]:
    """Return a note on how many positives count less, () where no runs are looked for."""
    if split.guest_runs is None:
        return ()
    runs, users = split.guest_runs, np.repeat(np.arange(split.shape[0]), np.diff(split.train.indptr))
    flagged = len(np.unique(users[runs.flags]))
    found = f"{int(runs.flags.sum()):,} of {len(runs.flags):,} training positives, of {flagged:,} users"
    judged = f"{runs.n_judged:,} histories have a run, {runs.n_short:,} are too short or too spread out"
    why = "in a row, they fit none of the rest of their history"
    return (f"guest runs: {found}, count {runs.weight:g}: {why}; {judged}",)
