"""Benchmarks whose audit maps are made from users that objectives do not know."""

import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import make_exposures, write_tables
from test_bench import CONFIG

from recsys.configs import parse_config
from recsys.experiments import bench, pipeline
from recsys.experiments.comparisons import compare_folders
from recsys.experiments.evaluation import evaluate_files
from recsys.experiments.folds import build_or_load_judges, depends_on_fold
from recsys.experiments.rerankings import build_fold_slates
from recsys.retrieval.candidates import candidates, make_context
from recsys.retrieval.fold_contexts import make_fold_context
from recsys.scores.cross_fitting import evaluate_folds
from recsys.support.cache import Cache
from recsys.sweeps.trial_evaluator import build_trial_evaluator
from recsys.types import GroundTruth, RecsysError

USERS = 140


def read_settings(**evaluation):
    settings = tomllib.loads(CONFIG.format(kind="random"))
    settings["blends"]["drawn"] = {"relevance": 1.0, "thompson": 0.2, "noise": 0.1}
    return {**settings, "name": "folded", "evaluation": {"n_bootstrap": 100, **evaluation}}


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folded")
    write_tables(folder, USERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        patch.chdir(folder)
        yield folder, bench(read_settings(), out=folder / "runs", quiet=True)


def test_a_benchmark_is_cross_fitted_unless_told_otherwise(folded):
    folder, done = folded
    assert done.scores.halvings == 3 and len(done.readings.judges) == 6
    assert done.summary.convention.str.contains("cross-fitted: mean over 3 halvings").any()
    seen = bench(read_settings(halvings=0), out=folder / "seen", quiet=True)
    assert seen.readings is None and seen.scores.halvings == 0 and "seen" not in seen.summary
    np.testing.assert_array_equal(done.summary.seen, seen.summary.value)
    np.testing.assert_allclose(done.summary.seen_gap, done.summary.seen - done.summary.value)
    both = done.differences.merge(seen.differences, on=["run", "metric", "k"])
    np.testing.assert_allclose(both.seen_relative, both.relative_y, rtol=1e-9)
    np.testing.assert_allclose(both.seen_gap, both.seen_relative - both.relative_x, rtol=1e-9)
    with pytest.raises(RecsysError, match="judged by 3 and 0 halvings of the users"):
        compare_folders([done.folder, seen.folder])


def test_its_folder_says_who_judges_and_what_each_reader_says(folded):
    _, done = folded
    judges, readings = (pd.read_csv(done.folder / f"{name}.csv") for name in ("judges", "readings"))
    assert judges.users.tolist() == [70] * 6 and judges.half.tolist() == list("ab") * 3
    assert ((judges.unexplored > 0) & (judges.unexplored < 1) & (judges.lift > 0)).all()
    assert (judges.hits_two_witnesses <= judges.hits).all() and (judges.hits <= judges.held_out).all()
    assert set(readings.reader) == {"all", "inside", "outside", "two witnesses", "seen"}
    found = readings[readings.metric == "discovery"].pivot(index="run", columns="reader", values="value")
    summary = done.summary[(done.summary.metric == "discovery") & (done.summary.k == 3)].set_index("run")
    np.testing.assert_allclose(found["all"], summary.value[found.index])
    np.testing.assert_allclose(found["seen"], summary.seen[found.index])
    np.testing.assert_allclose(readings.relative[(readings.run == "als")].dropna(), [])
    said = [note for note in done.notes if note.startswith("judges have 70 users (fewer than 3,000)")]
    assert len(said) == 1 and "the smallest change of discovery@3 that could have been shown is" in said[0]
    assert "seen users" in (done.folder / "report.html").read_text(encoding="utf-8")


def test_runs_that_know_nobody_else_are_the_same_in_every_fold(folded):
    _, done = folded
    judges = build_or_load_judges(done.preparation)
    by_fold = build_fold_slates(done.preparation, done.specs, done.slates, judges, quiet=True)
    for spec in done.specs:
        same = all(of[3][spec.name] is done.slates[3][spec.name] for of in by_fold)
        assert same != depends_on_fold(spec, done.preparation.config) == (spec.family in ("wider", "mixed"))
    assert any((of[3]["wider-0.5"].items != done.slates[3]["wider-0.5"].items).any() for of in by_fold)


def test_objectives_of_the_base_model_alone_say_the_same_in_every_fold(folded):
    from test_cross_fitting import assert_same_bits

    from recsys import objectives
    from recsys.experiments.folds import FOLD_FREE_OBJECTIVES
    from recsys.experiments.pipeline import build_or_load_pool

    _, done = folded
    config, judge = done.preparation.config, build_or_load_judges(done.preparation)[1]
    pool = build_or_load_pool(done.preparation, config.model, config.pool)[0]
    shown = make_exposures(done.preparation.split)
    context = make_context(done.preparation.split, maps=pool.context.maps, shown=shown)
    pool = replace(pool, context=replace(pool.context, exposures=context.exposures))
    moved = type(pool)(pool.users, pool.items, pool.scores, make_fold_context(pool.context, judge.fold))
    for name in FOLD_FREE_OBJECTIVES:
        assert_same_bits(getattr(objectives, name)(pool, 3), getattr(objectives, name)(moved, 3))


def test_its_values_are_those_of_slates_made_by_hand(folded):
    """From a split on: contexts of each half, slates, maps of the other half, and their mean."""
    from recsys import maps
    from recsys.experiments.pipeline import fit_or_load_model
    from recsys.reranking.slates import fit_each_scale, rerank
    from recsys.retrieval.fold_contexts import select_table_users
    from recsys.splits.cross_fitting import make_folds
    from recsys.types import Judge

    _, done = folded
    split, config = done.preparation.split, done.preparation.config
    model, blend = fit_or_load_model(done.preparation, config.model)[0], {"relevance": 1.0, "negative_space": 0.5}
    base, judges, runs = candidates(model, split, n=15), [], []
    for fold in make_folds(len(split.user_ids), 3, config.seed):
        pool = type(base)(base.users, base.items, base.scores, make_fold_context(base.context, fold))
        scale = fit_each_scale(select_table_users(pool, fold), blend, 3, lambda alone, fit: fit())
        runs.append({"wider-0.5": rerank(pool, blend, 3, scale=scale)})
        audit = maps.audit_maps(split.train[fold.judge_users], seed=config.seed, half=None)
        judges.append(Judge(fold, audit, pool.context.maps))
    cell = evaluate_folds(runs, GroundTruth(split), judges, ["discovery@3"], n_bootstrap=100).cells[0]
    row = done.summary.query("run == 'wider-0.5' and metric == 'discovery' and k == 3").iloc[0]
    assert (row.value, row.ci_low, row.ci_high) == pytest.approx((cell.value, *cell.limits[:2]), rel=1e-9)


def test_trials_of_a_sweep_are_read_as_benchmarks_are(folded):
    _, done = folded
    evaluator = build_trial_evaluator(done.preparation, ["ndcg@3", "discovery@3"])
    assert len(evaluator.judges) == 6
    values = done.summary[done.summary.k == 3].pivot(index="run", columns="metric", values="value")
    for run in ("wider-0.5", "mixed", "drawn", "als"):
        settings, spec = read_settings(), next(one for one in done.specs if one.name == run)
        settings["blends"] = {} if run == "als" else {run: dict(spec.blend)}
        config = parse_config({**settings, "models": {}})
        found = evaluator.evaluate_config(config).whole
        assert found == pytest.approx({"ndcg@3": values.ndcg[run], "discovery@3": values.discovery[run]}, rel=1e-9)
        cell = evaluator.evaluate_blends({"one": config}, ["discovery@3"]).cells[0]
        assert cell.value == pytest.approx(values.discovery[run], rel=1e-9) and "cross-fitted" in cell.convention
    assert build_trial_evaluator(done.preparation, ["ndcg@3"]).judges == ()


def test_a_likelihood_reads_the_tables_of_the_fold(folded):
    folder, _ = folded
    settings = {**read_settings(metrics=["ndcg", "discovery"]), "likelihood": {}, "models": {}, "baselines": []}
    settings["blends"] = {"plain": {"relevance": 1.0, "noise": 0.1}}
    done = bench(settings, out=folder / "learned", quiet=True)
    assert done.likelihood.beats_base
    judges = build_or_load_judges(done.preparation)
    by_fold = build_fold_slates(done.preparation, done.specs, done.slates, judges, quiet=True)
    for run in ("likelihood", "plain"):
        assert any((of[3][run].items != done.slates[3][run].items).any() for of in by_fold)
    assert all(of[3]["als"] is done.slates[3]["als"] for of in by_fold)  # the base keeps the model's own order


def test_lists_from_elsewhere_are_judged_by_each_half(folded):
    folder, done = folded
    picks = done.slates[5]["als"].to_frame()[["user_id", "item_id", "rank"]]
    picks.to_csv(folder / "mine.csv", index=False)
    settings = {**read_settings(), "models": {}, "blends": {}}
    import tomli_w

    (folder / "lists.toml").write_text(tomli_w.dumps({k: v for k, v in settings.items() if v != {}}), encoding="utf-8")
    judged = evaluate_files(folder / "mine.csv", folder / "lists.toml", out=folder / "lists", quiet=True)
    assert judged.scores.halvings == 3
    values = judged.summary.pivot(index=["metric", "k"], columns="run", values="value")
    np.testing.assert_allclose(values["mine"], values["als"], rtol=1e-9)


def test_few_users_and_metrics_without_maps_are_read_as_before(tmp_path, monkeypatch):
    write_tables(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    monkeypatch.chdir(tmp_path)
    few = bench(read_settings(metrics=["ndcg", "discovery"]), out=tmp_path / "few", quiet=True)
    assert few.scores.halvings == 0 and few.notes[-1].startswith("60 users, fewer than 100, are not halved")
    write_tables(tmp_path, USERS)
    plain = bench(read_settings(metrics=["ndcg", "gini"]), out=tmp_path / "plain", quiet=True)
    assert plain.scores.halvings == 0 and plain.readings is None
    with pytest.raises(RecsysError, match="halvings"):
        bench(read_settings(halvings=-1), out=tmp_path / "none", quiet=True)


def test_maps_that_are_made_beside_each_other_are_those_made_one_by_one(folded, tmp_path, monkeypatch):
    prepared, maps = folded[1].preparation, []
    for most in (5000, 0):
        monkeypatch.setattr(pipeline, "MAX_ITEMS_BESIDE", most)
        judges = build_or_load_judges(replace(prepared, cache=Cache(tmp_path / str(most))))
        maps.append(
            [one for judge in judges for one in (*judge.audit_maps, *judge.objective_maps, *judge.witness_maps)]
        )
    assert [one.name for one in maps[0]] == [one.name for one in maps[1]]
    assert all((one.assignment != other.assignment).nnz == 0 for one, other in zip(*maps, strict=True))
