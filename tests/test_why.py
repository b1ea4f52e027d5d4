"""Why an item is in a slate: what each item of the history adds, against refolding without it, and the record."""

import json
import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import sparse
from synthetic import make_maps, make_split
from test_rankers import run_cli

import recsys as rs
from recsys.control.history_influences import compute_history_influences, leave_out_of_factors
from recsys.control.sentences import describe_pick
from recsys.maths.fold_in import solve_user_factors
from recsys.rankers import Ranker
from recsys.reranking import guards
from recsys.types import RecsysError
from recsys.types.arrays import Csr

DAY = 86_400
BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "unexplored": 0.2},
    "library": {"relevance": 1.0, "calibration": 0.2, "novelty": 0.1},
}
MODELS = {
    "als": rs.models.ALS(factors=4, iterations=2),
    "als_dislikes": rs.models.ALS(factors=4, iterations=2, disliked=3.0),
    "ials": rs.models.IALS(factors=4, iterations=2, disliked=0.5),
    "pure_svd": rs.models.PureSVD(factors=4),
    "ease": rs.models.EASE(l2=5.0),
    "item_knn": rs.models.ItemKNN(k=5, similarity="bm25"),
    "user_knn": rs.models.UserKNN(k=5),
    "p3alpha": rs.models.P3alpha(k=8),
    "rp3beta": rs.models.RP3beta(k=8),
    "bpr": rs.models.BPR(factors=4, iterations=2),
    "lmf": rs.models.LMF(factors=4, iterations=2),
    "ensemble": rs.models.Ensemble(["ease", "user_knn"]),
}
NONE = np.zeros(0, np.int32)


@cache
def get_split():
    return make_split(users=60, seed=4, times=True)


@cache
def fit(name):
    return MODELS[name].fit(get_split().train, get_split().side_information)


@cache
def make_ranker(name="compiled", **settings):
    split = get_split()
    return Ranker.fit(fit("als"), split, BLENDS[name], maps=make_maps(split), n=20, k=6, **settings)


def refold(model, history, weights=1.0):
    """Return the scores of all items for a history, in float64 where there are factors."""
    values = np.broadcast_to(np.float32(weights), len(history))
    row = Csr((values, (np.zeros(len(history), int), history)), shape=(1, 40))
    if model.factors is None or not hasattr(model.factors, "nu"):
        return model.fold(row)[0].astype(np.float64)
    return solve_user_factors(model.factors, row)[0].astype(np.float64) @ model.factors.item_factors.T


@pytest.mark.parametrize("name", MODELS)
def test_influences_are_those_of_folding_in_without_each_item(name):
    model, items = fit(name), np.arange(40)
    history = np.sort(get_split().train[[3]].indices)
    assert len(history) > 3
    found = compute_history_influences(model, 40, history, items, NONE)
    expected = np.array([refold(model, history) - refold(model, np.delete(history, j)) for j in range(len(history))])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6 * np.abs(refold(model, history)).max())


@pytest.mark.parametrize("name", ["als", "ials", "ease", "item_knn", "user_knn"])
def test_influences_under_a_half_life_are_those_of_folding_in_with_weights(name):
    split = get_split().with_half_life(200)
    model = MODELS[name].fit(split.train, split.side_information)
    row = split.side_information.weights[[3]]
    history, weights = row.indices, row.data
    assert len(np.unique(weights)) > 2
    found = compute_history_influences(model, 40, history, np.arange(40), NONE, None, weights)
    whole = refold(model, history, weights)
    less = [refold(model, np.delete(history, j), np.delete(weights, j)) for j in range(len(history))]
    np.testing.assert_allclose(found, whole - np.array(less), rtol=1e-4, atol=2e-6 * np.abs(whole).max())
    plain = compute_history_influences(model, 40, history, np.arange(40), NONE)
    assert not np.allclose(found, plain, rtol=1e-3, atol=0)
    found = compute_history_influences(
        model, 40, history, np.arange(40), split.train_negatives[[3]].indices, None, weights
    )
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, n=20, k=4)
    answer = ranker.rank(user=split.user_ids[3], now=2_000_000_000)
    for item in answer.items:
        for reason in answer.why(item).history:
            place = history.tolist().index(int(reason.item[1:]))
            assert reason.influence == pytest.approx(found[place, int(item[1:])], rel=1e-3, abs=1e-5)
    dated = ranker.rank(history=[("i1", 1_999_000_000), ("i2", None)], now=2_000_000_000)
    ages = {r.item: r.age_days for item in dated.items for r in dated.why(item).history}
    assert {"i1": pytest.approx(1_000_000 / DAY), "i2": None}.items() >= ages.items()


@pytest.mark.parametrize("name", ["als_dislikes", "ials"])
def test_known_dislikes_stay_in_the_normal_matrix(name):
    factors, split = fit(name).factors, get_split()
    user = next(u for u in range(60) if split.train[[u]].nnz > 2 and split.train_negatives[[u]].nnz)
    history, dislikes = split.train[[user]].indices, split.train_negatives[[user]].indices
    whole = solve_user_factors(factors, Csr(split.train[[user]]), Csr(split.train_negatives[[user]]))[0]
    np.testing.assert_allclose(whole, factors.user_factors[user], rtol=1e-3, atol=1e-5)
    found = leave_out_of_factors(factors, history, np.arange(40), dislikes)
    for j in range(len(history)):
        row = Csr(split.train[[user]] - sparse.csr_array(([1.0], ([0], [history[j]])), shape=(1, 40)))
        row.eliminate_zeros()
        less = solve_user_factors(factors, row, Csr(split.train_negatives[[user]]))[0]
        np.testing.assert_allclose(found[j], (whole - less) @ factors.item_factors.T, rtol=1e-3, atol=2e-6)
    assert not np.allclose(found, leave_out_of_factors(factors, history, np.arange(40), NONE), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["als", "ials", "pure_svd"])
def test_a_history_of_one_leaves_the_mean_user(name):
    model = fit(name)
    found = compute_history_influences(model, 40, np.array([7], np.int32), np.arange(40), NONE)
    np.testing.assert_allclose(found[0], refold(model, [7]) - refold(model, []), rtol=1e-4, atol=1e-6)


def test_models_that_read_no_history_have_no_influences():
    split = get_split()
    for model in (rs.models.MostPopular().fit(split.train), rs.models.Random().fit(split.train)):
        assert not compute_history_influences(model, 40, np.arange(3, dtype=np.int32), np.arange(40), NONE).any()
    ranker = Ranker.fit(rs.models.MostPopular().fit(split.train), split, {"relevance": 1.0}, n=20, k=4)
    answer = ranker.rank(user="u3")
    assert answer.why(answer.items[0]).sentences == ("It is what people like on the whole.",)


def test_popularity_in_place_of_neighbours_is_no_influence():
    train = Csr(np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]], np.float32))
    for model in (rs.models.UserKNN(k=2).fit(train), rs.models.ItemKNN(k=2).fit(train)):
        alone = compute_history_influences(model, 4, np.array([2], np.int32), np.arange(4), NONE)
        assert not alone.any(), model
        one = compute_history_influences(model, 4, np.array([0], np.int32), np.arange(4), NONE)
        np.testing.assert_allclose(one[0], model.fold(Csr(np.array([[1, 0, 0, 0]], np.float32)))[0], atol=1e-6)


@pytest.mark.parametrize("name", BLENDS)
def test_a_why_is_what_the_answer_says_of_its_pick(name):
    ranker = make_ranker(name)
    now = 1_000_000_000 + 40 * DAY
    answer = ranker.rank(user="u3", now=now, weights={"relevance": 0.5})
    code = ranker.context.user_ids.tolist().index("u3")
    times = get_split().train_times[[code]].toarray().ravel()
    for slot, item in enumerate(answer.items, start=1):
        why = answer.why(item)
        assert (why.item, why.slot, why.title) == (item, slot, f"Item {item[1:]}")
        assert why.score == answer.scores[slot - 1] and why.relevance == answer.relevance[slot - 1]
        assert list(why.contributions) == list(answer.objectives)
        assert [*why.contributions.values()] == answer.contributions[slot - 1].tolist()
        assert why.base_rank == answer.base_ranks[slot - 1] and why.displaced == answer.displaced[slot - 1]
        assert why.displaced_title == (f"Item {why.displaced[1:]}" if why.displaced else "")
        assert [one.influence for one in why.history] == sorted((r.influence for r in why.history), reverse=True)
        for one in why.history:
            less = refold(fit("als"), [i for i in get_split().train[[code]].indices if f"i{i}" != one.item])
            assert one.influence == pytest.approx(why.relevance - less[int(item[1:])], abs=1e-5) and one.influence > 0
            assert one.age_days == pytest.approx(max(0, (now - times[int(one.item[1:])]) / DAY)) and one.source == "log"
        assert json.loads(json.dumps(why.to_dict(), allow_nan=False)) == why.to_dict()
    assert any(answer.why(item).displaced for item in answer.items)
    assert any(answer.why(item).history for item in answer.items)


def test_what_the_request_brings_has_no_age():
    ranker = make_ranker()
    code = ranker.context.user_ids.tolist().index("u3")
    new = next(f"i{i}" for i in range(40) if i not in get_split().train[[code]].indices)
    answer = ranker.rank(user="u3", more=[new])
    reasons = [one for item in answer.items for one in answer.why(item).history]
    brought = {one.item for one in reasons if one.source == "request"}
    assert brought <= {new} and all((one.age_days is None) == (one.source == "request") for one in reasons)
    answer = ranker.rank(history=["i1", "i2", "i30"])
    reasons = [one for item in answer.items for one in answer.why(item).history]
    assert reasons and all(one.age_days is None and one.source == "request" for one in reasons)
    bare = replace(ranker, context=replace(ranker.context, times=None), name="")
    answer = bare.rank(user="u3")
    assert {one.age_days for item in answer.items for one in answer.why(item).history} == {None}


def test_scores_of_the_caller_are_explained_by_no_history():
    ranker = make_ranker()
    answer = ranker.rerank(["i1", "i2", "i3"], [3.0, 2.0, 1.0], user="u3", guards=[guards.pin(1, "i3")])
    assert all(answer.why(item).history == () for item in answer.items)
    assert answer.why("i3").is_pinned and answer.why("i3").sentences[0] == "Its place is kept for it."
    free = ranker.rank(profile_free=True)
    why = free.why(free.items[0])
    assert why.profile_free and why.history == () and why.sentences[0] == "It is what people like on the whole."


def test_sentences_come_from_a_closed_list():
    said = describe_pick([("A", 1.0), ("B", None), ("C", 2.0)], {"relevance": 0.1, "mmr": 0.2}, "D", False, True)
    assert said == (
        "Because you liked A (1 day ago) and B.",
        "Chosen mostly for mmr.",
        "It stands in the place of D.",
    )
    assert describe_pick([], {"relevance": 1.0}, "", False, True) == ("Chosen mostly for relevance.",)


def test_items_that_are_no_picks_are_refused():
    answer = make_ranker().rank(user="u3")
    with pytest.raises(RecsysError, match=r"^ranker: unknown item 'i100': did you mean 'i10'"):
        answer.why("i100")
    other = next(f"i{i}" for i in range(40) if f"i{i}" not in answer.items)
    with pytest.raises(RecsysError, match=f"'{other}' is none of the 6 picks, expected one of them: Ranker.why_not"):
        answer.why(other)
    assert make_ranker().rank(history=["i1"], k=3).why(make_ranker().rank(history=["i1"]).items[0]).slot == 1


def test_a_pickled_answer_keeps_its_whys():
    answer = make_ranker().rank(user="u3")
    again = pickle.loads(pickle.dumps(answer))
    assert [again.why(item) for item in again.items] == [answer.why(item) for item in answer.items]


def test_the_command_says_why(tmp_path, capsys):
    folder = make_ranker().save(tmp_path / "ranker")
    answer = make_ranker().rank(user="u3", now=1_100_000_000)
    asked = ["why", folder, "--user", "u3", "--item", answer.items[1], "--now", "1100000000"]
    assert run_cli(*asked) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line] == [
        f"{answer.items[1]} Item {answer.items[1][1:]}: slot 2", *answer.why(answer.items[1]).sentences
    ]  # fmt: skip
    assert run_cli(*asked, "--json") == 0
    assert json.loads(capsys.readouterr().out) == answer.why(answer.items[1]).to_dict()
    assert run_cli("why", folder, "--user", "u3", "--item", "i1000") == 2
    assert "unknown item 'i1000'" in capsys.readouterr().err
