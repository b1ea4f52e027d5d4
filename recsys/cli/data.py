"""`recsys data`: list, fetch, describe, check and cite datasets."""

import sys
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from recsys import data as datasets
from recsys.cli import options
from recsys.data.locations import resolve_data_folder
from recsys.data.readers import is_reader
from recsys.data.sources import find_fetched_files
from recsys.data.terminal import print_description
from recsys.escaping import escape_hidden
from recsys.support.resolver import search_folder
from recsys.types import RecsysError, make_unknown_name_error

NUMBER_COLUMNS = ("share", "count", "limit", "events", "expected", "rows")  # of a check


@click.group()
def data() -> None:
    """Datasets: list, fetch, describe, check, cite."""


@data.command("list")
@options.data_dir
@click.option("--quiet", is_flag=True, help="Print the names alone.")
def list_(data_dir: Path | None, quiet: bool) -> None:
    """List the datasets, their size and terms, and which are on this machine."""
    if quiet:
        click.echo("\n".join(datasets.list_datasets()))
        return
    root = resolve_data_folder(data_dir)
    table = Table(box=None, pad_edge=False)
    for column in ("name", "users", "items", "interactions", "licence", "here"):
        table.add_column(column, justify="right" if column in ("users", "items", "interactions") else "left")
    for name in datasets.list_datasets():
        one = datasets.read_card(name)
        counts = (one.expected.users, one.expected.items, one.expected.interactions)
        here = find_fetched_files(one, root / name) is not None
        table.add_row(
            name, *("" if count is None else f"{count:,}" for count in counts), one.licence, "yes" if here else "no"
        )
    options.make_console().print(table)
    options.print_line(f"data folder: {root}")


@data.command("fetch")
@click.argument("name")
@click.option("--from", "path", type=click.Path(path_type=Path), help="A copy you have: archive, folder or file.")
@options.data_dir
@options.quiet
def fetch_(name: str, path: Path | None, data_dir: Path | None, quiet: bool) -> None:
    """Fetch dataset NAME and check it; print the folder where it is.

    NAME is that of a card, or the path of a card of your own.
    """
    options.print_line(datasets.fetch_dataset(name, data_dir, quiet, path))


@data.command("describe")
@click.argument("name_or_path")
@options.column
@click.option("--items", type=click.Path(path_type=Path), help="For a file: the table of its items.")
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="For a reader: one of its settings.")
@click.option("--item-column", "item_columns", multiple=True, metavar="FIELD=COLUMN", help="The same for --items.")
@options.add_table_options
@options.data_dir
@options.quiet
def describe_(
    name_or_path: str,
    columns: tuple[str, ...],
    items: Path | None,
    settings: tuple[str, ...],
    item_columns: tuple[str, ...],
    reading: dict[str, Any],
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Show the numbers of a dataset, or of a table of your own and which column became what.

    A dataset is named by its card, the path of a card of your own (.toml), or a reader of your own, module:function.
    """
    if name_or_path in datasets.list_datasets() or name_or_path.endswith(".toml") or is_reader(name_or_path):
        with search_folder(Path.cwd()):
            made = datasets.load_dataset(name_or_path, data_dir, quiet, **options.parse_settings(settings))
        print_description(datasets.describe_dataset(made), options.make_console(80))
        return
    if settings:
        raise RecsysError(f"--setting '{settings[0]}' is for a reader, expected one such as package.module:function")
    path = Path(name_or_path)
    if not path.suffix and len(path.parts) == 1 and not path.exists():
        raise make_unknown_name_error("dataset", name_or_path, datasets.list_datasets())
    named = options.parse_column_names(columns), options.parse_column_names(item_columns, "--item-column")
    made = datasets.read_dataset(path, named[0], items=items, item_columns=named[1], **reading)
    print_description(datasets.describe_dataset(made), options.make_console(80))


@data.command("check")
@click.argument("name_or_path", metavar="FILE")
@click.option("--policy", type=click.Path(path_type=Path), help="A TOML file of limits (default: none).")
@click.option("--out", type=click.Path(path_type=Path), help="Write a page: .html, .md or .json.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@options.column
@click.option("--event", "events", multiple=True, metavar="EVENT=WEIGHT", help="Which events count, and how much.")
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="For a reader: one of its settings.")
@options.add_table_options
@options.data_dir
@options.quiet
def check_(
    name_or_path: str,
    policy: Path | None,
    out: Path | None,
    as_json: bool,
    columns: tuple[str, ...],
    events: tuple[str, ...],
    settings: tuple[str, ...],
    reading: dict[str, Any],
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Show the state of the log in FILE: what is stale, somebody else's, not agreed to, repeated or bursting.

    FILE may also be the name of a dataset, the path of a card (.toml), or a reader, module:function. The exit code is
    1 if a figure is beyond its limit in the policy, 0 if none is.
    """
    from recsys.reports.data_checks import check_page_path, render_check_json, write_check

    if out is not None:
        check_page_path(out)
    weights = options.parse_settings(events, "--event") or None
    with search_folder(Path.cwd()):
        found = datasets.check_data(
            name_or_path,
            policy,
            columns=options.parse_column_names(columns),
            events=weights,
            data_dir=data_dir,
            quiet=quiet,
            settings=options.parse_settings(settings),
            **reading,
        )
    if out is not None:
        write_check(found, out)
    if as_json:
        click.echo(render_check_json(found), nl=False)
    else:
        _print_check(found, out)
    if found.exceeded:
        sys.exit(1)


def _print_check(found: datasets.DataCheck, out: Path | None) -> None:
    from recsys.reports.data_checks import describe_check, list_check_notes, tabulate_check

    console = options.make_console()
    options.print_line(f"{found.name}: {describe_check(found)}")
    for one in tabulate_check(found):
        table = Table(title=one.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in one.head:
            table.add_column(name, justify="right" if name in NUMBER_COLUMNS else "left", overflow="fold")
        for row in one.rows:
            table.add_row(*(Text(escape_hidden(cell)) for cell in row))
        console.print(table)
    for line in list_check_notes(found):
        options.print_line(f"note: {line}")
    if out is not None:
        options.print_line(f"page: {out}")


@data.command("cite")
@click.argument("name")
def cite_(name: str) -> None:
    """Print the citation of dataset NAME as BibTeX, and its terms."""
    one = datasets.read_card(name)
    click.echo(escape_hidden(one.citation.strip(), keep="\n"))
    click.echo(escape_hidden(f"\n{one.title}: {one.licence}\n{one.terms.strip()}", keep="\n"))
