"""A half-life that is chosen on validation: in Python, in configs, and in exports."""

import numpy as np
import pandas as pd
import pytest
from synthetic import make_split

import recsys as rs
from recsys.experiments.exports import export
from recsys.experiments.half_lives import HalfLifeChoice, compute_user_ndcg
from recsys.models import BPR, ItemKNN, MostPopular
from recsys.rankers import Ranker
from recsys.types import RecsysError

DAY = 86_400


@pytest.fixture(scope="module")
def log():
    """Two years: what everybody likes changes each 100 days, so that only recent likes say what comes next."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        for day in np.sort(rng.choice(700, 14, replace=False)):
            season = int(day) // 100
            item = rng.integers(0, 12) + 6 * season if rng.random() < 0.9 else rng.integers(0, 54)
            rows.append((f"u{user}", f"i{item}", int(day) * DAY))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).drop_duplicates(["user_id", "item_id"])


@pytest.fixture(scope="module")
def split(log):
    return rs.splits.global_time(rs.read_dataset(log), validation=0.1, test=0.15)


def ndcg_on_validation(split, half_life, k):
    """Popularity by hand: the k most popular of what is new to each user, against validation."""
    train, when, wanted = (x.toarray() for x in (split.train, split.train_times, split.validation))
    age = (when.max() - when) / DAY
    counts = (train * (1.0 if half_life is None else 2.0 ** (-age / half_life))).sum(axis=0)
    found = []
    for user in np.flatnonzero(wanted.any(axis=1)):
        new = np.flatnonzero((train[user] == 0) & split.available_items)
        best = new[np.argsort(-counts[new], kind="stable")][:k]
        gain = (wanted[user, best] / np.log2(np.arange(len(best)) + 2)).sum()
        found.append(gain / (1 / np.log2(np.arange(min(k, int(wanted[user].sum()))) + 2)).sum())
    return np.mean(found)


def test_the_choice_is_the_best_on_validation(split):
    found = rs.choose_half_life(MostPopular(), split, [20, 2000, 90], k=5)
    assert [h for h, _ in found.values] == [None, 2000, 90, 20]
    for half_life, value in found.values:
        if half_life is not None:  # counts of everybody alike are tied, and ties are drawn
            assert value == pytest.approx(ndcg_on_validation(split, half_life, 5), abs=1e-6)
    assert found.half_life == max(found.values, key=lambda one: one[1])[0]
    assert found.half_life in (20, 90)
    assert found.describe().startswith(
        f"half-life: {found.half_life:g} days, the largest NDCG@5 on validation of none 0."
    )


def test_of_equal_half_lives_none_is_chosen_before_the_longest(split):
    class Constant:
        def fit(self, train, side=None):
            return MostPopular().fit(train)

    found = rs.choose_half_life(Constant(), split, [30, 90])
    assert len({value for _, value in found.values}) == 1
    assert found.half_life is None
    assert found.describe().startswith("half-life: none, the largest")


def test_test_is_not_looked_at(split, log):
    held_out = rs.splits.global_time(rs.read_dataset(log), validation=0.1, test=0.15)
    held_out.test.data[:] = 0
    assert rs.choose_half_life(ItemKNN(k=5), held_out) == rs.choose_half_life(ItemKNN(k=5), split)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"half_lives": []}, r"half_lives are \[\], expected a list of numbers of days"),
        ({"half_lives": "30"}, "half_lives are '30', expected a list of numbers of days"),
        ({"half_lives": [30, 0]}, "a half-life is 0, expected a number above 0"),
        ({"half_lives": [30, 30.0]}, r"half_lives are \[30.0, 30.0\], expected different numbers of days"),
        ({"k": 0}, "k is 0, expected a whole number from 1 on"),
    ],
)
def test_choices_that_cannot_be_made_are_refused(split, change, found):
    with pytest.raises(RecsysError, match=f"^choose_half_life: {found}"):
        rs.choose_half_life(MostPopular(), split, **change)


def test_splits_and_models_without_an_age_are_refused(split, log):
    data = rs.read_dataset(log)
    with pytest.raises(RecsysError, match="found a split of kind per_user_time, expected one at one point in time"):
        rs.choose_half_life(MostPopular(), rs.splits.per_user_time(data, validation=0.1))
    with pytest.raises(RecsysError, match="found a split without validation"):
        rs.choose_half_life(MostPopular(), rs.splits.global_time(data))
    with pytest.raises(RecsysError, match=r"^bpr: found weights of positives"):
        rs.choose_half_life(BPR(factors=2, iterations=1), split)
    with pytest.raises(RecsysError, match="found a split of kind random"):
        rs.choose_half_life(MostPopular(), make_split())


def test_a_config_takes_the_choice_of_validation(log, tmp_path):
    config = {
        "split": {"kind": "global_time", "validation": 0.1, "test": 0.15},
        "model": {"kind": "item_knn", "k": 10},
        "time": {"half_life": "validation", "half_lives": [20, 2000]},
        "pool": {"n": 10}, "slate": {"k": [5]},
        "evaluation": {"metrics": ["ndcg"], "n_bootstrap": 100, "halvings": 0},
    }  # fmt: skip
    data = rs.read_dataset(log)
    split = rs.splits.global_time(data, validation=0.1, test=0.15)
    choice = rs.choose_half_life(ItemKNN(k=10), split, [20, 2000], k=5)
    assert isinstance(choice, HalfLifeChoice)
    assert choice.half_life is not None
    made = rs.bench(config, data=data, out=tmp_path, quiet=True)
    assert choice.describe() in made.notes
    stated = rs.bench({**config, "time": {"half_life": choice.half_life}}, data=data, out=tmp_path, quiet=True)
    np.testing.assert_array_equal(made.slates[5]["item_knn"].items, stated.slates[5]["item_knn"].items)
    assert made.folder != stated.folder
    ranker = Ranker.load(export(config, tmp_path / "shop", data=data, quiet=True).folder)
    assert ranker.context.time_weights.half_life == choice.half_life


def test_two_speeds_are_chosen_where_they_are_best(split):
    found = rs.choose_half_life(MostPopular(), split, [400, 60], short_half_lives=[100, 10], short_shares=[0.3], k=5)
    assert [one[:3] for one in found.two_speed_values] == [(400, 100, 0.3), (400, 10, 0.3), (60, 10, 0.3)]
    view = split.validation_view()
    for long, short, share, value in found.two_speed_values:
        again = compute_user_ndcg(MostPopular(), view, long, 5, None, short, share)
        assert value == np.nanmean(again)
    best = max(found.two_speed_values, key=lambda one: one[3])
    single = max(value for _, value in found.values)
    better = HalfLifeChoice(5, found.values, ((*best[:3], single + 0.1),))
    assert (better.half_life, better.short_half_life, better.short_share) == best[:3]
    assert f"{best[0]:g} days with 30% of {best[1]:g} days" in better.describe()
    equal = HalfLifeChoice(5, found.values, ((*best[:3], single),))
    assert equal.short_half_life is None and equal.half_life == max(found.values, key=lambda one: one[1])[0]
    with pytest.raises(RecsysError, match=r"short_half_lives are \[500.0\], expected one below 400, the longest"):
        rs.choose_half_life(MostPopular(), split, [400, 60], short_half_lives=[500])


def test_a_config_has_two_speeds_or_lets_validation_choose(log, tmp_path):
    path = tmp_path / "log.csv"
    log.to_csv(path, index=False)
    base = {
        "data": {"path": str(path)}, "split": {"kind": "global_time", "validation": 0.1, "test": 0.15},
        "model": {"kind": "item_knn"}, "pool": {"n": 20}, "evaluation": {"metrics": ["ndcg"], "n_bootstrap": 100},
    }  # fmt: skip
    done = rs.bench({**base, "time": {"half_life": 300, "short_half_life": 10}}, out=tmp_path, quiet=True)
    weights = done.preparation.split.time_weights
    assert (weights.half_life, weights.short_half_life, weights.short_share) == (300, 10, 0.5)
    chosen = rs.bench(
        {**base, "time": {"half_life": "validation", "half_lives": [300], "short_half_lives": [10]}}, out=tmp_path,
        quiet=True,
    )  # fmt: skip
    assert any("300 days with 25% of 10 days 0." in note for note in chosen.notes)
    for time, said in (
        ({"half_life": 300, "short_half_life": 400}, "short_half_life is 400, expected days below the half_life 300"),
        ({"half_life": "validation", "short_half_life": 4}, "expected short_half_lives"),
        ({"half_life": 300, "short_half_lives": [4]}, "expected half_life 'validation'"),
    ):
        with pytest.raises(RecsysError, match=said):
            rs.bench({**base, "time": time}, out=tmp_path, quiet=True)
