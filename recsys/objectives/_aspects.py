"""Terms over aspects of items: their features, or the regions of the first own map."""

import numpy as np

from recsys.objectives._pool_arrays import get_item_codes
from recsys.types import Coverage, Pool
from recsys.types.arrays import Csr, Doubles, Longs
from recsys.types.numbers import check_number

MAX_PROBABILITY = 1.0 - 1e-12  # the largest probability whose complement has a finite logarithm worth having


def weigh_candidate_aspects(pool: Pool, aspects: Csr, weight: Doubles) -> tuple[Csr, Longs]:
    """Return the row of `aspects` (I, G) of each candidate times its `weight` (U, N), and which row is whose.

    There is a row for each user and candidate, (U N, G): what an item covers depends on who is asked.
    """
    taken: Csr = aspects[get_item_codes(pool).ravel()].astype(np.float64)
    taken.data *= np.repeat(weight.ravel(), np.diff(taken.indptr))
    return taken, np.arange(weight.size, dtype=np.int64).reshape(weight.shape)


def make_noisy_or_coverage(probability: Csr, term_rows: Longs, need: Doubles, alpha: float, who: str) -> Coverage:
    """Return the gain in sum_g need (1 - prod(1 - alpha p)) / alpha; -log of the product is what picks add up to."""
    alpha = check_number(f"{who}: alpha", alpha, above=0, most=1)
    covered = probability.copy()
    covered.data = -np.log1p(-np.minimum(alpha * probability.data, MAX_PROBABILITY))
    return Coverage(covered.astype(np.float32), term_rows, need / alpha, "exp")
