"""A ranker that obeys a forget list: at once, until an end or an undo, in every process, and once it is fitted again."""

import pickle
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_exposures, make_maps, make_split
from test_dials import check_same

import recsys as rs
from recsys.control import forget_lists
from recsys.control.forgetting import CATALOGUE_TABLES, FORGOTTEN_PREFIX, PENDING_TABLES, RENEWED_TABLES
from recsys.maths.communities import assign_communities
from recsys.maths.fold_in import solve_user_factors
from recsys.objectives.derived_tables import TABLES, get_community_model, get_item_counts, get_log_popularity
from recsys.rankers import Ranker
from recsys.reranking import guards
from recsys.types import RecsysError

BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3, "unexplored": 0.2},
    "library": {"relevance": 1.0, "mmr": 0.3, "novelty": 0.1},
}


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


@cache
def make_ranker(name="compiled", model="als", shown=False):
    split = make_split(users=40, seed=4)
    made = {
        "als": rs.models.ALS(factors=4, iterations=3),
        "ease": rs.models.EASE(l2=5.0),
        "user_knn": rs.models.UserKNN(k=5, similarity="tfidf"),
        "bpr": rs.models.BPR(factors=4, iterations=3),
        "most_popular": rs.models.MostPopular(),
    }[model]
    exposures = make_exposures(split, rows=300) if shown else None
    return Ranker.fit(made.fit(split.train), split, BLENDS[name], maps=make_maps(split), n=20, k=6, shown=exposures)


def make_list(folder, *lines):
    """Return the path of a list that at least names somebody whom no ranker knows."""
    path = folder / "forget.jsonl"
    forget_lists.forget(path, user="nobody")
    for kind, ids in lines:
        getattr(forget_lists, kind)(path, **ids)
    return path


def list_history(ranker, user):
    return ranker.context.item_ids[ranker.context.train[[ranker.known_users[user]]].indices].tolist()


def remove_rows(context, holding):
    """Return the likes, dislikes and their times as sets of rows, without those that are named: the slow statement."""
    users, items, names = context.user_ids.tolist(), context.item_ids.tolist(), context.items.feature_names
    features = context.items.features.toarray()

    def is_named(user, item):
        return any(
            (kind == "person" and ids == (user,))
            or (kind == "interaction" and ids == (user, item))
            or (kind == "topic" and ids[0] == user and features[items.index(item), names.index(ids[1])] != 0)
            for kind, *ids in holding
            for ids in [tuple(ids)]
        )

    made = {}
    for name in ("train", "dislikes"):
        dense = getattr(context, name).toarray().copy()
        for u, i in zip(*np.nonzero(dense), strict=True):
            if is_named(users[u], items[i]):
                dense[u, i] = 0.0
        made[name] = dense
    return made


USERS, ITEMS, TOPICS = ("u1", "u2", "u3"), ("i2", "i5", "i11"), ("f0", "f1")
SAID = st.one_of(
    st.tuples(st.just("interaction"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("person"), st.sampled_from(USERS)),
    st.tuples(st.just("topic"), st.sampled_from(USERS), st.sampled_from(TOPICS)),
)
STEP = st.tuples(st.sampled_from(["say", "undo", "refresh"]), st.integers(0, 3), SAID, st.none() | st.integers(1, 4))


@settings(max_examples=15, deadline=None)
@given(st.lists(STEP, max_size=5), st.integers(0, 4))
def test_a_ranker_obeys_what_holds(tmp_path_factory, steps, later):
    """Against rows that are deleted one by one, after any sequence of forgets, stops, undos and ends."""
    base = make_ranker()
    path = tmp_path_factory.mktemp("lists") / "list"
    from recsys.support.forget_lists import append_forget_line

    append_forget_line(path, "person", user="nobody", now=0)
    ranker, now, said = base.follow_forget_list(path, now=0), 0, {}
    for what, waited, one, lasts in steps:
        now += waited
        holding = {key: end for key, end in said.items() if end is None or end > now}
        kind, *ids = one
        given_ids = {"user": ids[0]} | ({"item": ids[1]} if kind == "interaction" else {})
        if what == "refresh":
            ranker = ranker.refresh(now=now)
        elif what == "undo":
            told = given_ids | ({"topic": ids[1]} if kind == "topic" else {})
            if one in holding:
                ranker = ranker.undo(**told, now=now)
                del holding[one]
            else:
                with pytest.raises(RecsysError, match="holds no forget of"):
                    ranker.undo(**told, now=now)
        else:
            ranker = ranker.refresh(now=now)
            if ids[0] not in ranker.known_users:
                with pytest.raises(RecsysError, match="unknown user"):
                    ranker.forget(user=ids[0], now=now)
                said = holding
                continue
            until = None if lasts is None else now + lasts
            ranker = ranker.stop(*ids, until=until, now=now) if kind == "topic" else ranker.forget(
                **given_ids, until=until, now=now
            )  # fmt: skip
            if one not in holding or (holding[one] is not None and (until is None or until > holding[one])):
                holding[one] = until
        said = holding
    now += later
    ranker = ranker.refresh(now=now)
    holding = [key for key, end in said.items() if end is None or end > now]
    expected = remove_rows(base.context, holding)
    for name, dense in expected.items():
        assert np.array_equal(getattr(ranker.context, name).toarray(), dense)
    assert {key[1] for key in holding if key[0] == "person"} == set(base.known_users) - set(ranker.known_users)
    assert np.array_equal(get_item_counts(ranker.context, "t"), (expected["train"] > 0).sum(axis=0))
    fresh = base.follow_forget_list(path, now=now)
    changed = any(kind != "interaction" for kind, *_ in holding)
    changed |= any((getattr(base.context, name).toarray() != dense).any() for name, dense in expected.items())
    assert fresh.name == ranker.name and changed == (fresh.name != base.name)
    for user in USERS:
        if user in ranker.known_users:
            check_same(ranker.rank(user=user), fresh.rank(user=user))
            closed = {i for kind, who, *t in holding if kind == "topic" and who == user for i in list_topic(base, t[0])}
            for answer in (ranker.rank(user=user), ranker.rank(user=user, profile_free=True)):
                assert not closed & set(answer.items)
            liked = list_history(ranker, user)
            met = ranker.context.dislikes[[ranker.known_users[user]]].nnz
            if not closed and not met:
                assert ranker.rank(user=user).items == ranker.rank(history=liked).items


def list_topic(ranker, topic):
    items = ranker.context.items
    column = items.features.toarray()[:, items.feature_names.index(topic)]
    return items.ids[column != 0].tolist()


@pytest.mark.parametrize("model", ["als", "ease", "user_knn", "bpr"])
def test_a_model_scores_what_is_left_of_a_history(tmp_path, model):
    """The user's row is what the model makes of the remaining history, and nobody else's row changes."""
    before = make_ranker("library", model)
    gone = list_history(before, "u1")[0]
    after = before.follow_forget_list(make_list(tmp_path)).forget(user="u1", item=gone)
    code = before.known_users["u1"]
    own = after.context.train[[code]]
    assert gone not in list_history(after, "u1")
    scores = after.model.score(np.array([code], np.int32))
    assert np.allclose(scores, after.model.fold(own), rtol=1e-5, atol=1e-6)
    if model == "als":
        factors, dislikes = before.model.factors, after.context.dislikes[[code]]
        assert np.array_equal(after.model.factors.user_factors[code], solve_user_factors(factors, own, dislikes)[0])
        others = np.arange(40) != code
        assert np.array_equal(after.model.factors.user_factors[others], factors.user_factors[others])
        assert after.context.factors is after.model.factors
    assert before.model.score(np.array([code], np.int32)).tolist() != scores.tolist()


@pytest.mark.parametrize("name", ["compiled", "library"])
def test_a_user_with_less_is_answered_as_one_with_that_history(tmp_path, name):
    ranker = make_ranker(name).follow_forget_list(make_list(tmp_path))
    user = next(u for u in ranker.known_users if not ranker.context.dislikes[[ranker.known_users[u]]].nnz)
    gone, *left = list_history(ranker, user)
    after = ranker.forget(user=user, item=gone)
    got, asked = after.rank(user=user), after.rank(history=left)
    assert got.items == asked.items and np.allclose(got.contributions, asked.contributions, atol=1e-5)
    before, base = ranker.rank(user=user, now=9), make_ranker(name).rank(user=user, now=9)
    assert before.to_dict() == base.to_dict()  # rankers never change


def test_a_user_with_less_is_counted_to_the_community_of_what_is_left(tmp_path):
    ranker, path = make_ranker().follow_forget_list(make_list(tmp_path)), tmp_path / "forget.jsonl"
    users = [f"u{n}" for n in range(12)]
    for user in users:
        for item in list_history(ranker, user)[:-1]:
            forget_lists.forget(path, user=user, item=item)
    codes, after = [ranker.known_users[user] for user in users], ranker.refresh()
    model, before = get_community_model(after.context), get_community_model(ranker.context)
    nearest = assign_communities(model, after.context.train, None)
    assert model.label[codes].tolist() == nearest[codes].tolist() != before.label[codes].tolist()
    others = np.setdiff1d(np.arange(40), codes)
    assert model.label[others].tolist() == before.label[others].tolist()


def test_popularity_is_counted_without_what_is_forgotten(tmp_path):
    before = make_ranker("library", "most_popular")
    get_log_popularity(before.context, "t")
    after = before.follow_forget_list(make_list(tmp_path)).forget(user="u1")
    counts = (after.context.train.toarray() > 0).sum(axis=0)
    assert np.array_equal(get_item_counts(after.context, "t"), counts) and np.array_equal(after.model.counts, counts)
    assert np.array_equal(get_log_popularity(after.context, "t"), np.log1p(counts))


def test_a_forgotten_person_is_unknown_and_nowhere_in_the_folder(tmp_path):
    ranker = make_ranker(shown=True).set_user_dials({"u1": {"mmr": 2.0}, "u2": {"mmr": 2.0}})
    after = ranker.follow_forget_list(make_list(tmp_path)).forget(user="u1")
    for ask in (lambda: after.rank(user="u1"), lambda: after.profile("u1"), lambda: after.forget(user="u1")):
        with pytest.raises(RecsysError, match=r"u1' is none of|unknown user 'u1'"):
            ask()
    code = ranker.known_users["u1"]
    folder = after.save(tmp_path / "saved")
    loaded = Ranker.load(folder)
    for one in (after, loaded):
        assert one.user_dials.user_ids.tolist() == ["u2"]
        assert one.context.user_ids[code] == f"{FORGOTTEN_PREFIX}{code}"
        assert not one.context.train[[code]].nnz and not one.context.dislikes[[code]].nnz
        pointers = one.context.exposures.pointers
        assert pointers[code] == pointers[code + 1]
        assert np.array_equal(one.model.factors.user_factors[code], ranker.model.factors.mean_user_factor)
    assert len(after.context.exposures.items) < len(ranker.context.exposures.items)
    check_same(after.rank(user="u2", now=9e9), loaded.rank(user="u2", now=9e9), policy=False)
    assert loaded.pending_forgets == after.pending_forgets and after.pending_forgets[0].kind == "person"
    assert not any(b"u\0\0\0001\0\0\0\0\0" in path.read_bytes() for path in folder.glob("user_ids.npy"))


def test_an_interaction_leaves_what_was_shown(tmp_path):
    ranker = make_ranker(shown=True).follow_forget_list(make_list(tmp_path))
    shown = ranker.context.exposures
    code = ranker.known_users["u1"]
    rows = slice(shown.pointers[code], shown.pointers[code + 1])
    item = ranker.context.item_ids[shown.items[rows][0]]
    after = ranker.forget(user="u1", item=item).context.exposures
    kept = after.items[after.pointers[code] : after.pointers[code + 1]]
    assert kept.tolist() == [one for one in shown.items[rows].tolist() if ranker.context.item_ids[one] != item]
    assert len(after.items) < len(shown.items)


def test_an_item_that_is_forgotten_is_known_no_longer(tmp_path):
    ranker = make_ranker().follow_forget_list(make_list(tmp_path))
    item = ranker.rank(user="u1").items[0]
    after = ranker.forget(item=item)
    assert item not in after.rank(user="u1", k=20).items
    assert after.rerank([item, "i1"], [2.0, 1.0], user="u1").unknown_items == (item,)
    assert after.rank(history=[item, "i1"]).unknown_history == (item,)
    assert ranker.rank(user="u1").items[0] == item


def test_a_topic_is_closed_with_guards_of_the_request_too(tmp_path):
    ranker = make_ranker(shown=True).follow_forget_list(make_list(tmp_path)).stop("u1", "f0")
    closed = set(list_topic(ranker, "f0"))
    own = [guards.at_most(3, features=["f1"])], [guards.frequency_cap(1, window_days=30)], []
    for some in own:
        assert not closed & set(ranker.rank(user="u1", guards=some, now=9e9).items)
        answer = ranker.rerank([*sorted(closed), "i1"], range(len(closed) + 1), user="u1", guards=some, now=9e9)
        assert not closed & set(answer.items)
    assert closed & set(ranker.rank(user="u2", k=20).items)
    assert "f0" not in {f for i in list_history(ranker, "u1") for f in ["f0"] if i in closed}


def test_another_process_obeys_after_a_refresh(tmp_path):
    path = make_list(tmp_path)
    ours, theirs = (make_ranker().follow_forget_list(path) for _ in range(2))
    assert theirs.refresh() is theirs
    ours = ours.forget(user="u1", item=list_history(ours, "u1")[0])
    theirs = theirs.refresh()
    check_same(ours.rank(user="u1"), theirs.rank(user="u1"))
    assert theirs.name == ours.name != make_ranker().name
    copied = pickle.loads(pickle.dumps(ours))
    check_same(ours.rank(user="u1"), copied.rank(user="u1"))
    assert copied.undo(user="u1", item=list_history(make_ranker(), "u1")[0]).name == make_ranker().name


def test_what_was_saved_obeys_a_list_beside_it_that_grows(tmp_path):
    path = make_list(tmp_path)
    folder = make_ranker().follow_forget_list(path).save(tmp_path / "a" / "saved")
    forget_lists.forget(path, user="u1")
    assert "u1" not in Ranker.load(folder).known_users
    path.rename(tmp_path / "moved")
    with pytest.raises(RecsysError, match=r"forget list .*forget\.jsonl: No such file"):
        Ranker.load(folder)
    assert "u1" not in Ranker.load(folder, forget_list=tmp_path / "moved").known_users


def test_what_is_fitted_without_rows_has_nothing_pending(tmp_path):
    log = [(f"u{u}", f"i{i}") for u in range(12) for i in range(9) if (u * 7 + i * 5) % 4]
    path = make_list(tmp_path, ("forget", {"user": "u3"}), ("forget", {"user": "u1", "item": "i1"}))
    whole, left = rs.read_dataset(log), rs.read_dataset([p for p in log if p[0] != "u3" and p != ("u1", "i1")])
    made = []
    for data, obeyed in ((whole, path), (left, None)):
        split = rs.splits.no_holdout(data, forget_list=obeyed)
        fitted = rs.models.EASE(l2=3.0).fit(split.train)
        ranker = Ranker.fit(fitted, split, {"relevance": 1.0}, maps=[], n=5, k=3, scale=None, forget_list=obeyed)
        assert not ranker.pending_forgets
        made.append(ranker)
    assert made[0].name == made[1].name
    for user in made[1].known_users:
        check_same(made[0].rank(user=user), made[1].rank(user=user))


def test_dials_come_back_with_their_person(tmp_path):
    ranker = make_ranker().set_user_dials({"u1": {"mmr": 2.0}}, now=5).follow_forget_list(make_list(tmp_path))
    after = ranker.forget(user="u1").set_user_dials({"u2": {"mmr": 3.0}}, now=6)
    back = after.undo(user="u1")
    assert back.rank(user="u1").dials == {"mmr": 2.0} and back.rank(user="u2").dials == {"mmr": 3.0}


def test_every_derived_table_says_what_a_forget_does_to_it():
    known = [*CATALOGUE_TABLES, *PENDING_TABLES, *RENEWED_TABLES]
    assert sorted(known) == sorted(TABLES)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda one: one.forget(user="u99"), "ranker: unknown user 'u99': did you mean 'u9'?"),
        (lambda one: one.forget(user="u1", item="i99"), "ranker: unknown item 'i99': did you mean"),
        (lambda one: one.stop("u1", "F0"), "ranker: features of its items: unknown topic 'F0': did you mean 'f0'?"),
        (lambda one: one.stop("u99", "f0"), "ranker: unknown user 'u99'"),
        (lambda one: one.forget(), "ranker: forget: found neither user nor item, expected one of them, or both"),
        (lambda one: one.forget(user="u1", until=5), "which is over now"),
        (lambda one: one.forget(user="u1", now=5), "expected a clock that does not run backwards"),
        (lambda one: one.undo(user="u1"), "ranker: undo: the list holds no forget of user 'u1', expected one that"),
        (lambda one: one.undo(), "ranker: undo: found neither user nor item"),
        (lambda one: one.follow_forget_list("other"), "forget list other: No such file or directory"),
        (lambda one: make_ranker().forget(user="u1"), "ranker: it has no forget list, expected one, in which a forget"),
        (lambda one: make_ranker().refresh(), "ranker: it has no forget list"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(tmp_path, ask, message):
    path = make_list(tmp_path)
    ranker, before = make_ranker().follow_forget_list(path), path.read_bytes()
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        ask(ranker)
    assert "\n" not in str(error.value) and path.read_bytes() == before


def test_a_list_that_was_replaced_is_refused(tmp_path):
    path = make_list(tmp_path, ("forget", {"user": "u1"}))
    ranker = make_ranker().follow_forget_list(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecsysError, match="is shorter than it was"):
        ranker.refresh()


def test_a_model_of_ones_own_is_refused(tmp_path):
    class Own:
        factors = None

        def score(self, users):
            return np.tile(np.arange(40, dtype=np.float32), (len(users), 1))

        fold = None

    path, ranker = make_list(tmp_path), make_ranker("library")
    own = replace(ranker, model=Own(), context=replace(ranker.context, factors=None), name="own")
    with pytest.raises(RecsysError, match="its model Own is none of this library, and its rows of users are unknown"):
        own.follow_forget_list(path).forget(user="u1")


def test_a_profile_tells_what_the_list_says_of_the_user(tmp_path):
    base = make_ranker()
    item, *_ = list_history(base, "u1")
    topic = base.context.items.feature_names[0]
    lines = (("forget", {"user": "u1", "item": item}), ("stop", {"user": "u1", "topic": topic}))
    others = (("forget", {"user": "u2"}), ("stop", {"user": "u3", "topic": topic}))
    ranker = base.follow_forget_list(make_list(tmp_path, *lines, *others))
    (told,) = [entry.value for entry in ranker.profile("u1").entries if entry.name == "forget_list"]
    assert [(one["kind"], one.get("item"), one.get("topic")) for one in told] == [
        ("interaction", item, None),
        ("topic", None, topic),
    ]
    assert all(one["since"] and one["until"] is None for one in told)
    assert all(
        "forget_list" not in {entry.name for entry in one.entries} for one in (base.profile("u1"), ranker.profile("u4"))
    )
