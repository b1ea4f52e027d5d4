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
from synthetic import make_exposures, make_maps, make_split

import recsys
from recsys import metrics
from recsys.metrics import ndcg
from recsys.retrieval.candidates import make_context
from recsys.scores import Scores, compare, evaluate, tabulate_differences, tabulate_scores, tabulate_user_values
from recsys.testing.synthetic import make_repeats
from recsys.types import Evaluation, GroundTruth, PerCatalogue, PerMap, PerUser, RecsysError, Slates, TasteMap

USERS, ITEMS = 30, 40
HOMES = ("recsys.metrics.catalogue", "recsys.metrics.exposure")
# These splits hold out no repeats, and slates as arrays have no probabilities: tests of each have some.
UNDEFINED = {"repeat_recall", "expected_calibration_error"}
ASKED = [name for name in metrics.__all__ if name not in UNDEFINED]
CATALOGUE = [name for name in metrics.__all__ if getattr(metrics, name).__module__ in HOMES]


def random_slates(seed, users=USERS, k=8):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(ITEMS)[:k] for _ in range(users)], dtype=np.int32)


def as_slates(split, items, users=None):
    users = np.arange(len(items), dtype=np.int32) if users is None else np.asarray(users, dtype=np.int32)
    zeros = np.zeros(items.shape, dtype=np.float32)
    return Slates(users, items, zeros, zeros[:, :, None], ("relevance",), split.user_ids, split.item_ids)


@pytest.fixture
def truth(split):
    families = (make_maps(split, seed=seed) for seed in (5, 6, 7))
    exposures = make_context(split, shown=make_exposures(split)).exposures
    told = {"exposures": exposures, "repeats": make_repeats(split)}
    return GroundTruth(split, *families, witness_maps=tuple(make_maps(split, seed=8)), **told)


@pytest.fixture
def runs():
    return {"base": random_slates(1), "other": random_slates(2)}


def cell(scores, run, metric, k=5):
    (found,) = [c for c in scores.cells if (c.run, c.metric, c.k) == (run, metric, k)]
    return found


class TestValues:
    def test_a_row_for_every_run_metric_and_k_in_the_order_asked(self, runs, truth):
        frame = tabulate_scores(evaluate(runs, truth, ["recall", "ndcg@3", "coverage"], [5, 8], n_bootstrap=20))
        expected = [("recall", 5), ("recall", 8), ("ndcg", 3), ("coverage", 5), ("coverage", 8)]
        assert list(zip(frame.run, frame.metric, frame.k, strict=True)) == [
            (r, m, k) for r in runs for m, k in expected
        ]

    def test_every_metric_is_scored_and_says_its_convention(self, runs, truth):
        frame = tabulate_scores(evaluate(runs, truth, ASKED, [5], n_bootstrap=50))
        assert set(frame.metric) == set(ASKED)
        assert frame.value.notna().all() and (frame.n_users > 0).all() and (frame.convention.str.len() > 20).all()
        assert (frame.ci_low <= frame.value).all() and (frame.value <= frame.ci_high).all()
        assert frame.hits.notna().sum() == 18 and frame.held_out.notna().sum() == 24

    def test_a_mean_over_users_leaves_out_those_it_is_not_defined_for(self, runs, truth):
        values = ndcg(Evaluation(runs["base"], truth), 5).values
        found = cell(evaluate(runs, truth, ["ndcg"], [5], n_bootstrap=20), "base", "ndcg")
        assert found.value == pytest.approx(np.nanmean(values))
        assert found.n_users == (~np.isnan(values)).sum()
        np.testing.assert_array_equal(found.per_user, values)

    def test_over_maps_it_is_the_mean_of_means_and_maps_without_users_are_out(self, runs, truth):
        blank = TasteMap("blank", sparse.csr_array((ITEMS, 5), dtype=np.float32), "none")
        wider = replace(truth, audit_maps=(*truth.audit_maps, blank))
        values = metrics.discovery(Evaluation(runs["base"], truth), 5).values
        found = cell(evaluate(runs, wider, ["discovery"], [5], n_bootstrap=20), "base", "discovery")
        assert found.value == pytest.approx(np.mean([np.nanmean(row) for row in values]))
        assert found.counts["maps"] == 3
        known = ~np.isnan(values).all(axis=0)
        assert found.n_users == round((~np.isnan(values)).sum(axis=1).mean())
        assert found.per_user[known] == pytest.approx(np.nanmean(values[:, known], axis=0))
        assert found.user_contributions.sum() == pytest.approx(found.value)

    def test_a_catalogue_value_is_of_all_users_together(self, runs, truth):
        found = cell(evaluate(runs, truth, ["coverage"], [5], n_bootstrap=20), "base", "coverage")
        assert found.value == len(np.unique(runs["base"][:, :5])) / ITEMS
        assert found.limits.high <= 1.0

    def test_a_metric_without_data_is_said_to_be_undefined(self, runs, split):
        frame = tabulate_scores(evaluate(runs, GroundTruth(split), ["discovery", "ndcg"], [5], n_bootstrap=20))
        row = frame[frame.metric == "discovery"].iloc[0]
        assert np.isnan([row.value, row.ci_low, row.ci_high, row.hits]).all() and row.n_users == 0
        assert row.convention.startswith("not defined on this data")
        assert frame[frame.metric == "ndcg"].value.notna().all()

    def test_seconds_stand_beside_their_run(self, runs, truth):
        frame = tabulate_scores(evaluate(runs, truth, ["ndcg"], [5], n_bootstrap=20, seconds={"base": 1.5}))
        assert frame.seconds.tolist()[0] == 1.5 and np.isnan(frame.seconds.tolist()[1])


class TestSomeUsers:
    def test_nobody_else_is_judged(self, split, truth):
        chosen = np.array([20, 3, 11, 7, 25, 14])
        items = random_slates(1)[chosen]
        scores = evaluate({"some": as_slates(split, items, chosen)}, truth, metrics.__all__, [5], n_bootstrap=20)
        assert scores.user_ids.tolist() == split.user_ids[np.sort(chosen)].tolist()
        full = np.full((USERS, 8), -1, dtype=np.int32)
        full[chosen] = items
        whole = Evaluation(full, truth)
        for name in metrics.__all__:
            answer = getattr(metrics, name)(whole, 5)
            if isinstance(answer, PerUser):
                found = cell(scores, "some", name).per_user
                np.testing.assert_array_equal(found, answer.values[np.sort(chosen)])
            assert cell(scores, "some", name).n_users <= len(chosen)

    def test_what_is_counted_is_theirs(self, split, truth):
        chosen = np.array([2, 3, 5, 7, 11])
        items = random_slates(1)
        scores = evaluate({"some": as_slates(split, items[chosen], chosen)}, truth, ["discovery"], [8], n_bootstrap=20)
        answer = metrics.discovery(Evaluation(items, truth), 8)
        wanted = ~np.isnan(answer.values[:, chosen])
        assert cell(scores, "some", "discovery", 8).counts["users"] == pytest.approx(wanted.sum(axis=1).mean())

    def test_slates_in_any_order_of_users_score_the_same(self, split, truth, runs):
        order = np.random.default_rng(0).permutation(USERS)
        same = as_slates(split, runs["base"][order], order)
        scores = evaluate(
            {"array": runs["base"], "slates": same}, truth, ["ndcg", "gini", "discovery"], [5], n_bootstrap=20
        )
        frame = tabulate_scores(scores).set_index(["run", "metric"])
        columns = ["value", "ci_low", "ci_high", "n_users"]
        np.testing.assert_array_equal(frame.loc["array"][columns], frame.loc["slates"][columns])


class TestDifferences:
    def test_it_is_the_difference_of_the_values(self, runs, truth):
        scores = evaluate(runs, truth, ASKED, [5], n_bootstrap=50)
        frame = tabulate_differences(scores, "base").set_index("metric")
        assert len(frame) == len(ASKED) and (frame.run == "other").all()
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

    def test_a_run_does_not_differ_from_itself(self, runs, truth):
        twins = {"base": runs["base"], "twin": runs["base"].copy()}
        frame = tabulate_differences(evaluate(twins, truth, ASKED, [5], n_bootstrap=50), "base")
        assert (frame[["difference", "ci_low", "ci_high", "relative", "detectable"]].fillna(0) == 0).all().all()
        assert (frame.p_value.dropna() == 1).all() and frame.p_value.isna().sum() == len(CATALOGUE)

    def test_it_is_over_the_users_whom_both_define(self, runs, truth):
        short = runs["other"].copy()
        short[:10] = -1
        scores = evaluate({"base": runs["base"], "short": short}, truth, ["self_information"], [5], n_bootstrap=200)
        row = tabulate_differences(scores, "base").iloc[0]
        base, other = (metrics.self_information(Evaluation(r, truth), 5).values for r in (runs["base"], short))
        assert row.n_users == 20
        assert row.difference == pytest.approx((other - base)[10:].mean())
        assert row.relative == pytest.approx(other[10:].mean() / base[10:].mean() - 1)
        assert row.ci_low < row.difference < row.ci_high
        only = {"base": runs["base"].copy(), "short": short}
        only["base"][:10] = -1
        alike = tabulate_differences(evaluate(only, truth, ["self_information"], [5], n_bootstrap=200), "base").iloc[0]
        pd.testing.assert_series_equal(row, alike)

    def test_the_p_value_is_that_of_all_sign_flips(self, split):
        few = np.arange(11)
        slates = {run: as_slates(split, random_slates(seed)[few], few) for run, seed in (("a", 1), ("b", 2))}
        scores = evaluate(slates, GroundTruth(split), ["ndcg"], [8], n_bootstrap=20)
        delta = cell(scores, "b", "ndcg", 8).per_user - cell(scores, "a", "ndcg", 8).per_user
        delta = delta[~np.isnan(delta)]
        sums = np.array(list(product([-1, 1], repeat=len(delta)))) @ delta
        exact = (np.abs(sums) >= abs(delta.sum()) - 1e-12).mean()
        assert tabulate_differences(scores, "a").p_value[0] == pytest.approx(exact, abs=0.04)

    def test_the_interval_and_the_detectable_effect_are_those_of_a_paired_comparison(self):
        split = make_split(4, users=600)
        rng = np.random.default_rng(0)
        base = np.argsort(rng.random((600, ITEMS)) - 0.3 * split.test.toarray(), axis=1)[:, :8].astype(np.int32)
        other = np.where(rng.random((600, 1)) < 0.5, base, base[:, ::-1])
        scores = evaluate({"base": base, "other": other}, GroundTruth(split), ["ndcg", "recall@3"], [8])
        for _, row in tabulate_differences(scores, "base").iterrows():
            delta = cell(scores, "other", row.metric, row.k).per_user - cell(scores, "base", row.metric, row.k).per_user
            error = np.nanstd(delta, ddof=1) / math.sqrt((~np.isnan(delta)).sum())
            assert row.detectable == pytest.approx(2.8 * error, rel=0.1)
            assert row.ci_high - row.ci_low == pytest.approx(2 * 1.96 * error, rel=0.12)
            unpaired = cell(scores, "base", row.metric, row.k).limits.error * math.sqrt(2)
            assert error < 0.9 * unpaired

    def test_a_ratio_to_what_may_be_zero_has_no_interval(self, truth, runs):
        nothing = np.full((USERS, 8), -1, dtype=np.int32)
        frame = tabulate_differences(
            evaluate({"base": nothing, "other": runs["other"]}, truth, ["ndcg"], [5], n_bootstrap=50), "base"
        )
        assert frame[["relative", "relative_low", "relative_high"]].isna().all().all()
        assert frame.difference.notna().all()

    def test_undefined_differences_are_undefined_throughout(self, split, runs):
        row = tabulate_differences(evaluate(runs, GroundTruth(split), ["discovery"], [5], n_bootstrap=20), "base").iloc[
            0
        ]
        numbers = row[["difference", "ci_low", "ci_high", "relative", "p_value", "detectable"]]
        assert numbers.isna().all() and row.n_users == 0

    def test_it_needs_a_run_to_be_against(self, runs, truth):
        with pytest.raises(RecsysError, match="unknown run 'bas': did you mean 'base'"):
            tabulate_differences(evaluate(runs, truth, ["ndcg"], [5], n_bootstrap=20), "bas")


class TestPerUser:
    def test_it_holds_every_defined_value_once(self, runs, truth):
        scores = evaluate(runs, truth, ["ndcg", "discovery", "coverage"], [5, 8], n_bootstrap=20)
        frame = tabulate_user_values(scores)
        assert list(frame.columns) == ["run", "user_id", "metric", "k", "value"] and frame.value.notna().all()
        assert not frame.duplicated(["run", "user_id", "metric", "k"]).any()
        assert set(frame.metric) == {"ndcg", "discovery"}
        for found in scores.cells:
            part = frame[(frame.run == found.run) & (frame.metric == found.metric) & (frame.k == found.k)]
            known = 0 if found.shape == "catalogue" else int((~np.isnan(found.per_user)).sum())
            assert len(part) == known
            values = dict(zip(scores.user_ids, found.per_user, strict=False))
            assert part.value.tolist() == [values[user] for user in part.user_id]

    def test_nothing_but_the_catalogue_is_an_empty_table(self, runs, truth):
        assert tabulate_user_values(evaluate(runs, truth, ["gini"], [5])).empty


class TestRandomness:
    def test_the_same_seed_gives_the_same_tables(self, runs, truth):
        frames = [
            tabulate_scores(evaluate(runs, truth, metrics.__all__, [5], seed=3, n_bootstrap=40)) for _ in range(2)
        ]
        pd.testing.assert_frame_equal(*frames)

    def test_another_seed_gives_other_intervals_of_the_same_values(self, runs, truth):
        one, two = (
            tabulate_scores(evaluate(runs, truth, ["ndcg", "gini"], [5], seed=s, n_bootstrap=40)) for s in (0, 1)
        )
        assert (one.value == two.value).all() and (one.ci_low != two.ci_low).all()

    def test_a_run_is_scored_the_same_whatever_stands_beside_it(self, runs, truth):
        alone = tabulate_scores(evaluate({"base": runs["base"]}, truth, metrics.__all__, [5], n_bootstrap=40))
        among = tabulate_scores(evaluate({"other": runs["other"], **runs}, truth, metrics.__all__, [5], n_bootstrap=40))
        pd.testing.assert_frame_equal(alone, among[among.run == "base"].reset_index(drop=True))

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=10, deadline=None)
    def test_runs_may_be_named_in_any_order(self, seed):
        split = make_split()
        order = np.random.default_rng(seed).permutation(3)
        runs = {f"run{i}": random_slates(i) for i in range(3)}
        shuffled = {f"run{i}": runs[f"run{i}"] for i in order}
        tables = [
            tabulate_differences(evaluate(r, GroundTruth(split), ["recall"], [5], n_bootstrap=30), "run1")
            for r in (runs, shuffled)
        ]
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
            (["ndcg"], [], "nothing to evaluate"),
            ([], [5], "nothing to evaluate"),
            ("ndcg", [5], "expected a list of names such as"),
            (["no_such_module:f"], [5], "'no_such_module:f' cannot be imported .no module 'no_such_module' in "),
            (["math:no_such_function"], [5], "no_such_function"),
            (["math:pi"], [5], "'math:pi' cannot be imported: it is a float, expected a function"),
        ],
    )
    def test_metrics(self, runs, truth, names, ks, line):
        with pytest.raises(RecsysError, match=line) as error:
            evaluate(runs, truth, names, ks)
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
    def test_runs(self, runs, truth, other, line):
        with pytest.raises(RecsysError, match=line):
            evaluate({**runs, "other": other}, truth, ["ndcg"], [5])

    def test_runs_over_different_users(self, split, truth, runs):
        some = as_slates(split, random_slates(1)[:12])
        line = "runs 'base' and 'some' are about different users .30 and 12, 12 in both."
        with pytest.raises(RecsysError, match=line):
            evaluate({**runs, "some": some}, truth, ["ndcg"], [5])

    def test_two_slates_of_one_user(self, split, truth):
        twice = as_slates(split, random_slates(1)[:3], [4, 4, 5])
        with pytest.raises(RecsysError, match="1 users have more than one slate"):
            evaluate({"twice": twice}, truth, ["ndcg"], [5])

    def test_slates_of_another_split(self, truth):
        other = make_split(1, users=31)
        with pytest.raises(RecsysError, match="its 31 users are not the 30 users of the split"):
            evaluate({"other": as_slates(other, random_slates(1, users=31))}, truth, ["ndcg"], [5])

    def test_a_map_of_another_catalogue(self, split, runs):
        maps = make_maps(make_split(1, items=41))
        with pytest.raises(RecsysError, match="map 'random-0' is of 41 items, expected the 40 items"):
            evaluate(runs, GroundTruth(split, audit_maps=maps), ["ndcg"], [5])

    def test_no_run_and_no_draw(self, runs, truth):
        with pytest.raises(RecsysError, match="found no run"):
            evaluate({}, truth, ["ndcg"], [5])
        with pytest.raises(RecsysError, match="n_bootstrap is 1, expected a whole number from 2 to 100000"):
            evaluate(runs, truth, ["ndcg"], [5], n_bootstrap=1)

    @pytest.mark.parametrize("draws", [0, -5, 1.5, "10", True, None])
    def test_draws(self, runs, truth, draws):
        line = f"n_bootstrap is {draws!r}, expected a whole number from 2 to 100000$"
        with pytest.raises(RecsysError, match=f"^evaluate: {line}"):
            evaluate(runs, truth, ["ndcg"], [5], n_bootstrap=draws)
        with pytest.raises(RecsysError, match=f"^compare: {line}"):
            compare(runs, truth.split, ["ndcg@5"], "base", n_bootstrap=draws)

    @pytest.mark.parametrize("ks", [[0], [-1], [2.5], ["10"], [True], [5, None]])
    def test_ks(self, runs, truth, ks):
        line = f"^ks: k is {re.escape(repr(ks[-1]))}, expected a whole number from 1 on$"
        for names in (["ndcg"], ["ndcg@5"]):
            with pytest.raises(RecsysError, match=line):
                compare(runs, truth.split, names, "base", ks=ks)

    def test_what_is_no_list(self, runs, truth):
        with pytest.raises(RecsysError, match=r"^ks: found 5, expected a list$"):
            evaluate(runs, truth, ["ndcg"], 5)
        with pytest.raises(RecsysError, match=r"^metrics: found the text 'ndcg@5', expected a list of names such as"):
            compare(runs, truth.split, "ndcg@5", "base")
        with pytest.raises(RecsysError, match=r"^metrics: found 3, expected a name such as 'ndcg', or a function$"):
            evaluate(runs, truth, [3], [5])

    def test_runs_without_names(self, split, truth):
        slates = as_slates(split, random_slates(1))
        for wrong, found in (
            (slates, "a Slates"),
            ([slates], "a list"),
            (slates.items, "a ndarray"),
            (None, "a NoneType"),
        ):
            line = f"^runs: found {found}, expected slates by name such as "
            with pytest.raises(RecsysError, match=line):
                evaluate(wrong, truth, ["ndcg"], [5])
            with pytest.raises(RecsysError, match=line):
                compare(wrong, split, ["ndcg@5"], "a")
        with pytest.raises(RecsysError, match=r"^runs: found the names \[1\]"):
            evaluate({1: slates}, truth, ["ndcg"], [5])

    def test_rows_of_different_length(self, truth):
        with pytest.raises(RecsysError, match=r"^run 'a': its rows differ in length, expected -1 where"):
            evaluate({"a": [[1, 2], [3]]}, truth, ["ndcg"], [1])


class TestOwnMetric:
    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch):
        import sys
        import types

        module = types.ModuleType("my_metrics")
        module.own, module.wrong = own_metric, wrong_metric
        monkeypatch.setitem(sys.modules, "my_metrics", module)

    def test_it_is_named_by_module_and_function(self, runs, truth):
        frame = tabulate_scores(evaluate(runs, truth, ["my_metrics:own", "my_metrics:own@7"], [5], n_bootstrap=20))
        assert frame.value.tolist() == [5.0, 7.0] * 2 and set(frame.metric) == {"my_metrics:own"}

    @pytest.mark.parametrize(
        ("name", "line"),
        [
            ("math:pi", "it is a float, expected a function"),
            ("math:sqrt", "too many positional arguments, expected a function of an evaluation and k"),
            ("math:nothing", "unknown metric 'nothing'"),
        ],
    )
    def test_what_cannot_be_called_is_said_before_anything_is_made(self, runs, split, monkeypatch, name, line):
        from recsys import maps

        monkeypatch.setattr(maps, "audit_maps", lambda train, seed: pytest.fail("maps were made"))
        with pytest.raises(RecsysError, match=f"'{name}'.*: .*{line}"):
            compare(runs, split, ["discovery@5", f"{name}@5"], "base")

    def test_it_must_answer_in_one_of_the_shapes(self, runs, truth):
        with pytest.raises(RecsysError, match="found a float, expected PerUser, PerMap or PerCatalogue"):
            evaluate(runs, truth, ["my_metrics:wrong"], [5])


class TestCompare:
    def test_it_is_the_summary_and_the_differences(self, runs, split):
        maps = make_maps(split)
        asked = ["ndcg@5", "discovery@5"]
        found = compare(runs, split, asked, "base", audit_maps=maps, n_bootstrap=40)
        scores = evaluate(runs, GroundTruth(split, audit_maps=maps), asked, [10], n_bootstrap=40)
        pd.testing.assert_frame_equal(found.summary, tabulate_scores(scores))
        expected = tabulate_differences(scores, "base")
        pd.testing.assert_frame_equal(found.differences[expected.columns], expected)

    def test_it_can_be_read(self, runs, split):
        maps = make_maps(split)
        found = compare(runs, split, ["ndcg", "discovery"], "base", ks=[5, 8], audit_maps=maps, n_bootstrap=40)
        text, page = str(found), found._repr_html_()
        values = found.summary[(found.summary.run == "other") & (found.summary.metric == "ndcg")].value
        for part in ("ndcg@5", "discovery@8", "against base", *(f"{v:.4f} [" for v in values)):
            assert part in text and part in page

    def test_maps_that_were_not_given_are_made(self, monkeypatch):
        from recsys import maps

        split = make_split(2, users=60, items=ITEMS)
        made = {"audit": make_maps(split, 2, seed=1), "own": make_maps(split, 3, seed=2)}
        monkeypatch.setattr(maps, "audit_maps", lambda train, seed: made["audit"])
        monkeypatch.setattr(maps, "objective_maps", lambda train: made["own"])
        monkeypatch.setattr(maps, "content_maps", lambda items: pytest.fail("nobody asked for content maps"))
        runs = {"a": random_slates(1, 60), "b": random_slates(2, 60)}
        found = compare(
            runs, split, ["discovery", "exposure_deficit_own", "ndcg"], "a", ks=(5,), n_bootstrap=20
        ).summary
        assert found[found.run == "a"].maps.tolist()[:2] == [2, 3]

    def test_a_cut_off_beyond_the_slates_is_refused_before_maps_are_made(self, runs, split, monkeypatch):
        from recsys import maps

        monkeypatch.setattr(maps, "audit_maps", lambda train, seed: pytest.fail("maps were made"))
        with pytest.raises(RecsysError, match="expected at least k = 500"):
            compare(runs, split, ["discovery@500"], "base")
        with pytest.raises(RecsysError, match="expected at least k = 500"):
            compare(runs, split, ["ndcg@500"], "base")

    def test_an_unknown_run_is_said_before_anything_is_made(self, runs, split):
        with pytest.raises(RecsysError, match="unknown run 'bse': did you mean 'base'"):
            compare(runs, split, ["discovery"], "bse")


def test_scores_know_their_runs(runs, truth):
    scores = evaluate(runs, truth, ["ndcg", "gini"], [5], n_bootstrap=20)
    assert isinstance(scores, Scores) and scores.runs == ("base", "other")
    assert [c.metric for c in scores.select_run("other")] == ["ndcg", "gini"]


def test_two_users_and_one_map_are_enough_and_one_user_has_no_interval(split, truth):
    for users in (1, 2):
        few = np.flatnonzero(np.diff(split.test.indptr))[:users]
        items = as_slates(split, random_slates(1)[few], few)
        frame = tabulate_scores(evaluate({"few": items}, truth, metrics.__all__, [5], n_bootstrap=100))
        assert frame.value.notna().sum() >= 15
        known = frame[(frame.metric == "ndcg")].ci_low.notna()
        assert known.all() == (users == 2)


def test_statistics_of_any_range_are_not_cut(runs, truth, monkeypatch):
    def total(evaluation: Evaluation, k: int) -> PerCatalogue:
        return PerCatalogue(evaluation.get_top_picks(k), ITEMS, lambda counts: counts.max(axis=-1), "largest count", 0)

    monkeypatch.setattr(metrics, "coverage", total)
    found = cell(evaluate(runs, truth, ["coverage"], [5], n_bootstrap=20), "base", "coverage")
    assert found.value > 1 and found.limits.high > found.value


def test_per_map_answers_of_one_map_are_bootstrapped_over_users(runs, truth, monkeypatch):
    values = np.random.default_rng(0).random(USERS)

    def one(evaluation: Evaluation, k: int) -> PerMap:
        return PerMap(values[None], "a number", 1)

    def plain(evaluation: Evaluation, k: int) -> PerUser:
        return PerUser(values, "the same number", 1)

    monkeypatch.setattr(metrics, "exposure_deficit", one)
    monkeypatch.setattr(metrics, "ndcg", plain)
    scores = evaluate(runs, truth, ["exposure_deficit", "ndcg"], [5], n_bootstrap=100)
    a, b = cell(scores, "base", "exposure_deficit"), cell(scores, "base", "ndcg")
    assert a.value == b.value and a.limits == pytest.approx(b.limits)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s, runs: recsys.evaluate(runs, s), "evaluate: found a Split, expected what runs are judged against: recsys.GroundTruth(split)"),
        (lambda s, runs: recsys.evaluate(runs, s, ["ndcg"], [3]), "evaluate: found a Split, expected what runs are judged against"),
        (lambda s, runs: recsys.evaluate(runs, None, ["ndcg"], [3]), "evaluate: found a NoneType, expected"),
        (lambda s, runs: recsys.evaluate(runs, s.test, ["ndcg"], [3]), "evaluate: found a csr_array, expected"),
        (lambda s, runs: recsys.evaluate(s, runs, ["ndcg"], [3]), "evaluate: found a dict, expected"),
        (lambda s, runs: recsys.evaluate(runs, recsys.GroundTruth(s, popularity_exponent=2), ["ndcg"], [3]), "GroundTruth: popularity_exponent is 2, expected a number from 0 to 1"),
        (lambda s, runs: recsys.evaluate(runs, recsys.GroundTruth(s, popularity_exponent=float("nan")), ["ndcg"], [3]), "GroundTruth: popularity_exponent is nan"),
        (lambda s, runs: recsys.evaluate(runs, recsys.GroundTruth(s)), "nothing to evaluate: expected at least one metric and one k"),
        (lambda s, runs: recsys.evaluate(runs, recsys.GroundTruth(s), ["ndcg"]), "nothing to evaluate: expected at least one metric"),
        (lambda s, runs: recsys.evaluate({}, recsys.GroundTruth(s), ["ndcg"], [3]), "nothing to evaluate: found no run"),
        (lambda s, runs: recsys.evaluate({"a": None}, recsys.GroundTruth(s), ["ndcg"], [3]), "run 'a': found a NoneType, expected a Slates"),
        (lambda s, runs: recsys.evaluate({"a": pd.DataFrame(runs["a"])}, recsys.GroundTruth(s), ["ndcg"], [3]), "run 'a': found a DataFrame"),
        (lambda s, runs: recsys.evaluate({"a": {0: [1]}}, recsys.GroundTruth(s), ["ndcg"], [3]), "run 'a': found a dict, expected a Slates"),
        (lambda s, runs: recsys.evaluate({"a": "als"}, recsys.GroundTruth(s), ["ndcg"], [3]), "run 'a': found a str, expected a Slates"),
        (lambda s, runs: recsys.compare(runs, s), "nothing to evaluate: expected at least one metric and one k"),
        (lambda s, runs: recsys.compare(runs, s, ["ndcg"]), "against: unknown run ''"),
        (lambda s, runs: recsys.compare(runs, recsys.GroundTruth(s), ["ndcg"], "a"), "compare: found a GroundTruth, expected a Split: .split"),
        (lambda s, runs: recsys.compare(runs, None), "compare: found a NoneType, expected a Split"),
        (lambda s, runs: recsys.compare(runs, s, ["discovery"], next(iter(runs)), ks=[3], popularity_exponent=-1), "compare: popularity_exponent is -1, expected a number from 0 to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_one_line(split, make, message):
    runs = {"a": np.tile(np.arange(3, dtype=np.int32), (split.shape[0], 1))}
    with pytest.raises(RecsysError) as error:
        make(split, runs)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
