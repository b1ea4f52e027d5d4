"""Demand of a config's log by region and week: read, fitted, summed, and written as a table."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys import splits
from recsys.configs import Config
from recsys.data.columns import LOG_FIELDS
from recsys.data.identifiers import normalize_id
from recsys.data.mapped_tables import read_mapped_file
from recsys.escaping import escape_csv_frame
from recsys.evidence import Demand, DemandSettings, categorize_items, fit_repurchases, forecast_demand
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.pipeline import load_dataset
from recsys.support.atomic_files import replace_file
from recsys.support.progress import show_progress
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, RecsysError
from recsys.types.arrays import Ints, Strings
from recsys.types.paths import check_path

_FIELDS = {"user_id": LOG_FIELDS["user_id"], "region": ("region", "country", "store", "state", "shop")}


@limit_to_one_blas_thread()
def demand(
    config: Config | Mapping[str, Any] | str | Path,
    regions: Mapping[Any, Any] | str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    now: Any = None,
    settings: DemandSettings | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> Demand:
    """Return, and write to the CSV file `out`, the expected repurchases of regions in the weeks from `now` on.

    `config` and `data` are what `recsys.bench` takes: its log and its [filter] are used, all of it. `regions` maps the
    ids of users to regions, or is the path of a table with both: one row for each user, or a log, of which a user's
    most frequent region counts. `columns` names its columns: user_id and region. `now` is the end of the log where it
    is not given. Categories of items are regions of the map of what describes them (`categorize_items`).

    Raises:
        RecsysError: for whatever is wrong with config, data, table or settings, or if no user has a region.
    """
    target = None if out is None else check_path("out", out, "the path of a file")
    given, chosen = resolve_config(config, data), settings or DemandSettings()
    named = _read_regions(regions, columns)
    dataset = load_dataset(given, None if data_dir is None else Path(data_dir), quiet, data)
    kept = {**given.filter.model_dump(), "topics": given.read_topics()}
    kept.pop("cold_items", None)
    split = splits.no_holdout(dataset, **kept, seed=given.seed)
    codes, names = _encode_regions(split.user_ids, named)
    with show_progress(quiet):
        purchases = splits.select_purchases(dataset, split, now)
        model = fit_repurchases(purchases, categorize_items(split.items))
    made = forecast_demand(model, purchases, purchases.end, codes, names, chosen)
    if target is not None:
        write_demand(made, target)
    return made


def write_demand(made: Demand, path: Path) -> None:
    """Write region, week, expected purchases and people as a CSV file, whole or not at all."""
    import pandas as pd

    days = [
        str(np.datetime64(int(start), "D")) if start % 86_400 == 0 else str(np.datetime64(int(start), "s"))
        for start in made.starts
    ]
    frame = pd.DataFrame(
        {
            "region": np.repeat(made.regions, len(days)),
            "week_from": days * len(made.regions),
            "expected_purchases": made.expected.ravel(),
            "users": np.repeat(made.n_users, len(days)),
        }
    )
    with replace_file(path) as temporary:
        escape_csv_frame(frame).to_csv(temporary, index=False, lineterminator="\n")


def describe_demand(made: Demand) -> list[str]:
    """Return in words what was left out or put together, and what noise there is."""
    settings = made.settings
    said = [
        f"{made.n_merged:,} regions of fewer than {settings.min_users} people are put together; "
        f"{made.n_suppressed:,} people are in no cell",
        f"one person counts for at most {settings.max_purchases:g} purchases a week; cut: {made.n_clipped:,} people",
    ]
    if settings.epsilon is None:
        return [*said, "no noise: cells are exact sums"]
    scale = settings.sensitivity / settings.epsilon
    return [
        *said,
        f"noise: epsilon {settings.epsilon:g} for the table, one person changes it by at most {settings.sensitivity:g} "
        f"purchases, scale {scale:g} a cell",
    ]


def _read_regions(regions: Mapping[Any, Any] | str | Path, columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the region of each user by id, the most frequent one of several, the first by name of equals."""
    if isinstance(regions, Mapping):
        if columns is not None:
            raise RecsysError("demand: columns name those of a table, and regions is a mapping, expected one of them")
        pairs = [(normalize_id(user), normalize_id(name)) for user, name in regions.items()]
    else:
        path = check_path("regions", regions, "the path of a table")
        table = read_mapped_file(path, _FIELDS, ("user_id", "region"), columns)
        users, names = (table.frame[table.columns[field]].tolist() for field in ("user_id", "region"))
        pairs = [(normalize_id(user), normalize_id(name)) for user, name in zip(users, names, strict=True)]
    counts: dict[str, Counter[str]] = {}
    for user, name in pairs:
        if user and name:
            counts.setdefault(user, Counter())[name] += 1
    return {user: min(names, key=lambda name: (-names[name], name)) for user, names in counts.items()}


def _encode_regions(user_ids: Strings, named: Mapping[str, str]) -> tuple[Ints, Strings]:
    """Return the code of each user's region, -1 where it is unknown, and the names."""
    found = [named.get(user, "") for user in user_ids.tolist()]
    names = sorted(set(found) - {""})
    if not names:
        raise RecsysError(f"demand: none of {len(user_ids):,} users has a region, expected ids as in the log")
    code = {name: place for place, name in enumerate(names)}
    return np.asarray([code.get(name, -1) for name in found], dtype=np.int32), np.asarray(names, dtype=np.str_)
