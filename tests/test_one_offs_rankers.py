"""One-offs in rankers: weights of requests, notes, whys, profiles, confirming, forgetting, saving; and in benchmarks."""

import numpy as np
import pytest
from synthetic import make_maps, make_split

import recsys as rs
from recsys.control import forget_lists
from recsys.models import EASE, IALS
from recsys.rankers import Ranker
from recsys.rankers.remakes import build_remaining_split
from recsys.types import RecsysError
from recsys.types.arrays import Csr

BLEND = {"relevance": 1.0, "mmr": 0.2}


@pytest.fixture(scope="module")
def split():
    return make_split(seed=3, users=40, times=True)


@pytest.fixture(scope="module")
def found(split):
    plain = IALS(factors=4, iterations=2).fit(split.train)
    return rs.detect_one_offs(split, plain, share=0.1, n_near=3, weight=0.2)


def _fit_ranker(found, model=None):
    model = (model or IALS(factors=4, iterations=2)).fit(found.train, found.side_information)
    return Ranker.fit(model, found, BLEND, maps=make_maps(found), n=15, k=5)


@pytest.fixture(scope="module")
def ranker(found):
    return _fit_ranker(found)


@pytest.fixture(scope="module")
def gift(found):
    """The first user with a one-off, and that: ids and codes."""
    place = int(np.flatnonzero(found.one_offs.flags)[0])
    user = int(np.searchsorted(found.train.indptr, place, side="right") - 1)
    item = int(found.train.indices[place])
    return str(found.user_ids[user]), str(found.item_ids[item]), user, item


def _get_weight(ranker, user, item):
    return float(ranker.context.time_weights.weights[user, item])


def _get_entry(profile, name):
    return next(entry.value for entry in profile.entries if entry.name == name)


def test_one_offs_of_a_known_user_are_told_in_notes_whys_and_profile(ranker, gift):
    user, item, code, item_code = gift
    assert _get_weight(ranker, code, item_code) == pytest.approx(0.2)
    answer = ranker.rank(user=user)
    assert f"item '{item}' of the history counts 0.2: it fits nothing else of it, and came once" in answer.notes
    reasons = [one for name in answer.items for one in answer.why(name).history]
    assert {one.is_one_off for one in reasons if one.item == item} <= {True}
    assert not any(one.is_one_off for one in reasons if one.item != item and f"'{one.item}'" not in str(answer.notes))
    told = _get_entry(ranker.profile(user), "one_offs")
    assert {row["item"] for row in told} >= {item}
    assert all(row["counts"] == 0.2 and not row["confirmed"] for row in told)
    assert not any("counts" in note for note in ranker.rank(user=user, profile_free=True).notes)


def test_a_confirmed_item_counts_whole_and_the_user_is_solved_anew(ranker, found, gift, tmp_path):
    user, item, code, item_code = gift
    made = ranker.confirm(user, item)
    assert _get_weight(made, code, item_code) == 1.0
    assert _get_weight(ranker, code, item_code) == pytest.approx(0.2)
    assert made.name != ranker.name
    assert f"item '{item}' of the history" not in str(made.rank(user=user).notes)
    assert (user, item) in made.confirmed
    assert ranker.confirmed == ()
    assert next(row for row in _get_entry(made.profile(user), "one_offs") if row["item"] == item)["confirmed"]
    others = [item_ for item_ in found.one_offs.find_items(code).tolist() if item_ != item_code]
    row = Csr(found.train[[code]])
    data = np.where(np.isin(row.indices, others), np.float32(0.2), np.float32(1.0))
    expected = made.model.fold(Csr((data, row.indices, row.indptr), shape=row.shape))[0]
    np.testing.assert_allclose(made.model.score(np.array([code]))[0], expected, rtol=1e-4, atol=1e-6)
    assert made.confirm(user, item) is made
    loaded = Ranker.load(made.save(tmp_path / "ranker"), verify=True)
    assert loaded.name == made.name
    assert loaded.confirmed == made.confirmed
    assert loaded.rank(user=user).items == made.rank(user=user).items
    again = rs.detect_one_offs(found, ranker.model, share=0.1, n_near=3, confirmed=made.confirmed)
    assert again.weighted_train[code, item_code] == 1.0


def test_a_model_without_factors_counts_a_confirmed_item_whole(found, gift):
    user, item, code, _ = gift
    made = _fit_ranker(found, EASE())
    confirmed = made.confirm(user, item)
    weights = confirmed.context.need_weighted_train("test")
    np.testing.assert_array_equal(confirmed.model.train.data, weights.data)
    expected = made.model.fold(Csr(weights[[code]]))[0]
    np.testing.assert_allclose(confirmed.model.score(np.array([code], np.int32))[0], expected, rtol=1e-5)


def test_a_history_of_a_request_is_weighed_as_that_of_a_known_user(ranker, found, gift):
    user, item, code, _ = gift
    history = [str(name) for name in found.item_ids[found.train[[code]].indices]]
    known, anew = ranker.rank(user=user), ranker.rank(history=history)
    assert [note for note in anew.notes if "counts" in note] == [note for note in known.notes if "counts" in note]
    assert anew.items == known.items
    twice = ranker.rank(history=[*history, item])
    assert f"item '{item}' of the history" not in str(twice.notes)
    bought_again = ranker.rank(user=user, more=[item])
    assert f"item '{item}' of the history" not in str(bought_again.notes)
    assert bought_again.items == ranker.confirm(user, item).rank(user=user).items
    for answer in (known, anew, twice, bought_again):
        assert ranker.replay(answer.receipt(inputs=True)).verdict == "equal"
    assert bought_again.receipt().brought == ("more",)


def test_a_forgotten_one_off_is_gone_and_a_confirmed_one_stays(ranker, gift, tmp_path):
    user, item, code, item_code = gift
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="nobody")
    obeying = ranker.follow_forget_list(path)
    confirmed = obeying.confirm(user, item)
    assert confirmed.confirmed == ((user, item),)
    forgotten = confirmed.forget(user=user, item=item)
    assert forgotten.context.one_offs.find_place(code, item_code) == -1
    assert forgotten.confirmed == ()
    back = forgotten.undo(user=user, item=item)
    assert _get_weight(back, code, item_code) == 1.0


def test_confirming_refuses_what_is_not_there(ranker, split, gift):
    user, item, code, _ = gift
    with pytest.raises(RecsysError, match=r"^ranker: unknown user"):
        ranker.confirm("nobody", item)
    with pytest.raises(RecsysError, match=r"^ranker: unknown item"):
        ranker.confirm(user, "nothing")
    other = next(str(name) for number, name in enumerate(split.item_ids) if not split.train[code, number])
    with pytest.raises(RecsysError, match=rf"^ranker: item '{other}' is not among those that user '{user}' liked"):
        ranker.confirm(user, other)
    with pytest.raises(RecsysError, match=r"^ranker: it holds nothing back"):
        _fit_ranker(split).confirm(user, item)


def test_a_ranker_that_is_made_anew_keeps_what_its_rows_count(ranker, gift):
    made = ranker.confirm(gift[0], gift[1])
    split = build_remaining_split(made)
    assert split.time_decay is None
    np.testing.assert_array_equal(split.weighted_train.data, made.context.need_weighted_train("test").data)
    assert (split.weighted_train.data < 1.0).any()
