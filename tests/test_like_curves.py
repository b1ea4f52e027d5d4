"""Like curves: probabilities of picks, their reliability, and slates that grow where the ranker is not sure."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_validation_world, write_tables

import recsys as rs
from recsys.cli import main
from recsys.evidence import LikeCurve, attach_like_probabilities, fit_like_curve, read_reliability
from recsys.evidence.like_curves import choose_slate_length
from recsys.maths.reliability import measure_reliability, split_calibration_error
from recsys.metrics import expected_calibration_error
from recsys.rankers import Ranker
from recsys.reranking.slates import rerank
from recsys.types import Evaluation, GroundTruth, RecsysError


@pytest.fixture(scope="module")
def world():
    return make_validation_world()


@pytest.fixture(scope="module")
def curve(world):
    return fit_like_curve(world[0], world[1])


@pytest.fixture(scope="module")
def ranker(world, curve):
    _, split, model, maps = world
    return Ranker.fit(model, split, {"relevance": 1.0, "mmr": 0.2}, maps=maps, n=25, k=6, like_curve=curve)


def measure_slowly(probabilities, liked, n_bins):
    """Bins of equally many by rank; equal probabilities go to the bin of the first of them."""
    order = sorted(range(len(liked)), key=lambda n: probabilities[n])
    bins = {}
    for rank, n in enumerate(order):
        first = next(r for r in range(rank + 1) if probabilities[order[r]] == probabilities[n])
        bins.setdefault(first * n_bins // len(liked), []).append(n)
    rows = [bins[b] for b in sorted(bins)]
    means = [(np.mean([probabilities[n] for n in row]), np.mean([liked[n] for n in row]), len(row)) for row in rows]
    return means, sum(n * abs(p - y) for p, y, n in means) / len(liked)


@pytest.mark.parametrize("seed", range(4))
def test_reliability_is_that_of_the_slow_statement(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 40, 137) / 40
    liked = rng.random(137) < probabilities**2
    rows, error = measure_slowly(probabilities.tolist(), liked.tolist(), 10)
    found = measure_reliability(probabilities, liked)
    np.testing.assert_allclose(np.column_stack(found), rows)
    assert found.calibration_error == pytest.approx(error)
    assert split_calibration_error(probabilities, liked).mean() == pytest.approx(error)


def test_metric_is_the_calibration_error_of_picks(world):
    pool, split, _, _ = world
    curve = fit_like_curve(pool, split)
    slates = attach_like_probabilities(rerank(pool, {"relevance": 1.0}, 7), pool, curve)
    truth = GroundTruth(replace(split, test=split.validation))
    found = expected_calibration_error(Evaluation(slates.items, truth, slates.like_probabilities), 7)
    expected = read_reliability(slates, split.validation).calibration_error
    assert np.nanmean(found.values) == pytest.approx(expected) and 0 < expected < 0.5
    scores = rs.evaluate({"base": slates}, truth, ["expected_calibration_error"], [7], n_bootstrap=100)
    assert scores.cells[0].value == pytest.approx(expected)
    assert np.isnan(expected_calibration_error(Evaluation(slates.items, truth), 7).values).all()


def test_picks_have_the_probability_of_their_score_in_the_pool(world, curve):
    pool = world[0]
    slates = rerank(pool, {"relevance": 1.0, "noise": 2.0}, 5)
    found = attach_like_probabilities(slates, pool, curve).like_probabilities
    for user in (0, 7):
        for slot in range(5):
            place = pool.items[user].tolist().index(slates.items[user, slot])
            assert found[user, slot] == curve.compute_probabilities(pool.scores[user, [place]])[0]
    foreign = replace(slates, items=np.where(slates.items == slates.items[0, 0], -1, slates.items))
    assert attach_like_probabilities(foreign, pool, curve).like_probabilities[0, 0] == 0


def test_fitted_curve_is_calibrated_where_it_was_fitted(world):
    pool, split, _, _ = world
    curve = fit_like_curve(pool, split, n=25)
    best = pool.items[:, :25]
    told = np.diff(split.validation.indptr) > 0
    liked = np.take_along_axis(split.validation.toarray(), best, axis=1)[told]
    assert curve.compute_probabilities(pool.scores[:, :25])[told].mean() == pytest.approx(liked.mean(), abs=2e-3)


def test_window_is_a_chance_in_as_many_windows():
    one, three = LikeCurve(2.0, -1.0), LikeCurve(2.0, -1.0, window=3.0)
    scores = np.linspace(-40, 40, 9)
    np.testing.assert_allclose(
        three.compute_probabilities(scores), 1 - (1 - one.compute_probabilities(scores)) ** 3, atol=1e-12
    )


@pytest.mark.parametrize("wrong", [{"slope": 0.0}, {"offset": float("nan")}, {"window": 0.0}, {"likelihood_kind": "x"}])
def test_bad_curves(wrong):
    with pytest.raises(RecsysError, match="like curve"):
        LikeCurve(**{"slope": 1.0, "offset": 0.0, **wrong})


def test_picks_of_a_ranker_have_probabilities(world, ranker, curve, tmp_path):
    user = str(world[1].user_ids[2])
    answer = ranker.rank(user=user)
    np.testing.assert_array_equal(answer.like_probabilities, curve.compute_probabilities(answer.relevance))
    assert answer.to_dict()["like_probabilities"] == answer.like_probabilities.tolist()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(answer)).like_probabilities, answer.like_probabilities)
    ranker.save(tmp_path / "ranker")
    again = Ranker.load(tmp_path / "ranker")
    assert again.like_curve == curve and again.name == ranker.name
    np.testing.assert_array_equal(again.rank(user=user).like_probabilities, answer.like_probabilities)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(ranker)).rank(user=user).like_probabilities, answer.like_probabilities
    )


def test_without_a_curve_nothing_is_said(world):
    _, split, model, maps = world
    plain = Ranker.fit(model, split, {"relevance": 1.0}, maps=maps, n=25, k=6)
    assert plain.rank(user=str(split.user_ids[0])).like_probabilities is None
    with pytest.raises(RecsysError, match="like curve"):
        plain.rank(user=str(split.user_ids[0]), widen_to=12)
    with pytest.raises(RecsysError, match="like_curve is a float"):
        Ranker.fit(model, split, {"relevance": 1.0}, maps=maps, n=25, k=6, like_curve=0.3)


def test_log_odds_of_a_logistic_likelihood_need_no_curve(world):
    pool, split, model, maps = world
    likelihood = rs.fit_likelihood(pool, split, kind="logistic", n=30)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, maps=maps, n=25, k=6, likelihood=likelihood)
    answer = ranker.rank(user=str(split.user_ids[0]))
    assert ranker.likelihood is likelihood
    np.testing.assert_allclose(answer.like_probabilities, 1 / (1 + np.exp(-answer.relevance.astype(float))))
    assert ranker.rank().like_probabilities is None


def test_a_slate_grows_where_the_ranker_is_not_sure(world, ranker):
    user, seen = str(world[1].user_ids[0]), set()
    for offset in (3.0, -1.0, -3.0, -9.0):
        unsure = replace(ranker, like_curve=LikeCurve(1e-3, offset), name="")
        answer = unsure.rank(user=user, widen_to=15)
        long = unsure.rank(user=user, k=25)
        likely = unsure.like_curve.compute_probabilities(np.sort(long.relevance)[::-1])
        assert len(answer.items) == choose_slate_length(likely, 6, 15)
        assert bool(answer.notes) == (answer.like_probabilities.sum() < 1)
        if answer.notes:
            assert answer.notes[0].startswith(f"Not sure: of these {len(answer.items)} items,")
        seen.add(len(answer.items))
        assert answer.items == unsure.rank(user=user, k=len(answer.items)).items
    assert seen >= {6, 15}
    with pytest.raises(RecsysError, match="widen_to is 3"):
        ranker.rank(user=user, widen_to=3)


def test_rank_command_prints_probabilities(world, ranker, tmp_path, capsys):
    folder = ranker.save(tmp_path / "ranker")
    user = str(world[1].user_ids[0])
    main(["rank", str(folder), "--user", user, "--widen-to", "15"])
    shown = capsys.readouterr().out
    likely = ranker.rank(user=user, widen_to=15).like_probabilities
    assert "P(like)" in shown and all(f"{p:.4f}" in shown for p in likely)


CONFIG = """
name = "sure"
[data]
path = "ratings.csv"
items = "items.csv"
[filter]
positive = "rating >= 3"
min_user_interactions = 3
[split]
validation = 0.2
test = 0.2
[model]
kind = "als"
factors = 4
[pool]
n = 20
[slate]
k = [5]
[blends.mmr]
relevance = 1.0
mmr = 0.3
[evaluation]
n_bootstrap = 100
metrics = ["ndcg", "expected_calibration_error"]
[evidence]
like_curve = true
like_curve_candidates = 15
"""


def test_bench_reads_the_reliability_of_each_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    write_tables(tmp_path)
    (tmp_path / "sure.toml").write_text(CONFIG)
    done = rs.bench(tmp_path / "sure.toml", quiet=True)
    table = done.reliability.table
    assert {*zip(table.run, table.part, strict=True)} >= {("als", "validation"), ("als", "test"), ("mmr", "test")}
    values = done.summary.set_index(["run", "metric"]).value
    for run in ("als", "mmr"):
        rows = table[(table.run == run) & (table.part == "test")]
        error = (rows.picks * (rows.probability - rows.liked).abs()).sum() / rows.picks.sum()
        assert values[run, "expected_calibration_error"] == pytest.approx(error)
    assert np.isnan(values["most_popular", "expected_calibration_error"])
    assert (done.folder / "reliability.csv").is_file()
    assert "Reliability of P(like)" in (done.folder / "reliability.svg").read_text()
    assert any("expected calibration error" in note for note in done.notes)
    assert "like_probability" in __import__("pandas").read_parquet(done.folder / "slates.parquet").columns


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("validation = 0.2", "validation = 0", "validation is 0"),
        ("n_boot", 'split = "validation"\nn_boot', "fitted to validation"),
    ],
)
def test_bad_sections(tmp_path, old, new, found):
    from recsys.configs import read_config

    write_tables(tmp_path)
    (tmp_path / "sure.toml").write_text(CONFIG.replace(old, new, 1))
    with pytest.raises(RecsysError, match=found):
        read_config(tmp_path / "sure.toml")
