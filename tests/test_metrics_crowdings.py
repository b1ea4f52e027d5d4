"""Crowding-out item by item: counterfactuals against sets and loops."""

import numpy as np
import pytest
from slowly import make_evaluation, owed_near

from recsys import metrics
from recsys.metrics.crowdings import AGAINST, item_crowding
from recsys.types import Evaluation, RecsysError, Yardstick


def expected_of(against, evaluation, k):
    shelves = [{int(i) for i in row[:k] if i >= 0} for row in evaluation.items]
    if against == "everybody":
        n = evaluation.yardstick.split.train.toarray().astype(float).sum(axis=0)
        return n / n.sum() * sum(map(len, shelves))
    owed = owed_near(evaluation, k, shelves if against == "slates" else None)
    return np.array([owed[i] for i in range(40)])


@pytest.mark.parametrize("against", AGAINST)
@pytest.mark.parametrize("k", [1, 5, 12])
def test_what_is_crowded_out_and_amplified_is_the_definition(against, k):
    evaluation = make_evaluation(k)
    found, expected = item_crowding(evaluation, k, against), expected_of(against, evaluation, k)
    shown = np.bincount([i for row in evaluation.items[:, :k] for i in row if i >= 0], minlength=40)
    assert found.shown.tolist() == shown.tolist()
    assert found.expected == pytest.approx(expected)
    assert found.expected.sum() == pytest.approx(shown.sum())
    for i in range(40):
        lost = max(0, expected[i] - shown[i]) / expected[i] if expected[i] else np.nan
        gained = max(0, shown[i] - expected[i]) / shown[i] if shown[i] else np.nan
        assert found.crowd_out[i] == pytest.approx(lost, nan_ok=True)
        assert found.amplification[i] == pytest.approx(gained, nan_ok=True, abs=1e-9)
    assert found.desert == pytest.approx(np.mean([shown[i] == 0 for i in range(40) if expected[i] > 0]))
    assert found.desert == 0 or against != "slates"


@pytest.mark.parametrize("against", ["everybody", "near"])
def test_its_means_are_the_metrics(against):
    evaluation = make_evaluation()
    found, end = item_crowding(evaluation, 5, against), "_near" if against == "near" else ""
    for name in ("crowd_out", "amplification"):
        answer = getattr(metrics, name + end)(evaluation, 5)
        assert float(answer.statistic(found.shown)) == pytest.approx(np.nanmean(getattr(found, name)))
    assert float(metrics.exposure_desert(evaluation, 5).statistic(found.shown)) == pytest.approx(found.desert)


def test_what_is_lost_is_what_others_win():
    """Exposure only moves: what items have less than expected, others have more."""
    for against in AGAINST:
        found = item_crowding(make_evaluation(), 5, against)
        lost, won = found.crowd_out * found.expected, found.amplification * found.shown
        assert np.nansum(lost) == pytest.approx(np.nansum(won))


def test_slates_that_are_all_alike_crowd_nobody_out_against_each_other():
    evaluation = make_evaluation()
    same = Evaluation(np.tile(np.arange(5, dtype=np.int32), (30, 1)), evaluation.yardstick)
    found = item_crowding(same, 5, "slates")
    assert found.crowd_out[:5] == pytest.approx(0) and found.amplification[:5] == pytest.approx(0)
    assert np.isnan(found.crowd_out[5:]).all()


def test_without_audit_maps_nothing_is_near():
    evaluation = make_evaluation()
    found = item_crowding(Evaluation(evaluation.items, Yardstick(evaluation.yardstick.split)), 5, "near")
    assert np.isnan(found.crowd_out).all() and np.isnan(found.desert)


def test_another_counterfactual_is_refused():
    with pytest.raises(
        RecsysError, match=r"^item_crowding: against is 'merit', expected one of everybody, near, slates"
    ):
        item_crowding(make_evaluation(), 5, "merit")
