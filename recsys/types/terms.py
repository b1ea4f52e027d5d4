"""Shapes of objectives: the terms that the greedy kernel adds up, slot by slot.

B users of a block, N candidates each. Gains are oriented so that more is better.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys.types.arrays import Csr, Doubles, Floats, Ints, Longs


@dataclass(frozen=True, eq=False)
class Modular:
    """The gain of a candidate does not depend on the slate: g[u, n], or g[u, r, n] where each slot r has its own."""

    gain: Floats  # (B, N), or (B, k, N)


@dataclass(frozen=True, eq=False)
class Spread:
    """Far from the slate: 1 - agg over j in S of sim(n, j), with sim the dot product of two rows.

    `agg` is "max", "mean" or "sum" (for "sum" the gain is the sum of 1 - sim). The empty slate gives
    `empty`; with `start`, the similarity of each candidate to something already there (a profile), the
    aggregate begins with that as its first member.
    """

    vectors: Floats  # (M, d) C-contiguous; unit rows make the dot product a cosine
    rows: Ints | Longs  # (B, N) row of each candidate in `vectors`
    agg: Literal["max", "mean", "sum"] = "max"  # how several similarities become one
    empty: float = 0.0  # the gain for an empty slate
    start: Floats | None = None  # (B, N)


@dataclass(frozen=True, eq=False)
class Coverage:
    """Concave coverage: sum over z of need[u, z] * (phi(c_z + b_r a[n, z]) - phi(c_z)), c from `start`.

    phi: "linear" is min(c, cap), "log" is log(c), "exp" is 1 - exp(-c), "sqrt" is sqrt(c), and "max" replaces
    the sum inside by a running maximum: need[u, z] * max(0, a[n, z] - c_z) (facility location).
    `slots` are the constant weights b_r of the k positions; None means 1 for each.
    """

    coverage: Csr  # (M, Z) float32, non-negative: what one row covers
    rows: Ints | Longs  # (B, N) row of each candidate in `coverage`
    need: Doubles  # (B, Z) non-negative
    phi: Literal["linear", "log", "exp", "sqrt", "max"]  # the concave function
    cap: Doubles | None = None  # (B, Z), for "linear"; None means no cap
    start: Doubles | None = None  # (B, Z); None means 0
    slots: Doubles | None = None  # (k,) or longer, non-negative

    def __post_init__(self) -> None:
        """Refuse a logarithm that starts at zero."""
        if self.phi == "log" and (self.start is None or bool(np.any((self.start <= 0) & (self.need > 0)))):
            raise ValueError("Coverage with phi='log' needs start > 0 wherever need > 0")


@dataclass(frozen=True, eq=False)
class Volume:
    """The part of a candidate that the slate does not span: its residual after projecting the slate out.

    The kernel matrix is K = (1 - ridge) V V' + ridge I. `form` "log" gives the marginal log-determinant,
    2 log quality + log residual squared (a DPP); "norm" gives quality * residual (SSD). Only the last `window`
    picks are projected out; None means all.
    """

    vectors: Floats  # (M, d) C-contiguous
    rows: Ints | Longs  # (B, N)
    form: Literal["log", "norm"] = "log"  # of the residual
    quality: Floats | None = None  # (B, N) positive; None means 1
    window: int | None = None  # how many of the last picks are projected out; None is all
    ridge: float = 0.0  # share of the identity, from 0 to 1


@dataclass(frozen=True, eq=False)
class Seats:
    """Slots as seats that aspects win by their votes; each pick goes by whose seat is due (Dang and Croft 2012).

    An aspect z with v_z = need[u, z] votes and s_z seats has the quotient q_z = v_z / (divisor s_z + 1). The gain is
    focus q_y a[n, y] + (1 - focus) sum over z != y of q_z a[n, z], y the aspect with the largest quotient, the first
    of those within 1e-6 of it. A pick gives each aspect its part of one seat, a[n, z] / sum_z a[n, z]. It is no
    concave coverage: which aspect counts most changes from slot to slot.
    """

    coverage: Csr  # (M, Z) float32, non-negative: what one row is to each aspect
    rows: Ints | Longs  # (B, N) row of each candidate in `coverage`
    need: Doubles  # (B, Z) votes, non-negative
    focus: float = 0.5  # from 0 to 1
    divisor: float = 2.0  # 2 is Sainte-Lague, 1 is D'Hondt


@dataclass(frozen=True, eq=False)
class Counts:
    """How many picks each aspect has: the fall of a penalty (binomial diversity, Vargas et al. 2014).

    The value of a slate with c_z picks of aspect z is exp(-sum of need[u, z] over aspects with none + the mean of
    patience[u, z, c_z] over those with some, 0 where there are none); the gain is the value with n less the value
    without. Aspects with need 0 do not count. The value is a product: neither monotone nor submodular.
    """

    coverage: Csr  # (M, Z) float32: above 0 where a row has the aspect
    rows: Ints | Longs  # (B, N) row of each candidate in `coverage`
    need: Doubles  # (B, Z) non-negative
    patience: Doubles  # (B, Z, k + 1), at most 0; that of no pick is not read


Term = Modular | Spread | Coverage | Volume | Seats | Counts
