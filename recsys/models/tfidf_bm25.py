"""TF-IDF and BM25 weights of sparse rows, and cosines of weighted rows."""

from collections.abc import Callable

import numpy as np

from recsys.models.sparse_topk import iter_row_blocks, keep_top_k, stack_rows
from recsys.types.arrays import Anys, Csr, Doubles
from recsys.types.errors import check_choice

_K1, _B = 1.2, 0.75

_ENTRY_WEIGHTS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "cosine": lambda values, length: values,
    "tfidf": lambda values, length: np.sqrt(values),
    "bm25": lambda values, length: values * (_K1 + 1.0) / (_K1 * (1.0 - _B + _B * length) + values),
}


def check_similarity(model: str, name: str) -> None:
    """Refuse a similarity that there is none of."""
    check_choice("similarity", name, _ENTRY_WEIGHTS, where=model)


def weigh_entries(similarity: str, values: Anys, length: Doubles) -> Doubles:
    """Return weights of entries by their values and the lengths of their rows: x, sqrt(x) or BM25's saturation.

    BM25 (Robertson et al. 1994): 2.2 x / (1.2 (0.25 + 0.75 length) + x), with length 1 that of the average row.
    """
    return _ENTRY_WEIGHTS[similarity](values.astype(np.float64), length)


def compute_idf(rows: Csr, similarity: str) -> Doubles:
    """Return log(N / (1 + n)) of each column, at least 0, n of the N rows having it; 1 for "cosine": (C,)."""
    if similarity == "cosine":
        return np.ones(rows.shape[1])
    n = np.bincount(rows.indices, minlength=rows.shape[1])
    return np.asarray(np.maximum(np.log(rows.shape[0]) - np.log1p(n), 0.0), dtype=np.float64)


def sum_rows(rows: Csr) -> Doubles:
    """Return the sum of each row, (R,)."""
    return np.asarray(rows.sum(axis=1, dtype=np.float64), dtype=np.float64).ravel()


def compute_relative_lengths(rows: Csr) -> Doubles:
    """Return the sum of each row over the mean sum, (R,)."""
    return np.asarray(sum_rows(rows) / sum_rows(rows).mean(), dtype=np.float64)


def weigh_rows(rows: Csr, similarity: str, idf: Doubles, length: Doubles) -> Csr:
    """Return rows in which each entry is weighted, times the rarity of its column."""
    data = weigh_entries(similarity, rows.data, np.repeat(length, np.diff(rows.indptr))) * idf[rows.indices]
    return Csr((data, rows.indices, rows.indptr), shape=rows.shape)


def compute_cosines(rows: Csr, others: Csr, shrink: float) -> Doubles:
    """Return the dot product of each of `rows` with each of `others` over |a| |b| + shrink; 0 where that is 0."""
    norms, theirs = (np.sqrt(sum_rows(Csr(side.multiply(side)))) for side in (rows, others))
    scale = norms[:, None] * theirs + shrink
    return np.asarray((rows @ others.T).toarray() / np.where(scale > 0, scale, 1.0), dtype=np.float64)


def find_nearest_rows(rows: Csr, k: int, shrink: float) -> Csr:
    """Return the k largest cosines of each row with the other rows, (R, R)."""

    def nearest(part: slice) -> Csr:
        near = compute_cosines(rows[part], rows, shrink)
        near[np.arange(len(near)), np.arange(part.start, part.stop)] = 0.0
        return keep_top_k(near, k)

    return stack_rows(nearest(part) for part in iter_row_blocks(rows.shape[0], rows.shape[0]))
