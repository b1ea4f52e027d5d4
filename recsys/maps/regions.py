"""Ways to divide items into regions. Labels count from 0 without gaps."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import linalg

from recsys.maths.embeddings import leading_eigenvectors
from recsys.types.arrays import Csr, Doubles, Floats, Ints


def cluster_by_kmeans(vectors: Floats, n: int, starts: int, seed: int) -> Ints:
    """Return the regions of unit vectors (I, d) by k-means with k-means++ starts, (I,)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct items than regions: fewer regions
        return _renumber_labels(KMeans(n, n_init=starts, random_state=seed).fit_predict(vectors))


def cluster_by_ward(vectors: Floats, sizes: Sequence[int]) -> Iterator[Ints]:
    """Yield the regions of vectors (I, d), (I,), for each size: cuts of one tree (Ward 1963)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(vectors.astype(np.float64), method="ward")
    for n in sizes:
        yield _renumber_labels(fcluster(tree, n, criterion="maxclust"))


def cluster_by_spectrum(graph: Csr, sizes: Sequence[int]) -> Iterator[Ints]:
    """Yield the regions of a graph (I, I), (I,), for each size, from its leading eigenvectors.

    D^-1/2 W D^-1/2 with the mean degree added to every degree (Qin and Rohe 2013), so that small loose ends are
    no regions; eigenvectors are assigned by pivoted QR (Damle, Minden and Ying 2019). Nothing is random.
    """
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = 1.0 / np.sqrt(degree + max(degree.mean(), 1e-12))
    _, vectors = leading_eigenvectors(Csr(graph * scale[:, None] * scale[None]), max(sizes))
    for n in sizes:
        yield _renumber_labels(_assign_by_pivoted_qr(vectors[:, :n]))


def _assign_by_pivoted_qr(vectors: Doubles) -> Ints:
    """Return the column of each row after the rotation that brings the most independent rows to the axes."""
    n = vectors.shape[1]
    _, _, pivots = linalg.qr(vectors.T, pivoting=True, mode="economic")
    left, _, right = linalg.svd(vectors[pivots[:n]].T)
    return np.asarray(np.abs(vectors @ (left @ right)).argmax(axis=1), dtype=np.int32)


def _renumber_labels(label: Ints) -> Ints:
    return np.unique(label, return_inverse=True)[1].astype(np.int32)
