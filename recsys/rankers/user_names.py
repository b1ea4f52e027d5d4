"""The nearest name of a user who is not known: one of a few letters' difference, found without a look at all users."""

from collections.abc import Container, Iterator, Mapping
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from recsys.data.identifiers import normalize_id
from recsys.types import RecsysError
from recsys.types.errors import Setting, SettingError

MAX_LENGTH = 40  # characters of a name that is looked for: the time grows with it


def make_unknown_user_error(user: Any, users: Mapping[str, int], history: Setting | None = None) -> RecsysError:
    """Return the error for a user who is none of `users`, which are codes by name, with the nearest of them.

    `history` is the argument that takes what somebody else likes, where there is one. It takes some hundred
    microseconds, however many users there are: new users ask all day.
    """
    name = normalize_id(user)
    near = find_near_name(name, users)
    hint = "" if near is None else f" (did you mean '{near}'?)"
    told = f"ranker: user '{name}' is none of the {len(users):,} that it was fitted to{hint}, expected one of them"
    return RecsysError(told) if history is None else SettingError(f"{told}, or ", history, after=" with what they like")


def find_near_name(name: str, known: Container[str]) -> str | None:
    """Return a known name that is this one in another case, or with one character less, more, other or exchanged.

    >>> find_near_name("u21", {"u12", "u9"}), find_near_name("U9", {"u12", "u9"}), find_near_name("w", {"u12", "u9"})
    ('u12', 'u9', None)
    """
    if len(name) > MAX_LENGTH:
        return None
    return next((other for other in _list_neighbours(name) if other in known), None)


def _list_neighbours(name: str) -> Iterator[str]:
    """Yield the names that differ by one edit, those of the likeliest mistakes first."""
    yield from (name.lower(), name.upper())
    for place in range(len(name) - 1):
        yield name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    for place in range(len(name) - 1, -1, -1):
        yield name[:place] + name[place + 1 :]
    letters = digits + "".join(kind for kind in (ascii_lowercase, ascii_uppercase) if set(kind) & set(name)) + "-_"
    for place in range(len(name), -1, -1):
        for letter in letters:
            yield name[:place] + letter + name[place:]
            if place < len(name):
                yield name[:place] + letter + name[place + 1 :]
