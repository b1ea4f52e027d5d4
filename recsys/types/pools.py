"""Candidates of some users, and the context that objectives look at."""

import os
import threading
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from cachetools import LRUCache
from scipy import sparse

from recsys.types.arrays import Anys, Csr, Doubles, Floats, Ints, Longs, Strings, unite_matrices
from recsys.types.checks import check_array, check_codes, check_matrix, convert_to_codes
from recsys.types.datasets import Items
from recsys.types.errors import RecsysError, check_choice
from recsys.types.exposures import ExposureHistories
from recsys.types.guest_runs import GuestRuns
from recsys.types.maps import TasteMap
from recsys.types.models import Factors
from recsys.types.one_offs import OneOffs
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import TimeWeights, get_positive_times

T = TypeVar("T")
MAX_KEPT_ARRAYS = 2  # of a pool's candidates
LIKELIHOOD_KINDS = ("softmax", "logistic")
_NEEDS_MAPS = "needs taste maps: make the pool with a split, or give it maps="


class TableCache:
    """Tables derived from a record, each made once, under a lock; of more than `max_tables` the last used are kept."""

    def __init__(self, max_tables: int | None = None) -> None:
        """Start without any."""
        self._made: MutableMapping[Hashable, Any] = {} if max_tables is None else LRUCache(max_tables)
        self._most = max_tables
        self._lock, self._process = threading.RLock(), os.getpid()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._made)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state that is pickled and copied: tables of plain values. Others are made again when asked for."""
        return {"made": [pair for pair in self.items() if _is_plain(pair[1])], "most": self._most}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start with these tables, and a lock of this process."""
        self.__init__(state["most"])  # type: ignore[misc]
        self._made.update(state["made"])

    def items(self) -> tuple[tuple[Hashable, Any], ...]:
        """Return the tables that exist, by key."""
        return tuple(self._made.items())

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the table called `key`, made by `make` at the first call."""
        if self._most is None and (there := self._made.get(key)) is not None:  # nothing is dropped: no lock is needed
            return cast(T, there)
        if self._process != os.getpid():  # forked: another thread of the parent may hold the lock for good
            self._lock, self._process = threading.RLock(), os.getpid()
        with self._lock:
            if key in self._made:
                return cast(T, self._made[key])
            made = make()
            self._made[key] = made
            return made


def _is_plain(value: Any) -> bool:
    """Whether a table is an array, a matrix, a number or text, or a tuple or record of such."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if is_dataclass(value) and not isinstance(value, type):
        return all(_is_plain(getattr(value, field.name)) for field in fields(value))
    return value is None or sparse.issparse(value) or isinstance(value, np.ndarray | np.generic | int | float | str)


@dataclass(frozen=True, eq=False)
class ConstantFunction:
    """A function without arguments that returns one value: unlike a lambda, it can be pickled."""

    value: Any

    def __call__(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, eq=False)
class Context:
    """The data that objectives read beside the candidates. Absent parts are None; an objective that needs one says so.

    With a `parent_context`, the users here are others than those whose numbers speak for everybody: what is popular,
    near or usual is told by the users of that context, and only what a user's own history says by the rows of this one.
    """

    user_ids: Strings  # (users,)
    item_ids: Strings  # (I,)
    train: Csr | None = None  # (users, I) positives, 0/1
    dislikes: Csr | None = None  # (users, I) known dislikes
    times: Csr | None = None  # (users, I) float64 seconds since 1970 of the positives
    items: Items | None = None  # the catalogue
    factors: Factors | None = None  # those of a factor model
    make_maps: Callable[[], Sequence[TasteMap]] | None = None  # own maps, made when first asked for
    seed: int = 0  # of all draws
    tables: TableCache = field(default_factory=TableCache)  # read by the accessors of `objectives.derived_tables`
    parent_context: "Context | None" = None  # the context of the population, where it is another
    population_codes: Longs | None = None  # (users,) their codes in `parent_context`, -1 for who is new to it
    draw_keys: Anys | None = None  # (users,) whole numbers by which draws are told apart; None: the codes of users
    exposures: ExposureHistories | None = None  # what was shown to the users before
    repeats: RepeatHistories | None = None  # what the users may buy again
    time_weights: TimeWeights | None = None  # how much each positive counts by age, or as a one-off; None: all alike
    one_offs: OneOffs | None = None  # positives that count less, as they fit nothing else of their history
    guest_runs: GuestRuns | None = None  # runs of them that count less, as somebody else may have used the account
    checked: bool = field(default=False, init=False, repr=False)

    def check_arrays(self) -> None:
        """Refuse, once, arrays with invalid indices or numbers, before compiled code reads them.

        Raises:
            RecsysError: naming the array.
        """
        if self.checked:
            return
        size = (len(self.user_ids), len(self.item_ids))
        for name in ("train", "dislikes", "times"):
            if getattr(self, name) is not None:
                check_matrix(f"context: {name}", getattr(self, name), size)
        if self.time_weights is not None:
            self._check_time_weights(self.time_weights.weights, size)
        if self.one_offs is not None:
            self.one_offs.check_one_offs("context: one_offs", self.need_train("context: one_offs"))
        if self.guest_runs is not None:
            self.guest_runs.check_held_back("context: guest_runs", self.need_train("context: guest_runs"))
        if self.items is not None:
            check_matrix("context: items: features", self.items.features, (size[1], len(self.items.feature_names)))
        if self.factors is not None:
            self.factors.check_factors("context: factors", (len(self.population.user_ids), size[1]))
        if self.parent_context is not None:
            self.parent_context.check_arrays()
            if len(self.parent_context.item_ids) != size[1]:
                raise RecsysError(
                    f"context: {size[1]} items among {len(self.parent_context.item_ids)}, expected as many"
                )
        if self.exposures is not None:
            self.exposures.check_histories("context: exposures", size)
        if self.repeats is not None:
            self.repeats.check_histories("context: repeats", size)
        if self.population_codes is not None:
            check_array("context: population_codes", self.population_codes, size[:1], "i")
            check_codes("context: population_codes", self.population_codes, -1, len(self.population.user_ids))
        if self.draw_keys is not None:
            check_array("context: keys", self.draw_keys, size[:1], "iu")
        object.__setattr__(self, "checked", True)

    def _check_time_weights(self, weights: Csr, size: tuple[int, int]) -> None:
        check_matrix("context: time_weights", weights, size)
        train = self.need_train("context: time_weights")
        if not (np.array_equal(weights.indptr, train.indptr) and np.array_equal(weights.indices, train.indices)):
            raise RecsysError("context: time_weights are not those of the entries of train, expected one for each")
        if weights.nnz and not (weights.data.min() > 0 and weights.data.max() <= 1):
            raise RecsysError("context: time_weights are not all above 0 and up to 1")

    @property
    def population(self) -> "Context":
        """The context whose users speak for all: `parent_context`, or this one without it."""
        return self if self.parent_context is None else self.parent_context

    @property
    def maps(self) -> tuple[TasteMap, ...]:
        """The objectives' own maps."""
        if self.parent_context is not None:
            return self.parent_context.maps
        if self.make_maps is None:
            raise RecsysError(f"this objective {_NEEDS_MAPS}")
        return self.tables.get("maps", self._make_checked_maps)

    def _make_checked_maps(self) -> tuple[TasteMap, ...]:
        maps = tuple(self.make_maps())  # type: ignore[misc]
        for taste_map in maps:
            if not isinstance(taste_map, TasteMap):
                raise RecsysError(
                    f"maps: found a {type(taste_map).__name__}, expected a TasteMap: recsys.maps.objective_maps"
                )
            taste_map.check_assignment(len(self.item_ids))
        return maps

    def need_maps(self, needed_by: str = "this objective") -> tuple[TasteMap, ...]:
        """Return the own maps, or raise an error that names `needed_by`."""
        if self.population.make_maps is None or not self.maps:
            raise RecsysError(f"{needed_by} {_NEEDS_MAPS}")
        return self.maps

    def need_seen(self, needed_by: str) -> Csr:
        """Return everything that each user has met, whatever the rating, (users, I), or say as `need_train` does."""
        train, dislikes = self.need_train(needed_by), self.dislikes
        return train if dislikes is None else self.tables.get("met", lambda: unite_matrices(train, dislikes))

    def need_train(self, needed_by: str) -> Csr:
        """Return the training positives, or raise an error that names `needed_by`."""
        if self.train is None:
            raise RecsysError(f"{needed_by} needs each user's history: make the pool with split=")
        return self.train

    def need_weighted_train(self, needed_by: str) -> Csr:
        """Return the training positives, (users, I), with their weights by age and as one-offs: 1 each without both.

        Raises:
            RecsysError: as `need_train` does.
        """
        train = self.need_train(needed_by)
        return train if self.time_weights is None else self.time_weights.weights

    def get_history_times(self, user: int) -> Doubles | None:
        """Return when each positive of a user was, in seconds since 1970, in the order of the user's row of `train`.

        None where the context has no times.
        """
        if self.times is None or self.train is None:
            return None
        return get_positive_times(Csr(self.train[[user]]), Csr(self.times[[user]]))

    def need_times(self, needed_by: str) -> Csr:
        """Return the time of each training positive, or raise an error that names `needed_by`."""
        if self.times is None:
            of_request = self.parent_context is not None and self.parent_context.times is not None
            lacking = "a history that a request brings" if of_request else "this data"
            raise RecsysError(f"{needed_by} needs to know when each positive was, and {lacking} has no times")
        return self.times

    def need_items_table(self, needed_by: str) -> Items:
        """Return the catalogue, with or without features, or raise an error that names `needed_by`."""
        if self.items is None:
            raise RecsysError(f"{needed_by} needs a catalogue, and this data has none")
        return self.items

    def need_items(self, needed_by: str) -> Items:
        """Return the catalogue with its features, or raise an error that names `needed_by`."""
        if self.items is None or not self.items.features.nnz:
            raise RecsysError(f"{needed_by} needs item features, and this data has none")
        return self.items

    def need_exposures(self, needed_by: str) -> ExposureHistories:
        """Return what was shown to each user, or raise an error that names `needed_by`."""
        if self.exposures is None:
            raise RecsysError(
                f"{needed_by} needs what was shown before: make the pool with shown=, or name a log in [shown]"
            )
        return self.exposures

    def need_repeats(self, needed_by: str) -> RepeatHistories:
        """Return what the users may buy again, or raise an error that names `needed_by`."""
        if self.repeats is None:
            raise RecsysError(
                f"{needed_by} needs to know what was bought before: recsys.evidence.build_repeats, or [evidence.repeat]"
            )
        return self.repeats

    def need_factors(self, needed_by: str) -> Factors:
        """Return the model's factors, or raise an error that names `needed_by`."""
        if self.factors is None:
            raise RecsysError(f"{needed_by} needs a factor model (such as als): this pool's scores come from none")
        return self.factors


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates of U users, best first: a row shorter than N ends in -1."""

    users: Ints  # (U,) codes into context.user_ids
    items: Ints  # (U, N) codes into context.item_ids, -1 = none
    scores: Floats  # (U, N), finite where there is an item, 0 elsewhere
    context: Context  # what objectives read beside the candidates
    likelihood_kind: str = ""  # "softmax" or "logistic": scores are those of a learned likelihood of that kind
    kept_arrays: TableCache | None = field(default=None, init=False, repr=False)  # of these candidates
    checked: bool = field(default=False, init=False, repr=False)  # by `recsys.kernels.checks`

    def __post_init__(self) -> None:
        """Take whole numbers and scores of any width; refuse arrays that do not go together.

        Raises:
            RecsysError: naming the array.
        """
        users, items = convert_to_codes("pool: users", self.users), convert_to_codes("pool: items", self.items)
        scores = np.asarray(self.scores)
        if scores.dtype != np.float32 or not scores.flags.c_contiguous:
            if scores.dtype.kind in "fiu":
                with np.errstate(over="ignore"):
                    scores = np.ascontiguousarray(scores, dtype=np.float32)
            check_array("pool: scores", scores, (None, None))
        if self.likelihood_kind:
            check_choice("likelihood_kind", self.likelihood_kind, LIKELIHOOD_KINDS, where="pool")
        if users.ndim != 1 or items.ndim != 2 or len(items) != len(users) or scores.shape != items.shape:
            found = f"users {users.shape}, items {items.shape} and scores {scores.shape}"
            raise RecsysError(f"pool: found {found}, expected U, U x N and U x N")
        for name, array in (("users", users), ("items", items), ("scores", scores)):
            if array is not getattr(self, name):
                object.__setattr__(self, name, array)

    @property
    def lengths(self) -> Ints:
        """How many candidates each user has, (U,)."""
        if self.items.min(initial=0) >= 0:  # nearly always, and told ten times as fast
            return np.full(len(self.items), self.items.shape[1], np.int32)
        return np.asarray((self.items >= 0).sum(axis=1), dtype=np.int32)

    @property
    def population_codes(self) -> Ints | Longs:
        """The code of each user in the population, (U,), -1 for users that are new there."""
        return self.users if self.context.population_codes is None else self.context.population_codes[self.users]

    @property
    def draw_keys(self) -> Anys:
        """The key of each user's draws, (U,)."""
        return self.users if self.context.draw_keys is None else self.context.draw_keys[self.users]

    def _repr_html_(self) -> str:
        from recsys.types import notebooks

        users, n = self.items.shape
        of = self.context
        counts = [notebooks.format_count(users, "user"), f"up to {notebooks.format_count(n, 'candidate')} each"]
        counts.append(f"of {notebooks.format_count(len(of.item_ids), 'item')}")
        titles, rows = None if of.items is None else of.items.titles, []
        for u, length in enumerate(self.lengths[: notebooks.MAX_ROWS].tolist()):
            shown = notebooks.get_item_labels(of.item_ids, titles, self.items[u, : notebooks.MAX_PICKS])
            rows.append([of.user_ids[self.users[u]], f"{length:,}", *shown])
        places = map(str, range(1, min(n, notebooks.MAX_PICKS) + 1))
        return notebooks.render_record("Pool", counts, ["user", "candidates", *places], rows)

    def slice_users(self, start: int, stop: int) -> "Pool":
        """Return the users from `start` to `stop`, sharing the context."""
        part = slice(start, stop)
        return replace(self, users=self.users[part], items=self.items[part], scores=self.scores[part])

    def keep_arrays(self) -> "Pool":
        """Return a pool of the same candidates that keeps the arrays which objectives derive from them."""
        kept = replace(self)
        object.__setattr__(kept, "kept_arrays", TableCache(MAX_KEPT_ARRAYS))
        return kept
