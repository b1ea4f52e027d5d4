"""Crowding-out item by item: counterfactuals against sets and loops."""

import numpy as np
import pytest
from reference_metrics import compute_near_exposure, make_evaluation

from recsys import metrics
from recsys.metrics.exposure import EXPOSURE_REFERENCES, compute_item_exposure
from recsys.types import Evaluation, GroundTruth, RecsysError


def expected_of(against, evaluation, k):
    shelves = [{int(i) for i in row[:k] if i >= 0} for row in evaluation.items]
    if against == "everybody":
        n = evaluation.truth.split.train.toarray().astype(float).sum(axis=0)
        return n / n.sum() * sum(map(len, shelves))
    owed = compute_near_exposure(evaluation, k, shelves if against == "slates" else None)
    return np.array([owed[i] for i in range(40)])


@pytest.mark.parametrize("against", EXPOSURE_REFERENCES)
@pytest.mark.parametrize("k", [1, 5, 12])
def test_what_is_crowded_out_and_amplified_is_the_definition(against, k):
    evaluation = make_evaluation(k)
    found, expected = compute_item_exposure(evaluation, k, against), expected_of(against, evaluation, k)
    shown = np.bincount([i for row in evaluation.items[:, :k] for i in row if i >= 0], minlength=40)
    assert found.shown.tolist() == shown.tolist()
    assert found.expected == pytest.approx(expected)
    assert found.expected.sum() == pytest.approx(shown.sum())
    for i in range(40):
        lost = max(0, expected[i] - shown[i]) / expected[i] if expected[i] else np.nan
        gained = max(0, shown[i] - expected[i]) / shown[i] if shown[i] else np.nan
        assert found.under_exposure[i] == pytest.approx(lost, nan_ok=True)
        assert found.over_exposure[i] == pytest.approx(gained, nan_ok=True, abs=1e-9)
    assert found.zero_exposure == pytest.approx(np.mean([shown[i] == 0 for i in range(40) if expected[i] > 0]))
    assert found.zero_exposure == 0 or against != "slates"


@pytest.mark.parametrize("against", ["everybody", "near"])
def test_its_means_are_the_metrics(against):
    evaluation = make_evaluation()
    found, end = compute_item_exposure(evaluation, 5, against), "_near" if against == "near" else ""
    for name in ("under_exposure", "over_exposure"):
        answer = getattr(metrics, name + end)(evaluation, 5)
        assert float(answer.statistic(found.shown)) == pytest.approx(np.nanmean(getattr(found, name)))
    assert float(metrics.zero_exposure_share(evaluation, 5).statistic(found.shown)) == pytest.approx(
        found.zero_exposure
    )


def test_what_is_lost_is_what_others_win():
    """Exposure only moves: what items have less than expected, others have more."""
    for against in EXPOSURE_REFERENCES:
        found = compute_item_exposure(make_evaluation(), 5, against)
        lost, won = found.under_exposure * found.expected, found.over_exposure * found.shown
        assert np.nansum(lost) == pytest.approx(np.nansum(won))


def test_slates_that_are_all_alike_crowd_nobody_out_against_each_other():
    evaluation = make_evaluation()
    same = Evaluation(np.tile(np.arange(5, dtype=np.int32), (30, 1)), evaluation.truth)
    found = compute_item_exposure(same, 5, "slates")
    assert found.under_exposure[:5] == pytest.approx(0) and found.over_exposure[:5] == pytest.approx(0)
    assert np.isnan(found.under_exposure[5:]).all()


def test_without_audit_maps_nothing_is_near():
    evaluation = make_evaluation()
    found = compute_item_exposure(Evaluation(evaluation.items, GroundTruth(evaluation.truth.split)), 5, "near")
    assert np.isnan(found.under_exposure).all() and np.isnan(found.zero_exposure)


def test_another_counterfactual_is_refused():
    with pytest.raises(
        RecsysError, match=r"^item_crowding: against is 'merit', expected one of everybody, near, slates"
    ):
        compute_item_exposure(make_evaluation(), 5, "merit")
