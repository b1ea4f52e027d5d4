"""Train, validation and test of a log of Spark, by the rules of `recsys.splits`."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import splits
from recsys.data.columns import ITEM_ALIASES, TIME_ALIASES, USER_ALIASES, WEIGHT_ALIASES
from recsys.spark.jobs import KeptFrames, iter_whole_users, normalize_ids, select_fields, tell_job_errors
from recsys.splits.pairs import Pairs
from recsys.splits.parts import TEST, TRAIN, VALIDATION, count_shares
from recsys.splits.settings import check_sizes, find_positives
from recsys.support.resolver import check_settings, list_settings
from recsys.types import Items, RecsysError
from recsys.types.arrays import Anys, make_empty_matrix
from recsys.types.errors import check_choice
from recsys.types.numbers import check_int

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PLACE = "spark: split"
KINDS = ("global_time", "leave_last", "per_user_time", "random")
PARTS = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_FIELDS = {"user": USER_ALIASES, "item": ITEM_ALIASES, "weight": WEIGHT_ALIASES, "datetime": TIME_ALIASES}
_ROWS = "user string, item string, weight float, datetime long, positive boolean"
_BUCKETS = 4096  # that moments are counted in at once


def split(log: "DataFrame", kind: str, *, positive: str | None = None, seed: int = 0, **settings: Any) -> "DataFrame":
    """Return the pairs of a log with the part that each falls into: those of `recsys.splits`, to the bit.

    `kind` is "leave_last", "per_user_time", "random" or "global_time", `settings` are its `test` and `validation`, and
    `positive` and `seed` are as there. The log has columns of users and items, of times where the kind needs them
    (whole seconds since 1970, or timestamps), and of weights where it has such. No row is left out: filters, consent,
    topics and forget lists are up to what makes the log.

    The columns: user, item, weight, datetime, positive, part ("train", "validation" or "test") and cold, which says of
    a held-out positive that its item has none in train, so that with `cold_items="drop"` it is no target.

    Raises:
        RecsysError: for columns that are missing or of another type, settings that cannot be, or a job that Spark gives
            up before rows are asked for. A row without an id or a moment ends the job that asks for rows.
    """
    check_choice("split", kind, KINDS, where=PLACE)
    rule = getattr(splits, kind).__wrapped__
    known = {name: one for name, one in list_settings(rule, "a split", n_inputs=1).items() if name != "seed"}
    check_sizes(kind, known, settings)
    sizes = {name: one.default for name, one in known.items()} | check_settings(kind, known, settings)
    check_int(f"{PLACE}: seed", seed, 0)
    if kind == "leave_last":
        check_int("leave_last: validation", sizes["validation"], 0, 1)
    with tell_job_errors(PLACE):
        pairs = _read_pairs(log, kind, positive)
        parted = _split_by_time(pairs, sizes) if kind == "global_time" else _split_by_user(pairs, kind, sizes, seed)
        return _mark_cold(parted)


def _read_pairs(log: "DataFrame", kind: str, positive: str | None) -> "DataFrame":
    """Return each pair once: positive before others, then the earliest, then of the lowest weight."""
    from pyspark.sql import functions

    needed = ["user", "item", *([] if kind == "random" else ["datetime"]), *([] if positive is None else ["weight"])]
    chosen, found = select_fields(log, _FIELDS, needed, PLACE)
    names = {field: column for field, column in found.items() if field == "weight"}
    find_positives(np.zeros(0, np.float32), positive, names)
    if "datetime" in found:
        chosen = chosen.withColumn("datetime", _read_seconds(chosen, found["datetime"]))
    rows = chosen.mapInArrow(partial(_read_rows, positive, names), _ROWS)
    order = functions.struct((~functions.col("positive")).alias("other"), "datetime", "weight")
    first = rows.groupBy("user", "item").agg(functions.min(order).alias("first"))
    told = "first.weight AS weight", "first.datetime AS datetime", "NOT first.other AS positive"
    return first.selectExpr("user", "item", *told)


def _read_seconds(frame: "DataFrame", column: str) -> Any:
    """Return moments as whole seconds since 1970.

    Raises:
        RecsysError: for a column of another type.
    """
    from pyspark.sql import functions, types

    kind = frame.schema["datetime"].dataType
    if isinstance(kind, types.IntegerType | types.LongType | types.ShortType):
        return functions.col("datetime").cast("long")
    if isinstance(kind, types.TimestampType | types.DateType):
        return functions.unix_timestamp("datetime")
    expected = f"of type {kind.simpleString()}, expected whole seconds since 1970, or timestamps"
    raise RecsysError(f"{PLACE}: column '{column}' is {expected}")


def _read_rows(
    positive: str | None, names: Mapping[str, str], batches: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Yield rows with their ids as text, and whether they are likes, in a worker."""
    import pyarrow as pa

    for batch in batches:
        there = batch.schema.names
        ids = [normalize_ids(batch.column(name), f"{PLACE}: column of {name}s") for name in ("user", "item")]
        weight = np.ones(batch.num_rows, np.float32)
        if "weight" in there:
            given = batch.column("weight").cast(pa.float64()).to_numpy(zero_copy_only=False)
            weight = given.astype(np.float32)
        moment = batch.column("datetime") if "datetime" in there else pa.array(np.zeros(batch.num_rows, np.int64))
        if moment.null_count:
            raise RecsysError(f"{PLACE}: column of times: a row has none, expected a moment")
        likes = find_positives(weight, positive, names)
        columns = [*ids, pa.array(weight), moment.cast(pa.int64()), pa.array(likes)]
        yield pa.RecordBatch.from_arrays(columns, names=["user", "item", "weight", "datetime", "positive"])


def _split_by_user(pairs: "DataFrame", kind: str, sizes: Mapping[str, Any], seed: int) -> "DataFrame":
    ordered = pairs.repartition("user").sortWithinPartitions("user", "item")
    return ordered.mapInArrow(partial(_part_users, kind, sizes, seed), f"{_ROWS}, part int")


def _part_users(
    kind: str, sizes: Mapping[str, Any], seed: int, batches: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Yield the pairs of whole users with their parts, in a worker: no user's depend on another's."""
    import pyarrow as pa

    rule = getattr(splits, kind).__wrapped__
    for table in iter_whole_users(batches, "user"):
        part = rule(_build_pairs(table), **sizes, seed=seed).part
        yield from table.append_column("part", pa.array(part, pa.int32())).combine_chunks().to_batches()


def _build_pairs(table: "pa.Table") -> Pairs:
    user_ids, user = np.unique(_list_texts(table["user"]), return_inverse=True)
    item_ids, item = np.unique(_list_texts(table["item"]), return_inverse=True)
    none, unknown = make_empty_matrix((len(item_ids), 0)), np.zeros(len(item_ids), np.int32)
    moment = table["datetime"].to_numpy()
    return Pairs(
        user.astype(np.int32), item.astype(np.int32), table["positive"].to_numpy(), table["weight"].to_numpy(), moment,
        user_ids, Items(item_ids, item_ids, none, (), unknown), {},
    )  # fmt: skip


def _list_texts(column: Any) -> Anys:
    return np.asarray(column.to_pylist(), dtype=np.str_)


def _split_by_time(pairs: "DataFrame", sizes: Mapping[str, Any]) -> "DataFrame":
    """Return the parts by two moments, which are those of as many of all positives."""
    from pyspark.sql import functions

    pairs = KeptFrames().keep(pairs)  # for good: the parts are read from it
    times = pairs.where("positive").select("datetime")
    total = times.count()
    if not total:
        raise RecsysError(f"{PLACE}: found no positives, expected some")
    (n_test,), (n_validation,) = count_shares(np.array([total]), sizes["test"], sizes["validation"])
    first = total - max(int(n_test), 1)
    test_from = _find_moment(times, first)
    validation_from = min(_find_moment(times, first - int(n_validation)), test_from)
    moment = functions.col("datetime")
    part = (moment >= validation_from).cast("int") + (moment >= test_from).cast("int")
    return pairs.withColumn("part", part)


def _find_moment(times: "DataFrame", place: int) -> int:
    """Return the moment at a place of all in their order, from 0: counted in ever smaller buckets."""
    from pyspark.sql import functions

    moment = functions.col("datetime")
    low, high = times.agg(functions.min(moment), functions.max(moment)).first()
    before = 0  # moments below the lowest bucket
    while True:
        width = (high - low) // _BUCKETS + 1
        bucket = functions.floor((moment - low) / width).alias("bucket")
        counts = dict(times.where(moment.between(low, high)).groupBy(bucket).count().collect())
        for number in sorted(counts):
            if before + counts[number] > place:
                break
            before += counts[number]
        low = low + number * width
        if width == 1:
            return int(low)
        high = low + width - 1


def _mark_cold(parted: "DataFrame") -> "DataFrame":
    """Return the rows with names of parts, and whether a held-out positive is of an item without any in train."""
    from pyspark.sql import functions

    trained = parted.where(f"positive AND part = {TRAIN}").select("item").distinct()
    there = parted.join(trained.withColumn("trained", functions.lit(True)), "item", "left")
    cold = functions.col("trained").isNull() & functions.col("positive") & (functions.col("part") != TRAIN)
    names = functions.element_at(functions.array(*map(functions.lit, PARTS.values())), functions.col("part") + 1)
    return there.select("user", "item", "weight", "datetime", "positive", names.alias("part"), cold.alias("cold"))
