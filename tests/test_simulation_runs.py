"""`recsys simulate`: files, folders, going on, and what is wrong in one line."""

import json
import multiprocessing
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from synthetic import make_taste_world, write_tables

import recsys as rs
from recsys.cli import main
from recsys.cli.simulate import make_simulation_table
from recsys.simulation import RandomItems, Trajectory, runs, simulate
from recsys.simulation.plans import read_simulation
from recsys.simulation.tables import build_difference_table, build_trajectory_table, find_interval
from recsys.simulation.worlds.accepted_ratings import build_rating_world

RING = """rounds = 4
seeds = 2
measures = ["welfare", "homogeneity"]
[world]
kind = "ring_beliefs"
users = 10
items = 20
[policies.none]
kind = "none"
[policies.told]
kind = "none"
told = "common_values"
"""
OWN = """import numpy as np
from recsys.simulation import Offer
class FirstItems:
    def __init__(self, k: int = 2):
        self.k = k
    def start(self, population, seed):
        return self
    def recommend(self, log, number):
        return Offer(np.argsort(log.met, axis=1, kind="stable")[:, :self.k].astype(np.int32))
"""


def run_cli(*arguments):
    try:
        main([str(one) for one in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulations")
    write_tables(folder)
    (folder / "ring.toml").write_text(RING, encoding="utf-8")
    (folder / "own_policies.py").write_text(OWN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        patch.chdir(folder)
        assert run_cli("simulate", "ring.toml", "--quiet") == 0
    return folder, None


def read_folder(home):
    folder = next((home / "runs").glob("ring-*"))
    return folder, pd.read_csv(folder / "trajectories.csv"), pd.read_csv(folder / "differences.csv")


def test_a_folder_has_tables_charts_and_a_report(home):
    folder, trajectories, differences = read_folder(home)
    assert {"config.toml", "environment.json", "report.html", "charts"} <= {one.name for one in folder.iterdir()}
    assert set(trajectories["policy"]) == {"none", "told"}
    assert trajectories.groupby(["policy", "measure", "group"]).size().eq(4).all()
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in (
        "What differs from the base",
        "Round by round",
        "One person",
        "<h1>ring</h1>",
        "World ring_beliefs: 10 users, 20 items.",
        "<p>The utility of what each user consumed in the round, 0 for nothing.</p>",
    ):
        assert text in page
    base = differences[differences["policy"] == "none"]
    assert base["difference"].eq(0).all()
    assert {one.stem for one in (folder / "charts").iterdir()} >= {"trajectory-welfare", "person"}


def test_tables_are_means_and_intervals_within_seeds(home):
    done = runs.run_simulation("ring.toml", quiet=True)
    found = {name: np.stack([one.get_values("welfare") for one in of]) for name, of in repeat_runs(done).items()}
    mean, low, high = find_interval(found["told"].mean(axis=1) - found["none"].mean(axis=1))
    row = done.differences.query("policy == 'told' and measure == 'welfare' and group == 'all'").iloc[0]
    assert row[["difference", "diff_low", "diff_high"]].tolist() == pytest.approx([float(mean), low, high])
    first = done.trajectories.query("policy == 'told' and measure == 'welfare' and group == 'all' and round == 1").iloc[
        0
    ]
    assert first["mean"] == pytest.approx(found["told"][:, 0].mean())


def test_differences_are_over_the_rounds_in_which_both_say_something():
    late, whole = (
        Trajectory(np.array(["width"]), np.array(["all"]), np.reshape(values, (3, 1, 1)), np.empty(0), np.empty(0))
        for values in ([np.nan, 3.0, 4.0], [1.0, 2.0, 3.0])
    )
    table = build_difference_table({"late": [late], "whole": [whole]}, "whole").set_index("policy")
    assert table.loc["late", ["mean", "difference"]].tolist() == [3.5, 1.0]


def test_a_seed_of_which_a_measure_says_nothing_takes_no_row_away():
    """Means and intervals are over the others, and how many they are stands beside them."""

    def make(values):
        return [
            Trajectory(np.array(["width"]), np.array(["all"]), np.reshape(one, (2, 1, 1)), np.empty(0), np.empty(0))
            for one in values
        ]

    nan = np.nan
    some, base = (
        make([[1.0, 2.0], [3.0, nan], [nan, nan], [6.0, 8.0]]),
        make([[0.0, 1.0], [nan, nan], [1.0, 1.0], [2.0, 3.0]]),
    )
    rounds = build_trajectory_table({"some": some, "base": base}).set_index(["policy", "round"])
    assert rounds.loc["some", "seeds"].tolist() == [3, 2]
    assert rounds.loc[("some", 1), "mean"] == pytest.approx(10 / 3)
    half = 12.7062047364 * np.std([2.0, 8.0], ddof=1) / np.sqrt(2)  # Student's quantile of one degree of freedom
    assert rounds.loc[("some", 2), ["ci_low", "ci_high"]].tolist() == pytest.approx([5 - half, 5 + half])
    row = build_difference_table({"some": some, "base": base}, "base").set_index("policy").loc["some"]
    assert row[["seeds", "diff_seeds"]].tolist() == [3, 2]
    assert row["mean"] == pytest.approx((1.5 + 3 + 7) / 3)
    half = 12.7062047364 * np.std([1.0, 4.5], ddof=1) / np.sqrt(2)
    assert row[["difference", "diff_low", "diff_high"]].tolist() == pytest.approx([2.75, 2.75 - half, 2.75 + half])
    table = build_difference_table({"some": some, "base": base}, "base")
    cell = next(iter(make_simulation_table(table, ["some"], "base", 2, 4).columns[1].cells))
    assert cell.startswith("3.833 (3 seeds)\n+2.750 (2 seeds)\n[")
    alone = build_trajectory_table({"some": make([[1.0, nan], [nan, nan]])})
    assert alone[["round", "mean", "seeds"]].values.tolist() == [[1, 1.0, 1]]
    assert alone["ci_low"].isna().all()


def test_one_seed_has_differences_without_intervals():
    row = {"policy": "told", "measure": "welfare", "group": "all", "mean": 2.0, "difference": 0.5}
    table = pd.DataFrame([row | {"diff_low": np.nan, "diff_high": np.nan, "seeds": 1, "diff_seeds": 1}])
    made = make_simulation_table(table, ["told"], "none", 3, 1)
    assert (made.title, [*made.columns[1].cells]) == (
        "means over 3 rounds and 1 seed; below, minus none",
        ["2.000\n+0.500"],
    )


def repeat_runs(done):
    return {
        name: [
            runs.simulate(done.plan.world, policy, rounds=4, measures=["welfare"], seed=seed)
            for seed in done.plan.seeds
        ]
        for name, policy in done.plan.policies.items()
    }


def test_what_was_finished_is_not_simulated_again(home, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("simulated again")

    first = read_folder(home)[1]
    monkeypatch.setattr(runs, "simulate", refuse)
    assert run_cli("simulate", "ring.toml", "--quiet", "--out", "again") == 0
    again = pd.read_csv(next((home / "again").glob("ring-*")) / "trajectories.csv")
    pd.testing.assert_frame_equal(first, again)
    with pytest.raises(AssertionError, match="simulated again"):
        runs.run_simulation("ring.toml", overrides=[parse("rounds=5")], quiet=True)


def parse(text):
    from recsys.support.config_layers import parse_override

    return parse_override(text)


def test_a_killed_run_goes_on_with_what_is_missing(home, monkeypatch):
    real, seeds = runs.simulate, []

    def stop_at_the_second_seed(world, policy, **settings):
        if settings["seed"] == 8:
            raise KeyboardInterrupt
        seeds.append(settings["seed"])
        return real(world, policy, **settings)

    monkeypatch.setattr(runs, "simulate", stop_at_the_second_seed)
    assert run_cli("simulate", "ring.toml", "--set", "seed=7", "--out", "new", "--quiet") == 130
    assert not list(home.glob("new/ring-*"))
    monkeypatch.setattr(runs, "simulate", lambda *a, **s: (seeds.append(s["seed"]), real(*a, **s))[1])
    assert run_cli("simulate", "ring.toml", "--set", "seed=7", "--out", "new", "--quiet") == 0
    assert seeds == [7, 7, 8, 8]
    assert len(list(home.glob("new/ring-*"))) == 1


def test_jobs_share_the_cells_and_change_nothing(home, monkeypatch):
    """The command itself simulates the policies of one seed at most: the other comes from a fork of it."""
    given = [parse("seed=3")]
    alone = runs.run_simulation("ring.toml", overrides=given, quiet=True)
    monkeypatch.setenv("RECSYS_CACHE", str(home / "others"))
    here, real, waits = [], runs.simulate, multiprocessing.get_context("fork").Event()

    def simulate_in_turn(*given, **settings):
        here.append(settings["seed"])
        if multiprocessing.parent_process() is None:
            assert waits.wait(600)  # until the fork is done with a cell
        made = real(*given, **settings)
        waits.set()
        return made

    monkeypatch.setattr(runs, "simulate", simulate_in_turn)
    shared = runs.run_simulation("ring.toml", overrides=given, quiet=True, jobs=2)
    assert 1 <= len(here) < 4
    pd.testing.assert_frame_equal(alone.trajectories, shared.trajectories)


def test_folders_of_simulations_are_listed_and_shown(home, capsys):
    folder, _, differences = read_folder(home)
    mean = differences.query("policy == 'told' and measure == 'welfare'")["mean"].iloc[0]
    assert run_cli("runs", "list") == 0
    listed = capsys.readouterr().out
    assert folder.name in listed and f"told {mean:.3f}" in listed
    assert run_cli("runs", "show", folder) == 0
    shown = capsys.readouterr().out
    assert "  policies.told.told = common_values\n" in shown and f"{mean:.3f}" in shown
    assert run_cli("runs", "rm", folder, "--yes") == 2
    assert "is a simulation" in capsys.readouterr().err and folder.exists()


def test_a_report_says_what_it_has_no_number_of(home):
    """Under the base nothing is shown; of one measure there is nothing in this world; maps say how wide they are."""
    names = "['slate_utility', 'consumed_width', 'escape_potential']"
    done = runs.run_simulation(
        "ring.toml",
        overrides=[parse(f"measures={names}"), parse("policies.random={ kind = 'random', k = 3 }")],
        quiet=True,
    )
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "nothing to measure under none, told." in page
    assert "Nothing to measure in this world: escape potential." in page
    assert "<h3>slate utility</h3>" in page and "<h3>escape potential</h3>" not in page
    spec = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)[1])
    charts = json.dumps(spec)
    assert ">seeds</th>" not in page  # none is missing where the base has no number at all
    run = runs.simulate(done.plan.world, RandomItems(3), rounds=4, measures=["welfare"], seed=0)
    person = int(re.search(r"\(place (\d+)\) in the middle", page)[1]) - 1
    regions = {int(i) // 10 for i in run.consumed[:, person].ravel()}
    assert f"round 4: {len(regions)} of 2" in charts and "at first: 0 of 2" in charts
    lines = spec["charts"]["trajectory-consumed_width"]["layer"][1]
    assert lines["encoding"]["x"]["scale"]["domain"] == [1, 4] and lines["mark"]["point"]


def test_a_table_of_a_report_tells_seeds_where_they_are_fewer(home, monkeypatch):
    own = (
        "import numpy as np\nclass Odd:\n    def __init__(self, population, log): self.seed = population.own[0, 0]\n"
        "    def observe(self, now): return np.nan if self.seed > 0 else 1.0\n"
    )
    (home / "own_odd.py").write_text(own, encoding="utf-8")
    given = [parse("seeds=6"), parse("measures=['welfare', 'own_odd:Odd']")]
    done = runs.run_simulation("ring.toml", overrides=given, quiet=True)
    seeds = sum(done.plan.world.start(seed).own[0, 0] <= 0 for seed in range(6))
    assert 0 < seeds < 6
    rows = done.differences.query("measure == 'own_odd:Odd' and policy == 'told'")
    assert rows[["mean", "seeds", "diff_seeds"]].to_numpy().tolist() == [[1.0, seeds, seeds]]
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    welfare, odd = page.partition("What differs from the base</h2>")[2].partition("<h3>own_odd:Odd</h3>")[::2]
    assert ">seeds</th>" not in welfare and ">seeds</th>" in odd and f'<td class="n">{seeds}</td>' in odd
    sys.modules.pop("own_odd", None)


def test_a_policy_of_ones_own_stands_beside_the_others(home, monkeypatch):
    own = '[policies.first]\nkind = "own_policies:FirstItems"\nk = 3\n'
    (home / "own.toml").write_text(RING + own, encoding="utf-8")
    assert run_cli("simulate", "own.toml", "--quiet") == 0
    assert "first" in (next((home / "runs").glob("own-*")) / "differences.csv").read_text(encoding="utf-8")
    sys.modules.pop("own_policies", None)


def test_the_chart_of_a_measure_of_ones_own_has_a_name_that_any_disk_takes(home):
    own = "class Found:\n    def __init__(self, population, log): pass\n    def observe(self, now): return 1.0\n"
    (home / "own_measures.py").write_text(own, encoding="utf-8")
    assert run_cli("simulate", "ring.toml", "--set", 'measures=["own_measures:Found"]', "--quiet") == 0
    assert len(charts := [*home.glob("runs/*/charts/*own_measures*")]) == 1
    assert charts[0].name == "trajectory-own_measures-Found.svg"
    sys.modules.pop("own_measures", None)


def test_a_fitted_world_that_is_not_like_its_log_is_refused_by_name(home, capsys):
    (home / "fitted.toml").write_text(
        'rounds = 2\nseeds = 1\n[data]\npath = "ratings.csv"\n[filter]\npositive = "rating >= 4"\n'
        '[world]\nkind = "fitted"\nfactors = 4\nn_regions = 4\nsharpness = 3.9\n[policies.none]\nkind = "none"\n',
        encoding="utf-8",
    )
    assert run_cli("simulate", "fitted.toml", "--quiet") == 2
    assert re.match(
        r"recsys: world fitted is not like its log: .* expected .*, which is refused\n", capsys.readouterr().err
    )
    assert not list(home.glob("runs/fitted-*"))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ('world.kind="ring"', "[world]: unknown world 'ring'"),
        ("world.user=3", "[world]: unknown key 'user': did you mean 'users'?"),
        ("world.correlation=1.5", "ring_beliefs: correlation is 1.5"),
        ("rounds=0", "rounds"),
        ("rounds=21", "rounds is 21, expected at most 20: then the users have consumed every item"),
        ("policies.random={ kind = 'random', k = 21 }", "[policies.random] policy: k is 21, expected a whole number from 1 to 20"),
        ("world={ users = 100_000_000, items = 100_000 }", "world: 100,000,000 users and 100,000 items over 4 rounds need"),
        ("round=3", "unknown key 'round': did you mean 'rounds'?"),
        ('measures=["welfar"]', "unknown measure 'welfar': did you mean 'welfare'?"),
        ('base="tol"', "base: unknown policy 'tol': did you mean 'told'?"),
        ('policies.told.kind="nune"', "[policies.told]: unknown policy 'nune': did you mean 'none'?"),
        ('policies.told.tell="x"', "[policies.told]: unknown key 'tell': did you mean 'told'?"),
        ('policies.x.kind="recommender"\npolicies.x.blend.mr=1', "--set"),
        ('world.kind="fitted"', "[world] fitted has no [data]"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(home, capsys, change, line):
    assert run_cli("simulate", "ring.toml", "--set", change, "--quiet") == 2
    said = capsys.readouterr().err
    assert said.startswith("recsys: ")
    assert said.count("\n") == 1
    assert line in said


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("policies.x.kind='content'", "[policies.x] policy content: the items of this world have no attributes"),
        ("policies.x.kind='drift_oracle'", "[policies.x] policy drift_oracle: this world has no interests"),
        ("policies.x.kind='own_policies:Picky'", "[policies.x] picky: no world is good enough"),
        ("measures=['welfare', 'interest_shift']", "measure interest_shift: this world has no interests"),
        (
            "world={ kind='hidden_types', items=30, flips={ share=0.01, round=1 } }",
            "flips: share is 0.01, expected two of the",
        ),
        ("world={ kind='hidden_types', flips={ rond=1 } }", "[world.flips]: unknown key 'rond': did you mean 'round'?"),
        ("world={ kind='hidden_types', flips={ round=4 } }", "[world.flips] round is 4, counted from 0, expected less"),
        ("world.flips={ round=1 }", "[world]: unknown key 'flips'"),
    ],
)
def test_what_a_world_lacks_is_said_before_anything_runs(home, capsys, monkeypatch, change, line):
    monkeypatch.delattr(runs, "simulate")
    own = (
        "\n\nclass Picky:\n    def start(self, population, seed):\n"
        "        from recsys.types import RecsysError\n        raise RecsysError('picky: no world is good enough')\n"
    )
    (home / "own_policies.py").write_text(OWN + own, encoding="utf-8")
    assert run_cli("simulate", "ring.toml", "--set", change, "--quiet") == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    sys.modules.pop("own_policies", None)


def test_an_error_of_a_round_names_policy_and_seed(home, capsys):
    world = 'world={ kind="partly_known_utilities", items=8, new_items=8, users=4, attributes=2 }'
    assert run_cli("simulate", "ring.toml", "--set", world, "--set", "policies.told.told='nothing'", "--quiet") == 2
    assert "recsys: [policies.none] seed 0: partly_known_utilities: a user sees no item" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ('model = { kind = "alz" }', "[policies.x] model: unknown model 'alz': did you mean 'als'?"),
        ("blend = { mr = 1.0 }", "[policies.x] "),
        ("k = 0", "[policies.x] policy: k is 0"),
        ("epsilon = 1.5", "[policies.x] policy: epsilon is 1.5, expected a number from 0 to 1"),
        ("guards = { at_mst = {} }", "[policies.x] "),
        ('model = { factors = 3 }', "[policies.x] model has no kind"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_recommender_names_its_section(home, capsys, policy, line):
    (home / "bad.toml").write_text(f'{RING}[policies.x]\nkind = "recommender"\n{policy}\n', encoding="utf-8")
    assert run_cli("simulate", "bad.toml", "--quiet") == 2
    assert line in capsys.readouterr().err


FITTED = """rounds = 1
seeds = 1
measures = ["welfare"]
[data]
path = "ratings.csv"
[filter]
positive = "rating >= 4"
[world]
kind = "fitted"
factors = 2
n_regions = 3
sharpness = 1.0
[policies.random]
kind = "random"
"""


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("world.flips.rond=3", "[world.flips]: unknown key 'rond': did you mean 'round'?"),
        ("world.arrivals.users=2", "[world.arrivals] arrivals: users is 2"),
        ("world.groups.nich={ choice = 'cascade' }", "world: unknown group 'nich': did you mean 'niche'?"),
        ("world.flips=3", "[world.flips] is 3, expected a table"),
        (
            "world.flips={ round = 1, share = 0.5 }",
            "[world.flips] round is 1, counted from 0, expected less than 1, the number of",
        ),
        ("policies.random.k=1000", "[policies.random] policy: k is 1000, expected a whole number from 1 to"),
    ],
)
def test_a_mistake_is_said_before_tastes_are_fitted(home, capsys, monkeypatch, change, line):
    monkeypatch.delattr(runs, "_fit_or_load")
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    assert run_cli("simulate", "fitted.toml", "--set", change, "--quiet") == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("factors", "world: factors is 1000, expected a whole number from 1 to"),
        ("n_regions", "world: n_regions is 1000, expected a whole number from 2 to"),
    ],
)
def test_a_number_beyond_the_log_is_refused_before_the_fit(home, capsys, monkeypatch, setting, line):
    monkeypatch.delattr("recsys.simulation.worlds.fitting._score")
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    assert run_cli("simulate", "fitted.toml", "--set", f"world.{setting}=1000", "--quiet") == 2
    assert line in capsys.readouterr().err


RATED = """rounds = 2
seeds = 2
measures = ["welfare", "consumed_width"]
[data]
path = "ratings.csv"
items = "items.csv"
item_columns = { features = "genres" }
[world]
kind = "accepted_ratings"
one_item = true
[policies.random]
kind = "random"
k = 4
"""


def test_a_log_of_ratings_is_a_world_of_a_file(home, capsys):
    groups = "[world.groups]\n" + "".join(f'u{n} = "{"many" if n % 3 else "few"}"\n' for n in range(60))
    (home / "rated.toml").write_text(RATED + groups, encoding="utf-8")
    done = runs.run_simulation("rated.toml", quiet=True)
    dataset = rs.read_dataset(home / "ratings.csv", items=home / "items.csv", item_columns={"features": "genres"})
    world = build_rating_world(dataset, {f"u{n}": "many" if n % 3 else "few" for n in range(60)}, one_item=True)
    slow = [simulate(world, RandomItems(4), rounds=2, measures=["welfare"], seed=seed) for seed in range(2)]
    for group in ("all", "few", "many"):
        mean = np.mean([one.get_values("welfare", group) for one in slow])
        row = done.differences.query(f"group == '{group}' and measure == 'welfare'")
        assert row["mean"].item() == pytest.approx(mean)
    for change, line in (
        ("filter.positive='rating >= 3'", "[filter] positive is 'rating >= 3', expected none: liked_from of [world]"),
        ("world.likd_from=3.0", "[world]: unknown key 'likd_from': did you mean 'liked_from'?"),
        ("world.groups=3", "[world] groups is 3, expected a table"),
        ("world.groups.u1=3", "[world] groups: user u1 is in 3, expected the name of a group"),
        ("world.decay=-1", "accepted_ratings: decay is -1"),
    ):
        assert run_cli("simulate", "rated.toml", "--set", change, "--quiet") == 2
        assert line in capsys.readouterr().err


def test_a_filter_says_which_rows_a_world_of_ratings_knows(home):
    """A row that may not be used changes no mean: the world is that of a table without it."""
    lines = (home / "ratings.csv").read_text(encoding="utf-8").splitlines()
    kept = [f"{lines[0]},source", *(f"{line},a" for line in lines[1:])]
    (home / "few.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    extra = [f"{line.rpartition(',')[0]},{n},b" for n, line in enumerate(lines[1:60])]
    extra = [",".join([*line.split(",")[:2], "1", *line.split(",")[3:]]) for line in extra]
    (home / "more.csv").write_text("\n".join(kept + extra) + "\n", encoding="utf-8")
    few, more = (rs.read_dataset(home / name) for name in ("few.csv", "more.csv"))
    one, other = build_rating_world(few), build_rating_world(more, sources=["a"])
    assert np.array_equal(one.item_means, other.item_means) and np.array_equal(one.user_means, other.user_means)
    assert not np.array_equal(build_rating_world(more).item_means, one.item_means)


def test_a_damaged_folder_hides_no_other(home, capsys):
    good, _, _ = read_folder(home)
    for name, damage in (("differences.csv", "policy,measure\n1,2\n"), ("config.toml", "rounds = ")):
        bad = good.parent / f"bad-{name}"
        shutil.copytree(good, bad)
        (bad / name).write_text(damage, encoding="utf-8")
        assert run_cli("runs", "list") == 2
        told = capsys.readouterr()
        assert good.name in told.out and bad.name not in told.out
        assert bad.name in told.err and told.err.startswith("recsys: ") and told.err.count("\n") == 1
        shutil.rmtree(bad)
    table = (good / "differences.csv").read_text(encoding="utf-8").replace("0.", "x.")
    (good / "differences.csv").write_text(table, encoding="utf-8")
    assert run_cli("runs", "show", good) == 2
    assert "expected the table of a simulation" in capsys.readouterr().err


def test_switches_of_a_file_are_those_of_the_world(home, monkeypatch):
    monkeypatch.setattr(runs, "_fit_or_load", lambda *_: runs.TasteFit(make_taste_world(), 1.0))
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    seen = []
    real = runs.simulate
    monkeypatch.setattr(runs, "simulate", lambda world, *a, **s: (seen.append(world), real(world, *a, **s))[1])
    given = ("rounds=2", "world.flips={ share = 0.5, round = 1 }", "world.arrivals.items=0.25")
    assert run_cli("simulate", "fitted.toml", *(one for text in given for one in ("--set", text)), "--quiet") == 0
    assert (seen[0].flips.share, seen[0].flips.round, seen[0].arrivals.items) == (0.5, 1, 0.25)
    page = next((home / "runs").glob("fitted-*")) / "report.html"
    assert "<td>random</td><td>few</td>" in page.read_text(encoding="utf-8")


def test_users_of_a_file_are_new_people_and_their_checks_are_kept(home, monkeypatch):
    monkeypatch.setattr(runs.TasteFit, "check_world", lambda fit, name: fit.world)
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    plan = runs.read_simulation("fitted.toml", overrides=[parse("world.users=35")])
    made = runs.open_world(plan, None, True)
    assert made.world.shape == (35, runs.open_world(runs.read_simulation("fitted.toml"), None, True).world.shape[1])
    named = [one for one in made.checks if one.name.startswith("new people: ")]
    assert len(named) > len(made.checks) / 2
    monkeypatch.delattr(runs, "compare_people")
    again = runs.open_world(plan, None, True)
    assert again.checks == made.checks
    assert np.array_equal(again.world.like_logits, made.world.like_logits)
    assert runs.run_simulation("fitted.toml", overrides=[parse("world.users=35")], quiet=True).checks == made.checks


def test_rows_that_a_filter_leaves_out_are_another_world(home, monkeypatch):
    """A cell of other rows of the same log is never taken for it."""
    monkeypatch.setattr(runs.TasteFit, "check_world", lambda fit, name: fit.world)
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    whole = runs.run_simulation("fitted.toml", quiet=True)
    fewer = runs.run_simulation("fitted.toml", overrides=[parse("filter.min_user_interactions=8")], quiet=True)
    assert whole.folder != fewer.folder
    assert whole.trajectories["mean"].tolist() != fewer.trajectories["mean"].tolist()


def test_paths_start_from_the_folder_of_the_file_that_says_them(home, monkeypatch):
    monkeypatch.setattr(runs.TasteFit, "check_world", lambda fit, name: fit.world)
    (home / "fitted.toml").write_text(FITTED, encoding="utf-8")
    (home / "below").mkdir()
    (home / "below" / "child.toml").write_text('extends = "../fitted.toml"\nrounds = 2\n', encoding="utf-8")
    assert runs.run_simulation(home / "below" / "child.toml", quiet=True).trajectories["round"].max() == 2


def test_code_of_ones_own_in_a_blend_is_part_of_the_name(home):
    blend = '[policies.x]\nkind = "recommender"\nblend = { relevance = 1.0, "own_gains:prefer_first" = 0.1 }\n'
    (home / "blend.toml").write_text(RING + blend, encoding="utf-8")
    digests = []
    for sign in ("", "-"):
        (home / "own_gains.py").write_text(
            "from recsys.types import Modular\ndef prefer_first(pool, k):\n"
            f"    return Modular({sign}pool.items.astype('float32'))\n",
            encoding="utf-8",
        )
        sys.modules.pop("own_gains", None)
        digests.append(read_simulation("blend.toml").digest)
    assert digests[0] != digests[1]
