"""Policies: what is shown in each round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.kernels.draws import draw_slates, narrow_pools, select_slates, take_first_items
from recsys.maps.families import MIN_TO_MAP
from recsys.maths.ordering import LOWEST_SCORE
from recsys.models import registry
from recsys.reranking.slates import fit_scales, rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.simulation.policy_rules import PolicyRules, parse_rules
from recsys.simulation.records import Log, Offer, Population, RunningPolicy, Told, mark_pairs
from recsys.simulation.shown_items import ShownItems
from recsys.support import rng
from recsys.types import Guard, Model, RecsysError, Scorer, Split, check_choice
from recsys.types.arrays import Anys, Bools, Doubles, Ints, make_empty_matrix
from recsys.types.datasets import Items
from recsys.types.numbers import check_int, check_number, convert_fields_to_python

TOLD = ("nothing", "common_values", "utilities")
SPARE = 20  # candidates beyond the pool, so that it stays whole while some are consumed


@dataclass(frozen=True)
class NoRecommender:
    """Nothing is shown; `told` says which values users learn of every item, in worlds where that matters."""

    told: Told = "nothing"  # nothing, common_values (those alike for all) or utilities (each user's own)

    def __post_init__(self) -> None:
        """Refuse an unknown kind of information."""
        check_choice("told", self.told, TOLD, where="policy none")

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy."""
        return _Constant(Offer(np.empty((population.shape[0], 0), dtype=np.int32), self.told))


@dataclass(frozen=True)
class _Constant:
    offer: Offer

    def recommend(self, log: Log, number: int) -> Offer:
        return self.offer


@dataclass(frozen=True)
class _OfK:
    k: int = 10

    def __post_init__(self) -> None:
        convert_fields_to_python(self)
        check_int("policy: k", self.k, 1)


@dataclass(frozen=True)
class ByScore(_OfK):
    """Shows the k items with the largest score, of those that may be shown."""

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy."""
        return _RunningScores(self, population, seed)

    def score(self, population: Population, log: Log, seed: int, number: int) -> Anys:
        """Return the scores of all items, (U, I) or (I,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class _RunningScores:
    policy: ByScore
    population: Population
    seed: int

    def recommend(self, log: Log, number: int) -> Offer:
        scores = self.policy.score(self.population, log, self.seed, number)
        return Offer(select_unmet(scores, log.get_closed(number), self.policy.k))


@dataclass(frozen=True)
class RandomItems(_OfK):
    """Shows k items that the user has not met, all alike."""

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy."""
        return _RunningDraws(min(self.k, population.shape[1]), seed)


@dataclass(frozen=True)
class _RunningDraws:
    """Shows the items with the largest numbers, drawn anew for each round, user and item."""

    k: int
    seed: int

    def recommend(self, log: Log, number: int) -> Offer:
        users, items = (np.arange(n, dtype=np.uint64) for n in log.met.shape)
        slates = np.empty((len(users), self.k), dtype=np.int32)
        states = rng.derive_states(self.seed, "random items", number, users)
        draw_slates(states, rng.mix_bits(items), log.get_closed(number), np.empty(self.k, dtype=np.uint64), slates)
        return Offer(slates)


@dataclass(frozen=True)
class MostLiked(ByScore):
    """Shows the k items with most likes in the log, of those that the user has not met."""

    def score(self, population: Population, log: Log, seed: int, number: int) -> Doubles:
        """Return likes, with ties in an order drawn by the seed."""
        return np.asarray(log.liked.sum(axis=0)) + rng.draw_uniforms(seed, "ties", np.arange(population.shape[1]))


@dataclass(frozen=True)
class Oracle(ByScore):
    """Shows the k items that are worth most to the user, of those that the user has not met: it knows true tastes."""

    def score(self, population: Population, log: Log, seed: int, number: int) -> Anys:
        """Return true utilities."""
        return population.get_utilities()


@dataclass(frozen=True, eq=False)
class Recommender:
    """A model, its pool and a blend, as `recsys.candidates` and `recsys.rerank` make slates.

    Every `retrain_every` rounds the model is fitted to the log, own maps and what objectives derive are made anew, and
    gains are scaled; 0 fits it once, before the first round. Between, what was met leaves the pool, and nothing else
    changes. Until three users have two likes each, which own maps need, and in the first `random_rounds`, slates are
    random.

    `control` and `evidence` are tables as [control] and [evidence] of a benchmark: frequency caps, fatigue, sensitive
    topics and one-offs. What was shown and not taken is known, in rounds of `round_days` days, to caps and fatigue;
    from `ignored_after` exposures on it counts as a dislike in each training, which also keeps it from being shown
    again. Rules that say nothing in a closed loop (dials, cool-downs, guest runs, repeats, like curves) are refused.

    Raises:
        RecsysError: if a setting is out of range, or a rule is none, says nothing in a closed loop, or is given twice.
    """

    model: Model | str = "als"  # a model, or the name of one
    blend: Mapping[Any, Any] = field(default_factory=lambda: {"relevance": 1.0})
    k: int = 10
    pool: int = 100  # candidates of each user
    retrain_every: int = 1  # rounds
    random_rounds: int = 0
    guards: Sequence[Guard] = ()
    temperature: float = 0.0  # of draws, as in `recsys.rerank`
    epsilon: float = 0.0  # the same
    control: Mapping[str, Any] = field(default_factory=dict)  # rules, as [control]
    evidence: Mapping[str, Any] = field(default_factory=dict)  # the same, as [evidence]
    round_days: float = 1.0  # that a round takes: windows are in days
    ignored_after: int = 0  # exposures from which what was never taken counts as a dislike; 0: never

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        for name, least in (("k", 1), ("pool", 1), ("retrain_every", 0), ("random_rounds", 0),
                            ("ignored_after", 0)):  # fmt: skip
            check_int(f"policy: {name}", getattr(self, name), least)
        check_number("policy: temperature", self.temperature)
        check_number("policy: epsilon", self.epsilon, most=1.0)
        if self.k > self.pool:
            raise RecsysError(f"policy: k is {self.k} and the pool {self.pool}, expected at most as many")
        check_number("policy: round_days", self.round_days, above=0.0, most=365.0)
        self.build_rules()

    def build_rules(self) -> PolicyRules:
        """Return the rules of the policy, with its blend and its guards."""
        return parse_rules(self.blend, self.guards, self.control, self.evidence)

    def start(self, population: Population, seed: int) -> "RunningRecommender":
        """Return the policy, not yet fitted."""
        return RunningRecommender(self, population, seed)


class RunningRecommender:
    """A `Recommender` in one simulation."""

    def __init__(self, policy: Recommender, population: Population, seed: int) -> None:
        """Begin without a model."""
        made = policy.model
        self.policy, self.seed, self.shape = policy, seed, population.shape
        self._model: Model = registry.build_model(made, {}, "policy") if isinstance(made, str) else made
        self._first = population.history or make_split(population.shape)
        self.rules = policy.build_rules()
        self._shown = ShownItems(population.shape, policy.round_days)
        self._banned = np.zeros(population.shape[1], dtype=bool)  # items of sensitive topics
        if self.rules.topics is not None:
            self._banned |= self.rules.topics.find_topic_items(self._first.items).find_sensitive_items()
        drawn = policy.temperature or policy.epsilon
        self._keeps_order = self.rules.blend == {"relevance": 1.0} and not (self.rules.guards or drawn)
        self._random = RandomItems(policy.k).start(population, seed)
        self._fitted: Scorer | None = None
        self._wide: Pool | None = None
        self._scales: dict[str, float] | None = None

    def recommend(self, log: Log, number: int) -> Offer:
        """Return the slates of a round."""
        if self.rules.reads_exposures or self.policy.ignored_after:
            self._shown.read(log)
        if number < self.policy.random_rounds or (self._fitted is None and not _can_be_learned_from(log)):
            return self._random.recommend(log, number)
        if self._fitted is None or (self.policy.retrain_every and number % self.policy.retrain_every == 0):
            self._train(log, number)
        pool = self._narrow_pool(log, number)
        if self.rules.reads_exposures:
            pool = replace(pool, context=replace(pool.context, exposures=self._shown.build_histories(number)))
        if self._keeps_order:
            return Offer(pool.items[:, : self.policy.k], make_maps=lambda: pool.context.maps)
        made = rerank(
            pool, self.rules.blend, min(self.policy.k, pool.items.shape[1]), scale=self._get_scales(pool),
            guards=self.rules.guards, temperature=self.policy.temperature, epsilon=self.policy.epsilon,
            seed=rng.derive_seed(self.seed, "slots", number) % 2**31,
        )  # fmt: skip
        return Offer(made.items, make_maps=lambda: pool.context.maps)

    def _train(self, log: Log, number: int) -> None:
        self._n_met = int(log.met.sum())
        self._fitted, self._split = self.rules.fit(self._model, self._read_log(log))
        self._scales = None
        self._widen_pool(log, number)

    def _read_log(self, log: Log) -> Split:
        """Return the log as a model is trained on it: without banned items, with what was ignored as dislikes."""
        if not (self._banned.any() or self.policy.ignored_after):
            return update_split(self._first, log)
        disliked = log.met & ~log.liked
        if self.policy.ignored_after:
            disliked |= self._shown.mark_often_shown(self.policy.ignored_after) & ~log.met
        allowed = ~self._banned
        return replace(
            self._first, train=mark_pairs(log.liked & allowed), train_negatives=mark_pairs(disliked & allowed)
        )

    def _widen_pool(self, log: Log, number: int) -> None:
        """Retrieve more than the pool for all users, as of now."""
        assert self._fitted is not None
        unmet = self._split if self._n_met == int(log.met.sum()) else self._read_log(log)
        hidden = log.count_absent_items(number) + int(self._banned.sum())
        n = min(self.policy.pool + SPARE + hidden, self.shape[1])
        found = candidates(self._fitted, unmet, n=n, seed=self.seed)
        context = found.context if self._wide is None or unmet is self._split else self._wide.context
        self._wide = Pool(found.users, found.items, found.scores, context)

    def _narrow_pool(self, log: Log, number: int) -> Pool:
        """Return the best candidates that are not met by now."""
        assert self._wide is not None
        n, closed = min(self.policy.pool, self._wide.items.shape[1]), log.get_closed(number)
        if self._banned.any():
            closed = closed | self._banned
        kept, scores = np.empty((self.shape[0], n), dtype=np.int32), np.empty((self.shape[0], n), dtype=np.float32)
        if narrow_pools(self._wide.items, self._wide.scores, closed, kept, scores):
            self._widen_pool(log, number)
            narrow_pools(self._wide.items, self._wide.scores, closed, kept, scores)
        return Pool(self._wide.users, kept, scores, self._wide.context)

    def _get_scales(self, pool: Pool) -> dict[str, float]:
        if self._scales is None or (not self._scales.get("fatigue", 1.0) and self._shown.n_read):
            self._scales = fit_scales(pool, self.rules.blend, min(self.policy.k, pool.items.shape[1]))
        return self._scales


def _can_be_learned_from(log: Log) -> bool:
    """Return whether own maps can be made of the log: of users with several likes."""
    return int((log.liked.sum(axis=1) > 1).sum()) >= MIN_TO_MAP


def select_unmet(scores: Anys, met: Bools, k: int) -> Ints:
    """Return the k unmet items with the largest finite score of each user, best first, (U, k), then -1.

    Scores are (U, I), or (I,) where they are alike for all. Of equal scores the first item in order of codes is taken.
    """
    slates = np.empty((len(met), min(k, met.shape[1])), dtype=np.int32)
    if scores.ndim == 1:
        finite = np.flatnonzero(scores > LOWEST_SCORE)
        take_first_items(finite[np.argsort(-scores[finite], kind="stable")], met, slates)
    else:
        select_slates(scores, met, np.empty(slates.shape[1], dtype=scores.dtype), slates)
    return slates


def make_split(shape: tuple[int, int]) -> Split:
    """Return a split of users and items without a log, whose ids are their codes."""
    none = make_empty_matrix(shape)
    users, items = (np.arange(n).astype(str) for n in shape)
    features, years = make_empty_matrix((shape[1], 0)), np.zeros(shape[1], dtype=np.int32)
    catalogue = Items(items, np.full(shape[1], ""), features, (), years)
    return Split("whole", 0, users, catalogue, none, none, none, none, none)


def update_split(first: Split, log: Log) -> Split:
    """Return a split whose training part is the log, with the users and items of `first`."""
    return replace(first, train=mark_pairs(log.liked), train_negatives=mark_pairs(log.met & ~log.liked))
