"""Why an item is not in a slate: where it is lost, and changes that let it in, each against asking again."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import draw_guards, make_maps, make_split, make_validation_world
from test_rankers import run_cli
from test_why import fit

import recsys as rs
from recsys.control.counterfactuals import TOLERANCE, find_factors, find_removal
from recsys.control.sentences import NO_CHANGE, STAGES
from recsys.likelihoods import fit_likelihood
from recsys.rankers import Ranker
from recsys.rankers.request_trials import Trial
from recsys.reranking import guards
from recsys.types import RecsysError

BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "unexplored": 0.2},
    "library": {"relevance": 1.0, "novelty": 0.1, "mmr": 0.3},
    "relevance": {"relevance": 1.0},
}
NOW = 1_700_000_000
CONTROL = {"dials": {"mmr": [0.5, 8]}}


@cache
def get_split():
    return make_split(users=60, seed=4, times=True)


@cache
def make_ranker(name="compiled", model="als", **other):
    split = get_split()
    given = {"maps": make_maps(split), "n": 15, "k": 5, "control": CONTROL if name != "relevance" else None}
    return Ranker.fit(fit(model), split, BLENDS[name], **{**given, **other})


def list_likes(user):
    code = get_split().user_ids.tolist().index(user)
    return [f"i{item}" for item in get_split().train[[code]].indices]


def ask(ranker, asked):
    return ranker.rerank(**asked) if "items" in asked else ranker.rank(**asked)


def ask_with(ranker, asked, change):
    """Return the answer to a request with a history, with a change made through what everybody can call."""
    own, made = len(ranker.guards), dict(asked)
    made["guards"] = [g for at, g in enumerate(asked.get("guards", ()), own) if at not in change.guard_places]
    kept = tuple(g for at, g in enumerate(ranker.guards) if at not in change.guard_places)
    if len(kept) < own or change.n is not None:
        policy = ranker.policy if change.n is None else replace(ranker.policy, n=change.n)
        ranker = replace(ranker, guards=kept, policy=policy, name="")
    if change.weights:
        made["weights"] = {**asked.get("weights", {}), **change.weights}
    if change.without_items:
        made["history"] = [item for item in asked["history"] if item not in change.without_items]
    return ask(ranker, made)


def check(ranker, asked, item):
    """Ask why an item is not in the slate, hold every change against asking again, and return what is told."""
    told = ranker.why_not(item, **asked)
    assert told.slate == ask(ranker, asked).items and item not in told.slate and told.stage in STAGES
    for change in told.changes:
        answer = ask_with(ranker, asked, change)
        assert answer.items == change.slate and answer.items.index(item) + 1 == change.slot
        assert change.sentence in told.sentences
        for objective, tried in change.nearest_tried.items():
            factor = change.weights[objective]
            assert not factor or not tried or max(factor / tried, tried / factor) <= 1 + TOLERANCE
            assert item not in ask_with(ranker, asked, replace(change, weights={objective: tried})).items
            least, most = ranker._dial_ranges[objective]
            assert least <= factor <= most
    assert (NO_CHANGE in told.sentences) == (bool(told.tried) and not told.changes)
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False)) == told.to_dict()
    return told


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_change_is_confirmed_by_asking_again(data):
    """Over blends, guards of the ranker and of the request, exposures, dials, candidates of the caller and nobody."""
    name = data.draw(st.sampled_from(sorted(BLENDS)))
    own = (guards.at_most(2, features=["f0"]), guards.frequency_cap(1, window_days=3), guards.cool_down(5))
    ranker = make_ranker(name, guards=own if data.draw(st.booleans()) else ())
    item = st.integers(0, 39).map("i{}".format)
    asked = {"history": data.draw(st.lists(item, min_size=1, max_size=8, unique=True)), "now": NOW}
    if data.draw(st.booleans()):
        asked["guards"] = data.draw(draw_guards(3))
    if data.draw(st.booleans()):
        rows = st.tuples(item, st.integers(NOW - 6 * 86_400, NOW), st.booleans())
        asked["shown"] = data.draw(st.lists(rows, max_size=10))
    if name != "relevance" and data.draw(st.booleans()):
        asked["weights"] = {"mmr": data.draw(st.sampled_from([0.5, 2.0]))}
    if data.draw(st.integers(0, 4)) == 0:
        asked["profile_free"] = True
    if data.draw(st.integers(0, 2)) == 0:
        asked["items"] = data.draw(st.lists(item, min_size=6, max_size=20, unique=True))
        asked["scores"] = list(range(len(asked["items"]), 0, -1))
    slate = ask(ranker, asked).items
    check(ranker, asked, data.draw(item.filter(lambda one: one not in slate)))


def test_each_stage_is_told():
    ranker = make_ranker()
    history = list_likes("u3")
    asked = {"history": history}
    every = make_ranker("relevance", n=40, k=40).rank(**asked).items
    told = [check(ranker, asked, item) for item in history]
    assert {one.stage for one in told} == {"history"} and any(one.changes for one in told)
    assert all(change.without_items[0] == one.item for one in told for change in one.changes)
    far = check(ranker, asked, every[20])
    assert (far.stage, far.rank, far.n) == ("retrieval", 21, 15) and "number 21 " in far.sentences[0]
    slate = ranker.rank(**asked).items
    near = next(item for item in every[:15] if item not in slate)
    assert check(ranker, asked, near).stage == "blend" and check(ranker, asked, near).rank == every.index(near) + 1
    told = check(ranker, {**asked, "items": every[:9], "scores": range(9, 0, -1)}, every[12])
    assert (told.stage, told.changes, told.rank, told.n) == ("not_given", (), None, None)
    closed = {**asked, "guards": [guards.exclude(items=slate[:1])]}
    told = check(ranker, closed, slate[0])
    assert (told.stage, told.guards) == ("guard", ("exclude",))
    assert [change.without_guards for change in told.changes] == [("exclude",)] and told.changes[0].slate == slate
    both = {**asked, "guards": [guards.exclude(items=slate[:1]), guards.exclude(items=slate[:2])]}
    assert check(ranker, both, slate[0]).changes[0].guard_places == (0, 1)
    assert check(ranker, both, slate[1]).changes[0].guard_places == (1,)


def test_items_that_nothing_brings_in_say_so():
    split, ranker = get_split(), make_ranker()
    user = next(u for u in range(60) if split.train_negatives[[u]].nnz)
    declined = f"i{split.train_negatives[[user]].indices[0]}"
    told = ranker.why_not(declined, user=split.user_ids[user])
    assert (told.stage, told.changes, told.tried) == ("declined", (), ()) and len(told.sentences) == 1
    there = np.ones(40, bool)
    there[7] = False
    told = replace(ranker, available=there, name="").why_not("i7", history=["i1"])
    assert (told.stage, told.changes) == ("unavailable", ())
    told = make_ranker("relevance").why_not("i7", items=["i1", "i7"], scores=[2, 1], history=["i3"], k=1)
    assert told.changes == () and told.tried == () and told.stage == "blend"


@pytest.mark.parametrize("rule", ["frequency_cap", "cool_down"])
def test_a_limit_on_exposures_is_named(rule):
    limits = (guards.frequency_cap(2, window_days=7), guards.cool_down(30))
    ranker, asked = make_ranker(guards=limits), {"history": list_likes("u3"), "now": NOW}
    slate = ranker.rank(**asked).items
    rows = {"frequency_cap": [(slate[1], NOW - 5), (slate[1], NOW - 9)], "cool_down": [(slate[1], NOW - 5, True)]}
    told = check(ranker, {**asked, "shown": rows[rule]}, slate[1])
    assert (told.stage, told.guards) == ("guard", (rule,)) and told.changes[0].without_guards == (rule,)
    told = check(ranker, {**asked, "shown": [*rows["frequency_cap"], *rows["cool_down"]]}, slate[1])
    assert told.guards == ("frequency_cap", "cool_down") == told.changes[0].without_guards


def test_a_group_that_is_full_is_a_guard():
    ranker, history = make_ranker(), list_likes("u5")
    slate = ranker.rank(history=history).items
    asked = {"history": history, "guards": [guards.at_most(1, groups=dict.fromkeys(slate[:2], "g"))]}
    told = check(ranker, asked, slate[1])
    assert (told.stage, told.guards) == ("guard", ("at_most",)) and told.changes[0].slate == slate


def test_a_removal_is_the_smallest_of_the_greedy_ones():
    """By relevance alone: every single removal that lets an item in is found, and pairs only where none does."""
    ranker, sizes = make_ranker("relevance", model="ease"), []
    for user in (f"u{u}" for u in range(12)):
        history = list_likes(user)
        every = make_ranker("relevance", model="ease", n=40, k=40).rank(history=history).items
        for item in every[5:9]:
            told = check(ranker, {"history": history}, item)
            rest = [[one for one in history if one != out] for out in history]
            alone = [out for out, less in zip(history, rest, strict=True) if item in ranker.rank(history=less).items]
            removals = [change.without_items for change in told.changes if change.without_items]
            sizes += [len(out) for out in removals]
            if alone and removals and len(history) <= 4:  # of four, all are tried alone
                assert len(removals[0]) == 1 and removals[0][0] in alone
            if removals and len(removals[0]) == 2:
                assert not set(removals[0]) & set(alone)
    assert {1, 2} <= set(sizes)


def test_a_known_user_is_asked_again_as_one_whose_history_is_shorter():
    """The artefact of the shorter history, and the request brings one more item: the way of `more`."""
    split, ranker = get_split(), make_ranker()
    seen = 0
    for user in split.user_ids[:30].tolist():
        likes = list_likes(user)
        for item in likes:
            told = ranker.why_not(item, user=user, max_removed=1)
            change = next((one for one in told.changes if one.without_items and not one.weights and not one.n), None)
            if change is None or len(likes) < 3:
                continue
            keep = next(one for one in likes if one != item)
            train = split.train.tolil()
            code = split.user_ids.tolist().index(user)
            train[code, int(item[1:])] = train[code, int(keep[1:])] = 0
            context = replace(ranker.context, train=rs.types.arrays.Csr(train.tocsr()))
            other = replace(ranker, context=context, name="")
            assert other.rank(user=user, more=[keep]).items == change.slate
            seen += 1
            break
    assert seen > 3


def test_weights_are_looked_for_within_their_range():
    asked = {"history": list_likes("u3")}
    every = make_ranker("relevance", n=40, k=40).rank(**asked).items
    fixed = replace(make_ranker(), control={"dials": {name: [1, 1] for name in BLENDS["compiled"]}}, name="")
    found = 0
    for item in every[:15]:
        if item in make_ranker().rank(**asked).items:
            continue
        found += sum(bool(change.weights) for change in check(make_ranker(), asked, item).changes)
        told = check(fixed, asked, item)
        assert not any(change.weights for change in told.changes) and not any("weight" in one for one in told.tried)
    assert found


def test_the_request_that_is_run_again_is_the_request():
    ranker = make_ranker(guards=(guards.cool_down(5),), model="als_dislikes")
    ranker = ranker.set_user_dials({"u3": {"mmr": 2.0}}, now=NOW - 1)
    seen = []

    class Spy(rs.rankers.request_trials.RequestTrials):
        def run(self, trial, keep=True):
            answer = super().run(trial, keep)
            seen.extend([answer] if trial == Trial() else [])
            return answer

    for asked in ({"user": "u3"}, {"user": "u3", "weights": {"mmr": 1.0}}, {"user": "u4", "profile_free": True}):
        asked |= {"now": NOW, "shown": [("i3", NOW - 3, True)], "k": 4, "seed": 3}
        plain = ranker.rank(**asked)
        item = next(f"i{i}" for i in range(40) if f"i{i}" not in plain.items)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rs.rankers.rankers, "RequestTrials", Spy)
            ranker.why_not(item, **asked)
        again = seen.pop()
        assert again.to_dict() == plain.to_dict() and again.dials == plain.dials


def test_a_likelihood_and_an_index_are_part_of_the_request():
    pool, split, model, maps = make_validation_world()
    made = fit_likelihood(pool, split, n=30)
    for other in ({"likelihood": made}, {"index_recall": 0.5}):
        ranker = Ranker.fit(model, split, {"relevance": 1.0, "mmr": 0.3}, maps=maps, n=20, k=5, **other)
        asked = {"history": split.item_ids[split.train[[3]].indices].tolist()}
        slate, stages = ranker.rank(**asked).items, set()
        if made is other.get("likelihood"):
            assert slate != Ranker.fit(model, split, {"relevance": 1.0}, maps=maps, n=20, k=5).rank(**asked).items
        for item in split.item_ids[::2].tolist():
            if item not in slate:
                stages.add(check(ranker, asked, item).stage)
        assert {"history", "retrieval", "blend"} <= stages


def test_bad_requests_are_one_line():
    ranker = make_ranker()
    slate = ranker.rank(user="u3").items
    for expected, item, asked in [
        (r"unknown item 'i77': did you mean 'i7'", "i77", {"user": "u3"}),
        (f"item '{slate[0]}' is in slot 1 of the slate: Recommendation.why says why", slate[0], {"user": "u3"}),
        ("found one of items and scores, expected both, or neither", "i1", {"user": "u3", "items": ["i1"]}),
        ("max_removed is -1", "i1", {"user": "u3", "max_removed": -1}),
        ("user 'u99' is none of", "i1", {"user": "u99"}),
        ("the factor of 'mmr' is 9", "i1", {"user": "u3", "weights": {"mmr": 9}}),
        ("guards is 3", "i1", {"user": "u3", "guards": 3}),
    ]:
        with pytest.raises(RecsysError, match=expected):
            ranker.why_not(item, **asked)
    bare = replace(ranker, model=None, name="")
    with pytest.raises(RecsysError, match="no model to rank with"):
        bare.why_not("i1", user="u3")
    assert bare.why_not("i1", items=["i1", "i2"], scores=[1, 2], user="u3", k=1).stage == "blend"


@settings(max_examples=200, deadline=None)
@given(st.floats(0.02, 60), st.floats(0.02, 60), st.booleans(), st.floats(0, 1), st.floats(1, 100))
def test_a_factor_is_the_nearest_of_a_threshold(edge, now, above, least, most):
    """Against the definition: whatever is nearer to the present factor, by more than the tolerance, does not do."""
    least, most = least * now, most * now

    def holds(factor):
        return factor >= edge if above else factor <= edge

    if holds(now):
        return
    found = find_factors(holds, now, least, most)
    reachable = edge <= min(most, 64 * now) if above else edge >= max(least, now / 64)
    assert bool(found) == reachable or (not above and least == 0)
    for one in found:
        assert least <= one.factor <= most and holds(one.factor) and not holds(one.nearest_tried)
        if one.factor:
            assert 1 <= max(one.factor / edge, edge / one.factor) <= 1 + TOLERANCE + 1e-9


def test_removals_are_greedy_and_leave_nothing_out_that_may_stay():
    tried = []

    def holds(out):
        tried.append(out)
        return {3, 5} <= set(out)

    assert find_removal(holds, lambda out: [p for p in (1, 3, 5) if p not in out], 3) == (3, 5)
    assert tried[:3] == [(1,), (3,), (5,)] and (3, 5) in tried
    assert find_removal(holds, lambda out: [p for p in (1, 3, 5) if p not in out], 2) is None
    assert find_removal(holds, lambda out: [], 2) is None


def test_the_command_says_why_not(tmp_path, capsys):
    ranker = make_ranker()
    folder = ranker.save(tmp_path / "ranker")
    item = next(f"i{i}" for i in range(40) if f"i{i}" not in ranker.rank(history=["i1", "i2"]).items)
    assert run_cli("why-not", folder, "--history", "i1, i2", "--item", item) == 0
    told = ranker.why_not(item, history=["i1", "i2"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{item} Item {item[1:]}" and said[1 : 1 + len(told.sentences)] == list(told.sentences)
    assert said[1 + len(told.sentences) :] == [f"tried: {one}" for one in told.tried]
    assert run_cli("why-not", folder, "--user", "u3", "--item", item, "--weights", "mmr=2", "--json", "--k", 3) in (
        0,
        2,
    )
    assert run_cli("why-not", folder, "--user", "u3", "--item", "i300") == 2
    assert "unknown item" in capsys.readouterr().err
