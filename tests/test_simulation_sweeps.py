"""`recsys sweep` of a simulation: policies chosen on some seeds, and judged on others."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run_cli

from recsys.simulation import RandomItems, RingBeliefs, simulate
from recsys.sweeps import sweep_simulation

RING = """rounds = 3
seeds = 2
base = "few"
measures = ["welfare", "consumed_width", "catalog_coverage"]
[world]
kind = "ring_beliefs"
users = 10
items = 20
[policies.few]
kind = "random"
k = 2
[policies.none]
kind = "none"
"""
SEARCH = """simulation = "ring.toml"
[sweep]
maximize = ["consumed_width@last"]
constraints = ["welfare >= -1000"]
accuracy = "catalog_coverage"
accuracy_budget = "90%"
trials = 4
test_seeds = 3
sampler = "random"
[policies.more]
k = { int = [1, 8] }
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches")
    (folder / "ring.toml").write_text(RING, encoding="utf-8")
    (folder / "search.toml").write_text(SEARCH, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        patch.chdir(folder)
        return folder, sweep_simulation("search.toml", quiet=True)


def measure(k, seeds):
    """Return the mean over rounds and seeds of coverage, and of width in the last round, by the loop alone."""
    world = RingBeliefs(users=10, items=20)
    runs = [simulate(world, RandomItems(k), rounds=3, seed=seed) for seed in seeds]
    widths = [one.get_values("consumed_width")[-1] for one in runs]
    return np.mean([one.get_values("catalog_coverage") for one in runs]), np.mean(widths)


def test_trials_are_read_on_the_seeds_of_the_file_and_points_of_the_front_on_others(home, template):
    found = template[1]
    for row in found.trials.to_dict("records"):
        expected = measure(row["policies.more.k"], (0, 1))
        assert (row["catalog_coverage"], row["consumed_width@last"]) == pytest.approx(expected)
        assert row["base catalog_coverage"] == pytest.approx(measure(2, (0, 1))[0])
    tested = found.front.dropna(subset="test catalog_coverage")
    assert len(tested)
    for row in tested.to_dict("records"):
        expected = measure(row["policies.more.k"], (2, 3, 4))
        assert (row["test catalog_coverage"], row["test consumed_width@last"]) == pytest.approx(expected)
    gain = found.chosen.set_index("metric").loc["catalog_coverage", "relative"]
    best = found.trials.sort_values("consumed_width@last").iloc[-1]["policies.more.k"]
    assert gain == pytest.approx(measure(best, (2, 3, 4))[0] / measure(2, (2, 3, 4))[0] - 1)


def test_a_search_that_goes_on_is_one_that_was_not_stopped_and_its_winner_runs(home, template):
    assert run_cli("sweep", "search.toml", "--trials", 2, "--out", "new", "--quiet") == 0
    assert run_cli("sweep", "search.toml", "--out", "new", "--quiet", "--jobs", 2) == 0
    folder = next((home / "new").iterdir())
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "trials.parquet").drop(columns="seconds"),
        template[1].trials.reset_index(drop=True).drop(columns="seconds"),
    )
    assert len(pd.read_csv(folder / "judgements.csv")) == 2
    assert {"judged", "report.html", "failed.csv", "importance.csv"} <= {one.name for one in folder.iterdir()}
    assert run_cli("simulate", folder / "winner.toml", "--quiet") == 0
    assert json.loads((folder / "judged" / "environment.json").read_text(encoding="utf-8"))["seed"] == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ('sweep.maximize=["welfar"]', "[sweep]: unknown measure 'welfar': did you mean 'welfare'?"),
        ('sweep.constraints=["welfare > 1"]', "such as 'welfare >= 98 % of base'"),
        ("world.users={ int = [3, 9] }", "world.users has a range, which would change what is measured"),
        ("policies.more.k=3", "[policies.more] has no range"),
        ("policies.few.k={ int = [3, 9] }", "[policies.few] is the base, which is not searched"),
        ("policies.more.kk={ int = [3, 9] }", "[policies.more]: unknown key 'kk': did you mean 'k'?"),
        ("base=fwe", "base: unknown policy 'fwe': did you mean 'few'?"),
        ("sweep.minimize=['catalog_coverage']", "[sweep] accuracy catalog_coverage is minimized"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_one_line(home, capsys, change, line):
    assert run_cli("sweep", "search.toml", "--set", change, "--quiet") == 2
    said = capsys.readouterr().err
    assert said.startswith("recsys: ") and said.count("\n") == 1
    assert line in said
