import math
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from worlds import make_maps, make_split

import recsys
from recsys import metrics
from recsys.metrics import ndcg
from recsys.scores import Scores, compare, differences, per_user, score, summary
from recsys.types import Evaluation, PerCatalogue, PerMap, PerUser, RecsysError, Slates, TasteMap, Yardstick

USERS, ITEMS = 30, 40
HOMES = ("recsys.metrics.catalogue", "recsys.metrics.crowdings")
CATALOGUE = [name for name in metrics.__all__ if getattr(metrics, name).__module__ in HOMES]


def random_slates(seed, users=USERS, k=8):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(ITEMS)[:k] for _ in range(users)], dtype=np.int32)


def as_slates(split, items, users=None):
    users = np.arange(len(items), dtype=np.int32) if users is None else np.asarray(users, dtype=np.int32)
    zeros = np.zeros(items.shape, dtype=np.float32)
    return Slates(users, items, zeros, zeros[:, :, None], ("relevance",), split.user_ids, split.item_ids)


@pytest.fixture
def yardstick(split):
    families = (make_maps(split, seed=seed) for seed in (5, 6, 7))
    return Yardstick(split, *families)


@pytest.fixture
def runs():
    return {"base": random_slates(1), "other": random_slates(2)}


def cell(scores, run, metric, k=5):
    (found,) = [c for c in scores.cells if (c.run, c.metric, c.k) == (run, metric, k)]
    return found


class TestValues:
    def test_a_row_for_every_run_metric_and_k_in_the_order_asked(self, runs, yardstick):
        frame = summary(score(runs, yardstick, ["recall", "ndcg@3", "coverage"], [5, 8], draws=20))
        expected = [("recall", 5), ("recall", 8), ("ndcg", 3), ("coverage", 5), ("coverage", 8)]
        assert list(zip(frame.run, frame.metric, frame.k, strict=True)) == [
            (r, m, k) for r in runs for m, k in expected
        ]

    def test_every_metric_is_scored_and_says_its_convention(self, runs, yardstick):
        frame = summary(score(runs, yardstick, metrics.__all__, [5], draws=50))
        assert set(frame.metric) == set(metrics.__all__)
        assert frame.value.notna().all() and (frame.n_users > 0).all() and (frame.convention.str.len() > 20).all()
        assert (frame.ci_low <= frame.value).all() and (frame.value <= frame.ci_high).all()
        assert frame.hits.notna().sum() == 8 and frame.held_out.notna().sum() == 14

    def test_a_mean_over_users_leaves_out_those_it_is_not_defined_for(self, runs, yardstick):
        values = ndcg(Evaluation(runs["base"], yardstick), 5).values
        found = cell(score(runs, yardstick, ["ndcg"], [5], draws=20), "base", "ndcg")
        assert found.value == pytest.approx(np.nanmean(values))
        assert found.n_users == (~np.isnan(values)).sum()
        np.testing.assert_array_equal(found.per_user, values)

    def test_over_maps_it_is_the_mean_of_means_and_maps_without_users_are_out(self, runs, yardstick):
        blank = TasteMap("blank", sparse.csr_array((ITEMS, 5), dtype=np.float32), "none")
        wider = replace(yardstick, audit_maps=(*yardstick.audit_maps, blank))
        values = metrics.discovery(Evaluation(runs["base"], yardstick), 5).values
        found = cell(score(runs, wider, ["discovery"], [5], draws=20), "base", "discovery")
        assert found.value == pytest.approx(np.mean([np.nanmean(row) for row in values]))
        assert found.counts["maps"] == 3
        known = ~np.isnan(values).all(axis=0)
        assert found.n_users == round((~np.isnan(values)).sum(axis=1).mean())
        assert found.per_user[known] == pytest.approx(np.nanmean(values[:, known], axis=0))
        assert found.parts.sum() == pytest.approx(found.value)

    def test_a_catalogue_value_is_of_all_users_together(self, runs, yardstick):
        found = cell(score(runs, yardstick, ["coverage"], [5], draws=20), "base", "coverage")
        assert found.value == len(np.unique(runs["base"][:, :5])) / ITEMS
        assert found.limits.high <= 1.0

    def test_a_metric_without_data_is_said_to_be_undefined(self, runs, split):
        frame = summary(score(runs, Yardstick(split), ["discovery", "ndcg"], [5], draws=20))
        row = frame[frame.metric == "discovery"].iloc[0]
        assert np.isnan([row.value, row.ci_low, row.ci_high, row.hits]).all() and row.n_users == 0
        assert row.convention.startswith("not defined on this data")
        assert frame[frame.metric == "ndcg"].value.notna().all()

    def test_seconds_stand_beside_their_run(self, runs, yardstick):
        frame = summary(score(runs, yardstick, ["ndcg"], [5], draws=20, seconds={"base": 1.5}))
        assert frame.seconds.tolist()[0] == 1.5 and np.isnan(frame.seconds.tolist()[1])


class TestSomeUsers:
    def test_nobody_else_is_judged(self, split, yardstick):
        chosen = np.array([20, 3, 11, 7, 25, 14])
        items = random_slates(1)[chosen]
        scores = score({"some": as_slates(split, items, chosen)}, yardstick, metrics.__all__, [5], draws=20)
        assert scores.user_ids.tolist() == split.user_ids[np.sort(chosen)].tolist()
        full = np.full((USERS, 8), -1, dtype=np.int32)
        full[chosen] = items
        whole = Evaluation(full, yardstick)
        for name in metrics.__all__:
            answer = getattr(metrics, name)(whole, 5)
            if isinstance(answer, PerUser):
                found = cell(scores, "some", name).per_user
                np.testing.assert_array_equal(found, answer.values[np.sort(chosen)])
            assert cell(scores, "some", name).n_users <= len(chosen)

    def test_what_is_counted_is_theirs(self, split, yardstick):
        chosen = np.array([2, 3, 5, 7, 11])
        items = random_slates(1)
        scores = score({"some": as_slates(split, items[chosen], chosen)}, yardstick, ["discovery"], [8], draws=20)
        answer = metrics.discovery(Evaluation(items, yardstick), 8)
        wanted = ~np.isnan(answer.values[:, chosen])
        assert cell(scores, "some", "discovery", 8).counts["users"] == pytest.approx(wanted.sum(axis=1).mean())

    def test_slates_in_any_order_of_users_score_the_same(self, split, yardstick, runs):
        order = np.random.default_rng(0).permutation(USERS)
        same = as_slates(split, runs["base"][order], order)
        scores = score({"array": runs["base"], "slates": same}, yardstick, ["ndcg", "gini", "discovery"], [5], draws=20)
        frame = summary(scores).set_index(["run", "metric"])
        columns = ["value", "ci_low", "ci_high", "n_users"]
        np.testing.assert_array_equal(frame.loc["array"][columns], frame.loc["slates"][columns])


class TestDifferences:
    def test_it_is_the_difference_of_the_values(self, runs, yardstick):
        scores = score(runs, yardstick, metrics.__all__, [5], draws=50)
        frame = differences(scores, "base").set_index("metric")
        assert len(frame) == len(metrics.__all__) and (frame.run == "other").all()
        for name, row in frame.iterrows():
            base, other = cell(scores, "base", name), cell(scores, "other", name)
            assert row.difference == pytest.approx(other.value - base.value, abs=1e-12)
            relative = other.value / base.value - 1 if base.value > 0 else math.nan
            assert row.relative == pytest.approx(relative, nan_ok=True)
            if row.n_differ < 20:
                assert np.isnan([row.ci_low, row.ci_high, row.relative_low, row.relative_high, row.detectable]).all()
                continue
            assert row.ci_low <= row.difference <= row.ci_high
            assert 0 < row.p_value <= 1 or name in CATALOGUE

    def test_a_run_does_not_differ_from_itself(self, runs, yardstick):
        twins = {"base": runs["base"], "twin": runs["base"].copy()}
        frame = differences(score(twins, yardstick, metrics.__all__, [5], draws=50), "base")
        assert (frame[["difference", "ci_low", "ci_high", "relative", "detectable"]].fillna(0) == 0).all().all()
        assert (frame.p_value.dropna() == 1).all() and frame.p_value.isna().sum() == len(CATALOGUE)

    def test_it_is_over_the_users_whom_both_define(self, runs, yardstick):
        short = runs["other"].copy()
        short[:10] = -1
        scores = score({"base": runs["base"], "short": short}, yardstick, ["self_information"], [5], draws=200)
        row = differences(scores, "base").iloc[0]
        base, other = (metrics.self_information(Evaluation(r, yardstick), 5).values for r in (runs["base"], short))
        assert row.n_users == 20
        assert row.difference == pytest.approx((other - base)[10:].mean())
        assert row.relative == pytest.approx(other[10:].mean() / base[10:].mean() - 1)
        assert row.ci_low < row.difference < row.ci_high
        only = {"base": runs["base"].copy(), "short": short}
        only["base"][:10] = -1
        alike = differences(score(only, yardstick, ["self_information"], [5], draws=200), "base").iloc[0]
        pd.testing.assert_series_equal(row, alike)

    def test_the_p_value_is_that_of_all_sign_flips(self, split):
        few = np.arange(11)
        slates = {run: as_slates(split, random_slates(seed)[few], few) for run, seed in (("a", 1), ("b", 2))}
        scores = score(slates, Yardstick(split), ["ndcg"], [8], draws=20)
        delta = cell(scores, "b", "ndcg", 8).per_user - cell(scores, "a", "ndcg", 8).per_user
        delta = delta[~np.isnan(delta)]
        sums = np.array(list(product([-1, 1], repeat=len(delta)))) @ delta
        exact = (np.abs(sums) >= abs(delta.sum()) - 1e-12).mean()
        assert differences(scores, "a").p_value[0] == pytest.approx(exact, abs=0.04)

    def test_the_interval_and_the_detectable_effect_are_those_of_a_paired_comparison(self):
        split = make_split(4, users=600)
        rng = np.random.default_rng(0)
        base = np.argsort(rng.random((600, ITEMS)) - 0.3 * split.test.toarray(), axis=1)[:, :8].astype(np.int32)
        other = np.where(rng.random((600, 1)) < 0.5, base, base[:, ::-1])
        scores = score({"base": base, "other": other}, Yardstick(split), ["ndcg", "recall@3"], [8])
        for _, row in differences(scores, "base").iterrows():
            delta = cell(scores, "other", row.metric, row.k).per_user - cell(scores, "base", row.metric, row.k).per_user
            error = np.nanstd(delta, ddof=1) / math.sqrt((~np.isnan(delta)).sum())
            assert row.detectable == pytest.approx(2.8 * error, rel=0.1)
            assert row.ci_high - row.ci_low == pytest.approx(2 * 1.96 * error, rel=0.12)
            unpaired = cell(scores, "base", row.metric, row.k).limits.error * math.sqrt(2)
            assert error < 0.9 * unpaired

    def test_a_ratio_to_what_may_be_zero_has_no_interval(self, yardstick, runs):
        nothing = np.full((USERS, 8), -1, dtype=np.int32)
        frame = differences(
            score({"base": nothing, "other": runs["other"]}, yardstick, ["ndcg"], [5], draws=50), "base"
        )
        assert frame[["relative", "relative_low", "relative_high"]].isna().all().all()
        assert frame.difference.notna().all()

    def test_undefined_differences_are_undefined_throughout(self, split, runs):
        row = differences(score(runs, Yardstick(split), ["discovery"], [5], draws=20), "base").iloc[0]
        numbers = row[["difference", "ci_low", "ci_high", "relative", "p_value", "detectable"]]
        assert numbers.isna().all() and row.n_users == 0

    def test_it_needs_a_run_to_be_against(self, runs, yardstick):
        with pytest.raises(RecsysError, match="unknown run 'bas': did you mean 'base'"):
            differences(score(runs, yardstick, ["ndcg"], [5], draws=20), "bas")


class TestPerUser:
    def test_it_holds_every_defined_value_once(self, runs, yardstick):
        scores = score(runs, yardstick, ["ndcg", "discovery", "coverage"], [5, 8], draws=20)
        frame = per_user(scores)
        assert list(frame.columns) == ["run", "user_id", "metric", "k", "value"] and frame.value.notna().all()
        assert not frame.duplicated(["run", "user_id", "metric", "k"]).any()
        assert set(frame.metric) == {"ndcg", "discovery"}
        for found in scores.cells:
            part = frame[(frame.run == found.run) & (frame.metric == found.metric) & (frame.k == found.k)]
            known = 0 if found.shape == "catalogue" else int((~np.isnan(found.per_user)).sum())
            assert len(part) == known
            values = dict(zip(scores.user_ids, found.per_user, strict=False))
            assert part.value.tolist() == [values[user] for user in part.user_id]

    def test_nothing_but_the_catalogue_is_an_empty_table(self, runs, yardstick):
        assert per_user(score(runs, yardstick, ["gini"], [5])).empty


class TestRandomness:
    def test_the_same_seed_gives_the_same_tables(self, runs, yardstick):
        frames = [summary(score(runs, yardstick, metrics.__all__, [5], seed=3, draws=40)) for _ in range(2)]
        pd.testing.assert_frame_equal(*frames)

    def test_another_seed_gives_other_intervals_of_the_same_values(self, runs, yardstick):
        one, two = (summary(score(runs, yardstick, ["ndcg", "gini"], [5], seed=s, draws=40)) for s in (0, 1))
        assert (one.value == two.value).all() and (one.ci_low != two.ci_low).all()

    def test_a_run_is_scored_the_same_whatever_stands_beside_it(self, runs, yardstick):
        alone = summary(score({"base": runs["base"]}, yardstick, metrics.__all__, [5], draws=40))
        among = summary(score({"other": runs["other"], **runs}, yardstick, metrics.__all__, [5], draws=40))
        pd.testing.assert_frame_equal(alone, among[among.run == "base"].reset_index(drop=True))

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=10, deadline=None)
    def test_runs_may_be_named_in_any_order(self, seed):
        split = make_split()
        order = np.random.default_rng(seed).permutation(3)
        runs = {f"run{i}": random_slates(i) for i in range(3)}
        shuffled = {f"run{i}": runs[f"run{i}"] for i in order}
        tables = [differences(score(r, Yardstick(split), ["recall"], [5], draws=30), "run1") for r in (runs, shuffled)]
        tables = [table.sort_values("run", ignore_index=True) for table in tables]
        pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=1e-9)


def own_metric(evaluation: Evaluation, k: int) -> PerUser:
    return PerUser(np.full(len(evaluation.items), float(k)), "always k", 0)


def wrong_metric(evaluation: Evaluation, k: int) -> float:
    return 0.5


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("names", "ks", "line"),
        [
            (["ndgc"], [5], "unknown metric 'ndgc': did you mean 'ndcg'"),
            (["ndcg@"], [5], "metric 'ndcg@': k is '', expected a whole number of at least 1"),
            (["ndcg@ten"], [5], "metric 'ndcg@ten': k is 'ten'"),
            (["ndcg"], [0], "ks: k is 0, expected a whole number from 1 on"),
            (["ndcg"], [], "nothing to score"),
            ([], [5], "nothing to score"),
            ("ndcg", [5], "expected a list of names such as"),
            (["no_such_module:f"], [5], "No module named 'no_such_module'"),
            (["math:no_such_function"], [5], "no_such_function"),
            (["math:pi"], [5], "metric 'math:pi': found a float, expected a function"),
        ],
    )
    def test_metrics(self, runs, yardstick, names, ks, line):
        with pytest.raises(RecsysError, match=line) as error:
            score(runs, yardstick, names, ks)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("other", "line"),
        [
            (random_slates(1, users=12), r"run 'other': found an array of shape \(12, 8\)"),
            (random_slates(1) + ITEMS, "found item codes 40 to 79, expected -1 to 39"),
            (np.full((USERS, 2), 4), "row 0 shows item 'i4' twice"),
            (random_slates(1).astype(float), "type float64, expected whole numbers"),
        ],
    )
    def test_runs(self, runs, yardstick, other, line):
        with pytest.raises(RecsysError, match=line):
            score({**runs, "other": other}, yardstick, ["ndcg"], [5])

    def test_runs_over_different_users(self, split, yardstick, runs):
        some = as_slates(split, random_slates(1)[:12])
        line = "runs 'base' and 'some' are about different users .30 and 12, 12 in both."
        with pytest.raises(RecsysError, match=line):
            score({**runs, "some": some}, yardstick, ["ndcg"], [5])

    def test_two_slates_of_one_user(self, split, yardstick):
        twice = as_slates(split, random_slates(1)[:3], [4, 4, 5])
        with pytest.raises(RecsysError, match="1 users have more than one slate"):
            score({"twice": twice}, yardstick, ["ndcg"], [5])

    def test_slates_of_another_split(self, yardstick):
        other = make_split(1, users=31)
        with pytest.raises(RecsysError, match="its 31 users are not the 30 users of the split"):
            score({"other": as_slates(other, random_slates(1, users=31))}, yardstick, ["ndcg"], [5])

    def test_a_map_of_another_catalogue(self, split, runs):
        maps = make_maps(make_split(1, items=41))
        with pytest.raises(RecsysError, match="map 'random-0' is of 41 items, expected the 40 items"):
            score(runs, Yardstick(split, audit_maps=maps), ["ndcg"], [5])

    def test_no_run_and_no_draw(self, runs, yardstick):
        with pytest.raises(RecsysError, match="found no run"):
            score({}, yardstick, ["ndcg"], [5])
        with pytest.raises(RecsysError, match="draws is 1, expected a whole number from 2 to 100000"):
            score(runs, yardstick, ["ndcg"], [5], draws=1)

    @pytest.mark.parametrize("draws", [0, -5, 1.5, "10", True, None])
    def test_draws(self, runs, yardstick, draws):
        line = f"draws is {draws!r}, expected a whole number from 2 to 100000$"
        with pytest.raises(RecsysError, match=f"^score: {line}"):
            score(runs, yardstick, ["ndcg"], [5], draws=draws)
        with pytest.raises(RecsysError, match=f"^compare: {line}"):
            compare(runs, yardstick.split, ["ndcg@5"], "base", draws=draws)

    @pytest.mark.parametrize("ks", [[0], [-1], [2.5], ["10"], [True], [5, None]])
    def test_ks(self, runs, yardstick, ks):
        line = f"^ks: k is {re.escape(repr(ks[-1]))}, expected a whole number from 1 on$"
        for names in (["ndcg"], ["ndcg@5"]):
            with pytest.raises(RecsysError, match=line):
                compare(runs, yardstick.split, names, "base", ks=ks)

    def test_what_is_no_list(self, runs, yardstick):
        with pytest.raises(RecsysError, match=r"^ks: found 5, expected a list$"):
            score(runs, yardstick, ["ndcg"], 5)
        with pytest.raises(RecsysError, match=r"^metrics: found the text 'ndcg@5', expected a list of names such as"):
            compare(runs, yardstick.split, "ndcg@5", "base")
        with pytest.raises(RecsysError, match=r"^metrics: found 3, expected a name such as 'ndcg'$"):
            score(runs, yardstick, [3], [5])

    def test_runs_without_names(self, split, yardstick):
        slates = as_slates(split, random_slates(1))
        for wrong, found in (
            (slates, "a Slates"),
            ([slates], "a list"),
            (slates.items, "a ndarray"),
            (None, "a NoneType"),
        ):
            line = f"^runs: found {found}, expected slates by name such as "
            with pytest.raises(RecsysError, match=line):
                score(wrong, yardstick, ["ndcg"], [5])
            with pytest.raises(RecsysError, match=line):
                compare(wrong, split, ["ndcg@5"], "a")
        with pytest.raises(RecsysError, match=r"^runs: found the names \[1\]"):
            score({1: slates}, yardstick, ["ndcg"], [5])

    def test_rows_of_different_length(self, yardstick):
        with pytest.raises(RecsysError, match=r"^run 'a': its rows differ in length, expected -1 where"):
            score({"a": [[1, 2], [3]]}, yardstick, ["ndcg"], [1])


class TestOwnMetric:
    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch):
        import sys
        import types

        module = types.ModuleType("my_metrics")
        module.own, module.wrong = own_metric, wrong_metric
        monkeypatch.setitem(sys.modules, "my_metrics", module)

    def test_it_is_named_by_module_and_function(self, runs, yardstick):
        frame = summary(score(runs, yardstick, ["my_metrics:own", "my_metrics:own@7"], [5], draws=20))
        assert frame.value.tolist() == [5.0, 7.0] * 2 and set(frame.metric) == {"my_metrics:own"}

    @pytest.mark.parametrize(
        ("name", "line"),
        [
            ("math:pi", "found a float, expected a function"),
            ("math:sqrt", "too many positional arguments, expected a function of an evaluation and k"),
            ("math:nothing", "has no attribute 'nothing'"),
        ],
    )
    def test_what_cannot_be_called_is_said_before_anything_is_made(self, runs, split, monkeypatch, name, line):
        from recsys import maps

        monkeypatch.setattr(maps, "audit", lambda train, seed: pytest.fail("maps were made"))
        with pytest.raises(RecsysError, match=f"^metric '{name}': .*{line}"):
            compare(runs, split, ["discovery@5", f"{name}@5"], "base")

    def test_it_must_answer_in_one_of_the_shapes(self, runs, yardstick):
        with pytest.raises(RecsysError, match="found a float, expected PerUser, PerMap or PerCatalogue"):
            score(runs, yardstick, ["my_metrics:wrong"], [5])


class TestCompare:
    def test_it_is_the_summary_and_the_differences(self, runs, split):
        maps = make_maps(split)
        asked = ["ndcg@5", "discovery@5"]
        found = compare(runs, split, asked, "base", audit_maps=maps, draws=40)
        scores = score(runs, Yardstick(split, audit_maps=maps), asked, [10], draws=40)
        pd.testing.assert_frame_equal(found.summary, summary(scores))
        expected = differences(scores, "base")
        pd.testing.assert_frame_equal(found.differences[expected.columns], expected)

    def test_it_can_be_read(self, runs, split):
        maps = make_maps(split)
        found = compare(runs, split, ["ndcg", "discovery"], "base", ks=[5, 8], audit_maps=maps, draws=40)
        text, page = str(found), found._repr_html_()
        values = found.summary[(found.summary.run == "other") & (found.summary.metric == "ndcg")].value
        for part in ("ndcg@5", "discovery@8", "against base", *(f"{v:.4f} [" for v in values)):
            assert part in text and part in page

    def test_maps_that_were_not_given_are_made(self, monkeypatch):
        from recsys import maps

        split = make_split(2, users=60, items=ITEMS)
        made = {"audit": make_maps(split, 2, seed=1), "own": make_maps(split, 3, seed=2)}
        monkeypatch.setattr(maps, "audit", lambda train, seed: made["audit"])
        monkeypatch.setattr(maps, "own", lambda train: made["own"])
        monkeypatch.setattr(maps, "content", lambda items: pytest.fail("nobody asked for content maps"))
        runs = {"a": random_slates(1, 60), "b": random_slates(2, 60)}
        found = compare(runs, split, ["discovery", "deficit_own", "ndcg"], "a", ks=(5,), draws=20).summary
        assert found[found.run == "a"].maps.tolist()[:2] == [2, 3]

    def test_a_cut_off_beyond_the_slates_is_refused_before_maps_are_made(self, runs, split, monkeypatch):
        from recsys import maps

        monkeypatch.setattr(maps, "audit", lambda train, seed: pytest.fail("maps were made"))
        with pytest.raises(RecsysError, match="expected at least k = 500"):
            compare(runs, split, ["discovery@500"], "base")
        with pytest.raises(RecsysError, match="expected at least k = 500"):
            compare(runs, split, ["ndcg@500"], "base")

    def test_an_unknown_run_is_said_before_anything_is_made(self, runs, split):
        with pytest.raises(RecsysError, match="unknown run 'bse': did you mean 'base'"):
            compare(runs, split, ["discovery"], "bse")


def test_scores_know_their_runs(runs, yardstick):
    scores = score(runs, yardstick, ["ndcg", "gini"], [5], draws=20)
    assert isinstance(scores, Scores) and scores.runs == ("base", "other")
    assert [c.metric for c in scores.of("other")] == ["ndcg", "gini"]


def test_two_users_and_one_map_are_enough_and_one_user_has_no_interval(split, yardstick):
    for users in (1, 2):
        few = np.flatnonzero(np.diff(split.test.indptr))[:users]
        items = as_slates(split, random_slates(1)[few], few)
        frame = summary(score({"few": items}, yardstick, metrics.__all__, [5], draws=100))
        assert frame.value.notna().sum() >= 15
        known = frame[(frame.metric == "ndcg")].ci_low.notna()
        assert known.all() == (users == 2)


def test_statistics_of_any_range_are_not_cut(runs, yardstick, monkeypatch):
    def total(evaluation: Evaluation, k: int) -> PerCatalogue:
        return PerCatalogue(evaluation.top(k), ITEMS, lambda counts: counts.max(axis=-1), "largest count", 0)

    monkeypatch.setattr(metrics, "coverage", total)
    found = cell(score(runs, yardstick, ["coverage"], [5], draws=20), "base", "coverage")
    assert found.value > 1 and found.limits.high > found.value


def test_per_map_answers_of_one_map_are_bootstrapped_over_users(runs, yardstick, monkeypatch):
    values = np.random.default_rng(0).random(USERS)

    def one(evaluation: Evaluation, k: int) -> PerMap:
        return PerMap(values[None], "a number", 1)

    def plain(evaluation: Evaluation, k: int) -> PerUser:
        return PerUser(values, "the same number", 1)

    monkeypatch.setattr(metrics, "deficit", one)
    monkeypatch.setattr(metrics, "ndcg", plain)
    scores = score(runs, yardstick, ["deficit", "ndcg"], [5], draws=100)
    a, b = cell(scores, "base", "deficit"), cell(scores, "base", "ndcg")
    assert a.value == b.value and a.limits == pytest.approx(b.limits)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s, runs: recsys.score(runs, s), "score: found a Split, expected what runs are judged against: recsys.Yardstick(split)"),
        (lambda s, runs: recsys.score(runs, s, ["ndcg"], [3]), "score: found a Split, expected what runs are judged against"),
        (lambda s, runs: recsys.score(runs, None, ["ndcg"], [3]), "score: found a NoneType, expected"),
        (lambda s, runs: recsys.score(runs, s.test, ["ndcg"], [3]), "score: found a csr_array, expected"),
        (lambda s, runs: recsys.score(s, runs, ["ndcg"], [3]), "score: found a dict, expected"),
        (lambda s, runs: recsys.score(runs, recsys.Yardstick(s)), "nothing to score: expected at least one metric and one k"),
        (lambda s, runs: recsys.score(runs, recsys.Yardstick(s), ["ndcg"]), "nothing to score: expected at least one metric"),
        (lambda s, runs: recsys.score({}, recsys.Yardstick(s), ["ndcg"], [3]), "nothing to score: found no run"),
        (lambda s, runs: recsys.score({"a": None}, recsys.Yardstick(s), ["ndcg"], [3]), "run 'a': found a NoneType, expected a Slates"),
        (lambda s, runs: recsys.score({"a": pd.DataFrame(runs["a"])}, recsys.Yardstick(s), ["ndcg"], [3]), "run 'a': found a DataFrame"),
        (lambda s, runs: recsys.score({"a": {0: [1]}}, recsys.Yardstick(s), ["ndcg"], [3]), "run 'a': found a dict, expected a Slates"),
        (lambda s, runs: recsys.score({"a": "als"}, recsys.Yardstick(s), ["ndcg"], [3]), "run 'a': found a str, expected a Slates"),
        (lambda s, runs: recsys.compare(runs, s), "nothing to score: expected at least one metric and one k"),
        (lambda s, runs: recsys.compare(runs, s, ["ndcg"]), "against: unknown run ''"),
        (lambda s, runs: recsys.compare(runs, recsys.Yardstick(s), ["ndcg"], "a"), "compare: found a Yardstick, expected a Split: .split"),
        (lambda s, runs: recsys.compare(runs, None), "compare: found a NoneType, expected a Split"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_one_line(split, make, message):
    runs = {"a": np.tile(np.arange(3, dtype=np.int32), (split.shape[0], 1))}
    with pytest.raises(RecsysError) as error:
        make(split, runs)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
