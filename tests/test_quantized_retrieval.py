"""Retrieval by a scan of factors of eight bits: items, scores and ties of the plain scan, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_maps, make_split

from recsys.kernels.code_products import multiply_rows
from recsys.kernels.compiled import compile_kernel
from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker, quantized_retrieval
from recsys.rankers.quantized_retrieval import QuantizedItems
from recsys.rankers.retrievals import score_items
from recsys.reranking import guards
from recsys.types import Factors

N = 5


def make_factors(users, items, d, seed=0):
    rng = np.random.default_rng(seed)
    user, item = (rng.normal(0, 0.3, (size, d)).astype(np.float32) for size in (users, items))
    return FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))


@compile_kernel(fastmath=False)
def multiply_all(codes, user, products):
    for row in range(0, len(codes), 4):
        multiply_rows(codes, row, user, products, row)


@pytest.mark.parametrize("d", [16, 48, 512])
def test_products_of_whole_numbers_are_exact(d):
    rng = np.random.default_rng(d)
    codes, user = rng.integers(-127, 128, (12, d), dtype=np.int8), rng.integers(-32767, 32768, d).astype(np.int16)
    codes[:2], user[: d // 2] = 127, 32767
    codes[1] *= np.sign(user).astype(np.int8)  # the largest sum that there is
    products = np.empty(12, np.int32)
    multiply_all(codes, user, products)
    assert products.tolist() == (codes.astype(np.int64) @ user.astype(np.int64)).tolist()


WIDTHS = st.sampled_from([1, 3, 16, 50, 129, 512])
SCALES = st.sampled_from([1e-45, 1e-38, 1e-20, 1.0, 1e9, 1e14])
KINDS = st.sampled_from(["normal", "heavy", "one number", "whole numbers", "alike"])


def draw_factors(rng, kind, shape):
    made = rng.normal(size=shape)
    if kind == "heavy":
        made = np.sinh(4 * made)
    elif kind == "one number":
        made *= np.arange(shape[-1]) == rng.integers(shape[-1])
    elif kind == "whole numbers":
        made = np.rint(made)
    elif kind == "alike":
        made = made[rng.integers(0, 3, len(made))] if len(shape) == 2 else made
    return made


def check_bounds(quantized, items, user, closed, n):
    """Hold what may be among the best against the scores of all items."""
    exact = score_items(items, user)
    found = quantized.find_possible_best(user, n, closed)
    opened = np.flatnonzero(~closed)
    if found is None:
        return None
    edge = np.sort(exact[opened])[-n]
    assert set(opened[exact[opened] >= edge]) <= set(found.tolist())
    assert not closed[found].any()
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), WIDTHS, SCALES, SCALES, KINDS, KINDS, st.floats(0, 1))
def test_nothing_of_the_best_is_lost(seed, d, item_scale, user_scale, item_kind, user_kind, share):
    rng = np.random.default_rng(seed)
    items = (item_scale * draw_factors(rng, item_kind, (int(rng.integers(60, 300)), d))).astype(np.float32)
    items[rng.random(len(items)) < 0.1] = 0.0
    user = (user_scale * draw_factors(rng, user_kind, (d,))).astype(np.float32)
    closed = rng.random(len(items)) < share
    quantized = QuantizedItems(items)
    error = check_errors(quantized, items, user)
    assert error is None or (error <= 0).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantized_retrieval, "ROOM", 1)
        check_bounds(quantized, items, user, closed, N)


def check_errors(quantized, items, user):
    """Return by how much the scores of items lie outside of their bounds, (I,), at most 0 where these hold."""
    length = np.linalg.norm(user.astype(np.float64))
    if length * quantized.longest > 1e30:
        return None
    exact = score_items(items, user).astype(np.float64)
    nearly = quantized.codes[: len(items), : len(user)].astype(np.float64) * quantized.scales[:, None].astype(
        np.float64
    )
    return np.abs(exact - nearly @ user) - length * quantized.errors - 4 * len(user) * 2.0**-126


def test_the_scan_leaves_little_of_plain_factors():
    rng = np.random.default_rng(0)
    items, user = rng.normal(size=(4000, 64)).astype(np.float32), rng.normal(size=64).astype(np.float32)
    found = check_bounds(QuantizedItems(items), items, user, np.zeros(4000, bool), 20)
    assert 20 <= len(found) < 40


def test_it_cannot_tell_where_few_are_open_or_all_are_alike():
    items = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    closed = np.ones(300, bool)
    closed[:4] = False
    quantized, user = QuantizedItems(items), np.ones(8, np.float32)
    assert quantized.find_possible_best(user, N, closed) is None
    assert quantized.find_possible_best(0 * user, N, ~closed) is None
    assert quantized.find_possible_best(np.float32(1e30) * user, N, ~closed) is None
    same = QuantizedItems(np.ones((300, 8), np.float32))
    assert same.find_possible_best(user, N, np.zeros(300, bool)) is None


@pytest.fixture(scope="module")
def world():
    return make_split(users=30, seed=4)


@pytest.fixture
def small_catalogues(monkeypatch):
    for name, least in {"MIN_ITEMS": 1, "ITEMS_PER_CANDIDATE": 2, "ROOM": 1, "TRIAL_N": 2}.items():
        monkeypatch.setattr(quantized_retrieval, name, least)


def test_a_ranker_that_is_loaded_scans_what_it_maps(world, small_catalogues, tmp_path):
    settings = {"maps": make_maps(world), "n": N, "k": 4, "scale": None}
    ranker = Ranker.fit(make_factors(*world.shape, 5), world, {"relevance": 1.0}, **settings)
    loaded = Ranker.load(ranker.save(tmp_path / "ranker"))
    made = quantized_retrieval.find_quantized_items(loaded.model, loaded.context, loaded.policy)
    assert made is not None and np.shares_memory(made.items, loaded.model.factors.item_factors)
    assert made is quantized_retrieval.find_quantized_items(loaded.model, loaded.context, loaded.policy)
    assert loaded.rank(history=[], now=0).items == ranker.rank(history=[], now=0).items


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_as_the_plain_scan_does(world, small_catalogues, ties, monkeypatch):
    made = make_factors(*world.shape, 5)
    if ties:
        made.factors.item_factors[:] = made.factors.item_factors[np.arange(world.shape[1]) // 3]
    settings = {"maps": make_maps(world), "n": N, "k": 4, "scale": None}
    ranker = Ranker.fit(made, world, {"relevance": 1.0}, **settings)
    items = ranker.context.item_ids.tolist()
    limit = guards.exclude(items[:5])
    asked = [{"user": user} for user in ranker.context.user_ids.tolist()]
    asked += [{"history": items[n : n + 4], "guards": [limit]} for n in range(10)] + [{}]
    found, find = [], QuantizedItems.find_possible_best
    monkeypatch.setattr(QuantizedItems, "find_possible_best", lambda *given: found.append(find(*given)) or found[-1])
    quick = [ranker.rank(**one, now=0) for one in asked]
    assert len(found) >= len(asked) and all(one is not None for one in found)
    found.clear()
    monkeypatch.setattr(QuantizedItems, "find_possible_best", lambda *given: found.append(given))
    plain = [ranker.rank(**one, now=0) for one in asked]
    assert len(found) == len(asked)
    for one, other in zip(quick, plain, strict=True):
        assert one.items == other.items and one.relevance.tobytes() == other.relevance.tobytes()


def test_a_scan_that_leaves_too_much_is_not_kept(world, small_catalogues, monkeypatch):
    settings = {"maps": make_maps(world), "n": N, "scale": None}
    ranker = Ranker.fit(make_factors(*world.shape, 5), world, {"relevance": 1.0}, **settings)
    monkeypatch.setattr(quantized_retrieval, "ROOM", 1000)
    assert quantized_retrieval.find_quantized_items(ranker.model, ranker.context, ranker.policy) is None
    monkeypatch.setattr(quantized_retrieval, "ROOM", 1)
    assert quantized_retrieval.find_quantized_items(ranker.model, ranker.context, ranker.policy) is None
