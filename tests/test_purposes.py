"""Purposes: how they are written, and which rows a filter leaves."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys import data, splits
from recsys.data.stores import restore_dataset, save_dataset
from recsys.experiments.pipeline import hash_exposures
from recsys.retrieval.exposures import build_exposure_histories
from recsys.splits.permissions import select_permitted_rows
from recsys.types import RecsysError

SETS = [["ads", "recommendation"], ["recommendation"], [], ["analytics", "recommendation"]]
IDS = {"user": ["a", "a", "b", "b"], "item": ["x", "y", "x", "y"]}


def read(cells, **more):
    return data.read_frame({**IDS, "purposes": cells, **more})


def sets_of(log: recsys.Interactions) -> list[list[str]]:
    return [[name for name, held in zip(log.purpose_names, row, strict=True) if held] for row in log.purposes]


@pytest.mark.parametrize(
    "cells",
    [
        ["ads|recommendation", "recommendation", "", "recommendation|analytics"],
        [" recommendation ; ads;ads", "recommendation;", None, "analytics;recommendation"],
        ["ads,recommendation", "recommendation", np.nan, "recommendation,analytics"],
        SETS,
        [set(names) for names in SETS],
        [np.asarray(names, dtype=object) for names in SETS],
        [tuple(names) for names in SETS],
        [["ads", "recommendation"], "recommendation", None, "analytics|recommendation"],
        [b"ads|recommendation", b"recommendation", b"", b"recommendation|analytics"],
    ],
)
def test_purposes_are_read_however_they_are_written(cells):
    log = read(cells).interactions
    assert log.purpose_names == ("ads", "analytics", "recommendation")
    assert sets_of(log) == SETS
    assert read(cells).fingerprint == read(SETS).fingerprint


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl"])
def test_purposes_of_files(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    frame = pd.DataFrame({**IDS, "purposes": SETS})
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")), encoding="utf-8")
    else:
        texts = frame.assign(purposes=["|".join(names) for names in SETS])
        texts.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    made = recsys.read_dataset(path)
    assert sets_of(made.interactions) == SETS
    assert made.columns["purposes"] == "purposes"


def test_numbers_are_names_too():
    assert sets_of(read([1, 2.0, None, "1|2"]).interactions) == [["1"], ["2"], [], ["1", "2"]]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ({"ads": True}, "{'ads': True}"),
        ([["ads"]], "[['ads']]"),
        (["ads|sale"], "['ads|sale']"),
        ("ad\ns", "'ad\\\\ns'"),
    ],
)
def test_a_cell_without_names_is_one_line(cell, found):
    with pytest.raises(RecsysError) as error:
        read(["ads", cell, "ads", "ads"])
    assert str(error.value) == (
        f"frame: row 2: purposes is {found!r}, expected names separated by '|', or a list of names"
        if not isinstance(cell, str)
        else f"frame: row 2: purposes is {cell!r}, expected names separated by '|', or a list of names"
    )


def test_too_many_purposes_are_another_column():
    n = 65
    frame = {"user": range(n), "item": range(n), "purposes": [f"p{i:02}" for i in range(n)]}
    with pytest.raises(RecsysError, match=r"purposes holds 65 purposes, the first of them 'p00', expected at most 64"):
        data.read_frame(frame)
    assert (
        len(data.read_frame({name: list(cells)[:64] for name, cells in frame.items()}).interactions.purpose_names) == 64
    )


def test_purposes_are_kept_in_stores(tmp_path):
    made = read(SETS)
    save_dataset(made, tmp_path / "store.npz")
    again = restore_dataset(tmp_path / "store.npz", made.card)
    assert again is not None
    assert sets_of(again.interactions) == SETS
    assert again.interactions.purpose_names == made.interactions.purpose_names


def test_purposes_are_in_the_fingerprint():
    assert read(SETS).fingerprint != read([["ads"], *SETS[1:]]).fingerprint
    assert read([[]] * 4).fingerprint != data.read_frame(IDS).fingerprint


@pytest.mark.parametrize("seed", range(20))
def test_a_row_is_used_if_it_permits_each_purpose_that_is_asked_for(seed):
    rng = np.random.default_rng(seed)
    names = ["ads", "recommendation", "search"]
    sets = [[name for name in names if rng.random() < 0.6] for _ in range(150)]
    frame = {"user": rng.integers(0, 9, 150), "item": rng.integers(0, 9, 150), "purposes": sets}
    frame["weight"] = np.arange(150)
    consent, source = rng.random(150) < 0.8, rng.choice(["web", "shop"], 150)
    made = data.read_frame({**frame, "consent": consent, "source": source})
    for asked in (None, ["ads"], ["search", "ads"], names):
        permits = [bool(one) if asked is None else set(asked) <= set(one) for one in sets]
        want = [row for row in range(150) if permits[row] and consent[row] and source[row] == "web"]
        left, counts = select_permitted_rows(made, ["web"], asked)
        assert left.interactions.weight.tolist() == want
        assert counts["rows_without_purpose"] == sum(
            not permits[row] and consent[row] and source[row] == "web" for row in range(150)
        )


def test_left_out_rows_are_counted_and_said():
    made = read(SETS)
    assert splits.no_holdout(made).notes == ("1 rows that permit no purpose: left out",)
    asked = splits.no_holdout(made, purposes="ads")
    assert asked.notes == ("purposes: ads; 3 rows that do not permit all of them: left out",)
    assert (asked.user_ids.tolist(), asked.item_ids.tolist()) == (["a"], ["x"])
    prints = {splits.no_holdout(made, purposes=one).fingerprint for one in (None, ["ads"], ["recommendation"])}
    assert len(prints) == 3
    assert data.describe_dataset(made).notes[-2:] == (
        "rows by purpose: recommendation 3, ads 1, analytics 1",
        "1 of 4 rows permit no purpose: in these numbers, in no split",
    )


@pytest.mark.parametrize(
    ("cells", "purposes", "message"),
    [
        (
            SETS,
            ["adds"],
            "frame: purposes: unknown purpose 'adds': did you mean 'ads'? (known: ads, analytics, recommendation)",
        ),
        (SETS, [], "purposes: found [], expected a list of names such as ['recommendation']"),
        (SETS, 5, "purposes: found 5, expected a list of names such as ['recommendation']"),
        (None, ["ads"], "frame: has no column purposes, expected one where purposes are named"),
        ([[]] * 4, None, "frame: none of 4 rows permits any purpose, expected some"),
        (
            SETS,
            ["ads", "analytics"],
            "frame: none of 4 rows permits the purposes ads, analytics, expected some",
        ),
    ],
)
@pytest.mark.parametrize("make", [splits.no_holdout, splits.random])
def test_purposes_that_cannot_be_are_one_line(make, cells, purposes, message):
    made = data.read_frame(IDS) if cells is None else read(cells)
    with pytest.raises(RecsysError) as error:
        make(made, purposes=purposes)
    assert str(error.value) == message


def test_what_rows_say_of_items_is_left_out_with_them():
    log = {
        **IDS,
        "item": ["x", "x", "x", "y"],
        "purposes": [["ads"], ["ads"], ["recommendation"], ["recommendation", "ads"]],
        "title": ["Secret", "Secret", "Open (1999)", "Other"],
        "genres": ["Hidden", "Hidden|Drama", "Drama", ""],
    }
    made = data.read_frame(log)
    assert made.items.titles.tolist() == ["Secret", "Other"]
    items = splits.no_holdout(made, purposes=["recommendation"]).items
    assert (items.titles.tolist(), items.feature_names, items.years.tolist()) == (
        ["Open", "Other"],
        ("Drama",),
        [1999, 0],
    )


def test_descriptions_of_other_rows_are_one_line():
    made = data.read_frame({**IDS, "purposes": SETS, "title": ["A", "B", "A", "B"]})
    log = made.interactions
    short = replace(log, **{name: getattr(log, name)[:3] for name in ("user", "item", "weight", "purposes")})
    with pytest.raises(RecsysError, match="frame: has descriptions of 4 rows, expected 3 as in its interactions"):
        splits.no_holdout(replace(made, interactions=short))


def make_exposures(cells):
    rows = [{"user": f"u{n % 3}", "item": f"i{n}", "timestamp": n, "purposes": cell} for n, cell in enumerate(cells)]
    return recsys.read_exposures(rows)


@pytest.mark.parametrize("seed", range(10))
def test_an_exposure_is_used_if_it_permits_each_purpose_that_is_asked_for(seed):
    """As if the table did not have the others."""
    rng = np.random.default_rng(seed)
    sets = [[name for name in ("ads", "care", "recs") if rng.random() < 0.6] for _ in range(12)] + [["ads", "recs"]]
    every = make_exposures(["|".join(one) for one in sets])
    for asked in (None, ["recs"], ["recs", "ads"]):
        used = [bool(one) if asked is None else set(asked) <= set(one) for one in sets]
        left, gone = splits.select_permitted_exposures(every, asked)
        assert gone == len(sets) - sum(used)
        rows = [
            {"user": f"u{n % 3}", "item": f"i{n}", "timestamp": n, "purposes": "|".join(one)}
            for n, one in enumerate(sets)
            if used[n]
        ]
        expected = recsys.read_exposures(rows)
        assert left.purpose_names == expected.purpose_names
        for name in ("user", "item", "datetime", "user_ids", "item_ids", "purposes"):
            mine, its = getattr(left, name), getattr(expected, name)
            assert mine.dtype == its.dtype and mine.tolist() == its.tolist(), name


def test_exposures_that_permit_nothing_reach_no_history():
    shown = make_exposures(["recs", "", "ads", ""])
    found, notes = build_exposure_histories(shown, shown.user_ids, shown.item_ids)
    assert found.times.tolist() == [0, 2] and found.now == 2
    assert notes == ("shown: 2 exposures that permit no purpose: left out",)


@pytest.mark.parametrize(
    ("cells", "purposes", "message"),
    [
        (["recs", "ads"], ["rec"], "[shown]: purposes: unknown purpose 'rec': did you mean 'recs'?"),
        (
            ["recs", "ads"],
            ["recs", "ads"],
            "[shown]: none of 2 exposures permits the purposes recs, ads, expected some",
        ),
        (["", ""], None, "[shown]: none of 2 exposures permits any purpose, expected some"),
        (None, ["recs"], "[shown]: has no column purposes, expected one where purposes are named"),
    ],
)
def test_purposes_of_exposures_that_cannot_be_are_one_line(cells, purposes, message):
    shown = make_exposures(cells or ["recs"])
    shown = shown if cells else replace(shown, purposes=None, purpose_names=())
    with pytest.raises(RecsysError, match=re.escape(message)):
        splits.select_permitted_exposures(shown, purposes, "[shown]")


def test_purposes_are_in_the_digest_of_exposures():
    digests = {hash_exposures(make_exposures(cells)) for cells in (["a", "b"], ["b", "a"], ["a|b", "a"], ["c", "b"])}
    plain = replace(make_exposures(["a", "b"]), purposes=None, purpose_names=())
    assert len(digests | {hash_exposures(plain)}) == 5
