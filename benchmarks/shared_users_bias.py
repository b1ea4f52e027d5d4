"""What audit maps that share users with an objective's own maps pretend: `python benchmarks/shared_users_bias.py`.

The unexplored-region bonus over the base of configs/ml-100k.toml is judged by two audit families of the same methods,
sizes and seeds: one made from the half of the users that the bonus's own maps were made from, one from the other half.
Both ways round. Writes `benchmarks/results/shared-users-bias.csv`.
"""

from pathlib import Path

import pandas as pd

import recsys
from recsys import configs, maps
from recsys.experiments import pipeline
from recsys.retrieval.candidates import candidates
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment

RESULTS = Path(__file__).parent / "results" / "shared-users-bias.csv"
WEIGHTS = (0.1, 0.2, 0.4)
COLUMNS = [
    "run",
    "metric",
    "k",
    "difference",
    "ci_low",
    "ci_high",
    "relative",
    "relative_low",
    "relative_high",
    "n_users",
]


def main() -> None:
    """Judge, print and write."""
    config = configs.read_config("ml-100k")
    split = pipeline.split_dataset(config, pipeline.load_dataset(config)).test_view()
    model = config.model.build_model("[model]").fit(split.train, split.side_information)
    families = [maps.audit_maps(split.train, half=half) for half in (0, 1)]
    tables = []
    for half in (0, 1):
        pool = candidates(model, split, n=config.pool.n, maps=maps.objective_maps(split.train, half=half))
        runs = {"base": recsys.rerank(pool, {"relevance": 1.0})}
        for weight in WEIGHTS:
            blend = {"relevance": 1.0, "unexplored": {"weight": weight, "distance_share": 0.0}}  # what maps alone say
            runs[f"unexplored-{weight}"] = recsys.rerank(pool, blend)
        for judge, family in enumerate(families):
            found = recsys.compare(runs, split, ["ndcg@10", "discovery@10"], "base", audit_maps=family)
            same = "the same users" if judge == half else "other users"
            tables.append(found.differences[COLUMNS].assign(own_half=half, audit_maps_from=same))
    table = pd.concat(tables).assign(version=recsys.__version__, commit=describe_environment(0, "")["git_commit"])
    print(table[table.metric == "discovery"].to_string(index=False))
    with replace_file(RESULTS) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
