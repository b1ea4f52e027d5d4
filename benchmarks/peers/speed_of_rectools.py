"""RecTools' side of `benchmarks/speed_of_metrics.py`, run by a Python that has RecTools and not this library.

Reads train, test and slates (pairs and ranks of users and items) and features of the npz file that is given, then
measures once for every line it is sent: the name of a set of metrics in, seconds and values out.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from rectools import metrics as m


def build_frame(stored, name):
    columns = ["user_id", "item_id", "rank"]
    return pd.DataFrame({columns[c]: column for c, column in enumerate(stored[name])})


def build_metric_sets(k, features):
    hamming = m.PairwiseHammingDistanceCalculator(features)
    return {
        "accuracy": {
            "HitRate": m.HitRate(k),
            "MRR": m.MRR(k),
            "NDCG(divide_by_achievable=True)": m.NDCG(k, divide_by_achievable=True),
            "Precision": m.Precision(k),
            "Recall": m.Recall(k),
            "CatalogCoverage(normalize=True)": m.CatalogCoverage(k, normalize=True),
        },
        "diversity": {"IntraListDiversity": m.IntraListDiversity(k, distance_calculator=hamming)},
    }


def main():
    with np.load(sys.argv[1]) as stored:
        slates, test = build_frame(stored, "slates"), build_frame(stored, "test")
        items = np.arange(len(stored["features"]))
        features = pd.DataFrame(stored["features"], index=items)
        k = int(stored["k"])
    warnings.simplefilter("ignore", FutureWarning)  # of the pandas beneath it
    for line in sys.stdin:
        asked = build_metric_sets(k, features)[line.strip()]
        start = time.perf_counter()
        values = m.calc_metrics(asked, reco=slates, interactions=test, catalog=items)
        seconds = time.perf_counter() - start
        print(
            json.dumps({"seconds": seconds, "values": {name: float(value) for name, value in values.items()}}),
            flush=True,
        )


if __name__ == "__main__":
    main()
