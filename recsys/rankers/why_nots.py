"""Why an item is not in the slate of a request, and the smallest changes of the request that let it in."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.control.counterfactuals import MAX_CHANGE, TOLERANCE, find_factors, find_removal
from recsys.control.sentences import NO_CHANGE, describe_change, describe_stage, list_names
from recsys.control.whys import Change, WhyNot
from recsys.kernels import slot_rules
from recsys.rankers.exposures import collect_limits, hide_limited_items
from recsys.rankers.request_constraints import filter_allowed_items, pad_candidates
from recsys.rankers.request_trials import RequestTrials, Trial
from recsys.rankers.requests import Candidates, IdIndex, RequestUser, build_user_context, list_disliked_items
from recsys.rankers.user_dials import list_kept_objectives
from recsys.rankers.whys import compute_request_influences, get_title
from recsys.reranking.dials import DialRange
from recsys.types import RecsysError

MAX_REMOVED = 2  # items of the history that are taken out at most, where nothing else is said
_TRIED_AT_ONCE = 4  # items of the history, the most promising ones, that are tried alone at each step


class Obstacle(NamedTuple):
    """What keeps an item from being a candidate that may be shown, and what has to change at least."""

    stage: str = ""  # "" where it is a candidate
    guards: tuple[str, ...] = ()
    change: Trial | None = Trial()  # None: nothing that a request can change


@dataclass(eq=False)
class Absence:
    """An item that is not in the slate of a request, and what is asked about it."""

    trials: RequestTrials
    catalogue: IdIndex
    code: int
    k: int
    configured: Mapping[str, float]  # weights of the blend
    ranges: Mapping[str, DialRange]
    order: Callable[[RequestUser, Candidates], Candidates]  # by the likelihood, where there is one
    max_removed: int

    def explain(self) -> WhyNot:
        """Return why the item is not in the slate.

        Raises:
            RecsysError: if it is.
        """
        plain = self.trials.run(Trial())
        item = self.catalogue.names[self.code]
        if item in plain.items:
            slot = plain.items.index(item) + 1
            raise RecsysError(f"ranker: item '{item}' is in slot {slot} of the slate: Recommendation.why says why")
        obstacle = self._find_obstacle()
        changes: list[Change] = []
        tried: list[str] = []
        stage, rank = obstacle.stage, None
        guards = obstacle.guards
        if obstacle.change is not None:
            rank = self._find_rank(obstacle.change)
            stage, guards = self._search(obstacle, rank, changes, tried)
        n = None if self.trials.given is not None else self.trials.policy.n
        said = (describe_stage(stage, guards, rank, n), *(change.sentence for change in changes))
        if tried and not changes:
            said += (NO_CHANGE,)
        return WhyNot(
            item=item,
            title=self._get_title(self.code),
            stage=stage,
            guards=guards,
            rank=rank,
            n=n,
            slate=plain.items,
            changes=tuple(changes),
            tried=tuple(tried),
            tolerance=TOLERANCE,
            reruns=self.trials.reruns,
            sentences=said,
        )

    def _search(
        self, obstacle: Obstacle, rank: int, changes: list[Change], tried: list[str]
    ) -> tuple[str, tuple[str, ...]]:
        """Add the changes that let the item in, and what does not; return where it is lost, and to which guards."""
        needed = obstacle.change or Trial()
        base, stage, guards = needed, obstacle.stage, obstacle.guards
        if not self._is_candidate(needed):
            stage, base = stage or "retrieval", self._enlarge(needed, rank)
        done = base != Trial() and self._add(base, changes)
        if base != Trial() and not done:
            tried.append(self._describe(base))
        if not done:
            others = self._try_guards(base, changes, tried)
            if not stage:
                stage, guards = ("guard", others) if others else ("blend", ())
            self._try_weights(base, changes, tried)
        if not done or base.n is not None:
            self._try_history(needed, changes, tried)
        return stage, guards

    def _find_obstacle(self) -> Obstacle:
        """Return what keeps the item from being a candidate, retrieval apart."""
        trials = self.trials
        if trials.given is not None:
            if self.code not in trials.given.items:
                return Obstacle("not_given", (), None)
        elif not trials.available[self.code]:
            return Obstacle("unavailable", (), None)
        if trials.is_stopped(self.code):
            return Obstacle("stopped", (), None)
        closing = self._list_closing_guards()
        names = tuple(dict.fromkeys(trials.held.guards[place].name for place in closing))
        change = Trial(without_guards=closing)
        if trials.given is None and trials.policy.exclude_seen:
            if self.code in list_disliked_items(trials.context, trials.asker):
                return Obstacle("declined", (), None)
            if self.code in trials.asker.history:
                return Obstacle("history", names, change._replace(without_items=(self.code,)))
        return Obstacle("guard" if closing else "", names, change)

    def _list_closing_guards(self) -> tuple[int, ...]:
        """Return the places of the guards that exclude the item, whatever else is shown."""
        trials = self.trials
        found = trials.find(Trial()).candidates
        codes = np.union1d(found.items, [self.code]).astype(np.int32)
        asked = Candidates(codes, np.zeros(len(codes), np.float32))
        own = build_user_context(trials.context, trials.asker)
        closing = []
        for place, (guard, rule) in enumerate(zip(trials.held.guards, trials.held.rules, strict=True)):
            if guard.exposure_limit is not None:
                closes = self.code in hide_limited_items(trials.asker, collect_limits([guard])).hidden
            else:
                made = slot_rules.make_rule(guard, pad_candidates(asked, self.k, own), self.k) if rule is None else rule
                closes = not len(filter_allowed_items(np.array([self.code], np.int32), [made]))
            if closes:
                closing.append(place)
        return tuple(closing)

    def _is_candidate(self, trial: Trial) -> bool:
        return bool((self.trials.find(trial).candidates.items == self.code).any())

    def _find_rank(self, trial: Trial) -> int:
        """Return the rank of the item by relevance, from 1, among all that may be shown."""
        found = self._list_all(trial)
        if self.trials.given is not None or self._is_candidate(trial):
            asker, _, candidates = self.trials.find(trial)
            found = self.order(asker, candidates)
        return int(np.flatnonzero(found.items == self.code)[0]) + 1

    def _list_all(self, trial: Trial) -> Candidates:
        """Return everything that may be shown, best first."""
        if self.trials.given is not None:
            return self.trials.given
        found = self.trials.find(trial._replace(n=len(self.catalogue.names))).candidates
        order = np.argsort(-found.scores, kind="stable")
        return Candidates(found.items[order], found.scores[order])

    def _enlarge(self, trial: Trial, rank: int) -> Trial:
        """Return the trial with as many candidates as the item needs to be among them."""
        n, most = max(rank, self.trials.policy.n + 1), len(self.catalogue.names)
        while n < most and not self._is_candidate(trial._replace(n=n)):
            n = min(2 * n, most)
        return trial._replace(n=n)

    def _holds(self, trial: Trial) -> bool:
        return self.catalogue.names[self.code] in self.trials.run(trial).items

    def _add(self, trial: Trial, changes: list[Change], nearest: Mapping[str, float] | None = None) -> bool:
        """Add a change, if the request with it, all of it run anew, has the item in its slate."""
        answer, item = self.trials.run(trial, keep=False), self.catalogue.names[self.code]
        if item not in answer.items:
            return False
        slot, weights = answer.items.index(item) + 1, dict(trial.weights)
        guards = self._name_guards(trial)
        titles = [self._get_title(code) or self.catalogue.names[code] for code in trial.without_items]
        changes.append(
            Change(
                slot=slot,
                slate=answer.items,
                weights=weights,
                nearest_tried=dict(nearest or {}),
                without_items=tuple(self.catalogue.names[code] for code in trial.without_items),
                without_guards=guards,
                guard_places=trial.without_guards,
                n=trial.n,
                sentence=describe_change(slot, weights, titles, guards, trial.n),
            )
        )
        return True

    def _try_guards(self, base: Trial, changes: list[Change], tried: list[str]) -> tuple[str, ...]:
        """Leave out each guard that does not exclude the item by itself; return the names of those that matter."""
        found = []
        for place, guard in enumerate(self.trials.held.guards):
            if place in base.without_guards:
                continue
            trial = base._replace(without_guards=(*base.without_guards, place))
            if self._is_candidate(trial) and self._holds(trial) and self._add(trial, changes):
                found.append(guard.name)
            else:
                tried.append(self._describe(trial))
        return tuple(dict.fromkeys(found))

    def _try_weights(self, base: Trial, changes: list[Change], tried: list[str]) -> None:
        """Look for the factor of each objective that is nearest to the present one; the smallest change comes first."""
        if len(self.configured) < 2:
            return
        factors = self.trials.dial(self.trials.weights).factors
        found = []
        for objective, (least, most) in self.ranges.items():
            now = factors.get(objective, 1.0)
            sides = find_factors(lambda factor, name=objective: self._holds_with(base, name, factor), now, least, most)  # type: ignore[misc]
            sizes = [(_measure_change(now, side.factor), objective, side) for side in sides]
            if sizes:
                found.append(min(sizes))
            elif least < most:
                low, high = max(least, 0.0), min(most, (now or 1.0) * MAX_CHANGE)
                tried.append(f"the weight of {objective.replace('_', ' ')} times {low:g} to {high:g}")
        for _, objective, side in sorted(found):
            trial = base._replace(weights=((objective, side.factor),))
            self._add(trial, changes, {objective: side.nearest_tried})

    def _holds_with(self, base: Trial, objective: str, factor: float) -> bool:
        kept = list_kept_objectives(self.configured, self.trials.dial(self.trials.weights).factors)
        if not factor and set(kept) <= {objective}:  # nothing would be left
            return False
        return self._holds(base._replace(weights=((objective, factor),)))

    def _try_history(self, needed: Trial, changes: list[Change], tried: list[str]) -> None:
        """Take items out of the history, those first whose influence holds the item back."""
        room = self.max_removed - len(needed.without_items)
        count = len(self.trials.asker.history) - len(needed.without_items)
        if room <= 0 or count <= 0 or self.trials.given is not None:
            return

        def take_out(places: tuple[int, ...]) -> Trial:
            return needed._replace(without_items=(*needed.without_items, *places))

        def holds(places: tuple[int, ...]) -> bool:
            return self._holds(take_out(places))

        before = self.trials.reruns
        out = find_removal(holds, lambda places: self._rank_history(take_out(places)), room)
        if out is not None:
            self._add(take_out(out), changes)
        elif self.trials.reruns == before:
            tried.append(f"none of the {count:,} items of the history holds it back")
        else:
            tried.append(f"without {min(room, count)} of the {count:,} items of the history")

    def _rank_history(self, trial: Trial) -> list[int]:
        """Return the items of the history to take out next: those without which the item's rank is the best.

        Ranks are those by the model's scores, among the best `n` and as many again; they come from the influences of
        the history, without running the request.
        """
        trials = self.trials
        asker = trials.find(trial).asker
        if trials.model is None or not len(asker.history):
            return []
        every = self._list_all(trial)
        rivals = every.items[: 2 * trials.policy.n]
        rivals = rivals[rivals != self.code]
        place = {code: at for at, code in enumerate(every.items.tolist())}
        scores = every.scores[[place[code] for code in rivals.tolist()]].astype(np.float64)
        asked = np.append(rivals, self.code).astype(np.int32)
        influences = compute_request_influences(trials.model, trials.context, asker, asked)
        own = float(every.scores[place[self.code]])
        lead = (scores - influences[:, :-1]) - (own - influences[:, -1:])  # (h, rivals) of each rival before the item
        ahead = scores > own
        ranks, now = (lead > 0.0).sum(axis=1), int(ahead.sum())
        closer = (scores - own)[ahead].sum() - lead[:, ahead].sum(axis=1)
        order = np.lexsort((-closer, ranks))
        promising = [at for at in order.tolist() if ranks[at] < now or closer[at] > 0.0]
        return [int(asker.history[at]) for at in promising[:_TRIED_AT_ONCE]]

    def _describe(self, trial: Trial) -> str:
        """Return a trial in words."""
        parts = []
        if trial.without_items:
            parts.append(f"without {list_names([self.catalogue.names[code] for code in trial.without_items])}")
        if trial.without_guards:
            parts.append(f"without {list_names(self._name_guards(trial))}")
        if trial.n is not None:
            parts.append(f"with {trial.n:,} candidates")
        return list_names(parts)

    def _name_guards(self, trial: Trial) -> tuple[str, ...]:
        return tuple(self.trials.held.guards[place].name for place in trial.without_guards)

    def _get_title(self, code: int) -> str:
        return get_title(self.trials.context, code)


def _measure_change(now: float, factor: float) -> float:
    """Return how far a factor is from the present one: the ratio in either direction, as a logarithm."""
    return abs(math.log(factor / now)) if factor and now else math.inf
