"""Whose place in the catalogue's attention others have taken, against what each item would be shown by another rule.

E_i is how often item i would be shown, c_i how often it is; both sum to the picks. By the training positives of
everybody E_i is in their proportion: every user is served the mix of the population. By those of *near* other
communities each user's slots go to what these consume, as in `recsys.maths.near_mixes`: an item that only its own
community is shown owes nothing to its popularity alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys import maths
from recsys.metrics.deficits import communities
from recsys.metrics.picks import divide, of_counts, picks, popularity
from recsys.types import Evaluation, PerCatalogue, RecsysError, Yardstick
from recsys.types.arrays import Csr, Doubles, Ints

Against = Literal["everybody", "near", "slates"]
AGAINST = ("everybody", "near", "slates")

_NEAR = "E by the training positives of near other communities, weights the mean over audit maps"
_TRAIN = "E in proportion to train"


def crowd_out(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure that an item would have if slates followed consumption goes to others.

    The counterfactual gives every item the share of all picks that it has of the training positives. Mean over the
    items with training positives: an item that is shown more than that counts 0.

    :Formula: mean over items of max(0, E_i - c_i) / E_i, E_i = picks n_i / sum n
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    return _answer(evaluation, k, "everybody", _lost, f"max(0, E - shown) / E, {_TRAIN}, mean over items of train", -1)


def crowd_out_near(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure that an item would have if slates followed nearby other communities goes to others.

    `crowd_out` against q_u, what nearby other communities consume: E_i = sum over users u of their slots q_ui. How near
    communities are say the audit maps, all alike. NaN without such maps.

    :Formula: mean over items with E_i > 0 of max(0, E_i - c_i) / E_i, E_i = sum over users of slots q_ui
    :Range: [0, 1]
    :Better: less
    :Cost: U k + C I; M U C Z + the training positives once, M maps of Z regions, C communities
    :Source: this project
    """
    return _answer(evaluation, k, "near", _lost, f"max(0, E - shown) / E, {_NEAR}; mean over items with E > 0", -1)


def amplification(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure of an item is more than it would have if slates followed consumption.

    The other side of `crowd_out`. Mean over the items that are shown: one that is shown less than that counts 0.

    :Formula: mean over shown items of max(0, c_i - E_i) / c_i, E_i = picks n_i / sum n
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    return _answer(evaluation, k, "everybody", _gained, f"max(0, shown - E) / shown, {_TRAIN}, mean over shown", -1)


def amplification_near(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How much of the exposure of an item is more than it would have if slates followed nearby other communities.

    The other side of `crowd_out_near`. Mean over the items that are shown.

    :Formula: mean over shown items of max(0, c_i - E_i) / c_i, E_i = sum over users of slots q_ui
    :Range: [0, 1]
    :Better: less
    :Cost: U k + C I; M U C Z + the training positives once, M maps of Z regions, C communities
    :Source: this project
    """
    return _answer(evaluation, k, "near", _gained, f"max(0, shown - E) / shown, {_NEAR}; mean over shown items", -1)


def exposure_desert(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Share of the items with training positives that are shown to nobody.

    :Formula: items with n_i > 0 and c_i = 0 / items with n_i > 0
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: this project
    """
    known = popularity(evaluation.yardstick) > 0

    def statistic(counts: Doubles) -> Doubles:
        return divide((counts[..., known] == 0).sum(axis=-1), np.full(counts.shape[:-1], known.sum()))

    return of_counts(evaluation, k, statistic, "items of train shown to nobody / items of train", -1)


@dataclass(frozen=True, eq=False)
class ItemCrowding:
    """How often each of I items is shown, and how often it would be."""

    shown: Doubles  # (I,)
    expected: Doubles  # (I,) sums to the picks; 0 throughout where nothing is known

    @property
    def crowd_out(self) -> Doubles:
        """max(0, E - c) / E, (I,); NaN where E is 0."""
        return _lost(self.expected, self.shown)

    @property
    def amplification(self) -> Doubles:
        """max(0, c - E) / c, (I,); NaN where c is 0."""
        return _gained(self.expected, self.shown)

    @property
    def desert(self) -> float:
        """The share of the items with E > 0 that are shown to nobody; NaN without any."""
        return float(divide(((self.shown == 0) & (self.expected > 0)).sum(), (self.expected > 0).sum()))


def item_crowding(evaluation: Evaluation, k: int, against: Against = "near") -> ItemCrowding:
    """Return for each item how often it is shown, and how often it would be, for reports.

    `against` "everybody" and "near" are the counterfactuals of `crowd_out` and `crowd_out_near`; with "slates", each
    user's slots go to what the slates of nearby other communities show: what the policy itself shows to people a bit
    unlike the user. Against these an item that is shown to nobody is in no desert.

    Raises:
        RecsysError: for another `against`.
    """
    if against not in AGAINST:
        raise RecsysError(f"item_crowding: against is '{against}', expected one of {', '.join(AGAINST)}")
    shown = np.asarray(picks(evaluation, k).sum(axis=0), dtype=np.float64)
    return ItemCrowding(shown, shown.sum() * _owed(evaluation, k, against))


def _answer(
    evaluation: Evaluation,
    k: int,
    against: Against,
    share: Callable[[Doubles, Doubles], Doubles],
    convention: str,
    direction: Literal[-1],
) -> PerCatalogue:
    owed = _owed(evaluation, k, against)

    def statistic(shown: Doubles) -> Doubles:
        found = share(shown.sum(axis=-1, keepdims=True) * owed, shown)
        known = ~np.isnan(found) if owed.any() else np.zeros(found.shape, dtype=bool)
        return divide(np.where(known, found, 0.0).sum(axis=-1), known.sum(axis=-1))

    return of_counts(evaluation, k, statistic, convention, direction)


def _lost(expected: Doubles, shown: Doubles) -> Doubles:
    return divide(np.maximum(expected - shown, 0.0), expected)


def _gained(expected: Doubles, shown: Doubles) -> Doubles:
    return divide(np.maximum(shown - expected, 0.0), shown)


def _owed(evaluation: Evaluation, k: int, against: Against) -> Doubles:
    """Return the share of all picks that each item would have, (I,): 0 throughout where nothing is known."""
    yardstick = evaluation.yardstick
    if against == "everybody":
        owed = popularity(yardstick)
    else:
        shown = picks(evaluation, k)
        slots = np.diff(shown.indptr).astype(np.float64)
        mixes = _consumed(yardstick) if against == "near" else _of_communities(shown, communities(yardstick))
        owed = slots @ _near(yardstick) @ mixes if yardstick.audit_maps and len(mixes) else np.zeros(shown.shape[1])
    return np.asarray(owed / max(float(owed.sum()), 1e-300))


def _near(yardstick: Yardstick) -> Doubles:
    """Return how near each community is to each user, (U, C), the mean over audit maps."""

    def make() -> Doubles:
        train, label = yardstick.split.train, communities(yardstick)
        weights = [maths.near_weights(maths.user_mixes(train, m.assignment), label) for m in yardstick.audit_maps]
        return np.asarray(np.mean(weights, axis=0))

    return yardstick.tables.get("near communities", make)


def _consumed(yardstick: Yardstick) -> Doubles:
    """Return what each community consumes, (C, I)."""
    train = yardstick.split.train
    return yardstick.tables.get("consumed", lambda: _of_communities(train, communities(yardstick)))


def _of_communities(shelves: Csr, label: Ints) -> Doubles:
    """Return the mean over a community's users of the mix of items on each one's shelf (U, I), (C, I).

    Whose shelf is empty is left out; a community of which all are has 0 throughout.
    """
    sizes = np.diff(shelves.indptr)
    rows = np.unique(label, return_inverse=True)[1]
    entry = np.repeat(np.arange(len(sizes)), sizes)
    weight = 1.0 / (sizes[entry] * np.bincount(rows, sizes > 0)[rows[entry]])
    size = int(rows.max(initial=-1)) + 1
    place = rows[entry] * shelves.shape[1] + shelves.indices
    flat = np.bincount(place, weight, minlength=size * shelves.shape[1])
    return flat.reshape(size, shelves.shape[1]).astype(np.float64)
