"""Checks of the values of a card, beyond their types."""

import codecs
import re
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

from recsys.data.cards import Card, File, Layout, Source
from recsys.data.columns import ITEM_FIELDS, LOG_FIELDS
from recsys.types import RecsysError, make_unknown_name_error


def check_card_values(card: Card, place: str) -> None:
    """Refuse a card with invalid values; `place` names it.

    Raises:
        RecsysError: one line with the first of them.
    """
    for where, found, expected in _find_wrong_values(card):
        raise RecsysError(f"{place}: {where}: found {str(found)!r:.60}, expected {expected}")
    for name, layout in card.layouts.items():
        described = [("items", layout.items), ("tags", layout.tags), ("tag_names", layout.tag_names)]
        logs = [("interactions", file) for file in (layout.interactions, *layout.more_interactions)]
        for part, file in (*logs, *described):
            if file is not None:
                _check_columns(file, part, f"{place}: layouts.{name}.{part}")
        _check_files_together(layout, f"{place}: layouts.{name}")


def _find_wrong_values(card: Card) -> Iterator[tuple[str, object, str]]:
    """Yield the place of each wrong value, the value, and the expected one."""
    for what in ("users", "items", "interactions", "rows"):
        count = getattr(card.expected, what)
        if count is not None and count < 1:
            yield f"expected.{what}", count, "1 or more"
    for number, source in enumerate(card.sources, start=1):
        for where, found, expected in _find_wrong_in_source(source):
            yield f"sources.{number}.{where}", found, expected
    for name, layout in card.layouts.items():
        for file in layout.files:
            for where, found, expected in _find_wrong_in_file(file):
                yield f"layouts.{name}: {file.file}: {where}", found, expected
        if len({file.name for file in layout.files}) < len(layout.files):
            yield f"layouts.{name}", ", ".join(file.file for file in layout.files), "files of different names"
    rules = card.rules
    if rules.keep_items is not None and not _is_regex(rules.keep_items):
        yield "rules.keep_items", rules.keep_items, "a regular expression"
    least = {"tags.min_items": rules.tags.min_items, "tags.min_users": rules.tags.min_users}
    for where, value in {**least, **({"words.min_items": rules.words.min_items} if rules.words else {})}.items():
        if value < 1:
            yield f"rules.{where}", value, "1 or more"


def _find_wrong_in_source(source: Source) -> Iterator[tuple[str, object, str]]:
    url, sha256, size = (getattr(source, key, None) for key in ("url", "sha256", "bytes"))
    if url is not None and not _is_url(url):
        yield "url", url, "an address that begins with http:// or https:// and ends in the name of a file"
    if sha256 is not None and not _is_sha256(sha256):
        yield "sha256", sha256, "64 hexadecimal digits in lower case"
    if size is not None and size < 1:
        yield "bytes", size, "1 or more"
    files = getattr(source, "files", None)
    if files is not None and not files:
        yield "files", "", "at least one name"
    for file in files or ():
        if not _is_safe_relative_path(file):
            yield "files", file, "names below the data folder"
    for key in ("name", "version"):
        value = getattr(source, key, None)
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+!-]*", value):
            yield key, value, "that of a package"


def _find_wrong_in_file(file: File) -> Iterator[tuple[str, object, str]]:
    if not _is_safe_relative_path(file.file):
        yield "file", file.file, "a path inside the archive"
    if file.sha256 is not None and not _is_sha256(file.sha256):
        yield "sha256", file.sha256, "64 hexadecimal digits in lower case"
    if not _is_encoding(file.encoding):
        yield "encoding", file.encoding, "the name of an encoding of text, such as utf-8"
    for key in ("delimiter", "separator"):
        value = getattr(file, key)
        if not value or not value.replace("\t", " ").isprintable():
            yield key, value, "one or more characters that can be printed, or a tab"
    if len(set(file.header)) < len(file.header):
        yield "header", ", ".join(file.header), "different names"
    if file.source is not None and not file.source.strip():
        yield "source", file.source, "a name"
    for flag in file.flags:
        if file.header and flag not in file.header:
            yield "flags", flag, f"names in header: {', '.join(file.header)}"


def _check_files_together(layout: Layout, place: str) -> None:
    """Refuse files of a log with different fields, and names of tags without tags."""
    fields = {*layout.interactions.columns}
    for file in layout.more_interactions:
        if {*file.columns} != fields or (file.source is None) != (layout.interactions.source is None):
            raise RecsysError(
                f"{place}: more_interactions: {file.file}: found {', '.join(sorted(file.columns))}, expected the "
                f"fields of {layout.interactions.file}, {', '.join(sorted(fields))}, and a source for all or none"
            )
    if layout.tag_names is not None and layout.tags is None:
        raise RecsysError(f"{place}: tag_names: found no tags that they name, expected [layouts.<name>.tags]")


def _check_columns(file: File, part: str, place: str) -> None:
    needed = {
        "interactions": ("user_id", "item_id"),
        "items": ("item_id",),
        "tags": ("item_id", "features"),
        "tag_names": ("item_id", "title"),
    }[part]
    made = {"lists": ("user_id", "item_id"), "matrix": ("user_id", "item_id", "value")}.get(file.format, file.header)
    header = (*made, file.row_numbers) if made and file.row_numbers else made
    fields = LOG_FIELDS if part == "interactions" else {**ITEM_FIELDS, "user_id": ()}
    for field, column in file.columns.items():
        if field not in fields:
            raise make_unknown_name_error("field", field, fields, f"{place}: columns")
        if header and column not in header:
            raise make_unknown_name_error("column", column, header, f"{place}: columns.{field}")
    for field in needed:
        if field not in file.columns:
            raise RecsysError(f"{place}: columns: no {field} in it, expected {', '.join(needed)}")


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _is_safe_relative_path(text: str) -> bool:
    path, windows = PurePosixPath(text), PureWindowsPath(text)
    outside = path.is_absolute() or windows.drive or windows.is_absolute() or ".." in (*path.parts, *windows.parts)
    return bool(path.name) and not outside and text.isprintable()


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    name = unquote(parts.path).rsplit("/", 1)[-1]
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and _is_safe_relative_path(name)
        and text.isprintable()
    )


def _is_encoding(text: str) -> bool:
    try:
        "a".encode(text)
        return codecs.lookup(text).name != "idna"
    except (LookupError, ValueError, TypeError):
        return False


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return True
