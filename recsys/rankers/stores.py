"""Rankers on disk: folders of memory-mapped arrays, as fitted models are."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys import blends
from recsys.models import fitted_kinds, stores
from recsys.rankers.limits import read
from recsys.rankers.policies import Policy
from recsys.rankers.records import Parts, context_of, kinds, name_policy
from recsys.records import flatten
from recsys.types import Context, RecsysError, unknown

KIND = "Ranker"


def save(parts: Parts, settings: Mapping[str, Any], name: str, folder: Path) -> Path:
    """Write a ranker to `folder`, whole or not at all.

    Raises:
        RecsysError: if its model is of no class of this library, or the folder is something else.
    """
    known = fitted_kinds()
    for model in parts.models:
        for part in [model, *getattr(model, "parts", ())]:
            if type(part).__name__ not in known:
                raise unknown("fitted model", type(part).__name__, known, where=f"cannot save to {folder}")
    return stores.write(folder, KIND, {**settings, "name": name}, flatten(parts), "ranker")


def load(folder: Path, verify: bool, own: Collection[str]) -> tuple[Parts, Context, dict[str, Any], str]:
    """Return what it is made of, the context of requests, settings and the name of the policy.

    Raises:
        RecsysError: if the folder is damaged, no saved ranker, or names objectives or guards that `own` does not.
    """
    stored = stores.read(folder, [KIND], "ranker", verify, mode="c")
    settings, name = _settings(stored.settings, folder)
    guards = [names for guard in settings.get("guards", ()) for names in guard]
    named = {"blend": settings["blend"], "list of guards": guards}
    for where, names in named.items():
        for theirs in names:
            if ":" in theirs and theirs not in own:
                raise RecsysError(
                    f"{folder}: its {where} names '{theirs}', expected it among own=: a folder runs no code"
                )
    told = dict(settings)
    try:
        blends.read(settings["blend"])
        settings["policy"] = Policy(**settings["policy"])
        settings["guards"] = read(settings.get("guards", ()))
    except RecsysError as error:
        raise RecsysError(f"{folder}: {error}") from None
    except TypeError:
        raise RecsysError(f"{folder}: manifest.json: policy has other settings than that of a ranker") from None
    parts = stores.restored(stored, Parts, kinds())
    if verify and name_policy(parts, {**told, "policy": asdict(settings["policy"])}) != name:
        raise RecsysError(f"{folder}: is damaged: it is not the policy {name} that manifest.json says")
    return parts, context_of(parts), settings, name


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
