"""`recsys reproduce`: published tables, run again."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.experiments.reproductions import Reproduction


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
    from recsys.experiments.reproductions import reproduce as run

    if name is None:
        _list()
        return
    done = run(name, data_dir=data_dir, quiet=quiet)
    options.console().print(_table(done))
    for note in done.notes:
        options.say(f"note: {note}")
    passed, missing = (sum(check.status == status for check in done.checks) for status in ("pass", "not run"))
    options.say(f"{passed} of {len(done.checks)} values within tolerance" + (f", {missing} not run" if missing else ""))
    if not done.passed:
        sys.exit(1)


def _list() -> None:
    from recsys.experiments.recipes import read_recipe, recipes

    for name in recipes():
        options.say(f"{name:20} {read_recipe(name).title}")


def _table(done: "Reproduction") -> Table:
    table = Table(title=f"{done.recipe.title}\n{done.recipe.source}", title_justify="left")
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
            _number(check.published),
            _number(check.ours),
            _number(check.error),
            "" if math.isnan(check.ours) else f"{check.difference:+.4f}",
            f"{check.tolerance:g}",
            check.status,
            reason,
            style=None if check.passed else "bold",
        )
        last = check.model
    return table


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
