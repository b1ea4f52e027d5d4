"""Weights of training positives: they halve with age, and what is held back counts less; the moment of ages."""

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
SHORT_SHARE = 0.5
_LEAST_EXPONENT = -100.0  # no weight is below 2^-100: the root of a smaller one, and its square, are no longer told


@dataclass(frozen=True)
class TimeDecay:
    """How fast evidence ages: a positive of age a, in days before `now`, weighs 2^(-a / half_life).

    With a short half-life too, a profile has two speeds: (1 - c) 2^(-a / half_life) + c 2^(-a / short_half_life), where
    c is the `short_share`.

    Raises:
        RecsysError: for a half-life that is no number above 0, a short one that is not below it, a share that is not
            between 0 and 1, or a moment that cannot be read.
    """

    half_life: float  # days after which a positive counts half
    now: float | None = None  # seconds since 1970 that ages are counted from; the latest training positive if absent
    short_half_life: float | None = None  # days, of the part that forgets fast; None: there is none
    short_share: float = SHORT_SHARE  # of a positive of age 0 that is of that part

    def __post_init__(self) -> None:
        """Refuse what is no half-life or no moment."""
        object.__setattr__(self, "half_life", check_number("half_life", self.half_life, above=0.0))
        if self.short_half_life is not None:
            short = check_number("short_half_life", self.short_half_life, above=0.0)
            if short >= self.half_life:
                raise RecsysError(f"short_half_life is {short:g}, expected days below the half_life {self.half_life:g}")
            object.__setattr__(self, "short_half_life", short)
        object.__setattr__(self, "short_share", check_number("short_share", self.short_share, above=0.0, below=1.0))
        if self.now is not None and (type(self.now) is not float or convert_to_float(self.now) is None):
            object.__setattr__(self, "now", float(parse_moment("half_life: now", self.now)))


@dataclass(frozen=True, eq=False)
class TimeWeights:
    """How much each training positive of U users counts: by its age, and less where it is held back."""

    half_life: float  # days; inf where age does not count
    now: float  # seconds since 1970: a positive of that moment weighs 1; 0 where there are no times
    weights: Csr = field(
        metadata=mark_user_rows("how much each liked item counts by its age, and where it is held back")
    )  # (U, I) float32, (0, 1]
    short_half_life: float = math.inf  # days, of the part that forgets fast
    short_share: float = 0.0  # of a positive of age 0 that is of that part; 0 where there is one speed

    @property
    def decay(self) -> TimeDecay | None:
        """What the weights follow by age, None where age does not count."""
        if self.half_life == math.inf:
            return None
        short = (self.short_half_life, self.short_share) if self.short_share else ()
        return TimeDecay(self.half_life, self.now, *short)

    def take_users(self, users: Ints | Longs) -> "TimeWeights":
        """Return the weights of some users, rows in the order of `users`."""
        return replace(self, weights=Csr(self.weights[users]))

    def weigh_times(self, times: Doubles) -> Floats:
        """Return the weights of positives by their times in seconds since 1970, (n,): 1 from `now` on."""
        ages = np.maximum(self.now - times, 0.0)
        return _weigh_ages(ages, self.half_life, self.short_half_life, self.short_share)


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
    short = (math.inf, 0.0) if decay.short_half_life is None else (decay.short_half_life, decay.short_share)
    weights = _weigh_ages(now - when, decay.half_life, *short)
    return TimeWeights(decay.half_life, now, Csr((weights, train.indices, train.indptr), train.shape), *short)


def make_evidence_weights(
    train: Csr, times: Csr | None, decay: TimeDecay | None, held_back: Floats | None
) -> TimeWeights | None:
    """Return the weights of the positives of `train`, (U, I): by age, times `held_back` (E,); None without both.

    Raises:
        RecsysError: as `make_time_weights` does.
    """
    aged = None if decay is None else make_time_weights(train, times, decay)
    if held_back is None:
        return aged
    if aged is None:
        now = float(times.data.max()) if times is not None and times.nnz else 0.0
        return TimeWeights(math.inf, now, Csr((held_back, train.indices, train.indptr), train.shape))
    least = np.float32(2.0**_LEAST_EXPONENT)
    weights = np.maximum(aged.weights.data * held_back, least)
    return replace(aged, weights=Csr((weights, train.indices, train.indptr), train.shape))


def get_positive_times(train: Csr, times: Csr) -> Doubles:
    """Return the time of each positive in seconds, in the order of `train.indices`."""
    if np.array_equal(train.indptr, times.indptr) and np.array_equal(train.indices, times.indices):
        return np.asarray(times.data, dtype=np.float64)
    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    return np.asarray(sparse.csr_matrix(times)[rows, train.indices], dtype=np.float64).ravel()


def _weigh_ages(ages: Doubles, half_life: float, short_half_life: float, short_share: float) -> Floats:
    """Return the weights of ages in seconds, by half-lives in days: each of both parts at least 2^-100 of itself."""
    slow = _halve(ages, half_life)
    if not short_share:
        return slow.astype(np.float32)
    return ((1.0 - short_share) * slow + short_share * _halve(ages, short_half_life)).astype(np.float32)


def _halve(ages: Doubles, half_life: float) -> Doubles:
    return np.exp2(np.maximum(-ages / (half_life * SECONDS_PER_DAY), _LEAST_EXPONENT))
