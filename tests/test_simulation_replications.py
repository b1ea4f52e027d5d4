"""Small versions of what `benchmarks/replications.py` runs whole: findings of papers that hold in any of these sizes."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import write_tables

import recsys as rs
from recsys.models import MostPopular
from recsys.simulation import HiddenTypes, PartlyKnownUtilities, RandomItems, ReinforcedInterests
from recsys.simulation.worlds.accepted_ratings import build_rating_world


@pytest.fixture(scope="module")
def papers():
    """The modules of the benchmark, by their first word."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        import amplification_findings
        import confounding_findings
        import degeneracy_findings
        import exploration_findings
        import findings

        made = (amplification_findings, confounding_findings, degeneracy_findings, exploration_findings, findings)
        yield SimpleNamespace(**{one.__name__.partition("_")[0]: one for one in made})
        for one in made:
            del sys.modules[one.__name__]


def test_training_again_and_popularity_make_users_alike_and_poorer(papers):
    world = PartlyKnownUtilities(users=30, items=160, attributes=10)
    runs = papers.confounding.run_confounding(
        populations=1, world=world, rounds=16, startups={"single": 8, "repeated": 4}
    )
    for name in ("MF", "popularity"):
        alike = {regime: of[name] - of["ideal"] for regime, of in runs.homogeneity.items()}
        assert (alike["repeated"] > alike["single"]).all() and (alike["repeated"] > 0.1).all()
        assert (runs.utility["repeated"][name] < runs.utility["repeated"]["ideal"]).all()
    found = papers.confounding.judge_confounding(runs)
    assert len({one.statement for one in found}) == len(found) > 30


def test_jaccard_indices_are_those_of_sets(papers):
    consumed = np.stack([np.random.default_rng(user).permutation(9)[:4] for user in range(5)])
    slow = [[len({*a} & {*b}) / len({*a} | {*b}) for b in consumed.tolist()] for a in consumed.tolist()]
    assert papers.confounding.compare_users(consumed, 9) == pytest.approx(np.array(slow))


def test_exploiting_degenerates_faster_than_random_and_resets_end_it(papers):
    runs = papers.degeneracy.run_degeneracy(users=8, items=15, k=2, rounds=50)
    last = {name: shifts[-1].mean() for name, shifts in runs.fixed.items()}
    assert min(last["oracle"], last["optimal oracle"]) > 1.5 * last["random"]
    assert runs.growing["random"][-1].mean() < last["random"]
    assert len(papers.degeneracy.judge_degeneracy(runs)) == 10
    world = ReinforcedInterests(users=40, items=4, step=0.05, noise=1.0)
    resets = replace(world, reset_probability=0.1)
    noisy, reset = (papers.degeneracy.follow_shifts(of, RandomItems(k=2), 60, 0).mean(axis=1) for of in (world, resets))
    assert noisy[-1] > 1.2 * noisy[30]
    assert reset[-1] < 1.1 * reset[30]


def test_a_myopic_policy_locks_on_the_majority_and_exploring_beats_it(papers):
    world = HiddenTypes(users=60, affinities=papers.exploration.NICHE)
    runs = papers.exploration.run_exploration(world, populations=1, rounds=60)
    assert runs.popular_shares["myopic"] > runs.popular_shares["random"] + 0.4
    assert runs.clicks["Thompson"] > runs.clicks["myopic"]
    assert runs.minority_clicks["Thompson"] > runs.minority_clicks["myopic"] + 0.1
    assert len(papers.exploration.judge_exploration(runs, "a niche topic")) == 6


def test_what_is_popular_grows_more_popular(papers, tmp_path):
    write_tables(tmp_path)
    dataset = rs.read_dataset(
        tmp_path / "ratings.csv", items=tmp_path / "items.csv", item_columns={"features": "genres"}
    )
    world = build_rating_world(dataset, {f"u{n}": "many" if n % 3 else "few" for n in range(60)})
    runs = papers.amplification.run_amplification(
        world, "few", repeats=2, rounds=3, models={"most popular": MostPopular()}, k=4, pool=10
    )
    shown = runs.popularity["most popular"]
    assert shown.shape == (2, 3) and (shown[:, 1] > shown[:, 0]).all()
    assert (np.diff(runs.drift["most popular"], axis=1) > 0).all()
    assert len(papers.amplification.judge_amplification(runs, "few", "toy")) == 7


@pytest.mark.parametrize(
    ("n", "verdict"), [(20, "reproduced"), (19, "reproduced"), (18, "undecided"), (12, "contradicted")]
)
def test_an_order_holds_in_a_share_of_populations(papers, n, verdict):
    found = papers.findings.judge_share("somebody", "an order", np.arange(20) < n)
    assert (found.verdict, found.describe_expected()) == (verdict, "at least 0.95")


def test_a_few_populations_decide_no_order(papers):
    assert papers.findings.judge_share("somebody", "an order", np.ones(19, dtype=bool)).verdict == "undecided"
