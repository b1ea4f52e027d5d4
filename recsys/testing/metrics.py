"""The contract of a metric."""

import inspect
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recsys import metrics
from recsys.support.resolver import list_public, name_extension, resolve_extension
from recsys.testing.contract import (
    check_documented,
    expect,
    expect_no_error,
    expect_unchanged,
    read_field,
    read_range,
)
from recsys.testing.synthetic import make_evaluation
from recsys.types import Evaluation, GroundTruth, MetricValues, PerCatalogue, PerMap, PerUser
from recsys.types.arrays import Doubles, Longs, make_empty_matrix

Metric = Callable[[Evaluation, int], MetricValues]
PARTS = ("train", "validation", "test", "train_negatives", "validation_negatives")
WORDS = {1: "more", -1: "less", 0: "neither"}  # of a direction, in the docstring


def check_metric(metric: str | Metric, *, k: int = 5, random_start: bool = False) -> None:
    """Test that a metric keeps its promises.

    It is documented and takes an evaluation and k; returns `PerUser`, `PerMap` or `PerCatalogue` of float64 with its
    convention in words and a direction; gives the same at every call and changes nothing; is NaN and no error where
    slates, histories, held-out positives, features or maps are lacking; takes slots beyond the slates as empty; does
    not depend on the order of the users, unless it rests on a clustering of them from a random start (`random_start`);
    and keeps the range and direction that its docstring says, if it says them (":Range: [0, 1]", ":Better: more").

    >>> check_metric("ndcg")

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = f"metric '{metric if isinstance(metric, str) else name_extension(metric, list_public(metrics))}'"
    make: Metric = resolve_extension("metric", metric, list_public(metrics))
    check_documented(who, make)
    taken = list(inspect.signature(make).parameters)
    expect(taken == ["evaluation", "k"], who, f"takes ({', '.join(taken)}), expected (evaluation, k)")
    evaluation = make_evaluation()
    split = evaluation.truth.split
    arrays = [evaluation.items, *(getattr(split, part).indices for part in PARTS), split.train.data, split.test.data]
    with expect_unchanged(who, arrays), expect_no_error(who, "on slates of 30 users"):
        answer = make(evaluation, k)
    _check_answer(who, answer, k)
    again = make(make_evaluation(), k)
    same = np.array_equal(_get_values(answer), _get_values(again), equal_nan=True)
    expect(same, who, "gives other values at a second call, expected the same")
    _check_lacking_inputs(who, make, k)
    padded = Evaluation(np.pad(evaluation.items, ((0, 0), (0, 4)), constant_values=-1), evaluation.truth)
    plain, longer = (_get_values(make(one, 10)) for one in (evaluation, padded))
    same = np.array_equal(plain, longer, equal_nan=True)
    expect(same, who, "gives other values where empty slots are appended to the slates, expected the same")
    if not random_start:
        _check_order_of_users(who, make, k)
    _check_range(who, make)


def _check_answer(who: str, answer: object, k: int) -> None:
    if not isinstance(answer, PerUser | PerMap | PerCatalogue):
        expect(False, who, f"returns a {type(answer).__name__}, expected PerUser, PerMap or PerCatalogue")
        return
    words = isinstance(answer.convention, str) and len(answer.convention) >= 10
    expect(words, who, f"has the convention {answer.convention!r}, expected its variant in words")
    expect(answer.direction in (-1, 0, 1), who, f"has the direction {answer.direction!r}, expected -1, 0 or 1")
    if isinstance(answer, PerCatalogue):
        expect(answer.picks.shape == (30, k), who, f"has picks of shape {answer.picks.shape}, expected (30, {k})")
        expect(answer.n_items == 40, who, f"has n_items {answer.n_items}, expected 40: those of the catalogue")
        counts = _count_shown(answer)
        several = np.asarray(answer.statistic(np.stack([counts, 2 * counts])))
        one = np.asarray(answer.statistic(counts))
        kept = several.shape == (2,) and np.allclose(several[0], one, equal_nan=True)
        expect(kept, who, "has a statistic that does not map counts (..., I) to numbers (...)")
        return
    shape = (30,) if isinstance(answer, PerUser) else (len(answer.values), 30)
    found, kind = answer.values.shape, answer.values.dtype
    expect(
        found == shape and kind == np.dtype(np.float64), who, f"has values of {found} {kind}, expected {shape} float64"
    )
    expect(not np.isinf(answer.values).any(), who, "has values that are infinity, expected numbers or NaN")


def _check_lacking_inputs(who: str, make: Metric, k: int) -> None:
    evaluation = make_evaluation()
    truth, split = evaluation.truth, evaluation.truth.split
    none = make_empty_matrix(split.train.shape)
    bare = replace(split.items, features=make_empty_matrix((40, 0)), feature_names=())
    maps = (truth.objective_maps, truth.audit_maps, truth.content_maps)
    lacking = {
        "maps": Evaluation(evaluation.items, GroundTruth(split)),
        "features": Evaluation(evaluation.items, GroundTruth(replace(split, items=bare), *maps)),
        "held-out positives": Evaluation(evaluation.items, GroundTruth(replace(split, test=none), *maps)),
        "histories": Evaluation(evaluation.items, GroundTruth(replace(split, train=none), *maps)),
        "slates": Evaluation(np.full((30, 8), -1, dtype=np.int32), truth),
    }
    for what, changed in lacking.items():
        with expect_no_error(who, f"without {what}, where NaN is expected"):
            _get_values(make(changed, k))


def _check_order_of_users(who: str, make: Metric, k: int) -> None:
    evaluation = make_evaluation()
    order = np.random.default_rng(0).permutation(30)
    split = evaluation.truth.split
    parts = {part: getattr(split, part)[order] for part in PARTS}
    moved = replace(split, user_ids=split.user_ids[order], **parts)
    shown = evaluation.truth.exposures
    moved_exposures = None if shown is None else shown.take_users(order)
    owned = evaluation.truth.repeats
    moved_repeats = None if owned is None else owned.take_users(order)
    truth = replace(evaluation.truth, split=moved, exposures=moved_exposures, repeats=moved_repeats)
    other = Evaluation(evaluation.items[order], truth)
    before, after = make(evaluation, k), make(other, k)
    expected = _get_values(before) if isinstance(before, PerCatalogue) else _get_values(before)[..., order]
    same = np.allclose(_get_values(after), expected, atol=1e-5, equal_nan=True)
    expect(same, who, "gives a user another value where users come in another order, expected the same")


def _check_range(who: str, make: Metric) -> None:
    for k, seed in ((1, 0), (5, 1), (12, 2)):
        known = {"k": k, "U": 30, "I": 40, "inf": math.inf, "e": math.e}
        low, high = read_range(who, make, known)
        answer = make(make_evaluation(seed), k)
        found = _get_values(answer)
        found = found[~np.isnan(found)]
        inside = not found.size or (found.min() >= low - 1e-9 and found.max() <= high + 1e-9)
        span = f"[{low:g}, {high:g}]"
        expect(inside, who, f"has values outside of its range {span} at k = {k}: {found.min(initial=np.inf):g} to "
               f"{found.max(initial=-np.inf):g}")  # fmt: skip
        said = read_field(make, "Better")
        word = WORDS[answer.direction]
        expect(
            said in (None, word), who, f"says that {said} is better, and its direction is {answer.direction}: {word}"
        )


def _count_shown(answer: PerCatalogue) -> Doubles:
    shown: Longs = np.bincount(answer.picks[answer.picks >= 0], minlength=answer.n_items)
    return shown.astype(np.float64)


def _get_values(answer: MetricValues) -> Doubles:
    """Return the values of users, or that of the catalogue in an array of one."""
    if isinstance(answer, PerCatalogue):
        return np.asarray([answer.statistic(_count_shown(answer))], dtype=np.float64)
    return answer.values
