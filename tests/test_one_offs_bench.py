"""One-offs in benchmarks, beside the run in which all positives count whole, in exports, and in configs."""

import numpy as np
import pytest
from synthetic import write_tables

import recsys as rs
from recsys.configs import parse_config
from recsys.experiments.exports import export
from recsys.rankers import Ranker
from recsys.types import RecsysError


def _make_config(folder, **changed):
    return {
        "name": "one-offs",
        "data": {"path": str(folder / "ratings.csv"), "columns": {"weight": "rating", "datetime": "timestamp"}},
        "filter": {"positive": "rating >= 3"},
        "split": {"kind": "per_user_time", "validation": 0.1, "test": 0.2},
        "model": {"kind": "als", "factors": 4, "iterations": 3},
        "baselines": [],
        "pool": {"n": 10},
        "slate": {"k": [5]},
        "evaluation": {"metrics": ["ndcg"], "n_bootstrap": 100, "halvings": 0},
        "blends": {"mmr": {"relevance": 1.0, "mmr": 0.1}},
        **changed,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("one_offs_bench")
    write_tables(made)
    return made


def _get_values(done):
    rows = done.summary[done.summary["metric"] == "ndcg"]
    return dict(zip(rows["run"], rows["value"], strict=True))


def test_a_benchmark_has_the_run_without_beside_and_it_is_that_of_a_config_without(folder, tmp_path):
    rule = {"share": 0.1, "n_near": 2, "min_history": 3}
    done = rs.bench(_make_config(folder, evidence={"one_offs": rule}), out=tmp_path, quiet=True)
    plain = rs.bench(_make_config(folder), out=tmp_path, quiet=True)
    assert {run.name for run in done.specs} == {"als", "als_whole", "mmr"}
    assert _get_values(done)["als_whole"] == _get_values(plain)["als"]
    one_offs = done.preparation.split.one_offs
    assert 0 < one_offs.flags.sum() <= 0.1 * len(one_offs.flags)
    assert done.preparation.split.train.nnz == len(one_offs.flags)
    (note,) = [one for one in done.notes if one.startswith("one-offs: ")]
    assert f"one-offs: {one_offs.flags.sum():,} of {len(one_offs.flags):,} training positives" in note
    assert not any(one.startswith("one-offs: ") for one in plain.notes)
    slates = {name: found.items for name, found in done.slates[5].items()}
    assert not np.array_equal(slates["als"], slates["als_whole"])


def test_an_exported_ranker_looks_for_one_offs(folder, tmp_path):
    config = _make_config(folder, evidence={"one_offs": {"share": 0.05, "n_near": 2, "min_history": 3}})
    export(config, tmp_path / "ranker", quiet=True)
    ranker = Ranker.load(tmp_path / "ranker")
    assert ranker.context.one_offs is not None
    assert ranker.context.one_offs.flags.any()


def test_settings_are_checked_when_the_config_is_read(folder):
    with pytest.raises(RecsysError, match=r"\[evidence\.one_offs\]|evidence\.one_offs"):
        parse_config(_make_config(folder, evidence={"one_offs": {"share": 1.0}}))
    with pytest.raises(RecsysError, match="treshold"):
        parse_config(_make_config(folder, evidence={"one_offs": {"treshold": 0.5}}))
    digest = parse_config(_make_config(folder)).compute_digest()
    assert parse_config(_make_config(folder, evidence={"one_offs": {}})).compute_digest() != digest
