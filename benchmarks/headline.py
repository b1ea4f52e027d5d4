"""The README's picture and the table behind it: `python benchmarks/headline.py`.

Runs the default benchmark, copies its first chart to `docs/_static/headline.svg` and writes the headline metrics,
values and differences from the base (beside them those by judges that have seen the users), to
`benchmarks/results/ml-100k.csv`.
"""

import shutil
import tempfile
from pathlib import Path

import recsys
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment

HERE = Path(__file__).parent
METRICS = [
    "ndcg",
    "stratified_recall",
    "discovery",
    "discovery_own",
    "discovery_content",
    "self_information",
    "coverage",
    "exposure_deficit",
]


def main() -> None:
    """Run, copy and write."""
    with tempfile.TemporaryDirectory() as folder:
        done = recsys.bench("ml-100k", out=folder)
        with replace_file(HERE.parent / "docs" / "_static" / "headline.svg") as temporary:
            shutil.copyfile(done.folder / "charts" / "tradeoff-discovery.svg", temporary)
    at = ["run", "metric", "k"]
    values = done.summary[[*at, "value", "ci_low", "ci_high", "n_users", "hits"]]
    changes = done.differences[
        [*at, "relative", "relative_low", "relative_high", "seen_relative", "p_value", "detectable"]
    ]
    table = values.merge(changes, on=at, how="left")
    table = table[table.metric.isin(METRICS) & (table.k == 10)]
    table = table.assign(version=recsys.__version__, commit=describe_environment(0, "")["git_commit"])
    with replace_file(HERE / "results" / "ml-100k.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    print(f"{len(table)} rows in {HERE / 'results' / 'ml-100k.csv'}")


if __name__ == "__main__":
    main()
