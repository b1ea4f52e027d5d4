"""A forget list in data: everything made of a log is what it is without the rows that the list names."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_leaks import CONFIG, make_table

import recsys
import recsys as rs
import recsys.experiments
from recsys import splits, testing
from recsys.splits import permissions
from recsys.splits.forgotten_rows import drop_forgotten_exposures, parse_forget_list
from recsys.support.forget_lists import append_forget_line, append_undo
from recsys.types import RecsysError

LOG = {
    "user_id": ["ada", "ada", "bob", "bob", "cem"],
    "item_id": ["1", "2", "1", "3", "2"],
    "features": ["Baby|Toys", "Garden", "Baby|Toys", "Garden", "Garden"],
}


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


def list_pairs(dataset):
    log = dataset.interactions
    return sorted(zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), strict=True))


LINE = st.one_of(
    st.tuples(st.just("interaction"), st.sampled_from("abcd"), st.sampled_from("xyz")),
    st.tuples(st.just("item"), st.just(""), st.sampled_from("xyz")),
    st.tuples(st.just("person"), st.sampled_from("abcd"), st.just("")),
)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=9, unique=True),
    lines=st.lists(LINE, min_size=1, max_size=3),
)
def test_rows_that_a_list_names_are_not_there(tmp_path_factory, rows, lines):
    """Against a walk over rows and lines."""
    path = tmp_path_factory.mktemp("lists") / "list"
    for kind, user, item in lines:
        append_forget_line(path, kind, user=user, item=item)
    left = [(u, i) for u, i in rows if not any(user in ("", u) and item in ("", i) for _, user, item in lines)]
    made = rs.read_dataset(rows)
    if not left:
        with pytest.raises(RecsysError, match=re.escape("names all rows, expected some others")):
            splits.no_holdout(made, forget_list=path)
        return
    found = splits.no_holdout(made, forget_list=path)
    expected = splits.no_holdout(rs.read_dataset(left))
    assert found.user_ids.tolist() == expected.user_ids.tolist()
    assert found.item_ids.tolist() == expected.item_ids.tolist()
    assert np.array_equal(found.train.toarray(), expected.train.toarray())
    assert found.counts["forgotten_rows"] == len(rows) - len(left)


def test_a_topic_that_is_stopped_takes_the_rows_of_its_items(tmp_path):
    made, path = rs.read_dataset(LOG), tmp_path / "list"
    append_forget_line(path, "topic", user="ada", topic="Baby")
    split = splits.no_holdout(made, forget_list=path)
    assert split.user_ids.tolist() == ["ada", "bob", "cem"] and split.train.toarray()[0].tolist() == [0, 1, 0]
    assert split.train.toarray()[1].tolist() == [1, 0, 1]
    assert split.notes == ("forget list: 1 rows that it names: left out",)


def test_an_undo_and_an_end_bring_rows_back(tmp_path):
    made, path = rs.read_dataset(LOG), tmp_path / "list"
    none = splits.no_holdout(made).fingerprint
    append_forget_line(path, "person", user="ada", now=10)
    without = splits.no_holdout(made, forget_list=path)
    assert "ada" not in without.user_ids and without.fingerprint != none
    append_undo(path, [1], now=11)
    append_forget_line(path, "person", user="bob", until=20, now=12)  # which is over
    again = splits.no_holdout(made, forget_list=path)
    assert again.user_ids.tolist() == ["ada", "bob", "cem"] and again.fingerprint == none
    assert again.counts["forgotten_rows"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "forget_list: found 5, expected the path of a file"),
        ("none.jsonl", "forget list none.jsonl: No such file or directory"),
    ],
)
def test_what_is_no_forget_list_is_one_line(given, message):
    with pytest.raises(RecsysError, match=re.escape(message)):
        splits.random(rs.read_dataset(LOG), forget_list=given)


def test_exposures_of_what_is_forgotten_are_not_there(tmp_path):
    path = tmp_path / "list"
    shown = rs.read_exposures({"user_id": ["ada", "ada", "bob"], "item_id": ["1", "2", "1"], "datetime": [1, 2, 3]})
    append_forget_line(path, "interaction", user="ada", item="1")
    left = drop_forgotten_exposures(shown, parse_forget_list(path))
    assert left.datetime.tolist() == [2, 3] and left.user_ids.tolist() == ["ada", "bob"]


def write_log_and_list(folder):
    """Write a log in which rows that its forget list names change whatever looks at them."""
    frame = make_table()[["user_id", "item_id", "stars", "timestamp", "title", "genres"]]
    names = {"genres": "features"}
    frame = frame.rename(columns=names)
    path = folder / "forget.jsonl"
    append_forget_line(path, "person", user="ghost")
    append_forget_line(path, "person", user="7")
    append_forget_line(path, "item", item="x9")
    for user, item in zip(frame["user_id"][:40:2], frame["item_id"][:40:2], strict=True):
        append_forget_line(path, "interaction", user=user, item=item)
    append_forget_line(path, "topic", user="3", topic="War")
    frame.to_csv(folder / "log.csv", index=False)
    return {
        **CONFIG,
        "data": {"path": str(folder / "log.csv")},
        "filter": {"positive": "stars >= 2", "min_user_interactions": 2, "forget_list": str(path)},
    }


def test_what_is_forgotten_changes_no_answer(tmp_path):
    testing.check_no_leak(write_log_and_list(tmp_path))


def test_a_split_that_forgets_too_late_is_found(tmp_path, monkeypatch):
    """The last row that a list names stays in the log."""
    config = write_log_and_list(tmp_path)
    find = permissions.find_forgotten_rows

    def find_all_but_one(dataset, forget_list, policy):
        found = find(dataset, forget_list, policy)
        found[np.flatnonzero(found)[-1:]] = False
        return found

    monkeypatch.setattr(permissions, "find_forgotten_rows", find_all_but_one)
    with pytest.raises(testing.ContractError, match="differs when the"):
        testing.check_no_leak(config)


def test_an_exported_ranker_obeys_the_list_of_its_config(tmp_path):
    config = write_log_and_list(tmp_path)
    recsys.experiments.export(config, tmp_path / "ranker", blend="wider", quiet=True)
    served = recsys.Ranker.load(tmp_path / "ranker")
    assert "7" not in served.known_users and "5" in served.known_users and not served.pending_forgets
    append_forget_line(tmp_path / "forget.jsonl", "person", user="5")
    assert "5" not in served.refresh().known_users
    assert "5" not in recsys.Ranker.load(tmp_path / "ranker").known_users
