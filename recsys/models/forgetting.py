"""Fitted models without some rows: exact updates where there are any, and a certificate of what is left to do."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from recsys.models.bpr import FittedBPR
from recsys.models.ease import EASE, FittedEASE
from recsys.models.ease_updates import count_update_rank, update_weights
from recsys.models.ensemble import FittedEnsemble
from recsys.models.factor_model import FittedFactors
from recsys.models.factor_updates import can_solve_items, update_factors
from recsys.models.ials import IALS
from recsys.models.item_knn import ItemKNN
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.matrices import canonicalize_positives, canonicalize_side
from recsys.models.most_popular import FittedPopularity, MostPopular
from recsys.models.neighbor_updates import update_item_neighbors
from recsys.models.random import FittedRandom
from recsys.models.user_knn import FittedUserKNN, UserKNN
from recsys.types.arrays import Csr, Ints
from recsys.types.checks import check_codes
from recsys.types.errors import RecsysError
from recsys.types.forgetting import EXACT, PENDING, REFIT, REFITTED, SOLVED, ForgetCertificate, ForgottenPart
from recsys.types.models import Model, Scorer, SideInformation
from recsys.types.numbers import check_int

ROUNDING = 2.0**-16  # a bound on weights, which are at most about 1, up to which they count as those of a refit
_SHARE_OF_RANK = 4  # an inverse is made anew where the update has more than a fourth of its rank: that is faster
_PLACE = "forget_rows"


class Forgotten(NamedTuple):
    """A fitted model and what it is to forget."""

    model: Any
    after: Csr  # (U, I) the positives that are left
    users: Ints  # whose rows changed, ascending
    settings: Any
    side: SideInformation | None  # without the forgotten rows
    lost_dislikes: bool  # whether some of them were known dislikes
    warm_rounds: int = 0  # of ALS and iALS from the factors that are there
    is_known: bool = True  # whether `users` are told; False: of an earlier forget, whose rows nobody has any more


class Updated(NamedTuple):
    """A model that forgot rows, what became of its parts, and the settings that it kept where a refit has others."""

    model: Any
    parts: tuple[ForgottenPart, ...]
    kept_settings: Mapping[str, tuple[float, float]] = {}


def forget_rows(
    model: Scorer, train: Csr, users: Any, items: Any = None, *, settings: Model | None = None,
    side: SideInformation | None = None, warm_rounds: int = 0,
) -> tuple[Scorer, ForgetCertificate]:  # fmt: skip
    """Return a fitted model without some of its positives, and a certificate that says what it still knows of them.

    `train` (U, I) are the positives that `model` was fitted to. Forgotten are the pairs of `users` (n,) and `items`
    (n,), codes of the rows and columns of `train`, or all rows of `users` where `items` is not given. The shape stays.
    Pairs that are no positives are counted, and taken out of `side`. `settings`, those that `model` was fitted with,
    are needed by models that are fitted anew: without them such a part is pending. The given model is not changed.

    With `warm_rounds`, ALS and iALS are not fitted anew: items and users are solved in turn, so many times, from the
    factors that are there. A few rounds take less time than a fit, and leave a trace of the rows in the item factors;
    as many as leave none take longer (docs/forgetting.md has the areas under the curve of an attack).

    Raises:
        RecsysError: for codes that are none, a model of other positives, no number of rounds, or if no positive is
            left.
    """
    check_int(f"{_PLACE}: warm_rounds", warm_rounds, 0)
    before = canonicalize_positives(_PLACE, train)
    cells, whole = _find_cells(before.shape, users, items)
    after = _drop_cells(before, cells, whole)
    if not after.nnz:
        raise RecsysError(f"{_PLACE}: no positive is left of {before.nnz:,}, expected some to keep a model of")
    _check_same_positives(model, before)
    changed = np.flatnonzero(np.diff(before.indptr) != np.diff(after.indptr)).astype(np.int32)
    given = canonicalize_side(_PLACE, side, before)
    left = _drop_from_side(given, cells, whole)
    lost_dislikes = _count_dislikes(given) != _count_dislikes(left)
    updated = update_model(Forgotten(model, after, changed, settings, left, lost_dislikes, warm_rounds))
    n_rows = before.nnz - after.nnz
    certificate = ForgetCertificate(
        model=type(model).__name__,
        n_users=len(changed),
        n_rows=n_rows,
        n_unknown=0 if items is None else len(cells) - n_rows,
        remaining=_hash_matrix(after),
        parts=updated.parts,
        kept_settings=updated.kept_settings,
    )
    return updated.model, certificate


def forget_earlier_rows(
    model: Scorer, remaining: Csr, *, settings: Model | None = None, side: SideInformation | None = None,
) -> tuple[Scorer, ForgetCertificate]:  # fmt: skip
    """Return a model of the positives that are left, where it was fitted to others that nobody has any more.

    That is so where a ranker was saved after a forget. `remaining` (U, I) are all positives, and `side` is of these.
    No update is made from what is not there: what is counted or weighed is made anew, and other models are fitted anew
    with `settings`, or pending without them. The certificate counts no users and no rows.

    Raises:
        RecsysError: for positives of another shape than the model's, or none.
    """
    after = canonicalize_positives(_PLACE, remaining)
    if not after.nnz:
        raise RecsysError(f"{_PLACE}: no positive is left, expected some to keep a model of")
    everybody = np.arange(after.shape[0], dtype=np.int32)
    left = canonicalize_side(_PLACE, side, after)
    updated = update_model(Forgotten(model, after, everybody, settings, left, lost_dislikes=True, is_known=False))
    remains = _hash_matrix(after)
    told = ForgetCertificate(type(model).__name__, 0, 0, 0, remains, updated.parts, updated.kept_settings)
    return updated.model, told


def _find_cells(shape: tuple[int, int], users: Any, items: Any) -> tuple[np.ndarray, bool]:
    """Return the numbers of the asked cells or users, ascending and once each, and whether they are users."""
    of_users = _read_codes("users", users, shape[0])
    if items is None:
        return np.unique(of_users), True
    of_items = _read_codes("items", items, shape[1])
    if len(of_users) != len(of_items):
        found = f"found {len(of_users):,} users and {len(of_items):,} items"
        raise RecsysError(f"{_PLACE}: {found}, expected pairs: as many of both, or users alone")
    return np.unique(of_users * shape[1] + of_items), False


def _read_codes(name: str, codes: Any, end: int) -> np.ndarray:
    found = np.asarray(codes)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise RecsysError(f"{_PLACE}: {name}: found {type(codes).__name__}, expected a list of whole numbers")
    check_codes(f"{_PLACE}: {name}", found, 0, end)
    return found.astype(np.int64)


def _drop_cells(matrix: Csr, cells: np.ndarray, whole: bool) -> Csr:
    """Return the matrix without some of its cells or, where `whole`, of its rows."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    gone = np.isin(rows if whole else rows * matrix.shape[1] + matrix.indices, cells)
    ends = np.concatenate([[0], np.cumsum(~gone)])[matrix.indptr].astype(matrix.indptr.dtype)
    return Csr((matrix.data[~gone], matrix.indices[~gone], ends), shape=matrix.shape)


def _drop_from_side(side: SideInformation | None, cells: np.ndarray, whole: bool) -> SideInformation | None:
    if side is None:
        return None
    dislikes, times, weights = (
        None if one is None else _drop_cells(one, cells, whole) for one in (side.dislikes, side.times, side.weights)
    )
    bought = side.purchases
    if bought is not None:
        bought = bought.take_rows(~np.isin(bought.user if whole else bought.pairs, cells))
    return SideInformation(dislikes, times, weights, bought)


def _check_same_positives(model: Any, before: Csr) -> None:
    """Refuse positives of another shape, or with other cells, than the model says that it was fitted to."""
    own = getattr(model, "train", None)
    if own is None:
        factors = getattr(model, "factors", None)
        shape = before.shape if factors is None else (len(factors.user_factors), len(factors.item_factors))
    else:
        shape = own.shape
    same = shape == before.shape and (
        own is None or (np.array_equal(own.indptr, before.indptr) and np.array_equal(own.indices, before.indices))
    )
    if not same:
        raise RecsysError(f"{_PLACE}: train: has other positives than the model was fitted to, expected the same")


def _hash_matrix(matrix: Csr) -> str:
    """Return the SHA-256 of a canonical matrix."""
    made = hashlib.sha256(np.asarray(matrix.shape, "<i8").tobytes())
    for array, kind in ((matrix.indptr, "<i8"), (matrix.indices, "<i8"), (matrix.data, "<f4")):
        made.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return made.hexdigest()


def _count_dislikes(side: SideInformation | None) -> int:
    return 0 if side is None or side.dislikes is None else int(side.dislikes.nnz)


def update_model(asked: Forgotten) -> Updated:
    """Return the model of the positives `after`, by the update of its class; one that depends on ages is fitted anew.

    Rows that were added are as good as rows that were taken out: the model's own `train` has the shape of `after`.
    """
    if not len(asked.users) and (type(asked.model) in _OF_POSITIVES or not asked.lost_dislikes):
        return Updated(asked.model, ())
    if getattr(asked.settings, "half_life", None) is not None or _reads_ages(asked.side):
        return _refit(asked)
    lacks_purchases = asked.side is None or asked.side.purchases is None
    if getattr(asked.model, "knows_purchases", False) and lacks_purchases:
        return _refit(asked._replace(settings=None))
    if _is_weighted_by_age(asked.model):  # and the weights are not given
        return _refit(asked._replace(settings=None))
    return _UPDATES.get(type(asked.model), _refit)(asked)


def _reads_ages(side: SideInformation | None) -> bool:
    return side is not None and side.weights is not None


def _is_weighted_by_age(model: Any) -> bool:
    """Return whether a model was fitted to weights by age. Models that draw positives never are."""
    factors = getattr(model, "factors", None)
    if factors is not None:
        return factors.oldest_target_weight is not None
    return not isinstance(model, FittedBPR) and getattr(model, "popularity", None) is not None


def _refit(asked: Forgotten) -> Updated:
    """Fit the model anew, or leave it as it is where nobody says with what settings."""
    if asked.settings is None:
        return Updated(asked.model, (ForgottenPart("model", PENDING),))
    return Updated(asked.settings.fit(asked.after, asked.side), (ForgottenPart("model", REFITTED, 0.0, REFIT),))


def _forget_from_ease(asked: Forgotten) -> Updated:
    """Update the inverse behind the weights, or invert anew where that is faster or the update has no bound."""
    from threadpoolctl import threadpool_limits

    fitted: FittedEASE = asked.model
    if fitted.inverse_diagonal is None or fitted.l2 is None:
        return _refit(asked)
    if asked.is_known and count_update_rank(asked.after, asked.users) * _SHARE_OF_RANK <= asked.after.shape[1]:
        with threadpool_limits(1, user_api="blas"):
            updated = update_weights(fitted, asked.after, asked.users)
        if np.isfinite(updated.bound):
            state = EXACT if updated.bound <= ROUNDING else SOLVED
            part = ForgottenPart("weights", state, updated.bound, REFIT, updated.residual)
            return Updated(updated.fitted, (part,))
    anew = EASE(l2=fitted.l2).fit(asked.after)
    return Updated(anew, (ForgottenPart("weights", REFITTED, 0.0, REFIT),))


def _forget_from_item_similarity(asked: Forgotten) -> Updated:
    """Update item kNN where an entry's weight depends on its user alone; compute other links anew."""
    fitted: FittedItemSimilarity = asked.model
    if not isinstance(asked.settings, ItemKNN):
        return _refit(asked)
    kept, anew = asked.settings.fill_defaults(fitted.train), asked.settings.fill_defaults(asked.after)
    other = {} if kept.shrink == anew.shrink else {"shrink": (float(kept.shrink or 0), float(anew.shrink or 0))}
    if fitted.similarity == "bm25" or not asked.is_known:
        return Updated(kept.fit(asked.after), (ForgottenPart("links", REFITTED, 0.0, REFIT),), other)
    updated, n_anew = update_item_neighbors(fitted, kept, asked.after, asked.users)
    state = REFITTED if n_anew == asked.after.shape[1] else EXACT
    return Updated(updated, (ForgottenPart("links", state, 0.0, REFIT),), other)


def _forget_from_user_knn(asked: Forgotten) -> Updated:
    """Weigh the positives anew: neighbours are looked for when users are scored."""
    fitted: FittedUserKNN = asked.model
    anew = UserKNN(fitted.k, fitted.similarity, fitted.shrink).fit(asked.after)
    return Updated(anew, (ForgottenPart("weights", EXACT, 0.0, REFIT),))


def _forget_from_popularity(asked: Forgotten) -> Updated:
    """Count anew. Decayed counts need times, and the half-life."""
    if not _are_counts(asked.model):
        return _refit(asked)
    return Updated(MostPopular().fit(asked.after), (ForgottenPart("counts", EXACT, 0.0, REFIT),))


def _are_counts(model: FittedPopularity) -> bool:
    counts = model.counts if model.predicted is None else model.counts[~model.predicted]
    return bool((counts == np.rint(counts)).all())


def _forget_from_random(asked: Forgotten) -> Updated:
    """Leave a model that knows no rows."""
    return Updated(asked.model, ())


def _forget_from_factors(asked: Forgotten) -> Updated:
    """Fit anew, or solve the users alone without settings; solve both sides of ALS and iALS in warm rounds."""
    fitted: FittedFactors = asked.model
    values_count = not isinstance(asked.settings, IALS) and not (asked.after.data == 1.0).all()
    rounds = asked.warm_rounds if can_solve_items(fitted.factors) and not values_count else 0
    if not rounds and asked.settings is not None:
        return _refit(asked)
    dislikes = None if asked.side is None else asked.side.dislikes
    factors, parts = update_factors(fitted.factors, asked.after, dislikes, rounds)
    return Updated(FittedFactors(factors), parts)


def _forget_from_ensemble(asked: Forgotten) -> Updated:
    """Update each part by itself."""
    settings = getattr(asked.settings, "models", None) or (None,) * len(asked.model.parts)
    made = [
        update_model(asked._replace(model=part, settings=own))
        for part, own in zip(asked.model.parts, settings, strict=True)
    ]
    names = [f"{n}: {type(part).__name__}: " for n, part in enumerate(asked.model.parts)]
    parts = [replace(part, name=name + part.name) for name, one in zip(names, made, strict=True) for part in one.parts]
    kept = {name + key: told for name, one in zip(names, made, strict=True) for key, told in one.kept_settings.items()}
    return Updated(FittedEnsemble(tuple(one.model for one in made)), tuple(parts), kept)


_UPDATES: dict[type, Callable[[Forgotten], Updated]] = {
    FittedEASE: _forget_from_ease,
    FittedEnsemble: _forget_from_ensemble,
    FittedFactors: _forget_from_factors,
    FittedItemSimilarity: _forget_from_item_similarity,
    FittedPopularity: _forget_from_popularity,
    FittedRandom: _forget_from_random,
    FittedUserKNN: _forget_from_user_knn,
}
_OF_POSITIVES = (FittedEASE, FittedItemSimilarity, FittedPopularity, FittedRandom, FittedUserKNN)  # not of dislikes
