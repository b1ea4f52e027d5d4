"""Gap distributions against SciPy's and against sums, their fits against a general optimiser."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from recsys.maths import renewal_fits, renewals
from recsys.maths.renewals import LOG_NORMAL, POISSON_GAMMA, WEIBULL

DAYS = np.array([0.3, 2.0, 17.0, 60.0, 400.0])
SLOPE, OFFSET = np.full(5, 1.4), np.full(5, -4.5)


def make_scipy(family, slope, offset):
    if family == WEIBULL:
        return stats.weibull_min(slope, scale=np.exp(-offset / slope))
    return stats.lognorm(1 / slope, scale=np.exp(-offset / slope))


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL])
@pytest.mark.parametrize("share", [1.0, 0.35])
def test_gaps_are_those_of_scipy(family, share):
    gap, given = make_scipy(family, 1.4, -4.5), (SLOPE, OFFSET, np.full(5, share))
    left = (1 - share) + share * gap.sf(DAYS)
    assert renewals.cumulate_hazard(family, DAYS, *given) == pytest.approx(-np.log(left), rel=1e-9)
    assert renewals.compute_log_hazard(family, DAYS, *given) == pytest.approx(
        np.log(share * gap.pdf(DAYS) / left), rel=1e-9
    )
    after = renewals.cumulate_hazard(family, DAYS + 7, *given)
    found = renewals.compute_window_probability(renewals.cumulate_hazard(family, DAYS, *given), after)
    assert found == pytest.approx(share * (gap.sf(DAYS) - gap.sf(DAYS + 7)) / left, rel=1e-7)
    assert renewals.compute_quantile(family, np.array([0.1, 0.8]), 1.4, -4.5) == pytest.approx(gap.ppf([0.1, 0.8]))
    assert renewals.cumulate_hazard(family, np.zeros(1), *(one[:1] for one in given)).tolist() == [0.0]


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL])
@pytest.mark.parametrize("of", ["survival", "density"])
def test_derivatives_are_those_of_small_steps(family, of):
    z, step = np.linspace(-6, 3.0, 31), 1e-4
    value, slopes = getattr(renewals, f"compute_log_{of}"), getattr(renewals, f"differentiate_log_{of}")
    first, second = slopes(family, z)
    assert first == pytest.approx((value(family, z + step) - value(family, z - step)) / (2 * step), rel=1e-5, abs=1e-6)
    steps = (slopes(family, z + step)[0] - slopes(family, z - step)[0]) / (2 * step)
    assert second == pytest.approx(steps, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("count, span", [(0.0, 0.0), (3.0, 50.0)])
def test_the_modified_rate_is_low_after_a_purchase_and_largest_at_the_mean_gap(count, span):
    given = count, span, 0.8, 30.0, 20.0
    days = np.linspace(0.0, 90.0, 1801)
    rate = np.exp(renewals.compute_log_poisson_gamma(days, *given))
    assert days[rate.argmax()] == pytest.approx(20.0) and rate[0] == pytest.approx((count + 0.8) / (span + 30 + 40))
    assert rate[np.isclose(days, 60.0)] == pytest.approx((count + 0.8) / (span + 60 + 30))
    for end in (7.0, 20.0, 33.0, 40.0, 88.0):
        slow, _ = integrate.quad(
            lambda t: float(np.exp(renewals.compute_log_poisson_gamma(np.array(t), *given))), 0, end, points=[20, 40]
        )
        assert renewals.cumulate_poisson_gamma(np.array(end), *given) == pytest.approx(slow, rel=1e-7)


@pytest.mark.parametrize("alpha, piece", [(9.0, 0), (1.0, 1), (0.2, 2)])
def test_half_buy_again_until_the_median_of_the_modified_rate(alpha, piece):
    median = renewals.compute_poisson_gamma_quantile(*(np.array(one) for one in (0.5, alpha, 30.0, 20.0)))
    assert piece == np.searchsorted([20.0, 40.0], median)
    hazard = renewals.cumulate_poisson_gamma(median, 0.0, 0.0, alpha, 30.0, 20.0)
    assert np.exp(-hazard) == pytest.approx(0.5)


def draw_gaps(family, group, rng):
    """Return censored gaps of groups whose scales differ."""
    gaps = make_scipy(family, 1.4, -4.5 - 0.8 * group).rvs(len(group), random_state=rng)
    ends = rng.uniform(5, 120, len(group))
    return renewal_fits.GapRows(
        np.log(np.minimum(gaps, ends)), gaps <= ends, group, rng.choice([1.0, 2.0], len(group)), 3
    )


def lose_slowly(parameters, family, rows, chosen):
    """Return the negative log likelihood of a group's gaps by SciPy's densities."""
    gap, days = make_scipy(family, np.exp(parameters[0]), parameters[1]), np.exp(rows.log_days[chosen])
    seen = rows.observed[chosen]
    return -(rows.weight[chosen] * np.where(seen, gap.logpdf(days), gap.logsf(days))).sum()


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL])
def test_fits_are_of_the_largest_likelihood(family):
    rng = np.random.default_rng(family)
    rows = draw_gaps(family, np.repeat([0, 1], 250), rng)
    prior = renewal_fits.GroupPrior(np.ones(3), np.zeros(3), 0.0, np.zeros(3))
    slope, offset = renewal_fits.fit_gap_groups(family, rows, (np.ones(3), np.full(3, -3.0)), prior)
    for group in (0, 1):
        slow = optimize.minimize(lose_slowly, [0.0, -3.0], (family, rows, rows.group == group), options={"gtol": 1e-7})
        assert (np.log(slope[group]), offset[group]) == pytest.approx(slow.x, abs=1e-4)
    assert (slope[2], offset[2]) == (1.0, -3.0), "a group without gaps stays where it starts"


def test_a_heavy_prior_keeps_groups_at_their_parent():
    rows = draw_gaps(WEIBULL, np.repeat([0, 1], 100), np.random.default_rng(3))
    found = [
        renewal_fits.fit_gap_groups(
            WEIBULL, rows, (np.ones(3), np.full(3, -4.0)),
            renewal_fits.GroupPrior(np.full(3, 1.2), np.full(3, -4.0), kappa, np.array([12.0, 3.0, 1.0])),
        )
        for kappa in (0.0, 50.0, 1e7)
    ]  # fmt: skip
    far = [np.abs(slope - 1.2) + np.abs(offset + 4.0) for slope, offset in found]
    assert (far[2] < 1e-3).all() and (far[1][:2] < far[0][:2]).all()


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL])
def test_groups_are_shrunk_as_far_as_they_are_uncertain(family):
    """Sixty groups of 15 gaps and two of 4,000: small ones come nearer to the truth, large ones stay."""
    rng = np.random.default_rng(12)
    sizes = np.array([*[15] * 60, 4000, 4000, 0])
    slope = np.exp(0.2 + 0.15 * rng.standard_normal(62))
    place = 3.0 + 0.3 * rng.standard_normal(62)
    group = np.repeat(np.arange(63), sizes)
    drawn = -rng.gumbel(size=len(group)) if family == WEIBULL else rng.standard_normal(len(group))
    rows = renewal_fits.GapRows(
        place[group] + drawn / slope[group], np.ones(len(group), bool), group, np.ones(len(group)), 63
    )
    weak = renewal_fits.GroupPrior(np.ones(63), np.full(63, -3.0), 1.0, np.array([9.0, 3.0, 1.0]))
    free = renewal_fits.fit_gap_groups(family, rows, (np.ones(63), np.full(63, -3.0)), weak)
    made = renewal_fits.shrink_gap_groups(family, rows, *free)
    for found, was, true in ((made[0], free[0], slope), (-made[1] / made[0], -free[1] / free[0], place)):
        assert np.abs(found[:60] - true[:60]).mean() < 0.95 * np.abs(was[:60] - true[:60]).mean()
        assert found[60:62] == pytest.approx(was[60:62], rel=0.01)
        assert abs(found[62] - found[:62].mean()) < 0.1, "a group without gaps has what all have in common"


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL])
def test_offsets_of_small_groups_are_shrunk_and_kappa_knows_by_how_much(family):
    """Groups of 12 gaps whose offsets have deviation 0.5: the truth is nearer to the shrunk ones."""
    rng = np.random.default_rng(8)
    true = -4.5 + 0.5 * rng.standard_normal(300)
    group = np.repeat(np.arange(300), 12)
    gaps = np.exp((rng.gumbel(size=3600) * -1 if family == WEIBULL else rng.standard_normal(3600)) - true[group]) ** (
        1 / 1.4
    )
    rows = renewal_fits.GapRows(np.log(gaps), np.ones(3600, bool), group, np.ones(3600), 300)
    offset, kappa = renewal_fits.fit_gap_locations(family, rows, np.full(300, 1.4), np.full(300, -4.5))
    free = renewal_fits.fit_gap_groups(
        family, rows, (np.full(300, 1.4), true), renewal_fits.GroupPrior(true, true, 0.0, np.zeros(3))
    )
    assert kappa == pytest.approx(4.0, rel=0.35), "information 1 a gap, variance 0.25"
    alone = (free[1] - true).std() * 1.4 / free[0].mean()
    assert np.abs(offset - true).mean() < np.abs(free[1] - true).mean() and alone > 0
    same = rows._replace(log_days=np.log(gaps) + true[group] / 1.4 + 4.5 / 1.4)
    assert renewal_fits.fit_gap_locations(family, same, np.full(300, 1.4), np.full(300, -4.5))[1] > 40


def test_rates_of_pairs_are_found_by_moments():
    rng = np.random.default_rng(5)
    days = rng.uniform(200, 700, 40_000)
    group = np.repeat([0, 1], 20_000)
    counts = rng.poisson(rng.gamma(np.array([0.7, 4.0])[group], 1 / np.array([40.0, 200.0])[group]) * days)
    alpha, beta = renewal_fits.fit_poisson_gamma_rates(counts.astype(float), days, group, 3)
    assert alpha[:2] == pytest.approx([0.7, 4.0], rel=0.08) and beta[:2] == pytest.approx([40, 200], rel=0.08)
    assert np.isnan(alpha[2]) and np.isnan(beta[2])
    assert renewals.FAMILIES[POISSON_GAMMA] == "poisson_gamma"
