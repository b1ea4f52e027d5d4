"""`recsys reproduce`: published tables, run again."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.reproductions.run import Reproduction


@click.command()
@click.argument("name", required=False)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    help="A folder or a zip archive with its files (default: the folder of datasets, RECSYS_DATA).",
)
@options.quiet
def reproduce(name: str | None, data_dir: Path | None, quiet: bool) -> None:
    """Run the published table NAME again and print ours beside theirs; without NAME, list what there is.

    The exit code is 0 where every value is within its tolerance, and 1 where some is not.
    """
    from recsys.reproductions.run import reproduce as run

    if name is None:
        _print_reproductions()
        return
    done = run(name, data_dir=data_dir, quiet=quiet)
    options.make_console().print(_make_table(done))
    for note in done.notes:
        options.print_line(f"note: {note}")
    passed, missing = (sum(check.status == status for check in done.checks) for status in ("pass", "not run"))
    options.print_line(
        f"{passed} of {len(done.checks)} values within tolerance" + (f", {missing} not run" if missing else "")
    )
    if not done.passed:
        sys.exit(1)


def _print_reproductions() -> None:
    from recsys.reproductions.published_settings import list_reproductions, read_reproduction

    for name in list_reproductions():
        options.print_line(f"{name:20} {read_reproduction(name).title}")


def _make_table(done: "Reproduction") -> Table:
    table = Table(title=f"{done.config.title}\n{done.config.source}", title_justify="left")
    for column in ("model", "metric"):
        table.add_column(column, no_wrap=True)
    for column in ("published", "ours", "± s.e.", "difference", "tolerance"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("reason", overflow="fold")
    said: set[tuple[str, str]] = set()
    last = ""
    for check in done.checks:
        reason = "" if check.passed or (check.model, check.reason) in said else " ".join(check.reason.split())
        said.add((check.model, "" if check.passed else check.reason))
        table.add_row(
            "" if check.model == last else check.model,
            check.metric,
            _format_number(check.published),
            _format_number(check.ours),
            _format_number(check.error),
            "" if math.isnan(check.ours) else f"{check.difference:+.4f}",
            f"{check.tolerance:g}",
            check.status,
            reason,
            style=None if check.passed else "bold",
        )
        last = check.model
    return table


def _format_number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
