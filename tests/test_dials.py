"""Dials: weights of one request, held against rankers and blends that have the multiplied weights from the start."""

import re
from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_exposures, make_maps, make_split, write_tables

import recsys as rs
from recsys.configs import parse_config
from recsys.experiments.exports import export
from recsys.rankers import Ranker
from recsys.rankers.fast_path import Gain, Need
from recsys.rankers.policies import Policy
from recsys.reranking import guards
from recsys.reranking.blends import parse_blend
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates, make_context
from recsys.types import RecsysError

SPLIT = make_split(users=30, seed=3)
MODEL = RandomFactorModel(SPLIT)
CONTEXT = make_context(SPLIT, MODEL, maps=make_maps(SPLIT), seed=2)
POOL = candidates(MODEL, SPLIT, n=20, maps=make_maps(SPLIT), shown=make_exposures(SPLIT))
EVERYTHING = np.ones(len(SPLIT.item_ids), bool)
BLENDS = {
    "compiled": {"relevance": 1.0, "mmr": 0.3, "negative_space": {"weight": 0.4, "tau": 0.5}, "unexplored": 0.2},
    "value": {"discovery_value": 1.0, "mmr": 0.3},
    "library": {"relevance": 1.0, "novelty": 0.3, "dpp": 0.2, "calibration": 0.2},
    "adapted": {"relevance": 1.0, "novelty": {"weight": 0.3, "adapt_to": "entropy"}, "mmr": 0.1},
}
POLICIES = (Policy(k=5), Policy(k=5, order="relevance"), Policy(k=5, temperature=0.4, epsilon=0.1, seed=3))
GUARDS = ((), (guards.at_most(2, features=["f0"]), guards.pin(2, "i3")))
MODULAR = {"relevance": 1.0, "novelty": 0.3, "unexplored": 0.4, "long_tail": 0.2}
FACTORS = st.just(0.0) | st.just(1.0) | st.floats(0.01, 20)
COUNTS = st.integers(0, 2**20)


def make_ranker(blend, policy=POLICIES[0], **settings):
    scales = {name: 0.5 + n for n, name in enumerate(sorted(blend))}
    return Ranker(None, CONTEXT, blend, scales, policy, EVERYTHING, **settings)


RANKERS = {(name, policy): make_ranker(BLENDS[name], policy) for name in BLENDS for policy in POLICIES}


def draw_request(seed, size=15):
    rng = np.random.default_rng(seed)
    items = rng.permutation(40)[:size]
    asks = {"user": f"u{rng.integers(30)}"} if seed % 2 else {"history": [f"i{i}" for i in rng.permutation(40)[:4]]}
    return {"items": SPLIT.item_ids[items], "scores": rng.normal(size=size).round(1), "seed": seed % 7, **asks}


def multiply(blend, factors):
    """Return the blend with multiplied weights, without what is then off."""
    made = {}
    for name, value in blend.items():
        own = dict(value) if isinstance(value, dict) else {"weight": value}
        own["weight"] = own["weight"] * factors.get(name, 1.0)
        made |= {name: own} if own["weight"] else {}
    return made


def check_same(one, other, *, policy=True):
    """Answers are equal bit for bit."""
    for name in (
        "items",
        "objectives",
        "seed",
        "unknown_items",
        "violations",
        "notes",
        *(["policy"] if policy else []),
    ):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("contributions", "scores", "relevance", "base_ranks"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.log_propensity is None) == (other.log_propensity is None)
    assert one.log_propensity is None or np.array_equal(one.log_propensity, other.log_propensity)
    assert one.explanations() == other.explanations() and one.displaced == other.displaced


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(BLENDS)), st.sampled_from(POLICIES), st.booleans(), COUNTS)
def test_a_dialled_request_is_one_of_a_ranker_with_the_multiplied_weights(data, name, policy, guarded, seed):
    blend, ranker = BLENDS[name], RANKERS[name, policy]
    factors = data.draw(st.dictionaries(st.sampled_from(sorted(blend)), FACTORS))
    multiplied = multiply(blend, factors)
    if not multiplied:
        return
    other = Ranker(None, CONTEXT, multiplied, ranker.scales, policy, EVERYTHING)
    held = GUARDS[guarded] if policy.order == "gain" else ()
    request = {**draw_request(seed), "guards": held}
    one, two = ranker.rerank(**request, weights=factors), other.rerank(**request)
    assert one.dials == {name: factor for name, factor in factors.items() if factor != 1}
    if (ranker._fast_path is None) == (other._fast_path is None):
        check_same(one, two, policy=False)
    else:  # what is left has a compiled path: the same up to rounding
        assert one.items == two.items and one.objectives == two.objectives
        np.testing.assert_allclose(one.contributions, two.contributions, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BLENDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_factor_of_1_is_none(name, policy):
    ranker = RANKERS[name, policy]
    for seed in range(6):
        request = draw_request(seed)
        answer = ranker.rerank(**request, weights=dict.fromkeys(BLENDS[name], 1))
        check_same(answer, ranker.rerank(**request))
        assert answer.dials == {} and answer.policy == ranker.name


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(BLENDS)), st.integers(-8, 8), st.floats(0.05, 20), COUNTS)
def test_the_same_factor_for_all_objectives_leaves_the_order(name, power, factor, seed):
    ranker, request = RANKERS[name, POLICIES[0]], draw_request(seed)
    plain = ranker.rerank(**request)
    exact = ranker.rerank(**request, weights=dict.fromkeys(BLENDS[name], 2.0**power))
    assert exact.items == plain.items and np.array_equal(exact.contributions, plain.contributions * 2.0**power)
    rounded = ranker.rerank(**request, weights=dict.fromkeys(BLENDS[name], factor))
    for one, other, gain, expected in zip(rounded.items, plain.items, rounded.scores, plain.scores, strict=True):
        assert gain == pytest.approx(factor * expected, rel=1e-5, abs=1e-6)
        if one != other:  # only items whose gains are equal but for rounding change places
            break


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(BLENDS)), st.sampled_from(POLICIES), st.booleans())
def test_slates_of_a_pool_are_those_of_the_multiplied_blend(data, name, policy, per_user):
    blend = BLENDS[name]
    one = st.lists(FACTORS, min_size=30, max_size=30).map(np.array) if per_user else FACTORS
    factors = data.draw(st.dictionaries(st.sampled_from(sorted(blend)), one))
    multiplied = {}
    for objective, value in blend.items():
        own = dict(value) if isinstance(value, dict) else {"weight": value}
        multiplied[objective] = {**own, "weight": own["weight"] * factors.get(objective, 1.0)}
    if not any(np.any(value["weight"]) for value in multiplied.values()):
        return
    drawn = {"order": policy.order, "temperature": policy.temperature, "epsilon": policy.epsilon, "seed": policy.seed}
    dialled, other = rerank(POOL, blend, 5, weights=factors, **drawn), rerank(POOL, multiplied, 5, **drawn)
    assert dialled.objectives == other.objectives and dialled.scales == other.scales
    for array in ("items", "contributions", "log_propensity"):
        assert np.array_equal(getattr(dialled, array), getattr(other, array)), array


# What more of a factor promises


def sum_gains(slates, part):
    """Return the sum of the part's own gains over the slate of each user of POOL, (U,): gains of Modular terms."""
    gain = part.make_term(POOL, slates.items.shape[1]).gain.astype(np.float64)
    place = {(u, item): n for u, row in enumerate(POOL.items) for n, item in enumerate(row)}
    return np.array([sum(gain[u, place[u, i]] for i in row if i >= 0) for u, row in enumerate(slates.items)])


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(MODULAR)), st.integers(1, 20), st.booleans())
def test_more_of_a_modular_objective_gives_no_less_of_it(data, name, k, guarded):
    """Greedy picks are the best slate there: R(S) + f G(S) largest for f and f' > f bounds G(S') from below by G(S)."""
    held = [guards.exclude(items=["i1"]), guards.at_most(2, groups={f"i{i}": f"{i % 4}" for i in range(40)})]
    low, high = sorted(data.draw(st.tuples(FACTORS, FACTORS)))
    (part,) = (part for part in parse_blend(MODULAR) if part.name == name)
    shown = [rerank(POOL, MODULAR, k, weights={name: f}, guards=held if guarded else ()) for f in (low, high)]
    less, more = (sum_gains(slates, part) for slates in shown)
    assert (more >= less - 1e-5 * (1 + np.abs(less))).all()


OBJECTIVES = [name for name in rs.objectives.__all__ if name not in ("relevance", "discovery_value")]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_first_pick_has_no_less_of_any_objective(name):
    blend, last = {"relevance": 1.0, name: 0.5}, np.full(30, -np.inf)
    for factor in (0.25, 1.0, 4.0, 64.0):
        slates = rerank(POOL, blend, 1, weights={name: factor})
        own = slates.contributions[:, 0, slates.objectives.index(name)] / factor
        assert (own >= last - 1e-5 * (1 + np.abs(own))).all()
        last = own


@pytest.mark.parametrize("name", ["mmr", "negative_space", "calibration", "dpp"])
def test_the_best_of_all_slates_has_no_less_of_any_objective(name):
    """Every order of three of six candidates, its gains as the library says them where all slots are pinned."""
    ranker = make_ranker({"relevance": 1.0, name: 0.3}, Policy(k=3))
    for seed in range(2):
        request = draw_request(seed, size=6)
        own, rest, at_1 = [], [], ranker.rerank(**request, k=3)
        for order in permutations(request["items"], 3):
            pinned = ranker.rerank(**request, guards=[guards.pin(n + 1, item) for n, item in enumerate(order)])
            assert pinned.items == order
            of_each = dict(zip(pinned.objectives, pinned.contributions.astype(np.float64).sum(axis=0), strict=True))
            own.append(of_each[name])
            rest.append(of_each["relevance"])
        own, rest = np.array(own), np.array(rest)
        best = [own[(rest + factor * own).argmax()] for factor in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 256.0)]
        assert (np.diff(best) >= -1e-6).all()
        assert (rest + own).max() >= at_1.scores.astype(np.float64).sum() - 1e-5


@pytest.mark.parametrize("name", ["mmr", "negative_space", "calibration", "dpp"])
def test_a_greedy_slate_can_have_less_of_an_objective_that_looks_at_the_slate(name):
    """So that nothing more is promised there than of the first pick and of the best slate."""
    own = []
    for factor in np.geomspace(0.1, 30, 25):
        slates = rerank(POOL, {"relevance": 1.0, name: 0.3}, 5, weights={name: factor})
        own.append(slates.contributions[:, :, slates.objectives.index(name)].astype(np.float64).sum(axis=1) / factor)
    rises = np.diff(own, axis=0)
    assert rises.min() < -0.05 and rises.sum() > 0  # of some user, though not of all


def softmax(totals, temperature):
    weight = np.exp((totals - totals.max()) / temperature)
    return weight / weight.sum()


@pytest.mark.parametrize("name", ["compiled", "library"])
def test_chances_are_those_of_the_dialled_policy_and_favour_what_is_turned_up(name):
    """The first pick of a draw: P(n) ~ exp(gain / T) by hand, and its expected gain by the objective never falls."""
    dialled = "unexplored" if name == "compiled" else "novelty"
    ranker, request = make_ranker(BLENDS[name], Policy(k=1, temperature=2.0)), draw_request(1, size=5)
    each = [ranker.rerank(**request, guards=[guards.pin(1, item)], k=1) for item in request["items"]]
    gains = np.array([answer.contributions[0] for answer in each], dtype=np.float64)
    at, expected = each[0].objectives.index(dialled), []
    for factor in (0.5, 1.0, 3.0, 9.0):
        multiplied = gains * np.where(np.arange(gains.shape[1]) == at, factor, 1.0)
        chances = softmax(multiplied.sum(axis=1), 2.0)
        for seed in range(30):
            answer = ranker.rerank(**{**request, "seed": seed}, weights={dialled: factor})
            place = request["items"].tolist().index(answer.items[0])
            assert answer.log_propensity[0] == pytest.approx(np.log(chances[place]), abs=1e-4)
        expected.append(chances @ gains[:, at])
    assert (np.diff(expected) > 0).all()


# What the answer says


def test_an_answer_names_its_dials_and_another_policy():
    ranker = RANKERS["compiled", POLICIES[2]]
    request = draw_request(1)
    names = [ranker.rerank(**request, weights=w).policy for w in ({"mmr": 2.0}, {"mmr": 3}, {"mmr": 0}, {"mmr": 1}, {})]
    assert len(set(names)) == 4 and names[3] == names[4] == ranker.name
    assert ranker.rerank(**request, weights={"mmr": 2, "unexplored": 1.0}).policy == names[0]  # the factors alone count
    said = ranker.rerank(**request, weights={"mmr": np.float32(0.5), "negative_space": 0}).to_dict()
    assert said["dials"] == {"mmr": 0.5, "negative_space": 0.0} and said["profile_free"] is False
    assert said["contributions"].keys() == {"mmr", "relevance", "unexplored"}
    empty = ranker.rerank([], [], weights={"mmr": 0})
    assert empty.dials == {"mmr": 0.0} and empty.objectives == ("negative_space", "relevance", "unexplored")
    assert empty.policy == names[2] and empty.contributions.shape == (0, 3)


def test_objectives_may_be_named_by_themselves():
    ranker, request = RANKERS["compiled", POLICIES[0]], draw_request(3)
    check_same(
        ranker.rerank(**request, weights={rs.objectives.mmr: 2.0}), ranker.rerank(**request, weights={"mmr": 2.0})
    )
    slates = [rerank(POOL, BLENDS["compiled"], 5, weights={one: 2.0}) for one in (rs.objectives.mmr, "mmr")]
    assert np.array_equal(slates[0].contributions, slates[1].contributions)


def test_what_is_turned_off_is_not_computed(monkeypatch):
    ranker, request = make_ranker(BLENDS["compiled"]), draw_request(5)
    path = ranker._fast_path
    monkeypatch.setattr(path, "need", Need(pytest.fail, pytest.fail))
    off = {"negative_space": 0.0, "unexplored": 0.0}
    assert len(path.gains) == 2  # of relevance and unexplored
    monkeypatch.setattr(path, "gains", [path.gains[0], Gain(pytest.fail, pytest.fail)])
    assert ranker.rerank(**request, weights=off).objectives == ("mmr", "relevance")


@pytest.mark.parametrize("name", ["compiled", "library"])
def test_a_batch_has_weights_for_each_request(name):
    split = make_split(users=60, seed=4)
    fitted = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    ranker = Ranker.fit(fitted, split, BLENDS[name], maps=make_maps(split), n=15, k=6, control=CONTROL)
    users, weights = ["u1", "u2", "u3", "u4"], [{"relevance": 0.5}, None, {"relevance": 9}, {}]
    answers = ranker.rank_many(users=users, weights=weights)
    assert str(answers[2]) == "ranker: weights: the factor of 'relevance' is 9, expected a number from 0 to 2"
    for n in (0, 1, 3):
        check_same(answers[n], ranker.rank(user=users[n], weights=weights[n]))
    assert [answers[n].dials for n in (0, 1, 3)] == [{"relevance": 0.5}, {}, {}]
    items, scores = [["i1", "i2", "i3"]] * 4, [[3, 2, 1]] * 4
    for n, answer in enumerate(ranker.rerank_many(items, scores, users=users, weights=weights)):
        if n != 2:
            check_same(answer, ranker.rerank(items[n], scores[n], user=users[n], weights=weights[n]))
    everybody = ranker.rank_many(users=users, profile_free=True)
    for answer in everybody:
        check_same(answer, ranker.rank(user="u1", profile_free=True))


# Ranges

CONTROL = {"dials": {"relevance": [0, 2]}}


def test_a_range_is_of_the_policy_and_kept(tmp_path):
    split = make_split(users=60, seed=4)
    fitted, maps = rs.models.ALS(factors=4, iterations=3).fit(split.train), make_maps(split)
    plain, wide, narrow = (
        Ranker.fit(fitted, split, {"relevance": 1.0, "mmr": 0.2}, maps=maps, n=15, k=6, control=control)
        for control in (None, CONTROL, {"dials": {"relevance": (0.5, 1.5)}})
    )
    assert len({plain.name, wide.name, narrow.name}) == 3
    assert Ranker.fit(fitted, split, {"relevance": 1.0}, maps=maps, control={"dials": {}}).control == {}
    loaded = Ranker.load(narrow.save(tmp_path / "ranker"))
    assert loaded.control == {"dials": {"relevance": [0.5, 1.5]}} and loaded.name == narrow.name
    check_same(loaded.rank(user="u1", weights={"relevance": 1.5}), narrow.rank(user="u1", weights={"relevance": 1.5}))
    with pytest.raises(RecsysError, match=r"the factor of 'relevance' is 1\.6, expected a number from 0\.5 to 1\.5"):
        loaded.rank(user="u1", weights={"relevance": 1.6})
    check_same(plain.rank(user="u2"), narrow.rank(user="u2"), policy=False)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"mmmr": 2.0}, "ranker: weights: unknown objective 'mmmr': did you mean 'mmr'? (known: mmr, relevance)"),
        ({"novelty": 2.0}, "ranker: weights: unknown objective 'novelty': (known: mmr, relevance)"),
        ({5: 2.0}, "ranker: weights: unknown objective '5'"),
        ({"mmr": 2.5}, "ranker: weights: the factor of 'mmr' is 2.5, expected a number from 0.5 to 2"),
        ({"mmr": 0.0}, "ranker: weights: the factor of 'mmr' is 0.0, expected a number from 0.5 to 2"),
        ({"relevance": -0.1}, "ranker: weights: the factor of 'relevance' is -0.1, expected a number from 0 to 1e+30"),
        ({"relevance": float("nan")}, "ranker: weights: the factor of 'relevance' is nan"),
        ({"relevance": float("inf")}, "ranker: weights: the factor of 'relevance' is inf"),
        ({"relevance": True}, "ranker: weights: the factor of 'relevance' is True"),
        ({"relevance": "2"}, "ranker: weights: the factor of 'relevance' is '2'"),
        ({"relevance": [1.0]}, "ranker: weights: the factor of 'relevance' is [1.0]"),
        ({"relevance": 10**400}, "ranker: weights: the factor of 'relevance' is 1000"),
        ({"mmr": 1.0, rs.objectives.mmr: 2.0}, "ranker: weights: found an objective twice in mmr, mmr"),
        ([("mmr", 1.0)], "ranker: weights: found [('mmr', 1.0)], expected objectives and factors such as"),
        (2.0, "ranker: weights: found 2.0, expected objectives and factors"),
    ],
)
def test_weights_that_cannot_be_are_one_line(weights, message):
    ranker = make_ranker({"relevance": 1.0, "mmr": 0.3}, control={"dials": {"mmr": [0.5, 2]}})
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        ranker.rerank(["i1"], [1.0], weights=weights)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["compiled", "library"])
def test_what_turns_everything_off_or_is_too_large_is_one_line(name):
    ranker = make_ranker(BLENDS[name])
    for items in (["i1", "i2"], []):
        with pytest.raises(RecsysError, match=r"^ranker: weights turn every objective off, expected one whose factor"):
            ranker.rerank(items, items and [2.0, 1.0], weights=dict.fromkeys(BLENDS[name], 0.0))
    large = make_ranker({**BLENDS[name], "relevance": 1e20})
    with pytest.raises(
        RecsysError, match=r"^blend: the weight of .relevance. times its scale .* is \d.*e.31, expected"
    ):
        large.rerank(["i1", "i2"], [2.0, 1.0], weights={"relevance": 1e11})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"mmmr": 2.0}, "slate: weights: unknown objective 'mmmr': did you mean 'mmr'?"),
        ({"mmr": np.ones(7)}, "slate: weights: 'mmr' has 7 factors, expected one, or 30: one per user"),
        ({"mmr": -1.0}, "slate: weights: the factor of 'mmr' is -1, expected at least 0"),
        ({"mmr": np.nan}, "slate: weights: the factor of 'mmr' is nan, expected a finite number, or one per user"),
        ({"mmr": "2"}, "slate: weights: the factor of 'mmr' is '2', expected a number"),
        ({"mmr": 1e31}, "slate: weights: the factor of 'mmr' is 1e+31, expected at most 1e+30 in size"),
        ({"mmr": 0, "relevance": 0}, "slate: weights turn every objective off"),
        (["mmr"], "slate: weights: found ['mmr'], expected objectives and factors such as"),
    ],
)
def test_weights_of_a_pool_that_cannot_be_are_one_line(weights, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        rerank(POOL, {"relevance": 1.0, "mmr": 0.3}, 5, weights=weights)
    assert "\n" not in str(error.value)


def test_weights_per_user_of_a_blend_are_counted_before_they_are_multiplied():
    with pytest.raises(RecsysError, match="blend: 'mmr' has 7 weights, expected one, or 30: one per user"):
        rerank(POOL, {"relevance": 1.0, "mmr": np.ones(7)}, 5, weights={"mmr": np.ones(30)})


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({"dial": {}}, "ranker: control: unknown rule 'dial': did you mean 'dials'? (known: dials, topics)"),
        ({"dials": {"mmmr": [0, 2]}}, "ranker: control: dials: unknown objective 'mmmr': did you mean 'mmr'?"),
        (
            {"dials": {"mmr": [0, 0.5]}},
            "ranker: control: dials: mmr: the largest factor is 0.5, expected a number from",
        ),
        (
            {"dials": {"mmr": [1.5, 2]}},
            "ranker: control: dials: mmr: the least factor is 1.5, expected a number from 0",
        ),
        (
            {"dials": {"mmr": [2, 0]}},
            "ranker: control: dials: mmr: the least factor is 2, expected a number from 0 to 1",
        ),
        ({"dials": {"mmr": [0, np.inf]}}, "ranker: control: dials: mmr: the largest factor is inf"),
        ({"dials": {"mmr": [-1, 2]}}, "ranker: control: dials: mmr: the least factor is -1"),
        ({"dials": {"mmr": 2}}, "ranker: control: dials: mmr is 2, expected the least factor and the largest, such as"),
        ({"dials": {"mmr": [0, 1, 2]}}, "ranker: control: dials: mmr is [0, 1, 2], expected the least factor"),
        ({"dials": [0, 2]}, "ranker: control: dials is [0, 2], expected a range for each objective"),
        ("dials", "ranker: control is 'dials', expected a table such as"),
    ],
)
def test_ranges_that_cannot_be_are_one_line(control, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        Ranker.fit(MODEL, SPLIT, {"relevance": 1.0, "mmr": 0.3}, maps=CONTEXT.maps, control=control)
    assert "\n" not in str(error.value)


OWN = {
    "data": {"path": "ratings.csv"},
    "filter": {"positive": "rating >= 3"},
    "model": {"kind": "als", "factors": 4, "iterations": 3},
    "blends": {"near": {"relevance": 1.0, "mmr": 0.2}, "far": {"relevance": 1.0, "novelty": 0.2}},
}


def test_ranges_of_a_config_are_exported_for_the_blend_that_has_them(tmp_path):
    write_tables(tmp_path)
    control = {"dials": {"relevance": [0.5, 2], "mmr": [0, 1], "novelty": [1, 3]}}
    config = parse_config({**OWN, "control": control}, home=tmp_path)
    for blend, expected in (("near", ["mmr", "relevance"]), ("far", ["novelty", "relevance"]), ("als", ["relevance"])):
        made = Ranker.load(export(config, tmp_path / blend, blend=blend, quiet=True).folder)
        assert made.control == {"dials": {name: [float(end) for end in control["dials"][name]] for name in expected}}
    without = parse_config(OWN, home=tmp_path)
    assert Ranker.load(export(without, tmp_path / "none", blend="near", quiet=True).folder).control == {}
    assert without.compute_digest() != config.compute_digest()
    assert "control" not in without.dump_settings() and config.dump_settings()["control"] == control


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (
            {"dial": {}},
            "config: [control]: unknown key 'dial': did you mean 'dials'? (known: compare, cool_down, dials, ",
        ),
        (
            {"dials": {"dpp": [0, 1]}},
            "config: [control]: dials: unknown objective 'dpp': (known: mmr, noise, novelty, relevance)",
        ),
        ({"dials": {"mmr": [0, 0.5]}}, "config: [control]: dials: mmr: the largest factor is 0.5, expected a number"),
        ({"dials": {"mmr": [0]}}, "config: [control]: dials: mmr is [0.0], expected the least factor and the largest"),
        ({"dials": {"mmr": "0 to 1"}}, "config: [control.dials] mmr is '0 to 1'"),
    ],
)
def test_ranges_of_a_config_that_cannot_be_are_one_line(control, message):
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        parse_config({**OWN, "control": control})
    assert "\n" not in str(error.value)


# Profile-free

PROFILE_FREE = st.sampled_from(["compiled", "library", "adapted", "value"])


def forget_rows(ranker, code):
    """Return the ranker without the rows of one user: the history, the dislikes, the times and the factor are gone."""
    context, rows = ranker.context, {}
    for name in ("train", "dislikes", "times"):
        matrix = getattr(context, name)
        if matrix is not None:
            matrix = matrix.copy()
            matrix.data[matrix.indptr[code] : matrix.indptr[code + 1]] = 0
            matrix.eliminate_zeros()
            rows[name] = matrix
    factors = context.factors
    user_factors = factors.user_factors.copy()
    user_factors[code] = 0
    factors = replace(factors, user_factors=user_factors)
    model = replace(ranker.model, factors=factors)
    made = object.__new__(Ranker)  # with the tables of everybody: of these, no row is the user's
    vars(made).update(vars(ranker), context=replace(context, factors=factors, **rows), model=model)
    return made


@cache
def make_served():
    """Rankers with a model, by the name of their blend and whether picks are drawn."""
    split = make_split(users=60, seed=4)
    fitted, maps = rs.models.ALS(factors=4, iterations=3).fit(split.train, split.side_information), make_maps(split)
    drawn = {"temperature": 0.4, "epsilon": 0.1}
    return {
        (name, is_drawn): Ranker.fit(fitted, split, blend, maps=maps, n=20, k=6, **(drawn if is_drawn else {}))
        for name, blend in BLENDS.items()
        for is_drawn in (False, True)
    }


@settings(max_examples=40, deadline=None)
@given(PROFILE_FREE, st.booleans(), st.integers(0, 59), st.lists(st.integers(0, 39), max_size=5), COUNTS)
def test_profile_free_answers_are_everybodys_with_or_without_their_rows(name, drawn, code, liked, seed):
    ranker, weights = make_served()[name, drawn], {sorted(BLENDS[name])[0]: 0.5}
    everybody = ranker.rank(profile_free=True, seed=seed, weights=weights)
    assert everybody.profile_free and everybody.to_dict()["profile_free"]
    asks = ({"user": f"u{code}"}, {"history": [f"i{i}" for i in liked]}, {"user": "nobody"})
    asks = (*asks, {"user": f"u{code}", "more": [f"i{i}" for i in liked]})
    stored = ranker.set_user_dials({f"u{code}": {"relevance" if name != "value" else "mmr": 0.25}})
    for one in (ranker, forget_rows(ranker, code), stored):
        for who in asks:
            check_same(one.rank(**who, profile_free=True, seed=seed, weights=weights), everybody)
    known = ranker.rank(seed=seed, weights=weights)
    check_same(everybody, known, policy=False)  # that of somebody of whom nothing is known
    assert everybody.policy != known.policy
    if not drawn:
        assert ranker.rank(user="u1", weights=weights).items != everybody.items


def test_profile_free_candidates_are_the_callers():
    ranker = make_served()["compiled", True]
    request = {"items": ["i1", "i2", "i3", "i4"], "scores": [4, 3, 2, 1], "seed": 5, "profile_free": True}
    for who in ({"user": "u1"}, {"user": "u2"}, {"history": ["i9"]}):
        check_same(ranker.rerank(**request, **who), ranker.rerank(**request))
    names = [ranker.rerank(**request, weights=weights).policy for weights in (None, {"mmr": 1}, {"mmr": 2})]
    assert names[0] == names[1] and len({ranker.name, *names}) == 3


@pytest.mark.parametrize("flag", [None, 1, "yes", 0.0])
def test_a_flag_that_is_none_is_one_line(flag):
    ranker = make_served()["compiled", False]
    with pytest.raises(RecsysError, match=r"^ranker: profile_free is .*, expected True or False$"):
        ranker.rank(user="u1", profile_free=flag)
    with pytest.raises(RecsysError, match=r"^ranker: profile_free is .*, expected True or False$"):
        ranker.rank_many(users=["u1"], profile_free=flag)
