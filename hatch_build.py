"""Carry datasets/ and configs/ in the wheel; an editable install reads them from the checkout."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedFiles(BuildHookInterface):
    """Map the TOML files of the two folders into the package, for a built wheel only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the mapping; an editable one would create an empty `recsys` that shadows the checkout."""
        if version != "standard":
            return
        for folder in ("datasets", "configs"):
            for path in sorted(Path(self.root, folder).rglob("*.toml")):
                place = path.relative_to(self.root).as_posix()
                build_data["force_include"][str(path)] = f"recsys/_shipped/{place}"
