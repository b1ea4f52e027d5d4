"""Options that several commands share, and the console that they print on."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from recsys.escaping import visible

quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where datasets are kept (default: RECSYS_DATA, or the user's cache folder).",
)
out = click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where run folders go.")


class Screen(Console):
    """A console to which every text is foreign: nothing in it is markup, and its hidden characters are written out."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings of a console, but for those that would read something into texts."""
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return what tables and lines show of a text."""
        return super().render_str(visible(text, keep="\n"), **settings)


def console(width: int = 160) -> Screen:
    """Return a console for tables: as wide as the terminal, and `width` where there is none."""
    return Screen() if sys.stdout.isatty() else Screen(width=width)


def say(line: object, *, err: bool = False) -> None:
    """Print one line, hidden characters written out."""
    click.echo(visible(str(line)), err=err)
