"""Committed settings, seeds and one thread, so that families of maps are the same on every machine."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recsys.support import resources, rng


def read_map_settings() -> dict[str, Any]:
    """Return the settings in `configs/audit.toml`, by method."""
    return tomllib.loads((resources.find_shipped_folder("configs") / "audit.toml").read_text(encoding="utf-8"))


def derive_map_seed(seed: int, *names: str | int) -> int:
    """Return the seed of one map, as scikit-learn takes it."""
    return rng.derive_seed(seed, "maps", *names) % 2**32


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Limit every pool to one thread: how sums are shared among threads changes their last bits."""
    import sklearn.cluster
    import sklearn.decomposition  # noqa: F401  a pool can only be limited once it is loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
