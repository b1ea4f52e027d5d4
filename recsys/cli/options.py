"""Options that several commands share, and the console that they print on."""

import sys
from pathlib import Path

import click
from rich.console import Console

quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where datasets are kept (default: RECSYS_DATA, or the user's cache folder).",
)
out = click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where run folders go.")


def console(width: int = 160) -> Console:
    """Return a console for tables: as wide as the terminal, and `width` where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=width)
