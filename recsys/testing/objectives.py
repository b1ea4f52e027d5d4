"""The contract of an objective."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from recsys import objectives
from recsys.kernels.inputs import check_term
from recsys.kernels.reference import compute_gains
from recsys.rankers.requests import build_context_of_users
from recsys.reranking.blends import name_objective
from recsys.reranking.slates import rerank
from recsys.support.resolver import list_public, resolve_extension
from recsys.testing.contract import check_documented, expect, expect_no_error, expect_unchanged, read_range
from recsys.testing.synthetic import make_pool
from recsys.types import Pool, Term
from recsys.types.arrays import Anys, Doubles

Objective = Callable[..., Term]
SLATES: tuple[tuple[int, ...], ...] = ((), (3,), (0, 1, 2, 3), (11, 4))  # positions that are picked already


def check_objective(objective: str | Objective, *, k: int = 5, **settings: Any) -> None:
    """Test that an objective keeps its promises, with `settings` where its defaults are not to be tested.

    It is documented and takes a pool, k, and settings by keyword with defaults; returns one of the shapes of
    `recsys.types`, with finite gains, the same at every call; changes nothing that it is given; gives a user the same
    gains whoever else is in the pool, and in a request; takes short and empty pools; and stays in the range that its
    docstring says, if it says one (":Range: [0, 1]").

    >>> check_objective("novelty")

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = f"objective '{name_objective(objective)}'"
    make: Objective = resolve_extension("objective", objective, list_public(objectives))
    check_documented(who, make)
    _check_signature(who, make)
    pool = make_pool()
    with expect_unchanged(who, _list_arrays(pool)), expect_no_error(who, "on 20 candidates of 30 users"):
        first, again = (make(pool, k, **settings) for _ in range(2))
        check_term(name_objective(objective), first, len(pool.users), pool.items.shape[1], k)
    users = range(len(pool.users))
    gains = np.array([_collect_gains(first, u) for u in users])
    expect(np.isfinite(gains).all(), who, "has gains that are NaN or infinity, expected finite numbers")
    same = (gains == np.array([_collect_gains(again, u) for u in users])).all()
    expect(same, who, "gives other gains at a second call, expected the same: draw by recsys.support.rng")
    _check_part_of_users(who, make, pool, gains, k, settings)
    _check_short_pools(who, make, pool, k, settings)
    _check_range(who, make, k, settings)


def _check_signature(who: str, make: Objective) -> None:
    parameters = list(inspect.signature(make).parameters.values())
    names = [one.name for one in parameters[:2]]
    expect(names == ["pool", "k"], who, f"takes ({', '.join(names)}, ...), expected (pool, k, *, settings)")
    for one in parameters[2:]:
        by_keyword = one.kind is one.KEYWORD_ONLY and one.default is not one.empty
        expect(by_keyword, who, f"takes {one}, expected a setting by keyword, with a default")


def _collect_gains(term: Term, user: int, n: int = 20) -> Doubles:
    """Return the gains of all n candidates at each of the slates, end to end."""
    return np.concatenate([compute_gains(term, user, slate, n) for slate in SLATES])


def _list_arrays(pool: Pool) -> list[Anys | None]:
    context = pool.context
    matrices = [one for one in (context.train, context.dislikes, context.times) if one is not None]
    parts = [array for matrix in matrices for array in (matrix.data, matrix.indices, matrix.indptr)]
    shown = context.exposures
    parts += [] if shown is None else [shown.items, shown.times, shown.dismissed]
    return [pool.users, pool.items, pool.scores, *parts]


def _check_part_of_users(
    who: str, make: Objective, pool: Pool, gains: Doubles, k: int, settings: dict[str, Any]
) -> None:
    with expect_no_error(who, "on a part of the users"):
        part = make(pool.slice_users(10, 14), k, **settings)
    found = np.array([_collect_gains(part, u) for u in range(4)])
    same = np.allclose(found, gains[10:14], rtol=1e-5, atol=1e-7)
    expect(same, who, "gives a user other gains among fewer users, expected the same: read everybody from the context")
    codes = np.array([7, 3, 19])
    context = build_context_of_users(pool.context, codes)
    request = Pool(np.arange(3, dtype=np.int32), pool.items[codes], pool.scores[codes], context)
    with expect_no_error(who, "on users of a request"):
        part = make(request, k, **settings)
    found = np.array([_collect_gains(part, u) for u in range(3)])
    same = np.allclose(found, gains[codes], rtol=1e-5, atol=1e-6)
    expect(
        same, who, "gives a user other gains in a request, expected the same: read everybody from context.population"
    )


def _check_short_pools(who: str, make: Objective, pool: Pool, k: int, settings: dict[str, Any]) -> None:
    items, scores = pool.items.copy(), pool.scores.copy()
    items[0, 3:], scores[0, 3:], items[1], scores[1] = -1, 0, -1, 0
    short = Pool(pool.users, items, scores, pool.context)
    with expect_no_error(who, "on pools of three candidates and of none"):
        slates = rerank(short, {make: {"weight": 1.0, **settings}}, k=k)
    shown = set(slates.items[0].tolist()) == {*items[0, :3].tolist(), -1} and (slates.items[1] == -1).all()
    expect(shown, who, "gives a slate that is not all of a pool of three candidates")


def _check_range(who: str, make: Objective, k: int, settings: dict[str, Any]) -> None:
    defaults = {name: one.default for name, one in inspect.signature(make).parameters.items()}
    numbers = {name: float(value) for name, value in {**defaults, **settings}.items() if isinstance(value, int | float)}
    low, high = read_range(who, make, {"inf": math.inf, "k": k, **numbers})
    for seed in range(1, 4):
        term = make(make_pool(seed), k, **settings)
        for user in (0, 5, 9, 21):
            for slate in SLATES:
                left = [n for n in range(20) if n not in slate]
                found = compute_gains(term, user, slate, 20)[left]
                inside = (found >= low - 1e-6).all() and (found <= high + 1e-6).all()
                span = f"[{low:g}, {high:g}]"
                expect(inside, who, f"has gains from {found.min():g} to {found.max():g}, expected its range {span}")
