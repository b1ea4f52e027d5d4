"""The first half of a benchmark, each piece computed once: data, split, maps, fitted models, pools."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np

from recsys import data, maps, models
from recsys.configs import Config, ModelSection, PoolSection, ShownSection, TimeSection
from recsys.experiments.guest_runs import apply_guest_runs, describe_guest_runs, make_guest_runs_key
from recsys.experiments.half_lives import HalfLifeChoice, choose_half_life
from recsys.experiments.item_columns import ItemColumns, read_item_columns
from recsys.experiments.one_offs import apply_one_offs, describe_one_offs, make_one_offs_key
from recsys.experiments.run_repeats import build_run_repeats
from recsys.maps.protocols import limit_to_one_thread
from recsys.models.fits import warn_of_ranking_problem
from recsys.retrieval.candidates import candidates, make_context
from recsys.retrieval.exposures import build_exposure_histories
from recsys.splits import hold_out_repeats
from recsys.splits.forgotten_rows import drop_forgotten_exposures, parse_forget_list
from recsys.splits.permissions import select_permitted_exposures
from recsys.support.cache import Cache, CacheEntry, get_default_cache_folder
from recsys.support.progress import show_progress
from recsys.support.provenance import hash_own_modules
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.stored_arrays import hash_array
from recsys.types import Dataset, ExposureHistories, Exposures, GroundTruth, Pool, RecsysError, Scorer, Split, TasteMap
from recsys.types.errors import Setting, SettingError, rephrase_setting_errors
from recsys.types.repeats import RepeatHistories

MAX_ITEMS_BESIDE = 5000  # up to which families of maps are made beside each other: each takes memory for all pairs

LogFunction = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Preparation:
    """The data, split, models and pools that all runs of a config share. `split` is the one that is evaluated on."""

    config: Config
    dataset: Dataset
    split: Split
    cache: Cache
    objective_maps: tuple[TasteMap, ...]
    audit: tuple[TasteMap, ...]
    content: tuple[TasteMap, ...]
    quiet: bool = False  # fits show no progress
    whole: Split | None = None  # with all its parts: `split` is a view of it
    item_columns: ItemColumns | None = None  # that [likelihood] reads
    shown: ExposureHistories | None = None  # what was shown before, by [shown]
    shown_notes: tuple[str, ...] = ()
    time_notes: tuple[str, ...] = ()  # of the choice of a half-life
    held_back_notes: tuple[str, ...] = ()  # how many positives count less
    repeats: RepeatHistories | None = None  # what users may buy again, by [evidence.repeat]

    @property
    def key(self) -> list[Any]:
        """The settings that the split was made from: part of every cell's key."""
        return [self.split.fingerprint, self.config.evaluation.split, self.config.seed, *self.time_key]

    @property
    def time_key(self) -> list[Any]:
        """The half-life of training positives and its moment, and what is held back; [] without: part of keys."""
        return _make_weights_key(self.config, self.split)

    @property
    def column_digests(self) -> tuple[str, ...]:
        """The digest of the columns of items that [likelihood] reads, () where it reads none."""
        return () if self.item_columns is None else (self.item_columns.digest,)

    @property
    def shown_digests(self) -> tuple[str, ...]:
        """The digest of what was shown before, () where no log says it."""
        if self.shown is None:
            return ()
        arrays = flatten_record(self.shown)
        return (hashlib.sha256(b"".join(hash_array(array).encode() for array in arrays.values())).hexdigest(),)

    def describe_repeats(self) -> list[Any]:
        """Return what names what users may buy again in a key of the cache: the settings of [evidence.repeat]."""
        evidence = self.config.evidence
        return [] if evidence is None or evidence.repeat is None else ["repeat", evidence.repeat.model_dump()]

    @property
    def folder_fingerprints(self) -> tuple[str, ...]:
        """What names the data of a run's folder: log, catalogue, exposures, columns that [likelihood] reads, topics."""
        policy = self.config.read_topics()
        of_topics = () if policy is None else (policy.digest,)
        return (self.dataset.fingerprint, *self.column_digests, *self.shown_digests, *of_topics)

    def build_ground_truth(self) -> GroundTruth:
        """Return the truth that runs are evaluated against: the split, all maps, and the exponent of the config."""
        exponent = self.config.evaluation.popularity_exponent
        families = self.objective_maps, self.audit, self.content
        return GroundTruth(
            self.split, *families, popularity_exponent=exponent, exposures=self.shown, repeats=self.repeats
        )


def load_dataset(
    config: Config, data_dir: Path | None = None, quiet: bool = False, in_memory: Dataset | None = None
) -> Dataset:
    """Return the config's dataset: a card's, the user's own table, or the one that is `given`.

    Raises:
        RecsysError: if there is none, or it is not the one that the config describes.
    """
    section, dataset = config.data, in_memory
    if section.in_memory is None:
        dataset = _load_named_dataset(config, data_dir, quiet, in_memory)
    if dataset is None:
        raise SettingError(
            f"{config.name}: [data] '{section.in_memory}' was in memory, expected it again: ", Setting("data")
        )
    if section.fingerprint not in (None, dataset.fingerprint):
        found = f"{dataset.name} has the fingerprint {dataset.fingerprint[:12]}"
        raise RecsysError(f"{config.name}: {found}, expected that of [data], {str(section.fingerprint)[:12]}")
    return dataset


def _load_named_dataset(config: Config, data_dir: Path | None, quiet: bool, in_memory: Dataset | None) -> Dataset:
    """Return the dataset that the config names, which one that is `given` beside it must be equal to."""
    section = config.data
    named = section.name or section.reader or section.path
    other = f"{config.name}: [data] is {named} and data= is another dataset"
    advice = "expected one of them: leave [data] out"
    if in_memory is not None and section.name not in (None, in_memory.name) and section.reader is None:
        raise RecsysError(f"{other}, {in_memory.name}, {advice}")
    if section.reader is not None:
        dataset = data.load_dataset(section.reader, **section.reader_settings)
    elif section.name is not None:
        dataset = data.load_dataset(section.name, data_dir=data_dir, quiet=quiet)
    else:
        with rephrase_setting_errors("config"):
            dataset = data.read_dataset(
                str(section.path), section.columns or None, items=section.items,
                item_columns=section.item_columns or None, events=section.events, **section.table_settings,
            )  # fmt: skip
    if in_memory is not None and in_memory.fingerprint != dataset.fingerprint:
        raise RecsysError(f"{other} (fingerprint {in_memory.fingerprint[:12]}), {advice}")
    return dataset


def load_exposures(config: Config, in_memory: Exposures | None = None) -> Exposures | None:
    """Return the log that [shown] names, or the one that is in memory; None where the config has no [shown].

    Rows that do not permit each of `[filter] purposes`, or where it names none, anything, are left out.
    Rows that the forget list of [filter] names are not in it.

    Raises:
        RecsysError: if it cannot be read, or the log in memory is not there, or another one, or for a purpose that it
            does not have.
    """
    if config.shown is None:
        return None
    purposes = config.filter.purposes
    log, left_out = select_permitted_exposures(_read_exposures(config.shown, in_memory), purposes, "[shown]")
    if (forget_list := parse_forget_list(config.filter.forget_list)) is not None:
        log = drop_forgotten_exposures(log, forget_list)
    if not left_out:
        return log
    asked = "permit no purpose" if purposes is None else f"do not permit {' and '.join(purposes)}"
    return replace(log, notes=(*log.notes, f"{left_out:,} exposures that {asked}: left out"))


def _read_exposures(section: ShownSection, in_memory: Exposures | None) -> Exposures:
    if section.path is None:
        if in_memory is None or hash_exposures(in_memory) != section.in_memory:
            found = (
                "it is not given"
                if in_memory is None
                else f"that given has the digest {hash_exposures(in_memory)[:12]}"
            )
            raise SettingError(
                f"[shown] {str(section.in_memory)[:12]} was in memory and {found}, expected it again: ",
                Setting("shown"),
            )
        return in_memory
    with rephrase_setting_errors("config", "shown"):
        return data.read_exposures(section.path, section.columns or None, **section.table_settings)


def hash_exposures(shown: Exposures) -> str:
    """Return the digest of a log of exposures.

    Raises:
        RecsysError: if it is none.
    """
    if not isinstance(shown, Exposures):
        raise RecsysError(f"shown: found a {type(shown).__name__}, expected an Exposures: recsys.read_exposures")
    arrays = flatten_record(replace(shown, notes=(), purposes=None, purpose_names=()))
    if shown.purposes is not None:
        arrays |= {"purposes": shown.purposes, "purpose_names": np.asarray(shown.purpose_names, dtype=np.str_)}
    return hashlib.sha256("".join(f"{name} {hash_array(a)} " for name, a in arrays.items()).encode()).hexdigest()


def _align_exposures(
    config: Config, shown: Exposures | None, split: Split
) -> tuple[ExposureHistories | None, tuple[str, ...]]:
    """Return what was shown to the users of a split, and notes on what was read."""
    if config.shown is None or shown is None:
        return None, ()
    histories, notes = build_exposure_histories(
        shown, split.user_ids, split.item_ids, now=config.shown.now, place="[shown]"
    )
    users = int((np.diff(histories.pointers) > 0).sum())
    moment = str(np.datetime64(histories.now, "s")).replace("T", " ")
    said = f"[shown]: {len(histories.items):,} exposures of {users:,} users; slates are made at {moment} UTC"
    return histories, (*(f"[shown]: {note}" for note in shown.notes), said, *notes)


def split_dataset(config: Config, dataset: Dataset) -> Split:
    """Return the split that the config asks for, with all its parts; `apply_half_life` gives it that of [time].

    Raises:
        RecsysError: for an unknown split or setting, or a split of somebody's own that returns something else.
    """

    kind = config.split.kind
    made = config.split.resolve_split(config.filter, config.seed, config.read_topics())(dataset)
    if not isinstance(made, Split):
        raise RecsysError(f"[split] {kind} returns a {type(made).__name__}, expected a recsys.Split")
    if config.evidence is not None and config.evidence.repeat is not None:
        made = hold_out_repeats(made, dataset)
    if ":" not in kind:
        return made
    told = json.dumps([made.fingerprint, hash_own_modules([kind])])  # so that no result of other code is taken for it
    return replace(made, fingerprint=hashlib.sha256(told.encode()).hexdigest())


def _make_weights_key(config: Config, split: Split) -> list[Any]:
    decay = split.time_decay
    aged = [] if decay is None else ["half_life", decay.half_life, decay.now]
    if decay is not None and decay.short_half_life is not None:
        aged += ["short_half_life", decay.short_half_life, decay.short_share]
    aged += [] if split.one_offs is None else make_one_offs_key(config)
    return aged if split.guest_runs is None else [*aged, *make_guest_runs_key(config)]


def resolve_half_life(config: Config, whole: Split, cache: Cache, quiet: bool) -> tuple[Config, tuple[str, ...]]:
    """Return the config with the half-life that validation chooses in [time], where that is asked for, and a note.

    Raises:
        RecsysError: as `recsys.choose_half_life` does.
    """
    if config.time is None or config.time.half_life != "validation":
        return config, ()
    section = config.model
    settings = fill_seed(section, config.seed)
    wanted, k = config.time, config.headline_k

    def choose() -> CacheEntry:
        start = time.perf_counter()
        model = section.model_copy(update=settings).build_model("[model]")
        with show_progress(quiet):
            found = choose_half_life(model, whole, wanted.half_lives, **two_speeds, k=k, now=wanted.now)
        values = np.array([[math.inf if h is None else h, value] for h, value in found.values])
        both = np.array(found.two_speed_values, dtype=np.float64)
        arrays = {"values": values} | ({"two_speed_values": both} if len(both) else {})
        return CacheEntry(arrays, time.perf_counter() - start)

    two_speeds = {"short_half_lives": wanted.short_half_lives, "short_shares": wanted.short_shares}
    key = [whole.fingerprint, config.seed, *name_model(section), settings, wanted.half_lives, wanted.now, k]
    if wanted.short_half_lives:
        key.append(two_speeds)  # without them the cell is that of one speed
    arrays = cache.get_or_make("half_life", key, choose).arrays
    told = tuple((None if h == math.inf else h, value) for h, value in arrays["values"].tolist())
    both = arrays["two_speed_values"].tolist() if wanted.short_half_lives else []
    choice = HalfLifeChoice(k, told, tuple((h, short, share, value) for h, short, share, value in both))
    if choice.half_life is None:
        return config.model_copy(update={"time": None}), (choice.describe(),)
    names = ("half_life", "short_half_life", "short_share")
    chosen = wanted.model_copy(update={name: getattr(choice, name) for name in names})
    return config.model_copy(update={"time": chosen}), (choice.describe(),)


def apply_half_life(config: Config, split: Split) -> Split:
    """Return a split with the half-life of a resolved [time], as it is where there is none.

    Raises:
        RecsysError: as `Split.with_half_life` does, naming the section.
    """
    if config.time is None:
        return split
    try:
        of = config.time
        return split.with_half_life(
            float(of.half_life), short_half_life=of.short_half_life, short_share=of.short_share, now=of.now
        )
    except RecsysError as error:
        raise RecsysError(f"[time] {error}") from None


def prepare_benchmark(
    config: Config,
    *,
    data_dir: Path | None = None,
    quiet: bool = False,
    log_line: LogFunction = print,
    in_memory: Dataset | None = None,
    shown: Exposures | None = None,
) -> Preparation:
    """Return data, split and maps of a config, and what was shown before: `shown` is that log in memory."""
    cache = Cache(get_default_cache_folder())
    dataset = load_dataset(config, data_dir, quiet, in_memory)
    log_line(f"data: {dataset.name}, {len(dataset.interactions):,} interactions")
    whole = split_dataset(config, dataset)
    config, time_notes = resolve_half_life(config, whole, cache, quiet)
    for note in time_notes:
        log_line(note)
    whole = apply_half_life(config, whole)
    made = prepare_split(config, dataset, whole, cache, load_exposures(config, shown), quiet, log_line)
    return replace(made, time_notes=time_notes)


def prepare_split(
    config: Config,
    dataset: Dataset,
    whole: Split,
    cache: Cache,
    shown: Exposures | None,
    quiet: bool,
    log_line: LogFunction,
) -> Preparation:
    """Return a split with all its parts and its maps, and what was shown before.

    Raises:
        RecsysError: if it holds out nothing for what is judged, or as columns of [likelihood] say.
    """
    columns = read_item_columns(config, whole)
    histories, notes = _align_exposures(config, shown, whole)
    is_test = config.evaluation.split == "test"
    if not is_test or config.likelihood is not None:
        whole = apply_one_offs(config, dataset, whole, cache, "validation", quiet)
        whole = apply_guest_runs(config, whole, cache, "validation")
    judged = whole.test_view() if is_test else whole.validation_view()
    if is_test:
        judged = apply_one_offs(config, dataset, judged, cache, "test", quiet)
        judged = apply_guest_runs(config, judged, cache, "test")
    if not judged.test.nnz:
        raise RecsysError(f"[split] {config.split.kind} holds out nothing for {config.evaluation.split}, expected some")
    log_line(f"split: {judged.train.nnz:,} positives to fit on, {judged.test.nnz:,} to judge on")
    key = [judged.fingerprint, config.evaluation.split, config.seed]
    makers: dict[str, Callable[[], tuple[TasteMap, ...]]] = {
        "objective_maps": lambda: build_or_load_maps(
            cache, ["own", *key, *_make_weights_key(config, judged)], lambda: maps.objective_maps(judged.weighted_train)
        ),
        "audit": lambda: build_or_load_maps(
            cache, ["audit", *key], lambda: maps.audit_maps(judged.train, seed=config.seed)
        ),
        "content": lambda: maps.content_maps(judged.items),
    }
    with start_map_workers(judged.train.shape[1]) as workers:
        made: dict[str, Any] = dict(zip(makers, workers.map(lambda make: make(), makers.values()), strict=True))
    log_line("maps: " + ", ".join(f"{len(family)} {name}" for name, family in made.items()))
    prepared = Preparation(config, dataset, judged, cache, **made, quiet=quiet, whole=whole, item_columns=columns)
    return replace(
        prepared,
        shown=histories,
        shown_notes=notes,
        held_back_notes=(*describe_one_offs(judged), *describe_guest_runs(judged)),
        repeats=build_run_repeats(config, judged, cache),
    )


def change_half_life(preparation: Preparation, wanted: TimeSection | None) -> Preparation:
    """Return a preparation whose training positives age otherwise; None: they count alike.

    Raises:
        RecsysError: as `apply_half_life` does.
    """
    if preparation.whole is None:
        raise ValueError("the whole split of a preparation is not known")
    config = preparation.config.model_copy(update={"time": wanted})
    whole = apply_half_life(config, preparation.whole.with_half_life(None))
    return _prepare_again(preparation, config, whole)


def leave_out_evidence(preparation: Preparation, rule: Literal["one_offs", "guest_runs"]) -> Preparation:
    """Return a preparation in which a rule of [evidence] lets no positive count less; all other rules hold."""
    config, whole = preparation.config, preparation.whole
    if whole is None or config.evidence is None:
        raise ValueError("a preparation with a rule of [evidence] has a whole split and [evidence]")
    evidence = config.evidence.model_copy(update={rule: None})
    without: dict[str, Any] = {rule: None}
    return _prepare_again(preparation, config.model_copy(update={"evidence": evidence}), replace(whole, **without))


def _prepare_again(preparation: Preparation, config: Config, whole: Split) -> Preparation:
    held = preparation.cache, None, preparation.quiet, lambda line: None
    return replace(prepare_split(config, preparation.dataset, whole, *held), shown=preparation.shown)


def fit_or_load_model(preparation: Preparation, section: ModelSection) -> tuple[Scorer, float]:
    """Return the fitted model, from the cache where it is there, and the seconds that fitting took."""
    settings, train = resolve_model_settings(preparation, section), preparation.split.train
    kind = _find_fitted_class(section)
    fresh = False

    def fit() -> CacheEntry:
        nonlocal fresh
        fresh = True
        model, start = section.model_copy(update=settings).build_model("[model]"), time.perf_counter()
        with show_progress(preparation.quiet):
            record = model.fit(train, preparation.split.side_information)
        return CacheEntry(flatten_record(record), time.perf_counter() - start)

    if kind is None:  # somebody's own that cannot be stored
        start = time.perf_counter()
        fitted = (
            section.model_copy(update=settings).build_model("[model]").fit(train, preparation.split.side_information)
        )
        return fitted, time.perf_counter() - start
    cell = preparation.cache.get_or_make("model", [*preparation.key, *name_model(section), settings], fit)
    model = restore_record(kind, cell.arrays, kinds=models.registry.find_fitted_classes())
    if not fresh:  # a fit says so itself
        warn_of_ranking_problem(section.kind, model, train)
    return model, cell.seconds


def build_or_load_pool(
    preparation: Preparation, section: ModelSection, wanted: PoolSection, fold: int | None = None
) -> tuple[Pool, float]:
    """Return the pool of a model, and the seconds that fitting and retrieval took.

    With `fold`, own maps are those of that fold: what they explore is another pool.
    """
    settings = resolve_model_settings(preparation, section)
    model, seconds = fit_or_load_model(preparation, section)

    def retrieve() -> CacheEntry:
        start = time.perf_counter()
        made = candidates(
            model,
            preparation.split,
            maps=preparation.objective_maps,
            seed=preparation.config.seed,
            **wanted.model_dump(),
        )
        arrays = {"users": made.users, "items": made.items, "scores": made.scores}
        return CacheEntry(arrays, time.perf_counter() - start)

    fold_key = [] if fold is None else ["fold", fold]
    key = [*preparation.key, *name_model(section), settings, wanted.model_dump(), *fold_key]
    cell = preparation.cache.get_or_make("pool", key, retrieve)
    around = make_context(
        preparation.split,
        model,
        maps=preparation.objective_maps,
        seed=preparation.config.seed,
        shown=preparation.shown,
    )
    users, items, scores = (cell.arrays[name] for name in ("users", "items", "scores"))
    return Pool(users, items, scores, around), seconds + cell.seconds


def name_model(section: ModelSection) -> list[Any]:
    """Return what names a model in a key of the cache: its kind, and the source of one of somebody's own."""
    return [section.kind, *([hash_own_modules([section.kind])] if ":" in section.kind else [])]


def _find_fitted_class(section: ModelSection) -> Any:
    """Return the class of record that a model's `fit` says it returns; None where it says none."""
    kind = get_type_hints(models.registry.find_model(section.kind).fit).get("return")
    return kind if isinstance(kind, type) and is_dataclass(kind) else None


def resolve_model_settings(preparation: Preparation, section: ModelSection) -> dict[str, Any]:
    """Return a model's settings, with the config's seed where the model takes one and none is given."""
    return fill_seed(section, preparation.config.seed)


def fill_seed(section: ModelSection, seed: int) -> dict[str, Any]:
    """Return a model's settings, with `seed` where the model takes one and none is given."""
    settings = dict(section.model_extra or {})
    if "seed" in models.registry.find_model(section.kind).__dataclass_fields__:
        settings.setdefault("seed", seed)
    return settings


@contextmanager
def start_map_workers(n_items: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads that make families of maps beside each other; one where a family takes much memory."""
    # What limits threads inside must find one thread already: it gives back what it found while others still compute.
    with limit_to_one_thread(), ThreadPoolExecutor(os.cpu_count() if n_items <= MAX_ITEMS_BESIDE else 1) as workers:
        yield workers


def build_or_load_maps(cache: Cache, key: list[Any], make: Callable[[], Sequence[TasteMap]]) -> tuple[TasteMap, ...]:
    """Return a family of maps, from the cache where it is there."""

    def made() -> CacheEntry:
        start = time.perf_counter()
        arrays = {"n": np.array(0)}
        for i, taste_map in enumerate(make()):
            arrays |= {f"{i}.{name}": array for name, array in flatten_record(taste_map).items()}
            arrays["n"] = np.array(i + 1)
        return CacheEntry(arrays, time.perf_counter() - start)

    arrays = dict(cache.get_or_make("maps", key, made).arrays)
    return tuple(restore_record(TasteMap, arrays, f"{i}.") for i in range(int(arrays["n"])))
