"""Which column of a table is which field: the names that other libraries use, understood."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.errors import Setting, SettingError, list_nearest_names

USER_ALIASES = (
    "user_id",
    "user",
    "uid",
    "query_id",
    "customer_id",
    "customer",
    "visitor_id",
    "member_id",
    "reviewer_id",
)
ITEM_ALIASES = (
    "item_id", "item", "iid", "movie_id", "movie", "product_id", "product", "sku", "stock_code", "article_id",
    "track_id", "song_id", "book_id", "asin", "doc_id", "document_id", "content_id", "business_id",
    "isbn", "artist_id", "video_id", "news_id", "game_id", "app_id", "anime_id", "recipe_id",
)  # fmt: skip
WEIGHT_ALIASES = ("weight", "rating", "score", "prediction", "stars", "value", "overall", "preference", "plays")
QUANTITY_ALIASES = ("quantity", "qty", "units")
TIME_ALIASES = (
    "datetime", "timestamp", "ts", "time", "date", "unix_review_time", "event_time", "created_at", "invoice_date",
)  # fmt: skip

EVENT_ALIASES = (
    "event", "event_type", "event_name", "action", "action_type", "behavior", "behaviour", "behavior_type",
    "interaction_type",
)  # fmt: skip

# A log may carry what belongs to its items; there, short names such as "name" or "year" are too ambiguous.
LOG_FIELDS: Mapping[str, Sequence[str]] = {
    "user_id": USER_ALIASES,
    "item_id": ITEM_ALIASES,
    "weight": WEIGHT_ALIASES,
    "quantity": QUANTITY_ALIASES,
    "datetime": TIME_ALIASES,
    "event": EVENT_ALIASES,
    "source": ("source",),
    "consent": ("consent",),
    "purposes": ("purposes",),
    "title": ("title", "item_title", "item_name", "movie_title", "product_name", "product_title"),
    "features": ("features", "genres", "genre", "categories", "category"),
    "year": ("release_year", "item_year"),
}
ITEM_FIELDS: Mapping[str, Sequence[str]] = {
    "item_id": (*ITEM_ALIASES, "id"),
    "title": (*LOG_FIELDS["title"], "name", "description"),
    "features": (*LOG_FIELDS["features"], "tags", "class", "value", "feature"),
    "year": (*LOG_FIELDS["year"], "year"),
}

# Lists made elsewhere: rank 1 is first, more of a score is better.
LIST_FIELDS: Mapping[str, Sequence[str]] = {
    "user_id": (*USER_ALIASES, "qid"),
    "item_id": ITEM_ALIASES,
    "rank": ("rank", "position", "pos"),
    "score": ("score", "prediction", *WEIGHT_ALIASES),
}

# What was shown: slot 1 is first.
EXPOSURE_FIELDS: Mapping[str, Sequence[str]] = {
    "user_id": USER_ALIASES,
    "item_id": ITEM_ALIASES,
    "datetime": TIME_ALIASES,
    "slot": ("slot", *LIST_FIELDS["rank"]),
    "policy": ("policy", "policy_name"),
    "seed": ("seed",),
    "clicked": ("clicked", "click", "is_click", "is_clicked"),
    "dismissed": ("dismissed", "dismiss", "is_dismissed", "not_interested"),
    "consent": ("consent",),
    "purposes": ("purposes",),
}

_RECBOLE_TYPE = re.compile(r":(?:token|float)(?:_seq)?$")


def strip_recbole_types(names: Iterable[object]) -> list[str]:
    """Return the names as text without the types of RecBole's headers.

    >>> strip_recbole_types(["user_id:token", "class:token_seq", 3])
    ['user_id', 'class', '3']
    """
    return [_RECBOLE_TYPE.sub("", str(name)).strip() for name in names]


def resolve_columns(
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

    >>> resolve_columns(["userId", "movieId", "rating"], LOG_FIELDS, ["user_id", "item_id"], "ratings.csv")
    {'user_id': 'userId', 'item_id': 'movieId', 'weight': 'rating'}
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecsysError(f"{place}: column {twice[0]!r} is there more than once")
    found = _resolve_chosen_columns(names, fields, place, chosen or {})
    asked = set(found)
    for field, aliases in fields.items():
        if field not in found and not (field == "weight" and "quantity" in asked):
            column = _find_column_by_alias(names, aliases, set(found.values()), place, setting)
            if column is not None:
                found[field] = column
    missing = [field for field in needed if field not in found]
    if missing:
        raise _make_missing_column_error(missing[0], names, fields, place, setting)
    return found


def _resolve_chosen_columns(
    names: Sequence[str], fields: Mapping[str, Sequence[str]], place: str, chosen: Mapping[str, object]
) -> dict[str, str]:
    known = {normalize_name(alias): field for field, aliases in fields.items() for alias in (*aliases, field)}
    found: dict[str, str] = {}
    for called, wanted in chosen.items():
        if normalize_name(called) not in known:
            raise make_unknown_name_error("field", called, fields, f"{place}: columns")
        column = strip_recbole_types([wanted])[0]
        if column not in names and re.fullmatch(r"\d{1,6}", column) and int(column) < len(names):
            column = names[int(column)]
        if column not in names:
            raise make_unknown_name_error("column", column, names, place)
        found[known[normalize_name(called)]] = column
    return found


def _find_column_by_alias(
    names: Sequence[str], aliases: Sequence[str], taken: set[str], place: str, setting: str
) -> str | None:
    for alias in aliases:
        same = [name for name in names if normalize_name(name) == normalize_name(alias) and name not in taken]
        if len(same) > 1:
            raise SettingError(
                f"{place}: columns {same[0]!r} and {same[1]!r} could both be {aliases[0]}: give ",
                Setting(setting, same[0], aliases[0]),
            )
        if same:
            return same[0]
    return None


def _make_missing_column_error(
    field: str, names: Sequence[str], fields: Mapping[str, Sequence[str]], place: str, setting: str
) -> RecsysError:
    by_plain = {normalize_name(name): name for name in names}
    close = [
        hit for alias in fields[field] for hit in get_close_matches(normalize_name(alias), by_plain, n=1, cutoff=0.7)
    ]
    hint = f"did you mean {by_plain[close[0]]!r}? " if close else ""
    headless = bool(names) and all(re.fullmatch(r"\d+", name) for name in names)
    why = "no header line, columns are counted from 0" if headless else list_nearest_names("columns", names, field)
    column = by_plain[close[0]] if close else names[0]
    return SettingError(
        f"{place}: no column for {field}: {hint}name it, for instance ",
        Setting(setting, column, field),
        after=f" ({why})",
    )


def normalize_name(name: str) -> str:
    """Return a name in lower case, without spaces and underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
