"""Hazards of repurchase: gaps, fits on logs whose gaps are known, predictions against sums and draws, files, errors."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import recsys as rs
from recsys import evidence
from recsys.evidence import gaps as gaps_
from recsys.evidence.hazards import cumulate_hazards
from recsys.evidence.user_rates import measure_user_rates
from recsys.maths.renewals import LOG_NORMAL, POISSON_GAMMA, WEIBULL
from recsys.types import RecsysError
from recsys.types.purchases import Purchases
from recsys.types.repurchases import Repurchases

WORLDS = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "repurchase_worlds.py"))
DAY = 86_400
DAYS = 700


def make_purchases(rows, n_users=3, n_items=3, until=None):
    """Return purchases of (user, day, item)."""
    user, day, item = (np.array(column) for column in zip(*sorted(rows), strict=True))
    when = (day * DAY).astype(np.int64)
    columns = user.astype(np.int32), item.astype(np.int32), when, np.ones(len(user), np.float32)
    return Purchases(*columns, n_users, n_items, until)


@pytest.fixture(scope="module")
def world():
    known = WORLDS["KnownGaps"]
    truth = (
        WORLDS["make_weibull"](1.6, 40, 0.8),
        WORLDS["make_log_normal"](30, 0.5, 0.6),
        known(POISSON_GAMMA, 1.2, 60.0, 25.0),
    )
    return WORLDS["make_world"](truth, 9000, 300, 60, DAYS, seed=1)


@pytest.fixture(scope="module")
def cut(world):
    return world.purchases.end - 60 * DAY


@pytest.fixture(scope="module")
def model(world, cut):
    return evidence.fit_repurchases(world.purchases.take_before(cut), world.category, min_gap=0.01)


def test_gaps_are_those_of_a_walk():
    rng = np.random.default_rng(2)
    rows = {
        (int(u), float(d), int(i))
        for u, d, i in zip(rng.integers(0, 3, 60), rng.integers(0, 80, 60) / 2, rng.integers(0, 3, 60), strict=True)
    }
    made = make_purchases(rows, until=50 * DAY)
    found, walked, merged = gaps_.list_gaps(made, 1.0), [], 0
    for user, item in sorted({(u, i) for u, _, i in rows}):
        times, last = [], -9.0
        for day in sorted(d for u, d, i in rows if (u, i) == (user, item)):
            if day - last >= 1.0:
                times.append(day)
            else:
                merged += 1
            last = day
        ends = [*times[1:], 50.0]
        walked += [
            (user, item, end - day, end is not ends[-1], n + 1, day - times[0])
            for n, (day, end) in enumerate(zip(times, ends, strict=True))
        ]
    names = ("user", "item", "days", "observed", "count", "span")
    assert list(zip(*(getattr(found, name).tolist() for name in names), strict=True)) == walked
    assert found.n_merged == merged > 0


def test_known_gaps_are_found_again_and_their_family_is_chosen(world, model):
    for code, known in enumerate(world.truth):
        items = world.category == code
        assert set(model.family[items].tolist()) == {known.family}
        if known.family == POISSON_GAMMA:
            assert model.alpha[items].mean() == pytest.approx(known.first, rel=0.25)
            assert model.beta[items].mean() == pytest.approx(known.second, rel=0.3)
            assert model.mean_gap[items].mean() == pytest.approx(known.third, rel=0.1)
        else:
            assert model.slope[known.family, items].mean() == pytest.approx(known.first, rel=0.08)
            assert model.offset[known.family, items].mean() == pytest.approx(known.second, rel=0.08)
            assert model.share[known.family, items].mean() == pytest.approx(known.third, abs=0.05)
    assert model.n_without_category == 0 and model.user_kappa == 0.0


def test_probabilities_are_those_of_the_gaps_and_come_true(world, cut, model):
    found = evidence.predict_repurchases(model, world.purchases, cut, 30)
    open_ = gaps_.list_gaps(world.purchases.take_before(cut), 0.01)
    assert found.nnz == model.n_pairs and np.isfinite(found.data).all() and found.data.min() >= 0
    for row in np.flatnonzero(~open_.observed)[::400].tolist():
        item, elapsed = int(open_.item[row]), float(open_.days[row])
        family, stage = int(model.family[item]), min(int(open_.count[row]), 3) - 1
        if family == POISSON_GAMMA:
            continue
        slope, offset = model.slope[family, item], model.offset[family, item]
        scale = np.exp(-offset / slope)
        gap = stats.weibull_min(slope, scale=scale) if family == WEIBULL else stats.lognorm(1 / slope, scale=scale)
        share = model.share[family, item, stage]
        slow = share * (gap.cdf(elapsed + 30) - gap.cdf(elapsed)) / (1 - share * gap.cdf(elapsed))
        assert found[int(open_.user[row]), item] == pytest.approx(slow, abs=1e-5)
    came = evidence.list_repurchase_days(found, world.purchases, cut, 30)
    for code in range(3):
        chances = found[:, world.category == code].data.astype(float)
        spread = np.sqrt((chances * (1 - chances)).sum())
        assert abs(chances.sum() - came[:, world.category == code].nnz) < 4 * spread
    by_chance = np.argsort(found.data)
    user = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
    happened = np.asarray(came[user, found.indices]).ravel() > 0
    for part in np.array_split(by_chance, 5):
        chances = found.data[part].astype(float)
        assert abs(chances.sum() - happened[part].sum()) < 4 * np.sqrt((chances * (1 - chances)).sum()) + 1e-9


@pytest.mark.parametrize("family", [WEIBULL, LOG_NORMAL, POISSON_GAMMA])
def test_expected_numbers_are_those_of_draws(world, model, family):
    """One pair bought once, 5 days ago: the window of 90 days drawn 40,000 times, each gap by the summed hazard."""
    item = int(np.flatnonzero(model.family == family)[0])
    same = replace(model, share=np.repeat(model.share[:, :, 1:2], 3, axis=2), until=0)
    one = make_purchases([(0, 0.0, item), (1, 3.0, item)], 2, model.n_items, 5 * DAY)
    found = evidence.predict_repurchase_counts(same, one, 5 * DAY, 90)[0, item]
    rng, n = np.random.default_rng(4), 40_000
    grid = np.concatenate([np.linspace(0, 100, 2001), [1e9]])
    total, since = np.zeros(n), np.zeros(n)
    count, alive = 1, np.arange(n)
    while len(alive):
        span = float(np.mean(since[alive]))
        first = gaps_.list_gaps(one).take_rows(np.zeros(len(grid), np.int64))
        hazard = cumulate_hazards(
            same, replace(first, count=np.full(len(grid), count), span=np.full(len(grid), span)), grid
        )
        begin = np.interp(5.0 if count == 1 else 0.0, grid, hazard)
        gap = np.interp(begin + rng.exponential(size=len(alive)), hazard[:-1], grid[:-1], right=1e9)
        since[alive] += gap
        alive = alive[since[alive] <= 95.0]
        total[alive] += 1
        count += 1
    assert found == pytest.approx(total.mean(), rel=0.06)
    assert found > evidence.predict_repurchases(same, one, 5 * DAY, 90)[0, item]


def test_half_of_the_probability_lies_before_the_median_day(world, cut, model):
    days = evidence.predict_repurchase_days(model, world.purchases, cut, 40)
    whole = evidence.predict_repurchases(model, world.purchases, cut, 40)
    for entry in range(0, days.nnz, 500):
        half = evidence.predict_repurchases(model, world.purchases, cut, float(days.data[entry]))
        assert half.data[entry] == pytest.approx(0.5 * whole.data[entry], rel=1e-3, abs=1e-6)


def test_times_and_their_error_are_those_of_a_walk():
    now, rows = (
        10 * DAY,
        [
            (0, 1.0, 0),
            (0, 12.0, 0),
            (0, 14.0, 0),
            (0, 2.0, 1),
            (1, 3.0, 0),
            (1, 21.0, 0),
            (1, 4.0, 2),
            (1, 10.0, 2),
            (2, 11.0, 1),
        ],
    )
    made = make_purchases(rows, until=40 * DAY)
    predicted = np.zeros((3, 3), np.float32)
    predicted[0, 0], predicted[0, 1], predicted[1, 0], predicted[1, 2] = 5.0, 1.0, 8.0, 4.0
    found = evidence.measure_repurchase_time_error(sparse.csr_array(predicted), made, now, 15)
    assert found.per_user[:2].tolist() == [3.0, (3.0 + 4.0) / 2] and np.isnan(found.per_user[2])
    assert found.mean == pytest.approx(3.25) and found.n_pairs == 3
    shorter = sparse.csr_array(predicted)
    assert evidence.list_repurchase_days(shorter, made, now, 2).toarray()[0].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(
        RecsysError, match="known until 1970-02-10T00:00:00, and the window ends at 1970-02-20T00:00:00"
    ):
        evidence.list_repurchase_days(shorter, made, now, 40)


def test_durables_are_bought_again_later_than_the_window_or_named(world, model):
    median = evidence.measure_median_gaps(model)
    by_category = [median[world.category == code].mean() for code in range(3)]
    assert by_category[:2] == pytest.approx([40 * np.log(2) ** (1 / 1.6), 30], rel=0.08)
    soon = evidence.measure_median_gaps(replace(model, share=np.ones_like(model.share)), 20.0)
    first = [int(np.flatnonzero(world.category == code)[0]) for code in range(3)]
    one = gaps_.list_gaps(make_purchases([(0, 0.0, item) for item in first], 1, 60))
    whole_share = replace(model, share=np.ones_like(model.share))
    half, whole = (-np.expm1(-cumulate_hazards(whole_share, one, days)) for days in (soon[one.item], np.full(3, 20.0)))
    assert half == pytest.approx(0.5 * whole)
    named = np.zeros(60, dtype=bool)
    named[4] = True
    found = evidence.find_durables(model, float(np.sort(median)[-2]) + 1e-9, named)
    assert np.flatnonzero(found).tolist() == sorted({4, int(median.argmax())})


def test_users_who_buy_faster_are_told_apart():
    truth = (WORLDS["make_weibull"](1.2, 60, 0.8),)
    made = WORLDS["make_world"](truth, 6000, 150, 60, DAYS, seed=3, user_kappa=2.0)
    model = evidence.fit_repurchases(made.purchases, min_gap=0.01)
    assert 1.0 < model.user_kappa < 4.0, "rates of 2.0; shares take a part of them"
    assert model.held_out_users > model.held_out[-1].max()
    rates = measure_user_rates(model, gaps_.list_gaps(made.purchases, 0.01))
    assert np.corrcoef(rates, made.rate)[0, 1] > 0.8
    model = replace(model, user_kappa=0.0)
    assert (measure_user_rates(model, gaps_.list_gaps(made.purchases, 0.01)) == 1).all()


def test_items_of_few_purchases_are_near_their_category(world, cut):
    """An item with one buyer has the values of its category; one without a category is of a group of its own."""
    one = world.purchases
    rows = (one.item != 3) | (np.cumsum(one.item == 3) == 1)
    category = world.category.copy()
    category[7] = -1
    made = evidence.fit_repurchases(one.take_rows(rows), category, min_gap=0.01)
    same = np.flatnonzero(category == category[3])
    assert abs(made.offset[0, 3] - np.median(made.offset[0, same])) < 0.15
    assert made.n_without_category == 1 and made.category[7] == made.n_categories - 1 == 3


def test_files_hold_what_was_fitted_and_refuse_what_cannot_be(model, tmp_path):
    path = evidence.save_repurchases(model, tmp_path / "model.npz")
    again = evidence.load_repurchases(path)
    for name in Repurchases.__dataclass_fields__:
        assert np.array_equal(getattr(again, name), getattr(model, name)), name
    for name, value in [("share", 2.0), ("slope", -1.0), ("beta", np.nan), ("family", 3)]:
        arrays = dict(np.load(path))
        arrays[name].flat[0] = value
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(RecsysError, match=f"holds no repurchases that can be read: repurchases: {name} holds"):
            evidence.load_repurchases(tmp_path / "bad.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(RecsysError, match=r"text\.npz: holds no repurchases"):
        evidence.load_repurchases(tmp_path / "text.npz")


@pytest.mark.parametrize(
    "change, line",
    [
        ({"categories": np.array([0, -2, 0])}, "categories holds -2, expected codes from 0 on, or -1 for none"),
        ({"categories": np.array([0])}, "repurchases: categories has shape (1,), expected 3"),
        ({"families": ["weibul"]}, "unknown family 'weibul': did you mean 'weibull'?"),
        ({"families": "weibull"}, "families is 'weibull', expected a list of names"),
        ({"validation": 0.0}, "validation is 0.0, expected a share above 0 and below 1"),
        ({"min_gap": -1}, "min_gap is -1, expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change, line):
    rows = [(0, 1.0, 0), (0, 9.0, 0), (0, 30.0, 0), (1, 5.0, 1), (1, 20.0, 1)]
    with pytest.raises(RecsysError, match=re.escape(line)):
        evidence.fit_repurchases(make_purchases(rows), **change)


def test_few_repeats_and_moments_before_the_fit_are_refused(model, world):
    with pytest.raises(RecsysError, match="found 0 purchases of an item again before the moment that families are"):
        evidence.fit_repurchases(make_purchases([(0, 1.0, 0), (1, 9.0, 0), (2, 30.0, 1)]))
    with pytest.raises(RecsysError, match="and repurchases were fitted to purchases until"):
        evidence.predict_repurchases(model, world.purchases, model.until - 1, 30)
    with pytest.raises(RecsysError, match="fitted to 60 items, found purchases of 3"):
        evidence.predict_repurchases(model, make_purchases([(0, 1.0, 0)]), model.until, 30)
    with pytest.raises(RecsysError, match="repurchases: window is 0, expected a number above 0"):
        evidence.predict_repurchases(model, world.purchases, model.until, 0)


def test_purchases_that_are_too_few_to_choose_by_are_enough_for_the_catalogue():
    rows = [(u, float(d), 0) for u in range(3) for d in (0, 10 + u, 21 + u, 30, 41 + u, 50, 61)]
    made = evidence.fit_repurchases(make_purchases(rows))
    assert np.isfinite(made.offset).all() and made.n_gaps == 18
    assert evidence.predict_repurchases(made, make_purchases(rows), 62 * DAY, 20).data.min() > 0.5


def test_categories_are_named_features_or_regions_of_descriptions():
    rows = [("a", "x", "Tea|Gifts"), ("a", "y", "Gifts"), ("b", "z", "Toys"), ("b", "w", "Tea|Toys"), ("b", "v", "")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "features"])
    items = rs.read_dataset(frame).items
    found = dict(zip(items.ids.tolist(), evidence.categorize_items(items, ["Toys", "Tea"]).tolist(), strict=True))
    assert found == {"x": 1, "y": -1, "z": 0, "w": 0, "v": -1}
    with pytest.raises(RecsysError, match="categories: unknown feature 'Toy': did you mean 'Toys'"):
        evidence.categorize_items(items, ["Toy"])
    with pytest.raises(RecsysError, match="names is 'Toys', expected a list of features"):
        evidence.categorize_items(items, "Toys")
    kinds = pd.DataFrame({"user_id": "a", "item_id": range(40), "features": ["Tea|Cup", "Toy|Wood"] * 20})
    made = evidence.categorize_items(rs.read_dataset(kinds).items)
    by_id = dict(zip(rs.read_dataset(kinds).items.ids.tolist(), made.tolist(), strict=True))
    assert len({by_id[str(n)] for n in range(0, 40, 2)} | {by_id["1"]}) == 2 and by_id["0"] != by_id["1"]
    bare = rs.read_dataset([("a", "x"), ("b", "y")]).items
    assert evidence.categorize_items(bare).tolist() == [-1, -1]


def test_complements_are_those_of_a_walk():
    rng = np.random.default_rng(6)
    rows = sorted({(int(u), float(d), int(i)) for u, d, i in rng.integers(0, [12, 90, 6], (260, 3))})
    made = make_purchases(rows, 12, 6, 90 * DAY)
    groups = np.array([0, 1, 2, 2, -1, 3])
    found = evidence.measure_complements(made, groups, 10.0)
    baskets = {}
    for user, day, item in rows:
        baskets.setdefault((user, day), set()).update({int(groups[item])} - {-1})
    known = {key: held for key, held in baskets.items() if key[1] + 10 < 90}
    after = {
        key: set().union(*(h for (u, d), h in baskets.items() if u == key[0] and key[1] < d <= key[1] + 10))
        for key in known
    }
    for first in range(4):
        with_it = [key for key, held in known.items() if first in held]
        assert found.n_baskets[first] == len(with_it)
        for second in range(4):
            base = sum(second in held for held in after.values()) / len(known)
            x = sum(second in after[key] for key in with_it)
            kappa = found.kappa[second]
            assert found.base[second] == pytest.approx(base)
            if x:
                assert found.lift[first, second] == pytest.approx((x + kappa * base) / (len(with_it) + kappa) / base)
    with pytest.raises(RecsysError, match="no purchase is 900 days before the end of what is known"):
        evidence.measure_complements(made, groups, 900)


def test_a_planted_complement_has_the_largest_lift():
    rng = np.random.default_rng(7)
    rows = {
        (u, float(d), int(i))
        for u in range(60)
        for d, i in zip(rng.integers(0, 300, 8), rng.integers(0, 5, 8), strict=True)
    }
    rows |= {(u, d + 4.0, 5) for u, d, i in rows if i == 2 and rng.random() < 0.6}
    found = evidence.measure_complements(make_purchases(rows, 60, 6), window=30.0)
    lift = found.lift.toarray()
    assert np.unravel_index(lift.argmax(), lift.shape) == (2, 5) and lift[2, 5] > 2


@pytest.mark.parametrize("by", ["lift", "probability"])
def test_slots_for_complements_are_those_of_a_walk(by):
    rng = np.random.default_rng(9)
    rows = sorted({(int(u), float(d), int(i)) for u, d, i in rng.integers(0, [14, 90, 9], (160, 3))})
    made = make_purchases(rows, 15, 9, 90 * DAY)
    found = evidence.measure_complements(made, window=20.0)
    slots = evidence.build_complements(made, found, share=0.3, window=15.0, min_lift=1.1, by=by)
    lift, expected = found.lift.toarray(), np.zeros((15, 9))
    for user in range(15):
        met = {item for who, _, item in rows if who == user}
        for item in {item for who, day, item in rows if who == user and day > 75}:
            for other in set(range(9)) - met:
                if lift[item, other] >= 1.1:
                    worth = lift[item, other] * (found.base[other] if by == "probability" else 1.0)
                    expected[user, other] = max(expected[user, other], worth)
    assert (expected > 0).sum() >= 5
    np.testing.assert_allclose(slots.scores.toarray(), expected, rtol=1e-6)
    assert slots.shares.tolist() == [0.3 if row.any() else 0.0 for row in expected]
    assert slots.prior_share == 0.0 and slots.due_from.nnz == 0 and slots.now == made.end


def test_complements_that_cannot_be():
    rows = [(0, 0.0, 0), (0, 5.0, 1), (0, 40.0, 0)]
    made = make_purchases(rows, 1, 2, 60 * DAY)
    found = evidence.measure_complements(made)
    with pytest.raises(RecsysError, match="unknown by 'lifts': did you mean 'lift'"):
        evidence.build_complements(made, found, by="lifts")
    with pytest.raises(RecsysError, match="1 purchases are after now"):
        evidence.build_complements(made, found, now=20 * DAY)
    with pytest.raises(RecsysError, match="are of 1 groups, expected 2 items"):
        evidence.build_complements(made, evidence.measure_complements(made, np.zeros(2, np.int64)))
