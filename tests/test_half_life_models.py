"""Weights by age in splits and models, against slow statements on dense arrays."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys import models
from recsys.maths.fold_in import solve_user_factors
from recsys.models import ALS, BPR, EASE, IALS, LMF, Ensemble, ItemKNN, MostPopular, P3alpha, PureSVD, RP3beta, UserKNN
from recsys.models.factor_model import compute_loss
from recsys.models.stores import load_model, save_model
from recsys.support.serialization import flatten_record
from recsys.testing.synthetic import make_split
from recsys.types import RecsysError, SideInformation

DAY = 86_400.0
ALL = np.arange(30, dtype=np.int32)
BY_VALUES = {
    "item_knn cosine": ItemKNN(k=6, similarity="cosine"),
    "item_knn tfidf": ItemKNN(k=6),
    "item_knn bm25": ItemKNN(k=6, similarity="bm25", shrink=1.0),
    "user_knn": UserKNN(k=5),
    "p3alpha": P3alpha(k=7),
    "rp3beta": RP3beta(k=7, normalize=True),
    "ease": EASE(l2=3.0),
}
SMALL = {
    **BY_VALUES,
    "als": ALS(factors=4, iterations=3),
    "ials": IALS(factors=4, iterations=3),
    "pure_svd": PureSVD(factors=4),
    "most_popular": MostPopular(),
    "ensemble": Ensemble(["ease", "most_popular"]),
    "top_frequency": models.TopFrequency(),
    "tifu_knn": models.TifuKNN(k=10),
}


@pytest.fixture(scope="module")
def split():
    made = make_split(times=True)
    late = make_split(7, times=True)
    return replace(
        made,
        validation=sparse.csr_array(late.train * (made.train.toarray() == 0)),
        validation_times=sparse.csr_array(late.train_times * (made.train.toarray() == 0)),
    )


@pytest.fixture(scope="module")
def aged(split):
    return split.with_half_life(200)


def dense_weights(split, half_life, now=None):
    """The weight of each positive, cell by cell."""
    when, found = split.train_times.toarray(), np.zeros(split.shape)
    now = when.max() if now is None else now
    for user, item in zip(*split.train.nonzero(), strict=True):
        found[user, item] = 2.0 ** (-(now - when[user, item]) / DAY / half_life)
    return found


def test_a_weight_halves_with_each_half_life(split, aged):
    for view in (aged, aged.validation_view(), aged.test_view()):
        found = view.time_weights.weights
        assert (found.indices == view.train.indices).all()
        np.testing.assert_allclose(found.toarray(), dense_weights(view, 200), rtol=1e-6)
        assert found.data.max() == 1.0
        assert found.data.dtype == np.float32
    assert aged.test_view().train.nnz > split.train.nnz
    now = 2000 * DAY
    stated = split.with_half_life(30.5, now="1975-06-24").time_weights
    assert stated.now == now
    np.testing.assert_allclose(stated.weights.toarray(), dense_weights(split, 30.5, now), rtol=1e-6)
    assert split.with_half_life(1e-3).time_weights.weights.data.min() == np.float32(2.0**-100)
    np.testing.assert_array_equal(aged.time_weights.weigh_times(aged.train_times.data), aged.time_weights.weights.data)


def test_times_before_1970_have_ages(split):
    times = split.train_times.copy()
    times.data -= 5000 * DAY
    early = replace(split, train_times=times).with_half_life(200)
    np.testing.assert_allclose(early.time_weights.weights.toarray(), dense_weights(split, 200), rtol=1e-6)


def test_without_a_half_life_there_are_no_weights(split, aged):
    assert split.time_weights is None
    assert split.side_information.weights is None
    assert aged.with_half_life(None).side_information.weights is None


@pytest.mark.parametrize(
    ("half_life", "now", "found"),
    [
        (0, None, "half_life is 0, expected a number above 0"),
        (float("nan"), None, "half_life is nan, expected a number above 0"),
        ("90", None, "half_life is '90', expected a number above 0"),
        (9, "yesterday", "half_life: now is 'yesterday', expected seconds since 1970, a datetime or an ISO 8601 time"),
        (9, 500 * DAY, r"half_life: now is 1971-05-16T00:00:00 and [\d,]+ training positives are later, the last of 1972"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(split, half_life, now, found):
    with pytest.raises(RecsysError, match=found):
        split.with_half_life(half_life, now=now)


def test_a_log_without_times_is_refused():
    with pytest.raises(RecsysError, match=r"half_life is 90 and the data has no times, expected a column datetime"):
        make_split().with_half_life(90)


@pytest.mark.parametrize("name", SMALL)
def test_weights_of_one_give_the_bits_without_weights(split, name):
    model, train = SMALL[name], split.train
    ones = SideInformation(weights=train.astype(np.float32))
    old, new = model.fit(train, SideInformation()), model.fit(train, ones)
    if name in ("als", "ials", "pure_svd"):  # other compiled loops, and sums in another order
        np.testing.assert_allclose(new.score(ALL), old.score(ALL), atol=2e-5)
        return
    np.testing.assert_array_equal(new.score(ALL), old.score(ALL))
    np.testing.assert_array_equal(new.fold(train[:0]), old.fold(train[:0]))


@pytest.mark.parametrize("name", BY_VALUES)
def test_a_weight_is_the_value_of_a_positive(aged, name):
    weights, model = aged.time_weights.weights, BY_VALUES[name]
    found, wanted = model.fit(aged.train, aged.side_information), model.fit(weights)
    np.testing.assert_array_equal(found.score(ALL), wanted.score(ALL))
    assert (found.score(ALL) != model.fit(aged.train).score(ALL)).any()


@pytest.mark.parametrize("name", [name for name in SMALL if name != "ensemble"])
def test_a_known_history_with_its_weights_is_folded_to_the_known_scores(aged, name, tmp_path):
    fitted = SMALL[name].fit(aged.train, aged.side_information)
    scores = fitted.score(ALL)
    np.testing.assert_allclose(fitted.fold(aged.time_weights.weights), scores, rtol=1e-4, atol=1e-5)
    loaded = load_model(save_model(fitted, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.score(ALL), scores)
    np.testing.assert_array_equal(loaded.fold(aged.train), fitted.fold(aged.train))


@pytest.mark.parametrize("name", [name for name in SMALL if name != "ensemble"])
def test_without_weights_nothing_new_is_stored(split, name):
    arrays = flatten_record(SMALL[name].fit(split.train, split.side_information))
    assert not [one for one in arrays if one.rpartition(".")[2] in ("popularity", "oldest_target_weight")]


def test_most_popular_counts_by_weight(aged):
    found = MostPopular().fit(aged.train, aged.side_information).counts
    np.testing.assert_allclose(found, dense_weights(aged, 200).sum(axis=0), rtol=1e-6)
    own = MostPopular(half_life=200).fit(aged.train, SideInformation(times=aged.train_times)).counts
    np.testing.assert_allclose(found, own, rtol=1e-6)
    with pytest.raises(RecsysError, match=r"most_popular: half_life: found 30\.0 beside the half-life of all data"):
        MostPopular(half_life=30.0).fit(aged.train, aged.side_information)


@pytest.mark.parametrize("name", BY_VALUES)
def test_somebody_without_links_gets_popularity_by_weight(aged, name):
    fitted = BY_VALUES[name].fit(aged.train, aged.side_information)
    empty = fitted.fold(sparse.csr_array((1, 40), dtype=np.float32))[0]
    np.testing.assert_allclose(empty, dense_weights(aged, 200).sum(axis=0), rtol=1e-6)


def test_ease_is_least_squares_of_the_weighted_matrix(aged):
    x = dense_weights(aged, 200)
    inverse = np.linalg.inv(x.T @ x + 3.0 * np.eye(40))
    links = -inverse / np.diag(inverse)
    np.fill_diagonal(links, 0)
    found = EASE(l2=3.0).fit(aged.train, aged.side_information).score(ALL)
    np.testing.assert_allclose(found, x @ links, atol=1e-5)


@pytest.mark.parametrize("disliked", [0.0, 0.7])
def test_als_has_confidence_one_more_than_alpha_less_one_times_the_weight(aged, disliked):
    alpha, ridge = 9.0, 0.5
    model = ALS(factors=4, alpha=alpha, regularization=ridge, iterations=3, disliked=disliked)
    found = model.fit(aged.train, aged.side_information).factors
    items, weights = found.item_factors.astype(np.float64), dense_weights(aged, 200)
    declined = aged.train_negatives.toarray() > 0
    for user in range(30):
        confidence = np.where(weights[user] > 0, 1 + (alpha - 1) * weights[user], 1 + disliked * declined[user])
        matrix = (items.T * confidence) @ items + ridge * np.eye(4)
        wanted = np.linalg.solve(matrix, (confidence * (weights[user] > 0)) @ items)
        np.testing.assert_allclose(found.user_factors[user], wanted, atol=2e-5)


@pytest.mark.parametrize("nu", [0.0, 1.0])
@pytest.mark.parametrize("disliked", [0.0, 0.7])
def test_ials_multiplies_the_loss_of_a_positive_by_its_weight(aged, nu, disliked):
    unobserved, regularization = 0.3, 0.05
    model = IALS(4, unobserved, regularization, nu=nu, iterations=3, disliked=disliked)
    fitted = model.fit(aged.train, aged.side_information)
    x, y = (side.astype(np.float64) for side in (fitted.factors.user_factors, fitted.factors.item_factors))
    weights, declined = dense_weights(aged, 200), aged.train_negatives.toarray() > 0
    for user in range(30):
        ridge = regularization * (weights[user].sum() + unobserved * 40) ** nu
        matrix = (y.T * (weights[user] + unobserved + disliked * declined[user])) @ y + ridge * np.eye(4)
        np.testing.assert_allclose(x[user], np.linalg.solve(matrix, weights[user] @ y), atol=2e-5)
    scores = x @ y.T
    sizes = [(weights.sum(axis=axis) + unobserved * n) ** nu for axis, n in ((1, 40), (0, 30))]
    wanted = (
        (weights * (1 - scores) ** 2).sum() + disliked * (declined * scores**2).sum(),
        unobserved * (scores**2).sum(),
        regularization * sum(float(size @ (side**2).sum(axis=1)) for size, side in zip(sizes, (x, y), strict=True)),
    )
    np.testing.assert_allclose(
        compute_loss(fitted.factors, aged.time_weights.weights, aged.side_information), wanted, rtol=1e-5
    )


def test_ials_lowers_the_weighted_loss_on_both_sides(aged):
    side = aged.side_information
    totals = IALS(4, 0.3, 0.02, iterations=25).fit(aged.train, side).losses.sum(axis=1)
    assert (np.diff(totals) <= 2e-6 * totals[0]).all()
    again = IALS(4, 0.3, 0.02, iterations=25).fit(aged.train).factors
    users = solve_user_factors(replace(again, oldest_target_weight=0.0), aged.time_weights.weights)
    theirs = replace(again, user_factors=users, oldest_target_weight=0.0)
    assert totals[-1] < compute_loss(theirs, aged.time_weights.weights).total


def test_defaults_count_positives_by_their_weights(aged):
    weights = aged.time_weights.weights
    total = dense_weights(aged, 200).sum()
    assert IALS().fill_defaults(aged.train, weights).unobserved == pytest.approx(10 * total / (30 * 40))
    assert ALS().fill_defaults(aged.train, weights).alpha == pytest.approx(1 + 30 * 40 / (10 * total))
    ones = aged.train.astype(np.float32)
    for model in (ALS(), IALS()):
        old, new = model.fill_defaults(aged.train), model.fill_defaults(aged.train, ones)
        assert new.regularization == pytest.approx(old.regularization, rel=1e-6)


def test_pure_svd_projects_the_weights(aged):
    fitted = PureSVD(factors=4).fit(aged.train, aged.side_information)
    x = dense_weights(aged, 200)
    *_, right = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(fitted.score(ALL), x @ right[:4].T @ right[:4], atol=1e-4)


@pytest.mark.parametrize("model", [BPR(factors=4), LMF(factors=4), Ensemble(["ease", "bpr"])])
def test_models_that_draw_positives_refuse_weights(aged, model):
    with pytest.raises(
        RecsysError, match=r"^(bpr|lmf): found weights of positives .*, expected none: it draws positives"
    ):
        model.fit(aged.train, aged.side_information)


def test_every_model_weighs_or_refuses():
    kinds = {type(model) for model in SMALL.values()} | {BPR, LMF, models.Random}
    assert kinds == {getattr(models, name) for name in models.__all__}


def test_weights_that_are_not_those_of_the_positives_are_refused(aged):
    wrong = {
        "found other entries than those of train": aged.time_weights.weights[::-1],
        "found 30 x 39 users and items": sparse.csr_array(aged.time_weights.weights[:, :39]),
        "found weights from .* to 2, expected numbers above 0 and up to 1": aged.time_weights.weights * 2,
    }
    for match, weights in wrong.items():
        with pytest.raises(RecsysError, match=f"ease: side.weights: {match}"):
            EASE().fit(aged.train, SideInformation(weights=sparse.csr_array(weights)))


def test_two_speeds_are_the_sum_of_both_parts(split):
    slow, fast = (split.with_half_life(days).time_weights.weights.data for days in (200, 5))
    made = split.with_half_life(200, short_half_life=5, short_share=0.25).time_weights
    np.testing.assert_allclose(made.weights.data, 0.75 * slow + 0.25 * fast, rtol=1e-6)
    assert (made.half_life, made.short_half_life, made.short_share) == (200, 5, 0.25)
    times = np.asarray(split.train_times.data[:7], np.float64)
    both = [split.with_half_life(days).time_weights.weigh_times(times) for days in (200, 5)]
    np.testing.assert_allclose(made.weigh_times(times), 0.75 * both[0] + 0.25 * both[1], rtol=1e-6)
    assert made.decay == split.with_half_life(200, short_half_life=5, short_share=0.25, now=made.now).time_decay


@pytest.mark.parametrize(
    ("half_life", "settings", "found"),
    [
        (20, {"short_half_life": 20}, "short_half_life is 20, expected days below the half_life 20"),
        (20, {"short_half_life": -1}, "short_half_life is -1"),
        (20, {"short_half_life": 5, "short_share": 1.0}, "short_share is 1"),
        (None, {"short_half_life": 5}, "short_half_life is 5 without a half_life, expected both"),
    ],
)
def test_two_speeds_that_cannot_be_meant_are_refused(split, half_life, settings, found):
    with pytest.raises(RecsysError, match=found):
        split.with_half_life(half_life, **settings)
