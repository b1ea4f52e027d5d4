"""A ranker with rows that came since it was fitted: users anew, counts and links where exact, the rest as it was."""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from recsys.control.forgetting import list_pending_parts, refuse_own_model, replace_user_rows, widen_tables
from recsys.data import read_dataset
from recsys.data.identifiers import look_up_ids
from recsys.models.ease import FittedEASE
from recsys.models.factor_model import FittedFactors
from recsys.models.forgetting import Forgotten, update_model
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.most_popular import FittedPopularity
from recsys.models.random import FittedRandom
from recsys.models.tifu_knn import FittedTifuKNN
from recsys.models.top_frequency import FittedTopFrequency
from recsys.models.user_knn import FittedUserKNN
from recsys.rankers.added_items import list_predicted
from recsys.rankers.fitting import prime_tables
from recsys.rankers.forgets import FORGOTTEN, list_saved_pending, list_shared_parts, restore_dials
from recsys.rankers.one_offs import KINDS
from recsys.rankers.requests import RequestUser, get_row_columns
from recsys.rankers.retrievals import get_user_factor
from recsys.splits import no_holdout
from recsys.types import Context, Dataset, Model, RecsysError, Scorer, SideInformation, Split
from recsys.types.arrays import Csr, Longs, Strings, make_empty_matrix
from recsys.types.forgetting import EXACT, PENDING, REFIT, ForgottenPart
from recsys.types.user_rows import iter_user_rows

Ranker = Any  # `recsys.rankers.Ranker`, which imports this module
UPDATE = "update"  # of what a ranker says of itself: its report
_OF_USERS = "a fit of the users to all of their rows, given the item factors"
_LINKED = (FittedEASE, FittedItemSimilarity, FittedUserKNN)  # made of the positives: updated, or fitted anew


@dataclass(frozen=True)
class UpdateReport:
    """What an update took in, what of the ranker is now that of a fit to all rows, and what is as it was."""

    policy: str  # the name of the policy that was updated
    likes: int  # that are new: pairs of user and item
    dislikes: int  # the same
    known: int  # pairs that the ranker had: their time and weight stay
    users: int  # who have new rows
    new_users: int  # those of them whom the ranker did not know
    left_out: int  # pairs of items that it does not know, or of new users without a like of one that it knows
    parts: tuple[ForgottenPart, ...]  # of the model: "exact" and "refitted" as a fit to all rows, "pending" as it was
    stale: tuple[str, ...]  # parts that everybody's rows made and that are as they were before

    @property
    def is_exact(self) -> bool:
        """Whether the model is that of a fit to all rows."""
        return all(part.state != PENDING and part.bound_to == REFIT for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {**asdict(self), "parts": [asdict(part) for part in self.parts], "stale": list(self.stale)}

    @classmethod
    def from_dict(cls, told: Any) -> "UpdateReport":
        """Return what `to_dict` told.

        Raises:
            RecsysError: for anything else.
        """
        try:
            parts = tuple(ForgottenPart(**part) for part in told["parts"])
            return cls(**{**told, "parts": parts, "stale": tuple(told["stale"])})
        except (KeyError, TypeError):
            raise RecsysError("found no report of an update, expected one as it was written") from None

    def describe(self) -> tuple[str, ...]:
        """Return sentences: what came, what became of each part of the model, and what is stale."""
        said = [
            f"{self.likes:,} likes and {self.dislikes:,} dislikes of {self.users:,} users, {self.new_users:,} of them "
            f"new; {self.known:,} pairs were known, {self.left_out:,} are left out"
        ]
        if self.parts:
            said.append(
                "model: " + ", ".join(f"{part.name} {_SAID.get(part.state, part.state)}" for part in self.parts)
            )
        if self.stale:
            said.append(f"stale until the next fit: {', '.join(self.stale)}")
        return tuple(said)


_SAID = {PENDING: "stale"}


class NewRows(NamedTuple):
    """The rows of an update, among the users (new ones at the end) and items of a ranker."""

    likes: Csr  # (U, I) the pairs that are new; entries are 1
    times: Csr | None  # (U, I) of `likes`, seconds since 1970
    dislikes: Csr  # (U, I) the pairs that are new
    users: Longs  # codes of who has any of both, ascending
    new_ids: Strings  # of the new users
    known: int
    left_out: int


def update(ranker: Ranker, interactions: Any, positive: str | None, settings: Model | None) -> Ranker:
    """Return a ranker with rows that came since it was fitted, under the forget list that it obeys."""
    state = ranker.forget_state
    base = ranker if state is None else restore_dials(ranker, state)
    split = _read_rows(interactions, positive)
    _refuse_kinds(base)
    made = _update_base(base, _place_rows(base, split), settings)
    return made if state is None else made.follow_forget_list(state.forget_list.path)


def find_update(ranker: Ranker) -> UpdateReport | None:
    """Return the report of the last update of a ranker, None where it had none.

    Raises:
        RecsysError: if what it says of it is none.
    """
    told = ranker.about.get(UPDATE)
    return None if told is None else UpdateReport.from_dict(told)


def _read_rows(interactions: Any, positive: str | None) -> Split:
    """Return the rows as distinct pairs that may be used, by the rules of all splits."""
    if isinstance(interactions, Split):
        if positive is not None:
            raise RecsysError("ranker: update: a split has its positives, expected no positive= beside it")
        return interactions
    found = interactions if isinstance(interactions, Dataset) else read_dataset(interactions)
    return no_holdout(found, positive=positive)


def _refuse_kinds(ranker: Ranker) -> None:
    """Refuse rankers whose rows say more than what is liked and when.

    Raises:
        RecsysError: for repeats, rows that are held back, and models of purchases or of somebody's own.
    """
    where = "ranker: update: "
    if ranker.context.repeats is not None:
        raise RecsysError(
            f"{where}it was fitted with repeats, whose shares are everybody's: expected a fit to all rows"
        )
    if any(getattr(ranker.context, kind) is not None for kind in KINDS):
        raise RecsysError(f"{where}it holds back rows, which are found among all rows, expected a fit to all rows")
    if ranker.model is None:
        return
    refuse_own_model(ranker.model)
    for one in (ranker.model, *getattr(ranker.model, "parts", ())):
        if isinstance(one, FittedTopFrequency | FittedTifuKNN) or getattr(one, "knows_purchases", False):
            raise RecsysError(f"{where}its model {type(one).__name__} counts purchases, expected a fit to all rows")


def _place_rows(ranker: Ranker, split: Split) -> NewRows:
    """Return the rows of a split by the codes of a ranker.

    Raises:
        RecsysError: if the ranker keeps times, and the rows have none.
    """
    around = ranker.context
    if around.times is not None and split.train_times is None and split.train.nnz:
        raise RecsysError("ranker: update: the rows have no datetime and the ranker keeps times, expected one for each")
    items, has_item = look_up_ids(split.item_ids, around.item_ids)
    users, is_known = look_up_ids(split.user_ids, around.user_ids)
    likes, dislikes = (_choose_columns(one, has_item) for one in (split.train, split.train_negatives))
    joins = ~is_known & (np.diff(likes.indptr) > 0)
    users = np.where(joins, len(around.user_ids) + np.cumsum(joins) - 1, users)
    kept = is_known | joins
    size = (len(around.user_ids) + int(joins.sum()), len(around.item_ids))
    placed = [_place_cells(one, kept, users, items, size) for one in (likes, dislikes)]
    held = _pad_rows(around.need_train("ranker: update"), size[0])
    met = held if around.dislikes is None else held + _pad_rows(around.dislikes, size[0])
    new_likes = _leave_cells(placed[0], held)
    new_dislikes = _leave_cells(placed[1], Csr(met + new_likes))
    times = None
    if around.times is not None and split.train_times is not None:
        when = _place_cells(_choose_columns(split.train_times, has_item), kept, users, items, size, has_values=True)
        times = _leave_cells(when, held)
    told = placed[0].nnz + placed[1].nnz
    changed = np.flatnonzero(np.diff(new_likes.indptr) + np.diff(new_dislikes.indptr))
    return NewRows(
        new_likes,
        times,
        new_dislikes,
        changed.astype(np.int64),
        split.user_ids[joins],
        known=told - new_likes.nnz - new_dislikes.nnz,
        left_out=split.train.nnz + split.train_negatives.nnz - told,
    )


def _choose_columns(matrix: Csr, kept: Any) -> Csr:
    """Return a matrix whose entries are those of the kept columns."""
    chosen = kept[matrix.indices]
    ends = np.concatenate([[0], np.cumsum(chosen)])[matrix.indptr]
    return Csr((matrix.data[chosen], matrix.indices[chosen], ends), shape=matrix.shape)


def _place_cells(
    matrix: Csr, kept: Any, users: Longs, items: Longs, size: tuple[int, int], has_values: bool = False
) -> Csr:
    """Return the entries of the kept rows at other rows and columns: ones, or with their values."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    stays = kept[rows]
    values = matrix.data[stays] if has_values else np.ones(int(stays.sum()), np.float32)
    made = Csr((values, (users[rows[stays]], items[matrix.indices[stays]])), shape=size)
    made.sort_indices()
    return made


def _leave_cells(matrix: Csr, without: Csr) -> Csr:
    """Return the entries of a matrix that are no entries of another one of its shape."""
    kept = ~np.isin(_number_cells(matrix), _number_cells(without))
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr].astype(matrix.indptr.dtype)
    return Csr((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)


def _number_cells(matrix: Csr) -> Longs:
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def _pad_rows(matrix: Csr, size: int) -> Csr:
    """Return a matrix with empty rows at its end, so that there are `size`."""
    more = np.full(size - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype)
    ends = np.concatenate([matrix.indptr, more])
    return Csr((matrix.data, matrix.indices, ends), shape=(size, matrix.shape[1]))


def _update_base(base: Ranker, rows: NewRows, settings: Model | None) -> Ranker:
    about = {name: value for name, value in base.about.items() if name != FORGOTTEN}
    earlier = find_update(base)
    counts = {
        "policy": base.name, "likes": rows.likes.nnz, "dislikes": rows.dislikes.nnz, "known": rows.known,
        "users": len(rows.users), "new_users": len(rows.new_ids), "left_out": rows.left_out,
    }  # fmt: skip
    if not len(rows.users):
        told = ((), ()) if earlier is None else (earlier.parts, earlier.stale)
        return replace(
            base, name="", about={**about, UPDATE: UpdateReport(**counts, parts=told[0], stale=told[1]).to_dict()}
        )
    around, model = _add_users(base.context, rows.new_ids), _widen_model(base.model, len(rows.new_ids))
    changed = _add_cells(around, rows)
    context, made = replace_user_rows(around, model, changed, rows.users)
    parts: tuple[ForgottenPart, ...] = ()
    if model is not None and made is not None:
        is_known = not list_saved_pending(base.about) and not (
            earlier and any(p.state == PENDING for p in earlier.parts)
        )
        side = SideInformation(context.dislikes, context.times, _get_weights(context))
        train = context.need_train("ranker: update")
        asked = Forgotten(
            model, train, rows.users.astype(np.int32), settings, side, rows.dislikes.nnz > 0, is_known=is_known
        )
        made, parts = _update_shared(made, around, asked)
        if isinstance(made, FittedFactors):
            made = _solve_as_requests(made, context, rows.users)
            context = replace(context, factors=made.factors)
    prime_tables(context, made)
    pending = tuple(f"model: {part.name}" for part in parts if part.state == PENDING)
    stale = (*pending, *list_pending_parts(context, None, list_shared_parts(base)), *list_predicted(base.about))
    report = UpdateReport(**counts, parts=parts, stale=stale)
    return replace(base, context=context, model=made, name="", about={**about, UPDATE: report.to_dict()})


def _get_weights(context: Context) -> Csr | None:
    return None if context.time_weights is None else context.time_weights.weights


def _add_users(context: Context, ids: Strings) -> Context:
    """Return a context with users of whom nothing is known at its end, and its tables."""
    size = len(context.user_ids) + len(ids)
    names = ("train", "dislikes", "times")
    changed: dict[str, Any] = {
        name: _pad_rows(one, size) for name in names if (one := getattr(context, name)) is not None
    }
    if context.exposures is not None:
        ends = np.asarray(context.exposures.pointers)
        changed["exposures"] = replace(context.exposures, pointers=np.append(ends, np.full(len(ids), ends[-1])))
    if (aged := context.time_weights) is not None:
        changed["time_weights"] = replace(aged, weights=_pad_rows(aged.weights, size))
    tables = widen_tables(context, len(ids))
    return replace(context, user_ids=np.concatenate([context.user_ids, ids]), tables=tables, **changed)


def _widen_model(model: Scorer | None, n: int) -> Scorer | None:
    """Return a model with rows of users of whom nothing is known at the end."""
    if model is None:
        return None
    found: Any = model
    if (parts := getattr(model, "parts", None)) is not None:
        return cast(Scorer, replace(found, parts=tuple(_widen_model(part, n) for part in parts)))
    if isinstance(model, FittedFactors):
        return replace(model, factors=replace(model.factors, user_factors=_pad(model.factors.user_factors, n)))
    changed = {name: _pad(held, n) for name, _, held in iter_user_rows(model)}
    return cast(Scorer, replace(found, **changed)) if changed else model


def _pad(held: Any, n: int) -> Any:
    if isinstance(held, np.ndarray):
        return np.concatenate([held, np.zeros((n, *held.shape[1:]), held.dtype)])
    return _pad_rows(Csr(held), held.shape[0] + n)


def _add_cells(context: Context, rows: NewRows) -> Context:
    """Return a context with the rows of an update: what is liked by now is disliked no longer."""
    train = _unite(context.need_train("ranker: update"), rows.likes)
    changed: dict[str, Any] = {"train": train}
    if context.dislikes is not None or rows.dislikes.nnz:
        held = make_empty_matrix(train.shape) if context.dislikes is None else context.dislikes
        changed["dislikes"] = _unite(_leave_cells(held, rows.likes), rows.dislikes)
    if context.times is not None and rows.times is not None:
        changed["times"] = _unite(context.times, rows.times)
    if (aged := context.time_weights) is not None and rows.times is not None:
        own = Csr((aged.weigh_times(rows.times.data), rows.times.indices, rows.times.indptr), shape=train.shape)
        changed["time_weights"] = replace(aged, weights=_unite(aged.weights, own))
    return replace(context, **changed)


def _unite(one: Csr, other: Csr) -> Csr:
    """Return the entries of two matrices that share none, zeros among them."""
    rows = [np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)) for part in (one, other)]
    values = np.concatenate([one.data, other.data]).astype(one.dtype)
    made = Csr((values, (np.concatenate(rows), np.concatenate([one.indices, other.indices]))), shape=one.shape)
    made.sort_indices()
    return made


def _update_shared(made: Scorer, around: Context, asked: Forgotten) -> tuple[Scorer, tuple[ForgottenPart, ...]]:
    """Return a model whose users are made anew with what everybody's rows made, as far as that has an update."""
    before: Any = asked.model
    if (parts := getattr(made, "parts", None)) is not None:
        settings = getattr(asked.settings, "models", None) or (None,) * len(parts)
        found = [
            _update_shared(part, around, asked._replace(model=old, settings=own))
            for part, old, own in zip(parts, before.parts, settings, strict=True)
        ]
        named = [
            replace(part, name=f"{n}: {type(one).__name__}: {part.name}")
            for n, (one, of) in enumerate(found)
            for part in of
        ]
        return cast(Scorer, replace(cast(Any, made), parts=tuple(one for one, _ in found))), tuple(named)
    if isinstance(made, FittedRandom):
        return made, ()
    if isinstance(made, FittedPopularity):
        is_counted = made is not before
        return made, (ForgottenPart("counts", *((EXACT, 0.0, REFIT) if is_counted else (PENDING,))),)
    if isinstance(made, _LINKED):
        return _update_links(made, around, asked)
    return made, (ForgottenPart("user factors", EXACT, 0.0, _OF_USERS), ForgottenPart("item factors", PENDING))


def _update_links(made: Scorer, around: Context, asked: Forgotten) -> tuple[Scorer, tuple[ForgottenPart, ...]]:
    """Return EASE or a model of neighbours of all rows, or with links as they were where nobody has its settings."""
    held, own = asked.model.train, around.need_train("ranker: update")
    same = np.array_equal(held.indptr, own.indptr) and np.array_equal(held.indices, own.indices)
    updated = update_model(asked if same else asked._replace(is_known=False))
    if type(updated.model) is not type(made):
        raise RecsysError(
            f"ranker: update: the settings are those of another model: they make a {type(updated.model).__name__}, and "
            f"the ranker has a {type(made).__name__}, expected the settings that it was fitted with"
        )
    if any(part.state == PENDING for part in updated.parts):
        return made, (
            ForgottenPart("users", EXACT, 0.0, "a fold of all of their rows"),
            ForgottenPart("links", PENDING),
        )
    return updated.model, updated.parts


def _solve_as_requests(model: FittedFactors, context: Context, users: Longs) -> FittedFactors:
    """Return a factor model whose users are those that a request with all of their likes has, to the last bit."""
    found = np.array(model.factors.user_factors)
    train, weights, disliked = (
        context.need_train("ranker: update"),
        _get_weights(context),
        model.factors.disliked_weight,
    )
    for user in users.tolist():
        asks = RequestUser(user, get_row_columns(train, user), is_extended=True)
        if weights is not None:
            asks = asks._replace(weights=weights.data[weights.indptr[user] : weights.indptr[user + 1]])
        if context.dislikes is not None and disliked:
            asks = asks._replace(dislikes=get_row_columns(context.dislikes, user))
        found[user] = get_user_factor(model.factors, context, asks)
    return replace(model, factors=replace(model.factors, user_factors=found))
