"""Warm-up: compiles and checks beforehand what a server would compile and check at its first request."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from recsys.escaping import convert_to_one_line
from recsys.models.factor_model import FittedFactors
from recsys.rankers.rankers import Ranker
from recsys.rankers.request_blocks import FEWEST
from recsys.types import Factors, Items, RecsysError, Split, TasteMap
from recsys.types.arrays import Csr, make_empty_matrix

# Between them every objective of the fast path, whose kernels are compiled: one stands in the place of relevance.
BLENDS = (
    {"relevance": 1.0, "mmr": 0.1, "negative_space": 0.1, "unexplored": 0.1},
    {"discovery_value": 1.0, "fatigue": 0.1},
)


@dataclass(frozen=True)
class WarmupResult:
    """The time that a warm-up took, and where compiled code is kept."""

    seconds: float
    compiled: Path | None  # where compiled code is kept, None where there is no place for it
    policy: str = ""  # of the ranker that was checked

    def describe(self, folder: str | Path | None) -> list[str]:
        """Return the lines that say so, for the `folder` that was given."""
        kept = "nowhere: each process compiles anew" if self.compiled is None else str(self.compiled)
        whole = [] if folder is None else [f"ranker: {folder} is whole, policy {self.policy}"]
        return [*whole, f"compiled code: {kept} ({self.seconds:.1f} s)"]


def warmup(folder: str | Path | None = None, *, batch: bool = False) -> WarmupResult:
    """Compile the code of requests and keep it on disk for later processes; check a saved ranker from end to end.

    With `folder`, every file of the ranker is held against its checksum, and requests of its own blend are answered,
    so that what it runs is compiled, and no more; without, those of made-up rankers with factors, which between them
    have every objective of the fast path. With `batch`, the code of `rank_many` and `rerank_many` is compiled too.

    Raises:
        RecsysError: if the folder is damaged or no saved ranker.
    """
    start = time.perf_counter()
    name = ""
    if folder is None:
        for blend in BLENDS:
            _answer_retrieval(build_synthetic_ranker(blend), batch)
    else:
        ranker = Ranker.load(folder, verify=True)
        name = ranker.name
        _answer_retrieval(ranker, batch)
    return WarmupResult(time.perf_counter() - start, get_cache_folder(), name)


def run_command(arguments: Sequence[str]) -> int:
    """Run `recsys warmup` where the command line's packages are not installed, and return its exit code."""
    parser = argparse.ArgumentParser(prog="recsys warmup", description=warmup.__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?")
    parser.add_argument("--batch", action="store_true", help="Compile the code of batches too.")
    asked = parser.parse_args(arguments)
    try:
        done = warmup(asked.folder, batch=asked.batch)
    except RecsysError as error:
        print(f"recsys: {convert_to_one_line(str(error))}", file=sys.stderr)
        return 2
    print(*map(convert_to_one_line, done.describe(asked.folder)), sep="\n")
    return 0


def _answer_retrieval(ranker: Ranker, batch: bool) -> None:
    """Answer a request that retrieves, or a batch: one that re-ranks was answered when the ranker was made."""
    history = ranker.context.item_ids[:1].tolist()
    if isinstance(ranker.model, FittedFactors):  # other models retrieve without compiled code
        ranker.rank(history=history)
        if batch:
            ranker.rank_many(histories=[history] * FEWEST)


def get_cache_folder() -> Path | None:
    """Return the folder in which compiled code is kept, None where every process compiles anew."""
    from recsys.kernels.greedy import pick_greedily

    kernel: Any = pick_greedily  # compiled
    try:
        return Path(kernel.stats.cache_path)
    except (AttributeError, TypeError):
        return None


def build_synthetic_ranker(blend: Mapping[str, float]) -> Ranker:
    """Return a small ranker of the blend, with made-up factors, for a log of eight users and twelve items."""
    users, count = 8, 12
    train = Csr(sparse.csr_array((np.add.outer(np.arange(users), np.arange(count)) % 3 == 0).astype(np.float32)))
    ids = np.arange(count).astype(str)
    none = make_empty_matrix(train.shape)
    items = Items(ids, ids, make_empty_matrix((count, 1)), ("",), np.zeros(count, np.int32))
    split = Split("whole", 0, np.arange(users).astype(str), items, train, none, none, none, none)
    region = (np.ones(count, np.float32), (np.arange(count), np.arange(count) % 4))
    maps = [TasteMap("made up", Csr(region, shape=(count, 4)), "made up")]
    user, item = np.ones((users, 2), np.float32), np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    model = FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))
    return Ranker.fit(model, split, blend, maps=maps, scale=None, k=3, n=count)
