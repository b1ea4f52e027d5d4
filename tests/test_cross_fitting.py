"""Cross-fitting: nothing of the judge's users is in what is judged, and every user is judged by strangers."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from synthetic import RandomFactorModel, make_exposures, make_maps, make_split
from test_contexts import SETTINGS

from recsys import metrics, objectives
from recsys.reranking.blends import make_weight_matrix, parse_blend
from recsys.reranking.slates import fit_scales
from recsys.retrieval.candidates import candidates
from recsys.retrieval.fold_contexts import make_fold_context, select_table_users
from recsys.scores import Scores, cross_fitting, evaluate, tabulate_differences
from recsys.scores.alignment import restrict_to_users
from recsys.scores.cross_fitting import (
    Reader,
    compute_fold_metrics,
    compute_fold_metrics_in_parts,
    evaluate_folds,
    evaluate_readers,
)
from recsys.scores.fold_sums import FoldSums
from recsys.scores.intervals import bootstrap_sums
from recsys.scores.judges import summarize_judge
from recsys.scores.replicates import pool_replicates
from recsys.scores.runs import call_metric
from recsys.scores.segments import encode_parts, tabulate_segments
from recsys.scores.stores import pack_scores, unpack_scores
from recsys.scores.tables import compute_p_values, p_sign_flips, pair_with_base
from recsys.splits.cross_fitting import make_folds
from recsys.types import Context, Evaluation, Fold, GroundTruth, Judge, PerMap, Pool, RecsysError

USERS = 120


def perturb(context: Context, users: np.ndarray) -> Context:
    """The same context, in which some users have other likes, dislikes and factors, and were shown nothing."""
    rng, factors, shown = np.random.default_rng(5), context.factors, context.exposures
    train, dislikes = context.train.toarray(), context.dislikes.toarray()
    train[users] = rng.random((len(users), train.shape[1])) < 0.4
    dislikes[users] = (rng.random((len(users), train.shape[1])) < 0.2) * (1 - train[users])
    moved = factors.user_factors.copy()
    moved[users] += 1.0
    return replace(
        context,
        train=sparse.csr_array(train),
        dislikes=sparse.csr_array(dislikes),
        factors=replace(factors, user_factors=moved),
        exposures=shown
        and shown.take_users(np.where(np.isin(np.arange(len(train)), users), -1, np.arange(len(train)))),
    )


def make_pools(fold: Fold, judge_is_other: bool, seen: bool = False) -> tuple[Pool, Context]:
    """Candidates of all users in the fold's context (or, seen, in one of everybody), and the context of the tables."""
    split = make_split(users=USERS)
    pool = candidates(
        RandomFactorModel(split), split, n=12, maps=make_maps(split), shown=make_exposures(split, rows=2000)
    )
    home = perturb(pool.context, fold.judge_users) if judge_is_other else pool.context
    if seen:
        return replace(pool, context=home), home
    context = make_fold_context(home, fold, maps=home.maps)
    return replace(pool, context=context), context.population


def assert_same_bits(one, other) -> None:
    assert type(one) is type(other)
    if sparse.issparse(one):
        one, other = one.toarray(), other.toarray()
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes()
    elif isinstance(one, tuple | list):
        for a, b in zip(one, other, strict=True):
            assert_same_bits(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            assert_same_bits(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, int | float | str | bool | None):
        assert one == other


@pytest.mark.parametrize("n_users", [100, 121, 1000])
def test_halves_are_exchanged_and_hold_everybody_once(n_users):
    folds = make_folds(n_users, halvings=3, seed=4)
    assert [fold.halving for fold in folds] == [0, 0, 1, 1, 2, 2]
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate([fold.judge_users, fold.table_users])), np.arange(n_users))
        assert abs(len(fold.judge_users) - len(fold.table_users)) <= 1
    for one, other in zip(folds[::2], folds[1::2], strict=True):
        assert np.array_equal(one.judge_users, other.table_users) and np.array_equal(one.table_users, other.judge_users)
    inside = np.array([np.isin(np.arange(n_users), fold.judge_users) for fold in folds[::2]])
    assert 0.3 < (inside[0] == inside[1]).mean() < 0.7  # another halving is another draw


def test_a_halving_does_not_depend_on_how_many_there_are():
    for one, other in zip(make_folds(150, 1, seed=2), make_folds(150, 5, seed=2), strict=False):
        assert_same_bits(one, other)
    assert not np.array_equal(make_folds(150, 1, seed=2)[0].judge_users, make_folds(150, 1, seed=3)[0].judge_users)


def test_few_users_are_not_halved_and_bad_numbers_are_refused():
    assert make_folds(99) == () and make_folds(500, halvings=0) == ()
    with pytest.raises(RecsysError, match="make_folds: halvings is -1"):
        make_folds(500, halvings=-1)


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["plain", "set"])
@pytest.mark.parametrize("name", objectives.__all__)
def test_nothing_of_the_judges_users_is_in_what_is_judged(name, settings):
    """With other likes, dislikes and factors of the judge's half, tables and what is said of others keep every bit."""
    if settings and name not in settings:
        pytest.skip("has no other settings here")
    fold = make_folds(USERS, 1)[1]
    (one, tables), (other, changed) = (make_pools(fold, is_other) for is_other in (False, True))
    terms = [
        getattr(objectives, name)(select_table_users(pool, fold), 5, **settings.get(name, {})) for pool in (one, other)
    ]
    assert_same_bits(*terms)
    made, again = dict(tables.tables.items()), dict(changed.tables.items())
    assert set(made) == set(again)
    for key in set(made) - {"laid out"}:
        assert_same_bits(made[key], again[key])


@pytest.mark.parametrize("name", ["mmr", "dpp", "novelty", "serendipity", "profile_distance", "negative_space"])
def test_without_folds_the_judges_users_are_in_what_is_judged(name):
    """The test above can fail: where tables are of everybody, the same change is seen."""
    fold = make_folds(USERS, 1)[1]
    terms = [
        getattr(objectives, name)(select_table_users(make_pools(fold, is_other, seen=True)[0], fold), 5)
        for is_other in (False, True)
    ]
    with pytest.raises(AssertionError):
        assert_same_bits(*terms)


def test_scales_and_weights_by_entropy_know_nothing_of_the_judges_users():
    fold, blend = make_folds(USERS, 1)[0], {"relevance": 1.0, "novelty": {"weight": 0.3, "adapt_to": "entropy"}}
    found = [select_table_users(make_pools(fold, is_other)[0], fold) for is_other in (False, True)]
    assert fit_scales(found[0], {"mmr": 1.0}, 5) == fit_scales(found[1], {"mmr": 1.0}, 5)
    assert_same_bits(*(make_weight_matrix(parse_blend(blend), pool) for pool in found))


def test_own_maps_of_a_fold_are_those_of_its_tables_half():
    fold, split = make_folds(USERS, 1)[0], make_split(users=USERS)
    home = candidates(RandomFactorModel(split), split, n=12).context
    mapped = [make_fold_context(context, fold).maps for context in (home, perturb(home, fold.judge_users))]
    assert len(mapped[0]) > 0
    assert_same_bits(*mapped)
    assert_same_bits(make_fold_context(home, fold).maps, mapped[0])
    moved = make_fold_context(perturb(home, fold.table_users), fold).maps
    assert any((a.assignment != b.assignment).nnz for a, b in zip(mapped[0], moved, strict=False))
    bare = replace(home, train=None)
    with pytest.raises(RecsysError, match="cross-fitting needs each user's history"):
        make_fold_context(bare, fold)


# --- evaluation over folds ---

METRICS = ["ndcg", "recall", "discovery", "unexplored_share", "gini", "coverage"]


def make_folded_world(halvings: int = 3, users: int = USERS, n_maps: int = 3):
    """A split, judges with random maps, and two runs: one the same in every fold, one with slates of its own."""
    split, rng = make_split(users=users), np.random.default_rng(8)
    folds = make_folds(users, halvings, seed=1)
    judges = [
        Judge(f, make_maps(split, n_maps, seed=10 + i), make_maps(split, 2, seed=50 + i)) for i, f in enumerate(folds)
    ]
    draw = [np.argsort(rng.random((users, 40)), axis=1)[:, :10].astype(np.int32) for _ in range(len(folds) + 1)]
    runs = [{"fixed": draw[-1], "folded": draw[f]} for f in range(len(folds))]
    return split, GroundTruth(split), judges, runs


def mean_discovery(split, maps, picks, users, k=5) -> float:
    """The definition, in loops: by map, the mean over users with held-out positives where they never were."""
    by_map = []
    for taste_map in maps:
        region, found = taste_map.hard_regions, []
        for u in users:
            touched = {region[i] for i in split.train[[u]].indices}
            wanted = {i for i in split.test[[u]].indices if region[i] >= 0 and region[i] not in touched}
            if wanted:
                found.append(len(wanted & set(picks[u, :k].tolist())) / min(k, len(wanted)))
        by_map.append(np.mean(found))
    return float(np.mean(by_map))


@pytest.mark.parametrize("audience", ["all", "inside", "outside"])
def test_a_cross_fitted_value_is_the_mean_over_folds_in_loops(audience):
    split, truth, judges, runs = make_folded_world()
    scores = evaluate_folds(runs, truth, judges, ["discovery@5"], audience=audience)
    for cell in scores.cells:
        slow = []
        for judge, picks in zip(judges, runs, strict=True):
            inside = set(judge.fold.judge_users.tolist())
            users = [u for u in range(USERS) if audience == "all" or (u in inside) == (audience == "inside")]
            slow.append(mean_discovery(split, judge.audit_maps, picks[cell.run], users))
        assert cell.value == pytest.approx(np.mean(slow), rel=1e-12)
        assert cell.draws[-3:] == pytest.approx([np.mean(slow[i : i + 2]) for i in (0, 2, 4)], rel=1e-12)
        assert cell.limits.low < cell.value < cell.limits.high
        assert cell.user_contributions.sum() == pytest.approx(cell.value) and cell.user_weights.sum() == pytest.approx(
            1
        )


def test_users_of_a_part_are_read_alone():
    """By readers, without intervals, and by a truth that holds nobody else's likes."""
    _, truth, judges, runs = make_folded_world()
    names, n_users = ["ndcg@5", "recall@5", "discovery@5"], truth.split.shape[0]
    parts = np.array_split(np.random.default_rng(0).permutation(n_users).astype(np.int32), 3)
    quick = compute_fold_metrics_in_parts([run["folded"] for run in runs], truth, judges, names, parts=parts)
    assert quick[0] == compute_fold_metrics([run["folded"] for run in runs], truth, judges, names)
    for found, part in zip(quick[1:], parts, strict=True):
        readers = {"part": Reader("all", names, np.isin(np.arange(n_users), part))}
        read = evaluate_readers(runs, truth, judges, readers, n_bootstrap=10)["part"]
        alone = evaluate_folds(runs, restrict_to_users(truth, part), judges, names, n_bootstrap=10)
        for scores in (read, alone):
            values = {f"{cell.metric}@{cell.k}": cell.value for cell in scores.select_run("folded")}
            assert values == pytest.approx(found, rel=1e-12)
        assert {cell.n_users for cell in read.cells} == {cell.n_users for cell in alone.cells}
        assert not read.segments


def test_every_metric_is_the_mean_of_what_evaluate_says_of_each_fold():
    _, truth, judges, runs = make_folded_world()
    alone = [
        evaluate(run, truth.with_judge(judge), metrics.STANDARD, [5], n_bootstrap=10)
        for judge, run in zip(judges, runs, strict=True)
    ]
    together = evaluate_folds(runs, truth, judges, metrics.STANDARD, [5], n_bootstrap=10)
    assert len(together.cells) == len(alone[0].cells)
    quick = compute_fold_metrics([run["folded"] for run in runs], truth, judges, metrics.STANDARD, [5])
    for i, cell in enumerate(together.cells):
        same = [scores.cells[i] for scores in alone]
        assert (cell.run, cell.metric, cell.shape) == (same[0].run, same[0].metric, same[0].shape)
        np.testing.assert_allclose(cell.value, np.mean([one.value for one in same]), rtol=1e-12)
        if cell.run == "folded":
            np.testing.assert_allclose(quick[f"{cell.metric}@5"], cell.value, rtol=1e-12)
        if cell.shape != "catalogue":
            np.testing.assert_allclose(
                cell.user_contributions, np.mean([one.user_contributions for one in same], axis=0), atol=1e-15
            )
        assert "cross-fitted: mean over 3 halvings" in cell.convention


def test_without_maps_and_variety_of_folds_intervals_are_those_of_users():
    """Slates that are the same in each fold have no variance between halvings: what is left is the bootstrap of users."""
    _, truth, judges, runs = make_folded_world()
    cells = {(c.run, c.metric): c for c in evaluate_folds(runs, truth, judges, METRICS, [5]).cells}
    usual = {(c.run, c.metric): c for c in evaluate(runs[0], truth, METRICS, [5]).cells}
    for metric in ("ndcg", "recall"):
        fixed, plain = cells["fixed", metric], usual["fixed", metric]
        assert fixed.value == pytest.approx(plain.value, rel=1e-12)
        assert fixed.limits.error == pytest.approx(plain.limits.error, rel=0.05)
        assert np.ptp(fixed.draws[-3:]) < 1e-12
        assert np.ptp(cells["folded", metric].draws[-3:]) > 1e-4
    assert cells["fixed", "gini"].limits.error == pytest.approx(usual["fixed", "gini"].limits.error, rel=1e-9)
    assert cells["folded", "gini"].limits.error > 0


def test_metrics_without_maps_are_computed_once_for_a_run_that_is_the_same_in_every_fold(monkeypatch):
    _, truth, judges, runs = make_folded_world()
    calls = []
    monkeypatch.setattr(cross_fitting, "call_metric", lambda want, of: calls.append(want.name) or call_metric(want, of))
    evaluate_folds(runs, truth, judges, ["ndcg@5", "discovery@5"], n_bootstrap=10)
    assert calls.count("ndcg") == 1 + 6 and calls.count("discovery") == 6 + 6


def test_differences_and_stored_scores_keep_the_variance_of_halvings():
    _, truth, judges, runs = make_folded_world()
    scores = evaluate_folds(runs, truth, judges, METRICS, [5])
    again = unpack_scores(pack_scores(scores))
    assert again.halvings == scores.halvings == 3
    for one, other in zip(scores.cells, again.cells, strict=True):
        assert one.limits == other.limits
        np.testing.assert_allclose(other.make_interval(one.value, one.draws), one.limits, rtol=1e-12)
    table = tabulate_differences(scores, "fixed").set_index("metric")
    pd.testing.assert_frame_equal(tabulate_differences(again, "fixed").set_index("metric"), table)
    assert (table.ci_low <= table.difference).all() and (table.difference <= table.ci_high).all()
    halved = {cell.metric: cell.draws[-3:] for cell in scores.cells if cell.run == "folded"}
    for metric in ("ndcg", "gini"):
        error = (table.ci_high - table.ci_low)[metric] / 4
        assert error > halved[metric].std(ddof=1) / 3**0.5 * 0.5


def test_with_one_halving_the_interval_says_nothing_of_halvings():
    _, truth, judges, runs = make_folded_world(halvings=1)
    for cell in evaluate_folds(runs, truth, judges, METRICS, [5], n_bootstrap=200).cells:
        assert cell.limits.low <= cell.value <= cell.limits.high
        assert "mean over 1 halving of" in cell.convention


def test_two_witnesses_count_what_both_maps_call_unexplored_in_loops():
    split, truth, judges, runs = make_folded_world()
    judge = replace(judges[0], witness_maps=judges[1].audit_maps)
    picks, by_pair = runs[0]["folded"], []
    for pair in zip(judge.audit_maps, judge.witness_maps, strict=True):
        found = []
        for u in range(USERS):
            wanted = set(split.test[[u]].indices.tolist())
            for taste_map in pair:
                region = taste_map.hard_regions
                touched = {region[i] for i in split.train[[u]].indices}
                wanted = {i for i in wanted if region[i] >= 0 and region[i] not in touched}
            if wanted:
                found.append(len(wanted & set(picks[u, :5].tolist())) / min(5, len(wanted)))
        by_pair.append(np.mean(found))
    cell = evaluate({"run": picks}, truth.with_judge(judge), ["discovery_two_witnesses@5"]).cells[0]
    assert cell.value == pytest.approx(np.mean(by_pair), rel=1e-12)
    assert np.isnan(evaluate({"run": picks}, truth, ["discovery_two_witnesses@5"]).cells[0].value)


def test_a_judge_says_how_often_candidates_are_unexplored_in_loops():
    split, _, judges, _ = make_folded_world()
    items = np.argsort(np.random.default_rng(1).random((USERS, 40)), axis=1)[:, :6].astype(np.int32)
    items[::7, 4:] = -1

    def share(maps, u, item) -> float:
        said = []
        for taste_map in maps:
            region = taste_map.hard_regions
            if region[item] >= 0:
                said.append(region[item] not in {region[i] for i in split.train[[u]].indices})
        return float(np.mean(said)) if said else np.nan

    pairs = np.array(
        [
            (share(judges[0].audit_maps, u, i), share(judges[0].objective_maps, u, i))
            for u in range(USERS)
            for i in items[u]
            if i >= 0
        ]
    )
    judged, own = pairs[~np.isnan(pairs).any(axis=1)].T
    said = summarize_judge(judges[0], split.train, items)
    assert said.unexplored == pytest.approx(judged.mean(), rel=1e-12)
    assert said.lift == pytest.approx((judged * own).sum() / own.sum() / judged.mean(), rel=1e-12)
    assert (said.n_users, said.n_maps, said.n_regions) == (60, 3, 5.0)
    same = summarize_judge(replace(judges[0], audit_maps=judges[0].objective_maps), split.train, items)
    assert same.lift > said.lift  # who judges by the maps that are aimed at always says so
    none = summarize_judge(replace(judges[0], audit_maps=()), split.train, items)
    assert np.isnan(none.unexplored) and np.isnan(none.lift)


def test_folds_that_do_not_fit_are_refused_in_one_line():
    _, truth, judges, runs = make_folded_world()
    for broken, of, said in (
        (runs[:-1], judges, "found runs of 5 folds and 6 judges"),
        (runs[:-1], judges[:-1], "halving 2 has 1 folds, expected 2"),
        ([*runs[:-1], {"fixed": runs[0]["fixed"]}], judges, "fold 5 has other runs"),
        ([], [], "found runs of 0 folds"),
    ):
        with pytest.raises(RecsysError, match=said):
            evaluate_folds(broken, truth, of, ["ndcg@5"])
    with pytest.raises(RecsysError, match="gini is of all slates"):
        evaluate_folds(runs, truth, judges, ["gini@5"], audience="inside")
    with pytest.raises(RecsysError, match="audience"):
        evaluate_folds(runs, truth, judges, ["gini@5"], audience="inner")
    short = replace(judges[0], audit_maps=make_maps(make_split(items=39)))
    with pytest.raises(RecsysError, match="is of 39 items"):
        evaluate_folds(runs, truth, [short, *judges[1:]], ["ndcg@5"])
    with pytest.raises(RecsysError, match="found 3 and 0 halvings of the users, expected as many"):
        pool_replicates([evaluate_folds(runs, truth, judges, ["ndcg@5"]), evaluate(runs[0], truth, ["ndcg@5"])])


def simulate_folds(rng, users: int, n_maps: int, halvings: int, sizes: tuple[float, float, float]):
    """Values of fold, map and user around 0 whose effects have the standard deviations of users, maps and halvings."""
    of_user, of_map = rng.normal(size=users) * sizes[0], rng.normal(size=n_maps) * sizes[1]
    of_halving = np.repeat(rng.normal(size=halvings) * sizes[2], 2)
    noise = rng.normal(size=(2 * halvings, n_maps, users)) * 0.1
    return of_user + of_map[:, None] + of_halving[:, None, None] + noise


@pytest.mark.parametrize("sizes", [(1.0, 0.0, 0.0), (1.0, 0.3, 0.0), (0.5, 0.0, 0.3), (1.0, 0.2, 0.15)])
def test_intervals_hold_the_truth_when_users_maps_and_halvings_err(sizes):
    """Of 200 simulated benchmarks, 95 % intervals hold 0 in 90 % or more (fewer than 180: once in 200 such tests)."""
    users, n_maps, halvings, held = np.arange(100, dtype=np.int32), 24, 3, 0
    everybody = np.ones(len(users), dtype=bool)
    for trial in range(200):
        sums = FoldSums(len(users))
        drawn = simulate_folds(np.random.default_rng(trial), len(users), n_maps, halvings, sizes)
        for f, values in enumerate(drawn):
            sums.add(PerMap(values, "made up", 1), users, everybody, f // 2, trial)
        influence = bootstrap_sums(sums.influence[None] / len(drawn), users, trial, 300)
        cell = cross_fitting._build_user_score(("run", "metric", 5), sums, influence[0], trial)
        held += cell.limits.low <= 0 <= cell.limits.high
    assert held >= 180, held


@pytest.mark.parametrize("name", ["exposure_deficit", "exposure_deficit_own", "out_of_bubble_recall"])
def test_what_communities_consume_knows_nothing_of_the_tables_users(name):
    """With other likes of the tables' half, values of the judge's users keep every bit; by all users they do not."""
    split, truth, judges, runs = make_folded_world(halvings=1)
    fold, train = judges[0].fold, split.train.toarray()
    train[fold.table_users] = np.random.default_rng(5).random((len(fold.table_users), train.shape[1])) < 0.4
    truths = [truth, replace(truth, split=replace(split, train=sparse.csr_array(train)))]
    judged = [one.with_judge(judges[0]) for one in truths]
    by_all = [replace(one, judge_users=None) for one in judged]
    for pair, same in ((judged, True), (by_all, False)):
        one, other = (getattr(metrics, name)(Evaluation(runs[0]["folded"], of), 5).values for of in pair)
        assert np.array_equal(one[:, fold.judge_users], other[:, fold.judge_users], equal_nan=True) == same
        assert np.isfinite(one[:, fold.table_users]).any()


# --- tests of differences, and limits in segments, know of halvings ---


def build_simulated_scores(trial: int, sizes: tuple[float, float, float], users: int = 100) -> Scores:
    """A base and a run that differ by nothing but what users, maps and halvings err, read over three halvings."""
    people, everybody = np.arange(users, dtype=np.int32), np.ones(users, dtype=bool)
    segments = {"activity": (np.arange(users) % 4).astype(np.int32)}
    drawn = simulate_folds(np.random.default_rng(trial), users, 24, 3, sizes)
    cells = []
    for run, values in (("base", np.zeros_like(drawn)), ("run", drawn)):
        sums = FoldSums(users, encode_parts(segments))
        for f, of_fold in enumerate(values):
            sums.add(PerMap(of_fold + 5.0, "made up", 1), people, everybody, f // 2, trial)
        influence = bootstrap_sums(sums.influence[None] / len(drawn), people, trial, 200)
        cells.append(cross_fitting._build_user_score((run, "metric", 5), sums, influence[0], trial))
    return Scores(tuple(cells), people, people.astype(str), trial, 200, segments=segments, halvings=3)


@pytest.mark.parametrize("sizes", [(1.0, 0.0, 0.0), (0.3, 0.0, 0.3), (1.0, 0.2, 0.15)])
def test_tests_and_limits_in_segments_hold_their_level_when_halvings_err(sizes):
    """Of 100 simulated benchmarks without a difference at most 11 are called different (more: once in 200 such tests).

    Signs of users alone call most of them different where halvings err.
    """
    called, left, by_signs = 0, 0, 0
    for trial in range(100):
        scores = build_simulated_scores(trial, sizes)
        pairs = pair_with_base(scores, "base")
        called += compute_p_values(pairs, scores, 200)[0] <= 0.05
        by_signs += p_sign_flips(pairs, scores, 200)[0] <= 0.05
        parts = tabulate_segments(pairs, scores)
        left += ((parts.joint_low > 0) | (parts.joint_high < 0)).any()
    assert called <= 11 and left <= 11, (called, left)
    assert by_signs > 30 or sizes[2] < 0.3


def test_limits_in_segments_are_wider_by_halvings_and_are_stored():
    scores = build_simulated_scores(3, (0.5, 0.0, 0.3))
    width = [
        (table.joint_high - table.joint_low).to_numpy()
        for of in (scores, unpack_scores(pack_scores(scores)), replace(scores, halvings=0))
        for table in [tabulate_segments(pair_with_base(of, "base"), of)]
    ]
    np.testing.assert_allclose(width[0], width[1])
    assert (width[0] > 1.5 * width[2]).all()
    sums = scores.cells[1].halving_parts.sum(axis=2)
    np.testing.assert_allclose(sums[0], scores.cells[1].draws[-3:])
    np.testing.assert_allclose(sums[1], 1.0)
