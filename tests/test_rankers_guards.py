"""Guards of rankers: what the library gives for the same pool and guards, whoever asks and however they are given."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import draw_guards, make_maps, make_split, reseal_manifest, write_tables

import recsys as rs
from recsys.experiments.exports import export
from recsys.kernels.greedy import pick_greedily
from recsys.rankers import Ranker
from recsys.rankers.answers import find_displaced_items
from recsys.rankers.request_constraints import pad_candidates
from recsys.rankers.requests import Candidates, RequestUser, build_user_context, get_row_columns
from recsys.types import Guard, RecsysError, Rule

g = rs.guards
K = 6
WORLD = make_split(users=60, seed=4)
MAPS = make_maps(WORLD)
MODEL = rs.models.ALS(factors=4, iterations=3).fit(WORLD.train, WORLD.side_information)
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": {"weight": 0.4, "tau": 0.8}}  # goes the short way
OTHER = {"relevance": 1.0, "unexplored": 0.3, "dpp": 0.1, "calibration": {"weight": 0.2, "aspects": "features"}}
DRAWN = {"temperature": 0.4, "epsilon": 0.1, "seed": 3}
IDS = WORLD.item_ids.tolist()


def fit(blend=None, **policy):
    return Ranker.fit(MODEL, WORLD, blend or BLEND, maps=MAPS, **{"n": 25, "k": K, **policy})


RANKERS = {
    "short": fit(),
    "short, drawn": fit(**DRAWN),
    "other": fit(OTHER),
    "other, drawn": fit(OTHER, **DRAWN),
}


def asked(rng, size):
    """Somebody, and what is to be ranked for them."""
    code = int(rng.integers(60))
    scores = np.sort(rng.normal(size=size).astype(np.float32).round(1))[::-1].copy()
    found = Candidates(rng.permutation(40)[:size].astype(np.int32), scores)
    if rng.random() < 0.5:
        return {"user": WORLD.user_ids[code]}, RequestUser(code, get_row_columns(WORLD.train, code)), found
    history = np.sort(rng.permutation(40)[: rng.integers(8)]).astype(np.int32)
    return {"history": [IDS[code] for code in history]}, RequestUser(-1, history), found


def library(ranker, asker, found, some, k=K, seed=None):
    """What `recsys.rerank` says of the same pool: items, chances, and how far guards are from being met."""
    policy = ranker.policy
    pool = pad_candidates(found, k, build_user_context(ranker.context, asker))
    seed = policy.seed if seed is None else seed
    drawing = {"temperature": policy.temperature, "epsilon": policy.epsilon, "seed": seed}
    return rs.rerank(pool, dict(ranker.blend), k, scale=dict(ranker.scales), guards=some, **drawing)


def agrees(answer, slates, some):
    shown = [item for item in slates.items[0].tolist() if item >= 0]
    assert list(answer.items) == [IDS[item] for item in shown]
    np.testing.assert_allclose(answer.contributions, slates.contributions[0, : len(shown)], rtol=1e-5, atol=1e-6)
    if slates.log_propensity is None:
        assert answer.log_propensity is None
    else:
        np.testing.assert_allclose(answer.log_propensity, slates.log_propensity[0, : len(shown)], atol=1e-5)
    far = {}
    for guard, count in zip(some, slates.violations[0].tolist() if some else (), strict=True):
        far |= {guard.name: far.get(guard.name, 0) + count} if count else {}
    assert answer.violations == far


def same(one, other):
    """Whether two answers are equal, bit for bit, whatever the names of their policies."""
    plain = ("items", "displaced", "seed", "violations", "unknown_items")
    chances = (one.log_propensity, other.log_propensity)
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("scores", "contributions"))
        and (chances[0] is chances[1] is None or np.array_equal(*chances))
        and (one.explanations(), one.notes) == (other.explanations(), other.notes)
    )


@pytest.mark.parametrize("ranker", RANKERS.values(), ids=list(RANKERS))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([25, 25, 9, 4, 1]), some=draw_guards(K))
def test_an_answer_with_guards_is_that_of_the_library(ranker, seed, size, some):
    rng = np.random.default_rng(seed)
    who, asker, found = asked(rng, size)
    ids = [IDS[code] for code in found.items]
    answer = ranker.rerank(ids, found.scores, **who, guards=some, seed=seed)
    if some:
        agrees(answer, library(ranker, asker, found, some, seed=seed), some)
    cut = int(rng.integers(len(some) + 1))  # the ranker's own first, and then the request's
    standing = replace(ranker, guards=tuple(some[:cut]))
    assert same(answer, standing.rerank(ids, found.scores, **who, guards=some[cut:], seed=seed))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), some=draw_guards(K), name=st.sampled_from(list(RANKERS)))
def test_what_is_met_by_the_answer_is_met_as_one_counts(seed, some, name):
    who, _, found = asked(np.random.default_rng(seed), 25)
    ranker = RANKERS[name]
    for answer in (
        ranker.rerank([IDS[c] for c in found.items], found.scores, **who, guards=some),
        ranker.rank(**who, guards=some),
    ):
        features = WORLD.items.features.toarray()[[IDS.index(item) for item in answer.items]] > 0
        for guard in some:
            told = guard.config_settings[guard.name]
            columns = [int(f[1:]) for f in told.get("features", [])]
            counts = features[:, columns].sum(axis=0)
            if guard.name == "exclude":
                assert not {*told["items"]} & {*answer.items} and not counts.any()
            if guard.name == "require":
                assert features[:, columns].all()
            if guard.name in answer.violations:
                continue
            if "groups" in told:
                groups = [group for item in answer.items for group in told["groups"].get(item, ())]
                counts = [groups.count(group) for group in {x for of in told["groups"].values() for x in of}]
            if guard.name == "at_most":
                assert all(count <= told["m"] for count in counts)
            if guard.name == "at_least":
                assert all(count >= told["m"] for count in counts)
            if guard.name == "pin":
                assert answer.items[told["slot"] - 1] == told["item"]


def retrieved(ranker, user, closed, pinned, needed=()):
    """The n best of what is neither met nor closed, best first: by sorting all. Pinned ones are among them, and so
    many best of each group that is needed."""
    code = WORLD.user_ids.tolist().index(user)
    scores = MODEL.score(np.array([code], np.int32))[0]
    gone = {*WORLD.train[[code]].indices.tolist(), *WORLD.train_negatives[[code]].indices.tolist(), *closed}
    there = sorted((item for item in range(40) if item not in gone), key=lambda item: -scores[item])
    sure = {*pinned, *(item for group, m in needed for item in [i for i in there if i in group][:m])}
    kept = [item for item in there if item in sure]
    rest = [item for item in there if item not in sure][: ranker.policy.n - len(kept)]
    found = sorted(kept + rest, key=lambda item: -scores[item])
    return found, scores[found]


@pytest.mark.parametrize("ranker", [RANKERS["short"], RANKERS["other, drawn"]], ids=["short", "other, drawn"])
def test_what_may_not_be_shown_takes_no_place_in_retrieval_and_what_is_pinned_has_one(ranker):
    ranker = Ranker.fit(MODEL, WORLD, dict(ranker.blend), maps=MAPS, k=4, n=8, temperature=ranker.policy.temperature)
    for user in WORLD.user_ids[:20].tolist():
        plain = ranker.rank(user=user, k=8)
        some = [g.exclude(items=plain.items), g.require(["f0"])]
        closed = [i for i in range(40) if IDS[i] in plain.items or not WORLD.items.features[[i]].toarray()[0, 0]]
        last = retrieved(replace(ranker, policy=replace(ranker.policy, n=40)), user, closed, [])[0][-1]
        some.append(g.pin(2, IDS[last]))
        found, scores = retrieved(ranker, user, closed, [last])
        given = ranker.rerank([IDS[item] for item in found], scores, user=user, guards=some)
        for answer in (ranker.rank(user=user, guards=some), replace(ranker, guards=tuple(some)).rank(user=user)):
            assert answer.items == given.items and len(answer.items) == min(4, len(found))
            assert not {*answer.items} & {*plain.items}
            np.testing.assert_allclose(answer.scores, given.scores, rtol=1e-4, atol=1e-5)
            assert not answer.violations


@pytest.mark.parametrize("name", ["short", "other, drawn"])
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 59), m=st.integers(0, 3), table=st.dictionaries(st.integers(0, 39), st.sampled_from("abc")),
    ours=st.booleans(), slot=st.integers(0, 4),
)  # fmt: skip
def test_what_a_group_needs_is_retrieved(name, seed, m, table, ours, slot):
    """However rare it is: of a group with enough items that may be shown, none is lacking."""
    ranker = replace(RANKERS[name], policy=replace(RANKERS[name].policy, n=10))
    user = WORLD.user_ids[seed]
    groups = {f"i{item}": group for item, group in table.items()}
    some = [g.exclude(features=["f1"]), g.at_least(m, groups=groups), *([g.pin(slot, "i7")] if slot else [])]
    closed = np.flatnonzero(WORLD.items.features[:, [1]].toarray()).tolist()
    needed = [([item for item, group in table.items() if group == name], m) for name in "abc"]
    found, scores = retrieved(ranker, user, closed, [7] if slot else [], needed)
    expected = ranker.rerank([IDS[item] for item in found], scores, user=user, guards=some)
    made = replace(ranker, guards=tuple(some)) if ours else ranker
    answer = made.rank(user=user, guards=() if ours else some)
    assert answer.items == expected.items and answer.violations == expected.violations
    there = retrieved(replace(ranker, policy=replace(ranker.policy, n=40)), user, closed, [])[0]
    enough = all(len(set(group) & set(there)) >= m for group, m in needed if group)
    if enough and sum(m for group, m in needed if group) <= K - bool(slot):
        assert "at_least" not in answer.violations


def test_more_than_n_are_not_retrieved():
    ranker = fit(n=8, guards=[g.at_least(5, groups={name: [str(i % 4), "all"] for i, name in enumerate(IDS)})])
    for user in WORLD.user_ids[:5].tolist():
        assert max(ranker.rank(user=user).base_ranks) <= 8
        assert len(ranker.rank(user=user, k=20).items) == 8


def test_retrieval_that_reaches_keeps_places_for_what_is_pinned():
    ranker = fit(n=8, k=4, exploration_share=0.5)
    for user in WORLD.user_ids[:20].tolist():
        last = fit({"relevance": 1.0}, n=40, k=40).rank(user=user).items[-1]
        answer = ranker.rank(user=user, guards=[g.pin(1, last)])
        assert answer.items[0] == last and not answer.violations
        assert (np.diff(answer.relevance[answer.base_ranks.argsort()]) <= 0).all()


def test_what_was_met_or_is_not_there_is_not_pinned():
    met = IDS[WORLD.train[[3]].indices[0]]
    answer = RANKERS["short"].rank(user="u3", guards=[g.pin(1, met), g.pin(2, "nothing")])
    assert answer.violations == {"pin": 2} and len(answer.items) == K and met not in answer.items
    assert answer.notes == (
        f"Slot 1 does not show {met}, which is pinned there.",
        "Slot 2 does not show an item that is not in the catalogue, which is pinned there.",
    )
    nothing = RANKERS["short"].rerank([], [], guards=[g.at_least(1, features=["f0"]), g.pin(1, "i1")])
    assert (nothing.items, nothing.violations, nothing.displaced) == ((), {"at_least": 1, "pin": 1}, ())
    assert len(nothing.notes) == 3 and nothing.notes[-1].startswith(f"The slate has 0 of {K} picks")


@pytest.mark.parametrize("blend", [{"relevance": 1.0}, {"relevance": 1.0, "novelty": 1e-9}], ids=["short", "other"])
def test_guards_by_hand(blend):
    ranker = fit(blend, scale=None, guards=[g.exclude(items=["i1"])])
    items, scores = ["i1", "i2", "i3", "i4", "i5"], [5, 4, 3, 2, 1]

    def shown(*some, k=3):
        return ranker.rerank(items, scores, k=k, guards=some)

    assert shown().items == ("i2", "i3", "i4") and shown().base_ranks.tolist() == [2, 3, 4]
    assert shown().displaced == ("",) * 3  # by relevance alone too, of what may be shown
    pinned = shown(g.pin(1, "i4"), g.exclude(items=["i3"]))
    assert pinned.items == ("i4", "i2", "i5") and pinned.displaced == ("",) * 3
    pinned = shown(g.pin(1, "i5"))
    assert pinned.items == ("i5", "i2", "i3") and pinned.displaced == ("i4", "", "")
    assert pinned.explanations()[0] == "Its place is kept for it."
    few = shown(g.at_most(1, groups=dict.fromkeys(items, "all")))
    assert few.items == ("i2",) and not few.violations and few.displaced == ("",)
    assert shown(g.require(["f0"]), g.exclude(features=["f0"])).items == ()
    lacking = shown(g.at_least(2, groups={"i5": "a"}), g.at_most(0, groups={"i2": "b"}), g.pin(2, "i2"))
    assert lacking.items == ("i3", "i2", "i5") and lacking.violations == {"at_least": 1, "at_most": 1}
    assert lacking.notes == (
        "at_least is not met: 1 pick is lacking.",
        "at_most is not met: 1 pick is too many.",
    )


def test_what_is_displaced_is_what_relevance_alone_would_show():
    assert find_displaced_items([], ["a"]) == ()
    assert find_displaced_items(["d", "a", "e"], ["a", "b", "c"]) == ("b", "", "c")
    for ranker in RANKERS.values():
        order = fit({"relevance": 1.0}, k=25)
        for user in WORLD.user_ids[:10].tolist():
            some = [g.exclude(items=order.rank(user=user).items[:3]), g.at_most(2, features=["f0", "f1"])]
            alone = order.rank(user=user, guards=some[:1]).items[:K]
            answer = ranker.rank(user=user, guards=some)
            assert [not out for out in answer.displaced] == [item in alone for item in answer.items]
            lost = [item for item in alone if item not in answer.items]
            assert [out for out in answer.displaced if out] == lost[: sum(map(bool, answer.displaced))]


def test_a_pin_that_a_shorter_slate_has_no_slot_for_waits():
    ranker = fit(guards=[g.pin(5, "i30")])
    items, scores = IDS, np.arange(40.0, 0, -1)
    assert ranker.rerank(items, scores).items[4] == "i30"
    assert ranker.rerank(items, scores, k=8).items[4] == "i30"
    short = ranker.rerank(items, scores, k=3)
    assert short.items == RANKERS["short"].rerank(items, scores, k=3).items and not short.violations
    assert ranker.rerank(["i1", "i30", "i2"], [1, 3, 2]).items[2] == "i30"  # it moves up


def test_no_guards_change_nothing_and_nothing_is_compiled_for_some():
    known = len(pick_greedily.signatures)
    for ranker in RANKERS.values():
        plain = ranker.rank(user="u7")
        for none in ([], [g.exclude()], [g.exclude(items=["gone"])], [g.at_most(K)], [g.pin(1, "")]):
            assert same(ranker.rank(user="u7", guards=none), plain)
        assert plain.violations == {} and plain.notes == ()
    assert len(pick_greedily.signatures) == known


def test_ids_of_guards_are_names_in_whatever_form():
    items = replace(WORLD.items, ids=np.arange(40).astype(str))
    ranker = Ranker.fit(MODEL, replace(WORLD, items=items), BLEND, maps=MAPS, n=25, k=K)
    for one in (7, 7.0, "7", np.int64(7)):
        answer = ranker.rerank(range(40), np.arange(40.0), guards=[g.pin(2, one), g.exclude(items=[39])])
        assert answer.items[1] == "7" and "39" not in answer.items
        assert ranker.rerank(range(40), np.arange(40.0), guards=[g.exclude(items=[one])]).items.count("7") == 0


def test_a_batch_has_guards_for_each_request():
    ranker, users = RANKERS["short"], ["u1", "u2", "u3"]
    each = [[g.exclude(items=ranker.rank(user=user).items[:2])] for user in users]
    for one, user, own in zip(ranker.rank_many(users=users, guards=each), users, each, strict=True):
        assert same(one, ranker.rank(user=user, guards=own))
    items, scores = [IDS[:9], IDS[9:20], IDS[20:]], [np.arange(9.0), np.arange(11.0), np.arange(20.0)]
    many = ranker.rerank_many(items, scores, users=users, guards=each)
    for one, among, worth, user, own in zip(many, items, scores, users, each, strict=True):
        assert same(one, ranker.rerank(among, worth, user=user, guards=own))
    for wrong in (each[0], [each[0][0]] * 3):
        with pytest.raises(RecsysError, match=r"guards are guards of one request, expected a list of guards for each"):
            ranker.rank_many(users=users, guards=wrong)


SOME = [
    g.exclude(items=["i3", 5], features=["f1"]),
    g.at_most(2, features=["f2"]),
    g.at_least(1, groups={"i7": "a", "i8": ["a", "b"]}),
    g.pin(2, "i9"),
    g.at_most(1),
]


@pytest.mark.parametrize("blend", [BLEND, OTHER], ids=["short", "other"])
def test_guards_are_saved_with_the_ranker(tmp_path, blend):
    made = fit(blend, guards=SOME)
    assert made.name not in (fit(blend).name, fit(blend, guards=SOME[:4]).name, fit(blend, guards=SOME[::-1]).name)
    assert made.name == fit(blend, guards=SOME).name and fit(blend, guards=()).name == fit(blend).name
    back = Ranker.load(made.save(tmp_path / "r"), verify=True)
    assert back.name == made.name and [guard.config_settings for guard in back.guards] == [
        guard.config_settings for guard in made.guards
    ]
    tables = len(back.context.tables)
    for who in ({"user": "u5"}, {"history": ["i1", "i2"]}, {}):
        assert same(back.rank(**who), made.rank(**who))
        assert same(back.rank(**who, guards=SOME[:2]), made.rank(**who, guards=SOME[:2]))
        assert same(back.rerank(IDS, np.arange(40.0), **who), made.rerank(IDS, np.arange(40.0), **who))
    assert len(back.context.tables) == tables  # no request waits for one to be made
    assert Ranker.load(fit(blend).save(tmp_path / "plain")).guards == ()
    manifest = tmp_path / "r" / "manifest.json"
    told = json.loads(manifest.read_text())
    for guards, message in [
        ([{"exclud": {}}], "unknown guard 'exclud': did you mean 'exclude'"),
        ([{"exclude": {"feature": []}}], "exclude: unknown setting 'feature'"),
        ([{"exclude": {"features": ["f9"]}}], "exclude: unknown feature 'f9'"),
        ([{"at_most": {"m": "two"}}], "at_most: m is 'two'"),
        ([{"exclude": 3}], "exclude is 3, expected a table of settings"),
        ({"exclude": {}}, "manifest.json has no list of tables for its guards"),
        (
            [{"os:system": {}}],
            "its list of guards names 'os:system', expected it among allow_imports=: a folder runs no code",
        ),
    ]:
        reseal_manifest(manifest.parent, named=True, settings={**told["settings"], "guards": guards})
        assert message in refused(lambda: Ranker.load(tmp_path / "r"))
    settings = {**told["settings"], "guards": told["settings"]["guards"][:-1]}
    reseal_manifest(manifest.parent, settings={**settings, "name": told["settings"]["name"]})
    assert "it is not the policy" in refused(lambda: Ranker.load(tmp_path / "r"))


def test_a_guard_of_ones_own_is_loaded_where_it_is_named(tmp_path):
    own = rs.guards.parse_guards({"recsys.reranking.guards:require": {"features": ["f0"]}})
    folder = fit(guards=own).save(tmp_path / "r")
    assert "its list of guards names 'recsys.reranking.guards:require'" in refused(lambda: Ranker.load(folder))
    back = Ranker.load(folder, allow_imports=["recsys.reranking.guards:require"], verify=True)
    assert same(back.rank(user="u1"), RANKERS["short"].rank(user="u1", guards=[g.require(["f0"])]))
    odd = Guard("odd", lambda pool, k: Rule(excluded_items=np.arange(len(pool.context.item_ids)) % 2 == 0))
    for ranker in RANKERS.values():
        shown = ranker.rank(user="u1", guards=[odd]).items
        assert shown and all(int(item[1:]) % 2 == 1 for item in shown)
    message = refused(lambda: fit(guards=[odd]))
    assert "guard 'odd' cannot be saved, expected one of recsys.reranking.guards, or one by its name" in message
    with pytest.raises(
        RecsysError, match=r"recsys\.reranking\.guards:_check_names returns list, expected a recsys\.Guard"
    ):
        rs.guards.parse_guards({"recsys.reranking.guards:_check_names": {"who": "", "what": "", "given": []}})


def test_a_guard_of_ones_own_knows_who_asks_and_what_there_is():
    def unmet_ones(pool, k):
        assert pool.context.population_codes.tolist() == [5] and pool.items.shape[1] >= k
        pins = np.full((1, k), -1)
        pins[0, 1] = pool.items[0, 3]
        return Rule(pins=pins)

    for ranker in RANKERS.values():
        answer = ranker.rank(user="u5", guards=[Guard("fourth", unmet_ones)])
        assert answer.base_ranks[1] == 4 and not answer.violations


def test_guards_of_a_config_are_exported(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "my.toml").write_text(f"""
        data = {{ path = "{tmp_path}/ratings.csv", items = "{tmp_path}/items.csv" }}
        filter = {{ positive = "rating >= 3", min_user_interactions = 3, min_item_interactions = 2 }}
        model = {{ kind = "als", factors = 4, iterations = 3 }}
        pool = {{ n = 15 }}
        slate = {{ k = [5] }}
        [guards]
        exclude = {{ features = ["War"] }}
        at_most = {{ m = 1, groups = {{ 30 = "a", 31 = "a" }} }}
    """)
    made = Ranker.load(export(tmp_path / "my.toml", tmp_path / "made", quiet=True).folder, verify=True)
    assert [guard.config_settings for guard in made.guards] == [
        {"exclude": {"items": [], "features": ["War"]}},
        {"at_most": {"m": 1, "groups": {"30": ["a"], "31": ["a"]}}},
    ]
    answer = made.rank(user="u0")
    assert len(answer.items) == 5 and all(int(item) >= 20 for item in answer.items)


def refused(work):
    with pytest.raises(RecsysError) as error:
        work()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [g.exclude(features=["f9"])], "exclude: unknown feature 'f9': did you mean"),
        (lambda: [g.require(["F1"])], "require: unknown feature 'F1': did you mean 'f1'?"),
        (lambda: [g.at_most(1, features=["x"])], "at_most: unknown feature 'x'"),
        (lambda: [g.pin(7, "i1")], "pin: slot is 7, expected one from 1 to 6"),
        (lambda: [g.pin(1, ["i1", "i2"])], "pin: found 2 items, expected one, or 1: one per user"),
        (lambda: [g.pin(1, "i1"), g.pin(1, "i2")], "pin: slot 1 is kept for two items, expected one"),
        (lambda: [g.pin(1, "i1"), g.pin(2, "i1")], "pin: an item has two slots, expected one"),
        (lambda: g.exclude(), "ranker: guards is Guard("),
        (
            lambda: ["exclude"],
            "ranker: guards is ['exclude'], expected a list such as [recsys.reranking.guards.exclude",
        ),
        (lambda: np.zeros((2, 2)), "ranker: guards is array([[0."),
        (lambda: np.zeros(0), "ranker: guards is array("),
        (lambda: 0, "ranker: guards is 0"),
    ],
)
@pytest.mark.parametrize("ranker", [RANKERS["short"], RANKERS["other"]], ids=["short", "other"])
def test_what_cannot_be_meant_is_refused_in_one_line(ranker, make, message):
    assert message in refused(lambda: ranker.rerank(IDS, np.arange(40.0), guards=make()))
    assert message in refused(lambda: ranker.rank(guards=make()))
    assert message in refused(lambda: fit(dict(ranker.blend), guards=make()))


def test_order_by_relevance_does_not_go_with_a_pin():
    message = "ranker: order is 'relevance' beside a pinned item"
    for blend in (BLEND, OTHER):
        ranker = fit(blend, order="relevance")
        assert message in refused(lambda ranker=ranker: ranker.rank(user="u1", guards=[g.pin(1, "i1")]))
        assert message in refused(lambda blend=blend: fit(blend, order="relevance", guards=[g.pin(1, "i1")]))
        answer = ranker.rank(user="u1", guards=[g.at_most(1, features=["f1"])])
        assert (np.diff(answer.base_ranks) > 0).all() and not answer.violations
        few = ranker.rank(user="u1", guards=[g.at_most(1, groups=dict.fromkeys(IDS, "all"))])
        assert len(few.items) == 1


def test_a_pin_of_none_is_refused():
    with pytest.raises(RecsysError, match=re.escape("pin: item is None, expected a list")):
        g.pin(1, None)
