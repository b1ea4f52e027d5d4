"""Slates of a data frame of Spark."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.batch.columns import resolve_batch_columns
from recsys.batch.ranking import rank_batches
from recsys.rankers import Ranker
from recsys.spark.artefacts import ShippedRanker, load_shipped, ship_ranker
from recsys.spark.jobs import need_context, quote_column
from recsys.spark.sessions import ignore_pandas_warnings, import_pyspark
from recsys.types import Guard
from recsys.types.moments import parse_moment

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PLACE = "spark"


@ignore_pandas_warnings()
def rank(
    df: "DataFrame",
    ranker: str | Path | Ranker,
    *,
    k: int | None = None,
    seed: int | None = None,
    weights: Mapping[str, float] | None = None,
    guards: Sequence[Guard] = (),
    now: Any = None,
    contributions: bool = False,
    forget_list: str | Path | None = None,
    allow_imports: Collection[str] = (),
) -> "DataFrame":
    """Return the slates of all requests in a data frame, as a data frame: to the bit those of one machine.

    Columns and settings are those of `recsys.batch.rank_batches`, which each partition goes through; what was shown to
    users is a column. No row moves between partitions: users whom several partitions have are answered in each, and
    the rows of a user's candidates stand together in one of them.

    `ranker` is a saved one, or one in memory, which is saved for that. It goes to each executor once. What its forget
    list says at the call holds for all workers, and so does the clock's moment where `now` is None.

    Raises:
        RecsysError: for a ranker that cannot be loaded, columns that cannot be read, settings that no request can
            have, or a session of Spark Connect, which has no files of an application.
    """
    import_pyspark()
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    context = need_context(df, PLACE)
    found = resolve_batch_columns(to_arrow_schema(df.schema), PLACE)
    sent = ship_ranker(context, ranker, forget_list, allow_imports)
    settings: dict[str, Any] = {"k": k, "seed": seed, "contributions": contributions, "weights": dict(weights or {})}
    settings["guards"] = list(guards)
    settings["now"] = int(parse_moment("spark: now", _read_clock() if now is None else now))
    schema = rank_batches(sent.ranker, [], **settings).schema
    needed = df.select(*(quote_column(name) for name in found.values()))
    return needed.mapInArrow(partial(_rank_partition, sent.shipped, settings), from_arrow_schema(schema))


def _read_clock() -> int:
    import time

    return int(time.time())


def _rank_partition(
    shipped: ShippedRanker, settings: Mapping[str, Any], batches: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Yield the slates of a partition, in a worker."""
    return rank_batches(load_shipped(shipped), batches, place=PLACE, **settings)
