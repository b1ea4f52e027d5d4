"""Relevant, and far from all that the user has met."""

import numpy as np

from recsys import maths
from recsys.metrics.picks import hit_places, n_test
from recsys.types import Evaluation, PerUser, Split
from recsys.types.arrays import Doubles, Floats

TOGETHER = 256  # users at a time, sorted by how many held-out positives they have: little is padded


def serendipity(evaluation: Evaluation, k: int) -> PerUser:
    """Mean over the k slots of hit * (1 - nearest), in [0, 1]: hits that nothing in the history announced.

    `nearest` is the largest cosine, at least 0, between the item and the user's training positives in the
    co-occurrence space (`recsys.maths.nearest_in_profile`). Unexpectedness without relevance counts nothing
    (Adamopoulos and Tuzhilin 2014 ask for both).
    """
    yardstick = evaluation.yardstick
    split = yardstick.split
    vectors = yardstick.tables.get("cooccurrence", lambda: maths.cooccurrence_vectors(split.train))
    surprise = yardstick.tables.get("surprise", lambda: _surprise(split, vectors))
    user, rank, place = hit_places(evaluation)
    inside = rank < k
    total = np.bincount(user[inside], surprise[place[inside]], minlength=len(evaluation.items))
    defined = (n_test(evaluation) > 0) & (np.diff(split.train.indptr) > 0)
    convention = (
        "hit * (1 - largest co-occurrence cosine to the history) summed / k; "
        "mean over users with held-out positives and a history, an empty slate counts 0"
    )
    return PerUser(np.where(defined, total / k, np.nan), convention, 1)


def _surprise(split: Split, vectors: Floats) -> Doubles:
    """Return 1 - nearest of every held-out positive, in the order of `split.test.indices`."""
    surprise = np.empty(split.test.nnz)
    starts, sizes = split.test.indptr[:-1], np.diff(split.test.indptr)
    order = np.argsort(sizes, kind="stable")
    for first in range(0, len(order), TOGETHER):
        users = order[first : first + TOGETHER].astype(np.int32)
        slots = np.arange(sizes[users].max())
        real = slots < sizes[users, None]
        place = np.where(real, starts[users, None] + slots, 0)
        if real.any():
            near = maths.nearest_in_profile(vectors, split.train, users, split.test.indices[place].astype(np.int64))
            surprise[place[real]] = 1.0 - near[real]
    return surprise
