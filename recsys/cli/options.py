"""Options that several commands share, and the console that they print on."""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from recsys.data.settings import TableSettings
from recsys.escaping import escape_hidden

if TYPE_CHECKING:
    from recsys.configs import Config
    from recsys.rankers import Ranker
    from recsys.support.config_layers import Layer

quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where datasets are kept (default: RECSYS_DATA, or the user's cache folder).",
)
blend = click.option(
    "--blend", help="Which of the config's runs (default: its only blend, or its model's own order if it has none)."
)
out = click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where run folders go.")
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    callback=lambda context, option, texts: _parse_overrides(texts),
    help="A key of the config, such as model.factors=128; several times. Paths start from here.",
)
name = click.option("--name", help="What the results are called (default: the config's name).")

allow_import = click.option(
    "--allow-import", "imports", multiple=True, metavar="NAME", help="An objective or guard of your own."
)
column = click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="Which column is what.")
_TABLE_OPTIONS = (
    click.option("--header/--no-header", default=None, help="Whether the first line holds names."),
    click.option("--delimiter", help="What separates cells, such as ';', 'tab', '::', 'space'."),
    click.option("--quotes/--no-quotes", default=None, help='Whether " encloses cells.'),
    click.option("--decimal", type=click.Choice([".", ","]), help="The decimal mark."),
    click.option("--time-unit", help="The unit of times: s, ms, us, ns, days, year, yyyymm, yyyymmdd, ..."),
    click.option("--time-format", help="How times are written, such as '%d/%m/%Y'."),
    click.option("--lists/--no-lists", default=None, help="Whether each line is a user and its items."),
)


def add_table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings of a table as `reading`."""

    @wraps(command)
    def run(**values: Any) -> None:
        given = {name: value for name in TableSettings.__dataclass_fields__ if (value := values.pop(name)) is not None}
        command(**values, reading=given)

    for option in reversed(_TABLE_OPTIONS):
        run = option(run)
    return run


def _parse_overrides(texts: Sequence[str]) -> tuple["Layer", ...]:
    from recsys.support.config_layers import parse_override

    return tuple(map(parse_override, texts))


def read_config(
    config: str, overrides: Sequence["Layer"] = (), *, name: str | None = None, seed: int | None = None
) -> "Config":
    """Return the config of a command under what `--set`, `--name` and `--seed` say.

    Raises:
        RecsysError: as `recsys.configs.read_config` does.
    """
    from recsys.configs import read_config as read

    return read(config, overrides=add_own_overrides(overrides, name=name, seed=seed))


def add_own_overrides(overrides: Sequence["Layer"], **options: Any) -> tuple["Layer", ...]:
    """Return what `--set` says and, above it, keys that have an option of their own."""
    from recsys.support.config_layers import Layer

    said = {key: value for key, value in options.items() if value is not None}
    return (*overrides, *(Layer(f"--{key} {value}", {key: value}, Path.cwd()) for key, value in said.items()))


def parse_column_names(texts: Sequence[str], hint: str = "--column", form: str = "FIELD=COLUMN") -> dict[str, str]:
    """Return FIELD=COLUMN as a mapping."""
    made: dict[str, str] = {}
    for text in texts:
        field, sign, name = text.partition("=")
        if not sign or not field or not name:
            raise click.BadParameter(f"'{text}', expected {form}", param_hint=hint)
        made[field] = name
    return made


def parse_settings(texts: Sequence[str], hint: str = "--setting") -> dict[str, Any]:
    """Return NAME=VALUE as a mapping: values as TOML says them, and text where it is none."""
    import tomllib

    made: dict[str, Any] = {}
    for name, text in parse_column_names(texts, hint, "NAME=VALUE").items():
        try:
            made |= {name: tomllib.loads(f"value = {text}")["value"]}
        except tomllib.TOMLDecodeError:
            made[name] = text
    return made


def parse_moment_text(text: str) -> str | int:
    """Return a moment as `recsys.types.moments.parse_moment` takes it: digits that are no date are seconds since 1970.

    >>> parse_moment_text("1700000000"), parse_moment_text("86400000"), parse_moment_text("20260301")
    (1700000000, 86400000, '20260301')
    """
    if not text.isdecimal():
        return text
    try:
        date.fromisoformat(text)
    except ValueError:
        return int(text)
    return text


def split_ids(text: str | None) -> list[str] | None:
    """Return ids that stand in one text, separated by commas."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parse_region_answers(texts: Sequence[str]) -> dict[str, str] | None:
    """Return NAME=ANSWER as the answers about regions that a request brings, None without any."""
    return parse_column_names(texts, "--region-answers", "NAME=ANSWER") or None


def read_shown_rows(path: Path, user: str | None) -> Sequence[tuple[Any, ...]]:
    """Return the rows of a table of exposures that are the user's, as a request brings them.

    Raises:
        RecsysError: for a table that cannot be read, or one of several users where no user is named.
    """
    from recsys.data import read_exposures
    from recsys.data.identifiers import normalize_id
    from recsys.types import RecsysError

    log = read_exposures(path)
    names = log.user_ids[log.user]
    if user is None and len(set(names.tolist())) > 1:
        raise RecsysError(f"{path}: has exposures of several users, expected those of the one who asks, or --user")
    mine = slice(None) if user is None else names == normalize_id(user)
    dismissed = [False] * len(names[mine]) if log.dismissed is None else log.dismissed[mine].tolist()
    return list(zip(log.item_ids[log.item][mine].tolist(), log.datetime[mine].tolist(), dismissed, strict=True))


class EscapingConsole(Console):
    """A console to which every text is foreign: nothing in it is markup, and its hidden characters are written out."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings of a console, but for those that would read something into texts."""
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return `text` with hidden characters written out, as the console prints it."""
        return super().render_str(escape_hidden(text, keep="\n"), **settings)


def make_console(width: int = 160) -> EscapingConsole:
    """Return a console for tables: as wide as the terminal, and `width` where there is none."""
    return EscapingConsole() if sys.stdout.isatty() else EscapingConsole(width=width)


def print_line(line: object, *, err: bool = False) -> None:
    """Print one line, hidden characters written out."""
    click.echo(escape_hidden(str(line)), err=err)


class _LineHandler(logging.Handler):
    """Prints each record of the log on one line of standard error, hidden characters written out."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), err=True)


def load_ranker(folder: Path, imports: Sequence[str]) -> "Ranker":
    """Return the ranker in `folder`; a line on the terminal says what is compiled for it."""
    from recsys.rankers import Ranker
    from recsys.support.progress import show_progress

    with show_progress():
        return Ranker.load(folder, allow_imports=imports)


def print_log() -> None:
    """Print what the library logs from now on, on standard error."""
    log = logging.getLogger("recsys")
    log.setLevel(logging.INFO)
    if not any(isinstance(one, _LineHandler) for one in log.handlers):
        handler = _LineHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        log.addHandler(handler)


def print_search(lines: Iterable[str], notes: Iterable[str], folder: Path) -> None:
    """Print what a search found, its notes, and where it left what."""
    for line in lines:
        print_line(line)
    for note in notes:
        print_line(f"note: {note}")
    print_line(f"winner: {folder / 'winner.toml'}")
    print_line(f"report: {folder / 'report.html'}")
    print_line(f"tables: {folder}")
