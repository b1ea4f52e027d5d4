"""`recsys runs`: the run folders that there are, what differs among them, their numbers, and their removal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options
from recsys.cli.tables import make_discovery_table, make_headline_table
from recsys.escaping import convert_to_one_line
from recsys.types import RecsysError

if TYPE_CHECKING:
    from recsys.experiments.stored_runs import StoredRun
    from recsys.simulation.stored_simulations import StoredSimulation

_places = click.argument("places", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
_metrics = click.option("--metrics", help="Separated by commas, such as ndcg@10,coverage (default: the headline's).")


@click.group()
def runs() -> None:
    """Finished runs: folders that `recsys bench`, `recsys evaluate`, `recsys simulate` and sweeps wrote."""


@runs.command("list")
@_places
@_metrics
def list_(places: tuple[Path, ...], metrics: str | None) -> None:
    """List the run folders in each FOLDER (default: runs), the oldest first, with the base's headline of each.

    Settings are those that are not the same in most of them. Simulations stand before them, with what each policy comes
    to. A run that cannot be read has a line of its own, and the exit code is 2.
    """
    from recsys.experiments.stored_runs import find_readable_runs
    from recsys.simulation.stored_simulations import find_readable_simulations

    found, wrong = find_readable_runs(places or (Path("runs"),))
    simulated, damaged = find_readable_simulations(places or (Path("runs"),))
    wrong += damaged
    if not found and not simulated and not wrong:
        options.print_line("runs: none")
    screen = options.make_console(200)
    if simulated:
        screen.print(_list_simulations(simulated))
    if found:
        screen.print(_list_runs(found, metrics))
    for error in wrong[:-1]:
        options.print_line(f"recsys: {convert_to_one_line(str(error))}", err=True)
    if wrong:
        raise wrong[-1]


@runs.command()
@click.argument("folder", type=click.Path(path_type=Path))
def show(folder: Path) -> None:
    """Show the run in FOLDER: when, on which data, with which settings, and its headline table."""
    from recsys.experiments.comparisons import flatten_settings
    from recsys.experiments.stored_runs import format_setting, read_stored_run
    from recsys.simulation.stored_simulations import is_simulation_folder

    if is_simulation_folder(folder):
        _show_simulation(folder)
        return
    one = read_stored_run(folder)
    config, screen = one.config, options.make_console()
    options.print_line(f"{config.name}: {one.date}, data {one.data}, judged on {config.evaluation.split}")
    for name, value in flatten_settings(config.dump_settings()).items():
        options.print_line(f"  {name} = {format_setting(value)}")
    shown = (one.summary, one.differences, config.base_name, config.headline_k, screen.width)
    for table in (make_headline_table(*shown), make_discovery_table(*shown)):
        if table is not None:
            screen.print(table)
    options.print_line(f"report: {folder / 'report.html'}")


@runs.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
def diff(folders: tuple[Path, ...]) -> None:
    """Show the settings in which the runs in two or more FOLDERs differ, a column for each."""
    from recsys.experiments.stored_runs import format_setting, list_differing_settings, read_stored_run

    if len(folders) < 2:
        raise RecsysError(f"runs diff: found {folders[0]} alone, expected a second folder to hold against it")
    found = [read_stored_run(folder) for folder in folders]
    unlike = {"data": [one.data for one in found]} if len({one.fingerprint for one in found}) > 1 else {}
    unlike |= list_differing_settings(found)
    if not unlike:
        options.print_line("settings and data: the same")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("setting", *map(str, folders)):
        table.add_column(name, overflow="fold")
    for name, values in unlike.items():
        table.add_row(name, *map(format_setting, values))
    options.make_console(200).print(table)


@runs.command("table")
@_places
@_metrics
@click.option("--run", "names", multiple=True, help="A run that has a row; several times (default: all).")
@click.option("--out", type=click.Path(path_type=Path), help="Write a .csv file instead of printing.")
def table_(places: tuple[Path, ...], metrics: str | None, names: tuple[str, ...], out: Path | None) -> None:
    """Put every run of the run folders in each FOLDER (default: runs) into one table, with intervals."""
    from recsys.escaping import escape_csv_frame
    from recsys.experiments.stored_runs import choose_metrics, tabulate_stored_runs
    from recsys.support.atomic_files import replace_file

    if out is not None and out.suffix != ".csv":
        raise RecsysError(f"{out}: unknown kind of file '{out.suffix}', expected .csv")
    found = _find(places)
    if not found:
        raise RecsysError(f"{places[0] if places else 'runs'}: holds no run folder, expected some")
    asked = choose_metrics(found, options.split_ids(metrics))
    frame = tabulate_stored_runs(found, asked, names or None)
    if out is not None:
        with replace_file(out) as temporary:
            escape_csv_frame(frame).to_csv(temporary, index=False)
        options.print_line(f"table: {out}, {len(frame):,} rows")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("folder", "settings", "run", *asked):
        table.add_column(name, overflow="fold", justify="right" if name in asked else "left")
    for row in frame.to_dict("records"):
        cells = [_format_interval([row[name], row[f"{name} low"], row[f"{name} high"]]) for name in asked]
        table.add_row(row["folder"], row["settings"], row["run"], *cells)
    options.make_console(200).print(table)


@runs.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(folders: tuple[Path, ...], yes: bool) -> None:
    """Remove run FOLDERs. Nothing is removed where one of them is no run folder, or holds what no run wrote."""
    from recsys.experiments.stored_runs import check_removable, remove_run_folders

    several = tuple(dict.fromkeys(folders))
    for folder in several:
        check_removable(folder)
    if not yes:
        click.confirm(f"remove {', '.join(map(str, several))}?", abort=True)
    remove_run_folders(several)
    options.print_line(f"removed {', '.join(map(str, several))}")


def _list_runs(found: "Sequence[StoredRun]", metrics: str | None) -> Table:
    """Return a row for each run: when, on which data, what is otherwise than in most, and the base's headline."""
    from recsys.experiments.stored_runs import choose_metrics, describe_differences, parse_metric

    asked = choose_metrics(found, options.split_ids(metrics))
    table = Table(box=None, pad_edge=False)
    for name in ("folder", "date", "data", "settings", "base", *asked):
        table.add_column(name, overflow="fold", justify="right" if name in asked else "left")
    for one, differs in zip(found, describe_differences(found), strict=True):
        base = one.config.base_name
        values = [_format_interval(one.find_values(base, *parse_metric(name, one))) for name in asked]
        table.add_row(str(one.folder), one.date, one.data, differs, base, *values)
    return table


def _list_simulations(found: "Sequence[StoredSimulation]") -> Table:
    """Return a row for each simulation: its world, and each policy's mean of the first measure of the file."""
    from recsys.simulation.loop import EVERYBODY

    table = Table(title="simulations", title_justify="left", box=None, pad_edge=False)
    for name in ("folder", "world", "rounds", "seeds", "measure", "policies"):
        table.add_column(name, overflow="fold")
    for one in found:
        rows = one.differences[one.differences["group"] == EVERYBODY]
        first = rows["measure"].iloc[0] if len(rows) else ""
        means = rows[rows["measure"] == first].to_dict("records")
        said = ", ".join(f"{row['policy']} {row['mean']:.3f}" for row in means)
        table.add_row(str(one.folder), one.world, str(one.rounds), str(one.seeds), str(first), said)
    return table


def _show_simulation(folder: Path) -> None:
    from recsys.cli.simulate import make_simulation_table
    from recsys.experiments.comparisons import flatten_settings
    from recsys.experiments.stored_runs import format_setting
    from recsys.simulation.stored_simulations import read_stored_simulation

    one = read_stored_simulation(folder)
    options.print_line(f"{one.settings.get('name', folder.name)}: a simulation in the world {one.world}")
    for name, value in flatten_settings(one.settings).items():
        options.print_line(f"  {name} = {format_setting(value)}")
    screen = options.make_console()
    screen.print(make_simulation_table(one.differences, one.policies, one.base, one.rounds, one.seeds))
    options.print_line(f"report: {folder / 'report.html'}")


def _find(places: tuple[Path, ...]) -> "list[StoredRun]":
    from recsys.experiments.stored_runs import find_stored_runs

    return find_stored_runs(places or (Path("runs"),))


def _format_interval(values: Sequence[float]) -> str:
    value, low, high = values
    if value != value:  # NaN: it was not measured
        return ""
    return f"{value:.4f}" + ("" if low != low else f" [{low:.4f}, {high:.4f}]")
