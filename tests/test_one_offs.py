"""One-offs: influence and isolation against leave-one-out, gifts that are found, weights, requests, errors."""

from dataclasses import replace

import numpy as np
import pytest

from recsys import models
from recsys.data.datasets import read_dataset
from recsys.evidence import detect_one_offs, find_request_one_offs, score_history
from recsys.maths.one_offs import (
    FoldWeights,
    find_threshold,
    measure_fold_influence,
    measure_isolation,
    measure_mix_influence,
)
from recsys.metrics.list_comparison import gift_harm
from recsys.splits.wholes import no_holdout
from recsys.types import Evaluation, GroundTruth, RecsysError
from recsys.types.arrays import Csr
from recsys.types.purchases import Purchases

USERS, ITEMS, LIKES = 40, 30, 10


def _draw_rows():
    """Users of two tastes like ten of fifteen items each; every fifth has one gift of the other taste."""
    rng, rows, gifts = np.random.default_rng(0), [], []
    for user in range(USERS):
        taste = user % 2
        liked = rng.permutation(15)[:LIKES] + 15 * taste
        if user % 5 == 0:
            gift = int(rng.integers(15)) + 15 * (1 - taste)
            gifts.append((user, gift))
            liked = np.append(liked, gift)
        rows += [(user, item, 86_400 * (100 * user + place)) for place, item in enumerate(liked.tolist())]
    return rows, gifts


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    rows, gifts = _draw_rows()
    path = tmp_path_factory.mktemp("one_offs") / "log.csv"
    path.write_text("user_id,item_id,datetime\n" + "".join(f"u{u:02},i{i:02},{t}\n" for u, i, t in rows))
    split = no_holdout(read_dataset(path))
    model = models.IALS(factors=8, iterations=4).fit(split.train)
    places = [
        (int(np.flatnonzero(split.user_ids == f"u{u:02}")[0]), int(np.flatnonzero(split.item_ids == f"i{i:02}")[0]))
        for u, i in gifts
    ]
    return split, model, places


def _draw_train(seed=0, users=7, items=20):
    rng = np.random.default_rng(seed)
    made = Csr((rng.random((users, items)) < 0.4).astype(np.float32))
    made.sort_indices()
    return made


@pytest.mark.parametrize(
    "weights",
    [
        FoldWeights(0.3, 1.0, 1.0, 0.2, 0.0),
        FoldWeights(1.0, 4.0, 5.0, 2.0, 1.0),
        FoldWeights(1.0, 4.0, 5.0, 2.0, 1.0, ridge_cells=0.0),
    ],
)
def test_influence_is_that_of_solving_without_each_positive(weights):
    train, a, b, t, reg, nu, cells = _draw_train(), *weights
    items = np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32)
    y = items.astype(np.float64)
    expected = []
    for user in range(len(train.indptr) - 1):
        own = train.indices[train.indptr[user] : train.indptr[user + 1]]
        ridge = reg * (len(own) + (a * len(y) if cells is None else cells)) ** nu

        def solve(history, ridge=ridge):
            return np.linalg.solve(
                a * y.T @ y + b * y[history].T @ y[history] + ridge * np.eye(4), t * y[history].sum(axis=0)
            )

        whole = solve(own)
        for item in own:
            without = solve(own[own != item])
            expected.append(len(own) * np.linalg.norm(y @ (whole - without)) / np.linalg.norm(y @ whole))
    np.testing.assert_allclose(measure_fold_influence(items, weights, train), expected, rtol=1e-8)


def test_mix_influence_is_that_of_the_mean_without_each_positive():
    train, rng = _draw_train(2), np.random.default_rng(3)
    shares = Csr(np.eye(5, dtype=np.float32)[rng.integers(5, size=20)])
    dense, expected = shares.toarray().astype(np.float64), []
    for user in range(train.shape[0]):
        own = train.indices[train.indptr[user] : train.indptr[user + 1]]
        mix = dense[own].mean(axis=0)
        expected += [len(own) * np.linalg.norm(mix - dense[own[own != item]].mean(axis=0)) for item in own]
    np.testing.assert_allclose(measure_mix_influence(shares, train), expected, atol=1e-12)


@pytest.mark.parametrize("n_near", [1, 3, 50])
def test_isolation_is_the_mean_distance_to_the_nearest_others(n_near):
    train, rng = _draw_train(4), np.random.default_rng(5)
    vectors = rng.standard_normal((20, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = []
    for user in range(train.shape[0]):
        own = train.indices[train.indptr[user] : train.indptr[user + 1]]
        for item in own:
            cosines = np.sort(np.maximum(vectors[own[own != item]] @ vectors[item], 0.0))[::-1]
            expected.append(1.0 - cosines[:n_near].mean())
    np.testing.assert_allclose(measure_isolation(vectors, train, n_near), expected, atol=1e-6)


def test_a_history_of_one_has_neither_influence_nor_isolation():
    train = Csr(np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]], dtype=np.float32))
    vectors = np.eye(3, dtype=np.float32)
    assert measure_isolation(vectors, train, 2).tolist() == [0.0, 1.0, 1.0]
    assert measure_fold_influence(vectors, FoldWeights(0.1, 1.0, 1.0, 0.1, 0.0), train)[0] == 0.0
    assert measure_mix_influence(Csr(vectors), train)[0] == 0.0


def test_a_share_of_the_scores_lies_above_the_threshold():
    scores = np.random.default_rng(6).random(1000)
    assert (scores > find_threshold(scores, 0.02)).sum() == 20
    assert find_threshold(np.zeros(0), 0.02) == np.inf


@pytest.mark.parametrize("has_factors", [True, False])
def test_gifts_have_the_largest_scores_and_count_less(world, has_factors):
    split, model, gifts = world
    made = detect_one_offs(split, model if has_factors else None, share=0.02, n_near=3, weight=0.25)
    one_offs = made.one_offs
    assert one_offs.flags.sum() <= 0.02 * split.train.nnz
    assert {(u, int(i)) for u in range(USERS) for i in one_offs.find_items(u)} == set(gifts)
    weights = made.weighted_train
    assert weights.nnz == split.train.nnz
    assert set(np.unique(weights.data)) == {np.float32(0.25), np.float32(1.0)}
    assert weights[gifts[0]] == np.float32(0.25)
    assert made.side_information.weights is weights
    assert split.side_information.weights is None


def test_repeats_short_histories_and_confirmed_pairs_count_whole(world):
    split, model, gifts = world
    (user, item), (other_user, other_item) = gifts[:2]
    twice = Purchases(
        np.array([user, user], np.int32),
        np.array([item, item], np.int32),
        np.array([1, 2]),
        np.ones(2, np.float32),
        *split.shape,
    )
    pair = (str(split.user_ids[other_user]), str(split.item_ids[other_item]))
    made = detect_one_offs(split, model, n_near=3, purchases=twice, confirmed=[pair])
    assert made.weighted_train[user, item] == 1.0
    assert made.weighted_train[other_user, other_item] == 1.0
    assert made.one_offs.scores[other_user, other_item] < 0.0
    assert made.one_offs.scores[user, item] == 0.0
    assert all(made.weighted_train[gift] < 1.0 for gift in gifts[2:])
    assert not detect_one_offs(split, model, min_history=12).one_offs.flags.any()


def test_weights_of_age_and_of_one_offs_are_multiplied(world):
    split, model, _ = world
    aged = split.with_half_life(500.0)
    made = detect_one_offs(aged, model, n_near=3, weight=0.5)
    expected = aged.weighted_train.data * made.one_offs.weights
    np.testing.assert_array_equal(made.weighted_train.data, expected)
    assert made.time_weights.half_life == 500.0
    assert np.isinf(detect_one_offs(split, model).time_weights.half_life)


def test_views_of_other_rows_have_no_one_offs(world):
    split, model, _ = world
    made = detect_one_offs(split, model)
    assert made.validation_view().one_offs is made.one_offs
    assert made.test_view().one_offs is None


def test_a_history_of_a_request_is_judged_as_that_of_a_known_user(world):
    split, model, gifts = world
    one_offs = detect_one_offs(split, model, n_near=3).one_offs
    none = np.zeros(0, np.int32)
    for user in range(USERS):
        own = split.train.indices[split.train.indptr[user] : split.train.indptr[user + 1]]
        stored = one_offs.scores.data[split.train.indptr[user] : split.train.indptr[user + 1]]
        np.testing.assert_allclose(score_history(one_offs, own), stored, rtol=1e-5)
        assert find_request_one_offs(one_offs, -1, own, none).tolist() == one_offs.find_items(user).tolist()
    user, item = gifts[0]
    own = split.train.indices[split.train.indptr[user] : split.train.indptr[user + 1]]
    assert find_request_one_offs(one_offs, user, own, own).tolist() == [item]
    confirmed = one_offs.confirm(one_offs.find_place(user, item))
    assert find_request_one_offs(confirmed, user, own, own).tolist() == []
    assert one_offs.find_items(user).tolist() == [item]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 1.0}, r"one_offs: share is 1.0, expected a number above 0 and below 1"),
        ({"weight": 0.0}, r"one_offs: weight is 0.0, expected a number above 0"),
        ({"n_near": 0}, r"one_offs: n_near is 0, expected"),
        ({"min_history": 1}, r"one_offs: min_history is 1, expected"),
        ({"confirmed": [("u99", "i00")]}, r"one_offs: confirmed: unknown user 'u99'"),
        ({"confirmed": [("u01", "i00")]}, r"one_offs: confirmed: item 'i00' is no training positive of user 'u01'"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(world, settings, said):
    split, model, _ = world
    with pytest.raises(RecsysError, match=f"^{said}"):
        detect_one_offs(split, model, **settings)


def test_models_purchases_and_records_of_other_data_are_refused(world):
    split, model, _ = world
    other = models.IALS(factors=4, iterations=1).fit(_draw_train())
    with pytest.raises(RecsysError, match=r"^one_offs: found a model of 20 items, expected one fitted to the 30"):
        detect_one_offs(split, other)
    purchases = Purchases(*(np.zeros(0, np.int32),) * 2, np.zeros(0, np.int64), np.zeros(0, np.float32), 3, 4)
    with pytest.raises(RecsysError, match=r"^one_offs: found purchases of 3 users and 4 items"):
        detect_one_offs(split, model, purchases=purchases)
    made = detect_one_offs(split, model).one_offs
    with pytest.raises(RecsysError, match=r"^here: scores are not those of the entries of train"):
        made.check_one_offs("here", Csr(split.train[::-1]))
    with pytest.raises(RecsysError, match=r"^here: vectors has shape"):
        replace(made, vectors=made.vectors[:3]).check_one_offs("here", split.train)
    made.check_one_offs("here", split.train)


def test_gift_harm_is_the_share_of_slots_that_go_with_the_gift(world):
    split, rng = world[0], np.random.default_rng(8)
    shown, left = (np.stack([rng.permutation(ITEMS)[:6] for _ in range(USERS)]).astype(np.int32) for _ in range(2))
    shown[3, 2:], left[5] = -1, shown[5]
    truth = GroundTruth(split, (), (), ())
    found = gift_harm(Evaluation(shown, truth), Evaluation(left, truth), 4)
    for user in range(USERS):
        slate = [item for item in shown[user, :4].tolist() if item >= 0]
        assert found[user] == pytest.approx(len(set(slate) - set(left[user, :4].tolist())) / len(slate))
    assert found[5] == 0.0
    assert found.max() > 0.5
