"""`recsys discover`: the choice between families against hand-made gains, and whole choices on a small table."""

import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pictures import convert_charts, draw_picture

from recsys import sweeps
from recsys.cli import main
from recsys.configs import parse_config, read_config
from recsys.experiments import bench, export
from recsys.reports.formats import format_percent
from recsys.scores import Score, Scores
from recsys.scores.halvings import choose_interval, spread_over_halvings
from recsys.scores.intervals import NO_INTERVAL
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.sweeps import cross_readings, curve_readings, discoveries, families, family_choice, trial_search
from recsys.sweeps.curve_readings import name_point
from recsys.sweeps.families import CONTROLS, SINGLE, Family, build_discover_config, build_family_plan, list_families
from recsys.sweeps.family_choice import FamilyChoice, FamilyVerdict, choose_family, choose_trial
from recsys.sweeps.family_outputs import describe_families
from recsys.sweeps.tradeoff_curves import GainAtLoss, compute_gains_at_loss
from recsys.sweeps.trials import TrialResult
from recsys.types import RecsysError

CONFIG = """
[data]
path = "ratings.csv"

[filter]
positive = "rating >= 4"

[split]
kind = "random"
validation = 0.2
test = 0.3

[model]
kind = "ease"
l2 = 20.0

[models.other]
kind = "most_popular"

[pool]
n = 30

[slate]
k = [5]

[evaluation]
halvings = 1
n_bootstrap = 200

[blends.old]
relevance = 1.0
novelty = 0.1
"""
TRIALS = 3


def write_log(path, users=300):
    """Users of four tastes of twelve items, who also like, of two other tastes, one of two items that are well known.

    Those likes are in regions that a history often lacks, and below the taste's own items in EASE's order.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(users):
        own = user % 4
        strange = rng.permutation([taste for taste in range(4) if taste != own])[:2]
        liked = [*(12 * own + rng.permutation(12)[:6]), *(12 * taste + rng.integers(2) for taste in strange)]
        rows += [(f"u{user}", item, 5) for item in liked]
    pd.DataFrame(rows, columns=["user_id", "item_id", "rating"]).to_csv(path, index=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discover")
    write_log(folder / "ratings.csv")
    (folder / "small.toml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, convert_charts(draw_picture):
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        done = sweeps.discover(
            folder / "small.toml", trials=TRIALS, accuracy_budget=0.3, out=tmp_path_factory.mktemp("runs"), quiet=True
        )
    return folder, done


@pytest.fixture
def done(template):
    return template[1]


def make_gains(means, spread=0.02, shared=0.2, told=True):
    """Gains by name whose draws share most of their error, so that small differences between them are sure."""
    rng = np.random.default_rng(0)
    common = shared * rng.standard_normal(400)
    return {
        name: GainAtLoss(name, "discovery@10", 0.02, mean, mean, mean + common + spread * rng.standard_normal(400), 1.0, 3, told)
        for name, mean in means.items()
    }  # fmt: skip


def choose(means, families=None, **how):
    return choose_family(families or list_families(True), make_gains(means, **how))


def test_the_simplest_within_one_standard_error_of_the_best_is_chosen_then_the_fastest():
    means = {"dpp + unexplored": 1.0, "mmr": 0.99, "dpp": 0.99, "unexplored (likelihood)": 0.99, "serendipity": 0.7}
    found = choose(means)
    assert (found.best.name, found.chosen.name) == ("dpp + unexplored", "mmr")
    assert {one.name for one in found.near} == {*means} - {"serendipity"}
    assert found.verdicts["serendipity"].stands == "behind"
    assert found.verdicts["dpp"].stands == "level"
    assert choose({**means, "mmr": 0.7}).chosen.name == "dpp"
    assert choose({**means, "mmr": 0.7, "dpp": 0.7}).chosen.name == "unexplored (likelihood)"


@pytest.mark.parametrize(("less", "chosen"), [(0.9, "mmr"), (1.1, "dpp + unexplored")])
def test_near_is_one_standard_error_of_the_difference(less, chosen):
    gains = make_gains({"dpp + unexplored": 1.0, "mmr": 1.0})
    error = (gains["dpp + unexplored"].draws - gains["mmr"].draws).std(ddof=1)  # a tenth of that of either gain
    gains["mmr"] = replace(gains["mmr"], value=1.0 - less * error)
    found = choose_family(list_families(False), gains)
    assert found.chosen.name == chosen
    assert found.verdicts["mmr"].stands == "level"  # what is sure does not choose


def test_two_dials_are_chosen_where_no_single_one_is_near():
    assert choose({"dpp + unexplored": 1.0, "mmr": 0.7, "dpp": 0.7}).chosen.name == "dpp + unexplored"


def test_the_base_is_kept_where_the_largest_gain_is_within_one_standard_error_of_zero():
    assert choose({"mmr": 0.3, "dpp": 0.2}).chosen.name == "mmr"
    assert not any(one.is_ahead_of_base for one in choose({"mmr": 0.3, "dpp": 0.2}).verdicts.values())
    kept = choose({"mmr": 0.15, "dpp": 0.1})
    assert (kept.chosen, kept.best.name) == (None, "mmr")
    assert choose({"mmr": -0.3}).chosen is None
    unknown = choose({"mmr": 5.0}, told=False)  # too few users differ
    assert (unknown.chosen, unknown.best, unknown.near) == (None, None, ())
    assert choose({}).chosen is None


def test_bounds_hold_for_all_families_at_once_and_say_what_could_have_been_shown():
    gains = make_gains({"mmr": 0.5, "dpp": 0.4, "serendipity": 0.1}, spread=0.1)
    verdicts = choose_family(list_families(False), gains).verdicts
    values, drawn = np.array([one.value for one in gains.values()]), np.stack([one.draws for one in gains.values()])
    lower = compute_simultaneous_limits(values, drawn, sides=1)[0]
    assert [verdicts[name].lower_bound for name in gains] == pytest.approx(lower.tolist())
    # a gain of `detectable` has a bound of 0.8416 errors above 0, which four in five samples exceed
    at = verdicts["mmr"].detectable - (values[0] - lower[0])
    assert at / drawn[0].std(ddof=1) == pytest.approx(0.8416, abs=1e-4)
    alone = choose_family([Family(("mmr",), {})], {"mmr": gains["mmr"]}).verdicts["mmr"]
    assert alone.lower_bound > verdicts["mmr"].lower_bound  # fewer families: a smaller price


def test_every_family_has_the_same_ranges_and_as_many_trials():
    families = list_families(True)
    config = build_discover_config(parse_config(tomllib.loads(CONFIG)))
    plan = build_family_plan(config, 7, "2%", families)
    ranges = {one.values for method in plan.methods for one in method.ranges if "popularity bonus" not in one.name}
    assert ranges == {(0.02, 2.0), (0.1, 10.0)}  # of weights, and of exploration: a factor of a hundred
    assert all(one.log for method in plan.methods for one in method.ranges if "popularity bonus" not in one.name)
    assert [len(method.ranges) for method in plan.methods] == [one.dials for one in families]
    assert plan.settings.trials == 7
    names = [one.name for one in families if one.role == "family"]
    assert len(names) == len(set(names)) == 2 * (len(SINGLE) + 6)
    assert [one.name for one in families if one.role == "control"] == [*CONTROLS]
    assert {one.scale for one in (method.trial_config({r.name: 1.0 for r in method.ranges}).slate for method in plan.methods)} == {"fitted"}  # fmt: skip


def test_the_point_of_a_family_gains_most_within_the_budget_of_both_axes():
    config = build_discover_config(parse_config(tomllib.loads(CONFIG)))
    plan = build_family_plan(config, 7, "2%", [])
    base = {"ndcg@5": 1.0, "stratified_recall@5": 1.0, "discovery@5": 1.0}

    def trial(number, ndcg, recall, discovery):
        values = dict(zip(base, (ndcg, recall, discovery), strict=True))
        return TrialResult(number, {}, values, base, True, 0.0)

    trials = [trial(0, 0.99, 0.99, 1.1), trial(1, 0.99, 0.97, 1.4), trial(2, 0.97, 0.99, 1.5), trial(3, 0.981, 0.981, 1.2)]  # fmt: skip
    assert choose_trial(plan, trials).number == 3
    assert choose_trial(plan, trials[1:3]) is None


def test_the_effect_that_was_put_into_the_log_is_found(done):
    assert {"unexplored", "discovery_value"} & set(done.choice.chosen.objectives)
    rows = done.families.set_index("family")
    assert rows.loc[done.choice.chosen.name, "validation_lower_bound"] > 0
    assert rows.loc["noise", "test_stands"] == "behind"
    assert done.lines[0].startswith(f"chosen on validation: {done.choice.chosen.name} (")


def test_every_file_is_there_and_every_curve_is_counted(done):
    names = {path.name for path in done.folder.iterdir()}
    assert names >= {"families.csv", "trials.parquet", "failed.csv", "winner.toml", "config.toml", "report.html", "charts", "study.journal", "judgements.csv", "environment.json"}  # fmt: skip
    table = pd.read_csv(done.folder / "families.csv")
    trials = pd.read_parquet(done.folder / "trials.parquet")
    assert (trials.groupby("method").size() == TRIALS).all()
    assert table.family.tolist() == [one.name for one in done.plan.methods] == [*trials.method.unique()]
    assert table.chosen.sum() == (done.choice.chosen is not None)
    said = next(line for line in done.lines if "curves were read" in line)
    assert said.startswith(f"{len(table)} curves") and f"{table.points.sum()} points" in said
    assert (table[["test_loss ndcg@5", "test_loss stratified_recall@5"]].max(axis=1) <= 0.3 + 1e-9).all()
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert all(name.replace("'", "&#x27;") in page for name in table.family)
    assert sum(line.startswith("controls at the same loss") for line in done.lines) == 1


def test_a_trials_value_is_that_of_a_benchmark_on_validation_on_its_own_scores(home, done):
    trials = pd.read_parquet(done.folder / "trials.parquet").set_index("method")
    for family in ("mmr", "mmr (likelihood)"):
        if family not in trials.index:
            pytest.fail(f"{family} was not searched: the likelihood is below its base on this table")
        row = trials.loc[family].iloc[0]
        tables = tomllib.loads(CONFIG) | {"blends": {"again": {"relevance": 1.0, "mmr": row[f"blends.{family}.mmr"]}}}
        tables["data"]["path"] = str(home / "ratings.csv")
        tables["slate"]["order"] = "relevance"
        tables["evaluation"] |= {"split": "validation", "metrics": ["ndcg", "stratified_recall", "discovery"]}
        tables |= {"models": {}, **({"likelihood": {}} if "likelihood" in family else {})}
        found = bench(tables, out="runs", quiet=True).summary.set_index(["run", "metric"]).value
        for metric in ("ndcg", "stratified_recall", "discovery"):
            assert found["again", metric] == pytest.approx(row[f"{metric}@5"]), (family, metric)
            assert found["ease", metric] == pytest.approx(row[f"base {metric}@5"])


def test_the_winner_is_a_config_that_bench_runs_and_export_serves(home, done):
    winner = read_config(done.folder / "winner.toml")
    assert {name for blend in winner.blends.values() for name in blend} <= {"relevance", *done.choice.chosen.objectives}
    assert (winner.likelihood is not None) == done.choice.chosen.by_likelihood
    assert [*winner.models] == ["other"] and winner.evaluation.split == "test"
    judged = bench(done.folder / "winner.toml", out="runs", quiet=True)
    rows = judged.differences.set_index(["run", "metric"])
    line = next(line for line in done.lines if line.startswith("on test the chosen blend"))
    for metric in ("discovery", "ndcg", "stratified_recall"):
        change = rows.loc[(done.choice.chosen.name, metric)].relative
        assert f"{metric}@5 {format_percent(change)}" in line
    made = export(done.folder / "winner.toml", "artefact", quiet=True)
    assert made.run == done.choice.chosen.name


def test_the_chosen_blend_is_read_on_test_where_its_curve_has_too_many_points_to_keep_it(home, monkeypatch):
    monkeypatch.setattr(families, "MAX_POINTS", 1)
    found = sweeps.discover("small.toml", trials=6, accuracy_budget=0.06, quiet=True)
    results = found.results
    blends = {name_point(name, one) for name, one in results.points.items() if one is not None}
    curves = {name_point(name, one) for name, curve in results.curves.items() for one in curve}
    assert blends - curves  # the curves left some out
    assert blends <= set(results.on_test.scores.runs)
    assert results.choice.chosen is not None
    assert any(line.startswith("on test the chosen blend changes") for line in found.lines)


@pytest.mark.parametrize("mean", [0.5, -0.5])
def test_a_gain_whose_error_is_not_known_leaves_the_base(mean):
    gains = make_gains({"mmr": mean})
    gains["mmr"].draws[:] = np.nan
    assert choose_family(list_families(False), gains).chosen is None


@pytest.mark.parametrize("halvings", [0, 3])
def test_the_error_of_a_gain_is_that_of_users_and_of_halvings(halvings):
    """A bootstrap of three halvings finds two thirds of their variance: the gain's draws have all of it."""
    rng, users = np.random.default_rng(0), np.arange(400)
    plan = build_family_plan(build_discover_config(parse_config(tomllib.loads(CONFIG))), 1, "2%", [])
    noise, halved = 0.1 * rng.standard_normal(4000), np.array([0.8, 1.2, 1.3])
    cells = []
    for run, gain in (("base", 1.0), ("mmr-0", 1.1)):
        for metric in ("ndcg", "stratified_recall", "discovery"):
            gains = metric == "discovery" and run != "base"
            draws = gain + noise if gains else np.full(4000, 1.0)
            if halvings:
                draws = spread_over_halvings(draws, halved if gains else np.ones(3), seed=5)
            each = np.full(400, (gain if gains else 1.0) / 400)
            cells.append(Score(
                run, metric, 5, each.sum(), NO_INTERVAL, 400, "", 1, "users", each, each, np.full(400, 1 / 400), draws,
                *choose_interval("users", halvings, 400, 400),
            ))  # fmt: skip
    scores = Scores(tuple(cells), users, users.astype(str), 5, 4000, halvings=halvings)
    trial = TrialResult(
        0, {}, *({f"{one.metric}@5": one.value for one in of} for of in (cells[3:], cells[:3])), True, 0.0
    )
    found = compute_gains_at_loss(plan, {"mmr": [trial]}, scores, "base")[0]
    between = halved.var(ddof=1) / 3 if halvings else 0.0
    assert len(found.draws) == 4000
    assert found.draws.var(ddof=1) == pytest.approx(0.01 + between, rel=0.05)


def test_a_choice_on_a_log_too_small_to_tell_is_called_a_guess(home):
    write_log(home / "ratings.csv", users=120)
    found = sweeps.discover("small.toml", trials=1, accuracy_budget="30%", quiet=True)
    assert sum("judges have 60 users" in line and "fewer than 3,000 users" in line for line in found.lines) == 2
    assert not any(one.is_ahead_of_base for one in found.choice.verdicts.values())
    told = "nothing can be told apart from ease on validation (95 %, all at once): the choice is the best guess on this log"
    assert sum(line.startswith(told) for line in found.lines) == 1


def test_the_base_is_kept_and_served_where_no_gain_is_large_enough(home, monkeypatch):
    monkeypatch.setattr(family_choice, "compute_error", lambda draws: float("inf"))
    found = sweeps.discover("small.toml", trials=1, quiet=True)
    assert found.choice.chosen is None and not found.families.chosen.any()
    assert found.lines[0].startswith("no family gains more discovery@5 than one standard error on validation")
    assert found.lines[0].endswith("the choice is ease's order")
    winner = read_config(found.folder / "winner.toml")
    assert winner.blends == {} and winner.likelihood is None
    assert export(found.folder / "winner.toml", "artefact", quiet=True).run == "ease"


def test_without_halves_the_judges_are_said_to_have_seen_the_users(home):
    write_log(home / "ratings.csv", users=60)
    found = sweeps.discover("small.toml", trials=1, quiet=True)
    assert any("60 users, fewer than 100, are not halved" in note for note in found.notes)
    assert sum("judges have seen the users" in line for line in found.lines) == 2


def test_a_base_without_gain_to_be_held_against_leaves_nothing_to_read(home, monkeypatch):
    for module in (curve_readings, cross_readings):
        monkeypatch.setattr(module, "compute_gains_at_loss", lambda *given: [])  # as where no map has a hit
    found = sweeps.discover("small.toml", trials=1, quiet=True)
    assert found.choice.chosen is None
    assert sum("no gain could have been told from none" in line for line in found.lines) == 2
    assert (found.folder / "report.html").is_file()


def test_a_refused_likelihood_is_left_out_with_a_note(home, monkeypatch):
    def refuse(preparation):
        raise RecsysError("[likelihood] one class only")

    monkeypatch.setattr(discoveries, "find_likelihood", refuse)
    found = sweeps.discover("small.toml", trials=1, quiet=True)
    assert set(found.families.scores) == {"base"} and len(found.families) == len(SINGLE) + 6 + len(CONTROLS)
    assert "families on the likelihood's scores are left out: [likelihood] one class only" in found.notes


def test_an_interrupted_choice_goes_on_and_the_command_prints_its_end(home, done, monkeypatch, capsys):
    plain, calls = trial_search.build_trial_function, []

    def interrupted(method, evaluator):
        evaluate = plain(method, evaluator)

        def judged(values):
            calls.append(method.name)
            if len(calls) == 10:
                raise KeyboardInterrupt
            return evaluate(values)

        return judged

    monkeypatch.setattr(trial_search, "build_trial_function", interrupted)
    how = {"trials": TRIALS, "accuracy_budget": 0.3, "quiet": True}
    with pytest.raises(KeyboardInterrupt):
        sweeps.discover("small.toml", **how)
    again = sweeps.discover("small.toml", **how)
    assert len(calls) == TRIALS * len(done.plan.methods) + 1
    compare = (done.folder / "families.csv").read_bytes(), (again.folder / "families.csv").read_bytes()
    assert compare[0] == compare[1]
    assert again.lines == done.lines
    capsys.readouterr()
    main(["discover", "small.toml", "--trials", str(TRIALS), "--accuracy-budget", "0.3", "--quiet"])
    printed = capsys.readouterr().out
    first = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]  # a name is folded
    assert not [name for name in done.families.family if name not in " ".join(filter(None, first))]
    assert all(line in printed for line in done.lines)  # no further look at test
    assert "winner.toml" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-config"], "no-such-config"),
        (["small.toml", "--trials", "0"], "--trials"),
        (["small.toml", "--accuracy-budget", "much"], "accuracy_budget is 'much', expected a share"),
        (["unsplit.toml"], "[split] validation is 0, expected a share of the data to choose on"),
        (["typo.toml"], "[likelihood] kind is 'softmaxx'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(home, capsys, arguments, said):
    (home / "unsplit.toml").write_text(CONFIG.replace("validation = 0.2", "validation = 0.0"))
    (home / "typo.toml").write_text(CONFIG + '[likelihood]\nkind = "softmaxx"\n')
    with pytest.raises(SystemExit) as end:
        main(["discover", *arguments, "--quiet"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_result_shows_its_sentences_and_no_arrays(done):
    assert repr(done) == "\n".join((*done.lines, f"folder: {done.folder}"))


def test_a_folder_that_is_no_path_is_one_line(home):
    for run in (sweeps.discover, bench):
        with pytest.raises(RecsysError, match=r"^out is None, expected the path of a folder$"):
            run(home / "small.toml", out=None, quiet=True)


def test_one_trial_and_one_family_behind_are_said_in_the_singular(done):
    results = done.results
    once = replace(results.plan, settings=results.plan.settings.model_copy(update={"trials": 1}))
    verdicts = {one.name: FamilyVerdict(0.1, 0.1, 0.0, -1.0, 1.0) for one in results.families}
    best, last = results.families[0], results.families[1].name
    verdicts[last] = FamilyVerdict(0.1, 0.1, 0.5, 0.2, 1.0)
    choice = FamilyChoice(best, best, [best], verdicts)
    points = {**results.points, best.name: results.curves[best.name][0]}
    said = describe_families(replace(results, plan=once, choice=choice, points=points))
    assert any(line.endswith("; 1 is behind") for line in said)
    assert any(", 1 trial each, " in line for line in said)
