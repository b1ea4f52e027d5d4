"""Notes on the checks of the files that a table was run on."""

import hashlib
from pathlib import Path

from recsys.reproductions.published_settings import DataSource
from recsys.types import Dataset, RecsysError, Split


def describe_dataset(dataset: Dataset) -> str:
    """Return where a dataset came from, and which of its checksums were compared; "" if nobody recorded it."""
    source, checked = dataset.card.get("source"), dataset.card.get("checked")
    return f"files: {source}; {checked or 'it was not recorded what was checked'}" if source else ""


def describe_files(source: DataSource, folder: Path, split: Split) -> str:
    """Return whether the files of a published split are those published: by their git object ids, else by counts.

    Raises:
        RecsysError: if a file cannot be read.
    """
    same = [name for name, known in source.objects.items() if _compute_object_id(folder / name) == known]
    others = [name for name in source.files if name not in same]
    said = []
    if same:
        said.append(f"checked: {', '.join(same)} by git object id")
    if others:
        said.append(f"{', '.join(others)}: {_describe_counts(source, split)}")
    return "files: " + "; ".join(said)


def _describe_counts(source: DataSource, split: Split) -> str:
    if source.size is None:
        return "not checked, nothing is known to compare with"
    found = {
        "users": split.counts["users"],
        "items": split.counts["items"],
        "pairs": sum(split.counts[part] for part in ("train_positives", "test_positives", "repeated_positives")),
    }
    wrong = [f"{found[what]:,} {what}, expected {right:,}" for what, right in source.size if found[what] != right]
    if wrong:
        return "not the published files: " + ", ".join(wrong)
    other = "other bytes than published" if source.objects else "nothing is known to compare bytes with"
    return f"checked by counts alone, {other}"


def _compute_object_id(path: Path) -> str:
    """Return the id that git gives to the content of a file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecsysError(f"{path}: cannot be read: {error.strerror}") from error
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
