"""Where the dataset cards and the default configs are: in the wheel, or in the checkout."""

from pathlib import Path


def find_shipped_folder(name: str) -> Path:
    """Return the folder of `name`, "datasets" or "configs"."""
    package = Path(__file__).parent.parent
    inside = package / "_shipped" / name
    return inside if inside.is_dir() else package.parent / name
