"""One definition per quantity: used by the objective that wants it and by the metric that measures it."""

from recsys.maths.curves import logistic, platt
from recsys.maths.mixes import acceptance, communities, deficit, hard_members, kl, near_mixes, touched, user_mixes
from recsys.maths.popularity import counts, gini, in_tail, self_information
from recsys.maths.posteriors import fold, gram, root
from recsys.maths.spaces import (
    cooccurrence_vectors,
    feature_vectors,
    leading_vectors,
    mean_in_profile,
    nearest_in_profile,
    singular_vectors,
    unit,
)

__all__ = [
    "acceptance", "communities", "cooccurrence_vectors", "counts", "deficit", "feature_vectors", "fold", "gini",
    "gram", "hard_members", "in_tail", "kl", "leading_vectors", "logistic", "mean_in_profile", "near_mixes",
    "nearest_in_profile", "platt", "root", "self_information", "singular_vectors", "touched", "unit", "user_mixes",
]  # fmt: skip
