"""Small HTML forms of records for notebooks: a sentence of counts, and the first rows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from recsys.html import Html, make_element
from recsys.types.arrays import Ints, Strings

MAX_ROWS, MAX_PICKS, MAX_CELL_CHARACTERS = 5, 5, 60


def render_record(
    title: str, counts: Sequence[str], head: Sequence[str], rows: Iterable[Sequence[str]], *notes: str
) -> str:
    """Return a title, counts, a table of the first rows, and notes."""
    cells = [make_element("tr", *(make_element("td", _shorten_text(text)) for text in row)) for row in rows]
    names = make_element("tr", *(make_element("th", name, scope="col") for name in head))
    table = make_element("table", make_element("thead", names), make_element("tbody", *cells)) if cells else Html()
    said = [make_element("li", note) for note in notes]
    return make_element(
        "div",
        make_element("p", make_element("strong", title), ": ", ", ".join(counts)),
        table,
        make_element("ul", *said) if said else Html(),
    )


def format_count(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> format_count(1, "user"), format_count(2000, "item")
    ('1 user', '2,000 items')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def get_item_labels(ids: Strings, titles: Strings | None, codes: Ints) -> list[str]:
    """Return the titles of items, the ids of those that have none; codes below 0 are left out."""
    found = [int(code) for code in codes if code >= 0]
    return [(titles[code] if titles is not None else "") or ids[code] for code in found]


def format_day(seconds: float) -> str:
    """Return a time in seconds since 1970 as a date, "" where no calendar has it.

    >>> format_day(0), format_day(1e30)
    ('1970-01-01', '')
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return ""


def _shorten_text(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[: MAX_CELL_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
