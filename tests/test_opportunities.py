"""What each pick displaces, against every exchange tried by hand."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_maps, make_split

import recsys
from recsys import objectives
from recsys.kernels.reference import compute_gains
from recsys.reranking.opportunity_costs import opportunity_costs
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.types import Pool, RecsysError

K = 4
BLENDS = {
    "modular": {"relevance": 1.0, "novelty": 0.5},
    "coverage": {"relevance": 0.3, "negative_space": 1.0, "calibration": 0.2},
    "spread": {"relevance": 1.0, "mmr": 0.7},
    "dpp": {"relevance": 1.0, "dpp": {"weight": 0.5, "window": 2}},
    "by slot": {"relevance": 1.0, "thompson": {"weight": 0.5, "per": "slot"}},
    "per user": {"relevance": 1.0, "unexplored": np.linspace(-1, 1, 30)},
}


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=12, maps=maps)


def by_hand(pool, slates, blend):
    """Return each exchange's amount, (U, k, N), NaN at the picks themselves."""
    parts = recsys.reranking.slates.parse_blend(blend)
    weight = recsys.reranking.slates.make_weight_matrix(parts, pool) * [slates.scales[p.name] for p in parts]
    terms = [p.make_term(pool, slates.items.shape[1]) for p in parts]
    amounts = np.full((*slates.items.shape, pool.items.shape[1]), np.nan)
    for u, shown in enumerate(slates.items):
        n, picks = pool.lengths[u], [pool.items[u].tolist().index(i) for i in shown if i >= 0]
        for r, pick in enumerate(picks):
            others = picks[:r] + picks[r + 1 :]
            gain = sum(w * compute_gains(t, u, others, n) for w, t in zip(weight[u], terms, strict=True))
            amounts[u, r, :n] = gain - gain[pick]
            amounts[u, r, picks] = np.nan
    return amounts


@pytest.mark.parametrize("name", BLENDS)
@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_costs_are_those_of_the_best_exchange(pool, name, temperature):
    slates = rerank(pool, BLENDS[name], K, temperature=temperature)
    costs, amounts = opportunity_costs(pool, slates, BLENDS[name]), by_hand(pool, slates, BLENDS[name])
    np.testing.assert_allclose(costs.amounts, np.nanmax(amounts, axis=2), atol=3e-4)
    for u, r in np.ndindex(30, K):
        at = pool.items[u].tolist().index(costs.items[u, r])
        assert costs.items[u, r] not in slates.items[u]
        assert amounts[u, r, at] >= np.nanmax(amounts[u, r]) - 3e-4


def test_of_a_modular_greedy_slate_the_next_candidate_is_displaced_and_nothing_is_given_away(pool):
    slates = rerank(pool, {"relevance": 1.0}, K, scale=None)
    costs = opportunity_costs(pool, slates, {"relevance": 1.0})
    assert (costs.items == pool.items[:, [K] * K]).all()
    np.testing.assert_allclose(costs.amounts, pool.scores[:, [K]] - pool.scores[:, :K], rtol=1e-5)


def test_an_exchange_changes_the_objective_by_its_amount(pool):
    """Of a set function, F(S - S_r + j) - F(S)."""
    slates = rerank(pool, {"negative_space": 1.0}, K, scale=None, temperature=0.05)
    costs, term = opportunity_costs(pool, slates, {"negative_space": 1.0}), objectives.negative_space(pool, K)

    def value(u, items):
        at = [pool.items[u].tolist().index(i) for i in items]
        return sum(compute_gains(term, u, at[:s], 12)[i] for s, i in enumerate(at))

    for u in (0, 9, 22):
        for r in range(K):
            changed = slates.items[u].copy()
            changed[r] = costs.items[u, r]
            assert value(u, changed) - value(u, slates.items[u]) == pytest.approx(costs.amounts[u, r], abs=1e-6)
    assert (costs.amounts > 1e-4).any()


def test_short_slates_displace_nothing_where_nothing_is_left(pool):
    items, scores = pool.items.copy(), pool.scores.copy()
    items[0, 3:], items[1], items[2, 4:], items[3, 5:] = -1, -1, -1, -1
    scores[items < 0] = 0
    short = Pool(pool.users, items, scores, pool.context)
    slates = rerank(short, BLENDS["coverage"], K)
    costs = opportunity_costs(short, slates, BLENDS["coverage"])
    assert (costs.items[:3] == -1).all()
    assert np.isnan(costs.amounts[:3]).all()
    assert (costs.items[3] >= 0).all()
    np.testing.assert_allclose(costs.amounts[3], np.nanmax(by_hand(short, slates, BLENDS["coverage"])[3], 1), atol=3e-4)


def test_a_slate_cut_short_is_judged_at_its_own_length(pool):
    slates = rerank(pool, BLENDS["spread"], K)
    cut = slates.items.copy()
    cut[::2, 2:] = -1
    slates = replace(slates, items=cut)
    costs = opportunity_costs(pool, slates, BLENDS["spread"])
    expected = by_hand(pool, slates, BLENDS["spread"])
    np.testing.assert_allclose(costs.amounts[::2, :2], np.nanmax(expected[::2, :2], axis=2), atol=3e-4)
    assert np.isnan(costs.amounts[::2, 2:]).all()


def test_blocks_of_users_change_nothing():
    split = make_split(users=300)
    pool = candidates(RandomFactorModel(split), split, n=12, maps=make_maps(split))
    slates = rerank(pool, BLENDS["coverage"], K, temperature=1.0)
    whole = opportunity_costs(pool, slates, BLENDS["coverage"])
    part = slice(250, 262)
    some = replace(slates, users=slates.users[part], items=slates.items[part])
    alone = opportunity_costs(pool.slice_users(250, 262), some, BLENDS["coverage"])
    assert (whole.items[part] == alone.items).all()
    assert (whole.amounts[part] == alone.amounts).all()


def test_slates_of_something_else_are_refused_in_one_line(pool):
    slates = rerank(pool, {"relevance": 1.0}, K)
    with pytest.raises(RecsysError, match=r"^opportunity_costs: the slates are of other users"):
        opportunity_costs(pool.slice_users(0, 5), slates, {"relevance": 1.0})
    with pytest.raises(RecsysError, match=r"^opportunity_costs: the slates have no 'novelty', expected the blend"):
        opportunity_costs(pool, slates, {"relevance": 1.0, "novelty": 1.0})
    strange = slates.items.copy()
    strange[2, 1] = next(i for i in range(40) if i not in pool.items[2])
    with pytest.raises(RecsysError, match=f"^opportunity_costs: user 'u2' is shown item 'i{strange[2, 1]}', expected"):
        opportunity_costs(pool, replace(slates, items=strange), {"relevance": 1.0})
