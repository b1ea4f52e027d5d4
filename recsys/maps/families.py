"""Families of maps by co-occurrence: items that the same users like lie in the same region."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from recsys.maps import regions
from recsys.maps.assignments import expand_to_all_items, make_hard_assignment, scale_region_counts
from recsys.maps.graphs import build_neighbour_graph, build_neighbour_graphs
from recsys.maps.louvain import find_communities
from recsys.maps.protocols import derive_map_seed, limit_to_one_thread, read_map_settings
from recsys.maths.embeddings import cooccurrence_vectors, normalize_rows
from recsys.support import rng
from recsys.types.arrays import Csr, Floats
from recsys.types.extras import needs_extra
from recsys.types.maps import TasteMap
from recsys.types.numbers import check_int

OWN_SIZES = (8, 12, 20, 32, 48)
OWN_NEIGHBOURS = (10, 20, 40, 80)
MIN_USERS_TO_HALVE = 100  # users from whom on the two families share none
MIN_TO_MAP = 3  # users with several positives, and items that they have, below which there is nothing to map


@needs_extra("recsys.maps.objective_maps")
def objective_maps(train: Csr, half: int | None = 0) -> tuple[TasteMap, ...]:
    """Return the objectives' own maps of the training positives, (U, I): 20 of them, fewer for small catalogues.

    Made from one half of the users (0 or 1), the audit family from the other, or from all of them (None: of users whom
    no judge has seen): spectral clustering of four graphs of items, of 10 to 80 neighbours, into 8 to 48 regions each.
    Nothing is drawn. An item that shares no user with another has an empty row. () where fewer than three users have
    several positives.

    Raises:
        RecsysError: if `half` is neither 0, 1 nor None.
    """
    half = None if half is None else check_int("objective_maps: half", half, 0, 1)
    return _make_family(_select_user_half(train, half), _make_objective_maps)


@needs_extra("recsys.maps.audit_maps")
def audit_maps(train: Csr, seed: int = 0, half: int | None = 1) -> tuple[TasteMap, ...]:
    """Return the audit family of the training positives, (U, I): 24 maps, fewer for small catalogues.

    Made from the half of the users (0 or 1) that `objective_maps` does not see, or from all of them (None: of another
    log). Methods, sizes and seeds are those of `configs/audit.toml`. An item that shares no user with another has an
    empty row. () where fewer than three users have several positives. Ward's tree needs memory for all pairs of items.

    Raises:
        RecsysError: if `seed` is no whole number, or `half` neither 0, 1 nor None.
    """
    seed = check_int("audit_maps: seed", seed)
    half = None if half is None else check_int("audit_maps: half", half, 0, 1)
    return _make_family(
        _select_user_half(train, half), lambda known: _make_audit_maps(known, read_map_settings(), seed)
    )


def _make_objective_maps(train: Csr) -> Iterator[TasteMap]:
    sizes = _choose_region_counts(OWN_SIZES, train)
    numbers = sorted({min(n, train.shape[1] - 1) for n in OWN_NEIGHBOURS})
    for neighbours, graph in zip(numbers, build_neighbour_graphs(train, numbers), strict=True):
        labels = regions.cluster_by_spectrum(graph, sizes)
        for n, label in zip(sizes, labels, strict=True):
            yield TasteMap(f"spectral-{n}-of-{neighbours}", make_hard_assignment(label), "spectral")


def _make_audit_maps(train: Csr, settings: Mapping[str, Any], seed: int) -> Iterator[TasteMap]:
    kmeans, ward = ([min(d, *train.shape) for d in settings[name]["dimensions"]] for name in ("kmeans", "ward"))
    same = cooccurrence_vectors(train, max(ward)) if max(kmeans) == max(ward) else None
    yield from _make_kmeans_maps(train, settings["kmeans"], seed, same)
    for d, vectors in _make_vector_spaces(train, ward, same):
        sizes = _choose_region_counts(settings["ward"]["regions"], train)
        for n, label in zip(sizes, regions.cluster_by_ward(vectors, sizes), strict=True):
            yield TasteMap(f"ward-{n}-svd{d}", make_hard_assignment(label), "ward")
    yield from _make_louvain_maps(train, settings["louvain"], seed)


def _make_kmeans_maps(
    train: Csr, settings: Mapping[str, Any], seed: int, space: Floats | None = None
) -> Iterator[TasteMap]:
    for d, vectors in _make_vector_spaces(train, settings["dimensions"], space):
        for n, s in product(_choose_region_counts(settings["regions"], train), settings["seeds"]):
            number = derive_map_seed(seed, "audit", "kmeans", s)
            label = regions.cluster_by_kmeans(vectors, n, settings["starts"], number)
            yield TasteMap(f"kmeans-{n}-svd{d}-seed{s}", make_hard_assignment(label), "kmeans", number)


def _make_louvain_maps(train: Csr, settings: Mapping[str, Any], seed: int) -> Iterator[TasteMap]:
    graph = build_neighbour_graph(train, settings["neighbours"])
    for resolution, s in product(settings["resolutions"], settings["seeds"]):
        number = derive_map_seed(seed, "audit", "louvain", s)
        label = find_communities(graph, resolution, number)
        yield TasteMap(f"louvain-{resolution}-seed{s}", make_hard_assignment(label), "louvain", number)


def _select_user_half(train: Csr, half: int | None) -> Csr:
    """Return the rows of one half of the users, drawn once for all seeds: the other family never sees them.

    Families made from the same users share the noise of those users, and what an objective gains on one it then
    gains on the other, by method and seed apart or not. A log of fewer than 100 users is not halved.
    """
    if half is None or train.shape[0] < MIN_USERS_TO_HALVE:
        return train
    users = np.arange(train.shape[0])
    return train[np.flatnonzero((rng.draw_uniforms(0, "map halves", users) < 0.5) == (half == 0))]


def _make_family(train: Csr, make: Callable[[Csr], Iterable[TasteMap]]) -> tuple[TasteMap, ...]:
    """Make maps of the items that share users with others; the rest get empty rows."""
    several = train[np.flatnonzero(np.diff(train.indptr) > 1)]
    known = np.bincount(several.indices, minlength=train.shape[1]) > 0
    if several.shape[0] < MIN_TO_MAP or known.sum() < MIN_TO_MAP:
        return ()
    with limit_to_one_thread():
        made = tuple(make(several[:, np.flatnonzero(known)]))
    return tuple(replace(m, assignment=expand_to_all_items(m.assignment, known)) for m in made)


def _choose_region_counts(wanted: Iterable[int], train: Csr) -> list[int]:
    return scale_region_counts(wanted, train.shape[1], train.shape[0])


def _make_vector_spaces(
    train: Csr, dimensions: Iterable[int], space: Floats | None = None
) -> Iterator[tuple[int, Floats]]:
    """Yield co-occurrence vectors of each number of dimensions: the first columns of one decomposition, or `space`."""
    wanted = sorted({min(d, *train.shape) for d in dimensions})
    vectors = cooccurrence_vectors(train, wanted[-1]) if space is None else space
    for d in wanted:
        yield d, normalize_rows(vectors[:, :d])
