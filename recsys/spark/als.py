"""Alternating least squares by Spark's MLlib, as the factor model of rankers."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.maths.fold_in import solve_user_factors
from recsys.models.checks import check_ints, check_positive, check_positive_ints
from recsys.models.factor_model import FittedFactors
from recsys.spark.jobs import KeptFrames, need_context, number_ids, provide_checkpoints, tell_job_errors
from recsys.spark.logs import select_positives
from recsys.spark.sessions import import_pyspark
from recsys.types import Factors, Items, RecsysError, Split
from recsys.types.arrays import Anys, Csr, Floats, Longs, make_empty_matrix
from recsys.types.identifiers import sort_ids

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PLACE = "spark: als"
SAMPLE_USERS = 100_000
_UNOBSERVED = 10.0  # weight of all cells over that of the positives, as by default of `recsys.models.ALS`
_NOISE_SHARE = 0.3  # of the singular value up to which there is nothing but noise
_CHECKPOINT_EVERY = 5  # iterations: 15 without have overflown Java's stack
_LARGEST_VALUE = 1.0  # the largest singular value of positives over the roots of both counts


@dataclass(frozen=True, eq=False)
class ALSRun:
    """What MLlib made of a log: item factors of everybody, and the users whose rows speak for all."""

    model: FittedFactors  # of the sampled users, and of all items
    split: Split  # of the same: what `Ranker.fit` takes beside the model
    user_factors: "DataFrame"  # user, factor: those of MLlib, of everybody; Spark keeps them until it stops
    item_counts: Longs  # (I,) users of the whole log with each item
    users: int  # of the whole log
    positives: int  # of the whole log
    alpha: float
    regularization: float


def fit_als(
    log: "DataFrame",
    *,
    positive: str | None = None,
    items: Items | None = None,
    factors: int = 128,
    regularization: float | None = None,
    alpha: float | None = None,
    iterations: int = 15,
    sample_users: int | None = SAMPLE_USERS,
    blocks: int = 10,
    seed: int = 0,
) -> ALSRun:
    """Return implicit-feedback ALS of a log that no machine holds, fitted by Spark's MLlib.

    The log has columns of users and items, by any name that `recsys.read_dataset` knows, and one of weights where
    `positive` ("rating >= 4") says which rows are likes. Rows of a pair count once. MLlib minimises sum_H ((1 + alpha)
    (1 - s)^2 - s^2) + sum s^2 + regularization (sum_u |H_u| |x_u|^2 + sum_i |H_i| |y_i|^2) over scores s = x_u y_i and
    likes H: the loss of `recsys.models.ALS` at alpha + 1, but for ridges that grow with the likes (ALS-WR, Zhou et al.
    2008). By default `alpha` is 1 / (10 times the share of cells that are positives), and `regularization` (1 + alpha)
    times 0.3 of the `noise_level` of the positives over the roots of both counts. The order of rows and
    partitions decides nothing but last bits; `blocks` (MLlib's) and `seed` decide where factors start.

    The driver holds the item factors, and the histories of `sample_users` users, drawn by their ids: all that rankers
    read of everybody beside item factors (popularity, co-occurrence, maps, scales) is made of those. None takes all.
    Users who are not among them are answered by the `history` that their rows of `recsys.spark.rank` bring: folded in,
    it gives MLlib's factor of that user, as for those who are. The catalogue is `items`, or without titles and features
    what the log has; its items without likes have the factor 0.

    Each fifth iteration is kept where the session has a folder for checkpoints (`SparkContext.setCheckpointDir`), since
    Java's stack holds a dozen or two. One machine is given a temporary folder; several need one that all of them reach.

    Raises:
        RecsysError: for columns that are missing or of another type, a row without an id, an item that `items` does not
            have, no positives, settings that cannot be, or a job that Spark gives up.
    """
    check_positive_ints(PLACE, factors=factors, iterations=iterations, blocks=blocks)
    check_ints(PLACE, seed=seed)
    given = {"regularization": regularization, "alpha": alpha}
    check_positive(PLACE, **{name: value for name, value in given.items() if value is not None})
    if sample_users is not None:
        check_positive_ints(PLACE, sample_users=sample_users)
    with tell_job_errors(PLACE), KeptFrames() as kept:
        counted = _count_log(log, positive, items, kept)
        alpha = counted.default_alpha if alpha is None else alpha
        if regularization is None:
            regularization = (1.0 + alpha) * _NOISE_SHARE * counted.noise
        settings: dict[str, Any] = {
            "rank": factors, "regParam": regularization, "alpha": alpha, "maxIter": iterations, "seed": seed,
            "numUserBlocks": blocks, "numItemBlocks": blocks,
        }  # fmt: skip
        fitted = _fit_mllib(counted.ratings, settings)
        item_factors = _read_item_factors(fitted.itemFactors.toArrow(), len(counted.items.ids), factors)
        sample = _draw_sample(counted, sample_users, seed)
        user_factors = fitted.userFactors.join(counted.users, fitted.userFactors["id"] == counted.users["number"])
    told = {"positive": positive, "seed": seed, "users": counted.n_users, "sample_users": len(sample.user_ids)}
    split = _build_split(counted, sample, seed, told)
    weights = {"observed_weight": alpha, "target_weight": 1.0 + alpha, "regularization": regularization}
    model = _build_model(item_factors, split.train, weights)
    own = user_factors.selectExpr("user", "features AS factor")
    return ALSRun(
        model, split, own, counted.item_counts, counted.n_users, int(counted.item_counts.sum()), alpha, regularization
    )


class _CountedLog(NamedTuple):
    """Positives of a log by numbers, and what was counted of them."""

    ratings: "DataFrame"  # number of the user, item, rating
    users: "DataFrame"  # user, number
    items: Items
    item_counts: Longs  # (I,)
    n_users: int
    noise: float  # level of the positives over the roots of both counts

    @property
    def default_alpha(self) -> float:
        """One over the weight of a cell at which all cells together weigh 10 times as much as the positives."""
        return float(self.n_users) * len(self.items.ids) / (_UNOBSERVED * float(self.item_counts.sum()))


class _Sample(NamedTuple):
    """Users who speak for all."""

    user_ids: list[str]  # in the order of ids
    train: Csr  # (users, I)


def _count_log(log: "DataFrame", positive: str | None, items: Items | None, kept: KeptFrames) -> _CountedLog:
    import pyarrow as pa
    from pyspark.sql import functions

    pairs = kept.keep(select_positives(log, positive, PLACE))
    by_item = pairs.groupBy("item").count().toArrow()
    catalogue = _build_catalogue(by_item["item"].to_pylist(), items)
    counts = _align_counts(by_item, catalogue)
    known = np.flatnonzero(counts)
    table = {
        "item": pa.array(catalogue.ids[known].tolist(), pa.string()), "code": pa.array(known, pa.int32()),
        "inverse": pa.array(1.0 / counts[known]),
    }  # fmt: skip
    codes = functions.broadcast(log.sparkSession.createDataFrame(pa.table(table)))
    coded = pairs.join(codes, "item").select("user", "code", "inverse")
    of_users = coded.groupBy("user").agg(
        functions.count("code").alias("size"), functions.sum("inverse").alias("inverses")
    )
    users = number_ids(of_users, "user", "number", KeptFrames())  # for good: user_factors are read with it
    n_users, squares = users.agg(functions.count("user"), functions.sum(users["inverses"] / users["size"])).first()
    noise = min(float(np.sqrt(squares) * (n_users**-0.5 + len(known) ** -0.5)), _LARGEST_VALUE)
    users = users.select("user", "number")
    ratings = coded.join(users, "user").select("number", "code", functions.lit(1.0).cast("float").alias("rating"))
    return _CountedLog(ratings, users, catalogue, counts, n_users, noise)


def _build_catalogue(found: list[str], items: Items | None) -> Items:
    """Return the catalogue, which has every item of the log.

    Raises:
        RecsysError: for items that it does not have, or none.
    """
    if not found:
        raise RecsysError(f"{PLACE}: found no positives, expected at least one")
    if items is None:
        ids = np.asarray(sort_ids(found), dtype=np.str_)
        none = make_empty_matrix((len(ids), 0))
        return Items(ids, np.full(len(ids), "", dtype=np.str_), none, (), np.zeros(len(ids), np.int32))
    if not isinstance(items, Items):
        raise RecsysError(f"{PLACE}: items: found a {type(items).__name__}, expected the Items of a dataset")
    unknown = sorted(set(found).difference(items.ids.tolist()))
    if unknown:
        raise RecsysError(f"{PLACE}: items lacks {len(unknown):,} of the log, such as '{unknown[0]}', expected all")
    return items


def _align_counts(by_item: "pa.Table", catalogue: Items) -> Longs:
    place = {name: code for code, name in enumerate(catalogue.ids.tolist())}
    counts = np.zeros(len(place), np.int64)
    counts[[place[name] for name in by_item["item"].to_pylist()]] = by_item["count"].to_numpy()
    return counts


def _fit_mllib(ratings: "DataFrame", settings: dict[str, Any]) -> Any:
    import_pyspark()
    from pyspark.ml.recommendation import ALS

    columns = {"userCol": "number", "itemCol": "code", "ratingCol": "rating"}
    model = ALS(implicitPrefs=True, checkpointInterval=_CHECKPOINT_EVERY, **columns, **settings)
    provide_checkpoints(need_context(ratings, PLACE))
    return model.fit(ratings)


def _read_item_factors(table: "pa.Table", n_items: int, d: int) -> Floats:
    found = np.zeros((n_items, d), np.float32)
    if len(table):
        numbers = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        found[table["id"].to_numpy()] = numbers.reshape(-1, d)
    return found


def _draw_sample(counted: _CountedLog, size: int | None, seed: int) -> _Sample:
    """Return users, and their histories: those whose ids have the smallest hashes, whatever the order of rows."""
    from pyspark.sql import functions

    drawn = counted.users
    if size is not None:
        drawn = drawn.orderBy(functions.xxhash64(functions.lit(seed), "user"), "user").limit(size)
    told = drawn.toArrow().sort_by("number")
    numbers = told["number"].to_numpy()
    rows = counted.ratings
    if size is not None:
        few = counted.users.sparkSession.createDataFrame(told.select(["number"]))
        rows = rows.join(functions.broadcast(few), "number")
    held = rows.select("number", "code").toArrow()
    return _Sample(told["user"].to_pylist(), _build_train(held, numbers, len(counted.items.ids)))


def _build_train(held: "pa.Table", numbers: Anys, n_items: int) -> Csr:
    rows, codes = np.searchsorted(numbers, held["number"].to_numpy()), held["code"].to_numpy()
    order = np.lexsort([codes, rows])
    pointers = np.searchsorted(rows[order], np.arange(len(numbers) + 1)).astype(np.int32)
    ones = np.ones(len(order), np.float32)
    return Csr((ones, codes[order].astype(np.int32), pointers), shape=(len(numbers), n_items))


def _build_split(counted: _CountedLog, sample: _Sample, seed: int, told: dict[str, Any]) -> Split:
    none = make_empty_matrix(sample.train.shape)
    hashed = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for part in (*sample.user_ids, *counted.items.ids.tolist()):
        hashed.update(part.encode() + b"\0")
    for array in (sample.train.indptr, sample.train.indices, counted.item_counts):
        hashed.update(np.ascontiguousarray(array).tobytes())
    return Split(
        kind="whole", seed=seed, user_ids=np.asarray(sample.user_ids, dtype=np.str_), items=counted.items,
        train=sample.train, validation=none, test=none, train_negatives=none, validation_negatives=none,
        fingerprint=hashed.hexdigest(), counts={"users": len(sample.user_ids), "items": len(counted.items.ids)},
        notes=(f"{len(sample.user_ids):,} of {counted.n_users:,} users speak for all; item factors are of everybody",),
    )  # fmt: skip


def _build_model(item_factors: Floats, train: Csr, weights: dict[str, Any]) -> FittedFactors:
    """Return the model whose users are folded in by the least squares of MLlib."""
    users = np.zeros((train.shape[0], item_factors.shape[1]), np.float32)
    factors = Factors(
        users, item_factors, users[0], unobserved_weight=1.0, disliked_weight=0.0, nu=1.0, ridge_cells=0.0, **weights
    )
    users = solve_user_factors(factors, train)
    mean = users.mean(axis=0, dtype=np.float64).astype(np.float32)
    return FittedFactors(replace(factors, user_factors=users, mean_user_factor=mean))
