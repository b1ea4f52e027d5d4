"""pyversity's side of `benchmarks/slates.py`, run by a Python that has pyversity and not this library.

Reads pools.npz and cases.json of the folder that is given, and writes theirs.npz: for each case the positions that are
picked from each user's candidates, and the processor seconds of all users together. Vectors and scores of a user are at
hand before the clock starts.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from pyversity import diversify


def main():
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    with np.load(folder / "pools.npz") as stored:
        given = dict(stored)
    made = {}
    for number, (k, settings) in enumerate(cases):
        pool = [
            (given["vectors"][items], scores) for items, scores in zip(given["items"], given["scores"], strict=True)
        ]
        diversify(*pool[0], k, **settings)
        start = time.process_time()
        slates = [diversify(vectors, scores, k, **settings) for vectors, scores in pool]
        made[f"seconds {number}"] = np.array(time.process_time() - start)
        made[f"picks {number}"] = np.array([slate.indices for slate in slates])
    np.savez(folder / "theirs.npz", **made)


if __name__ == "__main__":
    main()
