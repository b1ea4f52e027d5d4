"""`recsys data`: list, fetch, describe and cite datasets."""

from pathlib import Path
from typing import Any

import click

from recsys import data as datasets
from recsys.cli import options
from recsys.data.drawings import draw
from recsys.data.folders import data_folder
from recsys.data.sources import landed
from recsys.escaping import visible
from recsys.types import unknown


@click.group()
def data() -> None:
    """Datasets: what there is, fetch it, look at it, cite it."""


@data.command("list")
@options.data_dir
@click.option("--quiet", is_flag=True, help="Print the names alone.")
def list_(data_dir: Path | None, quiet: bool) -> None:
    """List the datasets, their size and terms, and which are on this machine."""
    if quiet:
        click.echo("\n".join(datasets.names()))
        return
    from rich.table import Table

    root = data_folder(data_dir)
    table = Table(box=None, pad_edge=False)
    for column in ("name", "users", "items", "interactions", "licence", "here"):
        table.add_column(column, justify="right" if column in ("users", "items", "interactions") else "left")
    for name in datasets.names():
        one = datasets.card(name)
        counts = (one.expected.users, one.expected.items, one.expected.interactions)
        here = landed(one, root / name) is not None
        table.add_row(name, *(f"{count:,}" for count in counts), one.licence, "yes" if here else "no")
    options.console().print(table)
    options.say(f"data folder: {root}")


@data.command("fetch")
@click.argument("name")
@click.option("--from", "path", type=click.Path(path_type=Path), help="A copy you have: archive, folder or file.")
@options.data_dir
@options.quiet
def fetch_(name: str, path: Path | None, data_dir: Path | None, quiet: bool) -> None:
    """Fetch dataset NAME and check it; print the folder where it is."""
    options.say(datasets.fetch(name, data_dir, quiet, path))


@data.command("describe")
@click.argument("name_or_path")
@options.column
@click.option("--items", type=click.Path(path_type=Path), help="For a file: the table of its items.")
@click.option("--item-column", "item_columns", multiple=True, metavar="FIELD=COLUMN", help="The same for --items.")
@options.reading
@options.data_dir
@options.quiet
def describe_(
    name_or_path: str,
    columns: tuple[str, ...],
    items: Path | None,
    item_columns: tuple[str, ...],
    reading: dict[str, Any],
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Show the numbers of a dataset, by its name, or of a table of your own and which column became what."""
    if name_or_path in datasets.names():
        draw(datasets.describe(datasets.load(name_or_path, data_dir, quiet)), options.console(80))
        return
    path = Path(name_or_path)
    if not path.suffix and len(path.parts) == 1 and not path.exists():
        raise unknown("dataset", name_or_path, datasets.names())
    named = options.pairs(columns), options.pairs(item_columns, "--item-column")
    made = datasets.read(path, named[0], items=items, item_columns=named[1], **reading)
    draw(datasets.describe(made), options.console(80))


@data.command("cite")
@click.argument("name")
def cite_(name: str) -> None:
    """Print what to cite when you use dataset NAME, as BibTeX, and its terms."""
    one = datasets.card(name)
    click.echo(visible(one.citation.strip(), keep="\n"))
    click.echo(visible(f"\n{one.title}: {one.licence}\n{one.terms.strip()}", keep="\n"))
