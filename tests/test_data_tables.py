"""A user's own tables: columns of any library, ids, times, and everything that can be wrong with them."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import read_dataset, read_frame
from recsys.data.columns import LOG_FIELDS, resolve_columns
from recsys.data.identifiers import normalize_id, sort_ids
from recsys.types import Dataset, RecsysError

DAY = 1_262_304_000  # 2010-01-01
PLAIN = "user_id,item_id,rating,timestamp\n1,50,4.5,1262304000\n2,50,3,1262304001\n1,7,1,1262304002\n"


def write(folder: Path, text: str, name: str = "log.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(data: Dataset) -> list[tuple[Any, ...]]:
    log = data.interactions
    columns = [log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), log.weight.tolist()]
    return list(zip(*columns, *([] if log.datetime is None else [log.datetime.tolist()]), strict=True))


# Reading


def test_a_plain_file(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path, PLAIN))
    assert rows(data) == [("1", "50", 4.5, DAY), ("2", "50", 3.0, DAY + 1), ("1", "7", 1.0, DAY + 2)]
    assert data.name == "log"
    assert data.interactions.item_ids.tolist() == ["7", "50"]
    assert data.items.ids.tolist() == ["7", "50"]
    assert data.notes == ()


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", "::", ","])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    data = read_dataset(write(tmp_path, PLAIN.replace(",", delimiter), "log.txt"))
    assert rows(data) == rows(read_dataset(write(tmp_path, PLAIN)))


def test_quotes_hide_delimiters(tmp_path: Path) -> None:
    text = 'user,item,title\n1,2,"One, two; three"\n'
    assert read_dataset(write(tmp_path, text)).items.titles.tolist() == ["One, two; three"]


def test_parquet_gives_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path, PLAIN)
    pd.read_csv(plain).to_parquet(tmp_path / "log.parquet")
    assert read_dataset(tmp_path / "log.parquet").fingerprint == read_dataset(plain).fingerprint


def test_recbole_headers(tmp_path: Path) -> None:
    log = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t50\t4.5\t1262304000\n"
    items = (
        'item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n50\tIl "Postino\t1994\tDrama War\n'
    )
    data = read_dataset(write(tmp_path, log, "a.inter"), items=write(tmp_path, items, "a.item"))
    assert rows(data) == [("1", "50", 4.5, DAY)]
    assert data.items.titles.tolist() == ['Il "Postino']
    assert data.items.feature_names == ("Drama", "War")
    assert data.items.years.tolist() == [1994]


def test_other_encodings(tmp_path: Path) -> None:
    text = "user,item,title\n1,2,Misérables\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        data = read_dataset(write(tmp_path, text, encoding=encoding))
        assert data.items.titles.tolist() == ["Misérables"], encoding
    assert data.notes == ("log.csv is not UTF-8: read as latin-1",)


def test_a_file_without_header_needs_columns_by_position(tmp_path: Path) -> None:
    path = write(tmp_path, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "u.data")
    with pytest.raises(RecsysError, match=r"no column for user_id: .*no header line, columns are counted from 0"):
        read_dataset(path)
    data = read_dataset(path, columns={"user_id": 0, "item_id": "1", "rating": 2, "timestamp": 3})
    assert rows(data) == [("196", "242", 3.0, 881250949), ("186", "302", 3.0, 891717742)]


def test_the_frame_given_is_not_changed() -> None:
    frame = pd.DataFrame({"userId": [1, 1], "movieId": [2, 2], "rating": ["3", "4"]}, index=[7, 7])
    before = frame.copy(deep=True)
    read_frame(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_an_index_with_a_name_is_a_column() -> None:
    frame = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]}).set_index("user_id")
    assert rows(read_frame(frame)) == [("a", "x", 1.0), ("b", "y", 1.0)]


# Columns


@pytest.mark.parametrize(
    "names",
    [
        ["user_id", "item_id", "weight", "datetime"],  # RecTools
        ["user_id", "item_id", "rating", "timestamp"],  # LensKit
        ["query_id", "item_id", "rating", "timestamp"],  # RePlay
        ["userID", "itemID", "prediction", "timestamp"],  # Recommenders
        ["userId", "movieId", "rating", "timestamp"],  # MovieLens, Elliot
        ["uid", "iid", "score", "ts"],  # RecPack
        ["User", "Item", "Weight", "Time"],
        ["Customer ID", "StockCode", "Quantity", "InvoiceDate"],
        ["user_id:token", "item_id:token", "rating:float", "timestamp:float"],  # RecBole
    ],
)
def test_the_names_of_other_libraries(names: list[str]) -> None:
    data = read_frame(dict(zip(names, ([1, 2], [3, 4], [5, 6], [DAY, DAY + 1]), strict=True)))
    assert rows(data) == [("1", "3", 5.0, DAY), ("2", "4", 6.0, DAY + 1)]


def test_columns_say_otherwise() -> None:
    frame = {"user_id": [1], "client": [2], "thing": [3], "stars": [4.0], "n": [5.0]}
    assert rows(read_frame(frame, {"user_id": "client", "item_id": "thing", "rating": "n"})) == [("2", "3", 5.0)]
    assert rows(read_frame(frame, {"item_id": "thing", "quantity": "n"})) == [("1", "3", 5.0)]


def test_the_first_alias_wins() -> None:
    names = ["user_id", "item_id", "score", "rating", "ts", "timestamp"]
    found = resolve_columns(names, LOG_FIELDS, ["user_id"], "x")
    assert (found["weight"], found["datetime"]) == ("rating", "timestamp")


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["usr_id", "item_id"], None, "x: no column for user_id: did you mean 'usr_id'?"),
        (["user_id", "thing"], None, 'x: no column for item_id: name it, for instance columns={"item_id": "user_id"}'),
        (["user_id", "thing"], None, "(columns: user_id, thing)"),
        (["user_id", "item_id"], {"user_id": "client_id"}, "x: unknown column 'client_id': did you mean 'item_id'?"),
        (["user_id", "item_id"], {"wieght": "item_id"}, "x: columns: unknown field 'wieght': did you mean 'weight'?"),
        (["user_id", "item_id", "item_id"], None, "x: column 'item_id' is there more than once"),
        (["userId", "user_id", "item_id"], None, "x: columns 'userId' and 'user_id' could both be user_id"),
    ],
)
def test_columns_that_cannot_be_found(names: list[str], columns: dict[str, object] | None, message: str) -> None:
    frame = pd.DataFrame([[1] * len(names)], columns=names)
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        read_frame(frame, columns, name="x")
    assert "\n" not in str(error.value)


# Ids


@pytest.mark.parametrize(
    "ids", [[50, 7], ["50", "7"], [50.0, 7.0], ["50.0", " 7"], np.array([50, 7], dtype=np.uint8), [50, "7"]]
)
def test_ids_are_names(ids: Any) -> None:
    data = read_frame({"user_id": ids, "item_id": ids})
    assert data.interactions.user_ids.tolist() == ["7", "50"]
    assert data.interactions.user.tolist() == [1, 0]


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path, "user,item\n007,NA\n7,null\n1e5,nan\n"))
    assert rows(data) == [("007", "NA", 1.0), ("7", "null", 1.0), ("1e5", "nan", 1.0)]


def test_the_same_id_in_two_forms_is_one() -> None:
    data = read_frame({"user_id": [50, 50.0, "50", "50.0"], "item_id": [1, 2, 3, 4]})
    assert data.interactions.user_ids.tolist() == ["50"]


def test_a_column_with_gaps_elsewhere_does_not_turn_ids_into_fractions(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [13085.0, 13086.0], "item_id": ["a", "b"]})
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert read_dataset(tmp_path / "log.csv").interactions.user_ids.tolist() == ["13085", "13086"]


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5), st.floats(), st.none()), max_size=20))
def test_ids_in_order_are_distinct_and_complete(values: list[Any]) -> None:
    names = [normalize_id(value) for value in values]
    found = sort_ids(name for name in names if name)
    assert len(set(found)) == len(found)
    assert set(found) == set(names) - {""}
    assert found == sort_ids(reversed(found))
    assert not any(re.fullmatch(r"-?\d+\.0", name) for name in found)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-5, 20), st.text("ab\u00e9 ", min_size=1, max_size=3)), min_size=1, max_size=20))
def test_ids_come_back_row_by_row(pairs: list[tuple[int, str]]) -> None:
    pairs = [(user, item) for user, item in dict.fromkeys((u, i.strip()) for u, i in pairs) if item]
    if pairs:
        data = read_frame({"user_id": [p[0] for p in pairs], "item_id": [p[1] for p in pairs]})
        assert rows(data) == [(str(user), item, 1.0) for user, item in pairs]


# Times


@pytest.mark.parametrize(
    "values",
    [
        [DAY, DAY + 86400],
        [DAY * 1_000, (DAY + 86400) * 1_000 + 999],
        [DAY * 1_000_000, (DAY + 86400) * 1_000_000],
        [DAY * 1_000_000_000, (DAY + 86400) * 1_000_000_000],
        [float(DAY), DAY + 86400.9],
        [str(DAY), str(DAY + 86400)],
        ["2010-01-01", "2010-01-02"],
        ["2010-01-01 00:00:00", "2010-01-02T00:00:00Z"],
        ["2010-01-01T02:00:00+02:00", "2010-01-02"],
        [20100101, 20100102],
        ["20100101", "20100102"],
        [dt.datetime(2010, 1, 1), dt.datetime(2010, 1, 2)],
        [dt.date(2010, 1, 1), dt.date(2010, 1, 2)],
        pd.to_datetime(["2010-01-01", "2010-01-02"]),
        pd.to_datetime(["2010-01-01", "2010-01-02"]).as_unit("ns"),
        pd.to_datetime(["2010-01-01 01:00", "2010-01-02 01:00"]).tz_localize("Europe/Paris"),
        np.array(["2010-01-01", "2010-01-02"], dtype="datetime64[D]"),
    ],
)
def test_times_of_every_kind_are_seconds(values: Any) -> None:
    data = read_frame({"user_id": [1, 2], "item_id": [1, 2], "datetime": values})
    assert data.interactions.datetime is not None
    assert data.interactions.datetime.dtype == np.int64
    assert data.interactions.datetime.tolist() == [DAY, DAY + 86400]


def test_times_before_1970() -> None:
    data = read_frame({"user_id": [1, 2], "item_id": [1, 2], "datetime": ["1969-12-31", "1969-12-31 23:59:59.5"]})
    assert data.interactions.datetime is not None
    assert data.interactions.datetime.tolist() == [-86400, -1]


# What is wrong


@pytest.mark.parametrize(
    ("rating", "found"),
    [("abc", "'abc'"), ("", "missing"), ("nan", "'nan'"), ("inf", "'inf'"), ("-inf", "'-inf'"), ("1e60", "'1e+60'")],
)
def test_weights_that_are_no_finite_numbers(tmp_path: Path, rating: str, found: str) -> None:
    path = write(tmp_path, f"user_id,item_id,rating\n1,2,3\n1,3,{rating}\n1,4,{rating}\n")
    expected = f"{path}: row 2: rating is {found}, expected a finite number (2 such rows)"
    with pytest.raises(RecsysError, match=re.escape(expected)):
        read_dataset(path)


@pytest.mark.parametrize("rating", [float("nan"), float("inf"), None, "x", "a\nb"])
def test_weights_of_a_frame(rating: Any) -> None:
    with pytest.raises(RecsysError, match=r"^x: row 2: rating is .*, expected a finite number$") as error:
        read_frame({"user_id": [1, 1], "item_id": [1, 2], "rating": [3.0, rating]}, name="x")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["user_id", "item_id"])
@pytest.mark.parametrize("missing", [None, float("nan"), "", " "])
def test_missing_ids(column: str, missing: Any) -> None:
    frame = {"user_id": ["a", "b"], "item_id": ["c", "d"]}
    frame[column] = ["a", missing]
    with pytest.raises(RecsysError, match=f"x: row 2: {column} is .*, expected an id$"):
        read_frame(frame, name="x")


def test_missing_ids_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id,item_id\n1,2\n,3\n")
    with pytest.raises(RecsysError, match=re.escape(f"{path}: row 2: user_id is missing, expected an id")):
        read_dataset(path)


@pytest.mark.parametrize("time", ["yesterday", "", "31/12/2009", "99999-01-01"])
def test_times_that_are_none(tmp_path: Path, time: str) -> None:
    path = write(tmp_path, f"user_id,item_id,date\n1,2,2010-01-01\n1,3,{time}\n")
    with pytest.raises(RecsysError, match=r"row 2: date is .*, expected epoch seconds or an ISO 8601 time$"):
        read_dataset(path)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_no_times(time: float) -> None:
    with pytest.raises(RecsysError, match=r"row 2: ts is .*, expected a time$"):
        read_frame({"user_id": [1, 1], "item_id": [1, 2], "ts": [1.0, time]})


def test_cells_that_hold_lists() -> None:
    with pytest.raises(RecsysError, match="frame: item_id holds lists, expected one value in each row"):
        read_frame({"user_id": [1], "item_id": [[1, 2]]})


@pytest.mark.parametrize("text", ["", "\n", "user_id,item_id,rating\n"])
def test_empty_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecsysError, match=r"log\.csv: the (table|file) is empty$"):
        read_dataset(write(tmp_path, text))


@pytest.mark.parametrize("frame", [{}, {"user_id": [], "item_id": []}, pd.DataFrame()])
def test_empty_frames(frame: Any) -> None:
    with pytest.raises(RecsysError, match="frame: the table is empty"):
        read_frame(frame)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", b"user,item\n1,2\n1,2,3\n"),
        ("log.csv", b"user,item\n1,2,3\n"),
        ("log.csv", b'user,item,title\n1,2,"a, b"\n1,3,"c, d\n'),
        ("log.parquet", b"PAR1 this is none"),
        ("log.parquet", b""),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecsysError, match=f"{name}: (cannot be read: |line 3: a quote opens)") as error:
        read_dataset(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_binary_file_called_csv(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(RecsysError, match=r"log\.csv: "):
        read_dataset(tmp_path / "log.csv")


def test_an_excel_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.xlsx").write_bytes(b"none")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecsysError, match=r'needs pip install "recsys-negspace\[excel\]"'):
        read_dataset(tmp_path / "log.xlsx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(RecsysError, match=r"log\.xlsx: not a zip archive"):
        read_dataset(tmp_path / "log.xlsx")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, PLAIN, "ratings.csv")
    nearest = re.escape(f"{tmp_path / 'rating.csv'}: no such file: did you mean '{tmp_path / 'ratings.csv'}'?")
    with pytest.raises(RecsysError, match=nearest):
        read_dataset(tmp_path / "rating.csv")
    with pytest.raises(RecsysError, match=r"no such file .no folder "):
        read_dataset(tmp_path / "none" / "rating.csv")
    with pytest.raises(RecsysError, match="is a folder, expected a file"):
        read_dataset(tmp_path)
    with pytest.raises(RecsysError, match=r"unknown kind of file '.pkl'"):
        read_dataset(write(tmp_path, PLAIN, "log.pkl"))
