"""manifest.json of a saved folder: its arrays, their meaning, and the versions that made them."""

import hashlib
import json
import platform
import re
import time
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from recsys.escaping import convert_to_one_line
from recsys.support.provenance import describe_git_state
from recsys.support.stored_arrays import StoredFolder, StoreError
from recsys.types.errors import RecsysError
from recsys.types.numbers import convert_to_int

FORMAT = 2  # raise it when folders of this version and of an older one cannot read each other
MANIFEST = "manifest.json"
PACKAGES = {
    "recsys": "recsys-negspace", "numpy": "numpy", "scipy": "scipy", "numba": "numba", "implicit": "implicit",
}  # fmt: skip
COMPARED_PACKAGES = ("python", "numpy", "scipy", "numba")  # other releases of these may change the last bits of scores
_RELEASE = re.compile(r"(\d{1,9})\.(\d{1,9})(?!\d)")


def format_manifest(content: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the manifest of `content` (format, kind, settings, arrays) as JSON.

    Its digest covers the content. Versions, time, commit and `about` are beside it: equal content has one digest.
    """
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    plain = json.loads(json.dumps(content))
    made_with = {"versions": dict(collect_versions()), "created": created, **describe_git_state(), "about": about}
    return json.dumps({**plain, "digest": compute_manifest_digest(plain), **made_with}, indent=2) + "\n"


def compute_manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the parts of a manifest that describe its arrays and their meaning."""
    told = {name: manifest.get(name) for name in ("format", "kind", "settings", "arrays")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_manifest(opened: StoredFolder, noun: str) -> dict[str, Any]:
    """Return the manifest of a saved `noun`.

    Raises:
        RecsysError: if there is none that can be read, or one of another format.
    """
    try:
        manifest = opened.read_json(MANIFEST)
    except StoreError as error:
        if isinstance(error.__cause__, OSError):
            said = error.__cause__.strerror or error.__cause__
            raise RecsysError(f"{opened.path} is no saved {noun}: {MANIFEST}: {said}") from None
        raise
    found = convert_to_int(manifest.get("format") if isinstance(manifest, dict) else None)
    if found is None:
        raise RecsysError(f"{opened.path}: {MANIFEST} is not one of a saved {noun}")
    if found > FORMAT:
        raise RecsysError(f"{opened.path}: format {found}, expected {FORMAT}: it was saved by a newer version")
    if found < FORMAT:
        raise RecsysError(f"{opened.path}: format {found}, expected {FORMAT}: an older version saved it, save it anew")
    return cast(dict[str, Any], manifest)


def compare_versions(folder: Path, saved: Any) -> None:
    """Refuse a folder of a newer recsys; warn in one line of an older one, and of other releases of libraries.

    A release is the first two numbers of a version.

    Raises:
        RecsysError: if a newer recsys saved it, or no version of it is told.
    """
    here, saved = collect_versions(), saved if isinstance(saved, dict) else {}
    ours, theirs = _parse_release(here.get("recsys")), _parse_release(saved.get("recsys"))
    if ours is not None and theirs is None:
        raise RecsysError(f"{folder}: {MANIFEST} names no version of recsys, expected the one that saved it")
    if ours is not None and theirs is not None and theirs > ours:
        raise RecsysError(f"{folder}: recsys {saved['recsys']} saved it, expected at most {here['recsys']}")
    other = [
        name
        for name in ("recsys", *COMPARED_PACKAGES)
        if _parse_release(saved.get(name)) != _parse_release(here.get(name))
    ]
    if other:
        told = ", ".join(f"{name} {saved.get(name)} (here {here.get(name)})" for name in other)
        warnings.warn(
            convert_to_one_line(f"{folder}: saved with {told}: the last bits of scores may differ"), stacklevel=3
        )


@cache
def collect_versions() -> Mapping[str, str]:
    """Return the versions of Python and of the packages that fitted models depend on."""
    found = {"python": platform.python_version()}
    for name, distribution in PACKAGES.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return MappingProxyType(found)


def _parse_release(text: Any) -> tuple[int, int] | None:
    found = _RELEASE.match(text) if isinstance(text, str) else None
    return None if found is None else (int(found[1]), int(found[2]))
