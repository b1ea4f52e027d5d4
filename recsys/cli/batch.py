"""`recsys batch`: the slates of very many users by a saved ranker, as files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options
from recsys.types import RecsysError

if TYPE_CHECKING:
    from recsys.batch import BatchRun
    from recsys.types import Guard


@click.command()
@click.argument("folder", metavar="RANKER", type=click.Path(path_type=Path))
@click.option(
    "--users", type=click.Path(path_type=Path), help="Parquet, a table, or an id a line (default: all users)."
)
@click.option("--candidates", type=click.Path(path_type=Path), help="Parquet of user, item and score: re-ranked.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of the partitions.")
@click.option("--shard", metavar="PART/PARTS", default="1/1", help="Which part is made, such as 3/16 (default: all).")
@click.option("--k", type=int, help="How many items each (default: the ranker's).")
@click.option("--seed", type=int, help="Of the draws (default: the ranker's).")
@click.option("--now", metavar="TIME", help="The moment: ISO 8601, or seconds since 1970 (default: the clock's).")
@click.option("--shown", type=click.Path(path_type=Path), help="A table of what was shown to the users.")
@click.option("--weights", multiple=True, metavar="OBJECTIVE=FACTOR", help="A dial of every request.")
@click.option("--guards", type=click.Path(path_type=Path), help="A TOML file whose [guards] hold for every request.")
@click.option("--contributions", is_flag=True, help="A column for what each objective adds to each pick.")
@click.option("--forget", "forget_list", type=click.Path(path_type=Path), help="A list (default: the one it names).")
@click.option("--partition-size", type=int, default=10_000, show_default=True, help="Users in each partition.")
@click.option("--spark", "master", metavar="MASTER", help='Made by executors of Spark, such as those of "local[4]".')
@options.allow_import
@options.quiet
def batch(
    folder: Path,
    users: Path | None,
    candidates: Path | None,
    out: Path,
    shard: str,
    k: int | None,
    seed: int | None,
    now: str | None,
    shown: Path | None,
    weights: tuple[str, ...],
    guards: Path | None,
    contributions: bool,
    forget_list: Path | None,
    partition_size: int,
    master: str | None,
    imports: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write slates of the ranker in RANKER for many users, as partitions of Parquet and a manifest.

    A batch that was killed goes on with the partitions that are missing.
    """
    from recsys.types.moments import format_moment

    part = _parse_shard(shard)
    with _choose_machines(master, quiet) as run_batch:
        done = run_batch(
            folder, out, users=users, candidates=candidates, shard=part, k=k, seed=seed,
            now=None if now is None else options.parse_moment_text(now), shown=shown,
            weights=options.parse_settings(weights, "--weights") or None,
            guards=() if guards is None else _read_guards(guards), contributions=contributions,
            forget_list=forget_list, allow_imports=imports, partition_size=partition_size, quiet=quiet,
        )  # fmt: skip
    for note in done.counts.describe():
        options.print_line(f"note: {note}")
    if done.damaged:
        options.print_line(f"note: partitions that were damaged, made anew: {done.damaged:,}")
    kept = f", {done.kept:,} of them were there" if done.kept else ""
    counts = done.counts
    options.print_line(
        f"slates: {counts.slates:,} of {counts.users:,} users in {done.made + done.kept:,} partitions{kept}"
    )
    options.print_line(f"policy: {done.policy}, now {format_moment(done.now)}")
    whole = "whole" if done.is_whole else f"partitions of other shards are missing, {done.partitions:,} in all"
    options.print_line(f"batch: {out} ({whole})")


@contextmanager
def _choose_machines(master: str | None, quiet: bool) -> Iterator[Callable[..., "BatchRun"]]:
    """Yield what runs a batch: this process, or a cluster of Spark as long as the block."""
    if master is None:
        from recsys.batch import run_batch

        yield run_batch
        return
    from recsys import spark

    with spark.open_session(master, quiet=quiet) as session:
        yield partial(spark.run_batch, session)


def _read_guards(path: Path) -> "list[Guard]":
    """Return the guards of a TOML file that has them as a config does."""
    from recsys.reranking.guards import parse_guards
    from recsys.support.toml_files import read_toml

    found = read_toml(path, f"guards {path}").get("guards")
    if not isinstance(found, dict) or not found:
        raise RecsysError(f"{path}: has no table [guards], expected one as a config has")
    try:
        return parse_guards(found)
    except RecsysError as error:
        raise RecsysError(f"{path}: {error}") from None


def _parse_shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if not slash or not part.isdecimal() or not parts.isdecimal():
        raise click.BadParameter(f"'{text}', expected such as 3/16", param_hint="--shard")
    return int(part), int(parts)
