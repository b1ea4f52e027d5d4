"""What was shown: the log, limits and fatigue against slow counts, and rankers against the library."""

import pickle
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_maps, make_split

import recsys as rs
from recsys import metrics
from recsys.maths.exposures import count_exposures, find_limited_pairs
from recsys.rankers.exposures import collect_limits, hide_limited_items, parse_shown_rows
from recsys.rankers.fast_path import build_fast_path
from recsys.rankers.generic_path import pick_by_rerank
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Candidates, RequestUser, ShownRows, get_row_columns
from recsys.retrieval.candidates import make_context
from recsys.retrieval.exposures import build_exposure_histories
from recsys.types import Evaluation, GroundTruth, Pool, RecsysError
from recsys.types.exposures import DAY, ExposureLimit, make_empty_histories
from recsys.types.moments import parse_moment

g = rs.guards
WORLD = make_split(users=12, items=20, seed=4)
MAPS = make_maps(WORLD)
MODEL = RandomFactorModel(WORLD)
NOW = 100 * DAY
RANGE = {"relevance": 1.0}

rows = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 19), st.integers(90, 100), st.booleans()), min_size=0, max_size=60
)
limits = st.builds(
    ExposureLimit,
    max_exposures=st.integers(1, 3),
    window=st.integers(0, 8).map(lambda days: days * DAY),
    cool_down=st.integers(0, 8).map(lambda days: days * DAY),
)


def make_log(drawn):
    """The log of (user, item, day, dismissed) rows."""
    columns = np.array([row[:3] for row in drawn], np.int64).reshape(-1, 3)
    user, item, day = columns.T
    flags = np.array([row[3] for row in drawn], bool)
    return rs.Exposures(user, item, day * DAY, WORLD.user_ids, WORLD.item_ids, dismissed=flags)


def align(drawn, now=NOW, **bound):
    return build_exposure_histories(make_log(drawn), WORLD.user_ids, WORLD.item_ids, now=now, **bound)[0]


def count_slowly(drawn, user, item, window):
    """How often an item was shown to a user within the window."""
    return sum(u == user and i == item and NOW - day * DAY < window for u, i, day, _ in drawn)


def is_limited(drawn, user, item, limit):
    """Whether a limit excludes an item, row by row."""
    rests = any(u == user and i == item and d and NOW - day * DAY < limit.cool_down for u, i, day, d in drawn)
    return rests or count_slowly(drawn, user, item, limit.window) >= limit.max_exposures


def make_pool(drawn, users=None):
    with_shown = {} if drawn is None else {"shown": make_log(drawn), "now": NOW}
    return rs.candidates(MODEL, WORLD, n=12, maps=MAPS, users=users, **with_shown)


def fit(blend=None, model=MODEL, **settings):
    return rs.Ranker.fit(model, WORLD, blend or RANGE, maps=MAPS, scale=None, n=12, k=5, **settings)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 8))
def test_counts_are_those_of_a_slow_look(drawn, days):
    items = np.tile(np.arange(-1, 20), (12, 1))
    found = count_exposures(align(drawn), items, 20, days * DAY)
    slow = [
        [0 if i < 0 else count_slowly(drawn, u, i, days * DAY) for i in row] for u, row in enumerate(items.tolist())
    ]
    assert found.tolist() == slow
    assert count_exposures(align(drawn), items, 20).sum() == len(drawn)


@settings(max_examples=60, deadline=None)
@given(rows, limits)
def test_limits_exclude_what_a_slow_look_excludes_compiled_or_not(drawn, limit):
    histories = align(drawn)
    slow = [[is_limited(drawn, u, i, limit) for i in range(20)] for u in range(12)]
    assert (find_limited_pairs(histories, limit, 20).toarray() > 0).tolist() == slow
    table = collect_limits([rs.Guard("one", lambda pool, k: None, exposure_limit=limit)])
    for user in range(12):
        mine = histories.take_users([user])
        asker = RequestUser(user, mine.items[:0], shown=ShownRows(mine.items, mine.times, mine.dismissed, NOW), now=NOW)
        assert hide_limited_items(asker, table).hidden.tolist() == np.flatnonzero(slow[user]).tolist()


@settings(max_examples=30, deadline=None)
@given(rows, st.integers(1, 3), st.integers(1, 8), st.integers(1, 8))
def test_slates_hold_no_item_at_its_cap_and_none_that_was_dismissed_lately(drawn, m, window, rest):
    guards = [g.frequency_cap(m, window_days=window), g.cool_down(rest)]
    slates = rs.rerank(make_pool(drawn), {**RANGE, "mmr": 0.2}, k=5, guards=guards)
    alone = [rs.rerank(make_pool(drawn), RANGE, k=12, guards=[one]).items for one in guards]
    for user, slate in enumerate(slates.items.tolist()):
        for item in (item for item in slate if item >= 0):
            assert count_slowly(drawn, user, item, window * DAY) < m
            assert not any((u, i) == (user, item) and d and NOW - day * DAY < rest * DAY for u, i, day, d in drawn)
            assert all(item in one[user] for one in alone)  # both permit it
    assert not slates.violations.any()


@settings(max_examples=20, deadline=None)
@given(rows, st.randoms(use_true_random=False), st.integers(1, 4))
def test_the_order_of_a_log_changes_nothing(drawn, random, most):
    shuffled = list(drawn)
    random.shuffle(shuffled)
    for bound in ({}, {"max_per_user": most}):
        one, two = align(drawn, **bound), align(shuffled, **bound)
        for name in ("pointers", "items", "times", "dismissed"):
            assert np.array_equal(getattr(one, name), getattr(two, name))


def test_each_user_keeps_the_most_recent_rows():
    drawn = [(0, 1, 90, False), (0, 2, 95, False), (0, 3, 99, True), (1, 4, 91, False)]
    kept, notes = build_exposure_histories(make_log(drawn), WORLD.user_ids, WORLD.item_ids, now=NOW, max_per_user=2)
    assert kept.items.tolist() == [2, 3, 4] and kept.dismissed.tolist() == [False, True, False]
    assert notes == ("shown: the most recent 2 of each user are kept, 1 older exposures left out",)


@pytest.mark.parametrize("drawn", [None, [], [(0, 1, 99, False)]], ids=["no log", "an empty log", "others' rows"])
def test_without_exposures_of_a_user_answers_are_bit_equal(drawn):
    blends = {**RANGE, "mmr": 0.2, "negative_space": 0.3}
    guards = [g.frequency_cap(1, window_days=30), g.cool_down(30)]
    plain = fit(blends)
    shown = {} if drawn is None else {"shown": make_log(drawn)}
    limited, tired = fit(blends, guards=guards, **shown), fit({**blends, "fatigue": 0.7}, **shown)
    for asks in [{"user": WORLD.user_ids[3]}, {"history": WORLD.item_ids[:3].tolist()}]:
        base = plain.rank(**asks)
        for one in (limited.rank(**asks, now=NOW), tired.rank(**asks, now=NOW), plain.rank(**asks, shown=[])):
            assert one.items == base.items
            assert one.scores.tobytes() == base.scores.tobytes()
            assert one.violations == {} and one.notes == base.notes
    if drawn is None:
        slates = rs.rerank(make_pool([]), blends, k=5, guards=guards)
        assert slates.items.tobytes() == rs.rerank(make_pool(None), blends, k=5).items.tobytes()


BLENDS = {
    "fast": {**RANGE, "mmr": 0.2, "fatigue": {"weight": 0.8, "exponent": 0.7}},
    "fast, window": {**RANGE, "fatigue": {"weight": 2.0, "window_days": 4}},
    "generic": {**RANGE, "dpp": 0.2, "fatigue": 0.8},
}


@pytest.mark.parametrize("policy", [{}, {"temperature": 0.4, "seed": 3}], ids=["greedy", "drawn"])
@pytest.mark.parametrize("blend", BLENDS.values(), ids=list(BLENDS))
@settings(max_examples=8, deadline=None)
@given(drawn=rows, user=st.integers(0, 11))
def test_a_ranker_answers_as_the_library_does_for_users_known_and_new(blend, policy, drawn, user):
    guards = [g.frequency_cap(2, window_days=5), g.cool_down(3)]
    held = fit(blend, guards=guards, shown=make_log(drawn), **policy)
    bare = fit(blend, guards=guards, **policy)
    pool = make_pool(drawn, users=np.array([user]))
    ids = [WORLD.item_ids[i] for i in pool.items[0] if i >= 0]
    asks = {"items": ids, "scores": pool.scores[0, : len(ids)], "now": NOW}
    drawing = {name: value for name, value in policy.items() if name == "temperature"}
    expected = rs.rerank(pool, blend, 5, scale=None, guards=guards, seed=policy.get("seed", 0), **drawing)
    mine = [(WORLD.item_ids[i], day * DAY, d) for u, i, day, d in drawn if u == user]
    history = WORLD.item_ids[get_row_columns(WORLD.train, user)].tolist()
    known = {"user": WORLD.user_ids[user]}
    answers = [held.rerank(**asks, **known), bare.rerank(**asks, **known, shown=mine)]
    answers += [held.rerank(**asks, **known, shown=mine)]  # rows that are held already count once
    for answer in answers:
        assert list(answer.items) == [WORLD.item_ids[i] for i in expected.items[0] if i >= 0]
        np.testing.assert_allclose(answer.scores, expected.scores[0, : len(answer.items)], rtol=1e-5, atol=1e-6)
        if policy:
            found = expected.log_propensity[0, : len(answer.items)]
            np.testing.assert_allclose(answer.log_propensity, found, rtol=1e-4, atol=1e-5)
    if not policy:  # draws of a new user have a key of their own
        new = bare.rerank(**asks, history=history, shown=mine)
        assert new.items == answers[0].items
        np.testing.assert_allclose(new.contributions, answers[0].contributions, rtol=1e-5, atol=1e-6)
    ranked = held.rank(**known, now=NOW)
    assert ranked.items == bare.rank(**known, shown=mine, now=NOW).items
    limited = [find_limited_pairs(align(drawn), one.exposure_limit, 20)[[user]].indices for one in guards]
    assert not {WORLD.item_ids[i] for i in np.concatenate(limited)} & set(ranked.items)


@settings(max_examples=30, deadline=None)
@given(rows, st.sampled_from(["", "softmax", "logistic"]), st.booleans(), st.integers(0, 11))
def test_fatigue_of_the_compiled_path_is_the_objectives(drawn, kind, is_new, user):
    context = make_context(WORLD, MODEL, maps=MAPS, shown=align(drawn))
    mine = align(drawn).take_users([user])
    history = np.zeros(0, np.int32) if is_new else get_row_columns(WORLD.train, user)
    shown = ShownRows(mine.items, mine.times, mine.dismissed, NOW)
    asker = RequestUser(-1 if is_new else user, history, shown=shown, now=NOW)
    rng = np.random.default_rng(user)
    scores = np.sort(rng.normal(size=9).astype(np.float32))[::-1].copy()
    kind = kind if len(history) else ""  # a likelihood orders no candidates of somebody without a history
    found = Candidates(rng.permutation(20)[:9].astype(np.int32), scores, likelihood_kind=kind)
    blend, policy = {**RANGE, "fatigue": {"weight": 1.5, "window_days": 6.0}}, Policy(4, 9)
    ones = {"relevance": 1.0, "fatigue": 1.0}
    fast = build_fast_path(context, blend, ones, policy).pick_slate(asker, found, 4, 0)
    slow = pick_by_rerank(context, blend, ones, policy, asker, found, 4, 0)
    assert fast.positions.tolist() == slow.positions.tolist()
    np.testing.assert_allclose(fast.contributions, slow.contributions, rtol=1e-6, atol=1e-7)


def test_fatigue_beside_relevance_is_the_power_law():
    drawn = [(0, 3, 99, False)] * 3 + [(0, 5, 91, True)]
    users, items = np.array([0], np.int32), np.array([[5, 3, 7]], np.int32)
    pool = Pool(users, items, np.array([[3.0, 2.0, 1.0]]), make_context(WORLD, shown=make_log(drawn), now=NOW))
    first = np.array([1.0, 0.5, 0.0])
    exposure = np.array([2, 4, 1])  # the one that this would be
    gains = rs.objectives.fatigue(pool, 2, exponent=0.5).gain[0]
    np.testing.assert_allclose(first + gains, first * exposure**-0.5, atol=1e-6)
    recent = rs.objectives.fatigue(pool, 2, exponent=0.5, window_days=5).gain[0]
    np.testing.assert_allclose(recent, [0.0, 0.5 * (4**-0.5 - 1), 0.0], atol=1e-6)


def test_no_item_is_shown_more_often_than_its_cap_while_slates_are_logged():
    ranker = fit(guards=[g.frequency_cap(2, window_days=3)])
    shown = []
    for day in range(8):
        now = datetime(2026, 1, 1 + day, tzinfo=UTC)
        answer = ranker.rank(user=WORLD.user_ids[0], shown=shown, now=now)
        shown += [{"item": item, "timestamp": now} for item in answer.items]
    days = pd.DataFrame(shown).groupby("item")["timestamp"].agg(list)
    assert all(
        sum(one <= start + pd.Timedelta(2, "D") for one in when[n:]) <= 2
        for when in days
        for n, start in enumerate(when)
    )
    assert max(map(len, days)) > 2  # items come back


def test_a_dismissal_of_a_held_exposure_counts():
    ranker = fit(guards=[g.cool_down(10)], shown=make_log([(0, 1, 99, False)]))
    item, who = WORLD.item_ids[1], {"user": WORLD.user_ids[0], "items": WORLD.item_ids.tolist(), "k": 20}
    assert item in ranker.rerank(scores=np.zeros(20), now=NOW, **who).items
    assert item not in ranker.rerank(scores=np.zeros(20), now=NOW, shown=[(item, 99 * DAY, True)], **who).items


def test_a_short_slate_says_that_guards_exclude():
    ranker = fit(guards=[g.frequency_cap(1, window_days=5)])
    shown = [(item, NOW) for item in WORLD.item_ids[:18]]
    answer = ranker.rank(history=[], shown=shown, now=NOW)
    assert answer.notes == (
        "The slate has 2 of 5 picks: 2 candidates were retrieved (n = 12), guards exclude 18 of the 20 items.",
    )
    given = ranker.rerank(WORLD.item_ids.tolist(), np.zeros(20), shown=shown, now=NOW)
    assert set(given.items) == set(WORLD.item_ids[18:]) and "guards exclude 18 of the 20 items" in given.notes[0]
    empty = ranker.rank(history=[], shown=[(item, NOW) for item in WORLD.item_ids], now=NOW)
    assert empty.items == () and "guards exclude 20 of the 20 items" in empty.notes[0]


def test_limits_hold_beside_other_guards_and_with_an_index():
    shown = [(WORLD.item_ids[3], NOW)]
    guards = [g.frequency_cap(1, window_days=5), g.pin(1, WORLD.item_ids[4]), g.exclude(items=[WORLD.item_ids[5]])]
    for ranker in (fit(guards=guards), fit({**RANGE, "dpp": 0.2}, guards=guards)):
        answer = ranker.rank(history=[], shown=shown, now=NOW, k=12)
        assert answer.items[0] == WORLD.item_ids[4]
        assert not {WORLD.item_ids[3], WORLD.item_ids[5]} & set(answer.items)
        asked = ranker.rerank(WORLD.item_ids.tolist(), np.zeros(20), shown=shown, now=NOW, k=20)
        assert len(asked.items) == 18 and asked.violations == {}
    model = rs.models.ALS(factors=4, iterations=3).fit(WORLD.train)
    indexed = rs.Ranker.fit(model, WORLD, RANGE, maps=MAPS, scale=None, n=12, k=5, index_recall=0.9, guards=[guards[0]])
    first = indexed.rank(history=[]).items[0]
    assert first not in indexed.rank(history=[], shown=[(first, NOW)], now=NOW).items


def test_a_saved_ranker_knows_what_was_shown(tmp_path):
    drawn = [(0, 1, 99, True), (0, 2, 98, False), (5, 7, 97, False)]
    guards = [g.frequency_cap(1, window_days=30), g.cool_down(30)]
    model = rs.models.ALS(factors=4, iterations=3).fit(WORLD.train)
    ranker = fit({**RANGE, "fatigue": 0.3}, model, guards=guards, shown=make_log(drawn))
    assert ranker.name != fit({**RANGE, "fatigue": 0.3}, model, guards=guards).name
    ranker.save(tmp_path / "r")
    others = [rs.Ranker.load(tmp_path / "r", verify=True), pickle.loads(pickle.dumps(ranker))]
    for other in others:
        assert other.name == ranker.name
        for user in (0, 5, 7):
            asks = {"user": WORLD.user_ids[user], "now": NOW}
            assert other.rank(**asks).items == ranker.rank(**asks).items
            assert other.rank(**asks).scores.tobytes() == ranker.rank(**asks).scores.tobytes()


def test_rows_of_unknown_items_and_users_are_counted():
    other = rs.read_exposures({"user": ["stranger", "u1", "u1"], "item": ["i1", "no such", "i2"], "time": [5, 6, 7]})
    with pytest.warns(rs.RecsysWarning, match="2 exposures of unknown users or items: left out"):
        ranker = fit(shown=other)
    assert ranker.about["shown"] == ("ranker: shown: 2 exposures of unknown users or items: left out",)
    with pytest.warns(rs.RecsysWarning, match="2 exposures of unknown users or items: left out"):
        pool = rs.candidates(MODEL, WORLD, n=3, shown=other)
    assert len(pool.context.exposures.items) == 1
    answer = ranker.rank(user="u1", shown=[("no such", 9), ("i3", 9)], now=8)
    assert answer.notes == (
        "Exposures of items that the ranker does not know are left out: 1.",
        "Exposures after now count as now: 1.",
    )


def test_an_exposure_after_now_counts_as_now():
    ranker = fit(guards=[g.frequency_cap(1, window_days=1)])
    item = ranker.rank(history=[], now=NOW).items[0]
    assert item not in ranker.rank(history=[], shown=[(item, NOW + 50 * DAY)], now=NOW).items


def test_requests_of_a_batch_bring_their_own_exposures():
    ranker = fit(guards=[g.frequency_cap(1, window_days=30)])
    first = ranker.rank(history=[], now=NOW).items[0]
    shown = [[(first, NOW)], None, [("i1", "no time")]]
    batch = ranker.rank_many(histories=[[], [], []], shown=shown, now=NOW)
    assert first not in batch[0].items and batch[1].items[0] == first and isinstance(batch[2], RecsysError)
    ids, scores = WORLD.item_ids.tolist(), np.zeros(20)
    again = ranker.rerank_many([ids, ids], [scores, scores], shown=[[(first, NOW)], []], now=NOW, k=20)
    assert [len(one.items) for one in again] == [19, 20]


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (5, "ranker: shown is 5, expected rows such as"),
        ("i1", "ranker: shown is 'i1', expected rows"),
        ([5], "ranker: shown: row 1 is 5, expected rows"),
        ([("i1",)], "ranker: shown: row 1 is .*, expected rows"),
        ([("i1", 5, True, 3)], "ranker: shown: row 1 is .*, expected rows"),
        ([("i1", 5), {"item": "i1"}], "ranker: shown: row 2 has no datetime, expected rows"),
        ([{"datetime": 5}], "ranker: shown: row 1 has no item_id"),
        ([(None, 5)], "row 1: item_id is None, expected an id"),
        ([(["i1"], 5)], "row 1: item_id is .*, expected an id"),
        ([("i1", float("nan"))], "row 1: datetime is nan, expected seconds since 1970"),
        ([("i1", float("inf"))], "row 1: datetime is inf, expected seconds"),
        ([("i1", "yesterday")], "row 1: datetime is 'yesterday', expected seconds"),
        ([("i1", None)], "row 1: datetime is None"),
        ([("i1", True)], "row 1: datetime is True"),
        ([("", 5)], "row 1: item_id is '', expected an id"),
        ([("i1", 10**12)], "row 1: datetime is 1000000000000, expected seconds"),
        ([("i1", np.datetime64("NaT", "s"))], "row 1: datetime is .*NaT"),
        ([("i1", 5, "maybe")], "row 1: dismissed is 'maybe', expected true or false"),
        ([("i1", 5, [1])], "row 1: dismissed is"),
        ({"item": ["i1"], "time": [5, 6]}, "ranker: shown has columns that are no lists of one length"),
        ({"item": "i1", "time": 5}, "ranker: shown has columns that are no lists"),
        (pd.DataFrame({"item": ["i1"]}), "ranker: shown is"),
    ],
)  # fmt: skip
def test_exposures_of_a_request_that_cannot_be_read_are_one_line(shown, line):
    with pytest.raises(RecsysError, match=line) as error:
        fit().rank(history=[], shown=shown, now=9)
    assert "\n" not in str(error.value)


def test_exposures_of_a_request_have_many_forms():
    day = datetime(1970, 1, 2, tzinfo=UTC)
    forms = [
        [("i1", DAY, 1), ("i2", 2 * DAY, 0)],
        [{"movieId": "i1", "timestamp": day, "dismissed": True}, {"item_id": "i2", "time": "1970-01-03"}],
        {"item": ["i1", "i2"], "datetime": [day, np.datetime64("1970-01-03")], "dismissed": [True, None]},
    ]
    for form in forms:
        items, times, dismissed = parse_shown_rows(form)
        assert (items, times.tolist(), dismissed.tolist()) == (["i1", "i2"], [DAY, 2 * DAY], [True, False])


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: g.frequency_cap(0, window_days=1), "frequency_cap: m is 0, expected a whole number from 1 on"),
        (lambda: g.frequency_cap(1, window_days=0), "frequency_cap: window_days is 0, expected a number above 0"),
        (lambda: g.cool_down(1e300), "cool_down: days is 1e\\+300, expected a number"),
        (lambda: g.cool_down(float("nan")), "cool_down: days is nan, expected a number above 0"),
        (lambda: rs.rerank(make_pool(None), RANGE, guards=[g.cool_down(1)], k=3), "cool_down needs what was shown"),
        (lambda: rs.rerank(make_pool(None), {"fatigue": 1.0}, k=3), "fatigue needs what was shown before"),
        (lambda: rs.objectives.fatigue(make_pool([]), 3, exponent=-1), "fatigue: exponent is -1"),
        (lambda: rs.objectives.fatigue(make_pool([]), 3, window_days=0), "fatigue: window_days is 0"),
        (lambda: rs.candidates(MODEL, WORLD, n=3, shown=5), "shown: found a int, expected an Exposures"),
        (lambda: rs.candidates(MODEL, WORLD, n=3, shown=make_log([(0, 1, 99, False)]), now=98 * DAY),
         "shown: now is 1970-04-09 00:00:00, and an exposure is of 1970-04-10 00:00:00, expected none after now"),
        (lambda: fit(shown=[("i1", 5)]), "ranker: shown: found a list, expected an Exposures"),
        (lambda: fit(max_shown=0), "ranker: max_shown is 0"),
        (lambda: rs.Ranker.fit(MODEL, WORLD, {"relevance": 1.0, "fatigue": 1.0}, maps=MAPS),
         "ranker: found no exposures to fit the scale of 'fatigue' on, expected a log of them, or scales"),
        (lambda: fit().rank(history=[], now="soon"), "ranker: now is 'soon', expected seconds since 1970"),
        (lambda: fit().rank_many(histories=[[]], shown=[[], []]), "found 2 for shown, expected 1: one for each"),
        (lambda: fit().rank_many(histories=[[]], shown={"i1": 5}), "shown is of type dict, expected a list"),
        (lambda: replace(make_log([(0, 1, 99, False)]), datetime=np.array([1.5])), "exposures: datetime is of type"),
        (lambda: replace(make_log([(0, 1, 99, False)]), item=np.array([20])), "exposures: item holds 20 to 20"),
        (lambda: rs.read_exposures([{"user": 1, "item": 2}]), "shown: no column for datetime"),
        (lambda: rs.read_exposures([{"user": 1, "item": 2, "time": float("inf")}]), "row 1: time is 'inf'"),
        (lambda: rs.read_exposures([{"user": 1, "item": 2, "time": 5, "slot": 0}]), "row 1: slot is '0', expected a whole"),
        (lambda: rs.read_exposures([{"user": 1, "item": None, "time": 5}]), "item is missing, expected an id"),
        (lambda: rs.read_exposures([{"user": 1, "item": 2, "time": 5, "clicked": "x"}]), "expected true or false"),
        (lambda: rs.read_exposures([{"user": 1, "item": 2, "time": 5, "consent": 0}]), "no exposures are left"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(call, line):
    with pytest.raises(RecsysError, match=line) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"items": np.array([3, 1], np.int32)}, {"items": np.array([1, 99], np.int32)}, {"times": np.zeros(1, np.int64)},
        {"pointers": np.array([0, 3, *[2] * 11])}, {"dismissed": np.zeros(2, np.int8)},
    ],
)  # fmt: skip
def test_histories_that_point_elsewhere_are_refused(change):
    whole = align([(0, 1, 99, False), (0, 3, 99, False)])
    whole.check_histories("x", (12, 20))
    with pytest.raises(RecsysError, match="x"):
        replace(whole, **change).check_histories("x", (12, 20))


def test_files_and_tables_are_read_alike(tmp_path):
    table = pd.DataFrame(
        {
            "visitorId": [7, 7, 8], "sku": ["a", "b", "a"], "Position": [1, 2, None], "created_at": ["2026-01-01"] * 3,
            "clicked": [True, False, None], "dismissed": ["no", "yes", ""], "policy": ["p", "p", None],
            "seed": [3, None, 0], "consent": [1, 1, 1],
        }
    )  # fmt: skip
    table.to_csv(tmp_path / "log.csv", index=False)
    table.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    table.to_parquet(tmp_path / "log.parquet")
    for source in (table, *(tmp_path / f"log.{kind}" for kind in ("csv", "jsonl", "parquet")), table.to_dict("list")):
        made = rs.read_exposures(source)
        assert made.user_ids.tolist() == ["7", "8"] and made.item_ids.tolist() == ["a", "b"]
        assert made.datetime.tolist() == [parse_moment("x", "2026-01-01")] * 3
        assert made.slot.tolist() == [1, 2, 0] and made.seed.tolist() == [3, -1, 0]
        assert made.policy.tolist() == ["p", "p", ""]
        assert made.clicked.tolist() == [True, False, False] and made.dismissed.tolist() == [False, True, False]
    left = rs.read_exposures(table.assign(consent=[1, 0, 1]), {"datetime": "created_at"})
    assert left.item_ids.tolist() == ["a"] and left.notes == ("1 exposures without consent: left out",)


def test_repeats_are_picks_that_were_shown_before():
    drawn = [(0, 1, 99, False), (0, 1, 98, False), (1, 2, 99, False)]
    slates = np.full((12, 3), -1, np.int32)
    slates[:3] = [[1, 2, 3], [2, -1, -1], [1, 2, 3]]
    found = metrics.repeat_share(Evaluation(slates, GroundTruth(WORLD, exposures=align(drawn))), 2).values
    assert found[:3].tolist() == [0.5, 1.0, 0.0] and np.isnan(found[3:]).all()
    assert np.isnan(metrics.repeat_share(Evaluation(slates, GroundTruth(WORLD)), 2).values).all()


@pytest.mark.parametrize("split", [WORLD, None], ids=["split", "no split"])
def test_pools_of_scores_made_elsewhere_know_what_was_shown(split):
    users, items = ["u0", "u0", "u1"], ["i1", "i2", "i1"]
    fresh = ~(WORLD.seen.toarray() != 0)
    if split is not None:
        users, items = zip(*[(f"u{u}", f"i{i}") for u in (0, 1) for i in np.flatnonzero(fresh[u])[:3]], strict=True)
    log = rs.read_exposures({"user": users[:1], "item": items[:1], "time": [5]})
    known = {"shown": log, "now": 6, "split": split}
    pool = rs.Pool.from_frame(users, items, np.arange(len(users))[::-1], **known)
    slates = rs.rerank(pool, RANGE, k=1, guards=[g.frequency_cap(1, window_days=1)])
    shown = pool.context.item_ids[slates.items[:, 0]]
    assert shown[0] == items[1] and shown[1] == items[users.index("u1")]


def test_a_cap_that_nobody_reaches_excludes_nothing():
    pool, base = make_pool([(0, 1, 99, False)]), rs.rerank(make_pool([]), RANGE, k=5)
    for guard in (g.frequency_cap(2**70, window_days=9), g.at_most(2**70)):
        assert (rs.rerank(pool, RANGE, k=5, guards=[guard]).items == base.items).all()


def test_nobody_was_shown_anything():
    empty = make_empty_histories(12)
    empty.check_histories("x", (12, 20))
    assert not count_exposures(empty, np.zeros((12, 2), np.int32), 20).any()
    assert find_limited_pairs(empty, ExposureLimit(1, DAY), 20).nnz == 0
