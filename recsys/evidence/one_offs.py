"""One-offs: positives that fit nothing else of their history count less, and are told: a gift is not a taste."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from recsys import maps as families
from recsys.evidence.confirmations import confirm_pairs
from recsys.maths.embeddings import cooccurrence_vectors
from recsys.maths.one_offs import (
    FoldWeights,
    find_threshold,
    measure_fold_influence,
    measure_isolation,
    measure_mix_influence,
)
from recsys.objectives import _regions
from recsys.types import Factors, RecsysError, Scorer, Split, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints
from recsys.types.numbers import check_int, check_number
from recsys.types.one_offs import OneOffs
from recsys.types.purchases import Purchases

SHARE, WEIGHT, N_NEAR, MIN_HISTORY = 0.02, 0.1, 3, 6


def detect_one_offs(
    split: Split,
    model: Scorer | None = None,
    *,
    maps: Sequence[TasteMap] | None = None,
    purchases: Purchases | None = None,
    share: float = SHARE,
    weight: float = WEIGHT,
    n_near: int = N_NEAR,
    min_history: int = MIN_HISTORY,
    confirmed: Iterable[tuple[str, str]] = (),
) -> Split:
    """Return the split whose training positives count `weight` where they are one-offs, and 1 else.

    The score of a positive is its influence on the profile, times its isolation from the rest of the history, and 0
    where it was bought again. The influence is that on the profile which `model`, fitted to `split.train`, folds in
    (`recsys.maths.one_offs.measure_fold_influence`); of a model without factors, or none, that on the mix over regions
    of own `maps` (`measure_mix_influence`), which are made where they are not given. The isolation is the distance to
    the `n_near` nearest others in the space `cooccurrence` (`measure_isolation`). Both are made of all positives alike,
    whatever their age.

    One-offs are the positives with the largest scores, at most a `share` of those in histories of `min_history` or
    more: without any gift as many are flagged, which is the price of finding some. `split.one_offs` has the scores and
    the threshold, by which histories of requests are judged too. `purchases` (`recsys.splits.select_purchases`) say
    what was bought again; without them everything counts as bought once. `confirmed` are pairs of ids of user and item
    that count whole.

    Models read the weights in `split.side_information`, objectives in the context of a pool. They stand beside those
    of a half-life: both are multiplied.

    Raises:
        RecsysError: for a setting out of its range, a model, purchases or maps that are of another split, or a
            confirmed pair that is no training positive.
    """
    share = check_number("one_offs: share", share, above=0.0, below=1.0)
    weight = check_number("one_offs: weight", weight, above=0.0, most=1.0)
    check_int("one_offs: n_near", n_near, 1)
    check_int("one_offs: min_history", min_history, 2)
    train = split.train
    vectors = cooccurrence_vectors(train)
    none = Csr((np.zeros(train.nnz, np.float32), train.indices, train.indptr), shape=train.shape)
    made = OneOffs(none, np.inf, weight, vectors, n_near, min_history)
    made = _add_influence_parts(made, split, model, maps)
    scores = _score_positives(made, train)
    scores[_mark_repeats(train, purchases)] = 0.0
    judged = np.repeat(np.diff(train.indptr) >= min_history, np.diff(train.indptr))
    threshold = find_threshold(scores[judged].astype(np.float32), share)
    found = Csr((scores.astype(np.float32), train.indices, train.indptr), shape=train.shape)
    made = replace(made, scores=found, threshold=float(threshold))
    return replace(split, one_offs=confirm_pairs("one_offs", split, made, confirmed))


def score_history(one_offs: OneOffs, history: Ints, repeated: Bools | None = None) -> Doubles:
    """Return the score of each item of a history as a one-off, (h,): that of a user with these training positives.

    `history` are codes of items, ascending; 0 for what is `repeated` (h,), and in a history that is too short.
    """
    pointers = np.array([0, len(history)], np.int32)
    row = Csr((np.ones(len(history), np.float32), history, pointers), shape=(1, len(one_offs.vectors)))
    scores = _score_positives(one_offs, row)
    if repeated is not None:
        scores[repeated] = 0.0
    return scores


def find_request_one_offs(one_offs: OneOffs, user: int, history: Ints, own: Ints) -> Ints:
    """Return the items of the history of a request that are one-offs, codes in ascending order.

    `own` are those of `history` that the fit had of the user (code, -1 for nobody known): what was found then holds,
    until it is confirmed. All others are judged among the whole history.
    """
    found = np.isin(history, one_offs.find_items(user)) if user >= 0 else np.zeros(len(history), bool)
    new = ~np.isin(history, own)
    if new.any():
        scores = score_history(one_offs, history).astype(np.float32)
        found |= new & (scores > one_offs.threshold)
    items: Ints = history[found]
    return items


def _add_influence_parts(made: OneOffs, split: Split, model: Scorer | None, maps: Sequence[TasteMap] | None) -> OneOffs:
    """Return a record with the factors of a model, or where it has none the shares of items over regions."""
    factors: Factors | None = None if model is None else model.factors
    if factors is None:
        own = families.objective_maps(split.train) if maps is None else maps
        for one in own:
            one.check_assignment(split.shape[1])
        return replace(made, region_shares=_regions.join_map_shares(tuple(own)))
    if len(factors.item_factors) != split.shape[1]:
        found = f"a model of {len(factors.item_factors):,} items"
        raise RecsysError(f"one_offs: found {found}, expected one fitted to the {split.shape[1]:,} of the split")
    given = [getattr(factors, name) for name in FoldWeights._fields]
    weights = np.array([one for one in given if one is not None], dtype=np.float64)
    return replace(made, item_factors=factors.item_factors, fold_weights=weights)


def _score_positives(one_offs: OneOffs, train: Csr) -> Doubles:
    """Return influence times isolation of each positive, (E,); 0 in histories that are too short."""
    sizes = np.diff(train.indptr)
    short = np.repeat(sizes < one_offs.min_history, sizes)
    if short.all():
        return np.zeros(train.nnz)
    if one_offs.item_factors is not None and one_offs.fold_weights is not None:
        influence = measure_fold_influence(one_offs.item_factors, FoldWeights(*one_offs.fold_weights.tolist()), train)
    elif one_offs.region_shares is not None:
        influence = measure_mix_influence(one_offs.region_shares, train)
    scores = influence * measure_isolation(one_offs.vectors, train, one_offs.n_near)
    scores[short] = 0.0
    return np.asarray(scores)


def _mark_repeats(train: Csr, purchases: Purchases | None) -> Bools:
    """Return which positives were bought more than once, (E,)."""
    if purchases is None:
        return np.zeros(train.nnz, bool)
    if (purchases.n_users, purchases.n_items) != train.shape:
        found = f"purchases of {purchases.n_users:,} users and {purchases.n_items:,} items"
        raise RecsysError(f"one_offs: found {found}, expected those of the split: select_purchases(dataset, split)")
    pairs, counts = np.unique(purchases.pairs, return_counts=True)
    rows = np.repeat(np.arange(train.shape[0], dtype=np.int64), np.diff(train.indptr))
    return np.isin(rows * train.shape[1] + train.indices, pairs[counts > 1])
