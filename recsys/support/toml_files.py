"""TOML files that a user names: found, read and checked, with one line for whatever is wrong in them."""

import dataclasses
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from recsys.support.atomic_files import exists_at
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.paths import check_path

if TYPE_CHECKING:
    from pydantic import ValidationError

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's words, for models and for dataclasses
_MAX_SHOWN_INPUT = 60


def find_toml(name: str | Path, shipped: Path) -> Path:
    """Return the file at the path `name`; where there is none, NAME.toml in the folder `shipped` if that is there."""
    path, inside = check_path("config", name, "a path, or the name of a shipped one"), shipped / f"{name}.toml"
    is_file = exists_at(path) and not exists_at(path, Path.is_dir)
    return inside if not is_file and exists_at(inside) else path


def read_toml(path: Path, place: str, shipped: Path | None = None) -> dict[str, Any]:
    """Return the tables of a TOML file; `place` names it in errors.

    Raises:
        RecsysError: if it cannot be read (with the nearest file beside it, or the nearest name in the folder
            `shipped`), or is no TOML.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = _suggest_file(path, shipped) if isinstance(error, FileNotFoundError) else ""
        raise RecsysError(f"{place}: {error.strerror}{hint}") from None
    except (ValueError, RecursionError) as error:
        raise RecsysError(f"{place}: not TOML: {error}") from None


def describe_first_problem(error: "ValidationError", kind: type, *above: str) -> str:
    """Return the first problem of a `kind` of record (a pydantic model, or a dataclass), in one line.

    `above` are the sections that the record stands in. An unknown key goes before all else: the key that is then
    missing is often the same one.
    """
    problems = sorted(error.errors(include_url=False), key=lambda one: one["type"] not in _UNKNOWN_KEY)
    problem = problems[0]
    path = [*above, *(str(part) for part in problem["loc"])]
    section = f"[{'.'.join(path[:-1])}] " if len(path) > 1 else ""
    if problem["type"] in _UNKNOWN_KEY:
        keys = _list_keys(kind, path[len(above) : -1])
        return str(make_unknown_name_error("key", path[-1], keys, where=section.strip()))
    if problem["type"] in ("missing", "missing_argument"):
        return f"{section}{path[-1]} is missing"
    if problem["type"] == "too_short":
        return f"{section}{path[-1]} is {problem['input']!r}, expected {problem['ctx']['min_length']} or more of them"
    raised = problem.get("ctx", {}).get("error")
    if isinstance(raised, RecsysError):
        return f"{section}{path[-1] + ': ' if path else ''}{raised}"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if message.startswith(("is ", "has ")) else f" is {repr(problem['input'])[:_MAX_SHOWN_INPUT]}:"
    return f"{section}{path[-1] if path else ''}{found if path else ''} {message[:1].lower()}{message[1:]}".strip()


def _list_keys(kind: type, path: Sequence[str]) -> list[str]:
    """Return the keys of the record at `path` inside a record `kind`; a part that is no field is a mapping's key."""
    for part in path:
        kind = _find_record(get_type_hints(kind).get(part, kind)) or kind
    if dataclasses.is_dataclass(kind):
        return [one.name for one in dataclasses.fields(kind)]
    return list(kind.model_fields)  # type: ignore[attr-defined]


def _find_record(hint: Any) -> type | None:
    """Return the first record that a type names: itself, or that of an optional, a list or a mapping's values."""
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "model_fields")):
        return hint
    return next((found for one in get_args(hint) if (found := _find_record(one))), None)


def _suggest_file(path: Path, shipped: Path | None) -> str:
    there = [str(one) for one in path.parent.glob("*.toml")] if exists_at(path.parent, Path.is_dir) else []
    names = [] if shipped is None else [one.stem for one in shipped.glob("*.toml")]
    close = get_close_matches(str(path), there, n=1) or get_close_matches(path.stem, names, n=1)
    return f", did you mean '{close[0]}'?" if close else ""
