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


def _measure_near_share(split, slates):
    """Return the share of slots nearest to a one-off, by loops, a mean over users who have one-offs."""
    one_offs, found = split.one_offs, []
    for user, slate in enumerate(slates):
        liked, light = split.train[[user]].indices, set(one_offs.find_items(user).tolist())
        if not light:
            continue
        shares = []
        for item in slate:
            cosines = {j: float(one_offs.vectors[j] @ one_offs.vectors[item]) for j in liked.tolist()}
            nearest = [j for j, cosine in cosines.items() if cosine > max(cosines.values()) - 1e-6]
            shares.append(np.mean([j in light for j in nearest]))
        found.append(np.mean(shares))
    return np.mean(found)


@pytest.fixture(scope="module")
def sides(folder, tmp_path_factory):
    """Return a benchmark with the rule beside a likelihood, and that of a config without the rule."""
    out, learned = tmp_path_factory.mktemp("runs"), {"likelihood": {"features": ["score", "log_popularity"]}}
    rule = {"one_offs": {"share": 0.1, "n_near": 2, "min_history": 3}}
    contents = (_make_config(folder, evidence=rule, **learned), _make_config(folder, **learned))
    return [rs.bench(content, out=out, quiet=True) for content in contents]


def test_the_rule_stands_beside_its_absence_which_is_a_config_without(sides):
    done, plain = sides
    assert {run.name for run in done.specs} == {"als", "likelihood", "mmr"} and plain.rule_costs is None
    rows = done.rule_costs.set_index(["rule", "run", "measure"])
    for run in ("als", "likelihood", "mmr"):
        row = rows.loc["one_offs", run, "ndcg"]
        assert row.with_rule == pytest.approx(_get_values(done)[run])
        assert row.without == pytest.approx(_get_values(plain)[run])
        assert not np.array_equal(done.slates[5][run].items, plain.slates[5][run].items)
        near = rows.loc["one_offs", run, "share of slots nearest to a one-off"]
        expected = [_measure_near_share(done.preparation.split, of.slates[5][run].items) for of in sides]
        assert (near.with_rule, near.without) == pytest.approx(expected, abs=1e-6)
        assert near.low <= near.difference <= near.high
    one_offs = done.preparation.split.one_offs
    assert 0 < one_offs.flags.sum() <= 0.1 * len(one_offs.flags)
    assert done.preparation.split.train.nnz == len(one_offs.flags)
    (note,) = [one for one in done.notes if one.startswith("one-offs: ")]
    assert f"one-offs: {one_offs.flags.sum():,} of {len(one_offs.flags):,} training positives" in note
    assert not any(one.startswith("one-offs: ") for one in plain.notes)


def test_a_likelihood_is_fitted_beside_the_one_offs_of_train_without_validation(sides):
    whole, judged = sides[0].preparation.whole, sides[0].preparation.split
    assert whole.one_offs.flags.any() and whole.train.nnz < judged.train.nnz == judged.one_offs.scores.nnz
    with_rule, without = (one.likelihood.coefficients for one in sides)
    assert not np.array_equal(with_rule, without)


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


def test_guest_runs_have_a_row_of_the_table_of_rules(folder, tmp_path):
    rule = {"share": 0.2, "shortest": 2, "longest": 3, "max_days": 1000, "weight": 0.5}
    content = {**_make_config(folder), "blends": {}}
    done = rs.bench({**content, "evidence": {"guest_runs": rule}}, out=tmp_path, quiet=True)
    plain = rs.bench(content, out=tmp_path, quiet=True)
    runs, costs = done.preparation.split.guest_runs, done.rule_costs
    assert runs.flags.any()
    of_rule = costs[(costs["rule"] == "guest_runs") & (costs["run"] == "als")]
    ndcg = of_rule[of_rule["measure"] == "ndcg"].iloc[0]
    assert ndcg["without"] == pytest.approx(_get_values(plain)["als"])
    assert ndcg["with_rule"] == pytest.approx(_get_values(done)["als"])
    held = of_rule[of_rule["measure"] == "share of guest runs"].iloc[0]
    assert 0.0 < held["with_rule"] < held["without"]
    assert any(note.startswith(f"guest runs: {runs.flags.sum():,} of ") for note in done.notes)
