"""The exposure deficit: consumption of nearby other communities that the slate does not show."""

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.maths.communities import assign_communities, fit_community_model
from recsys.metrics._hits import MarkedPositives, compute_recall_by_map, count_marked_positives
from recsys.metrics._shared import divide_or_nan, get_shown_matrix, get_test_users
from recsys.metrics.derived_tables import MapTable
from recsys.support import rng
from recsys.types import Evaluation, GroundTruth, PerMap, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints

_AVERAGED_OVER = "w = 1, uniform slots of 1/k; mean over users to whom something is owed, then over maps"

OUTSIDE_BUBBLE, OWED_MIXES = MapTable("outside_bubble"), MapTable("owed_mixes")
OWED_TOTALS = MapTable("owed_totals")
USER_COMMUNITIES = MapTable("user_communities")


def exposure_deficit(evaluation: Evaluation, k: int) -> PerMap:
    """Share of the consumption of nearby other communities that the slate does not show; audit maps.

    `recsys.maths.distributions.deficit` with q of `recsys.maths.distributions.nearby_community_mixes` and the slate's
    exposure e with slot weights 1/k, so that a short slate leaves exposure unused.

    :Formula: sum over regions of max(0, q - e) / sum of q, mean over maps
    :Range: [0, 1]
    :Better: less
    :Cost: M U (k + Z), M maps of Z regions
    :Source: this project
    """
    return PerMap(
        _compute_deficits(evaluation, k, "audit_maps"), f"q of near other communities, audit maps, {_AVERAGED_OVER}", -1
    )


def exposure_deficit_own(evaluation: Evaluation, k: int) -> PerMap:
    """`exposure_deficit` on the objectives' own maps: circular for an objective that aims at them.

    :Formula: sum over regions of max(0, q - e) / sum of q, mean over maps
    :Range: [0, 1]
    :Better: less
    :Cost: M U (k + Z), M maps of Z regions
    :Source: this project
    """
    return PerMap(
        _compute_deficits(evaluation, k, "objective_maps"),
        f"q of near other communities, own maps, {_AVERAGED_OVER}",
        -1,
    )


def out_of_bubble_recall(evaluation: Evaluation, k: int) -> PerMap:
    """Recall of the held-out positives that lie in regions nearby other communities consume more of; audit maps.

    A region lies outside of a user's bubble where their history has a smaller share of it than q, the mix of
    `recsys.maths.distributions.nearby_community_mixes`; NaN for users without history or without such positives.
    `counts`, means over maps: `users`, `held_out` such positives, `hits` among them.

    :Formula: hits in regions with p < q / held-out positives there, mean over maps
    :Range: [0, 1]
    :Better: more
    :Cost: M U (T + Z), M maps of Z regions, T held-out positives
    :Source: this project
    """
    truth = evaluation.truth
    outside = OUTSIDE_BUBBLE.get(truth, lambda: _find_out_of_bubble(truth))
    values, behind = compute_recall_by_map(evaluation, k, outside, np.inf)
    convention = (
        "hits / all held-out positives in regions with less of the history than of near other communities, audit maps; "
        "mean over users with a history and such positives, then over maps, an empty slate counts 0"
    )
    return PerMap(values, convention, 1, behind)


def compute_owed_mixes(truth: GroundTruth, taste_map: TasteMap) -> Doubles:
    """Return the mix of nearby other communities over regions, (U, Z): of `truth.judge_users` where there are some."""
    own = distributions.user_mixes(truth.split.train, taste_map.assignment)
    return distributions.nearby_community_mixes(own, get_user_communities(truth), truth.judge_users)


def _compute_deficits(evaluation: Evaluation, k: int, family: str) -> Doubles:
    truth = evaluation.truth
    maps = getattr(truth, family)
    mixes = _get_owed_mixes(truth, family)
    owed = OWED_TOTALS.get(truth, lambda: np.array([q.sum(axis=-1) for q in mixes]), family)
    shown = get_shown_matrix(evaluation, k)
    missing = np.empty((len(maps), shown.shape[0]))
    for b in iter_blocks(shown.shape[0]):
        of_block = shown[b]
        for m, (taste_map, q) in enumerate(zip(maps, mixes, strict=True)):
            given = distributions.sum_by_region(of_block, taste_map.assignment) / k
            missing[m, b] = np.maximum(0.0, q[b] - given).sum(axis=-1)
    return divide_or_nan(missing, owed.reshape(missing.shape))


def _get_owed_mixes(truth: GroundTruth, family: str) -> list[Doubles]:
    """Return `compute_owed_mixes` by each of a family of maps."""
    return OWED_MIXES.get(truth, lambda: [compute_owed_mixes(truth, m) for m in getattr(truth, family)], family)


def _find_out_of_bubble(truth: GroundTruth) -> MarkedPositives:
    """Return which held-out positives lie outside of their user's bubble, by each audit map, in the test's order."""
    split, users = truth.split, get_test_users(truth)
    history, found = np.diff(split.train.indptr)[users] > 0, []
    for taste_map, due in zip(truth.audit_maps, _get_owed_mixes(truth, "audit_maps"), strict=True):
        beyond = distributions.user_mixes(split.train, taste_map.assignment) < due
        region = taste_map.hard_regions[split.test.indices]
        found.append(np.asarray(beyond[users, region] & (region >= 0) & history))
    marked: Bools = np.array(found, dtype=bool).reshape(len(found), len(users))
    return count_marked_positives(truth, marked)


def get_user_communities(truth: GroundTruth) -> Ints:
    """Return the community of each user, (U,), of the metrics' own seed.

    With `truth.judge_users` communities are those of these users, and any other user is in the nearest of them.
    """
    return USER_COMMUNITIES.get(truth, lambda: _cluster_users(truth))


def _cluster_users(truth: GroundTruth) -> Ints:
    train, judges = truth.split.train, truth.judge_users
    # A seed of their own: an objective that aims at such a mix must not be judged by its own communities.
    seed = rng.derive_seed(truth.split.seed, "judge")
    if judges is None:
        return distributions.cluster_users(train, seed)
    codes = np.full(train.shape[0], -1, dtype=np.int64)
    codes[judges] = np.arange(len(judges))
    model = fit_community_model(Csr(train[judges]), (), seed)
    return assign_communities(model, train, codes).astype(np.int32)
