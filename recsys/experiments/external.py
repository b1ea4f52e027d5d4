"""Recommendations made elsewhere, judged as ours are: same split, same metrics, same controls."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.configs import RunSpec
from recsys.data.identifiers import places
from recsys.escaping import unmarked
from recsys.experiments.benches import Bench, judge, name_of, read_config
from recsys.experiments.folders import Folder
from recsys.experiments.preparations import one_blas_thread, prepare
from recsys.experiments.rerankings import run_slates
from recsys.types import Dataset, RecsysError, Slates, Split
from recsys.types.arrays import Floats
from recsys.types.names import check_file_name

if TYPE_CHECKING:
    import pandas as pd

FIELDS = {
    "user_id": ("user_id", "user", "uid", "query_id", "customer_id"),
    "item_id": ("item_id", "item", "iid", "movie_id", "product_id", "doc_id"),
    "rank": ("rank", "position"),
    "score": ("score", "prediction", "rating", "weight"),
}


def evaluate(
    file: str | Path,
    config: str | Path,
    *,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
) -> Bench:
    """Judge the lists in `file` on the split of `config`, beside its base and its controls.

    `file` is a CSV or Parquet table with user_id, item_id and rank (1 is first) or score (more is better). Rows of
    users and items that the split does not have are left out and counted; a user without a list has an empty
    one; a pick that the user had met before is judged like any other. `data` is a dataset in memory, as for
    `recsys.bench`.

    Raises:
        RecsysError: for whatever is wrong with the file, the config, the data or the folder, in one line.
    """
    settings, path = read_config(config, data), Path(file)
    check_file_name(f"{path.parent}: a file's name", path.stem)
    table = _table(path)
    folder = Folder(Path(out))
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    with one_blas_thread():
        preparation = prepare(settings, data_dir=home, quiet=quiet, say=folder.say, given=data)
    beside = tuple(spec for spec in settings.runs() if spec.kind in ("base", "control"))
    if path.stem in {spec.name for spec in beside}:
        raise RecsysError(f"{path}: its name is that of a run of {settings.name}, expected another file name")
    given, notes = _slates(path, table, preparation.split, max(settings.lengths))
    with one_blas_thread():
        slates, seconds = run_slates(preparation, beside, quiet, folder.say)
    specs = (*beside, RunSpec(path.stem, "model", path.stem))
    seconds[path.stem] = float("nan")
    for k, runs in slates.items():
        shorter = {name: getattr(given, name)[:, :k] for name in ("items", "scores", "contributions")}
        runs[path.stem] = replace(given, **shorter)
    lists = hashlib.sha256(path.read_bytes()).hexdigest()
    named = f"{settings.name}-{path.stem}-{name_of(settings.digest(), preparation.dataset.fingerprint, lists)}"
    done = judge(preparation, specs, slates, seconds, Path(out) / named, quiet, notes=notes)
    folder.write(done, time.perf_counter() - start)
    return done


def _table(path: Path) -> "pd.DataFrame":
    """Return the file's columns user_id, item_id and order (less is better)."""
    import pandas as pd

    from recsys.data.identifiers import coded
    from recsys.data.sheets import from_file
    from recsys.data.tables import TEXT
    from recsys.data.values import refuse

    sheet = from_file(path, FIELDS, ["user_id", "item_id"])
    frame, columns = sheet.frame, sheet.columns
    if "rank" not in columns and "score" not in columns:
        there = ", ".join(map(str, frame.columns))
        raise RecsysError(f"{path}: no column for rank or score, expected one of them (columns: {there})")
    for column in ("run", "k") if "run" in frame.columns else ():  # the slates of a benchmark
        if column in frame.columns and (n := frame[column].nunique()) > 1:
            raise RecsysError(f"{path}: found {n} different {column}, expected one list per user: keep the rows of one")
    by = "rank" if "rank" in columns else "score"
    rows = np.arange(len(frame))
    values = pd.to_numeric(frame[columns[by]], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    refuse(~np.isfinite(values), frame[columns[by]], rows, str(path), "a number")
    table = pd.DataFrame({"order": values if by == "rank" else -values})
    for name in ("user_id", "item_id"):
        codes, ids = coded(frame[columns[name]])
        refuse(codes < 0, frame[columns[name]], rows, str(path), "an id")
        table[name] = (unmarked(ids) if path.suffix.lower() in TEXT else ids)[codes]
    return table


def _slates(path: Path, table: "pd.DataFrame", split: Split, k: int) -> tuple[Slates, tuple[str, ...]]:
    user, known_user = places(table["user_id"].to_numpy(np.str_), split.user_ids)
    item, known_item = places(table["item_id"].to_numpy(np.str_), split.item_ids)
    known = known_user & known_item
    if not known.any():
        raise RecsysError(f"{path}: no row has a user_id and an item_id of the split, expected ids of the data")
    user, item, order = user[known], item[known], table["order"].to_numpy()[known]
    if len(np.unique(user * len(split.item_ids) + item)) < len(user):
        raise RecsysError(f"{path}: a pair of user_id and item_id is there twice, expected each pair once")
    by = np.lexsort((item, order, user))
    user, item = user[by], item[by]
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    items = np.full((len(split.user_ids), k), -1, np.int32)
    shown = rank < k
    items[user[shown], rank[shown]] = item[shown]
    met, hit = (int((np.asarray(m[user[shown], item[shown]]).ravel() != 0).sum()) for m in (split.met, split.test))
    without, short = int((items[:, 0] < 0).sum()), int((items[:, -1] < 0).sum())
    notes = [
        f"{path.name}: {int((~known_user).sum())} rows of unknown users and {int((~known_item).sum())} rows of "
        f"unknown items are left out; {without} of {len(items)} users have no list and {short} fewer than {k} items: "
        f"what is missing counts as a miss; {met} picks were met before",
    ]
    if not hit:
        notes.append(f"{path.name}: no pick is a held-out positive: were these lists made from all of the data?")
    scores: Floats = np.where(items >= 0, -np.arange(k), 0).astype(np.float32)
    users = np.arange(len(items), dtype=np.int32)
    return Slates(users, items, scores, scores[:, :, None], ("order",), split.user_ids, split.item_ids), tuple(notes)
