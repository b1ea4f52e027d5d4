"""T-RECS' side of `benchmarks/closed_loops.py`, run by a Python that has T-RECS and not this library.

Prints the seconds of the processor that a loop of its popularity recommender takes. T-RECS imports `lenskit` for a
model that is not used here, so that an empty module stands in its place.
"""

import sys
import time
import types
import warnings

for name in ("lenskit", "lenskit.algorithms", "lenskit.algorithms.als"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["lenskit.algorithms"].als = sys.modules["lenskit.algorithms.als"]

from trecs.models import PopularityRecommender  # noqa: E402  after what stands in for lenskit


def main():
    users, items, rounds, k = map(int, sys.argv[1:])
    warnings.simplefilter("ignore")
    model = PopularityRecommender(num_users=users, num_items=items, num_items_per_iter=k, seed=0)
    start = time.process_time()
    model.run(timesteps=rounds)
    print(time.process_time() - start)


main()
