"""Small worlds that several tests live in, beside those of `recsys.testing`."""

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from recsys.models import ALS
from recsys.models.factor_model import FittedFactors
from recsys.models.manifests import compute_manifest_digest
from recsys.rankers import Ranker
from recsys.rankers.records import name_policy_by_checksums
from recsys.reranking import guards
from recsys.retrieval.candidates import candidates
from recsys.testing.synthetic import RandomFactorModel as RandomFactorModel
from recsys.testing.synthetic import draw_sparse_rows as draw_sparse_rows
from recsys.testing.synthetic import make_exposures as make_exposures
from recsys.testing.synthetic import make_maps as make_maps
from recsys.testing.synthetic import make_split as make_split
from recsys.types import Pool, Split, TasteMap
from recsys.types.arrays import Csr

# A card of somebody's own, and the log that it describes, "shop.csv".
SHOP_CARD = """
name = "own-shop"
title = "Shop"
about = "Made up."
licence = "MIT"
terms = "None."
citation = "@misc{shop}"
expected = { users = 2, items = 2, interactions = 3 }

[[sources]]
kind = "local"
layout = "only"
files = ["shop.csv"]

[layouts.only.interactions]
file = "shop.csv"
columns = { user_id = "client", item_id = "article" }
"""
SHOP_LOG = "client,article\na,x\na,y\nb,x\n"


def write_tables(folder, users=60):
    """Write ratings.csv, a log of 60 users and 40 items in two tastes, and items.csv, its catalogue."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(users):
        liked = rng.permutation(20)[:9] + 20 * (user % 2)
        strange = rng.permutation(40)[:4]
        for t, item in enumerate(dict.fromkeys([*liked, *strange])):
            rows.append((f"u{user}", item, int(rng.integers(2, 6)), 1_000_000 + 1000 * t + user))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"])
    frame.to_csv(folder / "ratings.csv", index=False)
    catalogue = pd.DataFrame({"item_id": range(40), "title": [f"Film {i}" for i in range(40)]})
    catalogue["genres"] = ["Drama|War" if i < 20 else "Comedy" for i in range(40)]
    catalogue["year"] = [1950 + i for i in range(40)]
    catalogue.to_csv(folder / "items.csv", index=False)


@st.composite
def draw_guards(draw, k):
    """A few guards of any kind for slates of k, some of which cannot be met."""
    feature, item = st.sampled_from([f"f{f}" for f in range(5)]), st.integers(0, 39).map("i{}".format)
    table = st.dictionaries(item, st.sampled_from("abc"), min_size=10, max_size=40)
    some = []
    if draw(st.booleans()):
        some.append(
            guards.exclude(items=draw(st.lists(item, max_size=8)), features=draw(st.lists(feature, max_size=1)))
        )
    if draw(st.integers(0, 5)) == 0:
        some.append(guards.require([draw(feature)]))
    for make in (guards.at_most, guards.at_least):
        if draw(st.booleans()):
            some.append(
                make(draw(st.integers(0, 3)), features=draw(st.lists(feature, min_size=1, max_size=3, unique=True)))
            )
        if draw(st.booleans()):
            some.append(make(draw(st.integers(0, 3)), groups=draw(table)))
    pinned = draw(st.lists(item, max_size=3, unique=True))
    slots = draw(st.lists(st.integers(1, k), min_size=len(pinned), max_size=len(pinned), unique=True))
    return some + [guards.pin(slot, it) for slot, it in zip(slots, pinned, strict=True)]


def reseal_manifest(folder: Path, *, named: bool = False, only: str | None = None, **changes: Any) -> None:
    """Change a manifest, and make its checksums and its digest anew: those of the files that are there, or of one.

    With `named` the name of a ranker's policy is made anew too: nothing but the content tells that it was changed.
    """
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **changes}
    if isinstance(manifest["arrays"], dict):
        for name, about in manifest["arrays"].items():
            file = folder / f"{name}.npy"
            if only in (None, name) and isinstance(about, dict) and file.is_file():
                about["sha256"] = sha256(file.read_bytes()).hexdigest()
                array = np.load(file, mmap_mode="r")
                about |= {"shape": list(array.shape), "dtype": array.dtype.str}
    if named:
        settings = {name: value for name, value in manifest["settings"].items() if name != "name"}
        checksums = {name: about["sha256"] for name, about in manifest["arrays"].items()}
        manifest["settings"]["name"] = name_policy_by_checksums(checksums, settings)
    path.write_text(json.dumps({**manifest, "digest": compute_manifest_digest(manifest)}))


def fit_blended_ranker(split: Split) -> Ranker:
    """Return a ranker of three factors that blends relevance with diversity, three items of ten."""
    model = ALS(factors=3, iterations=1).fit(split.train)
    return Ranker.fit(model, split, {"relevance": 1.0, "mmr": 0.3}, maps=make_maps(split), n=10, k=3)


def draw_candidates(split: Split, users: Iterable[str]) -> list[tuple[str, list[str], list[float]]]:
    """Return six candidates of each user: their ids and scores."""
    rng = np.random.default_rng(0)
    return [(user, rng.permutation(split.item_ids)[:6].tolist(), rng.normal(size=6).tolist()) for user in users]


def make_validation_world() -> tuple[Pool, Split, FittedFactors, tuple[TasteMap, ...]]:
    """Return candidates, their split, model and maps; the validation likes are the popular candidates."""
    split = make_split(0, 200, 80)
    maps, model = make_maps(split), ALS(factors=6, iterations=3).fit(split.train)
    pool = candidates(model, split, n=30, maps=maps)
    n = np.bincount(split.train.indices, minlength=80)
    popular = (n[pool.items] > np.quantile(n, 0.7)) & (pool.items >= 0)
    at = pool.users[np.nonzero(popular)[0]], pool.items[popular]
    split = replace(split, validation=Csr((np.ones(len(at[0]), np.float32), at), shape=split.shape))
    return pool, split, model, maps


def make_taste_world(**behaviour):
    """Return a world of the users and items of a toy log, whose tastes are drawn."""
    from recsys.simulation import Behaviour, FittedTastes

    split = make_split()
    users, items = split.shape
    rng = np.random.default_rng(0)
    tastes = (rng.normal(size=(users, 4)) @ rng.normal(size=(4, items))).astype(np.float32)
    regions, groups = (np.arange(items) % 6).astype(np.int32), (np.arange(users) % 3 == 0).astype(np.int32)
    return FittedTastes(split, tastes, tastes - 0.5, regions, groups, np.array(["many", "few"]), Behaviour(**behaviour))
