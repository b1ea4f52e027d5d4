"""Carry datasets/ and configs/ in the wheel; an editable install reads them from the checkout."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedFiles(BuildHookInterface):
    """Map the two folders into the package, for a built wheel only."""

    def initialize(self, version, build_data):
        """Add the mapping; an editable one would create an empty `recsys` that shadows the checkout."""
        if version == "standard":
            build_data["force_include"] |= {"datasets": "recsys/_shipped/datasets", "configs": "recsys/_shipped/configs"}
