"""What jobs of Spark share: the session behind a data frame, mistakes of workers in one line, and ids as numbers."""

import atexit
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from recsys.batch.columns import check_column_type
from recsys.data.columns import resolve_columns
from recsys.data.identifiers import normalize_id
from recsys.spark.sessions import describe_java_error, ignore_pandas_warnings, import_pyspark, is_local
from recsys.types import RecsysError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext
    from pyspark.sql import DataFrame

MAX_NUMBERS = 2**31 - 1
_TOO_DEEP = (
    "the job failed: Java's stack is too small for so many iterations, expected a folder for checkpoints that all "
    "machines reach (SparkContext.setCheckpointDir), or fewer iterations"
)
_WITHIN_PARTITION = (1 << 33) - 1  # the bits of `monotonically_increasing_id` that count rows of a partition


def need_context(frame: Any, place: str) -> "SparkContext":
    """Return what a data frame of Spark is computed by.

    Raises:
        RecsysError: if it is none, or of a session of Spark Connect, which has no files of an application.
    """
    if not hasattr(frame, "sparkSession"):
        raise RecsysError(f"{place}: found a {type(frame).__name__}, expected a data frame of Spark")
    context = getattr(frame.sparkSession, "_sc", None)
    if context is None:
        raise RecsysError(f"{place}: found a session of Spark Connect, expected one of a driver in this process")
    return context


def select_fields(
    frame: "DataFrame", fields: Mapping[str, Sequence[str]], needed: Collection[str], place: str
) -> tuple["DataFrame", dict[str, str]]:
    """Return the columns that are fields, under the names of these, and what the frame calls each.

    Raises:
        RecsysError: for a column that is missing, or of another type than its field has.
    """
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import to_arrow_schema

    need_context(frame, place)
    found = resolve_columns(frame.columns, fields, (), place)
    if missing := [field for field in needed if field not in found]:
        told = ", ".join(frame.columns)
        raise RecsysError(f"{place}: no column for {missing[0]}, expected such as '{fields[missing[0]][0]}' ({told})")
    schema = to_arrow_schema(frame.schema)
    for field, column in found.items():
        check_column_type(field, schema.field(column).type, f"{place}: column {column!r}")
    chosen = (functions.col(quote_column(column)).alias(field) for field, column in found.items())
    return frame.select(*chosen), found


def quote_column(name: str) -> str:
    """Return a name as Spark reads it, whatever is in it.

    >>> quote_column("a.b")
    '`a.b`'
    """
    return f"`{name.replace('`', '``')}`"


@contextmanager
def tell_job_errors(place: str) -> Iterator[None]:
    """Run jobs of Spark, whose errors are one line: that of the worker's `RecsysError`, or Java's first one.

    Raises:
        RecsysError: in the place of Spark's errors.
    """
    import_pyspark()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        with ignore_pandas_warnings():
            yield
    except (Py4JError, PySparkException) as error:
        ours = re.search(r"RecsysError: (.+?)(?: SQLSTATE: \w+)?$", str(error), re.MULTILINE)
        if not ours and "StackOverflowError" in str(error):
            raise RecsysError(f"{place}: {_TOO_DEEP}") from None
        raise RecsysError(ours[1] if ours else f"{place}: the job failed: {describe_java_error(error)}") from None


def normalize_ids(column: "pa.Array", place: str) -> "pa.Array":
    """Return ids as text, by the rules of all tables.

    Raises:
        RecsysError: for a row without an id.
    """
    import pyarrow as pa

    if column.null_count:
        raise RecsysError(f"{place}: a row has none, expected an id")
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    names = [normalize_id(one) for one in encoded.dictionary.to_pylist()]
    if "" in names:
        raise RecsysError(f"{place}: a row has none, expected an id")
    return pa.array(names, pa.string()).take(encoded.indices)


def provide_checkpoints(context: "SparkContext") -> None:
    """Give a session of one machine that has no folder for checkpoints a temporary one, until the process ends.

    Long iterations need checkpoints: Java's stacks hold only so much of what a result depends on. Those of several
    machines have to reach the folder: theirs is not known here.
    """
    if context.getCheckpointDir() is None and is_local(context.master):
        folder = mkdtemp(prefix="recsys-checkpoints-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        context.setCheckpointDir(folder)


class KeptFrames(list[Any]):
    """Data frames that Spark keeps, so that they are computed once; as a context manager, until its end."""

    def __enter__(self) -> "KeptFrames":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Let go of all frames."""
        while self:
            self.pop().unpersist()

    def keep(self, frame: "DataFrame") -> "DataFrame":
        """Return the frame, whose rows are kept from the first job on."""
        from pyspark import StorageLevel

        self.append(frame.persist(StorageLevel.MEMORY_AND_DISK))
        return self[-1]


def number_ids(frame: "DataFrame", column: str, number: str, kept: KeptFrames) -> "DataFrame":
    """Return a frame of distinct ids with a column of their numbers, from 0 in the order of `sort_ids`.

    As long as it is `kept`, no number changes.

    Raises:
        RecsysError: for more ids than numbers of 32 bits.
    """
    from pyspark.sql import functions

    id_ = functions.col(column)
    is_number = frame.select(functions.bool_and(id_.rlike(r"^-?[0-9]{1,18}$"))).first()[0]
    return number_rows(frame, [id_.cast("long"), id_] if is_number else [id_], number, kept)


def number_rows(frame: "DataFrame", order: Sequence[Any], number: str, kept: KeptFrames) -> "DataFrame":
    """Return a frame with a column of the place of each row in an order that has no equals, from 0.

    Raises:
        RecsysError: for more rows than numbers of 32 bits.
    """
    from pyspark.sql import functions

    ordered = kept.keep(frame.orderBy(*order))
    part = functions.spark_partition_id()
    sizes = {row[0]: row[1] for row in ordered.groupBy(part).count().collect()}
    if (total := sum(sizes.values())) > MAX_NUMBERS:
        raise RecsysError(f"spark: found {total:,} ids, expected at most {MAX_NUMBERS:,}")
    starts, before = [], 0
    for one in range(max(sizes, default=0) + 1):
        starts.append(before)
        before += sizes.get(one, 0)
    first = functions.element_at(functions.array(*map(functions.lit, starts)), part + 1)
    within = functions.monotonically_increasing_id().bitwiseAND(functions.lit(_WITHIN_PARTITION))
    return ordered.withColumn(number, (first + within).cast("int"))


def iter_whole_users(batches: Iterable["pa.RecordBatch"], user: str, rows: int = 2**18) -> Iterator["pa.Table"]:
    """Yield tables of about so many rows, in which no user's are cut: rows of a user stand together."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) < rows:
            continue
        table = pa.Table.from_batches(held)
        cut = pc.index(table[user], table[user][-1]).as_py()
        if cut:
            yield table.slice(0, cut)
        held = table.slice(cut).to_batches()
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)
