import os
import subprocess
import sys
import tomllib
from functools import cache

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys import maps
from recsys.maps import regions
from recsys.maps.graphs import build_neighbour_graph
from recsys.maps.louvain import find_communities
from recsys.support import resources, rng
from recsys.types import Items, TasteMap

FAMILIES = {
    "own": lambda train, seed=0: maps.objective_maps(train),
    "audit": maps.audit_maps,
}  # nothing of own maps is drawn


def csr(dense) -> sparse.csr_array:
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def planted(items: int = 260, groups: int = 5, users: int = 200, seed: int = 0) -> tuple[sparse.csr_array, np.ndarray]:
    """Groups of items, each liked by a group of users and now and then by others."""
    rng = np.random.default_rng(seed)
    group = np.arange(items) * groups // items
    same = (np.arange(users) % groups)[:, None] == group
    return csr(rng.random((users, items)) < np.where(same, 0.35, 0.01)), group


@cache
def family(name: str, seed: int = 0):
    return FAMILIES[name](planted()[0], seed=seed)


@pytest.mark.parametrize(("name", "count"), [("own", 20), ("audit", 24)])
def test_a_family_is_as_large_as_it_says(name, count):
    made = family(name)
    assert len(made) == count
    assert len({m.name for m in made}) == count
    for m in made:
        assert m.assignment.shape[0] == 260
        assert m.assignment.dtype == np.float32
        assert m.assignment.data.min() > 0
        np.testing.assert_allclose(m.assignment.sum(axis=1), 1, atol=1e-6)


def test_own_and_audit_share_no_method():
    own, audit = family("own"), family("audit")
    assert {m.method for m in own} == {"spectral"}
    assert {m.method for m in audit} == {"kmeans", "ward", "louvain"}


@pytest.mark.parametrize("name", FAMILIES)
def test_regions_are_made_of_items_with_the_same_users(name):
    _, group = planted()
    for m in family(name):
        if m.assignment.shape[1] < 5:
            continue
        members = np.zeros((m.assignment.shape[1], 5))
        np.add.at(members, (m.hard_regions, group), 1)
        assert members.max(axis=1).sum() > 0.9 * 260, m.name


@pytest.mark.parametrize("name", FAMILIES)
def test_same_seed_same_bits(name):
    again, other = FAMILIES[name](planted()[0], seed=0), FAMILIES[name](planted()[0], seed=1)
    drawn = 0
    for one, two, three in zip(family(name), again, other, strict=True):
        assert (one.name, one.method, one.seed) == (two.name, two.method, two.seed)
        for part in ("data", "indices", "indptr"):
            assert (getattr(one.assignment, part) == getattr(two.assignment, part)).all()
        drawn += one.seed != three.seed
    assert drawn == sum(m.seed != 0 for m in again)
    assert (drawn > 0) == (name == "audit")


PRINT_BITS = """
import hashlib, numpy as np
from scipy import sparse
from recsys.maps import audit_maps, content_maps, objective_maps
from recsys.types import Items
train = sparse.csr_array((np.random.default_rng(0).random((300, 300)) < 0.05).astype(np.float32))
ids = np.arange(300).astype(str)
items = Items(ids, ids, train, tuple(ids), 1900 + np.arange(300, dtype=np.int32) % 99)
made = objective_maps(train) + audit_maps(train) + content_maps(items)
print(hashlib.sha256(b"".join(m.assignment.toarray().tobytes() for m in made)).hexdigest())
"""


def test_threads_do_not_change_a_bit_and_no_warning_leaks():
    printed = []
    for threads in ("1", "3"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-W", "error", "-c", PRINT_BITS]
        printed.append(subprocess.check_output(command, text=True, env={**os.environ, **limits}))
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_items_that_share_no_user_are_in_no_region(name):
    train = planted(items=60, users=50)[0].toarray()
    lonely = np.zeros((52, 60), np.float32)
    lonely[:50] = train
    lonely[:, :3] = 0
    lonely[50, 1] = 1  # one user has nothing but item 1; items 0 and 2 have nobody
    before = csr(lonely)
    made = FAMILIES[name](before)
    assert (before != csr(lonely)).nnz == 0
    for m in made:
        assert (np.diff(m.assignment.indptr)[:3] == 0).all()
        assert m.hard_regions[:3].tolist() == [-1, -1, -1]
        assert (m.hard_regions[3:] >= 0).all()


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 14), st.floats(0.05, 1), st.integers(0, 99))
def test_small_catalogues_have_small_families(name, users, items, density, seed):
    train = csr(np.random.default_rng(seed).random((users, items)) < density)
    made = FAMILIES[name](train)
    again = FAMILIES[name](train)
    several = train.toarray().sum(axis=1) > 1
    assert bool(made) == (several.sum() >= 3 and train.toarray()[several].any(axis=0).sum() >= 3)
    assert len({m.name for m in made}) == len(made)
    for one, two in zip(made, again, strict=True):
        total = np.asarray(one.assignment.sum(axis=1)).ravel()
        assert np.all((total == 0) | (np.abs(total - 1) < 1e-6))
        assert (one.assignment != two.assignment).nnz == 0
        if one.method != "louvain":
            assert one.assignment.shape[1] <= max(2, items // 4)


@pytest.mark.parametrize("name", FAMILIES)
def test_alike_and_unconnected_items_are_no_error(name):
    for dense in (np.ones((9, 12)), np.kron(np.eye(6), np.ones((3, 4)))):
        made = FAMILIES[name](csr(dense))
        assert made
        assert all((m.hard_regions >= 0).all() for m in made)
    assert FAMILIES[name](csr(np.eye(30))) == ()
    assert FAMILIES[name](csr(np.zeros((4, 5)))) == ()


def test_the_audit_protocol_gives_a_reason_for_every_line():
    text = (resources.find_shipped_folder("configs") / "audit.toml").read_text(encoding="utf-8")
    protocol = tomllib.loads(text)
    kmeans, ward, louvain = (protocol[method] for method in ("kmeans", "ward", "louvain"))
    assert set(protocol) == {m.method for m in family("audit")} | {"content"}
    wanted = {
        f"kmeans-{n}-svd{d}-seed{s}" for n in kmeans["regions"] for d in kmeans["dimensions"] for s in kmeans["seeds"]
    }
    wanted |= {f"ward-{n}-svd{d}" for n in ward["regions"] for d in ward["dimensions"]}
    wanted |= {f"louvain-{r}-seed{s}" for r in louvain["resolutions"] for s in louvain["seeds"]}
    assert {m.name for m in family("audit")} == wanted
    decisions = [line for line in text.splitlines() if "=" in line.partition("#")[0] or line.startswith("[")]
    assert len(decisions) == 18
    for line in decisions:
        assert len(line.partition("#")[2].split()) >= 3, line


def label_by_networkx(graph, resolution, seed):
    found = nx.community.louvain_communities(nx.from_scipy_sparse_array(graph), resolution=resolution, seed=seed)
    label = np.empty(graph.shape[0], dtype=np.int32)
    for number, members in enumerate(sorted(sorted(one) for one in found)):
        label[sorted(members)] = number
    return label


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 40), st.integers(2, 60), st.integers(1, 10), st.floats(0.02, 0.6), st.integers(0, 2**32 - 1))
@example(200, 400, 10, 0.03, 5)  # of several levels
@example(9, 12, 3, 0.0, 1)  # without links
def test_communities_are_those_of_networkx(users, items, neighbours, density, seed):
    train = csr(np.random.default_rng(seed).random((users, items)) < density)
    graph = build_neighbour_graph(train, neighbours)
    for resolution in (1, 2.5):
        found = find_communities(graph, resolution, seed)
        assert found.dtype == np.int32
        assert (found == label_by_networkx(graph, resolution, seed)).all()


def test_the_graph_links_each_item_to_its_nearest():
    train = csr(np.random.default_rng(2).random((30, 1100)) < 0.2)
    dense = train.toarray().astype(np.float64)
    sizes = dense.sum(axis=0)
    cosine = dense.T @ dense / np.sqrt(np.maximum(np.outer(sizes, sizes), 1))
    np.fill_diagonal(cosine, 0)
    graph = build_neighbour_graph(train, 4).toarray()
    assert (graph == graph.T).all()
    linked = graph > 0
    np.testing.assert_allclose(graph[linked], cosine[linked], rtol=1e-6)
    for item in (0, 511, 512, 1099):
        fourth = np.sort(cosine[item])[-4]
        assert linked[item][cosine[item] > fourth + 1e-6].all()
        mine = np.flatnonzero(linked[item] & (cosine[item] < fourth - 1e-6))
        assert all(cosine[item, other] >= np.sort(cosine[other])[-4] - 1e-6 for other in mine)


def test_spectral_regions_of_separate_groups_are_the_groups():
    graph = csr(np.kron(np.eye(3), np.ones((5, 5)) - np.eye(5)))
    (label,) = regions.cluster_by_spectrum(graph, [3])
    assert sorted(np.bincount(label)) == [5, 5, 5]
    assert all(len(set(label[start : start + 5])) == 1 for start in (0, 5, 10))


def test_ward_cuts_one_tree():
    points = np.array([[0, 0], [0, 1], [10, 0], [10, 1], [50, 0]], dtype=np.float32)
    two, three = regions.cluster_by_ward(points, [2, 3])
    assert two[0] == two[1] == two[2] == two[3] != two[4]
    assert three[0] == three[1] != three[2] == three[3] != three[4]


def catalogue(features, years) -> Items:
    count, width = np.shape(features)
    ids = np.array([str(n) for n in range(count)])
    return Items(ids, ids, csr(features), tuple(f"f{n:03}" for n in range(width)), np.array(years, dtype=np.int32))


def shops(items: int = 400, groups: int = 5, width: int = 90, seed: int = 0) -> tuple[Items, np.ndarray]:
    """Groups of items of which each has words of its own, beside words that all share; some without any, or a year."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, items)
    own = (np.arange(width) % (groups + 1))[None] == group[:, None]
    features = rng.random((items, width)) < np.where(
        own, 0.4, np.where(np.arange(width) % (groups + 1) == groups, 0.1, 0)
    )
    features[:3] = False
    years = rng.integers(1960, 2020, items)
    years[3:6] = 0
    return catalogue(features, years), np.where(features.any(axis=1), group, -1)


def test_content_is_shared_among_features_and_decades():
    items = catalogue([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]], [1994, 2001, 1990, 1989, 0])
    features, decades, *_ = maps.content_maps(items)
    assert (features.name, decades.name) == ("features", "features-decade")
    a, c = np.log(1 + 5 / 3), np.log(1 + 5 / 1)  # three items of five have a, one has c
    wanted = [[a / (a + c), 0, c / (a + c)], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose(features.assignment.toarray(), wanted, atol=1e-7)
    assert features.hard_regions.tolist() == [2, 1, -1, 0, 0]  # the rarer of two
    # Regions: a in the 1980s, a in the 1990s, b in the 2000s, c in the 1990s.
    wanted = [[0, 0.5, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert decades.assignment.toarray().tolist() == wanted
    assert decades.hard_regions.tolist() == [1, 2, -1, 0, -1]  # of equals the first
    assert decades.assignment.dtype == np.float32


def test_content_maps_need_features_and_years():
    assert maps.content_maps(catalogue([[0], [0]], [1990, 1991])) == ()
    assert maps.content_maps(catalogue(np.zeros((2, 0)), [1990, 1991])) == ()
    (only,) = maps.content_maps(catalogue([[1], [1]], [0, 0]))
    assert only.name == "features"


def test_content_is_up_to_six_maps_of_which_sets_are_of_alike_items():
    items, group = shops()
    made = {m.name: m for m in maps.content_maps(items)}
    sizes = [f"sets-{n}" for n in (12, 24, 48)]
    assert list(made) == ["features", "features-decade", *sizes, "sets-12-decade"]
    for name in sizes:
        m = made[name]
        assert m.hard_regions.max() + 1 == m.assignment.shape[1] == int(name.removeprefix("sets-"))
        assert ((m.hard_regions >= 0) == (group >= 0)).all()
        members = np.zeros((m.assignment.shape[1], 5))
        np.add.at(members, (m.hard_regions[group >= 0], group[group >= 0]), 1)
        assert members.max(axis=1).sum() > 0.95 * (group >= 0).sum()
    undated = [m.name for m in maps.content_maps(catalogue(items.features.toarray(), np.zeros(400)))]
    assert undated == ["features", *sizes]


def test_content_has_the_same_bits_again_and_leaves_items_alone():
    items, _ = shops()
    before = items.features.copy()
    for one, two in zip(maps.content_maps(items), maps.content_maps(items), strict=True):
        assert (one.name, one.method, one.seed) == (two.name, two.method, two.seed)
        for part in ("data", "indices", "indptr"):
            assert (getattr(one.assignment, part) == getattr(two.assignment, part)).all()
    assert (items.features != before).nnz == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 9), st.floats(0, 1), st.integers(0, 99))
def test_the_region_by_content_is_the_rarest_feature(count, width, density, seed):
    rng = np.random.default_rng(seed)
    dense = rng.random((count, width)) < density
    items = catalogue(dense, rng.choice([0, 1950, 1987, 1991, 2004], count))
    made = maps.content_maps(items)
    assert bool(made) == dense.any()
    n = dense.sum(axis=0)
    for m in made:
        total = np.asarray(m.assignment.sum(axis=1)).ravel()
        known = dense.any(axis=1) & (items.years > 0 if m.name.endswith("-decade") else True)
        np.testing.assert_allclose(total, known, atol=1e-6)
        assert ((m.hard_regions >= 0) == known).all()
    for item in np.flatnonzero(dense.any(axis=1)):
        mine = np.flatnonzero(dense[item])
        region = np.cumsum(n > 0)[mine[n[mine].argmin()]] - 1
        assert made[0].hard_regions[item] == region


def test_few_items_are_no_feature_and_go_with_the_nearest_decade():
    # Of 1,000 items five make a region. Feature 1 is of four items; feature 0 has four items of the 1920s, six of the
    # 1950s, two of the 1970s, six of the 1980s.
    features, years = np.zeros((1000, 2)), np.zeros(1000)
    features[:20, 0] = features[18:22, 1] = 1
    years[:18] = np.repeat([1925, 1950, 1975, 1985], [4, 6, 2, 6])
    made = {m.name: m for m in maps.content_maps(catalogue(features, years))}
    assert made["features"].assignment.shape == (1000, 1)
    assert made["features"].hard_regions[:23].tolist() == [0] * 20 + [-1] * 3
    decades = made["features-decade"]
    assert decades.hard_regions[:20].tolist() == [0] * 10 + [1] * 8 + [-1] * 2
    years[:18] = np.repeat([1925, 1950, 1975, 1985], [4, 4, 3, 4])[:15].tolist() + [0] * 3  # none has five
    alone = {m.name: m for m in maps.content_maps(catalogue(features, years))}["features-decade"]
    assert alone.hard_regions[:18].tolist() == [0] * 15 + [-1] * 3


def test_the_hard_region_is_the_largest_entry_the_first_of_equals():
    dense = np.random.default_rng(3).integers(0, 3, (200, 6)).astype(np.float32)
    wanted = np.where(dense.any(axis=1), dense.argmax(axis=1), -1)
    rows, columns = np.indices(dense.shape).reshape(2, -1)[:, ::-1]  # columns from the last, and zeros that are stored
    stored = sparse.csr_array((dense[rows, columns], columns, np.arange(0, 1201, 6)), shape=(200, 6))[::-1]
    assert TasteMap("any", stored, "any").hard_regions.tolist() == wanted.tolist()


def test_the_two_families_share_no_user():
    train = csr((np.random.default_rng(0).random((300, 40)) < 0.2).astype(float))
    changed = train.toarray()
    half = rng.draw_uniforms(0, "map halves", np.arange(300)) < 0.5
    changed[half] = np.random.default_rng(1).random((half.sum(), 40)) < 0.2  # what `own` sees
    same = [
        (a.assignment != b.assignment).nnz == 0
        for a, b in zip(maps.audit_maps(train), maps.audit_maps(csr(changed)), strict=True)
    ]
    assert all(same)
    before, after = maps.objective_maps(train)[0].assignment, maps.objective_maps(csr(changed))[0].assignment
    assert before.shape != after.shape or (before != after).nnz > 0


def test_an_audit_family_of_another_log_sees_all_of_its_users():
    train = csr((np.random.default_rng(0).random((300, 40)) < 0.2).astype(float))
    changed = train.toarray()
    half = rng.draw_uniforms(0, "map halves", np.arange(300)) < 0.5
    changed[half] = (
        np.random.default_rng(1).random((half.sum(), 40)) < 0.2
    )  # what the family beside own maps does not see
    seen = [maps.audit_maps(train, half=None)[0].assignment, maps.audit_maps(csr(changed), half=None)[0].assignment]
    assert seen[0].shape != seen[1].shape or (seen[0] != seen[1]).nnz > 0
