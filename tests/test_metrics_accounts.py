"""The account gap by distance, against sets and loops."""

import math

import numpy as np
import pytest
from reference_metrics import make_evaluation
from scipy import sparse

from recsys import metrics
from recsys.metrics import account_gaps
from recsys.metrics.account_gaps import compute_account_gap_curve
from recsys.types import Evaluation, TasteMap


@pytest.fixture
def soft():
    """A map whose items lie in several regions; one of them in none."""
    shares = np.random.default_rng(3).random((40, 5)) ** 3
    shares[7] = 0
    return TasteMap("soft", sparse.csr_array(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)), "random")


def mix(evaluation, taste_map, user):
    mass = evaluation.truth.split.train.toarray()[user] @ taste_map.assignment.toarray()
    return mass / mass.sum() if mass.sum() else None


def by_hand(evaluation, k, taste_map, edges, like, who):
    """For each user and band: mean share of unfamiliar slots, mean gap, and the number of accounts."""
    split, found = evaluation.truth.split, np.full((3, len(evaluation.items), len(edges) - 1), np.nan)
    met, slates = split.seen.toarray() != 0, [{int(i) for i in row[:k] if i >= 0} for row in evaluation.items]
    for u in range(len(slates)):
        own = mix(evaluation, taste_map, u)
        for band in range(len(edges) - 1):
            new, liked = [], []
            for v in who:
                if own is None or v == u:
                    continue
                apart = math.dist(own, mix(evaluation, taste_map, v))
                if edges[band] < apart <= edges[band + 1] or (band == 0 and apart == 0):
                    fresh = [i for i in slates[v] if not met[u, i] and i not in slates[u]]
                    new.append(len(fresh) / k)
                    liked.append(sum(like[u, i] for i in fresh) / k)
            found[:, u, band] = (np.mean(new), np.mean(liked), len(new)) if new else (np.nan, np.nan, 0)
    return found


def eligible(evaluation, k, taste_map):
    users = range(len(evaluation.items))
    return [u for u in users if mix(evaluation, taste_map, u) is not None and (evaluation.items[u, :k] >= 0).any()]


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("told", [False, True])
def test_the_curve_is_its_definition(monkeypatch, soft, k, told):
    evaluation = make_evaluation(k)
    like = np.random.default_rng(1).random((30, 40)) if told else evaluation.truth.split.test.toarray()
    likes = (lambda users: like[users]) if told else None
    found = compute_account_gap_curve(evaluation, k, soft, likes, bands=4)
    unfamiliar, gaps, pairs = by_hand(evaluation, k, soft, found.edges, like, eligible(evaluation, k, soft))
    assert found.unfamiliar == pytest.approx(unfamiliar, nan_ok=True)
    assert found.gaps == pytest.approx(gaps, nan_ok=True)
    assert found.pairs == pytest.approx(np.nansum(pairs, axis=0))
    assert found.curve == pytest.approx(np.nanmean(gaps, axis=0)) and found.curve.max() > 0
    monkeypatch.setattr(account_gaps, "USERS", 7)
    assert compute_account_gap_curve(evaluation, k, soft, likes, bands=4).gaps == pytest.approx(gaps, nan_ok=True)


def test_bands_have_as_many_pairs_of_accounts_each(soft):
    evaluation = make_evaluation()
    found, who = compute_account_gap_curve(evaluation, 5, soft, bands=5), eligible(evaluation, 5, soft)
    mixes = [mix(evaluation, soft, u) for u in who]
    apart = [math.dist(a, b) for i, a in enumerate(mixes) for b in mixes[:i]]
    assert np.histogram(apart, found.edges)[0] == pytest.approx(len(apart) / 5, abs=1)
    assert (found.unfamiliar[~np.isnan(found.unfamiliar)] <= 1).all()


def test_accounts_are_as_many_as_asked_for_and_drawn_by_seed(soft):
    evaluation = make_evaluation()
    few, other = (compute_account_gap_curve(evaluation, 5, soft, bands=1, accounts=6, seed=seed) for seed in (0, 1))
    cold = sum(mix(evaluation, soft, u) is None for u in range(30))
    assert few.pairs.tolist() == [6 * (30 - cold) - 6]
    assert (few.gaps != other.gaps).any()
    every = compute_account_gap_curve(evaluation, 5, soft, bands=1, accounts=30)
    assert every.pairs.sum() == len(eligible(evaluation, 5, soft)) * (30 - cold - 1)


def test_over_all_accounts_alike_it_is_the_metric(soft):
    """Where everybody has a history and a slate, the mean over one band is that over all other users."""
    evaluation = make_evaluation()
    there = np.array(eligible(evaluation, 5, soft))
    items = np.where(np.isin(np.arange(30), there)[:, None], evaluation.items, -1).astype(np.int32)
    same = Evaluation(items, evaluation.truth)
    tested = there[np.diff(evaluation.truth.split.test.indptr)[there] > 0]
    metric = metrics.account_gap(same, 5).values[tested]
    assert compute_account_gap_curve(same, 5, soft, bands=1).gaps[tested, 0] == pytest.approx(metric)


def test_where_everybody_is_shown_the_same_there_is_no_gap(soft):
    evaluation = make_evaluation()
    same = Evaluation(np.tile(np.arange(5, dtype=np.int32), (30, 1)), evaluation.truth)
    assert np.nanmax(metrics.account_gap(same, 5).values) == 0
    found = compute_account_gap_curve(same, 5, soft, lambda users: np.ones((len(users), 40)))
    assert np.nanmax(found.gaps) == 0 == np.nanmax(found.unfamiliar)


def test_without_slates_or_histories_it_is_unknown(soft):
    evaluation = make_evaluation()
    found = compute_account_gap_curve(Evaluation(np.full((30, 3), -1, np.int32), evaluation.truth), 3, soft)
    assert np.isnan(found.gaps).all() and np.isnan(found.curve).all() and found.pairs.sum() == 0
