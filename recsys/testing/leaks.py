"""The leak test: rows that may not be used change no answer, because all is the same when they are deleted."""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from recsys import splits
from recsys.configs import Config, parse_config, read_config
from recsys.control.topics import read_policy_tables, read_topic_policy, resolve_policy_paths
from recsys.data.readers import list_path_settings
from recsys.data.settings import TableSettings
from recsys.experiments import bench, recommend
from recsys.experiments.benchmark import describe_data
from recsys.experiments.exports import fit_ranker
from recsys.experiments.pipeline import build_or_load_pool, load_dataset
from recsys.rankers import Ranker
from recsys.splits.forgotten_rows import parse_forget_list
from recsys.support.config_layers import EXTENDS
from recsys.support.forget_lists import ForgetList
from recsys.support.resolver import search_folder
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import find_toml, read_toml
from recsys.testing.contract import ContractError, expect
from recsys.testing.permitted_rows import (
    PERMISSION_FIELDS,
    SHOWN,
    Allowed,
    apply_policy,
    describe_settings,
    find_permitted_rows,
    read_file_frame,
    split_table,
    write_frame,
)
from recsys.types import Dataset, RecsysError
from recsys.types.paths import check_path
from recsys.types.topics import TopicPolicy

N_REQUESTS = 20  # users of a ranker that are asked for, and histories
NOW = 1_700_000_000  # of every request
WHO = "leak test"
_MATRIX_PARTS = ("shape", "data", "indices", "indptr")
_NO_RESULTS = ("fingerprint", "counts", "notes", "context")  # fields of records that say how a result was made
DEFAULT_CONFIG: Mapping[str, Any] = {
    "split": {"kind": "random", "test": 0.3, "validation": 0.2},
    "model": {"kind": "ease"},
    "pool": {"n": 20},
    "slate": {"k": [5]},
    "blends": {"wider": {"relevance": 1.0, "negative_space": 0.3, "long_tail": 0.2}},
    "evaluation": {"metrics": ["ndcg", "coverage", "discovery"], "n_bootstrap": 100},
}


def check_no_leak(
    config: Config | Mapping[str, Any] | str | PathLike[str] | None = None,
    *,
    data: Any = None,
    columns: Mapping[str, object] | None = None,
    sources: Collection[str] | None = None,
    purposes: Collection[str] | None = None,
    topics: Mapping[str, Any] | str | PathLike[str] | None = None,
    forget_list: str | PathLike[str] | ForgetList | None = None,
) -> None:
    """Test that rows that may not be used change nothing: without consent, of other sources, without the purposes.

    Nor may those that a forget list names (a topic is one of the column `features` of the log, or of the policy), nor
    rows of items of sensitive topics: those of the policy of [control] topics, or `topics` in its place.

    The log is read twice, as it is and with these rows deleted, and so is that of [shown] path. Everything that is made
    of both has to be the same to the last bit: the split and the maps that metrics read, exposures, candidates and
    their scores, slates, metrics with their intervals, recommendations, the ranker and its answers.

    `config` is what `recsys.bench` takes, whose [filter] says which rows may be used, or `sources`, `purposes` and
    `forget_list` in its place; without one, a small benchmark of EASE. Its log is the file of [data] path, the file
    that a [data] reader takes as a `Path`, or `data`: a table in memory, with its `columns`, or a `Dataset`. Every
    other setting of the config that names the log's file, such as that of a model of one's own, names the copy without
    the rows too. The config's benchmark runs twice, in a cache of its own.

        def test_rows_that_may_not_be_used_change_nothing():
            testing.check_no_leak("shop.toml")

    Raises:
        ContractError: naming the first answer that differs; or if all rows may be used, so that nothing is tested.
        RecsysError: for whatever is wrong with config or data.
    """
    if config is None and data is None:
        raise RecsysError(f"{WHO}: found neither config nor data, expected one of them")
    content, home = _read_content(config)
    filtering = dict(content.get("filter", {}))
    given = {"sources": sources, "purposes": purposes}
    filtering |= {name: list(names) for name, names in given.items() if names is not None}
    content = {**content, "filter": filtering}
    named = filtering.get("forget_list") if forget_list is None else forget_list
    if named is not None:
        held = parse_forget_list(home / named if isinstance(named, str) else named)
        content["filter"] = {**filtering, "forget_list": None if held is None else str(held.path.resolve())}
        filtering["forget_list"] = held
    allowed = Allowed(filtering.get("sources"), filtering.get("purposes"), filtering.get("forget_list"))
    content, policy = _read_topics(content, home, topics)
    content["control"] = {**content.get("control", {}), "compare": False}  # without a rule, these rows are used
    with tempfile.TemporaryDirectory() as name, search_folder(home):
        if data is not None:
            content.pop("data", None)
            *logs, n_rows = split_table(data, columns, allowed, policy)
            if config is None:
                kept = {**filtering, "topics": None, "forget_list": None}  # the log has no row of theirs
                n_items = len(splits.no_holdout(logs[1], **kept).item_ids)
                content["pool"] = {"n": min(content["pool"]["n"], n_items)}
            sides: list[tuple[Mapping[str, Any], Dataset | None]] = [
                ({**content, "data": describe_data(log)}, log) for log in logs
            ]
        else:
            if policy is not None:
                whole = load_dataset(parse_config(content, home=home))
                allowed = apply_policy(whole, allowed, policy)
            contents, n_rows = _copy_log(content, home, Path(name), allowed)
            sides = [(one, None) for one in contents]
        if "shown" in content and "path" in content["shown"]:
            copies, n_shown = _copy_exposures(content, home, Path(name), allowed)
            sides = [({**one, "shown": own}, log) for (one, log), own in zip(sides, copies, strict=True)]
            n_rows += n_shown
        rules = (*PERMISSION_FIELDS, "topics", "forget_list")
        expect(n_rows, WHO, f"all rows may be used, expected some that may not: {', '.join(rules)}")
        found = []
        for number, (settings, log) in enumerate(sides):
            with _use_cache(Path(name) / f"cells{number}"):
                found.append(collect_answers(parse_config(settings, home=home), log, Path(name) / f"runs{number}"))
    for where in found[0]:
        problem = find_difference(found[0][where], found[1][where], where)
        expect(problem is None, WHO, f"{problem} when the {n_rows:,} rows that may not be used are deleted")


def collect_answers(config: Config, log: Dataset | None, folder: Path) -> dict[str, Any]:
    """Return everything that a config makes of a log, by what it is, in the order in which it is made."""
    done = bench(config, out=folder / "runs", quiet=True, data=log)
    made = done.preparation
    parts = ("train", "validation", "test", "train_negatives", "user_ids", "items", "train_times")
    answers: dict[str, Any] = {f"split: {part}": getattr(made.split, part) for part in parts}
    answers |= {f"maps: {name}": getattr(made, name) for name in ("objective_maps", "audit", "content")}
    answers["exposures"] = made.shown
    pool, _ = build_or_load_pool(made, config.model, config.pool)
    answers |= {"candidates": pool.items, "scores of candidates": pool.scores}
    answers |= {f"slates of length {k}": dict(slates) for k, slates in done.slates.items()}
    answers |= {"metrics": done.summary.drop(columns="seconds", errors="ignore"), "differences": done.differences}
    for run in [spec.name for spec in done.specs if spec.kind in ("base", "blend")]:
        path = folder / "slates.csv"
        recommend(config, path, blend=run, quiet=True, data=log)
        answers[f"recommendations of {run}"] = path.read_bytes()
        ranker, _ = fit_ranker(config, run, quiet=True, data=log)
        answers[f"ranker of {run}"] = _read_saved_arrays(ranker, folder / f"ranker-{len(answers)}")
        answers[f"answers of the ranker of {run}"] = _ask_ranker(ranker)
    return answers


def _read_saved_arrays(ranker: Ranker, folder: Path) -> dict[str, bytes]:
    """Return the files of arrays of a ranker by name; of one that cannot be saved, none: its answers tell it."""
    try:
        return {one.name: one.read_bytes() for one in sorted(ranker.save(folder).glob("*.npy"))}
    except RecsysError:
        return {}


def _ask_ranker(ranker: Ranker) -> list[Any]:
    """Return the answers to some users that the ranker knows, and to histories of others."""
    users, items = ranker.context.user_ids[:N_REQUESTS].tolist(), ranker.context.item_ids.tolist()
    histories = [[items[i % len(items)], items[(3 * i + 1) % len(items)]] for i in range(N_REQUESTS)]
    known = [ranker.rank(user=user, now=NOW).to_dict() for user in users]
    return [*known, *(ranker.rank(history=dict.fromkeys(history), now=NOW).to_dict() for history in histories)]


def find_difference(one: Any, other: Any, where: str) -> str | None:
    """Return where two results differ, in words; None where they are the same to the last bit."""
    if type(one) is not type(other):
        return f"{where} is another kind of thing"
    one, other = (_list_parts(part) for part in (one, other))
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        return None if same else f"{where} differs"
    if isinstance(one, Mapping):
        if [*one] != [*other]:
            return f"{where} has other names"
        pairs = [(f"{where}: {key}", one[key], other[key]) for key in one]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{where} has another length"
        pairs = [(where, *both) for both in zip(one, other, strict=True)]
    else:
        return None if one == other or (one != one and other != other) else f"{where} differs"
    return next((found for place, a, b in pairs if (found := find_difference(a, b, place)) is not None), None)


def _list_parts(result: Any) -> Any:
    """Return a table, a matrix or a record as its parts by name; everything else as it is."""
    from pandas import DataFrame
    from scipy import sparse

    if isinstance(result, DataFrame):
        return {str(name): _list_parts(result[name].to_numpy()) for name in result}
    if isinstance(result, np.ndarray) and result.dtype == object:
        return result.tolist()
    names = _MATRIX_PARTS if sparse.issparse(result) else tuple(getattr(result, "__dataclass_fields__", ()))
    parts = [name for name in names if name not in _NO_RESULTS]
    return {name: getattr(result, name) for name in parts} if parts else result


def _read_content(config: Any) -> tuple[dict[str, Any], Path]:
    """Return the tables of a config, and the folder that its paths start from."""
    if config is None or isinstance(config, Mapping):
        return dict(DEFAULT_CONFIG if config is None else config), Path.cwd()
    if isinstance(config, Config):
        return config.dump_settings(), Path.cwd()
    file = find_toml(config, find_shipped_folder("configs"))
    content = read_toml(file, f"config {file}")
    if EXTENDS in content:
        return read_config(file).dump_settings(), Path.cwd()
    return {"name": file.stem, **content}, file.resolve().parent


def _read_topics(content: dict[str, Any], home: Path, topics: Any) -> tuple[dict[str, Any], TopicPolicy | None]:
    """Return a config whose policy of topics may name what only the rows that are deleted have, and the policy."""
    control = dict(content.get("control", {}))
    given = control.get("topics") if topics is None else topics
    if given is None:
        return dict(content), None
    start = home if topics is None else Path()
    tables = (
        resolve_policy_paths(given, start)
        if isinstance(given, Mapping)
        else read_policy_tables(start / check_path("topics", given, "a policy, or the path of its file"))
    )
    changed = {**content, "control": {**control, "topics": {**tables, "allow_unknown": True}}}
    return changed, read_topic_policy(tables)


def _copy_log(
    content: Mapping[str, Any], home: Path, folder: Path, allowed: Allowed
) -> tuple[list[dict[str, Any]], int]:
    """Return the config of a copy of its log and that of one without some rows, and their number."""
    section = parse_config(content, home=home).data
    is_table = section.reader is None and section.path is not None
    if is_table:
        log, columns, settings = Path(str(section.path)), section.columns, TableSettings(**section.table_settings)
    else:
        log, columns, settings = _find_log_of_reader(section), {}, TableSettings()
    frame = read_file_frame(log, columns, settings)
    permitted = find_permitted_rows(frame, columns, allowed)
    made = []
    for part, rows in (("all", frame), ("permitted", frame[permitted])):
        copy = write_frame(rows, log, folder / part)
        changed = _replace_path(content, home, log.resolve(), str(copy))
        if is_table:
            of_text = TableSettings.__dataclass_fields__
            kept = {name: value for name, value in changed["data"].items() if name not in of_text}
            text = {"header": True, "delimiter": ","} if copy.suffix == ".csv" else {}
            changed["data"] = {**kept, **text, **describe_settings(settings)}
        made.append(changed)
    return made, int((~permitted).sum())


def _copy_exposures(
    content: Mapping[str, Any], home: Path, folder: Path, allowed: Allowed
) -> tuple[list[dict[str, Any]], int]:
    """Return [shown] for a copy of its log and for one without the rows that may not be used, and their number."""
    section = parse_config(content, home=home).shown
    assert section is not None
    log, settings = Path(str(section.path)), TableSettings(**section.table_settings)
    frame = read_file_frame(log, section.columns, settings, SHOWN)
    held = allowed.forget_list
    told = None if held is None else held.keep([line for line in held.lines if line.kind != "topic"])
    shown = Allowed(purposes=allowed.purposes, forget_list=told)
    permitted = find_permitted_rows(frame, section.columns, shown, SHOWN)
    made = []
    for part, rows in (("all", frame), ("permitted", frame[permitted])):
        copy = write_frame(rows, log, folder / f"shown-{part}")
        kept = {
            name: value for name, value in content["shown"].items() if name not in TableSettings.__dataclass_fields__
        }
        text = {"header": True, "delimiter": ","} if copy.suffix == ".csv" else {}
        how = {name: value for name, value in describe_settings(settings).items() if name in section.table_settings}
        made.append({**kept, **text, **how, "path": str(copy)})
    return made, int((~permitted).sum())


def _find_log_of_reader(section: Any) -> Path:
    """Return the one file that a reader takes as a `Path` and that has a column of permissions."""
    found = []
    for name in list_path_settings(section.reader, WHO) if section.reader is not None else ():
        path = Path(section.reader_settings.get(name, ""))
        try:
            columns = {str(column) for column in read_file_frame(path, {}, TableSettings()).columns}
        except RecsysError:
            continue
        found += [path] if columns.intersection(PERMISSION_FIELDS) else []
    if len(found) != 1:
        names = ", ".join(PERMISSION_FIELDS)
        raise ContractError(f"{WHO}: [data] names {len(found)} files with {names}, expected one, or data=")
    return found[0]


def _replace_path(content: Any, home: Path, old: Path, new: str) -> Any:
    """Return nested tables with `new` wherever a text names the file `old`."""
    if isinstance(content, Mapping):
        return {key: _replace_path(value, home, old, new) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_replace_path(value, home, old, new) for value in content]
    if isinstance(content, str | PathLike) and len(str(content)) < 1000 and "\0" not in str(content):
        return new if (home / content).resolve() == old else content
    return content


@contextmanager
def _use_cache(folder: Path) -> Iterator[None]:
    """Keep fitted models, maps and slates in `folder`: nothing that one log made may serve the other."""
    before = os.environ.get("RECSYS_CACHE")
    os.environ["RECSYS_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("RECSYS_CACHE")
        if before is not None:
            os.environ["RECSYS_CACHE"] = before
