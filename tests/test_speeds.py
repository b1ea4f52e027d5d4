"""What the scripts about speed share: whether a target is met, turns, and the table."""

import csv
import itertools
import os
import runpy
import sys
import time
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
    took = SPEEDS["time_in_turns"]([lambda: next(turn), lambda: -next(turn)], 2)
    assert took.tolist() == [[2, -3], [4, -5]]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be kept on a core here")
def test_one_core_is_kept_for_a_while():
    before = os.sched_getaffinity(0)
    with SPEEDS["pin_to_quiet_core"]():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_ratio_is_that_of_rounds_not_of_medians():
    ours, theirs = iter([0.0, 1.0, 2.0, 10.0]), iter([0.0, 3.0, 8.0, 20.0])
    assert SPEEDS["time_side_by_side"](lambda: next(ours), lambda: next(theirs), 3) == (2.0, 8.0, 3.0)


def test_the_table_has_the_columns_of_all_others(tmp_path, monkeypatch):
    rows = [Row("a, b", 1 / 3, None, "us", 2.0, 60.0, "max"), Row("c", 1.0, 2.0, "s", 123456.0, None, "min", "4 B")]
    SPEEDS["write_speed_rows"](rows, tmp_path / "found.csv", "peer 1.2")
    with (tmp_path / "found.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == SPEEDS["COLUMNS"]
    assert (first["what"], first["ours"], first["theirs"], first["target"]) == ("a, b", "0.3333", "", "60")
    assert (second["ratio"], second["target"], second["floor"]) == ("1.235e+05", "", "4 B")
    assert first["versions"].endswith(" peer 1.2") and "recsys-negspace" in first["versions"]
    assert "cores, Python" in first["machine"]
    monkeypatch.setattr(sys, "argv", ["run_all.py"])
    page = runpy.run_path(str(BENCHMARKS / "run_all.py"))
    assert "| a, b | 0.3333 |  | us | 2 | at most 60 | yes |  |" in page["build_page"](
        page["read_result_tables"](tmp_path), []
    )


def test_a_soak_sees_what_differs_what_fails_and_what_grows(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    soak = runpy.run_path(str(BENCHMARKS / "soak.py"))
    told = soak["ThreadResult"]({"good": np.zeros(soak["BINS"], np.int64), "bad": np.zeros(soak["BINS"], np.int64)})
    asked = [
        soak["SoakRequest"]("good", lambda: (1,)),
        soak["SoakRequest"]("good", lambda: (2,)),
        soak["SoakRequest"]("bad", lambda: 1 / 0),
    ]
    ticks = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(ticks))
        soak["ask_until_end"](asked, [(1,), (1,), (1,)], 60, told, 0)
    total = told.counts["good"].sum()
    assert 0 < told.wrong < total and not told.counts["bad"].sum() and "bad: ZeroDivisionError" in told.failed[0]
    noise = np.random.default_rng(0).normal(400.0, 0.5, 600)
    flat = soak["build_growth_row"]([(float(s), float(mib)) for s, mib in enumerate(noise)])
    grown = soak["build_growth_row"]([(float(s), float(mib) + s / 60) for s, mib in enumerate(noise)])
    assert flat.met and not grown.met and grown.ours == pytest.approx(9, abs=0.2)
    found = soak["build_rows"]([told], list(enumerate(noise.tolist())))
    assert [row.met for row in found[:3]] == [False, False, True]
    counts = np.zeros(soak["BINS"], np.int64)
    took = np.arange(1, 1001) * 1e-6
    np.add.at(counts, (np.log(took / soak["LEAST"]) / soak["WIDTH"]).astype(int), 1)
    assert soak["compute_time_quantile"](counts, 0.99) == pytest.approx(990, rel=0.01)
    assert soak["compute_time_quantile"](counts, 0.5) == pytest.approx(500, rel=0.01)


def test_worlds_are_what_they_say():
    split = SPEEDS["draw_split"](50, 200)
    assert split.shape == (50, 200) and not split.train.multiply(split.test).nnz
    assert (np.diff(split.test.indptr) > 0).all()
    slates = SPEEDS["draw_slates"](split, 10)
    assert all(len(set(row)) == 10 for row in slates.tolist())
