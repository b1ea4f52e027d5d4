"""Metrics of slates that no machine holds: the values and intervals of `recsys.evaluate`, from sums over users."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from recsys.batch.columns import FIELDS
from recsys.metrics.unexplored_regions import MapFamily, compute_held_out_shares
from recsys.scores.intervals import (
    MAX_BOOTSTRAP,
    NO_INTERVAL,
    average_bootstrap_sums,
    count_groups,
    percentile_interval,
    sum_bootstrap_draws,
)
from recsys.scores.metric_names import MetricAtK, resolve_metrics
from recsys.scores.records import Score, Scores
from recsys.scores.runs import (
    bootstrap_interval,
    build_catalogue_score,
    call_metric,
    describe_convention,
    mean_degrees_of_freedom,
)
from recsys.scores.tables import tabulate_scores
from recsys.spark.jobs import (
    KeptFrames,
    iter_whole_users,
    need_context,
    normalize_ids,
    number_ids,
    number_rows,
    select_fields,
    tell_job_errors,
)
from recsys.support import rng
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import (
    Evaluation,
    GroundTruth,
    Items,
    PerCatalogue,
    PerMap,
    PerUser,
    RecsysError,
    Split,
    TasteMap,
    make_unknown_name_error,
)
from recsys.types.arrays import Anys, Csr, Doubles, Longs, make_empty_matrix
from recsys.types.numbers import check_int

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

PLACE = "spark: evaluate"
ACCURACY = ("average_precision", "hit_rate", "mrr", "ndcg", "precision", "rbp", "recall")
CATALOGUE = (
    "coverage", "effective_catalogue", "evenness", "gini", "herfindahl", "mean_inter_list", "never_shown",
    "shannon_entropy",
)  # fmt: skip
_FAMILIES: Mapping[str, MapFamily] = {
    "discovery": "audit_maps", "discovery_content": "content_maps", "discovery_own": "objective_maps",
    "unexplored_share": "audit_maps", "unexplored_share_content": "content_maps",
    "unexplored_share_own": "objective_maps",
}  # fmt: skip
DISCOVERY = tuple(_FAMILIES)
METRICS = (*ACCURACY, *CATALOGUE, *DISCOVERY)
_SHOWN, _HELD_OUT, _LIKED, _ASKED = range(4)  # what a row says of its user
_COLUMNS = ("code", "part", "rank", "item")
_ROWS = "user string, item string, rank int"


def evaluate(
    slates: "DataFrame",
    truth: "DataFrame",
    items: Items | Sequence[str],
    *,
    metrics: Sequence[str],
    ks: Sequence[int] = (),
    history: "DataFrame | None" = None,
    users: "DataFrame | None" = None,
    audit_maps: Sequence[TasteMap] = (),
    objective_maps: Sequence[TasteMap] = (),
    content_maps: Sequence[TasteMap] = (),
    seed: int = 0,
    n_bootstrap: int = 1000,
    name: str = "slates",
) -> "pd.DataFrame":
    """Return the table of `recsys.scores.tabulate_scores` for slates in a data frame of Spark.

    `slates` have user, item and rank (from 1), as `recsys batch` writes them, `truth` the held-out positives, user and
    item, `history` the training positives, which metrics of discovery need, and `items` the catalogue, whose order maps
    have. Everybody whom one of the frames names is judged, or those of `users`: who has no slate has an empty one.
    Metrics are those of accuracy, catalogue and discovery (`METRICS`), by names such as "ndcg" (at all of `ks`) or
    "ndcg@10"; maps are those of a `GroundTruth`.

    Values are those of `recsys.evaluate`, up to the order of sums; so are 95 % intervals, whose draws and groups of
    users depend on the seed and the place of each id among those of all frames. Each executor judges the users of its
    partitions by the same functions; the driver gets sums, and how often each item is shown to each group.

    Raises:
        RecsysError: for columns that are missing or of another type, an item that is not in the catalogue, two picks of
            a user at one rank, a metric that is none of these, maps or a history that one needs, or a job that Spark
            gives up.
    """
    asked = resolve_metrics(metrics, ks)
    catalogue = _list_items(items)
    order = _Order(
        tuple((want.name, want.k) for want in asked), len(catalogue), check_int(f"{PLACE}: seed", seed),
        check_int(f"{PLACE}: n_bootstrap", n_bootstrap, 2, MAX_BOOTSTRAP),
        {"audit_maps": tuple(audit_maps), "objective_maps": tuple(objective_maps), "content_maps": tuple(content_maps)},
    )  # fmt: skip
    _check_metrics(order, history is not None)
    context = need_context(slates, PLACE)
    with tell_job_errors(PLACE), KeptFrames() as kept:
        told = _gather_rows({_SHOWN: slates, _HELD_OUT: truth, _LIKED: history, _ASKED: users}, catalogue, kept)
        sent = context.broadcast(order)
        shape, at_once = order.layout, partial(_sum_partition, sent)
        rows = told.rows.mapInArrow(at_once, "sums binary")
        sums = rows.rdd.map(_read_sums).treeReduce(np.add) if shape.rows else np.zeros(shape.size)
        shown = _count_shown(told, order, kept)
        sent.unpersist()
    scores = _build_scores(name, order, sums, shown, told.n_judged)
    nobody = np.zeros(0, np.int32)
    return tabulate_scores(Scores(scores, nobody, nobody.astype(np.str_), order.seed, order.n_bootstrap))


class _Layout(NamedTuple):
    """Where each sum stands in the array that partitions add up."""

    rows: int  # of metrics with values by user: one, or one for each map
    shares: int  # of held-out positives by family and map
    counts: int  # hits and the like, of each metric of discovery
    n_bootstrap: int

    @property
    def size(self) -> int:
        return 2 * self.rows * (1 + self.n_bootstrap) + 2 * self.shares + self.counts

    def cut(self, sums: Doubles) -> list[Doubles]:
        """Return values and their number by row, the same by draw, shares and their number, and counts."""
        n = self.n_bootstrap
        sizes = [self.rows, self.rows, n * self.rows, n * self.rows, self.shares, self.shares, self.counts]
        value, known, total, weight, share, shared, counts = np.split(sums, np.cumsum(sizes)[:-1])
        return [value, known, total.reshape(n, -1), weight.reshape(n, -1), share, shared, counts]


_COUNTS = ("users", "hits", "held_out")  # behind a metric of discovery


@dataclass(frozen=True, eq=False)
class _Order:
    """What a worker computes."""

    asked: tuple[tuple[str, int], ...]
    n_items: int
    seed: int
    n_bootstrap: int
    maps: Mapping[MapFamily, tuple[TasteMap, ...]]

    @property
    def by_user(self) -> list[MetricAtK]:
        """The metrics with values by user."""
        return [want for want in _resolve(self.asked) if want.name not in CATALOGUE]

    @property
    def families(self) -> list[MapFamily]:
        """Those in which the share of held-out positives is told."""
        return sorted({_FAMILIES[name] for name, _ in self.asked if name.startswith("unexplored_share")})

    def count_rows(self, name: str) -> int:
        """Return how many rows of values a metric has."""
        return len(self.maps[_FAMILIES[name]]) if name in _FAMILIES else 1

    @property
    def layout(self) -> _Layout:
        found = sum(want.name.startswith("discovery") for want in self.by_user)
        shares = sum(len(self.maps[family]) for family in self.families)
        return _Layout(
            sum(self.count_rows(want.name) for want in self.by_user), shares, len(_COUNTS) * found, self.n_bootstrap
        )

    def build_truth(self, user_ids: Anys, train: Csr, test: Csr) -> GroundTruth:
        none = make_empty_matrix(train.shape)
        split = Split("whole", self.seed, user_ids, _name_items(self.n_items), train, none, test, none, none)
        own, audit, content = (self.maps[name] for name in ("objective_maps", "audit_maps", "content_maps"))
        return GroundTruth(split, own, audit, content)


@lru_cache(4)
def _resolve(asked: tuple[tuple[str, int], ...]) -> list[MetricAtK]:
    return resolve_metrics([f"{name}@{k}" for name, k in asked], ())


@lru_cache(1)
def _name_items(n: int) -> Items:
    ids = np.arange(n).astype(np.str_)
    return Items(ids, ids, make_empty_matrix((n, 0)), (), np.zeros(n, np.int32))


def _list_items(items: Items | Sequence[str]) -> list[str]:
    names = items.ids.tolist() if isinstance(items, Items) else [str(one) for one in items]
    if not names or len(set(names)) < len(names):
        raise RecsysError(f"{PLACE}: items: found {len(names):,} ids, expected some, each once")
    return names


def _check_metrics(order: _Order, has_history: bool) -> None:
    for name, _ in order.asked:
        if name not in METRICS:
            raise make_unknown_name_error("metric", name, METRICS, PLACE)
        if name in _FAMILIES and not order.maps[_FAMILIES[name]]:
            raise RecsysError(f"{PLACE}: '{name}' needs {_FAMILIES[name]}=, and found none")
        if name in _FAMILIES and not has_history:
            raise RecsysError(f"{PLACE}: '{name}' needs history=, the training positives, and found none")
    for family in order.maps.values():
        for taste_map in family:
            taste_map.check_assignment(order.n_items)


class _Gathered(NamedTuple):
    """Rows of the users who are judged."""

    rows: "DataFrame"  # code of the user, part, rank, item: a user's in one partition, ordered by all four
    slates: "DataFrame"  # user, item, rank
    judged: "DataFrame"  # user, code
    n_judged: int


def _gather_rows(given: Mapping[int, "DataFrame | None"], items: list[str], kept: KeptFrames) -> _Gathered:
    import pyarrow as pa
    from pyspark.sql import functions

    frames = [
        _read_rows(frame, part).withColumn("part", functions.lit(part))
        for part, frame in given.items()
        if frame is not None
    ]
    every = frames[0]
    for one in frames[1:]:
        every = every.unionByName(one)
    every = kept.keep(every)
    numbered = number_ids(every.select("user").distinct(), "user", "code", kept)
    asked = every.where(functions.col("part") == _ASKED).select("user").distinct()
    judged = kept.keep(numbered if given[_ASKED] is None else numbered.join(asked, "user"))
    table = pa.table({"item": pa.array(items, pa.string()), "number": pa.array(range(len(items)), pa.int32())})
    codes = functions.broadcast(every.sparkSession.createDataFrame(table))
    unknown = functions.concat(
        functions.lit(f"RecsysError: {PLACE}: item '"), "item", functions.lit("' is none of items")
    )
    known = functions.coalesce("number", functions.raise_error(unknown).cast("int"))
    number = functions.when(functions.col("part") != _ASKED, known).alias("item")
    coded = every.join(codes, "item", "left").select("user", "part", "rank", number)
    rows = coded.join(judged, "user").select("code", "part", "rank", "item")
    rows = rows.repartition("code").sortWithinPartitions("code", "part", "rank", "item")
    shown = coded.where(functions.col("part") == _SHOWN).select("user", "item", "rank")
    return _Gathered(rows, shown, judged, judged.count())


def _read_rows(frame: "DataFrame", part: int) -> "DataFrame":
    """Return user, item and rank of a frame, ids as text; null where a part has none."""
    needed = {_SHOWN: ("user", "item", "rank"), _ASKED: ("user",)}.get(part, ("user", "item"))
    fields = {field: FIELDS.get(field, (field,)) for field in needed}
    chosen, _ = select_fields(frame, fields, needed, PLACE)
    return chosen.mapInArrow(partial(_normalize_rows, needed), _ROWS)


def _normalize_rows(needed: Sequence[str], batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in batches:
        ids = [normalize_ids(batch.column(name), f"{PLACE}: column of {name}s") for name in needed if name != "rank"]
        missing = [pa.nulls(batch.num_rows, pa.string())] * (2 - len(ids))
        rank = batch.column("rank").cast(pa.int32()) if "rank" in needed else pa.nulls(batch.num_rows, pa.int32())
        yield pa.RecordBatch.from_arrays([*ids, *missing, rank], names=["user", "item", "rank"])


def _sum_partition(sent: Any, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Yield the sums over the users of a partition, in a worker."""
    import pyarrow as pa

    order: _Order = sent.value
    sums = np.zeros(order.layout.size)
    if sums.size:
        with limit_to_one_blas_thread():
            for table in iter_whole_users(batches, "code"):
                columns = (table[name].fill_null(-1).to_numpy().astype(np.int64) for name in _COLUMNS)
                sums += _sum_block(order, *columns)
    yield pa.RecordBatch.from_arrays([pa.array([sums.tobytes()], pa.binary())], names=["sums"])


def _read_sums(row: Any) -> Doubles:
    return np.frombuffer(row.sums, np.float64)


def _sum_block(order: _Order, code: Longs, part: Longs, rank: Longs, item: Longs) -> Doubles:
    """Return the sums over some users."""
    users, row = np.unique(code, return_inverse=True)
    shown = part == _SHOWN
    picks = _lay_out_picks(row[shown], rank[shown], item[shown], len(users))
    test, train = (
        _build_pairs(row[part == which], item[part == which], (len(users), order.n_items))
        for which in (_HELD_OUT, _LIKED)
    )
    truth = order.build_truth(users.astype(np.str_), train, test)
    evaluation = Evaluation(picks, truth)
    answers = [cast(PerUser | PerMap, call_metric(want, evaluation)) for want in order.by_user]
    tables = [np.atleast_2d(answer.values) for answer in answers]
    draws = sum_bootstrap_draws(tables, users.astype(np.int32), order.seed, order.n_bootstrap)
    shares = [compute_held_out_shares(truth, family) for family in order.families]
    behind = [answer.counts for answer in answers if isinstance(answer, PerMap) and "hits" in answer.counts]
    counts = [told[name] for told in behind for name in _COUNTS]
    parts = [*_sum_known(tables), draws[0].ravel(), draws[1].ravel(), *_sum_known(shares), np.array(counts)]
    return np.concatenate(parts)


def _sum_known(tables: Sequence[Doubles]) -> tuple[Doubles, Doubles]:
    """Return the sum of each row's numbers, and how many there are."""
    if not tables:
        return np.zeros(0), np.zeros(0)
    joined = np.concatenate(tables)
    return np.nansum(joined, axis=1), (~np.isnan(joined)).sum(axis=1).astype(np.float64)


def _lay_out_picks(row: Longs, rank: Longs, item: Longs, n_users: int) -> Any:
    """Return the slates, (U, K), -1 after the end; rows are ordered by user and rank."""
    twice = np.flatnonzero((row[1:] == row[:-1]) & (rank[1:] == rank[:-1]))
    if len(twice):
        raise RecsysError(f"{PLACE}: a user has two picks at rank {rank[twice[0]]}, expected one")
    if len(rank) and rank.min() < 1:
        raise RecsysError(f"{PLACE}: found a pick at rank {rank.min()}, expected ranks from 1")
    sizes = np.bincount(row, minlength=n_users)
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    picks = np.full((n_users, max(int(sizes.max(initial=0)), 1)), -1, np.int32)
    picks[row, place] = item
    return picks


def _build_pairs(row: Longs, item: Longs, shape: tuple[int, int]) -> Csr:
    """Return 1 at each pair, which rows may have several times; they are ordered by user and item."""
    once = np.ones(len(row), bool)
    once[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1])
    row, item = row[once], item[once]
    pointers = np.searchsorted(row, np.arange(shape[0] + 1)).astype(np.int32)
    return Csr((np.ones(len(row), np.float32), item.astype(np.int32), pointers), shape=shape)


def _count_shown(told: _Gathered, order: _Order, kept: KeptFrames) -> dict[int, Doubles]:
    """Return how often each item is shown to each group of users, (groups, I), by k."""
    from pyspark.sql import functions

    ks = sorted({k for name, k in order.asked if name in CATALOGUE})
    if not ks:
        return {}
    n_groups = max(count_groups(told.n_judged), 1)
    drawn = told.judged.mapInArrow(partial(_draw_groups, order.seed), "user string, code int, draw double")
    place = number_rows(drawn, [functions.col("draw"), functions.col("code")], "place", kept)
    group = (functions.col("place") % n_groups).alias("group")
    of_users = told.slates.join(place.select("user", group), "user")
    within = [functions.sum((functions.col("rank") <= k).cast("long")).alias(f"n{k}") for k in ks]
    table = of_users.groupBy("group", "item").agg(*within).toArrow()
    at = table["group"].to_numpy(), table["item"].to_numpy()
    found = {}
    for k in ks:
        found[k] = np.zeros((n_groups, order.n_items))
        found[k][at] = table[f"n{k}"].to_numpy()
    return found


def _draw_groups(seed: int, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Yield users with the number that deals them into groups, in a worker."""
    import pyarrow as pa

    for batch in batches:
        draws = rng.draw_uniforms(seed, "groups", batch.column("code").to_numpy(zero_copy_only=False))
        columns = [batch.column("user"), batch.column("code"), pa.array(draws, pa.float64())]
        yield pa.RecordBatch.from_arrays(columns, names=["user", "code", "draw"])


def _build_scores(
    run: str, order: _Order, sums: Doubles, shown: Mapping[int, Doubles], n_judged: int
) -> tuple[Score, ...]:
    """Return the score of each metric, in the order in which they are asked for."""
    value, known, total, weight, share, shared, counts = order.layout.cut(sums)
    held_out = _average_shares(order, share, shared)
    nobody = Evaluation(
        np.full((1, 1), -1, np.int32),
        order.build_truth(np.array(["0"]), *(make_empty_matrix((1, order.n_items)) for _ in range(2))),
    )
    scores, row, place = [], 0, 0
    for want in _resolve(order.asked):
        answer = call_metric(want, nobody)  # its convention, direction and statistic
        if isinstance(answer, PerCatalogue):
            scores.append(build_catalogue_score(run, want.name, want.k, answer, shown[want.k], n_judged))
            continue
        rows = slice(row, row + order.count_rows(want.name))
        row, behind = rows.stop, {}
        if want.name.startswith("discovery"):
            behind = dict(zip(_COUNTS, counts[place : place + len(_COUNTS)].tolist(), strict=True))
            place += len(_COUNTS)
        elif want.name in _FAMILIES:
            behind = {"held_out": held_out[_FAMILIES[want.name]]}
        of_metric = (value[rows], known[rows], total[:, rows], weight[:, rows])
        scores.append(_build_user_score((run, want.name, want.k), answer, of_metric, behind, order.seed))
    return tuple(scores)


def _average_shares(order: _Order, share: Doubles, shared: Doubles) -> dict[MapFamily, float]:
    found, first = {}, 0
    for family in order.families:
        rows = slice(first, first + len(order.maps[family]))
        first, told = rows.stop, shared[rows] > 0
        found[family] = float((share[rows][told] / shared[rows][told]).mean()) if told.any() else float("nan")
    return found


def _build_user_score(
    key: tuple[str, str, int],
    answer: PerUser | PerMap,
    sums: tuple[Doubles, Doubles, Doubles, Doubles],
    behind: Mapping[str, float],
    seed: int,
) -> Score:
    """Return the score of a mean over users, then over maps: as `recsys.scores.runs.build_user_score` makes it."""
    value, known, total, weight = sums
    told = known > 0
    drawn = average_bootstrap_sums(total[:, told], weight[:, told], seed)
    n_users = round(float(known[told].mean())) if told.any() else 0
    over_maps = isinstance(answer, PerMap)
    return Score(
        *key,
        value=float((value[told] / known[told]).mean()) if told.any() else float("nan"),
        limits=percentile_interval(drawn) if n_users > 1 else NO_INTERVAL,
        n_users=n_users,
        convention=describe_convention(answer.convention, n_users),
        direction=answer.direction,
        shape="maps" if over_maps else "users",
        per_user=np.empty(0),
        user_contributions=np.empty(0),
        user_weights=np.empty(0),
        draws=drawn,
        make_interval=bootstrap_interval,
        degrees_of_freedom=partial(mean_degrees_of_freedom, n_users=n_users),
        counts={**behind, "maps": float(told.sum())} if over_maps and n_users else {},
    )
