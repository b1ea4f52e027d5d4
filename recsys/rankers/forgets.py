"""A ranker that obeys a forget list: what its lines took out, and which topics are closed to whom."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsys.control.forgetting import (
    FORGOTTEN_PREFIX,
    FinishedForgets,
    LineRows,
    MadeRows,
    PendingForget,
    list_pending_parts,
    refuse_own_model,
    take_out_rows,
)
from recsys.data.identifiers import normalize_id
from recsys.rankers.fitting import OF_NO_ROWS
from recsys.rankers.profiles import ProfileEntry, UserProfile
from recsys.rankers.requests import NO_ITEMS, IdIndex, RequestUser
from recsys.rankers.user_dials import UserDials, join_user_dials, remove_user_dials
from recsys.splits.forgotten_rows import find_items_of_topic, warn_of_unknown_topics
from recsys.support.forget_lists import ForgetLine, ForgetList, Kind, append_forget_line, append_undo, read_forget_list
from recsys.types import Guard, Pool, RecsysError, Rule, make_unknown_name_error
from recsys.types.arrays import Ints
from recsys.types.moments import format_moment, parse_moment

Ranker = Any  # `recsys.rankers.Ranker`, which imports this module
FORGOTTEN = "forgotten"  # of a saved ranker's settings: which rows are not in it
Stamp = tuple[int, int, int]  # inode, size and time of the last change of a file


class Closed(NamedTuple):
    """The items of the topics that a user stopped, as requests read them."""

    items: Ints  # codes, ascending
    guard: Guard
    rule: Rule


@dataclass(frozen=True, eq=False)
class ForgetState:
    """What a ranker has applied of its forget list."""

    forget_list: ForgetList  # as it was read
    stamp: Stamp
    base: Ranker  # without any of it
    lines: tuple[ForgetLine, ...] = ()  # those that hold
    effective: tuple[ForgetLine, ...] = ()  # those of them that changed something here
    pending: tuple[PendingForget, ...] = ()
    closed: Mapping[int, Closed] = field(default_factory=dict)  # by the code of the user
    origin: str = ""  # the name of the policy that had all rows, where the base was saved without some; else the base's
    removed_dials: UserDials | None = None  # of people whom it forgot, to be restored with them
    hashes: list[tuple[dict[str, int], dict[str, int]]] = field(default_factory=list)  # made when first asked for

    def name_policy(self) -> str:
        """Return the name of the policy of a ranker with this state."""
        return _name_policy(self)

    def get_hashes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the code of each user and of each item by the hash of their ids."""
        if not self.hashes:
            around = self.base.context
            users = self.forget_list.hash_ids("user", around.user_ids.tolist())
            self.hashes.append((users, self.forget_list.hash_ids("item", around.item_ids.tolist())))
        return self.hashes[0]


def follow_list(ranker: Ranker, path: str | Path, now: Any = None) -> Ranker:
    """Return a ranker that obeys a forget list from now on.

    Raises:
        RecsysError: as `read_forget_list` does, or if the ranker obeys another one.
    """
    stamp = _stamp_file(path)
    read, held = read_forget_list(path), ranker.forget_state
    if held is not None:
        raise RecsysError(f"ranker: it obeys the forget list {held.forget_list.path}, expected no other one")
    found = replace(read, path=read.path.absolute())  # wherever the process works later
    return _obey_from_start(ranker, ForgetState(found, stamp, ranker), found.list_holding(_parse_now(now)))


def refresh(ranker: Ranker, now: Any = None) -> Ranker:
    """Return a ranker that obeys what its forget list says by now: the same one where nothing changed.

    Raises:
        RecsysError: if the list was replaced, is damaged, or is there no longer.
    """
    state = _need_state(ranker)
    stamp, found = _stamp_file(state.forget_list.path), state.forget_list
    if stamp != state.stamp:
        found = read_forget_list(found.path, None if stamp[0] != state.stamp[0] else found)
    holding = found.list_holding(_parse_now(now))
    if found is state.forget_list and holding == state.lines:
        return ranker
    return obey_list(ranker, replace(state, forget_list=found, stamp=stamp), holding)


def obey_list(ranker: Ranker, state: ForgetState, holding: tuple[ForgetLine, ...]) -> Ranker:
    """Return the ranker under the lines that hold: new ones are applied to it, and where one ended all to its base."""
    if holding[: len(state.lines)] == state.lines:
        return _apply_lines(ranker, state, holding)
    base = restore_dials(ranker, state)
    fresh = ForgetState(state.forget_list, state.stamp, base, hashes=state.hashes)
    return _obey_from_start(base, fresh, holding, MadeRows(ranker.context, ranker.model))


def _obey_from_start(
    base: Ranker, state: ForgetState, holding: tuple[ForgetLine, ...], made: MadeRows | None = None
) -> Ranker:
    """Return a ranker that obeyed nothing since it was fitted or loaded under the lines that hold.

    `made` is the same base under other lines.
    """
    origin, effective = _find_origin(base, state.forget_list, holding)
    pending = _list_kept_pending(base, holding)
    return _apply_lines(base, replace(state, pending=pending, origin=origin, effective=effective), holding, made)


def forget(ranker: Ranker, user: Any, item: Any, until: Any, now: Any) -> Ranker:
    """Write a forget to the list, and return a ranker that obeys it."""
    if user is None and item is None:
        raise RecsysError("ranker: forget: found neither user nor item, expected one of them, or both")
    ids = {}
    if user is not None:
        ids["user"] = _find_user(ranker, user)
    if item is not None:
        ids["item"] = _find_item(ranker, item)
    kind: Kind = "person" if item is None else "item" if user is None else "interaction"
    return _append(ranker, kind, ids, until, now)


def stop(ranker: Ranker, user: Any, topic: Any, until: Any, now: Any) -> Ranker:
    """Write a stop of a topic to the list, and return a ranker that obeys it."""
    name = find_topic_name(ranker, topic, "ranker")
    return _append(ranker, "topic", {"user": _find_user(ranker, user), "topic": name}, until, now)


def undo(ranker: Ranker, user: Any, item: Any, topic: Any, now: Any) -> Ranker:
    """Write the undo of what holds to the list, and return a ranker that obeys it."""
    state = _need_state(ranker)
    if user is None and item is None:
        raise RecsysError("ranker: undo: found neither user nor item, expected what was forgotten or stopped")
    found = read_forget_list(state.forget_list.path, state.forget_list)
    names = {
        "user": "" if user is None else found.hash_user(normalize_id(user)),
        "item": "" if item is None else found.hash_item(normalize_id(item)),
        "topic": "" if topic is None else str(topic),
    }
    moment = _parse_now(now)
    lines = [
        line.number
        for line in found.list_holding(moment)
        if (line.user, line.item, line.topic) == (names["user"], names["item"], names["topic"])
    ]
    if not lines:
        said = ", ".join(f"{name} '{one}'" for name, one in (("user", user), ("item", item), ("topic", topic)) if one)
        raise RecsysError(f"ranker: undo: the list holds no forget of {said}, expected one that holds")
    done = append_undo(state.forget_list.path, lines, now=moment)
    return _obey_written(ranker, done, moment)


def restore_dials(ranker: Ranker, state: ForgetState) -> Ranker:
    """Return the base with the dials that the ranker has by now, and those of people whom it forgot."""
    return state.base.replace_dials(join_user_dials(state.removed_dials, ranker.user_dials))


def describe_forgets(state: ForgetState | None, folder: Path) -> dict[str, Any]:
    """Return what a saved ranker says of its forget list: its path from the folder, and what has been applied."""
    if state is None:
        return {}
    target = state.forget_list.path.resolve()
    told: dict[str, Any] = {
        "file": os.path.relpath(target, folder.resolve()),
        "lines": state.forget_list.end.lines,
        "bytes": state.forget_list.end.bytes,
        "crc": state.forget_list.end.crc,
        "digest": state.forget_list.keep(state.lines).digest,
        "pending": [[one.line, one.kind, one.rows, list(one.parts)] for one in state.pending],
    }
    return {"forget_list": told}


def find_saved_list(folder: Path, about: Mapping[str, Any]) -> Path | None:
    """Return the path of the forget list that a saved ranker names, None where it names none.

    Raises:
        RecsysError: if what it says of it is none.
    """
    told = about.get("forget_list")
    if told is None:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("file"), str):
        raise RecsysError(f"{folder}: manifest.json names no file as its forget list")
    return Path(os.path.normpath(folder.resolve() / told["file"]))


def tell_user_lines(profile: UserProfile, state: ForgetState | None, user: int) -> UserProfile:
    """Return a profile with what the ranker's forget list says of the user, where it says something that holds."""
    lines = [] if state is None else _list_user_lines(state, user)
    if not lines:
        return profile
    entry = ProfileEntry("forget_list", "what the user had forgotten, and the topics that they stopped", (), lines)
    return replace(profile, entries=(*profile.entries, entry))


def _list_user_lines(state: ForgetState, user: int) -> list[dict[str, Any]]:
    """Return the lines of a user that hold: kind, item or topic, since when and until when."""
    users, items = state.get_hashes()
    ids = state.base.context.item_ids
    return [
        {
            "kind": line.kind,
            **({"item": str(ids[items[line.item]])} if line.item in items else {}),
            **({"topic": line.topic} if line.topic else {}),
            "since": format_moment(line.at),
            "until": None if line.until is None else format_moment(line.until),
        }
        for line in state.lines
        if line.user and users.get(line.user) == user
    ]


def close_items(closed: Closed, asker: RequestUser, held: Any, make: Any) -> tuple[RequestUser, Any]:
    """Return the user of a request and its guards with what the user stopped closed.

    Without other guards than limits on exposures the items are hidden as theirs are; else it is a guard more.
    """
    if held.guards and not held.are_limits:
        return asker, held + make((closed.guard,), (closed.rule,))
    return asker._replace(hidden=np.union1d(asker.hidden, closed.items).astype(np.int32)), held


def is_stop(guard: Guard) -> bool:
    """Whether a guard is that of the topics that a user stopped: it is no part of the request."""
    return isinstance(guard.make_rule, partial) and guard.make_rule.func is _return_rule


def drop_items(items: IdIndex, codes: Ints) -> IdIndex:
    """Return the index of items without some of them."""
    gone = set(codes.tolist())
    kept = {name: code for name, code in items.codes.items() if code not in gone}
    numbers = (
        np.where(np.isin(items.number_codes, codes), -1, items.number_codes) if len(items.number_codes) else NO_ITEMS
    )
    return IdIndex(items.names, kept, numbers)


def build_user_index(ids: list[str]) -> IdIndex:
    """Return the index of users, in which forgotten people have no name."""
    codes = {name: code for code, name in enumerate(ids) if not name.startswith(FORGOTTEN_PREFIX)}
    return IdIndex(ids, codes)


def _append(ranker: Ranker, kind: Kind, ids: Mapping[str, str], until: Any, now: Any) -> Ranker:
    state, moment = _need_state(ranker), _parse_now(now)
    if ranker.model is not None:
        refuse_own_model(ranker.model)
    end = None if until is None else parse_moment("ranker: until", until)
    done = append_forget_line(state.forget_list.path, kind, **ids, until=end, now=moment)
    return _obey_written(ranker, done, moment)


def _obey_written(ranker: Ranker, found: ForgetList, moment: int | None) -> Ranker:
    """Return a ranker that obeys a list that was just written: lines of others among them."""
    state = replace(_need_state(ranker), forget_list=found, stamp=_stamp_file(found.path))
    return obey_list(ranker, state, found.list_holding(moment))


def _apply_lines(
    ranker: Ranker, state: ForgetState, holding: tuple[ForgetLine, ...], made: MadeRows | None = None
) -> Ranker:
    """Return the ranker with the lines that are not among those that are applied; `made` as for `take_out_rows`."""
    lines = holding[len(state.lines) :]
    topics = {topic: _find_topic_items(ranker, topic) for topic in {line.topic for line in lines if line.topic}}
    stops = [line for line in lines if line.kind == "topic" and line.user in state.get_hashes()[0]]
    warn_of_unknown_topics("ranker", stops, _list_topics(ranker), ())
    new = [place for line in lines if (place := _place_line(state, line, topics)) is not None]
    model, context = ranker.model, ranker.context
    parts = take_out_rows(context, model, new, made)
    stale = list_pending_parts(context, model, list_shared_parts(ranker))
    pending = list(state.pending)
    for place, rows in zip(new, parts.rows, strict=True):
        if rows and stale:
            pending.append(PendingForget(place.line.number, place.line.kind, rows, stale))
    closed = {**state.closed, **_close_topics(ranker, state, new)}
    changing = [
        place.line
        for place, rows in zip(new, parts.rows, strict=True)
        if rows or place.line.kind in ("person", "item", "topic")
    ]
    effective = tuple(dict.fromkeys((*state.effective, *changing)))
    done = replace(state, lines=holding, effective=effective, pending=tuple(pending), closed=closed)
    people = [str(context.user_ids[place.user]) for place in new if place.line.kind == "person"]
    things = [place.items for place in new if place.line.kind == "item" and place.items is not None]
    kept = remove_user_dials(ranker.user_dials, people) if people else ranker.user_dials
    if people and ranker.user_dials is not None:
        gone = ranker.user_dials.keep(np.isin(ranker.user_dials.user_ids, people))
        done = replace(done, removed_dials=join_user_dials(done.removed_dials, gone))
    return ranker.replace_parts(
        parts.context,
        parts.model,
        done,
        kept,
        np.concatenate(things) if things else NO_ITEMS,
        _name_policy(done),
    )


def _place_line(state: ForgetState, line: ForgetLine, topics: Mapping[str, Ints | None]) -> LineRows | None:
    """Return what a line names here, None where it names nobody or nothing that is here; `topics` have their items."""
    users, items_by_hash = state.get_hashes()
    user, item = users.get(line.user, -1), items_by_hash.get(line.item, -1)
    if (line.user and user < 0) or (line.item and item < 0):
        return None
    if line.kind == "topic":
        items = topics[line.topic]
        return None if items is None else LineRows(line, user, items)
    return LineRows(line, user, None if not line.item else np.array([item], np.int32))


def _find_topic_items(ranker: Ranker, topic: str) -> Ints | None:
    """Return the codes of the items of a topic, ascending; None where the ranker knows no topic of this name."""
    if topic not in _list_topics(ranker):
        return None
    return np.flatnonzero(find_items_of_topic(ranker.context.items, topic, ranker.topics)).astype(np.int32)


def _list_topics(ranker: Ranker) -> tuple[str, ...]:
    """Return the topics that a ranker knows: features of its items, and those of its policy."""
    items, topics = ranker.context.items, ranker.topics
    features = () if items is None else tuple(items.feature_names)
    return features if topics is None else tuple(dict.fromkeys((*features, *topics.names.tolist())))


def list_shared_parts(ranker: Ranker) -> tuple[str, ...]:
    """Return the parts of a ranker, beside its model and tables, that rows of users made."""
    made_of = ranker.about.get("made_of")
    told = made_of if isinstance(made_of, Mapping) else {}
    there = {
        "maps": len(ranker.context.maps) > 0 and told.get("maps") != OF_NO_ROWS,
        "scales": told.get("scales") != OF_NO_ROWS,
        "likelihood": ranker.likelihood is not None,
        "index": ranker.index is not None,
    }
    return tuple(name for name, is_there in there.items() if is_there)


def find_finished_forgets(ranker: Ranker) -> FinishedForgets | None:
    """Return what became of what was pending when a ranker was made anew, None where it never was.

    Raises:
        RecsysError: if what it says of it is none.
    """
    told = ranker.about.get("finished_forgets")
    return None if told is None else FinishedForgets.from_dict(told)


def _close_topics(ranker: Ranker, state: ForgetState, new: Collection[LineRows]) -> dict[int, Closed]:
    found: dict[int, Any] = {}
    for place in new:
        if place.line.kind == "topic" and place.items is not None:
            before = found.get(
                place.user, state.closed[place.user].items if place.user in state.closed else place.items
            )
            found[place.user] = np.union1d(before, place.items).astype(np.int32)
    return {code: _close(items, len(ranker.context.item_ids)) for code, items in found.items()}


def _close(items: Ints, n_items: int) -> Closed:
    excluded = np.zeros(n_items, bool)
    excluded[items] = True
    rule = Rule(excluded_items=excluded)
    return Closed(items, Guard("stopped topics", partial(_return_rule, rule)), rule)


def _return_rule(rule: Rule, pool: Pool, k: int) -> Rule:
    return rule


def _name_policy(state: ForgetState) -> str:
    """Return the name of a policy without what lines took out: that of its base where they took out nothing."""
    if not state.effective:
        return str(state.base.name)
    told = json.dumps([state.origin or str(state.base.name), state.forget_list.keep(state.effective).digest])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def describe_origin(state: ForgetState | None, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings of a saved ranker say of the rows that are not in it: {} where all of them are.

    With it the ranker has the name that it had before it was saved: that of a policy and the lines that it obeys.
    """
    if state is None or not state.effective:
        return {FORGOTTEN: about[FORGOTTEN]} if FORGOTTEN in about else {}
    lines, name = state.effective, state.origin or str(state.base.name)
    told = {"policy": name, "lines": [line.number for line in lines], "digest": state.forget_list.keep(lines).digest}
    return {FORGOTTEN: told}


def parse_origin(found: Any, place: str) -> dict[str, Any]:
    """Return what the settings of a saved ranker say of the rows that are not in it.

    Raises:
        RecsysError: if they say anything else.
    """
    is_told = isinstance(found, dict) and set(found) == {"policy", "lines", "digest"}
    if not is_told or not all(isinstance(found[name], str) for name in ("policy", "digest")):
        raise RecsysError(f"{place}: forgotten says of no policy which lines were taken out of it")
    lines = found["lines"]
    if not isinstance(lines, list) or not lines or not all(type(one) is int for one in lines):
        raise RecsysError(f"{place}: forgotten names no lines, expected those that were taken out")
    return dict(found)


def _find_origin(
    base: Ranker, forget_list: ForgetList, holding: Collection[ForgetLine]
) -> tuple[str, tuple[ForgetLine, ...]]:
    """Return the name of the policy that a saved base was made of by lines, and these; "" and () where it was of none.

    Where one of them no longer holds, or the list is another one, the base is a policy of its own: its rows do not
    come back.
    """
    told = base.about.get(FORGOTTEN)
    if not told:
        return "", ()
    numbers = set(told["lines"])
    lines = tuple(line for line in holding if line.number in numbers)
    same = len(lines) == len(numbers) and forget_list.keep(lines).digest == told["digest"]
    return (str(told["policy"]), lines) if same else ("", ())


def _list_kept_pending(ranker: Ranker, holding: Collection[ForgetLine]) -> tuple[PendingForget, ...]:
    """Return what was pending when a ranker was saved, of the lines that still hold."""
    known = {line.number for line in holding}
    return tuple(one for one in list_saved_pending(ranker.about) if one.line in known)


def list_saved_pending(about: Mapping[str, Any]) -> tuple[PendingForget, ...]:
    """Return what was pending when a ranker was saved, whether its lines still hold or not.

    Raises:
        RecsysError: if what it says of it is none.
    """
    told = about.get("forget_list")
    rows = told.get("pending", ()) if isinstance(told, Mapping) else ()
    try:
        return tuple(PendingForget(int(line), str(kind), int(n), tuple(parts)) for line, kind, n, parts in rows)
    except (TypeError, ValueError):
        raise RecsysError("ranker: manifest.json does not say what is pending, expected it as it was written") from None


def _need_state(ranker: Ranker) -> ForgetState:
    state: ForgetState | None = ranker.forget_state
    if state is None:
        raise RecsysError(
            "ranker: it has no forget list, expected one, in which a forget is written before it takes effect: "
            "follow_forget_list"
        )
    return state


def _find_user(ranker: Ranker, user: Any) -> str:
    name = normalize_id(user)
    if name not in ranker.known_users:
        raise make_unknown_name_error("user", name, list(ranker.known_users), where="ranker")
    return name


def _find_item(ranker: Ranker, item: Any) -> str:
    name = normalize_id(item)
    if name not in ranker.known_items:
        raise make_unknown_name_error("item", name, list(ranker.known_items), where="ranker")
    return name


def find_topic_name(ranker: Ranker, topic: Any, place: str) -> str:
    """Return the name of a topic that a ranker knows.

    Raises:
        RecsysError: for another one, with the nearest of the features of its items and the topics of its policy.
    """
    known = _list_topics(ranker)
    if not isinstance(topic, str) or topic not in known:
        of_policy = "" if ranker.topics is None else " and topics of its policy"
        raise make_unknown_name_error("topic", str(topic), known, where=f"{place}: features of its items{of_policy}")
    return topic


def _parse_now(now: Any) -> int | None:
    return None if now is None else parse_moment("ranker: now", now)


def _stamp_file(path: str | Path) -> Stamp:
    try:
        told = Path(path).stat()
    except (OSError, TypeError, ValueError) as error:
        raise RecsysError(f"forget list {path}: {getattr(error, 'strerror', None) or error}") from None
    return told.st_ino, told.st_size, told.st_mtime_ns


def keep_owned(state: ForgetState | None, user: Any, owned: Mapping[Any, Any]) -> ForgetState | None:
    """Return a state whose base knows what a user owns, so that an undo keeps it."""
    return None if state is None else replace(state, base=state.base.set_owned(user, owned))
