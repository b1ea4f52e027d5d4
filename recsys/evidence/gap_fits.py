"""Gap distributions of items, shrunk to those of their categories, and these to the catalogue's."""

from typing import NamedTuple

import numpy as np

from recsys.evidence.gaps import Gaps
from recsys.maths.renewal_fits import (
    GapRows,
    GroupPrior,
    estimate_kappa,
    fit_gap_groups,
    fit_gap_locations,
    measure_information,
    shrink_gap_groups,
    sum_groups,
)
from recsys.maths.renewals import WEIBULL, compute_log_survival
from recsys.maths.shrinkage import fit_beta_binomial, shrink_rates
from recsys.types.arrays import Doubles, Ints, Longs
from recsys.types.repurchases import N_STAGES

BINS_PER_LOG = 200  # gaps are counted in bins 0.5 % wide where categories are fitted
_ROUNDS = 40  # of shares and gaps in turn (EM)


class LogGapFit(NamedTuple):
    """Weibull or log-normal gaps of I items."""

    slope: Doubles  # (I,)
    offset: Doubles  # (I,)
    share: Doubles  # (I, 3)


class _Counted(NamedTuple):
    """Gaps that are alike, counted: of a category, after so many purchases, observed or not, of a length."""

    rows: GapRows  # groups are categories
    cell: Longs  # (R,) category * 3 + stage


def fit_log_gaps(family: int, gaps: Gaps, category: Ints, n_categories: int) -> LogGapFit:
    """Return the Weibull or log-normal gaps of each item, by expectation and maximisation over who buys again.

    A censored gap is of somebody who buys again with probability share S / (1 - share + share S) (a mixture cure model:
    Berkson and Gage 1952); it counts with this weight where slope and offset are fitted. Shares are shrunk to the
    category's, and these to the catalogue's, as Beta-Binomial rates; places of gaps as normal ones. Slopes are the
    category's, shrunk to the catalogue's.
    """
    counted = _count_gaps(gaps, category, n_categories)
    share, slope, offset = _fit_categories(family, counted, n_categories)
    return _fit_items(family, gaps, category, LogGapFit(slope, offset, share))


def _count_gaps(gaps: Gaps, category: Ints, n_categories: int) -> _Counted:
    bins = np.round(np.log(gaps.days) * BINS_PER_LOG).astype(np.int64)
    least = int(bins.min(initial=0))
    width = int(bins.max(initial=0)) - least + 1
    cell = category[gaps.item].astype(np.int64) * N_STAGES + np.minimum(gaps.count, N_STAGES) - 1
    code, weight = np.unique((cell * 2 + gaps.observed) * width + bins - least, return_counts=True)
    code, place = np.divmod(code, width)
    cell, observed = np.divmod(code, 2)
    log_days = (place + least) / BINS_PER_LOG
    return _Counted(
        GapRows(log_days, observed.astype(bool), cell // N_STAGES, weight.astype(np.float64), n_categories), cell
    )


def _fit_categories(family: int, counted: _Counted, n_categories: int) -> tuple[Doubles, Doubles, Doubles]:
    """Return share (C, 3), slope and offset (C,) of each category."""
    rows, cell = counted
    n_cells = n_categories * N_STAGES
    trials = sum_groups(cell, rows.weight, n_cells)
    seen = sum_groups(cell, rows.weight * rows.observed, n_cells)
    share = np.clip((seen + 0.5 * (trials - seen)) / np.maximum(trials, 1.0), 0.05, 0.95)
    whole = _start_at_moments(family, rows)
    slope, offset = (np.repeat(one, n_categories) for one in whole)
    free = slope, offset
    for _ in range(_ROUNDS):
        before = share, slope * 3.0 + offset  # the place of gaps of some 20 days
        weight = _weigh_buyers(family, rows, slope[rows.group], offset[rows.group], share[cell])
        share = _shrink_stages(sum_groups(cell, rows.weight * weight, n_cells), trials, None).ravel()
        rated = rows._replace(weight=rows.weight * weight)
        whole, prior = _fit_catalogue(family, rated, whole)
        free = fit_gap_groups(family, rated, free, prior, iterations=4)
        slope, offset = shrink_gap_groups(family, rated, *free)
        moved = max(np.abs(share - before[0]).max(), np.abs((slope * 3.0 + offset - before[1]) / slope).max())
        if moved < 1e-3:
            break
    return share.reshape(n_categories, N_STAGES), slope, offset


def _start_at_moments(family: int, rows: GapRows) -> tuple[Doubles, Doubles]:
    """Return slope and offset of the catalogue by the mean and deviation of observed log gaps, (1,) each."""
    weight = rows.weight * rows.observed
    mean = float(weight @ rows.log_days / weight.sum())
    spread = float(np.sqrt(weight @ (rows.log_days - mean) ** 2 / weight.sum()))
    slope = (np.pi / np.sqrt(6.0) if family == WEIBULL else 1.0) / max(spread, 0.1)
    return np.array([slope]), np.array([-slope * mean - (np.euler_gamma if family == WEIBULL else 0.0)])


def _fit_catalogue(
    family: int, rows: GapRows, start: tuple[Doubles, Doubles]
) -> tuple[tuple[Doubles, Doubles], GroupPrior]:
    """Return slope and offset of all gaps, and a prior around them that is worth one gap: no category is without."""
    everything = rows._replace(group=np.zeros(len(rows.group), np.int64), n_groups=1)
    events = float(rows.weight @ rows.observed)
    moments = _start_at_moments(family, rows)
    weak = GroupPrior(*moments, 1.0, measure_information(family, everything, *moments)[:, 0] / events)
    whole = fit_gap_groups(family, everything, start, weak, iterations=4)
    information = measure_information(family, everything, *whole)[:, 0] / events
    slope, offset = (np.repeat(one, rows.n_groups) for one in whole)
    return whole, GroupPrior(slope, offset, 1.0, information)


def _fit_items(family: int, gaps: Gaps, category: Ints, parent: LogGapFit) -> LogGapFit:
    """Return the gaps of each item, with shares and offsets of its own."""
    stage, n_items = np.minimum(gaps.count, N_STAGES) - 1, gaps.n_items
    cell, of_category = gaps.item.astype(np.int64) * N_STAGES + stage, category[gaps.item]
    rows = GapRows(np.log(gaps.days), gaps.observed, gaps.item, np.ones(len(gaps)), n_items)
    trials = sum_groups(cell, np.ones(len(gaps)), n_items * N_STAGES)
    slope, offset, share = parent.slope[category], parent.offset[category], parent.share[category]
    prior = share.ravel()
    weight = _weigh_buyers(family, rows, slope[gaps.item], offset[gaps.item], parent.share[of_category, stage])
    for _ in range(2):
        share = _shrink_stages(sum_groups(cell, weight, n_items * N_STAGES), trials, prior)
        offset, _ = fit_gap_locations(family, rows._replace(weight=weight), slope, parent.offset[category])
        weight = _weigh_buyers(family, rows, slope[gaps.item], offset[gaps.item], share[gaps.item, stage])
    return LogGapFit(slope, offset, share)


def _weigh_buyers(family: int, rows: GapRows, slope: Doubles, offset: Doubles, share: Doubles) -> Doubles:
    """Return how probably each gap is of somebody who buys again: 1 where it was observed."""
    open_ = ~rows.observed
    left = share[open_] * np.exp(compute_log_survival(family, slope[open_] * rows.log_days[open_] + offset[open_]))
    weight = np.ones(len(share))
    weight[open_] = left / np.maximum(1.0 - share[open_] + left, 1e-300)
    return weight


def _shrink_stages(successes: Doubles, trials: Doubles, prior: Doubles | None) -> Doubles:
    """Return the shares of groups and stages, (G, 3), each stage shrunk to its prior, or to all groups' rate."""
    x, n = successes.reshape(-1, N_STAGES), trials.reshape(-1, N_STAGES)
    made = np.empty(x.shape)
    for stage in range(N_STAGES):
        rate, kappa = fit_beta_binomial(x[:, stage], n[:, stage])
        parent = rate if prior is None else prior.reshape(-1, N_STAGES)[:, stage]
        made[:, stage] = shrink_rates(x[:, stage], n[:, stage], parent, kappa)
    return np.clip(made, 1e-6, 1.0)


def shrink_means(sums: Doubles, squares: Doubles, counts: Doubles, parent: Doubles) -> Doubles:
    """Return means of groups, (G,), shrunk to their parents' with kappa by moments.

    `sums` and `squares` are of the groups' values, `counts` how many each has.
    """
    within = (squares - sums * sums / np.maximum(counts, 1.0)).sum() / max((counts - (counts > 0)).sum(), 1.0)
    if not within > 0:
        return parent.copy()
    kappa = estimate_kappa((sums - counts * parent) / within, counts / within, 1.0 / within)
    return np.asarray((sums + kappa * parent) / (counts + kappa))
