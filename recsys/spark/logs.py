"""Logs of Spark as distinct pairs of a user and an item that is liked."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsys.data.columns import ITEM_ALIASES, USER_ALIASES, WEIGHT_ALIASES
from recsys.spark.jobs import normalize_ids, select_fields
from recsys.splits.settings import find_positives

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PAIR_FIELDS = {"user": USER_ALIASES, "item": ITEM_ALIASES}
_LOG_FIELDS = {**PAIR_FIELDS, "weight": WEIGHT_ALIASES}


def select_positives(log: "DataFrame", positive: str | None, place: str) -> "DataFrame":
    """Return the pairs of a user and an item that a log has as positives, each once: the columns user and item.

    `positive` is as for splits: an expression such as "rating >= 4", None for all rows.

    Raises:
        RecsysError: for columns that are missing or of another type, or an expression of another form.
    """
    fields = PAIR_FIELDS if positive is None else _LOG_FIELDS
    chosen, found = select_fields(log, fields, list(fields), place)
    names = {field: column for field, column in found.items() if field == "weight"}
    find_positives(np.zeros(0, np.float32), positive, names)
    read = partial(_read_pairs, positive, names, place)
    return chosen.mapInArrow(read, "user string, item string").distinct()


def _read_pairs(
    positive: str | None, names: Mapping[str, str], place: str, batches: Iterable["pa.RecordBatch"]
) -> Iterator["pa.RecordBatch"]:
    """Yield ids as text of the positive rows, in a worker."""
    import pyarrow as pa

    for batch in batches:
        if positive is not None:
            weight = batch.column("weight").cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
            batch = batch.filter(pa.array(find_positives(weight, positive, names)))
        ids = [normalize_ids(batch.column(name), f"{place}: column of {name}s") for name in PAIR_FIELDS]
        yield pa.RecordBatch.from_arrays(ids, names=list(PAIR_FIELDS))
