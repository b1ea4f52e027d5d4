"""Layers of a config: files that it extends, the file itself, and keys that a command sets, merged in this order."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recsys.support.atomic_files import exists_at
from recsys.support.toml_files import read_toml
from recsys.types.errors import RecsysError

EXTENDS = "extends"
_SOURCES = ("reader", "name", "path", "in_memory")  # keys of [data] that say where it comes from


class Layer(NamedTuple):
    """Some tables of a config: what names them in errors, and the folder that their paths start from."""

    origin: str
    content: Mapping[str, Any]
    home: Path


def parse_override(text: str) -> Layer:
    """Return what `--set KEY=VALUE` says: a value of TOML, and text where it is none. Its paths start from here.

    >>> parse_override("model.factors=128").content, parse_override("data.name=ml-1m").content
    ({'model': {'factors': 128}}, {'data': {'name': 'ml-1m'}})

    Raises:
        RecsysError: if it is no key and a value.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip() or "\n" in text:
        raise RecsysError(f"--set: found '{text}', expected KEY=VALUE such as model.factors=128")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        try:
            tables = tomllib.loads(f"{key} = {_quote_toml(value.strip())}")
        except tomllib.TOMLDecodeError:
            raise RecsysError(f"--set: found the key '{key}', expected one such as model.factors") from None
    return Layer(f"--set {text}", tables, Path.cwd())


def _quote_toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_layers(file: Path, shipped: Path, above: Sequence[Path] = ()) -> list[Layer]:
    """Return the tables of a config file behind those of every file that it extends, the farthest first.

    What it `extends` is the path of a file, from its own folder, or the name of one in the folder `shipped`.

    Raises:
        RecsysError: if a file cannot be read, is no TOML, or extends itself.
    """
    found, chain = f"config {file}", [*above, file.resolve()]
    if file.resolve() in above:
        raise RecsysError(f"{above[0]}: extends goes in a circle: {' -> '.join(one.name for one in chain)}")
    by = f" (extended by {above[-1].name})" if above else ""
    tables = read_toml(file, f"{found}{by}", shipped)
    base = tables.pop(EXTENDS, None)
    own = Layer(f"{file}{by}", tables, file.resolve().parent)
    if base is None:
        return [own]
    if not isinstance(base, str) or not base.strip():
        raise RecsysError(f"{file}: extends is {base!r}, expected the path or name of one config")
    return [*read_layers(find_extended(base, file.parent, shipped), shipped, chain), own]


def find_extended(name: str, home: Path, shipped: Path) -> Path:
    """Return the file that `extends` names: one in `home`, else the shipped one of that name."""
    beside, inside = home / name, shipped / f"{name}.toml"
    return inside if not exists_at(beside, Path.is_file) and exists_at(inside) else beside


def join_overrides(overrides: Sequence[Layer]) -> dict[str, Any]:
    """Return the tables of several overrides together, whatever their order; of two of one key the later one holds."""
    joined: dict[str, Any] = {}
    for one in overrides:
        joined = _join_tables(joined, one.content)
    return joined


def _join_tables(tables: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _join_tables(tables[key], value)
        for key, value in content.items()
        if isinstance(value, Mapping) and isinstance(tables.get(key), Mapping)
    }
    return {**tables, **content, **both}


def merge_tables(tables: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tables` with `content` over them, key by key.

    A table of another `kind` replaces the one before, and so does a [data] of another source: what stands beside the
    one is no setting of the other.

    >>> merge_tables({"model": {"kind": "als", "factors": 8}}, {"model": {"factors": 16}})
    {'model': {'kind': 'als', 'factors': 16}}
    >>> merge_tables({"model": {"kind": "als", "factors": 8}}, {"model": {"kind": "ease"}})
    {'model': {'kind': 'ease'}}
    """
    merged = dict(tables)
    for key, value in content.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and not _replaces(key, before, value):
            merged[key] = merge_tables(before, value)
        else:
            merged[key] = value
    return merged


def _replaces(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if after.get("kind") not in (None, before.get("kind")):
        return True
    if key != "data" or ("reader" in before and "reader" not in after):  # a reader may have a setting called path
        return False
    old, new = (next((one for one in _SOURCES if one in table), None) for table in (before, after))
    return None not in (old, new) and old != new
