"""Delimited text: the reading under which all lines are rows of equal width, checked on the whole file."""

import csv
import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data import read_dataset
from recsys.data.dialects import SAMPLE_BYTES
from recsys.types import Dataset, RecsysError

PAIR: dict[str, object] = {"user_id": 0, "item_id": 1}
THREE: dict[str, object] = {**PAIR, "weight": 2}
FOUR: dict[str, object] = {**THREE, "datetime": 3}


def made(folder: Path, text: str | bytes, name: str = "log.csv", **how: Any) -> Dataset:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_dataset(path, **how)


def rows(data: Dataset) -> list[tuple[Any, ...]]:
    log = data.interactions
    columns = [log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), log.weight.tolist()]
    return list(zip(*columns, *([] if log.datetime is None else [log.datetime.tolist()]), strict=True))


def refused(folder: Path, text: str | bytes, name: str = "log.csv", **how: Any) -> str:
    with pytest.raises(RecsysError) as error:
        made(folder, text, name, **how)
    line = str(error.value)
    assert "\n" not in line
    return line


# Quotes


def test_quotes_that_enclose_nothing_are_text(tmp_path: Path) -> None:
    data = made(tmp_path, 'user_id\titem_id\tweight\n1\t"Heroes\t3\n2\tx\t4\n3\t"Low\t5\n4\ty\t1\n')
    assert rows(data) == [("1", '"Heroes', 3.0), ("2", "x", 4.0), ("3", '"Low', 5.0), ("4", "y", 1.0)]
    assert data.notes == ('quotes (") do not enclose cells: they are part of the text',)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('user\titem\n1\t"Heroes\n2\tx\n', ['"Heroes', "x"]),  # an odd number
        ('user\titem\n1\t7" single\n2\t12" single\n', ['12" single', '7" single']),
        ('user\titem\n1\tThe "Best" of\n2\tx\n', ['The "Best" of', "x"]),
        ('user\titem\n1\t"Heroes" and more\n2\tx\n', ['"Heroes" and more', "x"]),
        ('user\titem\n1\t"\n2\tx\n', ['"', "x"]),
        ('"user"\t"item"\n"1"\t"a ""b"" c"\n"2"\t"x"\n', ['a "b" c', "x"]),
        ('user,item\n1,"a, b"\n2,"c\nd"\n', ["a, b", "c\nd"]),
        ('user,item\n1,5" disk\n2,"a, b"\n', ['5" disk', "a, b"]),
        ('user, item\n1, "a, b"\n2, c\n', ["a, b", "c"]),
        ("user,item\n1,it's\n2,'a'\n", ["'a'", "it's"]),
        ('user,item\n1,""\n1,"x"\n', None),  # an empty id
    ],
)
def test_quotes(tmp_path: Path, text: str, items: list[str] | None) -> None:
    if items is None:
        assert "item is missing" in refused(tmp_path, text)
    else:
        data = made(tmp_path, text)
        assert data.interactions.item_ids.tolist() == items
        assert len(data.interactions) == 2


def test_quotes_that_would_join_lines_of_equal_width_are_text(tmp_path: Path) -> None:
    text = 'user\titem\trating\n1\t"Heroes\t3\n2\tx"\t4\n'
    data = made(tmp_path, text)
    assert rows(data) == [("1", '"Heroes', 3.0), ("2", 'x"', 4.0)]
    assert data.notes == ('quotes (") are part of the text: as enclosing cells they would join 1 lines to others',)
    assert rows(made(tmp_path, text, quotes=True)) == [("1", "Heroes\t3\n2\tx", 4.0)]
    assert rows(made(tmp_path, text, quotes=False)) == rows(data)


def test_a_quote_that_does_not_close_among_quotes_that_are_needed(tmp_path: Path) -> None:
    line = refused(tmp_path, 'user,item,title\n1,2,"a, b"\n1,3,"Heroes,4\n')
    assert "log.csv: line 3: a quote opens a cell and does not close it" in line
    assert "quotes=False reads quotes as text" in line


def test_backslashes_before_quotes(tmp_path: Path) -> None:
    data = made(tmp_path, '"user";"item";"title"\n"1";"2";"A \\"b\\"; c"\n"1";"3";"d"\n')
    assert data.items.titles.tolist() == ['A "b"; c', "d"]
    assert data.notes == ("a backslash before a quote stands for a quote inside of a cell",)
    plain = made(tmp_path, 'user\titem\n1\t7\\" single\n2\tx\n')
    assert plain.interactions.item_ids.tolist() == ['7\\" single', "x"]


def test_positions_as_names_are_asked_about(tmp_path: Path) -> None:
    text = "0,1,2\n5,6,3\n"
    assert "header=True or header=False decides" in refused(tmp_path, text, columns=THREE)
    assert rows(made(tmp_path, text, columns=THREE, header=True)) == [("5", "6", 3.0)]


def test_a_quote_far_behind_the_sample_is_seen(tmp_path: Path) -> None:
    lines = [f"{n}\ti{n % 7}\t{n % 5 + 1}" for n in range(60_000)]
    lines[55_000] = '55000\t"Heroes\t3'
    lines[58_000] = '58000\t"Low\t3'
    text = "user\titem\trating\n" + "\n".join(lines)
    assert len(text) > 2 * SAMPLE_BYTES
    assert len(made(tmp_path, text).interactions) == 60_000


CELLS = st.lists(
    st.tuples(st.sampled_from("abc"), st.text('x",;\n |\t', min_size=1, max_size=6)), min_size=1, max_size=8
)


@settings(max_examples=80, suppress_health_check=[*HealthCheck], deadline=None)
@given(CELLS, st.sampled_from([",", ";", "\t", "|"]))
def test_what_the_csv_module_writes_comes_back(tmp_path: Path, cells: list[tuple[str, str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("user_id", "item_id", "title"), *((user, "i", title) for user, title in cells)])
    data = made(tmp_path, out.getvalue(), delimiter=delimiter, quotes=True)
    titles = {" ".join(title.split()) for _, title in cells}
    assert set(data.items.titles.tolist()) <= titles | {""}
    assert len(data.interactions) == len({(user, title) for user, title in cells})


# Delimiters


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("1::Toy Story (1995)::Adventure|Animation|Children|Comedy|Fantasy\n", PAIR, [("1", "Toy Story (1995)", 1.0)]),
        ("1,Toy Story (1995),Adventure|Animation|Children|Comedy\n", PAIR, [("1", "Toy Story (1995)", 1.0)]),
        ("1;2;3,5\n1;3;4,0\n", THREE, [("1", "2", 3.5), ("1", "3", 4.0)]),
        ("1 2 3,5\n1 3 4,0\n", THREE, [("1", "2", 3.5), ("1", "3", 4.0)]),
        ("1\ta, b\t3\n2\tc, d\t4\n", THREE, [("1", "a, b", 3.0), ("2", "c, d", 4.0)]),
        ("1|Doe, John|3\n2|Roe, Jane|4\n", THREE, [("1", "Doe, John", 3.0), ("2", "Roe, Jane", 4.0)]),
        ('"1","2, 3","4"\n', THREE, [("1", "2, 3", 4.0)]),
        ("a::b::3::\nc::d::4::x\n", THREE, [("a", "b", 3.0), ("c", "d", 4.0)]),
        ("1 2  3\n 10   20 4 \n", THREE, [("1", "2", 3.0), ("10", "20", 4.0)]),
        ("1 \t2 \t3\n10\t20\t4\n", THREE, [("1", "2", 3.0), ("10", "20", 4.0)]),
        ("1\x012\x013\n10\x0120\x014\n", THREE, [("1", "2", 3.0), ("10", "20", 4.0)]),
    ],
)
def test_the_delimiter_is_tried(tmp_path: Path, text: str, columns: dict[str, object], expected: list[Any]) -> None:
    assert rows(made(tmp_path, text, "log.dat", columns=columns)) == expected


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("John Smith,5\nJane Roe,6\n", ('delimiter=","', 'delimiter=" "')),
        ("Doe, John;p1;3\nRoe, Jane;p2;4\n", ('delimiter=","', 'delimiter=";"')),
    ],
)
def test_a_delimiter_that_cannot_be_told_is_asked_for(tmp_path: Path, text: str, settings: tuple[str, ...]) -> None:
    line = refused(tmp_path, text, columns=PAIR)
    assert all(one in line for one in settings)
    assert rows(made(tmp_path, text, columns=PAIR, delimiter=settings[0][11]))


@pytest.mark.parametrize(
    ("name", "mark"), [("tab", "\t"), ("space", " "), ("semicolon", ";"), ("~", "~"), ("||", "||")]
)
def test_a_delimiter_that_is_said(tmp_path: Path, name: str, mark: str) -> None:
    text = f"user{mark}item{mark}rating\n1{mark}2{mark}3\n"
    assert rows(made(tmp_path, text, delimiter=name)) == [("1", "2", 3.0)]


def test_trailing_delimiters(tmp_path: Path) -> None:
    expected = [("1", "2", 3.0), ("1", "3", 4.0)]
    assert rows(made(tmp_path, "user,item,rating\n1,2,3,\n1,3,4,\n")) == expected
    assert rows(made(tmp_path, "user,item,rating,\n1,2,3,\n1,3,4,\n")) == expected


# Lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("user,item,rating\n1,2,3\n1,3\n1,4,5\n", "line 3 has 2 fields, expected 3 as in the others: '1,3'"),
        ("user,item,rating\n1,2,3\n1,3,4,5\n1,4,5\n", "line 3 has 4 fields, expected 3"),
        ("my export\nuser,item,rating\n1,2,3\n1,3,4\n", "line 1 has 1 field, expected 3"),
        ("user,item,title\n\n1,2,x\n1,3,a, b\n1,4,y\n", "line 4 has 4 fields, expected 3"),
        ("user::item::title\n1::2::x\n1::3\n1::4::y\n", "line 3 has 2 fields, expected 3 as in the others: '1::3'"),
    ],
)
def test_a_line_of_another_width_is_named(tmp_path: Path, text: str, line: str) -> None:
    assert f"log.csv: cannot be read: {line}" in refused(tmp_path, text)


def test_a_short_line_far_behind_the_sample_is_named(tmp_path: Path) -> None:
    lines = [f"{n},i{n % 7},{n % 5 + 1}" for n in range(60_000)]
    lines[59_000] = "59000,i1"
    text = "user,item,rating\n" + "\n".join(lines)
    assert "line 59,002 has 2 fields, expected 3" in refused(tmp_path, text)


def test_untidy_lines_are_left_out_and_comments_counted(tmp_path: Path) -> None:
    assert made(tmp_path, "user,item,rating\n\n1,2,3\n   \n1,3,4\n\n").notes == ()
    data = made(tmp_path, "# export of 2020, by me\nuser,item,rating\n1,2,3\n# middle\n1,3,4\n")
    assert rows(data) == [("1", "2", 3.0), ("1", "3", 4.0)]
    assert data.notes == ("2 comment lines (that start with # or %): left out",)
    data = made(tmp_path, "% bip weighted\n1 2 5\n1 3 4\n", "out.movielens.txt", columns=THREE)
    assert rows(data) == [("1", "2", 5.0), ("1", "3", 4.0)]
    assert rows(made(tmp_path, "#user_id,item_id,rating\n1,2,3\n1,3,4\n")) == [("1", "2", 3.0), ("1", "3", 4.0)]
    assert len(made(tmp_path, "user,item\n#1,2\n#2,3\n").interactions) == 2  # ids that start with #


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_line_ends_and_encodings(tmp_path: Path, end: str, encoding: str) -> None:
    text = end.join(["user,item", "1,ab", "2,\u00e9t\u00e9"]).encode(encoding)
    assert rows(made(tmp_path, text)) == [("1", "ab", 1.0), ("2", "\u00e9t\u00e9", 1.0)]


def test_odd_content(tmp_path: Path) -> None:
    assert "line 3 holds a NUL byte" in refused(tmp_path, "user,item\n1,2\n1,\x003\n")
    long = made(tmp_path, f"user,item,title\n1,2,{'x' * 5_000_000}\n1,3,y\n")
    assert len(long.items.titles[0]) == 5_000_000
    assert rows(made(tmp_path, "user,item\n007,0012\n7,12\n")) == [("007", "0012", 1.0), ("7", "12", 1.0)]
    separators = made(tmp_path, "user,item\n1,a\u2028b\n2,c\x0bd\x85\n")
    assert len(separators.interactions) == 2


# Headers


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("A1XYZ,0000013714,4.0,1353456000\nB2,0000013715,3.0,1353456001\n", False),
        ("A1XYZ,0000013714,4.0,1353456000\n", False),
        ("u1,i1,5,1353456000\nu2,i2,4,1353456000\n", False),
        ("1,2,3,1353456000\n4,5,6,1353456000\n", False),
        ("ann,p1,5,2010-01-01\nbob,p2,4,2010-01-02\n", False),
        ("ann,p,2.5,1262304000\nu1,p2,4,1262304001\n", False),
        ("client,thing,stars,when\nu1,i1,5,1353456000\n", True),
        ("client,thing,stars,when\nann,pen,5,2010-01-01\n", True),
        ("client,thing,stars,when\n1,2,5,1353456000\n", True),
    ],
)
def test_a_header_is_told_from_a_row(tmp_path: Path, text: str, header: bool) -> None:
    data = made(tmp_path, text, columns=FOUR)
    assert len(data.interactions) == text.count("\n") - header
    assert rows(made(tmp_path, text, columns=FOUR, header=header)) == rows(data)


def test_advice_for_a_file_without_header_does_not_lead_into_losing_a_row(tmp_path: Path) -> None:
    line = refused(tmp_path, "A1XYZ,0000013714,4.0,1353456000\nB2,0000013715,3.0,1353456001\n")
    assert 'columns={"user_id": "0"} (no header line, columns are counted from 0)' in line
    line = refused(tmp_path, "ann,book\nbob,pen\n")
    assert "the first line may be names or a row ('ann, book'): header=True or header=False decides" in line
    assert line == refused(tmp_path, "ann,book\nbob,pen\n", columns=PAIR)
    assert len(made(tmp_path, "ann,book\nbob,pen\n", columns=PAIR, header=False).interactions) == 2
    assert len(made(tmp_path, "ann,book\nbob,pen\n", columns=PAIR, header=True).interactions) == 1
    assert len(made(tmp_path, "ann,book\nbob,pen\n", columns={"user": "ann", "item": "book"}).interactions) == 1


def test_names_and_values_in_one_line_are_asked_about(tmp_path: Path) -> None:
    assert "header=True or header=False decides" in refused(tmp_path, "user,1,2\nu1,5,6\n", columns=PAIR)


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    assert refused(tmp_path, "user_id,item_id,rating\n").endswith("the table is empty")


def test_positions_count_columns_of_a_header_too(tmp_path: Path) -> None:
    assert rows(made(tmp_path, "a,b,c\n1,2,3\n", columns={"user_id": 2, "item_id": "0"})) == [("3", "1", 1.0)]
    assert "unknown column '3'" in refused(tmp_path, "a,b,c\n1,2,3\n", columns={"user_id": 3, "item_id": 0})


# Decimal marks


@pytest.mark.parametrize(
    ("cells", "values", "note"),
    [
        (["3,5", "4,0"], [3.5, 4.0], "rating is read with a decimal comma"),
        (["3.500,5", "4"], [3500.5, 4.0], "rating is read with a decimal comma"),
        (["3,500.5", "4"], [3500.5, 4.0], "rating is read with commas between thousands"),
        (["1,234,567", "4"], [1234567.0, 4.0], "rating is read with commas between thousands"),
        (["3.5", "-4e0"], [3.5, -4.0], None),
        (["-3,5", "+,5"], [-3.5, 0.5], "rating is read with a decimal comma"),
    ],
)
def test_the_decimal_mark_is_tried(tmp_path: Path, cells: list[str], values: list[float], note: str | None) -> None:
    data = made(tmp_path, "user;item;rating\n" + "".join(f"1;{n};{cell}\n" for n, cell in enumerate(cells)))
    assert data.interactions.weight.tolist() == values
    assert data.notes == (() if note is None else (note,))


def test_a_decimal_mark_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    text = "user;item;rating\n1;2;3,500\n1;3;4,000\n"
    assert 'holds \'3,500\', a number of thousands or one with decimals: decimal="." or decimal=","' in refused(
        tmp_path, text
    )
    assert made(tmp_path, text, decimal=".").interactions.weight.tolist() == [3500.0, 4000.0]
    assert made(tmp_path, text, decimal=",").interactions.weight.tolist() == [3.5, 4.0]
    assert made(tmp_path, text.replace(",", "."), decimal=",").interactions.weight.tolist() == [3500.0, 4000.0]
    mixed = refused(tmp_path, "user;item;rating\n1;2;3,5\n1;3;4.5\n")
    assert "row 1: rating is '3,5', expected a finite number" in mixed


# Settings


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"header": "no"}, "header is 'no', expected True or False"),
        ({"delimiter": ""}, "delimiter is '', expected one to eight characters"),
        ({"delimiter": '"'}, "delimiter is '\"', expected"),
        ({"quotes": 1}, "quotes is 1, expected True or False"),
        ({"decimal": ";"}, "decimal is ';', expected '.' or ','"),
        ({"time_unit": "sec"}, "unknown time_unit 'sec': did you mean"),
        ({"time_format": "dd/mm"}, "time_format is 'dd/mm', expected one such as"),
        ({"time_format": "%d", "time_unit": "s"}, "found both time_unit and time_format"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, how: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, "user,item\n1,2\n", **how)


@settings(max_examples=150, suppress_health_check=[*HealthCheck], deadline=None)
@given(st.text('ab1,;|\t" \n#:.', max_size=40).map(str.encode) | st.binary(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text)
    for how in (
        {},
        {"columns": PAIR, "header": False},
        {"columns": PAIR, "delimiter": ",", "quotes": True},
        {"lists": True},
    ):
        try:
            read_dataset(path, **how)  # type: ignore[arg-type]
        except RecsysError as error:
            assert "\n" not in str(error), how


def test_no_row_is_read_by_a_call_of_its_own(tmp_path: Path) -> None:
    calls = {}
    for n in (40_000, 80_000):  # more than a sample, whose rows are looked at one by one
        table = {
            "user": [k % 700 for k in range(n)],
            "item": [k % 91 for k in range(n)],
            "rating": [k % 5 for k in range(n)],
        }
        pd.DataFrame(table).to_csv(tmp_path / f"{n}.csv", index=False)
        read_dataset(tmp_path / f"{n}.csv")  # what is imported and made once is there by then
        events = Counter[str]()
        sys.setprofile(lambda frame, event, argument, events=events: events.update([event]))
        try:
            read_dataset(tmp_path / f"{n}.csv")
        finally:
            sys.setprofile(None)
        calls[n] = events["call"] + events["c_call"]
    assert calls[80_000] < calls[40_000] + 10_000


def test_the_nearest_five_of_many_columns(tmp_path: Path) -> None:
    names = ",".join(f"column{n}" for n in range(64))
    line = refused(tmp_path, f"{names},usr\n" + ",".join(["1"] * 65) + "\n", header=True)
    assert re.search(r"columns nearest to it, of 65: usr, (column\d+, ){3}column\d+\)$", line), line
