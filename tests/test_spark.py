"""Slates, models and metrics of Spark: those of one machine, by two real worker processes, one of which is killed.

What starts Spark is marked slow, and runs where pyspark and Java 17 or newer are found.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from synthetic import draw_candidates, fit_blended_ranker, make_maps, make_split

import recsys as rs
from recsys import spark
from recsys.batch import rank_batches, run_batch
from recsys.cli import main
from recsys.control import forget_lists
from recsys.control.history_influences import compute_history_influences
from recsys.maths.fold_in import compute_prior_variances, gram, solve_user_factors
from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker
from recsys.scores.tables import tabulate_scores
from recsys.spark import evaluations, jobs, sessions
from recsys.types import Factors, GroundTruth, RecsysError
from recsys.types.arrays import Csr

NOW, USERS = 1_800_000_000, 40
PARTITIONS = 20


def find_missing():
    """Return what Spark needs and this machine does not have."""
    if find_spec("pyspark") is None:
        return "the extra [spark] is not installed"
    found = sessions.find_java_version()
    return "" if found is not None and found >= sessions.OLDEST_JAVA else "no Java 17 or newer is found"


MISSING = find_missing()


def on_spark(test):
    for mark in (
        pytest.mark.slow,
        pytest.mark.skipif(bool(MISSING), reason=MISSING),
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    ):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def session():
    with spark.open_session("local-cluster[2,1,1024]", quiet=True) as made:
        made.conf.set("spark.sql.shuffle.partitions", "2")
        made.conf.set("spark.sql.adaptive.enabled", "false")  # one job for each query, not one for each stage
        made.conf.set("spark.sql.codegen.wholeStage", "false")  # tables are tiny: compiling takes most of the time
        yield made


@pytest.fixture(scope="module")
def split():
    return make_split(users=USERS, seed=4)


@pytest.fixture(scope="module")
def ranker(split):
    return fit_blended_ranker(split)


@pytest.fixture(scope="module")
def folder(ranker, tmp_path_factory):
    return ranker.save(tmp_path_factory.mktemp("rankers") / "ranker")


def list_requests():
    """Return users, some of whom bring something, and some of whom are not known."""
    users = [f"u{n}" for n in range(USERS)] + ["new", "nobody"]
    return pa.table(
        {
            "user": users,
            "history": pa.array([["i1", "i4"] if user == "new" else None for user in users], pa.list_(pa.string())),
            "weights": pa.array(
                [[("mmr", 0.5)] if n % 3 == 1 else None for n in range(len(users))], pa.map_(pa.string(), pa.float64())
            ),
            "k": pa.array([2 if n % 5 == 1 else None for n in range(len(users))], pa.int32()),
        }
    )


def test_java_that_is_missing_or_old_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        main(["batch", str(tmp_path), "--out", str(tmp_path / "b"), "--spark", "local[1]"])
    told = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2 and len(told) == 1
    assert "spark: needs Java 17 or newer, found none: install one (Debian: openjdk-17-jre-headless)" in told[0]
    monkeypatch.setattr(sessions, "find_java_version", lambda: 11)
    with pytest.raises(RecsysError, match="needs Java 17 or newer, found Java 11"), spark.open_session("local[1]"):
        pass


def test_without_the_extra_is_one_line(monkeypatch):
    monkeypatch.setattr(sessions, "find_java_version", lambda: 17)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    message = r'spark needs pyspark: pip install "recsys-negspace\[spark\]"'
    with pytest.raises(RecsysError, match=message), spark.open_session("local[1]"):
        pass


def make_row(history, items):
    return Csr((np.ones(len(history), np.float32), np.asarray(history, np.int32), [0, len(history)]), shape=(1, items))


def test_a_history_is_folded_in_as_mllib_solves_it():
    items = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    none, alpha, ridge = np.zeros((1, 3), np.float32), 4.0, 0.3
    factors = Factors(none, items, none[0], 1.0, alpha, 1.0 + alpha, 0.0, ridge, 1.0, ridge_cells=0.0)

    def solve(history):
        liked = items[history].astype(np.float64)
        matrix = items.T.astype(np.float64) @ items + alpha * liked.T @ liked + ridge * len(history) * np.eye(3)
        return np.linalg.solve(matrix, (1.0 + alpha) * liked.sum(axis=0))

    history = np.array([1, 4, 5, 9])
    np.testing.assert_allclose(solve_user_factors(factors, make_row(history, 12))[0], solve(history), rtol=1e-6)
    found = compute_history_influences(FittedFactors(factors), 12, history, np.arange(12), np.zeros(0, np.int32))
    expected = [items @ (solve(history) - solve(np.delete(history, j))) for j in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    prior = compute_prior_variances(factors, gram(factors))
    matrix = gram(factors) + ridge * np.eye(3)
    np.testing.assert_allclose(prior, np.einsum("ia,ab,ib->i", items, np.linalg.inv(matrix), items), rtol=1e-6)


def test_an_id_that_is_missing_is_one_line():
    assert jobs.normalize_ids(pa.array([2.0, 10.0, 2.0]), "users").to_pylist() == ["2", "10", "2"]
    for column in (pa.array(["a", None]), pa.array([" "])):
        with pytest.raises(RecsysError, match="log: column of users: a row has none, expected an id"):
            jobs.normalize_ids(column, "log: column of users")


@on_spark
def test_slates_of_users_are_those_of_one_machine(session, folder, tmp_path):
    forget_lists.forget(tmp_path / "list", user="u2")
    asked = list_requests()
    frame = session.createDataFrame(asked)
    assert frame.rdd.getNumPartitions() > 1
    settings = {"now": NOW, "weights": {"mmr": 2.0}, "contributions": True}
    found = spark.rank(frame, folder, forget_list=tmp_path / "list", **settings).toArrow()
    loaded = Ranker.load(folder, forget_list=tmp_path / "list")
    expected = pa.Table.from_batches(rank_batches(loaded, asked.to_batches(), **settings))
    assert found.cast(expected.schema).equals(expected)
    assert {"u2", "nobody"}.isdisjoint(found["user"].to_pylist()) and "new" in found["user"].to_pylist()


@on_spark
def test_slates_of_candidates_by_a_ranker_in_memory(session, ranker, split, tmp_path):
    forget_lists.forget(tmp_path / "list", user="u2")
    obeying = ranker.follow_forget_list(tmp_path / "list")
    rows = []
    for user, items, scores in draw_candidates(split, (f"u{n}" for n in range(8))):
        rows += [(user, item, score, "x") for item, score in zip(items, scores, strict=True)]
    candidates = pa.Table.from_pandas(pd.DataFrame(rows, columns=["user_id", "item", "score", "a.b"]))
    found = spark.rank(session.createDataFrame(candidates).coalesce(1), obeying, now=NOW, k=2).toArrow()
    expected = pa.Table.from_batches(rank_batches(obeying, candidates.to_batches(), now=NOW, k=2))
    assert found.num_rows == 14 and found.cast(expected.schema).equals(expected)


@on_spark
def test_mistakes_are_told_before_a_job_begins(session, folder):
    frame = session.createDataFrame(pa.table({"user": ["u1"], "score": [1.0]}))
    with pytest.raises(RecsysError, match="spark: has scores and no items"):
        spark.rank(frame, folder)
    with pytest.raises(RecsysError, match=r"did you mean 'mmr'\?"):
        spark.rank(frame.select("user"), folder, weights={"mmmr": 1.0})
    with pytest.raises(RecsysError, match="spark: a session is open in this process"), spark.open_session("local[1]"):
        pass


@on_spark
def test_the_snippet_of_the_docs_runs(session, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "artifacts" / "2026-11-20")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(spark, "open_session", lambda master: nullcontext(session))
    page = (Path(__file__).parents[1] / "docs" / "spark.md").read_text(encoding="utf-8")
    snippet = page.partition("```py\n")[2].partition("```")[0]
    own = {'"196", "186"': '"u1", "u3"', '"slates"': repr(str(tmp_path / "slates"))}
    for theirs, mine in own.items():
        assert theirs in snippet
        snippet = snippet.replace(theirs, mine)
    exec(compile(snippet, "spark.md", "exec"), {})
    assert parquet.read_table(tmp_path / "slates").num_rows == 6


def find_executor(session):
    """Return the process of an executor: the parent of the daemon of its workers."""

    def find(_):
        return int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])

    return session.sparkContext.parallelize([0], 1).map(find).first()


def kill_when_begun(executor, out, told):
    """Kill a process once a partition is there, and tell how many were there by then."""
    deadline = time.monotonic() + 60
    while not (there := list(out.glob("part-*"))) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(executor, signal.SIGKILL)
    told.append(len(there))


@on_spark
@pytest.mark.skipif(sys.platform != "linux", reason="the parent of a process is looked up in /proc")
def test_a_killed_executor_loses_nothing(session, folder, tmp_path, monkeypatch, capsys):
    size = USERS // PARTITIONS
    settings = {"now": NOW, "partition_size": size, "quiet": True}
    run_batch(folder, tmp_path / "here", **settings)
    executor, told = find_executor(session), []
    killer = threading.Thread(target=kill_when_begun, args=(executor, tmp_path / "there", told))
    killer.start()
    monkeypatch.setattr(spark, "open_session", lambda *given, **settings: nullcontext(session))
    asked = ["--out", str(tmp_path / "there"), "--now", str(NOW), "--partition-size", str(size), "--quiet"]
    main(["batch", str(folder), *asked, "--spark", "local-cluster[2,1,1024]"])
    killer.join()
    assert 0 < told[0] < PARTITIONS
    assert capsys.readouterr().out.splitlines()[-1].endswith("(whole)")
    for one in [*(tmp_path / "here").glob("part-*"), tmp_path / "here" / "_manifest.json"]:
        assert (tmp_path / "there" / one.name).read_bytes() == one.read_bytes(), one.name
    assert len(json.loads((tmp_path / "there" / "_manifest.json").read_text())["files"]) == PARTITIONS


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
