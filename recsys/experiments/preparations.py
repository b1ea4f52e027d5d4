"""The first half of a benchmark, each piece computed once: data, split, maps, fitted models, pools."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from recsys import data, maps, models, splits
from recsys.configs import Config, ModelSection, PoolSection
from recsys.models.fits import warn_problem
from recsys.pools import candidates, context
from recsys.progress import progress
from recsys.records import flatten, restore
from recsys.runs import Cache, Cell, default_cache
from recsys.types import Dataset, Pool, RecsysError, Scorer, Split, TasteMap
from recsys.types.errors import advising

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Preparation:
    """What every run of a config shares. `split` is the one judged on: validation, or test after the final fit."""

    config: Config
    dataset: Dataset
    split: Split
    cache: Cache
    own: tuple[TasteMap, ...]
    audit: tuple[TasteMap, ...]
    content: tuple[TasteMap, ...]
    quiet: bool = False  # fits show no progress

    @property
    def key(self) -> list[Any]:
        """What made the split: part of every cell's key."""
        return [self.split.fingerprint, self.config.judge.on, self.config.seed]


def load(config: Config, data_dir: Path | None = None, quiet: bool = False, given: Dataset | None = None) -> Dataset:
    """Return the config's dataset: a card's, the user's own table, or the one that is `given`.

    Raises:
        RecsysError: if there is none, or it is not the one that the config describes.
    """
    section, dataset = config.data, given
    if section.in_memory is None:
        dataset = _load_named(config, data_dir, quiet, given)
    if dataset is None:
        raise RecsysError(f"{config.name}: [data] '{section.in_memory}' was in memory, expected it again: data=")
    if section.fingerprint not in (None, dataset.fingerprint):
        found = f"{dataset.name} has the fingerprint {dataset.fingerprint[:12]}"
        raise RecsysError(f"{config.name}: {found}, expected that of [data], {str(section.fingerprint)[:12]}")
    return dataset


def _load_named(config: Config, data_dir: Path | None, quiet: bool, given: Dataset | None) -> Dataset:
    """Return the dataset that the config names, which one that is `given` beside it must be equal to."""
    section = config.data
    other = f"{config.name}: [data] is {section.name or section.path} and data= is another dataset"
    advice = "expected one of them: leave [data] out"
    if given is not None and section.name not in (None, given.name):
        raise RecsysError(f"{other}, {given.name}, {advice}")
    if section.name is not None:
        dataset = data.load(section.name, data_dir=data_dir, quiet=quiet)
    else:
        with advising("config"):
            dataset = data.read(
                str(section.path), section.columns or None, items=section.items,
                item_columns=section.item_columns or None, events=section.events, **section.reading,
            )  # fmt: skip
    if given is not None and given.fingerprint != dataset.fingerprint:
        raise RecsysError(f"{other} (fingerprint {given.fingerprint[:12]}), {advice}")
    return dataset


def split(config: Config, dataset: Dataset) -> Split:
    """Return the split that the config asks for, with all its parts."""
    section = config.split
    sizes: dict[str, Any] = {"test": section.test, "validation": section.validation}
    if section.kind == "leave_last":
        sizes = {name: int(size) if float(size).is_integer() else size for name, size in sizes.items()}
    made: Split = getattr(splits, section.kind)(
        dataset,
        **sizes,
        positive=config.filter.positive,
        min_user=config.filter.min_user,
        min_item=config.filter.min_item,
        unseen=section.unseen,
        sources=config.filter.sources,
        seed=config.seed,
    )
    return made


def prepare(
    config: Config,
    *,
    data_dir: Path | None = None,
    quiet: bool = False,
    say: Say = print,
    given: Dataset | None = None,
) -> Preparation:
    """Return data, split and maps of a config."""
    cache = Cache(default_cache())
    dataset = load(config, data_dir, quiet, given)
    say(f"data: {dataset.name}, {len(dataset.interactions):,} interactions")
    whole = split(config, dataset)
    judged = whole.for_judging() if config.judge.on == "test" else whole.for_choosing()
    say(f"split: {judged.train.nnz:,} positives to fit on, {judged.test.nnz:,} to judge on")
    key = [judged.fingerprint, config.judge.on, config.seed]
    made = {
        "own": _maps(cache, ["own", *key], lambda: maps.own(judged.train)),
        "audit": _maps(cache, ["audit", *key], lambda: maps.audit(judged.train, seed=config.seed)),
        "content": maps.content(judged.items),
    }
    say("maps: " + ", ".join(f"{len(family)} {name}" for name, family in made.items()))
    return Preparation(config, dataset, judged, cache, **made, quiet=quiet)


def fitted(preparation: Preparation, section: ModelSection) -> tuple[Scorer, float]:
    """Return the fitted model, from the cache where it is there, and the seconds that fitting took."""
    settings, train = _settings(preparation, section), preparation.split.train
    fresh = False

    def fit() -> Cell:
        nonlocal fresh
        fresh = True
        model, start = section.model_copy(update=settings).build("[model]"), time.perf_counter()
        with progress(preparation.quiet):
            record = model.fit(train, preparation.split.side)
        return Cell(flatten(record), time.perf_counter() - start)

    cell = preparation.cache.cell("model", [*preparation.key, section.kind, settings], fit)
    kind = get_type_hints(models.named(section.kind).fit)["return"]
    model = restore(kind, cell.arrays, kinds=models.fitted_kinds())
    if not fresh:  # a fit says so itself
        warn_problem(section.kind, model, train)
    return model, cell.seconds


def pool(preparation: Preparation, section: ModelSection, wanted: PoolSection) -> tuple[Pool, float]:
    """Return the pool of a model, and the seconds that fitting and retrieval took."""
    settings = _settings(preparation, section)
    model, seconds = fitted(preparation, section)

    def retrieve() -> Cell:
        start = time.perf_counter()
        made = candidates(
            model,
            preparation.split,
            maps=preparation.own,
            seed=preparation.config.seed,
            **wanted.model_dump(),
        )
        arrays = {"users": made.users, "items": made.items, "scores": made.scores}
        return Cell(arrays, time.perf_counter() - start)

    key = [*preparation.key, section.kind, settings, wanted.model_dump()]
    cell = preparation.cache.cell("pool", key, retrieve)
    around = context(preparation.split, model, maps=preparation.own, seed=preparation.config.seed)
    users, items, scores = (cell.arrays[name] for name in ("users", "items", "scores"))
    return Pool(users, items, scores, around), seconds + cell.seconds


def _settings(preparation: Preparation, section: ModelSection) -> dict[str, Any]:
    """Return a model's settings, with the config's seed where the model takes one and none is given."""
    settings = dict(section.model_extra or {})
    if "seed" in models.named(section.kind).__dataclass_fields__:
        settings.setdefault("seed", preparation.config.seed)
    return settings


def _maps(cache: Cache, key: list[Any], make: Callable[[], Sequence[TasteMap]]) -> tuple[TasteMap, ...]:
    def made() -> Cell:
        start = time.perf_counter()
        arrays = {"n": np.array(0)}
        for i, taste_map in enumerate(make()):
            arrays |= {f"{i}.{name}": array for name, array in flatten(taste_map).items()}
            arrays["n"] = np.array(i + 1)
        return Cell(arrays, time.perf_counter() - start)

    arrays = dict(cache.cell("maps", key, made).arrays)
    return tuple(restore(TasteMap, arrays, f"{i}.") for i in range(int(arrays["n"])))
