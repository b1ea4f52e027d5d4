"""Exact retrieval that reads a quarter of the memory: a scan of factors of eight bits, and `rank`'s scores of the rest.

`recsys.kernels.quantized_scan` says what each score is at least and at most. Of all items only those are scored by the
dot product that may be among the n best, so that items, scores and the order of equal ones are those of a plain scan.
"""

from typing import Any

import numpy as np

from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import get_quantized_items
from recsys.rankers.policies import Policy
from recsys.types import Context, Scorer
from recsys.types.arrays import Anys, Bools, Floats, Ints

MIN_ITEMS = 40_000  # below it factors of 32 bits are read from the cache: little is gained
MAX_FACTORS = 512  # above it fewer than 16 bits are left for a user's numbers
ITEMS_PER_CANDIDATE = 64  # items for each of the n best, below which many of all have to be scored anyway
ROOM = 32  # items for each that may be left by the scan: more cost as much as a plain scan
TRIAL_USERS, TRIAL_N = 8, 200  # for whom the scan is tried when it is made
_LARGEST = 1e30  # a bound of scores above which numbers of 32 bits may not be finite
_ROW, _COLUMN = 4, 16  # of what compiled code multiplies at once


class QuantizedItems:
    """Factors of all items in eight bits, with a scale and an error for each: d + 8 bytes an item."""

    def __init__(self, items: Floats) -> None:
        """Take finite factors (I, d) of 32 bits, without gaps."""
        from recsys.kernels.quantized_scan import quantize_items

        kernel: Any = quantize_items
        count, d = items.shape
        self.items = items
        self.codes: Anys = np.zeros((-(-count // _ROW) * _ROW, -(-d // _COLUMN) * _COLUMN), np.int8)
        self.scales, self.errors = np.empty(count, np.float32), np.empty(count, np.float32)
        self.longest = float(kernel(items, self.codes, self.scales, self.errors))

    def find_possible_best(self, factor: Floats, n: int, closed: Bools) -> Ints | None:
        """Return all items that may be among the n best for a user's factor (d,) of those not `closed` (I,), ascending.

        None where these are many, fewer than n are known to be open, or scores may not be finite.
        """
        from recsys.kernels.quantized_scan import find_possible_best

        length = float(np.linalg.norm(factor.astype(np.float64)))
        if not 0.0 < length * max(self.longest, 1.0) < _LARGEST:  # NaN is not
            return None
        kernel: Any = find_possible_best
        count = len(self.items)
        chosen = np.empty(count // ROOM, np.int32)
        lower = np.empty(count, np.float32)
        kept = kernel(self.codes, self.scales, self.errors, factor, n, closed, lower, chosen)
        return None if kept < 0 else chosen[:kept]


class Unquantized:
    """That a scan of eight bits does not pay for the factors."""


def find_quantized_items(model: Scorer, context: Context, policy: Policy) -> QuantizedItems | None:
    """Return the model's quantized items, made at the first call; None where a scan of them does not pay.

    That is for fewer than 40,000 items, or fewer than 64 for each of the n best, more than 512 factors, or spectra at
    which it leaves more than one of 32 items to score, for half of eight evenly spaced users.
    """
    if not isinstance(model, FittedFactors) or len(model.factors.item_factors) < MIN_ITEMS:
        return None
    factors = context.population.factors
    items = np.asarray(model.factors.item_factors)
    if factors is None or factors.item_factors is not model.factors.item_factors or not _is_plain(items):
        return None
    if policy.exploration_share or len(items) < ITEMS_PER_CANDIDATE * policy.n:
        return None
    made = get_quantized_items(context, lambda: _quantize(items, np.asarray(factors.user_factors)))
    return made if isinstance(made, QuantizedItems) else None


def _is_plain(items: Floats) -> bool:
    return items.dtype == np.float32 and items.flags.c_contiguous and 0 < items.shape[1] <= MAX_FACTORS


def _quantize(items: Floats, users: Floats) -> QuantizedItems | Unquantized:
    """Return the quantized items if the scan leaves few of them to most of the users whom it is tried for."""
    made = QuantizedItems(items)
    nothing, n = np.zeros(len(items), bool), min(TRIAL_N, len(items) // ITEMS_PER_CANDIDATE)
    tried = users[:: max(1, len(users) // TRIAL_USERS)][:TRIAL_USERS]
    paid = sum(made.find_possible_best(np.array(user, np.float32), n, nothing) is not None for user in tried)
    return made if 2 * paid >= len(tried) else Unquantized()
