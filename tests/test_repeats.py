"""What is bought again: held-out repeats, and the models that rank it, against walks over the rows of a table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import recsys as rs
from recsys import metrics, models, splits
from recsys.models.forgetting import forget_rows
from recsys.models.purchase_counts import number_baskets, weigh_baskets
from recsys.testing import make_evaluation
from recsys.types import Evaluation, GroundTruth, RecsysError, SideInformation

DAY = 86_400


def make_log(seed=0, rows=900, users=25, items=30, days=100):
    """Rows of users who buy a few items again and again; one moment of a user is a basket."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    item = (user * 3 + rng.integers(0, 4, rows) * (rng.random(rows) < 0.7) + rng.integers(0, 9, rows)) % items
    when = rng.integers(0, days, rows) * DAY
    frame = pd.DataFrame({"user_id": user, "item_id": item, "datetime": when, "quantity": 1}).astype(int)
    return rs.read_dataset(
        frame.assign(user_id=frame.user_id.map("u{}".format), item_id=frame.item_id.map("i{}".format))
    )


@pytest.fixture(scope="module")
def data():
    return make_log()


@pytest.fixture(scope="module")
def held(data):
    return splits.hold_out_repeats(splits.global_time(data, test=0.2, validation=0.2), data)


def list_pairs(matrix, split):
    rows, columns = matrix.nonzero()
    return set(zip(split.user_ids[rows].tolist(), split.item_ids[columns].tolist(), strict=True))


def walk(data, start, end):
    """The pairs of a log between two moments."""
    log = data.interactions
    rows = zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), log.datetime.tolist(), strict=True)
    return {(user, item) for user, item, when in rows if start <= when < end}


class TestHoldOutRepeats:
    def test_a_part_holds_what_was_bought_in_its_time_by_who_knew_the_item_or_not(self, data, held):
        validation_from, test_from, end = held.cuts
        known_items = {item for _, item in walk(data, 0, validation_from)}
        for part, start, stop in (("validation", validation_from, test_from), ("test", test_from, end)):
            bought = {pair for pair in walk(data, start, stop) if pair[1] in known_items}
            assert list_pairs(getattr(held, part), held) == bought
        assert list_pairs(held.train, held) == walk(data, 0, validation_from)

    def test_each_part_has_repeats_and_others(self, held):
        train = list_pairs(held.train, held)
        for part in ("validation", "test"):
            pairs = list_pairs(getattr(held, part), held)
            assert pairs & train and pairs - train
            assert held.counts[f"repeated_{part}_positives"] > 0

    def test_views_fit_on_what_was_before_and_count_a_pair_once(self, data, held):
        for view, start in ((held.validation_view(), held.cuts[0]), (held.test_view(), held.cuts[1])):
            assert set(view.train.data.tolist()) == {1.0} and set(view.test.data.tolist()) == {1.0}
            assert list_pairs(view.train, view) == walk(data, 0, start)
            bought = view.side_information.purchases
            assert bought.end == start and bought.datetime.max() < start
            log = data.interactions
            rows = set(zip(log.user.tolist(), log.item.tolist(), log.datetime.tolist(), strict=True))
            assert len(bought) == sum(when < start for _, _, when in rows)

    def test_times_are_those_of_the_first_purchase(self, data, held):
        view, log = held.test_view(), data.interactions
        first = {}
        for user, item, when in zip(log.user.tolist(), log.item.tolist(), log.datetime.tolist(), strict=True):
            pair = (log.user_ids[user], log.item_ids[item])
            first[pair] = min(when, first.get(pair, when))
        rows, columns = view.train.nonzero()
        for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[:200]:
            assert view.train_times[row, column] == first[view.user_ids[row], view.item_ids[column]]

    def test_it_is_another_split_by_name(self, data, held):
        plain = splits.global_time(data, test=0.2, validation=0.2)
        assert held.fingerprint != plain.fingerprint
        assert splits.hold_out_repeats(plain, data).fingerprint == held.fingerprint

    def test_a_cut_of_each_user_is_refused(self, data):
        with pytest.raises(RecsysError, match="hold_out_repeats: found a split of kind leave_last, expected one at"):
            splits.hold_out_repeats(splits.leave_last(data), data)


class TestMetrics:
    @pytest.fixture
    def evaluation(self):
        """Random slates where half of the training positives are held out too."""
        made = make_evaluation(3)
        split, rng = made.truth.split, np.random.default_rng(0)
        again = split.train.copy()
        again.data = (rng.random(again.nnz) < 0.5).astype(np.float32)
        again.eliminate_zeros()
        slates = np.argsort(rng.random(split.shape) - 0.5 * (split.test + again).toarray(), axis=1)[:, :8]
        truth = replace(made.truth, split=replace(split, test=(split.test + again).tocsr()))
        return Evaluation(slates.astype(np.int32), truth)

    @pytest.mark.parametrize("k", [1, 3, 8, 12])
    def test_parts_are_those_of_sets(self, evaluation, k):
        split = evaluation.truth.split
        for user in range(split.shape[0]):
            test, train = (set(np.flatnonzero(m.toarray()[user])) for m in (split.test, split.train))
            slate = set(evaluation.items[user, :k].tolist()) - {-1}
            for name, part in (("repeat", test & train), ("explore", test - train)):
                recall, per_slot = (
                    getattr(metrics, f"{name}_{one}")(evaluation, k).values[user] for one in ("recall", "precision")
                )
                assert recall == (len(slate & part) / len(part) if part else pytest.approx(np.nan, nan_ok=True))
                assert per_slot == (len(slate & part) / k if test else pytest.approx(np.nan, nan_ok=True))

    def test_purchases_per_slot_add_up_to_precision(self, evaluation):
        repeat, explore = (
            metrics.repeat_precision(evaluation, 5).values,
            metrics.explore_precision(evaluation, 5).values,
        )
        np.testing.assert_allclose(repeat + explore, metrics.precision(evaluation, 5).values)
        assert np.nanmean(repeat) > 0.05 and np.nanmean(explore) > 0.05

    def test_without_repeats_exploring_is_all_there_is(self):
        plain = make_evaluation()
        assert np.isnan(metrics.repeat_recall(plain, 5).values).all()
        np.testing.assert_array_equal(metrics.explore_recall(plain, 5).values, metrics.recall(plain, 5).values)

    def test_what_is_due_is_not_over_advertised(self):
        made = make_evaluation()
        owned = made.truth.repeats
        assert np.nanmean(metrics.over_advertising(made, 8).values) > 0.02
        later = replace(owned, now=int(owned.due_from.data.max()))
        found = metrics.over_advertising(Evaluation(made.items, replace(made.truth, repeats=later)), 8).values
        assert np.nanmax(found) == 0
        assert np.isnan(metrics.over_advertising(Evaluation(made.items, GroundTruth(made.truth.split)), 8).values).all()


def make_slow_vectors(purchases, n_groups, within, between):
    """TIFU-kNN's vectors of users, from lists of baskets cut into groups of lists."""
    vectors = np.zeros((purchases.n_users, purchases.n_items))
    for user in range(purchases.n_users):
        rows = np.flatnonzero(purchases.user == user)
        times = sorted(set(purchases.datetime[rows].tolist()))
        baskets = [[int(purchases.item[r]) for r in rows if purchases.datetime[r] == when] for when in times]
        m = min(n_groups, len(baskets))
        sizes = [len(baskets) // m + (j >= m - len(baskets) % m) for j in range(m)] if m else []
        start = 0
        for j, size in enumerate(sizes):
            group = np.zeros(purchases.n_items)
            for i, basket in enumerate(baskets[start : start + size]):
                group[basket] += within ** (size - 1 - i)
            vectors[user] += between ** (m - 1 - j) * group / size / m
            start += size
    return vectors


class TestTifuKNN:
    def test_its_scores_are_those_of_lists_of_baskets_and_of_sorted_distances(self, held):
        view = held.test_view()
        purchases, model = view.train_purchases, models.TifuKNN(k=4, n_groups=3)
        fitted = model.fit(view.train, view.side_information)
        slow = make_slow_vectors(purchases, 3, 0.9, 0.7)
        np.testing.assert_allclose(fitted.vectors.toarray(), slow, atol=1e-12)
        far = np.linalg.norm(slow[:, None] - slow[None], axis=2)
        far[np.eye(len(slow), dtype=bool)] = np.inf
        near = np.argsort(far, axis=1)[:, :4]
        wanted = 0.7 * slow + 0.3 * slow[near].mean(axis=1)
        users = np.arange(len(slow), dtype=np.int32)
        np.testing.assert_allclose(fitted.score(users), wanted, rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize("n_groups", [1, 2, 7])
    def test_without_decay_weights_are_those_of_a_mean_of_means(self, held, n_groups):
        purchases = held.train_purchases
        place, baskets = number_baskets(purchases)
        weights = weigh_baskets(place, baskets[purchases.user], n_groups, 1.0, 1.0)
        of_baskets = pd.Series(weights).groupby([purchases.user, place]).first().groupby(level=0).sum()
        np.testing.assert_allclose(of_baskets, 1.0)

    def test_of_a_row_of_purchases_the_last_weigh_the_most(self, held):
        purchases = held.train_purchases
        place, baskets = number_baskets(purchases)
        weights = weigh_baskets(place, baskets[purchases.user], 3, 0.9, 0.5)
        long = purchases.user == baskets.argmax()
        assert np.corrcoef(place[long], weights[long])[0, 1] > 0.5

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"k": 0}, "tifu_knn: k is 0"),
            ({"within_decay": 0.0}, "tifu_knn: within_decay is 0"),
            ({"own_share": 1.5}, "tifu_knn: own_share is 1.5"),
            ({"n_groups": 2.5}, "tifu_knn: n_groups is 2.5"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, settings, message):
        with pytest.raises(RecsysError, match=message):
            models.TifuKNN(**settings)


class TestTopFrequency:
    def test_its_order_is_that_of_counts_and_then_of_popularity(self, held):
        view = held.test_view()
        purchases = view.train_purchases
        fitted = models.TopFrequency().fit(view.train, view.side_information)
        scores = fitted.score(np.arange(view.shape[0], dtype=np.int32))
        popularity = np.asarray(view.train.sum(axis=0)).ravel()
        for user in range(view.shape[0]):
            counts = np.bincount(purchases.item[purchases.user == user], minlength=view.shape[1])
            wanted = np.lexsort((-popularity, -counts))
            keys = list(zip(counts[wanted].tolist(), popularity[wanted].tolist(), strict=True))
            found = np.argsort(-scores[user], kind="stable")
            assert list(zip(counts[found].tolist(), popularity[found].tolist(), strict=True)) == keys

    def test_with_a_half_life_purchases_count_by_age(self, held):
        purchases = held.train_purchases
        fitted = models.TopFrequency(half_life=20).fit(held.train, held.side_information)
        user = int(purchases.user[0])
        rows = purchases.user == user
        wanted = np.zeros(purchases.n_items)
        for item, when in zip(purchases.item[rows], purchases.datetime[rows], strict=True):
            wanted[item] += 0.5 ** ((purchases.end - when) / DAY / 20)
        np.testing.assert_allclose(fitted.counts.toarray()[user], wanted)

    def test_without_purchases_each_positive_counts_once(self, held):
        fitted = models.TopFrequency().fit(held.train)
        np.testing.assert_array_equal(fitted.counts.toarray(), held.train.toarray())

    def test_a_half_life_needs_times_and_stands_alone(self, held):
        with pytest.raises(
            RecsysError, match="top_frequency: half_life: found 20 beside no purchases with their times"
        ):
            models.TopFrequency(half_life=20).fit(held.train)
        aged = held.with_half_life(10)
        with pytest.raises(RecsysError, match="beside the half-life of all data, expected one of them"):
            models.TopFrequency(half_life=20).fit(aged.train, aged.side_information)


@pytest.mark.parametrize("name", ["TopFrequency", "TifuKNN"])
def test_it_ranks_what_is_bought_again_above_chance(held, name):
    view = held.test_view()
    fitted = getattr(models, name)().fit(view.train, view.side_information)
    pool = rs.candidates(fitted, view, n=10, exclude_seen=False)
    found = metrics.repeat_recall(Evaluation(pool.items, GroundTruth(view)), 10).values
    drawn = rs.candidates(models.Random().fit(view.train), view, n=10, exclude_seen=False)
    chance = metrics.repeat_recall(Evaluation(drawn.items, GroundTruth(view)), 10).values
    assert np.nanmean(found) > np.nanmean(chance) + 0.1


@pytest.mark.parametrize("model", [models.TopFrequency(), models.TifuKNN(k=4)])
def test_forgotten_purchases_leave_the_model_that_never_knew_them(held, model):
    side, bought = held.side_information, held.train_purchases
    fitted = model.fit(held.train, side)
    user, item = int(bought.user[0]), int(bought.item[0])
    found, _ = forget_rows(fitted, held.train, [user], [item], settings=model, side=side)
    rows = (bought.user == user) & (bought.item == item)
    train = held.train.tolil()
    train[user, item] = 0
    refit = model.fit(train.tocsr(), SideInformation(purchases=bought.take_rows(~rows)))
    users = np.arange(held.shape[0], dtype=np.int32)
    np.testing.assert_array_equal(found.score(users), refit.score(users))
    assert (found.score(users) != fitted.score(users)).any()


def test_purchases_of_others_are_refused(held):
    bought = replace(held.train_purchases, n_items=held.shape[1] + 1)
    with pytest.raises(RecsysError, match=r"tifu_knn: side\.purchases: found 25 x 31, expected purchases of 25 x 30"):
        models.TifuKNN().fit(held.train, SideInformation(purchases=bought))
    with pytest.raises(RecsysError, match=r"side\.purchases: found a list, expected purchases of"):
        models.TifuKNN().fit(held.train, SideInformation(purchases=[]))
