"""Re-ranking: weights, scales, sampling, threads, and what is refused."""

import json
import re
import sys
import threading
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_exposures, make_maps, make_split

from recsys import objectives
from recsys.kernels import inputs
from recsys.reranking import blocks
from recsys.reranking.slates import fit_each_scale, fit_scales, rerank
from recsys.reranking.term_cache import TermCache
from recsys.retrieval.candidates import candidates
from recsys.types import Context, Modular, Pool, RecsysError, Spread
from recsys.types.checks import check_finite

EVERYTHING = dict.fromkeys(set(objectives.__all__) - {"discovery_value"}, 0.3)  # it takes the place of relevance


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=25, maps=maps, shown=make_exposures(split))


def coin(pool: Pool, k: int, *, size: float = 1.0) -> Modular:
    """An objective of somebody's own."""
    return Modular(np.where(pool.items % 2 == 0, size, 0).astype(np.float32))


def flat(pool: Pool, k: int) -> Modular:
    return Modular(np.full(pool.items.shape, 3.0, np.float32))


@pytest.mark.parametrize("scale", ["fitted", None])
def test_relevance_alone_is_the_pools_order_bit_for_bit(pool, scale):
    slates = rerank(pool, {"relevance": 1.0}, k=10, scale=scale)
    assert (slates.items == pool.items[:, :10]).all()


def test_a_weight_of_zero_is_absent(pool):
    alone = rerank(pool, {"relevance": 1.0, "mmr": 0.3}, k=8)
    beside = rerank(pool, {"relevance": 1.0, "mmr": 0.3, "novelty": 0.0}, k=8)
    assert (alone.items == beside.items).all()
    assert beside.objectives == ("mmr", "relevance")


def test_contributions_sum_to_scores_and_picks_are_distinct_candidates(pool):
    slates = rerank(pool, EVERYTHING, k=10)
    np.testing.assert_allclose(slates.contributions.sum(axis=2), slates.scores, rtol=1e-5)
    for u, row in enumerate(slates.items):
        shown = row[row >= 0]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= set(pool.items[u])


def test_threads_and_partition_change_nothing(monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", 100 * 25)
    split = make_split(users=600)
    whole = candidates(RandomFactorModel(split), split, n=25, maps=make_maps(split), shown=make_exposures(split))
    scales = fit_scales(whole, EVERYTHING)
    one = rerank(whole, EVERYTHING, scale=scales, n_threads=1, temperature=0.5, epsilon=0.1, seed=4)
    two = rerank(whole, EVERYTHING, scale=scales, n_threads=2, temperature=0.5, epsilon=0.1, seed=4)
    part = rerank(whole.slice_users(250, 270), EVERYTHING, scale=scales, temperature=0.5, epsilon=0.1, seed=4)
    assert (one.items == two.items).all()
    assert (one.contributions == two.contributions).all()
    assert (one.items[250:270] == part.items).all()


def test_somebodys_own_objective_is_asked_by_the_calling_thread_alone(monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", 100 * 25)
    split = make_split(users=600)
    whole = candidates(RandomFactorModel(split), split, n=25)
    sys.modules.setdefault(__name__, sys.modules[asked.__module__])
    ASKED.clear()
    rerank(whole, {"relevance": 1.0, f"{__name__}:asked": 1.0}, scale=None, n_threads=2)
    assert [threading.get_ident()] * len(blocks.split_into_blocks(whole, 2)) == ASKED


TABLES: list[np.ndarray] = []


def near(pool: Pool, k: int) -> Spread:
    """Take the next table of vectors for each block."""
    return Spread(TABLES.pop(0), np.maximum(pool.items, 0))


def test_vectors_of_ones_own_are_looked_at_once_and_others_again(pool, monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", 25)  # a block for each user
    four, looked, blend = pool.slice_users(0, 4), [], {"relevance": 1.0, near: 1.0}
    good = np.ones((len(pool.context.item_ids), 2), np.float32)
    other, broken = good.copy(), np.where([True, False], good, np.float32(np.nan))
    monkeypatch.setattr(inputs, "check_finite", lambda place, array: looked.append(id(array)))
    TABLES[:] = [good, good, other, other]
    rerank(four, blend, scale=None, n_threads=1)
    assert [looked.count(id(good)), looked.count(id(other))] == [1, 1]
    monkeypatch.setattr(inputs, "check_finite", check_finite)
    TABLES[:] = [good, good, broken, other]
    with pytest.raises(RecsysError, match="vectors holds NaN or infinity"):
        rerank(four, blend, scale=None, n_threads=1)


ASKED: list[int] = []


def asked(pool: Pool, k: int) -> Modular:
    """Say which thread asks."""
    ASKED.append(threading.get_ident())
    return Modular(np.zeros(pool.items.shape, np.float32))


@pytest.mark.parametrize("users", [0, 1, 9, 10, 11, 25])
@pytest.mark.parametrize("n", [1, 5, 60])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_blocks_hold_everybody_once_and_no_more_than_so_many_candidates(pool, monkeypatch, users, n, threads):
    monkeypatch.setattr(blocks, "CELLS", 50)
    items, scores = np.zeros((users, n), np.int32), np.zeros((users, n), np.float32)
    some = replace(pool, users=np.zeros(users, np.int32), items=items, scores=scores)
    found = blocks.split_into_blocks(some, threads)
    sizes = [block.stop - block.start for block in found]
    assert [u for block in found for u in range(block.start, block.stop)] == list(range(users))
    most = {1: 32, 5: 8, 60: 1}[n]
    assert all(size in range(1, most + 1) for size in sizes)
    assert max(sizes, default=1) - min(sizes, default=1) <= 1
    least = -(-users // most)
    assert len(found) == (least if least <= 1 else min(users, -(-least // threads) * threads))


def test_many_blocks_equal_one_user_at_a_time(monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", 100 * 12)
    split = make_split(users=600, items=30)
    pool = candidates(RandomFactorModel(split), split, n=12, maps=make_maps(split))
    blend = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.4}
    scales = fit_scales(pool, blend)
    whole = rerank(pool, blend, k=5, scale=scales)
    for u in (0, 255, 256, 511, 512, 599):
        assert (rerank(pool.slice_users(u, u + 1), blend, k=5, scale=scales).items == whole.items[u]).all()


def test_weights_per_user_are_the_same_as_each_weight_alone(pool):
    weights = np.linspace(0, 1, len(pool.users))
    together = rerank(pool, {"relevance": 1.0, "novelty": weights}, k=6)
    for u in (0, 11, 29):
        alone = rerank(
            pool,
            {"relevance": 1.0, "novelty": weights[u]},
            k=6,
            scale={**together.scales, "novelty": together.scales["novelty"]},
        )
        assert (alone.items[u] == together.items[u]).all()


def test_scales_make_spreads_equal(pool):
    scales = fit_scales(pool, {"relevance": 1.0, "novelty": 1.0})
    gains = pool.scores
    spread = np.mean([[gains[u, s:n].std() for s in range(10)] for u, n in enumerate(pool.lengths)])
    assert scales["relevance"] == pytest.approx(1 / spread, rel=1e-5)


def test_scales_fitted_alone_are_those_fitted_together_and_are_kept_by_what_decides_them(pool):
    blend = {"relevance": 1.0, "mmr": {"weight": 0.3, "agg": "mean"}, "novelty": {"weight": 2.0, "adapt_to": "entropy"}}
    kept, fitted = {}, []

    def get_or_fit(alone, fit):
        key = json.dumps(alone)
        if key not in kept:
            fitted.append(*alone)
            kept[key] = fit()
        return kept[key]

    assert fit_each_scale(pool, blend, 6, get_or_fit) == pytest.approx(fit_scales(pool, blend, 6))
    assert sorted(fitted) == ["mmr", "novelty", "relevance"]
    assert fit_each_scale(pool, {"relevance": 9.0, "novelty": 1.0}, 6, get_or_fit).keys() == {"relevance", "novelty"}
    assert sorted(fitted) == ["mmr", "novelty", "relevance"]  # other weights fit nothing anew
    fit_each_scale(pool, {"mmr": {"weight": 0.3, "agg": "max"}}, 6, get_or_fit)
    assert sorted(fitted) == ["mmr", "mmr", "novelty", "relevance"]


def test_a_term_that_cannot_tell_candidates_apart_weighs_nothing(pool):
    name = f"{__name__}:flat"
    sys.modules.setdefault(__name__, sys.modules[flat.__module__])
    slates = rerank(pool, {"relevance": 1.0, name: 5.0}, k=5)
    assert slates.scales[name] == 0.0
    assert (slates.contributions[:, :, slates.objectives.index(name)] == 0).all()


def test_an_objective_of_ones_own_with_settings(pool):
    sys.modules.setdefault(__name__, sys.modules[coin.__module__])
    slates = rerank(pool, {f"{__name__}:coin": {"weight": 1.0, "size": 2.0}}, k=5, scale=None)
    assert (slates.items[pool.lengths >= 20] % 2 == 0).all()


def test_sampled_slates_carry_log_propensities_and_deterministic_ones_none(pool):
    sampled = rerank(pool, {"relevance": 1.0, "mmr": 0.2}, k=5, temperature=0.5, seed=1)
    assert sampled.log_propensity is not None
    assert (sampled.log_propensity <= 1e-6).all()
    assert (rerank(pool, {"relevance": 1.0}, k=5, temperature=0.5, seed=2).items != sampled.items).any()
    assert rerank(pool, {"relevance": 1.0}, k=5).log_propensity is None


def test_draws_from_modular_blends_are_plackett_luce(split, model):
    """All 24 orders of four candidates, each as often as the closed form says; and their log-probabilities are its."""
    whole, blend, draws = candidates(model, split, n=4), {"relevance": 1.0, "novelty": 0.5}, 8000
    items, scores = (np.repeat(a[5:6], draws, axis=0) for a in (whole.items, whole.scores))
    many = Context(np.arange(draws).astype(str), whole.context.item_ids, parent_context=whole.context)
    pool = Pool(np.arange(draws, dtype=np.int32), items, scores, many)  # one pool, as seen by many
    scales = fit_scales(whole, blend, 4)
    slates = rerank(pool, blend, 4, scale=scales, temperature=0.8)
    novelty = objectives.novelty(pool, 4).gain[0]
    gain = scores[0] * scales["relevance"] + 0.5 * novelty * scales["novelty"]
    pull = dict(zip(items[0].tolist(), np.exp(gain.astype(float) / 0.8), strict=True))
    chances = {o: np.prod([pull[i] / sum(pull[j] for j in o[r:]) for r, i in enumerate(o)]) for o in permutations(pull)}
    assert sum(chances.values()) == pytest.approx(1)
    orders = [tuple(row) for row in slates.items.tolist()]
    exact = [np.log(chances[order]) for order in orders]
    np.testing.assert_allclose(slates.log_propensity.sum(axis=1), exact, atol=1e-4)
    chi = sum((orders.count(o) - draws * chance) ** 2 / (draws * chance) for o, chance in chances.items())
    assert chi < 55.5  # the 99.98 % point of chi squared with 23 degrees of freedom


def test_epsilon_greedy_keeps_the_greedy_pick_or_takes_any(pool):
    blend = {"relevance": 1.0}
    greedy, mixed = (rerank(pool, blend, k=5, epsilon=e, seed=3) for e in (0.0, 0.4))
    assert greedy.log_propensity is None
    for u in range(30):
        left = pool.items[u, : pool.lengths[u]].tolist()
        for r, item in enumerate(mixed.items[u]):
            chance = 0.4 / len(left) + 0.6 * (item == left[0])
            assert mixed.log_propensity[u, r] == pytest.approx(np.log(chance), abs=1e-5)
            left.remove(item)
    others = (mixed.items != greedy.items).any(axis=1)
    assert 0 < others.sum() < 30
    certain = rerank(pool, blend, k=5, epsilon=1e-12)
    assert (certain.items == greedy.items).all()
    np.testing.assert_allclose(certain.log_propensity, 0, atol=1e-6)


def test_order_by_relevance_shows_the_same_picks_the_likeliest_first(pool):
    blend = {"relevance": 1.0, "mmr": 0.5, "noise": 1.0}
    picked, shown = (rerank(pool, blend, k=5, order=order) for order in ("gain", "relevance"))
    assert (picked.items != shown.items).any()
    for u in range(30):
        places = {item: place for place, item in enumerate(pool.items[u].tolist())}
        assert shown.items[u].tolist() == sorted(picked.items[u].tolist(), key=places.get)
        told = dict(zip(picked.items[u].tolist(), picked.contributions[u].tolist(), strict=True))
        assert shown.contributions[u].tolist() == [told[item] for item in shown.items[u].tolist()]
    np.testing.assert_allclose(shown.scores, shown.contributions.sum(axis=2), rtol=1e-6)
    alone = {"relevance": 1.0}
    assert (rerank(pool, alone, k=5, order="relevance").items == rerank(pool, alone, k=5).items).all()


def test_order_by_relevance_leaves_the_end_of_a_short_slate_empty(split, model):
    whole = candidates(model, split, n=6)
    items = np.where(np.arange(6) < 3, whole.items, -1)
    short = Pool(whole.users, items, np.where(items >= 0, whole.scores, 0), whole.context)
    shown = rerank(short, {"relevance": 1.0, "noise": 3.0}, k=5, order="relevance")
    assert (shown.items[:, :3] == items[:, :3]).all() and (shown.items[:, 3:] == -1).all()


def test_thompson_has_no_propensity_even_when_sampled(pool):
    assert rerank(pool, {"relevance": 1.0, "thompson": 0.5}, k=5, temperature=0.5).log_propensity is None
    assert rerank(pool, {"relevance": 1.0, "thompson": 0.5}, k=5, epsilon=0.5).log_propensity is None


def test_thompson_by_slot_is_a_slate_of_picks_each_by_a_whim_of_its_own(pool):
    blend = {"relevance": 1.0, "thompson": {"weight": 0.5, "per": "slot"}}
    slates, scales = rerank(pool, blend, k=6), fit_scales(pool, blend, 6)
    assert slates.scales == scales
    assert slates.log_propensity is None
    assert rerank(pool, blend, k=6, temperature=0.5).log_propensity is None
    gain = pool.scores[:, None] * scales["relevance"]
    gain = gain + 0.5 * scales["thompson"] * objectives.thompson(pool, 6, per="slot").gain
    for u, n in enumerate(pool.lengths):
        left = list(range(n))
        for r in range(6):
            best = max(left, key=lambda i: gain[u, r, i])
            assert slates.items[u, r] == pool.items[u, best]
            left.remove(best)


def test_scales_of_gains_by_slot_are_of_the_spread_in_each_slot(pool):
    drawn = objectives.thompson(pool, 5, per="slot").gain
    spread = np.mean([[drawn[u, s, s:n].std() for s in range(5)] for u, n in enumerate(pool.lengths)])
    scales = fit_scales(pool, {"thompson": {"weight": 1.0, "per": "slot"}}, 5)
    assert scales["thompson"] == pytest.approx(1 / spread, rel=1e-5)


def test_a_short_pool_gives_a_short_slate(split, model):
    crowded = Pool(
        np.array([0, 1], np.int32),
        np.array([[3, 4, -1, -1], [-1, -1, -1, -1]], np.int32),
        np.array([[2, 1, 0, 0], [0, 0, 0, 0]], np.float32),
        candidates(model, split, n=5).context,
    )
    slates = rerank(crowded, {"relevance": 1.0, "novelty": 0.1, "mmr": 0.1}, k=3)
    assert slates.items[0].tolist()[2] == -1
    assert set(slates.items[0][:2]) == {3, 4}
    assert (slates.items[1] == -1).all()


@pytest.mark.parametrize(
    ("blend", "k", "settings", "message"),
    [
        ({"relevance": 1.0}, 26, {}, "slate: k is 26, expected a whole number from 1 to 25, the pool's size"),
        ({"relevance": 1.0}, 2.5, {}, "k is 2.5, expected a whole number"),
        ({"relevance": 1.0}, "10", {}, "k is '10', expected a whole number"),
        ({"relevance": 1.0}, True, {}, "k is True, expected a whole number"),
        ({"relevance": 1.0}, 5, {"n_threads": -2}, "n_threads is -2, expected a whole number from 1 on"),
        ({"relevance": 1.0}, 5, {"n_threads": 0}, "n_threads is 0, expected a whole number from 1 on"),
        ({"relevance": 1.0}, 5, {"n_threads": 1.5}, "n_threads is 1.5, expected a whole number from 1 on"),
        ({"relevance": 1.0}, 5, {"seed": "a"}, "seed is 'a', expected a whole number"),
        ({"relevance": 1.0}, 5, {"seed": 1.5}, "seed is 1.5, expected a whole number"),
        (
            "relevance",
            5,
            {},
            """blend: found 'relevance', expected objectives and weights such as {"relevance": 1.0}""",
        ),
        (["relevance", "novelty"], 5, {}, "blend: found ['relevance', 'novelty'], expected objectives and weights"),
        ({1: 1.0, "relevance": 1.0}, 5, {}, "blend: found {1: 1.0, 'relevance': 1.0}, expected objectives and weights"),
        ({"relevance": "1"}, 5, {}, "the weight of 'relevance' is '1', expected a number"),
        ({"relevance": True}, 5, {}, "the weight of 'relevance' is True, expected a number"),
        ({"relevance": 1.0}, 5, {"temperature": "0.5"}, "temperature is '0.5', expected a number from 0 on"),
        ({"relevance": 1.0}, 5, {"scale": 2.0}, "scale is 2.0, expected 'fitted', a factor per objective, or None"),
        ({"relevance": 1.0}, 0, {}, "k is 0"),
        ({"relevence": 1.0}, 5, {}, "unknown objective 'relevence': did you mean 'relevance'"),
        ({"negative_space": {"weight": 1.0, "tua": 1.0}}, 5, {}, "unknown setting 'tua': did you mean 'tau'"),
        ({"negative_space": {"tau": 1.0}}, 5, {}, "'negative_space' has no weight"),
        ({"mmr": {"weight": 1.0, "agg": 3}}, 5, {}, "mmr: agg is 3, expected text"),
        ({"dpp": {"weight": 1.0, "window": 2.5}}, 5, {}, "dpp: window is 2.5, expected a whole number"),
        (
            {"negative_space": {"weight": 1.0, "tau": "x"}},
            5,
            {},
            "negative_space: tau is 'x', expected a finite number",
        ),
        ({"math:pi": 1.0}, 5, {}, "'math:pi' cannot be imported"),
        ({"relevance": []}, 5, {}, "the weight of 'relevance' is []"),
        ({"relevance": "much"}, 5, {}, "the weight of 'relevance' is 'much'"),
        ({"relevance": float("nan")}, 5, {}, "the weight of 'relevance' is nan"),
        ({"relevance": [1.0, 2.0]}, 5, {}, "'relevance' has 2 weights, expected one, or 30"),
        ({"relevance": 0.0}, 5, {}, "every weight is 0"),
        ({"relevance": 1.0}, 5, {"temperature": -1.0}, "temperature is -1.0"),
        ({"relevance": 1.0}, 5, {"epsilon": 1.5}, "slate: epsilon is 1.5, expected a number from 0 to 1"),
        ({"relevance": 1.0}, 5, {"epsilon": True}, "slate: epsilon is True, expected a number from 0 to 1"),
        ({"relevance": 1.0}, 5, {"order": "relevence"}, "slate: unknown order 'relevence': did you mean 'relevance'"),
        ({"relevance": 1.0}, 5, {"order": "relevance", "epsilon": 0.1}, "order is 'relevance' where picks are drawn"),
        ({"relevance": 1.0}, 5, {"scale": "fited"}, "scale is 'fited'"),
        (
            {"relevance": 1.0},
            5,
            {"scale": {"novelty": 1.0}},
            "slate: scale has no 'relevance', expected a number for each",
        ),
        ({"nowhere:nothing": 1.0}, 5, {}, "cannot be imported"),
        ({"mmr": {"weight": 1.0, "space": "genres"}}, 5, {}, "unknown space 'genres'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(pool, blend, k, settings, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as caught:
        rerank(pool, blend, k, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, 26, 2.5, "10", True])
def test_scales_are_fitted_at_a_k_that_can_be(pool, k):
    with pytest.raises(RecsysError, match=f"^slate: k is {k!r}, expected a whole number from 1 to 25"):
        fit_scales(pool, {"relevance": 1.0}, k)


def test_what_is_no_pool_is_refused(split):
    with pytest.raises(RecsysError, match=r"^slate: found a Split, expected a Pool"):
        rerank(split, {"relevance": 1.0})


def test_kept_terms_change_nothing_and_stay_few(pool):
    terms = TermCache(pool, max_terms=2)
    for weight in (0.1, 0.7):
        blend = {"relevance": 1.0, "unexplored": weight, "negative_space": {"weight": weight, "tau": weight}}
        plain, kept = rerank(pool, blend), rerank(pool, blend, terms=terms)
        assert (plain.items == kept.items).all()
        assert (plain.contributions == kept.contributions).all()
    assert len(terms.kept) == 2


def test_kept_terms_are_not_computed_again(pool, monkeypatch):
    calls = []
    plain = objectives.novelty
    monkeypatch.setattr(objectives, "novelty", lambda pool, k: calls.append(k) or plain(pool, k))
    terms = TermCache(pool)
    for weight in (0.1, 0.2, 0.3):
        rerank(pool, {"relevance": 1.0, "novelty": weight}, terms=terms)
    assert calls == [10] * -(-len(pool.users) // 256)


def test_terms_of_another_pool_are_refused(pool):
    with pytest.raises(RecsysError, match="terms are of another pool"):
        rerank(pool, {"relevance": 1.0}, terms=TermCache(pool.slice_users(0, 5)))
