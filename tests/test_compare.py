"""`recsys compare` and what it rests on: against slow references, SciPy, statsmodels, and values by hand."""

import gc
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower
from synthetic import make_maps, make_split

from recsys.cli import main
from recsys.configs import parse_config
from recsys.experiments import compare_folders
from recsys.experiments.comparisons import write_scores
from recsys.reports.comparisons import build_text_tables, list_notes
from recsys.reports.export import render_comparison, to_latex, to_markdown
from recsys.scores import Scores, evaluate
from recsys.scores.comparisons import compare_scores
from recsys.scores.hypothesis_tests import (
    adjust_p_values,
    compute_contrast,
    decide_verdict,
    detectable_multiplier,
    effect_size,
    p_different,
    p_equivalent,
    p_noninferior,
)
from recsys.scores.intervals import bootstrap_means
from recsys.scores.replicates import pool_replicates, two_level_degrees_of_freedom, two_level_interval
from recsys.scores.runs import build_user_score
from recsys.scores.segments import segment_users
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.scores.stores import pack_scores, unpack_scores
from recsys.scores.tables import p_sign_flips, pair_with_base
from recsys.types import GroundTruth, PerUser, RecsysError

USERS, ITEMS = 240, 40
METRICS = ["ndcg", "discovery", "self_information", "coverage", "exposure_deficit"]


@pytest.fixture(scope="module", autouse=True)
def no_garbage():
    """Leave out what is there already of the garbage collection that statsmodels asks for in every call."""
    gc.freeze()
    yield
    gc.unfreeze()


def cells(*values, direction=1, draws=4000):
    users = np.arange(len(values[0]), dtype=np.int32)
    drawn = bootstrap_means([v[None] for v in values], users, 0, draws)
    return [
        build_user_score(f"r{i}", "m", 10, PerUser(v, "", direction), v[None], d)
        for i, (v, d) in enumerate(zip(values, drawn, strict=True))
    ]


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(0)
    base = rng.beta(2, 3, 800)
    return base + rng.normal(-0.003, 0.05, 800), base


def world(seed=4, users=USERS):
    split = make_split(seed, users=users)
    rng = np.random.default_rng(seed)
    test = split.test.toarray()
    picks = {
        run: np.argsort(rng.random((users, ITEMS)) + 0.04 * np.arange(ITEMS) - hint * test, axis=1)
        for run, hint in (("base", 0.4), ("worse", 0.1))
    }
    picks = {run: items[:, :8].astype(np.int32) for run, items in picks.items()}
    picks["near"] = picks["base"].copy()
    picks["near"][:10, :5] = rng.permuted(picks["near"][:10, :5], axis=1)
    return split, picks


def scored(seed=4, users=USERS, metrics=METRICS):
    split, picks = world(seed, users)
    truth = GroundTruth(split, make_maps(split), make_maps(split, seed=7), make_maps(split, seed=8))
    return evaluate(picks, truth, metrics, [5], n_bootstrap=200, seed=seed)


@pytest.fixture(scope="module")
def scores():
    return scored()


class TestMargins:
    @pytest.mark.parametrize("margin", [0.005, 0.02])
    def test_no_loss_is_a_one_sided_test_of_the_ratio(self, two, margin):
        run, base = two
        expected = stats.ttest_1samp(run - (1 - margin) * base, 0, alternative="greater").pvalue
        assert p_noninferior(*cells(run, base), margin) == pytest.approx(expected, rel=0.1, abs=0.01)

    def test_where_less_is_better_more_is_a_loss(self, two):
        run, base = two
        expected = stats.ttest_1samp(1.01 * base - run, 0, alternative="greater").pvalue
        assert p_noninferior(*cells(run, base, direction=-1), 0.01) == pytest.approx(expected, rel=0.1, abs=0.01)
        assert np.isnan(p_noninferior(*cells(run, base, direction=0), 0.01))

    def test_equivalence_is_two_one_sided_tests(self, two):
        run, base = two
        sides = [
            stats.ttest_1samp(run - 0.98 * base, 0, alternative="greater").pvalue,
            stats.ttest_1samp(run - 1.02 * base, 0, alternative="less").pvalue,
        ]
        assert p_equivalent(*cells(run, base), 0.02) == pytest.approx(max(sides), rel=0.1, abs=0.01)

    def test_a_base_without_anything_has_no_margin(self):
        nothing = cells(np.random.default_rng(0).random(50), np.zeros(50))
        assert np.isnan([p_noninferior(*nothing, 0.02), p_equivalent(*nothing, 0.02)]).all()

    def test_a_difference_by_its_error_is_the_t_test(self, two):
        run, base = two
        expected = stats.ttest_rel(run, base).pvalue
        assert p_different(compute_contrast(*cells(run, base), 1.0)) == pytest.approx(expected, rel=0.1, abs=0.01)

    def test_the_detectable_effect_is_that_of_a_power_analysis(self):
        for n in (10, 50, 1000):
            expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
            assert detectable_multiplier(n - 1) / np.sqrt(n) == pytest.approx(expected, rel=0.02)

    def test_the_effect_size_is_the_mean_over_the_standard_deviation(self, two):
        change = two[0] - two[1]
        assert effect_size(*cells(*two)) == pytest.approx(change.mean() / change.std(ddof=1))


class TestManyComparisons:
    def test_holm_by_hand(self):
        p = np.array([0.01, np.nan, 0.04, 0.03])
        np.testing.assert_allclose(adjust_p_values(p, explore=False), [0.03, np.nan, 0.06, 0.06])

    def test_benjamini_and_hochberg_by_hand(self):
        p = np.array([0.01, np.nan, 0.04, 0.03])
        np.testing.assert_allclose(adjust_p_values(p, explore=True), [0.03, np.nan, 0.04, 0.04])

    def test_nothing_to_adjust_stays_nothing(self):
        assert np.isnan(adjust_p_values(np.full(3, np.nan), explore=False)).all()

    def test_sign_flips_are_scipys_permutation_test(self):
        rng = np.random.default_rng(1)
        base = rng.random(60)
        run = base + rng.normal(0.03, 0.1, 60)
        users = np.arange(60, dtype=np.int32)
        (found,) = p_sign_flips([tuple(cells(run, base))], Scores((), users, users.astype(str), 0, 100), 10_000)
        theirs = stats.permutation_test(
            (run - base,), np.mean, permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(2)
        )
        assert found == pytest.approx(theirs.pvalue, abs=0.015)


class TestTogether:
    def test_one_value_has_its_own_interval(self):
        draws = np.random.default_rng(0).normal(3.0, 2.0, (1, 50_000))
        low, high = compute_simultaneous_limits(np.array([3.0]), draws)
        assert (low[0], high[0]) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), abs=0.06)

    def test_independent_values_pay_sidaks_price_and_equal_ones_none(self):
        draws = np.random.default_rng(0).normal(size=(5, 50_000))
        reach = compute_simultaneous_limits(np.zeros(5), draws)[1]
        assert reach == pytest.approx(stats.norm.ppf(1 - (1 - 0.95**0.2) / 2), abs=0.04)
        assert compute_simultaneous_limits(np.zeros(5), np.repeat(draws[:1], 5, axis=0))[1] == pytest.approx(
            1.96, abs=0.03
        )

    def test_draws_that_are_not_finite_are_left_out(self):
        draws = np.array([[1.0, np.nan, -1.0], [1.0, 1.0, np.inf]])
        assert np.isnan(compute_simultaneous_limits(np.zeros(2), draws)).all()

    def test_each_run_has_the_first_metric_beside_every_other_of_users(self, scores):
        joint = compare_scores(scores, "base").joint
        assert joint.run.tolist() == ["worse"] * 3 + ["near"] * 3
        assert (joint.loss_metric == "ndcg@5").all()
        assert joint.gain_metric.tolist()[:3] == ["discovery@5", "self_information@5", "exposure_deficit@5"]
        row = joint.iloc[0]
        cell, base = (c[0] for c in (scores.select_run("worse"), scores.select_run("base")))
        assert row.loss == pytest.approx(cell.value / base.value - 1)
        alone = np.quantile(cell.draws / base.draws - 1, [0.025, 0.975])
        assert row.loss_low < alone[0] and row.loss_high > alone[1]
        assert joint[joint.run == "near"].loss_low.isna().all()

    def test_stratified_accuracy_is_lost_beside_the_first_metric(self):
        scores = scored(metrics=["ndcg", "discovery", "stratified_recall", "self_information"])
        found = compare_scores(scores, "base")
        rows = found.joint[found.joint.run == "worse"]
        assert list(zip(rows.loss_metric, rows.gain_metric, strict=True)) == [
            ("ndcg@5", "discovery@5"), ("stratified_recall@5", "discovery@5"),
            ("ndcg@5", "self_information@5"), ("stratified_recall@5", "self_information@5"),
        ]  # fmt: skip
        of = {cell.metric: cell for cell in scores.select_run("worse")}
        base = {cell.metric: cell for cell in scores.select_run("base")}
        names = ["ndcg", "stratified_recall", "discovery"]
        values = np.array([of[name].value / base[name].value - 1 for name in names])
        low, high = compute_simultaneous_limits(values, np.array([of[n].draws / base[n].draws - 1 for n in names]))
        assert rows.loss.tolist()[:2] == pytest.approx(values[:2]) and rows.gain.tolist()[:2] == [values[2]] * 2
        assert rows.loss_low.tolist()[:2] == pytest.approx(low[:2])
        assert rows.gain_high.tolist()[:2] == pytest.approx(high[[2, 2]])
        grid = next(grid for grid in build_text_tables(found) if grid.title.startswith("Losses and gain together"))
        assert grid.head == (
            "run", "ndcg@5", "joint limits", "stratified_recall@5", "joint limits", "gain in", "change", "joint limits",
        )  # fmt: skip
        assert any(line.startswith("stratified_recall: credit popularity^-0.5 ") for line in list_notes(found))
        assert [(row[0], row[5]) for row in grid.rows][:2] == [
            ("worse", "discovery@5"),
            ("worse", "self_information@5"),
        ]


class TestVerdicts:
    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ((0.1, 1, 300, 0.01, 0.4), "better"),
            ((0.1, -1, 300, 0.01, 0.4), "worse"),
            ((0.1, 0, 300, 0.01, 0.4), "higher"),
            ((-0.1, 1, 300, 0.01, 0.01), "worse, within margin"),
            ((-0.1, 1, 300, 0.2, 0.01), "equivalent"),
            ((-0.1, 1, 300, 0.2, 0.2), "undecided"),
            ((-0.1, 1, 5, 0.2, np.nan), "undecided"),
            ((0.0, 1, 0, 1.0, np.nan), "no user differs"),
            ((0.1, 1, np.nan, 0.01, 0.4), "better"),
            ((np.nan, 1, 0, np.nan, np.nan), "not defined"),
        ],
    )
    def test_each(self, row, said):
        assert decide_verdict(*row) == said

    def test_few_that_differ_have_no_limits_but_a_p_value(self, scores):
        found = compare_scores(scores, "base").differences.set_index(["run", "metric"])
        row = found.loc["near", "ndcg"]
        assert 0 < row.n_differ < 20 and row.verdict == "undecided" and 0 < row.p_value <= 1
        assert row[["ci_low", "ci_high", "relative_low", "detectable", "p_noninferior", "p_equivalent"]].isna().all()
        assert found.loc["near", "self_information"].verdict == "no user differs"
        assert found.loc["near", "self_information"].p_value == 1.0

    def test_a_run_that_is_worse_is_said_to_be(self, scores):
        row = compare_scores(scores, "base").differences.set_index(["run", "metric"]).loc["worse", "ndcg"]
        assert row.verdict == "worse" and row.noninferior == "no" and row.p_adjusted <= 0.05

    def test_catalogue_metrics_are_tested_by_their_own_error(self, scores):
        found = compare_scores(scores, "base").differences.set_index(["run", "metric"]).loc["worse", "coverage"]
        cell, base = (next(c for c in scores.select_run(run) if c.metric == "coverage") for run in ("worse", "base"))
        limits = cell.make_interval(cell.value - base.value, cell.draws - base.draws)
        assert np.isnan(found.n_differ)
        assert found.difference == pytest.approx(cell.value - base.value)
        assert limits.error > 0
        assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.difference) / limits.error, 15))

    def test_a_margin_is_a_share(self, scores):
        for margin in (0.0, 1.0, -0.1):
            with pytest.raises(RecsysError, match="expected a share of the base's mean"):
                compare_scores(scores, "base", margin=margin)


class TestSegments:
    def test_quarters_are_of_train_and_of_the_users_judged(self):
        split, _ = world()
        users = np.arange(0, USERS, 2, dtype=np.int32)
        codes = segment_users(GroundTruth(split), users)
        n = np.diff(split.train.indptr)
        assert (codes["activity"][1::2] == -1).all()
        for code in range(3):
            inside, above = (n[users][codes["activity"][users] == c] for c in (code, code + 1))
            assert inside.max() <= above.min()
        assert ((n[users] <= 5) == (codes["cold"][users] == 0)).all()

    def test_taste_entropy_is_that_of_the_features_of_what_a_user_met(self):
        split, _ = world()
        users = np.arange(USERS, dtype=np.int32)
        features = split.items.features.toarray()
        entropy = []
        for user in range(USERS):
            mass = features[split.train[[user]].indices].sum(axis=0)
            entropy.append(stats.entropy(mass, base=2) if mass.sum() else 0.0)
        expected = np.searchsorted(np.quantile(entropy, [0.25, 0.5, 0.75]), entropy)
        assert (segment_users(GroundTruth(split), users)["taste entropy"] == expected).mean() > 0.99

    def test_a_part_has_the_difference_of_its_users(self, scores):
        table = compare_scores(scores, "base").segments
        cell, base = (scores.select_run(run)[0] for run in ("worse", "base"))
        for _, row in table[(table.run == "worse") & (table.metric == "ndcg")].iterrows():
            quarters = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
            code = {**{q: i for i, q in enumerate(quarters)}, "cold": 0, "not cold": 1}[row.part]
            inside = scores.segments[row.segment] == code
            change = (cell.per_user - base.per_user)[inside]
            assert row.difference == pytest.approx(np.nanmean(change))
            assert row.base == pytest.approx(np.nanmean(base.per_user[inside]))
            assert row.n_users == (~np.isnan(change)).sum()
            assert row.n_differ == (np.abs(np.nan_to_num(change)) > 1e-12).sum()

    def test_parts_of_one_segment_make_the_whole_also_over_maps(self, scores):
        table = compare_scores(scores, "base").segments
        for metric in ("ndcg", "discovery", "exposure_deficit"):
            cell, base = (next(c for c in scores.select_run(run) if c.metric == metric) for run in ("worse", "base"))
            part = table[(table.run == "worse") & (table.metric == metric) & (table.segment == "activity")]
            shares = [base.user_weights[scores.segments["activity"] == code].sum() for code in range(4)]
            assert (part.difference.to_numpy() * shares).sum() == pytest.approx(cell.value - base.value)

    def test_the_worst_has_the_largest_relative_loss_of_those_with_limits(self, scores):
        table = compare_scores(scores, "base").segments
        for (_, metric), part in table[table.run == "worse"].groupby(["run", "metric"]):
            way = -1 if metric == "exposure_deficit" else 1
            known = part[part.joint_low.notna()]
            assert part.worst.sum() == 1
            assert (way * known.relative).min() == way * part[part.worst].relative.item()


class TestReplicates:
    def test_variance_between_replicates_alone_is_a_t_interval_of_their_values(self):
        values = np.array([0.1, 0.2, 0.4, 0.7])
        rng = np.random.default_rng(0)
        drawn = values[rng.integers(4, size=(200_000, 4))].mean(axis=1)
        found = two_level_interval(values.mean(), np.concatenate([drawn, values]), 4, 1000)
        expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
        assert found[:2] == pytest.approx(expected, rel=0.02)
        assert two_level_degrees_of_freedom(np.concatenate([drawn, values]), 4, 1000) == pytest.approx(3, rel=0.02)

    def test_replicates_that_agree_leave_the_users(self):
        drawn = np.random.default_rng(0).normal(1.0, 0.3, 100_000)
        draws = np.concatenate([drawn, np.ones(5)])
        assert two_level_interval(1.0, draws, 5, 500).error == pytest.approx(0.3, rel=0.01)
        assert two_level_degrees_of_freedom(draws, 5, 500) == pytest.approx(499)

    def test_users_are_matched_by_name_and_never_pooled(self):
        one = scored(4)
        order = np.random.default_rng(0).permutation(USERS)
        arrays = pack_scores(one)
        for name in ("per_user", "parts", "shares"):
            arrays[name] = arrays[name][:, order]
        arrays |= {"user_ids": one.user_ids[order], "value": arrays["value"]}
        pooled = pool_replicates([one, unpack_scores(arrays)])
        assert len(pooled.users) == USERS
        for cell, same in zip(pooled.cells, one.cells, strict=True):
            assert cell.value == pytest.approx(same.value)
            if cell.shape == "users":
                assert cell.limits.error == pytest.approx(same.limits.error, rel=0.1)

    def test_the_difference_is_the_mean_of_the_differences(self):
        replicates = [scored(seed) for seed in (4, 5, 6)]
        found = compare_scores(pool_replicates(replicates), "base")
        table = found.differences.set_index(["run", "metric"])
        for metric in METRICS:
            each = [
                cell.value - base.value
                for one in replicates
                for cell, base in pair_with_base(one, "base")
                if (cell.run, cell.metric) == ("worse", metric)
            ]
            row = table.loc["worse", metric]
            assert row.difference == pytest.approx(np.mean(each), abs=1e-9)
            assert not row.ci_low > row.difference and not row.difference > row.ci_high
        assert found.replicates == 3 and found.joint.empty and found.segments.empty

    def test_they_must_have_the_same_runs(self):
        with pytest.raises(RecsysError, match="only one of them has discovery@5 of run"):
            pool_replicates([scored(4, metrics=["ndcg", "discovery"]), scored(5, metrics=["ndcg"])])
        with pytest.raises(RecsysError, match="found 1, expected at least 2"):
            pool_replicates([scored(4)])


class TestStores:
    def test_what_is_read_compares_as_what_was_written(self, scores, tmp_path):
        np.savez(tmp_path / "scores.npz", allow_pickle=False, **pack_scores(scores))
        with np.load(tmp_path / "scores.npz", allow_pickle=False) as stored:
            again = unpack_scores({name: stored[name] for name in stored.files})
        ours, theirs = compare_scores(scores, "base"), compare_scores(again, "base")
        for name in ("summary", "differences", "joint", "segments"):
            pd.testing.assert_frame_equal(getattr(ours, name), getattr(theirs, name))

    def test_what_is_missing_is_said(self, scores):
        arrays = pack_scores(scores)
        del arrays["draws"]
        with pytest.raises(RecsysError, match="not the scores of a run: 'draws'"):
            unpack_scores(arrays)


CONFIG = {
    "data": {"name": "ml-100k"},
    "model": {"kind": "als"},
    "slate": {"k": [5]},
    "evaluation": {"n_bootstrap": 200},
}


def make_folder(path, scores, fingerprint="abc", name="mine", **changes):
    path.mkdir(parents=True)
    settings = {**CONFIG, "name": name, **changes}
    (path / "config.toml").write_text(tomli_w.dumps(parse_config(settings).dump_settings()))
    (path / "environment.json").write_text(json.dumps({"data_fingerprint": fingerprint}))
    write_scores(scores, path)
    return str(path)


class TestFolders:
    def test_a_folder_and_some_of_its_runs(self, scores, tmp_path):
        folder = make_folder(tmp_path / "one", scores)
        whole = compare_folders([folder], against="base")
        assert whole.differences.metric.tolist() == ["ndcg", "discovery"] * 2
        some = compare_folders([f"{folder}:base", f"{folder}:worse"], metrics=["coverage@5", "ndcg"], margin=0.1)
        assert some.against == "base" and some.differences.metric.tolist() == ["coverage", "ndcg"]
        pd.testing.assert_frame_equal(
            whole.summary[(whole.summary.run == "worse") & (whole.summary.metric == "ndcg")].reset_index(drop=True),
            some.summary[(some.summary.run == "worse") & (some.summary.metric == "ndcg")].reset_index(drop=True),
        )
        assert set(compare_folders([folder], explore=True).differences.metric) == set(METRICS)

    def test_runs_of_two_folders_are_one_table_and_the_same_run_is_there_once(self, scores, tmp_path):
        split, picks = world()
        picks["worse"] = picks["worse"][:, ::-1]
        truth = GroundTruth(split, make_maps(split), make_maps(split, seed=7), make_maps(split, seed=8))
        other = evaluate(picks, truth, METRICS, [5], n_bootstrap=200, seed=4)
        one, two = make_folder(tmp_path / "one", scores), make_folder(tmp_path / "two", other, name="other")
        found = compare_folders([one, two], against="base")
        assert list(dict.fromkeys(found.summary.run)) == ["base", f"{one}:worse", f"{two}:worse", "near"]
        assert compare_folders([one, two], against=f"{two}:base").against == "base"

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"fingerprint": "xyz"}, "their data differ (fingerprints abc and xyz)"),
            ({"seed": 3}, "seed is 0 and 3, expected the same; the same benchmark with other seeds"),
            ({"slate": {"k": [5, 8]}}, "slate.k is [5] and [5, 8]"),
            ({"split": {"test": 0.3}}, "split.test is 0.2 and 0.3"),
            ({"filter": {"min_user_interactions": 3}}, "filter.min_user_interactions is 0 and 3"),
            ({"evaluation": {"split": "validation", "n_bootstrap": 200}}, "evaluation.split is test and validation"),
        ],
    )
    def test_what_differs_is_said(self, scores, tmp_path, changes, line):
        one, two = make_folder(tmp_path / "one", scores), make_folder(tmp_path / "two", scores, **changes)
        with pytest.raises(RecsysError) as caught:
            compare_folders([one, two])
        assert line in str(caught.value) and "\n" not in str(caught.value)

    def test_other_users_are_refused(self, scores, tmp_path):
        one, two = make_folder(tmp_path / "one", scores), make_folder(tmp_path / "two", scored(4, users=200))
        with pytest.raises(RecsysError, match=r"their users differ \(240 and 200, 200 in both\)"):
            compare_folders([one, two])

    def test_replicates_have_other_seeds_and_nothing_else(self, scores, tmp_path):
        one, two = make_folder(tmp_path / "one", scores), make_folder(tmp_path / "two", scored(5), seed=1)
        assert compare_folders([one, two], against="base", replicates=True).replicates == 2
        with pytest.raises(RecsysError, match="found seeds 0, 0, expected different ones"):
            compare_folders([one, make_folder(tmp_path / "three", scores)], replicates=True)
        with pytest.raises(RecsysError, match=r"pool\.n is 200 and 50"):
            compare_folders([one, make_folder(tmp_path / "four", scores, seed=2, pool={"n": 50})], replicates=True)

    @pytest.mark.parametrize(
        ("file", "content", "line"),
        [
            ("scores.npz", b"not a zip", "scores.npz: is damaged"),
            ("environment.json", b"{}", "environment.json names no data_fingerprint"),
            ("scores.npz", None, "found no scores.npz"),
        ],
    )
    def test_a_folder_that_is_none_is_one_line(self, scores, tmp_path, file, content, line):
        folder = make_folder(tmp_path / "one", scores)
        (tmp_path / "one" / file).unlink()
        if content is not None:
            (tmp_path / "one" / file).write_bytes(content)
        with pytest.raises(RecsysError, match=line):
            compare_folders([folder])

    def test_pickles_are_not_opened(self, scores, tmp_path):
        folder = make_folder(tmp_path / "one", scores)
        np.savez(
            tmp_path / "one" / "scores.npz", allow_pickle=True, **pack_scores(scores), evil=np.array([{}], dtype=object)
        )
        with pytest.raises(RecsysError, match="is damaged: its header is not that of an array of numbers or text"):
            compare_folders([folder])


class TestText:
    def test_best_and_significant_values_are_marked_in_their_direction(self, scores):
        values, *_ = build_text_tables(compare_scores(scores, "base"))
        assert values.head == (
            "run",
            "ndcg@5 ↑",
            "discovery@5 ↑",
            "self_information@5 ↑",
            "coverage@5 ↑",
            "exposure_deficit@5 ↓",
        )
        table = pd.DataFrame(
            {run: [cell.value for cell in scores.select_run(run)] for run in scores.runs}, index=METRICS
        ).T.reset_index(drop=True)
        for column, metric in enumerate(METRICS, start=1):
            best = table[metric].min() if metric == "exposure_deficit" else table[metric].max()
            assert {i for i, j in values.best if j == column} == set(np.flatnonzero(table[metric] == best))
        assert "*" in values.rows[1][1] and "*" not in values.rows[2][1]

    def test_markdown_latex_and_html_say_the_same(self, scores):
        found = compare_scores(scores, "base")
        texts = to_markdown(found), to_latex(found), render_comparison(found)
        assert all("self" in text and "worse" in text and "undecided" in text for text in texts)
        assert "| worse | ndcg@5 ↑ |" in texts[0]
        assert r"self\_information@5 $\uparrow$" in texts[1] and r"\toprule" in texts[1] and r"\textbf{" in texts[1]
        assert "fewer than 20 users differ" in texts[0].lower()
        assert not [line for line in texts[1].splitlines() if "_" in line.replace(r"\_", "") and line[0] != "%"]

    def test_a_name_cannot_break_out(self, scores):
        arrays = pack_scores(scores)
        arrays["run"] = np.where(arrays["run"] == "worse", "<b>|&%x", arrays["run"])
        found = compare_scores(unpack_scores(arrays), "base")
        assert r"\<b\>\|\&%x" in to_markdown(found)
        assert r"$<$b$>$$|$\&\%x" in to_latex(found)
        assert "&lt;b&gt;|&amp;%x" in render_comparison(found)

    def test_notes_say_how_many_comparisons_were_declared(self, scores):
        lines = list_notes(compare_scores(scores, "base", explore=True))
        # Five metrics of two runs; one of them shows the same items as the base, so its coverage cannot be tested.
        assert any("adjusted over 9 comparisons (Benjamini and Hochberg)" in line for line in lines)


class TestCommand:
    def test_it_prints_and_writes(self, scores, tmp_path, capsys):
        folder = make_folder(tmp_path / "one", scores)
        main_without_exit(["compare", folder, "--against", "base", "--margin", "5%", "--out", str(tmp_path / "out")])
        text = capsys.readouterr().out
        assert "worse" in text and "report.html" in text and "5.0 %" in text
        written = {path.name for path in (tmp_path / "out").iterdir()}
        tables = {"summary.csv", "differences.csv", "joint.csv", "segments.csv"}
        assert written == {"report.html", "tables.md", "tables.tex", *tables}
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert '<a href="../one/report.html">' in page and "What was compared" in page
        assert "benchmark mine of ml-100k, per_user_time split, seed 0" in page
        heads = re.findall("<th scope=[^>]*>([^<]+)</th>", page)
        assert {"p-value", "p-value, adjusted", "smallest detectable difference", "effect size (d_z)"} <= {*heads}
        for form, start in (("markdown", "### Values"), ("latex", "% Against base")):
            main_without_exit(["compare", folder, "--against", "base", "--format", form])
            assert capsys.readouterr().out.startswith(start)

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["--margin", "much"], "--margin is 'much', expected a share such as 0.02 or 2%"),
            (["--metrics", "ndgc@5"], "unknown metric 'ndgc@5': did you mean 'ndcg@5'"),
            (["--against", "bas"], "against: unknown run 'bas': did you mean 'base'"),
        ],
    )
    def test_what_is_wrong_is_one_line(self, scores, tmp_path, capsys, arguments, line):
        folder = make_folder(tmp_path / "one", scores)
        with pytest.raises(SystemExit) as caught:
            main(["compare", folder, *arguments])
        error = capsys.readouterr().err
        assert caught.value.code == 2 and line in error and error.count("\n") == 1


def main_without_exit(arguments):
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
@settings(max_examples=10, deadline=None)
def test_adjusted_p_values_are_never_smaller_and_keep_their_order(p_values):
    p = np.array(p_values)
    for explore in (False, True):
        found = adjust_p_values(p, explore)
        assert (found >= p - 1e-12).all() and (found <= 1).all()
        assert (np.diff(found[np.argsort(p, kind="stable")]) >= -1e-12).all()


def test_no_test_is_wrong_more_often_than_it_says():
    """The kept results of `benchmarks/errors.py`: 2,000 samples for each test, every one as it must be."""
    table = pd.read_csv(Path(__file__).parents[1] / "benchmarks" / "results" / "errors.csv")
    judged = table[table.kind != "looked at"]
    assert (judged.samples >= 2000).all() and judged.as_it_must_be.astype(bool).all()
    assert {"sign flips", "non-inferior at the margin", "equivalent at the upper margin"} <= set(judged.test)
    exact = table[table.kind == "exact"]
    low, high = stats.binom.ppf([0.005, 0.995], 2000, 0.05) / 2000
    assert exact.errors.between(low, high).all() and len(exact)
    assert (judged.errors <= high).all()


@pytest.mark.parametrize("place", ["file", "folder"])
def test_nobodys_files_are_lost_to_a_comparison(tmp_path, place):
    from recsys.reports.export import check_comparison_folder

    out = tmp_path / "out"
    if place == "file":
        out.write_text("mine", encoding="utf-8")
    else:
        out.mkdir()
        check_comparison_folder(out)
        (out / "differences.csv").touch()
        check_comparison_folder(out)
        (out / "thesis.txt").touch()
    with pytest.raises(RecsysError, match="expected a new folder, or one of an earlier comparison"):
        check_comparison_folder(out)
