"""Purchases of a split: positive rows that may be used, with their repeats, against a walk over the rows of the table."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys as rs
from recsys import splits
from recsys.control.topics import read_topic_policy
from recsys.splits import select_purchases
from recsys.support.forget_lists import append_forget_line
from recsys.types import RecsysError
from recsys.types.purchases import Purchases


def list_rows(purchases, split):
    """Return each purchase as ids, time and quantity."""
    users, items = split.user_ids[purchases.user].tolist(), split.item_ids[purchases.item].tolist()
    return list(zip(users, purchases.datetime.tolist(), items, purchases.quantity.tolist(), strict=True))


def make_table(rows, **columns):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime", "quantity"])
    return rs.read_dataset(frame.assign(**columns))


ROWS = [
    ("a", "x", 10, 2),
    ("a", "y", 10, 1),
    ("a", "x", 30, 3),
    ("b", "x", 20, 1),
    ("a", "x", 30, 4),
    ("b", "y", 50, 5),
]


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(1, 6), st.integers(1, 4)), min_size=2
    ),
    until=st.integers(2, 8),
)
def test_rows_are_those_of_a_walk(rows, until):
    split = splits.no_holdout(make_table(rows), positive="quantity >= 2") if any(r[3] > 1 for r in rows) else None
    if split is None:
        return
    walked = {}
    for user, item, when, quantity in dict.fromkeys(rows):  # the reader drops rows that are all alike
        if quantity >= 2 and when < until:
            walked[user, when, item] = walked.get((user, when, item), 0) + quantity
    made = make_table(rows)
    if len({when for _, when, _ in walked}) < 2:
        with pytest.raises(RecsysError, match=r"no purchase is left|of one moment"):
            select_purchases(made, split, until)
        return
    found = select_purchases(made, split, until)
    assert list_rows(found, split) == [(*key, quantity) for key, quantity in sorted(walked.items())]
    assert (found.n_users, found.n_items, found.until) == (*split.shape, until)


def test_repeats_stay_and_rows_of_one_moment_are_one_purchase():
    made = make_table(ROWS)
    split = splits.no_holdout(made)
    found = select_purchases(made, split)
    assert list_rows(found, split) == [
        ("a", 10, "x", 2), ("a", 10, "y", 1), ("a", 30, "x", 7), ("b", 20, "x", 1), ("b", 50, "y", 5),
    ]  # fmt: skip
    assert found.counts["rows_of_one_moment"] == 1
    assert found.until is None or found.until == 51


def test_returns_and_rows_below_the_threshold_are_no_purchases():
    rows = pd.DataFrame(ROWS, columns=["user_id", "item_id", "datetime", "rating"])
    rows.loc[3, "rating"] = -1
    rows.loc[1, "rating"] = 0
    made = rs.read_dataset(rows)
    found = select_purchases(made, splits.no_holdout(made))
    assert found.counts["returns"] == 2 and len(found) == 3
    assert set(found.quantity.tolist()) == {1.0, 2.0}, "a rating is no quantity; two rows of one moment are two pieces"
    rated = splits.no_holdout(made, positive="rating >= 3")
    assert select_purchases(made, rated).counts["rows_not_positive"] == 3


@pytest.mark.parametrize(
    "column, setting", [("consent", {}), ("purposes", {"purposes": ["offers"]}), ("source", {"sources": ["shop"]})]
)
def test_rows_that_may_not_be_used_leave_no_trace(column, setting):
    values = {"consent": [1, 0], "purposes": ["offers", "counting"], "source": ["shop", "test"]}[column]
    hidden = [("a", "x", 25, 9), ("b", "y", 5, 9), ("z", "w", 7, 9)]
    both = make_table(ROWS + hidden, **{column: [values[0]] * len(ROWS) + [values[1]] * len(hidden)})
    left = make_table(ROWS, **{column: [values[0]] * len(ROWS)})
    found, expected = (select_purchases(made, splits.no_holdout(made, **setting)) for made in (both, left))
    for name in ("user", "item", "datetime", "quantity"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert len(found) == 5


def test_forget_lists_and_topics_are_those_of_the_split(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    path = tmp_path / "list"
    append_forget_line(path, "interaction", user="a", item="x")
    made = make_table(ROWS, features=["Wine" if row[1] == "y" else "Toys" for row in ROWS])
    split = splits.no_holdout(made, forget_list=path)
    append_forget_line(path, "person", user="b")
    found = select_purchases(made, split)
    assert [row[:3] for row in list_rows(found, split)] == [("a", 10, "y"), ("b", 20, "x"), ("b", 50, "y")]
    policy = read_topic_policy({"topics": {"t": {"features": ["Wine"]}}})
    split = splits.no_holdout(made, topics=policy)
    found = select_purchases(made, split)
    assert [row[:3] for row in list_rows(found, split)] == [("a", 10, "x"), ("a", 30, "x"), ("b", 20, "x")]
    assert found.counts["rows_of_sensitive_topics"] == 2


def test_without_a_moment_purchases_are_those_of_training():
    rows = [("a", "x", 1, 1), ("a", "x", 9, 1), ("a", "y", 3, 1), ("a", "z", 6, 1), ("b", "x", 2, 1), ("b", "x", 5, 1)]
    rows += [("b", "z", 4, 1), ("b", "y", 7, 1), ("b", "x", 8, 1)]
    made = make_table(rows)
    split = splits.leave_last(made, test=1, validation=0, cold_items="keep")
    kept = [row[:3] for row in list_rows(select_purchases(made, split), split)]
    assert kept == [("a", 1, "x"), ("a", 3, "y"), ("b", 2, "x"), ("b", 4, "z"), ("b", 5, "x")]
    split = splits.global_time(made, test=0.5, validation=0.0, cold_items="keep")
    assert split.test.nnz == 3
    kept = [row[:3] for row in list_rows(select_purchases(made, split), split)]
    assert kept == [("a", 1, "x"), ("a", 3, "y"), ("b", 2, "x")]
    later = select_purchases(made, split, "1970-01-01T00:00:07")
    assert [row[:3] for row in list_rows(later, split)][-1] == ("b", 5, "x") and len(later) == 6


def test_filtered_users_and_items_are_not_there():
    made = make_table([*ROWS, ("c", "x", 60, 1), ("a", "w", 70, 1)])
    split = splits.no_holdout(made, min_user_interactions=2, min_item_interactions=2)
    found = select_purchases(made, split)
    assert split.user_ids.tolist() == ["a", "b"] and found.counts["rows_of_filtered_pairs"] == 2
    assert len(found) == 5


@pytest.mark.parametrize(
    "rows, until, line",
    [
        ([("a", "x", 5, 1), ("b", "x", 5, 1)], None, "all 2 purchases are of one moment, 1970-01-01T00:00:05"),
        (
            [("a", "x", 5, 1)],
            None,
            "the only purchase is of one moment, 1970-01-01T00:00:05, expected times that differ",
        ),
        (ROWS, 10, "no purchase is left, expected rows of the split's users and items before `until`"),
        (ROWS, "soon", "until is 'soon', expected seconds since 1970, a datetime or an ISO 8601 time"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(rows, until, line):
    made = make_table(rows)
    with pytest.raises(RecsysError, match=re.escape(line)):
        select_purchases(made, splits.no_holdout(made), until)


def test_data_without_times_and_data_of_another_split_are_refused():
    made = rs.read_dataset([("a", "x"), ("b", "y")])
    with pytest.raises(RecsysError, match="has no times, and purchases need them, expected a column datetime"):
        select_purchases(made, splits.no_holdout(made))
    other = make_table(ROWS)
    with pytest.raises(RecsysError, match="has no user 'b' of the split, expected the data that it was made of"):
        select_purchases(make_table([row for row in ROWS if row[0] == "a"]), splits.no_holdout(other))


def test_records_are_checked():
    made = Purchases(*(np.array(x, np.int32) for x in ([0, 0], [1, 0])), np.array([3, 4]), np.ones(2, np.float32), 1, 2)
    assert made.end == 5 and made.pairs.tolist() == [1, 0] and made.sort_by_pair().tolist() == [1, 0]
    assert len(made.take_before(4)) == 1 and made.take_before(4).end == 4 and made.take_before(9).end == 5
    for name, value, line in [
        ("user", np.array([0, 1], np.int32), "user holds 0 to 1, expected whole numbers from 0 to 0"),
        ("datetime", np.array([4, 3]), "rows do not stand by user, then time, then item"),
        ("quantity", np.array([1, 0], np.float32), "quantity holds 0, expected numbers above 0"),
        ("until", 4, "until is 1970-01-01T00:00:04 and the last purchase is of 1970-01-01T00:00:04"),
        ("item", np.array([0], np.int32), "purchases: item has shape (1,), expected 2"),
    ]:
        with pytest.raises(RecsysError, match=re.escape(line)):
            replace(made, **{name: value})
