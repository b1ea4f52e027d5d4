"""Rows that may not be used leave no trace: everything is, bit for bit, what a table without them gives."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import recsys
from recsys import data, experiments, maps, metrics, models, splits
from recsys.cli import main
from recsys.types import RecsysError, Split

KINDS = ("global_time", "leave_last", "per_user_time", "random")
CHEAP = [getattr(models, name) for name in models.__all__ if name not in ("Ensemble", "ALS", "BPR", "LMF")]
SMALL = {"factors": 4, "iterations": 2}


def table(seed: int = 0) -> pd.DataFrame:
    """A log whose rows without consent change whatever looks at them: ids, their order, times, titles, tastes."""
    rng = np.random.default_rng(seed)
    n = 700
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(1, 40, n),
            "item_id": np.where(rng.random(n) < 0.5, rng.integers(1, 30, n), rng.integers(1, 9, n)),
            "rating": rng.integers(1, 6, n),
            "timestamp": 1_000_000 + rng.integers(0, 500, n),
            "source": rng.choice(["search", "list", "mail"], n),
            "consent": 1,
        }
    )
    frame["title"] = "Film " + frame["item_id"].astype(str)
    frame["genres"] = np.where(frame["item_id"] % 3 == 0, "Drama|War", "Comedy")
    frame["release_year"] = 1950 + frame["item_id"]
    hidden = frame.sample(250, random_state=seed).copy()
    hidden["consent"] = rng.choice([0, None], len(hidden))
    hidden["rating"], hidden["title"], hidden["genres"], hidden["release_year"] = 5, "Secret", "Secret|Comedy", 2020
    hidden["timestamp"] += rng.integers(-900, 900, len(hidden))
    hidden["item_id"] = np.where(rng.random(len(hidden)) < 0.4, 3, hidden["item_id"])
    strange = hidden.head(90).copy()
    strange["user_id"], strange["item_id"] = "ghost", [f"x{n % 20}" for n in range(90)]
    return pd.concat([strange, frame.astype({"user_id": object, "item_id": object}), hidden]).sample(
        frac=1, random_state=1
    )


def of(frame: pd.DataFrame, catalogue: pd.DataFrame | None) -> recsys.Dataset:
    if catalogue is None:
        return data.read_frame(frame)
    return data.read_frame(frame.drop(columns=["title", "genres", "release_year"]), items=catalogue)


def same(one, other, path="") -> None:
    """Compare records, arrays and matrices by every bit."""
    if sparse.issparse(one):
        for name in ("data", "indices", "indptr"):
            same(getattr(one, name), getattr(other, name), f"{path}.{name}")
        assert one.shape == other.shape, path
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        assert one.shape == other.shape and one.tobytes() == other.tobytes(), path
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            if field.name not in ("fingerprint", "counts", "notes", "tables"):
                same(getattr(one, field.name), getattr(other, field.name), f"{path}.{field.name}")
    elif isinstance(one, tuple | list):
        assert len(one) == len(other), path
        for i, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{path}[{i}]")
    else:
        assert one == other, path


@pytest.fixture(scope="module", params=[False, True], ids=["titles in the log", "a table of items"])
def both(request):
    """The dataset with the rows, and that of the table without them."""
    frame = table()
    columns = ["item_id", "title", "genres", "release_year"]
    catalogue = (
        frame.sort_values("consent", ascending=False).drop_duplicates("item_id")[columns] if request.param else None
    )
    return of(frame, catalogue), of(frame[frame["consent"] == 1], catalogue)


def pair_of(both, kind: str, **settings) -> tuple[Split, Split]:
    sizes = {"test": 1, "validation": 1} if kind == "leave_last" else {"test": 0.2, "validation": 0.2}
    sizes = {} if kind == "no_holdout" else sizes
    one, other = (getattr(splits, kind)(each, positive="rating >= 3", **sizes, **settings) for each in both)
    return one, other


@pytest.mark.parametrize("kind", [*KINDS, "no_holdout"])
@pytest.mark.parametrize("least", [0, 4])
@pytest.mark.parametrize("sources", [None, ["list", "mail"]])
def test_splits_are_those_of_the_table_without_the_rows(both, kind, least, sources):
    one, other = pair_of(both, kind, min_user_interactions=least, min_item_interactions=least, sources=sources)
    same(one, other)
    assert "Secret" not in one.items.feature_names
    assert one.counts["rows_without_consent"] > 300
    counted = {name: n for name, n in one.counts.items() if not name.startswith("rows_")}
    assert counted == {name: n for name, n in other.counts.items() if not name.startswith("rows_")}
    same(one.seen, other.seen)
    for view in () if kind == "no_holdout" else ("validation_view", "test_view"):
        same(getattr(one, view)(), getattr(other, view)())


def test_maps_scores_pools_slates_metrics_and_rankers_know_nothing_of_them(both, tmp_path):
    one, other = (split.test_view() for split in pair_of(both, "per_user_time", min_user_interactions=2))
    of_maps = [
        (maps.objective_maps(s.train), maps.audit_maps(s.train, seed=0), maps.content_maps(s.items))
        for s in (one, other)
    ]
    same(*of_maps)
    for kind in CHEAP:
        settings = {name: value for name, value in SMALL.items() if name in kind.__dataclass_fields__}
        fitted = [kind(**settings).fit(split.train, split.side_information) for split in (one, other)]
        same(*(model.score(np.arange(one.shape[0], dtype=np.int32)) for model in fitted))
    pools = [
        recsys.candidates(m, s, n=15, maps=made[0]) for m, s, made in zip(fitted, (one, other), of_maps, strict=True)
    ]
    same(pools[0].items, pools[1].items)
    same(pools[0].scores, pools[1].scores)
    blend = dict.fromkeys(
        ["relevance", "negative_space", "long_tail", "calibration", "mmr", "noise", "unexplored"], 1.0
    )
    slates = [recsys.rerank(pool, blend, 5, seed=1) for pool in pools]
    same(*slates)
    judged = [
        recsys.evaluate({"a": s}, recsys.GroundTruth(split, *made), metrics.STANDARD, [5], n_bootstrap=100)
        for s, split, made in zip(slates, (one, other), of_maps, strict=True)
    ]
    for mine, theirs in zip(judged[0].cells, judged[1].cells, strict=True):
        same([np.array(mine.value), mine.per_user, mine.draws], [np.array(theirs.value), theirs.per_user, theirs.draws])
    rankers = [
        recsys.Ranker.fit(m, s, blend, n=15, k=5, maps=made[0])
        for m, s, made in zip(fitted, (one, other), of_maps, strict=True)
    ]
    assert rankers[0].name == rankers[1].name
    folders = [ranker.save(tmp_path / str(i)) for i, ranker in enumerate(rankers)]
    arrays = [{path.name: path.read_bytes() for path in folder.glob("*.npy")} for folder in folders]
    assert len(arrays[0]) > 10
    assert arrays[0] == arrays[1]


def test_what_was_left_out_is_counted_said_and_in_the_fingerprint(both):
    one, other = pair_of(both, "random")
    n = int((~both[0].interactions.consent).sum())
    assert one.counts["rows_without_consent"] == n
    assert one.counts["rows"] == len(both[1].interactions)
    assert one.notes[0] == f"{n:,} rows without consent: left out"
    assert "consent" not in " ".join(other.notes)
    assert one.fingerprint != other.fingerprint
    assert splits.no_holdout(both[0]).notes == (f"{n:,} rows without consent: left out",)
    log = replace(both[0].interactions, consent=None)
    unsaid = splits.random(replace(both[0], interactions=log))
    assert len({unsaid.fingerprint, splits.random(both[0]).fingerprint}) == 2


ROWS = {
    "user": [1, 1, 1, 2, 2, 2, 3, 3], "item": [1, 2, 3, 1, 2, 3, 1, 4],
    "source": ["list", "ad", "list", "list", "list", "list", None, "ad"],
}  # fmt: skip


def test_rows_are_chosen_by_their_source():
    made = splits.random(data.read_frame(ROWS), sources=["list"], test=0.34, cold_items="keep")
    assert made.user_ids.tolist() == ["1", "2"]
    assert made.item_ids.tolist() == ["1", "2", "3"]
    assert (made.counts["rows"], made.counts["rows_of_other_sources"]) == (5, 3)
    assert made.notes[0] == "sources: list; 3 rows of others: left out"
    both = splits.no_holdout(data.read_frame(ROWS), sources=("", "list", "list"))
    assert both.fingerprint == splits.no_holdout(data.read_frame(ROWS), sources=["list", ""]).fingerprint
    assert both.user_ids.tolist() == ["1", "2", "3"]
    assert splits.no_holdout(data.read_frame(ROWS), sources="ad").item_ids.tolist() == ["2", "4"]


def test_sources_by_number():
    numbers = data.read_frame({**ROWS, "source": [1, 2, 1.0, "1", 1, 1, None, 2]})
    made = splits.no_holdout(numbers, sources=[np.int64(1)])
    assert (made.counts["rows"], made.fingerprint) == (5, splits.no_holdout(numbers, sources="1").fingerprint)


@pytest.mark.parametrize("kind", [*KINDS, "no_holdout"])
@pytest.mark.parametrize("given", [None, {"user": [1]}, pd.DataFrame({"user": [1]})])
def test_splits_of_no_dataset_are_one_line(kind, given):
    with pytest.raises(RecsysError, match=r"^split: found a \w+, expected a Dataset: recsys.read_dataset makes one$"):
        getattr(splits, kind)(given)


def test_the_choice_of_sources_is_in_the_fingerprint():
    frame = data.read_frame(ROWS)
    made = [
        splits.no_holdout(frame, sources=sources).fingerprint
        for sources in (None, ["list"], ["ad"], ["ad", "list", ""])
    ]
    assert len(set(made)) == 4


@pytest.mark.parametrize(
    ("columns", "sources", "message"),
    [
        ({}, ["lsit"], "frame: sources: unknown source 'lsit': did you mean 'list'? (known: , ad, list)"),
        ({}, [], "sources: found [], expected a list of names such as ['search']"),
        ({}, [1], "frame: sources: unknown source '1': (known: , ad, list)"),
        ({}, [None], "sources: found [None], expected a list of names such as ['search']"),
        ({}, 5, "sources: found 5, expected a list of names such as ['search']"),
        ({"source": None}, ["list"], "frame: has no column source, expected one where sources are chosen"),
        ({"consent": [0] * 8}, None, "frame: none of 8 rows has consent, expected some that may be used"),
        ({"consent": [1, 0, 1, 1, 1, 1, 1, 0]}, ["ad"], "frame: nobody is left"),
    ],
)
@pytest.mark.parametrize("make", [splits.no_holdout, splits.random])
def test_what_cannot_be_left_is_one_line(make, columns, sources, message):
    rows = {name: values for name, values in {**ROWS, **columns}.items() if values is not None}
    with pytest.raises(RecsysError) as error:
        make(data.read_frame(rows), sources=sources)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_data_without_the_column_is_used_as_it_is():
    frame = data.read_frame({name: values for name, values in ROWS.items() if name == "user" or name == "item"})
    assert splits.no_holdout(frame).counts["rows_without_consent"] == 0
    assert splits.no_holdout(frame).notes == ()


def test_a_description_says_what_splits_leave_out():
    described = data.describe_dataset(data.read_frame({**ROWS, "consent": [1, 0, 1, 1, 1, 1, 1, 0]}))
    assert described.notes == (
        "2 of 8 rows without consent: in these numbers, in no split",
        "rows by source: list 5, ad 2, none 1",
    )


CONFIG = """
[data]
path = "{path}"
[filter]
positive = "rating >= 3"
sources = ["search", "list"]
[split]
kind = "random"
[model]
kind = "ease"
[pool]
n = 10
[slate]
k = [5]
[evaluation]
metrics = ["ndcg", "coverage", "discovery"]
n_bootstrap = 100
"""


def test_benches_and_recommendations_are_those_of_the_table_without_the_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    frame = table().drop(columns=["title"])
    allowed = (frame["consent"] == 1) & frame["source"].isin(["search", "list"])
    found = []
    for name, part in (("all", frame), ("allowed", frame[allowed])):
        part.to_csv(f"{name}.csv", index=False)
        Path(f"{name}.toml").write_text(CONFIG.format(path=f"{name}.csv"), encoding="utf-8")
        done = experiments.bench(f"{name}.toml", quiet=True)
        written = experiments.recommend(f"{name}.toml", f"{name}-slates.csv", quiet=True)
        found.append((done.summary.drop(columns="seconds", errors="ignore"), Path(f"{name}-slates.csv").read_bytes()))
    pd.testing.assert_frame_equal(found[0][0], found[1][0], check_exact=True)
    assert found[0][1] == found[1][1]
    n = int((frame["consent"] != 1).sum())
    assert written.notes[-1] == "sources: list, search; 0 rows of others: left out"
    main(["recommend", "all.toml", "--out", "again.csv", "--quiet"])
    assert f"note: {n} rows without consent: left out\n" in capsys.readouterr().out
