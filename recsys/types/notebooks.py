"""Small HTML forms of records, for notebooks: what there is in one sentence, and the first few rows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from recsys.html import Html, element
from recsys.types.arrays import Ints, Strings

ROWS, PICKS, LONGEST = 5, 5, 60


def form(title: str, counts: Sequence[str], head: Sequence[str], rows: Iterable[Sequence[str]], *notes: str) -> str:
    """Return a title, counts, a table of the first rows, and notes."""
    cells = [element("tr", *(element("td", _short(text)) for text in row)) for row in rows]
    names = element("tr", *(element("th", name, scope="col") for name in head))
    table = element("table", element("thead", names), element("tbody", *cells)) if cells else Html()
    said = [element("li", note) for note in notes]
    return element(
        "div",
        element("p", element("strong", title), ": ", ", ".join(counts)),
        table,
        element("ul", *said) if said else Html(),
    )


def count(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> count(1, "user"), count(2000, "item")
    ('1 user', '2,000 items')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def labels(ids: Strings, titles: Strings | None, codes: Ints) -> list[str]:
    """Return the titles of items, the ids of those that have none; codes below 0 are left out."""
    found = [int(code) for code in codes if code >= 0]
    return [(titles[code] if titles is not None else "") or ids[code] for code in found]


def day(seconds: float) -> str:
    """Return a time in seconds since 1970 as a date, "" where no calendar has it.

    >>> day(0), day(1e30)
    ('1970-01-01', '')
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
