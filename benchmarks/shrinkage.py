"""What shrinkage of a user's mix of features is worth, by thirds of history length, on ML-100K by time.

The mix p(g|u) of a history over features is shrunk to everybody's with kappa pseudo-observations: `calibration` reads
it. `log loss` is how badly it foretells the features of a user's held-out positives, - sum_g q_g log(0.99 p_g + 0.01
p_g of everybody), in nats per held-out positive, with q the mix of these: less is better. `ndcg` is nDCG@10 of
relevance 1 and calibration 0.3, the pool that of als with 32 factors. Each is read on validation and test, beside kappa
0, which is no shrinkage; `fitted` is the kappa that moments give (`recsys.maths.shrinkage.fit_dirichlet_multinomial`).
Differences have 95 % percentile intervals of 1,000 draws of users. Written to results/shrinkage.csv.
`python benchmarks/shrinkage.py` takes a minute of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import recsys as rs
from recsys import configs
from recsys.maths.distributions import sum_by_region
from recsys.maths.shrinkage import fit_dirichlet_multinomial, shrink_shares
from recsys.metrics import ndcg
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Split
from recsys.types.arrays import Csr, Doubles

RESULTS = Path(__file__).parent / "results"
KAPPAS, DRAWS, K = (1.0, 5.0, 20.0), 1000, 10


def measure_view(part: str, view: Split) -> Iterator[dict[str, Any]]:
    """Yield a row for each kappa and third of the users by history length, and for all of them."""
    features = view.items.features
    sizes = np.maximum(np.diff(features.indptr), 1)
    shares = Csr((features.data / np.repeat(sizes, np.diff(features.indptr)), features.indices, features.indptr))
    mass, wanted = (np.asarray(sum_by_region(one, shares), dtype=np.float64) for one in (view.train, view.test))
    usual, fitted = fit_dirichlet_multinomial(mass)
    model = rs.models.ALS(factors=32).fit(view.train, view.side_information)
    pool = rs.candidates(model, view, n=100)
    lengths, judged = np.diff(view.train.indptr), np.flatnonzero(np.diff(view.test.indptr) > 0)
    edges = np.quantile(lengths[judged], [1 / 3, 2 / 3])
    thirds = np.searchsorted(edges, lengths[judged])
    groups = {"all": thirds >= 0, "short": thirds == 0, "middle": thirds == 1, "long": thirds == 2}
    values = {kappa: measure_kappa(view, pool, mass, wanted, usual, kappa) for kappa in (0.0, fitted, *KAPPAS)}
    for kappa, found in values.items():
        for name, value in found.items():
            for group, inside in groups.items():
                users = judged[inside]
                apart = (value - values[0.0][name])[users]
                draws = make_generator(0, "shrinkage", part).integers(0, len(users), (DRAWS, len(users)))
                low, high = np.percentile(apart[draws].mean(axis=1), [2.5, 97.5])
                yield {
                    "part": part,
                    "kappa": f"{kappa:.2f}",
                    "fitted": int(kappa == fitted),
                    "history": group,
                    "measure": name,
                    "value": f"{value[users].mean():.5f}",
                    "difference": f"{apart.mean():.5f}",
                    "low": f"{low:.5f}",
                    "high": f"{high:.5f}",
                    "users": len(users),
                    "median_length": f"{np.median(lengths[users]):.0f}",
                }


def measure_kappa(
    view: Split, pool: rs.Pool, mass: Doubles, wanted: Doubles, usual: Doubles, kappa: float
) -> dict[str, Doubles]:
    """Return the log loss of the mix and nDCG of each user, (U,)."""
    mix = 0.99 * shrink_shares(mass, usual, kappa) + 0.01 * usual
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = -np.where(wanted > 0, wanted * np.log(mix), 0.0).sum(axis=1) / np.maximum(wanted.sum(axis=1), 1e-12)
    slates = rs.rerank(pool, {"relevance": 1.0, "calibration": {"weight": 0.3, "kappa": kappa}}, K)
    items = np.full((view.shape[0], K), -1, np.int32)
    items[slates.users] = slates.items
    return {"log loss": loss, "ndcg": ndcg(Evaluation(items, GroundTruth(view, (), (), ())), K).values}


def main() -> None:
    config = configs.read_config("ml-100k")
    whole = config.split.resolve_split(config.filter, config.seed)(rs.load_dataset("ml-100k", quiet=True))
    rows = [
        row
        for part, view in (("validation", whole.validation_view()), ("test", whole.test_view()))
        for row in measure_view(part, view)
    ]
    with replace_file(RESULTS / "shrinkage.csv") as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
