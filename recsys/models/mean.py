"""Several models as one: the average of what they say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, cast

import numpy as np

from recsys.models.checks import Need, enough_memory, whole_numbers
from recsys.models.fits import checked_fit
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.errors import RecsysError, unknown
from recsys.types.models import Model, Scorer, Side
from recsys.types.numbers import make_plain


@dataclass(frozen=True, eq=False)
class ByMean:
    """Fitted models whose scores are averaged, each scaled per user to mean 0 and standard deviation 1."""

    parts: tuple[Scorer, ...]
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return self._mean(lambda part: part.score(users))

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): the mean of what each part gives them."""
        return self._mean(lambda part: part.fold(histories))

    def _mean(self, scores: Callable[[Scorer], Floats]) -> Floats:
        return np.asarray(sum(_scaled(scores(part)) for part in self.parts) / len(self.parts), dtype=np.float32)


@dataclass(frozen=True)
class Mean:
    """The mean of several models' scores, each scaled per user over all items to mean 0 and standard deviation 1.

    `models` are settings, config names, or tables with `kind` and settings; where one of the last two has a seed and
    none is given, it gets this one. A part that scores all items of a user the same has no say for that user.

    >>> Mean(["most_popular", {"kind": "ease", "l2": 50.0}]).models
    (MostPopular(half_life=None), EASE(l2=50.0, dtype='float64'))

    Raises:
        RecsysError: if there are no models, or one of them is not known or has settings that cannot be meant.
    """

    models: Any = ()  # a tuple of settings, once made
    seed: int = 0

    def __post_init__(self) -> None:
        """Turn names and tables into settings."""
        make_plain(self)
        whole_numbers("mean", seed=self.seed)
        if not isinstance(self.models, list | tuple) or not self.models:
            raise RecsysError(f"mean: models: found {self.models!r}, expected a list of at least one model")
        object.__setattr__(self, "models", tuple(_settings(model, self.seed) for model in self.models))

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps.

        A part takes its bytes beside what those before it keep; one without `need` counts as nothing.
        """
        needs = [model.need(train) for model in self.models if hasattr(model, "need")]
        kept = list(accumulate((need.kept for need in needs), initial=0))
        peak = max((need.peak + before for need, before in zip(needs, kept, strict=False)), default=0)
        return Need(peak, kept[-1], f"{len(self.models)} models", "use fewer models, or smaller ones")

    @checked_fit("mean")
    def fit(self, train: Csr, side: Side | None = None) -> ByMean:
        """Fit every part to the positives, (U, I).

        Raises:
            RecsysError: if they are too large for the memory of this machine, together or one beside those before
                it, or a part cannot be fitted.
        """
        enough_memory("mean", self.need(train))
        return ByMean(tuple(model.fit(train, side) for model in self.models))


def _settings(model: Any, seed: int) -> Model:
    """Return the settings that a name or a table means."""
    from recsys.models import named

    if hasattr(model, "fit"):
        return cast(Model, model)
    table = {"kind": model} if isinstance(model, str) else model
    if not isinstance(table, Mapping) or "kind" not in table:
        raise RecsysError(f"mean: models: found {model!r}, expected a model's name or a table with its kind")
    settings = {name: value for name, value in table.items() if name != "kind"}
    make = named(table["kind"])
    known = [field.name for field in fields(make)]
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known, where=f"mean: {table['kind']}")
    if "seed" in known:
        settings.setdefault("seed", seed)
    return cast(Model, make(**settings))


def _scaled(scores: Floats) -> Floats:
    centred = scores.astype(np.float64) - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
