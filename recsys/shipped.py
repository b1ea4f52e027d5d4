"""Where the dataset cards and the default configs are: in the wheel, or in the checkout."""

from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder of `name`, "datasets" or "configs"."""
    package = Path(__file__).parent
    inside = package / "_shipped" / name
    return inside if inside.is_dir() else package.parent / name
