"""`recsys bench`: the benchmarks of one or several configs, each with one or several seeds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from recsys.cli import options
from recsys.cli.tables import print_bench
from recsys.types import RecsysError
from recsys.types.errors import describe_error, restore_interrupts

if TYPE_CHECKING:
    from recsys.configs import Config
    from recsys.support.config_layers import Layer

MAX_SEEDS = 1000  # of one command


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that a text lists: numbers and ranges with both ends, separated by commas.

    >>> parse_seeds("0..4"), parse_seeds("7"), parse_seeds("1,5..6")
    ([0, 1, 2, 3, 4], [7], [1, 5, 6])

    Raises:
        RecsysError: if it is no such text, or a seed is there twice.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        ends = [first, last] if dots else [first, first]
        if not all(one.isdecimal() and len(one) < 20 for one in ends) or int(ends[1]) < int(ends[0]):
            raise RecsysError(f"--seed: found '{text}', expected a whole number, or several such as 0..4 or 1,5,9")
        if int(ends[1]) - int(ends[0]) >= MAX_SEEDS:
            raise RecsysError(f"--seed: found '{text}', expected at most {MAX_SEEDS:,} seeds")
        found += range(int(ends[0]), int(ends[1]) + 1)
    if len(set(found)) < len(found):
        raise RecsysError(f"--seed: found '{text}', expected each seed once")
    return found


@click.command()
@click.argument("configs", metavar="[CONFIG]...", nargs=-1)
@options.overrides
@click.option("--seed", "seeds", help="The seed of everything that is drawn; 0..4 makes a run folder of each.")
@options.name
@options.out
@options.data_dir
@options.quiet
def bench(
    configs: tuple[str, ...],
    overrides: tuple["Layer", ...],
    seeds: str | None,
    name: str | None,
    out: Path,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Run the benchmark of each CONFIG: a TOML file, or the name of a shipped one (default: ml-100k).

    Several run one after another. Where one of them fails, the others run all the same; the exit code is 2 where a
    mistake in arguments or files is among the reasons, and 1 where none is.
    """
    from recsys.experiments import bench as run

    given = configs or ("ml-100k",)
    wanted: list[int | None] = [None] if seeds is None else [*parse_seeds(seeds)]
    if len({*given}) < len(given):
        raise RecsysError(f"bench: found {', '.join(given)}, expected each config once")
    if len(given) == len(wanted) == 1:
        settings = options.read_config(given[0], overrides, name=name, seed=wanted[0])
        print_bench(run(settings, out=out, quiet=quiet, data_dir=data_dir))
        return
    jobs, failed = _read_jobs(given, overrides, wanted, name)
    folders: dict[str, list[Path]] = {}
    for label, config, settings in jobs:
        options.print_line(f"{label}:")
        try:
            with restore_interrupts():
                done = run(settings, out=out, quiet=quiet, data_dir=data_dir)
        except Exception as error:  # such as one of somebody's own objective: the others have a night of their own
            failed.append(_say_failure(label, error))
            continue
        print_bench(done)
        folders.setdefault(config, []).append(done.folder)
    _print_end(folders, failed, len(jobs) + len({*given} - {one[1] for one in jobs}))
    if failed:
        sys.exit(2 if any(one.is_mistake for one in failed) else 1)


class _Failure(NamedTuple):
    """A benchmark that failed, and whether arguments or files are the reason."""

    label: str
    is_mistake: bool


def _read_jobs(
    given: tuple[str, ...], overrides: tuple["Layer", ...], seeds: list[int | None], name: str | None
) -> tuple[list[tuple[str, str, "Config"]], list[_Failure]]:
    """Return what is to run (a label, its config's name, its settings), and the configs that are none.

    Raises:
        RecsysError: for a mistake that is the same for all of them, such as one of `--set`.
    """
    jobs, errors = [], dict[str, RecsysError]()
    for config in given:
        try:
            for seed in seeds:
                label = config if seed is None else f"{config}, seed {seed}"
                jobs.append((label, config, options.read_config(config, overrides, name=name, seed=seed)))
        except RecsysError as error:
            errors[config] = error
    if not jobs and len({*map(str, errors.values())}) == 1:
        raise next(iter(errors.values()))
    return jobs, [_say_failure(config, error) for config, error in errors.items()]


def _say_failure(label: str, error: Exception) -> _Failure:
    options.print_line(f"recsys: {label}: {describe_error(error)}", err=True)
    return _Failure(label, isinstance(error, RecsysError))


def _print_end(folders: dict[str, list[Path]], failed: list[_Failure], n_wanted: int) -> None:
    """Print the folders, how replicates are compared, and what failed."""
    for config, made in folders.items():
        options.print_line(f"{config}: {' '.join(map(str, made))}")
        if len(made) > 1:
            options.print_line(f"compare: recsys compare --replicates {' '.join(map(str, made))}")
    n = sum(map(len, folders.values()))
    options.print_line(
        f"{n} of {n_wanted} benchmarks done" + (f"; failed: {'; '.join(one.label for one in failed)}" if failed else "")
    )
