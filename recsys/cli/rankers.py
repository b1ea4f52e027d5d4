"""`recsys export` and `recsys warmup`: a ranker for production, written and made ready."""

from pathlib import Path

import click

from recsys.cli import options


@click.command()
@click.argument("config")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@options.blend
@click.option("--index-recall", type=float, default=1.0, help="Below 1: retrieve by an index that finds this share.")
@options.data_dir
@options.quiet
def export(config: str, out: Path, blend: str | None, index_recall: float, data_dir: Path | None, quiet: bool) -> None:
    """Write the ranker of CONFIG, such as the winner.toml of a sweep, fitted to all of the data."""
    from recsys.experiments import export as run

    done = run(config, out, blend=blend, index_recall=index_recall, quiet=quiet, data_dir=data_dir)
    options.print_line(f"{done.run}: {done.users:,} users, {done.items:,} items, policy {done.policy}")
    if done.index is not None:
        options.print_line(f"index: {done.index}")
    options.print_line(f"ranker: {done.folder}")


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
def warmup(folder: Path | None) -> None:
    """Compile the code of requests for later processes, and check every file of the ranker in DIR."""
    from recsys.rankers import warmup as run

    done = run(folder)
    if folder is not None:
        options.print_line(f"ranker: {folder} is whole, policy {done.policy}")
    kept = "nowhere: each process compiles anew" if done.compiled is None else str(done.compiled)
    options.print_line(f"compiled code: {kept} ({done.seconds:.1f} s)")
