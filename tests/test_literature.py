"""Published re-ranking rules, written as blends of the four shapes, on one fixture of eight items.

The expected slates come from naive statements of each rule (set objectives and per-step scores); the papers
are named beside them.
"""

import numpy as np
import pytest
from scipy import sparse

from recsys.kernels.greedy import pick_greedily
from recsys.kernels.inputs import build_kernel_inputs
from recsys.kernels.slot_rules import NO_RULES
from recsys.types import Coverage, Modular, Spread, TableCache, Volume

K, N = 4, 8
REL = np.array([0.90, 0.85, 0.80, 0.70, 0.60, 0.50, 0.40, 0.30])
GENRES = np.array([[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])
PROFILE = np.array([0.6, 0.3, 0.1])
REFERENCE, PLAUSIBLE = np.array([0.4, 0.3, 0.3]), np.array([1.0, 0.8, 0.5])
RAW = np.array(
    [[1, 0, 0.2], [0.9, 0.1, 0.1], [0.6, 0.6, 0], [1, 0.1, 0.3], [0, 1, 0.1], [0.6, 0.1, 0.7], [0.1, 0.6, 0.6], [0, 0.1, 1]]
)  # fmt: skip
UNIT = (RAW / np.linalg.norm(RAW, axis=1, keepdims=True)).astype(np.float32)
ROWS = np.arange(N)[None, :]
TAIL = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.3, 0.15, 0.05]) < 0.25


def relevance(scale=1.0):
    return Modular((REL * scale)[None].astype(np.float32))


def covered(shares, need, phi, **settings):
    return Coverage(sparse.csr_array(np.asarray(shares, np.float32)), ROWS, np.atleast_2d(need), phi, **settings)


def at_least_one(probability, need):
    """1 - prod(1 - p), as 1 - exp(-sum a) with a = -log(1 - p)."""
    return covered(-np.log1p(-probability), need, "exp")


def deficit():
    need = PLAUSIBLE / (PLAUSIBLE @ REFERENCE)
    return covered(GENRES, need, "linear", cap=REFERENCE[None], slots=np.full(K, 1 / K))


def tilted():
    """(1 + cos) / 2 is the dot product of [v, 1] / sqrt 2; the quality of a DPP with theta = .7."""
    vectors = np.ascontiguousarray(np.hstack([UNIT, np.ones((N, 1))]) / np.sqrt(2), dtype=np.float32)
    return Volume(vectors, ROWS, "log", quality=np.exp(0.7 / 0.6 * REL)[None].astype(np.float32))


ASPECT = GENRES * REL[:, None] / (GENRES * REL[:, None]).sum(axis=0)
LIKED = REL[:, None] * (GENRES > 0)
SQUARED = np.maximum(UNIT @ UNIT.T, 0) ** 2
SHELVES = np.array([[i in shelf for shelf in ("abd", "ceg", "fgh")] for i in "abcdefgh"])

RULES = {
    "MMR, largest similarity (Carbonell and Goldstein 1998)": ([relevance(), Spread(UNIT, ROWS, "max")], [0.5, 0.5], "aehc"),
    "MMR, mean distance (RankSys)": ([relevance(), Spread(UNIT, ROWS, "mean")], [0.5, 0.5], "aebh"),
    "max-sum dispersion (Borodin, Lee and Ye 2012)": ([relevance(), Spread(UNIT, ROWS, "sum")], [0.5, 0.25], "aebh"),
    "xQuAD (Santos et al. 2010)": ([relevance(), at_least_one(ASPECT, PROFILE)], [0.5, 0.5], "abcd"),
    "RxQuAD (Vargas et al. 2012)": ([relevance(), at_least_one(LIKED, PROFILE)], [0.5, 0.5], "cabd"),
    "DPP (Chen, Zhang and Zhou 2018)": ([tilted()], [1.0], "aehg"),
    "SSD (Huang et al. 2021)": ([relevance(), Volume(UNIT, ROWS, "norm")], [1.0, 0.5], "acbd"),
    "deficit and relevance": ([relevance(1 / K), deficit()], [0.5, 0.5], "aceb"),
    "deficit alone": ([relevance(), deficit()], [1e-9, 1.0], "acgf"),
    "facility location": ([relevance(1 / K), covered(SQUARED, REL / REL.sum(), "max")], [0.5, 0.5], "aceb"),
    "account coverage": (
        [relevance(1 / K), at_least_one(REL[:, None] * SHELVES, np.array([0.5, 0.3, 0.2]))], [0.5, 0.5], "acbf",
    ),
    "long-tail xQuAD, binary (Abdollahpouri et al. 2019)": (
        [relevance(), covered(np.stack([~TAIL, TAIL], axis=1), np.array([0.7, 0.3]), "max")], [0.5, 0.5], "acbd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule_gives_its_published_slate(rule):
    terms, weights, expected = RULES[rule]
    laid = build_kernel_inputs(terms, 1, N, K, TableCache())
    picks = np.full((1, K), -1, np.int64)
    pick_greedily(
        np.array([N]), np.array([weights]), laid.to_tuples(), NO_RULES.to_tuple(), (K, 0.0, 0.0, np.zeros((1, K)), False),
        (picks, np.zeros((1, K, len(terms)), np.float32), np.zeros((1, K), np.float32), np.zeros((1, len(terms)))),
    )  # fmt: skip
    assert "".join("abcdefgh"[i] for i in picks[0]) == expected
