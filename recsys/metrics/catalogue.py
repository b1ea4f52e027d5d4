"""Coverage and inequality of the exposure of items over all users.

Everything is a statistic of how often each item is shown, and depends on the number of users: compare runs over the
same users.
"""

import numpy as np

from recsys.maths import inequality, popularity
from recsys.metrics._shared import divide_or_nan, make_catalogue_metric
from recsys.types import Evaluation, PerCatalogue
from recsys.types.arrays import Doubles


def coverage(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Share of the catalogue that is shown to at least one user. It grows with the number of users.

    :Formula: items shown to anybody / I
    :Range: [0, 1]
    :Better: more
    :Cost: U k + I
    :Source: Ge, Delgado-Battenfeld and Jannach 2010
    """
    return make_catalogue_metric(evaluation, k, _share_shown, "items shown to anybody / all items of the split", 1)


def never_shown(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Share of the catalogue that is on no slate: 1 - coverage.

    :Formula: items shown to nobody / I
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I
    :Source: Ge, Delgado-Battenfeld and Jannach 2010
    """
    return make_catalogue_metric(
        evaluation, k, _share_never_shown, "items shown to nobody / all items of the split", -1
    )


def gini(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Gini index of how often each item is shown: 0 where all are shown equally often.

    Over all I items, never-shown ones included, with denominator I (`recsys.maths.popularity.gini`).

    :Formula: sum over j of (2 j - I - 1) x_(j) / (I sum x), x ascending
    :Range: [0, 1]
    :Better: less
    :Cost: U k + I log I
    :Source: Gini 1912
    """
    return make_catalogue_metric(
        evaluation, k, popularity.gini, "Gini index over all items of the split, denominator I", -1
    )


def evenness(evaluation: Evaluation, k: int) -> PerCatalogue:
    """1 - Gini index: 1 where all items are shown equally often. Some libraries call this Gini.

    :Formula: 1 - sum over j of (2 j - I - 1) x_(j) / (I sum x), x ascending
    :Range: [0, 1]
    :Better: more
    :Cost: U k + I log I
    :Source: Vargas and Castells 2014
    """
    return make_catalogue_metric(
        evaluation, k, _evenness, "1 - Gini index over all items of the split, denominator I", 1
    )


def shannon_entropy(evaluation: Evaluation, k: int) -> PerCatalogue:
    """Entropy of the shares of the picks over all items, in bits.

    :Formula: -sum over items of p log2 p
    :Range: [0, log2(I)] bits
    :Better: more
    :Cost: U k + I
    :Source: Shannon 1948
    """
    return make_catalogue_metric(evaluation, k, inequality.entropy_bits, "-sum p log2 p over items", 1, (0.0, np.inf))


def effective_catalogue(evaluation: Evaluation, k: int) -> PerCatalogue:
    """How many items, all shown equally often, would have the same entropy.

    :Formula: 2^H, H = -sum over items of p log2 p
    :Range: [1, I] items
    :Better: more
    :Cost: U k + I
    :Source: Hill 1973
    """
    span = (1.0, float(evaluation.truth.split.train.shape[1]))
    return make_catalogue_metric(evaluation, k, _effective_number, "2^H, H the entropy of the picks in bits", 1, span)


def herfindahl(evaluation: Evaluation, k: int) -> PerCatalogue:
    """1 - the Herfindahl-Hirschman index (Gini-Simpson): the chance that two picks are of different items.

    :Formula: 1 - sum over items of p^2
    :Range: [0, 1]
    :Better: more
    :Cost: U k + I
    :Source: Simpson 1949
    """
    return make_catalogue_metric(evaluation, k, _gini_simpson, "1 - sum of squared shares of the picks", 1)


def mean_inter_list(evaluation: Evaluation, k: int) -> PerCatalogue:
    """1 - the share of items that two users' slates have in common, mean over pairs of users (personalisation).

    From item counts alone, in the time of one pass: exact where every slate has k items; U is the number of picks
    over k.

    :Formula: 1 - (sum over items of c_i^2 - U k) / (k U (U - 1)), c_i users who are shown i
    :Range: [0, 1]
    :Better: more
    :Cost: U k + I
    :Source: Zhou et al. 2010
    """

    def statistic(counts: Doubles) -> Doubles:
        shown = counts.sum(axis=-1)
        return 1.0 - divide_or_nan((counts**2).sum(axis=-1) - shown, shown * (shown / k - 1.0))

    return make_catalogue_metric(evaluation, k, statistic, "1 - items in common / k, mean over pairs of users", 1)


def _share_shown(shown: Doubles) -> Doubles:
    return np.asarray((shown > 0).mean(axis=-1))


def _share_never_shown(shown: Doubles) -> Doubles:
    return np.asarray((shown == 0).mean(axis=-1))


def _evenness(shown: Doubles) -> Doubles:
    return np.asarray(1.0 - popularity.gini(shown))


def _effective_number(shown: Doubles) -> Doubles:
    return np.asarray(2.0 ** inequality.entropy_bits(shown))


def _gini_simpson(shown: Doubles) -> Doubles:
    return np.asarray(1.0 - inequality.herfindahl(shown))
