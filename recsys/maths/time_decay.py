"""Histories whose positives weigh less the longer they are before the user's own last one."""

import numpy as np

from recsys.types.arrays import Csr
from recsys.types.time_weights import SECONDS_PER_DAY, get_positive_times


def apply_time_decay(train: Csr, times: Csr, half_life: float) -> Csr:
    """Return `train` with weights 2^(-age / half_life), age the days from a positive to the user's own last one.

    A user's last positive has the weight 1, whenever that was; none has less than 2^-100.
    """
    when, sizes = get_positive_times(train, times), np.diff(train.indptr)
    last = np.zeros(len(sizes))
    last[sizes > 0] = np.maximum.reduceat(when, train.indptr[:-1][sizes > 0]) if len(when) else 0.0
    weights = np.exp2(np.maximum((when - np.repeat(last, sizes)) / (half_life * SECONDS_PER_DAY), -100.0))
    return Csr((weights, train.indices, train.indptr), shape=train.shape)
