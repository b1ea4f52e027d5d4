"""Expected demand by region and week: hazards of repurchase summed over people, with noise, and never of one person."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.evidence.repurchase_predictions import predict_repurchase_counts
from recsys.types.arrays import Anys, Bools, Doubles, Ints, Longs, Strings
from recsys.types.checks import check_array, check_codes, convert_to_texts
from recsys.types.errors import RecsysError
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_int, check_number
from recsys.types.purchases import Purchases
from recsys.types.repurchases import Repurchases
from recsys.types.time_weights import SECONDS_PER_DAY

OTHER = "(other regions)"  # those of too few people, together
UNITS = 100  # of a purchase: sums are whole numbers of hundredths, so that noise is exact


@dataclass(frozen=True)
class DemandSettings:
    """What a table of demand may say, and how much of it is noise."""

    weeks: int = 4  # from now on
    min_users: int = 10  # people of a region that stands alone; smaller ones are put together
    max_purchases: float = 5.0  # of one person in one week: what is above it does not count
    epsilon: float | None = None  # the budget of the whole table; None: no noise

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            RecsysError: naming the setting.
        """
        check_int("demand: weeks", self.weeks, 1, 104)
        check_int("demand: min_users", self.min_users, 2)
        check_number("demand: max_purchases", self.max_purchases, least=1 / UNITS, most=1e6)
        if self.epsilon is not None:
            check_number("demand: epsilon", self.epsilon, above=0)

    @property
    def sensitivity(self) -> float:
        """The most that one person changes the sum of all cells by: `max_purchases` in each week of one region."""
        return self.weeks * self._clip / UNITS

    @property
    def rate(self) -> float:
        """Epsilon over the sensitivity in hundredths: noise of k hundredths is as likely as exp(-rate |k|) says."""
        return np.inf if self.epsilon is None else self.epsilon / (self.weeks * self._clip)

    @property
    def _clip(self) -> int:
        return round(self.max_purchases * UNITS)


@dataclass(frozen=True, eq=False)
class Demand:
    """Expected repurchases of R regions in W weeks, and of how many people."""

    regions: Strings  # (R,) names; the last may be `OTHER`
    starts: Longs  # (W,) seconds since 1970: when each week begins
    expected: Doubles  # (R, W) purchases in multiples of a hundredth, from 0 on
    n_users: Longs  # (R,) people who have bought before, exact
    settings: DemandSettings
    n_merged: int  # regions that were put together for having too few people
    n_suppressed: int  # people of regions that were too few even together: they are in no cell
    n_clipped: int  # people whose purchases of some week were cut


def forecast_demand(
    model: Repurchases,
    purchases: Purchases,
    now: Any,
    regions: Anys,
    names: Anys,
    settings: DemandSettings | None = None,
    *,
    seed: int | None = None,
) -> Demand:
    """Return how many repurchases are expected of each region in each week after `now`.

    `regions` (U,) are codes of users into `names` (R,), -1 for a user without a region, who is left out. A user is in
    one region. Each cell is the sum of `predict_repurchase_counts` over its people, of each at most
    `settings.max_purchases`; first purchases of an item are not in it. Regions of fewer than `min_users` people who
    bought before are put together, and left out where they are too few even so.

    With `epsilon`, each cell gets discrete Laplace noise (Ghosh, Roughgarden and Sundararajan 2009) of scale
    `settings.sensitivity` / epsilon, and is 0 where it would be below. Given the fitted hazards, one person with all
    purchases then changes the probability of any table by a factor of at most exp(epsilon). What is outside of this
    budget: the hazards, which are fitted to everybody's gaps, which regions are large enough, and `n_users`. Noise is
    drawn from the system's entropy; a `seed` is for tests, and whoever knows it can take the noise away.

    Raises:
        RecsysError: as `predict_repurchases` does, for codes that are none, or if no region has enough people.
    """
    chosen = DemandSettings() if settings is None else settings
    place = convert_to_texts("demand: names", np.asarray(names))
    check_array("demand: regions", regions, (purchases.n_users,), "i")
    check_codes("demand: regions", regions, -1, len(place))
    moment = parse_moment("now", now)
    people = _sum_people(model, purchases, moment, chosen.weeks)
    known = np.zeros(purchases.n_users, dtype=bool)
    known[purchases.user[purchases.datetime < moment]] = True
    code, kept, n_merged, n_suppressed = _merge_regions(regions, known, place, chosen.min_users)
    units = np.minimum(np.floor(people * UNITS).astype(np.int64), chosen._clip)
    inside = known & (code >= 0)
    cells = np.zeros((len(kept), chosen.weeks), dtype=np.int64)
    np.add.at(cells, code[inside], units[inside])
    if chosen.epsilon is not None:
        cells += draw_discrete_laplace(chosen.rate, cells.shape, seed)
    return Demand(
        regions=kept,
        starts=moment + np.arange(chosen.weeks, dtype=np.int64) * round(7 * SECONDS_PER_DAY),
        expected=np.maximum(cells, 0) / UNITS,
        n_users=np.bincount(code[inside], minlength=len(kept)).astype(np.int64),
        settings=chosen,
        n_merged=n_merged,
        n_suppressed=n_suppressed,
        n_clipped=int((people[inside] * UNITS >= chosen._clip + 1).any(axis=1).sum()),
    )


def _sum_people(model: Repurchases, purchases: Purchases, now: int, weeks: int) -> Doubles:
    """Return the repurchases expected of each user in each week, (U, W)."""
    until = [
        np.asarray(predict_repurchase_counts(model, purchases, now, 7.0 * (week + 1)).sum(axis=1), np.float64).ravel()
        for week in range(weeks)
    ]
    return np.maximum(np.diff(np.stack(until, axis=1), axis=1, prepend=0.0), 0.0)


def _merge_regions(regions: Ints, known: Bools, names: Strings, min_users: int) -> tuple[Longs, Strings, int, int]:
    """Return the row of each user (-1: none), the rows' names, how many regions were merged, how many people left."""
    of_people = np.bincount(regions[known & (regions >= 0)], minlength=len(names))
    large, small = np.flatnonzero(of_people >= min_users), np.flatnonzero((of_people > 0) & (of_people < min_users))
    together = int(of_people[small].sum())
    stays = together >= min_users
    if not len(large) and not stays:
        raise RecsysError(
            f"demand: no region has {min_users} people who bought before, the largest {int(of_people.max(initial=0))}, "
            "expected larger regions, or a smaller min_users"
        )
    row = np.full(len(names) + 1, -1, dtype=np.int64)
    row[large] = np.arange(len(large))
    kept = names[large].tolist()
    if stays:
        row[small] = len(large)
        kept.append(OTHER)
    return row[regions], np.asarray(kept, dtype=np.str_), len(small), 0 if stays else together


def draw_discrete_laplace(rate: float, shape: tuple[int, ...], seed: int | None) -> Longs:
    """Return whole numbers k with probability in proportion to exp(-rate |k|): a difference of two geometric ones."""
    rng = np.random.default_rng(seed)
    chance = -np.expm1(-rate)
    return np.asarray(rng.geometric(chance, shape) - rng.geometric(chance, shape), dtype=np.int64)
