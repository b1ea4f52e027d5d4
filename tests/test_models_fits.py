"""Defaults do not depend on how large the catalogue is, and a fit that cannot rank says so and serves nobody."""

import warnings

import numpy as np
import pytest
from command_line import run_cli
from scipy import sparse
from scipy.sparse.linalg import svds
from synthetic import RandomFactorModel, make_split, write_tables

from recsys import Ranker, bench, models
from recsys.models import ALS, BPR, EASE, IALS, LMF, Ensemble, MostPopular
from recsys.models.fits import find_ranking_problem
from recsys.models.regularization import default_unobserved_weight, largest_singular_value, noise_level
from recsys.types import RecsysError, RecsysWarning


def likes(users: int, items: int, each: int, seed: int = 0) -> sparse.csr_array:
    """Likes of users with one of ten tastes, half of them by taste and half by chance."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 10, users)[:, None]
    own = rng.integers(0, max(items // 10, 1), (users, each)) * 10 + taste
    item = np.where(rng.random((users, each)) < 0.5, np.minimum(own, items - 1), rng.integers(0, items, (users, each)))
    cells = np.unique(np.repeat(np.arange(users), each) * items + item.ravel())
    return sparse.csr_array((np.ones(len(cells), np.float32), (cells // items, cells % items)), shape=(users, items))


# Users, items, positives of a user. The first is where a regulariser that grows with the catalogue left 9.5e-19.
SIZES = [(500, 20_000, 20), (300, 100, 10), (400, 1_000, 20), (200, 5_000, 40), (30, 3_000, 5), (2_000, 60, 12)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("model", [IALS(factors=16, iterations=8), ALS(factors=16, iterations=8)])
def test_factors_do_not_collapse_whatever_the_size(model, size):
    train = likes(*size)
    scores = model.fit(train).score(np.arange(min(50, size[0]), dtype=np.int32))
    assert 0.05 < scores.max() < 1.5


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_regularization_is_below_the_one_that_leaves_no_factor(size, nu):
    train = likes(*size)
    model = IALS(nu=nu).fill_defaults(train)
    rows, columns = np.diff(train.indptr), np.bincount(train.indices, minlength=size[1])
    left, right = (
        (n + model.unobserved * m) ** (-nu / 2) for n, m in zip((rows, columns), (size[1], size[0]), strict=True)
    )
    scaled = sparse.diags_array(left) @ train.astype(np.float64) @ sparse.diags_array(right)
    # 0 is where the loss is least if and only if the regularization is at least the largest singular value.
    assert 0.05 < model.regularization / svds(scaled, k=1, return_singular_vectors=False)[0] < 0.65
    assert model.unobserved == pytest.approx(10 * train.nnz / (size[0] * size[1]))


def test_from_the_largest_singular_value_on_all_factors_are_0():
    train = likes(300, 100, 10)
    largest = float(svds(train.astype(np.float64), k=1, return_singular_vectors=False)[0])
    settings = {"factors": 4, "nu": 0.0, "unobserved": 0.01, "iterations": 300}
    below = IALS(regularization=0.97 * largest, **settings).fit(train).score(np.arange(300))
    assert below.max() > 1e-3
    with pytest.warns(RecsysWarning, match="no spread"):
        above = IALS(regularization=1.03 * largest, **settings).fit(train).score(np.arange(300))
    assert above.max() < 1e-6


def test_the_defaults_of_als_are_those_of_ials_with_nu_0():
    train = likes(400, 1_000, 20)
    als, ials = ALS().fill_defaults(train), IALS(nu=0.0).fill_defaults(train)
    assert als.alpha == pytest.approx(1 + 1 / ials.unobserved)
    assert als.regularization == pytest.approx(als.alpha * ials.regularization)
    assert ials.unobserved == default_unobserved_weight(train)


def test_the_noise_level_is_the_largest_singular_value_of_noise():
    rng = np.random.default_rng(0)
    for users, items in ((400, 300), (1_500, 100)):
        noise = sparse.csr_array(rng.standard_normal((users, items)))
        assert noise_level(noise) == pytest.approx(svds(noise, k=1, return_singular_vectors=False)[0], rel=0.03)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_largest_singular_value_is_found_from_below(size):
    train = likes(*size).astype(np.float64)
    exact = svds(train, k=1, return_singular_vectors=False)[0]
    assert 0.97 * exact < largest_singular_value(train) <= exact * (1 + 1e-9)


@pytest.mark.parametrize("model", [IALS, ALS])
def test_what_is_given_stays_as_it_is(model):
    train = likes(300, 100, 10)
    filled = model().fill_defaults(train)
    assert filled.fill_defaults(train) == filled
    assert model(regularization=0.05).fill_defaults(train).regularization == 0.05
    fitted = model(factors=4, regularization=0.05).fit(train).factors
    assert fitted.regularization == 0.05
    by_number, by_default = (m.fit(train).factors for m in (filled, model()))
    assert (by_number.item_factors == by_default.item_factors).all()


OLD = {"factors": 64, "unobserved": 0.3, "regularization": 0.02, "nu": 1.0}


def test_a_collapsed_model_says_so():
    with pytest.warns(
        RecsysWarning, match=r"ials: the scores of a user have no spread: .* from 0 to [0-9.]+e-\d\d"
    ) as said:
        fitted = IALS(**OLD).fit(likes(*SIZES[0]))
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert said[0].filename == __file__
    assert 0 < fitted.score(np.arange(500)).max() < 1e-10


COLLAPSED = [
    ALS(factors=4, regularization=1e9), IALS(factors=4, regularization=1e6), BPR(factors=2, iterations=1),
    EASE(l2=1e30), LMF(factors=2, iterations=1, regularization=1e8), Ensemble([ALS(factors=4, regularization=1e9)]),
]  # fmt: skip


@pytest.mark.parametrize("model", COLLAPSED, ids=lambda m: type(m).__name__)
def test_it_is_said_by_whichever_model_it_is(model):
    train = sparse.csr_array(np.kron(np.eye(2), np.ones((4, 3))).astype(np.float32))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = model.fit(train)
    flat = bool(find_ranking_problem(fitted, train))
    assert [w.category for w in said if issubclass(w.category, RecsysWarning)] == [RecsysWarning] * (
        flat + (isinstance(model, Ensemble) and True)
    )
    if isinstance(model, ALS | IALS):
        assert flat


def test_small_scores_that_rank_are_no_problem():
    train = likes(300, 100, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (EASE(l2=1e7), models.P3alpha(alpha=3.0), models.RP3beta(alpha=2.0, beta=1.0), MostPopular()):
            assert not find_ranking_problem(model.fit(train), train)


class Scores(RandomFactorModel):
    """Somebody's own model, whose scores are all the same, or no numbers."""

    factors = None

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, users: np.ndarray) -> np.ndarray:
        return np.full((len(users), 40), self.value, np.float32)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3.0, "no spread"),
        (0.0, "no spread"),
        (np.nan, "expected a finite number"),
        (np.inf, "expected a finite number"),
    ],
)
def test_a_ranker_refuses_a_model_that_cannot_rank(value, message):
    with pytest.raises(RecsysError, match=f"ranker: the model cannot rank: .*{message}") as error:
        Ranker.fit(Scores(value), make_split(), {"relevance": 1.0}, scale=None)
    assert "\n" not in str(error.value)


CONFIG = """
data = { path = "ratings.csv", items = "items.csv" }
filter = { positive = "rating >= 3", min_user_interactions = 3, min_item_interactions = 2 }
split = { kind = "random", test = 0.3 }
model = { kind = "als", factors = 4, iterations = 3, regularization = 1e9 }
pool = { n = 15 }
slate = { k = [5] }
evaluation = { n_bootstrap = 100 }
[blends.wider]
relevance = 1.0
negative_space = 0.4
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    write_tables(tmp_path)
    (tmp_path / "mine.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    return tmp_path


@pytest.mark.parametrize(("command", "out"), [("export", "made"), ("recommend", "made.csv")])
def test_nothing_is_made_of_a_model_that_cannot_rank(home, capsys, command, out):
    assert run_cli(command, "mine.toml", "--out", out, "--quiet") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("recsys: warning: als: the scores of a user have no spread")
    assert ": the model cannot rank: the scores of a user have no spread" in lines[1]
    assert not (home / out).exists()


def test_a_benchmark_says_it_each_time(home, capsys):
    for _ in range(2):  # fitted, then from the cache
        assert run_cli("bench", "mine.toml", "--out", "runs", "--quiet") == 0
        assert capsys.readouterr().err.count("recsys: warning: als: the scores of a user have no spread") == 1
    with pytest.warns(RecsysWarning, match="no spread"):
        bench(home / "mine.toml", out=home / "runs", quiet=True)
