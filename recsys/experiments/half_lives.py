"""The half-life of evidence, chosen on validation under a split at one point in time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.metrics import ndcg
from recsys.models.fits import check_fitted
from recsys.retrieval.candidates import candidates
from recsys.types import Evaluation, GroundTruth, Model, RecsysError, Split
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_int, check_number

HALF_LIVES = (7.0, 30.0, 90.0, 365.0)  # days


@dataclass(frozen=True)
class HalfLifeChoice:
    """What a choice of the half-life found: NDCG on validation without a half-life, and under each."""

    half_life: float | None  # days, of the largest value; None: all positives count alike
    k: int  # of NDCG
    values: tuple[tuple[float | None, float], ...]  # NDCG@k by half-life, None first, then longest first

    def describe(self) -> str:
        """Return a sentence that says the choice and all values."""
        chosen = "none" if self.half_life is None else f"{self.half_life:g} days"
        said = (f"{'none' if h is None else f'{h:g} days'} {value:.4f}" for h, value in self.values)
        return f"half-life: {chosen}, the largest NDCG@{self.k} on validation of {', '.join(said)}"


def choose_half_life(
    model: Model, split: Split, half_lives: Sequence[float] = HALF_LIVES, *, k: int = 10, now: Any = None
) -> HalfLifeChoice:
    """Return the half-life, in days, or none, under which a model that is fitted to train finds validation best.

    `model` are settings; it is fitted once without a half-life and once under each of `half_lives`, ranks all items
    that are new to a user, and is judged by NDCG at k of the validation positives, a mean over users who have some. Of
    equal values the longest half-life is chosen, none before all. `now` is as for `Split.with_half_life`. Test is not
    looked at.

    Raises:
        RecsysError: if the split is not at one point in time or holds no validation, half-lives are no numbers above 0
            or some are equal, or the model cannot be fitted by age.
    """
    days, k = _check_half_lives(half_lives), check_int("choose_half_life: k", k, 1)
    if not split.has_global_cut:
        raise RecsysError(
            f"choose_half_life: found a split of kind {split.kind}, expected one at one point in time: global_time; "
            "where a user's last positives are held out whenever they were, the age of others says nothing"
        )
    if not split.validation.nnz:
        raise RecsysError("choose_half_life: found a split without validation, expected a share of it: validation=0.1")
    view = split.validation_view()
    values = tuple((h, float(np.nanmean(compute_user_ndcg(model, view, h, k, now)))) for h in (None, *days))
    best = max(values, key=lambda one: one[1])  # the first of equal ones
    return HalfLifeChoice(best[0], k, values)


def compute_user_ndcg(model: Model, view: Split, half_life: float | None, k: int, now: Any = None) -> Doubles:
    """Return NDCG at k of each user, (U,), of a model fitted to `view.train` under a half-life; NaN without positives.

    Raises:
        RecsysError: as `Split.with_half_life` does, or if the model cannot be fitted.
    """
    aged = view.with_half_life(half_life, now=now)
    fitted = model.fit(aged.train, aged.side_information)
    check_fitted("choose_half_life", fitted)
    slates = candidates(fitted, aged, n=min(k, aged.shape[1]))
    items = np.full((aged.shape[0], slates.items.shape[1]), -1, np.int32)
    items[slates.users] = slates.items
    return ndcg(Evaluation(items, GroundTruth(aged, (), (), ())), k).values


def _check_half_lives(half_lives: Any) -> list[float]:
    """Return different half-lives, longest first."""
    if isinstance(half_lives, str | bytes) or not isinstance(half_lives, Sequence) or not len(half_lives):
        raise RecsysError(f"choose_half_life: half_lives are {half_lives!r}, expected a list of numbers of days")
    days = [check_number("choose_half_life: a half-life", one, above=0.0, below=math.inf) for one in half_lives]
    if len(set(days)) < len(days):
        raise RecsysError(f"choose_half_life: half_lives are {days}, expected different numbers of days")
    return sorted(days, reverse=True)
