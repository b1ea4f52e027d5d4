"""Users among others: what an objective says of them is what it says of the same users at home."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import sparse
from synthetic import RandomFactorModel, make_exposures, make_maps, make_split

from recsys import objectives
from recsys.objectives.derived_tables import TABLES, TableKey
from recsys.reranking.blends import make_weight_matrix, parse_blend
from recsys.retrieval.candidates import candidates
from recsys.types import Context, Pool, TableCache

SOME = np.array([7, 3, 19, 3])
SETTINGS = {
    "negative_space": {"tau": 0.4},
    "facility_location": {"history": True},
    "calibration": {"aspects": "map"},
    "xquad": {"aspects": "map"},
    "thompson": {"per": "slot"},
    "fatigue": {"window_days": 9.0},
}


def at_home() -> Pool:
    split = make_split()
    return candidates(RandomFactorModel(split), split, n=12, maps=make_maps(split), shown=make_exposures(split))


def among(pool: Pool, users: np.ndarray, known: bool = True) -> Pool:
    """The same candidates for users in a context of their own; `known` or as if new."""
    home = pool.context
    context = Context(
        user_ids=home.user_ids[users],
        item_ids=home.item_ids,
        train=sparse.csr_array(home.train[users]),
        dislikes=sparse.csr_array(home.dislikes[users]),
        items=home.items,
        factors=home.factors,
        seed=home.seed,
        parent_context=replace(home, tables=TableCache()),
        population_codes=users.astype(np.int64) if known else np.full(len(users), -1),
        draw_keys=users,
        exposures=home.exposures.take_users(users),
    )
    return Pool(np.arange(len(users), dtype=np.int32), pool.items[users], pool.scores[users], context)


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["plain", "set"])
@pytest.mark.parametrize("name", objectives.__all__)
def test_users_among_others_get_what_they_get_at_home(name, settings):
    if settings and name not in settings:
        pytest.skip("has no other settings here")
    home = at_home()
    here = among(home, SOME)
    term = getattr(objectives, name)(here, 5, **settings.get(name, {}))
    whole = getattr(objectives, name)(home, 5, **settings.get(name, {}))
    for field in fields(term):
        got, expected = getattr(term, field.name), getattr(whole, field.name)
        if field.name == "coverage" and got.shape[0] == term.rows.size:  # a row for each user and candidate
            expected = expected[whole.rows[SOME].ravel()]
            np.testing.assert_allclose(got.toarray(), expected.toarray(), rtol=1e-5)
        elif field.name == "rows" and "coverage" in vars(term) and term.coverage.shape[0] == term.rows.size:
            continue
        elif isinstance(got, np.ndarray) and got.ndim > 1 and field.name != "vectors":
            np.testing.assert_allclose(got, expected[SOME], rtol=1e-5, atol=1e-7)
        elif isinstance(got, np.ndarray):
            np.testing.assert_allclose(got, expected)
        elif sparse.issparse(got):
            np.testing.assert_allclose(got.toarray(), expected.toarray())
        else:
            assert got == expected


def test_weights_by_entropy_are_those_at_home():
    home, parts = at_home(), parse_blend({"relevance": 1.0, "novelty": {"weight": 0.3, "adapt_to": "entropy"}})
    np.testing.assert_allclose(
        make_weight_matrix(parts, among(home, SOME)), make_weight_matrix(parts, home)[SOME], rtol=1e-12
    )


def test_what_is_said_of_all_is_kept_with_them():
    """However many users come, what is made of everybody is made once, and nothing of a user is kept there."""
    home, kept = at_home(), None
    for users in (SOME, np.array([0]), np.arange(30)):
        here = among(home, users)
        here = replace(here, context=replace(here.context, parent_context=home.context))
        for name in objectives.__all__:
            getattr(objectives, name)(here, 5)
        kept = kept or len(home.context.tables)
        assert len(home.context.tables) == kept
    for key in home.context.tables._made:
        assert not isinstance(key, TableKey) or not TABLES[key.name].per_user


def test_who_is_new_belongs_to_the_nearest_community():
    home = at_home()
    known, new = (among(home, np.arange(30), known) for known in (True, False))
    same = objectives.negative_space(known, 5).cap == objectives.negative_space(new, 5).cap
    assert same.all(axis=1).mean() > 0.8  # of the same history, and most stand where they were counted
    again = objectives.account_gap(new, 5)
    assert (again.need >= objectives.account_gap(known, 5).need - 1e-12).any()  # nobody is their own neighbour


def test_a_table_that_was_used_last_is_kept_longest():
    made, tables = [], TableCache(2)

    def ask(key):
        return tables.get(key, lambda: made.append(key) or key)

    assert [ask(key) for key in ("a", "b", "a", "c", "a", "b")] == ["a", "b", "a", "c", "a", "b"]
    assert made == ["a", "b", "c", "b"]  # c took the place of b, not of a
    assert [name for name, _ in tables.items()] == ["a", "b"] and len(tables) == 2


@pytest.mark.parametrize("most", [None, 2])
def test_tables_are_made_once_whoever_asks_and_inside_each_other(most):
    made, tables = [], TableCache(most)

    def outer():
        made.append("outer")
        time.sleep(0.01)
        return (tables.get("inner", lambda: made.append("inner") or "in"), "out")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tables.get("outer", outer), range(64)))
    assert set(found) == {("in", "out")}
    assert sorted(made) == ["inner", "outer"]
