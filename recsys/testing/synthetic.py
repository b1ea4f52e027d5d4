"""Small synthetic data that contracts are tested on."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from recsys.retrieval.candidates import candidates
from recsys.retrieval.exposures import build_exposure_histories
from recsys.types import (
    Dataset,
    Evaluation,
    Exposures,
    Factors,
    GroundTruth,
    Interactions,
    Items,
    Pool,
    Split,
    TasteMap,
)
from recsys.types.arrays import Csr, Floats, Ints, make_empty_matrix
from recsys.types.repeats import RepeatHistories

DAY = 86_400.0  # seconds


def make_split(seed: int = 0, users: int = 30, items: int = 40, features: int = 5, *, times: bool = False) -> Split:
    """Return a split of random likes: 30 % of the cells are positives, a third of them test; 5 % are dislikes.

    With `times`, the training positives are of the 1,000 days after 1970.
    """
    rng = np.random.default_rng(seed)
    draw = rng.random((users, items))
    none = make_empty_matrix((users, items))
    train = sparse.csr_array((draw < 0.2).astype(np.float32))
    when = np.random.default_rng([seed, 1]).integers(1, 1000, train.nnz) * DAY
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
        train=train,
        validation=none,
        test=sparse.csr_array(((draw >= 0.2) & (draw < 0.3)).astype(np.float32)),
        train_negatives=sparse.csr_array(((draw >= 0.3) & (draw < 0.35)).astype(np.float32) * 2),
        validation_negatives=none,
        train_times=Csr((when, train.indices, train.indptr), shape=train.shape) if times else None,
        fingerprint=f"world {seed}",
    )


def draw_sparse_rows(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Csr:
    """Return a 0/1 matrix in which this share of the cells is 1."""
    return sparse.csr_array((rng.random(shape) < share).astype(np.float32))


class RandomFactorModel:
    """A fitted model with random factors."""

    def __init__(self, split: Split, d: int = 6, seed: int = 1) -> None:
        """Draw d factors for the users and items of a split."""
        rng = np.random.default_rng(seed)
        users, items = split.train.shape
        user, item = (rng.normal(size=(n, d)).astype(np.float32) for n in (users, items))
        self.factors = Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0)

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        return np.asarray(self.factors.user_factors[users] @ self.factors.item_factors.T)

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of B histories (B, I), (B, I): those of the mean of their items' factors."""
        mean = histories @ self.factors.item_factors / np.maximum(histories.sum(axis=1), 1)[:, None]
        return np.asarray(mean @ self.factors.item_factors.T, dtype=np.float32)


def make_maps(split: Split, n: int = 3, regions: int = 5, seed: int = 3) -> tuple[TasteMap, ...]:
    """Return random hard maps; each leaves the last item out."""
    rng = np.random.default_rng(seed)
    count = split.train.shape[1]
    maps = []
    for m in range(n):
        region = rng.integers(0, regions, count - 1)
        assignment = Csr((np.ones(count - 1, np.float32), (np.arange(count - 1), region)), shape=(count, regions))
        maps.append(TasteMap(f"random-{m}", assignment, "random", m))
    return tuple(maps)


def make_exposures(split: Split, seed: int = 0, rows: int = 400) -> Exposures:
    """Return what was shown to the users of a split on the 30 days before the 1,000th after 1970: 5 % was dismissed."""
    rng = np.random.default_rng([seed, 2])
    users, items = split.shape
    user, item = rng.integers(0, users, rows).astype(np.int32), rng.integers(0, items, rows).astype(np.int32)
    when = (rng.integers(970, 1000, rows) * DAY).astype(np.int64)
    return Exposures(user, item, when, split.user_ids, split.item_ids, dismissed=rng.random(rows) < 0.05)


def make_repeats(split: Split, seed: int = 0) -> RepeatHistories:
    """Return what the users of a split may buy again, their positives; they own some of all, most not due."""
    rng, train, now = np.random.default_rng([seed, 3]), split.train, int(1000 * DAY)
    scores = Csr((rng.random(train.nnz).astype(np.float32) + 0.01, train.indices, train.indptr), shape=train.shape)
    owned = draw_sparse_rows(rng, train.shape, 0.3)
    due = Csr((now + rng.integers(-10, 20, owned.nnz) * DAY, owned.indices, owned.indptr), shape=train.shape)
    return RepeatHistories(scores, rng.random(train.shape[0]), due, 0.5, now)


def make_pool(seed: int = 0, users: int = 30, n: int = 20) -> Pool:
    """Return n candidates for each user of a split with features, times and three maps, by a factor model.

    The pool knows what was shown and what was bought before.
    """
    split = make_split(seed, users, times=True)
    model, maps, shown = (
        RandomFactorModel(split, seed=seed + 1),
        make_maps(split, seed=seed + 3),
        make_exposures(split, seed),
    )
    pool = candidates(model, split, n=n, maps=maps, shown=shown)
    return replace(pool, context=replace(pool.context, repeats=make_repeats(split, seed)))


def make_evaluation(
    seed: int = 0, users: int = 30, items: int = 40, length: int = 8, maps: int = 3, regions: int = 5
) -> Evaluation:
    """Return random slates of all lengths from 0 to `length`, some users without history, some without positives."""
    rng = np.random.default_rng(seed)
    split = make_split(seed, users, items)
    quiet, cold = rng.random(users) < 0.2, rng.random(users) < 0.1
    test = sparse.csr_array(split.test.toarray() * ~quiet[:, None])
    train = sparse.csr_array(split.train.toarray() * ~cold[:, None])
    bare = rng.random(items) < 0.2
    features = sparse.csr_array(split.items.features.toarray() * ~bare[:, None])
    split = replace(split, train=train, test=test, items=replace(split.items, features=features))
    keys = rng.random((users, items)) - 0.5 * test.toarray()
    slates = np.argsort(keys, axis=1, kind="stable")[:, :length].astype(np.int32)
    slates[np.arange(length) >= rng.integers(0, length + 1, users)[:, None]] = -1
    own, audit, content, witness = (make_maps(split, maps, regions, seed) for seed in (5, 6, 7, 8))
    histories, _ = build_exposure_histories(make_exposures(split, seed), split.user_ids, split.item_ids)
    owned = make_repeats(split, seed)
    return Evaluation(slates, GroundTruth(split, own, audit, content, witness, exposures=histories, repeats=owned))


def make_communities(seed: int = 0, users: int = 60, items: int = 40) -> Csr:
    """Return positives (U, I) of two halves of the users who like two halves of the items, most of the time.

    The first items of a half are liked the most. User 7 and item 3 have nothing, user 8 has all of the others, users 10
    and 11 have the same.
    """
    rng = np.random.default_rng(seed)
    same = (np.arange(users)[:, None] < users // 2) == (np.arange(items) < items // 2)
    popular = np.tile(np.linspace(0.7, 0.2, items // 2), 2)
    dense = (rng.random((users, items)) < popular * np.where(same, 1.0, 0.08)).astype(np.float32)
    dense[8], dense[11] = 1, dense[10]
    dense[7], dense[:, 3] = 0, 0
    return sparse.csr_array(dense)


def make_dataset(seed: int = 0, rows: int = 300) -> Dataset:
    """Return 300 ratings of 12 users and 25 items over 40 days: ties in time, repeated pairs, features, two sources."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 12, rows).astype(np.int32), rng.integers(0, 25, rows).astype(np.int32)
    weight, when = rng.integers(1, 6, rows).astype(np.float32), rng.integers(0, 40, rows) * int(DAY)
    user_ids, item_ids = (np.array([f"{one}{n:02}" for n in range(size)]) for one, size in (("u", 12), ("i", 25)))
    features = sparse.csr_array(np.eye(25, 3, dtype=np.float32))
    items = Items(item_ids, np.char.add("title ", item_ids), features, ("a", "b", "c"), np.zeros(25, np.int32))
    source = np.where(rng.random(rows) < 0.3, "random", "self-selected")
    log = Interactions(user, item, weight, when, user_ids, item_ids, source)
    return Dataset("synthetic", log, items, f"synthetic {seed}")
