"""The slates of a batch as columns of arrays: no object for each request but of what only few of them have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from recsys.rankers.answers import name_request_policy
from recsys.rankers.made_slates import MadeSlate, PreparedRequest
from recsys.rankers.request_blocks import AnsweredBlock, PickedRequests
from recsys.rankers.slate_makers import SlateMaker
from recsys.types import RecsysError
from recsys.types.arrays import Bools, Floats, Ints, Longs
from recsys.types.slates import sum_contributions


@dataclass(frozen=True, eq=False)
class SlateColumns:
    """The slates of B requests, P picks end to end in the order of the requests, each slate in its own."""

    sizes: Longs  # (B,) picks of each slate; 0 for requests that are refused
    items: Ints  # (P,) codes
    scores: Floats  # (P,) the blended gain of each pick
    base_ranks: Longs  # (P,) the rank of each by relevance alone, from 1
    log_propensity: Floats | None  # (P,) where picks are drawn
    contributions: Floats  # (P, O) of each objective of the blend,
    turned_off: Bools  # (B, O) but for those that dials turn off: 0 there
    unknown_items: Longs  # (B,) candidates that the ranker does not know
    unknown_history: Longs  # (B,) items of the history, and
    unknown_regions: Longs  # (B,) regions of answers that it does not know
    errors: Mapping[int, RecsysError] = field(default_factory=dict)  # why requests are refused, by place
    notes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # of slates that have any, by place
    policies: Mapping[int, str] = field(default_factory=dict)  # of requests that have another than the ranker's name
    violations: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # of slates that do not meet a guard


_UNKNOWN = ("unknown_items", "unknown_history", "unknown_regions")


class _Rows(NamedTuple):
    """The picks of some requests."""

    places: Longs  # (S,) of the requests in the batch
    sizes: Longs  # (S,)
    items: Ints  # (P,), and the other columns of `SlateColumns`
    scores: Floats
    base_ranks: Longs
    log_propensity: Floats | None
    contributions: Floats
    turned_off: Bools  # (S, O)


def make_slate_columns(maker: SlateMaker, blocks: Iterable[AnsweredBlock], policy: str) -> SlateColumns:
    """Return the slates of all blocks; `policy` is the ranker's name."""
    made, objectives = _Columns(maker, policy), tuple(maker.blend)
    rows: list[_Rows] = []
    for block in blocks:
        if block.picked is not None:
            rows.append(_list_picked_rows(block.picked, made.count, objectives))
            made.tell_picked(block.picked)
        for place, slate in block.alone.items():
            if isinstance(slate, RecsysError):
                made.errors[made.count + place] = slate
            else:
                rows.append(_list_rows(slate, made.count + place, objectives))
                made.tell(made.count + place, slate)
        made.count += block.size
    return made.finish(rows, len(objectives))


def refuse_all(count: int, error: RecsysError, n_objectives: int) -> SlateColumns:
    """Return the columns of requests that are all refused for the same reason."""
    return _join_rows(count, [], n_objectives, errors=dict.fromkeys(range(count), error))


def join_columns(parts: Sequence[tuple[Sequence[int], SlateColumns]], count: int) -> SlateColumns:
    """Return the columns of `count` requests, of parts that say which of them each part has."""
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    said: dict[str, dict[int, object]] = {}
    for name in ("errors", "notes", "policies", "violations"):
        said[name] = {places[n]: one for places, part in parts for n, one in getattr(part, name).items()}
    unknown = {name: np.zeros(count, np.int64) for name in _UNKNOWN}
    for places, part in parts:
        for name, counts in unknown.items():
            counts[list(places)] = getattr(part, name)
    rows = [
        _Rows(
            np.array(places, np.int64), part.sizes, part.items, part.scores, part.base_ranks, part.log_propensity,
            part.contributions, part.turned_off,
        )
        for places, part in parts
    ]  # fmt: skip
    return _join_rows(count, rows, parts[0][1].contributions.shape[1] if parts else 0, **unknown, **said)


class _Columns:
    """What is told of the requests so far, by place."""

    def __init__(self, maker: SlateMaker, policy: str) -> None:
        self._maker, self._policy, self.count = maker, policy, 0
        self.errors: dict[int, RecsysError] = {}
        self._notes: dict[int, tuple[str, ...]] = {}
        self._policies: dict[int, str] = {}
        self._violations: dict[int, Mapping[str, int]] = {}
        self._unknown: dict[str, dict[int, int]] = {name: {} for name in _UNKNOWN}

    def tell(self, place: int, slate: MadeSlate) -> None:
        """Take what is told of a slate."""
        self._tell_request(place, slate.request)
        violations, notes = self._maker.describe(slate)
        if notes:
            self._notes[place] = notes
        if violations:
            self._violations[place] = violations
        if slate.ordered.unknown:
            self._unknown["unknown_items"][place] = len(slate.ordered.unknown)

    def tell_picked(self, picked: PickedRequests) -> None:
        """Take what is told of requests that were picked together: no guard can be unmet, and no slate is short."""
        for b, (place, request) in enumerate(zip(picked.places, picked.requests, strict=True)):
            if self._maker.may_note:
                self.tell(self.count + place, picked.get_slate(b))
                continue
            self._tell_request(self.count + place, request)
            if request.asker.exposure_notes:
                self._notes[self.count + place] = request.asker.exposure_notes
            if picked.ordered[b].unknown:
                self._unknown["unknown_items"][self.count + place] = len(picked.ordered[b].unknown)

    def _tell_request(self, place: int, request: PreparedRequest) -> None:
        asker, dials = request.asker, request.dials
        if dials.factors or dials.profile_free:
            self._policies[place] = name_request_policy(self._policy, dials.factors, dials.profile_free)
        if asker.unknown:
            self._unknown["unknown_history"][place] = len(asker.unknown)
        if asker.unknown_regions:
            self._unknown["unknown_regions"][place] = len(asker.unknown_regions)

    def finish(self, rows: Sequence[_Rows], n_objectives: int) -> SlateColumns:
        """Return the columns of all."""
        return _join_rows(
            self.count,
            rows,
            n_objectives,
            **{name: _fill_counts(self.count, counts) for name, counts in self._unknown.items()},
            errors=self.errors,
            notes=self._notes,
            policies=self._policies,
            violations=self._violations,
        )


def _fill_counts(size: int, counts: Mapping[int, int]) -> Longs:
    filled: Longs = np.zeros(size, np.int64)
    for place, count in counts.items():
        filled[place] = count
    return filled


def _list_picked_rows(picked: PickedRequests, before: int, objectives: Sequence[str]) -> _Rows:
    picks = picked.picks
    count, k = picks.positions.shape
    contributions, turned_off = _spread_contributions(
        picks.contributions.reshape(count * k, -1), picks.objectives, objectives
    )
    return _Rows(
        np.array(picked.places, np.int64) + before,
        np.full(count, k, np.int64),
        picked.codes.ravel(),
        sum_contributions(picks.contributions).ravel(),
        picks.positions.ravel() + 1,
        None if picks.log_propensity is None else picks.log_propensity.ravel(),
        contributions,
        np.repeat(turned_off[None], count, axis=0),
    )


def _list_rows(slate: MadeSlate, place: int, objectives: Sequence[str]) -> _Rows:
    picked = slate.picked
    contributions, turned_off = _spread_contributions(picked.contributions, picked.objectives, objectives)
    size = len(picked.positions)
    return _Rows(
        np.array([place]),
        np.array([size]),
        slate.codes,
        sum_contributions(picked.contributions) if size else np.zeros(0, np.float32),
        picked.positions + 1,
        picked.log_propensity,
        contributions,
        turned_off[None],
    )


def _spread_contributions(given: Floats, names: Sequence[str], objectives: Sequence[str]) -> tuple[Floats, Bools]:
    """Return the contributions (P, O) of all objectives, and which of them (O,) are not among the given `names`."""
    if tuple(names) == tuple(objectives):
        return given, np.zeros(len(objectives), bool)
    filled = np.zeros((len(given), len(objectives)), np.float32)
    places = [objectives.index(name) for name in names]
    filled[:, places] = given
    return filled, ~np.isin(np.arange(len(objectives)), places)


def _join_rows(count: int, rows: Sequence[_Rows], n_objectives: int, **told: object) -> SlateColumns:
    """Return the columns of `count` requests."""
    sizes = np.zeros(count, np.int64)
    turned_off = np.zeros((count, n_objectives), bool)
    for one in rows:
        sizes[one.places], turned_off[one.places] = one.sizes, one.turned_off
    places = _concatenate([np.repeat(one.places, one.sizes) for one in rows], np.int64)
    order = None if (places[1:] >= places[:-1]).all() else np.argsort(places, kind="stable")

    def join(name: str, kind: type, width: tuple[int, ...] = ()) -> np.ndarray:
        joined = _concatenate([getattr(one, name) for one in rows], kind, width)
        return joined if order is None else joined[order]

    filled = [one for one in rows if len(one.items)]
    is_drawn = bool(filled) and filled[0].log_propensity is not None
    if is_drawn:
        rows = [one if len(one.items) else one._replace(log_propensity=np.zeros(0, np.float32)) for one in rows]
    none = {name: np.zeros(count, np.int64) for name in _UNKNOWN}
    return SlateColumns(
        sizes,
        join("items", np.int32),
        join("scores", np.float32),
        join("base_ranks", np.int64),
        join("log_propensity", np.float32) if is_drawn else None,
        join("contributions", np.float32, (n_objectives,)),
        turned_off,
        **{**none, **told},  # type: ignore[arg-type]
    )


def _concatenate(parts: Sequence[np.ndarray], kind: type, width: tuple[int, ...] = ()) -> np.ndarray:
    return np.concatenate([np.zeros((0, *width), kind), *parts]).astype(kind, copy=False)
