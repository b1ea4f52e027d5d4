"""Checks of data: each figure against a slow, obvious reference, limits, errors, and what a page and the command say."""

import itertools
import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import recsys
from recsys import data
from recsys.cli import main
from recsys.data import check_data, read_policy
from recsys.data.check_figures import TITLES
from recsys.data.check_policies import CheckLimits
from recsys.maths import bursts
from recsys.maths.bursts import find_item_bursts, find_user_bursts
from recsys.maths.drift import measure_drift
from recsys.reports.data_checks import render_check_markdown, render_check_page, write_check
from recsys.types import RecsysError

START = 1_500_000_000
POLICY = {
    "stale_after": 2, "as_of": "2017-07-20", "own_sources": ["web", "shop"], "purposes": ["rank"], "conflict_gap": 1,
    "burst_window": 300, "burst_events": 3,
}  # fmt: skip
ROW = st.fixed_dictionaries(
    {
        "user": st.integers(1, 5), "item": st.integers(1, 5), "rating": st.integers(1, 4),
        "time": st.sampled_from([*range(START, START + 400, 50), *range(START + 86_400, START + 700_000, 70_000)]),
        "source": st.sampled_from(["web", "shop", "partner", None]), "consent": st.sampled_from([1, 0, None]),
        "purposes": st.sets(st.sampled_from(["rank", "ads"])).map(sorted),
    }
)  # fmt: skip
ROWS = st.lists(ROW, min_size=1, max_size=40).filter(lambda rows: any("rank" in row["purposes"] for row in rows))


def count_slowly(rows: list[dict]) -> dict[str, tuple[int, int] | None]:
    """Return count and total of each figure, row by row."""
    now = datetime(2017, 7, 20, tzinfo=UTC).timestamp()
    seen, duplicate = [], []
    for row in rows:
        read = {**row, "consent": row["consent"] == 1}  # nothing said is no consent
        duplicate.append(read in seen)
        seen.append(read)
    by_user: dict[int, int] = {}
    by_pair: dict[tuple[int, int], list[dict]] = {}
    for row, again in zip(rows, duplicate, strict=True):
        by_user.setdefault(row["user"], 0)
        by_user[row["user"]] += not again
        by_pair.setdefault((row["user"], row["item"]), []).append(row)
    n = len(rows)
    return {
        "stale": (sum(now - row["time"] > 2 * 86_400 for row in rows), n),
        "future": (sum(row["time"] > now for row in rows), n),
        "third_party": (sum(row["source"] not in ("web", "shop") for row in rows), n),
        "without_consent": (sum(row["consent"] != 1 for row in rows), n),
        "without_purpose": (sum("rank" not in row["purposes"] for row in rows), n),
        "single_interaction_users": (sum(count == 1 for count in by_user.values()), len(by_user)),
        "duplicates": (sum(duplicate), n),
        "conflicting_ratings": (
            sum(any(abs(a["rating"] - b["rating"]) > 1 for a in some for b in some) for some in by_pair.values()),
            len(by_pair),
        ),
        "conflicting_consents": (
            sum(len({row["consent"] == 1 for row in some}) == 2 for some in by_pair.values()), len(by_pair),
        ),
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_counts_are_those_of_a_slow_reference(rows):
    found = check_data(rows, POLICY)
    for name, (count, total) in count_slowly(rows).items():
        one = found.find_figure(name)
        assert (one.count, one.total, one.share) == (count, total, count / total), name
    assert (found.rows, found.users) == (len(rows), len({row["user"] for row in rows}))
    counts = {name: sum((row["source"] or "") == name for row in rows) for name in ("web", "shop", "partner", "")}
    assert dict(found.rows_by_source) == {name: n for name, n in counts.items() if n}
    purposes = {name: sum(name in row["purposes"] for row in rows) for name in ("rank", "ads")}
    assert dict(found.rows_by_purpose) == {name: n for name, n in purposes.items() if n}


def measure_distance(rows, late) -> float:
    """Return the total variation of item shares between two halves, item by item; 1 where a half is empty."""
    halves = [[item for (_, item), one in zip(rows, late, strict=True) if one == half] for half in (False, True)]
    if not all(halves):
        return 1.0
    items = {item for _, item in rows}
    return sum(abs(halves[0].count(i) / len(halves[0]) - halves[1].count(i) / len(halves[1])) for i in items) / 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_drift_is_that_of_all_exchanges_of_users(rows):
    user, item = (np.array([row[at] for row in rows], dtype=np.int32) for at in (0, 1))
    late = np.array([row[2] for row in rows])
    if late.all() or not late.any():
        with pytest.raises(ValueError, match="a half without rows"):
            measure_drift(user, item, late)
        return
    pairs = [row[:2] for row in rows]
    users = sorted({row[0] for row in rows})
    every = []
    for flips in itertools.product([False, True], repeat=len(users)):
        changed = dict(zip(users, flips, strict=True))
        every.append(
            measure_distance(pairs, [one != changed[who] for (who, _), one in zip(pairs, late.tolist(), strict=True)])
        )
    found = measure_drift(user, item, late, n_draws=2000)
    distance = measure_distance(pairs, late.tolist())
    assert found.distance == pytest.approx(distance, abs=1e-9)
    assert found.expected == pytest.approx(np.mean(every), abs=5 * np.std(every) / 2000**0.5 + 1e-9)
    share = np.mean(np.array(every) >= distance - 1e-9)
    assert found.p_value == pytest.approx(share, abs=5 * (share * (1 - share) / 2000) ** 0.5 + 1e-3)
    if found.expected < 1:
        assert found.beyond_chance == pytest.approx(max(0, (found.distance - found.expected) / (1 - found.expected)))


def test_small_logs_without_drift_are_seldom_called_drifting_and_those_with_it_always():
    """Sessions of 20 users whose tastes differ: items of the halves are far apart, and 5 % of p-values at most .05."""
    called = distances = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(20), 10).astype(np.int32)
        item = (rng.integers(0, 6, 20)[user] * 8 + rng.integers(0, 8, 200)).astype(np.int32)  # each with a taste
        found = measure_drift(user, item, (rng.random(20) < 0.5)[user], seed=seed)
        called, distances = called + (found.p_value <= 0.05), distances + found.distance / 200
    assert distances > 0.3
    assert called <= 22  # 10 expected: more than 22 once in 5,000
    late = np.arange(400) % 2 == 1
    found = measure_drift(np.arange(400, dtype=np.int32) // 20, (np.arange(400) % 5 + 3 * late).astype(np.int32), late)
    assert found.p_value == 0.01
    assert found.beyond_chance > 0.5


EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=60
)  # user, item, second


def list_windows(times: list[int], window: int) -> list[tuple[int, int]]:
    """Return events in the window that ends at each time, and its last second."""
    return [(sum(end - window < time <= end for time in times), end) for end in times]


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(1, 30), st.integers(2, 6), st.sampled_from([1e-6, 0.01, 3.0]))
def test_user_bursts_are_those_of_all_windows(events, window, least, alpha):
    user, _, time = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    best = {}
    for who in set(user.tolist()):
        windows = list_windows([t for u, _, t in events if u == who], window)
        most = max(n for n, _ in windows)
        best[who] = most, min(end for n, end in windows if n == most)
    median = float(np.median([n for n, _ in best.values()]))
    threshold = max(least, 1 + median * math.log2(len(best) / alpha))
    expected = sorted((-n, who, end) for who, (n, end) in best.items() if n >= threshold)
    found = find_user_bursts(user.astype(np.int32), time, window, least, alpha)
    assert [*zip((-found.events).tolist(), found.codes.tolist(), found.until.tolist(), strict=True)] == expected
    assert found.threshold == pytest.approx(threshold)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(1, 30), st.integers(2, 6), st.sampled_from([1e-3, 1.0, 1e9]), st.booleans())
def test_item_bursts_are_those_of_all_windows(events, window, least, alpha, few_bits):
    kept = sorted(
        {
            (u, i, t // window): min(s for a, b, s in events if (a, b, s // window) == (u, i, t // window))
            for u, i, t in events
        }.items()
    )
    times = [t for _, t in kept]
    expected = {}
    for item in {key[1] for key, _ in kept}:
        own = [t for key, t in kept if key[1] == item]
        for inside, end in list_windows(own, window):
            total = sum(end - window < t <= end for t in times)
            mean = (len(own) - 1) * (total - 1) / max(len(kept) - 1, 1)
            chance = stats.poisson.sf(inside - 2, mean)
            if inside >= max(least, 2) and chance * len(kept) <= alpha:
                expected[item] = min(expected.get(item, (np.inf, 0)), (round(chance, 12), -inside))
    user, item, time = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    before, bursts.MAX_KEY = bursts.MAX_KEY, 1 if few_bits else bursts.MAX_KEY
    try:
        found = find_item_bursts(user.astype(np.int32), item.astype(np.int32), time, window, least, alpha)
    finally:
        bursts.MAX_KEY = before
    assert set(found.codes.tolist()) == set(expected)
    for code, n, events in zip(found.codes.tolist(), found.events.tolist(), found.expected.tolist(), strict=True):
        chance, inside = expected[code]
        assert n == -inside
        assert stats.poisson.sf(n - 2, events - 1) == pytest.approx(chance, abs=1e-9)


def test_planted_bursts_are_found_and_named_and_nothing_else():
    rng = np.random.default_rng(0)
    n = 20_000
    log = pd.DataFrame(
        {
            "user": rng.integers(0, 400, n),
            "item": rng.integers(0, 300, n),
            "time": START + rng.integers(0, 90 * 86_400, n),
        }
    )
    assert not check_data(log).bursts
    robot = pd.DataFrame({"user": 7, "item": rng.integers(0, 300, 60), "time": START + 10**6 + np.arange(60)})
    attack = pd.DataFrame({"user": np.arange(25), "item": 11, "time": START + 2 * 10**6 + 30 * np.arange(25)})
    found = check_data(pd.concat([log, robot, attack]))
    assert [(one.kind, one.id) for one in found.bursts] == [("user", "7"), ("item", "11")]
    assert (found.bursts[0].events, found.bursts[1].events) == (60, 25)
    assert found.bursts[1].until == START + 2 * 10**6 + 30 * 24
    assert (found.find_figure("bursting_users").count, found.find_figure("bursting_items").count) == (1, 1)


BARE = {"user": [1, 1, 2], "item": [1, 2, 1]}


@pytest.mark.parametrize(
    ("log", "policy", "name", "note"),
    [
        (BARE, {}, "stale", "not known: no column datetime"),
        (BARE, {}, "future", "not known: no column datetime"),
        (BARE, {}, "third_party", "not known: no column source"),
        ({**BARE, "source": ["a", "b", "a"]}, {}, "third_party", "not known: the policy names no own_sources"),
        (BARE, {}, "without_consent", "not known: no column consent"),
        (BARE, {}, "without_purpose", "not known: no column purposes"),
        (BARE, {}, "conflicting_ratings", "not known: no column of ratings"),
        ({**BARE, "qty": [1, 2, 3]}, {}, "conflicting_ratings", "not known: column qty holds amounts, not ratings"),
        (BARE, {}, "conflicting_consents", "not known: no column consent"),
        (BARE, {}, "drift", "not known: no column datetime"),
        ({**BARE, "time": [START] * 3}, {}, "drift", "not known: more than half of the rows have the last time"),
        (BARE, {}, "bursting_users", "not known: no column datetime"),
        ({**BARE, "time": [1, 2, 3]}, {}, "bursting_items", "not known: times are steps, not moments"),
        ({**BARE, "time": [1, 2, 3]}, {}, "stale", "not known: times are steps, not moments"),
        (data.read_frame(BARE), {}, "duplicates", "not known: a Dataset is without them, check the table that it is made of"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said_and_beyond_any_limit(log, policy, name, note):
    found = check_data(log, {**policy, "limits": {name: 1.0}})
    one = found.find_figure(name)
    assert (one.share, one.note, one.is_exceeded) == (None, note, True)
    assert [one.name for one in found.exceeded] == [name]
    assert not check_data(log, policy).exceeded


def test_events_are_no_ratings():
    log = {**BARE, "event": ["view", "buy", "view"]}
    found = check_data(log, events={"view": 1, "buy": 3}).find_figure("conflicting_ratings")
    assert found.note == "not known: weights are those of events, not ratings"


def test_a_figure_at_its_limit_is_within():
    log = {**BARE, "consent": [1, 0, 1]}
    assert not check_data(log, {"limits": {"without_consent": 1 / 3}}).exceeded
    assert check_data(log, {"limits": {"without_consent": 0.33}}).exceeded


def test_a_drift_by_chance_is_within():
    rng = np.random.default_rng(3)
    log = {"user": np.arange(40) // 10, "item": rng.integers(0, 30, 40), "time": START + np.arange(40)}
    one = check_data(log, {"limits": {"drift": 0.0}}).find_figure("drift")
    assert one.is_chance
    assert not one.is_exceeded
    assert replace(one, is_chance=False, share=0.1).is_exceeded


def test_datasets_and_tables_have_the_same_figures():
    rng = np.random.default_rng(5)
    n = 300
    log = pd.DataFrame({"user": rng.integers(0, 30, n), "item": rng.integers(0, 30, n), "rating": rng.integers(1, 5, n), "time": START + np.arange(n) * 1000, "source": rng.choice(["web", "x"], n), "consent": rng.integers(0, 2, n), "purposes": rng.choice(["rank", "ads|rank", ""], n)})  # fmt: skip
    one, other = check_data(log, POLICY), check_data(recsys.read_dataset(log), POLICY)
    for name in TITLES:
        if name != "duplicates":
            assert one.find_figure(name) == other.find_figure(name)
    assert (one.rows_by_source, one.rows_by_purpose) == (other.rows_by_source, other.rows_by_purpose)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stale_afer = 3", "unknown key 'stale_afer': did you mean 'stale_after'? (known: as_of, burst_events, "),
        ("[limits]\nstal = 0.1", "[limits]: unknown key 'stal': did you mean 'stale'? (known: bursting_items, "),
        ("[limits]\nstale = 2", "[limits] stale is 2, expected a number from 0 to 1"),
        ("[limits]\nstale = true", "[limits] stale is True, expected a number from 0 to 1"),
        ("limits = 3", "limits is 3, expected a table [limits]"),
        ('as_of = "soon"', "as_of is 'soon', expected a day such as 2026-11-29"),
        ("as_of = 5", "as_of is 5, expected a day such as 2026-11-29"),
        ("stale_after = 0", "stale_after is 0, expected a number of days above 0"),
        ("purposes = []", "purposes is [], expected a list of names"),
        ('own_sources = "web"', "own_sources is 'web', expected a list of names"),
        ("burst_window = 0", "burst_window is 0, expected a whole number from 1 on"),
        ("burst_events = 1", "burst_events is 1, expected a whole number from 2 on"),
        ("conflict_gap = -1", "conflict_gap is -1, expected a number from 0 on"),
        ("as_of =", "not TOML: "),
    ],
)
def test_a_bad_policy_is_one_line(tmp_path, text, message):
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecsysError) as error:
        read_policy(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("table", "policy", "more", "message"),
    [
        ({**BARE, "purposes": ["ads", "", "rank"]}, {"purposes": ["add"]}, {}, "table: purposes: unknown purpose 'add': did you mean 'ads'? (known: ads, rank)"),
        (BARE, 5, {}, "policy: found a int, expected a TOML file, nested tables, or a policy"),
        (BARE, {"limit": {}}, {}, "policy: unknown key 'limit': did you mean 'limits'?"),
        (BARE, None, {"delimeter": ";"}, "check_data: unknown setting 'delimeter': did you mean 'delimiter'?"),
        (BARE, None, {"settings": {"a": 1}}, "setting 'a' is of a reader, expected one such as package.module:function"),
        ("ml-10k", None, {}, "unknown dataset 'ml-10k': did you mean 'ml-100k'?"),
        (7, None, {}, "table: found 7, expected a path, "),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(table, policy, more, message):
    with pytest.raises(RecsysError) as error:
        check_data(table, policy, **more)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_moments_of_policies():
    day = int(datetime(2026, 11, 29, tzinfo=UTC).timestamp())
    moments = ["2026-11-29", datetime(2026, 11, 29), datetime(2026, 11, 29).date(), "2026-11-29T01:00:00+01:00"]
    assert {read_policy({"as_of": one}).find_moment() for one in moments} == {day}
    assert read_policy(None).find_moment(datetime(2026, 11, 29, tzinfo=UTC)) == day


def test_every_figure_has_a_limit_and_a_title():
    found = check_data(BARE)
    assert [one.name for one in found.figures] == [*TITLES] == [*CheckLimits.__dataclass_fields__]


LOG = "user,item,rating,consent,source\n1,1,5,1,web\n1,1,2,0,web\n2,<b>,3,1,|x|\n2,3,3,1,web\n2,3,3,1,web\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG, encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    try:
        main(["data", "check", *map(str, arguments)])
    except SystemExit as stop:
        return int(str(stop.code))
    return 0


@pytest.mark.parametrize(
    ("limit", "code"), [("", 0), ("without_consent = 0.2", 0), ("without_consent = 0.19", 1), ("drift = 1.0", 1)]
)
def test_exit_codes(log, capsys, limit, code):
    policy = log.with_name("policy.toml")
    policy.write_text(f"[limits]\n{limit}\n", encoding="utf-8")
    assert run(log, "--policy", policy) == code
    said = capsys.readouterr().out
    assert "log: 5 rows, 2 users, 3 items; " in said
    assert ("beyond the limit" in said) == bool(code)
    assert "20.0%" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "nowhere.csv: no such file"),
        (["{log}", "--policy", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["{log}", "--out", "page.pdf"], "page.pdf: unknown kind of file '.pdf', expected .html, .md, .json"),
        (["{log}", "--column", "user_id=client"], "unknown column 'client'"),
    ],
)
def test_bad_input_ends_with_2(log, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(log.parent)
    assert run(*(one.format(log=log) for one in arguments)) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1
    assert not (log.parent / "page.pdf").exists()


def test_json_and_pages(log, capsys, tmp_path):
    assert run(log, "--json", "--out", tmp_path / "page.html") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["duplicates"]["count"] == 1
    assert told["figures"]["stale"]["share"] is None
    assert told["rows_by_source"] == {"web": 4, "|x|": 1}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Check of log</h1>" in page
    assert "|x|" in page
    found = check_data(log)
    assert page == render_check_page(replace(found, as_of=told["as_of"]))
    for suffix in ("md", "json"):
        write_check(found, tmp_path / f"page.{suffix}")
    assert json.loads((tmp_path / "page.json").read_text(encoding="utf-8")) == found.to_dict()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == render_check_markdown(found)
    assert r"\|x\|" in render_check_markdown(found)


@pytest.mark.parametrize("out", [None, 3, b"page.html", "a\0.html"])
def test_a_page_at_no_path_is_one_line(out):
    with pytest.raises(RecsysError, match=r"^out is .*, expected the path of a page$"):
        write_check(check_data(BARE), out)


def test_a_name_in_a_page_is_text():
    log = {**BARE, "source": ["<script>", "<script>", "a"]}
    page = render_check_page(check_data(log, name="<i>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<i>" not in page
