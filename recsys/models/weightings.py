"""How much an entry of a sparse row says, and how near two rows are by it."""

from collections.abc import Callable

import numpy as np

from recsys.models.neighbours import blocks, stacked, strongest
from recsys.types.arrays import Anys, Csr, Doubles
from recsys.types.errors import check_choice

_K1, _B = 1.2, 0.75

_SAID: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "cosine": lambda values, length: values,
    "tfidf": lambda values, length: np.sqrt(values),
    "bm25": lambda values, length: values * (_K1 + 1.0) / (_K1 * (1.0 - _B + _B * length) + values),
}


def known_similarity(model: str, name: str) -> None:
    """Refuse a similarity that there is none of."""
    check_choice("similarity", name, _SAID, where=model)


def said(similarity: str, values: Anys, length: Doubles) -> Doubles:
    """Return what entries say by their values and the lengths of the rows they are in: x, sqrt(x) or BM25's saturation.

    BM25 (Robertson et al. 1994): 2.2 x / (1.2 (0.25 + 0.75 length) + x), with length 1 that of the average row.
    """
    return _SAID[similarity](values.astype(np.float64), length)


def rarities(rows: Csr, similarity: str) -> Doubles:
    """Return log(N / (1 + n)) of each column, at least 0, n of the N rows having it; 1 for "cosine": (C,)."""
    if similarity == "cosine":
        return np.ones(rows.shape[1])
    n = np.bincount(rows.indices, minlength=rows.shape[1])
    return np.asarray(np.maximum(np.log(rows.shape[0]) - np.log1p(n), 0.0), dtype=np.float64)


def sums(rows: Csr) -> Doubles:
    """Return the sum of each row, (R,)."""
    return np.asarray(rows.sum(axis=1, dtype=np.float64), dtype=np.float64).ravel()


def lengths(rows: Csr) -> Doubles:
    """Return the sum of each row over the mean sum, (R,)."""
    return np.asarray(sums(rows) / sums(rows).mean(), dtype=np.float64)


def weighted(rows: Csr, similarity: str, rarity: Doubles, length: Doubles) -> Csr:
    """Return rows in which each entry is what it says, times the rarity of its column."""
    data = said(similarity, rows.data, np.repeat(length, np.diff(rows.indptr))) * rarity[rows.indices]
    return Csr((data, rows.indices, rows.indptr), shape=rows.shape)


def cosines(rows: Csr, others: Csr, shrink: float) -> Doubles:
    """Return the dot product of each of `rows` with each of `others` over |a| |b| + shrink; 0 where that is 0."""
    norms, theirs = (np.sqrt(sums(Csr(side.multiply(side)))) for side in (rows, others))
    scale = norms[:, None] * theirs + shrink
    return np.asarray((rows @ others.T).toarray() / np.where(scale > 0, scale, 1.0), dtype=np.float64)


def nearest_rows(rows: Csr, k: int, shrink: float) -> Csr:
    """Return the k largest cosines of each row with the other rows, (R, R)."""

    def nearest(part: slice) -> Csr:
        near = cosines(rows[part], rows, shrink)
        near[np.arange(len(near)), np.arange(part.start, part.stop)] = 0.0
        return strongest(near, k)

    return stacked(nearest(part) for part in blocks(rows.shape[0], rows.shape[0]))
