"""Carry datasets/ and configs/ in the wheel; make an editable install find `recsys` in the checkout alone."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FINDER = "_recsys_negspace_editable"
SOURCE = '''"""Find the package recsys in the checkout that it was installed from, unless another stands on the path."""

import sys
from importlib.machinery import PathFinder

CHECKOUT, LINKS = {checkout!r}, {links!r}


class Finder:
    """Stands before the usual finder: the modules of the checkout are files of the checkout, not of the link to it."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return the package of the checkout, unless another one stands on the path."""
        if name != "recsys":
            return None
        found = PathFinder.find_spec(name, path, target)
        elsewhere = found is not None and found.origin is not None and not found.origin.startswith(LINKS)
        return found if elsewhere else PathFinder.find_spec(name, [CHECKOUT], target)


sys.meta_path.insert(0, Finder)
'''


class Shipped(BuildHookInterface):
    """What a built wheel carries beside the package, and what an editable one holds in its place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files of a wheel, or of an editable install."""
        if version == "standard":
            self._carry(build_data["force_include"])
        else:
            self._link(build_data["force_include_editable"])

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written for an editable wheel: it holds a copy."""
        if version != "standard":
            self._made.cleanup()

    def _carry(self, included: dict[str, str]) -> None:
        for folder in ("datasets", "configs"):
            for path in sorted(Path(self.root, folder).rglob("*.toml")):
                included[str(path)] = f"recsys/_shipped/{path.relative_to(self.root).as_posix()}"

    def _link(self, included: dict[str, str]) -> None:
        """Write the finder that imports go by; type checkers run none and follow a link, where links can be made."""
        links = Path(self.root, *self.build_config.dev_mode_dirs)
        with suppress(OSError):
            links.mkdir(parents=True, exist_ok=True)
            (links / "recsys").symlink_to(Path(os.path.relpath(self.root, links), "recsys"), target_is_directory=True)
        self._made = TemporaryDirectory()
        source = SOURCE.format(checkout=str(Path(self.root)), links=str(links) + os.sep)
        for name, text in ((f"{FINDER}.py", source), (f"{FINDER}.pth", f"import {FINDER}\n")):
            path = Path(self._made.name, name)
            path.write_text(text, encoding="utf-8")
            included[str(path)] = name
