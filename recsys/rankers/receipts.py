"""Receipts of a ranker's answers, and their replay."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from recsys.control.environments import describe_environment
from recsys.control.receipts import InputDigest, Receipt, hash_arrays, hash_text
from recsys.rankers.answers import Recommendation
from recsys.rankers.exposures import ExposureStore, join_rows, parse_shown_rows
from recsys.rankers.forgets import is_stop
from recsys.rankers.region_answers import add_region_answers, name_region_answers
from recsys.rankers.request_constraints import deserialize_guards, serialize_guards
from recsys.rankers.requests import (
    NO_EXPOSURES,
    NO_ITEMS,
    Candidates,
    HistoryRow,
    Id,
    IdIndex,
    RequestUser,
    ShownRows,
    get_row_columns,
    parse_candidates,
    resolve_request_user,
)
from recsys.types import Context, Guard, RecsysError
from recsys.types.arrays import Ints

Verdict = Literal[
    "equal", "differs", "inputs forgotten", "inputs missing", "other inputs", "other artefact", "other versions",
    "other CPU",
]  # fmt: skip
VERDICTS: tuple[Verdict, ...] = Verdict.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class ReplayResult:
    """What the replay of a receipt found."""

    verdict: Verdict
    differences: tuple[str, ...] = ()  # what differs, or which inputs, versions or artefact
    answer: Recommendation | None = None  # where the request was answered again


class GivenInputs(NamedTuple):
    """What the caller of a replay brings of a request's inputs; None for those that it does not bring."""

    history: Iterable[HistoryRow] | None = None
    more: Iterable[HistoryRow] | None = None
    items: Sequence[Id] | None = None
    scores: Any = None
    shown: Any = None
    guards: Sequence[Guard] | None = None
    dislikes: Iterable[Id] | None = None
    region_answers: Mapping[str, str] | None = None


class Replay(NamedTuple):
    """A request that is answered again."""

    asker: RequestUser
    found: Candidates | None  # None: they are retrieved
    k: int
    seed: int
    guards: tuple[Guard, ...]
    dials: Mapping[str, float]
    profile_free: bool


class HeldInputs:
    """What a ranker holds of those who ask, and its items."""

    def __init__(
        self, context: Context, users: IdIndex, items: IdIndex, exposures: ExposureStore, n_guards: int
    ) -> None:
        """Take the parts of a ranker that has `n_guards` guards of its own."""
        self.n_guards, self.items = n_guards, items
        self._context, self._users, self._exposures = context, users, exposures
        self._hashed: tuple[bytes, dict[str, int]] = (b"", {})  # a salt, and the code of each hash of a user

    def find_user(self, receipt: Receipt) -> int | None:
        """Return the code of the user of a receipt, -1 where it names nobody, None for one who is not known."""
        if receipt.user is None:
            return -1
        if not receipt.is_hashed:
            return self._users.codes.get(receipt.user)
        if self._hashed[0] != receipt.salt:
            hashes = {hash_text(name, receipt.salt): code for name, code in self._users.codes.items()}
            self._hashed = (receipt.salt, hashes)
        return self._hashed[1].get(receipt.user)

    def take_history(self, code: int) -> Ints:
        """Return the items that a user is held to like, codes."""
        return get_row_columns(self._context.need_train("a ranker"), code) if code >= 0 else NO_ITEMS

    def take_shown(self, code: int, now: int) -> ShownRows:
        """Return the exposures that are held of a user."""
        return self._exposures.take_rows(code, now) or NO_EXPOSURES

    def name_user(self, code: int) -> str | None:
        """Return the id of a user, None for nobody."""
        return self._users.names[code] if code >= 0 else None

    def name_items(self, codes: Ints) -> list[str]:
        """Return the ids of items."""
        return [self.items.names[code] for code in codes.tolist()]

    def resolve_asker(
        self, code: int, likes: Iterable[HistoryRow] | None, now: int, dislikes: Iterable[Id] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> RequestUser:  # fmt: skip
        """Return the user of a request that brings some likes, a known user's `more` or a history, and answers."""
        history, more = (likes, None) if code < 0 else (None, likes)
        who = (self._context, self._users, self.items, self.name_user(code))
        asker = resolve_request_user(*who, history, more, now, dislikes)
        return asker if answers is None else add_region_answers(self._context, asker, answers)

    def name_answers(self, asker: RequestUser) -> dict[str, str]:
        """Return what a request answers about regions, by name."""
        return name_region_answers(self._context, asker)

    def digest_history(self, asker: RequestUser, own: Ints) -> InputDigest:
        """Return the digest of liked items, `own` ones and those of the request with their times, in whatever order.

        Dislikes, and answers about regions, that the request brings are part of it.
        """
        rows = [(self.items.names[code], when) for code, when in list_dated_likes(asker, asker.history, own)]
        rows += [(f"\0{self.items.names[code]}", None) for code in asker.again.tolist()]  # came again
        told = repr(sorted(rows)) + "".join(f" -{name}" for name in sorted(self.name_items(asker.dislikes)))
        told += "".join(f" {name}={answer}" for name, answer in sorted(self.name_answers(asker).items()))
        return InputDigest(hash_text(told), len(rows) + len(asker.dislikes) + len(asker.regions), len(own))

    def digest_shown(self, rows: ShownRows, n_held: int) -> InputDigest:
        """Return the digest of exposures, in whatever order."""
        told = sorted(zip(self.name_items(rows.items), rows.times.tolist(), rows.dismissed.tolist(), strict=True))
        return InputDigest(hash_text(repr(told)), len(told), n_held)

    def digest_candidates(self, found: Candidates) -> InputDigest:
        """Return the digest of candidates, best first, and the bits of their scores."""
        return InputDigest(hash_arrays(self.name_items(found.items), found.scores), len(found.items))


def make_receipt(
    held: HeldInputs,
    asker: RequestUser,
    given: Candidates | None,
    k: int,
    guards: Sequence[Guard],
    answer: Recommendation,
    keep_inputs: bool,
) -> Receipt:
    """Return the receipt of an answer; `guards` are those of the ranker, then those of the request.

    Candidates that are `given` are those of the caller, before the likelihood orders them.
    """
    own, own_shown = held.take_history(asker.code), held.take_shown(asker.code, asker.now)
    brought = {
        "history": asker.code < 0 and len(asker.history) > 0,
        "more": asker.code >= 0 and len(asker.history) + len(asker.again) > len(own),
        "dislikes": len(asker.dislikes) > 0,
        "region_answers": len(asker.regions) > 0,
        "shown": len(asker.shown.items) > 0 and not _have_equal_rows(asker.shown, own_shown),
        "candidates": given is not None,
    }
    names = tuple(name for name, is_brought in brought.items() if is_brought)
    drawn = answer.log_propensity
    return Receipt(
        kind="rank" if given is None else "rerank",
        artefact=answer.ranker_policy,
        policy=answer.policy,
        now=asker.now,
        k=k,
        seed=answer.seed,
        dials={name: float(factor) for name, factor in sorted(answer.dials.items())},
        profile_free=answer.profile_free,
        guards=tuple(_serialize_guard(guard) for guard in guards[held.n_guards :] if not is_stop(guard)),
        user=held.name_user(max(asker.code, asker.stopper)),
        history=held.digest_history(asker, own),
        shown=held.digest_shown(asker.shown, len(own_shown.items)),
        candidates=None if given is None else held.digest_candidates(given),
        brought=names,
        items=answer.items,
        log_propensity=None if drawn is None else tuple(drawn.tolist()),
        answer=hash_answer(answer),
        environment=describe_environment(),
        inputs=_list_inputs(held, names, asker, given, own, own_shown) if keep_inputs else None,
    )


def hash_answer(answer: Recommendation) -> str:
    """Return the digest of a slate: items, and the bits of what was computed for them."""
    arrays = (answer.contributions, answer.relevance, answer.base_ranks, answer.log_propensity)
    return hash_arrays([*answer.items, "", *answer.objectives], *arrays)


def replay_receipt(
    held: HeldInputs,
    artefact: str,
    receipt: Receipt,
    given: GivenInputs,
    answer_again: Callable[[Replay], Recommendation],
) -> ReplayResult:
    """Return what the replay of a receipt finds; `artefact` is the name of the ranker.

    Raises:
        RecsysError: for something else than a receipt, or inputs that are given and cannot be read.
    """
    if not isinstance(receipt, Receipt):
        raise RecsysError(f"ranker: found a {type(receipt).__name__}, expected a Receipt: Receipt.from_dict reads one")
    code = held.find_user(receipt)
    if code is None:
        return ReplayResult("inputs forgotten", ("user",))
    reader = -1 if receipt.profile_free else code  # whose rows the slate was made of
    own, own_shown = held.take_history(reader), held.take_shown(reader, receipt.now)
    pairs = (("history", receipt.history, len(own)), ("shown", receipt.shown, len(own_shown.items)))
    if gone := tuple(name for name, then, now in pairs if now < then.held):
        return ReplayResult("inputs forgotten", gone)
    if receipt.artefact != artefact:
        return ReplayResult("other artefact", (artefact,))
    given = _add_kept_inputs(given, receipt)
    if missing := _list_missing_inputs(given, receipt):
        return ReplayResult("inputs missing", missing)
    replay = _build_replay(held, receipt, given, reader, own_shown)
    replay = replay._replace(asker=replay.asker._replace(stopper=code))
    if others := _list_other_inputs(held, receipt, replay, own, len(own_shown.items)):
        return ReplayResult("other inputs", others)
    answer = answer_again(replay)
    differences = compare_answers(receipt, answer)
    if not differences:
        return ReplayResult("equal", (), answer)
    changed = tuple(name for name, now in describe_environment().items() if receipt.environment.get(name) != now)
    if changed:
        return ReplayResult("other CPU" if changed == ("cpu",) else "other versions", changed + differences, answer)
    return ReplayResult("differs", differences, answer)


def compare_answers(receipt: Receipt, answer: Recommendation) -> tuple[str, ...]:
    """Return what differs between the slate of a receipt and another answer; () where each bit is the same."""
    if hash_answer(answer) == receipt.answer:
        return ()
    drawn = None if answer.log_propensity is None else tuple(answer.log_propensity.tolist())
    if sorted(answer.items) != sorted(receipt.items):
        found = ["items"]
    else:
        found = ["order"] if answer.items != receipt.items else []
    if drawn != receipt.log_propensity:
        found.append("propensity")
    return tuple(found or ["scores"])


def _add_kept_inputs(given: GivenInputs, receipt: Receipt) -> GivenInputs:
    """Return the inputs that are given, and of the others those that the receipt keeps."""
    kept = dict(receipt.inputs or {})
    if "candidates" in kept:
        kept["items"], kept["scores"] = kept.pop("candidates")
    return given._replace(**{name: value for name, value in kept.items() if getattr(given, name) is None})


def _list_missing_inputs(given: GivenInputs, receipt: Receipt) -> tuple[str, ...]:
    there = given._asdict() | {"candidates": None if given.scores is None else given.items}
    missing = [name for name in receipt.brought if there[name] is None]
    return tuple(missing + (["guards"] if None in receipt.guards and given.guards is None else []))


def _build_replay(held: HeldInputs, receipt: Receipt, given: GivenInputs, code: int, own_shown: ShownRows) -> Replay:
    shown = own_shown
    if given.shown is not None:
        shown = _join_shown(held.items, own_shown._replace(now=receipt.now), given.shown)
    likes = given.history if code < 0 else given.more
    asker = held.resolve_asker(code, likes, receipt.now, given.dislikes, given.region_answers)
    asker = asker._replace(shown=shown)
    found = None if given.items is None else parse_candidates(held.items, given.items, given.scores)
    guards = given.guards
    if guards is None:
        guards = deserialize_guards([one for one in receipt.guards if one is not None])
    return Replay(asker, found, receipt.k, receipt.seed, tuple(guards), receipt.dials, receipt.profile_free)


def _join_shown(items: IdIndex, own: ShownRows, given: Any) -> ShownRows:
    names, times, dismissed = parse_shown_rows(given)
    known = [place for place, name in enumerate(names) if name in items.codes]
    codes = np.array([items.codes[names[place]] for place in known], np.int32)
    return join_rows(own, codes, times[known], dismissed[known])


def _list_other_inputs(held: HeldInputs, receipt: Receipt, replay: Replay, own: Ints, n_shown: int) -> tuple[str, ...]:
    """Return the inputs whose digest is not that of the receipt."""
    found: dict[str, tuple[InputDigest, InputDigest | None]] = {
        "history": (held.digest_history(replay.asker, own), receipt.history),
        "shown": (held.digest_shown(replay.asker.shown, n_shown), receipt.shown),
    }
    if replay.found is not None:
        found["candidates"] = (held.digest_candidates(replay.found), receipt.candidates)
    others = [name for name, (now, then) in found.items() if then is None or receipt.hash_input(now) != then]
    told = [_serialize_guard(guard) for guard in replay.guards]
    pairs = zip(told, receipt.guards, strict=False)
    if len(told) != len(receipt.guards) or any(then is not None and now != then for now, then in pairs):
        others.append("guards")
    return tuple(others)


def _list_inputs(
    held: HeldInputs,
    brought: Sequence[str],
    asker: RequestUser,
    given: Candidates | None,
    own: Ints,
    own_shown: ShownRows,
) -> dict[str, Any]:
    """Return what the request brought, as JSON can say it and a request would read it."""
    kept: dict[str, Any] = {}
    if "history" in brought:
        kept["history"] = _name_likes(held, asker, np.concatenate([asker.history, asker.again]), own)
    if "more" in brought:
        kept["more"] = _name_likes(held, asker, np.concatenate([np.setdiff1d(asker.history, own), asker.again]), own)
    if "dislikes" in brought:
        kept["dislikes"] = held.name_items(asker.dislikes)
    if "region_answers" in brought:
        kept["region_answers"] = held.name_answers(asker)
    if "shown" in brought:
        kept["shown"] = _list_brought_rows(held, asker.shown, own_shown)
    if given is not None:
        kept["candidates"] = [held.name_items(given.items), given.scores.tolist()]
    return kept


def list_dated_likes(asker: RequestUser, codes: Ints, own: Ints) -> list[tuple[int, int | None]]:
    """Return items that the user of a request likes, and the time with which the request brings each, None without."""
    held = set(own.tolist())
    return [(code, None if code in held else asker.dated.get(code)) for code in codes.tolist()]


def _name_likes(held: HeldInputs, asker: RequestUser, codes: Ints, own: Ints) -> list[Any]:
    """Return likes as a request brings them: ids, or where one has a time, ids and times."""
    rows = [[held.items.names[code], when] for code, when in list_dated_likes(asker, codes, own)]
    return rows if any(when is not None for _, when in rows) else [name for name, _ in rows]


def _list_brought_rows(held: HeldInputs, rows: ShownRows, own: ShownRows) -> list[list[Any]]:
    """Return the rows that are not held, or held without their dismissal."""
    held_flags: dict[tuple[int, int], bool] = {}
    for item, when, dismissed in zip(*_list_columns(own), strict=True):
        held_flags[item, when] = held_flags.get((item, when), False) or dismissed
    names = held.items.names
    return [
        [names[item], when, dismissed]
        for item, when, dismissed in zip(*_list_columns(rows), strict=True)
        if (item, when) not in held_flags or (dismissed and not held_flags[item, when])
    ]


def _list_columns(rows: ShownRows) -> tuple[list[Any], list[Any], list[Any]]:
    return rows.items.tolist(), rows.times.tolist(), rows.dismissed.tolist()


def _have_equal_rows(one: ShownRows, other: ShownRows) -> bool:
    return _list_columns(one) == _list_columns(other)


def _serialize_guard(guard: Guard) -> dict[str, Any] | None:
    """Return a guard as a config has it, None for one that no config could name."""
    try:
        return serialize_guards([guard])[0]
    except RecsysError:
        return None
