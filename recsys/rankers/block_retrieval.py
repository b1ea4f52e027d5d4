"""Retrieval for a block of users at once: the candidates that `retrieve_candidates` finds for each, bit for bit."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import get_tie_order
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Candidates, RequestUser
from recsys.rankers.retrievals import get_seen_items, get_user_factor
from recsys.types import Context, Scorer
from recsys.types.arrays import Bools, Doubles, Floats, Ints

UNIT_ROUNDOFF = 2.0**-24  # of 32 bits
SPARE = 16  # candidates that are held beside n and an eighth of it, where the product is unsure
_ROWS = 4096  # factors looked at at once


class BlockRetrieval:
    """What retrieves for blocks of users of a factor model.

    Two dot products of d numbers of 32 bits, each added up in any order, with or without fused multiply-adds, are apart
    by no more than 2 g |a| |b|, g = d u / (1 - d u), u = 2^-24 (Higham 2002, section 3.1; Cauchy-Schwarz), but for
    products that are too small to be normal numbers.
    """

    def __init__(self, model: FittedFactors, context: Context, available: Bools, policy: Policy) -> None:
        """Take the model and the context of a ranker, what may be retrieved, (I,), and its policy."""
        self.factors, self.context, self.policy = model.factors, context, policy
        self.items: Floats = np.asarray(model.factors.item_factors)
        self.closed: Ints = np.flatnonzero(~available).astype(np.int32)
        self.ties = np.asarray(get_tie_order(context, policy.seed))
        d = self.items.shape[1]
        parts = (self.items[start : start + _ROWS].astype(np.float64) for start in range(0, len(self.items), _ROWS))
        self.longest = float(np.max([0.0, *(np.linalg.norm(part, axis=1).max() for part in parts)]))
        self.relative = 2.0 * d * UNIT_ROUNDOFF / (1.0 - d * UNIT_ROUNDOFF)
        self.smallest = 4.0 * d * float(np.finfo(np.float32).tiny)

    def bound_errors(self, users: Floats) -> Doubles:
        """Return by how much a score by a matrix product may differ from the dot product, for users (B, d), (B,)."""
        lengths: Doubles = np.linalg.norm(users.astype(np.float64), axis=1)
        return np.asarray(self.relative * self.longest * lengths + self.smallest)

    def retrieve(self, askers: Sequence[RequestUser]) -> list[Candidates | None]:
        """Return the candidates of each, None where they have to be retrieved for one user alone.

        That is where more items than there is room for are within the error of the n-th score, or a score may not be
        finite.
        """
        from recsys.kernels.retrieval_blocks import retrieve_block

        kernel: Any = retrieve_block
        n = min(self.policy.n, len(self.items))
        users = np.stack([get_user_factor(self.factors, self.context, asker) for asker in askers])
        errors = self.bound_errors(users)
        is_bounded = errors < 1e30  # NaN is not
        users[~is_bounded] = 0.0
        seen = [get_seen_items(self.context, self.policy, asker) for asker in askers]
        pointers = np.concatenate([[0], np.cumsum([len(one) for one in seen])])
        found, scores = np.empty((len(users), n), np.int32), np.empty((len(users), n), np.float32)
        counts = np.empty(len(users), np.int64)
        closed_to = np.concatenate(seen).astype(np.int32)
        kernel(
            self.items, users, errors, n, n + n // 8 + SPARE, self.ties, self.closed, pointers, closed_to, found,
            scores, counts,
        )  # fmt: skip
        counts[~is_bounded] = -1
        return [
            None if count < 0 else Candidates(items[:count], worth[:count])
            for items, worth, count in zip(found, scores, counts.tolist(), strict=True)
        ]


class LazyBlockRetrieval:
    """A `BlockRetrieval` that is made when a batch first asks for it: it looks at all factors of items."""

    def __init__(
        self, model: Scorer | None, context: Context, available: Bools, policy: Policy, is_plain: bool
    ) -> None:
        """Take the parts of a ranker; `is_plain` says that its guards give no item a reserved place."""
        self._parts, self._is_plain = (model, context, available, policy), is_plain

    @cached_property
    def made(self) -> BlockRetrieval | None:
        """What retrieves for blocks of users, None for models and policies whose candidates are found otherwise."""
        model, context, available, policy = self._parts
        if not self._is_plain or policy.exploration_share or context.repeats is not None:
            return None
        if not isinstance(model, FittedFactors):
            return None
        items = np.asarray(model.factors.item_factors)
        if items.dtype != np.float32 or not items.flags.c_contiguous or not len(items):
            return None
        made = BlockRetrieval(model, context, available, policy)
        return made if np.isfinite(made.longest) else None
