"""Like curves: the probability that a candidate is liked, from its score, fitted to validation likes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.maths.held_out import mark_held_out
from recsys.maths.platt import logistic
from recsys.maths.reliability import Reliability, measure_reliability
from recsys.retrieval.score_calibration import fit_like_probability
from recsys.types import Pool, RecsysError, Slates, Split
from recsys.types.arrays import Bools, Csr, Doubles, Floats
from recsys.types.numbers import check_int, check_number

LIKELIHOOD_KINDS = ("", "softmax", "logistic")  # of scores; "": those of a model
N_CANDIDATES = 30  # best candidates of each user that a curve is fitted to
MIN_EXPECTED_LIKES = 1.0  # a slate that is expected to hold fewer is one that the ranker is not sure of


@dataclass(frozen=True)
class LikeCurve:
    """The probability of a like by the score, logistic(slope score + offset): Platt's curve of validation likes.

    A like is a logged one within what validation holds out: exposure limits it, so that the probability is a lower
    bound of liking. For a window that holds out `window` times as much it is 1 - (1 - p)^window: windows follow each
    other and are alike.
    """

    slope: float  # above 0
    offset: float
    likelihood_kind: str = ""  # of the scores that it was fitted to, as in `Pool`; "": those of a model
    window: float = 1.0  # how many times as much as validation the window holds out that it speaks of

    def __post_init__(self) -> None:
        """Refuse a curve that falls with the score, or is not finite.

        Raises:
            RecsysError: naming the field.
        """
        check_number("like curve: slope", self.slope, above=0)
        check_number("like curve: offset", self.offset, -np.inf)
        check_number("like curve: window", self.window, above=0)
        if self.likelihood_kind not in LIKELIHOOD_KINDS:
            raise RecsysError(
                f"like curve: likelihood_kind is {self.likelihood_kind!r}, expected one of {LIKELIHOOD_KINDS}"
            )

    @classmethod
    def from_settings(cls, found: Any, place: str) -> "LikeCurve":
        """Return the curve that a file says.

        Raises:
            RecsysError: for settings that are none of a curve.
        """
        if not isinstance(found, Mapping) or set(found) != {"slope", "offset", "likelihood_kind", "window"}:
            raise RecsysError(f"{place} is no like curve, expected slope, offset, likelihood_kind and window")
        return cls(**found)

    def compute_probabilities(self, scores: Floats | Doubles) -> Doubles:
        """Return the probability of a like for scores of any shape."""
        log_odds = self.slope * scores.astype(np.float64) + self.offset
        if self.window == 1.0:
            return logistic(log_odds)
        return np.asarray(-np.expm1(-self.window * np.logaddexp(0.0, log_odds)))


def fit_like_curve(pool: Pool, split: Split, *, n: int = N_CANDIDATES, window: float = 1.0) -> LikeCurve:
    """Return the like curve of a pool's scores, fitted to the validation likes of `split`.

    `pool` holds candidates, best first, of a model that was fitted to `split.train` alone, or what `apply_likelihood`
    with `out_of_fold` made of it. The curve is fitted to the `n` best candidates of each user who has validation likes:
    slates are made of these. Validation says what is held out: judge it on test, with `window` as many held-out likes
    of a user there as in validation.

    Raises:
        RecsysError: as `recsys.retrieval.score_calibration.fit_like_probability` does.
    """
    n = check_int("like curve: n", n, 1)
    best = replace(pool, items=pool.items[:, :n], scores=pool.scores[:, :n])
    found = fit_like_probability(best, split.validation)
    return LikeCurve(found["platt_slope"], found["platt_offset"], pool.likelihood_kind, window)


def estimate_like_probabilities(curve: LikeCurve | None, likelihood_kind: str, scores: Floats) -> Doubles | None:
    """Return the probability that each pick is liked, from scores of a kind; None where nothing says it.

    A curve that was fitted to scores of this kind, or the log-odds of a logistic likelihood themselves.
    """
    if curve is not None and curve.likelihood_kind == likelihood_kind:
        return curve.compute_probabilities(scores)
    return logistic(scores.astype(np.float64)) if likelihood_kind == "logistic" else None


def attach_like_probabilities(slates: Slates, pool: Pool, curve: LikeCurve | None) -> Slates:
    """Return slates with the probability that each pick is liked, by the score that it has in `pool`.

    The users of the slates are rows of the pool. Picks that the pool does not hold, such as pinned ones, have 0.
    """
    place = np.full(len(slates.user_ids), -1, np.int64)
    place[pool.users] = np.arange(len(pool.users))
    rows = place[slates.users]
    probabilities = estimate_like_probabilities(curve, pool.likelihood_kind, pool.scores)
    if probabilities is None or (rows < 0).any():
        return slates
    width = len(pool.context.item_ids)
    keys = (np.arange(len(pool.users))[:, None] * width + pool.items)[pool.items >= 0]
    order = np.argsort(keys, kind="stable")
    wanted = rows[:, None] * width + slates.items
    found = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    there = (slates.items >= 0) & (keys[order][found] == wanted)
    flat = probabilities[pool.items >= 0][order]
    return replace(slates, like_probabilities=np.where(there, flat[found], 0.0))


def read_reliability(slates: Slates, held_out: Csr) -> Reliability:
    """Return the reliability curve of the picks of users who have positives in `held_out` (users of the split, I).

    Raises:
        RecsysError: if the slates have no probabilities.
    """
    if slates.like_probabilities is None:
        raise RecsysError("reliability: the slates have no probabilities, expected those of a like curve")
    liked = mark_held_out(slates.users, slates.items, held_out)
    there: Bools = (slates.items >= 0) & (np.diff(held_out.indptr)[slates.users] > 0)[:, None]
    return measure_reliability(slates.like_probabilities[there], liked[there])


def choose_slate_length(probabilities: Doubles, k: int, widen_to: int) -> int:
    """Return how long a slate is that grows where the ranker is not sure: from k to at most `widen_to`.

    It is the smallest number of picks, at least k, whose probabilities (N,), best candidates first, sum to
    `MIN_EXPECTED_LIKES`.

    >>> choose_slate_length(np.full(50, 0.05), 10, 30), choose_slate_length(np.full(50, 0.2), 10, 30)
    (20, 10)
    """
    expected = np.cumsum(probabilities[:widen_to])
    enough = int(np.searchsorted(expected, MIN_EXPECTED_LIKES * (1 - 1e-12))) + 1
    return max(k, min(enough, widen_to))
