"""The protocols of published tables that start from a log."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsys.reproductions.published_settings import Protocol
from recsys.reproductions.setups import ReproductionSetup, draw_protocol_negatives, widen_catalogue
from recsys.splits.pairs import Pairs, filter_pairs
from recsys.splits.records import build_pair_matrix
from recsys.splits.settings import FilterSettings
from recsys.support import rng
from recsys.types import Dataset, Items, RecsysError, Split
from recsys.types.arrays import Anys, Bools, Csr, Ints, Longs, make_empty_matrix


def build_setup(dataset: Dataset, protocol: Protocol, seed: int) -> ReproductionSetup:
    """Return the setup of `protocol` on a dataset; draws depend on the seed and on the names of users and items.

    Raises:
        RecsysError: if a setting is invalid, or nothing is left to find.
    """
    pairs = _filter_positives(dataset, protocol)
    make = {"last_item": _hold_out_last_item, "random_pairs": _hold_out_random_pairs, "held_out_users": _hold_out_users}
    trial = make[protocol.kind](dataset, pairs, protocol, seed)
    if not trial.split.test.nnz:
        raise RecsysError(f"{dataset.name}: {protocol.kind} leaves nothing to find in {len(pairs.user)} pairs")
    split = replace(trial.split, fingerprint=f"{dataset.fingerprint} {protocol!r} {seed}")
    return replace(trial, split=split, negatives=draw_protocol_negatives(split, protocol, seed))


def _filter_positives(dataset: Dataset, protocol: Protocol) -> Pairs:
    """Return the positive pairs; items with too few go first, then users with too few of the rest, once each."""
    pairs = filter_pairs(dataset, FilterSettings(protocol.positive, cold_items="keep"))
    liked = pairs.positive
    counts = np.bincount(pairs.item[liked], minlength=len(pairs.items.ids))
    kept = liked & (counts >= max(protocol.min_item_interactions, 1))[pairs.item]
    counts = np.bincount(pairs.user[kept], minlength=len(pairs.user_ids))
    kept &= (counts >= max(protocol.min_user_interactions, 1))[pairs.user]
    users, user = np.unique(pairs.user[kept], return_inverse=True)
    items, item = np.unique(pairs.item[kept], return_inverse=True)
    return replace(
        pairs,
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        positive=pairs.positive[kept],
        weight=pairs.weight[kept],
        datetime=None if pairs.datetime is None else pairs.datetime[kept],
        user_ids=pairs.user_ids[users],
        items=_select_items(pairs.items, items),
    )


def _select_items(items: Items, rows: Longs | Ints) -> Items:
    return Items(items.ids[rows], items.titles[rows], items.features[rows], items.feature_names, items.years[rows])


def _hold_out_last_item(dataset: Dataset, pairs: Pairs, protocol: Protocol, seed: int) -> ReproductionSetup:
    """Hold out the last item of users with three or more; another one, at random, is validation."""
    if pairs.datetime is None:
        raise RecsysError(f"{dataset.name}: last_item needs times, and this data has none")
    ties: dict[str, Anys] = {
        "first_appearance": _find_first_rows(dataset, pairs)[pairs.item],
        "item_id": pairs.item,
        "random": pairs.draw_tie_breakers(rng.derive_seed(seed, "ties")),
    }
    test = _mark_first_pairs(pairs, [ties[protocol.ties], -pairs.datetime])
    test &= (np.bincount(pairs.user, minlength=len(pairs.user_ids)) >= 3)[pairs.user]
    validation = _mark_first_pairs(pairs, [pairs.draw_tie_breakers(rng.derive_seed(seed, "validation")), test])
    return _build_split_setup(pairs, protocol, seed, test, validation & ~test)


def _find_first_rows(dataset: Dataset, pairs: Pairs) -> Longs:
    """Return the row of the log in which each item first stands, (I,)."""
    log = dataset.interactions
    codes, rows = np.unique(log.item, return_index=True)
    first = dict(zip(log.item_ids[codes].tolist(), rows.tolist(), strict=True))
    return np.array([first[name] for name in pairs.items.ids.tolist()], dtype=np.int64)


def _mark_first_pairs(pairs: Pairs, levels: Sequence[Anys]) -> Bools:
    """Return each user's first pair by the last of `levels`, ties by those before it."""
    order = np.lexsort((*levels, pairs.user))
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[np.diff(pairs.user[order], prepend=-1) != 0]] = True
    return chosen


def _hold_out_random_pairs(dataset: Dataset, pairs: Pairs, protocol: Protocol, seed: int) -> ReproductionSetup:
    """Hold out a share of all pairs, whoever has them."""
    numbers = pairs.draw_tie_breakers(rng.derive_seed(seed, "pairs"))
    n = round(protocol.test * len(numbers))
    test = np.zeros(len(numbers), dtype=bool)
    test[np.argsort(numbers, kind="stable")[:n]] = True
    return _build_split_setup(pairs, protocol, seed, test, np.zeros(len(numbers), dtype=bool))


def _build_split_setup(
    pairs: Pairs, protocol: Protocol, seed: int, test: Bools, validation: Bools
) -> ReproductionSetup:
    """Return the trial of the last word: fitted to train and validation."""
    ones = np.ones(len(pairs.user), dtype=np.float32)
    none = make_empty_matrix((len(pairs.user_ids), len(pairs.items.ids)))
    train = build_pair_matrix(pairs, ~test & ~validation, ones)
    parts = (train, build_pair_matrix(pairs, validation, ones), build_pair_matrix(pairs, test, ones), none, none)
    split = Split(protocol.kind, seed, pairs.user_ids, pairs.items, *parts).test_view()
    split = widen_catalogue(split, protocol.catalogue)
    ratings = build_pair_matrix(pairs, ~test, pairs.weight)
    return ReproductionSetup(split.train, _reshape_matrix(ratings, split.shape), split)


def _reshape_matrix(ratings: Csr, shape: tuple[int, int]) -> Csr:
    return Csr((ratings.data, ratings.indices, ratings.indptr), shape=shape)


def _hold_out_users(dataset: Dataset, pairs: Pairs, protocol: Protocol, seed: int) -> ReproductionSetup:
    """Hold out users; items are those of the users who are left (Liang et al. 2018).

    A share of each held-out history is to be found, the rest is folded in. As many users again are validation,
    and take no part.
    """
    n = len(pairs.user_ids)
    if not 0 < 2 * protocol.held_out < n:
        raise RecsysError(f"[protocol]: held_out is {protocol.held_out}, expected 1 to {(n - 1) // 2} of {n} users")
    keys = np.array([rng.derive_seed(0, "user", str(name)) for name in pairs.user_ids], dtype=np.uint64)
    order = np.argsort(rng.draw_uniforms(seed, "held out", keys), kind="stable")
    judged, fitted = np.sort(order[: protocol.held_out]), np.sort(order[2 * protocol.held_out :])
    ones = np.ones(len(pairs.user), dtype=np.float32)
    of_fitted = np.isin(pairs.user, fitted)
    known = np.unique(pairs.item[of_fitted])
    usable = np.isin(pairs.item, known)
    test = _draw_history_shares(pairs, usable, protocol.test, seed)
    history, wanted = (build_pair_matrix(pairs, chosen, ones)[judged][:, known] for chosen in (usable & ~test, test))
    none = make_empty_matrix(history.shape)
    items = _select_items(pairs.items, known)
    split = Split(protocol.kind, seed, pairs.user_ids[judged], items, history, none, wanted, none, none)
    split = widen_catalogue(split, protocol.catalogue)
    shape = (len(fitted), split.shape[1])
    fit, ratings = (build_pair_matrix(pairs, of_fitted, values)[fitted][:, known] for values in (ones, pairs.weight))
    return ReproductionSetup(_reshape_matrix(fit, shape), _reshape_matrix(ratings, shape), split, folds_in=True)


def _draw_history_shares(pairs: Pairs, usable: Bools, share: float, seed: int) -> Bools:
    """Return a random share, rounded down, of each user's usable pairs; of fewer than five none."""
    rows = np.flatnonzero(usable)
    numbers = pairs.draw_tie_breakers(rng.derive_seed(seed, "histories"))
    order = rows[np.lexsort((numbers[rows], pairs.user[rows]))]
    user = pairs.user[order]
    sizes = np.bincount(user, minlength=len(pairs.user_ids))
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[user]
    chosen = np.zeros(len(usable), dtype=bool)
    chosen[order[(rank < np.floor(share * sizes[user] + 1e-9)) & (sizes[user] >= 5)]] = True
    return chosen
