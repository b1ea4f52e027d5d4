"""Pools: exact, never padded with what was met, the same whatever the partition."""

import math
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, make_maps, make_split

from recsys import models
from recsys.maths.distributions import find_explored_regions, mostly_unexplored
from recsys.models import Ensemble
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.types import RecsysError


class Steps:
    """Scores with many ties."""

    factors = None

    def __init__(self, items: int, levels: int, seed: int = 0) -> None:
        self.table = np.random.default_rng(seed).integers(0, levels, (1000, items)).astype(np.float32)

    def score(self, users):
        return self.table[users]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 8))
def test_the_pool_is_the_sorted_top_of_what_was_not_met(seed, n, levels):
    split = make_split(seed)
    model = Steps(40, levels, seed)
    pool = candidates(model, split, n=n, seed=seed)
    met = split.seen.toarray() != 0
    for u in range(30):
        free = np.flatnonzero(~met[u])
        expected = np.sort(model.table[u, free])[::-1][:n]
        length = pool.lengths[u]
        assert length == min(n, len(free))
        assert (pool.scores[u, :length] == expected).all()
        assert not met[u, pool.items[u, :length]].any()
        assert len(set(pool.items[u, :length])) == length
        assert (pool.items[u, length:] == -1).all()
        assert (pool.scores[u, length:] == 0).all()


def test_ties_are_broken_by_the_seed_alone():
    split = make_split()
    flat = Steps(40, 1)
    first, again, other = (candidates(flat, split, n=10, seed=s).items for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_users_candidates_do_not_depend_on_who_else_is_there():
    split = make_split(users=700, items=60)
    model = RandomFactorModel(split, d=16)
    whole = candidates(model, split, n=20)
    for users in ([5], [699], list(range(250, 270))):
        part = candidates(model, split, n=20, users=np.array(users, np.int32))
        assert (part.items == whole.items[users]).all()
        assert (part.scores == whole.scores[users]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100), st.integers(1, 40), st.integers(1, 8), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_reach_reserves_a_share_for_the_best_of_unexplored_regions(seed, n, levels, reach):
    split, model = make_split(seed), Steps(40, levels, seed)
    maps = make_maps(split, n=4, regions=9, seed=seed)
    pool = candidates(model, split, n=n, maps=maps, seed=seed, exploration_share=reach)
    everything = candidates(model, split, n=40, maps=maps, seed=seed)  # everyone's whole order, ties and all
    reserved, hard = math.ceil(reach * n), [m.hard_regions for m in maps]
    for u in range(30):
        order = everything.items[u, : everything.lengths[u]].tolist()
        history = set(np.flatnonzero(split.train.toarray()[u]))
        outside = []
        for item in order:
            votes = [not any(h[j] == h[item] for j in history) for h in hard if h[item] >= 0]
            if votes and sum(votes) * 2 >= len(votes):
                outside.append(item)
        kept = outside[:reserved]
        kept += [item for item in order if item not in kept][: n - len(kept)]
        expected = sorted(kept, key=order.index)
        assert pool.items[u, : pool.lengths[u]].tolist() == expected
        assert (pool.scores[u, : pool.lengths[u]] == model.table[u, expected]).all()
        assert (pool.items[u, pool.lengths[u] :] == -1).all()


def test_unexplored_by_most_is_a_vote_of_the_maps(split, maps):
    hard = [m.hard_regions for m in maps]
    votes = np.zeros(split.train.shape)
    for taste_map in maps:
        fresh = ~find_explored_regions(split.train, taste_map)[:, taste_map.hard_regions]
        votes += fresh & (taste_map.hard_regions >= 0)
    expected = (votes >= 2) & (np.arange(40) < 39)  # of three; the last item is on no map
    assert (mostly_unexplored(split.train, hard) == expected).all()
    assert expected.any()
    assert not mostly_unexplored(split.train, []).any()


def test_an_item_is_judged_by_the_maps_that_know_it():
    """The user has item 0; maps put items 1 to 4 with it (0), elsewhere (1), or nowhere (-1)."""
    regions = [np.array([0, 0, 1, 1, -1, 0]), np.array([0, -1, -1, 0, -1, 0]), np.array([-1, -1, 1, -1, -1, 1])]
    history = np.array([[1, 0, 0, 0, 0, 0]], np.float32)
    found = mostly_unexplored(sparse.csr_array(history), regions)
    assert found.tolist() == [[False, False, True, True, False, False]]


def test_without_maps_there_is_nowhere_to_reach_and_reach_keeps_blocks_apart():
    split = make_split(users=700, items=60)
    model, maps = RandomFactorModel(split, d=16), make_maps(split, regions=30)
    plain, nowhere = candidates(model, split, n=20), candidates(model, split, n=20, maps=(), exploration_share=0.5)
    assert (plain.items == nowhere.items).all()
    whole = candidates(model, split, n=20, maps=maps, exploration_share=0.5)
    assert (whole.items != plain.items).any()
    part = candidates(model, split, n=20, maps=maps, exploration_share=0.5, users=np.arange(250, 270))
    assert (part.items == whole.items[250:270]).all()


@pytest.mark.parametrize("exploration_share", [-0.1, 1.5, "0.2", True, float("nan")])
def test_reach_is_a_share(split, model, exploration_share):
    with pytest.raises(
        RecsysError, match=f"^pool: exploration_share is {exploration_share!r}, expected a number from 0 to 1$"
    ):
        candidates(model, split, n=5, maps=(), exploration_share=exploration_share)


def test_history_keep_lets_met_items_come_again(split, model):
    pool = candidates(model, split, n=40, exclude_seen=False)
    assert (pool.lengths == 40).all()


def test_items_that_did_not_exist_yet_are_left_out():
    from dataclasses import replace

    split = replace(make_split(), has_global_cut=True)
    train, other = split.train.tolil(), split.train_negatives.tolil()
    train[:, 7] = 0
    other[:, 7] = 0
    split = replace(split, train=train.tocsr(), train_negatives=other.tocsr())
    assert 7 not in candidates(RandomFactorModel(split), split, n=40).items
    assert 7 in candidates(RandomFactorModel(split), replace(split, has_global_cut=False), n=40).items


@pytest.mark.parametrize("n", [0, 41, 1.5, "10", True, None, float("nan")])
def test_n_must_fit_the_catalogue(split, model, n):
    with pytest.raises(RecsysError, match=f"^pool: n is {n!r}, expected a whole number from 1 to 40, the items of the"):
        candidates(model, split, n=n)


@pytest.mark.parametrize(
    ("users", "found"),
    [
        ([0, 30], "codes 0 to 30, expected 0 to 29"),
        ([-1], "codes -1 to -1, expected 0 to 29"),
        ([1.5], "an array of shape (1,) and type float64, expected a list of codes into split.user_ids"),
        (["u1"], "an array of shape (1,) and type <U2"),
        ([True], "an array of shape (1,) and type bool"),
        (5, "an array of shape () and type int64"),
    ],
)
def test_users_are_codes_of_the_split(split, model, users, found):
    with pytest.raises(RecsysError, match=re.escape(f"pool: users: found {found}")):
        candidates(model, split, n=3, users=users)


def test_of_no_users_there_is_an_empty_pool(split, model):
    assert candidates(model, split, n=3, users=[]).items.shape == (0, 3)


@pytest.mark.parametrize("kind", ["ALS", "EASE", "Ensemble", "MostPopular", "UserKNN"])
@pytest.mark.parametrize(
    ("users", "items", "line"),
    [
        (30, 41, "40 items, expected one that was fitted to this split: 30 users and 41 items"),
        (30, 25, "40 items, expected one that was fitted to this split: 30 users and 25 items"),
        (300, 40, "users.*, expected one that was fitted to this split: 300 users and 40 items"),
    ],
)
def test_a_model_of_another_split_is_refused(split, kind, users, items, line):
    model = Ensemble(["ease"]) if kind == "Ensemble" else getattr(models, kind)()
    fitted, other = model.fit(split.train), make_split(users=users, items=items)
    if kind == "MostPopular" and users == 300:  # it scores whoever there is
        assert candidates(fitted, other, n=5).items.shape == (300, 5)
        return
    with pytest.raises(RecsysError, match=f"^pool: the Fitted[A-Za-z]+ is of .*{line}$"):
        candidates(fitted, other, n=5)


def test_a_factor_model_of_more_users_is_refused(split, model):
    with pytest.raises(RecsysError, match=r"the RandomFactorModel is of 30 users, .*: 20 users and 40 items"):
        candidates(model, make_split(users=20), n=5)


def test_a_frame_of_scores_becomes_a_pool():
    pool = Pool.from_frame(["b", "a", "b", "b"], [1, 2, 3, 2], [0.1, 0.9, 0.5, 0.7])
    assert pool.context.user_ids.tolist() == ["a", "b"]
    assert pool.context.item_ids[pool.items[1]].tolist() == ["2", "3", "1"]
    assert pool.items[0].tolist()[1:] == [-1, -1]
    assert (rerank(pool, {"relevance": 1.0}, k=2).items == pool.items[:, :2]).all()


def test_a_frame_with_a_split_knows_histories_and_leaves_out_what_was_met(split, maps):
    met = int(split.train.indices[split.train.indptr[3]])
    free = int(np.flatnonzero(split.seen.toarray()[3] == 0)[0])
    pool = Pool.from_frame(["u3", "u3"], [f"i{met}", f"i{free}"], [1.0, 0.5], split=split, maps=maps)
    assert pool.items.tolist() == [[free]]
    assert rerank(pool, {"relevance": 1.0, "negative_space": 0.5, "serendipity": 0.1}, k=1).items.tolist() == [[free]]


def test_ids_are_text_as_in_data_that_is_read():
    mixed = Pool.from_frame([1, 1.0, "1", "1.0", 2.0], ["x", "y", 7, 8.0, "7.0"], [1, 2, 3, 4, 5])
    assert mixed.context.user_ids.tolist() == ["1", "2"]
    assert mixed.context.item_ids[mixed.items].tolist() == [["8", "7", "y", "x"], ["7", "y", "y", "y"]]
    for ids in (np.array([1.0, 2.0]), np.array([1, 2]), pd.Series([1, 2]), pd.Series(["1", "2"], dtype="category")):
        assert Pool.from_frame(ids, ids, [1.0, 2.0]).context.user_ids.tolist() == ["1", "2"]


def test_a_user_who_has_met_all_candidates_keeps_a_row(split):
    met = int(split.train.indices[split.train.indptr[3]])
    free = int(np.flatnonzero(split.seen.toarray()[4] == 0)[0])
    pool = Pool.from_frame(["u3", "u4"], [f"i{met}", f"i{free}"], [1.0, 0.5], split=split)
    assert (pool.users.tolist(), pool.items.tolist(), pool.lengths.tolist()) == ([3, 4], [[-1], [free]], [0, 1])
    assert rerank(pool, {"relevance": 1.0}, k=1).items.tolist() == [[-1], [free]]


@pytest.mark.parametrize("n", [-1, 0, 2.5, "2", True])
def test_n_of_a_frame_is_a_whole_number(n):
    with pytest.raises(RecsysError, match=f"^candidates: n is {n!r}, expected a whole number from 1 on$"):
        Pool.from_frame(["a"], ["x"], [1.0], n=n)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([None, "a"], ["x", "y"], [1.0, 2.0]), "user_id of row 0 is None, expected an id"),
        ((["a", float("nan")], ["x", "y"], [1.0, 2.0]), "user_id of row 1 is nan, expected an id"),
        ((["a", "b"], np.array([np.nan, 1.0]), [1.0, 2.0]), "item_id of row 0 is nan, expected an id"),
        ((["a", "b"], pd.Series([1, None], dtype="Int64"), [1.0, 2.0]), "item_id of row 1 is None, expected an id"),
        ((["a", " "], ["x", "y"], [1.0, 2.0]), "user_id of row 1 is ' ', expected an id"),
        (([1, "1.0"], ["x", "x"], [1.0, 2.0]), "is there twice"),
        (([["a"], "b"], ["x", "y"], [1.0, 2.0]), "user_id holds lists, expected one id in each row"),
        (("a", ["x"], [1.0]), "user_id has 0 dimensions, expected 1: a value per row"),
        ((["a"], ["x"], 1.0), "score has 0 dimensions"),
        (([["a", "b"]], [["x", "y"]], [[1.0, 2.0]]), "user_id has 2 dimensions"),
        ((["a"], ["x"], [1e300]), "score of row 0 is 1e+300, expected a finite number of 32 bits"),
        ((["a"], ["x", "y"], [1.0]), "have 1, 2 and 1 rows"),
        (([], [], []), "there are no rows"),
        ((["a"], ["x"], ["good"]), "score is something that is no number"),
        ((["a", "a"], ["x", "y"], [1.0, np.nan]), "score of row 1 is nan"),
        ((["a", "a"], ["x", "x"], [1.0, 2.0]), "is there twice"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as caught:
        Pool.from_frame(*columns)
    assert "\n" not in str(caught.value)


def test_ids_that_the_split_does_not_have_are_refused(split):
    with pytest.raises(RecsysError, match="1 values of user_id are not in the split \\(first: 'u99'\\)"):
        Pool.from_frame(["u99", "u1"], ["i1", "i2"], [1.0, 2.0], split=split)


@pytest.mark.parametrize("objective", ["novelty", "serendipity", "negative_space", "calibration", "mmr"])
def test_an_objective_says_what_it_needs(objective):
    pool = Pool.from_frame(["a", "a"], ["x", "y"], [1.0, 0.5])
    with pytest.raises(RecsysError, match="needs"):
        rerank(pool, {objective: 1.0}, k=1)


def test_models_without_factors_cannot_explore(split):
    pool = candidates(Steps(40, 5), split, n=10)
    with pytest.raises(RecsysError, match="ucb needs a factor model"):
        rerank(pool, {"relevance": 1.0, "ucb": 0.1}, k=3)


@pytest.mark.parametrize("exploration_share", [0.0, 0.5])
def test_memory_beyond_the_pool_does_not_grow_with_the_users(exploration_share):
    def working(users):
        split = make_split(users=users, items=300)
        model = Steps(300, 1000)
        model.table = np.resize(model.table, (users, 300))
        maps = make_maps(split, regions=20)
        tracemalloc.start()
        pool = candidates(model, split, n=50, maps=maps, exploration_share=exploration_share)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - sum(array.nbytes for array in (pool.users, pool.items, pool.scores))

    few, many = working(512), working(5120)
    assert few > 256 * 300 * 4, "a block of scores is not seen"
    assert many < 1.2 * few
