"""Datasets from a card, from a user's files, or from a frame: all of them through one builder."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.data.cards import Card, Rules, card
from recsys.data.catalogues import add_tags, build_items
from recsys.data.columns import CATALOGUE, LOG
from recsys.data.fingerprints import fingerprint
from recsys.data.logs import build_log, with_consent
from recsys.data.sheets import NEEDED, Sheet, from_file, from_layout, from_table
from recsys.data.sources import Landed, fetch, landed
from recsys.data.stores import FORMAT, restore, save
from recsys.types import Dataset, RecsysError
from recsys.types.extras import needs_extra

if TYPE_CHECKING:
    from pandas import DataFrame


@needs_extra("recsys.load")
def load(name: str, data_dir: str | Path | None = None, quiet: bool = False) -> Dataset:
    """Return the public dataset called `name` (see `names`), fetched if it is not on this machine.

    Raises:
        RecsysError: if there is no such card, no source gives the files, or the counts are not the card's.
    """
    wanted = card(name)
    folder = fetch(name, data_dir, quiet)
    there = landed(wanted, folder)
    if there is None:
        raise RecsysError(f"{folder}: its files went away while they were read")
    about = _about(wanted, there)
    store = folder / f"validated-{_key(wanted, there)}.npz"
    kept = restore(store, about)
    if kept is not None:
        return kept
    log, items, tags = from_layout(folder, wanted.layouts[there.layout])
    made = _built(name, log, items, wanted.rules, about, tags)
    _check(made, len(log.frame), wanted, folder)
    with suppress(RecsysError):  # a folder that cannot be written costs time, not the dataset
        save(made, store)
    return made


@needs_extra("recsys.read")
def read(
    path: str | Path,
    columns: Mapping[str, object] | None = None,
    *,
    items: str | Path | None = None,
    item_columns: Mapping[str, object] | None = None,
    features: str | Iterable[str] = (),
) -> Dataset:
    """Return the dataset in a file of your own: CSV, TSV, Parquet or Excel, one interaction per row.

    Columns are found by the names that common libraries use; `columns` says otherwise, for instance
    {"user_id": "client", "weight": "stars"}. Fields: user_id, item_id; optionally weight (finite) or quantity (negative
    is a return), datetime (see `recsys.data.values.seconds`), source, consent, and title, features, year of the item.
    `items` is a table of the items: item_id, title, features separated by "|", year. `features` names the columns
    with features, of that table if there is one.

    Raises:
        RecsysError: one line with the place, what was found and what was expected.
    """
    path = Path(path).expanduser()
    if items is None:
        log, catalogue = from_file(path, LOG, NEEDED, columns, features), None
    else:
        log = from_file(path, LOG, NEEDED, columns)
        catalogue = from_file(Path(items).expanduser(), CATALOGUE, ("item_id",), item_columns, features)
    return _built(path.stem, log, catalogue)


@needs_extra("recsys.data.from_frame")
def from_frame(
    frame: "DataFrame | Mapping[str, Any]",
    columns: Mapping[str, object] | None = None,
    items: "DataFrame | Mapping[str, Any] | None" = None,
    *,
    item_columns: Mapping[str, object] | None = None,
    features: str | Iterable[str] = (),
    name: str = "frame",
) -> Dataset:
    """Return the dataset in a pandas frame, or in a mapping of columns; everything else as in `read`.

    >>> data = from_frame({"userId": [1, 1, 2], "movieId": [50, 7, 50], "rating": [4.0, 2.0, 5.0]})
    >>> data.interactions.item_ids.tolist(), data.interactions.item.tolist()
    (['7', '50'], [1, 0, 1])
    """
    if items is None:
        return _built(name, from_table(frame, LOG, NEEDED, name, columns, features), None)
    catalogue = from_table(items, CATALOGUE, ("item_id",), f"{name}: items", item_columns, features)
    return _built(name, from_table(frame, LOG, NEEDED, name, columns), catalogue)


def _built(
    name: str,
    log: Sheet,
    items: Sheet | None,
    rules: Rules | None = None,
    about: Mapping[str, Any] | None = None,
    tags: Sheet | None = None,
) -> Dataset:
    rules = rules or Rules()
    interactions, notes = build_log(log, rules)
    described = items if items is not None else with_consent(log) if _describes_items(log) else None
    catalogue, more = build_items(described, interactions.item_ids, rules)
    every = [*log.notes, *(items.notes if items is not None else ()), *notes, *(more if items is not None else ())]
    if tags is not None:
        catalogue, more = add_tags(catalogue, tags, rules.tags)
        every += more
    made = fingerprint(interactions, catalogue)
    return Dataset(name, interactions, catalogue, made, about or {}, tuple(every), dict(log.columns))


def _describes_items(log: Sheet) -> bool:
    return bool(log.features) or any(field in log.columns for field in ("title", "year"))


def _about(wanted: Card, there: Landed) -> dict[str, Any]:
    told = ("title", "about", "licence", "terms", "citation")
    about: dict[str, Any] = {key: getattr(wanted, key) for key in told}
    return about | {
        "expected": dataclasses.asdict(wanted.expected),
        "source": there.source,
        "checksums": dict(there.checksums),
        "checked": there.checked,
    }


def _key(wanted: Card, there: Landed) -> str:
    layout = dataclasses.asdict(wanted.layouts[there.layout])
    content = [FORMAT, layout, dataclasses.asdict(wanted.rules), dict(there.checksums)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _check(made: Dataset, rows: int, wanted: Card, folder: Path) -> None:
    log, expected = made.interactions, wanted.expected
    pairs = {
        "rows": (rows, expected.rows or rows),
        "users": (len(log.user_ids), expected.users),
        "items": (len(log.item_ids), expected.items),
        "interactions": (len(log), expected.interactions),
    }
    wrong = [f"{found:,} {what}, expected {right:,}" for what, (found, right) in pairs.items() if found != right]
    if wrong:
        raise RecsysError(f"{folder}: {'; '.join(wrong)}: not the files of {made.name}, remove the folder")
