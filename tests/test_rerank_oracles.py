"""Published re-ranking rules, asked for by the names of objectives, on one fixture of eight items.

The expected slates are those of naive statements of each rule (set objectives and per-step scores), made apart from
this library; the papers are named beside them. `test_literature.py` has the same rules as terms.
"""

import itertools

import numpy as np
import pytest
from scipy import sparse

from recsys.reranking.slates import rerank
from recsys.types import Context, Factors, Items, Pool

K, N = 4, 8
REL = np.array([0.90, 0.85, 0.80, 0.70, 0.60, 0.50, 0.40, 0.30])
GENRES = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]])
HISTORY = np.repeat(np.eye(3, dtype=int), [6, 3, 1], axis=0)  # a profile of .6, .3, .1
OTHERS = np.repeat(np.eye(3, dtype=int), [4, 3, 3], axis=0)  # of somebody else: .5, .3, .2 of both together
RAW = np.array(
    [[1, 0, 0.2], [0.9, 0.1, 0.1], [0.6, 0.6, 0], [1, 0.1, 0.3], [0, 1, 0.1], [0.6, 0.1, 0.7], [0.1, 0.6, 0.6], [0, 0.1, 1]]
)  # fmt: skip
COSINE = (RAW / np.linalg.norm(RAW, axis=1, keepdims=True)) @ (RAW / np.linalg.norm(RAW, axis=1, keepdims=True)).T
LIKED = {"score_transform": "probability", "platt_slope": 1.0}  # of scores that are log odds: REL


def make_pool():
    """One user who has met ten items (somebody else met ten others), and eight candidates that are liked with the probabilities REL."""
    owner = np.repeat([-1, 0, 1], [N, len(HISTORY), len(OTHERS)])
    ids = np.array([*"abcdefgh", *(f"met {i}" for i in range(len(HISTORY) + len(OTHERS)))])
    features = sparse.csr_array(np.vstack([GENRES, HISTORY, OTHERS]).astype(np.float32))
    vectors = np.vstack([RAW, np.zeros((len(ids) - N, 3))]).astype(np.float32)
    user = np.ones((2, 3), np.float32)
    context = Context(
        user_ids=np.array(["u", "v"]),
        item_ids=ids,
        train=sparse.csr_array((owner == np.array([[0], [1]])).astype(np.float32)),
        items=Items(ids, ids, features, ("1", "2", "3"), np.zeros(len(ids), np.int32)),
        factors=Factors(user, vectors, user[0], 1.0, 1.0, 1.0, 0.0, 1.0, 0.0),
    )
    scores = np.log(REL / (1 - REL))[None].astype(np.float32)
    return Pool(np.array([0], np.int32), np.arange(N, dtype=np.int32)[None], scores, context)


def slate(blend, relevance=0.5):
    blend = {"relevance": {"weight": relevance, **LIKED}, **blend}
    return "".join("abcdefgh"[i] for i in rerank(make_pool(), blend, k=K, scale=None).items[0])


FACTORS = {"space": "factors"}
RULES = {
    "MMR, largest similarity (Carbonell and Goldstein 1998)": ({"mmr": {"weight": 0.5, **FACTORS}}, 0.5, "aehc"),
    "MMR, mean distance (RankSys)": ({"mmr": {"weight": 0.5, "agg": "mean", **FACTORS}}, 0.5, "aebh"),
    "max-sum dispersion (Borodin, Lee and Ye 2012)": (
        {"mmr": {"weight": 0.25, "agg": "sum", **FACTORS}}, 0.5, "aebh",
    ),
    "SSD (Huang et al. 2021)": ({"ssd": {"weight": 0.5, **FACTORS}}, 1.0, "acbd"),
    "xQuAD (Santos et al. 2010)": ({"xquad": {"weight": 0.5, **LIKED}}, 0.5, "abcd"),
    "RxQuAD (Vargas et al. 2012)": ({"rxquad": {"weight": 0.5, "alpha": 1.0, **LIKED}}, 0.5, "cabd"),
    "binomial diversity (Vargas et al. 2014)": ({"binomial_diversity": {"weight": 0.5}}, 0.5, "cabh"),
    "facility location": (
        {"facility_location": {"weight": 0.5, "targets": N, **FACTORS, **LIKED}}, 0.5 / K, "aceb",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule_gives_its_published_slate(rule):
    blend, relevance, expected = RULES[rule]
    assert slate(blend, relevance) == expected


def test_pm2_gives_its_published_slate():
    """Dang and Croft 2012: c, a, b, and then f and g are worth .05 each, by hand; which is first, rounding decides."""
    made = rerank(make_pool(), {"pm2": {"weight": 1.0, **LIKED}}, k=K, scale=None)
    picks = "".join("abcdefgh"[i] for i in made.items[0])
    assert picks in ("cabf", "cabg")
    assert made.scores[0, 3] == pytest.approx(0.05, rel=1e-5)


KNOBS = (0.2, 0.5, 0.8)
STRATEGIES = {  # of pyversity 0.2.0, for diversity = KNOBS: blend, relevance
    "mmr": (lambda d: ({"mmr": {"weight": d, **FACTORS}}, 1 - d), ("acbd", "aehc", "aehc")),
    "msd": (lambda d: ({"mmr": {"weight": d, "agg": "sum", **FACTORS}}, 1 - d), ("aceb", "aehb", "aehb")),
    "dpp": (  # of three dimensions: a fourth pick has no volume to add
        lambda d: ({"dpp": {"weight": 1.0, "ridge": 0.0, **FACTORS}}, 2 * (1 - d) / REL.std()), ("acf", "acf", "aeh"),
    ),
    "ssd": (  # append_bias=False, normalize_scores=False
        lambda d: ({"ssd": {"weight": d, **FACTORS}}, 1 - d), ("acbd", "aehb", "aehb"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategy_gives_the_slates_of_pyversity(strategy):
    """What its package gives on this fixture; `benchmarks/agreement.py` runs it on two worlds."""
    blend, expected = STRATEGIES[strategy]
    found = [slate(*blend(d))[: len(picks)] for d, picks in zip(KNOBS, expected, strict=True)]
    assert tuple(found) == expected


def naive(value):
    """Return the slate that adds the candidate with the largest value(i, picks before it)."""
    picks = []
    while len(picks) < K:
        picks.append(max((i for i in range(N) if i not in picks), key=lambda i: value(i, picks)))
    return "".join("abcdefgh"[i] for i in picks)


def log_det(kernel, picks):
    return np.linalg.slogdet(kernel[np.ix_(picks, picks)])[1]


@pytest.mark.parametrize("window", [None, 1, 2, 3])
@pytest.mark.parametrize("theta", [0.2, 0.5, 0.7])
def test_dpp_is_the_naive_log_determinant_over_the_window(theta, window):
    """Chen, Zhang and Zhou 2018: log det L = 2 alpha sum r + log det K, alpha = theta / (2 (1 - theta))."""
    alpha, ridge = theta / (2 * (1 - theta)), 0.05
    kernel = (1 - ridge) * COSINE + ridge * np.eye(N)
    ell = np.exp(alpha * REL)[:, None] * kernel * np.exp(alpha * REL)

    def value(i, picks):
        last = picks[-window:] if window else picks
        return log_det(ell, [*last, i]) - log_det(ell, last)

    blend = {"dpp": {"weight": 1.0, "ridge": ridge, "window": window, **FACTORS}}
    assert slate(blend, 2 * alpha) == naive(value)


def residual(i, picks):
    """The length of what is left of unit vector i after Gram and Schmidt: sqrt(det G(picks, i) / det G(picks))."""
    unit = RAW / np.linalg.norm(RAW, axis=1, keepdims=True)
    basis = np.linalg.qr(unit[picks].T)[0] if picks else np.zeros((3, 0))
    return np.linalg.norm(unit[i] - basis @ (basis.T @ unit[i]))


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 2.0])
def test_ssd_is_the_naive_residual_over_the_window(gamma, window):
    expected = naive(lambda i, picks: REL[i] + gamma * residual(i, picks[-window:]))
    assert slate({"ssd": {"weight": gamma, "window": window, **FACTORS}}, 1.0) == expected


def test_a_window_lets_what_was_shown_long_ago_come_again():
    """By hand: a, e and h are nearly the axes; who remembers one pick is as far from them again."""
    seen = {window: slate({"ssd": {"weight": 5.0, "window": window, **FACTORS}}, 0.0001) for window in (None, 1)}
    assert len(set(seen.values())) == 2


def test_facility_location_is_within_its_bound_and_never_above_one():
    """F(S) <= 1, and greedy is at least (1 - 1/e) of the best four (Nemhauser, Wolsey and Fisher 1978)."""
    squared = np.maximum(COSINE, 0) ** 2

    def covered(picks):
        return REL @ squared[list(picks)].max(axis=0) / REL.sum()

    made = rerank(
        make_pool(), {"facility_location": {"weight": 1.0, "targets": N, **FACTORS, **LIKED}}, k=K, scale=None
    )
    best = max(covered(s) for s in itertools.combinations(range(N), K))
    assert made.contributions.sum() == pytest.approx(covered(made.items[0]), rel=1e-5)
    assert (1 - 1 / np.e) * best <= covered(made.items[0]) <= 1
