"""Which own maps tell best what a user never touched: `python benchmarks/own_maps.py [--data FOLDER]`.

The bonus for unexplored regions, over the base of `benchmarks/discovery.py`, with three families of own maps of one
half of the users: non-negative factorisations (an item lies in the region of its largest share), spectral clustering of
one graph of items, and of four, which is what `recsys.maps.objective_maps` makes. Judged on validation, by the audit
maps of the other half: discovery@10 where nDCG@10 has lost 1 % and 2 %, with loss and gain drawn together.
`results/own-maps.csv`.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from choose_base import build_model_section, read_base_front, read_best_settings
from tune import RESULTS

import recsys
from recsys import configs
from recsys.configs import ModelSection
from recsys.experiments import pipeline
from recsys.maps import families, regions
from recsys.maps.assignments import make_hard_assignment
from recsys.maps.graphs import build_neighbour_graph
from recsys.retrieval.candidates import candidates
from recsys.scores import evaluate
from recsys.scores.intervals import percentile_interval
from recsys.support.atomic_files import replace_file
from recsys.sweeps.tradeoff_curves import interpolate_curves
from recsys.types import GroundTruth, TasteMap
from recsys.types.arrays import Csr

SIZES = (8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
WEIGHTS = np.geomspace(0.02, 2.0, 24)
METRICS = ["ndcg@10", "discovery@10"]


def build_nmf_maps(train: Csr) -> Iterator[TasteMap]:
    from sklearn.decomposition import NMF

    for n in SIZES:
        model = NMF(n, init="nndsvda", max_iter=50, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            users = model.fit_transform(train.astype(np.float64))
        mass = (model.components_ * users.sum(axis=0)[:, None]).T
        yield TasteMap(f"nmf-{n}", make_hard_assignment(np.unique(mass.argmax(axis=1), return_inverse=True)[1]), "nmf")


def build_single_graph_maps(train: Csr) -> Iterator[TasteMap]:
    for n, label in zip(SIZES, regions.cluster_by_spectrum(build_neighbour_graph(train, 20), SIZES), strict=True):
        yield TasteMap(f"spectral-{n}", make_hard_assignment(label), "spectral")


def build_family(make, train: Csr) -> tuple[TasteMap, ...]:
    """Return a family as `recsys.maps.objective_maps` makes its own: of the same half of the users."""
    return families._make_family(families._select_user_half(train, 0), make)


FAMILIES = {
    "factorisations": lambda train: build_family(build_nmf_maps, train),
    "spectral, one graph": lambda train: build_family(build_single_graph_maps, train),
    "spectral, four graphs": recsys.maps.objective_maps,
}


def measure_gains(name: str, config: configs.Config) -> Iterator[dict[str, object]]:
    """Yield what each family gains on one dataset."""
    split = pipeline.split_dataset(config, pipeline.load_dataset(config)).validation_view()
    section = ModelSection.model_validate(
        build_model_section(read_base_front(name).base.iloc[0], read_best_settings(name))
    )
    model = section.build_model("[model]").fit(split.train, split.side_information)
    truth = GroundTruth(split, (), recsys.maps.audit_maps(split.train), ())
    for family, make in FAMILIES.items():
        pool = candidates(model, split, n=300, maps=make(split.train))
        runs = {"base": recsys.rerank(pool, {"relevance": 1.0})}
        for weight in WEIGHTS:
            blend = {"relevance": 1.0, "unexplored": {"weight": float(weight), "distance_share": 0.0}}
            runs[f"{weight:.3g}"] = recsys.rerank(pool, blend, order="relevance")
        cells = evaluate(runs, truth, METRICS, [10]).cells
        curves = {}
        for metric in ("ndcg", "discovery"):
            base, *others = [cell for cell in cells if cell.metric == metric]
            changes = [np.append(one.value, one.draws) / np.append(base.value, base.draws) - 1.0 for one in others]
            curves[metric] = np.stack([np.zeros(len(changes[0])), *changes], axis=1)
        for loss in (0.01, 0.02):
            drawn, _ = interpolate_curves(-curves["ndcg"], curves["discovery"], loss)
            limits = percentile_interval(drawn[1:])
            yield {
                "data": name, "family": family, "loss": loss, "gain": drawn[0], "ci_low": limits.low,
                "ci_high": limits.high,
            }  # fmt: skip


def main() -> None:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/ml-1m-likes"), help="folder of benchmarks/likes.py")
    file = parser.parse_args().data / "ml-1m-likes.toml"
    told = list(measure_gains("ml-100k", configs.read_config("ml-100k")))
    if file.exists():
        told += measure_gains("ml-1m-likes", configs.read_config(file))
    table = pd.DataFrame(told)
    print(table.to_string(index=False))
    with replace_file(RESULTS / "own-maps.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
