"""The contract of a model."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any, get_type_hints

import numpy as np

from recsys.models.registry import build_model, convert_to_config_name, find_fitted_classes
from recsys.support.serialization import flatten_record, restore_record
from recsys.testing.contract import check_documented, expect, expect_no_error, expect_unchanged
from recsys.testing.synthetic import make_communities
from recsys.types import Model, Scorer, SideInformation
from recsys.types.arrays import Csr, Floats, make_empty_matrix

USERS, ITEMS = 60, 40


def check_model(model: str | type[Any] | Model, *, known_history: bool = True, **settings: Any) -> None:
    """Test that a model keeps its promises: settings, a class with `settings`, or its name with them.

    Its settings are a frozen dataclass; `fit` takes positives (U, I), and what is known beside them or nothing, and
    changes neither; the fitted model scores any users and histories, finite float32, the same for a user whoever else
    is asked for, and for a history that a user has (`known_history`; False for a model whose scores follow the user);
    the same settings give the same numbers; scores differ between items; and a fitted dataclass that `fit` says it
    returns can be stored and read again.

    >>> check_model("ease", l2=20.0)

    Raises:
        ContractError: for the first promise that is not kept.
    """
    is_settings = not isinstance(model, str | type)
    made: Any = model if is_settings else build_model(model, settings, "model")
    who = f"model '{convert_to_config_name(type(made).__name__)}'"
    check_documented(who, type(made))
    _check_frozen(who, made)
    train = make_communities()
    side = SideInformation(dislikes=make_communities(5), times=make_communities(6).astype(np.float64))
    matrices = [train, side.dislikes, side.times]
    arrays = [array for one in matrices if one is not None for array in (one.data, one.indices, one.indptr)]
    with expect_unchanged(who, arrays), expect_no_error(who, "on 60 users and 40 items"):
        made.fit(train, side).fold(train)
        fitted: Scorer = made.fit(train)
    with expect_no_error(who, "to score"):
        scores = fitted.score(np.arange(USERS, dtype=np.int32))
    _check_scores(who, "score", scores, USERS)
    expect((made.fit(train).score(np.arange(USERS, dtype=np.int32)) == scores).all(), who,
           "gives other scores when it is fitted again, expected the same: draw by a seed")  # fmt: skip
    spread = (scores.max(axis=1) > scores.min(axis=1)).any()
    expect(spread, who, "scores all items of each user the same, expected an order of items")
    expect(hasattr(fitted, "factors"), who, "has no attribute factors, expected Factors or None")
    _check_users_alone(who, fitted, scores)
    _check_histories(who, fitted, train, scores, known_history)
    _check_stored(who, made, fitted, scores)


def _check_frozen(who: str, made: Any) -> None:
    expect(is_dataclass(made), who, "is no dataclass, expected one of its settings")
    for field in fields(made):
        try:
            setattr(made, field.name, getattr(made, field.name))
        except FrozenInstanceError:
            continue
        expect(False, who, f"lets its setting {field.name} be changed, expected a frozen dataclass")


def _check_scores(who: str, what: str, scores: Floats, n_users: int) -> None:
    found = (getattr(scores, "shape", None), getattr(scores, "dtype", None))
    expected = ((n_users, ITEMS), np.dtype(np.float32))
    expect(found == expected, who, f"{what} returns {found[0]} {found[1]}, expected {expected[0]} {expected[1]}")
    expect(np.isfinite(scores).all(), who, f"{what} returns NaN or infinity, expected finite numbers")


def _check_users_alone(who: str, fitted: Scorer, scores: Floats) -> None:
    several = fitted.score(np.array([5, 7, 0, 5], dtype=np.int32))
    _check_scores(who, "score", several, 4)
    alike = np.allclose(several, scores[[5, 7, 0, 5]], rtol=1e-5, atol=1e-6)
    expect(alike, who, "score gives a user other scores beside other users, expected the same")
    _check_scores(who, "score of no users", fitted.score(np.zeros(0, dtype=np.int32)), 0)


def _check_histories(who: str, fitted: Scorer, train: Csr, scores: Floats, known_history: bool) -> None:
    with expect_no_error(who, "to fold histories"):
        folded = fitted.fold(train)
        new, none = fitted.fold(make_communities(1)[:5]), fitted.fold(make_empty_matrix((2, ITEMS)))
        alone = np.concatenate([fitted.fold(train[[user]]) for user in (0, 7, 8)])
    for what, found, n in (("fold", folded, USERS), ("fold", new, 5), ("fold of empty histories", none, 2)):
        _check_scores(who, what, found, n)
    expect(none.any(axis=1).all(), who, "fold of an empty history returns zeros, expected what users like on the whole")
    alike = np.allclose(alone, folded[[0, 7, 8]], rtol=1e-5, atol=1e-5)
    expect(alike, who, "fold gives a history other scores beside other histories, expected the same")
    expect((folded[10] == folded[11]).all(), who, "fold gives equal histories other scores, expected the same")
    if known_history:
        alike = np.allclose(folded, scores, rtol=1e-4, atol=1e-5)
        expect(alike, who, "fold of a training user's history gives other scores than score, expected the same")


def _check_stored(who: str, made: Any, fitted: Scorer, scores: Floats) -> None:
    kind = get_type_hints(made.fit).get("return")
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return  # it says no record: benchmarks fit it anew
    expect(isinstance(fitted, kind), who, f"fit returns a {type(fitted).__name__}, and says a {kind.__name__}")
    with expect_no_error(who, "to be stored as arrays and read again (benchmarks cache what fit says it returns)"):
        arrays = flatten_record(fitted)
        back: Any = restore_record(kind, arrays, kinds=find_fitted_classes())
        same = (back.score(np.arange(USERS, dtype=np.int32)) == scores).all()
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    expect(not objects, who, f"keeps {', '.join(objects)} that no array can hold, expected numbers, texts and arrays")
    expect(same, who, "gives other scores once it is stored and read again, expected the same")
