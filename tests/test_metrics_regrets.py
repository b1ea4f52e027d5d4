"""Slate regret against the best slates there are, found by trying all of them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import make_evaluation

from recsys import metrics
from recsys.maths.embeddings import cooccurrence_vectors, feature_vectors, max_cosine_to_history
from recsys.types import Evaluation

NAMES = ("slate_regret_features", "slate_regret_cooccurrence")


def stands_for(evaluation, user, slate, name):
    split = evaluation.truth.split
    table = split.items.features.toarray() if name.endswith("features") else cooccurrence_vectors(split.train)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    unit = table / np.where(norms > 0, norms, 1)
    by = [*slate, *np.flatnonzero(split.train.toarray()[user])]
    targets = np.flatnonzero(split.test.toarray()[user])
    near = np.array([[1 if i == j else max(0.0, unit[i] @ unit[j]) ** 2 for j in targets] for i in by])
    return near.max(axis=0).sum() if by else 0.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 3), name=st.sampled_from(NAMES))
def test_the_regret_against_the_best_slate_is_in_its_interval(seed, k, name):
    evaluation = make_evaluation(seed, users=4, items=9, length=3)
    split = evaluation.truth.split
    for user, free in enumerate(split.seen.toarray() == 0):
        left = np.flatnonzero(free)
        items = np.full((4, k), -1, np.int32)
        items[user, : min(k, len(left))] = np.random.default_rng(seed).permutation(left)[:k]
        regret = getattr(metrics, name)(Evaluation(items, evaluation.truth), k).values[user]
        if np.isnan(regret):
            continue
        best = max(stands_for(evaluation, user, s, name) for s in itertools.combinations(left, min(k, len(left))))
        true = 1 - stands_for(evaluation, user, items[user][items[user] >= 0], name) / best
        assert regret - 1e-6 <= true <= 1 - (1 - 1 / np.e) * (1 - regret) + 1e-6


def regret(split, user, slate, k, name):
    """The definition, pick by pick: gains alike to nine digits are equal, and the first of them by its id is picked."""
    space = feature_vectors(split.items) if name.endswith("features") else cooccurrence_vectors(split.train)
    table, targets = space.astype(float), np.flatnonzero(split.test.toarray()[user])
    near = np.array(
        [[1.0 if i == j else max(0.0, min(1.0, v @ table[j])) ** 2 for j in targets] for i, v in enumerate(table)]
    )
    known = max_cosine_to_history(space, split.train, np.array([user]), targets[None])[0] ** 2
    left = [i for i in np.argsort(split.item_ids) if split.available_items[i] and not split.seen.toarray()[user, i]]
    covered = known
    for _ in range(k):
        gains = [round(np.maximum(near[i] - covered, 0.0).sum(), 9) for i in left]
        covered = np.maximum(covered, near[left[int(np.argmax(gains))]] if left else 0.0)
    shown = np.maximum(known, near[slate].max(axis=0)) if len(slate) else known
    return 1.0 - shown.sum() / covered.sum() if covered.sum() > 0 else np.nan


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), items=st.integers(8, 40), name=st.sampled_from(NAMES))
def test_regrets_are_those_of_plain_greedy_selection(seed, k, items, name):
    evaluation = make_evaluation(seed, users=6, items=items, length=min(k, 8))
    split = evaluation.truth.split
    ids = np.random.default_rng(seed).permutation(items).astype(str)
    split = replace(split, items=replace(split.items, ids=ids))
    truth = replace(evaluation.truth, split=split)
    found = getattr(metrics, name)(Evaluation(evaluation.items, truth), k).values
    for user, slate in enumerate(evaluation.items):
        expected = regret(split, user, slate[slate >= 0], k, name) if split.test[[user]].nnz else np.nan
        assert found[user] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_slate_of_all_that_is_liked_regrets_nothing(name):
    evaluation = make_evaluation()
    test = evaluation.truth.split.test
    items = np.full((30, 20), -1, np.int32)
    for user in range(30):
        positives = test.indices[test.indptr[user] : test.indptr[user + 1]]
        items[user, : len(positives)] = positives
    found = getattr(metrics, name)(Evaluation(items, evaluation.truth), 20).values
    assert found[np.diff(test.indptr) > 0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_more_of_a_slate_is_never_regretted_more_against_the_same_best(name):
    """F is monotone: of one user, the slates grow and the truth stays."""
    evaluation, k = make_evaluation(), 6
    values = []
    for length in range(k + 1):
        cut = evaluation.items.copy()
        cut[:, length:] = -1
        values.append(getattr(metrics, name)(Evaluation(cut, evaluation.truth), k).values)
    told = ~np.isnan(values[0])
    assert (np.diff(np.array(values)[:, told], axis=0) <= 1e-12).all()
    assert values[-1][told].mean() < values[0][told].mean()
