"""`recsys dials set`, `clear` and `list`: the dials that a ranker stores for users."""

from dataclasses import fields
from datetime import UTC, datetime
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.rankers import Ranker, UserDials

folder = click.argument("folder", type=click.Path(path_type=Path))
users = click.option("--user", "users", multiple=True, required=True, metavar="USER", help="Whose; several times.")


@click.group()
def dials() -> None:
    """Dials that a ranker stores for users."""


@dials.command("set")
@folder
@click.argument("factors", metavar="OBJECTIVE=FACTOR...", nargs=-1, required=True)
@users
@click.option("--until", metavar="TIME", help="When they end: ISO 8601, or seconds since 1970 (default: never).")
@options.allow_import
def set_(
    folder: Path, factors: tuple[str, ...], users: tuple[str, ...], until: str | None, imports: tuple[str, ...]
) -> None:
    """Multiply the weights of objectives for users of the ranker in FOLDER, such as mmr=2; 1 is as configured.

    The folder is replaced whole, or stays as it is. One command at a time: of two at once, one is lost.
    """
    weights = options.parse_settings(factors, "OBJECTIVE=FACTOR")
    end = None if until is None else options.parse_moment_text(until)
    made = _load(folder, imports).set_user_dials(dict.fromkeys(users, weights), until=end)
    made.save(folder)
    options.print_line(f"dials: set in {folder} for {', '.join(dict.fromkeys(users))}")


@dials.command()
@folder
@users
@options.allow_import
def clear(folder: Path, users: tuple[str, ...], imports: tuple[str, ...]) -> None:
    """Remove all dials of users from the ranker in FOLDER."""
    _load(folder, imports).clear_user_dials(users).save(folder)
    options.print_line(f"dials: cleared in {folder} for {', '.join(dict.fromkeys(users))}")


@dials.command("list")
@folder
@click.option("--user", metavar="USER", help="Of this user alone.")
@options.allow_import
def list_(folder: Path, user: str | None, imports: tuple[str, ...]) -> None:
    """Show the dials that the ranker in FOLDER stores, in the order in which they were set.

    Of several for one user and objective the last holds that has not ended.
    """
    from rich.table import Table

    rows = _select_dials(_load(folder, imports), user)
    if rows is None:
        options.print_line("dials: none")
        return
    table = Table(box=None, pad_edge=False)
    for field in fields(rows):
        table.add_column(field.name.rstrip("s").removesuffix("_id"), overflow="fold")
    columns = (getattr(rows, field.name).tolist() for field in fields(rows))
    for name, objective, factor, since, until in zip(*columns, strict=True):
        table.add_row(name, objective, f"{factor:.6g}", _format_moment(since), _format_moment(until))
    options.make_console().print(table)


def _load(folder: Path, imports: tuple[str, ...]) -> "Ranker":
    from recsys.rankers import Ranker

    return Ranker.load(folder, allow_imports=imports)


def _select_dials(ranker: "Ranker", user: str | None) -> "UserDials | None":
    """Return the rows of a user, or of all.

    Raises:
        RecsysError: for a user whom the ranker does not know.
    """
    from recsys.data.identifiers import normalize_id
    from recsys.rankers.user_names import make_unknown_user_error

    if user is None:
        return ranker.user_dials
    known = dict.fromkeys(ranker.context.user_ids.tolist(), 0)
    if normalize_id(user) not in known:
        raise make_unknown_user_error(user, known)
    held = ranker.user_dials
    return None if held is None else held.keep(held.user_ids == normalize_id(user))


def _format_moment(moment: float) -> str:
    if isinf(moment):
        return "never"
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"
