"""The memory at hand: what the machine has left, and what the control groups of this process allow."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class _ControlGroups(NamedTuple):
    """Where one version of Linux's control groups keeps limits, and what it calls them."""

    mount: str
    limit: str
    usage: str
    reclaimable: str  # in memory.stat: file pages that the kernel gives back before it refuses memory


_VERSION_1 = _ControlGroups(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_VERSION_2 = _ControlGroups("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def read_available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes of memory that this process can still take, None where the system does not say.

    The least of what the machine has without swapping (`psutil`), and of the limit minus the usage of each control
    group (version 1 or 2) around the process: a container has the memory of its group, not that of its machine. `root`
    is the root of the file system.
    """
    import psutil  # 30 ms, for a process that fits or compares

    try:
        found = [int(psutil.virtual_memory().available)]
    except (OSError, RuntimeError):
        found = []
    return min([*found, *_iter_group_room(root)], default=None)


def _iter_group_room(root: Path) -> Iterator[int]:
    """Yield what each control group around this process has left."""
    for kind, group in _iter_groups(root):
        for path in (group, *group.parents):
            room = _read_group_room(root / kind.mount / path.relative_to("/"), kind)
            if room is not None:
                yield room


def _iter_groups(root: Path) -> Iterator[tuple[_ControlGroups, PurePosixPath]]:
    """Yield the groups of this process that can have a limit of memory; inside a container, as the container sees them.

    A line of /proc/self/cgroup is number:controllers:path, with number 0 and no controllers for version 2.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            continue
        if number == "0" and not controllers:
            yield _VERSION_2, PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield _VERSION_1, PurePosixPath(path)


def _read_group_room(folder: Path, kind: _ControlGroups) -> int | None:
    """Return the bytes up to a group's limit, at least 0; None where it has no limit, or is not there."""
    limit, usage = _read_number(folder / kind.limit), _read_number(folder / kind.usage)
    if limit is None or usage is None:
        return None
    return max(0, limit - max(0, usage - _read_reclaimable(folder / "memory.stat", kind.reclaimable)))


def _read_number(path: Path) -> int | None:
    """Return the whole number in a file, None where there is none: "max" is no limit."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def _read_reclaimable(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    found = dict(line.split(maxsplit=1) for line in lines if line.count(" ") == 1)
    return int(found[name]) if found.get(name, "").isdecimal() else 0
