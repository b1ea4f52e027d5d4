"""Compiled sums of what items are worth above each user's mean, without a table of users by items."""

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Anys


@compile_kernel(fastmath=False)
def add_excesses(utilities: Anys, means: Anys, regions: Anys, sums: Anys) -> None:
    """Add to `sums` (U, Z) by how much the items of each region are worth more than the user's mean, (U,)."""
    for u in range(len(utilities)):
        for i in range(utilities.shape[1]):
            sums[u, regions[i]] += max(utilities[u, i] - means[u], 0.0)


@compile_kernel(fastmath=False)
def add_hidden_excesses(utilities: Anys, means: Anys, hidden: Anys, sums: Anys) -> None:
    """Add to `sums` (U,) by how much the hidden items, (U, I), are worth more than the user's mean."""
    for u in range(len(utilities)):
        for i in range(utilities.shape[1]):
            if hidden[u, i]:
                sums[u] += max(utilities[u, i] - means[u], 0.0)
