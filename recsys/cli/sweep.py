"""`recsys sweep`: the trade-off searched from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.support.config_layers import Layer
    from recsys.sweeps import SimulationSweep, Sweep


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trials", type=click.IntRange(min=1), help="Trials of each blend, in all (default: the file's).")
@click.option("--accuracy-budget", help='How much of each accuracy may be given, such as "2%" (default: the file\'s).')
@click.option("--timeout", help='When the search ends at the latest, such as "8h"; the choice on test follows.')
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes that add trials (default: 1).")
@click.option("--notify", metavar="COMMAND", help="A command that gets the summary as JSON when the sweep ends.")
@options.overrides
@options.name
@options.out
@options.data_dir
@options.quiet
def sweep(
    file: Path,
    trials: int | None,
    accuracy_budget: str | None,
    timeout: str | None,
    jobs: int,
    notify: str | None,
    overrides: tuple["Layer", ...],
    name: str | None,
    out: Path,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Search the config that FILE extends, over the ranges that it gives: choose on validation, judge on test once.

    A FILE with a simulation searches its policies: they are chosen on some seeds, and judged on others.
    """
    from recsys import sweeps
    from recsys.sweeps.simulation_plans import is_simulation_sweep
    from recsys.sweeps.summaries import describe_summary

    searches_policies = is_simulation_sweep(file)
    run: Callable[..., Sweep | SimulationSweep] = sweeps.sweep_simulation if searches_policies else sweeps.sweep
    done = run(
        file,
        trials=trials,
        accuracy_budget=accuracy_budget,
        overrides=options.add_own_overrides(overrides, name=name),
        out=out,
        quiet=quiet,
        data_dir=data_dir,
        timeout=timeout,
        jobs=jobs,
        notify=notify,
    )
    options.print_line(describe_summary(done.summary))
    options.print_search(done.lines, done.notes, done.folder)
