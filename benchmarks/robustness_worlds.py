"""What the kinds of `robustness.py` share: a small world, hostile values, and mutations of bytes and text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Generator = np.random.Generator

NUMBERS = (
    0, -1, 1, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63, 10**400, 1e303, -1e303, 1e39, 1e38, 1e-300, 5e-324, -0.0,
    float("nan"), float("inf"), float("-inf"), 0.5, 1.5, True, False,
)  # fmt: skip
WORDS = (
    "", " ", "x[/]", "[bold red]rich[/]", "a" * 300, "\x00", "\x1b[31mred", "tab\there", "two\nlines",
    "=cmd|' /C x'!A1",
    "<script>alert(1)</script>", "\u202eabc", "é" * 200, "..", "../up",
    "/dev/null/x", "a/b", "con", "💥",
    "%s %(x)s {}",
    "`x`", "|", "\\", "$x$", "-1", "1e3", "nan", "None", "true", "'", '"', '""', "a,b", "a;b", "::", "0", "007",
    "relevance", "als",
)  # fmt: skip


class Difference(Exception):  # noqa: N818  it is no error of the package that it tells
    """A result is not what it must be, and nothing says so."""


def pick_one(rng: Generator, values: Sequence[Any]) -> Any:
    """Return one of the values as it is."""
    return values[int(rng.integers(len(values)))]


def draw_hostile_value(rng: Generator) -> Any:
    """Return a value that nobody expects."""
    kinds = [NUMBERS, WORDS, ([], {}, None, [[]], {"weight": {}}, b"bytes", object(), np.zeros((2, 2)), [1, "a", None])]
    return pick_one(rng, pick_one(rng, kinds))


def mutate_bytes(content: bytes, rng: Generator) -> bytes:
    """Return other bytes: some bits flipped, the end cut off, a stretch overwritten, removed or written twice."""
    if not content:
        return b"\x00"
    made, how = bytearray(content), int(rng.integers(6))
    at = int(rng.integers(len(made)))
    if how <= 2:
        for place in rng.integers(0, len(made), how + 1):
            made[int(place)] ^= 1 << int(rng.integers(8))
    elif how == 3:
        del made[at:]
    elif how == 4:
        stretch = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
        made[at : at + len(stretch)] = stretch
    else:
        stop = min(at + int(rng.integers(1, 40)), len(made))
        made[at:stop] = b"" if rng.random() < 0.5 else 2 * made[at:stop]
    return bytes(made) if bytes(made) != content else content + b"\x00"


def write_world(folder: Path, users: int = 60, items: int = 40) -> Path:
    """Write a log of two tastes with ratings and times as ratings.csv, items.csv beside it; return its path."""
    rng, rows = np.random.default_rng(0), []
    for user in range(users):
        liked = rng.permutation(items // 2)[:12] + items // 2 * (user % 2)
        for t, item in enumerate(dict.fromkeys([*liked, *rng.permutation(items)[:4]])):
            rows.append((f"u{user}", f"i{item}", int(rng.integers(3, 6)), 1_000_000_000 + 1000 * t + user))
    path = folder / "ratings.csv"
    pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"]).to_csv(path, index=False)
    catalogue = pd.DataFrame({"item_id": [f"i{i}" for i in range(items)], "title": [f"Film {i}" for i in range(items)]})
    catalogue["genres"] = [("Drama|War", "Comedy", "War", "Drama")[i % 4] for i in range(items)]
    catalogue.to_csv(folder / "items.csv", index=False)
    return path
