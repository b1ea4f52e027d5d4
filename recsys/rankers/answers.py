"""The answer of a ranker to one request."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from recsys.control.receipts import Receipt
from recsys.control.whys import Why
from recsys.data.identifiers import normalize_id
from recsys.rankers.evidence_ages import EvidenceAge
from recsys.types import RecsysError
from recsys.types.arrays import Doubles, Floats, Longs
from recsys.types.numbers import check_flag
from recsys.types.slates import sum_contributions

_UNREAD, _PLACE = "_unread", "_place"  # stand in the place of all fields until one is looked at


class AnswerDetails(Protocol):
    """What an answer tells only when it is asked for it."""

    def list_relevance_slate(self) -> tuple[str, ...]:
        """Return the first k by relevance of all that may be shown."""
        ...

    def explain(self) -> tuple[str, ...]:
        """Return a sentence or two about each pick."""
        ...

    def explain_likelihood(self) -> tuple[dict[str, float], ...]:
        """Return what each feature of the likelihood added to the score of each pick."""
        ...

    def measure_ages(self) -> tuple[EvidenceAge | None, ...]:
        """Return how old the evidence behind each pick is."""
        ...

    def estimate_likes(self) -> Doubles | None:
        """Return the probability that each pick is liked."""
        ...

    def make_receipt(self, answer: "Recommendation", keep_inputs: bool) -> Receipt:
        """Return the receipt of the answer."""
        ...

    def list_whys(self, answer: "Recommendation") -> tuple[Why, ...]:
        """Return why each pick is there, (k,)."""
        ...

    def check_known(self, item: str) -> None:
        """Refuse an item that the ranker does not know, where that can be told."""
        ...


@dataclass(frozen=True, eq=False)
class KeptDetails:
    """The details of an answer that was pickled or copied, without its ranker."""

    relevance_slate: tuple[str, ...]
    explanations: tuple[str, ...]
    features: tuple[dict[str, float], ...]
    ages: tuple[EvidenceAge | None, ...]
    likes: Doubles | None
    receipt: Receipt
    whys: tuple[Why, ...]

    def list_relevance_slate(self) -> tuple[str, ...]:
        """Return the first k by relevance of all that may be shown."""
        return self.relevance_slate

    def explain(self) -> tuple[str, ...]:
        """Return a sentence or two about each pick."""
        return self.explanations

    def explain_likelihood(self) -> tuple[dict[str, float], ...]:
        """Return what each feature of the likelihood added to the score of each pick."""
        return self.features

    def measure_ages(self) -> tuple[EvidenceAge | None, ...]:
        """Return how old the evidence behind each pick is."""
        return self.ages

    def estimate_likes(self) -> Doubles | None:
        """Return the probability that each pick is liked."""
        return self.likes

    def make_receipt(self, answer: "Recommendation", keep_inputs: bool) -> Receipt:
        """Return the receipt of the answer.

        Raises:
            RecsysError: if its inputs are asked for.
        """
        if keep_inputs:
            raise RecsysError(
                "receipt: an answer that was pickled holds no inputs, expected receipt(inputs=True) before"
            )
        return self.receipt

    def list_whys(self, answer: "Recommendation") -> tuple[Why, ...]:
        """Return why each pick is there, (k,)."""
        return self.whys

    def check_known(self, item: str) -> None:
        """Know nothing of the catalogue."""


def keep_details(details: AnswerDetails, answer: "Recommendation") -> KeptDetails:
    """Return the details of an answer as what they tell, made now."""
    return KeptDetails(
        details.list_relevance_slate(),
        details.explain(),
        details.explain_likelihood(),
        details.measure_ages(),
        details.estimate_likes(),
        details.make_receipt(answer, False),
        details.list_whys(answer),
    )


@dataclass(frozen=True, eq=False)
class Recommendation:
    """A slate for one request: k picks, or fewer where there are not as many candidates, with their explanation."""

    items: tuple[str, ...]  # (k,) the ids of the picks, in the order in which they are to be shown
    contributions: Floats  # (k, O) what each objective added to its blended gain at the moment of its pick
    objectives: tuple[str, ...]  # O names
    relevance: Floats  # (k,) the score with which each came: the caller's, the model's, or the likelihood's
    base_ranks: Longs  # (k,) its rank by relevance alone, from 1
    log_propensity: Floats | None  # (k,) log-probability of each pick given those before it, where picks are drawn
    seed: int  # of the draws
    ranker_policy: str  # names model, data, blend, scales and settings
    unknown_items: tuple[str, ...]  # ids that the ranker does not know: left out of the ranking,
    unknown_history: tuple[str, ...]  # of the history,
    unknown_regions: tuple[str, ...]  # or of the answers about regions
    violations: Mapping[str, int]  # guards that are not met, by how many picks or slots; {} if all are
    notes: tuple[str, ...]  # a plain sentence about each of them, and about a slate of fewer than k picks
    details: AnswerDetails = field(repr=False)  # what is computed when it is asked for
    dials: Mapping[str, float]  # factor of each objective that is not as configured
    profile_free: bool  # whether it is what everybody gets
    now: int  # seconds since 1970: the moment of the request

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Lay out the fields of an answer of a batch, when one of them is first looked at."""
            held = object.__getattribute__(self, "__dict__")
            unread, place = held.get(_UNREAD), held.get(_PLACE)
            if unread is not None and place is not None:  # another thread may have done the same meanwhile
                held.update(unread.list_fields(place))
                held.pop(_UNREAD, None)
                held.pop(_PLACE, None)
            if name in held:
                return held[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Return the state that is pickled and copied: that of the answer, and nothing of the ranker that gave it."""
        kept = keep_details(self.details, self)
        return {**vars(self), "details": kept}

    @property
    def scores(self) -> Floats:
        """The blended gain of each pick at the moment of its pick, (k,): the sum of its contributions."""
        return sum_contributions(self.contributions)

    @property
    def like_probabilities(self) -> Doubles | None:
        """The probability that each pick is liked, (k,) in [0, 1]; None where nothing says it.

        By the ranker's like curve (`recsys.evidence.fit_like_curve`), or of a logistic likelihood: that of a like in a
        log, so that it is a lower bound of liking.
        """
        return self.details.estimate_likes()

    @property
    def policy(self) -> str:
        """The name of the policy: the ranker's, or under dials or without a profile another one, made of it and them.

        Equal names, equal policies: it does not matter whether a request brought a dial or it was stored.
        """
        return name_request_policy(self.ranker_policy, self.dials, self.profile_free)

    @property
    def displaced(self) -> tuple[str, ...]:
        """The item that each pick displaces from the slate by relevance alone, (k,); "" for a pick that is in both."""
        return find_displaced_items(self.items, self.details.list_relevance_slate())

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can say it, for logs: under the names of its fields, and what follows from them.

        `log_propensity` and `propensity`, which off-policy evaluation asks for, are None where picks are not drawn.
        """
        drawn, likely = self.log_propensity, self.like_probabilities
        return {
            "policy": self.policy,
            "seed": self.seed,
            "dials": dict(self.dials),
            "profile_free": self.profile_free,
            "now": self.now,
            "items": list(self.items),
            "scores": self.scores.tolist(),
            "relevance": self.relevance.tolist(),
            "base_ranks": self.base_ranks.tolist(),
            "displaced": list(self.displaced),
            "contributions": dict(zip(self.objectives, self.contributions.T.tolist(), strict=True)),
            "like_probabilities": None if likely is None else likely.tolist(),
            "log_propensity": None if drawn is None else drawn.tolist(),
            "propensity": None if drawn is None else np.exp(drawn, dtype=np.float64).tolist(),
            "unknown_items": list(self.unknown_items),
            "unknown_history": list(self.unknown_history),
            "unknown_regions": list(self.unknown_regions),
            "violations": dict(self.violations),
            "notes": list(self.notes),
        }

    def receipt(self, *, inputs: bool = False) -> Receipt:
        """Return the record from which `Ranker.replay` makes this slate again; it is made when it is asked for.

        Without `inputs` it holds digests of the history, of what was shown and of candidates, and of a known user the
        id: a replay finds what it needs in the ranker, or is given it. With `inputs` it holds what the request brought.

        Raises:
            RecsysError: for the inputs of an answer that was pickled or copied: it holds nothing of its request.
        """
        return self.details.make_receipt(self, check_flag("receipt: inputs", inputs))

    def explanations(self) -> tuple[str, ...]:
        """Return a plain sentence or two about each pick: the nearest liked item, and what is new to the user."""
        return self.details.explain()

    def evidence_ages(self) -> tuple[EvidenceAge | None, ...]:
        """Return for each pick how old, in days, the user's liked items are that speak for it; None where none do.

        An item speaks for a pick if users share both (its cosine by co-occurrence is above 0), and if its time is
        known. Ages are counted from the moment of the half-life, or else the latest training positive.
        """
        return self.details.measure_ages()

    def feature_contributions(self) -> tuple[dict[str, float], ...]:
        """Return for each pick what each feature of the ranker's likelihood added to its score, the largest first.

        The score is the likelihood's; 0 is what the feature adds to the mean of the candidates. () without a
        likelihood, or for a user without history.
        """
        return self.details.explain_likelihood()

    def why(self, item: str | int | float) -> Why:
        """Return why an item is in the slate: what each objective and each item of the history adds, what it displaces.

        It is computed when it is asked for, for all picks at once. What an item of the history adds is exact: the
        pick's score by the model less its score without that item (`recsys.control.history_influences`).

        Raises:
            RecsysError: for an item that is not in the slate, and for one that the ranker does not know.
        """
        name = normalize_id(item)
        if name in self.items:
            return self.details.list_whys(self)[self.items.index(name)]
        self.details.check_known(name)
        raise RecsysError(
            f"recommendation: item '{name}' is none of the {len(self.items)} picks, expected one of them: "
            "Ranker.why_not says why it is none"
        )


def name_request_policy(ranker_policy: str, dials: Mapping[str, float], profile_free: bool) -> str:
    """Return the name of the policy of a request: the ranker's, or with dials or without a profile one made of both."""
    if not dials and not profile_free:
        return ranker_policy
    told = json.dumps([ranker_policy, sorted(dials.items()), profile_free])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def build_recommendation(**content: Any) -> Recommendation:
    """Return the answer with these fields, as its class does, in a quarter of the time: a request waits for it.

    A frozen dataclass sets its fields one by one, which takes 4 of the 70 microseconds of a request.
    """
    made: Recommendation = object.__new__(Recommendation)
    object.__setattr__(made, "__dict__", content)
    return made


class UnreadAnswers(Protocol):
    """Answers of a batch whose fields are laid out when one of them is first looked at."""

    def list_fields(self, place: int) -> dict[str, Any]:
        """Return the fields of one answer."""
        ...


def defer_recommendation(answers: UnreadAnswers, place: int) -> Recommendation:
    """Return the answer at a place among others, whose fields are listed when one of them is first looked at.

    Of the answers of a batch many are looked at once or never: laid out, each takes some ten objects.
    """
    made: Recommendation = object.__new__(Recommendation)
    object.__setattr__(made, "__dict__", {_UNREAD: answers, _PLACE: place})
    return made


def find_displaced_items(picks: Sequence[str], best: Sequence[str]) -> tuple[str, ...]:
    """Return the item that each pick displaces, (k,): `best` is the slate by relevance alone.

    A pick that is among them displaces nothing: "". Each of the others has one of those that are not shown. Which one
    is a matter of order: the first of these picks has the most relevant of them, which was there to be picked and
    passed over, and never came later.

    >>> find_displaced_items(["a", "g", "c", "e"], ["a", "b", "c", "d"])
    ('', 'b', '', 'd')
    """
    lost = iter([item for item in best if item not in picks])
    return tuple("" if pick in best else next(lost) for pick in picks)
