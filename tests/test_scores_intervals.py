"""Intervals against slow loops, and against how often they hold the truth in a simulated world."""

import numpy as np
import pytest

from recsys.maths.popularity import gini
from recsys.scores.intervals import (
    bootstrap_means,
    compute_on_subsamples,
    corrected_jackknife_interval,
    percentile_interval,
    sum_sign_flips,
)
from recsys.support.rng import draw_uniforms

ITEMS, K = 300, 6


def coverage(shown):
    return (shown > 0).mean(axis=-1)


def popular_slates(rng, users=256):
    """Items drawn without replacement, in proportion to 1 / rank."""
    logit = -np.log(np.arange(1.0, ITEMS + 1)) + rng.gumbel(size=(users, ITEMS))
    return np.argpartition(-logit, K, axis=1)[:, :K].astype(np.int32)


def counts(shown):
    return np.bincount(shown[shown >= 0], minlength=ITEMS).astype(float)


def test_draws_are_weighted_means_with_weights_of_the_user_and_the_draw_alone():
    rng = np.random.default_rng(0)
    table = np.where(rng.random((1, 2500)) < 0.3, np.nan, rng.random((1, 2500)))
    users = rng.permutation(4000)[:2500].astype(np.int32)
    (draws,) = bootstrap_means([table], users, seed=5, n=7)
    for draw in range(7):
        uniform = draw_uniforms(5, "users", draw, users)
        weight = sum(uniform > cut for cut in np.cumsum([np.exp(-1) / f for f in (1, 1, 2, 6, 24, 120, 720)]))
        known = ~np.isnan(table[0])
        assert draws[draw] == pytest.approx((weight * table[0])[known].sum() / weight[known].sum())
    order = rng.permutation(2500)
    assert bootstrap_means([table[:, order]], users[order], 5, 7)[0] == pytest.approx(draws)


def test_tables_do_not_depend_on_each_other():
    rng = np.random.default_rng(0)
    tables = [rng.random((m, 60)) for m in (1, 4, 2)]
    users = np.arange(60, dtype=np.int32)
    together = bootstrap_means(tables, users, 1, 30)
    for table, draws in zip(tables, together, strict=True):
        assert bootstrap_means([table], users, 1, 30)[0] == pytest.approx(draws, rel=1e-12)
    assert bootstrap_means([], users, 1, 30) == []


def test_the_error_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).exponential(size=(1, 800))
    limits = percentile_interval(bootstrap_means([values], np.arange(800, dtype=np.int32), 0, 2000)[0])
    assert limits.error == pytest.approx(values.std(ddof=1) / np.sqrt(800), rel=0.06)
    assert limits.low < values.mean() < limits.high


def test_maps_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    users = np.arange(200, dtype=np.int32)
    alike = np.repeat(rng.random((1, 200)), 20, axis=0)
    unlike = alike + rng.normal(0, 0.1, (20, 1))
    narrow, wide = (percentile_interval(bootstrap_means([table], users, 0, 1000)[0]).error for table in (alike, unlike))
    assert wide == pytest.approx(np.hypot(narrow, unlike.mean(axis=1).std() / np.sqrt(20)), rel=0.12)


def test_draws_of_nobody_are_left_out():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0, 0.0)
    assert np.isnan(percentile_interval(np.array([np.nan, np.nan, 1.0]))).all()


def test_flips_are_sums_under_signs():
    parts = np.random.default_rng(0).random((2, 3))
    found = sum_sign_flips(parts, np.arange(3, dtype=np.int32), 0, 200)
    signed = {tuple(np.round(np.array(s) @ parts.T, 9)) for s in np.ndindex(2, 2, 2) for s in [2 * np.array(s) - 1]}
    assert {tuple(row) for row in np.round(found, 9)} == signed


@pytest.mark.parametrize("users", [20, 256, 700])
def test_for_a_mean_the_correction_changes_nothing(users):
    """The sum of a per-item quantity over slates is a mean over users."""
    rng = np.random.default_rng(users)
    worth = rng.random(ITEMS)
    shown = popular_slates(rng, users)
    per_user = worth[shown].mean(axis=1)
    draws = compute_on_subsamples(
        shown, ITEMS, lambda c: c @ worth / c.sum(axis=-1), np.arange(users, dtype=np.int32), 0
    )
    error = per_user.std(ddof=1) / np.sqrt(users)
    assert corrected_jackknife_interval(per_user.mean(), draws, users).error == pytest.approx(
        error, rel=0.5 if users == 20 else 0.25
    )


def test_few_users_have_no_interval_and_nothing_shown_neither():
    users = np.arange(15, dtype=np.int32)
    draws = compute_on_subsamples(popular_slates(np.random.default_rng(0), 15), ITEMS, coverage, users, 0)
    assert np.isnan(corrected_jackknife_interval(0.5, draws, 15)).all()
    nothing = np.full((20, K), -1, dtype=np.int32)
    assert np.isnan(
        corrected_jackknife_interval(np.nan, compute_on_subsamples(nothing, ITEMS, gini, np.arange(20), 0), 20)
    ).all()


def test_a_statistic_that_does_not_vary_has_a_width_of_zero():
    same = np.tile(np.arange(K, dtype=np.int32), (64, 1))
    draws = compute_on_subsamples(same, ITEMS, coverage, np.arange(64, dtype=np.int32), 0)
    assert corrected_jackknife_interval(K / ITEMS, draws, 64) == (K / ITEMS, K / ITEMS, 0.0)


def resampled(shown, rng, n=200):
    """Counts of users drawn with replacement: the plain bootstrap."""
    return np.array([counts(shown[rng.integers(len(shown), size=len(shown))]) for _ in range(n)])


@pytest.mark.parametrize("statistic", [coverage, gini])
def test_intervals_of_a_catalogue_hold_the_truth_and_plain_percentiles_do_not(statistic):
    """In 160 samples; `benchmarks/intervals.py` has 1,000 of larger worlds, and more of them."""
    rng = np.random.default_rng(3)
    users = np.arange(256, dtype=np.int32)
    found, plain = [], []
    for sample in range(160):
        shown = popular_slates(rng)
        value = float(statistic(counts(shown)))
        found.append(
            (
                value,
                corrected_jackknife_interval(value, compute_on_subsamples(shown, ITEMS, statistic, users, sample), 256),
            )
        )
        if sample < 10:
            plain.append(percentile_interval(statistic(resampled(shown, rng))))
    truth = np.mean([value for value, _ in found])
    held = np.mean([limits.low <= truth <= limits.high for _, limits in found])
    assert 0.91 <= held <= 0.985
    assert not any(limits.low <= truth <= limits.high for limits in plain)
    assert not any(limits.low <= value <= limits.high for (value, _), limits in zip(found, plain, strict=False))
