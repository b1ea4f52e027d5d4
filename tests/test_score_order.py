"""Scores of any kind of number: ordered as they were given, then stored in 32 bits; what is no number is refused."""

import ast
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_maps, make_split

import recsys as rs
from recsys.maps.graphs import build_neighbour_graph
from recsys.maths.ordering import LOWEST_SCORE, find_largest, make_comparable
from recsys.types import RecsysError

FINE = {  # thirty scores that are alike in 32 bits, and what they are of
    "epochs": (1.6e9 + np.arange(30)).tolist(),
    "float64": 1.6e9 + np.arange(30.0),
    "int64 above 2^24": 2**24 + np.arange(30),
    "int64 above 2^53": 2**60 + np.arange(30),
    "uint64": np.uint64(2**63) + np.arange(30, dtype=np.uint64),
    "Python's whole numbers": [2**53 + i for i in range(30)],
    "beyond 64 bits": [2**70 + i for i in range(30)],
    "whole and broken": [2.0**53, *(2**53 + i for i in range(1, 30))],
    "Decimal": [Decimal(10) + Decimal(i).scaleb(-20) for i in range(30)],
    "Fraction": [Fraction(10) + Fraction(i, 10**20) for i in range(30)],
    "pandas": pd.Series(1.6e9 + np.arange(30), index=range(30, 60)),
    "pandas, whole, with nothing": pd.Series(2**60 + np.arange(30), dtype="Int64"),
    "float16 and plain": np.arange(30, dtype=np.float16),
    "bool": np.arange(30) > 28,
    "negative": -(2**60) - np.arange(30)[::-1],
}  # fmt: skip
NO_NUMBERS = [
    np.nan,
    np.inf,
    -np.inf,
    1e39,
    -1e39,
    1e308,
    None,
    "x",
    1j,
    [1.0],
    Decimal("NaN"),
    Decimal("Infinity"),
    10**400,
    pd.NA,
]


@pytest.fixture(scope="module")
def split():
    return make_split(users=60, seed=4)


@pytest.fixture(scope="module")
def ranker(split):
    return rs.Ranker.fit(None, split, {"relevance": 1.0}, scale=None, maps=make_maps(split), k=5)


def as_array(kind):
    return np.array([*FINE[kind]], dtype=object if kind == "whole and broken" else None)


def one_line(call):
    with pytest.raises(RecsysError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


class Mine:
    """A model of one's own: the same scores for everybody."""

    factors = None

    def __init__(self, scores):
        self.scores = scores

    def score(self, users):
        return np.stack([self.scores] * len(users))

    def fold(self, histories):
        return self.score(range(histories.shape[0]))


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("seed", [0, 1])
def test_frames_are_ordered_by_the_scores_given(kind, seed):
    items = np.random.default_rng(seed).permutation(30)
    scores = FINE[kind]
    given_ = scores.iloc[items] if isinstance(scores, pd.Series) else [scores[i] for i in items]
    pool = rs.Pool.from_frame(["u"] * 30, [f"{i:02d}" for i in items], given_, n=5)
    found = pool.context.item_ids[pool.items[0]].tolist()
    assert found[0] == "29" if kind == "bool" else found == ["29", "28", "27", "26", "25"]
    assert np.array_equal(rs.rerank(pool, {"relevance": 1.0}, 5).items, pool.items)


@pytest.mark.parametrize("kind", FINE)
def test_requests_are_ordered_by_the_scores_given(ranker, kind):
    for some in (FINE[kind], as_array(kind)):
        answer = ranker.rerank([f"i{i}" for i in range(30)], some)
        assert answer.items[0] == "i29" and (kind == "bool" or answer.items == ("i29", "i28", "i27", "i26", "i25"))
    if kind != "bool":
        unknown = ranker.rerank(["no", *(f"i{i}" for i in range(1, 30))], FINE[kind])
        assert unknown.items == ("i29", "i28", "i27", "i26", "i25") and unknown.unknown_items == ("no",)


@pytest.mark.parametrize("kind", FINE)
def test_scorers_are_ordered_by_the_scores_given(split, kind):
    scores = as_array(kind)
    scores = np.concatenate([scores, scores[:1].repeat(10)])  # forty items
    pool = rs.candidates(Mine(scores), split, n=20, exclude_seen=False)
    free = rs.Ranker.fit(Mine(scores), split, {"relevance": 1.0}, maps=make_maps(split), k=5, n=20, exclude_seen=False)
    answer = free.rank(history=["i0"])
    assert (pool.items[:, 0] == 29).all() and answer.items[0] == "i29"
    if kind != "bool":
        assert (pool.items[:, :5] == [29, 28, 27, 26, 25]).all()
        assert answer.items == ("i29", "i28", "i27", "i26", "i25") == free.rank(user="u3").items
        assert answer.relevance[0] == np.float32(float(scores[29])) == pool.scores[0, 0]


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_in_the_same_words(split, ranker, wrong):
    scores = [1.0, wrong, 2.0]
    said = [
        one_line(lambda: rs.Pool.from_frame(["u"] * 3, ["a", "b", "c"], scores)),
        one_line(lambda: ranker.rerank(["i1", "i2", "i3"], scores)),
    ]
    if not isinstance(wrong, list):
        mine = np.array([wrong] + [1.0] * 39, dtype=None if isinstance(wrong, float) else object)
        said.append(one_line(lambda: rs.candidates(Mine(mine), split, n=5)))
        fit = partial(rs.Ranker.fit, Mine(mine), split, {"relevance": 1.0}, scale=None, maps=make_maps(split))
        said.append(one_line(fit))
    assert all("expected a finite number of 32 bits" in line for line in said), said


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_factors_that_are_no_numbers_are_refused(split, wrong):
    model = rs.models.ALS(factors=4, iterations=2).fit(split.train)
    model.factors.item_factors[3, 1] = wrong
    assert "expected a finite number" in one_line(lambda: rs.candidates(model, split, n=5))
    assert "expected a finite number of 32 bits" in one_line(
        lambda: rs.Ranker.fit(model, split, {"relevance": 1.0}, scale=None, maps=make_maps(split))
    )
    model.factors.item_factors[3, 1], model.factors.user_factors[:] = 3e38, 9.0
    assert "expected a finite number" in one_line(lambda: rs.candidates(model, split, n=5))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(-(2**70), 2**70), st.floats(-1e30, 1e30), st.fractions(-9, 9)), min_size=1, max_size=12
    )
)
def test_numbers_compare_as_the_scores_do(scores):
    values = make_comparable(scores, lambda found, place: RecsysError(found))
    exact = [Fraction(score) for score in scores]
    for i in range(len(scores)):
        for j in range(len(scores)):
            assert (values[i] < values[j]) == (exact[i] < exact[j])
    assert (values > LOWEST_SCORE).all()


@given(st.integers(0, 10**6), st.integers(0, 12))
def test_the_largest_are_those_of_a_sort_and_equal_ones_go_by_ties(seed, n):
    rng = np.random.default_rng(seed)
    values, ties = rng.integers(0, 4, (5, 12)) / 4, rng.permutation(12)
    slow = [sorted(sorted(range(12), key=lambda one, row=row: (-row[one], ties[one]))[:n]) for row in values]
    assert np.sort(find_largest(values, n, ties, -1.0)).tolist() == slow
    high = find_largest(values, n, ties, 0.5)
    assert (
        np.sort(np.take_along_axis(values, high, axis=1)).tolist()
        == np.sort(np.take_along_axis(values, find_largest(values, n, ties, -1.0), axis=1)).tolist()
    )


def test_neighbours_do_not_depend_on_how_a_processor_partitions_equal_values(monkeypatch):
    train, partition = make_split(3, 60, 40).train, np.argpartition

    def turn(values, *given, **more):  # another processor: it meets equal values from the other end
        return values.shape[1] - 1 - partition(values[:, ::-1], *given, **more)

    plain = build_neighbour_graph(train, 5).toarray()
    monkeypatch.setattr(np, "argpartition", turn)
    assert np.array_equal(build_neighbour_graph(train, 5).toarray(), plain)


def list_unstable_orders(source):
    """Return the lines in which the order of equal values is left to the processor."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [(getattr(call.func, "attr", ""), call) for call in calls]
    stable = {
        id(call) for call in calls for of in call.keywords if of.arg == "kind" and ast.unparse(of.value) == "'stable'"
    }
    return [
        call.lineno
        for name, call in named
        if name == "argpartition" or (name in ("argsort", "sort_values") and id(call) not in stable)
    ]


def test_equal_values_are_ordered_alike_on_every_processor():
    assert list_unstable_orders("np.argsort(x)\nx.argsort(kind='stable')\nnp.argpartition(x, 3)") == [1, 3]
    package = Path(rs.__file__).parent
    compiled = {*(package / "kernels").glob("*.py")}  # Numba's own sorts
    found = {
        path.name: lines
        for path in {*package.rglob("*.py")} - compiled
        if (lines := list_unstable_orders(path.read_text(encoding="utf-8")))
    }
    assert {name: len(lines) for name, lines in found.items()} == {"ordering.py": 2}  # they put equal ones in order
