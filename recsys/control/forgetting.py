"""Forgetting in what a ranker is made of: rows leave the context and the model, and what is a user's own is made anew.

What everybody's rows made together (item factors, links of items, maps, tables that take long) stays as it is: it is
pending until it is fitted again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from scipy import sparse

from recsys.maths.communities import assign_communities
from recsys.maths.fold_in import solve_user_factors
from recsys.maths.popularity import count_item_users, sum_item_weights
from recsys.models.factor_model import FittedFactors
from recsys.models.most_popular import FittedPopularity
from recsys.models.random import FittedRandom
from recsys.models.registry import find_fitted_classes
from recsys.models.tfidf_bm25 import sum_rows, weigh_rows
from recsys.models.tifu_knn import FittedTifuKNN
from recsys.models.top_frequency import FittedTopFrequency
from recsys.models.user_knn import FittedUserKNN
from recsys.objectives.derived_tables import (
    COMMUNITY_MODEL,
    EXPECTED_EXPOSURE,
    FACTOR_GRAM,
    TableKey,
    get_community_model,
)
from recsys.support.forget_lists import ForgetLine
from recsys.types import Context, ExposureHistories, RecsysError, Scorer, TableCache
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs, Strings
from recsys.types.forgetting import ForgetCertificate
from recsys.types.pools import ConstantFunction
from recsys.types.repeats import RepeatHistories
from recsys.types.user_rows import iter_user_rows

FORGOTTEN_PREFIX = "\0forgotten "  # of what stands in the place of a forgotten person's id: no id begins so
# Tables of everybody's rows that are kept as they are: pending. Values of a user's own in them are made anew.
PENDING_TABLES = frozenset(
    {"item_vectors", "zero_vectors", "like_share", "community_model", "expected_exposure", "map_variety",
     "npmi_matrix", "overall_distances", "denied_exposure"}
)  # fmt: skip
# Tables of rows of users that are made anew where they are asked for, so that they are exact.
RENEWED_TABLES = frozenset(
    {"explored_regions", "map_mixes", "acceptance", "own_and_near_mixes", "user_variety", "global_aspect_shares",
     "popularity_groups", "decayed_history", "aspect_mixes", "popularity_mixes", "item_counts", "log_popularity",
     "region_like_shares", "sorted_histories", "self_information", "tail_items", "popularity_ranks", "user_distances",
     "accounts", "account_mixes", "account_bandwidth", "account_slates", "reference_time", "mix_of_all",
     "familiarity", "answer_weights", "region_answers"}
)  # fmt: skip
# Tables that no row of a user is in.
CATALOGUE_TABLES = frozenset(
    {"factor_gram", "region_layout", "hard_regions", "region_shares", "item_regions", "one_region_per_map",
     "aspect_shares", "hard_aspects", "number_codes", "id_codes", "tie_order", "items_by_feature", "feature_sizes",
     "kernel_inputs", "prior_variances", "quantized_items", "region_factors", "region_names"}
)  # fmt: skip


class LineRows(NamedTuple):
    """What a line of a forget list names among the users and items of a ranker."""

    line: ForgetLine
    user: int  # code, -1 where all users are meant
    items: Ints | None  # codes, None where all items are meant


class PendingForget(NamedTuple):
    """A forget whose rows no answer reads any more, and what was fitted to them and is not yet fitted again."""

    line: int  # of the forget list
    kind: str
    rows: int  # likes and dislikes that were taken out
    parts: tuple[str, ...]  # of the ranker


@dataclass(frozen=True)
class FinishedForgets:
    """What became of all that was pending when a ranker was made anew without forgotten rows."""

    lines: tuple[int, ...]  # of the forget list
    model: ForgetCertificate | None  # what the model still knows of the rows; None for a ranker without a model
    remade: tuple[str, ...]  # parts that were made anew of the rows that are left
    kept: tuple[str, ...] = ()  # parts that were kept, because the operator says that they hold no rows of users

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {**vars(self), "model": None if self.model is None else self.model.to_dict()}

    @classmethod
    def from_dict(cls, told: Any) -> "FinishedForgets":
        """Return what `to_dict` told.

        Raises:
            RecsysError: for anything else.
        """
        try:
            model = None if told["model"] is None else ForgetCertificate.from_dict(told["model"])
            return cls(tuple(map(int, told["lines"])), model, tuple(told["remade"]), tuple(told["kept"]))
        except (KeyError, TypeError, ValueError):
            raise RecsysError("found no certificate of a forget, expected one as it was written") from None

    def describe(self) -> str:
        """Return in words what became of each part."""
        said = [] if self.model is None else [self.model.describe()]
        said += [f"made anew: {', '.join(self.remade)}"] if self.remade else []
        return "; ".join(said + ([f"kept: {', '.join(self.kept)}"] if self.kept else []))


@dataclass(frozen=True, eq=False)
class ForgottenParts:
    """A context and a model without some rows."""

    context: Context
    model: Scorer | None
    users: Longs  # codes of the users who lost rows, ascending
    rows: tuple[int, ...]  # likes and dislikes that each line took out, those of an earlier one left out


class MadeRows(NamedTuple):
    """A context and a model, of the same base, that lost other rows: what is a user's own in them is made already."""

    context: Context
    model: Scorer | None


def take_out_rows(
    context: Context, model: Scorer | None, lines: Collection[LineRows], made: MadeRows | None = None
) -> ForgottenParts:
    """Return a ranker's context and model without the rows that lines name, and what each user has of their own anew.

    Nothing given is changed. A person's id gives way to a name that no id has; with no row left, such a user is as
    somebody of whom nothing is known. What `made` has of users with the same history is taken from there.

    Raises:
        RecsysError: for a model that is none of this library, whose rows of users are unknown.
    """
    names = ("train", "dislikes", "times")
    matrices: dict[str, Csr] = {name: one for name in names if (one := getattr(context, name)) is not None}
    marks = {name: np.zeros(one.nnz, bool) for name, one in matrices.items()}
    taken, touched = [], set[int]()
    for line in lines:
        count = 0
        for name, matrix in matrices.items():
            found = _find_entries(matrix.indices, matrix.indptr, line)
            found = found[~marks[name][found]]
            marks[name][found] = True
            if name != "times":
                count += len(found)
                touched.update(_find_rows(matrix, found))
        taken.append(count)
    users = np.array(sorted(touched), np.int64)
    people = np.array(sorted({line.user for line in lines if line.line.kind == "person"}), np.int64)
    changed: dict[str, Any] = {name: _drop_entries(one, marks[name]) for name, one in matrices.items()}
    if context.exposures is not None and len(context.exposures.items):
        changed["exposures"] = _forget_exposures(context.exposures, lines)
    if context.repeats is not None:
        changed["repeats"] = _forget_repeats(context.repeats, lines)
    if context.time_weights is not None:
        weights = _drop_entries(context.time_weights.weights, marks["train"])
        changed["time_weights"] = replace(context.time_weights, weights=weights)
    if context.one_offs is not None:
        changed["one_offs"] = replace(context.one_offs, scores=_drop_entries(context.one_offs.scores, marks["train"]))
    if context.guest_runs is not None:
        left_scores = _drop_entries(context.guest_runs.scores, marks["train"])
        changed["guest_runs"] = replace(context.guest_runs, scores=left_scores)
    if len(people):
        changed["user_ids"] = _replace_ids(context.user_ids, people)
    left = replace(context, **changed, tables=TableCache())
    known = None if made is None else _KnownRows(made, _find_same_users(left, made.context, users))
    fitted = model
    if model is not None and len(users):
        fitted = _forget_in_model(model, context, left, users, marks.get("train"), known)
    if fitted is not None and fitted.factors is not None:
        left = replace(left, factors=fitted.factors)
    _copy_tables(context, left, users, known)
    return ForgottenParts(left, fitted, users, tuple(taken))


def replace_user_rows(
    context: Context, model: Scorer | None, changed: Context, users: Longs
) -> tuple[Context, Scorer | None]:
    """Return `changed`, a context in which some users (ascending) have other rows, and the model with these users anew.

    Both contexts have the same users. Tables of everybody stay as they are, but for counts.

    Raises:
        RecsysError: for a model that is none of this library, whose rows of users are unknown.
    """
    left = replace(changed, tables=TableCache())
    fitted = None if model is None else _forget_in_model(model, context, left, users, None, None)
    if fitted is not None and fitted.factors is not None:
        left = replace(left, factors=fitted.factors)
    _copy_tables(context, left, users, None)
    return left, fitted


def widen_tables(context: Context, n: int) -> TableCache:
    """Return the tables of a context with room for n more users, of whom nothing is known, at the end."""
    tables = TableCache()
    for key, value in context.tables.items():
        name = key.name if isinstance(key, TableKey) else ""
        if name == COMMUNITY_MODEL.name:
            value = (np.append(value[0], np.zeros(n, value[0].dtype)), *value[1:])
        elif name == EXPECTED_EXPOSURE.name and value.shape[1]:
            value = np.concatenate([value, np.full((2, n, value.shape[2]), np.nan, value.dtype)], axis=1)
        tables.get(key, ConstantFunction(value))
    return tables


def list_pending_parts(context: Context, model: Scorer | None, others: Collection[str]) -> tuple[str, ...]:
    """Return the parts of a ranker that everybody's rows made together and that `take_out_rows` leaves as they are.

    `others` are those that are neither the model's nor tables.
    """
    tables = sorted({key.name for key, _ in context.tables.items() if isinstance(key, TableKey)} & PENDING_TABLES)
    is_exact = (
        model is None
        or isinstance(model, FittedRandom)
        or (isinstance(model, FittedPopularity) and _counts_likes(model, context))
    )
    of_model = () if is_exact else (f"model: {type(model).__name__}",)
    return (*of_model, *others, *(f"table: {name}" for name in tables))


def _find_entries(items: Ints, pointers: Ints | Longs, line: LineRows) -> Longs:
    """Return the places of the entries that a line names, among those that stand by user."""
    if line.user < 0:
        return np.flatnonzero(np.isin(items, cast(Ints, line.items)))
    first, end = int(pointers[line.user]), int(pointers[line.user + 1])
    if line.items is None:
        return np.arange(first, end)
    own = items[first:end]
    return first + np.flatnonzero(own == line.items[0] if len(line.items) == 1 else np.isin(own, line.items))


def _find_rows(matrix: Csr, places: Longs) -> list[int]:
    rows: list[int] = (np.searchsorted(matrix.indptr, places, side="right") - 1).tolist()
    return rows


def _drop_entries(matrix: Csr, marked: Bools) -> Csr:
    if not marked.any():
        return matrix
    kept = ~marked
    lost = np.concatenate([[0], np.cumsum(marked)])[matrix.indptr]
    pointers = (matrix.indptr - lost).astype(matrix.indptr.dtype)
    return Csr((matrix.data[kept], matrix.indices[kept], pointers), shape=matrix.shape)


def _forget_repeats(repeats: RepeatHistories, lines: Collection[LineRows]) -> RepeatHistories:
    """Return what users may buy again without what lines name; who loses something has the share of everybody."""
    shares, changed = np.array(repeats.shares), dict[str, Csr]()
    for name, matrix in (("scores", repeats.scores), ("due_from", repeats.due_from)):
        marked = np.zeros(matrix.nnz, bool)
        for line in lines:
            marked[_find_entries(matrix.indices, matrix.indptr, line)] = True
        shares[_find_rows(matrix, np.flatnonzero(marked))] = repeats.prior_share
        changed[name] = _drop_entries(matrix, marked)
    return replace(repeats, shares=shares, scores=changed["scores"], due_from=changed["due_from"])


def _forget_exposures(histories: ExposureHistories, lines: Iterable[LineRows]) -> ExposureHistories:
    marked = np.zeros(len(histories.items), bool)
    for line in lines:
        if line.line.kind != "topic":
            marked[_find_entries(histories.items, histories.pointers, line)] = True
    kept = ~marked
    lost = np.concatenate([[0], np.cumsum(marked)])[histories.pointers]
    return replace(
        histories,
        pointers=histories.pointers - lost,
        items=histories.items[kept],
        times=histories.times[kept],
        dismissed=histories.dismissed[kept],
    )


def _replace_ids(ids: Strings, people: Longs) -> Strings:
    names = [f"{FORGOTTEN_PREFIX}{code}" for code in people.tolist()]
    made = ids.astype(f"<U{max(ids.dtype.itemsize // 4, *map(len, names))}")
    made[people] = names
    return made


def refuse_own_model(model: Scorer) -> None:
    """Refuse a model whose rows of users are unknown, and an ensemble of one.

    Raises:
        RecsysError: if it is none of this library.
    """
    for one in (model, *getattr(model, "parts", ())):
        if type(one).__name__ not in find_fitted_classes() or not is_dataclass(one):
            raise RecsysError(
                f"ranker: its model {type(one).__name__} is none of this library, and its rows of users are unknown: "
                "expected one that is fitted again without the rows"
            )


class _KnownRows(NamedTuple):
    """Rows that are made already."""

    made: MadeRows
    users: Longs  # codes, ascending, of those whose rows they are

    def select_part(self, place: int) -> "_KnownRows":
        """Return the same of one part of an ensemble."""
        return self._replace(made=self.made._replace(model=cast(Any, self.made.model).parts[place]))


def _find_same_users(left: Context, other: Context, users: Longs) -> Longs:
    """Return those of `users` who have the same history in both contexts: likes, dislikes, and what they weigh."""
    pairs = [(one, two) for name in ("train", "dislikes") if (one := getattr(left, name)) is not None
             and (two := getattr(other, name)) is not None]  # fmt: skip
    if left.time_weights is not None and other.time_weights is not None:
        pairs.append((left.time_weights.weights, other.time_weights.weights))
    same = [user for user in users.tolist() if all(_have_same_row(one, two, user) for one, two in pairs)]
    return np.array(same, np.int64)


def _have_same_row(one: Csr, other: Csr, row: int) -> bool:
    ours, theirs = (slice(matrix.indptr[row], matrix.indptr[row + 1]) for matrix in (one, other))
    return np.array_equal(one.indices[ours], other.indices[theirs]) and np.array_equal(
        one.data[ours], other.data[theirs]
    )


def _forget_in_model(
    model: Scorer, before: Context, left: Context, users: Longs, marked: Bools | None, known: _KnownRows | None
) -> Scorer:
    """Return a model whose rows of some users are those of the histories that are left."""
    refuse_own_model(model)
    parts = getattr(model, "parts", None)
    if parts is not None:
        of_parts = [None if known is None else known.select_part(place) for place in range(len(parts))]
        made = tuple(
            _forget_in_model(part, before, left, users, marked, own) for part, own in zip(parts, of_parts, strict=True)
        )
        return cast(Scorer, replace(cast(Any, model), parts=made))
    histories = Csr(left.need_weighted_train("a ranker")[users])
    if isinstance(model, FittedPopularity):
        return _count_anew(model, left) if _counts_likes(model, before) else model
    if isinstance(model, FittedFactors):
        found = np.array(model.factors.user_factors)
        if known is not None:
            found[known.users] = cast(Any, known.made.model).factors.user_factors[known.users]
            users = np.setdiff1d(users, known.users, assume_unique=True)
            histories = Csr(left.need_weighted_train("a ranker")[users])
        dislikes = None if left.dislikes is None else Csr(left.dislikes[users])
        found[users] = solve_user_factors(model.factors, histories, dislikes, _get_gram(before))
        return replace(model, factors=replace(model.factors, user_factors=found))
    changed: dict[str, Any] = {}
    for name, _, held in iter_user_rows(model):
        if isinstance(model, FittedTopFrequency | FittedTifuKNN):
            changed[name] = _keep_cells(held, left.need_train("a ranker"))
        elif name == "train":
            changed[name] = _renew_train(held, before, left, marked)
        elif isinstance(model, FittedUserKNN):
            sums = sum_rows(histories) / model.mean_history_sum
            changed[name] = _replace_sparse_rows(held, users, weigh_rows(histories, model.similarity, model.idf, sums))
        else:
            changed[name] = _replace_rows(held, users, cast(Any, model).solve_user_factors(histories))
    return cast(Scorer, replace(cast(Any, model), **changed))


def _renew_train(held: Csr, before: Context, left: Context, marked: Bools | None) -> Csr:
    """Return the positives that a model holds, without those that are marked; those of `left` where none are."""
    if marked is None:
        weights = before.need_weighted_train("a ranker")
        is_weighted = held.nnz == weights.nnz and np.array_equal(held.data, weights.data)
        return left.need_weighted_train("a ranker") if is_weighted else left.need_train("a ranker")
    return _drop_entries(held, marked) if held.nnz == len(marked) else left.need_train("a ranker")


def _keep_cells(held: Csr, train: Csr) -> Csr:
    """Return the entries of a matrix (U, I) that are cells of `train`."""
    ones = Csr((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
    made = Csr(held.multiply(ones))
    made.sort_indices()
    return made


def _count_likes(context: Context) -> Floats:
    """Return how much each item is liked, (I,), as `MostPopular` counts it: by age where the rows have weights."""
    decay = context.time_weights
    counts = count_item_users(context.need_train("a ranker")) if decay is None else sum_item_weights(decay.weights)
    return counts.astype(np.float32)


def _counts_likes(model: FittedPopularity, context: Context) -> bool:
    """Whether a model counts the rows of a context, and nothing else, such as a half-life of its own."""
    counted = slice(None) if model.predicted is None else ~np.asarray(model.predicted)
    return np.array_equal(model.counts[counted], _count_likes(context)[counted])


def _count_anew(model: FittedPopularity, left: Context) -> FittedPopularity:
    """Return a model of the likes that are left; what is predicted of an item stays until more like it."""
    counts = _count_likes(left)
    if model.predicted is not None:
        counts = np.where(model.predicted, np.maximum(counts, model.counts), counts)
    return replace(model, counts=counts)


def _get_gram(context: Context) -> Any:
    return dict(context.tables.items()).get(TableKey(FACTOR_GRAM.name))


def _replace_rows(held: Floats, users: Longs, rows: Floats) -> Floats:
    made = np.array(held)
    made[users] = rows
    return made


def _replace_sparse_rows(held: Csr, users: Longs, rows: Csr) -> Csr:
    """Return a matrix with other rows for some users, who are in ascending order."""
    kept = np.ones(held.shape[0])
    kept[users] = 0.0
    into = Csr((np.ones(len(users)), (users, np.arange(len(users)))), shape=(held.shape[0], len(users)))
    return Csr(sparse.diags_array(kept, format="csr") @ held + into @ rows)


def _copy_tables(before: Context, left: Context, users: Longs, known: _KnownRows | None) -> None:
    """Put the tables into a context that stay, with rows of some users made anew."""
    for key, value in before.tables.items():
        if isinstance(key, TableKey):
            if key.name in RENEWED_TABLES and len(users):
                continue
            if key.name == COMMUNITY_MODEL.name and len(users):
                value = _renew_communities(before, left, users)
            if key.name == EXPECTED_EXPOSURE.name and len(users) and value.shape[1]:
                value = np.array(value)
                value[:, users] = np.nan  # filled where it is asked for
                if known is not None:
                    told = dict(known.made.context.tables.items()).get(key)
                    value[:, known.users] = np.nan if told is None else told[:, known.users]
        elif key == "met":
            continue
        left.tables.get(key, ConstantFunction(value))


def _renew_communities(before: Context, left: Context, users: Longs) -> tuple[Any, ...]:
    model = get_community_model(before)
    label = np.array(model.label)
    label[users] = assign_communities(model, Csr(left.need_train("a ranker")[users]), None)
    return tuple(model._replace(label=label))
