"""`benchmarks/questions.py`: what is registered can be carried out, and what the rows decide."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from synthetic import make_split

from recsys.reranking.blends import parse_blend
from recsys.simulation import Behaviour, FittedTastes
from recsys.simulation.loop import resolve_measure
from recsys.simulation.plans import parse_simulation
from recsys.types import RecsysError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PRIMARY = {"measure": "true_discovery", "round": 2, "rivals": ["mmr"], "level": 0.05, "margin": 0.05, "power": 0.8}


@pytest.fixture(scope="module")
def scripts():
    """The modules of the benchmark, by their last word."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import question_answers
        import question_judges
        import question_loops
        import question_worlds
        import questions

        made = (question_answers, question_judges, question_loops, question_worlds, questions)
        yield {one.__name__.rpartition("_")[2]: one for one in made}
        for one in made:
            del sys.modules[one.__name__]


@pytest.fixture(scope="module")
def registration():
    return tomllib.loads((BENCHMARKS / "questions.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world():
    split = make_split()
    tastes = np.random.default_rng(0).normal(size=split.shape).astype(np.float32)
    regions, groups = (np.arange(split.shape[1]) % 6).astype(np.int32), np.zeros(split.shape[0], dtype=np.int32)
    behaviour = Behaviour(position_exponent=0.8, no_choice=0.5)
    return FittedTastes(split, tastes, tastes - 0.5, regions, groups, np.array(["all"]), behaviour)


def test_what_is_registered_can_be_carried_out(scripts, registration):
    for name in registration["worlds"]:
        parse_simulation(scripts["worlds"].describe_world(registration, name, registration["loops"]["behaviour"]))
    for _, _, blend in scripts["judges"].list_blends(registration["judges"]).values():
        parse_blend(blend)
    used = {place.world for place in scripts["loops"].list_places(registration["loops"])}
    assert used | set(registration["judges"]["worlds"]) == set(registration["worlds"])
    for name in registration["loops"]["blends"]:
        parse_blend(scripts["loops"].adapt_to_ring(scripts["judges"].build_blend(name, 0.2)))
    assert [resolve_measure(name) for name in registration["loops"]["measures"]]
    assert set(registration["loops"]["primary"]["rivals"]) < set(registration["loops"]["blends"])


def test_fewer_users_and_shorter_histories_keep_tastes(scripts, world):
    cut = scripts["worlds"].cut_down(world, 11, 0.5, seed=3)
    before = world.split.user_ids.tolist()
    users = [before.index(one) for one in cut.split.user_ids]
    assert len(users) == 11
    assert np.array_equal(cut.like_logits, world.like_logits[users])
    lengths = np.diff(world.split.seen.indptr)[users]
    assert np.array_equal(np.diff(cut.generate_log(0).seen.indptr), np.ceil(lengths / 2))
    assert scripts["worlds"].cut_down(world, 0, 1.0, seed=3) is world


def test_the_truth_of_a_slate_against_a_slow_loop(scripts, world):
    log = world.generate_log(1)
    items = np.argsort(-np.random.default_rng(2).random(world.split.shape), axis=1)[:, :4].astype(np.int32)
    items[0, 3] = -1
    found = scripts["judges"].TrueWorth(world, log, 0.1).read(items)
    precision, welfare, new, unliked, favourites = [], [], [], [], []
    seen, liked = log.seen.toarray() > 0, log.train.toarray() > 0
    for user, slate in enumerate(items):
        shown = [item for item in slate if item >= 0]
        likely = [expit(world.like_logits[user, item]) for item in shown]
        weights = [np.exp(world.like_logits[user, item]) * (r + 1) ** -0.8 for r, item in enumerate(shown)]
        precision.append(np.mean(likely))
        welfare.append(np.dot(weights, likely) / (sum(weights) + np.exp(0.5)))
        for met, of in ((seen, new), (liked, unliked)):
            touched = set(world.regions[met[user]])
            of.append(sum(p for p, item in zip(likely, shown, strict=True) if world.regions[item] not in touched))
        known, least = set(world.regions[seen[user]]), np.quantile(world.like_logits[user], 0.9)
        favourites.append(
            sum(world.like_logits[user, item] >= least and world.regions[item] not in known for item in shown)
        )
    told = [np.mean(of) for of in (precision, welfare, new, unliked, favourites)]
    assert list(found.values()) == pytest.approx(told)


def make_slates(truths):
    """Rows of three blends and a base in one cell; `truths` are true discovery, by a good metric and a bad one."""
    rows = [
        {"world": "w", "users": 0, "history": 1.0, "seed": seed, "blend": blend, "family": blend, "strength": 0.1 * place,
         "true precision": 1.0, "true welfare": 1.0, "true discovery": truth, "true discovery of unliked regions": truth,
         "true discovery of favourites": truth,
         "ndcg": 1.0 - 0.015 * place, "stratified_recall": 1.0, "recall": 1.0, "precision": 1.0,
         "good": 2 * truth, "bad": -truth}
        for seed in range(3)
        for place, (blend, truth) in enumerate(zip(["base", "a", "b", "c"], truths, strict=True))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_judge_is_told_by_rank_sign_and_regret(scripts):
    cells = scripts["answers"].read_cells(make_slates([1.0, 1.5, 0.5, 3.0]), ["good", "bad"], budget=0.02)
    good, bad = (cells[cells.metric == name].iloc[0] for name in ("good", "bad"))
    assert (good["tau, true discovery"], good["same sign"], good["regret"]) == (1.0, 1.0, 0.0)
    assert (bad["tau, true discovery"], bad["same sign"]) == (-1.0, 0.0)
    assert bad["regret"] == 0.5  # of base and a, which alone keep the budget, the base is taken


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.8, 0.82, 0.81], "confirmed"), ([0.1, 0.12, 0.11], "refuted"), ([0.5, 0.8, 0.99], "undecided")],
)
def test_a_statement_is_judged_by_its_whole_interval(scripts, values, verdict):
    rules = {"confidence": 0.95, "least_seeds": 3}
    one = {"statement": "s", "metric": "m", "at_least": 0.7}
    assert scripts["answers"].judge_statement(one, np.array(values), rules)["verdict"] == verdict
    assert scripts["answers"].judge_statement(one, np.array(values[:2]), rules)["verdict"] == "too few seeds"


def test_an_axis_is_read_where_its_curve_loses_the_budget(scripts):
    ndcg, truly = np.array([[1.0, 0.99, 0.97], [1.0, 0.99, 0.97]]), np.array([[1.0, 1.0, 0.9], [1.0, 1.0, 0.9]])
    of = {"ndcg": ndcg, "stratified_recall": np.ones((2, 3)), "true precision": truly}
    every = np.arange(2)[None]
    assert scripts["answers"].read_losses(of, ("ndcg",), 0.02, every)[0] == pytest.approx(0.05)
    assert np.isnan(scripts["answers"].read_losses(of, ("stratified_recall",), 0.02, every)[0])
    steep = of | {"true precision": np.array([[1.0, 0.9, 0.9]] * 2)}
    values, _, reached = scripts["answers"].read_axis({"one": of, "other": steep}, ("ndcg",), 0.02, every)
    assert reached == 2
    assert (values["mean"], values["deviation"]) == pytest.approx((0.075, 0.05 / 2**0.5))


def make_loops(gains, first=None):
    """Rows of base, MMR and chosen at rounds 1 and 2: `gains` by policy, with noise between seeds that all share."""
    rows = []
    for policy, gain in {"base": 0.0, **gains}.items():
        for seed in range(6):
            value = 10 + np.sin(seed) + gain * (1 + 0.01 * np.cos(3 * seed))
            early = (first or {}).get(policy, 0.0) + value
            rows += [
                {"world": "w", "users": 0, "history": 1.0, "policy": policy, "seed": seed, "round": number,
                 "true_discovery": early if number == 1 else value, "welfare": value}
                for number in (1, 2)
            ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({"mmr": 1.0, "chosen": 2.0}, "yes"),
        ({"mmr": 3.0, "chosen": 2.0}, "no"),
        ({"mmr": 0.1, "chosen": 0.0}, "no"),  # what differs is within the margin
    ],
)
def test_a_choice_answers_yes_where_it_is_ahead_of_all(scripts, gains, verdict):
    rules = {"loops": {"primary": PRIMARY}, "confidence": 0.95, "least_seeds": 5}
    rows = scripts["answers"].compare_chosen(make_loops(gains), rules)
    assert [row["verdict"] for row in rows] == [verdict] * 2
    assert rows[1]["lead"] == pytest.approx((gains["chosen"] - gains["mmr"]) / 10, rel=0.1)


def test_noise_is_not_detectable(scripts):
    loops = make_loops({"mmr": 0.0, "chosen": 0.0})
    noisy = loops.policy == "chosen"
    loops.loc[noisy, "true_discovery"] += 3 * np.sin(7 * np.arange(noisy.sum()))
    rules = {"loops": {"primary": PRIMARY}, "confidence": 0.95, "least_seeds": 5}
    rows = scripts["answers"].compare_chosen(loops, rules)
    assert {row["verdict"] for row in rows} == {"not detectable"}
    assert rows[0]["detectable"] > 0.2


def test_cost_now_stands_beside_gain_later(scripts):
    loops = make_loops({"mmr": 1.0, "chosen": 2.0})
    loops.loc[(loops.policy == "mmr") & (loops["round"] == 1), "welfare"] -= 3.0
    rules = {
        "loops": {"measures": ["true_discovery", "welfare"], "told_rounds": [1, 2], "primary": PRIMARY},
        "confidence": 0.95,
    }  # fmt: skip
    found = {row["policy"]: row for row in scripts["answers"].tabulate_policies(
        scripts["answers"].tabulate_loops(loops, rules), rules)}  # fmt: skip
    assert list(found) == ["chosen", "mmr"]
    base = loops[(loops.policy == "base") & (loops["round"] == 2)].welfare.mean()
    assert found["mmr"]["welfare_1"] == pytest.approx(-2 / base, abs=1e-3)
    assert found["chosen"]["welfare_2"] == pytest.approx(2 / base, abs=1e-3)
    assert found["mmr"]["welfare_2_low"] < found["mmr"]["welfare_2"] < found["mmr"]["welfare_2_high"]


def test_the_best_of_round_1_may_not_stay_best(scripts):
    rules = {
        "rounds": {"measures": ["true_discovery"], "told_rounds": [2], "without_history": []},
        "confidence": 0.95, "least_seeds": 5,
    }  # fmt: skip
    (row,) = scripts["answers"].tabulate_rounds(make_loops({"mmr": 1.0, "chosen": 2.0}, {"mmr": 5.0}), rules)
    assert (row["stays"], row["verdict"], row["policies"]) == (0.0, "does not", 3)
    assert row["tau"] == pytest.approx(1 / 3)
    assert row["regret"] == pytest.approx(1 / 12, rel=0.1)
    (row,) = scripts["answers"].tabulate_rounds(make_loops({"mmr": 1.0, "chosen": 0.0}), rules)
    assert (row["stays"], row["verdict"], row["policies"]) == (1.0, "stays best", 2)  # chosen is the base


def test_a_cell_that_is_there_is_not_made_again_and_a_refused_world_is_told(scripts, registration, tmp_path):
    study, made = scripts["questions"].Study(registration, tmp_path), []

    def make():
        made.append(1)
        return [{"a": 1.0}]

    for _ in range(2):
        assert study.keep("loops", "ring", {"seed": 0}, make) == [{"a": 1.0}]
    assert len(made) == 1
    assert study.keep("loops", "ring", {"seed": 1}, None) == []

    def refuse():
        raise RecsysError("world x is not like its log: nDCG")

    assert study.keep("judges", "ml-100k, sharp tastes", {"seed": 0}, refuse) == []
    again = scripts["questions"].Study(registration, tmp_path)
    assert again.keep("judges", "ml-100k, sharp tastes", {"seed": 0}, None) == []
    assert list(again.refused) == ["ml-100k, sharp tastes"]
