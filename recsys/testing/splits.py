"""The contract of a split."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from recsys import splits
from recsys.support.resolver import list_public, name_extension, resolve_extension
from recsys.testing.contract import ContractError, check_documented, expect, expect_no_error, expect_unchanged
from recsys.testing.synthetic import make_dataset
from recsys.types import Dataset, RecsysError, Split
from recsys.types.arrays import Csr

Pairs = set[tuple[str, str]]
PARTS = ("train", "validation", "test")


def check_split(split: str | Callable[..., Split], **settings: Any) -> None:
    """Test that a split keeps its promises, with `settings` where its defaults are not to be tested.

    It is documented and takes a dataset, and settings by keyword; returns a `Split` with something to train and to test
    on, whose parts share no pair and hold pairs of the data only; is the same at every call and for rows in another
    order; changes nothing; has a fingerprint that other data or another filter changes; gives views for choosing and
    for the last word; and needs times or does without, by a `RecsysError` of one line.

    >>> check_split("per_user_time")

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = f"split '{split if isinstance(split, str) else name_extension(split, list_public(splits))}'"
    make: Callable[..., Split] = resolve_extension("split", split, list_public(splits))
    check_documented(who, make)
    parameters = list(inspect.signature(make).parameters.values())
    expected = "expected (dataset, *): recsys.splits.define_split makes such a function of a rule"
    expect(parameters and parameters[0].name == "dataset", who, f"does not take a dataset first, {expected}")
    for one in parameters[1:]:
        expect(one.kind is one.KEYWORD_ONLY, who, f"takes {one}, expected a setting by keyword")
    data = make_dataset()
    log = data.interactions
    with expect_unchanged(who, [log.user, log.item, log.weight, log.datetime]), expect_no_error(who, "on 300 rows"):
        made, again = (make(data, **settings) for _ in range(2))
    expect(isinstance(made, Split), who, f"returns a {type(made).__name__}, expected a recsys.Split")
    _check_parts(who, data, made)
    _check_same(who, made, again, "a second call")
    _check_other_order(who, make, data, made, settings)
    _check_fingerprint(who, make, made, settings)
    with expect_no_error(who, "to make its views"):
        made.validation_view(), made.test_view()
    timeless = replace(data, interactions=replace(log, datetime=None))
    try:
        make(timeless, **settings)
    except RecsysError as error:
        expect("\n" not in str(error), who, "says in several lines that it needs times, expected one")
    except Exception as error:
        raise ContractError(f"{who}: fails on data without times, expected a split or a RecsysError") from error


def _check_parts(who: str, data: Dataset, made: Split) -> None:
    for name in ("train", "test"):
        expect(getattr(made, name).nnz, who, f"has nothing in {name}, expected some positives")
    log = data.interactions
    known = set(zip(log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist(), strict=True))
    parts = {name: _list_pairs(getattr(made, name), made) for name in PARTS}
    for name, pairs in parts.items():
        matrix = getattr(made, name)
        expect(matrix.shape == made.shape, who, f"has {name} of shape {matrix.shape}, expected {made.shape}")
        expect((matrix.data == 1).all(), who, f"has entries other than 1 in {name}, expected 0/1 positives")
        expect(pairs <= known, who, f"has pairs in {name} that the data does not have")
    for one, two in (("train", "test"), ("train", "validation"), ("validation", "test")):
        shared = len(parts[one] & parts[two])
        expect(not shared, who, f"has {shared} pairs in {one} and in {two}, expected each in one part")


def _check_same(who: str, one: Split, two: Split, where: str) -> None:
    for name in PARTS:
        same = _list_pairs(getattr(one, name), one) == _list_pairs(getattr(two, name), two)
        expect(same, who, f"has other pairs in {name} at {where}, expected the same: draw by recsys.support.rng")
    expect(one.fingerprint == two.fingerprint, who, f"has another fingerprint at {where}, expected the same")


def _check_other_order(
    who: str, make: Callable[..., Split], data: Dataset, made: Split, settings: dict[str, Any]
) -> None:
    log = data.interactions
    rows = np.random.default_rng(0).permutation(len(log))
    moved = replace(log, user=log.user[rows], item=log.item[rows], weight=log.weight[rows],
                    datetime=None if log.datetime is None else log.datetime[rows],
                    source=None if log.source is None else log.source[rows])  # fmt: skip
    with expect_no_error(who, "on rows in another order"):
        other = make(replace(data, interactions=moved), **settings)
    _check_same(who, made, other, "another order of the rows")


def _check_fingerprint(who: str, make: Callable[..., Split], made: Split, settings: dict[str, Any]) -> None:
    expect(made.fingerprint, who, "has no fingerprint, expected one: results are cached by it")
    others = [make(make_dataset(1), **settings)]
    if "positive" in inspect.signature(make).parameters:
        others.append(make(make_dataset(), **{**settings, "positive": "rating >= 2"}))
    same = any(other.fingerprint == made.fingerprint for other in others)
    expect(not same, who, "has the same fingerprint for other data or another filter, expected another")


def _list_pairs(matrix: Csr, made: Split) -> Pairs:
    rows, columns = matrix.nonzero()
    return set(zip(made.user_ids[rows].tolist(), made.item_ids[columns].tolist(), strict=True))
