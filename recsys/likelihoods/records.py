"""The record of a learned likelihood, checked when it is made."""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.likelihoods import features as functions
from recsys.likelihoods.features import COMPILED_FEATURES
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.arrays import Doubles, Strings
from recsys.types.checks import check_array, check_finite
from recsys.types.errors import check_choice
from recsys.types.numbers import check_int, check_number
from recsys.types.pools import LIKELIHOOD_KINDS

SPACES = ("cooccurrence", "factors", "features", "none")
REGION_FEATURES = ("region_lift", "region_plausibility", "region_share", "regions_explored")
COSINE_FEATURES = ("head_similarity", "history_max", "history_mean", "history_top3", "nearest_above")


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A linear model of how likely a candidate is liked: named features, their standardisation and coefficients.

    The score of a candidate is intercept + sum of coefficient * (feature - mean) / scale. Of kind "softmax" exp(score)
    is in proportion to the probability among a user's candidates; of kind "logistic" the score is the log-odds of a
    like. `recsys.likelihoods.fit_likelihood` makes one.
    """

    kind: str  # "softmax" or "logistic"
    features: Strings  # (F,) names: functions of `recsys.likelihoods.features`, or of `columns`
    means: Doubles  # (F,) over the candidates that it was fitted to
    scales: Doubles  # (F,) standard deviations over them, above 0
    coefficients: Doubles  # (F,) of standardised features
    covariance: Doubles  # (F, F) of the coefficients, over users
    intercept: float  # 0 of kind "softmax"
    space: str  # of cosines: "cooccurrence", "factors", "features" or "none"
    has_maps: bool  # whether regions of own maps are among what it reads
    head: int  # so many best candidates of a user say how scores and regions lie
    n_items: int  # I
    items_digest: str  # of the ids of the items
    columns: Strings  # (C,) names of the context features
    column_values: Doubles  # (C, I) their value for each item
    fold_seed: int  # of the folds of users
    fold_coefficients: Doubles  # (K, F) fitted without the users of each fold
    fold_intercepts: Doubles  # (K,)
    n_users: int  # users with held-out likes, over whom accuracy is the mean
    n_likes: int  # likes among the candidates
    ndcg: float  # nDCG@10 out of fold
    base_ndcg: float  # nDCG@10 of the order that it was given
    ci_low: float  # of the difference, 95 %, over users
    ci_high: float
    notes: Strings  # (n,) one line each: features that were left out

    def __post_init__(self) -> None:
        """Refuse arrays that do not go together, names of no feature, and numbers that are not finite.

        Raises:
            RecsysError: naming the field.
        """
        check_choice("kind", self.kind, LIKELIHOOD_KINDS, where="likelihood")
        check_choice("space", self.space, SPACES, where="likelihood")
        for name in ("features", "columns", "notes"):
            check_array(f"likelihood: {name}", getattr(self, name), (None,), "U")
        f, c = len(self.features), len(self.columns)
        shapes: dict[str, tuple[int | None, ...]] = {
            "means": (f,), "scales": (f,), "coefficients": (f,), "covariance": (f, f),
            "column_values": (c, self.n_items), "fold_coefficients": (None, f),
            "fold_intercepts": (len(self.fold_coefficients),),
        }  # fmt: skip
        for name, shape in shapes.items():
            check_array(f"likelihood: {name}", getattr(self, name), shape)
            check_finite(f"likelihood: {name}", getattr(self, name))
        if f and not self.scales.min() > 0:
            raise RecsysError(f"likelihood: scales holds {self.scales.min():g}, expected numbers above 0")
        for name in ("intercept", "ndcg", "base_ndcg", "ci_low", "ci_high"):
            check_number(f"likelihood: {name}", getattr(self, name), -math.inf)
        for name in ("head", "n_items", "n_users"):
            check_int(f"likelihood: {name}", getattr(self, name), 1)
        known = [*list_feature_names(), *self.columns.tolist()]
        for name in self.features.tolist():
            if name not in known:
                raise make_unknown_name_error("feature", name, known, where="likelihood")
        if len(set(self.features.tolist())) < f:
            raise RecsysError("likelihood: a feature is there twice, expected each once")

    @property
    def beats_base(self) -> bool:
        """Whether its nDCG@10 out of fold is not below the base's."""
        return self.ndcg >= self.base_ndcg

    @property
    def difference(self) -> float:
        """The nDCG@10 out of fold minus the base's."""
        return self.ndcg - self.base_ndcg

    def describe(self) -> str:
        """Return its accuracy out of fold against the base's, in one line."""
        share = f" ({self.difference / self.base_ndcg:+.1%})" if self.base_ndcg > 0 else ""
        return (
            f"likelihood ({self.kind}, {len(self.features)} features): nDCG@10 out of fold {self.ndcg:.4f} against "
            f"{self.base_ndcg:.4f} of the base, {self.difference:+.4f}{share}, 95 % interval {self.ci_low:+.4f} to "
            f"{self.ci_high:+.4f} over {self.n_users:,} users"
        )

    def __repr__(self) -> str:
        """Return the same, in angle brackets."""
        return f"<{self.describe()}>"

    def check_items(self, item_ids: Strings) -> None:
        """Refuse a catalogue other than that it was fitted to.

        Raises:
            RecsysError: saying how many items it has.
        """
        if len(item_ids) != self.n_items:
            raise RecsysError(f"likelihood: is of {self.n_items} items, expected one of these {len(item_ids)}")
        if digest_ids(item_ids) != self.items_digest:
            raise RecsysError(f"likelihood: is of {self.n_items} other items, expected one fitted to the same ids")

    def move_to_items(self, known: Strings, item_ids: Strings) -> "Likelihood":
        """Return the likelihood, of the items `known`, for a catalogue that has these and others.

        Of others, on which it was not fitted, columns have the values that add nothing.

        Raises:
            RecsysError: if it is not of these items, or the catalogue lacks one of them.
        """
        self.check_items(known)
        places = {name: code for code, name in enumerate(known.tolist())}
        taken = np.array([places.get(name, -1) for name in item_ids.tolist()], np.int64)
        if lost := len(known) - int((taken >= 0).sum()):
            raise RecsysError(
                f"likelihood: {lost:,} of its {len(known):,} items are not in the catalogue, expected all"
            )
        means = dict(zip(self.features.tolist(), self.means.tolist(), strict=True))
        others = np.array([means.get(name, 0.0) for name in self.columns.tolist()])
        values = np.where(taken >= 0, self.column_values[:, taken], others[:, None])
        return replace(self, n_items=len(item_ids), items_digest=digest_ids(item_ids), column_values=values)

    def get_weights(self, coefficients: Doubles, intercept: Any) -> tuple[Doubles, Any]:
        """Return the weights (..., F) of features as they are, and the offset, of coefficients (..., F)."""
        weights = coefficients / self.scales
        return weights, intercept - weights @ self.means


def list_feature_names() -> tuple[str, ...]:
    """Return the names of all features: the compiled ones in their order, and the others."""
    return (*COMPILED_FEATURES, *(name for name in functions.__all__ if name not in COMPILED_FEATURES))


def digest_ids(ids: Strings) -> str:
    """Return sixteen characters that depend on ids and their order."""
    return hashlib.sha256("\n".join(ids.tolist()).encode()).hexdigest()[:16]
