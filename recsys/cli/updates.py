"""`recsys update` and `recsys add-items`: a saved ranker with rows, or items, that came since it was fitted."""

from pathlib import Path
from typing import Any

import click

from recsys.cli import options


@click.command()
@click.argument("folder", metavar="RANKER", type=click.Path(path_type=Path))
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option(
    "--positive", help="Which rows are likes, such as 'rating >= 4' (default: the rule of its config, or all)."
)
@click.option("--config", help="The config that RANKER was made by (default: the one that is in it, if any).")
@options.blend
@options.column
@options.add_table_options
@options.allow_import
def update(
    folder: Path,
    rows: Path,
    out: Path,
    positive: str | None,
    config: str | None,
    blend: str | None,
    columns: tuple[str, ...],
    reading: dict[str, Any],
    imports: tuple[str, ...],
) -> None:
    """Write the ranker in RANKER with the interactions in ROWS, a table of new ones, without a refit.

    What is exact then, and what is stale until the next fit, is printed, and told by the ranker.
    """
    from recsys.data import read_dataset
    from recsys.experiments import update_ranker

    found = read_dataset(rows, options.parse_column_names(columns), **reading)
    done = update_ranker(folder, found, out, positive=positive, config=config, blend=blend, allow_imports=imports)
    for sentence in done.report.describe():
        options.print_line(sentence)
    options.print_line(f"ranker: {done.folder}, policy {done.policy}")


@click.command("add-items")
@click.argument("folder", metavar="RANKER", type=click.Path(path_type=Path))
@click.argument("items", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="A table of the ranker's items with the columns that say what items are (default: its catalogue).",
)
@options.column
@options.allow_import
@options.quiet
def add_items(
    folder: Path,
    items: Path,
    out: Path,
    known: Path | None,
    columns: tuple[str, ...],
    imports: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write the ranker in RANKER with the items in ITEMS, a table of new ones, predicted from their features.

    How well features predict known items is printed, and told by the ranker.
    """
    from recsys.experiments import add_items_to_ranker

    named = options.parse_column_names(columns) or None
    done = add_items_to_ranker(folder, items, out, known=known, columns=named, allow_imports=imports, quiet=quiet)
    for sentence in done.report.describe():
        options.print_line(sentence)
    options.print_line(f"ranker: {done.folder}, policy {done.policy}")
