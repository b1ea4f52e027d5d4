"""pyversity's side of `benchmarks/serving.py`, run by a Python that has pyversity and not this library.

Reads the file that is given: vectors (P, N, d) and scores (P, N) of the candidates of P requests. For each line of a
number it answers as many requests, in turns, and prints the median of the seconds that one takes. Vectors and scores of
a request are at hand before the clock starts.
"""

import sys
import time

import numpy as np
from pyversity import diversify


def main():
    with np.load(sys.argv[1]) as stored:
        k = int(stored["k"])
        pools = list(zip(stored["vectors"], stored["scores"], strict=True))
    for line in sys.stdin:
        took = []
        for n in range(int(line)):
            vectors, scores = pools[n % len(pools)]
            start = time.perf_counter()
            diversify(vectors, scores, k, strategy="mmr", diversity=0.5)
            took.append(time.perf_counter() - start)
        print(float(np.median(took)), flush=True)


if __name__ == "__main__":
    main()
