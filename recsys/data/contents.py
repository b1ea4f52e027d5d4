"""The bytes of a user's file as UTF-8 text: unpacked, decoded, and with one kind of line ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO

from recsys.data.archives import compute_unpack_limit, refuse_special_file
from recsys.types import RecsysError

COMPRESSION_BY_SUFFIX = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)  # fmt: skip


def check_file(path: Path) -> None:
    """Refuse whatever is no regular file, with the nearest name beside it.

    Raises:
        RecsysError: one line with the reason.
    """
    refuse_special_file(path)
    if path.is_file():
        return
    if path.is_dir():
        raise RecsysError(f"{path}: is a folder, expected a file")
    folder = path.parent
    beside = [one.name for one in folder.iterdir() if one.is_file()] if folder.is_dir() else []
    close = get_close_matches(path.name, beside, n=1, cutoff=0.5)
    hint = f": did you mean '{folder / close[0]}'?" if close else "" if folder.is_dir() else f" (no folder {folder})"
    raise RecsysError(f"{path}: no such file{hint}")


def get_base_name(path: Path) -> str:
    """Return a file's name without its folder and its suffixes: "log" for logs/log.csv.gz."""
    return Path(path.stem).stem if path.suffix.lower() in COMPRESSION_BY_SUFFIX else path.stem


def read_content(path: Path) -> bytes:
    """Return the content of a regular file, unpacked where its name ends in .gz, .zst or .bz2.

    Raises:
        RecsysError: if it cannot be read, is damaged, or unpacks to an absurd size (`recsys.data.archives`).
    """
    check_file(path)
    compression = COMPRESSION_BY_SUFFIX.get(path.suffix.lower())
    with wrap_read_errors(path):
        if compression is None:
            return path.read_bytes()
        import pyarrow as pa

        with path.open("rb") as packed, pa.CompressedInputStream(packed, compression) as stream:
            return _decompress_stream(stream, path)


def _decompress_stream(stream: IO[bytes], path: Path) -> bytes:
    limit, parts, size = compute_unpack_limit(path.stat().st_size), list[bytes](), 0
    while chunk := stream.read(1 << 20):
        size += len(chunk)
        if size > limit:
            raise RecsysError(f"{path}: unpacks to more than {limit:,} bytes: refused")
        parts.append(chunk)
    return b"".join(parts)


def decode_text(data: bytes, place: str, encoding: str | None = None) -> tuple[bytes, list[str]]:
    """Return text as UTF-8 without byte order mark, lines ending in line feeds, and a note where it was no UTF-8.

    Raises:
        RecsysError: if it holds NUL bytes, or is not in the `encoding` or in that of its byte order mark.
    """
    notes: list[str] = []
    found = (
        encoding
        or next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
        or _detect_utf16(data)
        or "utf-8"
    )
    if found != "utf-8" or not data.isascii():
        try:
            data = data.decode(found).encode() if found != "utf-8" else _check_utf8(data)
        except UnicodeDecodeError as error:
            if found != "utf-8":
                raise RecsysError(f"{place}: is not {found}: {error.reason} at byte {error.start:,}") from error
            data = data.decode("latin-1").encode()
            notes.append(f"{os.path.basename(place)} is not UTF-8: read as latin-1")  # noqa: PTH119 - a place is text
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise RecsysError(f"{place}: line {line} holds a NUL byte, expected text")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
    return data, notes


def _check_utf8(data: bytes) -> bytes:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), 1 << 20):
        decoder.decode(data[start : start + (1 << 20)])
    decoder.decode(b"", final=True)
    return data


def _detect_utf16(data: bytes) -> str | None:
    """Return UTF-16 where every other byte of the first lines is 0, as in plain text without a mark."""
    start = data[:1000]
    if len(data) % 2 or len(start) < 4:
        return None
    zeros = start[0::2].count(0), start[1::2].count(0)
    if zeros[0] == 0 and 2 * zeros[1] > 0.9 * len(start):
        return "utf-16-le"
    return "utf-16-be" if zeros[1] == 0 and 2 * zeros[0] > 0.9 * len(start) else None


@contextmanager
def wrap_read_errors(path: Path | str) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into one line about `path`."""
    import pandas as pd
    import pyarrow as pa

    broken = (OSError, EOFError, ValueError, MemoryError, pd.errors.ParserError, pa.ArrowException)
    damaged = (LookupError, TypeError, AttributeError)  # what the metadata of a damaged Parquet file comes to
    try:
        yield
    except RecsysError:
        raise
    except broken as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecsysError(f"{path}: cannot be read: {reason[:200]}") from error
    except damaged as error:
        raise RecsysError(f"{path}: cannot be read: it is damaged ({type(error).__name__}: {error})") from error
