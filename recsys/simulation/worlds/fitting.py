"""Fits a population to a log, and holds its logs against the real one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations

import numpy as np

from recsys import metrics
from recsys.maps.protocols import derive_map_seed, limit_to_one_thread
from recsys.maths.popularity import gini
from recsys.models import ALS, EASE, ItemKNN, MostPopular
from recsys.retrieval.candidates import candidates
from recsys.simulation.records import build_pairs
from recsys.simulation.worlds.behaviours import Behaviour
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.races import fit_log_rates
from recsys.support import rng
from recsys.support.progress import track_rounds
from recsys.types import Evaluation, GroundTruth, Model, RecsysError, Split
from recsys.types.arrays import Anys, Csr, Doubles, Floats, Ints, make_empty_matrix
from recsys.types.numbers import check_int, check_number

K = 10  # of the nDCG by which logs are compared
TEST_SHARE = 0.2  # of each user's likes that models are to find
N_GENERATED = 3  # logs of a world that are held against the real one
N_NEIGHBORS = 10  # of an item, by co-likes
MAX_EASE_ITEMS = 5000  # up to which EASE is among the models that are compared
SHARPEST = 4.0  # the search for the sharpness of tastes ends there
_SEARCH_STEPS = 6
GROUPS = ("mainstream", "niche")
NICHE_SHARE = 0.2  # of users, those who met the least popular items, are the group `niche`
# What a world may differ from its log by, set after first trials on MovieLens 100K: differences of Gini coefficients,
# and factors of the others. Models whose nDCG on the log differ by more than the last must stand in the same order.
MAX_GINI_GAP = 0.05
MAX_FACTOR = 1.25
MAX_ORDER_FACTOR = 1.1


@dataclass(frozen=True)
class WorldCheck:
    """One property of a log, and of the logs of a world that was fitted to it."""

    name: str
    real: float
    generated: float  # mean over logs of the world
    least: float  # what is accepted
    most: float

    @property
    def holds(self) -> bool:
        """Whether the generated logs have the property."""
        return self.least <= self.generated <= self.most

    def __str__(self) -> str:
        """Say in a line what was found."""
        verdict = "" if self.holds else ", which is refused"
        return (
            f"{self.name}: {self.generated:.3f} beside {self.real:.3f} of the log, "
            f"expected {self.least:.3f} to {self.most:.3f}{verdict}"
        )


@dataclass(frozen=True, eq=False)
class TasteFit:
    """A fitted world, and how its logs compare with the one that it was fitted to."""

    world: FittedTastes
    sharpness: float  # how much tastes decide what is met: calibrated by nDCG
    checks: tuple[WorldCheck, ...] = field(default=())

    def check_world(self, name: str) -> FittedTastes:
        """Return the world.

        Raises:
            RecsysError: where its logs are not like the one that it was fitted to, naming the first property.
        """
        for one in self.checks:
            if not one.holds:
                raise RecsysError(f"world {name} is not like its log: {one}")
        return self.world


def fit_tastes(
    split: Split,
    *,
    factors: int = 32,
    n_regions: int = 24,
    sharpness: float | None = None,
    appeal: float = 0.5,
    like_rate: float = 0.75,
    behaviour: Behaviour | None = None,
    group_behaviours: Mapping[str, Behaviour] | None = None,
    seed: int = 0,
) -> TasteFit:
    """Return a population whose tastes are fitted to a whole log (`recsys.splits.no_holdout`), and its checks.

    Rates of exposure are exp(sharpness z + r): z are the scores of ALS with so many `factors`, fitted to all that
    was met, with mean 0 and variance 1; r of each item is what gives the popularity of the log, each user's time what
    gives the activity (`fit_log_rates`). `sharpness` is by default the one by which ALS, fitted to the likes of a
    generated log, has the nDCG@10 that it has on the real one: how much of taste is noise.

    Where held-out pairs have likes and dislikes, log-odds of a like are a logistic regression on them (score of ALS
    fitted to the other likes, z, r, log-odds of the user's other likes), applied to scores that are fitted to all of
    the log. Where they do not, nothing tells appeal from exposure: log-odds are sharpness z + appeal r, so that the
    mean over the log is `like_rate`; both are assumptions, and what is concluded has to be held against others.

    Raises:
        RecsysError: for settings out of range, or a log of fewer than 10 users or items, or of one like of each user.
    """
    if min(split.shape) < 10:
        raise RecsysError(f"world: the log has {split.shape[0]} users and {split.shape[1]} items, expected 10 of each")
    if not (np.diff(split.train.indptr) > 1).any():
        raise RecsysError("world: no user of the log has two likes, expected some: a model is to find one by the other")
    factors = check_int("world: factors", factors, 1, min(split.shape), "the users or items of the log, the fewer")
    seed = check_int("world: seed", seed)
    n_regions = check_int("world: n_regions", n_regions, 2, split.shape[1], "the items of the log")
    check_number("world: appeal", appeal, most=1.0)
    check_number("world: like_rate", like_rate, above=0.0, below=1.0)
    met = _mark(split.seen)
    z = _score(ALS(factors=factors, seed=seed), met)
    likes = _LikeModel(split, factors, seed)

    def build(at: float) -> FittedTastes:
        rates, _ = fit_log_rates(at * z, np.diff(met.indptr), np.bincount(met.indices, minlength=met.shape[1]))
        logits = likes.predict(z, rates) if likes.knows_dislikes else _shift(at * z + appeal * rates, met, like_rate)
        groups = _find_groups(met)
        return FittedTastes(
            split, np.asarray(at * z + rates, dtype=np.float32), np.asarray(logits, dtype=np.float32),
            _find_regions(split.train, factors, n_regions, seed), groups, np.array(GROUPS),
            behaviour or Behaviour(), dict(group_behaviours or {}),
        )  # fmt: skip

    reference = ALS(factors=factors, seed=seed)
    if sharpness is None:
        sharpness = _calibrate(build, reference, measure_ndcg(reference, split, seed), seed)
    else:
        check_number("world: sharpness", sharpness, above=0.0)
    world = build(sharpness)
    return TasteFit(world, sharpness, tuple(compare_logs(world, reference, seed)))


def compare_logs(
    world: FittedTastes, reference: Model, seed: int = 0, *, real: Split | None = None
) -> list[WorldCheck]:
    """Return how logs of a world compare with the one that it was fitted to: counts, co-likes and models.

    `real` is that log where the users of the world are others; as many as there are in it.
    """
    fitted_to = world.split if real is None else real
    logs = [world.generate_log(rng.derive_seed(seed, "check", i) % 2**31) for i in range(N_GENERATED)]
    checks = []
    for axis, name in enumerate(("items", "users")):
        held, found = _compare(partial(_measure_gini, axis), fitted_to, logs)
        name = f"Gini coefficient of the {name}' likes"
        checks.append(WorldCheck(name, held, found, held - MAX_GINI_GAP, held + MAX_GINI_GAP))
    held, found = _compare(measure_closeness, fitted_to, logs)
    checks.append(_check_factor(f"co-likes: mean cosine of an item's nearest {N_NEIGHBORS}", held, found))
    of_models = {
        name: _compare(partial(measure_ndcg, model, seed=seed), fitted_to, logs)
        for name, model in _list_models(reference, world.shape[1]).items()
    }
    checks += [_check_factor(f"nDCG@{K} of {name}", *of) for name, of in of_models.items()]
    for pair in combinations(of_models, 2):
        low, high = sorted(pair, key=lambda name: of_models[name][0])
        ratio, told = (of_models[high][i] / of_models[low][i] for i in range(2))
        if ratio > MAX_ORDER_FACTOR:
            checks.append(WorldCheck(f"nDCG@{K} of {high} over {low}", ratio, told, 1.0, np.inf))
    return checks


def measure_ndcg(model: Model, log: Split, seed: int) -> float:
    """Return the nDCG@10 of a model that finds a fifth of each user's likes, drawn at random, by the others."""
    apart = hold_out_at_random(log, seed)
    pool = candidates(model.fit(apart.train, apart.side_information), apart, n=min(K, log.shape[1]), seed=seed)
    found = metrics.ndcg(Evaluation(pool.items, GroundTruth(apart)), K)
    return float(np.nanmean(found.values))


def hold_out_at_random(log: Split, seed: int) -> Split:
    """Return the log with a fifth of each user's likes as test, at least one of two."""
    user, item = log.train.nonzero()
    drawn = rng.draw_uniforms(seed, "hold out", user, item)
    order = np.lexsort((drawn, user))
    count = np.bincount(user, minlength=log.shape[0])
    rank = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    held = np.zeros(len(user), dtype=bool)
    held[order] = rank < np.repeat(np.where(count > 1, np.maximum(1, (TEST_SHARE * count).astype(int)), 0), count)
    train, test = (build_pairs(user[of], item[of], log.shape) for of in (~held, held))
    none = make_empty_matrix(log.shape)
    return replace(log, kind="random", train=train, test=test, validation=none, train_times=None, time_decay=None)


def measure_closeness(log: Split) -> float:
    """Return the mean cosine, by co-likes, of each item and the ten nearest to it."""
    links = ItemKNN(k=N_NEIGHBORS, similarity="cosine", shrink=0.0).fit(log.train).links
    return float(links.data.mean())


def _measure_gini(axis: int, log: Split) -> float:
    return float(gini(_count(log.train, axis)))


def _compare(measure: Callable[[Split], float], real: Split, logs: list[Split]) -> tuple[float, float]:
    return float(measure(real)), float(np.mean([measure(log) for log in logs]))


def _check_factor(name: str, real: float, found: float) -> WorldCheck:
    return WorldCheck(name, real, found, real / MAX_FACTOR, real * MAX_FACTOR)


def _list_models(reference: Model, n_items: int) -> dict[str, Model]:
    models: dict[str, Model] = {"most_popular": MostPopular(), "item_knn": ItemKNN(), "als": reference}
    return models | ({"ease": EASE()} if n_items <= MAX_EASE_ITEMS else {})


def _calibrate(build: Callable[[float], FittedTastes], reference: Model, wanted: float, seed: int) -> float:
    """Return the sharpness by which the reference model has the wanted nDCG on generated logs: found by halving."""
    low, high = 0.0, SHARPEST
    with track_rounds("world", _SEARCH_STEPS) as done:
        for _ in range(_SEARCH_STEPS):
            middle = (low + high) / 2
            log = build(middle).generate_log(rng.derive_seed(seed, "calibration") % 2**31)
            low, high = (middle, high) if measure_ndcg(reference, log, seed) < wanted else (low, middle)
            done()
    return (low + high) / 2


class _LikeModel:
    """A logistic regression of likes on what is known without them."""

    def __init__(self, split: Split, factors: int, seed: int) -> None:
        self._likes, self._met = _mark(split.train), _mark(split.seen)
        user, item = self._met.nonzero()
        held = rng.draw_uniforms(seed, "held-out likes", user, item) < TEST_SHARE
        self._held = user[held], item[held]
        self._labels = _look_up(self._likes, user[held], item[held]) > 0
        n_held = int(self._labels.sum())
        self.knows_dislikes = 0 < n_held < min(len(self._labels), self._likes.nnz)  # likes are held out and left
        if not self.knows_dislikes:
            return
        self._model = ALS(factors=factors, seed=seed)
        self._scores = _score(self._model, self._likes)
        kept = build_pairs(user[~held], item[~held], split.shape)
        self._kept_likes, self._kept = Csr(kept.multiply(self._likes)), kept
        self._kept_scores = _score(self._model, self._kept_likes)

    def predict(self, z: Floats, rates: Doubles) -> Doubles:
        """Return the log-odds of a like, (U, I), by coefficients that were fitted to held-out pairs."""
        from sklearn.linear_model import LogisticRegression

        user, item = self._held
        odds = _find_user_odds(self._kept_likes, self._kept)
        known = [np.asarray(one, dtype=np.float64) for one in (self._kept_scores[self._held], z[self._held])]
        columns = np.stack([*known, rates[item], odds[user]], axis=1)
        fit = LogisticRegression(C=1e6, max_iter=1000).fit(columns, self._labels)
        a, b, c, d = fit.coef_[0]
        odds = _find_user_odds(self._likes, self._met)
        return np.asarray(fit.intercept_[0] + a * self._scores + b * z + c * rates + d * odds[:, None])


def _look_up(matrix: Csr, users: Anys, items: Anys) -> Anys:
    """Return the entry of each of n pairs, (n,): SciPy returns no array for none."""
    return np.asarray(matrix[users, items]).ravel() if len(users) else np.zeros(0)


def _find_user_odds(likes: Csr, met: Csr) -> Doubles:
    """Return the log-odds of each user's likes among all met, (U,), with two items of the usual share added."""
    liked, total = _count(likes, 1), _count(met, 1)
    share = likes.nnz / met.nnz
    p = (liked + 2 * share) / (total + 2)
    return np.asarray(np.log(p / (1 - p)))


def _score(model: ALS, likes: Csr) -> Floats:
    """Return the scores of a fitted factor model, (U, I), with mean 0 and variance 1."""
    factors = model.fit(likes).factors
    scores = factors.user_factors @ factors.item_factors.T
    return np.asarray((scores - scores.mean(dtype=np.float64)) / scores.std(dtype=np.float64), dtype=np.float32)


def _find_regions(likes: Csr, factors: int, n_regions: int, seed: int) -> Ints:
    """Return the region of each item, (I,): k-means of the directions of factors fitted to all likes."""
    from sklearn.cluster import KMeans

    vectors = ALS(factors=factors, seed=seed).fit(_mark(likes)).factors.item_factors.astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    with limit_to_one_thread():
        made = KMeans(n_regions, n_init=4, random_state=derive_map_seed(seed, "true regions")).fit(vectors)
    return np.asarray(made.labels_, dtype=np.int32)


def _find_groups(met: Csr) -> Ints:
    """Return 1 for the fifth of users whose met items are the least popular on average (log counts), 0 for others."""
    weight = np.log1p(_count(met, 0))
    usual = (met @ weight) / np.maximum(_count(met, 1), 1)
    return np.asarray(usual < np.quantile(usual, NICHE_SHARE), dtype=np.int32)


def _shift(logits: Doubles, met: Csr, like_rate: float) -> Doubles:
    """Return logits, (U, I), plus the number by which the mean chance over what was met is `like_rate`."""
    from scipy.optimize import brentq
    from scipy.special import expit

    at = logits[met.nonzero()]
    return np.asarray(logits + brentq(lambda level: expit(at + level).mean() - like_rate, -50, 50))


def _mark(matrix: Csr) -> Csr:
    """Return the matrix with 1 wherever it stores something."""
    return Csr((np.ones(matrix.nnz, dtype=np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _count(matrix: Csr, axis: int) -> Doubles:
    """Return how many entries each column (axis 0) or row (axis 1) has."""
    if axis:
        return np.diff(matrix.indptr).astype(np.float64)
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
