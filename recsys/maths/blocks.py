"""Rows in blocks, where a table of all of them would take too much memory."""

from collections.abc import Iterator

DEFAULT_ROWS = 4096


def iter_blocks(n: int, size: int = DEFAULT_ROWS) -> Iterator[slice]:
    """Yield slices that cover n rows, `size` at a time; the last one ends at n.

    >>> list(iter_blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
