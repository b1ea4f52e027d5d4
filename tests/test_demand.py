"""Demand by region and week against sums over pairs; small regions, what one person changes, and noise."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys import evidence
from recsys.evidence import demand
from recsys.evidence.demand import OTHER, DemandSettings
from recsys.types import RecsysError

WORLDS = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "repurchase_worlds.py"))
NAMES = np.array(["north", "south", "tiny", "small"])
FREE = DemandSettings(max_purchases=1000.0, weeks=2, min_users=5)


@pytest.fixture(scope="module")
def world():
    return WORLDS["make_world"]((WORLDS["make_weibull"](1.3, 30, 0.8),), 1500, 60, 40, 300, seed=2)


@pytest.fixture(scope="module")
def model(world):
    return evidence.fit_repurchases(world.purchases, min_gap=0.01)


@pytest.fixture(scope="module")
def regions():
    return np.array([-1, *[0] * 30, *[1] * 22, *[2] * 3, *[3] * 4])


def forecast(model, world, regions, settings=FREE, **more):
    return evidence.forecast_demand(model, world.purchases, model.until, regions, NAMES, settings, **more)


def test_cells_are_sums_over_pairs(model, world, regions):
    found = forecast(model, world, regions)
    until = [
        evidence.predict_repurchase_counts(model, world.purchases, model.until, days).toarray() for days in (7, 14)
    ]
    for row, chosen in enumerate([regions == 0, regions == 1, regions >= 2]):
        slow = [until[0][chosen].sum(), until[1][chosen].sum() - until[0][chosen].sum()]
        assert found.expected[row] == pytest.approx(slow, abs=0.01 * chosen.sum() + 1e-3)
    assert found.regions.tolist() == ["north", "south", OTHER] and found.n_users.tolist() == [30, 22, 7]
    assert (found.n_merged, found.n_suppressed, found.n_clipped) == (2, 0, 0)
    assert np.diff(found.starts).tolist() == [7 * 86_400]


def test_regions_that_are_too_small_even_together_are_in_no_cell(model, world, regions):
    found = forecast(model, world, regions, replace(FREE, min_users=8))
    assert found.regions.tolist() == ["north", "south"] and (found.n_merged, found.n_suppressed) == (2, 7)
    with pytest.raises(RecsysError, match="no region has 61 people who bought before, the largest 30, expected larger"):
        forecast(model, world, regions, replace(FREE, min_users=61))


def test_one_person_changes_no_more_than_the_sensitivity(model, world, regions):
    settings = DemandSettings(max_purchases=0.8, weeks=3, min_users=5)
    whole = forecast(model, world, regions, settings)
    assert whole.n_clipped > 0 and settings.sensitivity == pytest.approx(2.4)
    changes = []
    for user in range(1, 31, 6):
        without = evidence.forecast_demand(
            model, world.purchases.take_rows(world.purchases.user != user), model.until, regions, NAMES, settings
        )
        changes.append(np.abs(whole.expected - without.expected).sum())
    assert max(changes) <= settings.sensitivity + 1e-9
    assert max(changes) > 0.5 * settings.sensitivity


def test_noise_has_the_scale_of_its_budget(model, world, regions):
    settings = replace(FREE, max_purchases=1.0, epsilon=0.5)
    exact = forecast(model, world, regions, replace(settings, epsilon=None)).expected
    drawn = np.stack([forecast(model, world, regions, settings, seed=seed).expected for seed in range(12)])
    assert (drawn >= 0).all() and not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(forecast(model, world, regions, settings, seed=0).expected, drawn[0])
    assert np.abs(drawn - exact).mean() == pytest.approx(settings.sensitivity / 0.5, rel=0.5)
    noise = demand._draw_discrete_laplace(0.3, (200_000,), 1)
    values, n = np.unique(noise, return_counts=True)
    chance = (1 - np.exp(-0.3)) / (1 + np.exp(-0.3)) * np.exp(-0.3 * np.abs(values))
    usual = chance > 0.005
    assert n[usual] / len(noise) == pytest.approx(chance[usual], rel=0.06)


@pytest.mark.parametrize(
    "change, line",
    [
        ({"weeks": 0}, "demand: weeks is 0, expected a whole number from 1 to 104"),
        ({"min_users": 1}, "demand: min_users is 1, expected a whole number from 2 on"),
        ({"max_purchases": 0}, "demand: max_purchases is 0, expected a number from 0.01"),
        ({"epsilon": 0.0}, "demand: epsilon is 0.0, expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change, line):
    with pytest.raises(RecsysError, match=re.escape(line)):
        DemandSettings(**change)


def test_codes_that_are_no_region_are_refused(model, world, regions):
    with pytest.raises(RecsysError, match="demand: regions holds -1 to 4, expected whole numbers from -1 to 3"):
        forecast(model, world, np.where(regions == 3, 4, regions))
