"""What other accounts show: the objective against its definition, from sets and loops."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_maps, make_split

from recsys import objectives
from recsys.kernels.reference import compute_gains
from recsys.objectives import account_gaps
from recsys.objectives.derived_tables import get_drawn_accounts
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.types import RecsysError
from recsys.types.arrays import Csr

K, N = 4, 20
CURVE = {"score_transform": "probability", "platt_slope": 0.4, "platt_offset": -0.5}


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=N, maps=maps)


def mixes(split, maps, u):
    """The mix of a history over the regions of each map, end to end."""
    history = np.flatnonzero(split.train.toarray()[u])
    parts = [taste_map.assignment.toarray()[history].sum(axis=0) for taste_map in maps]
    return np.concatenate([part / max(part.sum(), 1) for part in parts])


def shelf(split, model, v, k):
    scores = model.score(np.array([v]))[0].astype(float)
    scores[split.seen.toarray()[v] > 0] = -np.inf
    return [int(i) for i in np.argsort(-scores, kind="stable")[:k] if scores[i] > -np.inf]


def by_hand(split, model, maps, u, k, drawn, beta):
    """rho and the shelves of the accounts other than u."""
    p = {v: mixes(split, maps, v) for v in {u, *drawn}}
    apart = [((p[v] - p[w]) ** 2).sum() for v, w in itertools.product(drawn, drawn)]
    h = np.median([a for a in apart if a > 0])
    rho = {v: np.exp(-beta * ((p[u] - p[v]) ** 2).sum() / h) for v in drawn if v != u}
    return {v: (r / sum(rho.values()), shelf(split, model, v, k)) for v, r in rho.items()}


def chance(shown, like, others):
    """The chance that something on a random other account's shelf is shown and liked."""
    return sum(r * (1 - np.prod([1 - like[i] for i in shown if i in on])) for r, on in others.values())


def likes(pool, u, form):
    s = pool.scores[u].astype(float)
    p = 1 / (1 + np.exp(0.5 - 0.4 * s)) if form else (s - s.min()) / (s.max() - s.min())
    return dict(zip(pool.items[u].tolist(), p, strict=True))


@pytest.mark.parametrize("form", [{}, CURVE])
@pytest.mark.parametrize("beta", [0.0, 1.0, 8.0])
def test_it_is_the_chance_that_something_on_anothers_shelf_is_liked(split, model, maps, pool, beta, form):
    term = objectives.account_gap(pool, K, beta=beta, **form)
    everybody = np.flatnonzero(split.train.toarray().any(axis=1))
    for u in (0, 7, 22):
        others, like = by_hand(split, model, maps, u, K, everybody, beta), likes(pool, u, form)
        assert sum(r for r, _ in others.values()) == pytest.approx(1)
        for slate in ([], [3], [7, 0, 3, 9]):
            shown = pool.items[u, slate].tolist()
            before = chance(shown, like, others)
            expected = [chance([*shown, i], like, others) - before for i in pool.items[u].tolist()]
            left = [n for n in range(N) if n not in slate]  # who is shown already is not asked again
            np.testing.assert_allclose(compute_gains(term, u, slate, N)[left], np.array(expected)[left], atol=1e-6)
            assert max(expected) > 0.01


def test_a_slate_is_worth_what_the_definition_says_and_no_more_than_one(split, model, maps, pool):
    made = rerank(pool, {"account_gap": {"weight": 1.0, **CURVE}}, k=K, scale=None)
    everybody = np.flatnonzero(split.train.toarray().any(axis=1))
    for u in range(0, 30, 3):
        others = by_hand(split, model, maps, u, K, everybody, 1.0)
        expected = chance(made.items[u].tolist(), likes(pool, u, CURVE), others)
        assert made.scores[u].sum() == pytest.approx(expected, rel=1e-5)
        assert 0 < expected <= 1


def test_the_accounts_are_as_many_as_asked_for_the_same_for_everybody_and_drawn_by_seed(split, model, maps, pool):
    term = objectives.account_gap(pool, K, accounts=5)
    assert term.coverage.shape[1] == 5
    assert (objectives.account_gap(pool.slice_users(3, 9), K, accounts=5).need == term.need[3:9]).all()
    assert (objectives.account_gap(pool, K, accounts=5, seed=1).need != term.need).any()
    drawn = get_drawn_accounts(pool.context, 5, 0, "test")
    for u in (int(drawn[2]), next(u for u in range(30) if u not in drawn)):
        others = by_hand(split, model, maps, u, K, drawn, 1.0)
        assert term.need[u] == pytest.approx([others[v][0] if v in others else 0 for v in drawn])
        assert (term.need[u] == 0).sum() == (u in drawn)


def test_a_user_without_history_has_no_near_accounts_and_nobody_else_is_nothing_to_gain(split, model, maps):
    train = split.train.toarray()
    train[4] = 0
    bare = replace(split, train=Csr(train))
    term = objectives.account_gap(candidates(model, bare, n=N, maps=maps), K, beta=50.0)
    assert term.need.shape[1] == 29
    np.testing.assert_allclose(term.need[4], 1 / 29)
    train[1:] = 0
    lone = candidates(model, replace(split, train=Csr(train)), n=N, maps=maps)
    slates = rerank(lone, {"relevance": 1.0, "account_gap": 1.0}, k=K)
    assert (slates.items[0] == lone.items[0, :K]).all()
    assert slates.contributions[0, :, slates.objectives.index("account_gap")].sum() == 0
    train[0] = 0
    nobody = candidates(model, replace(split, train=Csr(train)), n=N, maps=maps)
    assert (rerank(nobody, {"relevance": 1.0, "account_gap": 1.0}, k=K).items == nobody.items[:, :K]).all()


def test_it_gives_the_known_slate_of_three_shelves(monkeypatch):
    """Eight candidates and shelves abd, ceg, fgh with .5, .3, .2: a naive statement picks a, c, b, f."""
    like = np.array([0.90, 0.85, 0.80, 0.70, 0.60, 0.50, 0.40, 0.30])
    unmet = ["abcdefgh", "abd", "ceg", "fgh"]
    train = np.array([[i not in row for i in "abcdefghxyz"] for row in unmet])
    train[0] = [i in "xyz" for i in "abcdefghxyz"]
    split = make_split(users=4, items=11)
    split = replace(split, train=Csr(train.astype(np.float32)), train_negatives=Csr((4, 11), dtype=np.float32))
    base = candidates(RandomFactorModel(split), split, n=1, maps=make_maps(split))
    scores = np.log(like / (1 - like))[None].astype(np.float32)
    pool = Pool(np.array([0], np.int32), np.arange(8, dtype=np.int32)[None], scores, base.context)
    monkeypatch.setattr(account_gaps, "_weigh_accounts", lambda *_: np.array([[0, 0.5, 0.3, 0.2]]))
    curve = {"score_transform": "probability", "platt_slope": 1.0}
    blend = {"relevance": {"weight": 0.5 / 4, **curve}, "account_gap": {"weight": 0.5, **curve}}
    assert "".join("abcdefgh"[i] for i in rerank(pool, blend, k=4, scale=None).items[0]) == "acbf"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_it_is_monotone_submodular_and_greedy_is_within_its_bound(seed, k):
    split = make_split(seed, users=8, items=14)
    pool = candidates(RandomFactorModel(split, seed=seed), split, n=5, maps=make_maps(split, n=1, regions=3, seed=seed))
    term = objectives.account_gap(pool, k, **CURVE)
    n = int(pool.lengths[0])

    def value(slate):
        return sum(compute_gains(term, 0, slate[:s], n)[i] for s, i in enumerate(slate))

    values = {s: value(list(s)) for r in range(n + 1) for s in itertools.combinations(range(n), r)}
    for small, large in itertools.product(values, values):
        if set(small) <= set(large):
            for i in set(range(n)) - set(large):
                first, later = (values[tuple(sorted((*s, i)))] - values[s] for s in (small, large))
                assert first >= later - 1e-9
                assert later >= -1e-9
    made = rerank(pool, {"account_gap": {"weight": 1.0, **CURVE}}, k=min(k, n), scale=None)
    best = max(v for s, v in values.items() if len(s) == min(k, n))
    assert made.scores[0].sum() >= (1 - 1 / np.e) * best - 1e-6


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"accounts": 0}, "accounts is 0, expected a whole number from 1 on"),
        ({"beta": -1.0}, "beta is -1.0, expected a number from 0 on"),
        ({"score_transform": "score"}, "unknown score_transform 'score'"),
    ],
)
def test_bad_settings_are_refused(pool, wrong, line):
    with pytest.raises(RecsysError, match=f"^account_gap: {line}"):
        objectives.account_gap(pool, K, **wrong)


def test_what_the_pool_does_not_have_is_said_in_one_line(split, model, pool):
    with pytest.raises(RecsysError, match=r"^account_gap needs each user's history"):
        objectives.account_gap(Pool.from_frame(["a", "a"], ["x", "y"], [2.0, 1.0]), 1)
    with pytest.raises(RecsysError, match=r"^account_gap needs a factor model"):
        objectives.account_gap(replace(pool, context=replace(pool.context, factors=None)), K)
    with pytest.raises(RecsysError, match="needs taste maps"):
        objectives.account_gap(candidates(model, split, n=N, maps=()), K)
