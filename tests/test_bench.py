"""The main job on a small table: from a config to files, from Python and from the command line."""

import io
import json
import os
import shutil
import signal
import tomllib

import numpy as np
import pandas as pd
import pytest
from command_line import run_cli
from forked import fork, wait_for
from interrupted import kill
from pictures import convert_charts, draw_picture
from synthetic import write_tables

from recsys.cli import main
from recsys.configs import parse_config
from recsys.experiments import bench
from recsys.experiments.pipeline import build_or_load_pool, fit_or_load_model
from recsys.experiments.recommendations import recommend
from recsys.retrieval.candidates import candidates
from recsys.support.cache import Cache
from recsys.sweeps.trial_evaluator import build_trial_evaluator
from recsys.types import RecsysError

CONFIG = """
[data]
path = "ratings.csv"
items = "items.csv"

[filter]
positive = "rating >= 3"
min_user_interactions = 3
min_item_interactions = 2

[split]
kind = "{kind}"
validation = 0.1
test = 0.3

[model]
kind = "als"
factors = 8
iterations = 3

[models.ease]
kind = "ease"

[pool]
n = 15

[slate]
k = [3, 5]

[evaluation]
n_bootstrap = 100

[blends.wider]
relevance = 1.0
negative_space = [0.1, 0.5]

[blends.mixed]
relevance = 1.0
mmr = 0.1
dpp = 0.1
calibration = 0.1
ucb = 0.1
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with a log of 60 users and 40 items in two tastes, its catalogue, a config, and one finished run."""
    folder = tmp_path_factory.mktemp("template")
    write_tables(folder)
    (folder / "mine.toml").write_text(CONFIG.format(kind="per_user_time"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        with convert_charts(draw_picture):
            return folder, bench(folder / "mine.toml", out=folder / "runs", quiet=True)


@pytest.fixture
def first(template):
    return template[1]


def test_every_file_of_a_run_is_there_and_agrees(first):
    done = first
    names = {path.name for path in done.folder.iterdir()}
    assert names >= {
        "config.toml", "environment.json", "summary.csv", "per_user.parquet", "slates.parquet", "differences.csv",
        "scores.npz",
        "report.html", "log.txt",
    }  # fmt: skip
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in (done.folder / "charts").iterdir())
    summary = pd.read_csv(done.folder / "summary.csv")
    runs = ["most_popular", "random", "random_rerank", "als", "ease", "wider-0.1", "wider-0.5", "mixed"]
    assert list(dict.fromkeys(summary.run)) == runs
    assert set(summary.k) == {3, 5}
    assert summary.convention.notna().all()
    per_user = pd.read_parquet(done.folder / "per_user.parquet")
    mean = per_user[per_user.metric == "ndcg"].groupby(["run", "k"], observed=True).value.mean()
    for row in summary[summary.metric == "ndcg"].itertuples():
        assert row.value == pytest.approx(mean[row.run, row.k])
        assert row.ci_low <= row.value <= row.ci_high
    slates = pd.read_parquet(done.folder / "slates.parquet")
    als = slates[slates.run == "als"]
    sizes = als.groupby(["k", "user_id"], observed=True).size()
    assert sizes.groupby("k").max().to_dict() == {3: 3, 5: 5}
    assert json.loads((done.folder / "environment.json").read_text())["seed"] == 0


def test_the_numbers_are_those_of_a_slow_evaluation_by_hand(first):
    done = first
    split, slates = done.preparation.split, done.slates[5]["als"]
    test = split.test.toarray() > 0
    hits = [test[u, row[row >= 0]][:5].sum() for u, row in enumerate(slates.items)]
    recall = np.mean([h / n for h, n in zip(hits, test.sum(axis=1), strict=True) if n])
    table = done.summary[(done.summary.run == "als") & (done.summary.metric == "recall") & (done.summary.k == 5)]
    assert table.value.item() == pytest.approx(recall)
    assert not (split.seen.toarray()[np.arange(len(test))[:, None], slates.items] * (slates.items >= 0)).any()


def test_a_second_run_computes_nothing_again_and_gives_the_same_numbers(home, first, monkeypatch):
    from recsys.models import ALS

    def refuse(self, train):
        raise AssertionError("fitted again")

    refuse.__annotations__ = ALS.fit.__annotations__
    monkeypatch.setattr(ALS, "fit", refuse)
    second = bench("mine.toml", out=home / "two", quiet=True)
    pd.testing.assert_frame_equal(first.summary, second.summary)


def test_rows_in_another_order_and_a_fresh_cache_give_the_same_numbers(home, first, monkeypatch):
    frame = pd.read_csv("ratings.csv").sample(frac=1, random_state=1)
    frame.to_csv("ratings.csv", index=False)
    monkeypatch.setenv("RECSYS_CACHE", str(home / "other"))
    second = bench("mine.toml", out=home / "two", quiet=True)
    columns = ["run", "metric", "k", "value", "ci_low", "ci_high"]
    pd.testing.assert_frame_equal(first.summary[columns], second.summary[columns])


def test_choices_are_judged_on_validation_without_test(home, first):
    text = (home / "mine.toml").read_text().replace("[evaluation]", '[evaluation]\nsplit = "validation"')
    (home / "choose.toml").write_text(text)
    choose = bench("choose.toml", out=home / "runs", quiet=True).preparation.split
    last = first.preparation.split
    assert (choose.train + choose.test - last.train).nnz == 0
    assert choose.test.multiply(last.test).nnz == 0


@pytest.mark.parametrize("kind", ["global_time", "random", "leave_last"])
def test_every_kind_of_split_runs(home, kind):
    text = CONFIG.format(kind=kind)
    if kind == "leave_last":
        text = text.replace("validation = 0.1", "validation = 1").replace("test = 0.3", "test = 1")
    (home / "other.toml").write_text(text)
    assert bench("other.toml", out=home / "runs", quiet=True).summary.value.notna().any()


def test_the_command_prints_one_table_and_where_the_files_are(home, capsys):
    assert run_cli("bench", "mine.toml", "--out", home / "runs", "--quiet") == 0
    out = capsys.readouterr().out
    assert "wider-0.5" in out
    assert "ndcg@3" in out
    assert "report.html" in out


def test_lists_made_elsewhere_are_judged_beside_the_base(home, first, capsys):
    slates = first.slates[5]["ease"]
    row, rank = np.nonzero(slates.items >= 0)
    columns = {
        "userId": slates.user_ids[slates.users[row]],
        "itemId": slates.item_ids[slates.items[row, rank]],
        "rank": rank + 1,
    }
    pd.DataFrame(columns).sample(frac=1, random_state=0).to_csv("theirs.csv", index=False)
    assert run_cli("evaluate", "theirs.csv", "--config", "mine.toml", "--out", home / "runs", "--quiet") == 0
    out = capsys.readouterr().out
    assert "theirs" in out
    assert "no pick is a held-out positive" not in out
    folder = next((home / "runs").glob("mine-theirs-*"))
    theirs = pd.read_csv(folder / "summary.csv").set_index(["run", "metric", "k"]).value
    ours = first.summary.set_index(["run", "metric", "k"]).value
    for metric in ("ndcg", "coverage", "discovery"):
        assert theirs["theirs", metric, 5] == pytest.approx(ours["ease", metric, 5], nan_ok=True)


def test_its_folder_and_that_of_lists_made_elsewhere_can_be_compared(home, first, capsys):
    slates = first.slates[5]["ease"]
    row, rank = np.nonzero(slates.items >= 0)
    users, items = slates.user_ids[slates.users[row]], slates.item_ids[slates.items[row, rank]]
    pd.DataFrame({"user_id": users, "item_id": items, "rank": rank + 1}).to_csv("theirs.csv", index=False)
    assert run_cli("evaluate", "theirs.csv", "--config", "mine.toml", "--out", home / "runs", "--quiet") == 0
    theirs = next((home / "runs").glob("mine-theirs-*"))
    capsys.readouterr()
    assert run_cli("compare", first.folder, f"{theirs}:theirs", "--metrics", "ndcg@5,coverage", "--out", "found") == 0
    assert "Differences from als" in capsys.readouterr().out
    found = pd.read_csv("found/differences.csv").set_index(["run", "metric", "k"])
    assert found.loc["theirs", "ndcg", 5].difference == pytest.approx(found.loc["ease", "ndcg", 5].difference)
    both = first.differences.set_index(["run", "metric", "k"]).loc[("ease", "ndcg", 5)]
    assert found.loc["ease", "ndcg", 5].difference == pytest.approx(both.difference)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("user_id,item_id\nu1,1\n", "no column for rank or score"),
        ("user_id,item_id,rank\nu1,1,first\n", "theirs.csv: row 1: rank is 'first', expected a number"),
        ("user_id,item_id,score\nu1,1,2.5\nu1,2,\n", "theirs.csv: row 2: score is missing, expected a number"),
        ("user_id,item_id,score\nu1,1,inf\n", "row 1: score is 'inf', expected a number"),
        ("user_id,item_id,rank\nu1,,1\n", "row 1: item_id is missing, expected an id"),
        (
            "run,user_id,item_id,rank\na,u1,1,1\nb,u1,1,1\n",
            "found 2 different run, expected one list per user: keep the rows of one",
        ),
        ("run,k,user_id,item_id,rank\na,3,u1,1,1\na,5,u1,1,1\n", "found 2 different k, expected one list per user"),
        ("user_id,item_id,rank\nu1,1,1\nu1,1,2\n", "is there twice"),
        ("user_id,item_id,rank\nnobody,1,1\n", "no row has a user_id and an item_id of the split"),
        ("user_id,thing,rank\nu1,1,1\n", "no column for item_id"),
        ("", "empty"),
    ],
)
def test_lists_that_cannot_be_judged_are_refused_in_one_line(home, capsys, table, line):
    (home / "theirs.csv").write_text(table)
    assert run_cli("evaluate", "theirs.csv", "--config", "mine.toml", "--quiet") == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_cell_with_a_list_is_refused_in_one_line(home, capsys):
    pd.DataFrame({"user_id": ["u1"], "item_id": [["1", "2"]], "rank": [1]}).to_parquet("theirs.parquet")
    assert run_cli("evaluate", "theirs.parquet", "--config", "mine.toml", "--quiet") == 2
    assert capsys.readouterr().err == "recsys: theirs.parquet: item_id holds lists, expected one value in each row\n"


def test_the_slates_of_several_runs_are_refused(home, first, capsys):
    slates = pd.read_parquet(first.folder / "slates.parquet")
    slates.to_parquet("all.parquet")
    assert run_cli("evaluate", "all.parquet", "--config", "mine.toml", "--quiet") == 2
    assert "different run, expected one list per user: keep the rows of one\n" in capsys.readouterr().err
    slates[slates["run"] == "ease"].to_parquet("one.parquet")
    assert run_cli("evaluate", "one.parquet", "--config", "mine.toml", "--quiet") == 2
    assert "one.parquet: found 2 different k, expected one list per user" in capsys.readouterr().err


def test_lists_made_from_all_of_the_data_are_suspected(home, capsys):
    assert run_cli("recommend", "mine.toml", "--blend", "als", "--k", "5", "--out", "theirs.csv", "--quiet") == 0
    assert run_cli("evaluate", "theirs.csv", "--config", "mine.toml", "--out", home / "runs", "--quiet") == 0
    line = "note: theirs.csv: no pick is a held-out positive: were these lists made from all of the data?"
    assert line in capsys.readouterr().out


def test_the_reach_of_the_config_is_that_of_the_pool(home, first):
    config = {**tomllib.loads((home / "mine.toml").read_text(encoding="utf-8")), "baselines": [], "models": {}}
    config |= {"slate": {"k": [5]}, "pool": {"n": 8, "exploration_share": 0.5}, "blends": {}}
    done = bench(config, out=home / "runs", quiet=True)
    prepared = done.preparation
    model = fit_or_load_model(prepared, prepared.config.model)[0]
    expected = candidates(model, prepared.split, n=8, maps=prepared.objective_maps, exploration_share=0.5)
    assert (build_or_load_pool(prepared, prepared.config.model, prepared.config.pool)[0].items == expected.items).all()
    assert (expected.items != candidates(model, prepared.split, n=8, maps=prepared.objective_maps).items).any()


def test_picks_of_blends_are_drawn_by_the_policy_of_the_config_and_the_base_is_not(home, first):
    config = {**tomllib.loads((home / "mine.toml").read_text(encoding="utf-8")), "name": "drawn"}
    config |= {"slate": {"k": [5], "temperature": 0.5, "epsilon": 0.2}, "models": {}, "baselines": []}
    config["blends"] = {"wider": {"relevance": 1.0, "negative_space": 0.5}}
    done, again = (bench(config, out=home / "runs", quiet=True) for _ in range(2))
    wider, base = done.slates[5]["wider"], done.slates[5]["als"]
    assert (base.items == first.slates[5]["als"].items).all()
    assert base.log_propensity is None
    assert (wider.items != first.slates[5]["wider-0.5"].items).any()
    assert (wider.log_propensity[wider.items >= 0] >= np.log(0.2 / 15) - 1e-6).all()
    assert (again.slates[5]["wider"].log_propensity == wider.log_propensity).all()
    written = pd.read_parquet(done.folder / "slates.parquet")
    assert written[written.run == "wider"].log_propensity.notna().all()
    assert written[written.run == "als"].log_propensity.isna().all()
    trial = build_trial_evaluator(done.preparation, ["ndcg@5"]).build_slates(done.preparation.config)[5]
    assert (trial.items == wider.items).all()
    recommend(config, home / "drawn.csv", blend="wider", quiet=True)
    assert pd.read_csv(home / "drawn.csv").log_propensity.notna().all()


def test_guards_of_the_config_hold_in_every_run(home, first):
    config = {**tomllib.loads((home / "mine.toml").read_text(encoding="utf-8")), "name": "guarded"}
    config |= {
        "slate": {"k": [5]},
        "guards": {"at_most": {"m": 1, "features": ["Comedy"]}, "exclude": {"items": ["3"]}},
    }
    done, again = (bench(config, out=home / "runs", quiet=True) for _ in range(2))
    comedy = done.preparation.split.items.features[:, [done.preparation.split.items.feature_names.index("Comedy")]]
    for name, slates in done.slates[5].items():
        shown = np.where(slates.items >= 0, comedy.toarray()[slates.items, 0], 0)
        assert (shown.sum(axis=1) <= 1).all(), name
        assert slates.guards == ("at_most", "exclude") and not slates.violations.any()
        assert (slates.item_ids[slates.items[slates.items >= 0]] != "3").all()
        assert (again.slates[5][name].violations == slates.violations).all()
    assert (done.slates[5]["als"].items != first.slates[5]["als"].items).any()
    one = parse_config({**config, "blends": {"wider": {"relevance": 1.0, "negative_space": 0.5}}}, home=home)
    trial = build_trial_evaluator(done.preparation, ["ndcg@5"]).build_slates(one)[5]
    assert (trial.items == done.slates[5]["wider-0.5"].items).all()
    assert trial.guards == ("at_most", "exclude")
    config["guards"] = {"at_least": {"m": 4, "features": ["Comedy", "War"]}}
    done = bench(config, out=home / "runs", quiet=True)
    assert ", not met: at_least in " in (done.folder / "log.txt").read_text(encoding="utf-8")


def test_recommendations_are_written_for_users_of_the_data(home, capsys):
    arguments = ("recommend", "mine.toml", "--blend", "wider-0.5", "--users", "u3,u8", "--k", "4")
    assert run_cli(*arguments, "--out", "slates.csv", "--quiet") == 0
    table = pd.read_csv("slates.csv")
    assert table.groupby("user_id").size().to_dict() == {"u3": 4, "u8": 4}
    assert {"rank", "item_id", "title", "score", "contribution_negative_space"} <= set(table.columns)
    met = pd.read_csv("ratings.csv")
    both = table.merge(met, on=["user_id", "item_id"])
    assert both.empty
    assert "wider-0.5: 8 rows for 2 users" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("bench", "mime.toml"), "did you mean"),
        (("bench", "mine.toml", "--out", "ratings.csv"), "cannot write"),
        (("bench", "--outt", "x"), "No such option"),
        (("bensh",), "No such command"),
        (("recommend", "mine.toml", "--blend", "widr-0.1", "--out", "x.csv"), "did you mean 'wider-0.1'"),
        (
            ("recommend", "mine.toml", "--blend", "als", "--users", "nobody", "--out", "x.csv"),
            "user 'nobody' is not among",
        ),
        (
            ("recommend", "mine.toml", "--out", "x.csv"),
            "has the blends wider-0.1, wider-0.5, mixed, expected the name of one",
        ),
        (("recommend", "mine.toml", "--out", "x.xml"), "expected .csv or .parquet"),
        (("recommend", "mine.toml", "--out", "ratings.csv"), "is the data of mine itself"),
        (("recommend", "mine.toml", "--blend", "als", "--k", "0", "--out", "x.csv"), "k is 0"),
        (("recommend", "mine.toml", "--blend", "als", "--k", "99", "--out", "x.csv"), "k is 99"),
        (("evaluate", "nothing.csv", "--config", "mine.toml"), "nothing.csv: no such file"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_2(home, capsys, arguments, line):
    assert run_cli(*arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("n = 15", "n = 4000", "n is 4000, expected a whole number from 1 to"),
        ("n = 15", "n = 4", "k is 5, expected at most [pool] n = 4"),
        ("min_user_interactions = 3", "min_user_interactions = 300", "nobody is left"),
        ('kind = "als"', 'kind = "most_popular"', "[model] most_popular: unknown setting 'factors'"),
        ("ucb = 0.1", "ucb = 0.1\nthomson = 1", "did you mean 'thompson'"),
        ('items = "items.csv"', "", "calibration needs item features"),
    ],
)
def test_a_config_that_does_not_fit_the_data_is_one_line(home, old, new, line):
    (home / "mine.toml").write_text((home / "mine.toml").read_text().replace(old, new))
    with pytest.raises(RecsysError) as caught:
        bench("mine.toml", out=home / "runs", quiet=True)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_base_without_factors_says_what_exploration_needs(home):
    text = (home / "mine.toml").read_text().replace('kind = "als"\nfactors = 8\niterations = 3', 'kind = "ease"')
    (home / "mine.toml").write_text(text.replace('[models.ease]\nkind = "ease"', ""))
    with pytest.raises(RecsysError, match="run 'mixed': ucb needs a factor model"):
        bench("mine.toml", out=home / "runs", quiet=True)


def test_other_data_goes_to_another_folder_and_a_failed_command_leaves_none(home, first):
    frame = pd.read_csv("ratings.csv")
    frame[frame.user_id != "u0"].to_csv("ratings.csv", index=False)
    assert bench("mine.toml", out=home / "runs", quiet=True).folder.name != first.folder.name
    assert run_cli("bench", "mine.toml", "--out", "fresh", "--data-dir", "x") == 0
    before = sorted(home.iterdir())
    (home / "bad.toml").write_text('[data]\nname = "ml-10k"\n')
    assert run_cli("bench", "bad.toml", "--out", "fresh") == 2
    assert sorted({*home.iterdir()} - {home / "bad.toml"}) == before
    assert len(list((home / "fresh").iterdir())) == 1


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_table_fits_the_terminal(first, width):
    from rich.console import Console

    from recsys.cli.tables import make_headline_table

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(make_headline_table(first.summary, first.differences, "als", 5, width))
    text = console.export_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "wider-0.5" in text
    assert "ndcg@5" in text


def test_the_table_shows_the_metrics_that_a_config_asks_for(first):
    from recsys.cli.tables import make_headline_table

    asked = first.summary[first.summary.metric.isin(["ndcg", "recall"])].replace({"recall": "shop_parts:only_mine"})
    table = make_headline_table(asked, first.differences, "als", 5)
    assert [column.header for column in table.columns] == ["run", "ndcg@5", "ndcg %", "seconds", "only_mine@5"]
    standard = make_headline_table(first.summary, first.differences, "als", 5)
    assert not any(str(column.header).startswith("recall") for column in standard.columns)


def test_thirds_of_popularity_have_a_table_of_their_own(first):
    from rich.console import Console

    from recsys.cli.tables import make_discovery_table

    tables = [
        frame[~frame.metric.str.startswith(("discovery_", "strat"))] for frame in (first.summary, first.differences)
    ]
    assert make_discovery_table(*tables, "als", 5, 120) is None
    thirds = [frame.replace({"metric": {"discovery": "discovery_tail"}}) for frame in tables]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(make_discovery_table(*thirds, "als", 5, 120))
    text = console.export_text()
    assert "discovery_tail %" in text and "discovery_head" not in text and "wider-0.5" in text
    row = thirds[0][(thirds[0].run == "als") & (thirds[0].metric == "discovery_tail") & (thirds[0].k == 5)].iloc[0]
    assert f"{row.value:.4f} ({row.hits:.1f} hits)" in text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_that_is_killed_goes_on(home):
    command = ["bench", "mine.toml", "--quiet"]
    cells = home / "cells"
    shutil.rmtree(cells)

    def begin():
        real = Cache.get_or_make

        def make_and_die(self, *given):
            found = real(self, *given)
            if len(list(cells.glob("slates-*.npz"))) == 2:
                kill()
            return found

        Cache.get_or_make = make_and_die
        main(command)

    assert wait_for(fork(begin)) == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.npz")}
    assert len([name for name in before if name.startswith("slates-")]) == 2
    assert run_cli(*command) == 0
    after = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.npz")}
    assert {name: after[name] for name in before} == before
    assert not list((home / "runs").glob(".part-*"))


def test_the_cache_lists_and_clears(home, capsys):
    assert run_cli("cache", "list") == 0
    assert "model-" in capsys.readouterr().out
    assert run_cli("cache", "clear") == 0
    assert "removed" in capsys.readouterr().out
    assert not list((home / "cells").glob("*.npz"))
