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
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sparks import make_row, on_spark, open_small_session
from synthetic import draw_candidates, fit_blended_ranker, make_split

from recsys import spark
from recsys.batch import rank_batches, run_batch
from recsys.cli import main
from recsys.control import forget_lists
from recsys.control.history_influences import compute_history_influences
from recsys.maths.fold_in import compute_prior_variances, gram, solve_user_factors
from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker
from recsys.spark import jobs, sessions
from recsys.types import Factors, RecsysError

NOW, USERS = 1_800_000_000, 40
PARTITIONS = 20


@pytest.fixture(scope="module")
def session():
    with open_small_session("local-cluster[2,1,1024]") as made:
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
