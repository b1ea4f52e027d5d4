"""pyversity's side of `benchmarks/agreement.py`, run by a Python that has pyversity and not this library.

Reads pools.npz and cases.json of the folder that is given, and writes theirs.npz: for each case the positions that are
picked from each user's candidates.
"""

import json
import sys
from pathlib import Path

import numpy as np
from pyversity import diversify


def main():
    folder, k = Path(sys.argv[1]), int(sys.argv[2])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    with np.load(folder / "pools.npz") as stored:
        given = dict(stored)
    made = {}
    for number, case in enumerate(cases):
        vectors = given[case.pop("vectors")]
        made[str(number)] = np.array(
            [
                diversify(vectors[items], scores, k, **case).indices
                for items, scores in zip(given["items"], given["scores"], strict=True)
            ]
        )
    np.savez(folder / "theirs.npz", **made)


if __name__ == "__main__":
    main()
