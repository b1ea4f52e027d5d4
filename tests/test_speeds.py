"""What the scripts about speed share: whether a target is met, turns, and the table."""

import csv
import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SPEEDS = runpy.run_path(str(BENCHMARKS / "speeds.py"))
Row = SPEEDS["Row"]


@pytest.mark.parametrize(
    ("ratio", "target", "direction", "met"),
    [
        (2.0, 2.0, "min", True),
        (1.99, 2.0, "min", False),
        (60.0, 60.0, "max", True),
        (60.1, 60.0, "max", False),
        (9.0, None, "max", True),
    ],
)
def test_a_target_is_met_on_its_own_side(ratio, target, direction, met):
    assert Row("what", 1.0, None, "us", ratio, target, direction).met == met


def test_works_take_turns_and_the_first_round_is_not_counted():
    turn = itertools.count()
    took = SPEEDS["in_turns"]([lambda: next(turn), lambda: -next(turn)], 2)
    assert took.tolist() == [[2, -3], [4, -5]]


def test_a_ratio_is_that_of_rounds_not_of_medians():
    ours, theirs = iter([0.0, 1.0, 2.0, 10.0]), iter([0.0, 3.0, 8.0, 20.0])
    assert SPEEDS["beside"](lambda: next(ours), lambda: next(theirs), 3) == (2.0, 8.0, 3.0)


def test_the_table_has_the_columns_of_all_others(tmp_path, monkeypatch):
    rows = [Row("a, b", 1 / 3, None, "us", 2.0, 60.0, "max"), Row("c", 1.0, 2.0, "s", 123456.0, None, "min", "4 B")]
    SPEEDS["write"](rows, tmp_path / "found.csv", "peer 1.2")
    with (tmp_path / "found.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == SPEEDS["COLUMNS"]
    assert (first["what"], first["ours"], first["theirs"], first["target"]) == ("a, b", "0.3333", "", "60")
    assert (second["ratio"], second["target"], second["floor"]) == ("1.235e+05", "", "4 B")
    assert first["versions"].endswith(" peer 1.2") and "recsys-negspace" in first["versions"]
    assert "cores, Python" in first["machine"]
    monkeypatch.setattr(sys, "argv", ["everything.py"])
    page = runpy.run_path(str(BENCHMARKS / "everything.py"))
    assert "| a, b | 0.3333 |  | us | 2 | at most 60 | yes |  |" in page["page"](page["tables"](tmp_path), [])


def test_worlds_are_what_they_say():
    split = SPEEDS["world"](50, 200)
    assert split.shape == (50, 200) and not split.train.multiply(split.test).nnz
    assert (np.diff(split.test.indptr) > 0).all()
    slates = SPEEDS["slates"](split, 10)
    assert all(len(set(row)) == 10 for row in slates.tolist())
