"""Receipts: whatever was answered is answered again to the last bit, and every other replay says why it is not."""

import copy
import json
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_exposures, make_maps, make_split
from test_rankers import run_cli

import recsys as rs
from recsys.control import environments
from recsys.control.receipt_logs import ReceiptLog
from recsys.control.receipts import Receipt, hash_text
from recsys.rankers import Ranker, log_replays, receipts, replay_log
from recsys.reranking import guards
from recsys.support.checked_lines import append_records, open_to_append, read_records
from recsys.types import RecsysError, Rule
from recsys.types.guards import Guard
from recsys.types.moments import format_moment

NOW = 86_400_000  # the day after those of make_exposures
BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.2},
    "library": {"relevance": 1.0, "novelty": 0.3, "thompson": 0.2},
}
DRAWN = {"temperature": 0.4, "epsilon": 0.1}
SPLIT = make_split(users=30, seed=4)


@cache
def make_ranker(name="compiled", drawn=True, seed=4):
    split = make_split(users=30, seed=seed)
    fitted = rs.models.ALS(factors=4, iterations=2).fit(split.train)
    held = [guards.frequency_cap(2, window_days=7), guards.at_most(3, features=["f0"])]
    given = {"maps": make_maps(split), "n": 20, "k": 5, "shown": make_exposures(split), "guards": held}
    return Ranker.fit(fitted, split, BLENDS[name], **given, **(DRAWN if drawn else {}))


def read_again(receipt):
    return Receipt.from_dict(json.loads(receipt.to_json()))


IDS = st.lists(st.sampled_from(SPLIT.item_ids.tolist()), max_size=8, unique=True)
SHOWN = st.lists(st.tuples(st.sampled_from(SPLIT.item_ids.tolist()), st.integers(0, NOW), st.booleans()), max_size=6)


@st.composite
def requests(draw):
    asked = {
        **draw(
            st.just({})
            | st.fixed_dictionaries({"user": st.sampled_from(["u1", "u7"])}, optional={"more": IDS})
            | st.fixed_dictionaries({"history": IDS})
        ),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "k": st.integers(1, 8),
                    "seed": st.integers(-9, 2**40),
                    "now": st.integers(NOW - 10**6, NOW + 10**6),
                    "shown": SHOWN,
                    "profile_free": st.booleans(),
                    "weights": st.sampled_from([{"relevance": 2.5}, {"relevance": 0}]),
                    "guards": st.just([guards.exclude(["i3", "i5"]), guards.pin(1, "i9")]),
                },
            )
        ),
    }
    items = draw(st.none() | IDS)
    if items is None:
        return asked
    worth = st.sampled_from([0.1, 1 / 3, 1.0, 2**60, 2**60 + 1])
    return {"items": items, "scores": draw(st.lists(worth, min_size=len(items), max_size=len(items))), **asked}


def ask(ranker, request):
    return ranker.rerank(**request) if "items" in request else ranker.rank(**request)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*BLENDS]), requests())
def test_every_slate_is_made_again_from_its_receipt(name, request):
    ranker = make_ranker(name)
    answer = ask(ranker, request)
    receipt = answer.receipt(inputs=True)
    assert read_again(receipt) == receipt and receipt.items == answer.items and receipt.now == answer.now
    found = ranker.replay(read_again(receipt))
    assert (found.verdict, found.differences) == ("equal", ())
    assert found.answer.items == answer.items and found.answer.contributions.tobytes() == answer.contributions.tobytes()
    np.testing.assert_array_equal(found.answer.log_propensity, answer.log_propensity)
    bare = read_again(answer.receipt())
    names = ("history", "more", "items", "scores", "shown")
    assert (bare.brought == ()) == (ranker.replay(bare).verdict == "equal")
    given = {} if request.get("profile_free") else {name: request[name] for name in names if name in request}
    if "items" in request:
        given |= {name: request[name] for name in ("items", "scores")}
    assert ranker.replay(bare, **given).verdict == "equal"


def test_a_saved_ranker_replays_the_receipts_of_the_one_that_answered(tmp_path):
    ranker = make_ranker("library").set_user_dials({"u1": {"novelty": 2.0}}, now=NOW)
    receipt = ranker.rank(user="u1", now=NOW + 5, seed=9).receipt()
    assert receipt.dials == {"novelty": 2.0} and receipt.policy != receipt.artefact == ranker.name
    loaded = Ranker.load(ranker.clear_user_dials(["u1"]).save(tmp_path / "r"))
    assert loaded.replay(receipt).verdict == "equal"
    loaded = loaded.set_user_dials({"u1": {"novelty": 0.1}}, now=NOW)  # what holds today is not looked at
    assert loaded.replay(receipt).verdict == "equal"


def test_answers_of_a_batch_have_receipts():
    ranker = make_ranker()
    asked = {"users": ["u1", "nobody", "u2"], "now": NOW}
    answers = ranker.rank_many(**asked)
    assert isinstance(answers[1], RecsysError)
    for answer in (answers[0], answers[2]):
        assert ranker.replay(answer.receipt()).verdict == "equal"
    many = ranker.rerank_many([["i1", "i2"]] * 2, [[2, 1]] * 2, histories=[["i7"], ["i8"]], now=NOW)
    assert [ranker.replay(answer.receipt(inputs=True)).verdict for answer in many] == ["equal"] * 2


def test_the_moment_of_a_request_is_the_clocks_where_it_brings_none(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1234.9)
    ranker = make_ranker()
    answers = [ranker.rank(user="u1"), ranker.rank(profile_free=True), ranker.rerank([], [], history=["i1"])]
    assert [answer.now for answer in answers] == [1234] * 3 == [answer.to_dict()["now"] for answer in answers]
    assert [answer.receipt().now for answer in answers] == [1234] * 3
    assert ranker.rank(user="u1", now="1970-01-02").now == 86_400


def test_a_profile_free_receipt_says_nothing_of_who_asks():
    receipt = make_ranker().rank(user="u1", more=["i3"], shown=[("i4", 1)], profile_free=True, now=NOW).receipt()
    assert receipt.user is None and receipt.history.size == receipt.shown.size == 0 and receipt.brought == ()


@pytest.fixture(scope="module")
def ranker():
    return make_ranker()


@pytest.fixture
def receipt(ranker):
    return ranker.rank(user="u1", now=NOW).receipt()


def without(ranker, user, rows):
    """Return the ranker of the same name that has lost the last likes, or exposures, or all of a user."""
    context, name = ranker.context, ranker.name
    if rows == "user":
        context = replace(context, user_ids=np.where(context.user_ids == user, "gone", context.user_ids))
    elif rows == "history":
        train = context.train.tolil()
        code = context.user_ids.tolist().index(user)
        train[code, train.rows[code][-1]] = 0
        context = replace(context, train=type(context.train)(train.tocsr()))
    else:
        held, code = context.exposures, context.user_ids.tolist().index(user)
        kept = np.arange(len(held.items)) != held.pointers[code]
        pointers = held.pointers - (np.arange(len(held.pointers)) > code)
        columns = {column: getattr(held, column)[kept] for column in ("items", "times", "dismissed")}
        context = replace(context, exposures=replace(held, pointers=pointers, **columns))
    parts = {one.name: getattr(ranker, one.name) for one in fields(ranker) if one.init}
    return Ranker(**{**parts, "context": context, "name": name})


@pytest.mark.parametrize("rows", ["user", "history", "shown"])
def test_a_receipt_of_what_was_forgotten(ranker, receipt, rows):
    """Also where the receipt keeps what the request brought."""
    lost = without(ranker, "u1", rows)
    found = lost.replay(receipt)
    assert (found.verdict, found.differences, found.answer) == ("inputs forgotten", (rows,), None)
    kept = ranker.rank(user="u1", more=["i1", "i2"], shown=[("i4", 5)], now=NOW).receipt(inputs=True)
    assert ranker.replay(kept).verdict == "equal" and lost.replay(kept).verdict == "inputs forgotten"
    assert lost.replay(ranker.rank(user="u2", now=NOW).receipt()).verdict == "equal"


def test_a_receipt_of_another_artefact(receipt):
    other = make_ranker(drawn=False)
    found = other.replay(receipt)
    assert (found.verdict, found.differences) == ("other artefact", (other.name,))


def test_inputs_that_are_missing_or_others(ranker):
    asked = {"history": ["i1", "i2"], "shown": [("i4", 5)], "now": NOW}
    receipt = ranker.rerank(["i7", "i8"], [0.5, 0.5], **asked).receipt()
    found = ranker.replay(receipt)
    assert (found.verdict, found.differences) == ("inputs missing", ("history", "shown", "candidates"))
    given = {"items": ["i7", "i8"], "scores": [0.5, 0.5], "history": ["i2", "i1"], "shown": [("i4", 5)]}
    assert ranker.replay(receipt, **given).verdict == "equal"
    changed = {
        "history": {"history": ["i1", "i3"]},
        "shown": {"shown": [("i4", 6)]},
        "candidates": {"scores": [0.5, 0.25]},
        "guards": {"guards": [guards.exclude(["i7"])]},
    }
    for name, other in changed.items():
        found = ranker.replay(receipt, **{**given, **other})
        assert (found.verdict, found.differences) == ("other inputs", (name,))
    more = ranker.rank(user="u1", more=["i1", "i2"], now=NOW).receipt()
    assert ranker.replay(more).differences == ("more",)
    assert ranker.replay(more, more=["i2", "i1"]).verdict == "equal"


def test_a_guard_that_no_config_could_name_is_brought_again(ranker):
    mine = Guard("mine", lambda pool, k: Rule(excluded_items=np.arange(len(SPLIT.item_ids)) < 10))
    receipt = ranker.rank(user="u1", guards=[guards.exclude(["i30"]), mine], now=NOW).receipt(inputs=True)
    assert receipt.guards[0] is not None and receipt.guards[1] is None
    found = ranker.replay(read_again(receipt))
    assert (found.verdict, found.differences) == ("inputs missing", ("guards",))
    assert ranker.replay(receipt, guards=[guards.exclude(["i30"]), mine]).verdict == "equal"


def test_what_differs(ranker, receipt, monkeypatch):
    items = receipt.items
    other = next(item for item in SPLIT.item_ids.tolist() if item not in items)
    cases = {
        ("items",): {"items": (*items[:-1], other)},
        ("order",): {"items": items[::-1]},
        ("propensity",): {"log_propensity": tuple(value - 1e-7 for value in receipt.log_propensity)},
        ("scores",): {},
    }
    for differences, change in cases.items():
        changed = replace(receipt, answer="0" * 32, **change)
        found = ranker.replay(changed)
        assert (found.verdict, found.differences) == ("differs", differences)
        old = replace(changed, environment={**receipt.environment, "numpy": "1.0"})
        assert ranker.replay(old).verdict == "other versions"
        assert ranker.replay(old).differences == ("numpy", *differences)
        elsewhere = replace(changed, environment={**receipt.environment, "cpu": "abacus"})
        assert ranker.replay(elsewhere).verdict == "other CPU"
    monkeypatch.setattr(receipts, "describe_environment", lambda: {**receipt.environment, "numpy": "9.9"})
    assert ranker.replay(receipt).verdict == "equal"  # the slate is: that numpy is another matters to nobody


def test_a_draw_of_another_seed_differs(ranker, receipt):
    assert receipt.log_propensity is not None
    assert {ranker.replay(replace(receipt, seed=seed)).verdict for seed in range(20)} == {"equal", "differs"}


def test_the_environment_names_versions_and_the_kind_of_cpu():
    found = environments.describe_environment()
    assert found["numpy"] == np.__version__ and found["recsys"] == rs.__version__
    assert {"recsys", "python", "numpy", "scipy", "numba", "cpu"} == found.keys() and len(found["cpu"].split()) == 3


def test_a_receipt_that_was_changed_is_refused(receipt):
    said = receipt.to_dict()
    for name, value in said.items():
        other = {"receipt": 2}.get(name, [value])
        with pytest.raises(RecsysError, match="newer recsys" if name == "receipt" else "was changed"):
            Receipt.from_dict({**said, name: other})
    crafted = {name: value for name, value in said.items() if name not in ("receipt", "digest")} | {"now": "soon"}
    digest = hash_text(json.dumps(crafted, sort_keys=True))
    with pytest.raises(RecsysError, match="was changed"):
        Receipt.from_dict({"receipt": 1, **crafted, "digest": digest})
    for none in (None, "receipt", {}, {"items": []}):
        with pytest.raises(RecsysError, match="found no receipt"):
            Receipt.from_dict(none)
    with pytest.raises(RecsysError, match="found a dict, expected a Receipt"):
        make_ranker().replay(said)


def test_a_copied_answer_keeps_its_receipt_and_not_its_inputs(ranker):
    answer = ranker.rank(history=["i1"], now=NOW)
    for again in (pickle.loads(pickle.dumps(answer)), copy.copy(copy.copy(answer))):
        assert again.receipt() == answer.receipt()
        with pytest.raises(RecsysError, match="holds no inputs"):
            again.receipt(inputs=True)


def test_a_log_hides_users_and_replays(ranker, tmp_path):
    log, asked = ReceiptLog(tmp_path / "slates.jsonl"), {"now": NOW, "seed": 3}
    answers = [ranker.rank(user=user, **asked) for user in ("u1", "u2", "u1")]
    answers.append(ranker.rank(history=["i1"], **asked))
    log.append(*(answer.receipt(inputs=True) for answer in answers[:2]))
    ReceiptLog(tmp_path / "slates.jsonl").append(*(answer.receipt(inputs=True) for answer in answers[2:]))
    read = list(log)
    assert [one.items for one in read] == [answer.items for answer in answers]
    assert read[0].user == read[2].user != read[1].user and read[3].user is None
    text = log.path.read_text()
    assert '"u1"' not in text and answers[0].receipt().history.digest not in text
    assert log.salt_path.stat().st_mode & 0o077 == 0
    assert [ranker.replay(one).verdict for one in read] == ["equal"] * 4
    other = ReceiptLog(tmp_path / "other.jsonl")
    other.append(answers[0].receipt())
    assert next(iter(other)).user != read[0].user
    assert without(ranker, "u1", "user").replay(read[0]).verdict == "inputs forgotten"
    log.salt_path.unlink()
    for use in (lambda: list(log), lambda: ReceiptLog(log.path).append(answers[0].receipt())):
        with pytest.raises(RecsysError, match=r"there is no slates\.jsonl\.salt"):
            use()


def test_a_log_may_name_users(ranker, tmp_path):
    log = ReceiptLog(tmp_path / "named.jsonl", hash_users=False)
    log.append(ranker.rank(user="u1", now=NOW).receipt())
    assert next(iter(log)).user == "u1" and not log.salt_path.exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_line_that_was_changed_lost_or_moved_is_noticed(tmp_path_factory, data):
    path, records = tmp_path_factory.mktemp("lines") / "a.jsonl", [{"n": n, "text": "é" * n} for n in range(5)]
    with open_to_append(path) as file:
        append_records(file, records[:2], "a")
    with open_to_append(path) as file:
        append_records(file, records[2:], "a")
    assert list(read_records(path).records) == records
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["byte", "lost", "moved", "cut"]))
    if kind == "byte":
        place = data.draw(st.integers(0, len(whole) - 2))
        changed = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    elif kind == "lost":
        lines.pop(data.draw(st.integers(0, 3)))
        changed = b"".join(lines)
    elif kind == "moved":
        one, other = sorted(data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=2, unique=True)))
        lines[one], lines[other] = lines[other], lines[one]
        changed = b"".join(lines)
    else:
        changed = whole[: -data.draw(st.integers(1, len(lines[-1]) - 1))]
    path.write_bytes(changed)
    if kind == "cut":
        found = read_records(path)
        assert list(found.records) == records[:4] and found.cut_bytes == len(changed) - len(b"".join(lines[:4]))
        with open_to_append(path) as file:
            append_records(file, records[4:], "a")
        assert path.read_bytes() == whole
    else:
        with pytest.raises(RecsysError, match=r"line [1-5] (was changed|is no)"):
            list(read_records(path).records)


def test_several_writers_append_whole_lines(ranker, receipt, tmp_path):
    logs = [ReceiptLog(tmp_path / "slates.jsonl") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda log: [log.append(receipt) for _ in range(20)], logs))
    assert [one.items for one in logs[0]] == [receipt.items] * 80 and logs[0].cut_bytes == 0


def test_a_file_that_is_no_log_is_left_as_it_is(receipt, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine\n")
    for log in (ReceiptLog(path, hash_users=False), ReceiptLog(path)):
        with pytest.raises(RecsysError):
            log.append(receipt)
    with pytest.raises(RecsysError, match="line 1 is no checked record"):
        list(ReceiptLog(path))
    assert path.read_text() == "mine\n"
    with pytest.raises(RecsysError, match="is a folder"):
        ReceiptLog(tmp_path)
    with pytest.raises(RecsysError, match=re.escape(str(tmp_path / "none"))):
        list(ReceiptLog(tmp_path / "none"))
    with pytest.raises(RecsysError, match="found a dict, expected a Receipt"):
        ReceiptLog(tmp_path / "b").append(receipt.to_dict())


def test_the_command_replays_a_log(ranker, tmp_path, capsys):
    other = make_ranker(drawn=False)
    folders = [one.save(tmp_path / name) for one, name in ((ranker, "a"), (other, "b"))]
    log = ReceiptLog(tmp_path / "slates.jsonl")
    log.append(ranker.rank(user="u1", now=NOW).receipt(), other.rank(user="u2", now=NOW).receipt())
    command = ("receipts", "replay", log.path, "--ranker", folders[0])
    assert run_cli(*command, "--ranker", folders[1]) == 0
    assert re.search(r"receipts +2\nequal +2", capsys.readouterr().out)
    assert run_cli(*command, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["receipts"] == 2 and said["counts"]["equal"] == said["counts"]["other artefact"] == 1
    assert said["others"][0]["line"] == 2 and said["others"][0]["differences"] == [ranker.name]
    with log.path.open("ab") as file:
        file.write(b'{"receipt":1,')
    assert run_cli(*command) == 1
    shown = capsys.readouterr().out
    assert "note: line 3 was cut and is left out (13 bytes)" in shown and "other artefact" in shown
    log.path.write_bytes(log.path.read_bytes().replace(b'"k":5', b'"k":6', 1))
    assert run_cli(*command) == 2
    assert "line 1 was changed" in capsys.readouterr().err


def test_what_is_forgotten_is_no_fault_and_all_else_is(ranker, tmp_path, monkeypatch):
    log = ReceiptLog(tmp_path / "slates.jsonl")
    log.append(*(ranker.rank(user=user, now=NOW).receipt() for user in ("u1", "u2")))
    report = replay_log(log, [without(ranker, "u1", "user")])
    assert report.is_proven and report.counts["inputs forgotten"] == report.counts["equal"] == 1
    monkeypatch.setattr(log_replays, "MAX_LISTED", 0)
    missing = ranker.rerank(["i1"], [1.0], now=NOW).receipt()
    for refused in (missing, replace(missing, inputs={"candidates": [["i1"], ["a"]]})):
        log.append(refused)
        report = replay_log(log, [ranker])
        assert not report.is_proven and report.others == ()
    assert report.notes == ("2 further receipts are counted and not listed",)
    assert report.counts["differs"] == report.counts["inputs missing"] == 1
    with pytest.raises(RecsysError, match="found no ranker"):
        replay_log(log, [])


@pytest.fixture(scope="module")
def saved(ranker, tmp_path_factory):
    return ranker.save(tmp_path_factory.mktemp("rank") / "r")


def test_the_command_ranks_as_the_ranker_does(ranker, saved, tmp_path, capsys):
    table = tmp_path / "shown.csv"
    table.write_text("user_id,item_id,datetime,dismissed\nu1,i4,86300000,1\nu2,i5,86300000,0\nu1,i6,86300000,0\n")
    options = ("--weights", "mmr=2", "--weights", "relevance=0.5", "--now", "1972-09-27", "--seed", 3, "--k", 4)
    settings = {"weights": {"mmr": 2, "relevance": 0.5}, "now": NOW, "seed": 3, "k": 4}
    log = tmp_path / "slates.jsonl"
    cases = [
        (("--user", "u1"), {"user": "u1"}),
        (("--user", "u1", "--more", "i1, i2"), {"user": "u1", "more": ["i1", "i2"]}),
        (("--history", "i1,i2"), {"history": ["i1", "i2"]}),
        (("--user", "u1", "--profile-free"), {"user": "u1", "profile_free": True}),
        (
            ("--user", "u1", "--shown", table),
            {"user": "u1", "shown": [("i4", 86300000, True), ("i6", 86300000, False)]},
        ),
    ]
    for given_options, asked in cases:
        assert run_cli("rank", saved, *given_options, *options, "--json", "--receipts", log) == 0
        assert json.loads(capsys.readouterr().out) == ranker.rank(**asked, **settings).to_dict()
    assert run_cli("receipts", "replay", log, "--ranker", saved) == 0
    assert re.search(r"equal +5", capsys.readouterr().out)
    assert run_cli("rank", saved, "--user", "u1", *options) == 0
    shown, answer = capsys.readouterr().out, ranker.rank(user="u1", **settings)
    assert [line.split()[1] for line in shown.splitlines()[1:5]] == list(answer.items)
    assert f"policy: {answer.policy}, seed 3, now {format_moment(NOW)}" in shown
    for wrong, said in (
        (("--history", "i1", "--shown", table), "has exposures of several users"),
        (("--user", "u95"), "did you mean 'u9'?), expected one of them, or --history with what they like"),
        (("--more", "i1"), "expected both, or --history with all that they like"),
        (("--user", "u1", "--weights", "mrm=2"), "mmr"),
        (("--user", "u1", "--now", "soon"), "now is 'soon'"),
    ):
        assert run_cli("rank", saved, *wrong) == 2
        assert said in capsys.readouterr().err


def test_times_of_what_a_request_brings_are_replayed():
    """Under a half-life they say how much each item counts."""
    split = make_split(users=30, seed=4, times=True)
    latest = int(split.train_times.data.max())
    aged = split.with_half_life(30, now=latest)
    fitted = rs.models.ALS(factors=4, iterations=2).fit(aged.train, aged.side_information)
    ranker = Ranker.fit(fitted, aged, BLENDS["compiled"], maps=make_maps(split), n=20, k=5)
    assert ranker.context.time_weights is not None
    old, new = latest - 90 * 86400, latest
    told = [("i1", old), ("i2", new), ("i3", None)]
    for asked in ({"history": told}, {"user": "u1", "more": told}, {"user": "u1"}, {"history": ["i1", "i2"]}):
        answer = ranker.rank(**asked, now=latest)
        found = ranker.replay(read_again(answer.receipt(inputs=True)))
        assert (found.verdict, found.differences) == ("equal", ())
    receipt = ranker.rank(history=told, now=latest).receipt()
    assert ranker.replay(receipt, history=told[::-1]).verdict == "equal"
    later = ranker.replay(receipt, history=[("i1", new), *told[1:]])
    assert (later.verdict, later.differences) == ("other inputs", ("history",))
