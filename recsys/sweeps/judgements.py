"""The count of evaluations on test; the same sweep started again adds none."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from recsys.escaping import escape_csv_cell
from recsys.support.atomic_files import replace_file
from recsys.sweeps.search_plans import SearchMethod, SearchPlan
from recsys.sweeps.trials import TrialResult
from recsys.types import RecsysError

FILE = "judgements.csv"
COLUMNS = ("when", "trials", "accuracy_budget", "chosen", "digest")


class TrialChoice(Protocol):
    """What was chosen of one method."""

    @property
    def method(self) -> SearchMethod:
        """Of what."""
        ...

    @property
    def trial(self) -> TrialResult | None:
        """The trial, None where none is good enough."""
        ...


def record_test_evaluation(
    plan: SearchPlan,
    choices: Sequence[TrialChoice],
    results: Mapping[str, Sequence[TrialResult]],
    lines: Sequence[str],
    folder: Path,
) -> str:
    """Add this judgement to `folder`/judgements.csv; return how often the test part has been looked at, in words.

    A judgement is the same as an earlier one, and not added, where trials, `accuracy_budget`, what was chosen and what
    was said of it (`lines`) are the same. Of judgements of older versions, which have no digest, the first three are
    compared.
    """
    import pandas as pd

    rows = read_test_evaluations(folder)
    chosen = escape_csv_cell(
        " ".join(f"{one.method.name}-{one.trial.number}" for one in choices if one.trial is not None)
    )
    asked = (str(plan.settings.trials), str(plan.accuracy_budget), chosen)
    now = (time.strftime("%Y-%m-%d %H:%M:%S"), *asked, _digest_trials(results, lines))
    place = next((i for i, row in enumerate(rows) if row[1:4] == asked and row[4] in (now[4], "")), len(rows))
    if place == len(rows):
        rows.append(now)
        with replace_file(folder / FILE) as temporary:
            pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(temporary, index=False)
    if len(rows) == 1:
        return "test was judged once"
    if place == 0:
        return (
            f"test was judged {len(rows)} times: this was chosen before the first look: a fair test unless it is "
            "taken for what was seen since"
        )
    return f"test was judged {len(rows)} times: what was chosen after the first look at it is no fair test"


def read_test_evaluations(folder: Path) -> list[tuple[str, ...]]:
    """Return the evaluations on test that `folder`/judgements.csv lists, in order, as text.

    Raises:
        RecsysError: if it is no such table.
    """
    import pandas as pd

    path = folder / FILE
    if not path.exists():
        return []
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
        if not {*COLUMNS[:4]} <= {*table.columns}:
            raise ValueError(f"found the columns {', '.join(map(str, table.columns))}")
        rows = table.assign(digest=table.get("digest", ""))[list(COLUMNS)]
    except (OSError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise RecsysError(
            f"{path}: {said}, expected the columns {', '.join(COLUMNS)}: it counts looks at test"
        ) from None
    return [tuple(row) for row in rows.itertuples(index=False)]


def _digest_trials(results: Mapping[str, Sequence[TrialResult]], lines: Sequence[str]) -> str:
    trials = {
        name: [[one.number, dict(one.settings), dict(one.values)] for one in trials] for name, trials in results.items()
    }
    return hashlib.sha256(json.dumps([trials, list(lines)], sort_keys=True).encode()).hexdigest()[:20]
