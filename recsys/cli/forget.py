"""`recsys forget`: what may no longer be used of whom, and where it still lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options
from recsys.types import RecsysError

if TYPE_CHECKING:
    from recsys.support.config_layers import Layer

_list = click.argument("path", metavar="LIST", type=click.Path(path_type=Path))
_user = click.option("--user", help="The id of a person.")
_item = click.option("--item", help="The id of an item: with --user, that interaction alone.")
_topic = click.option("--topic", help="A feature of items, or a topic of a policy, that --user stops.")


@click.group()
def forget() -> None:
    """Forget lists: files that say what may no longer be used, read by [filter] forget_list and by rankers."""


@forget.command()
@_list
@_user
@_item
@_topic
@click.option("--until", help="When it ends, such as 2027-01-31 (default: for good).")
@click.option("--ranker", type=click.Path(path_type=Path), help="A saved ranker that has to know the ids.")
def add(
    path: Path, user: str | None, item: str | None, topic: str | None, until: str | None, ranker: Path | None
) -> None:
    """Write to LIST that a person, an interaction or an item is forgotten, or a topic stopped."""
    from recsys.control import forget_lists
    from recsys.types import RecsysError

    if topic is not None and (user is None or item is not None):
        raise RecsysError("forget: a topic is stopped for a user, expected --user and no --item")
    if ranker is not None:
        check_known_ids(ranker, user, item, topic)
    before = forget_lists.read_forget_list(path).end.lines if path.is_file() else 0
    if topic is not None and user is not None:
        done = forget_lists.stop(path, user, topic, until=until)
    else:
        done = forget_lists.forget(path, user=user, item=item, until=until)
    if done.end.lines == before:
        options.print_line(f"{path}: says so already")
    else:
        options.print_line(f"{path}: line {done.end.lines}")
    if ranker is None:
        options.print_line("note: whether there are such ids was not looked at: --ranker DIR does")


@forget.command()
@_list
@_user
@_item
@_topic
def undo(path: Path, user: str | None, item: str | None, topic: str | None) -> None:
    """Write to LIST that what it says of exactly these ids no longer holds."""
    from recsys.control import forget_lists

    done = forget_lists.undo(path, user=user, item=item, topic=topic)
    options.print_line(f"{path}: line {done.end.lines}")


@forget.command()
@_list
@click.option("--ranker", type=click.Path(path_type=Path), help="A saved ranker: what is pending in it, by line.")
@options.allow_import
def show(path: Path, ranker: Path | None, imports: tuple[str, ...]) -> None:
    """Print the lines of LIST, in which nobody has a name; with --ranker, what of it still knows their rows."""
    from recsys.control import forget_lists

    found = forget_lists.read_forget_list(path)
    told = {} if ranker is None else _describe_ranker(ranker, path, imports)
    for line, sentence in zip(found.lines, forget_lists.describe_lines(found), strict=True):
        options.print_line(sentence + (f": {told[line.number]}" if line.number in told else ""))
    options.print_line(f"{len(found.list_holding()):,} of {len(found.lines):,} hold")


def _describe_ranker(folder: Path, path: Path, imports: tuple[str, ...]) -> dict[int, str]:
    """Return what is pending in a ranker, or became of what was, by line of its forget list."""
    from recsys.rankers import Ranker

    made = Ranker.load(folder, allow_imports=imports, forget_list=path)
    done, pending = made.finished_forgets, made.pending_forgets
    finished = {} if done is None else dict.fromkeys(done.lines, done.describe())
    return finished | {one.line: f"pending: {', '.join(one.parts)}" for one in pending}


@forget.command()
@click.argument("folder", metavar="RANKER", type=click.Path(path_type=Path))
@click.option("--list", "path", type=click.Path(path_type=Path), help="The list (default: the one that RANKER names).")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write (default: RANKER).")
@click.option("--config", help="The config that RANKER was made by (default: the one that is in it, if any).")
@options.overrides
@options.blend
@click.option("--keep", multiple=True, metavar="PART", help="maps, scales or likelihood: no row of a user is in it.")
@click.option("--remake", multiple=True, metavar="PART", help="maps or scales that were given: made by the library.")
@options.data_dir
@options.allow_import
@options.quiet
def run(
    folder: Path,
    path: Path | None,
    out: Path | None,
    config: str | None,
    overrides: tuple["Layer", ...],
    blend: str | None,
    keep: tuple[str, ...],
    remake: tuple[str, ...],
    data_dir: Path | None,
    imports: tuple[str, ...],
    quiet: bool,
) -> None:
    """Make anew what is pending in RANKER, a saved one: the model, maps, scales and tables that still know rows.

    A run that was killed goes on where it stopped, and the ranker is written at the end, whole or not at all.
    """
    from recsys.experiments import finish_forgets

    if config is None and overrides:
        raise RecsysError("forget run: --set changes a config, expected --config with it")
    settings = None if config is None else options.read_config(config, overrides)
    done = finish_forgets(
        folder, out=out, forget_list=path, config=settings, blend=blend, keep=keep, remake=remake,
        allow_imports=imports, data_dir=data_dir, quiet=quiet,
    )  # fmt: skip
    if done.finished is None:
        options.print_line(f"{folder}: nothing is pending")
        return
    options.print_line(f"line {', '.join(map(str, done.finished.lines))}: {done.finished.describe()}")
    options.print_line(f"ranker: {done.folder}, policy {done.policy}")


@forget.command()
@_list
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--purge", is_flag=True, help="Remove cells of the cache, and runs, that may hold rows.")
@click.option("--yes", is_flag=True, help="Do not ask before --purge.")
def where(path: Path, folders: tuple[Path, ...], purge: bool, yes: bool) -> None:
    """Show where rows that LIST names still lie: in rankers, runs and tables of each FOLDER, and in the cache.

    --purge removes the cells, and the runs with all of their results. Rankers and tables are never removed: make a
    ranker anew with `recsys forget run` or `recsys export`.
    """
    from recsys.control import forget_lists, held_rows

    said = forget_lists.read_forget_list(path)
    found = held_rows.find_held_rows(said, folders)
    cells, runs = ([one for one in found if one.kind == kind] for kind in ("cell", "run"))
    for one in found:
        if one.kind != "cell":
            options.print_line(f"{one.kind} {one.path}: rows of line {', '.join(map(str, one.lines))}")
    if cells:
        options.print_line(f"cache {cells[0].path.parent}: {len(cells):,} cells, which may hold rows")
    if not found:
        options.print_line("nowhere")
    if stopped := [str(line.number) for line in said.list_holding() if line.kind == "topic"]:
        options.print_line(f"note: rows of stopped topics are not looked for (line {', '.join(stopped)})")
    if purge and (cells or runs) and (yes or _confirm(f"remove {_count_removed(cells, runs)}?")):
        held_rows.remove_held_rows((*cells, *runs))
        options.print_line(f"removed {_count_removed(cells, runs)}")


def _count_removed(cells: Sequence[object], runs: Sequence[object]) -> str:
    """Return in words what is removed."""
    results = f"{len(runs):,} runs with their results"
    return " and ".join(([f"{len(cells):,} cells"] if cells else []) + ([results] if runs else []))


def _confirm(question: str) -> bool:
    """Return the answer to a question.

    Raises:
        RecsysError: if there is none, such as where input has ended.
    """
    from recsys.types import RecsysError

    try:
        return click.confirm(question, err=True)
    except click.exceptions.Abort:
        raise RecsysError(
            "the question was not answered and nothing is removed, expected yes or no, or --yes"
        ) from None


def check_known_ids(folder: Path, user: str | None, item: str | None, topic: str | None) -> None:
    """Refuse ids and topics that a saved ranker does not know, with the nearest name."""
    from recsys.data.identifiers import normalize_id
    from recsys.rankers import Ranker
    from recsys.rankers.forgets import find_topic_name
    from recsys.types import make_unknown_name_error

    found = Ranker.load(folder)
    for noun, name, names in (("user", user, found.known_users), ("item", item, found.known_items)):
        if name is not None and normalize_id(name) not in names:
            raise make_unknown_name_error(noun, normalize_id(name), list(names), where=str(folder))
    if topic is not None:
        find_topic_name(found, topic, str(folder))
