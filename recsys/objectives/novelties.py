"""Items that few people know, and items unlike those that the user knows."""

import numpy as np

from recsys.maths.embeddings import mean_cosine_to_history
from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives.derived_tables import get_item_vectors, get_self_information, get_tail_items
from recsys.types import Modular, Pool
from recsys.types.numbers import check_number


def novelty(pool: Pool, k: int) -> Modular:
    """Return the self-information of each candidate, -log2(n_i / sum n), in bits (Vargas and Castells 2011).

    :Formula: -log2(n_i / sum n)
    :Range: [0, inf) bits
    :More: items that few people know
    :Cost: U N
    :Source: Vargas and Castells 2011
    """
    return Modular(get_self_information(pool.context, "novelty")[get_item_codes(pool)])


def long_tail(pool: Pool, k: int, *, head: float = 0.8) -> Modular:
    """Return 1 for each candidate in the long tail, 0 for one in the head.

    The head is the fewest items that take the share `head` of all training positives
    (`recsys.maths.popularity.find_tail_items`), 80 % as in Abdollahpouri, Burke and Mobasher 2019: the mean over a
    slate is its share of tail items, which is averaged over users as APLT.

    Args:
        head: Share of all positives that the popular items take, above 0, below 1.

    :Formula: 1 where the items with more users have the share `head` of all positives, else 0
    :Range: [0, 1]
    :More: items outside of the head
    :Cost: U N
    :Source: Abdollahpouri, Burke and Mobasher 2019

    Raises:
        RecsysError: for a head that is not above 0 and below 1, or a pool without histories.
    """
    head = check_number("long_tail: head", head, above=0, below=1)
    return Modular(get_tail_items(pool.context, head, "long_tail")[get_item_codes(pool)].astype(np.float32))


def profile_distance(pool: Pool, k: int, *, space: str = "cooccurrence") -> Modular:
    """Return the mean over the user's history of 1 - the cosine to each item of it, in [0, 2].

    Vargas and Castells 2011 (expected profile distance, before relevance and rank). Where `serendipity` looks at the
    nearest item of the history, this looks at all of them. `space` is "cooccurrence", "factors" or "features"; a user
    without history is at distance 1 from everything.

    :Formula: mean over history j of 1 - cos(n, j)
    :Range: [0, 2]
    :More: items unlike the history as a whole
    :Cost: U (h + N) d, h history
    :Source: Vargas and Castells 2011

    Raises:
        RecsysError: if there is no such space, or the pool does not have what it is made of, or no histories.
    """
    train = pool.context.need_weighted_train("profile_distance")
    near = mean_cosine_to_history(
        get_item_vectors(pool.context, space, "profile_distance"), train, pool.users, get_item_codes(pool)
    )
    return Modular((1.0 - near).astype(np.float32))
