"""Reproductions: published tables, run again, with published values beside new ones."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from recsys import data
from recsys.data.archives import refuse_special_file
from recsys.data.locations import locate_folder, resolve_data_folder
from recsys.data.published_splits import read_published_lists, read_published_ratings
from recsys.data.sources import find_fetched_files
from recsys.metrics.sampled import rank_sampled
from recsys.reproductions.data_provenance import describe_dataset, describe_files
from recsys.reproductions.protocols import build_setup
from recsys.reproductions.published_settings import (
    FULL_METRICS,
    SAMPLED_METRICS,
    DataSource,
    PublishedRow,
    ReproductionConfig,
    read_reproduction,
)
from recsys.reproductions.setups import ReproductionSetup, draw_protocol_negatives, widen_catalogue
from recsys.retrieval import candidates
from recsys.support.progress import show_progress
from recsys.types import Dataset, Evaluation, GroundTruth, MetricValues, PerCatalogue, RecsysError, Scorer
from recsys.types.arrays import Doubles


@dataclass(frozen=True)
class MetricCheck:
    """One published value and ours."""

    model: str
    metric: str  # such as "ndcg@10"
    published: float
    ours: float  # NaN where the model could not be run
    error: float  # standard error over users, NaN where there is none
    tolerance: float
    reason: str = ""

    @property
    def difference(self) -> float:
        """Ours less theirs."""
        return self.ours - self.published

    @property
    def passed(self) -> bool:
        """Whether ours is within the tolerance, which is a distance and includes its ends."""
        return abs(self.difference) <= self.tolerance + 1e-12

    @property
    def status(self) -> str:
        """One of "pass", "fail" and "not run"."""
        return "not run" if math.isnan(self.ours) else "pass" if self.passed else "fail"


@dataclass(frozen=True, eq=False)
class Reproduction:
    """A published table and ours."""

    name: str
    config: ReproductionConfig
    checks: tuple[MetricCheck, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every value is within its tolerance."""
        return all(check.passed for check in self.checks)


def reproduce(name: str | Path, data_dir: str | Path | None = None, quiet: bool = False) -> Reproduction:
    """Run the reproduction `name`, a shipped one or a TOML file, on the files in `data_dir`.

    `data_dir` is a folder or a zip archive, see `recsys.data.locations.locate_folder`. A model that cannot be run here
    (memory) is not run, with that reason; the others go on.

    Raises:
        RecsysError: if there is none of that name, or its data is not there or of another form.
    """
    recipe = read_reproduction(name)
    for model, row in recipe.models.items():
        row.build_model(f"[models.{model}]")
    trial = prepare_setup(recipe, None if data_dir is None else Path(data_dir).expanduser(), quiet)
    checks: list[MetricCheck] = []
    with show_progress(quiet) as bars:
        task = bars.add_task("models", total=len(recipe.models))
        for model, row in recipe.models.items():
            bars.update(task, description=model)
            checks += check_model(model, row, recipe, trial)
            bars.advance(task)
    return Reproduction(Path(name).stem, recipe, tuple(checks), _list_notes(recipe, trial))


def prepare_setup(config: ReproductionConfig, place: Path | None = None, quiet: bool = False) -> ReproductionSetup:
    """Return the setup of a reproduction; `place`, a folder or a zip archive, holds its files.

    Raises:
        RecsysError: if the data is not there, is of another form, or leaves nobody to judge.
    """
    if place is not None:
        refuse_special_file(place)
    if config.data.format == "card":
        dataset = _load_card_dataset(config.data.name, place, quiet)
        trial = build_setup(dataset, config.protocol, config.seed)
        return _add_note(trial, describe_dataset(dataset))
    with TemporaryDirectory(prefix="recsys-") as workplace:
        folder = _locate_split_folder(config.data, place, Path(workplace))
        trial = _read_published_split(config, folder)
        return _add_note(trial, describe_files(config.data, folder, trial.split))


def _load_card_dataset(name: str, place: Path | None, quiet: bool) -> Dataset:
    """Return the dataset of a card, from the files in `place` where they are there: nothing is written into it then."""
    if place is None or find_fetched_files(data.read_card(name), place / name):
        return data.load_dataset(name, data_dir=place, quiet=quiet)
    with TemporaryDirectory(prefix="recsys-") as workplace:
        try:
            data.fetch_dataset(name, workplace, quiet=True, path=place)
        except RecsysError as error:
            return _fetch_dataset(name, place, quiet, error)
        return data.load_dataset(name, data_dir=workplace, quiet=quiet)


def _fetch_dataset(name: str, place: Path, quiet: bool, why: RecsysError) -> Dataset:
    """Return the dataset, fetched into the folder `place`, which does not have it."""
    if not place.is_dir():
        raise why
    try:
        return data.load_dataset(name, data_dir=place, quiet=quiet)
    except RecsysError as error:
        raise RecsysError(f"{why}; {error}") from None


def _locate_split_folder(source: DataSource, place: Path | None, workplace: Path) -> Path:
    """Return the folder with the files of a published split, found in `place`, else in the folder of datasets."""
    try:
        return locate_folder(place or resolve_data_folder(), source.name, source.files, workplace, named=place is None)
    except RecsysError as error:
        own, found = resolve_data_folder() / source.name, str(error)
        if place is None and not own.exists():
            found = "no such folder"
        files = " and ".join([", ".join(source.files[:-1]), source.files[-1]])
        get = f" ({source.get})" if source.get else ""
        raise RecsysError(f"{place or own}: {found}, expected one with {files}{get}; --data names another") from None


def _read_published_split(config: ReproductionConfig, folder: Path) -> ReproductionSetup:
    if config.data.format == "lists":
        split = widen_catalogue(read_published_lists(folder), config.protocol.catalogue)
        return ReproductionSetup(split.train, None, split, draw_protocol_negatives(split, config.protocol, config.seed))
    split, negatives = read_published_ratings(folder, config.data.name)
    return ReproductionSetup(split.train, None, split, (negatives,))


def _add_note(setup: ReproductionSetup, note: str) -> ReproductionSetup:
    split = setup.split
    return replace(setup, split=replace(split, notes=(note, *split.notes))) if note else setup


def check_model(
    name: str, row: PublishedRow, config: ReproductionConfig, setup: ReproductionSetup
) -> list[MetricCheck]:
    """Fit one model and hold its metrics beside the published ones."""
    names = [metric for metric in config.metrics if metric in row.published]
    reason = row.reason
    try:
        values = _evaluate_row(row, setup, names, f"[models.{name}]", config.seed)
    except RecsysError as error:
        values, reason = dict.fromkeys(names, (math.nan, math.nan)), f"not run: {error}"
    tolerance = {**config.tolerance, **row.tolerance}
    return [
        MetricCheck(name, metric, row.published[metric], *values[metric], tolerance[metric], reason) for metric in names
    ]


def _evaluate_row(
    row: PublishedRow, setup: ReproductionSetup, names: list[str], where: str, seed: int
) -> dict[str, tuple[float, float]]:
    matrix = setup.ratings if row.values == "ratings" else setup.fit_positives
    if matrix is None:
        raise RecsysError(f"{where}: values = 'ratings', and this data has none")
    return evaluate_model(row.build_model(where).fit(matrix), setup, names, seed)


def evaluate_model(
    fitted: Scorer, setup: ReproductionSetup, names: list[str], seed: int
) -> dict[str, tuple[float, float]]:
    """Return each metric, such as "ndcg@10", of a model fitted to the trial, with its standard error over users."""
    scorer = setup.adapt_scorer(fitted)
    wanted = {name: (name.partition("@")[0], int(name.partition("@")[2])) for name in names}
    if setup.negatives:
        return _evaluate_sampled(scorer, setup, wanted)
    evaluation = _build_evaluation(scorer, setup, max(k for _, k in wanted.values()), seed)
    return {name: _reduce_metric_values(FULL_METRICS[metric](evaluation, k)) for name, (metric, k) in wanted.items()}


def _evaluate_sampled(
    scorer: Scorer, setup: ReproductionSetup, wanted: dict[str, tuple[str, int]]
) -> dict[str, tuple[float, float]]:
    ranks = [rank_sampled(scorer, negatives) for negatives in setup.negatives]
    return {
        name: _compute_mean_and_error(np.mean([SAMPLED_METRICS[metric](draw, k) for draw in ranks], axis=0))
        for name, (metric, k) in wanted.items()
    }


def _build_evaluation(scorer: Scorer, setup: ReproductionSetup, k: int, seed: int) -> Evaluation:
    """Return the evaluation of every user's best k of the catalogue; users without held-out positives get no list."""
    split = setup.split
    pool = candidates.candidates(scorer, split, n=min(k, split.shape[1]), maps=(), seed=seed)
    asked = np.diff(split.test.indptr) > 0
    return Evaluation(np.where(asked[:, None], pool.items, np.int32(-1)), GroundTruth(split))


def _reduce_metric_values(answer: MetricValues) -> tuple[float, float]:
    if isinstance(answer, PerCatalogue):
        shown = answer.picks[answer.picks >= 0]
        counts = np.bincount(shown, minlength=answer.n_items).astype(np.float64)
        return float(answer.statistic(counts)), math.nan
    values = answer.values
    return _compute_mean_and_error(values[~np.isnan(values)])


def _compute_mean_and_error(values: Doubles) -> tuple[float, float]:
    """Return the mean, and its standard error over users."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _list_notes(config: ReproductionConfig, setup: ReproductionSetup) -> tuple[str, ...]:
    split = setup.split
    said = [
        f"{split.shape[0]:,} users, {split.shape[1]:,} items, {setup.fit_positives.nnz:,} positives to fit on, "
        f"{split.test.nnz:,} to find"
        + (f"; {setup.fit_positives.shape[0]:,} other users to fit on" if setup.folds_in else "")
    ]
    if setup.negatives:
        against = setup.negatives[0].negative_items.shape[1]
        source = setup.negatives[0].source if len(setup.negatives) == 1 else f"mean of {len(setup.negatives)} draws"
        said.append(
            f"sampled: each positive is ranked among {against} items ({source}), ties in random order; such values are "
            "for comparison with this table alone, not with ranks among the whole catalogue"
        )
        repeated = sum(negatives.n_dropped for negatives in setup.negatives)
        if repeated:
            said.append(f"{repeated:,} negatives repeated another or were the positive: left out")
    models = config.models.items()
    said += [f"{name}: fitted to the ratings as values" for name, row in models if row.values == "ratings"]
    return (*said, *split.notes, *(f"{name}: {row.note}" for name, row in models if row.note))
