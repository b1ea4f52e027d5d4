"""`benchmarks/judge_sizes.py`: what is registered can be carried out, and what the rows decide."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from synthetic import make_split

from recsys.simulation import Behaviour, FittedTastes
from recsys.simulation.plans import parse_simulation
from recsys.simulation.worlds.enlarging import draw_people
from recsys.types import RecsysError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TRUTHS = ("true discovery", "true discovery of favourites", "true discovery beyond chance")


@pytest.fixture(scope="module")
def scripts():
    """The modules of the benchmark, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        before = set(sys.modules)
        import judge_size_answers
        import judge_sizes
        import question_judges
        import question_worlds

        yield {one.__name__: one for one in (judge_size_answers, judge_sizes, question_judges, question_worlds)}
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
                del sys.modules[name]


@pytest.fixture(scope="module")
def registration():
    return tomllib.loads((BENCHMARKS / "questions.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world():
    split = make_split()
    tastes = np.random.default_rng(0).normal(size=split.shape).astype(np.float32)
    regions, groups = (np.arange(split.shape[1]) % 6).astype(np.int32), np.zeros(split.shape[0], dtype=np.int32)
    behaviour = Behaviour(position_exponent=0.8)
    return FittedTastes(split, tastes, tastes - 0.5, regions, groups, np.array(["all"]), behaviour)


def test_what_is_registered_can_be_carried_out(scripts, registration, world):
    settings = registration["judge_sizes"]
    for name in settings["worlds"]:
        described = scripts["question_worlds"].describe_world(settings, name, settings["behaviour"])
        assert parse_simulation(described).log_settings["users"] >= max(settings["users"])
    small = settings | {"families": ["mmr", "unexplored"], "strengths": [0.2], "pool": 8, "k": 3, "few_users": 60}

    class Worlds:
        def get(self, name):
            return draw_people(world, 140)

    cells = [scripts["judge_sizes"].SizeCell("w", users, 900) for users in (0, 120)]
    rows = [row for cell in cells for row in scripts["judge_sizes"].judge_size_cell(cell, small, Worlds())]
    assert [row["n_users"] for row in rows] == [140] * 3 + [120] * 3
    found = scripts["judge_size_answers"].read_size_cells(pd.DataFrame(rows), small)
    rules = settings["rules"]
    named = {rules["default"], *rules["rivals"], *rules["told"]}
    named |= {cause[end]["metric"] for cause in settings["causes"] for end in ("of", "less")}
    assert named <= set(found.metric)
    assert {cause[end].get("users", 0) for cause in settings["causes"] for end in ("of", "less")} <= {
        *settings["users"]
    }
    assert not set(rules["rivals"]) & set(rules["told"])
    assert set(rules["left_out"]) < set(settings["families"])


def test_beyond_chance_against_a_slow_loop(scripts, world):
    log = world.generate_log(1)
    items = np.argsort(-np.random.default_rng(2).random(world.shape), axis=1)[:, :4].astype(np.int32)
    items[0, 3] = -1
    told = []
    for user, slate in enumerate(items):
        met = set(world.regions[log.seen.toarray()[user] > 0])
        likely = expit(world.like_logits[user].astype(float))
        unmet = [item for item in range(world.shape[1]) if world.regions[item] not in met]
        usual = np.mean(likely[unmet]) if unmet else 0.0
        told.append(sum(likely[item] - usual for item in slate if item in unmet))
    worth = scripts["question_judges"].TrueWorth(world, log, 0.1)
    assert worth.read_beyond_chance(items) == pytest.approx(np.mean(told), abs=1e-6)
    assert np.any(told)


def make_slates(regrets, seeds=6):
    """Rows of blends in one world; a metric takes the blend whose truth is 1 less its regret, with noise over seeds."""
    rows, metrics = [], list(regrets)
    for seed in range(seeds):
        for blend in ("base", "best", *metrics):
            lost = {"base": 0.5, "best": 0.0}.get(blend, regrets.get(blend, 0.0)) * (1 + 0.05 * np.cos(3 * seed))
            row = {
                "world": "w",
                "users": 0,
                "seed": seed,
                "n_users": 9,
                "blend": blend,
                "family": blend,
                "strength": 0.1,
            }
            row |= {name: 1 - lost for truth in TRUTHS for name in (truth, f"cross-fitted {truth}")}
            row |= {"ndcg": 1.0, "stratified_recall": 1.0}
            rows.append(row | {name: float(name == blend) + 0.1 * (1 - lost) for name in metrics})
    rows.append(rows[-1] | {"blend": "lossy", "ndcg": 0.5, **dict.fromkeys(TRUTHS, 9.0)})
    return pd.DataFrame(rows)


RULES = {"default": "d", "tau_truth": "favourites", "level": 0.05, "power": 0.8, "rivals": ["a", "b"], "told": ["seen"]}


def answer(scripts, regrets, seeds=6):
    rules = {"judge_sizes": {"rules": RULES, "budget": 0.02}, "confidence": 0.95, "least_seeds": 5}
    answers = scripts["judge_size_answers"]
    cells = answers.read_size_cells(make_slates(regrets, seeds), rules["judge_sizes"])
    return answers.answer(cells, rules)[0], answers.compare_rivals(cells, rules)


@pytest.mark.parametrize(
    ("regrets", "verdict", "instead"),
    [
        ({"d": 0.05, "a": 0.4, "b": 0.3, "seen": 0.2}, "confirmed", "none"),
        ({"d": 0.05, "a": 0.4, "b": 0.3, "seen": 0.0}, "confirmed", "none"),  # who has seen replaces nobody
        ({"d": 0.2, "a": 0.1, "b": 0.05, "seen": 0.3}, "refuted", "b"),
        ({"d": 0.9, "a": 0.95, "b": 0.95, "seen": 0.9}, "refuted", "none"),  # keeping the base loses less
    ],
)
def test_the_registered_rule_decides(scripts, regrets, verdict, instead):
    found, _ = answer(scripts, regrets)
    assert (found["verdict"], found["replaced_by"]) == (verdict, instead)
    assert answer(scripts, regrets, seeds=4)[0]["verdict"] == "too few seeds"


def test_regret_is_read_within_the_budget_and_with_the_smallest_effect(scripts):
    _, rows = answer(scripts, {"d": 0.05, "a": 0.4, "b": 0.3, "seen": 0.2})
    base = next(row for row in rows if row["rival"] == "the base is kept" and row["truth"] == "discovery")
    assert base["value"] == pytest.approx(0.45 / 0.5, rel=0.1)  # shares of what the base has
    assert 0 < base["detectable"] < base["value"]
    assert base["verdict"] == "loses more"


def test_causes_are_differences_paired_by_seed(scripts):
    cause = {"cause": "a less d", "of": {"metric": "a"}, "less": {"metric": "d", "column": "tau at the top"}}
    rules = {
        "judge_sizes": {"rules": RULES, "budget": 0.02, "causes": [cause]}, "confidence": 0.95, "least_seeds": 5,
    }  # fmt: skip
    answers = scripts["judge_size_answers"]
    cells = answers.read_size_cells(make_slates({"d": 0.05, "a": 0.4, "b": 0.3, "seen": 0.2}), rules["judge_sizes"])
    row = answers.tabulate_causes(cells, rules)[0]
    pairs = cells.pivot(index="seed", columns="metric", values=["tau, discovery", "tau at the top, discovery"])
    gap = pairs["tau, discovery"]["a"] - pairs["tau at the top, discovery"]["d"]
    assert row["value"] == pytest.approx(gap.mean())


def test_a_refused_world_is_told_and_nothing_more_is_run_in_it(scripts, registration, tmp_path, monkeypatch):
    def refuse(cell, settings, worlds):
        raise RecsysError(f"world {cell.world} is not like its log: nDCG")

    monkeypatch.setattr(scripts["judge_sizes"], "judge_size_cell", refuse)
    study = scripts["judge_sizes"].SizeStudy(registration, tmp_path)
    for cell in scripts["judge_sizes"].list_size_cells(study.settings):
        study.keep(cell, run=True)
    assert len(list(tmp_path.glob("*.json"))) == len(study.settings["worlds"])
    assert all("is not like its log" in said for said in study.states.values())
