"""Factor arrays of models of the library `implicit`."""

from typing import Any

import numpy as np
from scipy import sparse

from recsys.support.progress import track_rounds
from recsys.types.arrays import Bools, Csr, Floats
from recsys.types.errors import RecsysError


def fit_library_factors(model: str, library: Any, train: Csr) -> tuple[Floats, Floats]:
    """Return the user and item factors of `library` fitted to a copy of the positives, (U, I).

    Raises:
        RecsysError: if the fit left the range of numbers.
    """
    from implicit.recommender_base import ModelFitError

    positives = sparse.csr_matrix(train, dtype=np.float32, copy=True)
    try:
        with track_rounds(model, library.iterations) as done:
            library.fit(positives, show_progress=False, callback=lambda *_: done())
    except ModelFitError:
        raise RecsysError(f"{model}: the factors left the range of numbers: use a smaller learning_rate") from None
    return library.user_factors, library.item_factors


def fill_unseen_biases(biases: Floats, has_users: Bools) -> Floats:
    """Return biases (I,) with the lowest of them where nobody has the item: the library leaves 0 there."""
    return np.where(has_users, biases, biases[has_users].min()).astype(np.float32)
