"""Whys of an answer: which items of the history speak for each pick, and everything else that decided it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from recsys.control.history_influences import compute_history_influences
from recsys.control.sentences import describe_pick
from recsys.control.whys import Reason, Why
from recsys.models.factor_model import FittedFactors
from recsys.models.random import FittedRandom
from recsys.objectives.derived_tables import get_factor_gram, get_region_names
from recsys.rankers.evidence_ages import find_history_times
from recsys.rankers.region_answers import collect_region_answers, describe_regions, list_liked_regions
from recsys.rankers.requests import NO_ITEMS, IdIndex, RequestUser, get_row_columns, list_disliked_items
from recsys.types import Context, Scorer, make_unknown_name_error
from recsys.types.arrays import Doubles, Floats, Ints, Longs
from recsys.types.time_weights import SECONDS_PER_DAY


class Answer(Protocol):
    """What is read of an answer: `recsys.rankers.answers.Recommendation` has it."""

    @property
    def items(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def contributions(self) -> Floats: ...  # noqa: D102
    @property
    def objectives(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def relevance(self) -> Floats: ...  # noqa: D102
    @property
    def base_ranks(self) -> Longs: ...  # noqa: D102
    @property
    def scores(self) -> Floats: ...  # noqa: D102
    @property
    def displaced(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def profile_free(self) -> bool: ...  # noqa: D102
    def feature_contributions(self) -> tuple[dict[str, float], ...]: ...  # noqa: D102


class RequestWhys(NamedTuple):
    """Whys that are made of a ranker's parts when they are asked for."""

    model: Scorer | None  # whose scores the candidates have; None: the caller's
    context: Context
    catalogue: IdIndex
    asker: RequestUser
    codes: Ints  # (k,) of the picks
    pinned: Sequence[int]  # codes of the items that slots are kept for

    def list_whys(self, answer: Answer) -> tuple[Why, ...]:
        """Return why each pick is there, (k,)."""
        influences = self._compute_influences()
        features, displaced = answer.feature_contributions(), answer.displaced
        return tuple(
            self._describe(answer, slot, influences, features[slot] if features else {}, displaced[slot])
            for slot in range(len(answer.items))
        )

    def _compute_influences(self) -> Doubles:
        if self.model is None:
            return np.zeros((0, len(self.codes)))
        return compute_request_influences(self.model, self.context, self.asker, self.codes)

    def _describe(
        self, answer: Answer, slot: int, influences: Doubles, features: Mapping[str, float], displaced: str
    ) -> Why:
        history = self._list_reasons(influences[:, slot])
        contributions = dict(zip(answer.objectives, answer.contributions[slot].tolist(), strict=True))
        instead = self._get_title(displaced)
        is_pinned = int(self.codes[slot]) in self.pinned
        is_personal = self.model is None or isinstance(self.model, FittedRandom) or bool(self.asker.regions)
        is_personal = is_personal or bool(influences[:, slot].any())
        liked = list_liked_regions(self.context, self.asker, int(self.codes[slot])) if self.model is not None else ()
        region = self._describe_region(liked)
        named = [(one.title or one.item, one.age_days) for one in history]
        light = [one.title or one.item for one in history if one.is_one_off]
        return Why(
            item=answer.items[slot],
            title=self._get_title(answer.items[slot]),
            slot=slot + 1,
            score=float(answer.scores[slot]),
            relevance=float(answer.relevance[slot]),
            base_rank=int(answer.base_ranks[slot]),
            contributions=contributions,
            features=dict(features),
            history=history,
            displaced=displaced,
            displaced_title=instead,
            is_pinned=is_pinned,
            profile_free=answer.profile_free,
            sentences=describe_pick(named, contributions, instead or displaced, is_pinned, is_personal, light, region),
            liked_regions=tuple(get_region_names(self.context)[0][code] for code in liked),
        )

    def _describe_region(self, liked: Sequence[int]) -> str:
        if not liked:
            return ""
        everything = np.ones(len(self.context.item_ids), bool)
        return describe_regions(self.context, np.array(liked[:1]), everything)[0]

    def _list_reasons(self, influences: Doubles) -> tuple[Reason, ...]:
        """Return the items of the history with an influence above 0, the largest first."""
        order, light = np.argsort(-influences, kind="stable"), set(self.asker.one_offs.tolist())
        ages, logged = self._list_ages()
        found = []
        for place in order[influences[order] > 0.0].tolist():
            code = int(self.asker.history[place])
            item = self.catalogue.names[code]
            source = "log" if code in logged else "request"
            told = (item, self._get_title(item), float(influences[place]), ages.get(code), source)
            found.append(Reason(*told, is_one_off=code in light))
        return tuple(found)

    def _list_ages(self) -> tuple[dict[int, float], set[int]]:
        """Return the age in days of the likes whose time is known, and the likes of the log, by code of the item.

        One after the request, by a clock that is ahead, counts as of now.
        """
        times = find_history_times(self.context, self.asker.code, self.asker.dated)
        logged = set[int]()
        if self.asker.code >= 0:
            logged = set(get_row_columns(self.context.need_train("a ranker"), self.asker.code).tolist())
        return {code: max(self.asker.now - time, 0.0) / SECONDS_PER_DAY for code, time in times.items()}, logged

    def _get_title(self, item: str) -> str:
        return get_title(self.context, self.catalogue.codes[item]) if item else ""


def get_title(context: Context, code: int) -> str:
    """Return the title of an item, "" where the data has none."""
    return "" if context.items is None else str(context.items.titles[code])


def check_known_item(catalogue: IdIndex, item: str) -> None:
    """Refuse an item that the ranker does not know.

    Raises:
        RecsysError: with the nearest id.
    """
    if item not in catalogue.codes:
        raise make_unknown_name_error("item", item, catalogue.names, where="ranker")


def compute_request_influences(model: Scorer, context: Context, asker: RequestUser, items: Ints) -> Doubles:
    """Return what each item of the history of a request adds to the model's score of each of P items, (h, P).

    Known dislikes stay, where a user's factor is the fitted one, which they made too.
    """
    dislikes = NO_ITEMS
    answers = collect_region_answers(context, asker) if isinstance(model, FittedFactors) else None
    if len(asker.dislikes) or answers is not None or (asker.code >= 0 and not asker.is_extended):
        dislikes = list_disliked_items(context, asker)
    common = get_factor_gram(context, "a ranker") if isinstance(model, FittedFactors) else None
    weights = asker.weights if len(asker.weights) else None
    return compute_history_influences(
        model, len(context.item_ids), asker.history, items, dislikes, common, weights, answers
    )
