"""`recsys forget`: what may no longer be used of whom, and where it still lies."""

from pathlib import Path

import click

from recsys.cli import options

_list = click.argument("path", metavar="LIST", type=click.Path(path_type=Path))
_user = click.option("--user", help="The id of a person.")
_item = click.option("--item", help="The id of an item: with --user, that interaction alone.")
_topic = click.option("--topic", help="A feature of items, which --user wants to see no longer.")


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
def show(path: Path) -> None:
    """Print the lines of LIST, in which nobody has a name."""
    from recsys.control import forget_lists

    found = forget_lists.read_forget_list(path)
    for line in forget_lists.describe_lines(found):
        options.print_line(line)
    options.print_line(f"{len(found.list_holding()):,} of {len(found.lines):,} hold")


@forget.command()
@_list
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--purge", is_flag=True, help="Remove the cells of the cache that may hold rows.")
@click.option("--yes", is_flag=True, help="Do not ask before --purge.")
def where(path: Path, folders: tuple[Path, ...], purge: bool, yes: bool) -> None:
    """Show where rows that LIST names still lie: in rankers and tables of each FOLDER, and in the cache.

    Rankers and tables are never removed: write a ranker anew with `recsys export`.
    """
    from recsys.control import forget_lists, held_rows

    said = forget_lists.read_forget_list(path)
    found = held_rows.find_held_rows(said, folders)
    cells = [one for one in found if one.kind == "cell"]
    for one in found:
        if one.kind != "cell":
            options.print_line(f"{one.kind} {one.path}: rows of line {', '.join(map(str, one.lines))}")
    if cells:
        options.print_line(f"cache {cells[0].path.parent}: {len(cells):,} cells, which may hold rows")
    if not found:
        options.print_line("nowhere")
    if stopped := [str(line.number) for line in said.list_holding() if line.kind == "topic"]:
        options.print_line(f"note: rows of stopped topics are not looked for (line {', '.join(stopped)})")
    if purge and cells and (yes or click.confirm(f"remove {len(cells):,} cells?", err=True)):
        options.print_line(f"removed {held_rows.remove_held_cells(cells):,} cells")


def check_known_ids(folder: Path, user: str | None, item: str | None, topic: str | None) -> None:
    """Refuse ids and topics that a saved ranker does not know, with the nearest name."""
    from recsys.data.identifiers import normalize_id
    from recsys.rankers import Ranker
    from recsys.types import make_unknown_name_error

    found = Ranker.load(folder)
    topics = () if found.context.items is None else found.context.items.feature_names
    known = (("user", user, list(found.known_users)), ("item", item, list(found.known_items)), ("topic", topic, topics))
    for noun, name, names in known:
        if name is not None and normalize_id(name) not in names:
            raise make_unknown_name_error(noun, normalize_id(name), names, where=str(folder))
