"""What arms of an experiment say of a policy, beside its full deployment: `python benchmarks/diverted_arms.py`.

A made-up population meets ALS (control) and ALS of which a share of the slots shows any candidate (treatment), in arms
that share the catalogue, and in arms with users and items of their own (Su et al. 2024). Each seed is a population; the
lift is the mean over rounds of treatment over control, less 1: estimated from the arms, and true of full deployments.
Written to results/diverted_arms.csv.
"""

import argparse
from pathlib import Path

import numpy as np
from closed_loops import build_world
from result_rows import write_rows

from recsys import models
from recsys.simulation import DivertedExperiment, Recommender, simulate, simulate_arms
from recsys.simulation.diverted_arms import DIVERTED
from recsys.simulation.tables import find_interval
from recsys.types.arrays import Doubles

RESULTS = Path(__file__).parent / "results" / "diverted_arms.csv"
MEASURES = ("welfare", "slate_utility", "true_discovery", "consumed_width", "discoverable_corpus", "consumption_gini")
EPSILON = 0.3  # of the slots of the treatment show any candidate


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 5), ("users", 300), ("items", 200), ("rounds", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    world = build_world(given.users, given.items)
    of = {"pool": 100, "retrain_every": 2}
    control, treatment = (Recommender(models.ALS(factors=16), epsilon=share, **of) for share in (0.0, EPSILON))
    kept = {"rounds": given.rounds, "measures": MEASURES}
    lifts = np.empty((len(DIVERTED), given.seeds, 2, len(MEASURES)))
    for seed in range(given.seeds):
        deployed = [simulate(world, policy, seed=seed, **kept) for policy in (control, treatment)]
        for d, divert in enumerate(DIVERTED):
            arms = simulate_arms(world, control, treatment, share=given.share, divert=divert, seed=seed, **kept)
            made = DivertedExperiment(arms, *deployed)
            lifts[d, seed] = [[find(name) for name in MEASURES] for find in (made.estimate_lift, made.find_true_lift)]
            print(divert, seed, lifts[d, seed].round(3).tolist(), flush=True)
    write_rows(given.out, [row for d, divert in enumerate(DIVERTED) for row in describe_lifts(divert, lifts[d])])


def describe_lifts(divert: str, lifts: Doubles) -> list[dict[str, object]]:
    """Return a row for each measure: means and intervals over seeds of lifts, (S, 2, M), of arms and deployments."""
    mean, low, high = find_interval(lifts)
    bias, bias_low, bias_high = find_interval(lifts[:, 0] - lifts[:, 1])
    agree = (np.sign(lifts[:, 0]) == np.sign(lifts[:, 1])).mean(axis=0)
    return [
        {
            "diverted": divert, "measure": name, "estimate": mean[0, m], "low": low[0, m], "high": high[0, m],
            "truth": mean[1, m], "truth_low": low[1, m], "truth_high": high[1, m], "bias": bias[m],
            "bias_low": bias_low[m], "bias_high": bias_high[m], "same_sign": agree[m],
        }
        for m, name in enumerate(MEASURES)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
