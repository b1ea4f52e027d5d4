"""Rates and shares from few rows, against their definitions, moments of drawn groups and scipy's Beta."""

import numpy as np
import pytest
from scipy import stats

from recsys.maths.shrinkage import (
    bound_rates,
    fit_beta_binomial,
    fit_dirichlet_multinomial,
    shrink_rates,
    shrink_shares,
)


def _draw_counts(prior, kappa, sizes, seed=0):
    rng = np.random.default_rng(seed)
    rates = rng.beta(kappa * prior, kappa * (1 - prior), len(sizes))
    return rng.binomial(sizes, rates)


@pytest.mark.parametrize(("prior", "kappa"), [(0.1, 5.0), (0.5, 40.0), (0.02, 20.0)])
def test_prior_and_kappa_of_drawn_groups_are_found_again(prior, kappa):
    sizes = np.random.default_rng(1).integers(2, 200, 20_000)
    found = fit_beta_binomial(_draw_counts(prior, kappa, sizes), sizes)
    assert found[0] == pytest.approx(prior, rel=0.05)
    assert found[1] == pytest.approx(kappa, rel=0.1)


def test_prior_and_kappa_of_drawn_shares_are_found_again():
    rng, prior, kappa = np.random.default_rng(2), np.array([0.6, 0.3, 0.1]), 12.0
    counts = np.array([rng.multinomial(n, rng.dirichlet(kappa * prior)) for n in rng.integers(2, 60, 20_000)])
    found = fit_dirichlet_multinomial(counts)
    np.testing.assert_allclose(found[0], prior, atol=0.01)
    assert found[1] == pytest.approx(kappa, rel=0.1)


def test_groups_that_do_not_differ_get_the_largest_kappa_and_groups_of_extremes_the_least():
    sizes = np.full(2000, 50)
    assert fit_beta_binomial(np.random.default_rng(3).binomial(sizes, 0.3), sizes)[1] > 1000
    assert fit_beta_binomial(np.full(10, 15), np.full(10, 50))[1] == 1e4
    assert fit_beta_binomial(np.tile([0, 50], 10), np.full(20, 50)) == (0.5, 1.0)


def test_degenerate_groups_have_a_prior_and_the_largest_kappa():
    assert fit_beta_binomial([], []) == (0.0, 1e4)
    assert fit_beta_binomial([0, 0], [0, 0]) == (0.0, 1e4)
    assert fit_beta_binomial([3], [4]) == (0.75, 1e4)
    assert fit_beta_binomial([0, 0], [4, 9]) == (0.0, 1e4)
    assert fit_beta_binomial([1, 0, 1], [1, 1, 1])[1] == 1e4, "a single trial says nothing of how groups differ"
    assert fit_beta_binomial([3, 0], [4, 0]) == (0.75, 1e4), "a group without trials does not count"


def test_shrunk_rates_are_posterior_means_and_beat_raw_rates():
    sizes = np.random.default_rng(4).integers(1, 10, 5000)
    rng = np.random.default_rng(5)
    rates = rng.beta(2.0, 18.0, len(sizes))
    x = rng.binomial(sizes, rates)
    found = shrink_rates(x, sizes)
    prior, kappa = fit_beta_binomial(x, sizes)
    slow = [(one + kappa * prior) / (n + kappa) for one, n in zip(x, sizes, strict=True)]
    np.testing.assert_allclose(found, slow, rtol=1e-12)
    assert np.square(found - rates).mean() < 0.5 * np.square(x / sizes - rates).mean()
    assert shrink_rates([0.0], [0.0], prior=0.3, kappa=2.0).tolist() == [0.3]
    np.testing.assert_allclose(shrink_rates(x, sizes, prior=prior), found, rtol=1e-12)


def test_bounds_are_quantiles_of_the_beta_posterior():
    x, n = np.array([0, 1, 5, 9]), np.array([0, 1, 7, 90])
    for level in (0.05, 0.95):
        expected = stats.beta.ppf(level, 4 * 0.25 + x, 4 * 0.75 + n - x)
        np.testing.assert_allclose(bound_rates(x, n, 0.25, 4.0, level), expected, rtol=1e-9)
    assert bound_rates([0, 3], [3, 3], [0.0, 1.0], 2.0).tolist() == [0.0, 1.0]
    assert (bound_rates(x, n, 0.25, 4.0) < shrink_rates(x, n, 0.25, 4.0)).all()


def test_shrunk_shares_move_from_the_prior_to_the_counts():
    prior = np.array([0.5, 0.25, 0.25])
    found = shrink_shares(np.array([[0, 0, 0], [3, 0, 0], [300, 0, 0]]), prior, 3.0)
    np.testing.assert_allclose(found[:2], [prior, [0.75, 0.125, 0.125]])
    assert found[2, 0] > 0.99
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert shrink_shares(np.zeros((1, 3)), prior, 0.0).tolist() == [[0.0, 0.0, 0.0]]
