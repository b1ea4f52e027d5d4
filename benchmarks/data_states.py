"""The state of two public logs, as `recsys data check` finds it: `python benchmarks/data_states.py`.

Online Retail II and MovieLens latest-small under `benchmarks/data_states.toml`, one day after their last row.
Writes `benchmarks/results/data-states.csv`: a row for each log and figure.
"""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from recsys.data import CheckFigure, DataCheck, check_data
from recsys.support.atomic_files import replace_file

HERE = Path(__file__).parent
RESULTS, POLICY = HERE / "results" / "data-states.csv", HERE / "data_states.toml"
LOGS = {"online-retail-ii": "2010-12-10", "ml-latest-small": "2018-09-25"}  # and the day after the last row


def check_log(name: str, as_of: str) -> DataCheck:
    """Return the check of a log; refuse another day than the one after its last row."""
    policy = tomllib.loads(POLICY.read_text(encoding="utf-8"))
    found = check_data(name, {**policy, "as_of": as_of})
    last = datetime.fromtimestamp(found.last or 0, UTC).date()
    if str(last + timedelta(days=1)) != as_of:
        raise SystemExit(f"{name}: its last row is of {last}, expected the day before {as_of}")
    return found


def tabulate_figure(found: DataCheck, one: CheckFigure) -> dict[str, object]:
    """Return a row of the results."""
    verdict = "" if one.limit is None else "beyond" if one.is_exceeded else "within"
    drift = found.drift if one.name == "drift" else None
    return {
        "data": found.name,
        "figure": one.title,
        "share": "not known" if one.share is None else f"{one.share:.1%}",
        "value": one.share,
        "count": "" if one.count is None else f"{one.count:,} of {one.total:,} {one.unit}",
        "limit": "" if one.limit is None else f"{one.limit:.0%}",
        "verdict": verdict,
        "rule": one.note.removeprefix("not known: "),
        "distance": None if drift is None else drift.distance,
        "expected distance": None if drift is None else drift.expected,
        "p_value": None if drift is None else drift.p_value,
    }


def main() -> None:
    """Check both logs, print and write the table."""
    checks = [check_log(name, as_of) for name, as_of in LOGS.items()]
    table = pd.DataFrame([tabulate_figure(found, one) for found in checks for one in found.figures])
    with replace_file(RESULTS) as temporary:
        table.to_csv(temporary, index=False)
    print(table[["data", "figure", "share", "count", "limit", "verdict"]].to_string(index=False))


if __name__ == "__main__":
    main()
