"""Names that a user gives to runs, blends, models, benchmarks and files, checked by one rule."""

import re

from recsys.escaping import escape_hidden
from recsys.types.errors import RecsysError

MAX_NAME_BYTES = 100  # bytes in UTF-8: two names, a hash and what is between them fit into the name of a file
UNSAFE_IN_FILE_NAMES = re.compile(r"""[/\\:*?"<>|]""")  # not in a file's name, on one system or another


def check_name(place: str, name: object) -> None:
    """Refuse an invalid name; `place` says what is named.

    A name is text of 1 to 100 bytes without hidden characters (controls, line breaks, changes of direction) and without
    spaces at its ends.

    Raises:
        RecsysError: if it is none.
    """
    if not isinstance(name, str):
        raise RecsysError(f"{place} is {name!r}, expected a text")
    if not name or name != name.strip() or escape_hidden(name) != name:
        raise _make_name_error(place, name, "printable text on one line, without spaces at its ends")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _make_name_error(place, name, f"at most {MAX_NAME_BYTES} bytes, found {len(name.encode())}")


def check_file_name(place: str, name: object) -> None:
    """Refuse an invalid name, or one that cannot be part of the name of a file or folder.

    Raises:
        RecsysError: if it is none, begins with a dot or a hyphen, or has a character that some file systems refuse.
    """
    check_name(place, name)
    found = UNSAFE_IN_FILE_NAMES.search(str(name))
    if found or str(name)[0] in ".-":
        unfit = f"'{found[0]}'" if found else f"'{str(name)[0]}' in front"
        raise _make_name_error(place, str(name), f"a name without {unfit}: files are called so")


def _make_name_error(place: str, name: str, expected: str) -> RecsysError:
    shown = escape_hidden(name)
    return RecsysError(f"{place} is '{shown[:60]}{'...' if len(shown) > 60 else ''}', expected {expected}")
