"""One definition per quantity: used by the objective that wants it and by the metric that measures it."""

from recsys.maths.curves import logistic, platt
from recsys.maths.mixes import (
    acceptance,
    communities,
    community_axes,
    community_mixes,
    deficit,
    entropy,
    even_shares,
    hard_members,
    kl,
    masses,
    mostly_untouched,
    near_mixes,
    near_weights,
    share_of_likes,
    squared_distances,
    touched,
    user_mixes,
    usual_distance,
    weights_of_near,
)
from recsys.maths.orders import best_first, comparable
from recsys.maths.popularity import counts, gini, in_tail, mass_above, popularity_groups, self_information, standing
from recsys.maths.posteriors import fold, gram, root
from recsys.maths.recencies import DAY, faded, moments
from recsys.maths.spaces import (
    cooccurrence_vectors,
    feature_vectors,
    leading_vectors,
    mean_in_profile,
    mean_profiles,
    nearest_in_profile,
    rarity,
    rarity_vectors,
    right_singular_vectors,
    singular_vectors,
    unit,
)
from recsys.maths.surprises import largest_in_profile, nearest_in_rest, npmi_shares, typical_distances, usual_distances
from recsys.maths.tops import NEVER, in_order, reached, top

__all__ = [
    "DAY", "NEVER", "acceptance", "best_first", "communities", "community_axes", "community_mixes", "comparable",
    "cooccurrence_vectors", "counts",
    "deficit", "entropy", "even_shares", "faded", "feature_vectors", "fold", "gini", "gram", "hard_members",
    "in_order", "in_tail", "kl", "largest_in_profile", "leading_vectors", "logistic", "mass_above", "masses",
    "mean_in_profile", "mean_profiles", "moments", "mostly_untouched", "near_mixes", "near_weights",
    "nearest_in_profile", "nearest_in_rest", "npmi_shares", "platt", "popularity_groups", "rarity", "rarity_vectors",
    "reached", "right_singular_vectors", "root", "self_information", "share_of_likes", "singular_vectors",
    "squared_distances", "standing", "top", "touched", "typical_distances", "unit", "user_mixes", "usual_distance",
    "usual_distances", "weights_of_near",
]  # fmt: skip
