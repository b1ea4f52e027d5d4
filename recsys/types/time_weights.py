"""Weights of training positives: they halve with age, and one-offs count less; the moment of ages, one matrix."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from recsys.types.arrays import Csr, Doubles, Floats, Ints, Longs
from recsys.types.errors import RecsysError
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number, convert_to_float
from recsys.types.user_rows import mark_user_rows

SECONDS_PER_DAY = 86_400.0
_LEAST_EXPONENT = -100.0  # no weight is below 2^-100: the root of a smaller one, and its square, are no longer told


@dataclass(frozen=True)
class TimeDecay:
    """How fast evidence ages: a positive of age a, in days before `now`, weighs 2^(-a / half_life).

    Raises:
        RecsysError: for a half-life that is no number above 0, or a moment that cannot be read.
    """

    half_life: float  # days after which a positive counts half
    now: float | None = None  # seconds since 1970 that ages are counted from; the latest training positive if absent

    def __post_init__(self) -> None:
        """Refuse what is no half-life or no moment."""
        object.__setattr__(self, "half_life", check_number("half_life", self.half_life, above=0.0))
        if self.now is not None and (type(self.now) is not float or convert_to_float(self.now) is None):
            object.__setattr__(self, "now", float(parse_moment("half_life: now", self.now)))


@dataclass(frozen=True, eq=False)
class TimeWeights:
    """How much each training positive of U users counts: by its age, and less where it is a one-off."""

    half_life: float  # days; inf where age does not count
    now: float  # seconds since 1970: a positive of that moment weighs 1; 0 where there are no times
    weights: Csr = field(
        metadata=mark_user_rows("how much each liked item counts by its age, and as a one-off")
    )  # (U, I) float32, (0, 1]

    def take_users(self, users: Ints | Longs) -> "TimeWeights":
        """Return the weights of some users, rows in the order of `users`."""
        return replace(self, weights=Csr(self.weights[users]))

    def weigh_times(self, times: Doubles) -> Floats:
        """Return the weights of positives by their times in seconds since 1970, (n,): 1 from `now` on."""
        return _weigh_ages(np.maximum(self.now - times, 0.0), self.half_life)


def make_time_weights(train: Csr, times: Csr | None, decay: TimeDecay) -> TimeWeights:
    """Return the weights of the positives of `train`, (U, I), in the order of its entries.

    `times` holds the time of each positive, (U, I), in seconds since 1970.

    Raises:
        RecsysError: if there are no times, or a positive is later than the stated moment.
    """
    if times is None:
        raise RecsysError(
            f"half_life is {decay.half_life:g} and the data has no times, expected a column datetime, or no half_life"
        )
    when = get_positive_times(train, times)
    last = float(when.max()) if len(when) else 0.0
    now = last if decay.now is None else decay.now
    if len(when) and last > now:
        later, shown = int((when > now).sum()), [str(np.datetime64(int(at), "s")) for at in (now, last)]
        raise RecsysError(
            f"half_life: now is {shown[0]} and {later:,} training positives are later, the last of {shown[1]}, "
            "expected no moment before them"
        )
    return TimeWeights(
        decay.half_life, now, Csr((_weigh_ages(now - when, decay.half_life), train.indices, train.indptr), train.shape)
    )


def make_evidence_weights(
    train: Csr, times: Csr | None, decay: TimeDecay | None, one_offs: Floats | None
) -> TimeWeights | None:
    """Return the weights of the positives of `train`, (U, I): by age, times those of one-offs (E,); None without both.

    Raises:
        RecsysError: as `make_time_weights` does.
    """
    aged = None if decay is None else make_time_weights(train, times, decay)
    if one_offs is None:
        return aged
    if aged is None:
        now = float(times.data.max()) if times is not None and times.nnz else 0.0
        return TimeWeights(math.inf, now, Csr((one_offs, train.indices, train.indptr), train.shape))
    least = np.float32(2.0**_LEAST_EXPONENT)
    weights = np.maximum(aged.weights.data * one_offs, least)
    return replace(aged, weights=Csr((weights, train.indices, train.indptr), train.shape))


def get_positive_times(train: Csr, times: Csr) -> Doubles:
    """Return the time of each positive in seconds, in the order of `train.indices`."""
    if np.array_equal(train.indptr, times.indptr) and np.array_equal(train.indices, times.indices):
        return np.asarray(times.data, dtype=np.float64)
    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    return np.asarray(sparse.csr_matrix(times)[rows, train.indices], dtype=np.float64).ravel()


def _weigh_ages(ages: Doubles, half_life: float) -> Floats:
    """Return 2^(-age / half-life) for ages in seconds and a half-life in days, at least 2^-100."""
    exponents = np.maximum(-ages / (half_life * SECONDS_PER_DAY), _LEAST_EXPONENT)
    return np.exp2(exponents).astype(np.float32)
