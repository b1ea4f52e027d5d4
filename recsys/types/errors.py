"""The one error a user of the library meets, and the nearest valid name for a mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches

from recsys.escaping import one_line


class RecsysError(ValueError):
    """What a user got wrong, in one line: the place, what was found, what was expected.

    The command line prints the line and exits with code 2. Hidden characters of foreign text in it are written out.
    """

    def __init__(self, line: str) -> None:
        """Keep the line."""
        super().__init__(one_line(line))


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> RecsysError:
    """Return the error for a name that does not exist, with the nearest one that does.

    >>> print(unknown("objective", "novelti", ["novelty", "noise"]))
    unknown objective 'novelti': did you mean 'novelty'? (known: noise, novelty)
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    place = f"{where}: " if where else ""
    return RecsysError(f"{place}unknown {kind} '{name}': {hint}(known: {', '.join(names)})")
