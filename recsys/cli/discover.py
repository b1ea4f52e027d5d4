"""`recsys discover`: a blend chosen for a log."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.support.config_layers import Layer
    from recsys.sweeps import Discovery


@click.command()
@click.argument("config", default="ml-100k")
@click.option("--trials", type=click.IntRange(min=1), default=64, help="Trials of each family, in all (default: 64).")
@click.option("--accuracy-budget", default="2%", help='How much of each accuracy may be given, such as "2%" (default).')
@options.overrides
@options.name
@options.out
@options.data_dir
@options.quiet
def discover(
    config: str,
    trials: int,
    accuracy_budget: str,
    overrides: tuple["Layer", ...],
    name: str | None,
    out: Path,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Choose a blend for the log of CONFIG: families searched alike, chosen on validation, reported on test once."""
    from recsys.sweeps import discover as run

    settings = options.read_config(config, overrides, name=name)
    done = run(settings, trials=trials, accuracy_budget=accuracy_budget, out=out, quiet=quiet, data_dir=data_dir)
    options.make_console().print(_make_family_table(done))
    options.print_search(done.lines, done.notes, done.folder)


def _make_family_table(done: "Discovery") -> Table:
    from recsys.reports.family_gains import format_families

    accuracies = [one.metric for one in done.plan.accuracies]
    columns, rows = format_families(done.families, accuracies, done.plan.base_config().base_name)
    lost = f"{' or '.join(accuracies)} has lost {100 * done.plan.accuracy_budget:g} %"
    table = Table(title=f"{done.plan.gain_goals[0].metric} where {lost}, in %", title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place in (0, len(columns) - 1) else "right", overflow="fold")
    for row, chosen in zip(rows, done.families.chosen, strict=True):
        table.add_row(*row, style="bold" if chosen else None)
    return table
