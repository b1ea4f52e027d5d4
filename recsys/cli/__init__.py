"""The command line: `recsys bench | evaluate | compare | recommend | sweep | discover | export | warmup | ...`."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli import options
from recsys.cli.batch import batch
from recsys.cli.bench import bench
from recsys.cli.cache import cache
from recsys.cli.compare import compare
from recsys.cli.data import data
from recsys.cli.demand import demand
from recsys.cli.dials import dials
from recsys.cli.discover import discover
from recsys.cli.forget import forget
from recsys.cli.ignored import ignored
from recsys.cli.questions import ask
from recsys.cli.rankers import export, profile, rank, warmup
from recsys.cli.receipts import receipts
from recsys.cli.reproduce import reproduce
from recsys.cli.runs import runs
from recsys.cli.simulate import simulate
from recsys.cli.sweep import sweep
from recsys.cli.tables import print_bench
from recsys.cli.updates import add_items, update
from recsys.cli.whys import why, why_not
from recsys.escaping import convert_to_one_line
from recsys.types import RecsysError, RecsysWarning
from recsys.types.errors import SettingError, restore_interrupts
from recsys.types.secrets import mask_url_secrets

if TYPE_CHECKING:
    from recsys.support.config_layers import Layer


_GOING_ON = (
    ("bench",),
    ("batch",),
    ("simulate",),
    ("sweep",),
    ("discover",),
    ("forget", "run"),
)  # commands that keep what they finished


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recsys-negspace")
@click.option("-v", "--verbose", is_flag=True, help="Print what is compiled, fitted and found in the cache as it goes.")
def cli(verbose: bool) -> None:
    """Recommenders that do not lock people into a bubble: benchmarks, evaluation, recommendations."""
    if verbose:
        options.print_log()


@cli.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--config", "config", required=True, help="The benchmark on whose split the lists are judged.")
@options.column
@options.add_table_options
@options.overrides
@options.name
@options.out
@options.data_dir
@options.quiet
def evaluate(
    files: tuple[Path, ...],
    config: str,
    columns: tuple[str, ...],
    reading: dict[str, Any],
    overrides: tuple["Layer", ...],
    name: str | None,
    out: Path,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Score recommendations made elsewhere, each FILE a run: tables, TREC runs, or lists of a user and its items.

    A table has user_id, item_id, and rank (1 is first) or score (more is better).
    """
    from recsys.experiments import evaluate_files as run

    named = options.parse_column_names(columns)
    settings = options.read_config(config, overrides, name=name)
    print_bench(run(files, settings, columns=named, out=out, quiet=quiet, data_dir=data_dir, **reading))


@cli.command()
@click.argument("config", default="ml-100k")
@options.blend
@options.overrides
@click.option("--users", help="User ids, separated by commas (default: all).")
@click.option("--k", type=int, help="How many items each (default: the config's headline k).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A .csv or .parquet file.")
@options.data_dir
@options.quiet
def recommend(
    config: str,
    blend: str | None,
    overrides: tuple["Layer", ...],
    users: str | None,
    k: int | None,
    out: Path,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Write slates for users of the data, from a model fitted to all of it."""
    from recsys.experiments import recommend as run

    wanted = None if users is None else [name.strip() for name in users.split(",")]
    settings = options.read_config(config, overrides)
    written = run(settings, out, blend=blend, users=wanted, k=k, quiet=quiet, data_dir=data_dir)
    for note in written.notes:
        options.print_line(f"note: {note}")
    options.print_line(f"{written.run}: {written.rows:,} rows for {written.users:,} users in {out}")


@cli.command()
def cite() -> None:
    """Print the BibTeX entry of the paper that this package comes with."""
    from recsys.support.citation import format_bibtex

    for line in format_bibtex().splitlines():
        options.print_line(line)


cli.add_command(bench)
cli.add_command(compare)
cli.add_command(runs)
cli.add_command(data)
cli.add_command(cache)
cli.add_command(reproduce)
cli.add_command(simulate)
cli.add_command(sweep)
cli.add_command(demand)
cli.add_command(discover)
cli.add_command(export)
cli.add_command(warmup)
cli.add_command(profile)
cli.add_command(rank)
cli.add_command(batch)
cli.add_command(ask)
cli.add_command(dials)
cli.add_command(receipts)
cli.add_command(why)
cli.add_command(why_not)
cli.add_command(forget)
cli.add_command(add_items)
cli.add_command(update)
cli.add_command(ignored)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: a mistake of the user is one line on standard error and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with _print_warnings_as_lines(), restore_interrupts():
            cli.main(args=arguments, prog_name="recsys", standalone_mode=False)
    except SettingError as error:
        _exit_with_error(str(error.rephrase_for("command", options=_list_options(given))), 2)
    except RecsysError as error:
        _exit_with_error(str(error), 2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _exit_with_error(f"stopped{_describe_going_on(given)}", 130)
    except click.ClickException as error:
        _exit_with_error(error.format_message(), 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _exit_with_error(f"{error.filename or 'files'}: {error.strerror or error}", 2)


def _list_options(arguments: Sequence[str]) -> set[str]:
    """Return the options of the command that the arguments begin with."""
    found: click.Command = cli
    for one in arguments:
        if isinstance(found, click.Group):
            found = found.commands.get(one, found)
    return {option for one in found.params for option in (*one.opts, *one.secondary_opts)}


def _describe_going_on(arguments: Sequence[str]) -> str:
    """Return in words what a command that was stopped does when it is started again, "" if it starts anew."""
    given = [one for one in arguments if one not in ("-v", "--verbose")]
    kept = any(tuple(given[: len(one)]) == one for one in _GOING_ON)
    return f"; {' '.join(given[:1])} goes on from there when it is started again" if kept else ""


@contextmanager
def _print_warnings_as_lines() -> Iterator[None]:
    """Print warnings of the library as one line each on standard error, without repetitions."""
    show, said = warnings.showwarning, set[str]()

    def line(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, RecsysWarning):
            show(message, category, *place, **more)
        elif str(message) not in said:
            said.add(str(message))
            options.print_line(f"recsys: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RecsysWarning)
        warnings.showwarning = line
        yield


def _exit_with_error(line: str, code: int) -> None:
    options.print_line(f"recsys: {mask_url_secrets(convert_to_one_line(line))}", err=True)
    sys.exit(code)
