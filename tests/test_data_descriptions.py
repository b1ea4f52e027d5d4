"""The numbers of a dataset against a slow count, and how they are drawn and printed."""

from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from recsys import data
from recsys.cli import main
from recsys.cli.data import data as command
from recsys.data.profile import Histogram, describe_dataset
from recsys.data.terminal import ASCII_LEVELS, draw_sparkline, print_description
from recsys.types import Dataset, RecsysError

TABLE = {
    "user": ["a", "a", "a", "a", "b", "b", "c"],
    "item": ["x", "y", "z", "x", "x", "y", "x"],
    "rating": [5, 4, 3, 1, 5, 5, 2],
    "ts": [10, 20, 20, 30, 40, 40, 50],
    "genres": ["[Drama]", "War", "", "[Drama]", "[Drama]", "War", "[Drama]"],
    "title": ["X (1999)", "", "Z", "X (1999)", "X (1999)", "", "X (1999)"],
}


def drawn(dataset: Dataset, encoding: str = "utf-8") -> str:
    class Stream(StringIO):
        @property
        def encoding(self) -> str:
            return encoding

    console = Console(file=Stream(), width=100)
    print_description(describe_dataset(dataset), console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_numbers_counted_by_hand() -> None:
    d = describe_dataset(data.read_frame(TABLE))
    assert (d.users, d.items, d.rows, d.pairs, d.repeated_pairs) == (3, 3, 7, 6, 1)
    assert d.density == 6 / 9
    assert d.gini == pytest.approx((1 * -2 + 2 * 0 + 4 * 2) / (3 * 7))
    assert (d.per_user.minimum, d.per_user.median, d.per_user.mean, d.per_user.maximum) == (1, 2.0, 7 / 3, 4)
    assert d.per_user.p90 == pytest.approx(3.6)
    assert (d.per_item.minimum, d.per_item.maximum) == (1, 4)
    assert d.single_row_users == pytest.approx(1 / 3)
    assert d.weights == ((1.0, 1), (2.0, 1), (3.0, 1), (4.0, 1), (5.0, 3))
    assert [(one.name, one.items) for one in d.features] == [("[Drama]", 1), ("War", 1)]
    assert [one.row_share for one in d.features] == pytest.approx([4 / 7, 2 / 7])
    assert (d.items_without_features, d.items_without_title, d.items_without_year) == (1, 1, 2)
    assert d.times is not None
    assert (d.times.first, d.times.last) == (10, 50)
    assert d.times.tied_users == pytest.approx(1 / 3)
    assert d.times.tied_rows == pytest.approx(4 / 7)
    assert sum(d.times.rows.counts) == sum(d.rows_per_user.counts) + 4 == 7


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=30, unique=True
)


@settings(max_examples=60)
@given(ROWS)
def test_numbers_against_a_slow_count(rows: list[tuple[int, int, int]]) -> None:
    d = describe_dataset(
        data.read_frame({"user": [r[0] for r in rows], "item": [r[1] for r in rows], "ts": [r[2] for r in rows]})
    )
    users, items = {u for u, _, _ in rows}, Counter(i for _, i, _ in rows)
    last = {u: max(t for v, _, t in rows if v == u) for u in users}
    at_last = Counter(u for u, _, t in rows if t == last[u])
    moments = Counter((u, t) for u, _, t in rows)
    pairs = Counter((u, i) for u, i, _ in rows)
    assert d.times is not None
    assert d.times.tied_users == pytest.approx(sum(n > 1 for n in at_last.values()) / len(users))
    assert d.times.tied_rows == pytest.approx(sum(n for n in moments.values() if n > 1) / len(rows))
    assert (d.pairs, d.repeated_pairs) == (len(pairs), sum(n > 1 for n in pairs.values()))
    differences = sum(abs(a - b) for a in items.values() for b in items.values())
    assert d.gini == pytest.approx(differences / (2 * len(items) * len(rows)))
    popular = sorted(items.values(), reverse=True)
    steps = len(d.popularity_curve)
    curve = [sum(popular[: -(-step * len(items) // steps)]) / len(rows) for step in range(1, steps + 1)]
    assert d.popularity_curve == pytest.approx(curve)


def test_many_weights_are_binned() -> None:
    n = 50
    table = {"user": range(n), "item": [1] * n}
    even = describe_dataset(data.read_frame({**table, "rating": np.linspace(1, 5, n)})).weights
    wide = describe_dataset(data.read_frame({**table, "rating": np.geomspace(1, 5000, n)})).weights
    assert isinstance(even, Histogram)
    assert isinstance(wide, Histogram)
    assert (even.logarithmic, wide.logarithmic) == (False, True)
    assert sum(even.counts) == sum(wide.counts) == n
    assert max(wide.counts) <= 3


def test_the_smallest_dataset() -> None:
    dataset = data.read_frame({"user": [1], "item": [1]})
    d = describe_dataset(dataset)
    assert (d.density, d.gini, d.times, d.features, d.single_row_users) == (1.0, 0.0, None, (), 1.0)
    assert "no features of items" in drawn(dataset)


def test_sparklines() -> None:
    assert draw_sparkline([]) == ""
    assert draw_sparkline([0, 0]) == "  "
    assert draw_sparkline([1, 1000]) == "\u2581\u2588"
    assert draw_sparkline([0, 1, 8], ASCII_LEVELS) == " .@"


def test_drawing() -> None:
    dataset = data.read_frame(TABLE, name="mine")
    text = drawn(dataset)
    for part in ("mine", "66.667%", "users tied at their last time", "33.3%", "[Drama]", "1970-01-01", "5: 43%"):
        assert part in text
    assert "note: 1 user-item pairs occur more than once" in text
    assert drawn(dataset, encoding="ascii").isascii()


# The command line


def test_list(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["list", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    for name in data.list_datasets():
        assert name in result.output
    assert "20,000,263" in result.output
    assert f"data folder: {tmp_path}" in result.output
    assert CliRunner().invoke(command, ["list", "--quiet"]).output.split() == list(data.list_datasets())


def test_cite() -> None:
    result = CliRunner().invoke(command, ["cite", "ml-1m"])
    assert result.output.startswith("@article{harper2015movielens,")
    assert "No redistribution" in result.output


def test_describe_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("client,item,rating\n1,2,3\n1,3,4\n")
    (tmp_path / "items.csv").write_text("item,genres\n2,Drama\n")
    arguments = ["describe", str(path), "--column", "user_id=client", "--items", str(tmp_path / "items.csv")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "Drama" in result.output
    for part in ("user_id = client", "weight = rating", "features = genres", ", between cells, a header line"):
        assert part in result.output


def test_describe_a_file_with_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my.txt"
    path.write_text("1;2;3,500;01/02/2010\n1;3;4,000;02/02/2010\n")
    columns = ["user_id=0", "item_id=1", "weight=2", "datetime=3"]
    arguments = ["describe", str(path), *(part for column in columns for part in ("--column", column))]
    for option, error in (
        (["--decimal", ","], "--decimal . or --decimal , decides"),
        (["--time-format", "%d/%m/%Y"], "--time-format %d/%m/%Y or --time-format %m/%d/%Y reads it"),
    ):
        with pytest.raises(SystemExit):
            main(["data", *arguments])
        assert error in capsys.readouterr().err
        arguments += option
    result = CliRunner().invoke(command, [*arguments, "--no-header", "--delimiter", "semicolon", "--no-quotes"])
    assert result.exit_code == 0, result.output
    assert "2010-02-01 to 2010-02-02" in result.output
    assert "; between cells, no header line" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "ml-100"], "unknown dataset 'ml-100': did you mean 'ml-100k'"),
        (["describe", "none/my.csv"], "my.csv: no such file"),
        (["fetch", "ml-100"], "unknown dataset"),
        (["fetch", "ml-100k", "--from", "none.zip"], "none.zip: no such file"),
        (["cite", "x"], "unknown dataset 'x'"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, arguments, env={"RECSYS_DATA": str(tmp_path)})
    assert isinstance(result.exception, RecsysError)
    assert message in str(result.exception)


def test_a_column_that_is_no_pair() -> None:
    result = CliRunner().invoke(command, ["describe", "my.csv", "--column", "client"])
    assert result.exit_code == 2
    assert "expected FIELD=COLUMN" in result.output


def test_fetch_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.support.resources.find_shipped_folder", lambda name: tmp_path / "cards")
    (tmp_path / "cards").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "log.csv").write_text("user,item\n1,2\n")
    (tmp_path / "cards" / "small.toml").write_text(
        """
        name = "small"
        title = "Small"
        about = ""
        licence = ""
        terms = ""
        citation = ""
        expected = { users = 1, items = 1, interactions = 1 }
        sources = [{ kind = "local", layout = "csv", files = ["small"] }]
        layouts = { csv = { interactions = { file = "log.csv", columns = { user_id = "user", item_id = "item" } } } }
        """
    )
    where = ["--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(command, ["fetch", "small", "--from", str(tmp_path / "mine"), "--quiet", *where])
    assert result.output.strip() == str(tmp_path / "data" / "small")
    assert " yes" in CliRunner().invoke(command, ["list", *where]).output
    assert "Gini" in CliRunner().invoke(command, ["describe", "small", *where]).output
