"""The one error a user of the library meets, and the nearest valid name for a mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches

from recsys.escaping import one_line
from recsys.types.secrets import mask_url_secrets


class RecsysError(ValueError):
    """What a user got wrong, in one line: the place, what was found, what was expected.

    The command line prints the line and exits with code 2. Hidden characters of foreign text in it are written out,
    and passwords of URLs are masked.
    """

    def __init__(self, line: object) -> None:
        """Keep the line."""
        super().__init__(mask_url_secrets(one_line(str(line))))


def reason_of(error: Exception) -> str:
    """Return why something failed, in one line of at most 500 characters; errors that are not ours by their kind.

    >>> reason_of(KeyError("gone")), reason_of(RecsysError("k is 0,\\n expected more")), reason_of(MemoryError())
    ("KeyError: 'gone'", 'k is 0, expected more', 'MemoryError')
    """
    said = one_line(str(error))
    if not isinstance(error, RecsysError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return mask_url_secrets(said)[:500]


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
