"""Reliability: whether picks are liked as often as their probabilities say."""

import numpy as np

from recsys.maths.reliability import N_BINS, split_calibration_error
from recsys.metrics._hits import make_hit_matrix
from recsys.metrics._shared import count_test_positives
from recsys.types import Evaluation, PerUser


def expected_calibration_error(evaluation: Evaluation, k: int) -> PerUser:
    """Mean over bins of picks of |mean probability of a like - share of held-out positives|, weighted by picks.

    Bins hold equally many picks of all users with held-out positives; equal probabilities share a bin. A user's number
    is the sum of (p - hit) times the sign of the error of the pick's bin, in units whose mean over users is the error,
    which is in [0, 1].
    A pick whose like nothing logged counts as not liked. NaN where slates have no probabilities
    (`Evaluation.like_probabilities`).

    >>> from dataclasses import replace
    >>> from recsys.testing.synthetic import make_evaluation
    >>> sure = replace(make_evaluation(), like_probabilities=np.ones((30, 8)))
    >>> told = (sure.get_top_picks(5) >= 0)[count_test_positives(sure) > 0]
    >>> expected = 1 - make_hit_matrix(sure, 5).sum() / told.sum()
    >>> bool(np.isclose(np.nanmean(expected_calibration_error(sure, 5).values), expected))
    True

    :Formula: sum over bins b of n_b / N |mean p - mean hit|
    :Range: (-inf, inf)
    :Better: less
    :Cost: U k log(U k)
    :Source: Naeini et al. 2015; bins of equal size, Nguyen and O'Connor 2015
    """
    convention = (
        f"{N_BINS} bins of equally many picks, equal probabilities in one; weighted by picks; users with held-out "
        "positives"
    )
    values = np.full(len(evaluation.items), np.nan)
    top = evaluation.get_top_picks(k)
    there = (top >= 0) & (count_test_positives(evaluation) > 0)[:, None]
    if evaluation.like_probabilities is None or not there.any():
        return PerUser(values, convention, -1)
    given = np.zeros(top.shape)
    width = min(k, evaluation.like_probabilities.shape[1])
    given[:, :width] = evaluation.like_probabilities[:, :width]
    hits = make_hit_matrix(evaluation, k)
    added = np.zeros(top.shape)
    added[there] = split_calibration_error(given[there], hits[there])
    judged = there.any(axis=1)
    values[judged] = added[judged].sum(axis=1) * judged.sum() / there.sum()
    return PerUser(values, convention, -1)
