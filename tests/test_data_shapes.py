"""Files that are no plain table: packed, JSON lines, partitioned Parquet, lists, blocks; and paths that are no files."""

import bz2
import gzip
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from recsys.data import fetch_dataset, read_dataset
from recsys.types import Dataset, RecsysError

TABLE = b"user_id,item_id,rating\n1,2,3\n1,3,4\n"
EXPECTED = [("1", "2", 3.0), ("1", "3", 4.0)]
packed = partial(gzip.compress, mtime=0)  # names of tests are those of every process


def rows(data: Dataset) -> list[tuple[Any, ...]]:
    log = data.interactions
    return list(zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), log.weight.tolist(), strict=True))


def write(folder: Path, content: str | bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, **how: Any) -> str:
    with pytest.raises(RecsysError) as error:
        read_dataset(path, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


# Packed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv.gz", packed(TABLE)),
        ("log.csv.GZ", packed(TABLE[:20]) + packed(TABLE[20:])),
        ("log.csv.zst", pa.compress(TABLE, "zstd", asbytes=True)),
        ("log.csv.bz2", bz2.compress(TABLE)),
        ("log.jsonl.gz", packed(b'{"user_id":1,"item_id":2,"rating":3}\n{"user_id":1,"item_id":3,"rating":4}')),
    ],
)
def test_packed_files(tmp_path: Path, name: str, content: bytes) -> None:
    data = read_dataset(write(tmp_path, content, name))
    assert rows(data) == EXPECTED
    assert data.name == "log"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv.gz", packed(TABLE)[:-9], "cannot be read: Truncated"),
        ("log.csv.gz", TABLE, "cannot be read: "),
        ("log.csv.zst", packed(TABLE), "cannot be read: "),
        ("log.csv.gz", packed(b"0" * 80_000_000), "unpacks to more than 67,108,864 bytes: refused"),
        ("log.csv.zst", pa.compress(b"0" * 80_000_000, "zstd", asbytes=True), "unpacks to more than 67,108,864 bytes"),
        ("log.csv.gz", packed(b""), "the file is empty"),
        ("log.pkl.gz", packed(TABLE), "unknown kind of file '.pkl'"),
        ("log.zip", TABLE, "unknown kind of file '.zip'"),
    ],
)
def test_packed_files_that_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert message in refused(write(tmp_path, content, name))


# JSON lines


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"reviewerID": "A1", "asin": "0007", "overall": 3.0, "unixReviewTime": 1262304000, "extra": {"a": [1]}},
        {"reviewerID": 7, "asin": "x", "overall": 4, "unixReviewTime": 1262304001},
    ]
    data = read_dataset(write(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "log.json"))
    assert rows(data) == [("A1", "0007", 3.0), ("7", "x", 4.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"user_id":1,"item_id":2}\n{"user_id":1,\n', "line 2 is no JSON"),
        ("{'user_id': 1}", "line 1 is no JSON"),
        ('[{"user_id":1}]', "holds one JSON array, expected one object on each line (JSON lines)"),
        ("null\n{}", "line 1 holds no object"),
        ('{"user_id":1,"item_id":[2]}', "item_id holds lists, expected one value in each row"),
        ('{"user_id":1,"item_id":{}}', "item_id holds dict objects, expected one value in each row"),
        ('{"user_id":1}\n', "no column for item_id"),
        ('{"user_id":1,"item_id":2}\n{"user_id":1}', "row 2: item_id is missing, expected an id"),
        ("", "the file is empty"),
    ],
)
def test_json_lines_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(write(tmp_path, text, "log.jsonl"))


# Partitioned Parquet


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": ["007", "7", "8"], "item_id": ["a", "b", "c"], "rating": [1, 2, 3]})
    frame.to_parquet(tmp_path / "one", partition_cols=["user_id"])
    (tmp_path / "one" / "_SUCCESS").touch()
    assert sorted(rows(read_dataset(tmp_path / "one"))) == [("007", "a", 1.0), ("7", "b", 2.0), ("8", "c", 3.0)]
    (tmp_path / "two").mkdir()
    frame[:1].to_parquet(tmp_path / "two" / "part-0.parquet")
    frame[1:].to_parquet(tmp_path / "two" / "part-1.parquet")
    assert read_dataset(tmp_path / "two").fingerprint == read_dataset(tmp_path / "one").fingerprint
    (tmp_path / "two" / "part-2.csv").write_bytes(TABLE)
    assert "is a folder, expected a file or a folder of Parquet files (in it: part-2.csv)" in refused(tmp_path / "two")
    (tmp_path / "two" / "part-2.csv").unlink()
    (tmp_path / "two" / "part-2.parquet").write_bytes(b"PAR1")
    assert "two: cannot be read: " in refused(tmp_path / "two")


def test_a_parquet_file_with_damaged_metadata(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": [1], "item_id": [2]}).to_parquet(tmp_path / "log.parquet")
    content = (tmp_path / "log.parquet").read_bytes()
    refusals = 0
    for place in range(len(content) - 1200, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        try:
            read_dataset(write(tmp_path, bytes(damaged), "log.parquet"))
        except RecsysError as error:
            refusals += "it is damaged" in str(error)
    assert refusals


# Lists


def test_adjacency_lists(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path, "0 1 2 3\n1 2\n2\n", "train.txt"))
    assert rows(data) == [("0", "1", 1.0), ("0", "2", 1.0), ("0", "3", 1.0), ("1", "2", 1.0)]
    assert data.notes[:2] == (
        "each line is read as a user and its items",
        "1 lines without an item, or of a user of another line: they add no user",
    )


@pytest.mark.parametrize(
    "text",
    ["u1,a,b\nu2,c\n", "u1\ta b\nu2\tc\n", "u1: a b\nu2: c\n", "user,items\nu1,a,b\nu2,c,,\n", "u1\ta,b\nu2\tc\n",
     "u1, a, b\nu2, c\n"],
)  # fmt: skip
def test_lists_that_are_said_to_be_some(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text, "lists.txt")
    assert rows(read_dataset(path, lists=True)) == [("u1", "a", 1.0), ("u1", "b", 1.0), ("u2", "c", 1.0)]


def test_uneven_lines_are_lists_only_if_somebody_says_so(tmp_path: Path) -> None:
    line = refused(write(tmp_path, "u1,a,b\nu2,c\nu3,d,e,f\n", "lists.csv"))
    assert "no delimiter gives all lines as many fields" in line
    assert "lists=True reads each as a user and its items" in line


def test_wide_lists(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item1,item2\nu1,a,b\nu2,c,\n", "wide.csv")
    expected = [("u1", "a", 1.0), ("u1", "b", 1.0), ("u2", "c", 1.0)]
    assert "columns 'item1' to 'item2' look like a list of items in each row: lists=True" in refused(path)
    assert rows(read_dataset(path, lists=True)) == expected
    pd.read_csv(path).to_parquet(tmp_path / "wide.parquet")
    assert "look like a list of items" in refused(tmp_path / "wide.parquet")
    assert rows(read_dataset(tmp_path / "wide.parquet", lists=True)) == expected
    nested = pd.DataFrame({"user": ["u1", "u2"], "items": [["a", "b"], ["c"]]})
    nested.to_parquet(tmp_path / "nested.parquet")
    assert rows(read_dataset(tmp_path / "nested.parquet", lists=True)) == expected


def test_blocks_of_the_netflix_prize(tmp_path: Path) -> None:
    path = write(
        tmp_path, "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n885013,4,2005-10-19\n", "combined_data.txt"
    )
    data = read_dataset(path)
    assert rows(data) == [("1488844", "1", 3.0), ("822109", "1", 5.0), ("885013", "2", 4.0)]
    assert data.interactions.datetime is not None
    assert data.interactions.datetime[0] == 1_125_964_800
    probe = read_dataset(write(tmp_path, "1:\n30878\n2647871\n10:\n1952305\n", "probe.txt"))
    assert rows(probe) == [("30878", "1", 1.0), ("2647871", "1", 1.0), ("1952305", "10", 1.0)]
    broken = refused(write(tmp_path, "1:\n30878,3,2005-09-06\n2,3\n", "broken.txt"))
    assert "\n" not in broken


# Paths that are no files


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "parquet").mkdir()
    os.mkfifo(tmp_path / "parquet" / "a.parquet")
    fine = write(tmp_path, TABLE, "fine.csv")
    assert "log.csv: is a pipe, expected a file: write the table to a file first" in refused(tmp_path / "log.csv")
    assert "zero.csv: is a device, expected a file" in refused(tmp_path / "zero.csv")
    assert "/dev/zero: is a device" in refused(Path("/dev/zero"))
    assert "a.parquet: is a pipe" in refused(tmp_path / "parquet")
    assert "log.csv: is a pipe" in refused(fine, items=tmp_path / "log.csv")
    for name in ("log.csv", "zero.csv"):
        (tmp_path / f"{name}.zip").symlink_to(tmp_path / name)
        with pytest.raises(RecsysError, match=r"is a (pipe|device), expected a file"):
            fetch_dataset("ml-100k", tmp_path / "data", quiet=True, path=tmp_path / f"{name}.zip")
    assert "no such file" in refused(tmp_path / ("x" * 200))
    assert "cannot be read" in refused(tmp_path / ("x" * 300))
    assert "cannot be read" in refused(Path("a\0b.csv"))


# Described


def test_which_column_became_which_field(tmp_path: Path) -> None:
    path = write(tmp_path, "client;thing;stars\n1;2;3,5\n", "log.csv")
    items = write(tmp_path, "sku,name\n2,Two\n", "items.csv")
    data = read_dataset(path, {"user_id": "client", "item_id": 1, "weight": "stars"}, items=items)
    assert data.columns == {"user_id": "client", "item_id": "thing", "weight": "stars"}
    assert data.card["item_columns"] == {"item_id": "sku", "title": "name"}
    assert data.card["dialect"] == "; between cells, a header line"
