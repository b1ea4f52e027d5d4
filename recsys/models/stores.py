"""Fitted models on disk: a folder with a manifest and one .npy file per array. Nothing in it is pickled.

`write` and `read` are the same for other records, which say what they call themselves.
"""

import json
import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np

from recsys.files import replacing_folder
from recsys.records import flatten, restore
from recsys.types.arrays import Anys
from recsys.types.errors import RecsysError, unknown
from recsys.types.models import Model, Scorer

R = TypeVar("R")
FORMAT = 1  # raise it when a folder of this version cannot be read by an older one
_MANIFEST = "manifest.json"
_PACKAGES = {"recsys": "recsys-negspace", "numpy": "numpy", "scipy": "scipy", "implicit": "implicit"}
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


def save(fitted: Scorer, folder: str | Path, settings: Model | None = None) -> Path:
    """Write a fitted model to `folder`, whole or not at all; one that is there already is replaced.

    `settings`, the model it was fitted with, are kept in the manifest for whoever reads it.

    Raises:
        RecsysError: if the model is of no class of this library, or `folder` is something else than a saved model.
    """
    kinds, kind, target = _kinds(), type(fitted).__name__, Path(folder)
    for name in [kind, *(type(part).__name__ for part in getattr(fitted, "parts", ()))]:
        if name not in kinds:
            raise unknown("fitted model", name, kinds, where=f"cannot save to {target}")
    return write(target, kind, _described(settings), flatten(fitted), "model")


def load(folder: str | Path, *, verify: bool = True) -> Scorer:
    """Return the model that `save` wrote to `folder`, its arrays mapped from the files and read-only.

    With `verify` every file is read once and held against its checksum; without, only its header and size are.

    Raises:
        RecsysError: if the folder is damaged, of a newer format, or no saved model.
    """
    kinds = _kinds()
    stored = read(Path(folder), kinds, "model", verify)
    return cast(Scorer, restored(stored, kinds[stored.kind], kinds))


@dataclass(frozen=True, eq=False)
class Stored:
    """What a folder holds."""

    folder: Path
    kind: str
    settings: Any  # as JSON can say them
    arrays: Mapping[str, Anys]  # mapped from the files


def write(target: Path, kind: str, settings: Any, arrays: Mapping[str, Anys], noun: str) -> Path:
    """Write `arrays` and a manifest that tells their checksums to a folder, whole or not at all.

    Raises:
        RecsysError: if the folder cannot be written, or is there already and no saved `noun`.
    """
    if target.exists() and not (target / _MANIFEST).is_file():
        raise RecsysError(f"cannot save to {target}: it is there already and no saved {noun}, expected a new folder")
    with replacing_folder(target) as made:
        described = {name: _write(made, name, array) for name, array in arrays.items()}
        manifest = {"format": FORMAT, "kind": kind, "settings": settings, "versions": _versions(), "arrays": described}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return target


def read(folder: Path, kinds: Collection[str], noun: str, verify: bool, mode: Literal["r", "c"] = "r") -> Stored:
    """Return what `write` wrote, one of `kinds`. What is written to arrays of mode "c" stays in this process.

    Raises:
        RecsysError: if the folder is damaged, of a newer format, or no saved `noun`.
    """
    manifest = _manifest(folder, noun)
    try:
        described = {str(name): dict(about) for name, about in manifest["arrays"].items()}
        kind = str(manifest["kind"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecsysError(f"{folder}: {_MANIFEST} is not one of a saved {noun}") from None
    if kind not in kinds:
        raise unknown(f"fitted {noun}" if noun == "model" else f"saved {noun}", kind, kinds, where=str(folder))
    arrays = {name: _read(folder, name, about, verify, mode) for name, about in described.items()}
    return Stored(folder, kind, manifest.get("settings"), arrays)


def restored(stored: Stored, kind: type[R], kinds: Mapping[str, type[Any]]) -> R:
    """Return the record of class `kind` that a folder holds.

    Raises:
        RecsysError: if its arrays are not those of such a record.
    """
    try:
        return restore(kind, _whole(dict(stored.arrays)), kinds=kinds)
    except (ValueError, TypeError) as error:
        raise RecsysError(f"{stored.folder}: is damaged: {error}") from None


def _kinds() -> dict[str, type[Any]]:
    from recsys.models import fitted_kinds

    return fitted_kinds()


def _write(folder: Path, name: str, array: Anys) -> dict[str, Any]:
    path = folder / f"{name}.npy"
    np.save(path, array, allow_pickle=False)
    return {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": _sha256(path)}


def _read(folder: Path, name: str, about: Mapping[str, Any], verify: bool, mode: Literal["r", "c"]) -> Anys:
    if not _NAME.fullmatch(name):
        raise RecsysError(f"{folder}: {_MANIFEST} names an array '{name[:40]}', expected letters, digits, _ and dots")
    path = folder / f"{name}.npy"
    try:
        if verify and _sha256(path) != about.get("sha256"):
            raise RecsysError(f"{path}: is damaged: its sha256 is not the one in {_MANIFEST}")
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("no .npy file")
    except OSError as error:
        raise RecsysError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        if isinstance(error, RecsysError):
            raise
        raise RecsysError(f"{path}: is damaged: {' '.join(str(error).split())}") from None
    found = [list(array.shape), array.dtype.str]
    if found != [about.get("shape"), about.get("dtype")]:
        raise RecsysError(f"{path}: found {found}, expected {[about.get('shape'), about.get('dtype')]}")
    return array


def _whole(arrays: dict[str, Anys]) -> dict[str, Anys]:
    """Return the arrays, or say which matrix has entries outside its shape."""
    for name in [n.removesuffix(".indptr") for n in arrays if n.endswith(".indptr")]:
        indices, indptr, shape = (arrays[f"{name}.{part}"] for part in ("indices", "indptr", "shape"))
        inside = not len(indices) or (indices.min() >= 0 and indices.max() < shape[1])
        if not inside or len(indptr) != shape[0] + 1 or (np.diff(indptr) < 0).any() or indptr[-1] != len(indices):
            raise ValueError(f"the entries of '{name}' are not those of a matrix of shape {shape.tolist()}")
    return arrays


def _manifest(folder: Path, noun: str) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecsysError(f"{folder} is no saved {noun}: {_MANIFEST}: {error.strerror or error}") from None
    except ValueError:
        raise RecsysError(f"{folder}: {_MANIFEST} is damaged: it is not JSON") from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise RecsysError(f"{folder}: {_MANIFEST} is not one of a saved {noun}")
    if not 1 <= found <= FORMAT:
        raise RecsysError(f"{folder}: format {found}, expected at most {FORMAT}: it was saved by a newer version")
    return cast(dict[str, Any], manifest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _described(settings: Any) -> dict[str, Any] | None:
    """Return settings as JSON can say them, with the name of their class."""
    if settings is None:
        return None
    told: dict[str, Any] = {"kind": type(settings).__name__}
    if hasattr(settings, "models"):
        return {**told, "models": [_described(model) for model in settings.models]}
    return told | (asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else {})


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
