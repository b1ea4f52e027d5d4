"""Published tables, run again: ours beside theirs."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from recsys import data, pools
from recsys.data.archives import refuse_special
from recsys.data.folders import data_folder
from recsys.data.locations import locate
from recsys.data.releases import read_lists, read_ratings
from recsys.data.sources import landed
from recsys.experiments.origins import describe_dataset, describe_files
from recsys.experiments.protocols import make_trial
from recsys.experiments.recipes import FULL, SAMPLED, Recipe, Row, Source, read_recipe
from recsys.experiments.trials import Trial, against, widened
from recsys.metrics.sampled import rank_sampled
from recsys.progress import progress
from recsys.types import Answer, Dataset, Evaluation, PerCatalogue, RecsysError, Scorer, Yardstick
from recsys.types.arrays import Doubles


@dataclass(frozen=True)
class Check:
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
    recipe: Recipe
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every value is within its tolerance."""
        return all(check.passed for check in self.checks)


def reproduce(name: str | Path, data_dir: str | Path | None = None, quiet: bool = False) -> Reproduction:
    """Run the reproduction `name`, a shipped one or a TOML file, on the files in `data_dir`.

    `data_dir` is a folder or a zip archive, see `recsys.data.locations.locate`. A model that cannot be run here
    (memory) is not run, with that reason; the others go on.

    Raises:
        RecsysError: if there is none of that name, or its data is not there or of another form.
    """
    recipe = read_recipe(name)
    for model, row in recipe.models.items():
        row.build(f"[models.{model}]")
    trial = prepare_trial(recipe, None if data_dir is None else Path(data_dir).expanduser(), quiet)
    checks: list[Check] = []
    with progress(quiet) as bars:
        task = bars.add_task("models", total=len(recipe.models))
        for model, row in recipe.models.items():
            bars.update(task, description=model)
            checks += check(model, row, recipe, trial)
            bars.advance(task)
    return Reproduction(Path(name).stem, recipe, tuple(checks), _notes(recipe, trial))


def prepare_trial(recipe: Recipe, place: Path | None = None, quiet: bool = False) -> Trial:
    """Return the trial of a reproduction; `place`, a folder or a zip archive, holds its files.

    Raises:
        RecsysError: if the data is not there, is of another form, or leaves nobody to judge.
    """
    if place is not None:
        refuse_special(place)
    if recipe.data.format == "card":
        dataset = _dataset(recipe.data.name, place, quiet)
        trial = make_trial(dataset, recipe.protocol, recipe.seed)
        return _with_note(trial, describe_dataset(dataset))
    with TemporaryDirectory(prefix="recsys-") as workplace:
        folder = _folder(recipe.data, place, Path(workplace))
        trial = _published(recipe, folder)
        return _with_note(trial, describe_files(recipe.data, folder, trial.split))


def _dataset(name: str, place: Path | None, quiet: bool) -> Dataset:
    """Return the dataset of a card, from the files in `place` where they are there: nothing is written into it then."""
    if place is None or landed(data.card(name), place / name):
        return data.load(name, data_dir=place, quiet=quiet)
    with TemporaryDirectory(prefix="recsys-") as workplace:
        try:
            data.fetch(name, workplace, quiet=True, path=place)
        except RecsysError as error:
            return _fetched(name, place, quiet, error)
        return data.load(name, data_dir=workplace, quiet=quiet)


def _fetched(name: str, place: Path, quiet: bool, why: RecsysError) -> Dataset:
    """Return the dataset, fetched into the folder `place`, which does not have it."""
    if not place.is_dir():
        raise why
    try:
        return data.load(name, data_dir=place, quiet=quiet)
    except RecsysError as error:
        raise RecsysError(f"{why}; {error}") from None


def _folder(source: Source, place: Path | None, workplace: Path) -> Path:
    """Return the folder with the files of a published split, found in `place`, else in the folder of datasets."""
    try:
        return locate(place or data_folder(), source.name, source.files, workplace, named=place is None)
    except RecsysError as error:
        own, found = data_folder() / source.name, str(error)
        if place is None and not own.exists():
            found = "no such folder"
        files = " and ".join([", ".join(source.files[:-1]), source.files[-1]])
        get = f" ({source.get})" if source.get else ""
        raise RecsysError(f"{place or own}: {found}, expected one with {files}{get}; --data names another") from None


def _published(recipe: Recipe, folder: Path) -> Trial:
    if recipe.data.format == "lists":
        split = widened(read_lists(folder), recipe.protocol.catalogue)
        return Trial(split.train, None, split, against(split, recipe.protocol, recipe.seed))
    split, negatives = read_ratings(folder, recipe.data.name)
    return Trial(split.train, None, split, (negatives,))


def _with_note(trial: Trial, note: str) -> Trial:
    split = trial.split
    return replace(trial, split=replace(split, notes=(note, *split.notes))) if note else trial


def check(name: str, row: Row, recipe: Recipe, trial: Trial) -> list[Check]:
    """Fit one model and hold its metrics beside the published ones."""
    names = [metric for metric in recipe.metrics if metric in row.published]
    reason = row.reason
    try:
        values = _values(row, trial, names, f"[models.{name}]", recipe.seed)
    except RecsysError as error:
        values, reason = dict.fromkeys(names, (math.nan, math.nan)), f"not run: {error}"
    tolerance = {**recipe.tolerance, **row.tolerance}
    return [Check(name, metric, row.published[metric], *values[metric], tolerance[metric], reason) for metric in names]


def _values(row: Row, trial: Trial, names: list[str], where: str, seed: int) -> dict[str, tuple[float, float]]:
    matrix = trial.ratings if row.values == "ratings" else trial.fit
    if matrix is None:
        raise RecsysError(f"{where}: values = 'ratings', and this data has none")
    return evaluate(row.build(where).fit(matrix), trial, names, seed)


def evaluate(fitted: Scorer, trial: Trial, names: list[str], seed: int) -> dict[str, tuple[float, float]]:
    """Return each metric, such as "ndcg@10", of a model fitted to the trial, with its standard error over users."""
    scorer = trial.scorer(fitted)
    wanted = {name: (name.partition("@")[0], int(name.partition("@")[2])) for name in names}
    if trial.negatives:
        return _sampled(scorer, trial, wanted)
    evaluation = _evaluation(scorer, trial, max(k for _, k in wanted.values()), seed)
    return {name: _value(FULL[metric](evaluation, k)) for name, (metric, k) in wanted.items()}


def _sampled(scorer: Scorer, trial: Trial, wanted: dict[str, tuple[str, int]]) -> dict[str, tuple[float, float]]:
    ranks = [rank_sampled(scorer, negatives) for negatives in trial.negatives]
    return {
        name: _mean(np.mean([SAMPLED[metric](draw, k) for draw in ranks], axis=0))
        for name, (metric, k) in wanted.items()
    }


def _evaluation(scorer: Scorer, trial: Trial, k: int, seed: int) -> Evaluation:
    """Return everybody's best k of the whole catalogue; who has nothing to find gets no list."""
    split = trial.split
    pool = pools.candidates(scorer, split, n=min(k, split.shape[1]), maps=(), seed=seed)
    asked = np.diff(split.test.indptr) > 0
    return Evaluation(np.where(asked[:, None], pool.items, np.int32(-1)), Yardstick(split))


def _value(answer: Answer) -> tuple[float, float]:
    if isinstance(answer, PerCatalogue):
        shown = answer.shown[answer.shown >= 0]
        counts = np.bincount(shown, minlength=answer.n_items).astype(np.float64)
        return float(answer.statistic(counts)), math.nan
    values = answer.values
    return _mean(values[~np.isnan(values)])


def _mean(values: Doubles) -> tuple[float, float]:
    """Return the mean, and its standard error over users."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _notes(recipe: Recipe, trial: Trial) -> tuple[str, ...]:
    split = trial.split
    said = [
        f"{split.shape[0]:,} users, {split.shape[1]:,} items, {trial.fit.nnz:,} positives to fit on, "
        f"{split.test.nnz:,} to find" + (f"; {trial.fit.shape[0]:,} other users to fit on" if trial.folded else "")
    ]
    if trial.negatives:
        against = trial.negatives[0].against.shape[1]
        source = trial.negatives[0].source if len(trial.negatives) == 1 else f"mean of {len(trial.negatives)} draws"
        said.append(
            f"sampled: each positive is ranked among {against} items ({source}), ties in random order; such values are "
            "for comparison with this table alone, not with ranks among the whole catalogue"
        )
        repeated = sum(negatives.repeated for negatives in trial.negatives)
        if repeated:
            said.append(f"{repeated:,} negatives repeated another or were the positive: left out")
    models = recipe.models.items()
    said += [f"{name}: fitted to the ratings as values" for name, row in models if row.values == "ratings"]
    return (*said, *split.notes, *(f"{name}: {row.note}" for name, row in models if row.note))
