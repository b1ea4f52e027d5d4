"""Forgetting in fitted models: against a refit, by every model, and what certificates say of the difference."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.maths.fold_in import solve_user_factors
from recsys.models import (
    ALS,
    BPR,
    EASE,
    IALS,
    LMF,
    Ensemble,
    ItemKNN,
    MostPopular,
    P3alpha,
    PureSVD,
    Random,
    RP3beta,
    UserKNN,
    neighbor_updates,
)
from recsys.models.forgetting import ROUNDING, forget_rows
from recsys.testing import make_communities
from recsys.types import RecsysError, SideInformation

EPS = float(np.finfo(np.float32).eps)


def make_log(users=150, items=200, seed=0):
    """Return positives in two communities, of which the first items of each have most, as in a real log."""
    random = np.random.default_rng(seed)
    near = (np.arange(users)[:, None] < users // 2) == (np.arange(items) % 2 == 0)
    chances = np.where(near, 0.9, 0.3) / (1 + np.arange(items) // 2) ** 0.5
    cells = random.random((users, items)) < chances
    cells[7] = False  # a user without positives
    return sparse.csr_array(cells.astype(np.float32))


def without(train, users, items=None):
    """Return the positives without some pairs or whole rows, slowly."""
    dense = train.toarray()
    for n, user in enumerate(users):
        dense[user, slice(None) if items is None else items[n]] = 0.0
    return sparse.csr_array(dense)


def some_pairs(train, n, seed=0):
    """Return n pairs of the positives."""
    users, items = train.nonzero()
    at = np.random.default_rng(seed).choice(len(users), n, replace=False)
    return users[at], items[at]


FORGOTTEN = {
    "one row": lambda train: some_pairs(train, 1),
    "twelve rows": lambda train: some_pairs(train, 12),
    "one person": lambda train: ([3], None),
    "three people": lambda train: ([3, 12, 40], None),
    "most people": lambda train: (list(range(110)), None),
}
CASES = pytest.mark.parametrize("what", FORGOTTEN)


@CASES
@pytest.mark.parametrize("l2", [5.0, 50.0, 500.0])
def test_ease_is_the_refit_to_rounding(what, l2):
    train, model = make_log(), EASE(l2=l2)
    users, items = FORGOTTEN[what](train)
    fitted = model.fit(train)
    found, certificate = forget_rows(fitted, train, users, items)
    refit = model.fit(without(train, users, items))
    np.testing.assert_allclose(found.weights, refit.weights, atol=4 * EPS)
    np.testing.assert_allclose(found.inverse_diagonal, refit.inverse_diagonal, rtol=1e-5)
    assert (found.train != refit.train).nnz == 0
    assert np.abs(found.weights - fitted.weights).max() > 100 * EPS, (
        "the rows made no difference: the test shows nothing"
    )
    (part,) = certificate.parts
    assert certificate.is_exact and not certificate.pending
    assert part.state == ("refitted" if what == "most people" else "exact")
    assert np.abs(found.weights - refit.weights).max() <= part.bound + 4 * EPS


def test_a_certificate_says_what_was_forgotten():
    train = make_communities()
    dense = train.toarray()
    users, items = [3, 3, 3, 5], [*np.flatnonzero(dense[3])[:2], int(np.flatnonzero(dense[3] == 0)[0]), 0]
    dense[3, items[:2]], dense[5, 0] = 0.0, 0.0
    _, certificate = forget_rows(EASE(l2=20.0).fit(train), train, users, items)
    n = int(train.nnz - np.count_nonzero(dense))
    assert (certificate.n_rows, certificate.n_unknown) == (n, 4 - n)
    assert certificate.n_users == (2 if n == 3 else 1)
    again = forget_rows(EASE(l2=20.0).fit(train), train, users[::-1], items[::-1])[1]
    assert again == certificate, "the order of pairs made a difference"
    assert json.loads(certificate.to_json()) == certificate.to_dict()
    other = forget_rows(EASE(l2=20.0).fit(train), train, users[:1], items[:1])[1]
    assert other.remaining != certificate.remaining


def test_nothing_to_forget_leaves_the_model():
    train = make_communities()
    fitted = EASE(l2=20.0).fit(train)
    empty = int(np.flatnonzero(train.toarray()[3] == 0)[0])
    for users, items in (([], None), ([3], [empty])):
        found, certificate = forget_rows(fitted, train, users, items)
        assert found is fitted and not certificate.parts and certificate.is_exact and certificate.n_rows == 0
        assert certificate.n_unknown == len(users)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_ease_forgets_in_any_order(data):
    """Pairs and people one after the other are one refit without all of them; ratings are taken as values."""
    train = make_communities()
    train.data = np.random.default_rng(1).integers(1, 6, train.nnz).astype(np.float32)
    fitted, left = EASE(l2=30.0).fit(train), train
    for _ in range(data.draw(st.integers(1, 4))):
        users = data.draw(st.lists(st.integers(0, 59), min_size=1, max_size=4))
        items = data.draw(st.none() | st.lists(st.integers(0, 39), min_size=len(users), max_size=len(users)))
        fitted, certificate = forget_rows(fitted, left, users, items)
        left = without(left, users, items)
        assert certificate.is_exact
    np.testing.assert_allclose(fitted.weights, EASE(l2=30.0).fit(left).weights, atol=16 * EPS)


def test_what_was_fitted_in_single_precision_is_not_called_exact():
    """The error of a float32 inverse is no rounding of weights: the certificate says so, and bounds it."""
    random = np.random.default_rng(0)
    train = sparse.csr_array((random.random((400, 120)) < 0.2 / np.arange(1, 121) ** 0.5 * 3).astype(np.float32))
    model = EASE(l2=0.1, dtype="float32")
    found, certificate = forget_rows(model.fit(train), train, [5])
    (part,) = certificate.parts
    difference = np.abs(found.weights - EASE(l2=0.1).fit(without(train, [5])).weights).max()
    assert part.state == "solved" and part.bound > ROUNDING and not certificate.is_exact
    assert difference <= part.bound


def test_a_bound_holds_and_is_not_vacuous():
    random = np.random.default_rng(3)
    train = sparse.csr_array((random.random((500, 200)) < 0.3 / np.arange(1, 201) ** 0.5).astype(np.float32))
    for l2 in (1.0, 50.0):
        fitted = EASE(l2=l2).fit(train)
        for user in range(20):
            found, certificate = forget_rows(fitted, train, [user])
            refit = EASE(l2=l2).fit(without(train, [user]))
            difference = np.abs(found.weights.astype(np.float64) - refit.weights).max()
            (part,) = certificate.parts
            assert difference <= part.bound <= ROUNDING


def test_a_bound_holds_after_many_updates():
    """Products that are kept from one update to the next say as much as those that are made anew."""
    random = np.random.default_rng(3)
    left = sparse.csr_array((random.random((500, 200)) < 0.3 / np.arange(1, 201) ** 0.5).astype(np.float32))
    found = EASE(l2=1.0).fit(left)
    for user in range(0, 60, 3):
        asked = ([user, user], left[[user]].indices[:2]) if user % 2 else ([user, user + 1], None)
        fresh = replace(found, probe_images=None)
        anew = forget_rows(fresh, left, *asked)[1]
        found, certificate = forget_rows(found, left, *asked)
        left = without(left, *asked)
        difference = np.abs(found.weights.astype(np.float64) - EASE(l2=1.0).fit(left).weights).max()
        assert difference <= certificate.parts[0].bound <= 4 * ROUNDING
        assert certificate.parts[0].bound == pytest.approx(anew.parts[0].bound, rel=1e-3)


def test_a_bound_tells_of_a_weight_that_is_wrong():
    train = make_log()
    fitted = forget_rows(EASE(l2=50.0).fit(train), train, [3])[0]
    left = without(train, [3])
    wrong = fitted.weights.copy()
    wrong[5, 9] += 0.01
    for images in (None, fitted.probe_images):
        found, certificate = forget_rows(replace(fitted, weights=wrong, probe_images=images), left, [12])
        difference = np.abs(found.weights - EASE(l2=50.0).fit(without(left, [12])).weights).max()
        assert ROUNDING < 0.005 < difference <= certificate.parts[0].bound < 1.0


def test_ease_of_an_older_version_is_fitted_anew_or_pending():
    train, model = make_communities(), EASE(l2=20.0)
    old = replace(model.fit(train), inverse_diagonal=None, l2=None)
    found, certificate = forget_rows(old, train, [3])
    assert found is old and certificate.pending == ("model",) and not certificate.is_exact
    found, certificate = forget_rows(old, train, [3], settings=model)
    assert certificate.parts[0].state == "refitted" and not certificate.pending
    assert (found.weights == model.fit(without(train, [3])).weights).all()


@pytest.mark.parametrize(
    ("users", "items", "said"),
    [
        ([60], None, "users"),
        ([-1], None, "users"),
        ([0], [40], "items"),
        ([0, 1], [3], "found 2 users and 1 items, expected pairs"),
        (["3"], None, "expected a list of whole numbers"),
        ([0.5], None, "expected a list of whole numbers"),
        ([[3]], None, "expected a list of whole numbers"),
        (3, None, "expected a list of whole numbers"),
        (list(range(60)), None, "no positive is left"),
    ],
)
def test_bad_codes_are_one_line(users, items, said):
    train = make_communities()
    with pytest.raises(RecsysError, match=said) as caught:
        forget_rows(EASE(l2=20.0).fit(train), train, users, items)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("forget_rows: ")


def test_other_positives_than_those_of_the_fit_are_refused():
    train = make_communities()
    for other in (make_communities(1), train[:30], without(train, [3])):
        with pytest.raises(RecsysError, match="other positives than the model was fitted to"):
            forget_rows(EASE(l2=20.0).fit(train), other, [5])


def test_side_information_is_forgotten_too():
    train = make_communities()
    seen = {}

    class Model:
        def fit(self, train, side=None):
            seen.update(train=train, side=side)
            return EASE().fit(train)

    side = SideInformation(dislikes=make_communities(5), times=make_communities(6).astype(np.float64))
    users, items = [3, 5, 7], [1, 2, 3]

    class Fitted:
        factors = None

    forget_rows(Fitted(), train, [*users, 9], [*items, 9], settings=Model(), side=side)
    for name in ("dislikes", "times"):
        expected = without(getattr(side, name), [*users, 9], [*items, 9])
        assert (getattr(seen["side"], name).toarray() == expected.toarray()).all()


SAME = {
    "item_knn": (ItemKNN(k=10), "links refitted"),
    "item_knn cosine": (ItemKNN(k=10, similarity="cosine"), "links refitted"),
    "item_knn, all neighbours": (ItemKNN(k=300), "links refitted"),
    "item_knn bm25": (ItemKNN(k=10, similarity="bm25"), "links refitted"),
    "user_knn": (UserKNN(k=10), "weights exact"),
    "user_knn bm25": (UserKNN(k=10, similarity="bm25"), "weights exact"),
    "p3alpha": (P3alpha(k=10), "model refitted"),
    "rp3beta": (RP3beta(k=10, normalize=True), "model refitted"),
    "most_popular": (MostPopular(), "counts exact"),
    "pure_svd": (PureSVD(factors=4), "model refitted"),
    "bpr": (BPR(factors=4, iterations=5), "model refitted"),
    "lmf": (LMF(factors=4, iterations=5), "model refitted"),
}


@pytest.mark.parametrize("what", ["twelve rows", "three people"])
@pytest.mark.parametrize("name", SAME)
def test_a_model_without_rows_is_the_refit_to_the_bit(name, what):
    train, (model, said) = make_log(60, 80), SAME[name]
    users, items = FORGOTTEN[what](train)
    fitted = model.fit(train)
    found, certificate = forget_rows(fitted, train, users, items, settings=model)
    kept = model.fill_defaults(train) if isinstance(model, ItemKNN) else model
    refit = kept.fit(without(train, users, items))
    everybody = np.arange(60)
    assert (found.score(everybody) == refit.score(everybody)).all()
    assert (fitted.score(everybody) != refit.score(everybody)).any(), "the rows made no difference"
    assert [f"{part.name} {part.state}" for part in certificate.parts] == [said]
    assert certificate.is_exact
    if isinstance(model, ItemKNN):
        anew = model.fill_defaults(without(train, users, items)).shrink
        assert certificate.kept_settings == ({"shrink": (kept.shrink, anew)} if kept.shrink != anew else {})
    else:
        assert not certificate.kept_settings


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_neighbours_are_updated_to_the_bit_in_logs_full_of_ties(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbor_updates, "_MOST_TOUCHED", 1.0)
        check_neighbours(data)


def check_neighbours(data):
    seed, k = data.draw(st.integers(0, 10**6)), data.draw(st.integers(1, 6))
    random = np.random.default_rng(seed)
    train = sparse.csr_array(
        (random.random((12, 15)) < data.draw(st.sampled_from([0.15, 0.3, 0.6]))).astype(np.float32)
    )
    if train.nnz < 2:
        return
    model = ItemKNN(
        k=k, similarity=data.draw(st.sampled_from(["cosine", "tfidf"])), shrink=data.draw(st.sampled_from([0.0, 1.0]))
    )
    users, items = some_pairs(train, data.draw(st.integers(1, min(3, train.nnz - 1))), seed)
    found, _ = forget_rows(model.fit(train), train, users, items, settings=model)
    refit = model.fit(without(train, users, items))
    assert (found.links.toarray() == refit.links.toarray()).all()
    assert (found.relative_lengths == refit.relative_lengths).all()


def test_neighbours_are_sought_anew_for_few_items():
    train = sparse.csr_array((np.random.default_rng(0).random((400, 1000)) < 0.004).astype(np.float32))
    model = ItemKNN(k=20, shrink=1.0)
    fitted, left = model.fit(train), without(train, [5])
    found, anew = neighbor_updates.update_item_neighbors(fitted, model, left, np.array([5]))
    assert len(train[[5]].indices) <= anew < 60
    assert (found.links.toarray() == model.fit(left).links.toarray()).all()
    (part,) = forget_rows(fitted, train, [5], settings=model)[1].parts
    assert part.state == "exact"


def test_neighbours_without_settings_are_pending():
    train = make_log(60, 80)
    fitted = ItemKNN(k=10).fit(train)
    found, certificate = forget_rows(fitted, train, [3])
    assert found is fitted and certificate.pending == ("model",) and not certificate.is_exact


def test_decayed_counts_are_made_anew_from_the_times_that_are_left():
    train, model = make_communities(), MostPopular(half_life=1.0)
    times = train.astype(np.float64)
    times.data = np.random.default_rng(0).uniform(0, 1e6, train.nnz)
    fitted = model.fit(train, SideInformation(times=times))
    assert forget_rows(fitted, train, [3])[1].pending == ("model",)
    found, certificate = forget_rows(fitted, train, [3], settings=model, side=SideInformation(times=times))
    refit = model.fit(without(train, [3]), SideInformation(times=without(times, [3])))
    assert (found.counts == refit.counts).all() and certificate.is_exact
    assert (found.counts != fitted.counts).any()


def test_random_scores_know_no_rows():
    train = make_communities()
    fitted = Random().fit(train)
    found, certificate = forget_rows(fitted, train, [3])
    assert found is fitted and certificate.is_exact and not certificate.parts


FACTORS = {
    "als": ALS(factors=8),
    "als, dislikes": ALS(factors=8, disliked=2.0),
    "ials": IALS(factors=8),
    "ials, no frequencies": IALS(factors=8, nu=0.0, disliked=1.0),
}


def make_dislikes(train):
    """Return cells of another log that are no positives."""
    return sparse.csr_array(np.where(train.toarray() > 0, 0.0, make_log(60, 80, seed=5).toarray()).astype(np.float32))


def solve_items_slowly(factors, train, dislikes):
    """Return the item factors that solve their least squares, given the users', one dense system after the other."""
    users = factors.user_factors.astype(np.float64) * (train.toarray().any(axis=1))[:, None]
    likes, known = train.toarray() > 0, dislikes.toarray() != 0
    made = np.zeros((train.shape[1], users.shape[1]))
    for item in range(train.shape[1]):
        has = users[likes[:, item]]
        hates = users[known[:, item]]
        if len(has):
            ridge = factors.regularization * (len(has) + factors.unobserved_weight * len(users)) ** factors.nu
            matrix = factors.unobserved_weight * users.T @ users + factors.observed_weight * has.T @ has
            matrix += factors.disliked_weight * hates.T @ hates + ridge * np.eye(users.shape[1])
            made[item] = np.linalg.solve(matrix, factors.target_weight * has.sum(axis=0))
    return made


@pytest.mark.parametrize("what", ["twelve rows", "three people"])
@pytest.mark.parametrize("name", FACTORS)
def test_factors_solve_what_is_left(name, what):
    train, model = make_log(60, 80), FACTORS[name]
    dislikes = make_dislikes(train)
    users, items = FORGOTTEN[what](train)
    fitted, side = model.fit(train, SideInformation(dislikes=dislikes)), SideInformation(dislikes=dislikes)
    found, certificate = forget_rows(fitted, train, users, items, settings=model, side=side, warm_rounds=2)
    left, known = without(train, users, items), without(dislikes, users, items)
    factors = found.factors
    exact = solve_user_factors(factors, left, known)
    np.testing.assert_allclose(factors.user_factors, exact, rtol=1e-4, atol=2e-6)
    solved = solve_items_slowly(factors, left, known)
    by_user, by_item = certificate.parts
    assert (by_user.name, by_user.state, by_item.name, by_item.state) == (
        "user factors",
        "exact",
        "item factors",
        "solved",
    )
    distance = np.abs(factors.item_factors - solved).max()
    assert distance <= by_item.bound
    before = np.linalg.norm(fitted.factors.item_factors - solved, axis=1).max()
    assert by_item.bound < 0.5 * before, "as if nothing had been solved"
    assert not certificate.is_exact and not certificate.pending
    mean = factors.user_factors[left.toarray().any(axis=1)].mean(axis=0)
    np.testing.assert_allclose(factors.mean_user_factor, mean, rtol=1e-4, atol=1e-6)
    if items is None:
        assert (factors.user_factors[users] == factors.mean_user_factor).all()


@pytest.mark.parametrize("name", FACTORS)
def test_factors_are_those_of_a_refit_to_the_bit(name):
    train, model = make_log(60, 80), FACTORS[name]
    side, (users, items) = SideInformation(dislikes=make_dislikes(train)), some_pairs(train, 12)
    fitted = model.fit(train, side)
    found, certificate = forget_rows(fitted, train, users, items, settings=model, side=side)
    left = SideInformation(dislikes=without(side.dislikes, users, items))
    refit = model.fit(without(train, users, items), left)
    assert (found.score(np.arange(60)) == refit.score(np.arange(60))).all() and certificate.is_exact
    assert (found.score(np.arange(60)) != fitted.score(np.arange(60))).any()
    alone = forget_rows(fitted, train, users, items, side=side)[1]
    assert alone.pending == ("item factors",)


@pytest.mark.parametrize("model", [ALS(factors=8, iterations=200), IALS(factors=8, iterations=200)])
def test_what_is_left_of_the_old_rows_falls_with_each_warm_round(model):
    """Two models, one fitted to the rows and one that never saw them, come to the same scores."""
    train, (users, items) = make_log(60, 80), some_pairs(make_log(60, 80), 100)
    left, fixed = without(train, users, items), model.fill_defaults(train)
    fitted, other = fixed.fit(train), fixed.fit(left)
    distances = []
    for rounds in (1, 4, 16, 64):
        found = forget_rows(fitted, train, users, items, warm_rounds=rounds)[0]
        distances.append(np.abs(found.score(np.arange(60)) - other.score(np.arange(60))).max())
    assert (np.diff(distances) < 0).all() and distances[-1] < 0.05 * distances[0]


@pytest.mark.parametrize("rounds", [-1, 1.5, "2"])
def test_warm_rounds_are_a_whole_number(rounds):
    train = make_communities()
    with pytest.raises(RecsysError, match=r"^forget_rows: warm_rounds is .*, expected a whole number from 0 on$"):
        forget_rows(IALS(factors=4).fit(train), train, [3], warm_rounds=rounds)


def test_a_dislike_alone_is_forgotten():
    train = make_log(60, 80)
    dislikes = make_dislikes(train)
    side, (user, item) = SideInformation(dislikes=dislikes), some_pairs(dislikes, 1)
    fitted = ALS(factors=8, disliked=5.0).fit(train, side)
    found, certificate = forget_rows(fitted, train, user, item, side=side, warm_rounds=2)
    assert (certificate.n_rows, certificate.n_unknown, len(certificate.parts)) == (0, 1, 2)
    exact = solve_user_factors(found.factors, train, without(dislikes, user, item))
    np.testing.assert_allclose(found.factors.user_factors, exact, rtol=1e-4, atol=2e-6)
    assert forget_rows(EASE().fit(train), train, user, item, side=side)[1].parts == ()


def test_other_factors_without_settings_leave_the_items_pending():
    train = make_log(60, 80)
    fitted = PureSVD(factors=4).fit(train)
    found, certificate = forget_rows(fitted, train, [3, 5], [0, 2])
    assert certificate.pending == ("item factors",) and not certificate.is_exact
    assert (found.factors.item_factors == fitted.factors.item_factors).all()
    assert (found.factors.user_factors[[3, 5]] != fitted.factors.user_factors[[3, 5]]).any(axis=1).all()
    left = without(train, [3, 5], [0, 2])
    np.testing.assert_allclose(found.score(np.arange(60)), found.fold(left), rtol=1e-4, atol=1e-5)


def test_an_ensemble_forgets_in_each_part():
    train, model = make_log(60, 80), Ensemble([EASE(l2=30.0), ItemKNN(k=10, shrink=1.0), PureSVD(factors=4)])
    fitted, everybody = model.fit(train), np.arange(60)
    found, certificate = forget_rows(fitted, train, [3], settings=model)
    refit = model.fit(without(train, [3]))
    np.testing.assert_allclose(found.score(everybody), refit.score(everybody), atol=1e-5)
    assert [part.name for part in certificate.parts] == [
        "0: FittedEASE: weights", "1: FittedItemSimilarity: links", "2: FittedFactors: model",
    ]  # fmt: skip
    assert certificate.is_exact
    alone = forget_rows(fitted, train, [3])[1]
    assert alone.pending == ("1: FittedItemSimilarity: model", "2: FittedFactors: item factors")


@pytest.mark.parametrize(
    "model", [EASE(l2=30.0), ItemKNN(k=10, shrink=1.0), UserKNN(k=10), ALS(factors=4), IALS(factors=4)]
)
def test_weights_by_age_are_kept_or_the_model_is_pending(model):
    train = make_log(60, 80)
    weights = train.copy()
    weights.data = np.random.default_rng(0).uniform(0.2, 1.0, train.nnz).astype(np.float32)
    side = SideInformation(weights=weights)
    fitted = model.fit(train, side)
    found, certificate = forget_rows(fitted, train, [3], settings=model, side=side)
    refit = model.fit(without(train, [3]), SideInformation(weights=without(weights, [3])))
    assert (found.score(np.arange(60)) == refit.score(np.arange(60))).all() and certificate.is_exact
    assert forget_rows(fitted, train, [3], settings=model)[1].pending == ("model",)
