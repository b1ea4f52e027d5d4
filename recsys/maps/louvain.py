"""Communities of a graph by the Louvain method (Blondel et al. 2008), equal to those of networkx."""

import random
from itertools import chain

import numpy as np

from recsys.kernels.louvain import move_nodes
from recsys.maths.ordering import rank_values
from recsys.types.arrays import Csr, Doubles, Ints, Longs

MIN_GAIN = 1e-7  # of modularity, below which a level is the last

Links = list[dict[int, float]]  # of each node: its neighbours and weights, in the order in which they were met


def find_communities(graph: Csr, resolution: float, seed: int) -> Ints:
    """Return the communities of a symmetric graph (N, N), (N,), numbered by their first node.

    A greedy search for modularity at a `resolution`: more than 1 finds smaller communities. Nodes are visited in a
    random order by Python's generator.
    """
    links: Links = [
        dict(zip(graph.indices[a:b].tolist(), graph.data[a:b].tolist(), strict=True))
        for a, b in zip(graph.indptr[:-1], graph.indptr[1:], strict=True)
    ]
    draw, label = random.Random(seed), np.arange(len(links))
    degrees = _sum_degrees(links)
    half_total = float(sum(degrees.tolist()) / 2)
    if not half_total:
        return np.asarray(label, dtype=np.int32)
    before = _compute_modularity(links, degrees, label, resolution)
    while True:
        community, improved = _move_until_none_gains(links, degrees, half_total, resolution, draw)
        label = community[label]
        after = _compute_modularity(links, degrees, community, resolution)
        if not improved or after - before <= MIN_GAIN:
            return _number_by_first_node(label)
        before, links = after, _merge_communities(links, community)
        degrees = _sum_degrees(links)


def _move_until_none_gains(
    links: Links, degrees: Doubles, half_total: float, resolution: float, draw: random.Random
) -> tuple[Longs, bool]:
    """Return the community of each node, (N,), numbered without gaps, and whether it is another than its own."""
    others = [[(v, weight) for v, weight in row.items() if v != u] for u, row in enumerate(links)]
    starts = np.cumsum([0, *map(len, others)])
    pairs = list(chain.from_iterable(others))
    ends, weights = np.array([v for v, _ in pairs], np.int64), np.array([weight for _, weight in pairs], np.float64)
    order, community = list(range(len(links))), np.arange(len(links))
    draw.shuffle(order)
    squared = 2 * half_total**2
    improved = move_nodes(
        starts, ends, weights, degrees, np.array(order), half_total, squared, float(resolution), community
    )
    return np.unique(community, return_inverse=True)[1].astype(np.int64), improved


def _merge_communities(links: Links, community: Longs) -> Links:
    """Return the graph of communities: the weights between two summed, those inside one on a loop."""
    merged: Links = [{} for _ in range(int(community.max()) + 1)]
    of = community.tolist()
    for u, row in enumerate(links):
        for v, weight in row.items():
            if v >= u:
                a, b = of[u], of[v]
                merged[a][b] = merged[b][a] = weight + merged[a].get(b, 0.0)
    return merged


def _sum_degrees(links: Links) -> Doubles:
    """Return the sum of the weights of each node's links, (N,), loops twice."""
    return np.array([sum(row.values()) + row.get(u, 0.0) for u, row in enumerate(links)], dtype=np.float64)


def _compute_modularity(links: Links, degrees: Doubles, community: Longs, resolution: float) -> float:
    of = community.tolist()
    inside = sum(
        weight for u, row in enumerate(links) for v, weight in row.items() if v >= u and of[u] == of[v]
    )  # each link once
    total = float(degrees.sum())
    sums = np.bincount(community, weights=degrees)
    return float(2 * inside / total - resolution * (sums**2).sum() / total**2)


def _number_by_first_node(label: Longs) -> Ints:
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(rank_values(first)[inverse], dtype=np.int32)
