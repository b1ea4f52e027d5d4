"""The average of the scores of several models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import numpy as np

from recsys.models.checks import MemoryNeed, check_ints, check_memory
from recsys.models.fits import check_fit
from recsys.models.registry import build_model, find_model
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.errors import RecsysError
from recsys.types.models import Model, Scorer, SideInformation
from recsys.types.numbers import convert_fields_to_python


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """Fitted models whose scores are averaged, each scaled per user to mean 0 and standard deviation 1."""

    parts: tuple[Scorer, ...]
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._average_scores(lambda part: part.score(users))

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): the mean of the parts' scores."""
        return self._average_scores(lambda part: part.fold(histories))

    def _average_scores(self, scores: Callable[[Scorer], Floats]) -> Floats:
        return np.asarray(
            sum(_standardize_scores(scores(part)) for part in self.parts) / len(self.parts), dtype=np.float32
        )


@dataclass(frozen=True)
class Ensemble:
    """The mean of several models' scores, each scaled per user over all items to mean 0 and standard deviation 1.

    `models` are settings, config names, or tables with `kind` and settings; where one of the last two has a seed and
    none is given, it gets this one. A part that scores all items of a user the same has no say for that user.

    >>> Ensemble(["most_popular", {"kind": "ease", "l2": 50.0}]).models
    (MostPopular(half_life=None), EASE(l2=50.0, dtype='float64'))

    Raises:
        RecsysError: if there are no models, or one of them is unknown or has invalid settings.
    """

    models: Any = ()  # a tuple of settings, once made
    seed: int = 0  # given to the parts that have a seed and name none

    def __post_init__(self) -> None:
        """Turn names and tables into settings."""
        convert_fields_to_python(self)
        check_ints("ensemble", seed=self.seed)
        if not isinstance(self.models, list | tuple) or not self.models:
            raise RecsysError(f"ensemble: models: found {self.models!r}, expected a list of at least one model")
        object.__setattr__(self, "models", tuple(_resolve_settings(model, self.seed) for model in self.models))

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps.

        A part takes its bytes beside what those before it keep; one without `need` counts as nothing.
        """
        needs = [model.estimate_memory(train) for model in self.models if hasattr(model, "estimate_memory")]
        kept = list(accumulate((need.kept for need in needs), initial=0))
        peak = max((need.peak + before for need, before in zip(needs, kept, strict=False)), default=0)
        return MemoryNeed(peak, kept[-1], f"{len(self.models)} models", "use fewer models, or smaller ones")

    @check_fit("ensemble", weighs=False)
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedEnsemble:
        """Fit every part to the positives, (U, I).

        Raises:
            RecsysError: if they are too large for the memory of this machine, together or one beside those before
                it, or a part cannot be fitted.
        """
        check_memory("ensemble", self.estimate_memory(train))
        return FittedEnsemble(tuple(model.fit(train, side) for model in self.models))


def _resolve_settings(model: Any, seed: int) -> Model:
    """Return the settings that a name or a table means."""

    if hasattr(model, "fit") and not isinstance(model, type):
        return cast(Model, model)
    table = {"kind": model} if isinstance(model, str | type) else model
    if not isinstance(table, Mapping) or "kind" not in table:
        raise RecsysError(f"ensemble: models: found {model!r}, expected a model's name or a table with its kind")
    settings = {name: value for name, value in table.items() if name != "kind"}
    if "seed" in find_model(table["kind"], "ensemble").__dataclass_fields__:
        settings.setdefault("seed", seed)
    return cast(Model, build_model(table["kind"], settings, "ensemble:"))


def _standardize_scores(scores: Floats) -> Floats:
    centred = scores.astype(np.float64) - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
