"""RecTools' side of `benchmarks/agreement.py`, run by a Python that has RecTools and not this library.

Reads train, test, slates, base, features (CSV) and distances (npz) of the folder that is given, and writes theirs.csv.
"""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from rectools import metrics as m

EVERYBODY = -1  # the user of a value of the whole catalogue


class Cosine(m.PairwiseDistanceCalculator):
    """1 - cosine of unit rows; NaN, which the mean over pairs skips, where an item has none."""

    def __init__(self, vectors):
        self.vectors = vectors.astype(np.float64)
        self.known = vectors.any(axis=1)

    def _get_distances_for_item_pairs(self, items_0, items_1):
        first, second = np.asarray(items_0, dtype=np.int64), np.asarray(items_1, dtype=np.int64)
        far = 1.0 - (self.vectors[first] * self.vectors[second]).sum(axis=1)
        return np.where(self.known[first] & self.known[second], far, np.nan)


def read_table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


def build_metrics(k, hamming, spaces):
    """Return each metric and what it is asked of, by name."""
    judged, known = ("slates", "test"), ("slates", "train")
    return {
        "Precision": (m.Precision(k), judged),
        "Precision(r_precision=True)": (m.Precision(k, r_precision=True), judged),
        "Recall": (m.Recall(k), judged),
        "HitRate": (m.HitRate(k), judged),
        "MRR": (m.MRR(k), judged),
        "MAP": (m.MAP(k), judged),
        "MAP(divide_by_k=True)": (m.MAP(k, divide_by_k=True), judged),
        "NDCG": (m.NDCG(k), judged),
        "NDCG(divide_by_achievable=True)": (m.NDCG(k, divide_by_achievable=True), judged),
        "MeanInvUserFreq": (m.MeanInvUserFreq(k), known),
        "AvgRecPopularity": (m.AvgRecPopularity(k), known),
        "Serendipity": (m.Serendipity(k), ("slates", "test", "train", "catalogue")),
        "CatalogCoverage": (m.CatalogCoverage(k), ("slates", "catalogue")),
        "CatalogCoverage(normalize=True)": (m.CatalogCoverage(k, normalize=True), ("slates", "catalogue")),
        "IntraListDiversity": (m.IntraListDiversity(k, distance_calculator=hamming), ("slates",)),
        **{
            f"IntraListDiversity, cosine of {name}": (m.IntraListDiversity(k, distance_calculator=space), ("slates",))
            for name, space in spaces.items()
        },
        "Intersection": (m.Intersection(k), ("base", "slates")),
    }


def main():
    folder, lengths = Path(sys.argv[1]), [int(k) for k in sys.argv[2:]]
    given = {name: read_table(folder, name) for name in ("train", "test", "slates", "base")}
    features = read_table(folder, "features").set_index("item_id")
    given["catalogue"] = features.index.to_list()
    hamming = m.PairwiseHammingDistanceCalculator(features)
    with np.load(folder / "distances.npz") as stored:
        spaces = {name: Cosine(stored[name]) for name in stored.files}
    warnings.simplefilter("ignore", FutureWarning)  # of the pandas beneath it
    with (folder / "theirs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["metric", "k", "user", "value"])
        for k in lengths:
            for name, (metric, asked) in build_metrics(k, hamming, spaces).items():
                of = [given[part] for part in asked]
                if hasattr(metric, "calc_per_user"):
                    values = metric.calc_per_user(*of)
                    table.writerows((name, k, user, repr(float(value))) for user, value in values.items())
                else:
                    table.writerow((name, k, EVERYBODY, repr(float(metric.calc(*of)))))


if __name__ == "__main__":
    main()
