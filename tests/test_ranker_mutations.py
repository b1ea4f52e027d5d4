"""Saved rankers whose arrays were changed, checksums and all: one line, or answers; never a crash."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from synthetic import make_maps, make_split, reseal_manifest

import recsys as rs
from recsys.objectives.derived_tables import TABLES

BLENDS = {
    "express": {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.4, "unexplored": 0.1},
    "others": {
        "relevance": {"weight": 1.0, "adapt_to": "entropy"}, "account_gap": {"weight": 0.2, "accounts": 9}, "dpp": 0.1,
        "npmi_surprise": 0.1, "unimodal_serendipity": 0.1, "under_exposed": 0.1, "pm2": 0.1, "negative_space": 0.1,
        "popularity_calibration": 0.1, "calibration": 0.1, "unexpected": 0.1, "long_tail": 0.1, "ucb": 0.1,
    },
}  # fmt: skip
SCRIPT = """
import json, sys
import recsys as rs
for folder in json.loads(sys.stdin.read()):
    try:
        ranker = rs.Ranker.load(folder)
        answers = [ranker.rank(user="u1"), ranker.rank(user="u59"), ranker.rank(history=["i1", "i2"])]
        answers += [ranker.rerank(["i8", "i9", "i39", "i0"], [4, 3, 2, 1], history=["i1"], guards=[])]
        said = [[a.items, [float(s).hex() for s in a.scores], a.explanations()] for a in answers]
        print(json.dumps(["answers", said]), flush=True)
    except rs.RecsysError as error:
        print(json.dumps(["refused", str(error)]), flush=True)
"""


def hostile(array):
    """Return the array with what a flipped bit or an attacker could leave in it."""
    flat = array.reshape(-1)
    if not flat.size:
        return
    if array.dtype.kind == "U":
        yield np.full_like(array, "x")
        return
    ends = {"i": [2**31 - 1, -1, -(2**31), 0, 5000], "f": [np.nan, np.inf, -3e38, 3e38, 0.0], "b": [False]}
    for value in ends[array.dtype.kind]:
        with np.errstate(over="ignore"):
            for places in ([0], [len(flat) // 2], [-1], slice(None)):
                made = flat.copy()
                made[places] = value
                yield made.reshape(array.shape)
    if array.ndim and len(array) > 1:
        yield array[:-1]
        yield array[:1]
        yield np.concatenate([array, array])
    yield array.astype(np.float64) if array.dtype.kind in "ib" else array.astype(np.int64)
    if array.ndim == 2:
        yield array[:, :1]
        yield array.T


def rewrite(folder, name, array, named=True):
    """Put the array into a saved ranker, with a checksum that is right, and with `named` the name of its policy."""
    file = folder / f"{name}.npy"
    file.unlink()  # the other files of a mutant are links
    np.save(file, np.ascontiguousarray(array))
    reseal_manifest(folder, named=named, only=name)


def mutants(saved, folder, every, others=()):
    """Write mutants of each array of a saved ranker, every so many of them; return their folders and what they are.

    Of an array that is one of `others` too, which the same code reads, a third as many are written.
    """
    made, count = {}, 0
    for path in sorted(saved.glob("*.npy")):
        there = [other / path.name for other in others if (other / path.name).exists()]
        often = every * (3 if any(one.read_bytes() == path.read_bytes() for one in there) else 1)
        for array in hostile(np.load(path)):
            count += 1
            if count % often == 0:
                target = folder / f"m{count}"
                shutil.copytree(saved, target, copy_function=os.link)
                content = (saved / "manifest.json").read_bytes()
                (target / "manifest.json").unlink()
                (target / "manifest.json").write_bytes(content)
                rewrite(target, path.stem, array)
                made[str(target)] = f"{path.stem} {array.dtype} {array.shape} {array.reshape(-1)[:3]}"
    return made


def outcomes(folders):
    """Load each folder and ask it in another interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(list(folders)), capture_output=True, text=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done, lines


@pytest.fixture(scope="module")
def world():
    return make_split(users=60, seed=4)


@pytest.fixture(scope="module")
def saved(world, tmp_path_factory):
    model = rs.models.ALS(factors=4, iterations=3).fit(world.train, world.side_information)
    folder = tmp_path_factory.mktemp("rankers")
    for name, blend in BLENDS.items():
        rs.Ranker.fit(model, world, blend, maps=make_maps(world), n=25, k=6).save(folder / name)
    rs.Ranker.fit(model, world, BLENDS["express"], maps=make_maps(world), n=5, k=3, index_recall=0.5).save(
        folder / "index"
    )
    knn = rs.models.ItemKNN(k=5).fit(world.train, world.side_information)
    rs.Ranker.fit(knn, world, {"relevance": 1.0, "mmr": 0.1}, maps=make_maps(world), n=25, k=6).save(folder / "knn")
    return folder


RANKERS = ["others", "express", "index", "knn"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RANKERS)
def test_whatever_an_array_says_it_is_one_line_or_answers(saved, tmp_path, name):
    before = RANKERS[: RANKERS.index(name)]
    check(saved / name, tmp_path, every=11, others=[saved / one for one in before])


@pytest.mark.parametrize("name", ["express", "others"])
def test_some_of_what_an_array_could_say(saved, tmp_path, name):
    check(saved / name, tmp_path, every=97)


def check(ranker, tmp_path, every, others=()):
    made = mutants(ranker, tmp_path, every, others)
    assert made
    done, lines = outcomes(made)
    at = list(made.values())[min(len(lines), len(made) - 1)]
    assert done.returncode == 0, f"{at}: {done.returncode} {done.stderr[-2000:]}"
    assert len(lines) == len(made)
    for (kind, said), what in zip(lines, made.values(), strict=True):
        assert kind == "answers" or "\n" not in said, what
        if what.startswith("tables"):  # a table is not another's: what is loaded is refused, or what was fitted
            assert kind in ("answers", "refused")


def test_tables_are_refused_under_another_name_and_part_of_the_policys(saved, tmp_path):
    """A table that could be read, with its checksum made anew, is no longer that policy."""
    target = tmp_path / "r"
    shutil.copytree(saved / "express", target)
    told = json.loads((target / "manifest.json").read_text())["arrays"]
    names = {
        n.removesuffix(".name"): str(np.load(target / f"{n}.npy"))
        for n in told
        if n.endswith(".name") and "tables" in n
    }
    assert "item_vectors" in names.values() and all(TABLES[name].saved for name in names.values())
    assert not [name for name in names.values() if "region" in name]
    where = next(place for place, name in names.items() if name == "item_vectors")
    array = np.load(target / f"{where}.parts.0.values.npy")
    rewrite(target, f"{where}.parts.0.values", array[::-1], named=False)
    with pytest.raises(rs.RecsysError, match="it is not the policy"):
        rs.Ranker.load(target)


@pytest.mark.parametrize("name", RANKERS)
def test_what_is_saved_again_has_the_same_name_and_arrays(saved, tmp_path, name):
    back = rs.Ranker.load(saved / name, verify=True)
    back.rank(user="u3", k=2)  # tables for slates of another length are not saved
    again = rs.Ranker.load(back.save(tmp_path / "again"), verify=True)
    assert again.name == back.name
    assert {p.name for p in (tmp_path / "again").iterdir()} == {p.name for p in (saved / name).iterdir()}


def test_a_map_of_too_many_regions_is_refused_before_memory_is_asked_for(world, tmp_path):
    """Nothing else in the folder says how many regions there are where a blend stores no table of them."""
    model = rs.models.ALS(factors=4, iterations=1).fit(world.train, world.side_information)
    ranker = rs.Ranker.fit(model, world, {"relevance": 1.0, "unexplored": 0.1}, maps=make_maps(world), n=25, k=6)
    target = ranker.save(tmp_path / "r")
    rewrite(target, "maps.1.assignment.shape", np.array([len(world.item_ids), 2**33]))
    with pytest.raises(
        rs.RecsysError, match=r"is damaged: map '.*' has 8,589,934,592 regions, expected at most 1,024$"
    ):
        rs.Ranker.load(target)


def test_each_rule_for_tables_is_met_by_one(saved):
    found = set()
    for name in BLENDS:
        for path in (saved / name).glob("tables.*.name.npy"):
            found.add(str(np.load(path)))
    lacking = {name for name, table in TABLES.items() if table.saved} ^ found
    assert not lacking, lacking


@pytest.mark.parametrize(("kind", "array"), [("item_knn", "links"), ("top_frequency", "counts")])
def test_a_model_of_too_many_items_is_refused_before_it_is_asked(world, tmp_path, kind, array):
    """Nothing but the shape says how many columns a sparse matrix has; no memory holds scores of so many items."""
    model = {"item_knn": rs.models.ItemKNN(k=5), "top_frequency": rs.models.TopFrequency()}[kind]
    fitted = model.fit(world.train, world.side_information)
    target = rs.Ranker.fit(fitted, world, {"relevance": 1.0}, maps=make_maps(world), n=25, k=6).save(tmp_path / "r")
    rewrite(target, f"models.0.{array}.shape", np.array([np.load(target / f"models.0.{array}.shape.npy")[0], 2**31]))
    with pytest.raises(rs.RecsysError, match=r"2,147,483,648"):
        rs.Ranker.load(target)
