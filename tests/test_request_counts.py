"""What a ranker counts of its requests: each once, in whatever thread, and nothing of its own."""

import json
import math
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from recsys import Ranker
from recsys.rankers import RankerMetrics
from recsys.rankers.warmups import build_synthetic_ranker
from recsys.reranking.guards import pin
from recsys.types import RecsysError

NO_LATENCIES = (0,) * (len(RankerMetrics.bounds) + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_synthetic_ranker({"relevance": 1.0, "unexplored": 0.1}).save(tmp_path_factory.mktemp("r") / "r")


@pytest.fixture
def ranker(folder):
    return Ranker.load(folder)


def told(**latencies):
    counted = list(NO_LATENCIES)
    for place, count in latencies.items():
        counted[int(place[1:])] = count
    return RankerMetrics("p", sum(counted), 0, 1.0, tuple(counted), 0, 0, 0.0, 0, 0, 0)


def test_each_request_is_counted_once_with_what_is_worth_watching(ranker):
    assert ranker.metrics() == RankerMetrics(ranker.name, 0, 0, 0.0, NO_LATENCIES, 0, 0, 0.0, 0, 0, 0)
    ranker.rank(user="1")
    ranker.rerank(["1", "2", "3", "gone"], [4, 3, 2, 1], history=["5", "away", "lost"])
    ranker.rerank(["1", "2"], [2, 1])
    ranker.rank(user="1", k=2, guards=[pin(1, "0"), pin(2, "none")])  # the first was met before
    for wrong in ({"user": "nobody"}, {"user": "1", "k": 0}):
        with pytest.raises(RecsysError):
            ranker.rank(**wrong)
    with pytest.raises(RecsysError):
        ranker.rerank(["1", "1"], [2, 1])
    found = ranker.metrics()
    assert (found.requests, found.errors, sum(found.latencies)) == (4, 3, 4)
    assert (found.unknown_ids, found.short_slates) == (3, 1)
    assert found.unmet_guards == len(ranker.rank(user="1", k=2, guards=[pin(1, "0"), pin(2, "none")]).violations) > 0
    assert 0 < found.seconds < 60 and found.policy == ranker.name
    assert json.loads(json.dumps(found.to_dict()))["p50"] == found.quantile(0.5)


def test_requests_of_batches_are_counted_beside(ranker):
    answers = ranker.rank_many(users=[*("0123456"), "nobody"])
    ranker.rerank_many([["1", "gone"]], [[2, 1]])
    found = ranker.metrics()
    assert (found.requests, found.batches, found.batch_requests, found.errors) == (0, 2, 8, 1)
    short = sum(len(answer.items) < 3 for answer in answers[:-1])
    assert (found.short_slates, found.unknown_ids) == (short + 1, 1)
    assert found.batch_seconds > 0


def test_threads_lose_no_request_also_those_that_end(ranker):
    for _ in range(3):
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda n: ranker.rank(user=str(n % 8)), range(200)))
    assert ranker.metrics().requests == 600
    ranker.rank(user="1")
    assert len(ranker._counts._rows) <= 5  # of those that are there, and not of each that ever was
    assert ranker.metrics().requests == 601


def test_numbers_go_on_in_rankers_made_of_one_and_begin_at_0_in_others(ranker, folder):
    ranker.rank(user="1")
    dialled = ranker.set_user_dials({"1": {"unexplored": 2.0}})
    dialled.rank(user="1")
    assert ranker.metrics().requests == dialled.metrics().requests == 2
    assert pickle.loads(pickle.dumps(ranker)).metrics().requests == Ranker.load(folder).metrics().requests == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_begins_at_0(ranker):
    ranker.rank(user="1")
    child = os.fork()
    if not child:
        ranker.rank(user="2")
        os._exit(ranker.metrics().requests)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert ranker.metrics().requests == 1


def test_percentiles_lie_in_the_bucket_that_holds_them():
    bounds = RankerMetrics.bounds
    assert (bounds[0], bounds[-1]) == (1e-5, 70.0) and all(high / low <= 5 / 3 for low, high in pairwise(bounds))
    assert math.isnan(told().quantile(0.5)) and told().to_dict()["p99"] is None
    half = told(_0=50, _12=50)  # 12 is the bucket up to a millisecond
    assert bounds[12] == 1e-3
    assert half.quantile(0.25) == pytest.approx(5e-6)
    assert half.quantile(0.5) == 1e-5
    assert half.quantile(0.75) == pytest.approx((bounds[11] + bounds[12]) / 2)
    assert half.quantile(1) == bounds[12]
    assert told(_42=1).quantile(0.5) == 70.0
    with pytest.raises(RecsysError, match="share"):
        half.quantile(1.1)
