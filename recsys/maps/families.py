"""Families of maps by co-occurrence: what the same users like lies in the same region."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from recsys import seeds
from recsys.maps import regions
from recsys.maps.assignments import hard, scaled, spread
from recsys.maps.graphs import neighbour_graph
from recsys.maps.protocols import drawn, one_thread, protocol
from recsys.maths import cooccurrence_vectors, unit
from recsys.types.arrays import Csr, Floats
from recsys.types.extras import needs_extra
from recsys.types.maps import TasteMap

OWN_SIZES = (8, 12, 20, 32, 48)
OWN_NEIGHBOURS = (10, 20, 40, 80)
HALVED = 100  # users from whom on the two families share none
LEAST = 3  # users with several positives, and items that they have, below which there is nothing to map


@needs_extra("recsys.maps.own")
def own(train: Csr, half: int = 0) -> tuple[TasteMap, ...]:
    """Return the objectives' own maps of the training positives, (U, I): 20 of them, fewer for small catalogues.

    Made from one half of the users (0 or 1), the audit family from the other: spectral clustering of four graphs of
    items, of 10 to 80 neighbours, into 8 to 48 regions each. Nothing is drawn. An item that shares no user with
    another has an empty row. () where fewer than three users have several positives.
    """
    return _family(_half(train, half), _own)


@needs_extra("recsys.maps.audit")
def audit(train: Csr, seed: int = 0, half: int | None = 1) -> tuple[TasteMap, ...]:
    """Return the audit family of the training positives, (U, I): 24 maps, fewer for small catalogues.

    Made from the half of the users (0 or 1) that `own` does not see, or from all of them (None: of another log).
    Methods, sizes and seeds are those of `configs/audit.toml`. An item that shares no user with another has an
    empty row. () where fewer than three users have several positives. Ward's tree needs memory for all pairs of
    items.
    """
    return _family(_half(train, half), lambda known: _audit(known, protocol(), seed))


def _own(train: Csr) -> Iterator[TasteMap]:
    sizes = _sizes(OWN_SIZES, train)
    for neighbours in sorted({min(n, train.shape[1] - 1) for n in OWN_NEIGHBOURS}):
        labels = regions.spectral(neighbour_graph(train, neighbours), sizes)
        for n, label in zip(sizes, labels, strict=True):
            yield TasteMap(f"spectral-{n}-of-{neighbours}", hard(label), "spectral")


def _audit(train: Csr, settings: Mapping[str, Any], seed: int) -> Iterator[TasteMap]:
    yield from _kmeans(train, settings["kmeans"], seed)
    for d, vectors in _spaces(train, settings["ward"]["dimensions"]):
        sizes = _sizes(settings["ward"]["regions"], train)
        for n, label in zip(sizes, regions.ward(vectors, sizes), strict=True):
            yield TasteMap(f"ward-{n}-svd{d}", hard(label), "ward")
    yield from _louvain(train, settings["louvain"], seed)


def _kmeans(train: Csr, settings: Mapping[str, Any], seed: int) -> Iterator[TasteMap]:
    for d, vectors in _spaces(train, settings["dimensions"]):
        for n, s in product(_sizes(settings["regions"], train), settings["seeds"]):
            number = drawn(seed, "audit", "kmeans", s)
            label = regions.kmeans(vectors, n, settings["starts"], number)
            yield TasteMap(f"kmeans-{n}-svd{d}-seed{s}", hard(label), "kmeans", number)


def _louvain(train: Csr, settings: Mapping[str, Any], seed: int) -> Iterator[TasteMap]:
    graph = neighbour_graph(train, settings["neighbours"])
    runs = list(product(settings["resolutions"], settings["seeds"]))
    numbers = [drawn(seed, "audit", "louvain", s) for _, s in runs]
    labels = regions.louvain(graph, [resolution for resolution, _ in runs], numbers)
    for (resolution, s), number, label in zip(runs, numbers, labels, strict=True):
        yield TasteMap(f"louvain-{resolution}-seed{s}", hard(label), "louvain", number)


def _half(train: Csr, half: int | None) -> Csr:
    """Return the rows of one half of the users, drawn once for all seeds: the other family never sees them.

    Families made from the same users share the noise of those users, and what an objective gains on one it then
    gains on the other, by method and seed apart or not. A log of fewer than 100 users is not halved.
    """
    if half is None or train.shape[0] < HALVED:
        return train
    users = np.arange(train.shape[0])
    return train[np.flatnonzero((seeds.uniforms(0, "map halves", users) < 0.5) == (half == 0))]


def _family(train: Csr, make: Callable[[Csr], Iterable[TasteMap]]) -> tuple[TasteMap, ...]:
    """Make maps of the items that share users with others; the rest get empty rows."""
    several = train[np.flatnonzero(np.diff(train.indptr) > 1)]
    known = np.bincount(several.indices, minlength=train.shape[1]) > 0
    if several.shape[0] < LEAST or known.sum() < LEAST:
        return ()
    with one_thread():
        made = tuple(make(several[:, np.flatnonzero(known)]))
    return tuple(replace(m, assignment=spread(m.assignment, known)) for m in made)


def _sizes(wanted: Iterable[int], train: Csr) -> list[int]:
    return scaled(wanted, train.shape[1], train.shape[0])


def _spaces(train: Csr, dimensions: Iterable[int]) -> Iterator[tuple[int, Floats]]:
    """Yield co-occurrence vectors of each number of dimensions: the first columns of one decomposition."""
    wanted = sorted({min(d, *train.shape) for d in dimensions})
    vectors = cooccurrence_vectors(train, wanted[-1])
    for d in wanted:
        yield d, unit(vectors[:, :d])
