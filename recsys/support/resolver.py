"""Extensions by name: a name of the package, "package.module:function", or the Python object itself.

One resolver serves every kind: objectives, metrics, guards, models, splits and dataset readers.
"""

import math
import sys
import sysconfig
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any

from recsys.types.errors import RecsysError, describe_error, make_unknown_name_error
from recsys.types.numbers import check_flag, check_int, check_number, convert_to_python

EXPECTED = "package.module:function"
_ZEROS: Mapping[str, Any] = {"int": 0, "float": 0.0, "bool": False, "str": ""}  # what stands for a default of None
_lock = threading.RLock()
_searched_folders: list[Path] = []  # by `search_folder`, the last one is searched now
_folder_of_module: dict[str, Path] = {}  # modules that were found in such a folder


def resolve_extension(kind: str, given: object, known: Mapping[str, Any], *, where: str = "") -> Any:
    """Return what `given` names: an object in `known`, one of somebody's own, or `given` itself if it can be called.

    `kind` says what it is, `where` in which place, both for errors.

    >>> resolve_extension("metric", "math:sqrt", {})(9.0), resolve_extension("metric", len, {})([])
    (3.0, 0)

    Raises:
        RecsysError: if there is no such name (with the nearest one), its module cannot be imported (with the folders
            that it was looked for in), or it is nothing that can be called.
    """
    place = f"{where}: " if where else ""
    if not isinstance(given, str):
        if not callable(given):
            raise RecsysError(f"{place}found {given!r}, expected the name of a {kind}, {EXPECTED} or a function")
        return given
    if ":" not in given:
        if given not in known:
            raise make_unknown_name_error(kind, given, known, where=where)
        return known[given]
    module_name, _, attribute = given.partition(":")
    module = import_own_module(module_name, f"{place}'{given}'")
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = _list_defined_names(found, module_name)
            raise make_unknown_name_error(kind, part, names, where=f"{place}'{given}' cannot be imported")
        found = getattr(found, part)
    if not callable(found):
        raise RecsysError(f"{place}'{given}' cannot be imported: it is a {type(found).__name__}, expected a function")
    return found


def _list_defined_names(holder: Any, module_name: str) -> list[str]:
    """Return the public names of functions and classes of a module, or of a class in it, that it does not import."""
    within = f"{module_name}."
    return [
        name
        for name, member in vars(holder).items()
        if name[:1] != "_" and callable(member) and f"{getattr(member, '__module__', '')}.".startswith(within)
    ]


def import_own_module(name: str, where: str) -> ModuleType:
    """Return a module of somebody's own; `where` names what asks for it.

    Raises:
        RecsysError: if it is not there, with the folders that it was looked for in, or if it cannot be imported.
    """
    _refuse_same_name_elsewhere(where)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise RecsysError(
                f"{where} cannot be imported: {name} imports '{error.name}', which is not there"
            ) from error
        places = ", ".join(_list_import_folders()) or "no folder"
        said = f"no module '{error.name}' in {places}"
        raise RecsysError(f"{where} cannot be imported ({said}), expected {EXPECTED}") from None
    except Exception as error:  # whatever code of somebody's own raises
        raise RecsysError(f"{where} cannot be imported ({describe_error(error)}), expected {EXPECTED}") from error


@contextmanager
def search_folder(folder: Path | None) -> Iterator[None]:
    """Have `folder` at the end of the import path; None changes nothing."""
    if folder is None:
        yield
        return
    entry = folder.resolve()
    with _lock:
        before = set(sys.modules)
        sys.path.append(str(entry))
        _searched_folders.append(entry)
        try:
            yield
        finally:
            _searched_folders.pop()
            if str(entry) in sys.path:  # the last one: code that was imported may have changed the path
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(str(entry))]
            found = {name for name in set(sys.modules) - before if _is_loaded_from(name, entry)}
            _folder_of_module.update(dict.fromkeys(found, entry))


def name_extension(found: Any, known: Mapping[str, Any], *, importable: bool = False) -> str:
    """Return the name of an object: its name in `known`, or "package.module:function".

    >>> name_extension(len, {}), name_extension(len, {"length": len})
    ('builtins:len', 'length')

    Raises:
        RecsysError: with `importable`, where another process could not import the object by that name.
    """
    for name, member in known.items():
        if member is found:
            return name
    name = f"{getattr(found, '__module__', None)}:{getattr(found, '__qualname__', type(found).__qualname__)}"
    if importable and not is_importable(name, found):
        raise RecsysError(f"'{name}' cannot be named: expected a function or class at the top of a module")
    return name


def list_settings(extension: Callable[..., Any], where: str, n_inputs: int = 0) -> dict[str, Parameter]:
    """Return the settings of an extension: its parameters after the first `n_inputs`, by name.

    Raises:
        RecsysError: if it does not say what it takes.
    """
    try:
        kept = isinstance(extension, Hashable)
        parameters = _read_parameters(extension) if kept else signature(extension).parameters
    except (ValueError, TypeError) as error:
        raise RecsysError(f"{where} cannot be read ({error}), expected a function that says what it takes") from None
    return dict(list(parameters.items())[n_inputs:])


@lru_cache(maxsize=256)
def _read_parameters(extension: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Return the parameters of an extension, by name: kept, because each request reads those of its blend."""
    return signature(extension).parameters


def check_settings(
    where: str, known: Mapping[str, Parameter], given: Mapping[str, Any], *others: str, noun: str = "setting"
) -> dict[str, Any]:
    """Return settings as Python's own values, held against the defaults of an extension's parameters.

    A setting whose default is text takes text, a whole number a whole number of 64 bits, another number any number. One
    whose default is None takes None, and beside it a number where its annotation says so ("int | None"). All others
    take anything. `others` are names beside them, for errors.

    Raises:
        RecsysError: for a setting that it does not take (with the nearest one), that it lacks, or of another type.
    """
    checked: dict[str, Any] = {}
    for name, found in given.items():
        if name not in known:
            raise make_unknown_name_error(noun, name, [*known, *others], where=where)
        checked[name] = _check_setting(f"{where}: {name}", found, known[name])
    lacking = [name for name, one in known.items() if one.default is one.empty and name not in checked]
    if lacking:
        raise RecsysError(f"{where} has no {lacking[0]}, expected one")
    return checked


def _check_setting(place: str, value: Any, setting: Parameter) -> Any:
    """Return a setting as Python's own: of the kind of its default, or of its annotation where that is None."""
    value, default = convert_to_python(value), setting.default
    if default is None and value is not None:
        default = _ZEROS.get(_read_optional_kind(setting.annotation))
    if isinstance(default, bool):
        return check_flag(place, value)
    if isinstance(default, str) and not isinstance(value, str):
        raise RecsysError(f"{place} is {value!r}, expected text")
    if isinstance(default, int):
        value = check_int(place, value)
    elif isinstance(default, float) and not (isinstance(value, float) and value == default):  # which may be infinity
        value = check_number(place, value, -math.inf)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RecsysError(f"{place} is {value}, expected a whole number of 64 bits")
    return value


def _read_optional_kind(annotation: Any) -> str:
    """Return the one type that stands beside None in an annotation, as it is written; "" for none or several.

    >>> _read_optional_kind(int | None), _read_optional_kind("float|None"), _read_optional_kind(Parameter.empty)
    ('int', 'float', '')
    """
    said = annotation if isinstance(annotation, str) else str(annotation)
    if said.startswith("typing.Optional["):
        said = said.removeprefix("typing.Optional[").removesuffix("]")
    beside = [kind.strip() for kind in said.split("|") if kind.strip() != "None"]
    return beside[0] if len(beside) == 1 and beside[0] in _ZEROS else ""


def list_public(module: ModuleType) -> Mapping[str, Any]:
    """Return what a module exports, by name, without a copy: each request looks up the objectives of its blend."""
    return _PublicNames(module)


class _PublicNames(Mapping[str, Any]):
    """The names of a module's `__all__`."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getitem__(self, name: str) -> Any:
        if name not in self._module.__all__:
            raise KeyError(name)
        return getattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module.__all__)

    def __len__(self) -> int:
        return len(self._module.__all__)


def is_importable(name: str, found: Any) -> bool:
    """Return whether "package.module:function" is the name by which an object can be imported.

    >>> is_importable("math:sqrt", len), is_importable("builtins:len", len)
    (False, True)
    """
    module, _, attribute = name.partition(":")
    there: Any = sys.modules.get(module)
    for part in attribute.split("."):
        there = getattr(there, part, None)
    return there is found


def _refuse_same_name_elsewhere(where: str) -> None:
    """Refuse a module of the folder that is searched where one of that name came from another such folder."""
    if not _searched_folders:
        return
    entry = _searched_folders[-1]
    for known, folder in _folder_of_module.items():
        file = entry.joinpath(*known.split("."))
        there = file.with_name(f"{file.name}.py").is_file() or (file / "__init__.py").is_file()
        if entry != folder and there and _is_loaded_from(known, folder):
            raise RecsysError(
                f"{where} cannot be imported: module '{known}' of {folder} is loaded already, "
                f"expected another name for that of {entry}"
            )


def _is_loaded_from(name: str, folder: Path) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and folder in Path(file).resolve().parents


def _list_import_folders() -> list[str]:
    """Return the folders that imports look through, without those of the standard library."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("DESTSHARED")}
    shown = [str(Path(entry).resolve()) for entry in sys.path if entry not in standard]
    return list(dict.fromkeys(one for one in shown if Path(one).is_dir()))
