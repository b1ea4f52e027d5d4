"""`[likelihood]` in a config: bench, sweep, recommend and export."""

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from synthetic import write_tables

from recsys.configs import parse_config, read_config
from recsys.experiments import bench
from recsys.experiments.likelihoods import build_or_load_likelihood, build_or_load_ranked_pool
from recsys.experiments.pipeline import build_or_load_pool, prepare_benchmark
from recsys.experiments.recommendations import recommend
from recsys.likelihoods import load_likelihood
from recsys.sweeps.sweeps import sweep
from recsys.types import RecsysError

CONFIG = """
[data]
path = "ratings.csv"

[filter]
positive = "rating >= 3"
min_user_interactions = 3
min_item_interactions = 2

[split]
kind = "random"
validation = 0.2
test = 0.3

[model]
kind = "als"
factors = 8
iterations = 3

[pool]
n = 15

[likelihood]
n_folds = 3

[slate]
k = [3, 5]

[evaluation]
n_bootstrap = 100
metrics = ["ndcg", "discovery"]

[blends.wider]
relevance = 1.0
unexplored = [0.2, 0.5]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("likelihood")
    write_tables(home)
    (home / "own.toml").write_text(CONFIG)
    return home


@pytest.fixture(autouse=True)
def cells(folder, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(folder / "cells"))


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        return bench(folder / "own.toml", out=folder / "runs", quiet=True)


def test_the_likelihood_is_a_run_beside_its_base(done):
    runs = [spec.name for spec in done.specs]
    assert runs.index("als") < runs.index("likelihood") < runs.index("wider-0.2")
    assert [spec.name for spec in done.specs if spec.by_likelihood] == ["likelihood", "wider-0.2", "wider-0.5"]
    base = build_or_load_pool(done.preparation, done.preparation.config.model, done.preparation.config.pool)[0]
    assert (done.slates[3]["als"].items == base.items[:, :3]).all()
    section = done.preparation.config
    ranked = build_or_load_ranked_pool(done.preparation, section.model, section.pool)[0]
    assert (done.slates[3]["likelihood"].items == ranked.items[:, :3]).all()
    assert set(done.differences.base) == {"als"} if "base" in done.differences else True


def test_it_is_fitted_on_validation_likes_of_a_model_of_train(done):
    made, whole = done.likelihood, done.preparation.whole
    assert made.n_users == (np.diff(whole.validation.indptr) > 0).sum()
    assert (
        done.preparation.split.train.nnz == whole.train.nnz + whole.validation.nnz + whole.validation_cold_positives.nnz
    )
    assert made.n_likes <= whole.validation.nnz


def test_notes_and_files_say_its_accuracy_out_of_fold(done, folder):
    assert any("nDCG@10 out of fold" in note for note in done.notes)
    assert "nDCG@10 out of fold" in (done.folder / "report.html").read_text()
    left_out = any("its use is left out" in note for note in done.notes)
    assert left_out == (not done.likelihood.beats_base)
    again = load_likelihood(done.folder / "likelihood.npz")
    assert repr(again) == repr(done.likelihood)
    assert len(pd.read_csv(done.folder / "likelihood.csv")) == len(again.features)
    assert (done.folder / "likelihood.svg").read_text().startswith("<svg")
    assert read_config(done.folder / "config.toml").likelihood.n_folds == 3
    shutil.copy(done.folder / "summary.csv", folder / "likelihood.npz")
    with pytest.raises(RecsysError, match="is no likelihood that can be read"):
        load_likelihood(folder / "likelihood.npz")


def test_on_validation_users_are_ranked_out_of_fold(folder, monkeypatch):
    config = read_config(folder / "own.toml")
    judged = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"split": "validation"})})
    preparation = prepare_benchmark(judged, quiet=True, log_line=lambda _: None)
    asked = []
    from recsys.experiments import likelihoods

    real = likelihoods.apply_likelihood
    monkeypatch.setattr(
        likelihoods, "apply_likelihood", lambda *a, **how: (asked.append(how["out_of_fold"]), real(*a, **how))[1]
    )
    build_or_load_ranked_pool(preparation, judged.model, judged.pool)
    tested = prepare_benchmark(config, quiet=True, log_line=lambda _: None)
    build_or_load_ranked_pool(tested, config.model, config.pool)
    assert asked == [True, False]
    both = [build_or_load_likelihood(one, config.model, config.pool) for one in (preparation, tested)]
    assert repr(both[0]) == repr(both[1])  # one fit for both


def test_without_the_section_a_config_has_the_name_that_it_had(folder):
    plain = parse_config({"data": {"name": "ml-100k"}})
    assert "likelihood" not in plain.dump_settings() and not any(run.by_likelihood for run in plain.list_runs())
    learned = parse_config({"data": {"name": "ml-100k"}, "likelihood": {}})
    assert plain.compute_digest() != learned.compute_digest()
    other = parse_config({"data": {"name": "ml-100k"}, "likelihood": {"kind": "logistic"}})
    assert other.compute_digest() != learned.compute_digest()


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"kind": "tree"}, r"\[likelihood\].*kind"),
        ({"features": ["scor"]}, "unknown feature 'scor': did you mean 'score'"),
        ({"folds": 3}, "folds"),
        ({"n_folds": 1}, "n_folds"),
    ],
)
def test_a_wrong_section_is_one_line(section, match):
    with pytest.raises(RecsysError, match=match) as error:
        parse_config({"data": {"name": "ml-100k"}, "likelihood": section})
    assert "\n" not in str(error.value)


def test_without_validation_it_cannot_be_fitted():
    with pytest.raises(RecsysError, match=r"\[split\] validation is 0, expected a share of likes that \[likelihood\]"):
        parse_config({"data": {"name": "ml-100k"}, "split": {"validation": 0.0}, "likelihood": {}})


def test_a_name_that_is_taken(folder):
    tables = {"data": {"name": "ml-100k"}, "likelihood": {}, "blends": {"likelihood": {"relevance": 1.0, "mmr": 1.0}}}
    with pytest.raises(RecsysError, match="two runs are called 'likelihood'"):
        parse_config(tables)


def test_what_cannot_be_fitted_names_the_section(folder):
    text = CONFIG.replace("n_folds = 3", "n_folds = 3\nfeatures = ['log_history']")
    (folder / "flat.toml").write_text(text)
    with pytest.raises(RecsysError, match=r"\[likelihood\] no feature varies"):
        bench(folder / "flat.toml", out=folder / "runs", quiet=True)


def test_recommend_ranks_by_the_likelihood(folder, done):
    told = recommend(folder / "own.toml", folder / "slates.csv", blend="likelihood", k=3, quiet=True)
    base = recommend(folder / "own.toml", folder / "base.csv", blend="als", k=3, quiet=True)
    assert told.run == "likelihood" and told.users == base.users
    ours, theirs = (pd.read_csv(folder / name) for name in ("slates.csv", "base.csv"))
    assert (ours.item_id.tolist() != theirs.item_id.tolist()) == done.likelihood.beats_base
    if not done.likelihood.beats_base:
        assert any("the base's order is kept" in note for note in told.notes)


def test_a_sweep_starts_from_the_likelihood(folder):
    (folder / "search.toml").write_text(
        'extends = "own.toml"\n[blends.near]\nrelevance = 1.0\nmmr = { float = [0.1, 1.0] }\n'
        '[sweep]\ntrials = 3\nmaximize = ["ndcg@3", "discovery@3"]\naccuracy = "ndcg@3"\nsampler = "random"\n'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sweep(folder / "search.toml", out=folder / "sweeps", quiet=True)
    assert found.winner.likelihood is not None
    assert {spec.name for spec in found.test_bench.specs if spec.by_likelihood} >= {"likelihood"}
    assert all(spec.by_likelihood for spec in found.test_bench.specs if spec.kind == "blend")
    assert any("nDCG@10 out of fold" in note for note in found.test_bench.notes)


def test_export_carries_the_likelihood(folder, done):
    from recsys.experiments.exports import export
    from recsys.rankers import Ranker

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = export(folder / "own.toml", folder / "ranker", blend="wider-0.2", quiet=True)
        plain = export(folder / "own.toml", folder / "plain", blend="als", quiet=True)
    ranker = Ranker.load(told.folder)
    if done.likelihood.beats_base:
        assert ranker.likelihood.features.tolist() == done.likelihood.features.tolist()
    else:
        assert "left out" in ranker.about["likelihood"]
    assert Ranker.load(plain.folder).likelihood is None
