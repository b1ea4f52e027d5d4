"""Tables in memory: every form gives the dataset of the same rows in a file; what is none is one line."""

import collections
import datetime
import decimal
import sqlite3
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

import recsys
from recsys.data import read_dataset, read_frame
from recsys.types import RecsysError

BIG = 2**60 + 1  # no float64 holds it
ROWS = {
    "user_id": [BIG, BIG, BIG + 1, 7], "item_id": ["a", "b", "a", "c"], "rating": [4.0, 2.5, 5.0, 1.0],
    "timestamp": [1_000_000, 1_000_001, 1_000_002, 1_000_003],
}  # fmt: skip
FRAME = pd.DataFrame(ROWS)
TUPLES = list(FRAME.itertuples(index=False, name=None))
Row = collections.namedtuple("Row", list(ROWS))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "rows.csv"
    FRAME.to_csv(path, index=False)
    return read_dataset(path)


def arrow() -> pa.Table:
    return pa.table(ROWS)


class Stream:
    """Anything with Arrow's C stream."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def sqlite_rows():
    with sqlite3.connect(":memory:") as base:
        base.row_factory = sqlite3.Row
        base.execute("create table log (user_id, item_id, rating, timestamp)")
        base.executemany("insert into log values (?, ?, ?, ?)", TUPLES)
        found = base.execute("select * from log").fetchall()
    base.close()
    return found


FORMS = {
    "pandas": lambda: FRAME,
    "pandas, ids as index": lambda: FRAME.set_index(["user_id", "item_id"]),
    "pandas, one id as index": lambda: FRAME.set_index("item_id"),
    "pandas, nullable": lambda: FRAME.convert_dtypes(),
    "pandas of Arrow": lambda: FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, categories": lambda: FRAME.astype("category"),
    "pandas, ids as categories": lambda: FRAME.astype({"user_id": "category", "item_id": "category"}),
    "pandas, sparse": lambda: FRAME.astype({"rating": pd.SparseDtype("float64", 0.0)}),
    "pandas, an index that counts nothing": lambda: FRAME.set_index(pd.Index([9, 9, 3, 1])),
    "pandas, one level of names in two": lambda: FRAME.set_axis(pd.MultiIndex.from_tuples([(n, "") for n in ROWS]), axis=1),
    "a list of frames": lambda: [FRAME[:2], FRAME[2:]],
    "Arrow table": arrow,
    "Arrow batch": lambda: arrow().to_batches()[0],
    "Arrow reader": lambda: arrow().to_reader(max_chunksize=3),
    "Arrow batches": lambda: arrow().to_batches(max_chunksize=2),
    "Arrow table in chunks": lambda: pa.concat_tables([arrow()[:1], arrow()[1:]]),
    "Arrow's C stream": lambda: Stream(arrow()),
    "Arrow, dictionary": lambda: pa.table({**ROWS, "item_id": pa.array(ROWS["item_id"]).dictionary_encode()}),
    "Arrow, large_string": lambda: pa.table({**ROWS, "item_id": pa.array(ROWS["item_id"], pa.large_string())}),
    "Arrow, string_view": lambda: pa.table({**ROWS, "item_id": pa.array(ROWS["item_id"], pa.string_view())}),
    "Arrow, binary": lambda: pa.table({**ROWS, "item_id": pa.array([i.encode() for i in ROWS["item_id"]], pa.binary())}),
    "Arrow, decimal": lambda: pa.table({**ROWS, "rating": pa.array([decimal.Decimal(str(r)) for r in ROWS["rating"]])}),
    "Arrow, timestamps": lambda: pa.table({**ROWS, "timestamp": pa.array([t * 10**6 for t in ROWS["timestamp"]], pa.timestamp("us", "UTC"))}),
    "Arrow, unsigned": lambda: pa.table({**ROWS, "user_id": pa.array(ROWS["user_id"], pa.uint64())}),
    "columns": lambda: ROWS,
    "columns, tuples": lambda: {name: tuple(values) for name, values in ROWS.items()},
    "columns, generators": lambda: {name: (value for value in values) for name, values in ROWS.items()},
    "columns, arrays": lambda: {name: np.array(values) for name, values in ROWS.items()},
    "columns, arrays of objects": lambda: {name: np.array(values, dtype=object) for name, values in ROWS.items()},
    "columns, series of other indexes": lambda: {name: pd.Series(ROWS[name], index=np.arange(4) * n) for n, name in enumerate(ROWS)},
    "columns, indexes": lambda: {name: pd.Index(values) for name, values in ROWS.items()},
    "columns, Arrow arrays": lambda: {name: pa.array(values) for name, values in ROWS.items()},
    "columns, chunked arrays": lambda: {name: pa.chunked_array([values[:1], values[1:]]) for name, values in ROWS.items()},
    "columns, masked arrays": lambda: {name: np.ma.masked_array(values) for name, values in ROWS.items()},
    "columns, bytes": lambda: {**ROWS, "item_id": np.array(ROWS["item_id"], dtype="S")},
    "columns, categoricals": lambda: {**ROWS, "item_id": pd.Categorical(ROWS["item_id"])},
    "columns, dates": lambda: {**ROWS, "timestamp": np.array(ROWS["timestamp"], "datetime64[s]")},
    "columns, datetimes": lambda: {**ROWS, "timestamp": [datetime.datetime.fromtimestamp(t, datetime.UTC) for t in ROWS["timestamp"]]},
    "columns, decimals": lambda: {**ROWS, "rating": [decimal.Decimal(str(r)) for r in ROWS["rating"]]},
    "a mapping of columns": lambda: collections.OrderedDict(ROWS),
    "dicts": lambda: FRAME.to_dict("records"),
    "dicts in other orders": lambda: [dict(reversed(row.items())) if i % 2 else row for i, row in enumerate(FRAME.to_dict("records"))],
    "a generator of dicts": lambda: (row for row in FRAME.to_dict("records")),
    "a tuple of dicts": lambda: tuple(FRAME.to_dict("records")),
    "tuples": lambda: TUPLES,
    "lists": lambda: [list(row) for row in TUPLES],
    "a generator of tuples": lambda: iter(TUPLES),
    "named tuples": lambda: [Row(*row) for row in TUPLES],
    "rows of sqlite": sqlite_rows,
    "a structured array": lambda: FRAME.to_records(index=False),
    "an array of rows": lambda: np.array(TUPLES, dtype=object),
    "mapped by name": lambda: FRAME.rename(columns={"user_id": "userId", "item_id": "movieId"}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_dataset_of_the_file(form, expected):
    made = recsys.read_dataset(FORMS[form]())
    assert made.interactions.user_ids.tolist() == expected.interactions.user_ids.tolist()
    assert made.fingerprint == expected.fingerprint
    assert made.name == "table"


def test_polars(expected):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(ROWS)
    for form in (
        frame, frame.with_columns(pl.col("item_id").cast(pl.Categorical)),
        frame.with_columns(pl.col("item_id").cast(pl.Enum(["a", "b", "c"]))),
        frame.with_columns(pl.col("rating").cast(pl.Decimal(10, 1))), {name: frame[name] for name in ROWS},
        frame.with_columns(pl.from_epoch("timestamp")), [frame[:1], frame[1:]], frame.rows(named=True),
    ):  # fmt: skip
        assert read_dataset(form).fingerprint == expected.fingerprint
    with pytest.raises(
        RecsysError, match=r"^table: a LazyFrame is no table yet, expected what its collect\(\) returns$"
    ):
        read_dataset(frame.lazy())


def test_duckdb(expected):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as base:
        base.register("frame", FRAME)
        assert read_dataset(base.sql("select * from frame")).fingerprint == expected.fingerprint
        assert read_dataset(base.sql("select * from frame where rating > 2")).interactions.user_ids.tolist() == [
            str(BIG),
            str(BIG + 1),
        ]
        kept = base.sql("select item_id, any_value('Film ' || item_id) as title from frame group by 1")
        assert read_dataset(FRAME, items=kept).items.titles.tolist() == ["Film a", "Film b", "Film c"]


def test_ids_beside_missing_values_keep_every_digit():
    events = {"user": [BIG, BIG], "item": [BIG, None], "event": ["view", "search"]}
    for form in (
        events,
        pa.table(events),
        [dict(zip(events, row, strict=True)) for row in zip(*events.values(), strict=True)],
    ):
        assert read_dataset(form, events={"view": 1}).interactions.item_ids.tolist() == [str(BIG)]
    masked = np.ma.masked_array([BIG, 5], [False, True])
    assert read_dataset({**events, "item": masked}, events={"view": 1}).interactions.item_ids.tolist() == [str(BIG)]


def test_other_ids_are_texts():
    one = uuid.UUID(int=5)
    made = read_dataset({"user": [one, one], "item": [datetime.date(2020, 1, 1), "x"]})
    assert made.interactions.user_ids.tolist() == [str(one)]
    assert made.interactions.item_ids.tolist() == ["2020-01-01", "x"]
    assert read_dataset({"user": pa.array([b"\xc3\xa9"]), "item": [b"x"]}).interactions.user_ids.tolist() == ["é"]


def test_rows_without_names_are_said():
    assert read_dataset(TUPLES).notes[0] == "rows without names: read as user_id, item_id, weight, datetime"
    assert read_dataset(np.array([[1, 2], [3, 4]])).interactions.user_ids.tolist() == ["1", "3"]
    assert read_dataset(TUPLES, {"user_id": 1, "item_id": "0"}).interactions.user_ids.tolist() == ["a", "b", "c"]
    with pytest.raises(RecsysError, match=r"^table: no column for user_id: .*columns are counted from 0"):
        read_dataset([(1, 2, 3, 4, 5)])


def test_a_catalogue_in_memory():
    items = [
        {"item_id": "a", "title": "Alpha", "genres": "Drama|War"},
        {"item_id": "c", "title": "Gamma", "genres": None},
    ]
    for form in (items, pd.DataFrame(items), pa.table({name: [row[name] for row in items] for name in items[0]})):
        made = read_dataset(FRAME, items=form)
        assert made.items.titles.tolist() == ["Alpha", "", "Gamma"]
        assert made.items.feature_names == ("Drama", "War")
    assert read_frame(FRAME, items=items).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_array]
)
def test_sparse_matrices(make):
    cells = np.array([[0, 2.0, 1.0], [3.0, 0, 0]])
    made = read_dataset(make(cells), user_ids=["u", "v"], item_ids=["x", "y", "z"], name="cells")
    wanted = read_dataset({"user": ["u", "u", "v"], "item": ["y", "z", "x"], "weight": [2.0, 1.0, 3.0]})
    assert (made.name, made.fingerprint, made.notes) == ("cells", wanted.fingerprint, ())
    assert read_dataset(make(cells)).interactions.item_ids.tolist() == ["0", "1", "2"]
    assert read_dataset(make(cells), user_ids=pd.Index([5, 6])).interactions.user_ids.tolist() == ["5", "6"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32, np.int64])
def test_entries_of_one_cell_are_added_up_without_running_over(dtype):
    twice = sparse.coo_array((np.array([100, 100, 100], dtype=dtype), ([0, 0, 0], [0, 0, 0])), shape=(1, 1))
    assert read_dataset(twice).interactions.weight.tolist() == [300.0]


@pytest.mark.parametrize(
    ("data", "indices", "indptr"), [([1.0], [5], [0, 1]), ([1.0], [-1], [0, 1]), ([1.0, 1.0], [0, 1], [0, 3])]
)
def test_damaged_matrices_are_one_line(data, indices, indptr):
    cells = sparse.csr_array((1, 2))
    cells.data, cells.indices, cells.indptr = np.array(data), np.array(indices, np.int32), np.array(indptr, np.int32)
    with pytest.raises(RecsysError, match=r"^table: the matrix is damaged: "):
        read_dataset(cells)


def test_entries_of_a_matrix_are_cells():
    twice = sparse.csr_array((np.array([1.0, 2.0, 0.0]), (np.array([0, 0, 1]), np.array([1, 1, 0]))), shape=(2, 2))
    given = twice.copy()
    made = read_dataset(twice)
    assert made.interactions.weight.tolist() == [3.0]
    assert made.notes == ("1 stored zeros are no entries: left out",)
    assert np.array_equal(twice.data, given.data)
    doubled = sparse.csr_array((np.ones(2), np.zeros(2, int), np.array([0, 2])), shape=(1, 1))
    assert read_dataset(doubled).interactions.weight.tolist() == [2.0]
    with pytest.raises(RecsysError, match="table: row 1: weight is missing, expected a finite number"):
        read_dataset(sparse.csr_array([[np.nan]]))


class Thing:
    """An object of somebody's own."""


PAIR = {"user": [1, 2], "item": [1, 2]}
BAD = [
    (5, "table: found 5, expected a path, a pandas"),
    (None, "table: found None, expected a path"),
    (Thing(), "table: found a Thing, expected a path"),
    (b"user,item", "table: found a bytes, expected a path"),
    ({1, 2}, "table: found a set, expected a path"),
    ([], "table: the table is empty"),
    ({}, "table: the table is empty"),
    (iter([]), "table: the table is empty"),
    ({"user": [], "item": []}, "table: the table is empty"),
    (pd.DataFrame(), "table: the table is empty"),
    (pa.table({}), "table: the table is empty"),
    (FRAME[:0], "table: the table is empty"),
    (["a", "b"], "table: row 1 is 'a', expected a tuple with one value per column, or a dict"),
    ([1, 2], "table: row 1 is 1, expected a tuple"),
    ([(1, 2), (1, 2, 3)], "table: row 2 has 3 values, expected 2 as in row 1"),
    ([(1, 2), {"user": 1}], "table: row 2 is a dict, expected a tuple"),
    ([{"user": 1}, (1, 2)], "table: row 1 is a dict, expected a tuple"),
    ([FRAME, FRAME[["user_id"]]], "table: part 2 has other columns than part 1"),
    ([FRAME, 5], "table: found 5, expected a path"),
    ({"user": [1, 2], "item": [1]}, "table: columns differ in length (user 2, item 1), expected one value of each"),
    ({**PAIR, "rating": np.ones((2, 2))}, "table: rating has the shape (2, 2), expected one value in each row"),
    ({**PAIR, "user": np.ones((2, 1))}, "table: user has the shape (2, 1), expected one value in each row"),
    ({**PAIR, "user": np.array(1)}, "table: user has the shape (), expected one value in each row"),
    ({**PAIR, "user": pd.DataFrame({"a": [1, 2]})}, "table: user"),
    ({**PAIR, "user": 1}, "table: user is 1, expected a list with one value in each row"),
    ({**PAIR, "user": "ab"}, "table: user is 'ab', expected a list"),
    ({**PAIR, "user": None}, "table: user is None, expected a list"),
    ({**PAIR, "user": {1, 2}}, "table: user is a set, expected a list"),
    ({**PAIR, "user": {0: 1, 1: 2}}, "table: user is a dict, expected a list"),
    ({**PAIR, "user": [{"id": 1}, {"id": 2}]}, "table: user holds dict objects, expected one value in each row"),
    ({**PAIR, "user": [[1], [2]]}, "table: user holds lists, expected one value in each row"),
    ({**PAIR, "item": [(1,), (2,)]}, "table: item holds lists, expected one value in each row"),
    ({**PAIR, "user": [{1}, {2}]}, "table: user holds set objects, expected one value in each row"),
    ({**PAIR, "user": [Thing(), Thing()]}, "table: user holds Thing objects, expected one value in each row"),
    ({**PAIR, "user": ["a", "b\ud800"]}, "table: user holds '\\ud800', expected text that UTF-8 can say"),
    (pd.DataFrame({**PAIR, "user": np.array(["a", "\udfff"], dtype=object)}, dtype=object), "table: user holds '\\udfff'"),
    ([("a", "\ud800")], "table: 1 holds '\\ud800', expected text that UTF-8 can say"),
    ({**PAIR, "rating": [{"a": 1}, 2]}, "table: rating holds dict objects, expected one value in each row"),
    ({**PAIR, "rating": [1j, 2]}, "table: rating holds complex numbers"),
    ({**PAIR, "rating": np.array([1j, 2])}, "table: rating holds complex numbers"),
    ({**PAIR, "user": np.ma.masked_array([1, 2], [True, False])}, "table: row 1: user is missing, expected an id"),
    ({**PAIR, "User": [1, 2]}, "table: columns 'user' and 'User' could both be user_id"),
    (pa.table({**PAIR, "user": pa.array([[1], [2]])}), "table: user holds lists"),
    (pa.table({**PAIR, "user": pa.array([{"a": 1}, {"a": 2}])}), "table: user holds dict objects"),
    (pa.table([[1], [2], [3]], names=["user", "user", "item"]), "table: column 'user' is there more than once"),
    (pd.DataFrame([[1, 2, 3]], columns=["user", "user", "item"]), "table: column 'user' is there more than once"),
    (pd.DataFrame(np.ones((2, 4)), columns=pd.MultiIndex.from_product([["user", "item"], ["a", "b"]])), "table: its columns have 2 levels"),
    (pd.Series([1, 2], name="user"), "table: no column for item_id"),
    (np.ones(3), "table: found an array of shape (3,), expected rows x columns"),
    (np.ones((2, 2, 2)), "table: found an array of shape (2, 2, 2), expected rows x columns"),
    (np.ones((3, 6)), "table: no column for user_id"),
    (sparse.coo_array(np.ones(3)), "table: found a matrix of shape (3,), expected users x items"),
    (sparse.csr_array((2, 2)), "table: the table is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_is_no_table_is_one_line(table, message):
    with pytest.raises(RecsysError) as error:
        read_dataset(table)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        (sparse.eye_array(2), {"user_ids": ["a"]}, "table: user_ids: found 1, expected 2: one for each of the matrix"),
        (sparse.eye_array(2), {"item_ids": ["a", "a"]}, "table: item_ids: 'a' is there more than once"),
        (sparse.eye_array(2), {"item_ids": "ab"}, "table: item_ids is 'ab', expected a list"),
        (sparse.eye_array(2), {"item_ids": [None, "a"]}, "table: row 1: item_id is missing, expected an id"),
        (FRAME, {"user_ids": [1]}, "table: user_ids and item_ids are of a sparse matrix"),
        (FRAME, {"columns": ["user_id"]}, "table: columns: found ['user_id'], expected such as"),
        (FRAME, {"columns": {0: "user_id"}}, "table: columns: found {0: 'user_id'}, expected such as"),
        (FRAME, {"features": 5}, "table: features: found 5, expected names of columns"),
        (FRAME, {"items": 5}, "table: items: found 5, expected a path"),
        (FRAME, {"items": []}, "table: items: the table is empty"),
        (FRAME, {"items": {"item_id": ["a"], "title": []}}, "table: items: columns differ in length"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_table_is_one_line(table, settings, message):
    with pytest.raises(RecsysError) as error:
        read_dataset(table, **settings)
    assert str(error.value).startswith(message)


def test_tables_are_left_as_they_are():
    given = FRAME.set_index("item_id").astype({"rating": object})
    before = given.copy(deep=True)
    read_dataset(given)
    pd.testing.assert_frame_equal(given, before)


# Events


EVENTS = {
    "visitorid": [1, 1, 1, 2, 2, 3], "itemid": [5, 5, 6, 5, 7, 8], "timestamp": [1, 2, 3, 4, 5, 6],
    "event": ["view", "addtocart", "view", "transaction", "view", "wish"],
}  # fmt: skip


def test_events_weigh_what_they_are_told_to():
    made = read_dataset(EVENTS, events={"transaction": 4, "addtocart": np.int64(2), "view": 1})
    assert made.interactions.weight.tolist() == [1.0, 2.0, 1.0, 4.0, 1.0]
    assert made.interactions.item_ids.tolist() == ["5", "6", "7"]
    assert made.notes[0] == "1 rows of other events (wish 1): dropped"
    assert made.columns["event"] == "event"
    some = read_dataset(EVENTS, events={"transaction": 1})
    assert some.notes[0] == "5 rows of other events (view 3, addtocart 1, wish 1): dropped"
    assert (
        len(
            {made.fingerprint, some.fingerprint, read_dataset(EVENTS, events={"transaction": 4, "view": 1}).fingerprint}
        )
        == 3
    )


def test_without_a_choice_a_note_says_that_all_events_weigh_alike():
    note = "all events of column event weigh alike (view 3, addtocart 1, transaction 1, wish 1): events = {...} chooses and weighs"
    assert read_dataset(EVENTS).notes[0] == note
    assert read_dataset(EVENTS).interactions.weight.tolist() == [1.0] * 6
    for log in ({**EVENTS, "event": ["view"] * 6}, {**EVENTS, "rating": [1] * 6}):
        assert not [one for one in read_dataset(log).notes if "weigh" in one]


def test_events_by_number_and_by_another_name():
    log = {"user": [1, 1, 1], "item": [1, 2, 3], "action": [1, 2, 2]}
    assert read_dataset(log, events={1: 5, "2": 1}).interactions.weight.tolist() == [5.0, 1.0, 1.0]
    log = {"user": [1, 1, 1], "item": [1, 2, 3], "kind": pd.Categorical(["b", "c", "c"])}
    assert read_dataset(log, {"event": "kind"}, events={"c": 2}).interactions.weight.tolist() == [2.0, 2.0]


def test_rows_of_other_events_need_no_item_and_no_user():
    log = {"user": [1, None, 2], "item": [1, None, None], "event": ["buy", "search", None], "value": [9.5, None, None]}
    made = read_dataset(log, events={"buy": 1})
    assert made.interactions.weight.tolist() == [1.0]
    assert made.notes == (
        "2 rows of other events (search 1, none 1): dropped",
        "weights are those of events: column value is not used",
    )
    with pytest.raises(RecsysError, match="table: row 2: user is missing"):
        read_dataset(log, events={"buy": 1, "search": 1})


def test_returns_are_none_of_the_events():
    log = {"user": [1, 1], "item": [1, 2], "event": ["buy", "buy"], "quantity": [2, -1]}
    made = read_dataset(log, events={"buy": 3})
    assert made.interactions.weight.tolist() == [3.0]
    assert "1 returns (negative quantity): dropped" in made.notes


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"transactions": 4}, "table: events: unknown event 'transactions': did you mean 'transaction'?"),
        ({"View": 1}, "table: events: unknown event 'View': did you mean 'view'?"),
        ({}, "table: events: found {}, expected weights such as"),
        (["view"], "table: events: found ['view'], expected weights such as"),
        ("view", "table: events: found 'view', expected weights such as"),
        ({"view": "1"}, "table: events: view is '1', expected a finite number"),
        ({"view": True}, "table: events: view is True, expected a finite number"),
        ({"view": float("nan")}, "table: events: view is nan, expected a finite number"),
        ({"view": 1e39}, "table: events: view is 1e+39, expected a finite number"),
        ({"view": None}, "table: events: view is None, expected a finite number"),
    ],
)
def test_events_that_cannot_be_meant_are_one_line(events, message):
    with pytest.raises(RecsysError) as error:
        read_dataset(EVENTS, events=events)
    assert str(error.value).startswith(message)


def test_events_need_their_column():
    with pytest.raises(RecsysError, match=r"^table: no column for event: did you mean 'eventt'\? name it"):
        read_dataset({"user": [1], "item": [1], "eventt": ["a"]}, events={"a": 1})
