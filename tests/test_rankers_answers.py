"""Answers: as plain values, short ones with the reason, of users with new events, and in batches where one fails."""

import json
from dataclasses import fields

import numpy as np
import pytest
from scipy import sparse
from synthetic import make_maps, make_split

import recsys as rs
from recsys.objectives._regions import join_map_shares
from recsys.rankers import Ranker, Recommendation
from recsys.reranking import guards
from recsys.types import Guard, RecsysError, Rule, TasteMap
from recsys.types.identifiers import build_number_codes

BLENDS = [
    {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.4, "unexplored": 0.1},
    {"relevance": 1.0, "calibration": 0.2, "dpp": 0.1, "negative_space": 0.1},
]


@pytest.fixture(scope="module")
def world():
    return make_split(users=60, seed=4)


@pytest.fixture(scope="module")
def fitted(world):
    return rs.models.ALS(factors=4, iterations=3).fit(world.train, world.side_information)


@pytest.fixture(scope="module", params=BLENDS, ids=["express", "library"])
def ranker(request, world, fitted):
    return Ranker.fit(fitted, world, request.param, maps=make_maps(world), n=15, k=6)


@pytest.fixture(scope="module")
def drawn(world, fitted):
    return Ranker.fit(fitted, world, BLENDS[0], maps=make_maps(world), n=15, k=6, temperature=0.5)


def test_an_answer_is_plain_values(ranker, drawn):
    for one in (ranker, drawn):
        for answer in (one.rank(user="u1", seed=np.int64(7)), one.rank(history=["i1", "no"], k=50), one.rerank([], [])):
            said = answer.to_dict()
            assert json.loads(json.dumps(said, allow_nan=False)) == said
            assert said["policy"] == one.name and said["seed"] == answer.seed and said["items"] == list(answer.items)
            assert said["displaced"] == list(answer.displaced) and said["notes"] == list(answer.notes)
            assert said["contributions"].keys() == {*answer.objectives}
            for name in ("scores", "relevance", "base_ranks"):
                assert said[name] == getattr(answer, name).tolist()
            columns = np.array([*said["contributions"].values()])
            np.testing.assert_allclose(columns.sum(axis=0), said["scores"], rtol=1e-5)
    answer = drawn.rank(user="u1")
    assert answer.to_dict()["propensity"] == pytest.approx(np.exp(answer.log_propensity.astype(float)).tolist())
    assert ranker.rank(user="u1").to_dict()["propensity"] is ranker.rank(user="u1").to_dict()["log_propensity"] is None


def note(answer):
    (found,) = [line for line in answer.notes if line.startswith("The slate has")]
    return found


def test_a_short_slate_says_why(ranker):
    assert (
        note(ranker.rank(history=[], k=5000))
        == "The slate has 15 of 5,000 picks: 15 candidates were retrieved (n = 15)."
    )
    assert note(ranker.rerank(["i1", "i2", "no"], [3, 2, 1])) == "The slate has 2 of 6 picks: 2 candidates were given."
    assert note(ranker.rerank([], [])) == "The slate has 0 of 6 picks: 0 candidates were given."
    assert note(ranker.rerank(["no"], [1.0])) == "The slate has 0 of 6 picks: 0 candidates were given."
    everything = guards.exclude(items=[f"i{i}" for i in range(40)])
    said = note(ranker.rank(user="u1", guards=[everything]))
    assert (
        said == "The slate has 0 of 6 picks: 0 candidates were retrieved (n = 15), guards exclude 40 of the 40 items."
    )
    some = guards.exclude(items=[f"i{i}" for i in range(38)])
    assert "guards exclude 38 of the 40 items" in note(ranker.rank(history=["i39"], guards=[some]))
    few = guards.at_most(1, groups={f"i{i}": "all" for i in range(40)})
    said = note(ranker.rerank(["i1", "i2", "i3"], [3, 2, 1], guards=[few]))
    assert said == "The slate has 1 of 6 picks: 3 candidates were given, guards leave the other slots to nobody."
    mine = Guard("mine", lambda pool, k: Rule(excluded_items=np.arange(40) > 1))
    said = note(ranker.rerank(["i0", "i2", "i3"], [3, 2, 1], guards=[mine]))
    assert said == "The slate has 1 of 6 picks: 3 candidates were given, guards exclude 2."
    for full in (ranker.rank(user="u1"), ranker.rank(history=[], k=15), ranker.rerank(["i1", "i2"], [2, 1], k=2)):
        assert full.notes == ()


def test_slates_say_how_many_are_short(world, fitted):
    pool = rs.candidates(fitted, world, n=40, maps=make_maps(world))
    assert rs.rerank(pool, {"relevance": 1.0}, 5).notes == ()
    slates = rs.rerank(pool, {"relevance": 1.0}, 40)
    lengths = (slates.items >= 0).sum(axis=1)
    assert slates.lengths.tolist() == lengths.tolist() == pool.lengths.tolist()
    assert slates.notes == (f"60 of 60 slates have fewer than 40 picks, {lengths.min()} at least",)
    closed = rs.rerank(pool, {"relevance": 1.0}, 5, guards=[guards.exclude(items=[f"i{i}" for i in range(40)])])
    assert closed.notes == ("60 of 60 slates have fewer than 5 picks, 0 at least",)


def liked(world, user):
    return [world.item_ids[i] for i in world.train[[user]].indices]


def test_a_known_user_brings_new_events(world, fitted, ranker):
    """What they like by now is folded in as anybody's history is; what they met and declined is still left out."""
    declined = {world.item_ids[i] for i in world.train_negatives[[1]].indices}
    more = [i for i in world.item_ids if i not in {*liked(world, 1), *declined}][:4]
    answer = ranker.rank(user="u1", more=more, k=15)
    as_anybody = ranker.rank(history=[*liked(world, 1), *more], k=15, guards=[guards.exclude(items=sorted(declined))])
    assert not {*answer.items} & {*more, *liked(world, 1), *declined}
    assert {*answer.items} == {*as_anybody.items}
    assert sorted(answer.relevance) == sorted(as_anybody.relevance)
    same = ranker.rank(user="u1", k=15)
    assert {*ranker.rank(user="u1", more=[]).items} == {*ranker.rank(user="u1").items}
    assert ranker.rank(user="u1", more=liked(world, 1)[:2], k=15).scores.tolist() == same.scores.tolist()
    assert ranker.rank(user="u1", more=["no", more[0]]).unknown_history == ("no",)
    given = ranker.rerank(same.items, same.relevance, user="u1", more=more)
    assert {*given.items} <= {*same.items}


def test_new_events_of_known_users_are_those_of_the_library(world, fitted):
    """The shorter way and the library's say the same of a user who has grown."""
    more = [i for i in world.item_ids if i not in liked(world, 1)][:4]
    one, other = (Ranker.fit(fitted, world, b, scale=None, maps=make_maps(world), n=15, k=6)
                  for b in (BLENDS[0], {**BLENDS[0], "noise": 1e-30}))  # fmt: skip
    assert one._fast_path is not None and other._fast_path is None
    for user in ("u1", "u7"):
        assert one.rank(user=user, more=more).items == other.rank(user=user, more=more).items


def test_who_cannot_bring_more_is_one_line(ranker):
    for request in ({"more": ["i1"]}, {"more": ["i1"], "history": ["i2"]}):
        with pytest.raises(RecsysError, match="found more without a user"):
            ranker.rank(**request)
    with pytest.raises(RecsysError, match="found 'i1' for items"):
        ranker.rank(user="u1", more="i1")


def test_an_unknown_user_of_a_batch_fails_alone(ranker):
    users = ["u1", "nobody", "u2", None]
    answers = ranker.rank_many(users=users, more=[[], ["i1"], ["i2"], ["i3"]])
    assert [isinstance(one, RecsysError) for one in answers] == [False, True, False, True]
    assert "user 'nobody' is none of the 60" in str(answers[1])
    assert answers[0].items == ranker.rank(user="u1").items
    assert answers[2].items == ranker.rank(user="u2", more=["i2"]).items
    given = ranker.rerank_many(
        [["i1", "i2"], ["i1", "i2"], ["i1", "i1"], ["i1"]],
        [[1, 2], [1, 2], [1, 2], [np.nan]],
        users=["u1", "nobody", "u2", "u2"],
    )
    assert [isinstance(one, RecsysError) for one in given] == [False, True, True, True]
    assert given[0].items == ("i2", "i1") and "twice" in str(given[2]) and "finite" in str(given[3])


@pytest.mark.parametrize("batch", [{"k": 0}, {"seed": "a"}, {"more": [["i1"]]}, {"more": "ab"}, {"users": None}])
def test_what_is_wrong_with_a_whole_batch_is_raised(ranker, batch):
    with pytest.raises(RecsysError):
        ranker.rank_many(**{"users": ["u1", "u2"], **batch})


def test_a_batch_of_a_ranker_without_a_model_is_raised(world):
    bare = Ranker.fit(None, world, {"relevance": 1.0}, scale=None, maps=make_maps(world))
    with pytest.raises(RecsysError, match="it has no model"):
        bare.rank_many(users=["u1"])


@pytest.mark.parametrize(
    ("ids", "are_numbers"),
    [
        (["3", "0"], True), (["0"], True), (["12", "5", "7"], True), (["9", "10", "99", "100"], True), (["3", "03"], False),
        (["+3", "1"], False), ([" 3", "1"], False), (["1_0", "3"], False), (["-0", "1"], False), (["\u0663", "1"], False),
        (["\uff11", "2"], False), (["1e3", "2"], False), (["3.0", "1"], False), (["a"], False), ([], False),
        (["1", "1000000"], False),
    ],
)  # fmt: skip
def test_ids_are_looked_up_by_number_where_each_is_written_as_its_number(ids, are_numbers):
    codes = build_number_codes(np.array(ids, dtype=np.str_))
    assert [codes[int(one)] for one in ids] == list(range(len(ids))) if are_numbers else not len(codes)


def test_a_map_of_one_region_an_item_is_read_as_one_of_several():
    rng = np.random.default_rng(0)
    region = rng.integers(0, 7, 50)
    one = sparse.csr_array((np.full(50, 0.7, np.float32), (np.arange(50), region)), shape=(50, 8))
    several = sparse.csr_array(one + sparse.csr_array((np.full(50, 0.1, np.float32), (np.arange(50), [7] * 50))))
    assert (
        TasteMap("one", one, "", 0).hard_regions.tolist()
        == TasteMap("several", several, "", 0).hard_regions.tolist()
        == region.tolist()
    )
    maps = (TasteMap("one", one, "", 0), TasteMap("two", one[rng.permutation(50)], "", 0), TasteMap("one", one, "", 0))
    joined = join_map_shares(maps)
    assert (joined != sparse.csr_array(sparse.hstack([m.assignment for m in maps]))).nnz == 0
    assert joined.has_canonical_format and joined.indices.dtype == np.int32
    nothing = one.copy()
    nothing.data[3] = 0.0
    assert TasteMap("none", nothing, "", 0).hard_regions[3] == -1


@pytest.mark.parametrize("given", [(), [guards.exclude(items=["i1"])]], ids=["alone", "guards"])
def test_more_slots_than_memory_holds_are_one_line(given):
    split = make_split()
    model = rs.models.MostPopular().fit(split.train)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, maps=make_maps(split))
    assert len(ranker.rank(history=["i2"], k=100_000, guards=given).items) < 40
    for k in (100_001, 2**31, 2**63):
        with pytest.raises(RecsysError, match=f"k is {k}, expected a whole number from 1 to 100000"):
            ranker.rank(history=["i2"], k=k, guards=given)


def test_an_answer_has_every_field_of_its_class(ranker):
    names = [one.name for one in fields(Recommendation)]
    for answer in (ranker.rank(user="u1"), ranker.rank(profile_free=True), ranker.rerank([], [])):
        assert all(hasattr(answer, name) for name in names) and vars(answer).keys() <= set(names)
