"""Over- and under-exposure of items, compared with the exposure that a reference rule would give them.

E_i is how often item i would be shown, c_i how often it is; both sum to the picks. By the training positives of
everybody E_i is in their proportion: every user is served the mix of the population. By those of *near* other
communities each user's slots go to what these consume, as in `recsys.maths.distributions.nearby_community_mixes`: an
item that only its own community is shown owes nothing to its popularity alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.maths.distributions import total_variation
from recsys.metrics._shared import divide_or_nan, get_item_popularity, get_shown_matrix, make_catalogue_metric
from recsys.metrics.derived_tables import MapTable
from recsys.metrics.exposure_deficits import compute_owed_mixes, get_user_communities
from recsys.types import Evaluation, GroundTruth, PerCatalogue, RecsysError, TasteMap
from recsys.types.arrays import Csr, Doubles, Ints

ExposureReference = Literal["everybody", "near", "slates"]
EXPOSURE_REFERENCES = ("everybody", "near", "slates")

COMMUNITY_WEIGHTS, COMMUNITY_CONSUMPTION = MapTable("community_weights"), MapTable("community_consumption")

_NEAR_CONVENTION = "E by the training positives of near other communities, weights the mean over audit maps"
_TRAIN_CONVENTION = "E in proportion to train"


def under_exposure(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure that an item would have if slates followed consumption goes to others.

    The counterfactual gives every item the share of all picks that it has of the training positives. Mean over the
    items with training positives: an item that is shown more than that counts 0.

    :Formula: mean over items of max(0, E_i - c_i) / E_i, E_i = picks n_i / sum n
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    return _make_exposure_metric(
        evaluation,
        k,
        "everybody",
        _compute_lost_share,
        f"max(0, E - shown) / E, {_TRAIN_CONVENTION}, mean over items of train",
        -1,
    )


def under_exposure_near(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure that an item would have if slates followed nearby other communities goes to others.

    `under_exposure` against q_u, what nearby other communities consume: E_i = sum over users u of their slots q_ui. How
    near communities are say the audit maps, all alike. NaN without such maps.

    :Formula: mean over items with E_i > 0 of max(0, E_i - c_i) / E_i, E_i = sum over users of slots q_ui
    :Range: [0, 1]
    :Better: less
    :Cost: U k + C I; M U C Z + the training positives once, M maps of Z regions, C communities
    :Source: this project
    """
    return _make_exposure_metric(
        evaluation,
        k,
        "near",
        _compute_lost_share,
        f"max(0, E - shown) / E, {_NEAR_CONVENTION}; mean over items with E > 0",
        -1,
    )


def over_exposure(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure of an item is more than it would have if slates followed consumption.

    The other side of `under_exposure`. Mean over the items that are shown: one that is shown less than that counts 0.

    :Formula: mean over shown items of max(0, c_i - E_i) / c_i, E_i = picks n_i / sum n
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    return _make_exposure_metric(
        evaluation,
        k,
        "everybody",
        _compute_gained_share,
        f"max(0, shown - E) / shown, {_TRAIN_CONVENTION}, mean over shown",
        -1,
    )


def over_exposure_near(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure of an item is more than it would have if slates followed nearby other communities.

    The other side of `under_exposure_near`. Mean over the items that are shown.

    :Formula: mean over shown items of max(0, c_i - E_i) / c_i, E_i = sum over users of slots q_ui
    :Range: [0, 1]
    :Better: less
    :Cost: U k + C I; M U C Z + the training positives once, M maps of Z regions, C communities
    :Source: this project
    """
    return _make_exposure_metric(
        evaluation,
        k,
        "near",
        _compute_gained_share,
        f"max(0, shown - E) / shown, {_NEAR_CONVENTION}; mean over shown items",
        -1,
    )


def zero_exposure_share(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Share of the items with training positives that are on no slate.

    :Formula: items with n_i > 0 and c_i = 0 / items with n_i > 0
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    known = get_item_popularity(evaluation.truth) > 0

    def statistic(counts: Doubles) -> Doubles:
        return divide_or_nan((counts[..., known] == 0).sum(axis=-1), np.full(counts.shape[:-1], known.sum()))

    return make_catalogue_metric(evaluation, k, statistic, "items of train shown to nobody / items of train", -1)


@dataclass(frozen=True, eq=False)
class ItemExposure:
    """How often each of I items is shown, and how often it would be."""

    shown: Doubles  # (I,)
    expected: Doubles  # (I,) sums to the picks; 0 throughout where nothing is known

    @property
    def under_exposure(self) -> Doubles:
        """max(0, E - c) / E, (I,); NaN where E is 0."""
        return _compute_lost_share(self.expected, self.shown)

    @property
    def over_exposure(self) -> Doubles:
        """max(0, c - E) / c, (I,); NaN where c is 0."""
        return _compute_gained_share(self.expected, self.shown)

    @property
    def zero_exposure(self) -> float:
        """The share of the items with E > 0 that are on no slate; NaN without any."""
        return float(divide_or_nan(((self.shown == 0) & (self.expected > 0)).sum(), (self.expected > 0).sum()))


def compute_item_exposure(evaluation: Evaluation, k: int, reference: ExposureReference = "near") -> ItemExposure:
    """Return for each item how often it is shown, and how often it would be, for reports.

    `against` "everybody" and "near" are the counterfactuals of `under_exposure` and `under_exposure_near`; with
    "slates", each user's slots go to what the slates of nearby other communities show: what the policy itself shows to
    people a bit unlike the user. Against these an item that is shown to nobody is in no desert.

    Raises:
        RecsysError: for another `against`.
    """
    if reference not in EXPOSURE_REFERENCES:
        raise RecsysError(f"item_crowding: against is '{reference}', expected one of {', '.join(EXPOSURE_REFERENCES)}")
    shown = np.asarray(get_shown_matrix(evaluation, k).sum(axis=0), dtype=np.float64)
    return ItemExposure(shown, shown.sum() * _compute_expected_shares(evaluation, k, reference))


def _make_exposure_metric(
    evaluation: Evaluation,
    k: int,
    reference: ExposureReference,
    share: Callable[[Doubles, Doubles], Doubles],
    convention: str,
    direction: Literal[-1],
) -> PerCatalogue:
    owed = _compute_expected_shares(evaluation, k, reference)

    def statistic(shown: Doubles) -> Doubles:
        found = share(shown.sum(axis=-1, keepdims=True) * owed, shown)
        known = ~np.isnan(found) if owed.any() else np.zeros(found.shape, dtype=bool)
        return divide_or_nan(np.where(known, found, 0.0).sum(axis=-1), known.sum(axis=-1))

    return make_catalogue_metric(evaluation, k, statistic, convention, direction)


def _compute_lost_share(expected: Doubles, shown: Doubles) -> Doubles:
    return divide_or_nan(np.maximum(expected - shown, 0.0), expected)


def _compute_gained_share(expected: Doubles, shown: Doubles) -> Doubles:
    return divide_or_nan(np.maximum(shown - expected, 0.0), shown)


def _compute_expected_shares(evaluation: Evaluation, k: int, reference: ExposureReference) -> Doubles:
    """Return the share of all picks that each item would have, (I,): 0 throughout where nothing is known."""
    truth = evaluation.truth
    if reference == "everybody":
        owed = get_item_popularity(truth)
    else:
        shown = get_shown_matrix(evaluation, k)
        slots = np.diff(shown.indptr).astype(np.float64)
        mixes = (
            _get_community_consumption(truth)
            if reference == "near"
            else _average_by_community(shown, get_user_communities(truth))
        )
        owed = (
            slots @ _get_community_weights(truth) @ mixes
            if truth.audit_maps and len(mixes)
            else np.zeros(shown.shape[1])
        )
    return np.asarray(owed / max(float(owed.sum()), 1e-300))


def _get_community_weights(truth: GroundTruth) -> Doubles:
    """Return how near each community is to each user, (U, C), the mean over audit maps."""

    def make() -> Doubles:
        train, label = truth.split.train, get_user_communities(truth)
        weights = [
            distributions.nearby_community_weights(
                distributions.user_mixes(train, m.assignment), label, truth.judge_users
            )
            for m in truth.audit_maps
        ]
        return np.asarray(np.mean(weights, axis=0))

    return COMMUNITY_WEIGHTS.get(truth, make)


def _get_community_consumption(truth: GroundTruth) -> Doubles:
    """Return the mean mix of items of each community, (C, I): of `truth.judge_users` where there are some."""

    def make() -> Doubles:
        train, label = truth.split.train, get_user_communities(truth)
        there = slice(None) if truth.judge_users is None else truth.judge_users
        return _average_by_community(Csr(train[there]), label[there])

    return COMMUNITY_CONSUMPTION.get(truth, make)


def _average_by_community(user_items: Csr, label: Ints) -> Doubles:
    """Return the mean over a community's users of the mix of items on each one's shelf (U, I), (C, I).

    Whose shelf is empty is left out; a community of which all are has 0 throughout.
    """
    sizes = np.diff(user_items.indptr)
    rows = np.unique(label, return_inverse=True)[1]
    entry = np.repeat(np.arange(len(sizes)), sizes)
    weight = 1.0 / (sizes[entry] * np.bincount(rows, sizes > 0)[rows[entry]])
    size = int(rows.max(initial=-1)) + 1
    place = rows[entry] * user_items.shape[1] + user_items.indices
    flat = np.bincount(place, weight, minlength=size * user_items.shape[1])
    return flat.reshape(size, user_items.shape[1]).astype(np.float64)


def compute_region_displacement(evaluation: Evaluation, k: int, taste_map: TasteMap) -> Doubles:
    """Return the share of exposure owed to region g that went to region h, (Z, Z): the mean over users.

    q is what nearby other communities consume (`recsys.maths.distributions.nearby_community_mixes`), scaled to sum to
    1, e the mix of the slate. Rows sum to the mean q, columns to the mean e, everything to 1; what is off the diagonal
    is the mean total variation, the least that any coupling of q and e can move, spread in proportion. Users without
    anything owed or shown on the map are left out; without any user, NaN.

    Formula: diag(min(q, e)) + max(0, q - e) max(0, e - q)' / TV(q, e).
    """
    shown, q = get_shown_matrix(evaluation, k), compute_owed_mixes(evaluation.truth, taste_map)
    size = taste_map.assignment.shape[1]
    total, n = np.zeros((size, size)), 0
    for b in iter_blocks(shown.shape[0]):
        e = distributions.user_mixes(shown[b], taste_map.assignment)
        known = e.any(axis=1) & (q[b].sum(axis=1) > 0)
        due, e = q[b][known] / q[b][known].sum(axis=1, keepdims=True), e[known]
        moved = total_variation(due, e)[:, None]
        lost, won = np.maximum(due - e, 0.0), np.maximum(e - due, 0.0)
        total += np.diag(np.minimum(due, e).sum(axis=0)) + lost.T @ (won / np.where(moved > 0, moved, 1.0))
        n += int(known.sum())
    return total / n if n else np.full((size, size), np.nan)
