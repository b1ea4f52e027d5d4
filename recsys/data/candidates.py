"""Candidates that were scored elsewhere, as columns: ids as text, scores as finite numbers."""

import numpy as np
from numpy.typing import ArrayLike

from recsys.data.identifiers import look_up_ids, normalize_id
from recsys.maths.ordering import make_comparable
from recsys.types import RecsysError
from recsys.types.arrays import Anys, Floats, Longs, Strings


def normalize_candidates(
    user_id: ArrayLike, item_id: ArrayLike, score: ArrayLike
) -> tuple[Strings, Strings, Anys, Floats]:
    """Return ids as text, numbers in the order of the scores, and scores of 32 bits, one of each per row.

    Raises:
        RecsysError: for columns of unequal length or without rows, missing ids, and scores that are not finite.
    """
    scores = make_comparable(score, _make_score_error)
    columns = {"user_id": _convert_to_array(user_id), "item_id": _convert_to_array(item_id), "score": scores}
    for column, cells in columns.items():
        if cells.ndim != 1:
            raise RecsysError(f"candidates: {column} has {cells.ndim} dimensions, expected 1: a value per row")
    lengths = [len(cells) for cells in columns.values()]
    if len(set(lengths)) > 1:
        raise RecsysError(
            f"candidates: user_id, item_id and score have {lengths[0]}, {lengths[1]} and {lengths[2]} rows, "
            "expected equal lengths"
        )
    if not len(scores):
        raise RecsysError("candidates: there are no rows, expected at least one")
    names = (_convert_ids(column, columns[column]) for column in ("user_id", "item_id"))
    return *names, scores, np.asarray(score, dtype=np.float64).astype(np.float32)  # type: ignore[return-value]


def _make_score_error(found: str, row: int) -> RecsysError:
    where = "score" if row < 0 else f"score of row {row}"
    return RecsysError(f"candidates: {where} is {found}, expected a finite number of 32 bits")


def _convert_to_array(values: ArrayLike) -> Anys:
    """Return the values as they are, None where a pandas column has none of its kinds of nothing."""
    if hasattr(values, "isna"):
        cells: Anys = np.array(values, dtype=object)
        cells[np.asarray(values.isna())] = None
        return cells
    # A list becomes no array of text: there, None and NaN would be names.
    return np.asarray(values, dtype=None if isinstance(values, np.ndarray) else object)


def _convert_ids(column: str, cells: Anys) -> Strings:
    values = cells.tolist()
    try:
        names = {value: normalize_id(value) for value in set(values)}
    except TypeError:
        raise RecsysError(f"candidates: {column} holds lists, expected one id in each row") from None
    texts = [names[value] for value in values]
    if "" in texts:
        row = texts.index("")
        raise RecsysError(f"candidates: {column} of row {row} is {values[row]!r}, expected an id")
    return np.asarray(texts, dtype=np.str_)


def encode_split_ids(column: str, names: Strings, split_ids: Strings) -> Longs:
    """Return the place of each name among the ids of a split.

    Raises:
        RecsysError: if one is not there.
    """
    found, there = look_up_ids(names, split_ids)
    if not there.all():
        raise RecsysError(
            f"candidates: {len(np.unique(names[~there]))} values of {column} are not in the split "
            f"(first: '{names[~there][0]}'), expected ids of the training data"
        )
    return found
