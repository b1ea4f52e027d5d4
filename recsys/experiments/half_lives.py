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
from recsys.types.time_weights import SHORT_SHARE

HALF_LIVES = (7.0, 30.0, 90.0, 365.0)  # days


@dataclass(frozen=True)
class HalfLifeChoice:
    """What a choice of the half-life found: NDCG on validation without a half-life, under each, and under pairs."""

    k: int  # of NDCG
    values: tuple[tuple[float | None, float], ...]  # NDCG@k by half-life, None first, then longest first
    # half-life, short half-life, share of the latter, NDCG@k: profiles of two speeds, where some were asked for
    two_speed_values: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def half_life(self) -> float | None:
        """Days, of the largest value, the longer ones where two speeds have it; None: all positives count alike."""
        return self._best[0]

    @property
    def short_half_life(self) -> float | None:
        """Days of the part that forgets fast, where two speeds have the largest value."""
        return self._best[1]

    @property
    def short_share(self) -> float:
        """The share of that part; what stands for it by default where there is none."""
        return self._best[2]

    def describe(self) -> str:
        """Return a sentence that says the choice and all values."""
        said = [f"{_name_speeds(h, None, SHORT_SHARE)} {value:.4f}" for h, value in self.values]
        said += [f"{_name_speeds(*one[:3])} {one[3]:.4f}" for one in self.two_speed_values]
        of = f"the largest NDCG@{self.k} on validation of {', '.join(said)}"
        return f"half-life: {_name_speeds(*self._best)}, {of}"

    @property
    def _best(self) -> tuple[float | None, float | None, float]:
        single = max(self.values, key=lambda one: one[1])  # the first of equal ones
        both = max(self.two_speed_values, key=lambda one: one[3], default=None)
        return (single[0], None, SHORT_SHARE) if both is None or both[3] <= single[1] else both[:3]


def _name_speeds(half_life: float | None, short_half_life: float | None, short_share: float) -> str:
    if half_life is None:
        return "none"
    short = "" if short_half_life is None else f" with {short_share:.0%} of {short_half_life:g} days"
    return f"{half_life:g} days{short}"


def choose_half_life(
    model: Model, split: Split, half_lives: Sequence[float] = HALF_LIVES, *, short_half_lives: Sequence[float] = (),
    short_shares: Sequence[float] = (0.25, 0.5), k: int = 10, now: Any = None,
) -> HalfLifeChoice:  # fmt: skip
    """Return the half-life, in days, or none, under which a model that is fitted to train finds validation best.

    `model` are settings; it is fitted once without a half-life and once under each of `half_lives`, ranks all items
    that are new to a user, and is judged by NDCG at k of the validation positives, a mean over users who have some. Of
    equal values the longest half-life is chosen, none before all. `now` is as for `Split.with_half_life`. Test is not
    looked at.

    With `short_half_lives`, profiles of two speeds are tried too: each of them beside each longer half-life, with each
    of `short_shares`. One is chosen where its value is larger than that of all with one speed.

    Raises:
        RecsysError: if the split is not at one point in time or holds no validation, half-lives are no numbers above 0
            or some are equal, no short one is below another, shares are not between 0 and 1, or the model cannot be
            fitted by age.
    """
    days, k = _check_half_lives("half_lives", half_lives), check_int("choose_half_life: k", k, 1)
    pairs = _list_speeds(days, short_half_lives, short_shares)
    if not split.has_global_cut:
        raise RecsysError(
            f"choose_half_life: found a split of kind {split.kind}, expected one at one point in time: global_time; "
            "where a user's last positives are held out whenever they were, the age of others says nothing"
        )
    if not split.validation.nnz:
        raise RecsysError("choose_half_life: found a split without validation, expected a share of it, such as 0.1")
    view = split.validation_view()
    values = tuple((h, float(np.nanmean(compute_user_ndcg(model, view, h, k, now)))) for h in (None, *days))
    both = tuple(
        (*one, float(np.nanmean(compute_user_ndcg(model, view, one[0], k, now, one[1], one[2])))) for one in pairs
    )
    return HalfLifeChoice(k, values, both)


def compute_user_ndcg(
    model: Model, view: Split, half_life: float | None, k: int, now: Any = None, short_half_life: float | None = None,
    short_share: float = SHORT_SHARE,
) -> Doubles:  # fmt: skip
    """Return NDCG at k of each user, (U,), of a model fitted to `view.train` under a half-life; NaN without positives.

    Raises:
        RecsysError: as `Split.with_half_life` does, or if the model cannot be fitted.
    """
    aged = view.with_half_life(half_life, short_half_life=short_half_life, short_share=short_share, now=now)
    fitted = model.fit(aged.train, aged.side_information)
    check_fitted("choose_half_life", fitted)
    slates = candidates(fitted, aged, n=min(k, aged.shape[1]))
    items = np.full((aged.shape[0], slates.items.shape[1]), -1, np.int32)
    items[slates.users] = slates.items
    return ndcg(Evaluation(items, GroundTruth(aged, (), (), ())), k).values


def _check_half_lives(what: str, half_lives: Any) -> list[float]:
    """Return different half-lives, longest first."""
    if isinstance(half_lives, str | bytes) or not isinstance(half_lives, Sequence) or not len(half_lives):
        raise RecsysError(f"choose_half_life: {what} are {half_lives!r}, expected a list of numbers of days")
    days = [check_number("choose_half_life: a half-life", one, above=0.0, below=math.inf) for one in half_lives]
    if len(set(days)) < len(days):
        raise RecsysError(f"choose_half_life: {what} are {days}, expected different numbers of days")
    return sorted(days, reverse=True)


def _list_speeds(
    days: Sequence[float], short_half_lives: Sequence[float], short_shares: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Return each half-life with each shorter one and each share."""
    if isinstance(short_half_lives, Sequence) and not len(short_half_lives):
        return []
    shorts = _check_half_lives("short_half_lives", short_half_lives)
    shares = [check_number("choose_half_life: a short share", one, above=0.0, below=1.0) for one in short_shares]
    made = [(long, short, share) for long in days for short in shorts if short < long for share in shares]
    if not made:
        least = f"expected one below {days[0]:g}, the longest of half_lives"
        raise RecsysError(f"choose_half_life: short_half_lives are {shorts}, {least}")
    return made
