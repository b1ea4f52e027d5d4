"""Rankers on disk: folders of memory-mapped arrays, as fitted models are."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from recsys import blends, provenance
from recsys.escaping import one_line
from recsys.models import fitted_kinds, stores
from recsys.rankers.limits import read
from recsys.rankers.policies import Policy
from recsys.rankers.records import Parts, context_of, kinds, name_by_checksums
from recsys.records import flatten
from recsys.types import Context, RecsysError, unknown

KIND = "Ranker"


class Loaded(NamedTuple):
    """What a folder holds."""

    parts: Parts
    context: Context  # of requests
    settings: dict[str, Any]
    name: str  # of the policy
    about: Mapping[str, Any]  # where it comes from


def save(parts: Parts, settings: Mapping[str, Any], name: str, folder: Path, about: Mapping[str, Any]) -> Path:
    """Write a ranker to `folder`, whole or not at all; `about` says where it comes from.

    Raises:
        RecsysError: if its model is of no class of this library, or the folder is something else.
    """
    known = fitted_kinds()
    for model in parts.models:
        for part in [model, *getattr(model, "parts", ())]:
            if type(part).__name__ not in known:
                raise unknown("fitted model", type(part).__name__, known, where=f"cannot save to {folder}")
    own = provenance.own_modules(_names(settings))
    told = {**about, "own_modules": own} if own else about
    return stores.write(folder, KIND, {**settings, "name": name}, flatten(parts), "ranker", told)


def load(folder: Path, verify: bool, own: Collection[str]) -> Loaded:
    """Return what it is made of, the context of requests, settings, the name of the policy, and where it comes from.

    Raises:
        RecsysError: if the folder is damaged, no saved ranker, or names objectives or guards that `own` does not.
    """
    stored = stores.read(folder, [KIND], "ranker", verify, mode="c")
    settings, name = _settings(stored.settings, folder)
    for theirs in _names(settings):
        if ":" in theirs and theirs not in own:
            where = "blend" if theirs in settings["blend"] else "list of guards"
            raise RecsysError(f"{folder}: its {where} names '{theirs}', expected it among own=: a folder runs no code")
    told = dict(settings)
    try:
        blends.read(settings["blend"])
        settings["policy"] = Policy(**settings["policy"])
        settings["guards"] = read(settings.get("guards", ()))
    except RecsysError as error:
        raise RecsysError(f"{folder}: {error}") from None
    except TypeError:
        raise RecsysError(f"{folder}: manifest.json: policy has other settings than that of a ranker") from None
    if name_by_checksums(stored.checksums, {**told, "policy": asdict(settings["policy"])}) != name:
        raise RecsysError(f"{folder}: is damaged: it is not the policy {name} that manifest.json says")
    parts = stores.restored(stored, Parts, kinds())
    _compare_own(folder, told, stored.about)
    return Loaded(parts, context_of(parts), settings, name, stored.about)


def _names(settings: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of the objectives and guards of a ranker."""
    return [*settings["blend"], *(name for guard in settings.get("guards", ()) for name in guard)]


def _compare_own(folder: Path, settings: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Warn in one line where code of one's own is no longer that with which the ranker was saved."""
    saved = about.get("own_modules")
    now = provenance.own_modules(_names(settings))
    changed = [name for name, found in now.items() if isinstance(saved, dict) and saved.get(name) != found]
    if changed:
        said = f"{folder}: the source of {', '.join(changed)} is not that with which it was saved"
        warnings.warn(one_line(f"{said}: slates may differ under the same policy name"), stacklevel=3)


def _settings(found: Any, folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of a manifest, if they are those of a ranker."""
    names = ("blend", "scales", "policy")
    there = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in names)
    if not there or not isinstance(found.get("name"), str):
        raise RecsysError(f"{folder}: manifest.json is not one of a saved ranker")
    numbers = [found["scales"].get(name) for name in found["blend"]]
    if not all(isinstance(number, int | float) for number in numbers):
        raise RecsysError(f"{folder}: manifest.json has no scale for an objective of its blend")
    settings: dict[str, Any] = {name: dict(found[name]) for name in names}
    if "guards" in found:
        if not isinstance(found["guards"], list) or not all(isinstance(guard, dict) for guard in found["guards"]):
            raise RecsysError(f"{folder}: manifest.json has no list of tables for its guards")
        settings["guards"] = found["guards"]
    return settings, str(found["name"])
