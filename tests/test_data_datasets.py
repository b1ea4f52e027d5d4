"""What the builder makes of untidy tables, and what makes two datasets equal."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import read_dataset, read_frame
from recsys.data.cards import CleaningRules, TagRule, TitleWordRule
from recsys.data.columns import ITEM_FIELDS, LOG_FIELDS
from recsys.data.identifiers import make_string_array
from recsys.data.interactions import build_interactions
from recsys.data.items import add_tags, build_items
from recsys.data.mapped_tables import REQUIRED_FIELDS, MappedTable, map_table_columns
from recsys.types import Dataset, RecsysError


def log_of(table: Any) -> MappedTable:
    return map_table_columns(table, LOG_FIELDS, REQUIRED_FIELDS, "x")


def features(data: Dataset) -> dict[str, set[str]]:
    names = np.asarray(data.items.feature_names)
    dense = data.items.features.toarray() > 0
    return {item: set(names[row].tolist()) for item, row in zip(data.items.ids.tolist(), dense, strict=True)}


# Rows


def test_exact_duplicates_are_dropped_and_counted() -> None:
    data = read_frame({"user": [1, 1, 1, 1], "item": [2, 2, 2, 3], "rating": [4, 4, 5, 4], "ts": [9, 9, 9, 9]})
    assert data.interactions.weight.tolist() == [4.0, 5.0, 4.0]
    assert data.notes == (
        "1 exact duplicates of another row: dropped",
        "1 user-item pairs occur more than once (1 further rows): all rows kept",
    )


def test_rows_that_differ_in_any_column_are_no_duplicates() -> None:
    table = {"user": [1, 1, 1], "item": [2, 2, 2], "quantity": [1, 1, 1], "invoice": ["a", "b", "b"]}
    data = read_frame(table)
    assert len(data.interactions) == 2
    assert len(read_frame({**table, "rating": [1, 1, 2]}).interactions) == 3


def test_duplicates_are_found_whatever_the_form_of_an_id() -> None:
    assert len(read_frame({"user": [50, "50", 50.0], "item": [1, 1, 1]}).interactions) == 1


def test_duplicates_beside_columns_that_hold_lists() -> None:
    data = read_frame({"user": [1, 1, 1], "item": [2, 2, 2], "tags_seen": [["a"], ["a"], ["b"]]})
    assert len(data.interactions) == 2


def test_repeated_pairs_are_kept_and_counted() -> None:
    data = read_frame({"user": [1, 1, 1, 2, 2], "item": [2, 2, 2, 2, 3], "ts": [1, 2, 3, 1, 1]})
    assert len(data.interactions) == 5
    assert data.notes == ("1 user-item pairs occur more than once (2 further rows): all rows kept",)


def test_returns_are_dropped_and_counted() -> None:
    data = read_frame({"customer": ["a", "a", "b"], "sku": ["x", "y", "y"], "qty": [3, -1, -2]})
    assert data.interactions.weight.tolist() == [3.0]
    assert data.interactions.user_ids.tolist() == ["a"]
    assert data.interactions.item_ids.tolist() == ["x"]
    assert data.notes == ("2 returns (negative quantity): dropped",)


def test_a_quantity_of_nothing_is_no_return() -> None:
    assert read_frame({"user": ["a"], "item": ["x"], "quantity": [0]}).interactions.weight.tolist() == [0.0]


def test_negative_ratings_are_no_returns() -> None:
    data = read_frame({"user": ["a", "b"], "item": ["x", "y"], "rating": [-10, 3], "quantity": [1, -1]})
    assert data.interactions.weight.tolist() == [-10.0, 3.0]


def test_returns_alone_leave_nothing() -> None:
    with pytest.raises(RecsysError, match=r"^frame: no rows are left \(1 returns \(negative quantity\): dropped\)$"):
        read_frame({"user": ["a"], "item": ["x"], "quantity": [-1]})


def test_rows_without_a_user_may_be_dropped_by_a_card() -> None:
    sheet = log_of({"user": [None, "a", "a", None], "item": ["x", "y", "z", "x"], "quantity": ["?", 1, -1, 2]})
    log, notes = build_interactions(sheet, CleaningRules(without_user="drop"))
    assert log.user_ids.tolist() == ["a"]
    assert log.item_ids.tolist() == ["y"]
    assert notes == ["2 rows without a user: dropped", "1 returns (negative quantity): dropped"]


def test_a_card_that_leaves_nothing() -> None:
    sheet = log_of({"user": [None], "item": ["x"], "quantity": [1], "ts": ["2010-01-01"], "consent": [1]})
    with pytest.raises(RecsysError, match=r"^x: no rows are left \(1 rows without a user: dropped\)$"):
        build_interactions(sheet, CleaningRules(without_user="drop"))


def test_the_row_in_an_error_counts_dropped_rows_too() -> None:
    sheet = log_of({"user": [None, "a", "a"], "item": ["x", "y", "z"], "quantity": [1, 2, "?"]})
    with pytest.raises(RecsysError, match="x: row 3: quantity is"):
        build_interactions(sheet, CleaningRules(without_user="drop"))
    sheet = log_of({"user": [None, "a", "a"], "item": ["x", "y", None]})
    with pytest.raises(RecsysError, match="x: row 3: item is missing"):
        build_interactions(sheet, CleaningRules(without_user="drop"))


def test_items_that_are_none_are_dropped() -> None:
    sheet = log_of({"user": [1, 1, 1], "item": ["85048", "POST", "79323P"]})
    log, notes = build_interactions(sheet, CleaningRules(keep_items="[0-9]{5}.*"))
    assert log.item_ids.tolist() == ["79323P", "85048"]
    assert notes == ["1 rows whose item id is not a product (see `keep_items`): dropped"]


def test_source_and_consent() -> None:
    table = {"user": [1, 2, 3], "item": [1, 2, 3], "source": ["list", None, "ad"], "consent": ["yes", None, 0]}
    log = read_frame(table).interactions
    assert log.source is not None
    assert log.consent is not None
    assert log.source.tolist() == ["list", "", "ad"]
    assert log.consent.tolist() == [True, False, False]
    with pytest.raises(RecsysError, match="row 2: consent is 'perhaps', expected true or false"):
        read_frame({**table, "consent": ["yes", "perhaps", 0]})


# Items


def test_a_table_of_items() -> None:
    log = {"user": [1, 1, 2], "item": [10, 9, 8]}
    items = {
        "item_id": ["9", "10.0", 11],
        "title": ["Nine (1999)", " Ten  again ", "Eleven"],
        "genres": ["Drama|War", "unknown", "Comedy"],
        "year": ["", "2001", ""],
    }
    data = read_frame(log, items=items)
    assert data.items.ids.tolist() == ["8", "9", "10"]
    assert data.items.titles.tolist() == ["", "Nine", "Ten again"]
    assert data.items.years.tolist() == [0, 1999, 2001]
    assert features(data) == {"8": set(), "9": {"Drama", "War"}, "10": set()}
    assert data.items.features.dtype == np.float32
    assert data.notes == (
        "1 items of the catalogue have no interactions: left out",
        "1 items with interactions are not in the catalogue: kept, without features",
    )


@pytest.mark.parametrize(
    ("title", "expected", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Seven (Se7en) (1995)", "Seven (Se7en)", 1995),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("Big Bang Theory, The (2007-) ", "Big Bang Theory, The", 2007),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", 0),
        ("Room (237)", "Room (237)", 0),
        ("(1995)", "(1995)", 1995),
    ],
)
def test_years_in_titles(title: str, expected: str, year: int) -> None:
    data = read_frame({"user": [1], "item": [1], "title": [title]})
    assert (data.items.titles.tolist(), data.items.years.tolist()) == ([expected], [year])


def test_items_described_in_the_log() -> None:
    table = {
        "user": [1, 2, 3, 4],
        "item": ["x", "x", "x", "y"],
        "title": ["b", "b", "a", None],
        "category": ["red", "blue|red", None, ""],
    }
    data = read_frame(table)
    assert data.items.titles.tolist() == ["b", ""]
    assert features(data) == {"x": {"red", "blue"}, "y": set()}
    assert read_frame({**table, "title": ["b", "b", "a", "a"]}).items.titles.tolist() == ["b", "a"]
    assert read_frame({**table, "title": ["b", "b", "a", "a"], "item": ["x", "y", "x", "y"]}).items.titles.tolist() == [
        "a",
        "a",
    ]


def test_features_of_several_columns_and_of_lists() -> None:
    items = {"item": [1, 2], "brand": ["A", "B"], "parts": [["x", "y"], None], "colour": ["red", "blue"]}
    data = read_frame({"user": [1, 1], "item": [1, 2]}, items=items, features=["brand", "parts"])
    assert features(data) == {"1": {"A", "x", "y"}, "2": {"B"}}
    one = read_frame({"user": [1], "item": [1], "colour": ["red"]}, features="colour")
    assert features(one) == {"1": {"red"}}
    with pytest.raises(RecsysError, match="unknown column 'colours': did you mean 'colour'"):
        read_frame({"user": [1], "item": [1], "colour": ["red"]}, features="colours")


def test_long_tables_of_features() -> None:
    items = {"id": [1, 1, 2], "feature": ["genre", "genre", "genre"], "value": ["Drama", "War", "War"]}
    data = read_frame({"user": [1, 1], "item": [1, 2]}, items=items)
    assert features(data) == {"1": {"Drama", "War"}, "2": {"War"}}


def test_words_and_missing_titles() -> None:
    table = {"item_id": ["a", "b", "c", "d"], "title": ["RED the mug", "red CUP", "cup of the sea", "unknown"]}
    sheet = map_table_columns(table, ITEM_FIELDS, ("item_id",), "x")
    rules = CleaningRules(words=TitleWordRule(min_items=2, leave_out=("the",)), without_title=("unknown",))
    items, _ = build_items(sheet, make_string_array(["a", "b", "c", "d"]), rules)
    assert items.feature_names == ("cup", "red")
    assert items.features.toarray().tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    assert items.titles.tolist() == ["RED the mug", "red CUP", "cup of the sea", ""]


def test_tags_of_enough_items_and_users_are_features() -> None:
    data = read_frame(
        {"user": [1, 1, 1, 1], "item": ["a", "b", "c", "d"]}, items={"item": ["a", "b"], "genres": ["Sci-Fi", "War"]}
    )
    given = {
        "item": ["a", "b", "a", "b", "c", "c", "a", "d", "z", "z", "b", "c"],
        "user": ["1", "2", "1", "1", "2", "1", "1", "1", "1", "2", None, "2"],
        "tag": [
            "dark",
            "Dark ",
            "mine",
            "mine",
            "sci-fi",
            "odd  One",
            None,
            "unknown",
            "mine",
            "odd one",
            "",
            "odd one",
        ],
    }
    sheet = map_table_columns(given, {**LOG_FIELDS, "features": ("tag",)}, REQUIRED_FIELDS, "x")
    everything, none = add_tags(data.items, sheet, TagRule())
    assert everything.feature_names == ("Sci-Fi", "War", "dark", "mine", "odd one")
    assert none == []
    for rule, kept, left_out in (
        (TagRule(min_items=2), ("dark", "mine"), 1),
        (TagRule(min_users=2), ("dark", "odd one"), 1),
        (TagRule(2, 2), ("dark",), 2),
        (TagRule(3), (), 3),
    ):
        items, notes = add_tags(data.items, sheet, rule)
        assert items.feature_names == ("Sci-Fi", "War", *kept)
        few = f"that fewer than {rule.min_items} items have or {rule.min_users} users gave"
        assert notes == [f"{left_out} tags {few}: left out"]
    items, _ = add_tags(data.items, sheet, TagRule(2, 2))
    assert items.features.toarray().tolist() == [[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert items.features.dtype == np.float32
    assert items.ids is data.items.ids


def test_items_need_an_id(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\n1,2\n")
    (tmp_path / "items.csv").write_text("itm,title\n2,b\n")
    with pytest.raises(RecsysError, match=r"items\.csv: no column for item_id: did you mean 'itm'"):
        read_dataset(tmp_path / "log.csv", items=tmp_path / "items.csv")
    data = read_dataset(tmp_path / "log.csv", items=tmp_path / "items.csv", item_columns={"item_id": "itm"})
    assert data.items.titles.tolist() == ["b"]


# Fingerprints

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=25
)


def frame_of(rows: list[tuple[int, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "ts"])
    return frame.assign(title=[f"t{rating}" for rating in frame["rating"]], source="here")


@settings(max_examples=60)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(rows: list[tuple[int, ...]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    one, other = read_frame(frame_of(rows)), read_frame(frame_of(shuffled))
    assert one.fingerprint == other.fingerprint
    assert one.interactions.user_ids.tolist() == other.interactions.user_ids.tolist()
    assert one.notes == other.notes


def test_the_order_of_rows_of_a_file_does_not_count(tmp_path: Path) -> None:
    frame = frame_of([(u, i, (u * i) % 3 + 1, u + i) for u in range(9) for i in range(7)])
    for name, order in (("a", frame.index), ("b", frame.sample(frac=1, random_state=1).index)):
        frame.loc[order].to_csv(tmp_path / f"{name}.csv", index=False)
    assert read_dataset(tmp_path / "a.csv").fingerprint == read_dataset(tmp_path / "b.csv").fingerprint


BASE = {"user": [1, 1, 2], "item": [1, 2, 2], "rating": [3, 4, 5], "ts": [7, 8, 9], "title": ["a", "b", "b"]}


@pytest.mark.parametrize(
    "change",
    [
        {"user": [1, 1, 3]},
        {"item": [1, 2, 1]},
        {"rating": [3, 4, 4]},
        {"rating": [4, 3, 5]},
        {"ts": [7, 8, 8]},
        {"title": ["a", "c", "c"]},
        {"genres": ["x", "", ""]},
        {"release_year": [1999, None, None]},
        {"source": ["", "", ""]},
        {"consent": [1, 1, 1]},
    ],
)
def test_everything_else_counts(change: dict[str, Any]) -> None:
    assert read_frame(BASE).fingerprint != read_frame({**BASE, **change}).fingerprint


def test_no_times_are_not_times_of_zero() -> None:
    table = {"user": [1], "item": [1]}
    assert read_frame(table).fingerprint != read_frame({**table, "ts": [0]}).fingerprint


def test_two_ways_to_the_same_dataset(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.5,4000000000\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n2,"Two, or so (1992)",A|B\n')
    one = read_dataset(tmp_path / "ratings.csv", items=tmp_path / "movies.csv")
    table = {"u": ["1"], "i": ["2.0"], "w": ["3.50"], "t": [4_000_000_000_000]}
    names: dict[str, object] = {"user_id": "u", "item_id": "i", "weight": "w", "datetime": "t"}
    items = {"item": [2], "name": ["Two, or so"], "categories": ["B|A"], "year": [1992.0]}
    assert read_frame(table, names, items).fingerprint == one.fingerprint
