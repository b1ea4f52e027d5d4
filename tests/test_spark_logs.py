"""Models, splits and metrics of Spark: those of one machine. Threads of one process are its workers."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sparks import make_row, on_spark, open_small_session
from synthetic import make_maps, make_split

import recsys as rs
from recsys import spark
from recsys.maths.fold_in import solve_user_factors
from recsys.rankers import Ranker
from recsys.scores.tables import tabulate_scores
from recsys.spark import evaluations, jobs
from recsys.types import GroundTruth, RecsysError

USERS = 40


@pytest.fixture(scope="module")
def session():
    with open_small_session("local[2]") as made:
        yield made


@pytest.fixture(scope="module")
def split():
    return make_split(users=USERS, seed=4)


@pytest.fixture(scope="module")
def likes():
    return np.random.default_rng(0).random((40, 30)) < 0.3


@pytest.fixture(scope="module")
def log(session, likes):
    """A log by numbers, in which rows come twice, and some are no likes."""
    user, item = np.nonzero(likes)
    others = np.argwhere(~likes)[::5]
    rows = [(u + 5, f"i{i}", 5.0) for u, i in zip(user.tolist(), item.tolist(), strict=True)]
    rows += [*rows[:20], *((u + 5, f"i{i}", 1.0) for u, i in others.tolist())]
    columns = zip(("userId", "movieId", "rating"), zip(*rows, strict=True), strict=True)
    return session.createDataFrame(pa.table({name: list(values) for name, values in columns}))


@on_spark
def test_mllib_makes_a_ranker_of_a_log(log, likes, tmp_path):
    made = spark.fit_als(
        log, positive="rating >= 4", factors=4, iterations=1, blocks=1, sample_users=7, alpha=2.0, seed=1
    )
    codes = [int(item[1:]) for item in made.split.item_ids]
    assert made.item_counts.tolist() == likes.sum(axis=0)[codes].tolist()
    assert (made.users, made.positives, len(made.split.user_ids)) == (40, int(likes.sum()), 7)
    for user, own in zip(made.split.user_ids, made.split.train.toarray(), strict=True):
        assert own.tolist() == likes[int(user) - 5, codes].tolist()
    ranker = Ranker.fit(made.model, made.split, {"relevance": 1.0}, k=3, n=30)
    served = Ranker.load(ranker.save(tmp_path / "ranker"))
    theirs = made.user_factors.toArrow().to_pylist()
    assert sorted(int(row["user"]) for row in theirs) == list(range(5, 45))
    factors, ids = made.model.factors.item_factors, made.split.item_ids
    for row in theirs:
        liked = likes[int(row["user"]) - 5, codes]
        ours = solve_user_factors(made.model.factors, make_row(np.flatnonzero(liked), 30))[0]
        np.testing.assert_allclose(ours, row["factor"], atol=1e-4)
        best = np.argsort(-np.where(liked, -np.inf, factors @ np.array(row["factor"])))[:3]
        assert list(served.rank(history=ids[liked].tolist()).items) == ids[best].tolist()
    for user, factor in zip(made.split.user_ids, made.model.factors.user_factors, strict=True):
        (row,) = (row for row in theirs if row["user"] == user)
        np.testing.assert_allclose(factor, row["factor"], atol=1e-4)


@on_spark
def test_iterations_of_mllib_end_at_checkpoints_that_the_stack_of_java_holds(log):
    spark.fit_als(log, factors=1, iterations=6, blocks=1)
    kept = urlparse(log.sparkSession.sparkContext.getCheckpointDir()).path
    assert list(Path(kept).glob("rdd-*"))
    from py4j.protocol import Py4JError

    with (
        pytest.raises(RecsysError, match=r"^spark: als: .* Java's stack is too small for so many iterations, "),
        jobs.tell_job_errors("spark: als"),
    ):
        raise Py4JError("Task serialization failed: java.lang.StackOverflowError")


@on_spark
def test_mistakes_of_a_log_are_one_line(log):
    for given, message in (
        (log.select("userId"), r"spark: als: no column for item, expected such as 'item_id' \(userId\)"),
        (log.selectExpr("userId", "array(movieId) AS item"), "column 'item' is of type list<.*>, expected ids"),
        (log.where("rating > 9"), "spark: als: found no positives, expected at least one"),
        ([("a", "x")], "spark: als: found a list, expected a data frame of Spark"),
    ):
        with pytest.raises(RecsysError, match=message):
            spark.fit_als(given)
    with pytest.raises(RecsysError, match="positive: unknown column 'stars'"):
        spark.fit_als(log, positive="stars >= 4")
    with pytest.raises(RecsysError, match="spark: als: factors is 0, expected a whole number"):
        spark.fit_als(log, factors=0)


@pytest.fixture(scope="module")
def dated():
    """A log in which moments are tied, rows come twice, some are no likes, and items come late."""
    rng, rows = np.random.default_rng(3), []
    for user in range(25):
        for item in rng.choice(18, rng.integers(1, 12), replace=False).tolist():
            late = 6 if item > 14 else int(rng.integers(0, 9))
            rows += [(f"u{user}", f"i{item}", int(rng.integers(2, 6)), 1_500_000_000 + late)] * int(rng.integers(1, 3))
    rows += [(user, item, 5, moment + 1) for user, item, _, moment in rows[::7]]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"])


def list_pairs(split, matrix):
    return {(split.user_ids[u], split.item_ids[i]) for u, i in zip(*matrix.nonzero(), strict=True)}


@on_spark
@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("leave_last", {"test": 2, "validation": 1}), ("global_time", {"validation": 0.2})],
)
def test_splits_are_those_of_one_machine(session, dated, kind, sizes):
    settings = {"positive": "rating >= 4", "seed": 5, **sizes}
    expected = getattr(rs.splits, kind)(rs.read_dataset(dated), **settings)
    found = spark.split(session.createDataFrame(pa.Table.from_pandas(dated)), kind, **settings).toArrow().to_pandas()

    def select(part, positive, cold=False):
        rows = found[(found.part == part) & (found.positive == positive) & (found.cold == cold)]
        return set(zip(rows.user, rows.item, strict=True))

    assert not found.duplicated(["user", "item"]).any()
    for part in ("train", "validation", "test"):
        assert select(part, True) == list_pairs(expected, getattr(expected, part)), part
    assert select("train", False) == list_pairs(expected, expected.train_negatives)
    assert select("validation", False) == list_pairs(expected, expected.validation_negatives)
    assert select("validation", True, cold=True) == list_pairs(expected, expected.validation_cold_positives)
    assert kind != "global_time" or found.cold.any()


@on_spark
def test_mistakes_of_a_split_are_one_line(session, dated):
    log = session.createDataFrame(pa.Table.from_pandas(dated))
    for kind, settings, message in (
        ("leave_first", {}, r"spark: split: unknown split 'leave_first': did you mean 'leave_last'\?"),
        ("leave_last", {"tests": 2}, r"did you mean 'test'\?"),
        ("leave_last", {"test": 0}, "leave_last: test is 0"),
        ("random", {"positive": "stars > 3"}, "positive: unknown column 'stars'"),
    ):
        with pytest.raises(RecsysError, match=message):
            spark.split(log, kind, **settings)
    with pytest.raises(RecsysError, match="spark: split: no column for datetime"):
        spark.split(log.drop("timestamp"), "leave_last")
    text = log.withColumn("timestamp", log.timestamp.cast("string"))
    with pytest.raises(RecsysError, match="column 'timestamp' is of type string, expected whole seconds since 1970"):
        spark.split(text, "leave_last")


@pytest.fixture(scope="module")
def judged(split):
    """Slates of users, some of whom have a short one or none, and their truth, with ids in the order of their numbers."""
    named = replace(split, user_ids=np.arange(USERS).astype(str))
    maps, rng = make_maps(split), np.random.default_rng(0)
    picks = np.array([rng.permutation(40)[:6] for _ in range(USERS)], np.int32)
    picks[3], picks[5, 4:] = -1, -1
    return GroundTruth(named, maps, maps[:1], maps[1:]), picks


@pytest.fixture(scope="module")
def tables(session, judged):
    truth, picks = judged

    def build(rows, columns, **more):
        ids = {"user": truth.split.user_ids[rows].tolist(), "item": truth.split.item_ids[columns].tolist()}
        return session.createDataFrame(pa.table({**ids, **more}))

    user, slot = np.nonzero(picks >= 0)
    slates = build(user, picks[user, slot], rank=slot + 1)
    return slates, build(*truth.split.test.nonzero()), build(*truth.split.train.nonzero())


def list_maps(truth):
    return {name: getattr(truth, name) for name in ("audit_maps", "objective_maps", "content_maps")}


@on_spark
def test_metrics_and_intervals_are_those_of_one_machine(judged, tables):
    (truth, picks), (slates, test, train) = judged, tables
    names, settings = list(evaluations.METRICS), {"seed": 1, "n_bootstrap": 50}
    found = spark.evaluate(
        slates, test, truth.split.item_ids, metrics=names, ks=[3, 6], history=train, **list_maps(truth), **settings
    )
    expected = tabulate_scores(rs.evaluate({"slates": picks}, truth, names, [3, 6], **settings))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, atol=1e-14)
    assert found[["value", "ci_low", "ci_high"]].notna().all(axis=None)


@on_spark
def test_mistakes_of_slates_are_one_line(judged, tables):
    (truth, _), (slates, test, train) = judged, tables
    items, asked = truth.split.item_ids, {"metrics": ["ndcg"], "ks": [3]}
    with pytest.raises(RecsysError, match="spark: evaluate: unknown metric 'ild_features'"):
        spark.evaluate(slates, test, items, metrics=["ild_features"], ks=[3])
    with pytest.raises(RecsysError, match="'discovery' needs audit_maps=, and found none"):
        spark.evaluate(slates, test, items, metrics=["discovery"], ks=[3], history=train)
    with pytest.raises(RecsysError, match="'discovery' needs history=, the training positives, and found none"):
        spark.evaluate(slates, test, items, metrics=["discovery"], ks=[3], **list_maps(truth))
    with pytest.raises(RecsysError, match="spark: evaluate: no column for rank"):
        spark.evaluate(slates.select("user", "item"), test, items, **asked)
    with pytest.raises(RecsysError, match=r"^spark: evaluate: item 'i39' is none of items$"):
        spark.evaluate(slates, test, items[:39], **asked)
    evaluations._lay_out_picks(*np.array([[0, 0, 1], [1, 2, 1], [7, 8, 9]]), 2)
    with pytest.raises(RecsysError, match="a user has two picks at rank 1, expected one"):
        evaluations._lay_out_picks(*np.array([[0, 0, 1], [1, 1, 1], [7, 8, 9]]), 2)
    with pytest.raises(RecsysError, match="found a pick at rank 0, expected ranks from 1"):
        evaluations._lay_out_picks(*np.array([[0, 0, 1], [0, 1, 1], [7, 8, 9]]), 2)
