"""Processor time of the slates of each family of `recsys discover`: `python benchmarks/family_costs.py`.

Slates of ten from 200 candidates of all users of MovieLens 100K, terms made anew, families in turns; `microseconds` is
the median over the turns of the processor time of all threads, a user. The order of the families of one dial is that of
`recsys.sweeps.families.SINGLE`, which decides between families that are level. Writes
`benchmarks/results/family_costs.csv`.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.configs import read_config
from recsys.experiments.pipeline import build_or_load_pool, prepare_benchmark
from recsys.reranking.slates import rerank
from recsys.support.atomic_files import replace_file
from recsys.sweeps.families import SINGLE, Family, list_families
from recsys.sweeps.search_space import fill_ranges, find_ranges

RESULTS = Path(__file__).parent / "results" / "family_costs.csv"
K, TURNS, WEIGHT = 10, 9, 0.3


def fill_weights(family: Family) -> dict[str, Any]:
    """Return the family's blend with the same weight for each of its dials."""
    ranges = find_ranges(family.blend)
    return fill_ranges(family.blend, {one.name: WEIGHT for one in ranges})


def main() -> None:
    """Measure, print and write."""
    config = read_config("ml-100k")
    preparation = prepare_benchmark(config, quiet=True, log_line=lambda line: None)
    pool, _ = build_or_load_pool(preparation, config.model, config.pool)
    families = [one for one in list_families(False) if one.role == "family"]
    blends = {one.name: fill_weights(one) for one in families}
    taken: dict[str, list[float]] = {name: [] for name in blends}
    for turn in range(TURNS + 1):  # the first compiles
        for name, blend in blends.items():
            start = time.process_time()
            rerank(pool, blend, K, scale=None)
            taken[name] += [time.process_time() - start] if turn else []
    table = pd.DataFrame(
        {"family": name, "microseconds": round(1e6 * float(np.median(some)) / len(pool.users), 1)}
        for name, some in taken.items()
    )
    print(table.to_string(index=False))
    singles = table[table.family.isin(SINGLE)]
    if not singles.microseconds.is_monotonic_increasing:
        print(f"the order of SINGLE, {', '.join(SINGLE)}, is not that of these times")
    with replace_file(RESULTS) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
