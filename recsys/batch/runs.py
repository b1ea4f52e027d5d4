"""A batch as files: partitions of Parquet and a manifest, made by one process or by several, and gone on with."""

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.batch.counts import BatchCounts
from recsys.batch.inputs import BatchInput, fingerprint_files, hash_file, open_candidates, open_users
from recsys.batch.partitions import Plan, plan_partitions
from recsys.batch.ranking import rank_batches
from recsys.data import read_exposures
from recsys.models.manifests import collect_versions
from recsys.rankers import Ranker
from recsys.rankers.request_constraints import serialize_guards
from recsys.support.atomic_files import hold_folder, make_temporary_folder, replace_file, write_text
from recsys.support.progress import show_progress
from recsys.support.stored_arrays import hash_array
from recsys.types import Exposures, Guard, RecsysError
from recsys.types.errors import Setting, SettingError, rephrase_setting_errors
from recsys.types.extras import needs_extra
from recsys.types.moments import format_moment, parse_moment
from recsys.types.numbers import check_int
from recsys.types.paths import check_outside, check_path

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
MANIFEST = "_manifest.json"  # engines that read the folder pass over names that begin so
RECORDS = "_partitions"  # a file for each partition that is finished
PARTITION_SIZE = 10_000  # requests


@dataclass(frozen=True)
class BatchRun:
    """What was written, and of what."""

    folder: Path
    policy: str
    now: int  # the moment of all requests, in seconds since 1970
    partitions: int  # of the whole batch
    made: int  # partitions by this process
    kept: int  # partitions of its shard that were finished before
    damaged: int  # of those that were made, how many were there and not as they were written
    counts: BatchCounts  # of its shard
    is_whole: bool  # whether all partitions of the batch are there


class BatchSources(NamedTuple):
    """The files that requests are read from; without users and candidates all users of the ranker ask."""

    users: Path | None = None
    candidates: Path | None = None
    shown: Path | None = None

    def open(self, ranker: Ranker) -> BatchInput:
        """Return the rows of requests.

        Raises:
            RecsysError: for files that cannot be read.
        """
        with rephrase_setting_errors("table"):
            return open_users(ranker, self.users) if self.candidates is None else open_candidates(self.candidates)

    def read_shown(self) -> Exposures | None:
        """Return the log of exposures, None where none is given.

        Raises:
            RecsysError: if it cannot be read.
        """
        with rephrase_setting_errors("table"):
            return None if self.shown is None else read_exposures(self.shown)

    def fingerprint(self, given: BatchInput) -> list[dict[str, Any]]:
        """Return name, size and SHA-256 of all files; `given` are the rows of requests.

        Raises:
            RecsysError: if one cannot be read.
        """
        told = fingerprint_files("users" if self.candidates is None else "candidates", given.files)
        return told if self.shown is None else told + fingerprint_files("shown", [self.shown])


class FinishedPartition(NamedTuple):
    """What became of a partition."""

    record: dict[str, Any]  # its number, file and counts
    state: str  # "made", "damaged" before and made anew, or "kept"


@dataclass(frozen=True, eq=False)
class BatchJob:
    """Makes the partitions of a batch."""

    folder: Path
    ranker: Ranker
    sources: BatchSources
    plan: Plan
    settings: Mapping[str, Any]  # of `rank_batches`
    given: BatchInput  # what the sources are
    shown: Exposures | None

    def finish(self, number: int) -> FinishedPartition:
        """Return what became of a partition, which is made where it is not there or is damaged."""
        path, held = self.folder / name_partition(number), read_record(self.folder, number)
        state = "made"
        if held is not None and path.exists():
            if hash_file(path) == held["file"]:
                return FinishedPartition(held, "kept")
            state = "damaged"
        return FinishedPartition(self._make(number, path), state)

    def _make(self, number: int, path: Path) -> dict[str, Any]:
        import pyarrow as pa
        from pyarrow import parquet

        start, stop = self.plan.bounds[number : number + 2].tolist()
        rows = self.given.iter_rows(start, stop, list(self.given.columns.values()))
        repeated = self.plan.repeated
        mine = repeated[np.searchsorted(repeated, start) : np.searchsorted(repeated, stop)] - start
        ranked = rank_batches(
            self.ranker, _leave_out(rows, mine), shown=self.shown, place=self.given.place, **self.settings
        )
        table = pa.Table.from_batches(list(ranked), ranked.schema)
        counts = ranked.counts + BatchCounts(users=len(mine), repeated_users=len(mine))
        with replace_file(path) as temporary:
            parquet.write_table(table, temporary, compression="zstd", row_group_size=max(len(table), 1))
        record = {"partition": number, "file": hash_file(path), "counts": counts.to_dict()}
        write_text(self.folder / RECORDS / f"{number:05}.json", json.dumps(record, indent=1) + "\n")
        return record


def _leave_out(batches: Iterator["pa.RecordBatch"], rows: np.ndarray[Any, Any]) -> Iterator["pa.RecordBatch"]:
    """Yield batches without some rows, which are ascending."""
    import pyarrow as pa

    before = 0
    for batch in batches:
        mine = rows[np.searchsorted(rows, before) : np.searchsorted(rows, before + batch.num_rows)] - before
        before += batch.num_rows
        if len(mine):
            stays = np.ones(batch.num_rows, bool)
            stays[mine] = False
            batch = batch.filter(pa.array(stays))
        yield batch


FinishPartitions = Callable[[BatchJob, Sequence[int]], Iterable[FinishedPartition]]


def finish_in_order(job: BatchJob, numbers: Sequence[int]) -> Iterator[FinishedPartition]:
    """Yield what became of each partition, made by this process."""
    return map(job.finish, numbers)


@needs_extra("recsys.batch.run_batch")
def run_batch(
    ranker: str | Path,
    out: str | Path,
    *,
    users: str | Path | None = None,
    candidates: str | Path | None = None,
    shard: tuple[int, int] = (1, 1),
    k: int | None = None,
    seed: int | None = None,
    now: Any = None,
    shown: str | Path | None = None,
    weights: Mapping[str, float] | None = None,
    guards: Sequence[Guard] = (),
    contributions: bool = False,
    forget_list: str | Path | None = None,
    allow_imports: Collection[str] = (),
    partition_size: int = PARTITION_SIZE,
    quiet: bool = False,
    finish: FinishPartitions = finish_in_order,
) -> BatchRun:
    """Write the slates of very many requests to a folder: `part-00000.parquet` and so on, and `_manifest.json`.

    `users` is a file of Parquet, a table as text, or a text of one id on each line; None are all users of the saved
    ranker. `candidates`, Parquet in its place, are re-ranked. Columns and settings are those of
    `recsys.batch.rank_batches`; `shown` is a table of exposures, and `guards` are such that a config can say.

    A partition has `partition_size` requests, those of the order in which they are given, and is written whole or not
    at all. Where the folder has partitions of the same ranker, inputs and settings, those that are whole are kept, and
    `now` is theirs. `shard=(3, 16)` makes the third of sixteen parts: all of them, in any order and by any processes,
    make the same files as (1, 1). `finish` makes the partitions: this process, or as `recsys.spark.run_batch` does.

    Raises:
        RecsysError: for inputs that cannot be read or have no id that the ranker knows, a folder of another batch, one
            in which another process makes this shard, or one that cannot be written.
    """
    target = check_outside(check_path("out", out), check_path("ranker", ranker), "the ranker")
    check_shard(shard)
    size = check_int("batch: partition_size", partition_size, 1)
    if users is not None and candidates is not None:
        raise RecsysError(
            "batch: found users and candidates, expected one of them: candidates are those of their users"
        )
    with show_progress(quiet):
        loaded = Ranker.load(ranker, allow_imports=allow_imports, forget_list=forget_list)
    if candidates is None and loaded.model is None:
        raise SettingError(f"{ranker}: has no model to rank with, expected ", Setting("candidates"))
    given_paths = {"users": users, "candidates": candidates, "shown": shown}
    sources = BatchSources(
        **{role: None if one is None else check_path(role, one) for role, one in given_paths.items()}
    )
    given, log = sources.open(loaded), sources.read_shown()
    settings: dict[str, Any] = {"k": k, "seed": seed, "weights": dict(weights or {}), "contributions": contributions}
    told = {**settings, "guards": serialize_guards(guards)} if guards else dict(settings)
    settings["guards"] = guards
    moment = None if now is None else int(parse_moment("batch: now", now))
    for_check: dict[str, Any] = {**settings, "now": moment}
    rank_batches(loaded, [], **for_check)  # settings that no request can have
    plan = plan_partitions(loaded, given, size)
    identity = {
        "format": FORMAT,
        "policy": loaded.name,
        "user_dials": _hash_user_dials(loaded),
        "inputs": sources.fingerprint(given),
        "settings": told,
        "partition_size": size,
        "partitions": plan.size,
        "requests": plan.requests,
        "versions": dict(collect_versions()),
    }
    _refuse_foreign_folder(target)
    first, last = ((part * plan.size) // shard[1] for part in (shard[0] - 1, shard[0]))
    with hold_folder(target / f"_shard-{shard[0]}-of-{shard[1]}"):
        begun = begin_manifest(target, identity, moment)
        job = BatchJob(target, loaded, sources, plan, {**settings, "now": begun["now"]}, given, log)
        states = Counter[str]()
        counts = BatchCounts()
        with show_progress(quiet) as bars:
            task = bars.add_task("requests", total=min(last * size, plan.requests) - min(first * size, plan.requests))
            for one in finish(job, range(first, last)):
                states[one.state] += 1
                counts += BatchCounts.from_dict(one.record["counts"], str(target))
                bars.advance(task, one.record["counts"]["users"])
        is_whole = finish_manifest(target, begun)
    made, kept, damaged = states["made"] + states["damaged"], states["kept"], states["damaged"]
    return BatchRun(target, loaded.name, begun["now"], plan.size, made, kept, damaged, counts, is_whole)


def check_shard(shard: tuple[int, int]) -> None:
    """Refuse a shard that cannot be.

    >>> check_shard((3, 16))
    >>> check_shard((17, 16))
    Traceback (most recent call last):
    recsys.types.errors.RecsysError: batch: shard is 17/16, expected such as 3/16: the third of sixteen
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise RecsysError(f"batch: shard is {part}/{parts}, expected such as 3/16: the third of sixteen")


def _hash_user_dials(ranker: Ranker) -> dict[str, str] | None:
    """Return a digest of the dials that are stored for users: they are no part of the policy."""
    held = ranker.user_dials
    return None if held is None else {one.name: hash_array(getattr(held, one.name)) for one in fields(held)}


def name_partition(number: int) -> str:
    """Return the name of the file of a partition.

    >>> name_partition(3)
    'part-00003.parquet'
    """
    return f"part-{number:05}.parquet"


def _refuse_foreign_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a batch."""
    if folder.exists() and not folder.is_dir():
        raise RecsysError(f"{folder}: is no folder, expected a new one, or that of a batch")
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return
    other = sorted(one.name for one in folder.iterdir() if not one.name.startswith(("_shard-", ".")))
    if other:
        raise RecsysError(f"{folder}: holds {other[0]} and no {MANIFEST}, expected a new folder, or that of a batch")


def begin_manifest(folder: Path, identity: Mapping[str, Any], now: int | None) -> dict[str, Any]:
    """Return the manifest of a batch: the one that is there, if it is of the same, or a new one, which is written.

    Of several processes that begin at once, the first decides the moment of all.

    Raises:
        RecsysError: if the folder has another batch, or another moment than `now`.
    """
    path = folder / MANIFEST
    if not path.exists():
        moment = _read_clock() if now is None else now
        _write_first(path, json.dumps({**identity, "now": moment}, indent=1) + "\n")
    told = read_manifest(path)
    other = _list_differences(told, json.loads(json.dumps(identity)))
    if now is not None and told["now"] != now:
        raise RecsysError(f"{path}: its moment is {format_moment(told['now'])}, expected the same --now, or none")
    if other:
        raise RecsysError(f"{path}: is of a batch of other {', '.join(other)}, expected the same, or another folder")
    return told


def _list_differences(told: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """Return what of a batch is another one, settings and versions by their own names."""
    found = []
    for name, value in identity.items():
        there = told.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            found += [key for key in {**value, **there} if value.get(key) != there.get(key)]
        elif there != value:
            found.append(name)
    return found


def _read_clock() -> int:
    import time

    return int(time.time())


def _write_first(path: Path, text: str) -> None:
    """Write a file, whole, if it is not there by then."""
    try:
        with make_temporary_folder(path.parent) as folder:
            made = folder / "new.json"
            made.write_text(text, encoding="utf-8")
            made.chmod(0o644)
            try:
                os.link(made, path)
            except FileExistsError:
                return
            except OSError:  # a file system without links
                made.replace(path)
    except OSError as error:
        raise RecsysError(f"cannot write {path}: {error.strerror or error}") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a batch.

    Raises:
        RecsysError: if it is none.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecsysError(f"{path}: cannot be read: {error}") from None
    if not isinstance(told, dict) or type(told.get("now")) is not int:
        raise RecsysError(f"{path}: is no manifest of a batch, expected one, or another folder")
    return told


def read_record(folder: Path, number: int) -> dict[str, Any] | None:
    """Return what is recorded of a finished partition, None where it is not finished, or the record is damaged."""
    with suppress(OSError, ValueError, RecsysError):
        told = json.loads((folder / RECORDS / f"{number:05}.json").read_text(encoding="utf-8"))
        if isinstance(told, dict) and told.keys() >= {"partition", "file", "counts"} and told["partition"] == number:
            BatchCounts.from_dict(told["counts"], str(folder))
            return told
    return None


def finish_manifest(folder: Path, begun: Mapping[str, Any]) -> bool:
    """Write to the manifest what all partitions are, and return whether they are all there."""
    records = [read_record(folder, number) for number in range(begun["partitions"])]
    if not all(records):
        return False
    counts = BatchCounts()
    for one in records:
        counts += BatchCounts.from_dict(one["counts"] if one else {}, str(folder))
    files = {name_partition(n): one["file"] for n, one in enumerate(records) if one}
    plain = {name: value for name, value in begun.items() if name not in ("counts", "files")}
    write_text(folder / MANIFEST, json.dumps({**plain, "counts": counts.to_dict(), "files": files}, indent=1) + "\n")
    return True
