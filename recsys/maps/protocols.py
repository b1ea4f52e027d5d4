"""How families of maps are made alike on every machine: their committed settings, seeds, and one thread."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recsys import seeds, shipped


def protocol() -> dict[str, Any]:
    """Return the settings in `configs/audit.toml`, by method."""
    return tomllib.loads((shipped.folder("configs") / "audit.toml").read_text(encoding="utf-8"))


def drawn(seed: int, *names: str | int) -> int:
    """Return the seed of one map, as scikit-learn takes it."""
    return seeds.derive(seed, "maps", *names) % 2**32


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit every pool to one thread: how sums are shared among threads changes their last bits."""
    import sklearn.cluster
    import sklearn.decomposition  # noqa: F401  a pool can only be limited once it is loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
