"""Guards: hard rules hold, exactly, whatever the gains are; what cannot be met is counted."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, draw_guards, make_maps, make_split

from recsys import objectives
from recsys.kernels import reference, slot_rules
from recsys.kernels.slot_rules import count_violations, flatten_rules
from recsys.reranking import guards
from recsys.reranking.slates import fit_scales, rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.types import Guard, RecsysError, Rule

BLEND = {"relevance": 1.0, "mmr": 0.5, "dpp": 0.3, "negative_space": 0.4}
K = 6


def make_pool(seed=0, users=12, n=14):
    split = make_split(seed, users=users)
    return candidates(RandomFactorModel(split, seed=seed + 1), split, n=n, maps=make_maps(split))


@pytest.fixture(scope="module")
def pool():
    return make_pool()


def features_of(pool, item):
    return {f"f{f}" for f in np.flatnonzero(pool.context.items.features[[item]].toarray()[0])}


def ids(row):
    return [f"i{item}" for item in row if item >= 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 20), some=draw_guards(K), data=st.data())
def test_each_pick_is_the_best_of_those_that_the_reference_allows(seed, some, data):
    pool = make_pool(seed, users=5)
    names = data.draw(st.lists(st.sampled_from(sorted(BLEND)), min_size=1, max_size=4, unique=True))
    blend = {name: BLEND[name] for name in names}
    slates = rerank(pool, blend, k=K, scale=None, guards=some)
    asked = [guard.make_rule(pool, K) for guard in some]
    terms = [getattr(objectives, name)(pool, K) for name in sorted(blend)]
    for u in range(len(pool.users)):
        slate: list[int] = []
        places = {item: place for place, item in enumerate(pool.items[u].tolist())}
        for item in slates.items[u].tolist():
            may = reference.find_allowed(asked, pool, u, slate, K)
            if item < 0:
                assert not may
                break
            gains = sum(
                blend[name] * reference.compute_gains(term, u, slate, pool.lengths[u])
                for name, term in zip(sorted(blend), terms, strict=True)
            )
            assert places[item] in may
            assert gains[places[item]] >= gains[may].max() - 1e-4
            assert slates.scores[u, len(slate)] == pytest.approx(gains[places[item]], abs=2e-4)
            slate.append(places[item])
        assert (slates.items[u, len(slate) :] == -1).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 20),
    table=st.dictionaries(st.integers(0, 39), st.sampled_from("abcd"), min_size=40),
    data=st.data(),
)
def test_over_a_partition_all_is_met_wherever_any_slate_meets_it(seed, table, data):
    """Whether one does is found by trying how many picks each group has."""
    pool = make_pool(seed, users=4, n=10)
    groups = {f"i{item}": group for item, group in table.items()}
    least, most = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    some = [guards.at_least(least, groups=groups), guards.at_most(most, groups=groups)]
    slates = rerank(pool, {"relevance": 1.0}, k=K, guards=some)
    for u in range(len(pool.users)):
        there = [sum(groups[i] == g for i in ids(pool.items[u])) for g in sorted(set(groups.values()))]
        can = any(
            sum(counts) == K and all(least <= n <= most for n in counts)
            for counts in itertools.product(*(range(n + 1) for n in there))
        )
        shown = [sum(groups[i] == g for i in ids(slates.items[u])) for g in sorted(set(groups.values()))]
        assert all(n <= most for n in shown)
        if can:
            assert slates.violations[u].tolist() == [0, 0] and sum(shown) == K


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 20), some=draw_guards(K))
def test_what_is_not_met_is_counted_as_one_counts(seed, some):
    pool = make_pool(seed, users=5)
    slates = rerank(pool, {"relevance": 1.0, "noise": 1.0}, k=K, guards=some)
    if not some:
        assert slates.violations is None
        return
    assert slates.guards == tuple(guard.name for guard in some)
    for g, rule in enumerate(guard.make_rule(pool, K) for guard in some):
        for u, row in enumerate(slates.items.tolist()):
            shown, far = [item for item in row if item >= 0], 0
            if rule.excluded_items is not None:
                assert not any(rule.excluded_items[item] for item in shown)
            for group in range(0 if rule.groups is None else rule.groups.shape[1]):
                count = sum(rule.groups[item, group] > 0 for item in shown)
                far += 0 if rule.min_picks is None else max(0, rule.min_picks[group] - count)
                far += 0 if rule.max_picks is None else max(0, count - rule.max_picks[group])
            if rule.pins is not None:
                far += sum(pin not in (-1, item) for pin, item in zip(rule.pins[u].tolist(), row, strict=True))
            assert slates.violations[u, g] == far


@pytest.mark.parametrize(("temperature", "epsilon"), [(0.7, 0.0), (0.0, 0.3), (0.7, 0.3)])
def test_log_propensities_are_exact_over_what_is_allowed(pool, temperature, epsilon):
    some = [
        guards.exclude(features=["f0"]),
        guards.at_most(2, features=["f1", "f2"]),
        guards.at_least(2, features=["f3"]),
        guards.pin(2, pool.context.item_ids[pool.items[:, 4]].tolist()),
    ]
    slates = rerank(
        pool, {"relevance": 1.0}, k=K, scale=None, guards=some, temperature=temperature, epsilon=epsilon, seed=5
    )
    asked = [guard.make_rule(pool, K) for guard in some]
    narrowed = 0
    for u in range(len(pool.users)):
        places, slate = {item: place for place, item in enumerate(pool.items[u].tolist())}, []
        for r, item in enumerate(i for i in slates.items[u].tolist() if i >= 0):
            may = reference.find_allowed(asked, pool, u, slate, K)
            gains = pool.scores[u, may].astype(float)
            soft = np.exp((gains - gains.max()) / temperature) if temperature else (gains == gains.max()).astype(float)
            chance = (1 - epsilon) * soft / soft.sum() + epsilon / len(may)
            assert slates.log_propensity[u, r] == pytest.approx(np.log(chance[may.index(places[item])]), abs=1e-5)
            slate.append(places[item])
            narrowed += len(may) < len(places) - r
    assert narrowed > len(pool.users)


def test_guards_that_ask_for_nothing_change_nothing(pool):
    plain = rerank(pool, BLEND, k=K)
    for some in ([guards.exclude()], [guards.at_most(K)], [guards.at_least(0, features=["f0"])], [guards.pin(1, "")]):
        same = rerank(pool, BLEND, k=K, guards=some)
        assert (same.items == plain.items).all() and (same.contributions == plain.contributions).all()
        assert same.scales == plain.scales and not same.violations.any()


def test_guards_do_not_depend_on_threads_or_partition():
    pool = make_pool(users=600)
    some = [guards.at_most(2, features=["f0", "f1"]), guards.at_least(1, features=["f4"]), guards.pin(3, "i7")]
    scales = fit_scales(pool, BLEND)
    one, two = (rerank(pool, BLEND, k=K, scale=scales, guards=some, n_threads=t, temperature=0.3) for t in (1, 2))
    part = rerank(pool.slice_users(250, 270), BLEND, k=K, scale=scales, guards=some, temperature=0.3)
    assert (one.items == two.items).all() and (one.log_propensity == two.log_propensity).all()
    assert (one.items[250:270] == part.items).all() and (one.violations[250:270] == part.violations).all()


def test_a_look_ahead_by_hand():
    """Four candidates of a, one of b; two slots: the best of a, and then b, which has the least gain of all."""
    pool = Pool.from_frame(["u"] * 5, list("vwxyz"), [5, 4, 3, 2, 1])

    def shown(*some, k=2):
        row = rerank(pool, {"relevance": 1.0}, k=k, guards=some).items[0]
        return "".join(pool.context.item_ids[i] if i >= 0 else "-" for i in row)

    table = dict(zip("vwxyz", "aaaab", strict=True))
    assert shown() == "vw"
    assert shown(guards.at_least(1, groups=table)) == "vz"
    assert shown(guards.at_most(1, groups=table), k=3) == "vz-"
    assert shown(guards.pin(1, "y")) == "yv"
    assert shown(guards.pin(2, "z"), guards.at_most(1, groups={"z": "b", "v": "b"})) == "wz"  # a pin counts beforehand
    assert shown(guards.pin(3, "z"), guards.exclude(items=["w", "x", "y"]), k=3) == "vz-"  # it moves up
    assert shown(guards.pin(1, "z"), guards.exclude(items=["z"])) == "vw"
    assert shown(guards.at_least(1, groups={"x": ["p", "q"], "y": ["p"], "z": ["q"]}), k=1) == "x"  # serves both


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [guards.exclude(features=["f9"])], "exclude: unknown feature 'f9': did you mean"),
        (lambda: [guards.require(["F1"])], "require: unknown feature 'F1': did you mean 'f1'?"),
        (lambda: [guards.exclude(items="i1")], "exclude: items is 'i1', expected a list"),
        (lambda: [guards.at_most(-1)], "at_most: m is -1, expected a whole number from 0 on"),
        (lambda: [guards.at_least(1)], "at_least: found neither features nor groups, expected one of them"),
        (lambda: [guards.at_most(1, features=["f1"], groups={"i1": "a"})], "at_most: found both features and groups"),
        (lambda: [guards.at_most(1, groups=["a"])], "at_most: groups is ['a'], expected a table"),
        (lambda: [guards.pin(0, "i1")], "pin: slot is 0, expected a whole number from 1 on"),
        (lambda: [guards.pin(7, "i1")], "pin: slot is 7, expected one from 1 to 6"),
        (lambda: [guards.pin(1, ["i1", "i2"])], "pin: found 2 items, expected one, or 12: one per user"),
        (lambda: [guards.pin(1, "i1"), guards.pin(1, "i2")], "pin: slot 1 is kept for two items, expected one"),
        (lambda: guards.exclude(), "slate: guards is Guard("),
        (lambda: ["exclude"], "slate: guards is ['exclude'], expected a list such as [recsys.reranking.guards.exclude"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(pool, make, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as caught:
        rerank(pool, {"relevance": 1.0}, k=K, guards=make())
    assert "\n" not in str(caught.value)


def test_an_item_has_one_slot(pool):
    item = pool.context.item_ids[pool.items[0, 0]]
    with pytest.raises(RecsysError, match="pin: an item has two slots"):
        rerank(pool, {"relevance": 1.0}, k=K, guards=[guards.pin(1, item), guards.pin(2, item)])


def test_order_by_relevance_does_not_go_with_a_pin(pool):
    with pytest.raises(RecsysError, match="order is 'relevance' beside a pinned item"):
        rerank(pool, {"relevance": 1.0}, k=K, order="relevance", guards=[guards.pin(1, "i1")])


def test_a_guard_of_ones_own(pool):
    odd = Guard("odd", lambda pool, k: Rule(excluded_items=np.arange(len(pool.context.item_ids)) % 2 == 0))
    slates = rerank(pool, {"relevance": 1.0}, k=3, guards=[odd])
    assert (slates.items[slates.items >= 0] % 2 == 1).all() and slates.guards == ("odd",)


def test_a_group_is_of_whom_its_table_has_above_0(pool):
    table = sparse.csr_array((np.zeros(40, np.float32), (np.arange(40), np.zeros(40, int))), shape=(40, 1))
    for size in (14, 2):  # as many candidates as items, and fewer
        part = Pool(pool.users[:4], pool.items[:4, :size], pool.scores[:4, :size], pool.context)
        for share in (0.0, 0.5):
            table.data[:] = share
            limit = Guard("none", lambda pool, k: Rule(groups=table, max_picks=np.zeros(1, np.int64)))
            slates = rerank(part, {"relevance": 1.0}, k=2, guards=[limit], scale=None)
            assert (slates.items >= 0).all() == (share == 0) and not slates.violations.any()
            assert count_violations([limit.make_rule(part, 2)], part.items[:, :2]).sum() == (0 if share == 0 else 8)


def test_rules_without_guards_are_empty(pool):
    assert flatten_rules([], pool, K) is slot_rules.NO_RULES
    assert count_violations([], pool.items[:, :K]).shape == (12, 0)


def test_exclusion_by_hand(pool):
    slates = rerank(pool, {"relevance": 1.0}, k=3, guards=[guards.exclude(features=["f0"]), guards.require(["f1"])])
    for u, row in enumerate(slates.items):
        may = [
            i
            for i in pool.items[u].tolist()
            if i >= 0 and "f0" not in features_of(pool, i) and "f1" in features_of(pool, i)
        ]
        assert row[row >= 0].tolist() == may[:3]
