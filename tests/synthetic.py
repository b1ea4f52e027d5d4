"""Small worlds that several tests live in."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from recsys.models.manifests import compute_manifest_digest
from recsys.rankers.records import name_policy_by_checksums
from recsys.reranking import guards
from recsys.types import Factors, Items, Split, TasteMap
from recsys.types.arrays import Csr


def draw_sparse_rows(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Csr:
    return sparse.csr_array((rng.random(shape) < share).astype(np.float32))


def make_split(seed: int = 0, users: int = 30, items: int = 40, features: int = 5) -> Split:
    """A split of random likes: 30 % of the cells are positives, a third of them test; 5 % are dislikes."""
    rng = np.random.default_rng(seed)
    draw = rng.random((users, items))
    none = Csr((users, items), dtype=np.float32)
    return Split(
        kind="random",
        seed=seed,
        user_ids=np.array([f"u{u}" for u in range(users)]),
        items=Items(
            ids=np.array([f"i{i}" for i in range(items)]),
            titles=np.array([f"Item {i}" for i in range(items)]),
            features=draw_sparse_rows(rng, (items, features), 0.4),
            feature_names=tuple(f"f{f}" for f in range(features)),
            years=rng.integers(1950, 2000, items).astype(np.int32),
        ),
        train=sparse.csr_array((draw < 0.2).astype(np.float32)),
        validation=none,
        test=sparse.csr_array(((draw >= 0.2) & (draw < 0.3)).astype(np.float32)),
        train_negatives=sparse.csr_array(((draw >= 0.3) & (draw < 0.35)).astype(np.float32) * 2),
        validation_negatives=none,
        fingerprint=f"world {seed}",
    )


class RandomFactorModel:
    """A fitted model with random factors."""

    def __init__(self, split: Split, d: int = 6, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        users, items = split.train.shape
        user, item = (rng.normal(size=(n, d)).astype(np.float32) for n in (users, items))
        self.factors = Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0)

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.factors.user_factors[users] @ self.factors.item_factors.T


def make_maps(split: Split, n: int = 3, regions: int = 5, seed: int = 3) -> tuple[TasteMap, ...]:
    """Random hard maps; each leaves the last item out."""
    rng = np.random.default_rng(seed)
    count = split.train.shape[1]
    maps = []
    for m in range(n):
        region = rng.integers(0, regions, count - 1)
        assignment = Csr((np.ones(count - 1, np.float32), (np.arange(count - 1), region)), shape=(count, regions))
        maps.append(TasteMap(f"random-{m}", assignment, "random", m))
    return tuple(maps)


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


def reseal_manifest(folder: Path, *, named: bool = False, **changes: Any) -> None:
    """Change a manifest, and make its checksums and its digest anew: those of the files that are there.

    With `named` the name of a ranker's policy is made anew too: nothing but the content tells that it was changed.
    """
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **changes}
    if isinstance(manifest["arrays"], dict):
        for name, about in manifest["arrays"].items():
            file = folder / f"{name}.npy"
            if isinstance(about, dict) and file.is_file():
                about["sha256"] = sha256(file.read_bytes()).hexdigest()
                array = np.load(file, mmap_mode="r")
                about |= {"shape": list(array.shape), "dtype": array.dtype.str}
    if named:
        settings = {name: value for name, value in manifest["settings"].items() if name != "name"}
        checksums = {name: about["sha256"] for name, about in manifest["arrays"].items()}
        manifest["settings"]["name"] = name_policy_by_checksums(checksums, settings)
    path.write_text(json.dumps({**manifest, "digest": compute_manifest_digest(manifest)}))
