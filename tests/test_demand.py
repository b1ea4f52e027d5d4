"""Demand by region and week against sums over pairs; small regions, what one person changes, and noise."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from recsys import evidence, experiments
from recsys.cli import cli
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
    noise = demand.draw_discrete_laplace(0.3, (200_000,), 1)
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


def write_shop(folder):
    rng = np.random.default_rng(9)
    rows = [
        (f"u{user}", f"i{item}", float(day), ["Leeds", "York", "Ely"][0 if user < 14 else 1 if user < 26 else 2])
        for user in range(30)
        for item in range(5)
        for day in np.cumsum(rng.gamma(4.0, 8.0, 9))
        if day < 200
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime", "town"])
    frame["datetime"] = (frame["datetime"] * 86_400).astype(int)
    frame.to_csv(folder / "shop.csv", index=False)
    (folder / "shop.toml").write_text('[data]\npath = "shop.csv"\n')
    return frame


def test_a_command_writes_the_table_of_the_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = write_shop(tmp_path)
    asked = ["shop.toml", "--regions", "shop.csv", "--column", "region=town", "--weeks", "2", "--quiet"]
    done = CliRunner().invoke(cli, ["demand", *asked, "--out", "demand.csv"])
    assert done.exit_code == 0, done.output
    table = pd.read_csv("demand.csv")
    assert table["region"].unique().tolist() == ["Leeds", "York"] and table["users"].unique().tolist() == [14, 12]
    assert "1 regions of fewer than 10 people are put together; 4 people are in no cell" in done.output
    assert "no noise: cells are exact sums" in done.output
    towns = frame.groupby("user_id")["town"].first().to_dict()
    found = experiments.demand("shop.toml", towns, settings=DemandSettings(weeks=2), quiet=True)
    assert table["expected_purchases"].to_numpy() == pytest.approx(found.expected.ravel())
    assert 14 * 5 * 7 / 32 * 0.3 < found.expected[0, 0] < 14 * 5 * 7 / 32 * 1.7, "a gap is 32 days on average"
    noisy = CliRunner().invoke(cli, ["demand", *asked, "--epsilon", "1"])
    assert "epsilon 1 for the table, one person changes it by at most 10 purchases, scale 10 a cell" in noisy.output


@pytest.mark.parametrize(
    "asked, line",
    [
        (["--column", "region=city"], "city"),
        (["--column", "user_id=item_id", "--column", "region=town"], "none of 30 users has a region"),
        (["--column", "region=town", "--now", "1970-01-01T00:00:01"], "no purchase is left"),
        (["--column", "region=town", "--min-users", "40"], "no region has 40 people who bought before, the largest 14"),
    ],
)
def test_commands_that_cannot_be_done_say_so_in_one_line(tmp_path, monkeypatch, asked, line):
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    with pytest.raises(RecsysError, match=re.escape(line)):
        CliRunner().invoke(
            cli, ["demand", "shop.toml", "--regions", "shop.csv", "--quiet", *asked], catch_exceptions=False
        )
