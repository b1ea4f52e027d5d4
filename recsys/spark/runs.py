"""A batch as files, whose partitions are made by the executors of a cluster."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.batch import BatchRun
from recsys.batch import run_batch as run_batch_here
from recsys.batch.inputs import BatchInput
from recsys.batch.partitions import Plan
from recsys.batch.runs import MANIFEST, BatchJob, BatchSources, FinishedPartition
from recsys.rankers import Ranker
from recsys.spark.artefacts import ShippedRanker, load_shipped, ship_folder
from recsys.spark.sessions import describe_java_error
from recsys.types import Exposures, RecsysError
from recsys.types.paths import check_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_batch(
    session: "SparkSession",
    ranker: str | Path,
    out: str | Path,
    *,
    allow_imports: Collection[str] = (),
    **settings: Any,
) -> BatchRun:
    """Write the slates of very many requests to a folder, as `recsys.batch.run_batch` does, by the executors.

    They are the same files, to the bit, of the same manifest: what one machine began a cluster goes on with, and the
    other way round. The ranker goes to each executor once; `out` and the files of requests are in folders that all
    machines see under the same path. A partition whose executor dies is made by another one. Spark shows the progress.

    Raises:
        RecsysError: as `recsys.batch.run_batch` does; for an executor that does not see `out`; and for a job that
            Spark gives up.
    """
    folder = check_path("ranker", ranker)

    def finish(job: BatchJob, numbers: Sequence[int]) -> list[FinishedPartition]:
        shipped = ship_folder(session.sparkContext, folder, job.ranker, allow_imports)
        sources = BatchSources(*(None if one is None else one.absolute() for one in job.sources))
        orders = _Orders(shipped, sources, job.folder.absolute(), job.plan, job.settings)
        return _finish_by_executors(session, orders, numbers)

    return run_batch_here(folder, out, allow_imports=allow_imports, finish=finish, **{**settings, "quiet": True})


@dataclass(frozen=True, eq=False)
class _Orders:
    """What a worker makes partitions of."""

    shipped: ShippedRanker
    sources: BatchSources
    folder: Path
    plan: Plan
    settings: Mapping[str, Any]


def _finish_by_executors(session: "SparkSession", orders: _Orders, numbers: Sequence[int]) -> list[FinishedPartition]:
    """Return what became of each partition, in their order."""
    if not numbers:
        return []
    context = session.sparkContext
    sent = context.broadcast(orders)
    try:
        done = context.parallelize(numbers, len(numbers)).map(partial(_finish_in_worker, sent)).collect()
    except Exception as error:  # Java's, of many kinds
        raise RecsysError(f"spark: the job failed: {describe_java_error(error)}") from None
    finally:
        sent.unpersist()
    for one in done:
        if isinstance(one, RecsysError):
            raise one
    return list(done)


def _finish_in_worker(sent: Any, number: int) -> FinishedPartition | RecsysError:
    """Return what became of a partition, or what is wrong with it: no other try would end better."""
    orders: _Orders = sent.value
    try:
        if not (orders.folder / MANIFEST).is_file():
            raise RecsysError(
                f"{orders.folder}: an executor does not see it, expected a folder that all machines share"
            )
        ranker, given, shown = _open_sources(orders.shipped, orders.sources)
        job = BatchJob(orders.folder, ranker, orders.sources, orders.plan, orders.settings, given, shown)
        return job.finish(number)
    except RecsysError as error:
        return error.with_traceback(None)


@lru_cache(maxsize=1)
def _open_sources(shipped: ShippedRanker, sources: BatchSources) -> tuple[Ranker, BatchInput, Exposures | None]:
    """Return what a worker keeps for its later tasks."""
    ranker = load_shipped(shipped)
    return ranker, sources.open(ranker), sources.read_shown()
