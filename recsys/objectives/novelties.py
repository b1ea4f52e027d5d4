"""Items that few people know."""

import numpy as np

from recsys.maths import self_information
from recsys.objectives._candidates import rows
from recsys.types import Modular, Pool


def novelty(pool: Pool, k: int) -> Modular:
    """Return the self-information of each candidate, -log2(n_i / sum n), in bits (Vargas and Castells 2011)."""
    context = pool.context
    bits = context.tables.get("self-information", lambda: self_information(context.need_train("novelty")))
    return Modular(bits[rows(pool)].astype(np.float32))
