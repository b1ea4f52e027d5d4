"""What makes the slate of a request, and its answer: a ranker's parts, without what reads requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from recsys.control.receipts import Receipt
from recsys.control.whys import Why
from recsys.evidence.like_curves import LikeCurve, estimate_like_probabilities
from recsys.kernels import slot_rules
from recsys.likelihoods.computing import RequestScorer
from recsys.rankers.added_items import describe_added
from recsys.rankers.answers import Recommendation, build_recommendation
from recsys.rankers.evidence_ages import EvidenceAge, measure_evidence_ages
from recsys.rankers.explanations import explain_picks
from recsys.rankers.fast_path import FastPath
from recsys.rankers.generic_path import Picks, pick_by_rerank
from recsys.rankers.guest_runs import describe_guest_runs
from recsys.rankers.like_curves import describe_unsure_slate
from recsys.rankers.likelihoods import describe_kept_order, explain_by_features, order_by_likelihood
from recsys.rankers.made_slates import MadeSlate, PreparedRequest
from recsys.rankers.one_offs import describe_one_offs
from recsys.rankers.policies import Policy
from recsys.rankers.receipts import HeldInputs, make_receipt
from recsys.rankers.request_constraints import (
    count_violations,
    describe_short_slate,
    describe_violations,
    filter_allowed_items,
    flatten_hidden_items,
    freeze_guards,
    list_pinned_items,
    make_hidden_guard,
    name_violations,
    pad_candidates,
)
from recsys.rankers.requests import Candidates, IdIndex, build_user_context
from recsys.rankers.user_dials import list_kept_objectives
from recsys.rankers.whys import RequestWhys, check_known_item
from recsys.types import Context, Rule, Scorer
from recsys.types.arrays import Bools, Doubles, Ints


@dataclass(frozen=True, eq=False)
class SlateMaker:
    """The parts of a ranker that slates and answers are made of."""

    model: Scorer | None
    context: Context
    items: IdIndex
    weights: Mapping[str, float]  # of the blend, by objective
    blend: Mapping[str, Any]
    scales: Mapping[str, float]
    policy: Policy
    like_curve: LikeCurve | None
    scorer: RequestScorer | None  # of the likelihood
    fast_path: FastPath | None
    held: HeldInputs  # what receipts are made of
    added: Bools | None = None  # (I,) items that are predicted from features; None: none are

    def order(self, request: PreparedRequest, found: Candidates) -> Candidates:
        """Return the candidates of a request with the scores and in the order of the likelihood, where there is one.

        Raises:
            RecsysError: if scores are too large for 32 bits.
        """
        return found if self.scorer is None else order_by_likelihood(self.scorer, request.asker, found)

    def make(self, request: PreparedRequest, found: Candidates, seed: int, max_retrieved: int | None) -> MadeSlate:
        """Return the slate of a request; at most `max_retrieved` candidates are retrieved, None: the caller's.

        Raises:
            RecsysError: as a guard says, or for scores or gains that are too large.
        """
        asker, dials, k, guards, _ = request
        ordered = self.order(request, found)
        rules: tuple[Rule, ...] = ()
        pool = hiding = None
        if guards.are_limits or (not guards.guards and len(asker.hidden)):
            hiding = flatten_hidden_items(ordered, asker.hidden, k)
        elif guards.guards:
            around = self.context if None not in guards.rules else build_user_context(self.context, asker)
            pool = pad_candidates(ordered, k, around)
            rules = guards.resolve_rules(pool, k, self.policy.order)
        if not len(ordered.items):
            nothing = self._pick_nothing(dials.factors)
            return _end_slate(request, seed, found, ordered, ordered.items, nothing, rules, max_retrieved)
        fast_path = dials.fast_path or self.fast_path
        if fast_path is not None:
            laid = hiding or (slot_rules.NO_RULES if pool is None else slot_rules.flatten_rules(rules, pool, k))
            picked = fast_path.pick_slate(asker, ordered, k, seed, laid, dials.weight)
        else:
            of_slate = freeze_guards(guards.guards if rules else (), rules)
            of_slate += [] if hiding is None else [make_hidden_guard(asker.hidden, len(self.items.names))]
            around_slate = (self.context, self.blend, self.scales, self.policy, asker, ordered, k, seed)
            picked = pick_by_rerank(*around_slate, of_slate, dials.factors)
        shown = ordered.items
        if rules:
            shown = filter_allowed_items(shown, rules)
        elif hiding is not None:
            shown = shown[~hiding.closed[0]]
        return _end_slate(request, seed, found, ordered, shown, picked, rules, max_retrieved)

    def _pick_nothing(self, factors: Mapping[str, float]) -> Picks:
        objectives = list_kept_objectives(self.weights, factors)
        return Picks(np.zeros(0, np.int64), np.zeros((0, len(objectives)), np.float32), objectives, None)

    @cached_property
    def may_note(self) -> bool:
        """Whether a slate of k picks that no guard holds for may have a note, beside those of what was shown."""
        held = (self.scorer, self.like_curve, self.context.one_offs, self.context.guest_runs, self.added)
        return any(part is not None for part in held)

    def describe(self, made: MadeSlate) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return how far a slate is from the guards that are not met, and its notes."""
        (asker, _, k, guards, _), codes = made.request, made.codes
        if not made.rules and not self.may_note and len(codes) == k:
            return {}, asker.exposure_notes
        far: dict[str, int] = {}
        notes = asker.exposure_notes
        if made.rules:
            distance = count_violations(made.rules, codes, k)
            far = name_violations(guards.guards, distance)
            notes += describe_violations(self.items.names, guards.guards, made.rules, distance, codes)
        if self.may_note:
            notes += describe_unsure_slate(*self._list_likes(made))
        if len(codes) < k:
            notes += (self._describe_short(made, len(codes)),)
        if len(made.ordered.items) and self.may_note:
            notes += describe_kept_order(self.scorer, asker)
            notes += describe_one_offs(self.context, asker, self.items.names)
            notes += describe_guest_runs(self.context, asker)
            notes += describe_added(self.added, codes, self.items.names)
        return far, notes

    def _list_likes(self, made: MadeSlate) -> tuple[LikeCurve | None, str, Any]:
        return self.like_curve, made.ordered.likelihood_kind, made.relevance

    def _describe_short(self, made: MadeSlate, n_picks: int) -> str:
        """Return a sentence about why a slate has fewer than k picks."""
        n_items, n_found = len(self.items.names), len(made.ordered.items)
        allowed = made.request.guards.filter_available(np.ones(n_items, bool))
        allowed[made.request.asker.hidden] = False
        closed = int((~allowed).sum())
        left_out = n_found - len(made.shown)
        return describe_short_slate(n_picks, made.request.k, n_found, left_out, made.max_retrieved, closed, n_items)

    def answer(self, made: MadeSlate, policy: str) -> Recommendation:
        """Return the answer with a slate; `policy` is the ranker's name."""
        return build_recommendation(**self.list_fields(made, policy))

    def list_fields(self, made: MadeSlate, policy: str) -> dict[str, Any]:
        """Return the fields of the answer with a slate."""
        asker, dials, _, _, _ = made.request
        picked, (violations, notes) = made.picked, self.describe(made)
        return {
            "items": get_item_ids(self.items.names, made.codes),
            "contributions": picked.contributions,
            "objectives": picked.objectives,
            "relevance": made.relevance,
            "base_ranks": picked.positions + 1,
            "log_propensity": picked.log_propensity,
            "seed": made.seed,
            "ranker_policy": policy,
            "unknown_items": made.ordered.unknown,
            "unknown_history": asker.unknown,
            "unknown_regions": asker.unknown_regions,
            "violations": violations,
            "notes": notes,
            "details": SlateDetails(self, made),
            "dials": dict(dials.factors),
            "profile_free": dials.profile_free,
            "now": asker.now,
        }


class SlateDetails(NamedTuple):
    """What an answer tells when it is asked for it."""

    maker: SlateMaker
    made: MadeSlate

    @property
    def _pinned(self) -> list[int]:
        return list_pinned_items(self.made.rules)

    def list_relevance_slate(self) -> tuple[str, ...]:
        """Return the first k by relevance of all that may be shown."""
        return get_item_ids(self.maker.items.names, self.made.shown[: self.made.request.k])

    def explain(self) -> tuple[str, ...]:
        """Return a sentence or two about each pick."""
        if not len(self.made.codes):
            return ()
        asker, picked = self.made.request.asker, self.made.picked
        among = (self.made.codes, asker.history, picked.contributions, picked.objectives, self._pinned)
        return explain_picks(self.maker.context, *among)

    def explain_likelihood(self) -> tuple[dict[str, float], ...]:
        """Return what each feature of the likelihood added to the score of each pick."""
        return explain_by_features(self.maker.scorer, self.made.request.asker, self.made.found, self.made.codes)

    def measure_ages(self) -> tuple[EvidenceAge | None, ...]:
        """Return how old the evidence behind each pick is."""
        asker = self.made.request.asker
        return measure_evidence_ages(self.maker.context, self.made.codes, asker.code, asker.history, asker.dated)

    def estimate_likes(self) -> Doubles | None:
        """Return the probability that each pick is liked."""
        if not len(self.made.ordered.items):
            return None
        return estimate_like_probabilities(*self.maker._list_likes(self.made))

    def make_receipt(self, answer: Recommendation, keep_inputs: bool) -> Receipt:
        """Return the receipt of the answer."""
        asker, _, k, guards, _ = self.made.request
        given = self.made.found if self.made.max_retrieved is None else None
        return make_receipt(self.maker.held, asker, given, k, guards.guards, answer, keep_inputs)

    def list_whys(self, answer: Recommendation) -> tuple[Why, ...]:
        """Return why each pick is there, (k,)."""
        if not len(self.made.codes):
            return ()
        maker, asker = self.maker, self.made.request.asker
        model = None if self.made.max_retrieved is None else maker.model
        made = RequestWhys(model, maker.context, maker.items, asker, self.made.codes, self._pinned)
        return made.list_whys(answer)

    def check_known(self, item: str) -> None:
        """Refuse an item that the ranker does not know.

        Raises:
            RecsysError: with the nearest id.
        """
        check_known_item(self.maker.items, item)


def _end_slate(
    request: PreparedRequest, seed: int, found: Candidates, ordered: Candidates, shown: Ints, picked: Picks,
    rules: tuple[Rule, ...], max_retrieved: int | None,
) -> MadeSlate:  # fmt: skip
    codes, relevance = ordered.items[picked.positions], ordered.scores[picked.positions]
    return MadeSlate(request, seed, found, ordered, shown, picked, codes, relevance, rules, max_retrieved)


def get_item_ids(names: Sequence[str], codes: Ints) -> tuple[str, ...]:
    """Return the ids of items, by their codes."""
    return tuple([names[code] for code in codes.tolist()])
