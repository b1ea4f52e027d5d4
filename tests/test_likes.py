"""Forms of relevance, and the curve from a score to the probability of a like."""

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_split

from recsys import objectives
from recsys.maths.platt import fit_platt_curve, logistic
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.retrieval.score_calibration import fit_like_probability
from recsys.types import Pool, RecsysError

K = 5


@pytest.fixture
def pool(split, model):
    """Candidates of everybody; one has three of them, one has none."""
    made = candidates(model, split, n=20)
    items, scores = made.items.copy(), made.scores.copy()
    items[0, 3:], scores[0, 3:], items[1], scores[1] = -1, 0, -1, 0
    return Pool(made.users, items, scores, made.context)


def likelihood(scores, liked, slope, offset):
    n1, n0 = liked.sum(), (~liked).sum()
    target = np.where(liked, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    p = 1 / (1 + np.exp(-(slope * scores + offset)))
    return (target * np.log(p) + (1 - target) * np.log(1 - p)).sum()


def newton(scores, liked):
    """Lin, Lin and Weng 2007, without the line search: the worlds below are gentle."""
    n1, n0 = liked.sum(), (~liked).sum()
    target = np.where(liked, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    x, design = np.zeros(2), np.stack([scores, np.ones(len(scores))], axis=1)
    for _ in range(60):
        p = 1 / (1 + np.exp(-design @ x))
        x = x - np.linalg.solve(design.T * (p * (1 - p)) @ design, design.T @ (p - target))
    return x


@pytest.mark.parametrize("seed", range(5))
def test_platt_is_the_curve_of_the_largest_likelihood(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(3.0, 0.5, 400)
    liked = rng.random(400) < 1 / (1 + np.exp(-(1.5 * scores - 6)))
    slope, offset = fit_platt_curve(scores, liked)
    np.testing.assert_allclose((slope, offset), newton(scores, liked), rtol=1e-6)
    best = likelihood(scores, liked, slope, offset)
    for change in ([1e-2, 0], [-1e-2, 0], [0, 1e-2], [0, -1e-2]):
        assert likelihood(scores, liked, slope + change[0], offset + change[1]) < best


def test_platt_does_not_depend_on_the_unit_of_the_scores():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=300)
    liked = rng.random(300) < logistic(2 * scores - 1)
    slope, offset = fit_platt_curve(scores, liked)
    again, shifted = fit_platt_curve(1e4 * scores + 7, liked)
    np.testing.assert_allclose((1e4 * again, shifted + 7 * again), (slope, offset), rtol=1e-6)


def test_platt_is_finite_where_scores_separate_likes_and_flat_where_they_are_equal():
    """By hand: two equal scores, one of them liked, have targets 2/3 and 1/3 and the curve 1/2 everywhere."""
    slope, _ = fit_platt_curve(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True]))
    assert 0 < slope < 100
    assert fit_platt_curve(np.array([4.0, 4.0]), np.array([True, False])) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_two_scores_have_the_targets_of_platt_by_hand():
    """Scores 0 and 1, liked 1: the curve passes 1/3 at 0 and 2/3 at 1, so its slope is 2 log 2, its offset -log 2."""
    found = fit_platt_curve(np.array([0.0, 1.0]), np.array([False, True]))
    assert found == pytest.approx((2 * np.log(2), -np.log(2)), rel=1e-6)


def test_logistic_does_not_overflow():
    assert logistic(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_fit_likes_looks_at_candidates_of_users_with_held_out_positives(split, pool):
    scores, liked = [], []
    for u in range(len(pool.users)):
        held_out = split.test.indices[split.test.indptr[u] : split.test.indptr[u + 1]]
        for n in range(pool.lengths[u] if len(held_out) else 0):
            scores.append(float(pool.scores[u, n]))
            liked.append(bool(pool.items[u, n] in held_out))
    sign = np.sign(fit_platt_curve(np.array(scores), np.array(liked))[0])
    curve = Pool(pool.users, pool.items, (sign * pool.scores).astype(np.float32), pool.context)
    found = fit_like_probability(curve, split.test)
    np.testing.assert_allclose(
        (found["platt_slope"], found["platt_offset"]), newton(sign * np.array(scores), np.array(liked)), rtol=1e-6
    )
    with pytest.raises(RecsysError, match="expected more likes where scores are larger"):
        fit_like_probability(
            Pool(pool.users, pool.items, (-sign * pool.scores).astype(np.float32), pool.context), split.test
        )


def test_users_without_held_out_positives_do_not_count(split, pool):
    few = split.test.toarray()
    few[10:] = 0
    curve = fit_like_probability(pool.slice_users(2, 10), type(split.test)(few))
    assert fit_like_probability(pool, type(split.test)(few)) == pytest.approx(
        fit_like_probability(pool.slice_users(0, 10), type(split.test)(few))
    )
    assert curve["platt_slope"] > 0


def test_fit_likes_refuses_what_tells_nothing(split, pool):
    with pytest.raises(RecsysError, match=r"held_out has shape \(40, 30\), expected \(30, 40\)"):
        fit_like_probability(pool, split.test.T.tocsr())
    with pytest.raises(RecsysError, match="0 of 0 candidates are held-out positives"):
        fit_like_probability(pool, split.validation)


def test_forms_of_relevance_are_what_they_say(pool):
    scores, n = pool.scores[5].astype(float), 20
    np.testing.assert_array_equal(objectives.relevance(pool, K).gain, pool.scores)
    expected = (scores - scores.min()) / (scores.max() - scores.min())
    np.testing.assert_allclose(objectives.relevance(pool, K, score_transform="range").gain[5], expected, rtol=1e-6)
    by_rank = objectives.relevance(pool, K, score_transform="rank").gain
    np.testing.assert_allclose(by_rank[5], [1 - r / n for r in range(n)], rtol=1e-6)
    np.testing.assert_allclose(by_rank[0, :4], [1, 2 / 3, 1 / 3, 0], rtol=1e-6)
    liked = objectives.relevance(pool, K, score_transform="probability", platt_slope=2.0, platt_offset=-1.0).gain
    np.testing.assert_allclose(liked[5], 1 / (1 + np.exp(1 - 2 * scores)), rtol=1e-5)
    assert (by_rank[1] == 0).all()
    assert (liked[1] == 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"score_transform": "range"},
        {"score_transform": "rank"},
        {"score_transform": "probability", "platt_slope": 0.01},
    ],
)
@pytest.mark.parametrize("scale", [None, "fitted"])
def test_every_form_alone_gives_the_pools_order(pool, settings, scale):
    slates = rerank(pool, {"relevance": {"weight": 1.0, **settings}}, k=K, scale=scale)
    np.testing.assert_array_equal(slates.items, pool.items[:, :K])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score_transform": "rang"}, "relevance: unknown score_transform 'rang': did you mean 'range'"),
        (
            {"score_transform": "probability"},
            "relevance: platt_slope is 0.0 and platt_offset 0.0, expected a platt_slope above 0",
        ),
        ({"score_transform": "probability", "platt_slope": -1.0}, "expected a platt_slope above 0"),
        (
            {"score_transform": "probability", "platt_slope": 1.0, "platt_offset": np.nan},
            "platt_offset is nan, expected",
        ),
        (
            {"platt_slope": 1.0},
            "platt_slope 1.0 and platt_offset 0.0 with score_transform 'score', expected score_transform probability or posterior",
        ),
        (
            {"score_transform": "rank", "platt_offset": 0.5},
            "with score_transform 'rank', expected score_transform probability or posterior",
        ),
    ],
)
def test_bad_forms_are_refused(pool, settings, message):
    with pytest.raises(RecsysError, match=message):
        objectives.relevance(pool, K, **settings)


def test_a_fitted_probability_is_the_share_of_likes_on_the_users_it_was_not_fitted_to():
    """Likes drawn from a curve: fitted to half of the users, it says how many candidates of the others are liked."""
    split = make_split(users=400)
    pool = candidates(RandomFactorModel(split), split, n=20)
    rng = np.random.default_rng(0)
    chance = logistic(0.8 * pool.scores.astype(float) - 2)
    liked = np.zeros(split.train.shape, np.float32)
    np.put_along_axis(
        liked, pool.items.astype(np.int64), (rng.random(chance.shape) < chance).astype(np.float32), axis=1
    )
    curve = fit_like_probability(pool.slice_users(0, 200), type(split.test)(liked))
    said = objectives.relevance(pool.slice_users(200, 400), K, score_transform="probability", **curve).gain
    assert curve["platt_slope"] == pytest.approx(0.8, abs=0.1)
    assert said.mean() == pytest.approx(
        np.take_along_axis(liked, pool.items.astype(np.int64), axis=1)[200:].mean(), abs=0.03
    )
