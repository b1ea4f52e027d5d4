"""How fast closed loops are: `python benchmarks/closed_loops.py`.

A made-up population of 10,000 users and 2,000 items meets ALS (64 factors), re-ranked by MMR, over 100 rounds, trained
anew every ten, with all measures; the same with half the users and half the rounds says whether time grows with them
alone. Memory is that of a process of its own. A trial of a sweep is one population of 1,000 users. Then a loop of the
most popular items, trained in each round, of a few hundred users beside the popularity recommender of T-RECS, installed
without its pins: users times rounds per second of the processor. Writes `benchmarks/results/closed_loops.csv`.
"""

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import speeds
from agreement import create_environment
from speeds import Row, print_row

from recsys import models
from recsys.simulation import Behaviour, FittedTastes, MostLiked, Recommender, simulate
from recsys.support.rng import make_generator

RESULTS = Path(__file__).parent / "results" / "closed_loops.csv"
PEER_SIDE = Path(__file__).parent / "peers" / "loop_of_trecs.py"
TRECS = "0.2.1"
BESIDE = ("numpy", "pandas", "scipy", "networkx", "tqdm", "matplotlib", "scikit-learn", "requests")
USERS, ITEMS, ROUNDS, EVERY = 10_000, 2_000, 100, 10
PEER_SIZE = (500, 500, 20, 10)  # users, items, rounds, items shown
TRIAL_SIZE, TRIAL_EVERY = (1000, 500, 20), 5  # users, items, rounds
N_REGIONS, D = 24, 20


def build_world(users: int, items: int) -> FittedTastes:
    """Return a world with drawn tastes and short histories."""
    rng = make_generator(0, "benchmark", "closed loops", users, items)
    split = speeds.draw_split(users, items)
    tastes = rng.standard_normal((users, D), dtype=np.float32) @ rng.standard_normal((D, items), dtype=np.float32)
    tastes *= np.float32(1.5 / np.sqrt(D))
    appeal = rng.standard_normal(items, dtype=np.float32)
    regions = rng.integers(N_REGIONS, size=items).astype(np.int32)
    groups, behaviour = np.zeros(users, dtype=np.int32), Behaviour(position_exponent=0.8, organic_share=0.1)
    return FittedTastes(split, tastes + appeal, tastes - 0.5, regions, groups, np.array(["people"]), behaviour)


def time_loop(users: int, rounds: int) -> float:
    """Return the seconds of one loop."""
    world = build_world(users, ITEMS)
    blend = {"relevance": 1.0, "mmr": 0.2}
    policy = Recommender(models.ALS(factors=64), blend, pool=100, retrain_every=EVERY)
    simulate(replace(world), policy, rounds=1)  # compiled
    start = time.perf_counter()
    simulate(world, policy, rounds=rounds)
    return time.perf_counter() - start


def time_trial() -> float:
    """Return the seconds of one trial of a search: the blend that reads most, and one population."""
    users, items, rounds = TRIAL_SIZE
    world, policy = (
        build_world(users, items),
        Recommender(models.ALS(factors=32), {"relevance": 1.0, "unexplored": 0.2}),
    )
    policy = replace(policy, retrain_every=TRIAL_EVERY)
    simulate(replace(world), policy, rounds=1, measures=["welfare", "true_discovery"])
    start = time.perf_counter()
    simulate(world, policy, rounds=rounds, measures=["welfare", "true_discovery"])
    return time.perf_counter() - start


def measure_alone(users: int, rounds: int) -> tuple[float, float]:
    """Return the seconds and the GiB of a loop in a process of its own."""
    command = [sys.executable, __file__, "--one", str(users), str(rounds)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(found[-2]), float(found[-1])


def compare_trecs() -> list[Row]:
    """Return rows of users times rounds per second beside T-RECS, whose loop measures nothing by itself."""
    users, items, rounds, k = PEER_SIZE
    with create_environment(*BESIDE) as python:
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", f"trecs=={TRECS}"], check=True)
        told = [str(one) for one in PEER_SIZE]
        theirs = float(
            subprocess.run([python, "-I", PEER_SIDE, *told], check=True, capture_output=True, text=True).stdout
        )
    world = build_world(users, items)
    rows = []
    for measures, named in ((["welfare"], "one measure, theirs none"), (None, "all measures, theirs none")):
        simulate(world, MostLiked(k), rounds=1, measures=measures)
        start = time.process_time()
        simulate(world, MostLiked(k), rounds=rounds, measures=measures)
        ours = time.process_time() - start
        what = f"users x rounds a second, {users} users, {items} items, {rounds} rounds, {named}; theirs is T-RECS"
        rows.append(Row(what, users * rounds / ours, users * rounds / theirs, "1/s", theirs / ours, 20.0, "min"))
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    if settings.one:
        seconds = time_loop(*settings.one)
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    print(speeds.NOTE)
    whole, memory = measure_alone(USERS, ROUNDS)
    what = f"{USERS:,} users x {ITEMS:,} items x {ROUNDS} rounds, ALS and MMR, training every {EVERY}"
    rows = [print_row(Row(what, whole, None, "s", whole, 120.0, "max"))]
    rows.append(print_row(Row(f"{what}: memory", memory, None, "GiB", memory, 2.0, "max")))
    for name, users, rounds in (("users", USERS // 2, ROUNDS), ("rounds", USERS, ROUNDS // 2)):
        half = measure_alone(users, rounds)[0]
        rows.append(print_row(Row(f"{what}: over half the {name}", whole, half, "s", whole / half, 2.2, "max")))
    users, items, rounds = TRIAL_SIZE
    trial = f"a trial of a sweep: {users:,} users x {items} items x {rounds} rounds, ALS and unexplored"
    seconds = time_trial()
    rows.append(print_row(Row(f"{trial}, training every {TRIAL_EVERY}", seconds, None, "s", seconds, 5.0, "max")))
    rows += [print_row(row) for row in compare_trecs()]
    speeds.write_speed_rows(rows, settings.out, f"trecs {TRECS}")


if __name__ == "__main__":
    main()
