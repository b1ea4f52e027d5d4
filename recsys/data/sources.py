"""A dataset's files, from the first source that gives them, checked, and kept in the data folder."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recsys.data.archives import refuse_special
from recsys.data.cards import Archive, Card, Layout, Local, Package, Source, card
from recsys.data.checksums import sha256, verify
from recsys.data.downloads import download_archive, download_wheel, file_name
from recsys.data.folders import data_folder
from recsys.data.locations import locate
from recsys.files import replacing, temporary_folder, write_text
from recsys.stored_arrays import read_json
from recsys.types import RecsysError
from recsys.types.extras import needs_extra

RECORD = "source.json"


@dataclass(frozen=True)
class Landed:
    """Files that are there: from which source, in which layout, with which checksums."""

    source: str
    layout: str
    checksums: Mapping[str, str]  # file name -> sha256
    checked: str = ""  # in words: which checksums were compared with those of the card


@dataclass(frozen=True)
class _Attempt:
    label: str
    layout: str
    get: Callable[[Path], Path]  # temporary folder -> archive, folder or file


@needs_extra("recsys.data.fetch")
def fetch(name: str, data_dir: str | Path | None = None, quiet: bool = False, path: str | Path | None = None) -> Path:
    """Return the folder with the files of dataset `name`, fetched if they are not there.

    The data folder is looked through first, then the card's sources are tried in turn. Where one gives the files, it
    is said on standard error why those before it did not. With `path` only that is tried: an archive, an unpacked
    folder, or a single file.

    Raises:
        RecsysError: if no source gives the files (with the reason of each), or if they cannot be written.
    """
    wanted, root = card(name), data_folder(data_dir)
    folder = root / name
    if path is None and landed(wanted, folder) is not None:
        return folder
    attempts = _attempts(wanted, root, quiet) if path is None else _given(wanted, Path(path))
    reasons: list[str] = []
    for attempt in attempts:
        layout = wanted.layouts[attempt.layout]
        with _workplace(root) as temporary:
            try:
                there = attempt.get(temporary)
                files = _files(there, name, layout, temporary)
                checksums = {one.name: verify(files[one.name], one.sha256) for one in layout.files}
                checked = _checked(there, wanted, layout)
            except RecsysError as error:
                reasons.append(f"{attempt.label}: {error}")
                continue
            _land(files, folder, Landed(attempt.label, attempt.layout, checksums, checked), temporary)
        for reason in reasons if path is None else ():
            _say(f"{name}: {reason}", quiet)
        _say(f"{name}: from {attempt.label}, {checked}, now in {folder}", quiet)
        return folder
    raise RecsysError(f"cannot fetch {name}: " + "; ".join(reasons))


def landed(wanted: Card, folder: Path) -> Landed | None:
    """Return what is in `folder`; None unless all files of one of the card's layouts are there."""
    try:
        content = read_json(folder / RECORD)
        there = Landed(
            str(content["source"]), str(content["layout"]), dict(content["checksums"]), str(content.get("checked", ""))
        )
        files = wanted.layouts[there.layout].files
    except (ValueError, KeyError, TypeError):
        return None
    fits = all(one.name in there.checksums and one.sha256 in (None, there.checksums[one.name]) for one in files)
    return there if fits and all((folder / one.name).is_file() for one in files) else None


def check_unchanged(there: Landed, folder: Path) -> None:
    """Hash the files in `folder` again, before they are parsed.

    Raises:
        RecsysError: if one is not what was fetched.
    """
    for name, checksum in there.checksums.items():
        try:
            verify(folder / name, checksum)
        except RecsysError as error:
            raise RecsysError(f"{folder}: {error}: changed since it was fetched, remove the folder") from error


def _given(wanted: Card, path: Path) -> list[_Attempt]:
    refuse_special(path)
    if not path.exists():
        raise RecsysError(f"{path}: no such file")
    return [_Attempt(str(path), layout, partial(_there, path)) for layout in wanted.layouts]


def _attempts(wanted: Card, root: Path, quiet: bool) -> Iterator[_Attempt]:
    by_hand = {one: _put_by_hand(wanted, one, root) for one in wanted.sources}
    for source, paths in by_hand.items():
        for path in paths:
            yield _Attempt(str(path), source.layout, partial(_there, path))
    for source, paths in by_hand.items():
        if isinstance(source, Archive):
            yield _Attempt(source.url, source.layout, partial(download_archive, source, quiet=quiet))
        elif isinstance(source, Package):
            label = f"the package {source.name}=={source.version}"
            yield _Attempt(label, source.layout, partial(download_wheel, source, quiet=quiet))
        elif not paths:
            yield _Attempt(" or ".join(source.files), source.layout, partial(_absent, root))


def _put_by_hand(wanted: Card, source: Source, root: Path) -> list[Path]:
    if isinstance(source, Package):
        return []
    names = source.files if isinstance(source, Local) else (file_name(source),)
    places = [folder / name for name in names for folder in (root, root / wanted.name)]
    return [path for path in places if path.is_file() or _unpacked(path, wanted.layouts[source.layout])]


def _there(path: Path, temporary: Path) -> Path:
    return path


def _absent(root: Path, temporary: Path) -> Path:
    raise RecsysError(f"not in {root}")


def _files(path: Path, name: str, layout: Layout, temporary: Path) -> dict[str, Path]:
    """Return where each file of the layout is, by its name, unpacked if need be."""
    if path.is_dir() or path.suffix.lower() in (".zip", ".whl"):
        folder = locate(path, name, [one.file for one in layout.files], temporary)
        return {one.name: folder / one.name for one in layout.files}
    suffix = Path(layout.interactions.name).suffix
    if len(layout.files) > 1 or path.suffix.lower() != suffix:
        expected = "an archive or a folder with " + ", ".join(one.name for one in layout.files)
        raise RecsysError(f"expected {expected}" + ("" if len(layout.files) > 1 else f", or a {suffix} file"))
    return {layout.interactions.name: path}


def _checked(path: Path, wanted: Card, layout: Layout) -> str:
    """Return what is known of files in `path` that were taken, in words."""
    archives = [one.sha256 for one in wanted.sources if not isinstance(one, Local)]
    if path.is_file() and sha256(path) in archives:
        return f"checked: sha256 of {path.name}"
    known = [one.name for one in layout.files if one.sha256]
    others = [one.name for one in layout.files if not one.sha256]
    if not known:
        return "not checked: the card has no sha256 of these files; their counts are compared when they are loaded"
    return f"checked: sha256 of {', '.join(known)}" + (f"; not of {', '.join(others)}" if others else "")


def _unpacked(path: Path, layout: Layout) -> bool:
    return all((path / one.name).is_file() for one in layout.files)


def _land(files: Mapping[str, Path], folder: Path, what: Landed, workplace: Path) -> None:
    # The record comes last: without it the files do not count as there.
    for name, path in files.items():
        target = folder / name
        if path.resolve() == target.resolve():
            continue
        with replacing(target) as temporary:
            if workplace in path.parents:
                path.replace(temporary)
            else:
                shutil.copyfile(path, temporary)
    content = {"source": what.source, "layout": what.layout, "checksums": what.checksums, "checked": what.checked}
    write_text(folder / RECORD, json.dumps(content, indent=1) + "\n")


@contextmanager
def _workplace(root: Path) -> Iterator[Path]:
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with temporary_folder(root) as folder:
            yield folder
    except OSError as error:
        raise RecsysError(f"cannot write in {root}: {error.strerror or error}") from error
    finally:
        if made:
            with suppress(OSError):  # only what is empty is removed
                root.rmdir()


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr)
