"""Elicitation: which items to ask a user about, so that the answers tell the most about the user's taste."""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are used

from recsys.maths.ordering import find_largest
from recsys.types.arrays import Doubles, Floats, Longs

CHUNK = 512  # items whose variance is computed at once
UNKNOWN_WEIGHT = 0.5  # of the answer "unknown" in entropy0: half that of an opinion (Rashid et al. 2008)


class PickedQuestions(NamedTuple):
    """Items in the order in which they are asked about."""

    items: Longs  # (n,) codes
    gains: Doubles  # (n,) what each one adds to the objective, given those before


def estimate_familiarity(counts: Doubles, n_users: int) -> Doubles:
    """Return the probability that a user knows each item, (I,) in (0, 1): (n + 1/2) / (U + 1).

    n of U users met the item: the posterior mean of a binomial share under Jeffreys' prior. It is the probability that
    another user of the same log met it, and grows with popularity.

    >>> estimate_familiarity(np.array([0, 4, 9]), 9).tolist()
    [0.05, 0.45, 0.95]
    """
    return np.asarray((counts + 0.5) / (n_users + 1.0))


def compute_expected_information(rows: Doubles, precisions: Doubles) -> float:
    """Return log det(I + H S H' P) of items, in nats: how much their answers tell of a factor.

    `rows` (n, d) are H L for the covariance S = L L' of the factor, `precisions` (n,) the diagonal of P: the weight of
    an answer times the probability that there is one. It is a monotone submodular function of the set of items, and by
    Jensen's inequality at least the expectation of log det(I + H_K S H_K' w) over the random set K of items that the
    user knows.
    """
    scaled = rows * np.sqrt(precisions)[:, None]
    return float(np.linalg.slogdet(np.eye(len(rows)) + scaled @ scaled.T)[1])


def pick_informative_items(
    items: Floats | Doubles, lower: Doubles, precisions: Doubles, variance_bounds: Doubles, n: int
) -> PickedQuestions:
    """Return at most n items, each the one that adds most to `compute_expected_information`.

    Greedy selection reaches 1 - 1/e of the largest value that n items can have (Nemhauser, Wolsey and Fisher 1978); it
    is that of a DPP whose kernel is I + P^1/2 H S H' P^1/2 (Chen et al. 2018).

    `items` (I, d) are item factors, `lower` (d, d) is the Cholesky factor of the inverse of S, and `variance_bounds`
    (I,) are at least the variances h' S h. Items whose precision is 0 are left out. Exact: variances are computed for
    the items of the largest bounds, and for more of them until no other item can win; a gain never grows with the set.
    """
    bounds = precisions * variance_bounds
    n_allowed, order = int((bounds > 0).sum()), np.arange(len(bounds))
    n, size = min(n, n_allowed), min(max(CHUNK, n), n_allowed)
    while n:
        among = np.sort(find_largest(bounds[None], size, order, 0.0)[0])
        rows = scipy.linalg.solve_triangular(lower, items[among].astype(np.float64).T, lower=True, check_finite=False).T
        places, gains = _pick_greedily(rows * np.sqrt(precisions[among])[:, None], n)
        rest = np.delete(bounds, among).max(initial=0.0)
        if size >= n_allowed or np.log1p(rest) <= gains[-1]:
            return PickedQuestions(among[places], gains)
        size = min(4 * size, n_allowed)
    return PickedQuestions(np.zeros(0, np.int64), np.zeros(0))


def _pick_greedily(rows: Doubles, n: int) -> tuple[Longs, Doubles]:
    """Return the places of n rows (m, d) and what each adds to log det(I + R R'): pivoted Cholesky steps."""
    residual = (rows**2).sum(axis=1)
    basis = np.zeros((len(rows), n))
    places, gains = np.zeros(n, np.int64), np.zeros(n)
    for step in range(n):
        place = int(residual.argmax())
        places[step], gains[step] = place, np.log1p(residual[place])
        own = rows @ rows[place] - basis[:, :step] @ basis[place, :step]
        basis[:, step] = own / np.sqrt(1.0 + residual[place])
        residual = residual - basis[:, step] ** 2
        basis[place, step] = np.sqrt(1.0 + residual[place])
        residual[places[: step + 1]] = -np.inf
    return places, gains


def compute_entropy0(likes: Doubles, dislikes: Doubles, n_users: int) -> Doubles:
    """Return entropy0 of each item, (I,): the weighted entropy of its answers, "unknown" one of them, in nats.

    -sum_c w_c p_c log p_c / sum_c w_c, over like, dislike and unknown, with w = 1/2 for unknown and else 1 (Rashid et
    al. 2008).

    >>> compute_entropy0(np.array([2, 0]), np.array([1, 0]), 4).round(4).tolist()
    [0.3466, 0.0]
    """
    shares = np.stack([likes, dislikes, n_users - likes - dislikes]) / n_users
    weights = np.array([1.0, 1.0, UNKNOWN_WEIGHT])
    return np.asarray(weights @ scipy.special.entr(shares) / weights.sum())


def compute_log_popularity_entropy(likes: Doubles, dislikes: Doubles) -> Doubles:
    """Return log(1 + n) times the entropy of likes and dislikes, in nats, of n ratings of each item, (I,).

    Rashid et al. (2002). 0 where all who rated it agree.
    """
    n = likes + dislikes
    shares = np.stack([likes, dislikes]) / np.maximum(n, 1)
    return np.asarray(np.log1p(n) * scipy.special.entr(shares).sum(axis=0))
