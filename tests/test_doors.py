"""Records made by hand and numbers without bounds: one line, or an answer; never a crash."""

import inspect
import re
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, sparse
from synthetic import RandomFactorModel, make_maps, make_split

import recsys as rs
from recsys import objectives
from recsys.kernels import slot_rules
from recsys.kernels.inputs import build_kernel_inputs
from recsys.reranking.blocks import _run_kernel
from recsys.reranking.slates import fit_scales
from recsys.types import (
    Context,
    Counts,
    Coverage,
    Guard,
    Modular,
    Pool,
    RecsysError,
    Rule,
    Seats,
    Spread,
    TableCache,
    TasteMap,
    Volume,
)

BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2, "dpp": 0.1, "unexplored": 0.1}
U, N, K, ITEMS = 30, 20, 5, 40
HUGE = 3.0e38


@pytest.fixture(scope="module")
def split():
    return make_split()


@pytest.fixture(scope="module")
def pool(split):
    return rs.candidates(RandomFactorModel(split), split, n=N, maps=make_maps(split))


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def one_line(call):
    with pytest.raises(RecsysError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {"items": changed(p.items, (3, 2), 10**6)}, "row 3: found item codes"),
        (lambda p: {"items": changed(p.items, (3, 2), -5)}, "row 3: found item codes -5"),
        (lambda p: {"items": changed(p.items, (3, 2), -(2**31))}, "row 3: found item codes"),
        (lambda p: {"items": changed(p.items, (3, 2), -1)}, "row 3: an item stands behind a -1"),
        (lambda p: {"items": changed(p.items, (3, 2), p.items[3, 7])}, "row 3: item code"),
        (lambda p: {"items": np.zeros_like(p.items)}, "row 0: item code 0 is there twice"),
        (lambda p: {"scores": changed(p.scores, (4, 2), np.nan)}, "row 4: scores hold NaN or infinity"),
        (lambda p: {"scores": changed(p.scores, (4, 0), np.inf)}, "row 4: scores hold NaN or infinity"),
        (lambda p: {"scores": p.scores[:, ::-1]}, "row 0: scores grow along it"),
        (lambda p: {"scores": p.scores[:, :3]}, "pool: found users (30,), items (30, 20) and scores (30, 3)"),
        (lambda p: {"users": p.users[1:]}, "pool: found users (29,)"),
        (lambda p: {"users": changed(p.users, 3, 10**6)}, "pool: users holds 0 to 1000000, expected whole numbers"),
        (lambda p: {"users": changed(p.users, 3, -1)}, "pool: users holds -1"),
        (lambda p: {"users": p.users[:, None]}, "pool: found users (30, 1)"),
        (lambda p: {"users": p.users.astype(np.float64)}, "pool: users is of type float64, expected whole numbers"),
        (lambda p: {"items": p.items.astype(np.float64)}, "pool: items is of type float64, expected whole numbers"),
        (lambda p: {"items": p.items > 3}, "pool: items is of type bool"),
        (lambda p: {"items": changed(p.items.astype(np.int64), (0, 0), 2**40)}, "pool: items holds"),
        (lambda p: {"items": p.items.tolist()[0]}, "pool: found users (30,), items (20,)"),
        (lambda p: {"scores": np.full(p.items.shape, "a")}, "pool: scores is of type <U1, expected numbers"),
        (lambda p: {"scores": p.scores.astype(np.float64) * 1e300}, "scores hold NaN or infinity"),
    ],
)
@pytest.mark.parametrize("door", ["rerank", "scales", "costs"])
def test_a_pool_made_by_hand_is_checked_at_each_door(pool, change, message, door):
    slates = rs.rerank(pool, BLEND, K)
    doors = {
        "rerank": lambda made: rs.rerank(made, BLEND, K),
        "scales": lambda made: fit_scales(made, BLEND, K),
        "costs": lambda made: rs.opportunity_costs(made, slates, BLEND),
    }
    said = one_line(lambda: doors[door](replace(pool, **change(pool))))
    assert message in said
    assert "row" not in said or door == "costs" or said.startswith("pool: row")


def test_what_is_written_into_a_pool_later_is_seen(pool):
    mine = Pool(pool.users.copy(), pool.items.copy(), pool.scores.copy(), pool.context)
    rs.rerank(mine, BLEND, K)
    mine.items[2, 1] = 10**6
    assert "pool: items holds" in one_line(lambda: rs.rerank(mine, BLEND, K))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: {"items": p.items.astype(np.int64), "users": p.users.astype(np.uint8)},
        lambda p: {"scores": p.scores.astype(np.float64)},
        lambda p: {"items": np.asfortranarray(p.items), "scores": np.asfortranarray(p.scores)},
        lambda p: {"items": np.repeat(p.items, 2, axis=1)[:, ::2], "users": np.repeat(p.users, 2)[::2]},
        lambda p: {"users": p.users.tolist(), "items": p.items.tolist(), "scores": p.scores.tolist()},
        lambda p: {"items": p.items.astype(">i8"), "scores": p.scores.astype(">f4")},
    ],
)
def test_other_types_of_the_same_numbers_give_the_same_slates(pool, change):
    expected, found = (rs.rerank(p, BLEND, K) for p in (pool, replace(pool, **change(pool))))
    assert np.array_equal(expected.items, found.items) and np.array_equal(expected.scores, found.scores)


def test_an_empty_pool_gives_empty_slates(pool):
    nobody = Pool(pool.users[:0], pool.items[:0], pool.scores[:0], pool.context)
    assert rs.rerank(nobody, BLEND, K).items.shape == (0, K)
    nothing = Pool(pool.users, np.full_like(pool.items, -1), np.zeros_like(pool.scores), pool.context)
    assert (rs.rerank(nothing, BLEND, K).items == -1).all()


def damaged(matrix, **change):
    """Return the matrix with other arrays, as nobody's constructor would make it."""
    made = matrix.copy()
    for name, value in change.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {"train": damaged(c.train, indices=c.train.indices + 10**6)}, "context: train: indices holds"),
        (lambda c: {"train": damaged(c.train, indices=c.train.indices - 7)}, "context: train: indices holds -7"),
        (lambda c: {"train": damaged(c.train, indptr=c.train.indptr[::-1].copy())}, "context: train: its entries"),
        (lambda c: {"train": c.train[:, :5]}, "context: train has shape (30, 5), expected 30 x 40"),
        (lambda c: {"train": c.train.tocsc()}, "context: train is a csc_array, expected a CSR matrix"),
        (lambda c: {"train": c.train.toarray()}, "context: train is a ndarray, expected a CSR matrix"),
        (lambda c: {"train": c.train * np.nan}, "context: train holds NaN"),
        (lambda c: {"dislikes": c.dislikes[:3]}, "context: dislikes has shape (3, 40)"),
        (lambda c: {"items": replace(c.items, features=c.items.features[:9])}, "context: items: features has shape"),
        (
            lambda c: {"factors": replace(c.factors, item_factors=c.factors.item_factors[:9])},
            "context: factors: item_factors has shape (9, 6), expected 40 x n",
        ),
        (
            lambda c: {"factors": replace(c.factors, user_factors=c.factors.user_factors * np.nan)},
            "context: factors: user_factors holds NaN",
        ),
        (
            lambda c: {"factors": replace(c.factors, user_factors=c.factors.user_factors[:, :3])},
            "context: factors: user_factors has shape (30, 3), expected 30 x 6",
        ),
        (lambda c: {"make_maps": lambda: make_maps(make_split(items=9))}, "map 'random-0' has shape (9, 5)"),
        (lambda c: {"make_maps": lambda: ["ward"]}, "maps: found a str, expected a TasteMap"),
        (
            lambda c: {"make_maps": lambda: [TasteMap("x", damaged(m.assignment, indices=m.assignment.indices + 9), "x") for m in c.maps]},
            "map 'x': indices holds",
        ),
        (
            lambda c: {"make_maps": lambda: [replace(m, assignment=-1 * m.assignment) for m in c.maps]},
            "map 'random-0' has a share of -1",
        ),
        (lambda c: {"population_codes": np.full(30, 99), "parent_context": c}, "context: population_codes holds 99 to 99"),
    ],
)  # fmt: skip
def test_a_context_made_by_hand_is_checked(pool, change, message):
    context = replace(pool.context, tables=TableCache(), **change(pool.context))
    blend = {**BLEND, "ucb": 0.1, "calibration": 0.1}
    assert message in one_line(lambda: rs.rerank(replace(pool, context=context), blend, K))


TERM = None


def mine(pool, k):
    """An objective of somebody's own, which returns whatever TERM says."""
    return TERM(pool, k) if callable(TERM) else TERM


ROWS = np.zeros((U, N), np.int64)
AREA = sparse.csr_array(np.eye(ITEMS, 4, dtype=np.float32))
NEED = np.ones((U, 4))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (None, "returns a NoneType, expected one of Modular, Spread"),
        (np.zeros((U, N)), "returns a ndarray"),
        (Modular(np.full((U, N), np.nan, np.float32)), "Modular: gain holds NaN"),
        (Modular(np.zeros((U, 3), np.float32)), "gain has shape (30, 3), expected (30, 20)"),
        (Modular(np.zeros((U, N, 2), np.float32)), "gain has shape (30, 20, 2)"),
        (Modular([[1.0]]), "gain is a list, expected an array"),
        (Modular(np.zeros((U, N), "U1")), "gain is of type <U1, expected numbers"),
        (Modular(np.zeros((U, N), complex)), "gain is of type complex128"),
        (Spread(np.eye(4, dtype=np.float32), ROWS + 4), "rows holds 4 to 4, expected whole numbers from 0 to 3"),
        (Spread(np.eye(4, dtype=np.float32), ROWS - 1), "rows holds -1"),
        (Spread(np.eye(4, dtype=np.float32), ROWS * 1.0), "rows is of type float64"),
        (Spread(np.ones(4, np.float32), ROWS), "vectors has shape (4,), expected n x n"),
        (Spread(np.eye(4) * np.nan, ROWS), "vectors holds NaN"),
        (Spread(np.eye(4), ROWS, "median"), "unknown agg 'median'"),
        (Spread(np.eye(4), ROWS, empty=np.nan), "empty is nan"),
        (Spread(np.eye(4), ROWS, start=np.zeros((U, 3))), "start has shape (30, 3)"),
        (Coverage(AREA, ROWS + ITEMS, NEED, "sqrt"), "rows holds 40 to 40"),
        (Coverage(AREA.tocsc(), ROWS, NEED, "sqrt"), "coverage is a csc_array"),
        (Coverage(damaged(AREA, indices=AREA.indices + 9), ROWS, NEED, "sqrt"), "coverage: indices holds 9"),
        (Coverage(damaged(AREA, indptr=AREA.indptr[::-1].copy()), ROWS, NEED, "sqrt"), "coverage: its entries"),
        (Coverage(AREA * np.float32(np.inf), ROWS, NEED, "sqrt"), "coverage holds NaN"),
        (Coverage(AREA, ROWS, NEED[:, :2], "sqrt"), "need has shape (30, 2)"),
        (Coverage(AREA, ROWS, NEED, "cube"), "unknown phi 'cube'"),
        (Coverage(AREA, ROWS, NEED, "sqrt", slots=np.ones(2)), "slots has shape (2,), expected 5 or more"),
        (Coverage(AREA, ROWS, -NEED, "sqrt"), "need holds -1"),
        (Coverage(AREA, ROWS, NEED, "linear", cap=NEED * np.nan), "cap holds NaN"),
        (Seats(AREA, ROWS, NEED, focus=np.inf), "focus is inf"),
        (Seats(AREA, ROWS, NEED, divisor="2"), "divisor is '2'"),
        (Counts(AREA, ROWS, NEED, np.zeros((U, 4, K))), "patience has shape (30, 4, 5), expected (30, 4, 6)"),
        (Volume(np.eye(4), ROWS, "cube"), "unknown form 'cube'"),
        (Volume(np.eye(4), ROWS, window=0), "window is 0"),
        (Volume(np.eye(4), ROWS, window=10**30), "window is 1000000000"),
        (Volume(np.eye(4), ROWS, ridge=np.nan), "ridge is nan"),
        (Volume(np.eye(4), ROWS, quality=np.zeros((U, N), np.float32)), "quality holds 0, expected numbers above 0"),
    ],
)
def test_an_objective_of_ones_own_is_checked_where_it_is_laid_out(pool, monkeypatch, term, message):
    monkeypatch.setattr(f"{__name__}.TERM", term)
    assert message in one_line(lambda: rs.rerank(pool, {f"{__name__}:mine": 1.0}, K, scale=None))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (None, "guard 'mine' returns a NoneType, expected a recsys.types.Rule"),
        (Rule(excluded_items=np.zeros(3, bool)), "excluded_items has shape (3,), expected 40"),
        (Rule(excluded_items=np.zeros(ITEMS)), "excluded_items is of type float64, expected true or false"),
        (Rule(groups=AREA[:9], max_picks=np.ones(4, np.int64)), "groups has shape (9, 4), expected 40 x n"),
        (Rule(groups=damaged(AREA, indices=AREA.indices + 9)), "groups: indices holds 9"),
        (Rule(groups=AREA, max_picks=np.ones(3, np.int64)), "max_picks has shape (3,), expected 4"),
        (Rule(groups=AREA, min_picks=np.ones(4)), "min_picks is of type float64, expected whole numbers"),
        (Rule(max_picks=np.ones(4, np.int64)), "max_picks without groups"),
        (Rule(pins=np.full((U, 2), -1)), "pins has shape (30, 2), expected 30 x 5"),
        (Rule(pins=np.full((U, K), ITEMS)), "pins holds 40 to 40, expected whole numbers from -2 to 39"),
        (Rule(pins=np.full((U, K), np.nan)), "pins is of type float64"),
    ],
)
def test_a_guard_of_ones_own_is_checked_where_it_is_asked(split, pool, rule, message):
    guard = Guard("mine", lambda pool, k: rule)
    assert message in one_line(lambda: rs.rerank(pool, BLEND, K, guards=[guard]))
    ranker = rs.Ranker.fit(None, split, {"relevance": 1.0}, scale=None, maps=make_maps(split), k=K)
    if rule is None or rule.pins is None:
        said = one_line(lambda: ranker.rerank(["i1", "i2"], [2, 1], guards=[guard]))
        assert message in said


@pytest.mark.parametrize("name", ["relevance", "dpp", "mmr", "negative_space", "binomial_diversity", "pm2"])
@pytest.mark.parametrize("weight", [1e31, -1e31, 1e39, 1e303, 1.7e308, np.float64(1e200)])
def test_weights_beyond_what_adds_up_are_refused(split, pool, name, weight):
    for scale in ("fitted", None):
        said = one_line(lambda scale=scale: rs.rerank(pool, {name: weight}, K, scale=scale))
        assert f"blend: the weight of '{name}' is" in said and "expected at most 1e+30 in size" in said
    assert "expected at most 1e+30" in one_line(lambda: rs.Ranker.fit(None, split, {name: weight}, scale=None))


@pytest.mark.parametrize("scale", [1e31, 1e303, -1.7e308])
def test_weights_with_scales_beyond_what_adds_up_are_refused(split, pool, scale):
    said = one_line(lambda: rs.rerank(pool, {"relevance": 1.0, "dpp": 2.0}, K, scale={"relevance": 1, "dpp": scale}))
    assert "the weight of 'dpp' times its scale" in said
    for blend in ({"relevance": 2.0}, {"dpp": 2.0}):
        given = {"scale": dict.fromkeys(blend, scale), "maps": make_maps(split)}
        assert "times its scale" in one_line(partial(rs.Ranker.fit, None, split, blend, **given))


@pytest.mark.parametrize(
    "blend", [{"relevance": 1e30}, {"relevance": 1e30, "dpp": -1e30}, {"relevance": 2.0, "noise": 1.0}]
)
def test_gains_that_do_not_add_up_are_one_line(split, pool, blend):
    most = replace(pool, scores=np.linspace(HUGE, HUGE / 2, N, dtype=np.float32)[None].repeat(U, axis=0))
    assert "too large to be added up in 32 bits" in one_line(lambda: rs.rerank(most, blend, K, scale=None))
    ranker = rs.Ranker.fit(None, split, {"relevance": 2.0}, scale=None, maps=make_maps(split), k=K)
    assert "too large to be added up" in one_line(lambda: ranker.rerank(["i1", "i2"], [HUGE, 1.0]))
    assert ranker.rerank(["i1", "i2"], [1.0, 2.0]).items == ("i2", "i1")


@pytest.mark.parametrize("weight", [5e-324, 1e-300, -5e-324, 1e-45, 1e29])
def test_weights_near_the_ends_of_numbers_give_slates(pool, weight):
    for other in (0.0, 1.0, weight):
        slates = rs.rerank(pool, {"relevance": weight, "dpp": other, "negative_space": other}, K, scale=None)
        assert np.isfinite(slates.scores).all() and (slates.items >= 0).all()
        assert all(len(set(row)) == K for row in slates.items.tolist())


def test_a_weight_of_minus_zero_is_absent(pool):
    assert rs.rerank(pool, {"relevance": 1.0, "dpp": -0.0}, K).objectives == ("relevance",)


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e300])
@pytest.mark.parametrize("epsilon", [0.0, 5e-324, 1.0])
def test_temperatures_near_the_ends_of_numbers_give_slates_and_chances(pool, temperature, epsilon):
    slates = rs.rerank(pool, BLEND, K, temperature=temperature, epsilon=epsilon)
    assert (slates.items >= 0).all() and np.isfinite(slates.log_propensity).all()


NUMBERS = [
    np.nan,
    np.inf,
    -np.inf,
    1.7e308,
    -1.7e308,
    5e-324,
    -0.0,
    0,
    -1,
    1,
    2**31,
    2**63 - 1,
    10**30,
    1e-300,
    1e-30,
    1e30,
    -1e30,
]


@pytest.mark.parametrize("name", objectives.__all__)
@pytest.mark.filterwarnings("error")
def test_settings_at_the_ends_of_numbers_are_refused_or_give_slates(pool, name):
    known = list(inspect.signature(getattr(objectives, name)).parameters.values())[2:]
    for setting in known:
        if isinstance(setting.default, bool | str):
            continue
        for value in NUMBERS:
            if setting.name in ("accounts", "targets", "top_m", "top", "window") and value == 2**31:
                continue  # refused or the same as the largest: it takes the memory that it asks for
            try:
                slates = rs.rerank(pool, {name: {"weight": 1.0, setting.name: value}}, K)
            except RecsysError as error:
                assert "\n" not in str(error)
            else:
                assert np.isfinite(slates.scores).all() and (slates.items >= 0).all(), (setting.name, value)


def kernel(terms, weight, n, k, *, temperature=0.0, epsilon=0.0, asked=slot_rules.NO_RULES, laid=None):
    """Run the kernel for one user, past all doors."""
    laid = build_kernel_inputs(terms, 1, n, k, TableCache(3)) if laid is None else laid
    draws = (k, temperature, epsilon, np.full((1, k), 0.7), False)
    weights = np.asarray(weight, np.float64)[None]
    try:
        return _run_kernel((np.array([n]), weights, laid.to_tuples(), asked.to_tuple(), draws), k).picks[0]
    except RecsysError as error:
        assert "too large" in str(error)
        return None


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    bad=st.sampled_from([np.nan, -np.inf, np.inf, -HUGE, HUGE]),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    weight=st.sampled_from([1.0, -1.0, 1e308, np.nan, np.inf, -np.inf]),
    drawn=st.sampled_from([(0.0, 0.0), (1.0, 0.0), (0.0, 0.5)]),
    n=st.sampled_from([5, 31, 32, 33, 70]),
)
def test_whatever_the_gains_the_kernel_picks_candidates_each_once(
    monkeypatch_greedy, seed, bad, share, weight, drawn, n
):
    rng, k = np.random.default_rng(seed), 5
    gain, start, vectors = rng.random((1, n)), rng.random((1, n)), rng.random((n, 3)).astype(np.float32)
    laid = build_kernel_inputs(
        [
            Modular(gain.astype(np.float32)), Spread(vectors, np.arange(n)[None], start=start),
            Volume(vectors, np.arange(n)[None], quality=np.ones((1, n), np.float32)),
        ],
        1, n, k, TableCache(3),
    )  # fmt: skip
    hit = rng.random(n) < share
    laid.terms.modular[0, 0, hit] = bad
    laid.spread.start[0, 0, hit] = bad
    laid.volume.quality[0, 0, hit] = bad
    picks = monkeypatch_greedy(laid, [weight, 1.0, 1.0], n, k, *drawn)
    assert len(set(picks)) == k and min(picks) >= 0 and max(picks) < n


@pytest.fixture(scope="module")
def monkeypatch_greedy():
    """The compiled kernel itself, whatever it says of its gains."""
    from recsys.kernels.greedy import pick_greedily

    def run(laid, weight, n, k, temperature, epsilon):
        picks, added = np.full((1, k), -1, np.int64), np.zeros((1, k, len(weight)), np.float32)
        pick_greedily(
            np.array([n]), np.array([weight]), laid.to_tuples(), slot_rules.NO_RULES.slice_users(0, 1).to_tuple(),
            (k, temperature, epsilon, np.full((1, k), 0.7), False),
            (picks, added, np.zeros((1, k), np.float32), np.zeros((1, len(weight)))),
        )  # fmt: skip
        return picks[0].tolist()

    return run


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), d=st.integers(2, 12), more=st.integers(1, 8), near=st.booleans(), relevant=st.booleans()
)
def test_log_determinants_past_the_rank_are_exact_down_to_the_floor(seed, d, more, near, relevant):
    rng, n, k = np.random.default_rng(seed), d + 30, d + more
    vectors = rng.standard_normal((n, d))
    if near:  # most of it in three directions, and very little in the others
        vectors = rng.standard_normal((n, 3)) @ rng.standard_normal((3, d)) + 10.0 ** -rng.integers(1, 6) * vectors
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    worth = np.sort(rng.random((1, n)).astype(np.float32))[:, ::-1] * (3.0 if relevant else 0.0)
    terms = [Volume(vectors, np.arange(n)[None]), Modular(np.ascontiguousarray(worth, np.float32))]
    laid = build_kernel_inputs(terms, 1, n, k, TableCache(3))
    rules, draws = slot_rules.NO_RULES.slice_users(0, 1).to_tuple(), (k, 0.0, 0.0, np.zeros((0, k)), False)
    found = _run_kernel((np.array([n]), np.ones((1, 2)), laid.to_tuples(), rules, draws), k)
    exact = vectors.astype(np.float64)
    for r in range(k):
        left = exact[found.picks[0, r]]
        if r:
            basis, triangle, _ = linalg.qr(exact[found.picks[0, :r]].T, mode="economic", pivoting=True)
            basis = basis[:, np.abs(np.diag(triangle)) > 1e-9]
            left = left - basis @ (basis.T @ left)
            left = left - basis @ (basis.T @ left)
        expected = np.log(max(left @ left, 1e-6))
        assert abs(found.contributions[0, r, 0] - expected) < 1e-3, r


def test_contexts_are_looked_at_once(pool, monkeypatch):
    monkeypatch.setattr("recsys.types.pools.check_matrix", lambda *_: pytest.fail("looked at again"))
    rs.rerank(Pool(pool.users, pool.items, pool.scores, pool.context), BLEND, K)


def test_a_hand_made_pool_without_histories_is_a_pool():
    ids = np.arange(4).astype(str)
    slates = rs.rerank(Pool([0], [[2, 0, 1]], [[3, 2, 1]], Context(ids[:1], ids)), {"relevance": 1.0}, 2)
    assert slates.items.tolist() == [[2, 0]]
    assert re.match(
        "pool: users holds 0 to 1",
        one_line(lambda: rs.rerank(Pool([0, 1], [[2], [1]], [[3], [2]], Context(ids[:1], ids)), {"relevance": 1.0}, 1)),
    )


@pytest.mark.parametrize(
    "found", [0, 1.5, None, True, ["gain"], {"gain": 1}, np.zeros((2, 2)), object(), "g" * 500, "two\nlines"]
)
def test_a_choice_that_is_none_is_one_line(split, model, found):
    pool = rs.candidates(model, split, n=5)
    asked = {
        "order": lambda: rs.rerank(pool, {"relevance": 1.0}, k=2, order=found),
        "exclude_seen": lambda: rs.candidates(model, split, n=5, exclude_seen=found),
        "cold_items": lambda: rs.splits.random(rs.read_dataset([("u", "i"), ("v", "j"), ("u", "j")]), cold_items=found),
        "similarity": lambda: rs.models.ItemKNN(similarity=found),
        "dtype": lambda: rs.models.EASE(dtype=found),
        "model": lambda: rs.models.Ensemble([{"kind": found}]),
    }
    if found is True:
        del asked["exclude_seen"]
    for name, ask in asked.items():
        if name == "exclude_seen" and found is True:
            continue
        with pytest.raises(RecsysError) as refused:
            ask()
        line = str(refused.value)
        assert len(line.splitlines()) == 1, (name, line)
        assert len(line) < 500, (name, line)


@pytest.mark.parametrize("found", [10**400, -(10**400), 2**1024])
def test_a_number_beyond_64_bits_is_one_line(split, model, found):
    pool = rs.candidates(model, split, n=5)
    for asked in ({"blend": {"relevance": found}}, {"temperature": found}, {"epsilon": found}, {"k": found}):
        with pytest.raises(RecsysError):
            rs.rerank(pool, **{"blend": {"relevance": 1.0}, "k": 2, **asked})


ODD_TYPES = [np.float16, np.longdouble, ">f4", ">f8", ">i4", object, np.complex64]
FITTED = {
    "ALS": rs.models.ALS(factors=4, iterations=1),
    "BPR": rs.models.BPR(factors=4, iterations=1),
    "EASE": rs.models.EASE(),
    "ItemKNN": rs.models.ItemKNN(),
    "LMF": rs.models.LMF(factors=4, iterations=1),
    "MostPopular": rs.models.MostPopular(),
    "UserKNN": rs.models.UserKNN(),
}


def retype(value, kind):
    """The same array, or matrix, with numbers of another type."""
    if not sparse.issparse(value):
        return value.astype(kind)
    retyped = value.copy()
    retyped.data = value.data.astype(kind)
    return retyped


def change_array(fitted, field, array):
    if fitted.factors is None:
        return replace(fitted, **{field: array})
    return replace(fitted, factors=replace(fitted.factors, **{field: array}))


def is_numeric(value):
    return sparse.issparse(value) or (isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype.kind in "biuf")


@pytest.mark.parametrize("kind", ODD_TYPES)
@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_model_in_a_type_that_compiled_code_does_not_take_is_one_line(split, name, kind):
    fitted = FITTED[name].fit(split.train)
    whole = fitted if fitted.factors is None else fitted.factors
    arrays = {each.name: getattr(whole, each.name) for each in fields(whole) if is_numeric(getattr(whole, each.name))}
    assert arrays
    for field, array in arrays.items():
        line = one_line(partial(change_array, fitted, field, retype(array, kind)))
        assert re.match(rf"{type(fitted).__name__}: .*{field}.* is of type {np.dtype(kind)}, expected ", line)


@pytest.mark.parametrize("kind", ODD_TYPES)
def test_a_split_in_a_type_that_compiled_code_does_not_take_is_one_line(split, kind):
    for field in ("train", "validation", "test", "train_negatives"):
        line = one_line(lambda field=field: replace(split, **{field: retype(getattr(split, field), kind)}))
        assert line.startswith(f"split: {field}: data is of type {np.dtype(kind)}, expected ")
    line = one_line(lambda: replace(split.items, features=retype(split.items.features, kind)))
    assert line.startswith("items: features: data is of type")


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("kind", [">i4", np.int16, np.uint64, np.float32, object])
def test_a_matrix_with_indices_of_another_type_is_one_line(split, part, kind):
    odd = split.train.copy()
    setattr(odd, part, getattr(odd, part).astype(kind))
    assert one_line(lambda: replace(split, train=odd)).startswith(f"split: train: {part} is of type")
    context = Context(split.user_ids, split.item_ids, train=odd)
    assert one_line(context.check_arrays).startswith(f"context: train: {part} is of type")


def test_ids_that_are_texts_of_python_become_those_of_numpy(split):
    by_hand = replace(split, user_ids=split.user_ids.astype(object))
    assert by_hand.user_ids.dtype == split.user_ids.dtype
    ranker = rs.Ranker.fit(FITTED["MostPopular"].fit(split.train), by_hand, {"relevance": 1.0}, maps=())
    assert ranker.rank(user=str(split.user_ids[0]), k=2).items
    line = one_line(lambda: replace(split, user_ids=np.arange(split.shape[0])))
    assert line == "split: user_ids is of type int64, expected text"


@pytest.mark.parametrize("kind", ODD_TYPES)
def test_terms_and_maps_in_a_type_that_compiled_code_does_not_take_are_one_line(pool, kind):
    users, n = pool.items.shape
    rows = np.maximum(pool.items, 0).astype(np.int64)
    covered = sparse.csr_array(np.ones((ITEMS, 3), np.float32))
    full = {"cap": np.ones((users, 3)), "start": np.ones((users, 3)), "slots": np.ones(K)}
    terms = [
        Modular(np.zeros((users, n), np.float32)),
        Spread(np.ones((ITEMS, 2), np.float32), rows, start=np.ones((users, n), np.float32)),
        Coverage(covered, rows, np.ones((users, 3)), "linear", **full),
        Volume(np.ones((ITEMS, 2), np.float32), rows, quality=np.ones((users, n), np.float32), ridge=0.1),
        Seats(covered, rows, np.ones((users, 3))),
        Counts(covered, rows, np.ones((users, 3)), -np.ones((users, 3, K + 1))),
    ]
    for term in terms:
        for field in (each.name for each in fields(term) if is_numeric(getattr(term, each.name))):
            odd = replace(term, **{field: retype(getattr(term, field), kind)})
            line = one_line(lambda odd=odd: rs.rerank(pool, {"relevance": 1.0, lambda p, k: odd: 1.0}, k=K))
            assert f"{field}" in line and f"is of type {np.dtype(kind)}, expected" in line
    taste_map = pool.context.maps[0]
    odd = replace(taste_map, assignment=retype(taste_map.assignment, kind))
    assert f"is of type {np.dtype(kind)}, expected" in one_line(lambda: odd.check_assignment(ITEMS))


@pytest.mark.parametrize("kind", [np.float16, np.longdouble, ">f4"])
def test_scores_of_a_pool_are_converted(pool, kind):
    exact = replace(pool, scores=np.round(pool.scores * 8) / 8)
    assert replace(pool, scores=exact.scores.astype(kind)).scores.tobytes() == exact.scores.tobytes()
