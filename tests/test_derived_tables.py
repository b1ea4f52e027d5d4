"""Derived tables of contexts: one accessor each, which makes what is missing."""

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_maps, make_split

import recsys
from recsys.objectives import derived_tables
from recsys.objectives.derived_tables import TABLES, Table
from recsys.rankers.fast_path import build_fast_path
from recsys.rankers.policies import Policy
from recsys.rankers.requests import build_context_of_users
from recsys.rankers.saved_tables import check_saved_tables, list_saved_tables
from recsys.retrieval.candidates import make_context
from recsys.types import RecsysError, TableCache

HOME = Path(recsys.__file__).parent
OWNERS = {"objectives/derived_tables.py", "types/pools.py", "types/evaluations.py", "rankers/saved_tables.py"}
NO_CONTEXTS = {"truth", "evaluation", "judged", "parts"}  # other records with tables: what is judged, what is saved
SETTINGS = {
    "space": "cooccurrence", "needed_by": "test", "m": 0, "k": 5, "prior_strength": 5.0, "tau": 1.0,
    "aspects": "features", "head": 0.3, "tail": 0.2, "half_life": 30.0, "accounts": 9, "seed": 0,
    "fill_user": lambda code, filled: filled.fill(code),
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


@pytest.mark.parametrize("blend", [{"unexplored": 1.0}, {"negative_space": 1.0}, {"relevance": 1.0, "unexplored": 0.5}])
def test_the_fast_path_needs_no_table_made_by_others(blend, monkeypatch):
    monkeypatch.setattr("recsys.rankers.fast_path.FastPath._build_layout", lambda *_: [])
    assert build_fast_path(make_fresh_context(), blend, dict.fromkeys(blend, 1.0), Policy(k=5)) is not None
