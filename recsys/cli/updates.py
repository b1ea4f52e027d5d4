"""`recsys update`: a saved ranker with rows that came since it was fitted."""

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
