"""How often each kind of 95 % interval holds the truth: simulated worlds, written to results/intervals.csv.

A replication draws users (and maps) anew; the truth is the mean over the replications. Run it with
`python benchmarks/intervals.py`: a thousand replications of each world, five thousand of the means over users,
take about ten minutes on one core.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import simulations

from recsys.maths.popularity import gini
from recsys.scores.intervals import (
    Interval,
    bootstrap_means,
    compute_on_subsamples,
    corrected_jackknife_interval,
    percentile_interval,
)
from recsys.support.rng import make_generator

USERS, ITEMS, K, DRAWS = 500, 1000, 10, 400
REPLICATION_FACTORS = {"users": 5, "users and maps": 5}  # times as many replications
RESULTS = Path(__file__).parent / "results" / "intervals.csv"
COMMUNITIES = make_generator(0, "communities").permuted(np.tile(np.arange(1.0, ITEMS + 1), (20, 1)), axis=1)
RANKS = np.arange(1.0, ITEMS + 1)

Found = tuple[str, str, float, Interval]  # quantity, procedure, estimate, interval


def draw_popular_slates(rng: np.random.Generator, exponent: float) -> np.ndarray:
    """Slates of items drawn without replacement, in proportion to rank ** -exponent (Gumbel top-k)."""
    return _draw_top_items(rng, np.broadcast_to(-exponent * np.log(RANKS), (USERS, ITEMS)))


def draw_community_slates(rng: np.random.Generator, member: np.ndarray, exponent: float) -> np.ndarray:
    """Slates of users of 20 communities, each with its own order of items beside the common one."""
    return _draw_top_items(rng, -exponent * np.log(COMMUNITIES[member]) - 0.5 * np.log(RANKS))


def _draw_top_items(rng: np.random.Generator, logit: np.ndarray) -> np.ndarray:
    return np.argpartition(-(logit + rng.gumbel(size=logit.shape)), K, axis=1)[:, :K].astype(np.int32)


def coverage(shown: np.ndarray) -> np.ndarray:
    return (shown > 0).mean(axis=-1)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"coverage": coverage, "gini": gini}


def simulate_catalogue(shown: np.ndarray, seed: int) -> Iterator[Found]:
    users = np.arange(USERS, dtype=np.int32)
    counts = np.bincount(shown.ravel(), minlength=ITEMS).astype(float)
    resampled = resample_counts(shown, seed)
    for name, statistic in STATISTICS.items():
        value = float(statistic(counts))
        replicates = compute_on_subsamples(shown, ITEMS, statistic, users, seed)
        yield name, "curved", value, corrected_jackknife_interval(value, replicates, USERS)
        yield name, "jackknife", value, jackknife_interval(value, replicates[:64])
        yield name, "percentile", value, percentile_interval(statistic(resampled))


def resample_counts(shown: np.ndarray, seed: int) -> np.ndarray:
    """Return item counts of users drawn with replacement: what the plain bootstrap does."""
    shows = np.zeros((USERS, ITEMS))
    np.put_along_axis(shows, shown.astype(np.int64), 1.0, axis=1)
    times = make_generator(seed, "plain").multinomial(USERS, np.full(USERS, 1 / USERS), size=DRAWS)
    return times @ shows


def jackknife_interval(value: float, deletions: np.ndarray) -> Interval:
    """Return the delete-a-group jackknife's interval, without a correction for curvature."""
    error = float(np.sqrt(deletions.var() * (len(deletions) - 1)))
    return Interval(value - 2.0 * error, value + 2.0 * error, error)  # 2.0 is t with 63 degrees of freedom


def simulate_difference(rng: np.random.Generator, seed: int) -> Iterator[Found]:
    """Two runs over the same users, one of them nearer to what is popular."""
    users, member = np.arange(USERS, dtype=np.int32), rng.integers(20, size=USERS)
    runs = [draw_community_slates(rng, member, exponent) for exponent in (2.0, 1.0)]
    for name, statistic in STATISTICS.items():
        draws = [compute_on_subsamples(run, ITEMS, statistic, users, seed) for run in runs]
        values = [float(statistic(np.bincount(run.ravel(), minlength=ITEMS).astype(float))) for run in runs]
        value, relative = values[0] - values[1], values[0] / values[1] - 1
        yield f"{name} difference", "curved", value, corrected_jackknife_interval(value, draws[0] - draws[1], USERS)
        yield (
            f"{name} relative",
            "curved",
            relative,
            corrected_jackknife_interval(relative, draws[0] / draws[1] - 1, USERS),
        )


def simulate_user_mean(rng: np.random.Generator, seed: int) -> Iterator[Found]:
    """Means over users: a skewed share of 10, and a rare event."""
    users = np.arange(USERS, dtype=np.int32)
    share = rng.binomial(10, rng.beta(0.5, 4.0, USERS)) / 10
    rare = np.where(rng.random(USERS) < 0.04, rng.integers(1, 4, USERS) / 3, 0.0)
    for name, values in (("mean, skewed", share), ("mean, 4 % not 0", rare)):
        yield (
            name,
            "percentile",
            float(values.mean()),
            percentile_interval(bootstrap_means([values[None]], users, seed, DRAWS)[0]),
        )


def simulate_map_mean(rng: np.random.Generator, seed: int) -> Iterator[Found]:
    """Discovery: hits among those of 10 positives that lie in unexplored regions, by 24 maps that differ in size."""
    users = np.arange(USERS, dtype=np.int32)
    hit = rng.random((USERS, 10)) < rng.beta(0.5, 4.0, (USERS, 1))
    unexplored = rng.random((24, USERS, 10)) < rng.beta(3.0, 9.0, (24, 1, 1)) * rng.beta(8.0, 2.0, (USERS, 10))
    counted = unexplored.sum(axis=2)
    values = np.where(counted > 0, (hit & unexplored).sum(axis=2) / np.maximum(counted, 1), np.nan)
    estimate = float(np.nanmean(values, axis=1).mean())
    yield (
        "mean over maps",
        "percentile",
        estimate,
        percentile_interval(bootstrap_means([values], users, seed, DRAWS)[0]),
    )


WORLDS: dict[str, Callable[[np.random.Generator, int], Iterator[Found]]] = {
    "uniform": lambda rng, seed: simulate_catalogue(draw_popular_slates(rng, 0.0), seed),
    "rank^-0.5": lambda rng, seed: simulate_catalogue(draw_popular_slates(rng, 0.5), seed),
    "rank^-1": lambda rng, seed: simulate_catalogue(draw_popular_slates(rng, 1.0), seed),
    "rank^-1.5": lambda rng, seed: simulate_catalogue(draw_popular_slates(rng, 1.5), seed),
    "communities": lambda rng, seed: simulate_catalogue(
        draw_community_slates(rng, rng.integers(20, size=USERS), 1.0), seed
    ),
    "narrow communities": lambda rng, seed: simulate_catalogue(
        draw_community_slates(rng, rng.integers(20, size=USERS), 2.0), seed
    ),
    "two runs": simulate_difference,
    "users": simulate_user_mean,
    "users and maps": simulate_map_mean,
}


def simulate_world(world: str, replications: int) -> Iterator[dict[str, object]]:
    """Yield a row per quantity and procedure."""
    found: dict[tuple[str, str], list[tuple[float, Interval]]] = defaultdict(list)
    for replication in range(replications):
        rng = make_generator(1, world, replication)
        for quantity, procedure, value, limits in WORLDS[world](rng, replication):
            found[quantity, procedure].append((value, limits))
    for (quantity, procedure), pairs in found.items():
        values = np.array([value for value, _ in pairs])
        low, high, error = np.array([limits for _, limits in pairs]).T
        truth = values.mean()
        yield {
            "world": world,
            "quantity": quantity,
            "procedure": procedure,
            "users": USERS,
            "items": ITEMS,
            "k": K,
            "replications": replications,
            "truth": f"{truth:.5f}",
            "held": f"{((low <= truth) & (truth <= high)).mean():.4f}",
            "width": f"{(high - low).mean():.5f}",
            "error_over_true_error": f"{np.sqrt((error**2).mean()) / values.std(ddof=1):.3f}",
        }


def main() -> None:
    def more(world: str, replications: int) -> Iterator[dict[str, object]]:
        return simulate_world(world, replications * REPLICATION_FACTORS.get(world, 1))

    simulations.run_simulations(str(__doc__), "replications", 1000, WORLDS, RESULTS, more)


if __name__ == "__main__":
    main()
