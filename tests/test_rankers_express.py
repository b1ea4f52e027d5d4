"""The short way of a request against the library's own: the same picks, and the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from worlds import FactorWorld, make_maps, make_split

from recsys.kernels.requests import ENDLESS, LARGE, TWICE, UNORDERED, check, fold_in, score_all
from recsys.maths import fold, gram
from recsys.objectives import negative_space
from recsys.pools import context
from recsys.rankers.express import Express, express
from recsys.rankers.picks import pick
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Asker, Candidates, context_for, row_of
from recsys.types import Factors, Pool, Tables, TasteMap
from recsys.types.arrays import Csr

SPLIT = make_split(users=50, seed=6)
AROUND = context(SPLIT, FactorWorld(SPLIT), maps=make_maps(SPLIT), seed=2)


def soft(maps):
    """The same maps with half of each item in another region."""
    made = []
    for m in maps:
        moved = Csr(m.assignment[:, np.roll(np.arange(m.assignment.shape[1]), 1)])
        made.append(TasteMap(m.name, Csr(m.assignment * np.float32(0.75) + moved * np.float32(0.25)), m.method))
    return tuple(made)


SOFT = context(SPLIT, FactorWorld(SPLIT), maps=soft(make_maps(SPLIT)), seed=2)


def requests(seed, sizes=(25, 25, 7, 1)):
    rng = np.random.default_rng(seed)
    for size in sizes:
        scores = np.sort(rng.normal(size=size).astype(np.float32).round(1))[::-1].copy()
        found = Candidates(rng.permutation(40)[:size].astype(np.int32), scores)
        code = int(rng.integers(50))
        yield Asker(code, row_of(SPLIT.train, code)), found
        yield Asker(-1, np.sort(rng.permutation(40)[: rng.integers(12)]).astype(np.int32)), found


@pytest.mark.parametrize("around", [AROUND, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize(
    "blend",
    [
        {"relevance": 1.0},
        {"relevance": 0.01, "negative_space": 1.0},
        {"relevance": 1.0, "diversity": 0.2, "negative_space": 0.3},
        {"relevance": 0.5, "negative_space": {"weight": 0.9, "tau": 0.3, "best": 2, "strength": 1.5, "form": "range"}},
        {"relevance": 1.0, "untouched": 0.5},
        {"relevance": 1.0, "untouched": {"weight": 2.0, "strength": 0.5}, "diversity": 0.3, "negative_space": 0.2},
        {"relevance": 1.0, "diversity": {"weight": 0.4, "agg": "mean", "space": "features"}},
        {"relevance": {"weight": 1.0, "form": "score"}, "diversity": {"weight": 0.4, "agg": "sum", "space": "factors"}},
    ],
)
@pytest.mark.parametrize(
    "policy", [Policy(k=6), Policy(k=6, order="relevance"), Policy(k=6, temperature=0.5, epsilon=0.2, seed=4)]
)
def test_the_short_way_picks_what_the_library_picks(around, blend, policy):
    scales = {name: 2.0 + n for n, name in enumerate(blend)}
    short = express(around, blend, scales, policy)
    assert isinstance(short, Express)
    for asker, found in requests(0):
        one = short.pick(asker, found, 6, policy.seed)
        other = pick(around, blend, scales, policy, asker, found, 6, policy.seed)
        assert one.objectives == other.objectives
        np.testing.assert_array_equal(one.places, other.places)
        np.testing.assert_allclose(one.contributions, other.contributions, rtol=1e-5, atol=1e-6)
        assert (one.log_propensity is None) == (other.log_propensity is None)
        if one.log_propensity is not None:
            np.testing.assert_allclose(one.log_propensity, other.log_propensity, atol=1e-5)


def test_regions_of_hard_maps_lie_side_by_side_and_of_others_do_not():
    blend = {"relevance": 1.0, "negative_space": 0.2}
    hard, soft = (express(around, blend, dict.fromkeys(blend, 1.0), Policy(k=6)) for around in (AROUND, SOFT))
    assert (hard.regions, soft.regions) == (3, 0)


@pytest.mark.parametrize(
    "blend",
    [
        {"relevance": 1.0, "novelty": 0.1},
        {"relevance": {"weight": 1.0, "form": "rank"}},
        {"relevance": 1.0, "negative_space": {"weight": 0.1, "form": "rank"}},
        {"relevance": 1.0, "diversity": {"weight": 0.1, "by": "entropy"}},
    ],
)
def test_other_blends_go_the_librarys_way(blend):
    assert express(AROUND, blend, dict.fromkeys(blend, 1.0), Policy()) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.just(0.0) | st.floats(0.001, 1), st.integers(1, 8), st.floats(0.1, 20))
def test_what_is_owed_is_what_the_objective_says(seed, tau, best, strength):
    blend = {"negative_space": {"weight": 1.0, "tau": tau, "best": best, "strength": strength}}
    for around in (AROUND, SOFT):
        short = express(around, blend, {"negative_space": 1.0}, Policy(k=5))
        for asker, found in requests(seed):
            pool = Pool(np.zeros(1, np.int32), found.items[None], found.scores[None], context_for(around, asker))
            term = negative_space(pool, 5, tau=tau, best=best, strength=strength)
            wanted = np.empty((3, term.need.shape[1]))
            short.want(asker, found, wanted, np.zeros(0, np.int32))
            np.testing.assert_allclose(wanted[0], term.need[0], rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(wanted[2], term.cap[0], rtol=1e-6, atol=1e-9)


def test_what_known_users_expect_is_made_anew_where_a_table_would_be_too_large(monkeypatch):
    blend, scales = {"negative_space": {"weight": 1.0, "tau": 0.123}}, {"negative_space": 1.0}
    kept = express(AROUND, blend, scales, Policy(k=5))
    assert AROUND.tables.get("expected 0.123 5.0", list).shape == (2, 50, 15)
    monkeypatch.setattr("recsys.rankers.express.MOST", 50 * 15 * 8 - 1)
    fresh = replace(AROUND, tables=Tables())
    anew = express(fresh, blend, scales, Policy(k=5))
    assert fresh.tables.get("expected 0.123 5.0", list).shape == (2, 0, 15)
    for asker, found in requests(3):
        both = [np.empty((3, 15)) for _ in range(2)]
        for one, wanted in zip((kept, anew), both, strict=True):
            one.want(asker, found, wanted, np.zeros(0, np.int32))
        np.testing.assert_allclose(*both, rtol=1e-6)


def test_one_community_is_everybodys():
    """Where all users are alike there is no other community to be near to."""
    train = sparse.csr_array(np.tile((np.arange(40) % 3 == 0).astype(np.float32), (50, 1)))
    alike = context(replace(SPLIT, train=train), FactorWorld(SPLIT), maps=make_maps(SPLIT))
    blend = {"relevance": 1.0, "negative_space": 0.5}
    short = express(alike, blend, {"relevance": 1.0, "negative_space": 1.0}, Policy(k=6))
    for asker, found in requests(1):
        asker = asker._replace(history=row_of(train, asker.code) if asker.code >= 0 else asker.history)
        other = pick(alike, blend, {"relevance": 1.0, "negative_space": 1.0}, Policy(k=6), asker, found, 6, 0)
        np.testing.assert_array_equal(short.pick(asker, found, 6, 0).places, other.places)


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
    fold_in(gram(factors), items, history, 3.0, 4.0, ridge, found)
    np.testing.assert_allclose(found, fold(factors, row)[0], rtol=1e-4, atol=1e-6)
    score_all(items, found, scores)
    np.testing.assert_allclose(scores, items @ found, rtol=1e-4, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=40), st.data())
def test_what_is_wrong_with_candidates_is_seen(codes, data):
    values = st.sampled_from([1.0, 2.0, 0.5, 2.0**53, 1e39, np.nan, np.inf, -np.inf])
    scores = np.array(data.draw(st.lists(values, min_size=len(codes), max_size=len(codes))), np.float64)
    given_ = np.empty(len(codes), np.float32)
    codes = np.array(codes, np.int32) * 16  # which many would put into one place
    wrong = check(codes, scores, given_)
    with np.errstate(over="ignore"):
        rounded = scores.astype(np.float32)
    assert np.array_equal(given_, rounded, equal_nan=True)
    assert bool(wrong & TWICE) == (len(set(codes.tolist())) < len(codes))
    assert bool(wrong & ENDLESS) == (not np.isfinite(rounded).all())
    assert bool(wrong & LARGE) == bool((np.abs(scores) >= 2.0**53).any())
    if np.isfinite(scores).all():
        assert bool(wrong & UNORDERED) == bool((np.diff(scores) > 0).any())
