"""How often each test of `recsys compare` is wrong at 5 %, in simulated worlds: written to results/errors.csv.

2,000 samples of each null hypothesis, in batches of 40 that share the seed of their draws and signs. A test that is
exact must err within the 99 % binomial interval of 5 % (3.75 to 6.3 %), one that is conservative by design at
most its upper end. Run it with `python benchmarks/errors.py`: forty minutes on one core.
"""

import gc
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import simulations
from scipy.stats import binom

from recsys.maths.popularity import gini
from recsys.scores.hypothesis_tests import adjust_p_values, compute_contrast, p_different, p_equivalent, p_noninferior
from recsys.scores.intervals import bootstrap_means, count_items_by_group
from recsys.scores.records import Score, Scores
from recsys.scores.replicates import pool_replicates
from recsys.scores.runs import build_catalogue_score, build_user_score
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.scores.tables import p_sign_flips
from recsys.support.rng import make_generator
from recsys.sweeps.selection import compute_lower_bounds
from recsys.types import PerCatalogue, PerUser
from recsys.types.arrays import Doubles

USERS, BATCH, DRAWS, FLIPS, MARGIN = 500, 40, 1000, 2000, 0.02
STATISTICS = {"coverage": lambda counts: (counts > 0).mean(axis=-1), "gini": gini}
DIRECTIONS = {"coverage": 1, "gini": -1}
RESULTS = Path(__file__).parent / "results" / "errors.csv"
Generator = np.random.Generator
Pair = tuple[np.ndarray, np.ndarray]  # what users get of a run and of the base, (n,) each
World = Callable[[Generator, int, float], Pair]
Wrong = Iterator[tuple[str, str, bool]]  # test, kind, whether this sample is an error


def draw_smooth_pair(rng: Generator, n: int, ratio: float) -> Pair:
    """Like diversity: every user has another value, the run's mean is `ratio` of the base's."""
    base = rng.beta(4.0, 4.0, n)
    return ratio * (base + rng.normal(0.0, 0.03, n)), base + rng.normal(0.0, 0.03, n)


def draw_hits_pair(rng: Generator, n: int, ratio: float, rate: float = 0.11, changed: float = 0.4) -> Pair:
    """Like recall: most users have 0, and slates differ for a share of users; one run keeps `ratio` of the hits."""
    liked = rng.beta(0.5, 0.5 / rate - 0.5, n)
    base, other = rng.binomial(10, liked), rng.binomial(10, liked)
    run = np.where(rng.random(n) < changed, other, base)
    return rng.binomial(run, min(ratio, 1.0)) / 10, rng.binomial(base, min(1.0 / ratio, 1.0)) / 10


def draw_rare_pair(rng: Generator, n: int, ratio: float) -> Pair:
    """Like discovery: about one user in twelve has a hit."""
    return draw_hits_pair(rng, n, ratio, rate=0.02, changed=0.6)


def draw_skewed_pair(rng: Generator, n: int, ratio: float) -> Pair:
    """Many lose a little and few gain much: equal means, but runs are not exchangeable."""
    base = rng.beta(2.0, 2.0, n)
    return ratio * base + np.where(rng.random(n) < 0.1, 0.18, -0.02), base


# With how many users, and what sign flips must be: where values are few, sums tie, and ties count against a run.
WORLDS: dict[str, tuple[World, int, str]] = {
    "smooth": (draw_smooth_pair, USERS, "exact"),
    "smooth, 60 users": (draw_smooth_pair, 60, "exact"),
    "hits": (draw_hits_pair, USERS, "conservative"),
    "rare": (draw_rare_pair, 1500, "conservative"),
    "skewed": (draw_skewed_pair, USERS, "approximate"),
}


def score_values(values: list[np.ndarray], seed: int, draws: int = DRAWS) -> list[Score]:
    users = np.arange(len(values[0]), dtype=np.int32)
    drawn = bootstrap_means([v[None] for v in values], users, seed, draws)
    return [
        build_user_score(str(i), "m", 10, PerUser(v, "", 1), v[None], d)
        for i, (v, d) in enumerate(zip(values, drawn, strict=True))
    ]


def draw_score_pairs(world: World, n: int, ratio: float, rng: Generator, seed: int) -> list[tuple[Score, Score]]:
    values = [values for _ in range(BATCH) for values in world(rng, n, ratio)]
    cells = score_values(values, seed)
    return list(zip(cells[::2], cells[1::2], strict=True))


def compute_flip_p_values(found: list[tuple[Score, Score]], seed: int) -> np.ndarray:
    n = len(found[0][0].per_user)
    users = np.arange(n, dtype=np.int32)
    return p_sign_flips(found, Scores((), users, users.astype(str), seed, DRAWS), FLIPS)


def misses_truth(cell: Score, base: Score, truth: float = 0.0) -> bool:
    low, high, _ = cell.make_interval(cell.value - base.value, cell.draws - base.draws)
    return not low <= truth <= high


def simulate_two_runs(world: World, n: int, kind: str, rng: Generator, seed: int) -> Wrong:
    found = draw_score_pairs(world, n, 1.0, rng, seed)
    for p, pair in zip(compute_flip_p_values(found, seed), found, strict=True):
        yield "sign flips", kind, p <= 0.05
        yield "bootstrap interval without 0", "approximate", misses_truth(*pair)
    for cell, base in draw_score_pairs(world, n, 1.0 - MARGIN, rng, seed):
        yield "non-inferior at the margin", "approximate", p_noninferior(cell, base, MARGIN) <= 0.05
        yield "equivalent at the lower margin", "conservative", p_equivalent(cell, base, MARGIN) <= 0.05
    for cell, base in draw_score_pairs(world, n, 1.0 + MARGIN, rng, seed):
        yield "equivalent at the upper margin", "conservative", p_equivalent(cell, base, MARGIN) <= 0.05


def simulate_families(world: World, n: int, rng: Generator, seed: int) -> Wrong:
    """Ten runs against one base, none of them different."""
    found = []
    for _ in range(BATCH):
        values = [world(rng, n, 1.0) for _ in range(10)]
        base, *runs = score_values([values[0][1], *(run - mine + values[0][1] for run, mine in values)], seed, draws=2)
        found += [(run, base) for run in runs]
    for p_values in compute_flip_p_values(found, seed).reshape(BATCH, 10):
        yield "Holm, any of 10", "conservative", bool((adjust_p_values(p_values, explore=False) <= 0.05).any())
        yield (
            "Benjamini-Hochberg, any of 10",
            "conservative",
            bool((adjust_p_values(p_values, explore=True) <= 0.05).any()),
        )


def simulate_splits(n_splits: int, between: float, rng: Generator, seed: int) -> Wrong:
    """Users of two in three splits each, with tastes of their own; splits that favour one run by chance.

    One call pools the runs of a whole batch: its splits are split for all of them, everything else is drawn anew.
    """
    n = 300
    ids, users = np.arange(n).astype(str), np.arange(n, dtype=np.int32)
    taste, replicates = rng.normal(0.0, 0.05, (BATCH, n)), []
    for _ in range(n_splits):
        base = np.where(rng.random(n) < 2 / 3, rng.beta(2.0, 4.0, (BATCH, n)), np.nan)
        run = base + taste + rng.normal(0.0, 0.1, (BATCH, n)) + between * rng.normal(size=(BATCH, 1))
        cells = score_values([*base, *run], seed, draws=2)
        replicates.append(Scores(tuple(cells), users, ids, seed, DRAWS))
    cells = pool_replicates(replicates).cells
    for base_cell, cell in zip(cells[:BATCH], cells[BATCH:], strict=True):
        yield "two-level, p <= 0.05", "conservative", p_different(compute_contrast(cell, base_cell, 1.0)) <= 0.05
        yield "two-level, interval without 0", "conservative", misses_truth(cell, base_cell)


def draw_slates(rng: Generator, logit: np.ndarray) -> np.ndarray:
    """Return slates of 10 items, each user's drawn without replacement (Gumbel top-k)."""
    keys = logit + rng.gumbel(size=(USERS, len(logit)))
    return np.argpartition(-keys, 10, axis=1)[:, :10].astype(np.int32)


def compute_statistics(shown: np.ndarray) -> list[float]:
    counts = np.bincount(shown.ravel(), minlength=1000).astype(np.float64)
    return [float(statistic(counts)) for statistic in STATISTICS.values()]


def score_catalogue_statistic(
    name: str, statistic: Callable[..., np.ndarray], shown: list[np.ndarray], seed: int
) -> list[Score]:
    users = np.arange(USERS, dtype=np.int32)
    return [
        build_catalogue_score(
            run,
            name,
            10,
            PerCatalogue(s, 1000, statistic, "", DIRECTIONS[name]),
            count_items_by_group(s, 1000, users, seed),
            USERS,
        )
        for run, s in zip("ab", shown, strict=True)
    ]


def simulate_catalogues(exponent: float, rng: Generator, seed: int) -> Wrong:
    """Two runs whose slates are drawn alike."""
    logit = -exponent * np.log(np.arange(1.0, 1001))
    shown = [draw_slates(rng, logit) for _ in "ab"]
    for name, statistic in STATISTICS.items():
        cell, base = score_catalogue_statistic(name, statistic, shown, seed)
        yield f"{name}, p <= 0.05", "approximate", p_different(compute_contrast(cell, base, 1.0)) <= 0.05


def simulate_margins(rng: Generator, seed: int) -> Wrong:
    """Slates from a steeper head than the base's: with the true loss as the margin, nothing is within it."""
    logits = [-exponent * np.log(np.arange(1.0, 1001)) for exponent in (1.1, 1.0)]
    shown = [draw_slates(rng, logit) for logit in logits]
    for (name, statistic), true in zip(STATISTICS.items(), estimate_true_ratios(), strict=True):
        cell, base = score_catalogue_statistic(name, statistic, shown, seed)
        margin = abs(1.0 - true)
        yield f"{name}, non-inferior at the margin", "approximate", p_noninferior(cell, base, margin) <= 0.05
        yield f"{name}, equivalent at the margin", "conservative", p_equivalent(cell, base, margin) <= 0.05


@cache
def estimate_true_ratios() -> list[float]:
    """Return the expected coverage and Gini index of the run of `simulate_margins` over those of its base."""
    rng = make_generator(1, "truth of the margins", 0)
    logits = [-exponent * np.log(np.arange(1.0, 1001)) for exponent in (1.1, 1.0)]
    found = np.array([[compute_statistics(draw_slates(rng, logit)) for logit in logits] for _ in range(4000)]).mean(
        axis=0
    )
    return list(found[0] / found[1])


def simulate_catalogue_splits(n_splits: int, rng: Generator, seed: int) -> Wrong:
    """Two runs whose slates are drawn alike, in several splits."""
    logit = -np.log(np.arange(1.0, 1001))
    users = np.arange(USERS, dtype=np.int32)
    replicates = []
    for _ in range(n_splits):
        shown = [draw_slates(rng, logit) for _ in "ab"]
        cells = [
            c for name, statistic in STATISTICS.items() for c in score_catalogue_statistic(name, statistic, shown, seed)
        ]
        replicates.append(Scores(tuple(cells), users, users.astype(str), seed, DRAWS))
    cells = pool_replicates(replicates).cells
    for cell, base in zip(cells[::2], cells[1::2], strict=True):
        yield f"{cell.metric}, p <= 0.05", "conservative", p_different(compute_contrast(cell, base, 1.0)) <= 0.05


def simulate_accuracy_budget(losses: Doubles, rng: Generator, seed: int) -> Wrong:
    """Points of a sweep with true losses of accuracy, the most gain where the loss is largest; 2 % may be given."""
    for _ in range(BATCH):
        base = rng.beta(2.0, 4.0, USERS)
        common = rng.normal(0.0, 0.05, USERS)
        runs = [(1.0 - loss) * base + common + rng.normal(0.0, 0.05, USERS) for loss in losses]
        first, *others = score_values([base + common, *runs], seed)
        cheap = np.flatnonzero(compute_lower_bounds([(one, first) for one in others])[1] > -MARGIN)
        yield (
            "the choice of --accuracy-budget loses more",
            "conservative",
            bool(len(cheap)) and losses[cheap[-1]] >= MARGIN,
        )


def simulate_joint_limits(rng: Generator, seed: int) -> Wrong:
    """Loss and gain: relative changes of a smooth and a rare metric over the same 1,500 users."""
    truth, n = np.array([-0.02, 0.25]), 1500
    values: list[np.ndarray] = []
    for _ in range(BATCH):
        run, base = draw_rare_pair(rng, n, 1.0)
        more = np.where(rng.random(n) < 0.25, base[rng.permutation(n)], 0.0)
        values += [*draw_smooth_pair(rng, n, 0.98), run + more, base]
    cells = score_values(values, seed)
    for at in range(0, len(cells), 4):
        loss, loss_base, gain, gain_base = cells[at : at + 4]
        both = ((loss, loss_base), (gain, gain_base))
        change = np.array([cell.value / base.value - 1.0 for cell, base in both])
        low, high = compute_simultaneous_limits(
            change, np.array([cell.draws / base.draws - 1.0 for cell, base in both])
        )
        yield "joint limits of loss and gain", "approximate", not bool(((low <= truth) & (truth <= high)).all())


def simulate_segments(rng: Generator, seed: int) -> Wrong:
    """Thirteen parts of the users, as segments are: any of their joint limits without 0."""
    n, tables = 1500, []
    for _ in range(BATCH):
        run, base = draw_hits_pair(rng, n, 1.0)
        codes = [rng.integers(4, size=n) for _ in range(3)]
        inside = [code == part for code in codes for part in range(4)] + [rng.random(n) < 0.3]
        tables += [np.where(mine, run - base, np.nan)[None] for mine in inside]
    drawn = np.array(bootstrap_means(tables, np.arange(n, dtype=np.int32), seed, DRAWS)).reshape(BATCH, 13, DRAWS)
    values = np.array([np.nanmean(table) for table in tables]).reshape(BATCH, 13)
    for value, draws in zip(values, drawn, strict=True):
        low, high = compute_simultaneous_limits(value, draws)
        yield "segments, any of 13", "approximate", bool(((low > 0) | (high < 0)).any())


def simulate_few_users(n_differ: int, rng: Generator, seed: int) -> Wrong:
    """About so many of 500 users differ, three gains of a third to a whole for every loss: the truth is not 0."""
    truth, values = n_differ / USERS * 0.5 * 2 / 3, []
    for _ in range(BATCH):
        change = rng.integers(1, 4, USERS) / 3 * np.where(rng.random(USERS) < 0.75, 1.0, -1.0)
        base = rng.beta(2.0, 4.0, USERS)
        values += [base + np.where(rng.random(USERS) < n_differ / USERS, change, 0.0), base]
    cells = score_values(values, seed)
    for cell, base_cell in zip(cells[::2], cells[1::2], strict=True):
        yield f"interval where about {n_differ} users differ", "looked at", misses_truth(cell, base_cell, truth)


SIMULATIONS: dict[str, Callable[[Generator, int], Wrong]] = {
    **{name: partial(simulate_two_runs, *world) for name, world in WORLDS.items()},
    "ten runs, smooth": partial(simulate_families, draw_smooth_pair, USERS),
    "ten runs, hits": partial(simulate_families, draw_hits_pair, USERS),
    "3 splits alike": partial(simulate_splits, 3, 0.0),
    "3 splits that differ": partial(simulate_splits, 3, 0.01),
    "5 splits alike": partial(simulate_splits, 5, 0.0),
    "5 splits that differ": partial(simulate_splits, 5, 0.01),
    "slates, uniform": partial(simulate_catalogues, 0.0),
    "slates, rank^-1": partial(simulate_catalogues, 1.0),
    "slates, steeper than the base's": simulate_margins,
    "slates, 3 splits": partial(simulate_catalogue_splits, 3),
    "24 points, all at the margin": partial(simulate_accuracy_budget, np.full(24, MARGIN)),
    "24 points, losses from 0 to 4 %": partial(simulate_accuracy_budget, np.linspace(0.0, 2 * MARGIN, 24)),
    "loss and gain": simulate_joint_limits,
    "parts of users": simulate_segments,
    **{f"{n} users": partial(simulate_few_users, n) for n in (5, 10, 15, 20, 30, 50)},
}


def simulate_world(world: str, samples: int) -> Iterator[dict[str, object]]:
    """Yield a row per test."""
    errors: dict[tuple[str, str], list[bool]] = {}
    batch = 0
    while not errors or len(next(iter(errors.values()))) < samples:
        for test, kind, wrong in SIMULATIONS[world](make_generator(1, world, batch), batch):
            errors.setdefault((test, kind), []).append(bool(wrong))
        batch += 1
    for (test, kind), wrong_ones in errors.items():
        n, rate = len(wrong_ones), float(np.mean(wrong_ones))
        low, high = binom.ppf([0.005, 0.995], n, 0.05) / n
        held = rate <= high and (kind != "exact" or low <= rate)
        yield {
            "world": world, "test": test, "kind": kind, "samples": n, "errors": f"{rate:.4f}",
            "low": f"{low:.4f}", "high": f"{high:.4f}", "as_it_must_be": "" if kind == "looked at" else held,
        }  # fmt: skip


def main() -> None:
    adjust_p_values(np.ones(1), explore=False)
    gc.freeze()  # statsmodels, loaded by now, collects garbage in every call
    simulations.run_simulations(str(__doc__), "samples", 2000, SIMULATIONS, RESULTS, simulate_world)


if __name__ == "__main__":
    main()
