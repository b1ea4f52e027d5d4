"""Published numbers beside ours: `python benchmarks/reproductions.py [NAME [PLACE [MODEL ...]]]`.

NAME is ml-100k-dmf by default. PLACE is a folder or a zip archive with the files, "-" the folder of datasets. With
MODELs the other rows are named as not run. Writes `benchmarks/results/reproduction-<NAME>.csv`, which the docs show.
"""

import csv
import math
import sys
from pathlib import Path

from recsys.reproductions.published_settings import read_reproduction
from recsys.reproductions.run import MetricCheck, check_model, prepare_setup
from recsys.support.atomic_files import replace_file


def main(name: str = "ml-100k-dmf", place: str = "-", *models: str) -> None:
    """Run and write."""
    recipe = read_reproduction(name)
    trial = prepare_setup(recipe, None if place == "-" else Path(place))
    checks: list[MetricCheck] = []
    for model, row in recipe.models.items():
        if not models or model in models:
            checks += check_model(model, row, recipe, trial)
        else:
            checks += [MetricCheck(model, one, row.published[one], math.nan, math.nan, 0.0) for one in row.published]
    path = Path(__file__).parent / "results" / f"reproduction-{name}.csv"
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["model", "metric", "published", "ours", "difference", "tolerance", "status"])
        for one in checks:
            ours = (f"{one.ours:.4f}", f"{one.difference:+.4f}", one.tolerance)
            missing = math.isnan(one.ours)
            table.writerow(
                [one.model, one.metric, f"{one.published:.4f}", *(("",) * 3 if missing else ours), one.status]
            )
    print(*trial.split.notes, sep="\n")
    print(f"{sum(one.passed for one in checks)} of {len(checks)} values within tolerance: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
