"""Rankers on disk: folders of memory-mapped arrays, as fitted models are."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from recsys.escaping import convert_to_one_line
from recsys.evidence.like_curves import LikeCurve
from recsys.models import stores
from recsys.models.registry import find_fitted_classes
from recsys.rankers.forgets import FORGOTTEN, parse_origin
from recsys.rankers.policies import Policy
from recsys.rankers.records import RankerParts, build_request_context, list_storable_classes, name_policy_by_checksums
from recsys.rankers.request_constraints import deserialize_guards
from recsys.reranking import blends
from recsys.reranking.dials import parse_control
from recsys.support import provenance
from recsys.support.serialization import flatten_record
from recsys.types import Context, RecsysError, make_unknown_name_error
from recsys.types.errors import Setting, SettingError

KIND = "Ranker"


class LoadedRanker(NamedTuple):
    """The content of a ranker's folder."""

    parts: RankerParts
    context: Context  # of requests
    settings: dict[str, Any]
    name: str  # of the policy
    about: Mapping[str, Any]  # where it comes from


def save_ranker(
    parts: RankerParts, settings: Mapping[str, Any], name: str, folder: Path, about: Mapping[str, Any]
) -> Path:
    """Write a ranker to `folder`, whole or not at all; `about` says where it comes from.

    Raises:
        RecsysError: if its model is of no class of this library, or the folder is something else.
    """
    known = find_fitted_classes()
    for model in parts.models:
        for part in [model, *getattr(model, "parts", ())]:
            if type(part).__name__ not in known:
                raise make_unknown_name_error(
                    "fitted model", type(part).__name__, known, where=f"cannot save to {folder}"
                )
    own = provenance.hash_own_modules(_list_objectives_and_guards(settings))
    told = {**about, "own_modules": own} if own else about
    return stores.write_store(folder, KIND, {**settings, "name": name}, flatten_record(parts), "ranker", told)


def load_ranker(folder: Path, verify: bool, allow_imports: Collection[str]) -> LoadedRanker:
    """Return the parts of a saved ranker, the context of requests, settings, the policy's name, and its provenance.

    Raises:
        RecsysError: if the folder is damaged, no saved ranker, or names objectives or guards that `own` does not.
    """
    stored = stores.read_store(folder, [KIND], "ranker", verify, mode="c")
    settings, name = _parse_manifest_settings(stored.settings, folder)
    for theirs in _list_objectives_and_guards(settings):
        if ":" in theirs and theirs not in allow_imports:
            where = "blend" if theirs in settings["blend"] else "list of guards"
            raise SettingError(
                f"{folder}: its {where} names '{theirs}', expected it among ",
                Setting("allow_imports"),
                after=": a folder runs no code",
            )
    told = dict(settings)
    try:
        blends.parse_blend(settings["blend"])
        settings["policy"] = Policy(**settings["policy"])
        settings["guards"] = deserialize_guards(settings.get("guards", ()))
        if "like_curve" in settings:
            settings["like_curve"] = LikeCurve.from_settings(settings["like_curve"], "manifest.json: like_curve")
    except RecsysError as error:
        raise RecsysError(f"{folder}: {error}") from None
    except TypeError:
        raise RecsysError(f"{folder}: manifest.json: policy has other settings than that of a ranker") from None
    if name_policy_by_checksums(stored.checksums, {**told, "policy": asdict(settings["policy"])}) != name:
        raise RecsysError(f"{folder}: is damaged: it is not the policy {name} that manifest.json says")
    parts = stores.restore_content(stored, RankerParts, list_storable_classes())
    _warn_changed_modules(folder, told, stored.about)
    about = {key: value for key, value in stored.about.items() if key != FORGOTTEN}
    about |= {FORGOTTEN: settings[FORGOTTEN]} if FORGOTTEN in settings else {}
    return LoadedRanker(parts, build_request_context(parts), settings, name, about)


def _list_objectives_and_guards(settings: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of the objectives and guards of a ranker."""
    return [*settings["blend"], *(name for guard in settings.get("guards", ()) for name in guard)]


def _warn_changed_modules(folder: Path, settings: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Warn in one line where code of one's own is no longer that with which the ranker was saved."""
    saved = about.get("own_modules")
    now = provenance.hash_own_modules(_list_objectives_and_guards(settings))
    changed = [name for name, found in now.items() if isinstance(saved, dict) and saved.get(name) != found]
    if changed:
        said = f"{folder}: the source of {', '.join(changed)} is not that with which it was saved"
        warnings.warn(convert_to_one_line(f"{said}: slates may differ under the same policy name"), stacklevel=3)


def _parse_manifest_settings(found: Any, folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of a manifest, if they are those of a ranker."""
    names = ("blend", "scales", "policy")
    there = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in names)
    if not there or not isinstance(found.get("name"), str):
        raise RecsysError(f"{folder}: manifest.json is not one of a saved ranker")
    blends.select_scales(found["scales"], found["blend"], f"{folder}: manifest.json")
    settings: dict[str, Any] = {name: dict(found[name]) for name in names}
    if "guards" in found:
        if not isinstance(found["guards"], list) or not all(isinstance(guard, dict) for guard in found["guards"]):
            raise RecsysError(f"{folder}: manifest.json has no list of tables for its guards")
        settings["guards"] = found["guards"]
    if FORGOTTEN in found:
        settings[FORGOTTEN] = parse_origin(found[FORGOTTEN], f"{folder}: manifest.json")
    if "control" in found:
        settings["control"] = parse_control(found["control"], found["blend"], f"{folder}: manifest.json: control")
    if "like_curve" in found:
        settings["like_curve"] = found["like_curve"]
    return settings, str(found["name"])
