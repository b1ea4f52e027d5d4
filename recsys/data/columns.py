"""Which column of a table is which field: the names that other libraries use, understood."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from recsys.types import RecsysError, unknown
from recsys.types.errors import Setting, SettingError, listed

USERS = ("user_id", "user", "uid", "query_id", "customer_id", "customer", "visitor_id", "member_id", "reviewer_id")
ITEMS = (
    "item_id", "item", "iid", "movie_id", "movie", "product_id", "product", "sku", "stock_code", "article_id",
    "track_id", "song_id", "book_id", "asin", "doc_id", "document_id", "content_id", "business_id",
    "isbn", "artist_id", "video_id", "news_id", "game_id", "app_id", "anime_id", "recipe_id",
)  # fmt: skip
WEIGHTS = ("weight", "rating", "score", "prediction", "stars", "value", "overall", "preference", "plays")
QUANTITIES = ("quantity", "qty", "units")
TIMES = (
    "datetime", "timestamp", "ts", "time", "date", "unix_review_time", "event_time", "created_at", "invoice_date",
)  # fmt: skip

EVENTS = (
    "event", "event_type", "event_name", "action", "action_type", "behavior", "behaviour", "behavior_type",
    "interaction_type",
)  # fmt: skip

# A log may carry what belongs to its items; there, short names such as "name" or "year" are too ambiguous.
LOG: Mapping[str, Sequence[str]] = {
    "user_id": USERS,
    "item_id": ITEMS,
    "weight": WEIGHTS,
    "quantity": QUANTITIES,
    "datetime": TIMES,
    "event": EVENTS,
    "source": ("source",),
    "consent": ("consent",),
    "title": ("title", "item_title", "item_name", "movie_title", "product_name", "product_title"),
    "features": ("features", "genres", "genre", "categories", "category"),
    "year": ("release_year", "item_year"),
}
CATALOGUE: Mapping[str, Sequence[str]] = {
    "item_id": (*ITEMS, "id"),
    "title": (*LOG["title"], "name", "description"),
    "features": (*LOG["features"], "tags", "class", "value", "feature"),
    "year": (*LOG["year"], "year"),
}

# Lists made elsewhere: rank 1 is first, more of a score is better.
LISTS: Mapping[str, Sequence[str]] = {
    "user_id": (*USERS, "qid"),
    "item_id": ITEMS,
    "rank": ("rank", "position", "pos"),
    "score": ("score", "prediction", *WEIGHTS),
}

_TYPE = re.compile(r":(?:token|float)(?:_seq)?$")


def untyped(names: Iterable[object]) -> list[str]:
    """Return the names as text without the types of RecBole's headers.

    >>> untyped(["user_id:token", "class:token_seq", 3])
    ['user_id', 'class', '3']
    """
    return [_TYPE.sub("", str(name)).strip() for name in names]


def resolve(
    names: Sequence[str],
    fields: Mapping[str, Sequence[str]],
    needed: Iterable[str],
    place: str,
    chosen: Mapping[str, object] | None = None,
    setting: str = "columns",
) -> dict[str, str]:
    """Return the column of each field, by `chosen` (field -> column) first, then by alias in the order given.

    Case, spaces and underscores do not count. `chosen` may call a field by any of its aliases, and a column by its
    position, counted from 0. `setting` is where the user says so, for errors.

    >>> resolve(["userId", "movieId", "rating"], LOG, ["user_id", "item_id"], "ratings.csv")
    {'user_id': 'userId', 'item_id': 'movieId', 'weight': 'rating'}
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecsysError(f"{place}: column {twice[0]!r} is there more than once")
    found = _chosen(names, fields, place, chosen or {})
    asked = set(found)
    for field, aliases in fields.items():
        if field not in found and not (field == "weight" and "quantity" in asked):
            column = _match(names, aliases, set(found.values()), place, setting)
            if column is not None:
                found[field] = column
    missing = [field for field in needed if field not in found]
    if missing:
        raise _without(missing[0], names, fields, place, setting)
    return found


def _chosen(
    names: Sequence[str], fields: Mapping[str, Sequence[str]], place: str, chosen: Mapping[str, object]
) -> dict[str, str]:
    known = {plain(alias): field for field, aliases in fields.items() for alias in (*aliases, field)}
    found: dict[str, str] = {}
    for called, wanted in chosen.items():
        if plain(called) not in known:
            raise unknown("field", called, fields, f"{place}: columns")
        column = untyped([wanted])[0]
        if column not in names and re.fullmatch(r"\d{1,6}", column) and int(column) < len(names):
            column = names[int(column)]
        if column not in names:
            raise unknown("column", column, names, place)
        found[known[plain(called)]] = column
    return found


def _match(names: Sequence[str], aliases: Sequence[str], taken: set[str], place: str, setting: str) -> str | None:
    for alias in aliases:
        same = [name for name in names if plain(name) == plain(alias) and name not in taken]
        if len(same) > 1:
            raise SettingError(
                f"{place}: columns {same[0]!r} and {same[1]!r} could both be {aliases[0]}: give ",
                Setting(setting, same[0], aliases[0]),
            )
        if same:
            return same[0]
    return None


def _without(
    field: str, names: Sequence[str], fields: Mapping[str, Sequence[str]], place: str, setting: str
) -> RecsysError:
    by_plain = {plain(name): name for name in names}
    close = [hit for alias in fields[field] for hit in get_close_matches(plain(alias), by_plain, n=1, cutoff=0.7)]
    hint = f"did you mean {by_plain[close[0]]!r}? " if close else ""
    headless = bool(names) and all(re.fullmatch(r"\d+", name) for name in names)
    why = "no header line, columns are counted from 0" if headless else listed("columns", names, field)
    column = by_plain[close[0]] if close else names[0]
    return SettingError(
        f"{place}: no column for {field}: {hint}name it, for instance ",
        Setting(setting, column, field),
        after=f" ({why})",
    )


def plain(name: str) -> str:
    """Return a name without what does not count in it: case, spaces, underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
