"""Coverage of aspects and candidates, and aspects in proportion: each against its definition, stated slowly."""

import numpy as np
import pytest
from synthetic import make_split

from recsys import objectives
from recsys.kernels.reference import compute_gains
from recsys.maths.embeddings import cooccurrence_vectors, normalize_rows
from recsys.reranking import blocks as user_blocks
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.types import RecsysError

K = 5
SLATE = [7, 0, 3, 9, 1]
CURVE = {"score_transform": "probability", "platt_slope": 0.4, "platt_offset": -0.5}


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=20, maps=maps)


def total(term, u, slate=SLATE):
    return sum(compute_gains(term, u, slate[:s], 20)[i] for s, i in enumerate(slate))


def aspects(split, maps, to):
    """Membership (I, G), and shares that sum to 1 over the aspects of an item that has any."""
    if to == "map":
        belongs = maps[0].assignment.toarray().astype(float)
        return belongs, belongs
    belongs = split.items.features.toarray().astype(float)
    return belongs, belongs / np.maximum(belongs.sum(axis=1, keepdims=True), 1)


def taste(split, share, u):
    mass = split.train.toarray()[u] @ share
    return mass / mass.sum()


def worth(pool, u, form):
    s = pool.scores[u].astype(float)
    return 1 / (1 + np.exp(0.5 - 0.4 * s)) if form else (s - s.min()) / (s.max() - s.min())


@pytest.mark.parametrize("form", [{}, CURVE])
@pytest.mark.parametrize("to", ["features", "map"])
@pytest.mark.parametrize(
    ("phi", "value"),
    [("sqrt", np.sqrt), ("log", np.log1p), ("cap", lambda x: np.minimum(x, 0.8))],
)
def test_feature_coverage_is_concave_over_modular(split, pool, maps, phi, value, to, form):
    _, share = aspects(split, maps, to)
    term = objectives.feature_coverage(pool, K, aspects=to, phi=phi, cap=0.8, **form)
    for u in (0, 4, 21):
        mass = share[pool.items[u, SLATE]].T @ worth(pool, u, form)[SLATE]
        assert total(term, u) == pytest.approx(taste(split, share, u) @ value(mass), rel=1e-5)


@pytest.mark.parametrize("form", [{}, CURVE])
@pytest.mark.parametrize("to", ["features", "map"])
@pytest.mark.parametrize("alpha", [0.3, 0.9])
def test_rxquad_is_the_chance_that_something_in_an_aspect_is_liked(split, pool, maps, to, form, alpha):
    belongs, share = aspects(split, maps, to)
    term = objectives.rxquad(pool, K, aspects=to, alpha=alpha, **form)
    for u in (0, 4, 21):
        p = belongs[pool.items[u]] * worth(pool, u, form)[:, None]
        expected = taste(split, share, u) @ (1 - np.prod(1 - alpha * p[SLATE], axis=0)) / alpha
        assert total(term, u) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", [{}, CURVE])
@pytest.mark.parametrize("to", ["features", "map"])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_xquad_shares_each_aspect_among_the_pool(split, pool, maps, to, form, alpha):
    _, share = aspects(split, maps, to)
    term = objectives.xquad(pool, K, aspects=to, alpha=alpha, **form)
    for u in (0, 4, 21):
        mass = share[pool.items[u]] * worth(pool, u, form)[:, None]
        p = mass / np.where(mass.sum(axis=0) > 0, mass.sum(axis=0), 1)
        expected = taste(split, share, u) @ (1 - np.prod(1 - alpha * p[SLATE], axis=0)) / alpha
        assert total(term, u) == pytest.approx(expected, rel=1e-5)
        assert total(term, u, list(range(20))) <= 1 + 1e-6


def test_what_is_sure_to_be_liked_ends_its_aspects(split, pool):
    """By its range the best candidate has r = 1: with alpha = 1 nothing with its features alone adds anything."""
    term = objectives.rxquad(pool, K, alpha=1.0)
    features = split.items.features.toarray() > 0
    for u in range(10):
        best, *rest = pool.items[u]
        first, after = compute_gains(term, u, [], 20), compute_gains(term, u, [0], 20)
        assert first[0] == pytest.approx(
            features[best] @ taste(split, aspects(split, None, "features")[1], u), abs=1e-7
        )
        covered = [n for n, item in enumerate(rest, 1) if not (features[item] & ~features[best]).any()]
        assert covered
        assert np.abs(after[covered]).max() < 1e-9


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("targets", [6, 50])
@pytest.mark.parametrize("space", ["cooccurrence", "factors"])  # the second has cosines below 0
def test_facility_location_is_the_share_of_targets_that_is_stood_for(split, pool, history, targets, space):
    made = (
        cooccurrence_vectors(split.train)
        if space == "cooccurrence"
        else normalize_rows(pool.context.factors.item_factors)
    )
    vectors = made.astype(float)
    term = objectives.facility_location(pool, K, space=space, targets=targets, history=history)
    for u in (0, 5, 17):
        r, items = worth(pool, u, {})[:targets], pool.items[u]
        met = split.train.indices[split.train.indptr[u] : split.train.indptr[u + 1]]

        def stood_for(slate, items=items, met=met):
            by = [*items[slate], *(met if history else [])]
            sims = [[max(vectors[i] @ vectors[j], 0) ** 2 if i != j else 1.0 for i in by] for j in items[:targets]]
            return np.array([max(row, default=0.0) for row in sims])

        expected = r @ (stood_for(SLATE) - stood_for([])) / r.sum()
        assert total(term, u) == pytest.approx(expected, abs=1e-5)


def test_a_target_without_a_vector_stands_for_itself():
    """Item i0 is liked by nobody in training: its cosine to everything, itself too, is 0."""
    split = make_split()
    train = split.train.toarray()
    train[:, 0] = 0
    bare = candidates(_Fixed(), _with_train(split, train), n=5)
    assert bare.items[0, 0] == 0
    term = objectives.facility_location(bare, 1, targets=1)
    assert compute_gains(term, 0, [], 5)[0] == pytest.approx(1.0)


class _Fixed:
    """Scores that fall from the first item to the last."""

    factors = None

    def score(self, users):
        return np.tile(-np.arange(40, dtype=np.float32), (len(users), 1))


def _with_train(split, train):
    from dataclasses import replace

    from recsys.types.arrays import Csr, make_empty_matrix

    return replace(split, train=Csr(train), train_negatives=make_empty_matrix(split.shape))


def test_ssd_multiplies_to_the_volume_of_the_slate(split, pool):
    vectors = cooccurrence_vectors(split.train).astype(float)
    term = objectives.ssd(pool, K)
    for u in (0, 5, 17):
        chosen = vectors[pool.items[u, SLATE]]
        product = np.prod([compute_gains(term, u, SLATE[:s], 20)[i] for s, i in enumerate(SLATE)])
        assert product == pytest.approx(np.sqrt(np.linalg.det(chosen @ chosen.T)), rel=1e-4)


PER_USER = ["binomial_diversity", "facility_location", "feature_coverage", "pm2", "rxquad", "xquad"]


@pytest.mark.parametrize("name", PER_USER)
def test_slates_do_not_depend_on_the_blocks_of_users(pool, name, monkeypatch):
    """What a candidate covers is laid out anew for each block, beside what items cover for everybody."""
    blend = {"relevance": 1.0, name: 1.0, "calibration": 0.3, "negative_space": 0.3}
    whole = rerank(pool, blend, k=K)
    monkeypatch.setattr(user_blocks, "CELLS", 3 * pool.items.shape[1])
    blocks = rerank(pool, blend, k=K, scale=whole.scales)
    np.testing.assert_array_equal(whole.items, blocks.items)
    np.testing.assert_allclose(whole.contributions, blocks.contributions, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("feature_coverage", {"phi": "square"}, "feature_coverage: unknown phi 'square'"),
        ("feature_coverage", {"cap": 0.0}, "feature_coverage: cap is 0.0, expected a number above 0"),
        (
            "feature_coverage",
            {"aspects": "genres"},
            "feature_coverage: aspects is 'genres', expected one of features, map",
        ),
        ("rxquad", {"alpha": 0.0}, "rxquad: alpha is 0.0, expected a number above 0, at most 1"),
        ("xquad", {"alpha": 1.1}, "xquad: alpha is 1.1"),
        ("xquad", {"score_transform": "score"}, "xquad: unknown score_transform 'score'"),
        ("rxquad", {"score_transform": "probability"}, "rxquad: platt_slope is 0.0"),
        ("facility_location", {"targets": 0}, "facility_location: targets is 0, expected a whole number from 1"),
        ("facility_location", {"space": "x"}, "facility_location: unknown space 'x'"),
        ("binomial_diversity", {"alpha": -0.1}, "binomial_diversity: alpha is -0.1, expected a number from 0 to 1"),
        ("binomial_diversity", {"aspects": "x"}, "binomial_diversity: aspects is 'x', expected one of features, map"),
        ("pm2", {"focus": 1.5}, "pm2: focus is 1.5, expected a number from 0 to 1"),
        ("pm2", {"divisor": 0.0}, "pm2: divisor is 0.0, expected a number above 0"),
        ("ssd", {"window": 0}, "ssd: window is 0, expected a whole number from 1 on"),
    ],
)
def test_bad_settings_are_refused(pool, name, settings, message):
    with pytest.raises(RecsysError, match=message):
        getattr(objectives, name)(pool, K, **settings)


@pytest.mark.parametrize("name", PER_USER)
def test_without_a_history_it_says_what_it_needs(name):
    bare = Pool.from_frame(["a", "a"], ["x", "y"], [2.0, 1.0])
    with pytest.raises(RecsysError, match=f"{name} needs"):
        getattr(objectives, name)(bare, 1)


@pytest.mark.parametrize("form", [{}, CURVE])
@pytest.mark.parametrize("to", ["features", "map"])
@pytest.mark.parametrize(("focus", "divisor"), [(0.5, 2.0), (0.9, 1.0), (1.0, 2.0)])
def test_pm2_gives_slots_to_the_aspect_whose_seat_is_due(split, pool, maps, to, form, focus, divisor):
    belongs, share = aspects(split, maps, to)
    settings = {"weight": 1.0, "aspects": to, "focus": focus, "divisor": divisor, **form}
    made = rerank(pool, {"pm2": settings}, k=K, scale=None)
    for u in range(0, 30, 4):
        p = belongs[pool.items[u]] * worth(pool, u, form)[:, None]
        votes, seats, left = taste(split, share, u), np.zeros(p.shape[1]), list(range(20))
        for step in range(K):
            quotients = votes / (divisor * seats + 1)
            due = np.argmax(quotients >= quotients.max() * (1 - 1e-6))
            rest = [g for g in range(len(votes)) if g != due]
            gain = focus * quotients[due] * p[:, due] + (1 - focus) * p[:, rest] @ quotients[rest]
            pick = pool.items[u].tolist().index(made.items[u, step])
            assert made.scores[u, step] == pytest.approx(gain[pick], rel=1e-4, abs=1e-7)
            assert gain[pick] == pytest.approx(gain[left].max(), rel=1e-5, abs=1e-7)  # ties: rounding decides
            left.remove(pick)
            seats += p[pick] / p[pick].sum() if p[pick].any() else 0


def test_with_one_aspect_each_pm2_hands_out_slots_like_seats():
    """By hand: votes .6, .3, .1 are 4, 2, 1 of seven seats and 6, 3, 1 of ten (Sainte-Lague), 5, 2, 0 of seven (D'Hondt)."""
    quotas = {}
    for k, divisor in ((7, 2.0), (10, 2.0), (7, 1.0)):
        pool = _one_aspect_each()
        made = rerank(pool, {"pm2": {"weight": 1.0, "focus": 1.0, "divisor": divisor, **CURVE}}, k=k, scale=None)
        quotas[k, divisor] = pool.context.items.features.toarray()[made.items[0]].sum(axis=0).tolist()
    assert quotas == {(7, 2.0): [4, 2, 1], (10, 2.0): [6, 3, 1], (7, 1.0): [5, 2, 0]}


def _one_aspect_each():
    """One user with a history of six, three and one items of three features, and ten candidates of each."""
    from scipy import sparse

    from recsys.types import Context, Items

    feature = np.concatenate([np.repeat([0, 1, 2], [6, 3, 1]), np.arange(30) % 3])
    ids = np.array([f"i{i}" for i in range(40)])
    features = sparse.csr_array(np.eye(3, dtype=np.float32)[feature])
    train = sparse.csr_array((np.arange(40) < 10)[None].astype(np.float32))
    items = Items(ids, ids, features, ("1", "2", "3"), np.zeros(40, np.int32))
    context = Context(np.array(["u"]), ids, train=train, items=items)
    return Pool(np.array([0]), np.arange(10, 40)[None], np.zeros((1, 30), np.float32), context)


def binomial(p, k, counts):
    """Vargas et al. 2014, from the binomial probabilities themselves."""
    from math import comb

    def chance(g, least):
        return sum(comb(k, c) * p[g] ** c * (1 - p[g]) ** (k - c) for c in range(least, k + 1))

    wanted = [g for g in range(len(p)) if p[g] > 0]
    some = [g for g in wanted if counts[g]]
    coverage = np.prod([(1 - p[g]) ** (k / len(wanted)) for g in wanted if not counts[g]])
    return coverage * np.prod([(chance(g, counts[g]) / chance(g, 1)) ** (1 / len(some)) for g in some])


@pytest.mark.parametrize("to", ["features", "map"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_binomial_diversity_is_coverage_times_non_redundancy(split, pool, maps, to, alpha):
    belongs = aspects(split, maps, to)[0] > 0
    train = split.train.toarray()
    everybody = (train @ belongs).sum(axis=0) / train.sum()
    made = rerank(pool, {"binomial_diversity": {"weight": 1.0, "aspects": to, "alpha": alpha}}, k=K, scale=None)
    for u in range(0, 30, 5):
        p = alpha * (train[u] @ belongs) / train[u].sum() + (1 - alpha) * everybody
        counts = np.zeros(len(p), int)
        for step, item in enumerate(made.items[u]):
            left = [belongs[i] for i in pool.items[u] if i not in made.items[u, :step]]
            gains = [binomial(p, K, counts + has) - binomial(p, K, counts) for has in left]
            found = binomial(p, K, counts + belongs[item]) - binomial(p, K, counts)
            assert made.scores[u, step] == pytest.approx(found, rel=1e-4, abs=1e-6)
            assert found == pytest.approx(max(gains), abs=1e-6)
            counts += belongs[item]


def test_an_aspect_that_all_items_have_is_never_redundant():
    """With p = 1 the value is 0 before the first pick and 1 after each: P(X >= c) = 1 for every c up to k."""
    pool = _one_aspect_each()
    features = pool.context.items.features
    features.data[:], features.indices[:] = 1.0, 0
    gains = rerank(pool, {"binomial_diversity": 1.0}, k=4, scale=None).scores[0]
    np.testing.assert_allclose(gains, [1, 0, 0, 0], atol=1e-6)
