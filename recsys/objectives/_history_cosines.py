"""How near each candidate is to what the user has liked."""

import numpy as np

from recsys.objectives.derived_tables import get_item_vectors
from recsys.types import Pool
from recsys.types.arrays import Doubles


def compute_largest_cosines(pool: Pool, space: str, needed_by: str, first: int | None = None) -> Doubles:
    """Return the largest cosine of each candidate to the history of its user, at least 0, (U, N).

    0 for a user without history, and where there is no candidate. With `first`, of the first so many candidates alone.
    The numbers are those of `recsys.maths.embeddings.max_cosine_to_history` but for the last bits, and a request's to
    the bit.

    Raises:
        RecsysError: if there is no such space, or the pool does not have what it is made of, or no histories.
    """
    train = pool.context.need_train(needed_by)
    vectors = np.asarray(get_item_vectors(pool.context, space, needed_by))  # of NumPy's own class: compiled once
    items = np.ascontiguousarray(pool.items[:, :first])
    if not train.nnz:  # as what a ranker lays out for requests: it needs no compiled code
        return np.zeros(items.shape)
    from recsys.kernels.likelihood_features import fill_all_history_cosines

    near = np.empty(items.shape, np.float32)
    fill_all_history_cosines(vectors, items, np.asarray(pool.users), train.indptr, train.indices, near)
    return near.astype(np.float64)
