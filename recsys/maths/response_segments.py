"""Segments of users who take less of a region than others: found on one half of what was shown, judged on the other."""

from typing import NamedTuple

import numpy as np

from recsys.types.arrays import Bools, Doubles, Ints, Longs

PRIOR_TAKEN = 1.0  # pseudo-observation by which a user's own ratio is shrunk where the segments are found


class SegmentCounts(NamedTuple):
    """Each region's segment of users, Z of them, as the judging half of what was shown sees it."""

    segments: Ints  # (U,) the region that each user took least of, -1 for users who took as much as expected of all
    users: Longs  # (Z,) members
    shown: Longs  # (Z,) pairs of a member and an item of the region
    taken: Doubles  # (Z,) of these, how many were taken
    expected: Doubles  # (Z,) how many of them would be, if members took as others do, at their own pace
    variance: Doubles  # (Z,) of the number taken about it: of counts, of what is known of members' pace and of the rate


def count_segments(user: Longs, region: Longs, taken: Bools, judged: Bools, size: tuple[int, int]) -> SegmentCounts:
    """Return the segments that one half of P pairs finds, counted on the other half.

    A pair is a user and an item that was shown to the user: `user`, `region` of the item, whether it was `taken`, and
    whether it is `judged` or one that segments are found on, (P,) each. `size` is (U, Z).

    A user's pace is a factor on the rates of regions, with a Gamma prior of mean 1 whose strength follows by moments
    from how much users differ. A user belongs to the region z with the least (x_z + 1) / (m_z + 1) among the pairs that
    segments are found on, where x_z were taken and m_z expected. The number expected of a segment is the sum of
    n_z r_z a over members: n_z judged pairs, r_z the rate of judged pairs of everybody else, a the posterior mean of
    the member's pace by all pairs but those that are counted. So it is not biased by having been chosen.
    """
    users, regions = size
    cell = user * regions + region
    shown, took = (
        [
            np.bincount(cell[judged == half], what[judged == half], users * regions).reshape(size)
            for half in (False, True)
        ]
        for what in (np.ones(len(user)), taken.astype(np.float64))
    )
    all_shown, all_taken = shown[0] + shown[1], took[0] + took[1]
    rates = all_taken.sum(axis=0) / np.maximum(all_shown.sum(axis=0), 1.0)
    strength = fit_gamma_poisson(all_taken.sum(axis=1), all_shown @ rates)
    pace = _compute_pace(took[0].sum(axis=1), shown[0] @ rates, strength)
    ratios = (took[0] + PRIOR_TAKEN) / (shown[0] * rates * pace[:, None] + PRIOR_TAKEN)
    segments = np.where(ratios.min(axis=1) < 1.0, ratios.argmin(axis=1), -1).astype(np.int32)

    rest = all_taken.sum(axis=1)[:, None] - took[1]
    pace_without = _compute_pace(rest, (all_shown @ rates)[:, None] - shown[1] * rates, strength)
    member = segments[:, None] == np.arange(regions)
    base = shown[1] * pace_without
    others = np.where(member, 0.0, base).sum(axis=0)
    taken_by_others = np.where(member, 0.0, took[1]).sum(axis=0)
    rate = np.divide(taken_by_others, others, out=np.zeros(regions), where=others > 0)
    mean = np.where(member, base * rate, 0.0)
    spread = mean**2 / (strength + rest) if np.isfinite(strength) else np.zeros_like(mean)
    of_rate = mean.sum(axis=0) ** 2 / np.maximum(taken_by_others, 1.0)
    return SegmentCounts(
        segments,
        member.sum(axis=0),
        np.where(member, shown[1], 0.0).sum(axis=0).astype(np.int64),
        np.where(member, took[1], 0.0).sum(axis=0),
        mean.sum(axis=0),
        (mean + spread).sum(axis=0) + of_rate,
    )


def fit_gamma_poisson(counts: Doubles, means: Doubles) -> float:
    """Return the strength of the Gamma prior, of mean 1, of the factor on each Poisson mean, by moments.

    Above 0, and infinite where counts spread no more than those of a Poisson do.

    >>> fit_gamma_poisson(np.array([2.0, 2.0]), np.array([2.0, 2.0]))
    inf
    """
    extra = float(((counts - means) ** 2 - means).sum())
    return float((means**2).sum()) / extra if extra > 0 and means.any() else float("inf")


def compute_lower_tails(taken: Doubles, expected: Doubles, variance: Doubles) -> Doubles:
    """Return the probability of as few as `taken` or fewer, by a negative binomial of that mean and variance."""
    from scipy import stats

    extra = variance - expected
    wide = extra > 1e-9 * np.maximum(expected, 1e-300)
    safe = np.where(wide, extra, 1.0)
    narrow = stats.poisson.cdf(taken, expected)
    size = np.where(wide, expected**2 / safe, 1.0)
    return np.where(wide, stats.nbinom.cdf(taken, size, size / (size + expected)), narrow)


def _compute_pace(taken: Doubles, expected: Doubles, strength: float) -> Doubles:
    if not np.isfinite(strength):
        return np.ones_like(expected)
    return np.asarray((taken + strength) / (expected + strength))
