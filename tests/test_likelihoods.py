"""Learned likelihoods: features against plain NumPy, the fit against other solvers, and use on pools."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.likelihoods import (
    Likelihood,
    apply_likelihood,
    coefficient_table,
    compute_like_probabilities,
    features,
    fit_likelihood,
)
from recsys.likelihoods.applying import score_pool
from recsys.likelihoods.computing import compute_by_functions, compute_features, deal_folds
from recsys.likelihoods.features import COMPILED_FEATURES, FeatureTables, UserCandidates
from recsys.likelihoods.records import list_feature_names
from recsys.likelihoods.tables import get_feature_tables
from recsys.maths.choice_models import Choices, fit_logistic, fit_softmax
from recsys.retrieval.candidates import Pool, candidates
from recsys.retrieval.fold_contexts import make_fold_context
from recsys.splits.cross_fitting import make_folds
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import Context, RecsysError, RecsysWarning
from recsys.types.arrays import Csr
from recsys.types.pools import ConstantFunction

USERS, ITEMS = 240, 90


def draw_world(seed=0, users=USERS, items=ITEMS, lean=2.0):
    """A split whose validation likes lean to candidates near the history, beside the model's scores."""
    split = make_split(seed, users, items)
    model, maps = RandomFactorModel(split), make_maps(split)
    pool = candidates(model, split, n=40, maps=maps)
    tables = get_feature_tables(pool.context, "factors", True)
    near = compute_features(pool, tables, ["history_max", "score_z"], 40)
    chance = 1 / (1 + np.exp(2.5 - lean * (near[:, :, 0] - 0.7) / 0.15 - 0.7 * near[:, :, 1]))
    rng = np.random.default_rng(seed)
    liked = (rng.random(chance.shape) < chance) & (pool.items >= 0)
    row, place = np.nonzero(liked)
    validation = Csr((np.ones(len(row), np.float32), (pool.users[row], pool.items[row, place])), shape=split.shape)
    return replace(split, validation=validation), pool


@pytest.fixture(scope="module")
def world():
    return draw_world()


@pytest.fixture(scope="module")
def made(world):
    split, pool = world
    return fit_likelihood(pool, split, n=40, keep_top=10)


def test_every_feature_is_a_function_and_has_one_column():
    assert sorted(COMPILED_FEATURES) == sorted(features.__all__)
    assert len(set(COMPILED_FEATURES)) == len(COMPILED_FEATURES)


@pytest.mark.parametrize("space", ["factors", "cooccurrence", "features", "none"])
@pytest.mark.parametrize("with_maps", [True, False])
@pytest.mark.parametrize("head", [3, 17, 200])
def test_compiled_features_are_those_of_the_functions(space, with_maps, head):
    split = make_split(head, 40, 60)
    train = split.train.tolil()
    train[0], train[1], train[2, 5:] = 0, 0, 0  # no history, and a short one
    train[1, 7] = 1
    split = replace(split, train=Csr(train.tocsr()))
    pool = candidates(RandomFactorModel(split, 7), split, n=30, maps=make_maps(split) if with_maps else ())
    items, scores = pool.items.copy(), pool.scores.copy()
    items[3, 1:], scores[3, 1:], items[4], scores[4], scores[5] = -1, 0, -1, 0, 1.0  # one, none, and all alike
    pool = Pool(pool.users, items, scores, pool.context)
    tables = get_feature_tables(pool.context, space, with_maps)
    fast = compute_features(pool, tables, COMPILED_FEATURES, head)
    slow = compute_by_functions(pool, tables, COMPILED_FEATURES, head)
    for f, name in enumerate(COMPILED_FEATURES):
        np.testing.assert_allclose(fast[:, :, f], slow[:, :, f], rtol=1e-5, atol=1e-5, err_msg=name)
    assert np.ptp(slow[:, :, COMPILED_FEATURES.index("unexplored")]) > 0 or (space == "none" and not with_maps)


def test_features_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)
    regions = np.array([[0, 4], [1, 2], [1, 3], [0, 2]], np.int32)  # two maps of two regions; 4 is none
    tables = FeatureTables(vectors, np.log1p([4.0, 3, 2, 1]), 1.2, regions, np.array([0.5, 0.5, 0.75, 0.25]))
    user = UserCandidates(np.array([2, 0, 3]), np.array([3.0, 2, 1], np.float32), np.array([1]), 3, tables)
    expected = {
        "score_z": [1.5**0.5, 0, -(1.5**0.5)],
        "log_gap": np.log1p([0, 1.5**0.5, 6**0.5]),
        "history_max": [0.8, 0, 0.6],
        "nearest_above": [0, 0.6, 0.96],
        "head_similarity": [0.78, 0.7, 0.88],
        # regions: 1, 0, 0 by the first map, 3, none, 2 by the second; plausibilities are 1, 1/2, 0
        "region_plausibility": [(1 / 5 + 1 / 5) / 2, 0.5 / 5 / 2, (0.5 / 5 + 0) / 2],
        "region_share": [(1 + 1) / 6, 2 / 6, (2 + 1) / 6],
        "regions_explored": [0.5] * 3,
        # the one item of the history is in regions 1 and 2
        "unexplored": [0.5 * (0.5 + 0.2), 0.5 * (0.5 + 1.0), 0.5 * (0.5 + 0.4)],
        "user_log_popularity": [np.log(4)] * 3,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(features, name)(user), values, rtol=1e-6, atol=1e-7, err_msg=name)
    lift = {0: 2.5 / 3, 1: 3.5 / 3, 2: 4.75 / 4.5, 3: 1.25 / 1.5}
    np.testing.assert_allclose(
        features.region_lift(user),
        [(np.log(lift[1]) + np.log(lift[3])) / 2, np.log(lift[0]) / 2, (np.log(lift[0]) + np.log(lift[2])) / 2],
    )


def test_somebody_new_with_the_same_history_gets_the_same_bits(world, made):
    split, pool = world
    users = np.array([5, 9, 70], np.int32)
    known = Pool(users, pool.items[users], pool.scores[users], pool.context)
    around = Context(
        np.array(["a", "b", "c"]), split.item_ids, train=split.train[users], parent_context=pool.context,
        population_codes=np.full(3, -1),
    )  # fmt: skip
    new = Pool(np.arange(3, dtype=np.int32), known.items, known.scores, around)
    alone = [score_pool(new.slice_users(u, u + 1), made)[0] for u in range(3)]
    assert (score_pool(known, made) == score_pool(new, made)).all()
    assert (score_pool(known, made) == np.stack(alone)).all()


def draw_choices(seed=0, users=150, features_=4):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 12, users)
    x = rng.normal(size=(lengths.sum(), features_))
    starts = np.cumsum(lengths) - lengths
    liked = rng.random(len(x)) < 1 / (1 + np.exp(1 - x @ [1.0, -0.5, 0.2, 0.0]))
    liked[starts] = True
    return Choices(x, liked, rng.choice([1.0, 4.0], len(x)), starts)


def softmax_loss(x, choices, regularization):
    """The loss as it is written: users count alike, and together as many as there are likes."""
    loss = []
    for start, end in zip(choices.starts, [*choices.starts[1:], len(choices.liked)], strict=True):
        worth, liked = choices.features[start:end] @ x, choices.liked[start:end]
        loss.append(np.log((choices.weights[start:end] * np.exp(worth)).sum()) - worth[liked].mean())
    return np.mean(loss) * choices.liked.sum() + regularization / 2 * (x**2).sum()


def test_the_softmax_has_the_least_loss():
    from scipy.optimize import minimize

    choices = draw_choices()
    found = fit_softmax(choices, 10.0)
    slow = minimize(
        softmax_loss, np.zeros(4), (choices, 10.0), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}
    )
    np.testing.assert_allclose(found.coefficients, slow.x, atol=1e-4)
    shifted = replace(
        choices,
        features=choices.features + np.repeat(np.arange(150), np.diff([*choices.starts, len(choices.liked)]))[:, None],
    )
    np.testing.assert_allclose(fit_softmax(shifted, 10.0).coefficients, found.coefficients, atol=1e-6)


def test_the_logistic_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    choices = draw_choices(1)
    with_one = replace(choices, features=np.column_stack([choices.features, np.ones(len(choices.liked))]))
    found = fit_logistic(with_one, 10.0).coefficients
    theirs = LogisticRegression(C=0.1, tol=1e-9, max_iter=1000).fit(choices.features, choices.liked, choices.weights)
    np.testing.assert_allclose(found, [*theirs.coef_[0], theirs.intercept_[0]], atol=1e-5)


def test_the_sandwich_is_the_spread_of_fits_to_other_users():
    fits = [fit_softmax(draw_choices(seed, 120), 1.0) for seed in range(120)]
    spread = np.std([one.coefficients for one in fits], axis=0, ddof=1)
    said = np.mean([np.sqrt(np.diag(one.covariance)) for one in fits], axis=0)
    np.testing.assert_allclose(said, spread, rtol=0.3)


def test_a_fit_finds_what_likes_follow_and_gains(made):
    assert made.ndcg > 1.1 * made.base_ndcg and made.ci_low > 0 and made.beats_base
    table = coefficient_table(made).set_index("feature")
    assert table.index[0] in ("history_max", "history_top3") and table["coefficient"].iloc[0] > 0
    assert (table.ci_low < table.coefficient).all() and (table.coefficient < table.ci_high).all()
    assert "score_spread" not in table.index and "constant within users" in made.notes[0]


def test_accuracy_is_out_of_fold(world, made):
    """Other likes of the users of a fold do not change the coefficients that these users are ranked by."""
    split, pool = world
    fold = deal_folds(np.arange(USERS), 5, 0)
    other = split.validation.tolil()
    for user in np.flatnonzero(fold == 2):
        other[user] = 0
        other[user, pool.items[user, 39 - user % 20]] = 1
    again = fit_likelihood(pool, replace(split, validation=Csr(other.tocsr())), n=40, keep_top=40)
    same = fit_likelihood(pool, split, n=40, keep_top=40)
    unit = [one.fold_coefficients / one.scales for one in (same, again)]
    np.testing.assert_allclose(unit[0][2], unit[1][2], rtol=1e-2, atol=1e-2)  # the unit of the pull is everybody's
    assert np.abs(unit[0] - unit[1])[[0, 1, 3, 4]].max() > 0.1
    assert made.fold_coefficients.shape == (5, len(made.features))


def test_without_anything_to_learn_nothing_is_gained():
    split, pool = draw_world(3, lean=0.0)
    rng = np.random.default_rng(0)
    row, place = np.nonzero(rng.random(pool.items.shape) < 0.1)
    noise = Csr((np.ones(len(row), np.float32), (row, pool.items[row, place])), shape=split.shape)
    made = fit_likelihood(pool, replace(split, validation=noise), n=40)
    assert made.ci_low < 0 < made.ci_high or made.ci_high < 0


def test_a_logistic_is_calibrated(world):
    split, pool = world
    made = fit_likelihood(pool, split, n=40, kind="logistic")
    applied = apply_likelihood(pool, made, out_of_fold=True)
    p = compute_like_probabilities(applied, made)
    liked = np.asarray(split.validation[applied.users[:, None], np.maximum(applied.items, 0)].todense()) > 0
    some = np.diff(split.validation.indptr)[applied.users] > 0
    p, liked = p[some], liked[some]
    for low, high in [(0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)]:
        at = (p >= low) & (p < high) & (applied.items[some] >= 0)
        assert at.sum() > 50
        assert abs(p[at].mean() - liked[at].mean()) < 4 * (p[at].mean() / at.sum()) ** 0.5 + 0.01


def test_a_pool_gets_the_order_and_the_scores(world, made):
    _, pool = world
    applied = apply_likelihood(pool, made)
    found = score_pool(pool, made)
    for u in range(0, USERS, 17):
        n = pool.lengths[u]
        order = sorted(range(n), key=lambda i, u=u: (-found[u, i], i))
        assert applied.items[u, :n].tolist() == pool.items[u, order].tolist()
        assert (applied.items[u, n:] == -1).all() and (applied.scores[u, n:] == 0).all()
        np.testing.assert_allclose(applied.scores[u, :n], found[u, order], rtol=1e-6)
    assert type(applied) is type(pool)
    assert compute_like_probabilities(applied, made).sum(axis=1) == pytest.approx(1.0)
    assert (compute_like_probabilities(applied, made)[:, :-1] >= compute_like_probabilities(applied, made)[:, 1:]).all()
    assert (apply_likelihood(pool, made, out_of_fold=True).items != applied.items).any()


@pytest.mark.parametrize("number", [0, 1])
def test_out_of_fold_is_without_the_user_where_half_of_the_users_make_the_tables(world, made, number):
    """Users keep their folds in the context of cross-fitted judges, where they have other codes, or none."""
    split, pool = world
    moved = replace(
        pool, context=make_fold_context(pool.context, make_folds(USERS, 1, 0)[number], maps=make_maps(split))
    )
    intercepts = np.arange(len(made.fold_intercepts), dtype=np.float64)
    says_fold = replace(made, fold_coefficients=np.zeros_like(made.fold_coefficients), fold_intercepts=intercepts)
    found = score_pool(moved, says_fold, out_of_fold=True)
    assert found[:, 0].tolist() == deal_folds(pool.users, len(intercepts), made.fold_seed).tolist()


def test_scores_from_anywhere(world):
    split, pool = world
    row, place = np.nonzero(pool.items >= 0)
    columns = split.user_ids[pool.users[row]], split.item_ids[pool.items[row, place]], pool.scores[row, place]
    own = Pool.from_frame(*columns, split=split, maps=pool.context.maps)
    n = np.bincount(split.train.indices, minlength=ITEMS)
    popular = (n[pool.items] > np.quantile(n, 0.8)) & (pool.items >= 0)
    at = pool.users[np.nonzero(popular)[0]], pool.items[popular]
    split = replace(split, validation=Csr((np.ones(len(at[0]), np.float32), at), shape=split.shape))
    made = fit_likelihood(own, split, n=40)
    assert made.space == "cooccurrence" and made.ci_low > 0
    top = apply_likelihood(own, made).items[:, :5]
    assert n[top].mean() > 1.1 * n[own.items[:, :5]].mean()


def test_context_features_join_by_id(world):
    split, pool = world
    price = np.random.default_rng(5).normal(size=ITEMS)
    row, place = np.nonzero((price[pool.items] > 0.8) & (pool.items >= 0))
    liked = Csr((np.ones(len(row), np.float32), (row, pool.items[row, place])), shape=split.shape)
    cheap = replace(split, validation=liked)
    order = np.random.default_rng(1).permutation(ITEMS)[3:]  # three are missing
    table = {"item_id": split.item_ids[order], "price": price[order], "stock": np.ones(len(order))}
    made = fit_likelihood(pool, cheap, n=40, items=table)
    assert coefficient_table(made).feature[0] == "price" and made.ndcg > 2 * made.base_ndcg
    assert made.columns.tolist() == ["price"]
    assert any("lacks 3 of 90" in note for note in made.notes)
    assert any("stock" in note and "constant" in note for note in made.notes)
    assert apply_likelihood(pool, made).items[:, 0].tolist() != pool.items[:, 0].tolist()


def test_a_feature_that_is_a_function_alone_is_one_too(world, monkeypatch):
    split, pool = world
    monkeypatch.setattr(features, "parity", lambda user: user.items % 2.0, raising=False)
    monkeypatch.setattr(features, "__all__", [*features.__all__, "parity"])
    assert list_feature_names()[-1] == "parity"
    row, place = np.nonzero((pool.items % 4 == 1) & (pool.items >= 0))
    odd = replace(split, validation=Csr((np.ones(len(row), np.float32), (row, pool.items[row, place])), split.shape))
    made = fit_likelihood(pool, odd, n=40)
    assert coefficient_table(made).feature[0] == "parity"
    assert (apply_likelihood(pool, made).items[:, :5] % 2 == 1).mean() > 0.9


def test_what_is_below_its_base_is_left_out_with_a_note(world, made):
    _, pool = world
    worse = replace(made, ndcg=made.base_ndcg - 0.01)
    assert not worse.beats_base
    with pytest.warns(RecsysWarning, match=r"out of fold .* against .* of the base.*the base's order is kept"):
        assert apply_likelihood(pool, worse) is pool
    assert (apply_likelihood(pool, worse, even_if_worse=True).items != pool.items).any()


def test_without_history_the_row_stays(world, made):
    split, pool = world
    train = split.train.tolil()
    train[7] = 0
    context = replace(pool.context, train=Csr(train.tocsr()), tables=type(pool.context.tables)())
    with pytest.warns(RecsysWarning, match="1 of 240 users have no history: the base's order is kept for them"):
        applied = apply_likelihood(Pool(pool.users, pool.items, pool.scores, context), made)
    assert (applied.items[7] == pool.items[7]).all() and (applied.scores[7] == pool.scores[7]).all()
    assert (applied.items != pool.items).any()


@pytest.mark.parametrize("part", ["factors", "own maps"])
def test_where_a_part_is_missing_the_base_stays(world, made, part):
    _, pool = world
    gone = {"factors": None} if part == "factors" else {"make_maps": ConstantFunction(())}
    context = replace(pool.context, tables=type(pool.context.tables)(), **gone)
    bare = Pool(pool.users, pool.items, pool.scores, context)
    with pytest.warns(RecsysWarning, match=f"the pool has no {part}, which it was fitted with: the base's order"):
        assert apply_likelihood(bare, made) is bare


def test_without_maps_or_a_space_their_features_are_left_out(world):
    split, pool = world
    context = replace(pool.context, make_maps=ConstantFunction(()), tables=type(pool.context.tables)())
    made = fit_likelihood(Pool(pool.users, pool.items, pool.scores, context), split, n=40, space="none")
    assert not {"region_lift", "history_max", "unexplored"} & set(made.features.tolist())
    assert (
        "left out: region_lift, region_plausibility, region_share, regions_explored (the pool has no own maps)"
        in made.notes
    )
    assert any("(space is 'none')" in note for note in made.notes)


def test_bad_input_is_one_line(world, made):
    split, pool = world
    none = Csr(split.shape, dtype=np.float32)

    def fails(match, pool=pool, split=split, **settings):
        with pytest.raises(RecsysError, match=match) as error:
            fit_likelihood(pool, split, **{"n": 40, **settings})
        assert "\n" not in str(error.value)

    fails("the split has no validation likes", split=replace(split, validation=none))
    fails("0 of .* candidates are validation likes", split=replace(split, validation=split.train))
    whole = Csr((np.ones(pool.items.size, np.float32), (np.repeat(pool.users, 40), pool.items.ravel())), split.shape)
    fails(r"(\d+) of \1 candidates are validation likes", split=replace(split, validation=whole))
    fails("the pool is of other items", split=_rename_items(split))
    fails("the pool's histories are not split.train", split=replace(split, train=split.test))
    fails("unknown feature 'scor': did you mean 'score'", features=["scor"])
    fails("features is empty", features=[])
    fails("no feature varies", features=["log_history"])
    fails("unknown kind", kind="boosting")
    fails("unknown space 'factor': did you mean 'factors'", space="factor")
    fails("n_folds is 1", n_folds=1)
    fails("regularization is 0", regularization=0)
    fails("sample_share is 0", sample_share=0)
    fails("feature 'history_max' cannot be made: space is 'none'", features=["history_max"], space="none")
    fails("found a Pool for split", split=pool)
    few = np.zeros(USERS)
    few[:3] = 1
    fails(
        "folds, expected more users, or fewer folds",
        split=replace(split, validation=Csr(split.validation.multiply(few[:, None]).tocsr())),
    )
    ids = split.item_ids
    fails("unknown column 'item_id'", items={"item": ids, "price": np.ones(ITEMS)})
    fails("has no column beside item_id", items={"item_id": ids})
    fails("an item_id twice", items={"item_id": [ids[0], ids[0]], "price": [1, 2]})
    fails("holds none of the items", items={"item_id": ["x"], "price": [1]})
    fails("column 'price' holds infinity", items={"item_id": ids[:2], "price": [1, np.inf]})
    fails("column 'price' holds 'a', expected numbers", items={"item_id": ids[:2], "price": ["a", "b"]})
    fails("column 'price' is empty", items={"item_id": ids[:2], "price": [None, np.nan]})
    fails("column 'score' has the name of a feature", items={"item_id": ids[:2], "score": [1, 2]})
    fails("column 'price' has shape", items={"item_id": ids[:2], "price": [1, 2, 3]})
    other = Pool(pool.users, pool.items, pool.scores, replace(pool.context, item_ids=_rename_items(split).item_ids))
    with pytest.raises(RecsysError, match="is of 90 other items"):
        apply_likelihood(other, made)
    small = make_split(0, 20, 30)
    with pytest.raises(RecsysError, match="is of 90 items, expected one of these 30"):
        apply_likelihood(candidates(RandomFactorModel(small), small, n=5), made)


def _rename_items(split):
    return replace(split, items=replace(split.items, ids=np.array([f"x{i}" for i in range(ITEMS)])))


def test_scores_that_overflow_are_refused(world, made):
    _, pool = world
    broken = replace(made, coefficients=np.full(len(made.features), 1e300))
    with pytest.raises(RecsysError, match="scores are too large"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        apply_likelihood(pool, broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": np.array([np.nan])}, "coefficients has shape"),
        ({"kind": "tree"}, "unknown kind"),
        ({"scales": None}, "scales is a NoneType"),
        ({"head": 0}, "head is 0"),
        ({"ndcg": float("nan")}, "ndcg is nan"),
    ],
)
def test_a_record_is_checked_when_it_is_made(made, change, message):
    with pytest.raises(RecsysError, match=message):
        replace(made, **change)


def test_a_record_refuses_what_cannot_be(made):
    for change, message in [
        ({"scales": made.scales * 0}, "scales holds 0"),
        ({"coefficients": made.coefficients * np.nan}, "coefficients holds NaN"),
        ({"features": np.array(["scoring", *made.features[1:]])}, "unknown feature 'scoring'"),
        ({"features": np.array([made.features[1], *made.features[1:]])}, "a feature is there twice"),
    ]:
        with pytest.raises(RecsysError, match=message):
            replace(made, **change)


def test_a_record_is_kept_as_arrays(world, made):
    _, pool = world
    again = restore_record(Likelihood, flatten_record(made))
    assert repr(again) == repr(made)
    assert (score_pool(pool, again) == score_pool(pool, made)).all()


@pytest.mark.usefixtures("drawn_charts")
def test_the_picture_shows_every_feature(made, tmp_path):
    from recsys.reports import draw_coefficients, write_coefficients

    spec = draw_coefficients(made)
    assert [row["feature"] for row in spec["datasets"]["rows"]] == coefficient_table(made).feature.tolist()
    text = write_coefficients(made, tmp_path / "coefficients.svg").read_text()
    assert text.startswith("<svg") and all(name in text for name in made.features.tolist())
