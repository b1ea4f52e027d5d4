"""The short way of a request against the library's own: the same picks, and the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.kernels.requests import ENDLESS, LARGE, TWICE, UNORDERED, check_candidates, fold_in_user, score_all_items
from recsys.maths.fold_in import gram, solve_user_factors
from recsys.objectives import negative_space, unexplored
from recsys.objectives.derived_tables import get_expected_exposure
from recsys.rankers.fast_path import FastPath, build_fast_path
from recsys.rankers.generic_path import pick_by_rerank
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Candidates, RequestUser, build_user_context, get_row_columns
from recsys.retrieval.candidates import make_context
from recsys.types import Factors, Pool, TableCache, TasteMap
from recsys.types.arrays import Csr

SPLIT = make_split(users=50, seed=6)
AROUND = make_context(SPLIT, RandomFactorModel(SPLIT), maps=make_maps(SPLIT), seed=2)


def soft(maps):
    """The same maps with half of each item in another region."""
    made = []
    for m in maps:
        moved = Csr(m.assignment[:, np.roll(np.arange(m.assignment.shape[1]), 1)])
        made.append(TasteMap(m.name, Csr(m.assignment * np.float32(0.75) + moved * np.float32(0.25)), m.method))
    return tuple(made)


def whole(maps):
    """The same maps with a region for each item: what says where items lie is in memory once."""
    region = [np.maximum(m.hard_regions, 0) for m in maps]
    parts = [np.eye(m.assignment.shape[1], dtype=np.float32)[r] for m, r in zip(maps, region, strict=True)]
    return tuple(TasteMap(m.name, sparse.csr_array(part), m.method) for m, part in zip(maps, parts, strict=True))


SOFT = make_context(SPLIT, RandomFactorModel(SPLIT), maps=soft(make_maps(SPLIT)), seed=2)
WHOLE = make_context(SPLIT, RandomFactorModel(SPLIT), maps=whole(make_maps(SPLIT)), seed=2)


def requests(seed, sizes=(25, 25, 7, 1)):
    rng = np.random.default_rng(seed)
    for size in sizes:
        scores = np.sort(rng.normal(size=size).astype(np.float32).round(1))[::-1].copy()
        found = Candidates(rng.permutation(40)[:size].astype(np.int32), scores)
        code = int(rng.integers(50))
        yield RequestUser(code, get_row_columns(SPLIT.train, code)), found
        yield RequestUser(-1, np.sort(rng.permutation(40)[: rng.integers(12)]).astype(np.int32)), found


@pytest.mark.parametrize("around", [AROUND, SOFT, WHOLE], ids=["hard", "soft", "whole"])
@pytest.mark.parametrize(
    "blend",
    [
        {"relevance": 1.0},
        {"relevance": 0.01, "negative_space": 1.0},
        {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.3},
        {
            "relevance": 0.5,
            "negative_space": {
                "weight": 0.9,
                "tau": 0.3,
                "top_m": 2,
                "prior_strength": 1.5,
                "score_transform": "range",
            },
        },
        {"relevance": 1.0, "unexplored": 0.5},
        {"relevance": 1.0, "unexplored": {"weight": 0.5, "distance_share": 0.0}},
        {"relevance": 1.0, "unexplored": {"weight": 0.5, "distance_share": 0.9, "space": "factors"}},
        {"discovery_value": 1.0},
        {"discovery_value": {"weight": 1.0, "exploration": 4.0, "distance_share": 0.2}, "mmr": 0.3},
        {"relevance": 1.0, "unexplored": {"weight": 2.0, "prior_strength": 0.5}, "mmr": 0.3, "negative_space": 0.2},
        {"relevance": 1.0, "mmr": {"weight": 0.4, "agg": "mean", "space": "features"}},
        {
            "relevance": {"weight": 1.0, "score_transform": "score"},
            "mmr": {"weight": 0.4, "agg": "sum", "space": "factors"},
        },
    ],
)
@pytest.mark.parametrize(
    "policy", [Policy(k=6), Policy(k=6, order="relevance"), Policy(k=6, temperature=0.5, epsilon=0.2, seed=4)]
)
def test_the_short_way_picks_what_the_library_picks(around, blend, policy):
    scales = {name: 2.0 + n for n, name in enumerate(blend)}
    short = build_fast_path(around, blend, scales, policy)
    assert isinstance(short, FastPath)
    for asker, found in requests(0):
        one = short.pick_slate(asker, found, 6, policy.seed)
        other = pick_by_rerank(around, blend, scales, policy, asker, found, 6, policy.seed)
        assert one.objectives == other.objectives
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_allclose(one.contributions, other.contributions, rtol=1e-5, atol=1e-6)
        assert (one.log_propensity is None) == (other.log_propensity is None)
        if one.log_propensity is not None:
            np.testing.assert_allclose(one.log_propensity, other.log_propensity, atol=1e-5)


def test_regions_of_hard_maps_lie_side_by_side_and_of_others_do_not():
    blend = {"relevance": 1.0, "negative_space": 0.2}
    hard, soft = (build_fast_path(around, blend, dict.fromkeys(blend, 1.0), Policy(k=6)) for around in (AROUND, SOFT))
    assert (hard.regions_per_candidate, soft.regions_per_candidate) == (3, 0)


@pytest.mark.parametrize(
    "blend",
    [
        {"relevance": 1.0, "novelty": 0.1},
        {"relevance": {"weight": 1.0, "score_transform": "rank"}},
        {"relevance": 1.0, "negative_space": {"weight": 0.1, "score_transform": "rank"}},
        {"discovery_value": {"weight": 1.0, "score_transform": "softmax"}},
        {"relevance": 1.0, "mmr": {"weight": 0.1, "adapt_to": "entropy"}},
    ],
)
def test_other_blends_go_the_librarys_way(blend):
    assert build_fast_path(AROUND, blend, dict.fromkeys(blend, 1.0), Policy()) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.just(0.0) | st.floats(0.001, 1), st.integers(1, 8), st.floats(0.1, 20))
def test_what_is_owed_is_what_the_objective_says(seed, tau, best, strength):
    blend = {"negative_space": {"weight": 1.0, "tau": tau, "top_m": best, "prior_strength": strength}}
    for around in (AROUND, SOFT, WHOLE):
        short = build_fast_path(around, blend, {"negative_space": 1.0}, Policy(k=5))
        for asker, found in requests(seed):
            pool = Pool(np.zeros(1, np.int32), found.items[None], found.scores[None], build_user_context(around, asker))
            term = negative_space(pool, 5, tau=tau, top_m=best, prior_strength=strength)
            wanted = np.empty((3, term.need.shape[1]))
            short.need.fill(asker, found, wanted, np.zeros(0, np.int32))
            np.testing.assert_allclose(wanted[0], term.need[0], rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(wanted[2], term.cap[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["negative_space", "unexplored"])
def test_settings_that_a_blend_leaves_out_are_those_of_the_signature(monkeypatch, name):
    """Defaults are stated once: what an objective's signature says is what the short way does."""
    objective = {"negative_space": negative_space, "unexplored": unexplored}[name]
    for setting, value in {"tau": 0.3, "top_m": 2, "prior_strength": 0.7}.items():
        if setting in objective.__kwdefaults__:
            monkeypatch.setitem(objective.__kwdefaults__, setting, value)
    short = build_fast_path(AROUND, {name: 1.0}, {name: 1.0}, Policy(k=5))
    for asker, found in requests(8):
        pool = Pool(np.zeros(1, np.int32), found.items[None], found.scores[None], build_user_context(AROUND, asker))
        term = objective(pool, 5)
        if name == "unexplored":
            gain = np.empty(len(found.items), np.float32)
            short.gains[0].fill(asker, found, gain)
            np.testing.assert_allclose(gain, term.gain[0], rtol=1e-5, atol=1e-7)
            continue
        wanted = np.empty((3, term.need.shape[1]))
        short.need.fill(asker, found, wanted, np.zeros(0, np.int32))
        np.testing.assert_allclose(wanted[0], term.need[0], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(wanted[2], term.cap[0], rtol=1e-6, atol=1e-9)


def test_what_known_users_expect_is_made_anew_where_a_table_would_be_too_large(monkeypatch):
    blend, scales = {"negative_space": {"weight": 1.0, "tau": 0.123}}, {"negative_space": 1.0}
    kept = build_fast_path(AROUND, blend, scales, Policy(k=5))
    assert get_expected_exposure(AROUND, 0.123, 5.0, pytest.fail).shape == (2, 50, 15)
    monkeypatch.setattr("recsys.objectives.derived_tables.MAX_EXPOSURE_BYTES", 50 * 15 * 8 - 1)
    fresh = replace(AROUND, tables=TableCache())
    anew = build_fast_path(fresh, blend, scales, Policy(k=5))
    assert get_expected_exposure(fresh, 0.123, 5.0, pytest.fail).shape == (2, 0, 15)
    for asker, found in requests(3):
        both = [np.empty((3, 15)) for _ in range(2)]
        for one, wanted in zip((kept, anew), both, strict=True):
            one.need.fill(asker, found, wanted, np.zeros(0, np.int32))
        np.testing.assert_allclose(*both, rtol=1e-6)


def test_one_community_is_everybodys():
    """Where all users are alike there is no other community to be near to."""
    train = sparse.csr_array(np.tile((np.arange(40) % 3 == 0).astype(np.float32), (50, 1)))
    alike = make_context(replace(SPLIT, train=train), RandomFactorModel(SPLIT), maps=make_maps(SPLIT))
    blend = {"relevance": 1.0, "negative_space": 0.5}
    short = build_fast_path(alike, blend, {"relevance": 1.0, "negative_space": 1.0}, Policy(k=6))
    for asker, found in requests(1):
        asker = asker._replace(history=get_row_columns(train, asker.code) if asker.code >= 0 else asker.history)
        other = pick_by_rerank(alike, blend, {"relevance": 1.0, "negative_space": 1.0}, Policy(k=6), asker, found, 6, 0)
        np.testing.assert_array_equal(short.pick_slate(asker, found, 6, 0).positions, other.positions)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 30), st.floats(0.0, 1.0))
def test_a_history_is_folded_as_the_model_folds_it(seed, d, h, nu):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(40, d)).astype(np.float32)
    factors = Factors(items[:2], items, items[0], 0.5, 3.0, 4.0, 0.0, 2.0, nu)
    history = np.sort(rng.permutation(40)[:h]).astype(np.int32)
    row = Csr((np.ones(h, np.float32), history, np.array([0, h])), shape=(1, 40))
    found, scores = np.empty(d, np.float32), np.empty(40, np.float32)
    ridge = 2.0 * (h + 0.5 * 40) ** nu
    fold_in_user(gram(factors), items, history, 3.0, 4.0, ridge, found)
    np.testing.assert_allclose(found, solve_user_factors(factors, row)[0], rtol=1e-4, atol=1e-6)
    score_all_items(items, found, scores)
    np.testing.assert_allclose(scores, items @ found, rtol=1e-4, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=40), st.data())
def test_what_is_wrong_with_candidates_is_seen(codes, data):
    values = st.sampled_from([1.0, 2.0, 0.5, 2.0**53, 1e39, np.nan, np.inf, -np.inf])
    scores = np.array(data.draw(st.lists(values, min_size=len(codes), max_size=len(codes))), np.float64)
    given_ = np.empty(len(codes), np.float32)
    codes = np.array(codes, np.int32) * 16  # which many would put into one place
    wrong = check_candidates(codes, scores, given_)
    with np.errstate(over="ignore"):
        rounded = scores.astype(np.float32)
    assert np.array_equal(given_, rounded, equal_nan=True)
    assert bool(wrong & TWICE) == (len(set(codes.tolist())) < len(codes))
    assert bool(wrong & ENDLESS) == (not np.isfinite(rounded).all())
    assert bool(wrong & LARGE) == bool((np.abs(scores) >= 2.0**53).any())
    if np.isfinite(scores).all():
        assert bool(wrong & UNORDERED) == bool((np.diff(scores) > 0).any())
