"""`recsys discover`: a blend chosen for a log."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.sweeps import Discovery


@click.command()
@click.argument("config", default="ml-100k")
@click.option("--trials", type=click.IntRange(min=1), default=32, help="Trials of each family, in all (default: 32).")
@click.option("--accuracy-budget", default="2%", help='How much of each accuracy may be given, such as "2%" (default).')
@options.out
@options.data_dir
@options.quiet
def discover(config: str, trials: int, accuracy_budget: str, out: Path, data_dir: Path | None, quiet: bool) -> None:
    """Choose a blend for the log of CONFIG: families searched alike, chosen on validation, reported on test once."""
    from recsys.sweeps import discover as run

    done = run(config, trials=trials, accuracy_budget=accuracy_budget, out=out, quiet=quiet, data_dir=data_dir)
    options.make_console().print(_make_family_table(done))
    for line in done.lines:
        options.print_line(line)
    for note in done.notes:
        options.print_line(f"note: {note}")
    options.print_line(f"winner: {done.folder / 'winner.toml'}")
    options.print_line(f"report: {done.folder / 'report.html'}")
    options.print_line(f"tables: {done.folder}")


def _make_family_table(done: "Discovery") -> Table:
    from recsys.reports.family_gains import TABLE_COLUMNS, format_family_row

    accuracies = tuple(one.metric for one in done.plan.accuracies)
    gain = done.plan.gain_goals[0].metric
    lost = " and ".join(accuracies)
    table = Table(title=f"{gain} where {lost} may lose {100 * done.plan.accuracy_budget:g} %", title_justify="left")
    for key, name in TABLE_COLUMNS.items():
        table.add_column(name, justify="left" if key in ("family", "stands") else "right", no_wrap=True)
    for one in done.families.to_dict("records"):
        row = format_family_row(one, accuracies)
        table.add_row(*(row[key] for key in TABLE_COLUMNS), style="bold" if one["chosen"] else None)
    return table
