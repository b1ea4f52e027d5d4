"""What both sides of `benchmarks/agreement.py` are given, and a row of what they say."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

import recsys
from recsys.retrieval.candidates import candidates
from recsys.support.rng import make_generator
from recsys.types import Factors, Items, Pool, RecsysError, Split
from recsys.types.arrays import Csr, Ints

K = 20  # slates are this long, or shorter
N = 100  # candidates of a user
USERS = 300  # whose pools are re-ranked


class Row(NamedTuple):
    """One line of the table: a definition, and how far both sides are apart on all worlds."""

    peer: str
    version: str
    what: str  # theirs | ours
    ours: float  # on the last world, as is the next
    theirs: float
    largest_difference: float | None
    identical: float  # share of users and settings
    first_difference: int | None  # slot
    n: int  # users, or users and settings of the knob
    definition: str  # "same" or "different"
    agrees: str  # "yes" or "no" where the definition is the same
    note: str


class World(NamedTuple):
    split: Split
    slates: Ints  # (U, K) -1 = none
    base: Ints  # (U, K)
    pool: Pool


class RandomFactorModel:
    """A model with random factors."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], d: int = 32) -> None:
        user, item = (rng.standard_normal((n, d)).astype(np.float32) / np.float32(d**0.5) for n in shape)
        self.factors = Factors(user, item, user.mean(axis=0), 1.0, 1.0, 1.0, 0.0, 1.0, 0.0)

    def score(self, users: Ints) -> np.ndarray:
        return self.factors.user_factors[users] @ self.factors.item_factors.T


def build_worlds() -> Iterator[World]:
    """Yield a made-up world, full of corner cases, and MovieLens 100K where it can be had."""
    yield build_synthetic_world()
    try:
        yield build_movielens_world()
    except RecsysError as error:
        print(f"ml-100k is left out: {error}", flush=True)


def build_synthetic_world(users: int = 400, items: int = 300, features: int = 12) -> World:
    """Return slates of all lengths, some empty; users without history or positives; items never seen, or bare."""
    rng = make_generator(0, "benchmark", "agreement")
    liked = 0.4 / np.sqrt(1.0 + np.arange(items))
    draw = rng.random((users, items))
    train = (draw < liked) & (rng.random((users, 1)) > 0.1)
    train[:, -15:] = False
    test = (draw >= liked) & (draw < 1.7 * liked) & (rng.random((users, 1)) > 0.15)
    has = (rng.random((items, features)) < 0.3) & (rng.random((items, 1)) > 0.15)
    ids, none = np.arange(items).astype(str), Csr((users, items), dtype=np.float32)
    names = tuple(f"f{f}" for f in range(features))
    catalogue = Items(ids, ids, _build_csr(has), names, np.zeros(items, np.int32))
    people = np.arange(users).astype(str)
    split = Split("random", 0, people, catalogue, _build_csr(train), none, _build_csr(test), none, none)
    slates, base = (_draw_slates(rng, train, test) for _ in range(2))
    few = np.arange(USERS, dtype=np.int32)
    return World(split, slates, base, candidates(RandomFactorModel(rng, split.shape), split, n=N, users=few))


def build_movielens_world() -> World:
    """Return MovieLens 100K, ALS's slates as the base, and MMR's of them."""
    data = recsys.load_dataset("ml-100k")
    split = recsys.splits.per_user_time(
        data, test=0.2, positive="rating >= 4", min_user_interactions=10, min_item_interactions=5
    )
    model = recsys.models.ALS(factors=32, regularization=20.0, alpha=3.0).fit(split.train)
    pool = candidates(model, split, n=N)
    blends = {"relevance": 0.7, "mmr": {"weight": 0.3, "space": "factors"}}, {"relevance": 1.0}
    slates, base = (recsys.rerank(pool, blend, k=K, scale=None).items for blend in blends)
    few = Pool(pool.users[:USERS], pool.items[:USERS], pool.scores[:USERS], pool.context)
    return World(split, slates, base, few)


def _build_csr(cells: np.ndarray) -> Csr:
    return sparse.csr_array(cells.astype(np.float32))


def _draw_slates(rng: np.random.Generator, train: np.ndarray, test: np.ndarray) -> Ints:
    never = np.arange(train.shape[1]) % 7 == 0
    order = np.argsort(rng.random(train.shape) - 0.2 * test + train + never, axis=1)[:, :K].astype(np.int32)
    lengths = rng.integers(0, K + 1, len(order)) * (rng.random(len(order)) < 0.7)
    lengths = np.where(rng.random(len(order)) < 0.5, K, lengths)
    return np.where(np.arange(K) < lengths[:, None], order, np.int32(-1))
