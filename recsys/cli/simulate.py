"""`recsys simulate`: a closed loop from a file."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options
from recsys.types.notebooks import format_count

if TYPE_CHECKING:
    import pandas as pd

    from recsys.support.config_layers import Layer


@click.command()
@click.argument("config", default="ml-100k")
@options.overrides
@options.name
@options.out
@options.data_dir
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes that share the seeds (default: 1).")
@options.quiet
def simulate(
    config: str,
    overrides: tuple["Layer", ...],
    name: str | None,
    out: Path,
    data_dir: Path | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Let each policy of CONFIG recommend to the same people, round by round, and measure what becomes of them.

    CONFIG is a TOML file with a [world] and [policies], or the name of a shipped one (default: ml-100k).
    """
    from recsys.simulation.runs import run_simulation as run

    said = options.add_own_overrides(overrides, name=name)
    done = run(config, overrides=said, out=out, quiet=quiet, data_dir=data_dir, jobs=jobs)
    plan = done.plan
    told = (done.differences, [*plan.policies], plan.base, plan.settings.rounds, len(plan.seeds))
    options.make_console().print(make_simulation_table(*told))
    options.print_line(f"folder: {done.folder}")


def make_simulation_table(
    differences: "pd.DataFrame", policies: Sequence[str], base: str, rounds: int, seeds: int
) -> Table:
    """Return a row for each measure: the mean over rounds under each policy, and its distance from the base."""
    from recsys.simulation.loop import EVERYBODY

    of = differences[differences["group"] == EVERYBODY]
    counts = f"{format_count(rounds, 'round')} and {format_count(seeds, 'seed')}"
    table = Table(title=f"means over {counts}; below, minus {base}", title_justify="left")
    table.add_column("measure", overflow="fold")
    for policy in policies:
        table.add_column(policy, justify="right", overflow="fold")
    for measure, rows in of.groupby("measure", sort=False):
        found = {row["policy"]: row for row in rows.to_dict("records")}
        table.add_row(str(measure), *(_format_cell(found.get(policy), policy == base, seeds) for policy in policies))
    return table


def _format_cell(row: "dict[Hashable, float] | None", is_base: bool, seeds: int) -> str:
    if row is None:
        return ""
    mean = f"{row['mean']:.3f}{_tell_seeds(row['seeds'], seeds)}"
    if is_base or row["difference"] != row["difference"]:  # the base says nothing of it
        return mean
    difference = f"{mean}\n{row['difference']:+.3f}{_tell_seeds(row['diff_seeds'], row['seeds'])}"
    if row["diff_low"] != row["diff_low"]:  # one seed has no interval
        return difference
    return f"{difference}\n[{row['diff_low']:+.3f}, {row['diff_high']:+.3f}]"


def _tell_seeds(told: float, expected: float) -> str:
    """Return of how many seeds a number is, where that is fewer than expected."""
    return "" if told == expected else f" ({format_count(int(told), 'seed')})"
