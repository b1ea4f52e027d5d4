"""Weights per user that follow the variety of a history."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import entropy
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.maths.distributions import user_mixes
from recsys.reranking.slates import rerank
from recsys.reranking.user_weights import entropy_weights
from recsys.retrieval.candidates import candidates
from recsys.types import RecsysError


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=20, maps=maps)


def test_weights_are_the_shrunk_entropies_of_histories(split, maps, pool):
    found = entropy_weights(pool, 0.4, prior_strength=3.0, least=0.1)
    n = split.train.toarray().sum(axis=1)
    shrunk = []
    for taste_map in maps:
        own = [entropy(mix) if mix.any() else 0.0 for mix in user_mixes(split.train, taste_map.assignment)]
        shrunk.append([(n[u] * own[u] + 3 * np.mean(own)) / (n[u] + 3) / np.log(5) for u in range(30)])
    np.testing.assert_allclose(found, 0.4 * (0.1 + 0.9 * np.mean(shrunk, axis=0)), rtol=1e-6)


def test_varied_users_weigh_more_narrow_ones_are_never_at_0_and_newcomers_in_between():
    split = make_split(users=60)
    maps = make_maps(split, n=2)
    train = np.zeros((60, 40), np.float32)
    train[0, maps[0].hard_regions == 2] = 1  # everything of one region
    train[1, :39] = 1  # of all regions
    train[3:] = split.train.toarray()[3:]  # the third user has nothing
    split = replace(split, train=sparse.csr_array(train))
    pool = candidates(RandomFactorModel(split), split, n=1, maps=maps[:1])
    weights = entropy_weights(pool)
    assert 0.25 < weights[0] < weights[2] < weights[1] < 1
    assert weights[2] == pytest.approx(0.25 + 0.75 * np.mean([
        entropy(mix) / np.log(5) for mix in user_mixes(split.train, maps[0].assignment) if mix.any()
    ]))  # fmt: skip


def test_by_entropy_in_a_blend_is_the_same_as_the_weights(pool):
    told = rerank(pool, {"relevance": 1.0, "novelty": {"weight": 0.7, "adapt_to": "entropy"}}, 5)
    given = rerank(pool, {"relevance": 1.0, "novelty": entropy_weights(pool, 0.7)}, 5)
    even = rerank(pool, {"relevance": 1.0, "novelty": 0.7}, 5)
    assert (told.items == given.items).all()
    assert (told.contributions == given.contributions).all()
    assert told.scales == even.scales
    assert (told.contributions != even.contributions).any()


def test_a_part_of_the_users_has_the_weights_of_the_whole(pool):
    assert (entropy_weights(pool.slice_users(4, 9)) == entropy_weights(pool)[4:9]).all()


def test_without_maps_every_weight_is_whole_and_without_history_none(split, model):
    assert (entropy_weights(candidates(model, split, n=5, maps=()), 0.3) == 0.3).all()
    bare = replace(split, train=split.validation, train_negatives=split.validation)
    pool = candidates(model, bare, n=5, maps=make_maps(split))
    np.testing.assert_allclose(entropy_weights(pool, 1.0, least=0.2), 0.2)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda pool: entropy_weights(pool, prior_strength=0.0),
            "entropy_weights: prior_strength is 0.0, expected",
        ),
        (
            lambda pool: entropy_weights(pool, least=1.1),
            "entropy_weights: least is 1.1, expected",
        ),
        (
            lambda pool: rerank(pool, {"relevance": {"weight": 1.0, "adapt_to": "whim"}}),
            "blend: relevance: adapt_to is 'whim', expected entropy",
        ),
        (
            lambda pool: entropy_weights(replace(pool, context=replace(pool.context, train=None))),
            "entropy_weights needs each user's history",
        ),
    ],
)
def test_what_cannot_be_is_one_line(pool, call, line):
    with pytest.raises(RecsysError, match=f"^{line}"):
        call(pool)
