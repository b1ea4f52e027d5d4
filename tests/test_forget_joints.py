"""A forget list beside what else a ranker has: a half-life, stored dials, exposures, receipts, and why_not."""

import copy

import numpy as np
import pytest
from synthetic import make_exposures, make_maps, make_split

import recsys as rs
from recsys.control import forget_lists
from recsys.rankers import Ranker
from recsys.reranking import guards

NOW = 1001 * 86_400


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


@pytest.fixture(scope="module")
def aged():
    return make_split(users=40, seed=4, times=True).with_half_life(200)


@pytest.fixture(scope="module")
def plain_ranker(aged):
    model = rs.models.ALS(factors=4, iterations=3).fit(aged.train, aged.side_information)
    shown = make_exposures(aged, rows=300)
    blend = {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3}
    return Ranker.fit(model, aged, blend, maps=make_maps(aged), n=20, k=6, shown=shown)


@pytest.fixture
def path(tmp_path):
    return forget_lists.forget(tmp_path / "forget.jsonl", user="nobody").path


@pytest.fixture
def ranker(plain_ranker, path):
    return plain_ranker.follow_forget_list(path)


def list_closed(ranker, user):
    return set(ranker.context.item_ids[ranker.forget_state.closed[ranker.known_users[user]].items].tolist())


def test_popularity_by_age_is_counted_anew(aged, path):
    model = rs.models.MostPopular().fit(aged.train, aged.side_information)
    ranker = Ranker.fit(model, aged, {"relevance": 1.0}, maps=[], n=20, k=6, forget_list=path).forget(user="u3")
    left = aged.time_weights.weights.toarray().copy()
    left[3] = 0.0
    assert np.allclose(ranker.model.counts, left.sum(axis=0), rtol=1e-6)
    assert "model: FittedPopularity" not in ranker.pending_forgets[0].parts


def test_popularity_by_a_half_life_of_the_models_own_is_pending(path):
    split = make_split(users=40, seed=4, times=True)
    model = rs.models.MostPopular(half_life=200).fit(split.train, split.side_information)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, maps=[], n=20, k=6, forget_list=path).forget(user="u3")
    assert "model: FittedPopularity" in ranker.pending_forgets[0].parts


@pytest.mark.parametrize("asked", [{}, {"profile_free": True}, {"guards": [guards.exclude(items=["i1"])]}])
def test_why_not_keeps_stopped_topics_closed(ranker, asked):
    ranker = ranker.stop("u3", "f0")
    closed, slate = list_closed(ranker, "u3"), ranker.rank(user="u3", now=NOW, **asked).items
    for item in ranker.known_items:
        if item in slate or item not in ("i2", "i9", "i14", *sorted(closed)[:3]):
            continue
        told = ranker.why_not(item, user="u3", now=NOW, max_removed=1, **asked)
        assert told.slate == slate and not any(closed.intersection(change.slate) for change in told.changes)
        assert (told.stage == "stopped") == (item in closed)
        if item in closed:
            assert told.changes == () and told.sentences == ("It is of a topic that the user stopped.",)


@pytest.mark.parametrize("asked", [{}, {"guards": [guards.exclude(items=["i1"])]}])
@pytest.mark.parametrize("profile_free", [False, True])
def test_receipts_of_who_stopped_a_topic_replay(ranker, asked, profile_free):
    open_items = ranker.rank(user="u3", now=NOW, profile_free=True, **asked).items
    ranker = ranker.stop("u3", "f0")
    assert list_closed(ranker, "u3").intersection(open_items)
    answer = ranker.rank(user="u3", now=NOW, profile_free=profile_free, **asked)
    receipt = answer.receipt()
    assert receipt.user == "u3" and ranker.replay(receipt).verdict == "equal"
    assert ranker.rank(user="u4", now=NOW, profile_free=True).receipt().user is None


def test_a_copy_has_the_dials_of_its_ranker(plain_ranker, path):
    ranker = plain_ranker.set_user_dials({"u3": {"mmr": 3.0}, "u4": {"mmr": 2.0}, "u5": {"mmr": 2.0}})
    ranker = ranker.follow_forget_list(path).clear_user_dials(["u3"]).set_user_dials({"u6": {"mmr": 0.5}})
    made = copy.deepcopy(ranker.forget(user="u5"))
    assert made.user_dials.user_ids.tolist() == ["u4", "u6"]
    assert set(made.undo(user="u5").user_dials.user_ids.tolist()) == {"u4", "u5", "u6"}


def test_a_saved_ranker_whose_first_person_is_forgotten_is_loaded(ranker, tmp_path):
    ranker = ranker.forget(user="u0")
    loaded = Ranker.load(ranker.save(tmp_path / "ranker"))
    assert "u0" not in loaded.known_users
    assert loaded.rank(user="u5", now=NOW).items == ranker.rank(user="u5", now=NOW).items


def test_what_was_undone_is_not_pending(ranker, path, tmp_path):
    folder = ranker.forget(user="u7").save(tmp_path / "ranker")
    assert [one.kind for one in Ranker.load(folder).pending_forgets] == ["person"]
    served = Ranker.load(folder)
    forget_lists.undo(path, user="u7")
    assert served.refresh().pending_forgets == Ranker.load(folder).pending_forgets == ()


def test_a_ranker_that_refuses_writes_nothing(aged, path):
    class Own:
        factors = None

        def score(self, users):
            return np.tile(np.arange(40, dtype=np.float32), (len(users), 1))

        def fold(self, histories):
            return self.score(range(histories.shape[0]))

    ranker = Ranker.fit(Own(), aged, {"relevance": 1.0}, maps=[], n=20, k=6, forget_list=path)
    for refused in (lambda: ranker.forget(user="u3"), lambda: ranker.stop("u3", "f0")):
        with pytest.raises(rs.RecsysError, match="model Own is none of this library"):
            refused()
    assert len(forget_lists.read_forget_list(path).lines) == 1
    assert ranker.refresh().rank(user="u3", now=NOW).items
