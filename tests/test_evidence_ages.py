"""How old the likes behind each pick are, against a statement over dense arrays."""

import pickle

import numpy as np
import pytest
from synthetic import make_maps, make_split

from recsys.models import EASE
from recsys.objectives.derived_tables import get_item_vectors
from recsys.rankers import Ranker

DAY = 86_400.0


@pytest.fixture(scope="module", params=[None, 100])
def world(request):
    split = make_split(seed=5, users=25, times=True)
    split = split.with_half_life(request.param, now=None if request.param is None else 1500 * DAY)
    model = EASE(l2=5.0).fit(split.train, split.side_information)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, maps=make_maps(split), n=12, k=6)
    return split, ranker, 1500 * DAY if request.param else split.train_times.data.max()


def state_ages(split, ranker, now, picks, times):
    """Mean, newest and nearest age by item, from the times of a history by item."""
    vectors = get_item_vectors(ranker.context, "cooccurrence", "t").astype(np.float64)
    codes = {item: code for code, item in enumerate(split.item_ids.tolist())}
    for pick in picks:
        near = {item: float(vectors[codes[pick]] @ vectors[codes[item]]) for item in times}
        ages = {item: max(now - when, 0) / DAY for item, when in times.items() if near[item] > 1e-6}
        if not ages:
            yield None
            continue
        best = max(near[item] for item in ages)
        nearest = [age for item, age in ages.items() if near[item] > best - 1e-5]  # equals differ in the last bits
        total = sum(near[item] for item in ages)
        yield sum(near[item] * age for item, age in ages.items()) / total, min(ages.values()), nearest


def check(found, wanted):
    assert len(found) == 6
    for one, expected in zip(found, wanted, strict=True):
        if expected is None:
            assert one is None
        else:
            assert (one.mean_days, one.newest_days) == pytest.approx(expected[:2], rel=1e-5)
            assert any(one.nearest_days == pytest.approx(age) for age in expected[2])


def test_ages_of_a_known_user_are_those_of_the_log(world):
    split, ranker, now = world
    for user in range(8):
        row = split.train_times[[user]]
        times = dict(zip(split.item_ids[row.indices].tolist(), row.data.tolist(), strict=True))
        answer = ranker.rank(user=f"u{user}")
        check(answer.evidence_ages(), state_ages(split, ranker, now, answer.items, times))
        assert pickle.loads(pickle.dumps(answer)).evidence_ages() == answer.evidence_ages()


def test_ages_of_a_request_are_those_that_it_brings(world):
    split, ranker, now = world
    answer = ranker.rank(history=[("i1", 300 * DAY), ("i2", None), ("i7", 9e9), ("i1", 200 * DAY)])
    check(answer.evidence_ages(), state_ages(split, ranker, now, answer.items, {"i1": 300 * DAY, "i7": 9e9}))
    assert ranker.rank(history=["i1", "i2"]).evidence_ages() == (None,) * 6
    assert ranker.rank().evidence_ages() == (None,) * 6
    assert ranker.rank(user="u0", profile_free=True).evidence_ages() == (None,) * 6
    fresh = next(i for i in split.item_ids.tolist() if not split.train[[0], [split.item_ids.tolist().index(i)]][0])
    row = split.train_times[[0]]
    times = dict(zip(split.item_ids[row.indices].tolist(), row.data.tolist(), strict=True)) | {fresh: 50 * DAY}
    answer = ranker.rank(user="u0", more=[(fresh, 50 * DAY)])
    check(answer.evidence_ages(), state_ages(split, ranker, now, answer.items, times))


def test_data_without_times_has_no_ages():
    split = make_split(seed=5, users=25)
    ranker = Ranker.fit(EASE(l2=5.0).fit(split.train), split, {"relevance": 1.0}, maps=make_maps(split), n=12, k=6)
    assert ranker.rank(user="u1").evidence_ages() == (None,) * 6
    assert ranker.rerank([], [], user="u1").evidence_ages() == ()
