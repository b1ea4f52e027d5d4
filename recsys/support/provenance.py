"""Provenance of results: packages, BLAS, commit, command line, and the source of user code."""

import ast
import hashlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from recsys.support.resolver import import_own_module
from recsys.types.secrets import mask_url_secrets

_PACKAGE_FOLDER = Path(__file__).parent.parent
_SECRET_ARGUMENT = re.compile(r"(?i)(pass(word|wd)?|secret|token|api[-_]?key|credentials?|auth)[\w-]*")
_URL_USER = re.compile(r"(?<=://)[^\s/]+@")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def list_packages() -> dict[str, str]:
    """Return the version of every installed package, by name."""
    told: list[Any] = [one.metadata for one in distributions()]  # None where a file is lacking
    found = {str(one.get("Name")): str(one.get("Version")) for one in told if one is not None and one.get("Name")}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def list_blas_libraries() -> list[dict[str, Any]]:
    """Return the libraries of BLAS and OpenMP that are loaded, with their version, kernel and number of threads."""
    from threadpoolctl import threadpool_info

    wanted = ("user_api", "internal_api", "version", "threading_layer", "architecture", "num_threads")
    found = [{name: one[name] for name in wanted if one.get(name) is not None} for one in threadpool_info()]
    return sorted(found, key=str)


def describe_threads() -> dict[str, Any]:
    """Return how many cores this process may use, and the variables that say how many threads libraries start."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {"cores": cores, **{name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ}}


@cache
def describe_git_state() -> dict[str, Any]:
    """Return the commit of the checkout that the package runs from, and whether files differ from it; None for both
    where it was installed.
    """
    commit = _run_git("rev-parse", "HEAD") if (_PACKAGE_FOLDER.parent / ".git").exists() else None
    changed = (
        None if commit is None else _run_git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    )
    return {"git_commit": commit, "git_dirty": None if changed is None else bool(changed)}


def get_command_line() -> list[str]:
    """Return the command that runs, without its folder, masked."""
    said, hidden = [], False
    for argument in [Path(one).name if i == 0 else one for i, one in enumerate(getattr(sys, "argv", []))]:
        name, equals, _ = argument.partition("=")
        secret = _SECRET_ARGUMENT.search(name) is not None and (name.startswith("-") or equals == "=")
        said.append(
            "***" if hidden else f"{mask_private_text(name)}=***" if secret and equals else mask_private_text(argument)
        )
        hidden = secret and not equals and not hidden
    return said


def mask_private_text(value: Any) -> Any:
    """Return text, or nested tables and lists of it, without passwords in URLs, and without home folder, user and host
    names in paths and addresses.

    >>> mask_private_text(["postgresql://me:secret@db.example.org/studies", 3])
    ['postgresql://***@db.example.org/studies', 3]
    """
    if isinstance(value, Mapping):
        return {name: mask_private_text(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [mask_private_text(one) for one in value]
    if not isinstance(value, str):
        return value
    text = _URL_USER.sub("***@", mask_url_secrets(value))
    home = os.path.expanduser("~")  # noqa: PTH111  where there is none, Path.home() fails
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w-])", "~", text)
    for name in _list_private_names():
        text = re.sub(rf"(?<=[/\\@]){name}(?![\w.-])|(?<![\w.-]){name}(?=@)", "***", text)
    return text


def hash_own_modules(names: Iterable[str]) -> dict[str, str]:
    """Return a hash of the source of each module that `names` such as "package.module:function" name, by module.

    It covers the module's file and those that it imports from its own package, or from its own folder. A module
    without a file, such as the `__main__` of a notebook, is "unknown"; this package's own modules are left out.

    Raises:
        RecsysError: if there is no such module.
    """
    modules = {name.partition(":")[0] for name in names if ":" in name}
    return {name: _hash_module_source(name) for name in sorted(modules) if name.partition(".")[0] != "recsys"}


def _hash_module_source(name: str) -> str:
    module = import_own_module(name, f"'{name}'")
    path = Path(getattr(module, "__file__", None) or "")
    if not path.is_file():
        return "unknown"
    files: dict[str, bytes] = {}
    _collect_sources(name, path, _find_import_root(name, path), files)
    told = hashlib.sha256()
    for found, content in sorted(files.items()):
        told.update(f"{found} {len(content)} ".encode() + content)
    return told.hexdigest()


def _find_import_root(name: str, path: Path) -> Path:
    """Return the folder that the import of a module starts from."""
    return path.parents[name.count(".") + (path.name == "__init__.py")]


def _collect_sources(name: str, path: Path, home: Path, files: dict[str, bytes]) -> None:
    """Add the source of a module, and of what it imports from its own package or folder, to `files`."""
    if name in files:
        return
    files[name] = path.read_bytes()
    if path.suffix != ".py":
        return
    shared = home.name in ("site-packages", "dist-packages") or home == Path(sysconfig.get_path("stdlib"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for imported in sorted(_list_imports(files[name], package)):
        if shared and imported.partition(".")[0] != name.partition(".")[0]:
            continue
        place = home.joinpath(*imported.split("."))
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                _collect_sources(imported, file, home, files)


def _list_imports(source: bytes, package: str) -> set[str]:
    """Return the full names of what a module of `package` imports: modules, and names in them that may be modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package and node.level else []
            above = parts[: len(parts) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{one.name}".lstrip(".") for one in node.names)}
    parents = {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 1)}
    return {name for name in found | parents if name and "*" not in name}


@cache
def _list_private_names() -> tuple[str, ...]:
    """Return the names of user and machine, as patterns."""
    import getpass

    found = {platform.node()}
    with suppress(OSError, KeyError, ImportError):
        found.add(getpass.getuser())
    return tuple(sorted(re.escape(name) for name in found if name))


def _run_git(*command: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", *command], cwd=_PACKAGE_FOLDER.parent, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return str(run.stdout).strip()
