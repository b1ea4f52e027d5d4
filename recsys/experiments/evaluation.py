"""Evaluation of recommendations made elsewhere, on the same split, with the same metrics and baselines."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import Config, RunSpec
from recsys.data.identifiers import look_up_ids
from recsys.data.settings import TableSettings
from recsys.escaping import unescape_csv_cells
from recsys.experiments.benchmark import evaluate_slates, hash_folder_name, resolve_config
from recsys.experiments.pipeline import prepare_benchmark
from recsys.experiments.rerankings import build_run_slates
from recsys.experiments.results import Bench
from recsys.experiments.run_folder import RunFolder
from recsys.support import rng
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Dataset, RecsysError, Slates, Split
from recsys.types.arrays import Floats
from recsys.types.errors import Setting, SettingError, list_nearest_names
from recsys.types.names import check_file_name

if TYPE_CHECKING:
    import pandas as pd


def evaluate_files(
    files: str | Path | Sequence[str | Path],
    config: Config | Mapping[str, Any] | str | Path,
    *,
    columns: Mapping[str, object] | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
    data_dir: str | Path | None = None,
    data: Dataset | None = None,
    **reading: Any,
) -> Bench:
    """Judge the lists in each of `files` on the split of `config`, beside its base and its controls.

    A file is a table with user_id, item_id and rank (1 is first) or score (more is better), by the names that
    `recsys.read_dataset` knows or those of `columns`; a TREC run (`qid Q0 docid rank score tag`, ordered by score); or,
    with `lists=True`, a user and its items on each line, best first. `reading` are the settings of
    `recsys.read_dataset`. Equal ranks or scores of a user are ordered by the config's seed, and counted. Rows of users
    and items that the split does not have are left out and counted; a user without a list has an empty one; a pick that
    the user had met before is judged like any other. The run is called as the file without its suffixes. `data` is a
    dataset in memory, as for `recsys.bench`.

    Raises:
        RecsysError: for whatever is wrong with a file, the config, the data or the folder, in one line.
    """
    settings, how = resolve_config(config, data), TableSettings(**reading)
    paths = _name_runs([Path(file) for file in ([files] if isinstance(files, str | Path) else files)])
    tables = {name: _read_list_table(path, columns or {}, how) for name, path in paths.items()}
    folder = RunFolder(out)
    start = time.perf_counter()
    home = None if data_dir is None else Path(data_dir)
    with limit_to_one_blas_thread():
        preparation = prepare_benchmark(settings, data_dir=home, quiet=quiet, log_line=folder.log_line, in_memory=data)
    beside = tuple(spec for spec in settings.list_runs() if spec.kind in ("base", "control"))
    for name in tables:
        if name in {spec.name for spec in beside}:
            raise RecsysError(
                f"{paths[name]}: its name is that of a run of {settings.name}, expected another file name"
            )
    made = {
        name: _build_slates(paths[name], table, preparation.split, max(settings.slate_lengths), settings.seed)
        for name, (table, _) in tables.items()
    }
    with limit_to_one_blas_thread():
        slates, seconds = build_run_slates(preparation, beside, quiet, folder.log_line)
    specs = (*beside, *(RunSpec(name, "model", name) for name in made))
    for name, (given, _) in made.items():
        seconds[name] = float("nan")
        for k, runs in slates.items():
            shorter = {part: getattr(given, part)[:, :k] for part in ("items", "scores", "contributions")}
            runs[name] = replace(given, **shorter)
    told = tuple(
        line for name in made for line in (*(f"{paths[name].name}: {said}" for said in tables[name][1]), *made[name][1])
    )
    lists = [hashlib.sha256(given.items.tobytes()).hexdigest() for given, _ in made.values()]
    key = hash_folder_name(settings.compute_digest(), *preparation.folder_fingerprints, *lists)
    named = f"{settings.name}-{'-'.join(made)[:80]}-{key}"
    done = evaluate_slates(preparation, specs, slates, seconds, Path(out) / named, quiet, notes=told)
    folder.write_bench(done, time.perf_counter() - start)
    return done


def _name_runs(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the files by the names of their runs."""
    from recsys.data.contents import get_base_name

    if not paths:
        raise RecsysError("evaluate: no file is given, expected at least one")
    named: dict[str, Path] = {}
    for path in paths:
        name = get_base_name(path)
        check_file_name(f"{path.parent}: a file's name", name)
        if name in named:
            raise RecsysError(f"{path}: {named[name]} has the same name, expected files of different names")
        named[name] = path
    return named


def _read_list_table(
    path: Path, chosen: Mapping[str, object], how: TableSettings
) -> tuple["pd.DataFrame", tuple[str, ...]]:
    """Return the file's columns user_id, item_id and order (less is better), and notes."""
    import pandas as pd

    from recsys.data.columns import LIST_FIELDS
    from recsys.data.dialects import TREC_RUN_SUMMARY
    from recsys.data.identifiers import encode_ids
    from recsys.data.mapped_tables import read_mapped_file
    from recsys.data.parsing import parse_numbers, refuse_bad_rows
    from recsys.data.tables import TEXT_SUFFIXES

    sheet = read_mapped_file(path, LIST_FIELDS, ["user_id", "item_id"], chosen, settings=how)
    frame, columns = sheet.frame, sheet.columns
    if "rank" not in columns and "score" not in columns:
        raise SettingError(
            f"{path}: no column for rank or score, expected one of them: name it, for instance ",
            Setting("columns", frame.columns[-1], "rank"),
            after=f" ({list_nearest_names('columns', frame.columns, 'rank')})",
        )
    for column in ("run", "k") if "run" in frame.columns else ():  # the slates of a benchmark
        if column in frame.columns and (n := frame[column].nunique()) > 1:
            raise RecsysError(f"{path}: found {n} different {column}, expected one list per user: keep the rows of one")
    by = "rank" if "rank" in columns else "score"
    rows = np.arange(len(frame))
    values = parse_numbers(frame[columns[by]])
    refuse_bad_rows(~np.isfinite(values), frame[columns[by]], rows, str(path), "a number")
    table = pd.DataFrame({"order": values if by == "rank" else -values})
    for name in ("user_id", "item_id"):
        codes, ids = encode_ids(frame[columns[name]])
        refuse_bad_rows(codes < 0, frame[columns[name]], rows, str(path), "an id")
        table[name] = (unescape_csv_cells(ids) if path.suffix.lower() in TEXT_SUFFIXES else ids)[codes]
    return table, (
        *sheet.notes,
        f"read as a {sheet.dialect_summary}",
    ) if sheet.dialect_summary == TREC_RUN_SUMMARY else sheet.notes


def _build_slates(path: Path, table: "pd.DataFrame", split: Split, k: int, seed: int) -> tuple[Slates, tuple[str, ...]]:
    user, known_user = look_up_ids(table["user_id"].to_numpy(np.str_), split.user_ids)
    item, known_item = look_up_ids(table["item_id"].to_numpy(np.str_), split.item_ids)
    known = known_user & known_item
    if not known.any():
        raise RecsysError(f"{path}: no row has a user_id and an item_id of the split, expected ids of the data")
    user, item, order = user[known], item[known], table["order"].to_numpy()[known]
    if len(np.unique(user * len(split.item_ids) + item)) < len(user):
        raise RecsysError(f"{path}: a pair of user_id and item_id is there twice, expected each pair once")
    drawn = rng.make_generator(seed, "ties").permutation(len(split.item_ids))
    by = np.lexsort((drawn[item], order, user))
    user, item, order = user[by], item[by], order[by]
    tied = (user[1:] == user[:-1]) & (order[1:] == order[:-1])
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    items = np.full((len(split.user_ids), k), -1, np.int32)
    shown = rank < k
    items[user[shown], rank[shown]] = item[shown]
    met, hit = (int((np.asarray(m[user[shown], item[shown]]).ravel() != 0).sum()) for m in (split.seen, split.test))
    without, short = int((items[:, 0] < 0).sum()), int((items[:, -1] < 0).sum())
    notes = [
        f"{path.name}: {int((~known_user).sum())} rows of unknown users and {int((~known_item).sum())} rows of "
        f"unknown items are left out; {without} of {len(items)} users have no list and {short} fewer than {k} items: "
        f"what is missing counts as a miss; {met} picks were met before",
    ]
    if tied.any():
        users = len(np.unique(user[1:][tied]))
        notes.append(
            f"{path.name}: {int(tied.sum()):,} picks of {users:,} users tie with the one before: drawn by the seed"
        )
    if not hit:
        notes.append(f"{path.name}: no pick is a held-out positive: were these lists made from all of the data?")
    scores: Floats = np.where(items >= 0, -np.arange(k), 0).astype(np.float32)
    users_of = np.arange(len(items), dtype=np.int32)
    given = Slates(users_of, items, scores, scores[:, :, None], ("order",), split.user_ids, split.item_ids)
    return given, (*notes, *(f"{path.name}: {note}" for note in given.notes))
