"""Items that a catalogue does not have yet, described as its own are: rows of numbers that go together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recsys.data.cards import CleaningRules
from recsys.data.columns import ITEM_FIELDS
from recsys.data.datasets import read_mapped_table
from recsys.data.identifiers import make_string_array, normalize_id
from recsys.data.items import describe_rows
from recsys.data.mapped_tables import MappedTable
from recsys.data.settings import TableSettings
from recsys.maths.catalogues import build_described_items, list_title_words, parse_year
from recsys.types import Items, RecsysError, make_unknown_name_error
from recsys.types.arrays import Bools, Csr, Doubles, Ints
from recsys.types.errors import Setting, SettingError

MIN_WORD_ITEMS = 5  # known items that share a word of titles that counts
MAX_NAMES = 4000  # names of features that count, those of most items: what is inverted is a table of all pairs
YEAR = "year"
_Cell = Any  # None where it is empty


class DescribedItems(NamedTuple):
    """New items, and both them and those of a catalogue as rows of the same p numbers."""

    items: Items  # (n,) the new ones, with all of their own features
    known: Doubles  # (I, p)
    has_row: Bools  # (I,) known items that are described
    new: Doubles  # (n, p)
    columns: tuple[str, ...]  # of the tables that are used, by name
    unknown: tuple[str, ...]  # names of features that no known item has: they say nothing
    missing: int  # numbers and vectors of new items that are not there: they count as the mean
    left_out: tuple[str, ...]  # columns of the table of new items that nothing of known items goes with

    @property
    def is_described(self) -> Bools:
        """Which new items have anything that tells them from the mean, (n,)."""
        return np.asarray(self.new.any(axis=1))


class _Block(NamedTuple):
    """The numbers that one column comes to."""

    known: Doubles  # (I, c)
    new: Doubles  # (n, c)
    unknown: tuple[str, ...] = ()
    missing: int = 0


def describe_new_items(
    table: Any, catalogue: Items, known: Any = None, columns: Mapping[str, object] | None = None, place: str = "items"
) -> DescribedItems:
    """Return the items of `table`, none of which `catalogue` has, as numbers that known items have too.

    Without `known`, these are the catalogue's features (1 where an item has one; words of titles where its features are
    these) and the year. With `known`, a table of its items, they are all columns of that: the words of titles that
    `MIN_WORD_ITEMS` share, names between "|" or in lists, numbers, and vectors (lists of numbers of one length).
    Numbers and vectors have mean 0 and spread 1 over known items; a number beyond their range counts as its end, and
    one that is missing as the mean.

    Raises:
        RecsysError: for an id that is missing, there twice or known, a column that is missing or of another kind than
            that of known items, a year that is none, a number that is not finite, or nothing that describes known
            items.
    """
    sheet = _read_table(table, columns, place)
    ids = _read_ids(sheet)
    _refuse_known(ids, catalogue, place)
    _check_years(sheet)
    items = build_described_items(np.arange(len(ids), dtype=np.int32), ids, describe_rows(sheet, CleaningRules()))
    if known is None:
        return _describe_by_catalogue(sheet, items, catalogue)
    return _describe_by_table(sheet, items, catalogue, _read_table(known, columns, f"{place}: known"))


def describe_catalogue(catalogue: Items) -> Doubles:
    """Return the items of a catalogue as the numbers that `describe_new_items` makes of it, (I, p)."""
    none = _encode_names(_list_names(catalogue), [])
    return np.hstack([none.known, _encode_years(catalogue.years, catalogue.years[:0]).known])


def _read_table(table: Any, columns: Mapping[str, object] | None, place: str) -> MappedTable:
    if isinstance(table, Mapping):
        table = {name: list(cells) if np.ndim(cells) == 2 else cells for name, cells in table.items()}
    return read_mapped_table(table, ITEM_FIELDS, ("item_id",), place, columns, (), TableSettings())


def _read_ids(sheet: MappedTable) -> Any:
    names = [normalize_id(cell) for cell in sheet.frame[sheet.columns["item_id"]].tolist()]
    seen: set[str] = set()
    for row, name in enumerate(names):
        if not name:
            raise RecsysError(f"{sheet.place}: row {row + 1} has no item_id, expected one")
        if name in seen:
            raise RecsysError(f"{sheet.place}: holds the item '{name}' twice, expected each once")
        seen.add(name)
    return make_string_array(names)


def _refuse_known(ids: Any, catalogue: Items, place: str) -> None:
    there = set(catalogue.ids.tolist())
    if known := [name for name in ids.tolist() if name in there]:
        raise RecsysError(
            f"{place}: {len(known):,} of {len(ids):,} items are known already, such as '{known[0]}', expected new ones"
        )


def _check_years(sheet: MappedTable) -> None:
    if "year" not in sheet.columns:
        return
    for row, cell in enumerate(_list_cells(sheet, sheet.columns["year"])):
        if cell is not None and not parse_year(str(cell)):
            raise RecsysError(
                f"{sheet.place}: {sheet.columns['year']}: row {row + 1} holds '{str(cell)[:40]}', "
                "expected a year from 1000 to 2099, or nothing"
            )


def _describe_by_catalogue(sheet: MappedTable, items: Items, catalogue: Items) -> DescribedItems:
    """Describe items by the features and years of a catalogue."""
    has_years = bool((catalogue.years > 0).any())
    if not catalogue.features.nnz and not has_years:
        raise SettingError(
            f"{sheet.place}: the known items have no features and no years, expected a table of them with the same "
            "columns: ",
            Setting("known"),
        )
    own = _list_names(items)
    if catalogue.features.nnz and not sheet.features:
        if "title" not in sheet.columns or not _has_title_words(catalogue):
            raise SettingError(
                f"{sheet.place}: has no column for features, by which the known items are described, expected one, or "
                "a table of known items with the same columns: ",
                Setting("known"),
            )
        words, names = list_title_words(dict(enumerate(items.titles.tolist()))), set(catalogue.feature_names)
        own = [sorted(words[code] & names) for code in range(len(own))]
        items = _replace_features(items, own)
    blocks = {"features": _encode_names(_list_names(catalogue), own)} if catalogue.features.nnz else {}
    if has_years:
        blocks[YEAR] = _encode_years(catalogue.years, items.years)
    used = {sheet.columns[one] for one in ("item_id", "title", "year") if one in sheet.columns} | set(sheet.features)
    others = tuple(str(name) for name in sheet.frame.columns if name not in used)
    return _join_blocks(items, blocks, np.ones(len(catalogue.ids), bool), others)


def _describe_by_table(sheet: MappedTable, items: Items, catalogue: Items, known: MappedTable) -> DescribedItems:
    """Describe items by all columns of a table of known ones."""
    ids = _read_ids(known)
    codes = {name: code for code, name in enumerate(catalogue.ids.tolist())}
    rows = {codes[name]: row for row, name in enumerate(ids.tolist()) if name in codes}
    if not rows:
        raise RecsysError(f"{known.place}: holds none of the {len(codes):,} known items, expected their ids")
    skipped = known.columns["item_id"]
    wanted = [str(name) for name in known.frame.columns if name != skipped]
    ours = {known.columns[field]: sheet.columns[field] for field in known.columns if field in sheet.columns}
    blocks = {}
    for name in wanted:
        there = ours.get(name, name)
        if there not in sheet.frame.columns:
            where = f"{sheet.place}, whose columns are those of {known.place}"
            raise make_unknown_name_error("column", name, sheet.frame.columns, where=where)
        cells = _list_cells(known, name)
        of_known = [cells[rows[code]] if code in rows else None for code in range(len(codes))]
        if name == known.columns.get("title"):
            blocks[name] = _encode_words(of_known, _list_cells(sheet, there))
        else:
            blocks[name] = _encode_cells(of_known, _list_cells(sheet, there), known, f"{sheet.place}: {there}")
    if not blocks:
        raise RecsysError(f"{known.place}: has no column beside item_id, expected what describes items")
    has_row = np.zeros(len(codes), bool)
    has_row[list(rows)] = True
    used = {sheet.columns["item_id"], *(ours.get(name, name) for name in wanted)}
    others = tuple(str(name) for name in sheet.frame.columns if name not in used)
    return _join_blocks(items, blocks, has_row, others)


def _join_blocks(items: Items, blocks: Mapping[str, _Block], has_row: Bools, others: tuple[str, ...]) -> DescribedItems:
    parts = list(blocks.values())
    known, new = (np.hstack([getattr(one, side) for one in parts]) for side in ("known", "new"))
    unknown = tuple(dict.fromkeys(name for one in parts for name in one.unknown))
    return DescribedItems(items, known, has_row, new, tuple(blocks), unknown, sum(one.missing for one in parts), others)


def _list_names(items: Items) -> list[list[str]]:
    names, of = items.feature_names, items.features
    return [[names[c] for c in of.indices[of.indptr[i] : of.indptr[i + 1]].tolist()] for i in range(of.shape[0])]


def _has_title_words(catalogue: Items) -> bool:
    """Return whether the features of a catalogue are those words of its titles that are among them."""
    names, words = set(catalogue.feature_names), list_title_words(dict(enumerate(catalogue.titles.tolist())))
    return all(set(own) == words[code] & names for code, own in enumerate(_list_names(catalogue)))


def _replace_features(items: Items, own: Sequence[Sequence[str]]) -> Items:
    names = sorted(set().union(*own))
    place = {name: column for column, name in enumerate(names)}
    pointers = np.concatenate([[0], np.cumsum([len(one) for one in own])])
    columns = np.array([place[name] for one in own for name in one], np.int64)
    matrix = Csr((np.ones(len(columns), np.float32), columns, pointers), shape=(len(own), len(names)))
    return Items(items.ids, items.titles, matrix, tuple(names), items.years)


def _encode_names(known: Sequence[Sequence[str]], new: Sequence[Sequence[str]], least: int = 1) -> _Block:
    """Return 1 where an item has a name that known items have."""
    counts: dict[str, int] = {}
    for own in known:
        for name in own:
            counts[name] = counts.get(name, 0) + 1
    names = sorted((name for name, n in counts.items() if n >= least), key=lambda name: (-counts[name], name))
    place = {name: column for column, name in enumerate(names[:MAX_NAMES])}

    def mark(rows: Sequence[Sequence[str]]) -> Doubles:
        made = np.zeros((len(rows), len(place)))
        for row, own in enumerate(rows):
            made[row, [place[name] for name in own if name in place]] = 1.0
        return made

    return _Block(mark(known), mark(new), tuple(sorted({n for own in new for n in own if n not in counts})))


def _encode_words(known: Sequence[_Cell], new: Sequence[_Cell]) -> _Block:
    block = _encode_names(_list_words(known), _list_words(new), MIN_WORD_ITEMS)
    return block._replace(unknown=())  # a word that titles have never had is nothing to tell


def _list_words(cells: Sequence[_Cell]) -> list[list[str]]:
    found = list_title_words({row: "" if cell is None else str(cell) for row, cell in enumerate(cells)})
    return [sorted(found[row]) for row in range(len(cells))]


def _encode_cells(known: Sequence[_Cell], new: Sequence[_Cell], table: MappedTable, place: str) -> _Block:
    """Return what a column comes to, of the kind that known items have in it."""
    if any(_is_vector(cell) for cell in known):
        length = next(len(cell) for cell in known if _is_vector(cell))
        return _scale_numbers(_parse_vectors(known, length, place), _parse_vectors(new, length, place), clips=False)
    if all(cell is None or _parse_number(cell) is not None for cell in known):
        return _scale_numbers(_parse_numbers(known, place), _parse_numbers(new, place))
    own, others = ([_split_names(cell, table.separator, place) for cell in part] for part in (known, new))
    return _encode_names(own, others)


def _encode_years(known: Ints, new: Ints) -> _Block:
    there, later = (np.where(years > 0, years, np.nan).astype(np.float64)[:, None] for years in (known, new))
    return _scale_numbers(there, later)


def _scale_numbers(known: Doubles, new: Doubles, clips: bool = True) -> _Block:
    """Return numbers (I, c) and (n, c), NaN where they are missing, with mean 0 and a spread of 1 over the known."""
    there = ~np.isnan(known).any(axis=1)
    if not there.any():
        return _Block(np.zeros((len(known), 0)), np.zeros((len(new), 0)), (), len(new))
    means = known[there].mean(axis=0)
    spread = float(np.sqrt(((known[there] - means) ** 2).mean())) or 1.0
    missing = np.isnan(new).any(axis=1)
    if clips:
        new = np.clip(new, known[there].min(axis=0), known[there].max(axis=0))
    made = [np.where(np.isnan(part), 0.0, (part - means) / spread) for part in (known, new)]
    return _Block(made[0], made[1], (), int(missing.sum()))


def _list_cells(table: MappedTable, name: str) -> list[_Cell]:
    return [None if _is_empty(cell) else cell for cell in table.frame[name].tolist()]


def _is_empty(cell: Any) -> bool:
    if isinstance(cell, list | tuple | np.ndarray):
        return not len(cell)
    return cell is None or cell != cell or not str(cell).strip() or str(cell) == "<NA>"


def _is_vector(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return cell.dtype.kind in "fiu"
    return isinstance(cell, list | tuple) and all(isinstance(one, int | float | np.number) for one in cell)


def _parse_vectors(cells: Sequence[_Cell], length: int, place: str) -> Doubles:
    made = np.full((len(cells), length), np.nan)
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        if not _is_vector(cell) or len(cell) != length:
            found = f"{len(cell)} numbers" if _is_vector(cell) else repr(cell)[:40]
            raise RecsysError(f"{place}: row {row + 1} holds {found}, expected a vector of {length} numbers")
        made[row] = cell
        if not np.isfinite(made[row]).all():
            raise RecsysError(f"{place}: row {row + 1} holds NaN or infinity, expected finite numbers")
    return made


def _parse_number(cell: _Cell) -> float | None:
    """Return the number that a cell holds, None where it holds none."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _parse_numbers(cells: Sequence[_Cell], place: str) -> Doubles:
    made = np.full((len(cells), 1), np.nan)
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        value = _parse_number(cell)
        if value is None or not np.isfinite(value):
            raise RecsysError(
                f"{place}: row {row + 1} holds {repr(cell)[:40]}, expected a finite number, as known items"
            )
        made[row] = value
    return made


def _split_names(cell: _Cell, separator: str, place: str) -> list[str]:
    return sorted(set(_iter_names(cell, separator, place)))


def _iter_names(cell: _Cell, separator: str, place: str) -> Iterator[str]:
    if cell is None:
        return
    if _is_vector(cell) and not isinstance(cell, str):
        raise RecsysError(f"{place}: holds lists of numbers, expected names, as known items have them")
    parts = cell if isinstance(cell, list | tuple | np.ndarray) else str(cell).split(separator)
    for part in parts:
        if name := normalize_id(part):
            yield name
