"""Files from the network: over HTTP, or as a wheel of the Python package index."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from recsys.data.archives import verify_checksum
from recsys.data.cards import Archive, Package
from recsys.support.progress import show_progress
from recsys.types import RecsysError

if TYPE_CHECKING:
    from requests import RequestException
    from rich.progress import Progress

TIMEOUT_SECONDS = 10  # seconds, to connect and between two pieces of an answer; there is no second try
MAX_DOWNLOAD_BYTES = 2 * 2**30  # bytes, where a card does not say how many there are


def download_archive(source: Archive, folder: Path, quiet: bool = False) -> Path:
    """Return the file at the source's address, checked, in `folder`.

    Raises:
        RecsysError: why it could not be had, in one line.
    """
    import pooch
    import requests

    target = folder / get_file_name(source)
    with show_progress(quiet) as bars:
        bar = _DownloadBar(bars, target.name, source.bytes)
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT_SECONDS)
        try:
            get(source.url, str(target), None)
        except requests.RequestException as error:
            raise RecsysError(_describe_http_error(error)) from error
    verify_checksum(target, source.sha256)
    return target


def get_file_name(source: Archive) -> str:
    """Return the last part of the source's address."""
    return unquote(urlsplit(source.url).path).rsplit("/", 1)[-1]


def download_wheel(source: Package, folder: Path, quiet: bool = False) -> Path:
    """Return the wheel of a package, checked, in `folder`; the ordinary installer fetches it, nothing is installed.

    Raises:
        RecsysError: why it could not be had, in one line.
    """
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    network = ["--retries", "0", "--timeout", str(TIMEOUT_SECONDS)]
    wanted = f"{source.name}=={source.version}"
    with show_progress(quiet) as bars:
        bars.add_task(wanted, total=None)
        _run_installer([*_find_installer(), "download", *options, *network, "--dest", str(folder), wanted], folder)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise RecsysError(f"expected one wheel, found {len(wheels)}")
    verify_checksum(wheels[0], source.sha256)
    return wheels[0]


class _DownloadBar:
    """The interface of a progress bar that pooch asks for."""

    def __init__(self, bars: "Progress", label: str, size: int | None) -> None:
        self.total = size or 0
        self._most = size or MAX_DOWNLOAD_BYTES
        self._done = 0
        self._bars, self._task = bars, bars.add_task(label, total=size)

    def update(self, n: int) -> None:
        """Count n more bytes (pooch counts whole pieces)."""
        self._done += n
        if self._done > self._most + (1 << 20):
            raise RecsysError(f"longer than the {self._most:,} bytes expected")
        self._bars.update(self._task, completed=self._done, total=self.total or None)

    def reset(self) -> None:
        """Start the count again."""
        self._done = 0

    def close(self) -> None:
        """Leave the bar to its owner."""


def _find_installer() -> list[str]:
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "tool", "run", "pip"]
    raise RecsysError(f"needs pip: run '{sys.executable} -m ensurepip', or install uv")


def _run_installer(command: Sequence[str], folder: Path) -> None:
    # In its own folder: a pip.py where the user happens to be must not be run.
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30 * TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise RecsysError(f"no end after {30 * TIMEOUT_SECONDS} seconds") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
        if errors[-1:] == ["Exception:"]:  # what it was is the last line of the traceback below
            errors = lines[-1:]
        raise RecsysError((errors or lines or [f"exit code {done.returncode}"])[-1])


_REASONS = (
    ("timed out", f"no answer within {TIMEOUT_SECONDS} seconds"),
    ("NameResolution", "its name cannot be resolved"),
    ("NewConnection", "no connection"),
)


def _describe_http_error(error: "RequestException") -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    known = (reason for sign, reason in _REASONS if sign in str(error))
    return next(known, f"the connection broke off ({type(error).__name__})")
