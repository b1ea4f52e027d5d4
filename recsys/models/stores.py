"""Fitted models on disk: a folder with a manifest and one .npy file per array. Nothing in it is pickled.

`write` and `read` are the same for other records, which say what they call themselves.
"""

import json
import os
import re
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

import numpy as np

from recsys.models.manifests import (
    FORMAT,
    MANIFEST,
    compare_versions,
    compute_manifest_digest,
    format_manifest,
    read_manifest,
)
from recsys.models.registry import find_fitted_classes
from recsys.support.atomic_files import exists_at, recover_folder, replace_folder
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.stored_arrays import StoredFolder, StoreError, hash_open_file, map_npy, open_folder
from recsys.types.arrays import Anys
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.models import Model, Scorer
from recsys.types.paths import check_path, suggest_beside

R = TypeVar("R")
ALWAYS_VERIFIED_BYTES = (
    2**20
)  # bytes: up to here, and what compiled code may read by, is held against its checksum at each load
HASHING_THREADS = 4
WRONG_DIGEST = f"its sha256 is not the one in {MANIFEST}"
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_RETRIES = 20  # of a folder that is replaced while it is read


def save_model(fitted: Scorer, folder: str | Path, settings: Model | None = None) -> Path:
    """Write a fitted model to `folder`, whole or not at all; one that is there already is replaced.

    `settings`, the model it was fitted with, are kept in the manifest for whoever reads it.

    Raises:
        RecsysError: if the model is of no class of this library, or `folder` is something else than a saved model.
    """
    kinds, kind, target = find_fitted_classes(), type(fitted).__name__, check_path("folder", folder)
    for name in [kind, *(type(part).__name__ for part in getattr(fitted, "parts", ()))]:
        if name not in kinds:
            raise make_unknown_name_error("fitted model", name, kinds, where=f"cannot save to {target}")
    return write_store(target, kind, _settings_to_json(settings), flatten_record(fitted), "model", kinds=kinds)


def load_model(folder: str | Path, *, verify: bool = True) -> Scorer:
    """Return the model that `save` wrote to `folder`, its arrays mapped from the files and read-only.

    Settings and the header and size of every file are always verified, and the content of all files but text and
    floating-point arrays above 1 MiB; with `verify` that of those too. A warning of one line names packages of other
    releases.

    Raises:
        RecsysError: if the folder is damaged, of another format, of a newer `recsys`, or no saved model.
    """
    kinds = find_fitted_classes()
    stored = read_store(check_path("folder", folder), kinds, "model", verify)
    return cast(Scorer, restore_content(stored, kinds[stored.kind], kinds))


@dataclass(frozen=True, eq=False)
class StoredContent:
    """The arrays and settings that a folder holds."""

    folder: Path
    kind: str
    settings: Any  # as JSON can say them
    arrays: Mapping[str, Anys]  # mapped from the files
    checksums: Mapping[str, str] = field(default_factory=dict)  # the SHA-256 of each array's file
    about: Mapping[str, Any] = field(default_factory=dict)  # what `write` was told beside the settings


def write_store(
    target: Path,
    kind: str,
    settings: Any,
    arrays: Mapping[str, Anys],
    noun: str,
    about: Mapping[str, Any] | None = None,
    kinds: Collection[str] | None = None,
) -> Path:
    """Write `arrays` and a manifest that tells their checksums to a folder, whole or not at all.

    `about` says where the content comes from, as JSON can: it is kept for readers, and not verified. A folder that is
    there already is replaced, where it holds one of `kinds` (None is `kind` alone) and nothing else.

    Raises:
        RecsysError: if the folder cannot be written, or is there already and no saved `noun`.
    """
    recover_folder(target)
    if target.exists():
        _refuse_other_content(target, kinds or (kind,), noun)
    with replace_folder(target) as made:
        described = {name: _write_array(made, name, array) for name, array in arrays.items()}
        content = {"format": FORMAT, "kind": kind, "settings": settings, "arrays": described}
        (made / MANIFEST).write_text(format_manifest(content, about or {}), encoding="utf-8")
    return target


def _refuse_other_content(folder: Path, kinds: Collection[str], noun: str) -> None:
    """Refuse to replace a file, or a folder that holds something that no save wrote: it would be lost."""
    said = f"cannot save to {folder}: it is there already and no saved {noun}, expected a new folder"
    if not (folder / MANIFEST).is_file():
        raise RecsysError(said)
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
    except ValueError:
        arrays = None  # it is damaged: any array may be one of its
    else:
        if not isinstance(told, dict) or told.get("kind") not in kinds or not isinstance(told.get("arrays"), dict):
            raise RecsysError(said)
        arrays = told["arrays"]
    for name in sorted(one.name for one in folder.iterdir() if one.name != MANIFEST):
        array = name.removesuffix(".npy")
        if array == name or (arrays is not None and array not in arrays):
            raise RecsysError(
                f"cannot save to {folder}: it holds {name}, which is no part of a saved {noun}, expected a new folder"
            )


def read_store(
    folder: Path, kinds: Collection[str], noun: str, verify: bool, mode: Literal["r", "c"] = "r"
) -> StoredContent:
    """Return the content that `write` stored, one of `kinds`. Writes to arrays of mode "c" stay in this process.

    A folder that is replaced meanwhile is read as it was before, or as it is then; never a part of each.

    Raises:
        RecsysError: if the folder is damaged, of another format, of a newer `recsys`, or no saved `noun`.
    """
    for left in reversed(range(_RETRIES)):
        recover_folder(folder)
        try:
            with open_folder(folder) as opened:
                try:
                    stored = _read_content(opened, kinds, noun, verify, mode)
                    if not opened.may_be_mixed:
                        return stored
                except RecsysError:
                    if not left or not opened.is_replaced:
                        raise
        except RecsysError:
            raise
        except (OSError, ValueError) as error:
            if not left or not isinstance(error, FileNotFoundError):
                said = getattr(error, "strerror", None) or error
                raise RecsysError(
                    f"{folder} is no saved {noun}: {said}{suggest_beside(folder, _has_manifest)}"
                ) from None
            time.sleep(0.001)  # where folders cannot be exchanged, one that is being replaced is gone for a moment
    raise RecsysError(f"{folder}: was replaced each time that it was read, expected a saved {noun} that stays")


def _has_manifest(folder: Path) -> bool:
    return exists_at(folder / MANIFEST)


def _read_content(
    opened: StoredFolder, kinds: Collection[str], noun: str, verify: bool, mode: Literal["r", "c"]
) -> StoredContent:  # fmt: skip
    folder, manifest = opened.path, read_manifest(opened, noun)
    try:
        described = {str(name): dict(about) for name, about in manifest["arrays"].items()}
        kind, about = str(manifest["kind"]), dict(manifest.get("about") or {})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecsysError(f"{folder}: {MANIFEST} is not one of a saved {noun}") from None
    if kind not in kinds:
        raise make_unknown_name_error(
            f"fitted {noun}" if noun == "model" else f"saved {noun}", kind, kinds, where=str(folder)
        )
    if manifest.get("digest") != compute_manifest_digest(manifest):
        raise RecsysError(f"{folder}: {MANIFEST} is damaged: its settings or arrays are not those of its digest")
    compare_versions(folder, manifest.get("versions"))
    with ThreadPoolExecutor(HASHING_THREADS) as workers:  # it starts none where all files are small
        hashed: dict[str, Future[str]] = {}
        arrays = {
            name: _read_array(opened, name, told, verify, mode, workers, hashed) for name, told in described.items()
        }
        for name, digest in hashed.items():
            if digest.result() != described[name].get("sha256"):
                raise StoreError(f"{folder / name}.npy: is damaged: {WRONG_DIGEST}")
    checksums = {name: str(told.get("sha256")) for name, told in described.items()}
    return StoredContent(folder, kind, manifest.get("settings"), arrays, checksums, about)


def restore_content(stored: StoredContent, kind: type[R], kinds: Mapping[str, type[Any]]) -> R:
    """Return the record of class `kind` that a folder holds.

    Raises:
        RecsysError: if its arrays are not those of such a record.
    """
    try:
        return restore_record(kind, _check_csr_arrays(dict(stored.arrays)), kinds=kinds)
    except RecsysError:
        raise
    except Exception as error:  # arrays of other kinds and shapes than a record's: whatever its class raises of them
        raise RecsysError(f"{stored.folder}: is damaged: {' '.join(str(error).split())[:200]}") from None


def _write_array(folder: Path, name: str, array: Anys) -> dict[str, Any]:
    path = folder / f"{name}.npy"
    np.save(path, array, allow_pickle=False)
    with path.open("rb") as file:
        return {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": hash_open_file(file)}


def _read_array(
    opened: StoredFolder, name: str, about: Mapping[str, Any], verify: bool, mode: Literal["r", "c"],
    workers: Executor, hashed: dict[str, "Future[str]"],
) -> Anys:  # fmt: skip
    """Return an array that is mapped from its file; a large file is hashed by `workers`, which `hashed` then tells."""
    if not _NAME.fullmatch(name):
        raise RecsysError(
            f"{opened.path}: {MANIFEST} names an array '{name[:40]}', expected letters, digits, _ and dots"
        )
    with opened.open_file(f"{name}.npy") as file:
        array = map_npy(file, mode)
        found = [list(array.shape), array.dtype.str]
        if found != [about.get("shape"), about.get("dtype")]:
            path = opened.path / f"{name}.npy"
            raise RecsysError(f"{path}: found {found}, expected {[about.get('shape'), about.get('dtype')]}")
        if array.nbytes > ALWAYS_VERIFIED_BYTES:
            if verify or array.dtype.kind in "biu":
                hashed[name] = workers.submit(_hash_and_close, os.fdopen(os.dup(file.fileno()), "rb"))
        elif hash_open_file(file) != about.get("sha256"):
            raise ValueError(WRONG_DIGEST)
    return array


def _hash_and_close(file: BinaryIO) -> str:
    with file:
        return hash_open_file(file)


def _check_csr_arrays(arrays: dict[str, Anys]) -> dict[str, Anys]:
    """Return the arrays, or say which matrix has entries outside its shape."""
    for name in [n.removesuffix(".indptr") for n in arrays if n.endswith(".indptr")]:
        indices, indptr, shape = (arrays[f"{name}.{part}"] for part in ("indices", "indptr", "shape"))
        inside = not len(indices) or (indices.min() >= 0 and indices.max() < shape[1])
        if not inside or len(indptr) != shape[0] + 1 or (np.diff(indptr) < 0).any() or indptr[-1] != len(indices):
            raise ValueError(f"the entries of '{name}' are not those of a matrix of shape {shape.tolist()}")
    return arrays


def _settings_to_json(settings: Any) -> dict[str, Any] | None:
    """Return settings as JSON can say them, with the name of their class."""
    if settings is None:
        return None
    told: dict[str, Any] = {"kind": type(settings).__name__}
    if hasattr(settings, "models"):
        return {**told, "models": [_settings_to_json(model) for model in settings.models]}
    return told | (asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else {})
