"""Coverage: slates that represent every aspect, or every plausible candidate."""

import numpy as np
from scipy import sparse

from recsys.objectives._aspects import (
    make_noisy_or_coverage,
    weigh_candidate_aspects,
)
from recsys.objectives._history_cosines import compute_largest_cosines
from recsys.objectives._pool_arrays import get_item_codes
from recsys.objectives._score_transforms import transform_scores
from recsys.objectives.derived_tables import (
    get_aspect_mixes,
    get_aspect_shares,
    get_item_aspects,
    get_item_vectors,
)
from recsys.types import Coverage, Pool, make_unknown_name_error
from recsys.types.numbers import check_flag, check_int, check_number

PHIS = {"cap": "linear", "log": "log", "sqrt": "sqrt"}
USERS_AT_ONCE = 8  # users whose similarities are made at once: they fit into the cache of a core


def feature_coverage(
    pool: Pool,
    k: int,
    *,
    aspects: str = "features",
    phi: str = "sqrt",
    cap: float = 1.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return the gain in sum_g p(g|u) phi(sum over the slate of p(g|i) r(i)): a mixture of concave coverages.

    Lin and Bilmes 2011; with a user's interests as weights, as in Ashkan et al. 2015 (whose selection is another: one
    pass over the items by relevance). p(g|i) and p(g|u) are an item's and the history's mix of features, or of the
    regions of the first own map (`aspects="map"`); r on [0, 1] is as `score_transform` says, as for `relevance`. phi is
    "sqrt", "log" (of 1 + x) or "cap" (of x and `cap` the smaller). Monotone submodular, at least 0.

    Args:
        phi: "sqrt", "log" or "cap": how fast more of a feature counts less.
        cap: With `phi="cap"`, the amount of a feature beyond which more counts nothing.

    :Formula: sum_g p(g|u) (phi(c_g + p(g|n) r(n)) - phi(c_g))
    :Range: [0, 1]
    :More: features of the history that the slate has little of
    :Cost: U N k g, g features of an item
    :Source: Lin and Bilmes 2011

    Raises:
        RecsysError: for an invalid setting, or a pool without histories or features.
    """
    if phi not in PHIS:
        raise make_unknown_name_error("phi", phi, PHIS, where="feature_coverage")
    cap = check_number("feature_coverage: cap", cap, above=0)
    need = get_aspect_mixes(pool.context, aspects, "feature_coverage")[pool.users]
    r = transform_scores(pool, score_transform, platt_slope, platt_offset, "feature_coverage")
    covered, at = weigh_candidate_aspects(pool, get_aspect_shares(pool.context, aspects, "feature_coverage"), r)
    full = np.full(need.shape, cap) if phi == "cap" else None
    start = np.ones(need.shape) if phi == "log" else None
    return Coverage(covered.astype(np.float32), at, need, PHIS[phi], cap=full, start=start)  # type: ignore[arg-type]


def xquad(
    pool: Pool,
    k: int,
    *,
    aspects: str = "features",
    alpha: float = 1.0,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return sum_g p(g|u) p(i|g) prod over j in S of (1 - alpha p(j|g)): aspects not yet spoken for (xQuAD).

    Santos, Macdonald and Ounis 2010. p(i|g) = p(g|i) r(i) over its sum in the user's pool, with p(g|i), p(g|u), r and
    `score_transform` as for `feature_coverage`. Over a pool of hundreds p(i|g) is small, so that the product hardly
    moves and the gain is nearly modular: `rxquad` does not divide by the pool. Monotone submodular, from 0 to 1 over a
    slate where alpha is 1. A probability of 1 counts as 1 - 1e-12.

    Args:
        alpha: How much of an aspect a pick settles, from 0 to 1.

    :Formula: sum_g p(g|u) p(n|g) prod over j in S of (1 - alpha p(j|g))
    :Range: [0, 1]
    :More: features of the history that no pick speaks for
    :Cost: U N k g, g features of an item
    :Source: Santos, Macdonald and Ounis 2010

    Raises:
        RecsysError: for an invalid setting, or a pool without histories or features.
    """
    r = transform_scores(pool, score_transform, platt_slope, platt_offset, "xquad")
    share, at = weigh_candidate_aspects(pool, get_aspect_shares(pool.context, aspects, "xquad"), r)
    of_user = np.repeat(at.ravel() // max(pool.items.shape[1], 1), np.diff(share.indptr))
    place = of_user * share.shape[1] + share.indices
    total = np.bincount(place, share.data, minlength=len(pool.users) * share.shape[1])[place]
    share.data = np.where(total > 0, share.data / np.where(total > 0, total, 1.0), 0.0)
    return make_noisy_or_coverage(
        share, at, get_aspect_mixes(pool.context, aspects, "xquad")[pool.users], alpha, "xquad"
    )


def rxquad(
    pool: Pool,
    k: int,
    *,
    aspects: str = "features",
    alpha: float = 0.5,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return sum_g p(g|u) p(i, g) prod over j in S of (1 - alpha p(j, g)): aspects in which nothing is liked yet.

    RxQuAD, Vargas, Castells and Vallet 2012. p(i, g) = r(i) where item i has the feature g (times its share of the
    region, for `aspects="map"`), r the probability of a like: `score_transform="probability"` says it, by default r is
    the score's place in its range. p(g|u) is the mix of the history. With alpha = 1, the paper's, a candidate that is
    sure to be liked ends its aspects for good, and by range the best candidate is sure; 0.5, the usual of alpha-nDCG,
    leaves half. Monotone submodular. A probability of 1 counts as 1 - 1e-12.

    Args:
        alpha: How much of an aspect a pick that is sure to be liked settles, from 0 to 1.

    :Formula: sum_g p(g|u) p(n, g) prod over j in S of (1 - alpha p(j, g))
    :Range: [0, 1]
    :More: features of the history in which nothing is liked yet
    :Cost: U N k g, g features of an item
    :Source: Vargas, Castells and Vallet 2012

    Raises:
        RecsysError: for an invalid setting, or a pool without histories or features.
    """
    r = transform_scores(pool, score_transform, platt_slope, platt_offset, "rxquad")
    liked, at = weigh_candidate_aspects(pool, get_item_aspects(pool.context, aspects, "rxquad"), r)
    return make_noisy_or_coverage(
        liked, at, get_aspect_mixes(pool.context, aspects, "rxquad")[pool.users], alpha, "rxquad"
    )


def facility_location(
    pool: Pool,
    k: int,
    *,
    space: str = "cooccurrence",
    targets: int = 50,
    history: bool = False,
    score_transform: str = "range",
    platt_slope: float = 0.0,
    platt_offset: float = 0.0,
) -> Coverage:
    """Return the gain in sum_j r(j) max over i in S of sim(i, j) / sum_j r(j), in [0, 1]: slates that represent.

    The targets j are the user's first `targets` candidates, sim the square of the cosine in `space` where that is above
    0 (1 of a target to itself); r on [0, 1] is as `score_transform` says, as for `relevance`. With `history`, the
    maximum begins with what the user's history already stands for. Monotone submodular (facility location: Krause and
    Golovin 2014). Takes 8 bytes and a step of each pick for every user, candidate and target.

    Args:
        targets: How many of the user's best candidates are to be represented.
        history: Whether what the history represents already counts as there.

    :Formula: sum_j r(j) max(0, sim(n, j) - c_j) / sum_j r(j), c_j the largest in S
    :Range: [0, 1]
    :More: picks that stand for plausible candidates
    :Cost: U N T (d + k), T targets
    :Source: Krause and Golovin 2014

    Raises:
        RecsysError: for an invalid setting, or a pool that does not have the space, or no histories.
    """
    from recsys.kernels.facility_location import fill_target_similarities

    of = slice(0, check_int("facility_location: targets", targets, 1))
    history = check_flag("facility_location: history", history)
    table, at = get_item_vectors(pool.context, space, "facility_location"), get_item_codes(pool)
    weight = transform_scores(pool, score_transform, platt_slope, platt_offset, "facility_location")[:, of]
    total = weight.sum(axis=1, keepdims=True)
    sims = np.empty((*at.shape, weight.shape[1]), np.float32)
    columns = np.empty(sims.shape, np.int32)
    for users in (slice(first, first + USERS_AT_ONCE) for first in range(0, len(at), USERS_AT_ONCE)):
        near = table[at[users]]
        np.matmul(near, near[:, of].transpose(0, 2, 1), out=sims[users])
        fill_target_similarities(sims[users], columns[users])
    pointers = np.arange(at.size + 1, dtype=np.int32 if sims.size < 2**31 else np.int64) * weight.shape[1]
    start = None
    if history:
        start = compute_largest_cosines(pool, space, "facility_location", of.stop) ** 2
    standing = sparse.csr_array((sims.ravel(), columns.ravel(), pointers), shape=(at.size, weight.shape[1]))
    standing.has_canonical_format = True  # as it is made: to look would take as long as to make it
    return Coverage(
        standing,
        np.arange(at.size, dtype=np.int64).reshape(at.shape),
        weight / np.where(total > 0, total, 1.0),
        "max",
        start=start,
    )
