"""The README's picture, that of the quickstart, and the tables behind them: `python benchmarks/headline.py`.

Chooses a blend for the default benchmark (`recsys discover`), copies its chart to `docs/_static/families.svg` and
writes its table to `benchmarks/results/ml-100k-families.csv`. Runs the default benchmark, copies its first chart to
`docs/_static/headline.svg` and writes the headline metrics, values and differences from the base (beside them those by
judges that have seen the users), to `benchmarks/results/ml-100k.csv`.
"""

import shutil
import tempfile
from pathlib import Path

import pandas as pd

import recsys
from recsys.experiments import Bench
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment
from recsys.sweeps import discover

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
    version = {"version": recsys.__version__, "commit": describe_environment(0, "")["git_commit"]}
    with tempfile.TemporaryDirectory() as folder:
        done = recsys.bench("ml-100k", out=folder)
        copy_chart(done.folder / "charts" / "tradeoff-discovery.svg", "headline.svg")
    write_results("ml-100k", tabulate_headline(done).assign(**version))
    with tempfile.TemporaryDirectory() as folder:
        chosen = discover("ml-100k", out=folder)
        copy_chart(chosen.folder / "charts" / "families.svg", "families.svg")
    write_results("ml-100k-families", chosen.families.assign(**version))


def tabulate_headline(done: Bench) -> pd.DataFrame:
    """Return a row per run and metric: its value, and its difference from the base."""
    at = ["run", "metric", "k"]
    values = done.summary[[*at, "value", "ci_low", "ci_high", "n_users", "hits"]]
    changes = done.differences[
        [*at, "relative", "relative_low", "relative_high", "seen_relative", "p_value", "detectable"]
    ]
    table = values.merge(changes, on=at, how="left")
    return table[table.metric.isin(METRICS) & (table.k == 10)]


def copy_chart(made: Path, name: str) -> None:
    """Copy a chart to the pictures of the documentation."""
    with replace_file(HERE.parent / "docs" / "_static" / name) as temporary:
        shutil.copyfile(made, temporary)


def write_results(name: str, table: pd.DataFrame) -> None:
    """Write a table of results."""
    path = HERE / "results" / f"{name}.csv"
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    print(f"{len(table)} rows in {path}")


if __name__ == "__main__":
    main()
