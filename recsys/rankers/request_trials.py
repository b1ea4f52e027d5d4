"""Trials of one request: the same request without items of its history, without guards, or with other settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from recsys.rankers.answers import Recommendation
from recsys.rankers.exposures import collect_limits, hide_limited_items
from recsys.rankers.indexes import Index, retrieve_from_index
from recsys.rankers.policies import Policy
from recsys.rankers.request_constraints import RequestGuards
from recsys.rankers.request_dials import RequestDials
from recsys.rankers.requests import NO_ITEMS, Candidates, RequestUser, build_user_context
from recsys.rankers.retrievals import retrieve_candidates
from recsys.types import Context, Scorer
from recsys.types.arrays import Bools


class Trial(NamedTuple):
    """A change of a request; `Trial()` is the request itself."""

    without_items: tuple[int, ...] = ()  # codes of items of the history
    without_guards: tuple[int, ...] = ()  # places of guards among those that hold
    n: int | None = None  # candidates that are retrieved; None: as configured
    weights: tuple[tuple[str, float], ...] = ()  # factors beside those of the request


class Found(NamedTuple):
    """The candidates of a trial, and for whom and under which guards."""

    asker: RequestUser
    held: RequestGuards
    candidates: Candidates


@dataclass(eq=False)
class RequestTrials:
    """One request to a ranker, which can be run again with changes; what it retrieves is kept for the next run."""

    model: Scorer | None
    context: Context
    available: Bools
    index: Index | None
    policy: Policy
    asker: RequestUser  # before guards hide what was shown
    held: RequestGuards
    given: Candidates | None  # of the caller; None: they are retrieved
    weights: Mapping[str, float]  # factors that the request brings
    dial: Callable[[Mapping[str, float]], RequestDials]
    answer: Callable[[RequestUser, Candidates, RequestGuards, int | None, RequestDials], Recommendation]
    close: Callable[[RequestUser, RequestGuards], tuple[RequestUser, RequestGuards]]  # what the user stopped
    reruns: int = 0
    _kept: dict[Trial, Found] = field(default_factory=dict)

    def is_stopped(self, code: int) -> bool:
        """Whether an item is of a topic that the user stopped, whatever the request may read."""
        nobody = self.asker._replace(hidden=NO_ITEMS)
        return bool((self.close(nobody, RequestGuards())[0].hidden == code).any())

    def run(self, trial: Trial, keep: bool = True) -> Recommendation:
        """Return the answer to the request with a change; all of it is made anew unless parts may be kept."""
        found = self.find(trial) if keep else self._find(trial)
        retrieved = None if self.given is not None else self.policy.n if trial.n is None else trial.n
        dials = self.dial({**self.weights, **dict(trial.weights)})
        self.reruns += 1
        return self.answer(found.asker, found.candidates, found.held, retrieved, dials)

    def find(self, trial: Trial) -> Found:
        """Return the candidates of the request with a change: weights do not matter."""
        key = trial._replace(weights=())
        if key not in self._kept:
            self._kept[key] = self._find(key)
        return self._kept[key]

    def _find(self, trial: Trial) -> Found:
        asker, held = self.asker, self.held
        if trial.without_items:
            kept = ~np.isin(asker.history, trial.without_items)
            weights = asker.weights[kept] if len(asker.weights) else asker.weights
            asker = asker._replace(history=asker.history[kept], weights=weights, is_extended=asker.code >= 0)
        if trial.without_guards:
            places = [place for place in range(len(held.guards)) if place not in trial.without_guards]
            guards = tuple(held.guards[place] for place in places)
            held = RequestGuards(guards, tuple(held.rules[place] for place in places), collect_limits(guards))
        asker, held = self.close(hide_limited_items(asker, held.limits), held)
        if self.given is not None:
            return Found(asker, held, self.given)
        return Found(asker, held, self._retrieve(asker, held, trial.n))

    def _retrieve(self, asker: RequestUser, held: RequestGuards, n: int | None) -> Candidates:
        assert self.model is not None
        policy = self.policy if n is None else replace(self.policy, n=n)
        own = build_user_context(self.context, asker).need_weighted_train("a ranker")
        limits = (held.excluded_items, held.pinned_items, held.list_needed_groups())
        among = (self.model, self.context, self.available, policy, asker, own, *limits)
        return retrieve_candidates(*among) if self.index is None else retrieve_from_index(self.index, *among)
