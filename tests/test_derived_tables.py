"""Derived tables of contexts: one accessor each, which makes what is missing."""

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from synthetic import RandomFactorModel, make_maps, make_split

import recsys
from recsys.objectives import derived_tables
from recsys.objectives._pool_arrays import compute_plausibility
from recsys.objectives.derived_tables import TABLES, Table
from recsys.objectives.negative_spaces import _average_best_per_region
from recsys.rankers.fast_path import build_fast_path
from recsys.rankers.policies import Policy
from recsys.rankers.requests import build_context_of_users
from recsys.rankers.saved_tables import check_saved_tables, list_saved_tables
from recsys.retrieval.candidates import candidates, make_context
from recsys.types import RecsysError, TableCache, TasteMap

HOME = Path(recsys.__file__).parent
OWNERS = {
    "objectives/derived_tables.py",
    "types/pools.py",
    "types/evaluations.py",
    "control/forgetting.py",
    "rankers/saved_tables.py",
    "rankers/added_items.py",
}
NO_CONTEXTS = {"truth", "evaluation", "judged", "parts"}  # other records with tables: what is judged, what is saved
SETTINGS = {
    "space": "cooccurrence", "needed_by": "test", "m": 0, "k": 5, "prior_strength": 5.0, "tau": 1.0,
    "aspects": "features", "head": 0.3, "tail": 0.2, "half_life": 30.0, "kappa": 2.0, "accounts": 9, "seed": 0,
    "fill_user": lambda code, filled: filled.fill(code), "quantize": dict,
}  # fmt: skip
SPLIT = make_split(users=40, seed=3)


def find_indexing(source):
    """Return the lines where something looks into the tables of a context."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "tables":
            owner = ast.unparse(node.value)
            if owner.split(".")[-1] not in NO_CONTEXTS and not owner.startswith("recsys."):
                found.append(node.lineno)
    return found


def list_accessors():
    """Return the function that reads each table, by the table's name."""
    found = {}
    for name, function in inspect.getmembers(derived_tables, inspect.isfunction):
        if function.__module__ != derived_tables.__name__ or name.startswith("_"):
            continue
        for constant in re.findall(r"\b([A-Z_]+)\.get\(context", inspect.getsource(function)):
            found.setdefault(getattr(derived_tables, constant).name, []).append(function)
    return found


def make_fresh_context(some=False):
    context = make_context(SPLIT, RandomFactorModel(SPLIT), maps=make_maps(SPLIT), seed=2)
    times = SPLIT.train.copy()
    times.data = np.arange(times.nnz) * 86400.0
    context = replace(context, times=times)
    return build_context_of_users(context, np.arange(7)) if some else context


def call_accessor(function, context):
    names = list(inspect.signature(function).parameters)[1:]
    return function(context, **{name: SETTINGS[name] for name in names})


def test_nobody_else_looks_into_the_tables_of_a_context():
    for path in sorted(HOME.rglob("*.py")):
        if path.relative_to(HOME).as_posix() not in OWNERS:
            looked = find_indexing(path.read_text(encoding="utf-8"))
            assert not looked, f"{path}: line {looked[0]}: use an accessor of recsys.objectives.derived_tables"
    assert find_indexing("pool.context.population.tables.get('x', f)") and find_indexing("context.tables['x']")
    assert not find_indexing("truth.tables.get('x', f)")


def test_each_table_has_one_accessor_that_says_what_it_is():
    accessors = list_accessors()
    assert set(accessors) == set(TABLES)
    tables = [value for value in vars(derived_tables).values() if isinstance(value, Table)]
    assert len(tables) == len(TABLES)  # no name twice
    for name, functions in accessors.items():
        assert len(functions) == 1, name
        assert functions[0].__doc__.startswith("Return "), name


@pytest.mark.parametrize("some", [False, True], ids=["everybody", "some"])
@pytest.mark.parametrize("name", sorted(TABLES))
def test_an_accessor_makes_what_is_missing_and_keeps_it(name, some):
    """On a context at which no objective ever looked."""
    context, function = make_fresh_context(some), list_accessors()[name][0]
    made = call_accessor(function, context)
    kept_with = context if TABLES[name].per_user else context.population
    assert name in {key.name for key, _ in kept_with.tables.items() if key != "maps" and key != "met"}
    again, before = call_accessor(function, context), len(kept_with.tables)
    assert len(kept_with.tables) == before
    for one, other in zip(*((v if isinstance(v, tuple) else (v,)) for v in (made, again)), strict=True):
        assert one is other or one == other


def test_saved_tables_are_what_their_accessor_says():
    context = make_fresh_context()
    for functions in list_accessors().values():
        call_accessor(functions[0], context)
    saved = list_saved_tables(context)
    assert {key.name for key, _ in saved} == {name for name, table in TABLES.items() if table.saved}
    check_saved_tables(context, [key for key, _ in saved])
    for key, value in saved:
        wrong = replace(context, tables=TableCache())
        wrong.tables.get(key, lambda value=value: (value, value, value))
        with pytest.raises(RecsysError, match=f"^table '{key.name}.*has 3 parts"):
            check_saved_tables(wrong, [key])
    other = next(key for key, _ in context.tables.items() if key[0] == "tie_order")
    with pytest.raises(RecsysError, match="table 'tie_order 0' is none that a ranker saves"):
        check_saved_tables(context, [other])


@pytest.mark.parametrize("blend", [{"unexplored": 1.0}, {"discovery_value": 1.0}, {"negative_space": 1.0}])
def test_the_fast_path_needs_no_table_made_by_others(blend, monkeypatch):
    monkeypatch.setattr("recsys.rankers.fast_path.FastPath._build_layout", lambda *_: [])
    assert build_fast_path(make_fresh_context(), blend, dict.fromkeys(blend, 1.0), Policy(k=5)) is not None


def make_whole_maps():
    """Maps in which each item lies in one region."""
    region = np.random.default_rng(1).integers(0, 5, (3, len(SPLIT.item_ids)))
    return [
        TasteMap(f"whole-{m}", sparse.csr_array(np.eye(5, dtype=np.float32)[region[m]]), "random") for m in range(3)
    ]


def test_regions_that_hold_items_wholly_are_in_memory_once():
    context = make_context(SPLIT, RandomFactorModel(SPLIT), maps=make_whole_maps(), seed=2)
    shares, regions = derived_tables.get_region_shares(context), derived_tables.get_item_regions(context)
    assert np.shares_memory(shares.indices, regions) and derived_tables.has_one_region_per_map(context)
    sizes, starts = derived_tables.get_region_layout(context)
    expected = np.stack([taste_map.hard_regions + start for taste_map, start in zip(context.maps, starts, strict=True)])
    np.testing.assert_array_equal(regions, expected.T)
    assert regions.dtype == np.int32 and regions.max() < sizes.sum()


@pytest.mark.parametrize("change", ["none", "half", "zero"])
def test_regions_that_do_not_are_counted_apart(change):
    """An item in no region, in part of one, or with a share of 0."""
    maps = make_whole_maps()
    table = maps[1].assignment.toarray()
    table[3] *= {"none": 0.0, "half": 0.5, "zero": 1.0}[change]
    assignment = sparse.csr_array(table)
    if change == "zero":
        assignment.data[3] = 0.0
    maps[1] = replace(maps[1], assignment=assignment)
    assert not maps[1].is_partition and maps[0].is_partition
    context = make_context(SPLIT, RandomFactorModel(SPLIT), maps=maps, seed=2)
    shares, regions = derived_tables.get_region_shares(context), derived_tables.get_item_regions(context)
    np.testing.assert_array_equal(shares.toarray(), np.hstack([m.assignment.toarray() for m in maps]))
    sizes, starts = derived_tables.get_region_layout(context)
    assert not np.shares_memory(shares.indices, regions)
    assert regions[3, 1] == (starts[1] + table[3].argmax() if change == "half" else sizes.sum())
    assert derived_tables.has_one_region_per_map(context) == (change == "none")
    pool = candidates(RandomFactorModel(SPLIT), SPLIT, n=30, maps=maps)
    best, hard = _average_best_per_region(pool, compute_plausibility(pool), 2), [m.hard_regions for m in maps]
    for u, z in ((0, 0), (5, starts[1] + 1), (11, starts[2])):
        m = int(np.searchsorted(starts, z, side="right") - 1)
        inside = hard[m][pool.items[u]] == z - starts[m]
        assert best[u, z] == pytest.approx(compute_plausibility(pool)[u][inside][:2].sum() / 2)


def test_a_map_of_more_regions_than_could_be_is_one_line():
    taste_map = make_maps(SPLIT)[0]
    part, items = taste_map.assignment, len(SPLIT.item_ids)
    most = max(items, 1024)
    for width, fine in ((most, True), (most + 1, False), (2**40, False)):
        wide = replace(taste_map, assignment=sparse.csr_array((part.data, part.indices, part.indptr), (items, width)))
        if fine:
            wide.check_assignment(items)
            continue
        with pytest.raises(
            RecsysError, match=f"^map '{taste_map.name}' has {width:,} regions, expected at most 1,024$"
        ):
            wide.check_assignment(items)
