"""Each model against a slow, obvious statement of its formula, on dense arrays."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from recsys.models import (
    ALS,
    BPR,
    EASE,
    LMF,
    Ensemble,
    ItemKNN,
    MostPopular,
    P3alpha,
    PureSVD,
    Random,
    RP3beta,
    UserKNN,
)
from recsys.types import RecsysError, SideInformation

DAY = 86_400.0
WEIGHTINGS = ("cosine", "tfidf", "bm25")


def world(users: int = 50, items: int = 12, seed: int = 0, values: int = 1) -> sparse.csr_array:
    """Random positives, the first items liked most; with `values`, of 1 to that."""
    rng = np.random.default_rng(seed)
    liked = rng.random((users, items)) < np.linspace(0.6, 0.1, items)
    return sparse.csr_array(np.where(liked, rng.integers(1, values + 1, liked.shape), 0).astype(np.float32))


def everybody(model, train, side=None):
    return model.fit(train, side).score(np.arange(train.shape[0], dtype=np.int32))


def top(row: np.ndarray, k: int) -> np.ndarray:
    """Keep the k largest entries, those in front first where they are equal as float32."""
    kept = np.zeros_like(row)
    for i in sorted(range(len(row)), key=lambda i: (-np.float32(row[i]), i))[:k]:
        kept[i] = row[i]
    return kept


def weigh(rows: np.ndarray, similarity: str) -> np.ndarray:
    """What each row (a document) says about each column (a term)."""
    present = rows > 0
    idf = np.maximum(np.log(len(rows) / (1 + present.sum(axis=0))), 0)
    length = rows.sum(axis=1) / rows.sum(axis=1).mean()
    if similarity == "cosine":
        return rows
    if similarity == "tfidf":
        return np.sqrt(rows) * idf
    return rows * 2.2 / (1.2 * (0.25 + 0.75 * length[:, None]) + rows) * idf


def near(rows: np.ndarray, shrink: float) -> np.ndarray:
    found = np.zeros((len(rows), len(rows)))
    for a in range(len(rows)):
        for b in range(len(rows)):
            scale = np.linalg.norm(rows[a]) * np.linalg.norm(rows[b]) + shrink
            if a != b and scale > 0:
                found[a, b] = rows[a] @ rows[b] / scale
    return found


def proportional(found: np.ndarray, wanted: np.ndarray) -> None:
    """Each user's scores are the wanted ones times a number above 0."""
    for ours, theirs in zip(found, wanted, strict=True):
        scale = np.linalg.norm(ours) / np.linalg.norm(theirs)
        np.testing.assert_allclose(ours, scale * theirs, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("values", [1, 5])
@pytest.mark.parametrize("shrink", [0.0, 7.0])
@pytest.mark.parametrize("k", [3, 12])
@pytest.mark.parametrize("similarity", WEIGHTINGS)
def test_item_knn(similarity, k, shrink, values):
    train = world(values=values)
    dense = train.toarray().astype(np.float64)
    rows = weigh(dense.T, similarity)
    links = np.stack([top(row, k) for row in near(rows, shrink)])
    proportional(everybody(ItemKNN(k, similarity, shrink), train), rows.T @ links.T)


@pytest.mark.parametrize("values", [1, 5])
@pytest.mark.parametrize("shrink", [0.0, 7.0])
@pytest.mark.parametrize("k", [4, 50])
@pytest.mark.parametrize("similarity", WEIGHTINGS)
def test_user_knn(similarity, k, shrink, values):
    train = world(users=20, items=30, values=values)
    dense = train.toarray().astype(np.float64)
    rows = weigh(dense, similarity)
    similar = near(rows, shrink)
    same = ((dense[:, None] > 0) == (dense[None] > 0)).all(axis=2)
    similar[same] = 0
    neighbours = np.stack([top(row, k) for row in similar])
    np.testing.assert_allclose(
        everybody(UserKNN(k, similarity, shrink), train), neighbours @ rows, rtol=1e-5, atol=1e-6
    )


def test_user_knn_has_no_use_for_a_neighbour_with_the_same_items():
    dense = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]], dtype=np.float32)
    scores = everybody(UserKNN(k=1, similarity="cosine", shrink=0.0), sparse.csr_array(dense))
    np.testing.assert_allclose(scores[0], dense[2] * 2 / np.sqrt(6), rtol=1e-6)


@pytest.mark.parametrize("values", [1, 5])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("k", [3, 12])
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (1.0, 0.0), (0.7, 0.0), (1.0, 0.6), (0.4, 1.3)])
def test_walks(alpha, beta, k, normalize, values):
    train = world(values=values)
    dense = train.toarray().astype(np.float64)
    holders = (dense > 0).sum(axis=0)
    links = np.zeros((12, 12))
    for j in range(12):
        for i in range(12):
            for u in np.flatnonzero((dense[:, j] > 0) & (dense[:, i] > 0)):
                if i != j:
                    links[j, i] += (1 / holders[j] * dense[u, i] / dense[u].sum()) ** alpha / holders[i] ** beta
    links = np.stack([top(row, k) for row in links])
    if normalize:
        links /= links.sum(axis=1, keepdims=True)
    links = np.stack([top(column, k) for column in links.T]).T
    model = RP3beta(alpha, beta, k, normalize) if beta else P3alpha(alpha, k, normalize)
    wanted = dense @ links
    wanted[~wanted.any(axis=1)] = holders  # a history that links to nothing
    np.testing.assert_allclose(everybody(model, train), wanted, rtol=1e-5)


def test_walks_are_those_of_a_person_who_walks():
    """With alpha = 1 and k large, P3alpha's scores are |H_u| times the chance to end at i after three steps."""
    train = world()
    dense = train.toarray().astype(np.float64)
    there, back = dense / dense.sum(axis=1, keepdims=True), (dense / dense.sum(axis=0)).T
    stay = back @ there
    np.fill_diagonal(stay, 0)
    wanted = dense.sum(axis=1, keepdims=True) * (there @ stay)
    np.testing.assert_allclose(everybody(P3alpha(alpha=1.0, k=12), train), wanted, rtol=1e-5)


@pytest.mark.parametrize("d", [3, 12, 40])
def test_pure_svd_projects_on_the_leading_right_vectors(d):
    train = world(values=3)
    dense = train.toarray().astype(np.float64)
    right = np.linalg.svd(dense, full_matrices=False)[2][:d]
    found = PureSVD(d).fit(train)
    np.testing.assert_allclose(found.score(np.arange(50)), dense @ right.T @ right, atol=1e-5)
    assert found.factors.item_factors.shape == (12, min(d, 12))


def test_pure_svd_has_no_more_factors_than_the_matrix_has_ranks():
    train = sparse.csr_array(np.repeat(world(users=4, items=9).toarray(), 3, axis=0))
    rank = np.linalg.matrix_rank(train.toarray())
    found = PureSVD(8).fit(train)
    assert found.factors.item_factors.shape == (9, rank)
    np.testing.assert_allclose(found.score(np.arange(12)), train.toarray(), atol=1e-5)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    train = world()
    dense = train.toarray().astype(np.float64)
    weights = EASE(l2=3.0).fit(train).weights
    for item in range(12):
        others = np.delete(np.arange(12), item)
        left = dense[:, others].T @ dense[:, others] + 3.0 * np.eye(11)
        wanted = np.linalg.solve(left, dense[:, others].T @ dense[:, item])
        np.testing.assert_allclose(weights[others, item], wanted, atol=1e-6)
    assert (np.diag(weights) == 0).all()
    np.testing.assert_allclose(everybody(EASE(l2=3.0), train), dense @ weights, atol=1e-5)


def test_als_user_factors_solve_the_normal_equations():
    train = world()
    found = ALS(factors=6, alpha=4.0, regularization=0.7).fit(train).factors
    assert (found.unobserved_weight, found.observed_weight, found.target_weight, found.regularization) == (
        1.0,
        3.0,
        4.0,
        0.7,
    )
    items = found.item_factors.astype(np.float64)
    for user, row in enumerate(train.toarray()):
        if row.any():
            confidence = np.where(row > 0, 4.0, 1.0)
            left = items.T @ (confidence[:, None] * items) + 0.7 * np.eye(6)
            wanted = np.linalg.solve(left, items.T @ (confidence * row))
            np.testing.assert_allclose(found.user_factors[user], wanted, rtol=1e-5, atol=1e-6)


def test_als_comes_close_to_the_optimum_of_its_loss():
    train = world(users=60, items=40)
    fitted = ALS(factors=4, alpha=3.0, regularization=1.0, iterations=40).fit(train).factors
    X, Y = (side.astype(np.float64) for side in (fitted.user_factors, fitted.item_factors))
    dense = train.toarray().astype(np.float64)
    confidence = np.where(dense > 0, 3.0, 1.0)

    def loss():
        return (confidence * (dense - X @ Y.T) ** 2).sum() + (X**2).sum() + (Y**2).sum()

    reached = loss()
    for _ in range(60):
        for i in range(40):
            weighted = X * confidence[:, i : i + 1]
            Y[i] = np.linalg.solve(X.T @ weighted + np.eye(4), weighted.T @ dense[:, i])
        for u in range(60):
            weighted = Y * confidence[u][:, None]
            X[u] = np.linalg.solve(Y.T @ weighted + np.eye(4), weighted.T @ dense[u])
    assert loss() <= reached <= loss() * 1.005


def test_lmf_user_factors_maximise_the_likelihood_of_the_library():
    train = world(users=8)
    found = LMF(factors=3, regularization=0.8, negatives=2, iterations=20).fit(train)
    dense = train.toarray()
    share = dense.sum(axis=0) / dense.sum()
    items, biases = found.item_factors.astype(np.float64), found.biases.astype(np.float64)
    assert (items[:, -1] == 1).all()
    for user in np.flatnonzero(dense.any(axis=1)):
        weight = min(3 + 2, 2 * dense[user].sum()) * share

        def loss(x, liked=dense[user] > 0, weight=weight):
            s = items @ x + biases
            return np.logaddexp(0, -s[liked]).sum() + weight @ np.logaddexp(0, s) + 0.4 * x @ x

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(found.user_factors[user], best.x, atol=2e-5)


def test_lmf_draws_as_many_negatives_as_the_library_does():
    """Half of the slope at zero is |H| - draws: the installed library draws no more than it has columns."""
    from implicit.cpu import lmf

    for likes, negatives, drawn in [(10, 3, 6), (2, 2, 4), (10, 1, 6)]:
        squares = np.zeros((1, 6), np.float32)
        draws = lmf.RNGVector(1, likes - 1, np.array([1]))
        history, pointers = np.arange(likes, dtype=np.int32), np.array([0, likes], np.int32)
        matrices = np.zeros((1, 6), np.float32), np.ones((50, 6), np.float32)
        lmf.lmf_update(draws, squares, *matrices, history, pointers, np.ones(likes, np.float32), 1.0, 0.0, negatives, 1)
        assert np.sqrt(squares[0]).tolist() == [abs(likes - drawn) / 2] * 6


def test_bpr_finds_users_by_steps_that_lead_to_the_optimum_of_the_pairwise_loss():
    train = world(users=12, items=15)
    found = BPR(factors=3, learning_rate=0.05, regularization=0.1, iterations=100).fit(train)
    solved = replace(found, learning_rate=0.5).solve_user_factors(
        train
    )  # 20 passes of short steps would stop on the way
    dense, share = train.toarray() > 0, np.asarray(train.sum(axis=0)).ravel() / train.nnz
    items, biases = found.item_factors.astype(np.float64), found.biases.astype(np.float64)
    start, reached, best = [], [], []
    for user in range(12):
        liked, other = np.flatnonzero(dense[user]), np.flatnonzero(~dense[user])

        def loss(x, liked=liked, other=other):
            s = items @ x + biases
            margins = s[liked][:, None] - s[other]
            taken = share[other].sum()
            return (np.logaddexp(0, -margins) @ share[other]).mean() + 0.05 * taken * x @ x

        start.append(loss(found.mean_user_factor.astype(np.float64)))
        reached.append(loss(solved[user].astype(np.float64)))
        best.append(minimize(loss, np.zeros(3), method="BFGS").fun)
    assert np.min(np.subtract(reached, best)) > -1e-6
    assert np.sum(np.subtract(reached, best)) < 0.1 * np.sum(np.subtract(start, best))


def test_bpr_takes_the_steps_of_the_paper():
    from recsys.kernels.bpr import ascend_user_factor

    rng = np.random.default_rng(3)
    x, items, biases = rng.normal(size=4), rng.normal(size=(9, 4)), rng.normal(size=9)
    liked, other = rng.integers(0, 5, 7).astype(np.int32), rng.integers(5, 9, 7).astype(np.int32)
    found, walk = ascend_user_factor(x, items, biases, liked, other, 0.3, 0.2), []
    for i, j in zip(liked, other, strict=True):
        apart = items[i] - items[j]
        x = x + 0.3 * (apart / (1 + np.exp(x @ apart + biases[i] - biases[j])) - 0.2 * x)
        walk.append(x)
    np.testing.assert_allclose(found, np.mean(walk[3:], axis=0))


@pytest.mark.parametrize("make", [BPR, LMF])
def test_an_item_that_nobody_has_has_the_lowest_bias(make):
    dense = world().toarray()
    dense[:, 4] = 0
    found = make(factors=4, iterations=30).fit(sparse.csr_array(dense))
    assert found.biases[4] == found.biases.min()
    assert (found.biases == found.biases.min()).sum() == 2


@pytest.mark.parametrize(("make", "message"), [(BPR, "bpr: the factors left"), (LMF, "lmf: the factors left")])
def test_steps_that_are_too_long_are_said_to_be(make, message):
    with pytest.raises(RecsysError, match=message) as error:
        make(factors=4, iterations=50, learning_rate=1e38).fit(world())
    assert "\n" not in str(error.value)


def test_most_popular_counts_users():
    train = sparse.csr_array(np.array([[1, 0, 1], [1, 0, 0]], dtype=np.float32))
    assert everybody(MostPopular(), train).tolist() == [[2, 0, 1], [2, 0, 1]]


def test_most_popular_decays_by_age():
    train = sparse.csr_array(np.array([[1, 0, 1], [1, 1, 0]], dtype=np.float32))
    now = 1_000_000_000.0
    times = sparse.csr_array(np.array([[now, 0, now - 10 * DAY], [now - 20 * DAY, now - 30 * DAY, 0]]))
    assert everybody(MostPopular(half_life=10), train, SideInformation(times=times))[0].tolist() == [1.25, 0.125, 0.5]


def test_most_popular_takes_a_positive_without_a_stored_time_for_one_of_1970():
    train = sparse.csr_array(np.array([[1, 1]], dtype=np.float32))
    times = sparse.csr_array(np.array([[10 * DAY, 0.0]]))
    assert everybody(MostPopular(half_life=10), train, SideInformation(times=times))[0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("side", [None, SideInformation()])
def test_most_popular_says_that_times_are_missing(side):
    with pytest.raises(RecsysError, match="most_popular: half_life: found 30 and data without times, expected"):
        MostPopular(half_life=30).fit(world(), side)


def test_random_is_uniform_and_by_seed():
    train = sparse.eye_array(200, 300, dtype=np.float32, format="csr")
    scores = everybody(Random(seed=1), train)
    assert abs(scores.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(scores[:-1].ravel(), scores[1:].ravel())[0, 1]) < 0.02
    assert (scores != everybody(Random(seed=2), train)).mean() > 0.99


def test_mean_is_the_mean_of_scaled_scores():
    train = world()
    parts = [EASE(l2=5.0), ItemKNN(k=4), MostPopular()]
    scaled = []
    for part in parts:
        scores = everybody(part, train).astype(np.float64)
        scaled.append((scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True))
    np.testing.assert_allclose(everybody(Ensemble(parts), train), np.mean(scaled, axis=0), atol=1e-6)
    np.testing.assert_allclose(everybody(Ensemble([EASE(l2=5.0)]), train), scaled[0], atol=1e-6)


def test_mean_gives_its_seed_to_parts_without_one():
    made = Ensemble(
        ["als", {"kind": "bpr", "seed": 9}, ALS(seed=4), "ease", {"kind": "ensemble", "models": ["als"]}], seed=5
    )
    assert [getattr(part, "seed", None) for part in made.models] == [5, 9, 4, None, 5]
    assert made.models[4].models == (ALS(seed=5),)
    assert made == Ensemble(made.models, seed=5)


def test_mean_in_a_config():
    from recsys.configs import parse_config

    small = {"data": {"name": "ml-100k"}}
    config = parse_config(
        {**small, "models": {"mean": {"kind": "ensemble", "models": ["als", {"kind": "ease", "l2": 50.0}]}}}
    )
    assert config.models["mean"].build_model("[models.mean]").models == (ALS(), EASE(l2=50.0))
    with pytest.raises(RecsysError, match="unknown model 'easy': did you mean 'ease'"):
        parse_config({**small, "models": {"mean": {"kind": "ensemble", "models": ["als", "easy"]}}})


def test_known_dislikes_change_als_where_asked_for():
    train, dislikes = world(), world(seed=9)
    dislikes = sparse.csr_array(dislikes.multiply(train.toarray() == 0))
    plain, asked = ALS(factors=4), ALS(factors=4, disliked=5.0)
    assert (everybody(plain, train, SideInformation(dislikes=dislikes)) == everybody(plain, train)).all()
    assert (
        everybody(asked, train, SideInformation(dislikes=dislikes))[dislikes.toarray() > 0].mean()
        < everybody(plain, train)[dislikes.toarray() > 0].mean()
    )
