"""Warm-up: compiles and checks beforehand what a server would compile and check at its first request."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from recsys.rankers.rankers import Ranker
from recsys.types import Items, Split, TasteMap
from recsys.types.arrays import Csr, make_empty_matrix

BLEND = {"relevance": 1.0, "mmr": 0.1, "negative_space": 0.1}


@dataclass(frozen=True)
class WarmupResult:
    """The time that a warm-up took, and where compiled code is kept."""

    seconds: float
    compiled: Path | None  # where compiled code is kept, None where there is no place for it
    policy: str = ""  # of the ranker that was checked


def warmup(folder: str | Path | None = None) -> WarmupResult:
    """Compile the code of requests and keep it on disk for later processes; check a saved ranker from end to end.

    With `folder`, every file of the ranker is held against its checksum, and requests of its own blend are answered;
    without, those of a made-up one.

    Raises:
        RecsysError: if the folder is damaged or no saved ranker.
    """
    start = time.perf_counter()
    ranker = build_synthetic_ranker() if folder is None else Ranker.load(folder, verify=True)
    return WarmupResult(time.perf_counter() - start, get_cache_folder(), "" if folder is None else ranker.name)


def get_cache_folder() -> Path | None:
    """Return the folder in which compiled code is kept, None where every process compiles anew."""
    from recsys.kernels.greedy import pick_greedily

    kernel: Any = pick_greedily  # compiled
    try:
        return Path(kernel.stats.cache_path)
    except (AttributeError, TypeError):
        return None


def build_synthetic_ranker() -> Ranker:
    """Return a small ranker without a model, for a log of eight users and twelve items."""
    users, count = 8, 12
    train = Csr(sparse.csr_array((np.add.outer(np.arange(users), np.arange(count)) % 3 == 0).astype(np.float32)))
    ids = np.arange(count).astype(str)
    none = make_empty_matrix(train.shape)
    items = Items(ids, ids, make_empty_matrix((count, 1)), ("",), np.zeros(count, np.int32))
    split = Split("whole", 0, np.arange(users).astype(str), items, train, none, none, none, none)
    region = (np.ones(count, np.float32), (np.arange(count), np.arange(count) % 4))
    maps = [TasteMap("made up", Csr(region, shape=(count, 4)), "made up")]
    return Ranker.fit(None, split, BLEND, maps=maps, scale=None, k=3, n=count)
