"""Dials that are stored for users: who has which, until when, and what of it is kept, copied or refused."""

import pickle
import re
import time
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_exposures, make_maps, make_split, reseal_manifest
from test_dials import check_same
from test_rankers import run_cli

import recsys as rs
from recsys.rankers import Ranker
from recsys.reranking import guards
from recsys.types import RecsysError, RecsysWarning

BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "unexplored": 0.2},
    "library": {"relevance": 1.0, "mmr": 0.3, "unexplored": 0.2, "novelty": 0.1},
}
CONTROL = {"dials": {"mmr": [0.25, 4]}}


@cache
def make_ranker(name="compiled", users=60, blend=None, control=True):
    split = make_split(users=users, seed=4)
    fitted = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    maps = make_maps(split)
    return Ranker.fit(fitted, split, BLENDS[name], maps=maps, n=20, k=6, control=CONTROL if control else None)


USERS, OBJECTIVES = ("u1", "u2"), ("mmr", "relevance", "unexplored")
SET = st.tuples(
    st.sampled_from(USERS),
    st.dictionaries(st.sampled_from(OBJECTIVES), st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=1),
    st.none() | st.integers(1, 8),  # how long
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), SET | st.sampled_from(USERS)), max_size=8), st.integers(0, 12))
def test_a_dial_that_has_ended_is_as_if_it_had_not_been_set(steps, later):
    """Against a replay of every step: those that have ended are left out, the last of the others holds."""
    ranker, now, done = make_ranker(), 0, []
    for waited, step in steps:
        now += waited
        if isinstance(step, str):
            ranker, done = ranker.clear_user_dials([step]), [one for one in done if one[0] != step]
            continue
        user, weights, lasts = step
        until = None if lasts is None else now + lasts
        ranker = ranker.set_user_dials({user: weights}, until=until, now=now)
        done.append((user, weights, np.inf if until is None else until))
    for asked in (now, now + later):
        for user in USERS:
            expected = {}
            for one, weights, until in done:
                if one == user and asked < until:
                    expected |= weights
            answer = ranker.rank(user=user, now=asked)
            assert answer.dials == {name: factor for name, factor in expected.items() if factor != 1}
            check_same(answer, make_ranker().rank(user=user, weights=expected))


@settings(max_examples=30, deadline=None)
@given(st.lists(SET, max_size=30))
def test_rows_that_nothing_can_read_are_not_kept(steps):
    ranker = make_ranker()
    for now, (user, weights, lasts) in enumerate(steps):
        ranker = ranker.set_user_dials({user: weights}, until=None if lasts is None else now + lasts, now=now)
    if steps:
        held, rows = set(), ranker.user_dials
        for n in reversed(range(len(rows))):  # each row ends after all that were set later for its user and objective
            key = (rows.user_ids[n], rows.objectives[n])
            assert all(rows.until[n] > until for other, until in held if other == key)
            held.add((key, rows.until[n]))
        assert (rows.until > len(steps) - 1).all()


@pytest.mark.parametrize("name", BLENDS)
def test_stored_dials_are_those_of_the_user_alone_and_a_request_replaces_them(name):
    plain = make_ranker(name)
    ranker = plain.set_user_dials({"u1": {"mmr": 2.0, "unexplored": 0}, "u2": {"mmr": 0.5}})
    assert ranker.name == plain.name and plain.user_dials is None
    check_same(ranker.rank(user="u1"), plain.rank(user="u1", weights={"mmr": 2.0, "unexplored": 0.0}))
    check_same(ranker.rank(user="u1", weights={"mmr": 1}), plain.rank(user="u1", weights={"unexplored": 0.0}))
    check_same(
        ranker.rank(user="u2", weights={"relevance": 2}), plain.rank(user="u2", weights={"mmr": 0.5, "relevance": 2})
    )
    for asks in ({"user": "u3"}, {"history": ["i1", "i2"]}, {}):
        check_same(ranker.rank(**asks), plain.rank(**asks))
    check_same(ranker.rank(user="u1", profile_free=True), plain.rank(profile_free=True))
    many = ranker.rank_many(users=["u1", "u2", "u3"], weights=[{"mmr": 4}, None, None])
    for user, answer, weights in zip(("u1", "u2", "u3"), many, ({"mmr": 4}, None, None), strict=True):
        check_same(answer, ranker.rank(user=user, weights=weights))
    more = {"user": "u2", "more": ["i5"]}
    check_same(ranker.rank(**more), plain.rank(**more, weights={"mmr": 0.5}))
    cleared = ranker.clear_user_dials(["u1", "u2"])
    assert cleared.user_dials is None
    check_same(cleared.rank(user="u1"), plain.rank(user="u1"))


def test_the_clock_says_what_time_it_is_where_a_request_does_not(monkeypatch):
    ranker = make_ranker().set_user_dials({"u1": {"mmr": 2}}, until=time.time() + 3600)
    assert ranker.rank(user="u1").dials == {"mmr": 2.0}
    moment = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: moment)
    assert ranker.rank(user="u1").dials == {}
    assert ranker.rank(user="u1", now=moment - 2).dials == {"mmr": 2.0}  # whatever the clock says


def test_a_request_before_a_dial_was_set_has_it(recwarn):
    """The rule for a clock that runs backwards between two machines: the end alone counts."""
    ranker = make_ranker().set_user_dials({"u1": {"mmr": 2}}, until=200, now=100)
    assert [ranker.rank(user="u1", now=now).dials for now in (50, 199.9, 200)] == [{"mmr": 2.0}, {"mmr": 2.0}, {}]


def test_they_are_kept_with_the_artefact_and_not_in_its_name(tmp_path):
    plain = make_ranker()
    ranker = plain.set_user_dials({"u1": {"mmr": 2}}, until=200, now=100).set_user_dials({"u2": {"mmr": 0.5}}, now=150)
    loaded = Ranker.load(ranker.save(tmp_path / "ranker"), verify=True)
    assert loaded.name == plain.name == Ranker.load(plain.save(tmp_path / "plain")).name
    for made in (loaded, pickle.loads(pickle.dumps(ranker))):
        assert [made.rank(user=user, now=199).dials for user in ("u1", "u2")] == [{"mmr": 2.0}, {"mmr": 0.5}]
        assert made.rank(user="u1", now=200).dials == {}
        for column in ("user_ids", "objectives", "factors", "since", "until"):
            assert getattr(made.user_dials, column).tolist() == getattr(ranker.user_dials, column).tolist()
    again = loaded.set_user_dials({"u1": {"mmr": 1}}, now=160).save(tmp_path / "ranker")
    assert Ranker.load(again).rank(user="u1", now=199).dials == {}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("user_ids", ["nobody"], "is damaged: ranker: user 'nobody' is none of the 60"),
        ("objectives", ["novelty"], "is damaged: ranker: dials of user 'u1': unknown objective 'novelty'"),
        ("factors", [5.0], "dials of user 'u1': the factor of 'mmr' is 5.0, expected a number from 0.25 to 4"),
        ("factors", [np.nan], "user_dials: factors holds NaN or infinity"),
        ("factors", [1.0, 2.0], "user_dials: factors has shape (2,), expected 1"),
        ("factors", ["x"], "user_dials: factors"),
        ("since", [np.inf], "user_dials: since holds NaN or infinity"),
        ("until", [100.0], "user_dials: a dial ends before it was set"),
        ("until", [np.nan], "user_dials: a dial ends before it was set"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, column, value, message):
    folder = make_ranker().set_user_dials({"u1": {"mmr": 2}}, now=100).save(tmp_path / "ranker")
    np.save(folder / f"user_dials.0.{column}.npy", np.array(value))
    reseal_manifest(folder, named=True)
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        Ranker.load(folder)
    assert "\n" not in str(error.value)


def test_the_next_artefact_takes_them_over():
    old = make_ranker(users=60).set_user_dials({"u1": {"mmr": 2}, "u55": {"relevance": 0.5}}, now=5)
    other = make_ranker(users=50)
    with pytest.warns(
        RecsysWarning, match=r"^ranker: dials of 1 users are left out: it was not fitted to these users$"
    ):
        new = other.set_user_dials({"u3": {"mmr": 4}}, now=7).copy_user_dials(old)
    assert new.user_dials.user_ids.tolist() == ["u1"] and new.rank(user="u1").dials == {"mmr": 2.0}
    assert new.rank(user="u3").dials == {}  # those of the old one alone
    assert make_ranker().copy_user_dials(new).rank(user="u1").dials == {"mmr": 2.0}  # no warning
    assert new.copy_user_dials(make_ranker()).user_dials is None
    wide = make_ranker(control=False).set_user_dials({"u1": {"mmr": 5}})
    with pytest.raises(
        RecsysError, match=r"^ranker: dials of user 'u1': the factor of 'mmr' is 5.0, expected a number"
    ):
        make_ranker().copy_user_dials(wide)
    with pytest.raises(RecsysError, match=r"^ranker: dials of user 'u1': unknown objective 'novelty'"):
        make_ranker().copy_user_dials(make_ranker("library").set_user_dials({"u1": {"novelty": 5}}))


@pytest.mark.parametrize(
    ("dials", "times", "message"),
    [
        ({"nobody": {"mmr": 1}}, {}, "ranker: user 'nobody' is none of the 60 that it was fitted to, expected one of"),
        ({"u1": {"mmmr": 1}}, {}, "ranker: dials of user 'u1': unknown objective 'mmmr': did you mean 'mmr'?"),
        (
            {"u1": {"mmr": 5}},
            {},
            "ranker: dials of user 'u1': the factor of 'mmr' is 5, expected a number from 0.25 to 4",
        ),
        ({"u1": 2.0}, {}, "ranker: dials of user 'u1': found 2.0, expected objectives and factors"),
        ("u1", {}, "ranker: dials are 'u1', expected users and weights such as"),
        (
            {"u1": {"mmr": 1}},
            {"until": 100},
            "ranker: until is 1970-01-01T00:01:40Z, which is over now (1970-01-01T00:01:40Z), expected a later time",
        ),
        (
            {"u1": {"mmr": 1}},
            {"until": 200, "now": 49},
            "ranker: now is 1970-01-01T00:00:49Z, before dials were set (1970-01-01T00:00:50Z), expected a clock",
        ),
        ({"u1": {"mmr": 1}}, {"until": float("nan")}, "ranker: until is nan"),
        ({"u1": {"mmr": 1}}, {"until": "tomorrow"}, "ranker: until is 'tomorrow'"),
        ({"u1": {"mmr": 1}}, {"now": float("inf")}, "ranker: now is inf"),
    ],
)
def test_dials_that_cannot_be_set_are_one_line_and_change_nothing(dials, times, message):
    ranker = make_ranker().set_user_dials({"u2": {"mmr": 2}}, now=50)
    before = ranker.user_dials
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        ranker.set_user_dials(dials, **{"now": 100, **times})
    assert "\n" not in str(error.value)
    assert ranker.user_dials is before and ranker.rank(user="u2").dials == {"mmr": 2.0}


def test_dials_that_leave_nothing_are_one_line():
    ranker = make_ranker(control=False)
    with pytest.raises(RecsysError, match=r"^ranker: dials of user 'u1': weights turn every objective off"):
        ranker.set_user_dials({"u1": dict.fromkeys(BLENDS["compiled"], 0)})
    some = ranker.set_user_dials({"u1": {"relevance": 0, "mmr": 0}})
    with pytest.raises(RecsysError, match=r"^ranker: weights turn every objective off"):
        some.rank(user="u1", weights={"unexplored": 0})
    with pytest.raises(RecsysError, match=r"^ranker: dials of user 'u1': weights turn every objective off"):
        some.set_user_dials({"u1": {"unexplored": 0}})  # together with those before
    first = ranker.set_user_dials({"u1": {"unexplored": 0}}, now=0)
    first = first.set_user_dials({"u1": {"unexplored": 1}}, until=90, now=10)
    with pytest.raises(RecsysError, match=r"^ranker: dials of user 'u1': weights turn every objective off"):
        first.set_user_dials({"u1": {"relevance": 0, "mmr": 0}}, now=20)  # once the second has ended
    assert first.set_user_dials({"u1": {"relevance": 0, "mmr": 0}}, until=90, now=20).rank(user="u1", now=30).items


@pytest.mark.parametrize("now", [float("nan"), float("inf"), "now", True, [1]])
def test_a_time_that_is_none_is_one_line(now):
    for ask in (make_ranker().rank, lambda **given: make_ranker().rerank(["i1"], [1.0], **given)):
        with pytest.raises(
            RecsysError, match=r"^ranker: now is .*, expected seconds since 1970, a datetime or an ISO 8601 time$"
        ):
            ask(user="u1", now=now)
    with pytest.raises(RecsysError, match=r"^ranker: now is"):
        make_ranker().rank_many(users=["u1"], now=now)


def test_users_to_clear_are_a_list_of_known_ones():
    ranker = make_ranker().set_user_dials({"u1": {"mmr": 2}})
    for users, message in (
        ("u1", "found 'u1' for users"),
        (["nobody"], "user 'nobody' is none of the 60"),
        (5, "found 5"),
    ):
        with pytest.raises(RecsysError, match=f"^ranker: {message}"):
            ranker.clear_user_dials(users)
    assert ranker.clear_user_dials([]).rank(user="u1").dials == {"mmr": 2.0}


def test_moments_are_read_alike_everywhere():
    day = datetime(2024, 1, 1, tzinfo=UTC)
    ranker = make_ranker().set_user_dials({"u1": {"mmr": 2}}, until=day + timedelta(days=1), now=day)
    for now in (day, day.timestamp(), "2024-01-01", np.datetime64("2024-01-01")):
        assert ranker.rank(user="u1", now=now).dials == {"mmr": 2.0}
    assert ranker.rank(user="u1", now="2024-01-02").dials == {}


@pytest.mark.parametrize("name", BLENDS)
def test_without_a_profile_nothing_was_shown(name):
    """Neither what the ranker holds nor what the request brings closes an item, or makes one tired."""
    split = make_split(users=60, seed=4)
    fitted = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    blend = {**BLENDS[name], "fatigue": 1.0}
    rules = [guards.frequency_cap(1, window_days=7), guards.cool_down(days=14)]
    ranker = Ranker.fit(
        fitted, split, blend, maps=make_maps(split), n=20, k=6, guards=rules, shown=make_exposures(split)
    )
    now = 1000 * 86_400
    everybody = ranker.rank(profile_free=True, now=now)
    brought = [{"item_id": item, "datetime": now - 60, "dismissed": True} for item in everybody.items]
    seen = ranker.rank(user="u1", shown=brought, now=now)
    assert not set(seen.items) & set(everybody.items)
    check_same(ranker.rank(user="u1", shown=brought, now=now, profile_free=True), everybody)
    (many,) = ranker.rank_many(users=["u1"], shown=[brought], now=now, profile_free=True)
    check_same(many, everybody)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("U7", "did you mean 'u7'?"),
        ("u95", "did you mean 'u59'?"),
        ("u", "did you mean 'u0'?"),
        ("u7x", "did you mean 'u7'?"),
        ("someone", "to, expected one of them"),
        ("u7" * 50, "to, expected one of them"),
    ],
)
def test_an_unknown_user_is_told_the_nearest_name(name, hint):
    ranker = make_ranker()
    uses = (lambda: ranker.rank(user=name), lambda: ranker.rerank(["i1"], [1], user=name))
    for use in (*uses, lambda: ranker.clear_user_dials([name])):
        with pytest.raises(RecsysError, match=f"is none of the 60 .*{re.escape(hint)}"):
            use()
    assert "history= with what they like" in str(ranker.rank_many(users=[name])[0])


def test_commands_set_list_and_clear_dials(tmp_path, capsys):
    folder = make_ranker().save(tmp_path / "r", about={"origin": "a test"})
    name = Ranker.load(folder).name
    assert run_cli("dials", "list", folder) == 0 and capsys.readouterr().out == "dials: none\n"
    assert run_cli("dials", "set", folder, "mmr=2", "relevance=0.5", "--user", "u1", "--user", "u2") == 0
    assert run_cli("dials", "set", folder, "mmr=3", "--user", "u1", "--until", "2999-03-01") == 0
    loaded = Ranker.load(folder)
    assert loaded.name == name and loaded.about["origin"] == "a test"
    assert loaded.rank(user="u1").dials == {"mmr": 3.0, "relevance": 0.5}
    assert (
        loaded.rank(user="u1", now="2999-03-01").dials == loaded.rank(user="u2").dials == {"mmr": 2.0, "relevance": 0.5}
    )
    capsys.readouterr()
    assert run_cli("dials", "list", folder) == 0
    rows = [re.split(r" {2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["user", "objective", "factor", "since", "until"]
    assert [row[:3] + row[4:] for row in rows[1:]] == [
        ["u1", "mmr", "2", "never"],
        ["u1", "relevance", "0.5", "never"],
        ["u2", "mmr", "2", "never"],
        ["u2", "relevance", "0.5", "never"],
        ["u1", "mmr", "3", "2999-03-01 00:00:00 UTC"],
    ]
    assert run_cli("dials", "clear", folder, "--user", "u1") == 0
    assert run_cli("dials", "list", folder, "--user", "u1") == 0 and "dials: none" in capsys.readouterr().out
    assert Ranker.load(folder).rank(user="u2").dials == {"mmr": 2.0, "relevance": 0.5}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "mmr=9", "--user", "u1"), "the factor of 'mmr' is 9, expected a number from 0.25 to 4"),
        (("set", "mmr=two", "--user", "u1"), "the factor of 'mmr' is 'two', expected a number"),
        (("set", "mrm=2", "--user", "u1"), "mmr"),
        (("set", "mmr", "--user", "u1"), "'mmr', expected NAME=VALUE"),
        (("set", "mmr=2", "--user", "u1", "--user", "u95"), "did you mean 'u59'?"),
        (("set", "mmr=2", "--user", "u1", "--until", "soon"), "until is 'soon'"),
        (("set", "mmr=2", "--user", "u1", "--until", "100000000"), "which is over now"),
        (("set", "mmr=2"), "--user"),
        (("clear", "--user", "u95"), "did you mean 'u59'?"),
        (("list", "--user", "u95"), "did you mean 'u59'?"),
    ],
)
def test_a_command_that_is_refused_changes_nothing(arguments, said, saved, capsys):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert run_cli("dials", arguments[0], saved, *arguments[1:]) == 2
    assert said in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return make_ranker().save(tmp_path_factory.mktemp("dials") / "r")
