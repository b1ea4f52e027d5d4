"""Rankers: what the library gives for the same pool, one request at a time."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from scipy import sparse
from synthetic import make_maps, make_split, reseal_manifest, write_tables

import recsys as rs
from recsys.models.stores import FORMAT
from recsys.objectives.derived_tables import get_item_vectors
from recsys.rankers import Ranker, warmups
from recsys.types import Items, RecsysError

BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": {"weight": 0.4, "tau": 0.8}}
OTHER = {"relevance": 1.0, "unexplored": 0.3, "dpp": 0.1, "calibration": {"weight": 0.2, "aspects": "features"}}
MODELS = [
    rs.models.ALS(factors=4, iterations=3),
    rs.models.IALS(factors=4, iterations=3),
    rs.models.BPR(factors=4, iterations=3),
    rs.models.EASE(),
    rs.models.ItemKNN(k=5),
    rs.models.UserKNN(k=5),
    rs.models.MostPopular(),
    rs.models.Random(),
    rs.models.Ensemble(["ease", "most_popular"]),
]


@pytest.fixture(scope="module")
def world():
    return make_split(users=60, seed=4)


@pytest.fixture(scope="module")
def taste_maps(world):
    return make_maps(world)


@pytest.fixture(scope="module")
def fitted(world):
    return MODELS[0].fit(world.train, world.side_information)


@pytest.fixture(scope="module")
def ranker(world, taste_maps, fitted):
    return Ranker.fit(fitted, world, BLEND, maps=taste_maps, n=25, k=6)


def liked(world, user):
    return [world.item_ids[i] for i in world.train[[user]].indices]


def same(one, other):
    """Whether two answers are equal, bit for bit."""
    arrays = ("scores", "contributions", "relevance", "base_ranks")
    plain = ("items", "objectives", "displaced", "seed", "policy", "unknown_items", "unknown_history")
    both = (one.log_propensity, other.log_propensity)
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and (both[0] is both[1] is None or np.array_equal(*both))
        and one.explanations() == other.explanations()
    )


@pytest.mark.parametrize(
    ("blend", "policy"),
    [
        (BLEND, {}),
        (BLEND, {"order": "relevance"}),
        (BLEND, {"temperature": 0.4, "epsilon": 0.1, "seed": 3}),
        (BLEND, {"exclude_seen": False}),
        (OTHER, {"exploration_share": 0.3}),
        (OTHER, {"temperature": 0.4}),
        ({"relevance": 1.0}, {}),
        ({"relevance": 1.0, "thompson": 0.3, "noise": {"weight": 0.1, "seed": 2}}, {"seed": 5}),
        ({"relevance": 1.0, "novelty": {"weight": 0.3, "adapt_to": "entropy"}}, {}),
    ],
)
def test_known_users_get_the_slates_of_the_library(world, taste_maps, fitted, blend, policy):
    of_pool = {name: value for name, value in policy.items() if name in ("exclude_seen", "exploration_share", "seed")}
    of_slate = {name: value for name, value in policy.items() if name not in ("exclude_seen", "exploration_share")}
    pool = rs.candidates(fitted, world, n=25, maps=taste_maps, **of_pool)
    slates = rs.rerank(pool, blend, 6, **of_slate)
    ranker = Ranker.fit(fitted, world, blend, maps=taste_maps, n=25, k=6, **policy)
    assert ranker.scales == pytest.approx(slates.scales, rel=1e-9)
    for u, user in enumerate(world.user_ids):
        shown = [world.item_ids[i] for i in slates.items[u] if i >= 0]
        candidates = pool.items[u][pool.items[u] >= 0]
        given = ranker.rerank(world.item_ids[candidates], pool.scores[u][: len(candidates)], user=user)
        for answer in (ranker.rank(user=user), given):
            assert list(answer.items) == shown
            np.testing.assert_allclose(
                answer.contributions, slates.contributions[u][: len(shown)], rtol=1e-4, atol=1e-6
            )
            if slates.log_propensity is not None:
                np.testing.assert_allclose(answer.log_propensity, slates.log_propensity[u][: len(shown)], atol=1e-4)
            assert (answer.log_propensity is None) == (slates.log_propensity is None)


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: type(settings).__name__)
def test_a_new_history_is_folded_in_exactly(world, taste_maps, settings):
    fitted = settings.fit(world.train, world.side_information)
    ranker = Ranker.fit(fitted, world, {"relevance": 1.0}, maps=taste_maps, n=25)
    for user in range(5):
        scores = fitted.fold(sparse.csr_array(world.train[[user]]))[0]
        scores[world.train[[user]].indices] = -np.inf
        answer = ranker.rank(history=liked(world, user), k=8)
        codes = [world.item_ids.tolist().index(item) for item in answer.items]
        np.testing.assert_allclose(scores[codes], np.sort(scores)[::-1][:8], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(answer.relevance, scores[codes], rtol=1e-4, atol=1e-6)
    assert len(ranker.rank(history=[]).items) == len(ranker.rank().items) == 10


def test_a_history_of_a_known_user_is_that_user_but_for_what_they_declined(world, taste_maps, fitted):
    """Of a history, other communities are told by the nearest: most people stand where they were counted."""
    clean = replace(world, train_negatives=sparse.csr_array(world.train.shape, dtype=np.float32))
    blend = {"relevance": 1.0, "mmr": 0.2, "unexplored": 0.3, "calibration": {"weight": 0.2, "aspects": "map"}}
    ranker = Ranker.fit(fitted, clean, blend, maps=taste_maps, n=25)
    for user in range(20):
        known, new = ranker.rank(user=world.user_ids[user]), ranker.rank(history=liked(world, user))
        assert known.items == new.items
        np.testing.assert_allclose(known.scores, new.scores, rtol=1e-3)
    ranker = Ranker.fit(fitted, clean, BLEND, maps=taste_maps, n=25)
    pairs = [(ranker.rank(user=world.user_ids[u]), ranker.rank(history=liked(world, u))) for u in range(60)]
    assert np.mean([known.items == new.items for known, new in pairs]) > 0.8


def test_relevance_alone_is_the_given_order_bit_for_bit(world, taste_maps):
    ranker = Ranker.fit(None, world, {"relevance": 1}, maps=taste_maps, scale=None)
    scores = np.array([0.3, 0.3, 0.9, -1.0, 0.3], np.float32)
    answer = ranker.rerank(["i7", "i3", "i9", "i1", "i5"], scores, k=5)
    assert answer.items == ("i9", "i7", "i3", "i5", "i1")
    assert answer.relevance.tolist() == sorted(scores.tolist(), reverse=True)
    assert answer.base_ranks.tolist() == [1, 2, 3, 4, 5] and answer.displaced == ("",) * 5
    with pytest.raises(RecsysError, match="it has no model to rank with, expected items and scores"):
        ranker.rank(user="u1")


def test_scales_are_fitted_on_a_sample_of_the_callers_scores(world, taste_maps, fitted):
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random(world.train.shape) < 0.5)
    mine = rs.Pool.from_frame(
        world.user_ids[user], world.item_ids[item], 1000 * rng.random(len(user)), split=world, maps=taste_maps
    )
    ranker = Ranker.fit(None, world, BLEND, pool=mine, maps=taste_maps, k=5)
    assert ranker.scales == pytest.approx(rs.rerank(mine, BLEND, 5).scales)
    assert ranker.scales["relevance"] < 0.1  # the other is of scores below 1
    assert Ranker.fit(fitted, world, BLEND, pool=mine, maps=taste_maps, k=5).scales == ranker.scales
    elsewhere = rs.Pool.from_frame(["a"], ["b"], [1.0])
    with pytest.raises(RecsysError, match="the pool is of other users or items"):
        Ranker.fit(fitted, world, BLEND, pool=elsewhere, maps=taste_maps)


def test_an_answer_says_what_each_pick_is(world, ranker):
    answer = ranker.rank(user="u3")
    np.testing.assert_allclose(answer.contributions.sum(axis=1), answer.scores, rtol=1e-6)
    assert answer.objectives == ("mmr", "negative_space", "relevance")
    by_relevance = Ranker.fit(ranker.model, world, {"relevance": 1.0}, maps=ranker.context.maps, n=25, k=25)
    order = by_relevance.rank(user="u3").items
    assert [order[place - 1] for place in answer.base_ranks] == list(answer.items)
    lost = [item for item in order[:6] if item not in answer.items]
    newcomers = [item for item in answer.items if item not in order[:6]]
    assert newcomers  # or this tests nothing
    assert dict(zip(answer.items, answer.displaced, strict=True)) == {
        item: lost[newcomers.index(item)] if item in newcomers else "" for item in answer.items
    }
    assert answer.seed == 0 and re.fullmatch("[0-9a-f]{16}", answer.policy)
    with pytest.raises(FrozenInstanceError):
        answer.items = ()
    with pytest.raises(FrozenInstanceError):
        ranker.blend = {}
    with pytest.raises(TypeError):
        ranker.blend["relevance"] = 2.0


def test_unknown_ids_are_reported_and_never_guessed(ranker):
    whole = ranker.rerank(["i1", "i2", "i3"], [3, 2, 1], history=["i5", "i6"], k=3)
    part = ranker.rerank(["i1", "x", "i2", "y", "i3"], [3, 9, 2, 8, 1], history=["i5", "z", "i6"], k=3)
    assert part.items == whole.items and (part.scores == whole.scores).all()
    assert (part.unknown_items, part.unknown_history) == (("x", "y"), ("z",))
    nothing = ranker.rerank(["x"], [1.0], history=["z"])
    assert (nothing.items, nothing.unknown_items, nothing.explanations()) == ((), ("x",), ())
    assert ranker.rank(history=["z"]).items == ranker.rank(history=[]).items
    with pytest.raises(RecsysError, match=r"user 'u99' is none of the 60 .*'u9'.*expected one of them, or history="):
        ranker.rank(user="u99")


def test_ids_are_names_in_whatever_form(world, fitted, taste_maps):
    number = np.arange(40)
    items = Items(
        number.astype(str), *(getattr(world.items, f) for f in ("titles", "features", "feature_names", "years"))
    )
    split = replace(world, items=items, user_ids=np.arange(60).astype(str))
    ranker = Ranker.fit(fitted, split, BLEND, maps=taste_maps, n=25)
    for given in (number, number.tolist(), number.astype(str), number.astype(float), [str(n) for n in number]):
        answer = ranker.rerank(given, np.arange(40.0), history=given[:3])
        assert len(answer.items) == 10 and not answer.unknown_items + answer.unknown_history
    known = ranker.rerank(number, np.arange(40.0), history=number[:3])
    for odd in (np.array([5, 99, 7]), np.array([5, -3, 7]), np.array([5, 41, 7], np.uint64)):
        part = ranker.rerank(odd, [3, 2, 1], history=odd)
        assert set(part.items) == {"5", "7"} and part.unknown_items == part.unknown_history == (str(odd[1]),)
    assert same(known, ranker.rerank(number.astype(str).tolist(), np.arange(40.0), history=["0", "1", "2"]))
    assert ranker.rank(user=7).items == ranker.rank(user="7").items == ranker.rank(user=7.0).items


def test_a_batch_is_its_requests_one_by_one(world, ranker):
    users, histories = world.user_ids[:9].tolist(), [["i1", "i4"], [], ["i9"]]
    for one, single in zip(ranker.rank_many(users=users), users, strict=True):
        assert same(one, ranker.rank(user=single))
    for one, single in zip(ranker.rank_many(histories=histories), histories, strict=True):
        assert same(one, ranker.rank(history=single))
    items, scores = [["i1", "i2"], ["i3", "i4", "i5"]], [[1, 2], [3, 2, 1]]
    for i, one in enumerate(ranker.rerank_many(items, scores, users=["u1", "u2"], k=2)):
        assert same(one, ranker.rerank(items[i], scores[i], user=f"u{i + 1}", k=2))
    assert len(ranker.rerank_many(items, scores)) == 2


NOT_LISTED = [5, "ab", b"ab", {"u1": 1}, {"u1"}, iter(["u1"]), True]


@pytest.mark.parametrize("given", NOT_LISTED, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("name", ["users", "histories", "more", "guards", "weights", "shown", "items", "scores"])
def test_what_a_batch_brings_is_a_list_with_one_for_each_request(ranker, name, given):
    """Whatever has no number and order is one line, and so is another number than that of the requests."""
    calls = {"items": lambda: ranker.rerank_many(given, [[1.0]]), "scores": lambda: ranker.rerank_many([["i1"]], given)}
    who = {} if name in ("users", "histories") else {"users": ["u1"]}
    with pytest.raises(RecsysError, match=rf"^ranker: {name} is of type {type(given).__name__}, expected a list"):
        calls.get(name, lambda: ranker.rank_many(**who, **{name: given}))()


@pytest.mark.parametrize("name", ["users", "histories", "more", "guards", "weights", "shown"])
def test_a_batch_brings_as_many_as_there_are_requests(ranker, name):
    who = {} if name in ("users", "histories") else {"users": ["u1", "u2"]}
    with pytest.raises(RecsysError, match=rf"^ranker: found 3 for {name}, expected 2: one for each request"):
        ranker.rerank_many([["i1"], ["i2"]], [[1.0], [1.0]], **who, **{name: [[], [], []]})


def test_users_of_a_batch_may_stand_in_an_array(ranker):
    listed = ranker.rank_many(users=["u1", "u2"])
    for one, other in zip(ranker.rank_many(users=np.array(["u1", "u2"])), listed, strict=True):
        assert one.items == other.items


def test_draws_depend_on_who_asks_and_the_seed_and_say_their_chances(world, fitted, taste_maps):
    ranker = Ranker.fit(fitted, world, BLEND, maps=taste_maps, n=25, temperature=1.0)
    one = ranker.rank(history=["i1", "i2"])
    assert same(one, ranker.rank(history=["i2", "i1"]))
    assert one.log_propensity.shape == (10,) and (one.log_propensity <= 1e-6).all()
    drawn = {ranker.rank(history=["i1", "i2"], seed=seed).items for seed in range(8)}
    assert len(drawn) > 1 and ranker.rank(history=["i1"], seed=5).seed == 5
    first, k, draws = {}, 25, 3000
    for seed in range(draws):
        answer = ranker.rank(user="u1", k=1, seed=seed)
        first.setdefault(answer.items[0], [0, np.exp(answer.log_propensity[0])])[0] += 1
    assert len(first) <= k
    chi = sum((n - draws * chance) ** 2 / (draws * chance) for n, chance in first.values() if draws * chance > 5)
    assert chi < 60  # the 99.99 % point of chi squared with 24 degrees of freedom is 61.5
    thompson = Ranker.fit(fitted, world, {"relevance": 1, "thompson": 0.3}, maps=taste_maps, n=25, temperature=1.0)
    assert thompson.rank(user="u1").log_propensity is None
    assert thompson.rank(user="u1").items != thompson.rank(user="u1", seed=9).items
    assert Ranker.fit(fitted, world, BLEND, maps=taste_maps, n=25).rank(user="u1").log_propensity is None


def test_sentences_are_true(world, ranker):
    features, titles = world.items.features.toarray(), world.items.titles.tolist()
    vectors = get_item_vectors(ranker.context, "cooccurrence", "test")
    regions = np.stack([m.hard_regions for m in ranker.context.maps])
    told = {"liked": 0, "feature": 0, "part": 0, "chosen": 0}
    for user in range(60):
        history = world.train[[user]].indices
        answer = ranker.rank(user=world.user_ids[user])
        for item, sentence in zip(answer.items, answer.explanations(), strict=True):
            code = world.item_ids.tolist().index(item)
            if name := re.search(r"Because you liked (.*?)\.", sentence):
                near = vectors[history] @ vectors[code]
                assert titles.index(name[1]) in history and near[history == titles.index(name[1])] >= near.max() - 1e-6
                told["liked"] += 1
            if name := re.search(r"From (f\d), new to you\.", sentence):
                new = world.items.feature_names.index(name[1])
                assert features[code, new] and not features[history, new].any()
                told["feature"] += 1
            if "a part of the catalogue" in sentence:
                known = regions[:, code] >= 0
                met = [(regions[m, history] == regions[m, code]).any() for m in np.flatnonzero(known)]
                assert 2 * np.sum(met) <= known.sum()
                told["part"] += 1
            told["chosen"] += sentence.startswith("Chosen")
    assert told["liked"] and told["feature"] and told["part"]
    nobody = ranker.rank(history=[]).explanations()
    assert set(nobody) <= {
        "Chosen mostly for relevance.",
        "Chosen mostly for negative space.",
        "Chosen mostly for diversity.",
    }


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: type(settings).__name__)
@pytest.mark.parametrize("blend", [BLEND, OTHER], ids=["blend", "other"])
def test_what_is_loaded_answers_bit_for_bit(world, taste_maps, tmp_path, settings, blend):
    made = Ranker.fit(settings.fit(world.train, world.side_information), world, blend, maps=taste_maps, n=25)
    back = Ranker.load(made.save(tmp_path / "r"), verify=True)
    assert (back.blend, back.scales, back.policy, back.name) == (made.blend, made.scales, made.policy, made.name)
    for asks in ({"user": "u5"}, {"history": ["i1", "i2"]}, {}):
        assert same(back.rank(**asks), made.rank(**asks))
        assert same(
            back.rerank(["i8", "i9", "i3"], [1, 2, 3], **asks), made.rerank(["i8", "i9", "i3"], [1, 2, 3], **asks)
        )


def test_another_policy_has_another_name(world, taste_maps, fitted, ranker):
    names = {ranker.name}
    changes = ({"k": 5}, {"seed": 1}, {"scale": None}, {"epsilon": 0.1})
    for change in changes:
        names.add(Ranker.fit(fitted, world, BLEND, maps=taste_maps, **{"n": 25, "k": 6, **change}).name)
    names.add(Ranker.fit(fitted, world, {**BLEND, "mmr": 0.21}, maps=taste_maps, n=25, k=6).name)
    names.add(Ranker.fit(fitted, world, BLEND, maps=taste_maps[:2], n=25, k=6).name)
    assert len(names) == len(changes) + 3
    assert Ranker.fit(fitted, world, BLEND, maps=taste_maps, n=25, k=6).name == ranker.name


def test_arrays_are_mapped_and_writing_to_them_stays_here(ranker, tmp_path):
    folder = ranker.save(tmp_path / "r")
    back = Ranker.load(folder)
    mapped = back.model.factors.item_factors
    assert isinstance(mapped, np.memmap)
    before = (folder / "models.0.factors.item_factors.npy").read_bytes()
    mapped[:] = 0
    assert (folder / "models.0.factors.item_factors.npy").read_bytes() == before
    assert same(Ranker.load(folder).rank(user="u1"), ranker.rank(user="u1"))


def refused(folder, **options):
    with pytest.raises(RecsysError) as error:
        Ranker.load(folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_damaged_folder_is_one_line(ranker, tmp_path):
    folder = ranker.save(tmp_path / "r")
    path, manifest = folder / "models.0.factors.item_factors.npy", folder / "manifest.json"
    whole, told = path.read_bytes(), json.loads(manifest.read_text())
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "is damaged: its sha256 is not the one in manifest.json" in refused(folder, verify=True)
    path.write_bytes(whole[:-4])
    assert "is damaged" in refused(folder)
    path.unlink()
    assert "cannot be read: No such file" in refused(folder)
    path.write_bytes(whole)
    changed = {**told["settings"], "blend": {**BLEND, "mmr": 0.3}}
    manifest.write_text(json.dumps({**told, "settings": changed}))
    assert "manifest.json is damaged: its settings or arrays are not those of its digest" in refused(folder)
    reseal_manifest(folder, settings=changed)
    assert f"it is not the policy {ranker.name} that manifest.json says" in refused(folder)
    for settings, message in [
        (None, "manifest.json is not one of a saved ranker"),
        ({**told["settings"], "scales": {}}, "scale has no"),
        ({**told["settings"], "blend": {"relevence": 1}, "scales": {"relevence": 1}}, "unknown objective 'relevence'"),
        ({**told["settings"], "policy": {"kk": 1}}, "manifest.json: policy"),
        ({**told["settings"], "policy": {"k": 0}}, "ranker: k is 0"),
    ]:
        reseal_manifest(folder, settings=settings)
        assert message in refused(folder)
    manifest.write_text(json.dumps({**told, "format": FORMAT + 1}))
    assert "it was saved by a newer version" in refused(folder)
    manifest.write_text(json.dumps({**told, "kind": "FittedFactors"}))
    assert "unknown saved ranker 'FittedFactors'" in refused(folder)
    assert "is no saved ranker: manifest.json: No such file" in refused(tmp_path)
    with pytest.raises(RecsysError, match="there already and no saved ranker"):
        ranker.save(tmp_path)


def test_a_name_is_that_of_the_arrays_whether_they_are_read_or_not(ranker, tmp_path):
    """With checksums and digest made anew, what was changed is another policy: that of its name."""
    for name in ("models.0.factors.item_factors", "years", "train.data", "available"):
        folder = ranker.save(tmp_path / "r")
        array = np.load(folder / f"{name}.npy")
        array.flat[0] = not array.flat[0]
        np.save(folder / f"{name}.npy", array)
        reseal_manifest(folder)
        assert f"it is not the policy {ranker.name} that manifest.json says" in refused(folder)
        reseal_manifest(folder, named=True)
        assert Ranker.load(folder).name != ranker.name


def test_a_folder_runs_no_code(ranker, tmp_path):
    folder = ranker.save(tmp_path / "r")
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text())
    told["settings"] |= {"blend": {"recsys.objectives:novelty": 1.0}, "scales": {"recsys.objectives:novelty": 1.0}}
    reseal_manifest(folder, named=True, settings=told["settings"])
    assert "its blend names 'recsys.objectives:novelty', expected it among allow_imports=" in refused(folder)
    assert Ranker.load(folder, allow_imports=["recsys.objectives:novelty"]).rank(user="u1").items

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.save(folder / "years.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    assert "years.npy: is damaged" in refused(folder)


def test_a_model_of_ones_own_ranks_and_is_not_saved(world, taste_maps, tmp_path):
    class Mine:
        factors = None

        def score(self, users):
            return np.tile(np.arange(40.0, dtype=np.float32), (len(users), 1))

        def fold(self, histories):
            return self.score(np.zeros(histories.shape[0]))

    ranker = Ranker.fit(Mine(), world, {"relevance": 1.0}, maps=taste_maps, n=25)
    assert ranker.rank(history=["i39"]).items[0] == "i38"
    with pytest.raises(RecsysError, match=r"cannot save to .* unknown fitted model 'Mine'"):
        ranker.save(tmp_path / "mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"items": ["i1"], "scores": [1, 2]}, "found 1 items and scores of shape (2,), expected a score for each item"),
        ({"items": ["i1"], "scores": [[1]]}, "found 1 items and scores of shape (1, 1)"),
        ({"items": ["i1", "i1"], "scores": [1, 2]}, "item 'i1' is there twice"),
        ({"items": ["i1"], "scores": ["x"]}, "scores: found something that is no number"),
        ({"items": ["i1"], "scores": [np.nan]}, "scores: found NaN, infinity or a larger one"),
        ({"items": "i1", "scores": [1, 2]}, "found 'i1' for items, expected a list of ids"),
        ({"items": ["i1"], "scores": [1], "history": "i1"}, "found 'i1' for items, expected a list of ids"),
        ({"items": ["i1"], "scores": [1], "history": 5}, "found 5 for items, expected a list of ids"),
        ({"items": ["i1"], "scores": [1], "k": 0}, "ranker: k is 0, expected a whole number from 1 to 100000"),
        ({"items": ["i1"], "scores": [1], "seed": "a"}, "ranker: seed is 'a'"),
        ({"items": ["i1"], "scores": [1], "user": "u1", "history": []}, "found user and history"),
        ({"items": ["i1"], "scores": [1], "user": "nobody"}, "user 'nobody' is none of the 60"),
    ],
)
def test_a_request_that_cannot_be_is_one_line(ranker, request_, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        ranker.rerank(**request_)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blend": {"relevence": 1.0}}, "unknown objective 'relevence'"),
        ({"blend": {"relevance": np.ones(60)}}, "ranker: 'relevance' has weights per user"),
        ({"scale": {"relevance": 1.0}}, "ranker: scale has no 'mmr'"),
        ({"scale": "fited"}, "ranker: scale is 'fited'"),
        ({"model": None}, "ranker: found neither a model nor a pool"),
        ({"k": 0}, "ranker: k is 0"),
        ({"temperature": -1}, "ranker: temperature is -1, expected a number from 0 on"),
        ({"epsilon": 2.0}, "ranker: epsilon is 2.0, expected a number from 0 to 1"),
        ({"order": "gian"}, "ranker: unknown order 'gian': did you mean 'gain'"),
        ({"order": "relevance", "epsilon": 0.1}, "order is 'relevance' where picks are drawn"),
        ({"exclude_seen": "all"}, "ranker: exclude_seen is 'all', expected True or False"),
        ({"split": "ml-100k"}, "ranker: found a str, expected a Split"),
    ],
)
def test_a_ranker_that_cannot_be_is_one_line(world, taste_maps, fitted, change, message):
    settings = {"model": fitted, "split": world, "blend": BLEND, "maps": taste_maps, "n": 25, **change}
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        Ranker.fit(**settings)
    assert "\n" not in str(error.value)


def asked(ranker):
    return [
        (answer.items, answer.scores.tolist())
        for n in range(40)
        for answer in (ranker.rank(user=f"u{n}"), ranker.rank(history=[f"i{n}", f"i{39 - n}"]))
    ]


@pytest.mark.parametrize("blend", [BLEND, OTHER], ids=["blend", "other"])
def test_many_threads_get_what_one_gets(world, taste_maps, fitted, tmp_path, blend):
    ranker = Ranker.load(Ranker.fit(fitted, world, blend, maps=taste_maps, n=25).save(tmp_path / "r"))
    serial = asked(ranker)
    with ThreadPoolExecutor(8) as threads:
        for answers in threads.map(asked, [ranker] * 8):
            assert answers == serial


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_workers_get_what_their_parent_gets(ranker, tmp_path):
    loaded = Ranker.load(ranker.save(tmp_path / "r"))
    serial = asked(loaded)
    with ThreadPoolExecutor(4) as threads:  # the parent has answered on threads before it forks
        list(threads.map(asked, [loaded] * 4))
    context = get_context("fork")
    with context.Pool(3, initializer=_hold, initargs=(loaded,)) as workers:
        for answers in workers.map(_asked, range(6)):
            assert answers == serial


def _hold(ranker):
    globals()["held"] = ranker


def _asked(_):
    return asked(globals()["held"])


def test_what_is_exported_is_the_ranker_of_all_of_the_data(tmp_path, monkeypatch, capsys):
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = """
        seed = 3
        data = { path = "ratings.csv", items = "items.csv" }
        filter = { positive = "rating >= 3", min_user_interactions = 3, min_item_interactions = 2 }
        model = { kind = "als", factors = 4, iterations = 3 }
        pool = { n = 15 }
        slate = { k = [5], epsilon = 0.1 }
        [blends.wider]
        relevance = 1.0
        negative_space = { weight = WEIGHT, tau = 0.8 }
    """
    (tmp_path / "winner.toml").write_text(config.replace("WEIGHT", "0.4"))
    assert run_cli("export", "winner.toml", "--out", "made", "--quiet") == 0
    out = capsys.readouterr().out
    assert run_cli("warmup", "made") == 0
    made = Ranker.load("made")
    assert f"policy {made.name}" in out and f"made is whole, policy {made.name}" in capsys.readouterr().out
    data = rs.splits.no_holdout(
        rs.read_dataset("ratings.csv", items="items.csv"),
        positive="rating >= 3",
        min_user_interactions=3,
        min_item_interactions=2,
        seed=3,
    )
    model = rs.models.ALS(factors=4, iterations=3, seed=0).fit(data.train, data.side_information)
    blend = {"relevance": 1.0, "negative_space": {"weight": 0.4, "tau": 0.8}}
    same_ = Ranker.fit(model, data, blend, k=5, n=15, epsilon=0.1, seed=3)
    assert made.scales == pytest.approx(same_.scales)
    for user in data.user_ids[:9]:
        assert made.rank(user=user).items == same_.rank(user=user).items
    assert {"config", "data_fingerprint", "split_fingerprint"} <= set(made.about)
    assert made.about["config"]["seed"] == 3 and made.about["split_fingerprint"] == data.fingerprint
    (tmp_path / "several.toml").write_text(config.replace("WEIGHT", "[0.1, 0.4]"))
    assert run_cli("export", "several.toml", "--out", "many", "--quiet") == 2
    assert "has the blends wider-0.1, wider-0.4, expected the name of one" in capsys.readouterr().err
    assert run_cli("export", "several.toml", "--out", "many", "--blend", "wider-0.4", "--quiet") == 0
    assert Ranker.load("many").name == made.name
    assert run_cli("export", "several.toml", "--out", "base", "--blend", "als", "--quiet") == 0
    assert dict(Ranker.load("base").blend) == {"relevance": 1.0} and not Ranker.load("base").policy.is_stochastic
    assert run_cli("export", "several.toml", "--out", "x", "--blend", "widr", "--quiet") == 2
    assert "unknown run 'widr'" in capsys.readouterr().err
    assert run_cli("export", "winner.toml", "--out", "indexed", "--index-recall", "0.5", "--quiet") == 0
    assert f"index: {Ranker.load('indexed').index}\n" in capsys.readouterr().out
    assert run_cli("warmup", "nowhere") == 2
    assert "nowhere is no saved ranker" in capsys.readouterr().err
    assert run_cli("warmup") == 0


SERVE = """
import sys
sys.modules.update(dict.fromkeys({without}))
import recsys
ranker = recsys.Ranker.load({folder!r})
answers = [ranker.rank(user="u1"), ranker.rank(history=["i1", "i2"]), ranker.rerank(["i8", "i9"], [1, 2], history=["i1"])]
print([answer.items for answer in answers])
"""


def serve(folder, *without):
    """Answer requests in a new interpreter that has none of the modules installed here but these distributions'."""
    there = {"numpy", "scipy", "numba", "llvmlite", "cachetools", "recsys-negspace"} - {*without}
    modules = [name for name, owners in metadata.packages_distributions().items() if not there & {*owners}]
    script = SERVE.format(without=sorted({*modules, *without} - {"recsys"}), folder=str(folder))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("blend", "recall"), [(BLEND, 1.0), (OTHER, 1.0), (BLEND, 0.5)], ids=["blend", "other", "index"]
)
def test_a_server_needs_numpy_scipy_numba_and_cachetools_alone(world, taste_maps, fitted, tmp_path, blend, recall):
    made = Ranker.fit(fitted, world, blend, maps=taste_maps, n=5, index_recall=recall)
    assert (made.index is None) == (recall == 1)
    folder = made.save(tmp_path / "r")
    done = serve(folder)
    assert done.returncode == 0, done.stderr
    answers = [made.rank(user="u1"), made.rank(history=["i1", "i2"]), made.rerank(["i8", "i9"], [1, 2], history=["i1"])]
    assert done.stdout == f"{[answer.items for answer in answers]}\n"


@pytest.mark.parametrize("missing", ["scipy", "numba", "cachetools"])
def test_what_a_server_cannot_do_without_is_missed(ranker, tmp_path, missing):
    """The test above can fail: what is taken away is not there."""
    done = serve(ranker.save(tmp_path / "r"), missing)
    assert done.returncode == 1
    assert f"import of {missing} halted" in done.stderr or f"No module named '{missing}" in done.stderr


WARM = """
import sys
import recsys
from recsys.rankers import warmup

def list_compiled():
    kernels = [k for name, m in sys.modules.items() if name.startswith("recsys.kernels") for k in vars(m).values()]
    return {(k.__name__, s) for k in kernels if hasattr(k, "signatures") for s in k.signatures}

warmup()
warm = list_compiled()
for folder in sys.argv[1:]:
    ranker = recsys.Ranker.load(folder)
    for who in ({"user": "u1"}, {"history": ["i1", "i2"]}, {}):
        ranker.rank(**who), ranker.rerank(["i8", "i9"], [1, 2], **who)
kernel = sys.modules["recsys.kernels.greedy"].pick_greedily
blocks = sys.modules["recsys.kernels.likelihood_features"].fill_all_history_cosines
print(sorted({name for name, _ in list_compiled() - warm}), len(warm) > 5, len(kernel.signatures), blocks.signatures)
"""


def test_a_warm_up_compiles_all_that_requests_of_the_fast_path_run(world, taste_maps, fitted, tmp_path):
    blends = [BLEND, {"relevance": 1.0, "unexplored": 0.3}, {"discovery_value": 1.0, "mmr": 0.1}]
    folders = [
        Ranker.fit(fitted, world, blend, maps=taste_maps, k=5, n=20).save(tmp_path / f"{n}")
        for n, blend in enumerate(blends)
    ]
    done = subprocess.run([sys.executable, "-c", WARM, *map(str, folders)], capture_output=True, text=True)
    assert done.stdout == "[] True 1 []\n", done.stderr  # of kernels no more than these blends need


@pytest.mark.slow
def test_a_read_only_installation_keeps_compiled_code_elsewhere(ranker, tmp_path):
    """The code of blends, which takes a minute to compile, is put there as the fixture left it: it is read from there."""
    package, cache = tmp_path / "site" / "recsys", tmp_path / "cache"
    shutil.copytree(Path(rs.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").write_text("")  # no folder can be made here, whoever tries
        folder.chmod(0o555)
    folder = ranker.save(tmp_path / "r")
    around = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package.parent),
        "HOME": str(cache),
        "XDG_CACHE_HOME": str(cache),
    }

    def run(script):
        command = [sys.executable, "-c", f"import recsys; from recsys.rankers import warmups; {script}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=around)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().split("|")

    (place,) = run("print(warmups.get_cache_folder())")
    assert Path(place).is_relative_to(cache)
    for kept in warmups.get_cache_folder().glob("greedy.*.nb?"):
        shutil.copy(kept, place)
    answer = (
        f"compiled = warmups.warmup({str(folder)!r}).compiled; "
        f"print(recsys.__file__, compiled, recsys.Ranker.load({str(folder)!r}).rank(user='u1').items, sep='|')"
    )
    found = []
    for _ in range(2):
        where, compiled, items = run(answer)
        assert Path(where).is_relative_to(package) and compiled == place
        assert items == str(ranker.rank(user="u1").items)
        found.append(sorted((path.name, path.stat().st_mtime_ns) for path in cache.rglob("*.nbc")))
    assert found[0] == found[1]  # compiled once
    assert {name.partition(".")[0] for name, _ in found[0]} > {"greedy", "requests"}
    assert not list(package.rglob("*.nbc")) + list(package.rglob("*.pyc"))


def test_a_history_of_a_request_is_said_to_have_no_times():
    split = rs.testing.make_split(times=True)
    blend = {"relevance": 1.0, "calibration": {"weight": 0.1, "half_life": 30.0}}
    with pytest.raises(
        RecsysError, match=r"calibration: half_life needs .*, and a history that a request brings has no"
    ):
        Ranker.fit(rs.testing.RandomFactorModel(split), split, blend)
