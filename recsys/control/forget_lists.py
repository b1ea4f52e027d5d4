"""Forget lists by ids: what is forgotten or stopped is written to a file, and read by everything that obeys it."""

from collections.abc import Iterable
from os import PathLike
from typing import Any

from recsys.data.identifiers import normalize_id
from recsys.support.forget_lists import ForgetLine as ForgetLine
from recsys.support.forget_lists import ForgetList as ForgetList
from recsys.support.forget_lists import Kind, append_forget_line, append_undo
from recsys.support.forget_lists import read_forget_list as read_forget_list
from recsys.types import RecsysError
from recsys.types.moments import format_moment, parse_moment

Id = str | int | float
PathText = str | PathLike[str]


def forget(path: PathText, *, user: Id | None = None, item: Id | None = None, until: Any = None) -> ForgetList:
    """Write a forget to a list, which is made if it is not there, and return the list with it.

    With `user` and `item` it is that of an interaction, with `user` alone of a person, with `item` alone of an item. It
    holds until the moment `until` (seconds since 1970, a `datetime` or ISO text), None for good.

    Raises:
        RecsysError: for neither user nor item, an end that is over, a clock that runs backwards, or a file that is none
            of a forget list or cannot be written.
    """
    ids = _name_ids(user, item, None)
    if not ids:
        raise RecsysError("forget: found neither user nor item, expected one of them, or both")
    kind: Kind = "interaction" if len(ids) == 2 else "person" if "user" in ids else "item"
    return append_forget_line(
        path, kind, user=ids.get("user", ""), item=ids.get("item", ""), until=_parse_end(until)
    )  # fmt: skip


def stop(path: PathText, user: Id, topic: str, *, until: Any = None) -> ForgetList:
    """Write a stop to a list, of a topic for a user, and return the list with it.

    A topic is a feature of items, or the name of one in the policy of topics of what reads the list.

    Raises:
        RecsysError: for no user or no topic, and as `forget` does.
    """
    if not isinstance(topic, str) or not topic:
        raise RecsysError(f"stop: topic is {topic!r}, expected the name of a feature, or of a topic")
    name = _name_ids(user, None, None).get("user")
    if name is None:
        raise RecsysError("stop: user is None, expected an id")
    return append_forget_line(path, "topic", user=name, topic=topic, until=_parse_end(until))


def undo(
    path: PathText, *, user: Id | None = None, item: Id | None = None, topic: str | None = None
) -> ForgetList:  # fmt: skip
    """Write the undo of what holds and says exactly this to a list, and return the list with it.

    Raises:
        RecsysError: if no line that holds says so, and as `forget` does.
    """
    found = read_forget_list(path)
    return append_undo(path, find_lines(found, user, item, topic))


def find_lines(found: ForgetList, user: Id | None, item: Id | None, topic: str | None) -> tuple[int, ...]:
    """Return the numbers of the lines that hold and are of exactly these ids.

    Raises:
        RecsysError: if there are none.
    """
    ids = {"user": "", "item": "", "topic": "", **_name_ids(user, item, topic)}
    hashed = ids["user"] and found.hash_user(ids["user"]), ids["item"] and found.hash_item(ids["item"]), ids["topic"]
    lines = tuple(line.number for line in found.list_holding() if (line.user, line.item, line.topic) == hashed)
    if not lines:
        said = ", ".join(f"{name} '{one}'" for name, one in ids.items() if one) or "nobody and nothing"
        raise RecsysError(f"forget list {found.path}: holds no forget of {said}, expected one that holds")
    return lines


def describe_lines(found: ForgetList) -> Iterable[str]:
    """Yield a sentence about each line, in which nobody has a name."""
    holding = {line.number for line in found.list_holding()}
    for line in found.lines:
        end = "" if line.until is None else f" until {format_moment(line.until)}"
        state = "" if line.number in holding else " (undone)" if line.number in found.undone else " (ended)"
        what = f"{line.kind} {line.topic}" if line.topic else line.kind
        yield f"line {line.number}: {what}, {format_moment(line.at)}{end}{state}"


def _name_ids(user: Id | None, item: Id | None, topic: str | None) -> dict[str, str]:
    """Return the ids that are given, by what they are.

    Raises:
        RecsysError: for one that is none.
    """
    made = {}
    for name, one in (("user", user), ("item", item)):
        if one is not None:
            made[name] = normalize_id(one)
            if not made[name]:
                raise RecsysError(f"forget: {name} is {one!r}, expected an id")
    return made if topic is None else {**made, "topic": topic}


def _parse_end(until: Any) -> int | None:
    return None if until is None else parse_moment("until", until)
