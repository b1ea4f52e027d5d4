"""Batches answered by blocks: what `rank` and `rerank` give for each request alone, bit for bit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_maps, make_split

import recsys as rs
from recsys.control import forget_lists
from recsys.models.factor_model import FittedFactors
from recsys.objectives import __all__ as objectives
from recsys.rankers import Ranker, block_retrieval, request_blocks
from recsys.rankers.block_retrieval import BlockRetrieval
from recsys.rankers.requests import RequestUser
from recsys.rankers.retrievals import score_items
from recsys.rankers.slate_makers import SlateMaker
from recsys.types import Factors, RecsysError

NOW = 1_700_000_000
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2, "unexplored": {"weight": 0.2, "distance_share": 0.3}}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks of a few requests."""
    monkeypatch.setattr(request_blocks, "BLOCK", 6)
    monkeypatch.setattr(request_blocks, "FEWEST", 2)


@pytest.fixture(scope="module")
def world():
    return make_split(users=30, seed=4)


@pytest.fixture(scope="module")
def taste_maps(world):
    return make_maps(world)


def make_factors(users, items, d, seed=0, ties=False):
    """Return a model of random factors; with `ties` every item has a few others with the same factor."""
    rng = np.random.default_rng(seed)
    user, item = (rng.normal(0, 0.3, (size, d)).astype(np.float32) for size in (users, items))
    if ties:
        item = item[rng.integers(0, 4, items)]
    return FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))


@pytest.fixture(scope="module")
def model(world):
    return make_factors(*world.shape, 5)


@pytest.fixture(scope="module")
def ranker(world, taste_maps, model):
    return Ranker.fit(model, world, BLEND, maps=taste_maps, n=12, k=4, control={"dials": {"mmr": [0, 3]}})


def say(answer):
    """Return all that an answer says, or the text of an error."""
    if isinstance(answer, RecsysError):
        return str(answer)
    bits = [getattr(answer, name).tobytes() for name in ("contributions", "relevance", "base_ranks")]
    drawn = None if answer.log_propensity is None else answer.log_propensity.tobytes()
    told = (answer.explanations(), [str(answer.why(item)) for item in answer.items], answer.feature_contributions())
    return answer.to_dict(), bits, drawn, str(answer.receipt(inputs=True)), told


def ask_alone(request, *given, **asked):
    try:
        return request(*given, **{name: value for name, value in asked.items() if value is not None})
    except RecsysError as error:
        return error


def check_users(ranker, **batch):
    """Hold a batch of all users, some of them unknown, against each alone."""
    users = [*ranker.context.user_ids.tolist(), "nobody"]
    answers = ranker.rank_many(users=users, now=NOW, **batch)
    assert [say(one) for one in answers] == [say(ask_alone(ranker.rank, user=user, now=NOW, **batch)) for user in users]
    return answers


def refuse_to_answer_alone(*_):
    raise AssertionError("a request was answered alone")


@pytest.mark.parametrize(
    "policy",
    [{}, {"order": "relevance"}, {"temperature": 0.4, "epsilon": 0.1, "seed": 3}, {"exclude_seen": False}, {"n": 60}],
    ids=str,
)
def test_known_users_go_by_blocks(world, taste_maps, model, policy, monkeypatch):
    ranker = Ranker.fit(model, world, BLEND, maps=taste_maps, **{"n": 12, "k": 4, **policy})
    check_users(ranker)
    monkeypatch.setattr(Ranker, "_retrieve", refuse_to_answer_alone)
    monkeypatch.setattr(SlateMaker, "make", refuse_to_answer_alone)
    assert len(ranker.rank_many(users=world.user_ids)) == len(world.user_ids)


@pytest.mark.parametrize(
    "blend",
    [
        dict.fromkeys(sorted(set(objectives) - {"discovery_value"}), 0.2),
        {"discovery_value": 1.0, "fatigue": 0.1, "mmr": 0.1},
    ],
    ids=len,
)
def test_every_objective(world, taste_maps, model, blend):
    ranker = Ranker.fit(model, world, blend, maps=taste_maps, n=12, k=4, scale=None)
    users = world.user_ids[:8].tolist()
    for user, answer in zip(users, ranker.rank_many(users=users, now=NOW), strict=True):
        alone = ranker.rank(user=user, now=NOW)
        assert answer.to_dict() == alone.to_dict() and answer.contributions.tobytes() == alone.contributions.tobytes()


@pytest.mark.parametrize("n", [5, 12])
def test_ties_at_the_edge_of_the_pool(world, taste_maps, n):
    ranker = Ranker.fit(
        make_factors(*world.shape, 3, ties=True), world, {"relevance": 1.0}, maps=taste_maps, n=n, k=4, scale=None
    )
    check_users(ranker)


@pytest.mark.parametrize("settings", [rs.models.EASE(), rs.models.ItemKNN(k=5)], ids=lambda one: type(one).__name__)
def test_models_without_factors(world, taste_maps, settings):
    fitted = settings.fit(world.train, world.side_information)
    check_users(Ranker.fit(fitted, world, BLEND, maps=taste_maps, n=12, k=4))


@pytest.mark.parametrize(
    "guards",
    [
        [rs.guards.exclude(items=["i1", "i2"])],
        [rs.guards.pin(2, "i3")],
        [rs.guards.at_most(2)],
        [rs.guards.frequency_cap(1, window_days=30)],
    ],
    ids=lambda guards: guards[0].name,
)
def test_guards_of_the_ranker(world, taste_maps, model, guards):
    try:
        ranker = Ranker.fit(model, world, BLEND, maps=taste_maps, n=12, k=4, guards=guards)
    except RecsysError as error:
        pytest.skip(str(error))
    users = world.user_ids[:8].tolist()
    shown = [[(f"i{1 + u}", NOW - 100), (f"i{2 + u}", NOW - 50)] for u in range(8)]
    for user, own, answer in zip(users, shown, ranker.rank_many(users=users, shown=shown, now=NOW), strict=True):
        assert say(answer) == say(ranker.rank(user=user, shown=own, now=NOW))


ITEM = st.sampled_from(["i1", "i2", "i3", "i5", "i8", "i9", "unheard"])
ROWS = st.lists(ITEM, max_size=4, unique=True)
ASKED = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["u1", "u2", "u3", "u7", "nobody"]),
        "more": ROWS,
        "dislikes": ROWS,
        "guards": st.sampled_from([[], [rs.guards.exclude(items=["i4"])], [rs.guards.cool_down(1)]]),
        "weights": st.sampled_from([None, {"mmr": 2.0}, {"mmr": 0.0}, {"mmr": 9.0}, {"nonsense": 1.0}]),
        "shown": st.sampled_from([None, [("i3", NOW - 5)], [("i3", NOW + 5), ("unheard", 3)], "wrong"]),
        "items": st.lists(ITEM, min_size=1, max_size=7),
    }
)


@settings(max_examples=15, deadline=None)
@given(asked=st.lists(ASKED, min_size=2, max_size=9), k=st.sampled_from([None, 2, 30]))
def test_whatever_requests_bring(ranker, asked, k):
    names = ("more", "dislikes", "guards", "weights", "shown")
    batch = {name: [one[name] for one in asked] for name in names}
    users = [one["user"] for one in asked]
    answers = ranker.rank_many(users=users, k=k, now=NOW, **batch)
    alone = [
        ask_alone(ranker.rank, user=one["user"], k=k, now=NOW, **{name: one[name] for name in names}) for one in asked
    ]
    assert list(map(say, answers)) == list(map(say, alone))
    batch["histories"] = batch.pop("more")
    items, scores = [one["items"] for one in asked], [np.arange(len(one["items"]))[::-1] % 3 for one in asked]
    answers = ranker.rerank_many(items, scores, k=k, now=NOW, **batch)
    alone = [
        ask_alone(
            ranker.rerank, one, worth, history=other["more"], k=k, now=NOW, **{name: other[name] for name in names[1:]}
        )
        for one, worth, other in zip(items, scores, asked, strict=True)
    ]
    assert list(map(say, answers)) == list(map(say, alone))


def test_candidates_of_unequal_number_go_by_blocks(ranker, world, monkeypatch):
    rng = np.random.default_rng(2)
    pools = [rng.permutation(world.item_ids)[: 4 + u % 9] for u in range(14)]
    scores, users = [rng.normal(size=len(pool)).round(1) for pool in pools], world.user_ids[:14]
    alone = [ranker.rerank(*given, user=user, now=NOW) for *given, user in zip(pools, scores, users, strict=True)]
    monkeypatch.setattr(SlateMaker, "make", refuse_to_answer_alone)
    answers = ranker.rerank_many(pools, scores, users=users, now=NOW)
    assert list(map(say, answers)) == list(map(say, alone))


@pytest.mark.parametrize("d", [1, 3, 17, 64, 100, 130])
def test_the_bound_holds_and_scores_are_those_of_rank(world, taste_maps, d):
    model = make_factors(30, 3000, d, seed=d)
    users, items = model.factors.user_factors, model.factors.item_factors
    ranker = Ranker.fit(make_factors(*world.shape, d), world, {"relevance": 1.0}, maps=taste_maps, n=9, k=4, scale=None)
    made = BlockRetrieval(model, replace(ranker.context, dislikes=None), np.ones(3000, bool), ranker.policy)
    made.ties = np.arange(3000)
    exact = np.stack([score_items(items, user) for user in users])
    assert (np.abs(exact - users @ items.T).max(axis=1) <= made.bound_errors(users)).all()
    assert made.bound_errors(users).max() < 1e-3 * exact.std()
    found = made.retrieve([RequestUser(code, np.arange(code, dtype=np.int32)) for code in range(30)])
    for code, one in enumerate(found):
        best = code + np.argsort(-exact[code, code:], kind="stable")[:9]
        assert one.items.tolist() == best.tolist() and one.scores.tobytes() == exact[code, best].tobytes()


def test_where_the_product_is_unsure_users_are_retrieved_alone(world, taste_maps, monkeypatch):
    """More items score alike than there is room for."""
    model = make_factors(*world.shape, 3, ties=True)
    ranker = Ranker.fit(model, world, {"relevance": 1.0}, maps=taste_maps, n=5, k=4, scale=None)
    monkeypatch.setattr(block_retrieval, "SPARE", 1)
    check_users(ranker)
    alone, retrieve = [], Ranker._retrieve
    monkeypatch.setattr(Ranker, "_retrieve", lambda self, *given: alone.append(given) or retrieve(self, *given))
    ranker.rank_many(users=world.user_ids)
    assert len(alone) > 10


def test_threads_and_blocks_change_no_bit(ranker, world, monkeypatch):
    expected = [say(one) for one in ranker.rank_many(users=world.user_ids, now=NOW)]
    for cores, block in ((1, 30), (3, 4), (2, 1)):
        monkeypatch.setattr(request_blocks.os, "cpu_count", lambda cores=cores: cores)
        monkeypatch.setattr(request_blocks, "BLOCK", block)
        assert [say(one) for one in ranker.rank_many(users=world.user_ids, now=NOW)] == expected


def lay_side_by_side(ranker, columns):
    """Return what each request of the columns says, or its error."""
    ends, told = np.cumsum(columns.sizes), []
    for n, size in enumerate(columns.sizes.tolist()):
        if n in columns.errors:
            told.append(str(columns.errors[n]))
            continue
        mine = slice(ends[n] - size, ends[n])
        kept = ~columns.turned_off[n]
        told.append(
            {
                "items": [ranker.context.item_ids[code] for code in columns.items[mine]],
                "scores": columns.scores[mine].tobytes(),
                "base_ranks": columns.base_ranks[mine].tolist(),
                "log_propensity": b"" if columns.log_propensity is None else columns.log_propensity[mine].tobytes(),
                "contributions": columns.contributions[mine][:, kept].tobytes(),
                "objectives": tuple(name for name, there in zip(ranker.blend, kept, strict=True) if there),
                "policy": columns.policies.get(n, ranker.name),
                "notes": columns.notes.get(n, ()),
                "violations": columns.violations.get(n, {}),
                "unknown": (columns.unknown_items[n], columns.unknown_history[n], columns.unknown_regions[n]),
            }
        )
    return told


def tell_answer(answer):
    """Return the same of an answer."""
    if isinstance(answer, RecsysError):
        return str(answer)
    drawn = answer.log_propensity
    return {
        "items": list(answer.items),
        "scores": answer.scores.tobytes() if answer.items else b"",
        "base_ranks": answer.base_ranks.tolist(),
        "log_propensity": b"" if drawn is None else drawn.tobytes(),
        "contributions": answer.contributions.tobytes(),
        "objectives": answer.objectives,
        "policy": answer.policy,
        "notes": answer.notes,
        "violations": answer.violations,
        "unknown": (len(answer.unknown_items), len(answer.unknown_history), len(answer.unknown_regions)),
    }


@pytest.mark.parametrize("drawn", [0.0, 0.3])
def test_columns_say_what_answers_say(world, taste_maps, model, drawn):
    guards = [rs.guards.at_least(4, features=["f1"]), rs.guards.frequency_cap(1, window_days=7)]
    for held in ([], guards):
        ranker = Ranker.fit(model, world, BLEND, maps=taste_maps, n=12, k=4, guards=held, temperature=drawn)
        users = [*world.user_ids[:15].tolist(), "nobody"]
        weights = [[None, {"mmr": 0.0}, {"relevance": 2.0}][n % 3] for n in range(16)]
        more = [[["i1", "unheard"], None, []][n % 3] for n in range(16)]
        items = [["i1", "i2", "unheard", "i9", "i12"][: n % 6] for n in range(16)]
        scores = [np.arange(len(own))[::-1] for own in items]
        for pools in ((), (items, scores)):
            asked = {"users": users, "weights": weights, "more": more, "now": NOW}
            answers = ranker.rerank_many(*pools, **asked) if pools else ranker.rank_many(**asked)
            columns = ranker.make_slate_columns(*pools, **asked)
            assert lay_side_by_side(ranker, columns) == [tell_answer(one) for one in answers]


def test_known_users_and_plain_candidates_are_read_by_columns(ranker, world, monkeypatch):
    """Names, unsorted scores, lists and arrays: none of them is read alone, and what is wrong has its own error."""
    rng = np.random.default_rng(3)
    pools = [rng.permutation(world.item_ids)[: 5 + n % 4].tolist() for n in range(12)]
    scores = [
        rng.normal(size=len(pool)).round(1).astype([float, np.float32, int][n % 3]) for n, pool in enumerate(pools)
    ]
    scores[4], scores[5] = scores[4].tolist(), tuple(scores[5].tolist())
    users = world.user_ids[:12].tolist()

    def ask(*given):
        return [say(one) for one in ranker.rerank_many(*given, users=users, now=NOW)]

    def ask_each(items, worths):
        return [
            say(ask_alone(ranker.rerank, *given, user=user, now=NOW))
            for *given, user in zip(items, worths, users, strict=True)
        ]

    expected = ask_each(pools, scores)
    wrong = [list(pool) for pool in pools]
    wrong[1][1], wrong[2][1], wrong[3] = wrong[1][0], "unheard", wrong[3][:-1]
    spoiled = [
        *scores[:6],
        np.full(len(pools[6]), np.nan),
        scores[7].astype(float) * 1e39,
        *scores[8:10],
        None,
        [2**60] * len(pools[11]),
    ]
    assert ask(wrong, spoiled) == ask_each(wrong, spoiled)
    monkeypatch.setattr(Ranker, "_read_request", refuse_to_answer_alone)
    assert ask(pools, scores) == expected


def test_what_a_ranker_holds_of_users_holds_in_a_batch(ranker, tmp_path):
    path = tmp_path / "list"
    forget_lists.forget(path, user="u8")
    held = ranker.set_user_dials({"u1": {"mmr": 0.0}, "u2": {"mmr": 2.0}}, now=NOW - 9)
    held = held.follow_forget_list(path).stop("u3", "f1")
    users = ["u1", "u2", "u3", "u4", "u8"]
    for name, answer, plain in zip(
        users, held.rank_many(users=users, now=NOW), ranker.rank_many(users=users, now=NOW), strict=True
    ):
        assert say(answer) == say(ask_alone(held.rank, user=name, now=NOW))
        is_same = not isinstance(answer, RecsysError) and answer.items == plain.items and not answer.dials
        assert (name == "u4") == is_same


def test_whole_numbers_are_read_by_columns(world, taste_maps, monkeypatch):
    split = replace(world, items=replace(world.items, ids=np.arange(100, 100 + world.shape[1]).astype(str)))
    ranker = Ranker.fit(make_factors(*split.shape, 5), split, {"relevance": 1.0}, maps=taste_maps, n=12, k=4)
    rng = np.random.default_rng(3)
    pools = [100 + rng.permutation(split.shape[1])[:9].astype([np.int64, np.uint16, np.int32][n % 3]) for n in range(9)]
    scores, users = [rng.normal(size=9) for _ in pools], split.user_ids[:9].tolist()
    alone = [say(ranker.rerank(*given, user=user, now=NOW)) for *given, user in zip(pools, scores, users, strict=True)]
    outside = [np.append(pool[:8], 7) for pool in pools]
    assert [one.unknown_items for one in ranker.rerank_many(outside, scores, users=users)] == [("7",)] * 9
    monkeypatch.setattr(Ranker, "_read_request", refuse_to_answer_alone)
    assert [say(one) for one in ranker.rerank_many(pools, scores, users=users, now=NOW)] == alone


def test_answers_are_laid_out_when_they_are_looked_at(ranker, world):
    users = world.user_ids[:9].tolist()
    answers, copied = (ranker.rank_many(users=users, now=NOW) for _ in range(2))
    alone = ranker.rank(user=users[3], now=NOW)
    unread = set(vars(answers[3]))
    assert answers[3].now == NOW and set(vars(answers[3])) == set(vars(alone)) and not unread & set(vars(alone))
    assert pickle.loads(pickle.dumps(copied[3])).to_dict() == alone.to_dict()
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = answers[4].nonsense
