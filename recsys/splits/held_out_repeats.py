"""Held-out parts that hold what was bought again: repeats beside the first purchases that a split keeps."""

import hashlib
from dataclasses import replace

import numpy as np

from recsys.splits.repeats import select_purchases
from recsys.types.arrays import Bools, Csr, unite_matrices
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError
from recsys.types.purchases import Purchases
from recsys.types.splits import Split


def hold_out_repeats(split: Split, dataset: Dataset) -> Split:
    """Return the split whose validation and test also hold the training pairs that were bought again in their time.

    A split keeps a pair once, in the part of its first purchase; here a pair of train, or of validation, is a positive
    of a later part too where it was bought again from the beginning of that part on, up to the beginning of the next.
    So all metrics judge everything that was bought in the window, `repeat_recall` and `explore_recall` the two parts of
    it; to find repeats, pools have to keep what was met (`recsys.candidates(..., exclude_seen=False)`).
    `Split.purchases` are all purchases before test with their repeats: models read those before the first cut in
    `Split.side_information`. Times and ages of pairs stay those of the first purchase. Repeats of items that are
    new in a part, and so dropped from it, are dropped too.

    Raises:
        RecsysError: for a split that is not at points in time (`recsys.splits.global_time`), or as `select_purchases`
            does.
    """
    if not split.cuts:
        raise RecsysError(
            f"hold_out_repeats: found a split of kind {split.kind}, expected one at points in time: global_time"
        )
    log = dataset.interactions
    end = int(log.datetime.max()) + 1 if log.datetime is not None and len(log) else None
    every = select_purchases(dataset, split, until=end)
    test_from, end = split.cuts[-2], every.end
    met = split.train
    again = {"validation": split.validation, "test": split.test}
    if len(split.cuts) > 2:
        validation_from = split.cuts[0]
        added = _find_bought_again(every, met, (every.datetime >= validation_from) & (every.datetime < test_from))
        again["validation"] = unite_matrices(split.validation, added)
        met = unite_matrices(met, split.validation)
    again["test"] = unite_matrices(split.test, _find_bought_again(every, met, every.datetime >= test_from))
    counts = {f"repeated_{part}_positives": again[part].nnz - getattr(split, part).nnz for part in again}
    said = " and ".join(f"{count:,} {name.split('_')[1]}" for name, count in counts.items())
    return replace(
        split,
        validation=again["validation"],
        test=again["test"],
        cuts=(*split.cuts[:-1], end),
        purchases=every.take_before(test_from),
        fingerprint=hashlib.sha256(f"{split.fingerprint} with repeats".encode()).hexdigest(),
        counts={**split.counts, **counts},
        notes=(*split.notes, f"{said} positives are pairs that were met before and bought again"),
    )


def _find_bought_again(purchases: Purchases, met: Csr, inside: Bools) -> Csr:
    """Return 1 where a pair of `met` (U, I) was bought in the rows that are `inside`."""
    pairs = np.unique(purchases.pairs[inside])
    user, item = np.divmod(pairs, max(purchases.n_items, 1))
    kept = np.asarray(met[user, item]).ravel() != 0 if len(pairs) else np.zeros(0, dtype=bool)
    pointers = np.searchsorted(user[kept], np.arange(purchases.n_users + 1)).astype(np.int32)
    return Csr((np.ones(kept.sum(), np.float32), item[kept].astype(np.int32), pointers), shape=met.shape)
