"""What each rule of a benchmark cost and prevented: every rule beside its absence, in one table."""

import numpy as np
import pandas as pd
import pytest
from test_topics_closed import make_log

import recsys
from recsys.configs import parse_config
from recsys.control import forget_lists
from recsys.experiments.rule_comparisons import turn_dial
from recsys.types import RecsysError

DAY = 86_400
CONFIG = {
    "split": {"kind": "global_time", "validation": 0.1, "test": 0.3},
    "filter": {"positive": "rating >= 2"},
    "time": {"half_life": 2.0},
    "model": {"kind": "ease"},
    "baselines": ["most_popular"],
    "pool": {"n": 15},
    "slate": {"k": [5, 3]},
    "blends": {"wider": {"relevance": 1.0, "mmr": 0.3}},
    "guards": {"at_most": {"m": 4, "features": ["Ash"]}},
    "control": {
        "frequency_cap": {"m": 2, "window_days": 30},
        "cool_down": {"days": 30},
        "fatigue": {"weight": 0.4, "exponent": 1.0},
        "dials": {"mmr": [0, 3]},
    },
    "evaluation": {"metrics": ["ndcg", "stratified_recall", "discovery", "repeat_share"], "n_bootstrap": 100},
}
PLACES = {"frequency_cap": "control", "cool_down": "control", "fatigue": "control", "half_life": "time"}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    made = make_log(3, users=110, items=24, rows=2400)
    rng = np.random.default_rng(0)
    return made.assign(
        consent=rng.random(len(made)) < 0.9,
        source=rng.choice(["shop", "partner"], len(made), p=[0.9, 0.1]),
        purposes=rng.choice(["ads", "recommendation|ads"], len(made), p=[0.1, 0.9]),
    )


@pytest.fixture(scope="module")
def shown(frame):
    rng, last = np.random.default_rng(1), int(frame.timestamp.max())
    n = 2500
    return recsys.read_exposures(
        {
            "user": rng.choice(frame.user_id.unique(), n).tolist(),
            "item": [f"i{code}" for code in rng.integers(0, 24, n)],
            "time": (last - rng.integers(0, 60, n) * DAY).tolist(),
            "dismissed": (rng.random(n) < 0.1).tolist(),
        }
    )


def run(content, frame, shown, tmp_path_factory):
    data = recsys.read_dataset(frame)
    return recsys.bench(content, data=data, shown=shown, out=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture(scope="module")
def done(frame, shown, tmp_path_factory):
    return run(CONFIG, frame, shown, tmp_path_factory)


def get_value(bench, name, measure):
    rows = bench.summary[(bench.summary.run == name) & (bench.summary.metric == measure) & (bench.summary.k == 5)]
    return float(rows.value.iloc[0])


def get_row(bench, rule, name, measure):
    costs = bench.rule_costs
    return costs[(costs.rule == rule) & (costs.run == name) & (costs.measure == measure)].iloc[0]


@pytest.mark.parametrize("rule", PLACES)
def test_each_side_is_a_benchmark_of_its_own(done, frame, shown, tmp_path_factory, rule):
    section = {key: value for key, value in CONFIG[PLACES[rule]].items() if key != rule}
    content = {**CONFIG, PLACES[rule]: {**section, "compare": False} if PLACES[rule] == "control" else None}
    without = run({key: value for key, value in content.items() if value is not None}, frame, shown, tmp_path_factory)
    for name in ("wider",) if rule == "fatigue" else ("ease", "wider"):
        for measure in ("ndcg", "stratified_recall", "discovery"):
            row = get_row(done, rule, name, measure)
            assert row.with_rule == pytest.approx(get_value(done, name, measure), abs=1e-12)
            assert row.without == pytest.approx(get_value(without, name, measure), abs=1e-12)
            assert row.difference == pytest.approx(row.with_rule - row.without) and not row.low > row.high
    moved = done.slates[5]["wider"].items != without.slates[5]["wider"].items
    assert moved.any()


def test_a_rule_is_compared_on_the_runs_that_it_holds_for(done):
    found = done.rule_costs.groupby("rule", sort=False).run.unique().map(list).to_dict()
    both = ["ease", "wider"]
    assert found == {
        "consent": [""],
        "purposes": [""],
        "half_life": both,
        "frequency_cap": both,
        "cool_down": both,
        "fatigue": ["wider"],
        "dial of mmr at 0": ["wider"],
        "dial of mmr at 3": ["wider"],
    }


def test_limits_and_repeats_are_those_of_a_slow_count(done, shown):
    split, slates = done.preparation.split, done.slates[5]["wider"].items
    now = int(shown.datetime.max())
    log = pd.DataFrame(
        {
            "user": shown.user_ids[shown.user], "item": shown.item_ids[shown.item], "age": now - shown.datetime,
            "dismissed": shown.dismissed,
        }
    )  # fmt: skip
    ever, tired, resting = set(), set(), set()
    for pair, rows in log.groupby(["user", "item"]):
        ever.add(pair)
        tired |= {pair} if (rows.age < 30 * DAY).sum() >= 2 else set()
        resting |= {pair} if (rows.dismissed & (rows.age < 30 * DAY)).any() else set()

    def share(pairs):
        found = []
        for user, slate in enumerate(slates):
            picks = [(str(split.user_ids[user]), str(split.item_ids[item])) for item in slate if item >= 0]
            found += [np.mean([pick in pairs for pick in picks])] if picks else []
        return np.mean(found)

    for rule, pairs in (("frequency_cap", tired), ("cool_down", resting)):
        beyond = get_row(done, rule, "wider", "share of slots beyond the limit")
        assert beyond.with_rule == share(pairs) == 0 < beyond.without and beyond.high < 0
        assert get_row(done, rule, "wider", "repeats").with_rule == pytest.approx(share(ever))
    assert get_row(done, "fatigue", "wider", "repeats").with_rule == pytest.approx(share(ever))


def test_the_stale_share_is_that_of_a_slow_sum(done):
    split = done.preparation.split
    now, found = split.train_times.data.max(), []
    for user in range(split.shape[0]):
        ages = (now - split.train_times[[user]].data) / DAY
        if len(ages):
            weights = 2 ** (-ages / 2.0)
            found.append((weights[ages > 2].sum() / weights.sum(), (ages > 2).mean()))
    row = get_row(done, "half_life", "ease", "stale share")
    assert row.with_rule == pytest.approx(np.mean(found, axis=0)[0], rel=1e-5) and row.with_rule < row.without
    assert row.without == pytest.approx(np.mean(found, axis=0)[1])


def test_a_dial_at_an_end_is_the_blend_with_that_weight(done, frame, shown, tmp_path_factory):
    blends = {"wider": {"relevance": 1.0, "mmr": 0.9}}
    content = {**CONFIG, "blends": blends, "control": {**CONFIG["control"], "compare": False}}
    turned = run(content, frame, shown, tmp_path_factory)
    row = get_row(done, "dial of mmr at 3", "wider", "ndcg")
    assert row.with_rule == pytest.approx(get_value(turned, "wider", "ndcg"), abs=1e-12)
    assert row.without == pytest.approx(get_value(done, "wider", "ndcg"), abs=1e-12)
    ours, theirs = done.slates[5]["wider"].items, turned.slates[5]["wider"].items
    changed = [1 - np.isin(b[b >= 0], a).mean() for a, b in zip(ours, theirs, strict=True) if (b >= 0).any()]
    assert get_row(done, "dial of mmr at 3", "wider", "changed slots").with_rule == pytest.approx(np.mean(changed))
    alone = parse_config({"data": {"name": "ml-100k"}, "blends": {"x": {"mmr": 0.2}}}).list_runs()[-1]
    assert turn_dial(alone, "mmr", 0.0) is None and turn_dial(alone, "mmr", 2.0).blend == {"mmr": 0.4}


def test_rows_that_may_not_be_used_are_counted_and_have_no_price(frame, tmp_path):
    from recsys.experiments.rule_costs import list_left_out_rows

    forget_lists.forget(tmp_path / "list.jsonl", user="u3")
    filtering = {"sources": ["shop"], "purposes": ["recommendation"], "forget_list": str(tmp_path / "list.jsonl")}
    config = parse_config({"data": {"in_memory": "table"}, "filter": filtering})
    lonely = frame.assign(user_id=np.where(frame.index == 0, "nobody", frame.user_id), consent=frame.index != 0)
    told = pd.DataFrame(list_left_out_rows(config, recsys.read_dataset(lonely)))
    left = lonely
    for rule, kept in {
        "consent": lambda rows: rows.consent, "sources": lambda rows: rows.source == "shop",
        "purposes": lambda rows: rows.purposes.str.contains("recommendation"),
        "forget_list": lambda rows: rows.user_id != "u3",
    }.items():  # fmt: skip
        before, left = left, left[kept(left)]
        for measure, count in (("rows", len), ("users", lambda rows: rows.user_id.nunique())):
            row = told[(told.rule == rule) & (told.measure == measure)].iloc[0]
            assert (row.with_rule, row.without) == (count(left), count(before)) and row.run == ""
    assert told[(told.rule == "consent") & (told.measure == "users")].difference.iloc[0] == -1


def test_the_report_and_a_file_tell_rules(done):
    written = pd.read_csv(done.folder / "rules.csv", keep_default_na=False)
    assert written.measure.tolist() == done.rule_costs.measure.tolist()
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "What each rule cost and prevented" in page and "dial of mmr at 3" in page


def test_nothing_is_compared_where_that_is_turned_off_or_no_rule_is_on(frame, shown, tmp_path_factory):
    content = {**CONFIG, "control": {**CONFIG["control"], "compare": False}}
    off = run(content, frame, shown, tmp_path_factory)
    assert off.rule_costs is None and not (off.folder / "rules.csv").exists()
    plain = {key: value for key, value in CONFIG.items() if key not in ("time", "control")}
    assert run(plain, frame.drop(columns=["consent", "purposes"]), shown, tmp_path_factory).rule_costs is None


BASE = {"data": {"name": "ml-100k"}, "shown": {"path": "log.csv"}, "blends": {"wide": {"relevance": 1.0}}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"guards": {"cool_down": {"days": 2}}, "control": {"cool_down": {"days": 3}}},
         r"\[guards\] and \[control\] both have cool_down, expected it in one of them"),
        ({"blends": {"wide": {"relevance": 1.0, "guards": {"cool_down": {"days": 2}}}},
          "control": {"cool_down": {"days": 3}}},
         r"\[blends.wide\] guards and \[control\] both have cool_down, expected it in one of them"),
        ({"blends": {"wide": {"relevance": 1.0, "fatigue": 0.1}}, "control": {"fatigue": 0.2}},
         r"\[blends.wide\] and \[control\] both have fatigue, expected it in one of them"),
        ({"control": {"compare_topics": False}}, "control has compare_topics, expected compare"),
        ({"control": {"frequency_cap": {"n": 2}}}, r"\[control\] frequency_cap: unknown setting 'n'"),
        ({"control": {"fatigue": {"exponent": 1.0}}}, r"\[control\] blend: 'fatigue' has no weight"),
        ({"control": {"fatigue": {"weight": 1.0, "window": 1.0}}}, r"\[control\] blend: fatigue: unknown setting 'win"),
        ({"control": {"fatigue": 0.2}, "shown": None}, r"fatigue needs what was shown before, expected \[shown\]"),
        ({"control": {"cool_down": {"days": 2}}, "shown": None}, "cool_down needs what was shown before"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_one_line(content, message):
    said = {name: value for name, value in {**BASE, **content}.items() if value is not None}
    with pytest.raises(RecsysError, match=message) as error:
        parse_config(said)
    assert "\n" not in str(error.value)


def test_rules_of_control_are_guards_of_every_run_and_an_objective_of_every_blend():
    rules = {"frequency_cap": [{"m": 1, "window_days": 2}, {"m": 3, "window_days": 9}], "fatigue": 0.2}
    config = parse_config({**BASE, "control": rules})
    runs = {run.name: run for run in config.list_runs()}
    assert runs["wide"].blend == {"relevance": 1.0, "fatigue": 0.2} and runs["als"].blend == {"relevance": 1.0}
    for one in runs.values():
        assert [guard.name for guard in config.build_guards(one)] == ["frequency_cap"] * 2
    assert parse_config(config.dump_settings()).compute_digest() == config.compute_digest()
    assert parse_config(BASE).compute_digest() != config.compute_digest()


def test_a_fatigue_without_a_blend_is_refused_by_a_benchmark(frame, shown, tmp_path):
    content = {"control": {"fatigue": 0.2}}
    with pytest.raises(RecsysError, match=r"bench: \[control\] fatigue is set and there is no blend"):
        recsys.bench(content, data=recsys.read_dataset(frame), shown=shown, out=tmp_path, quiet=True)
