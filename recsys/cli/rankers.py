"""`recsys export`, `recsys warmup` and `recsys profile`: a ranker for production, and what it holds of a user."""

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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("user")
@click.option("--out", type=click.Path(path_type=Path), help="Write a .json file instead of printing.")
@click.option("--allow-import", "imports", multiple=True, metavar="NAME", help="An objective or guard of your own.")
def profile(folder: Path, user: str, out: Path | None, imports: tuple[str, ...]) -> None:
    """Show all that the ranker in FOLDER holds about USER, as JSON."""
    from recsys.rankers import Ranker
    from recsys.rankers.profiles import check_profile_path

    target = None if out is None else check_profile_path(out)
    held = Ranker.load(folder, allow_imports=imports).profile(user)
    if target is None:
        click.echo(held.to_json(), nl=False)
    else:
        options.print_line(f"profile: {held.write(target)}")
