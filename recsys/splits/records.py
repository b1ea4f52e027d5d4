"""The split as a record, with its counts and notes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.splits.pairs import Pairs
from recsys.splits.parts import TEST, TRAIN, VALIDATION, PartAssignment
from recsys.splits.permissions import describe_permissions
from recsys.splits.settings import FilterSettings
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError
from recsys.types.splits import Split


def build_split(
    dataset: Dataset,
    pairs: Pairs,
    assigned: PartAssignment,
    kind: str,
    sizes: Mapping[str, Any],
    settings: FilterSettings,
    fingerprint: str,
) -> Split:
    """Return the split that puts each pair into its part, with items that are new in a part dropped or kept.

    `sizes` are the settings of the split beside the filter's.

    Raises:
        RecsysError: if a part that was asked for is empty.
    """
    part = assigned.part
    unseen = _find_cold_positives(pairs, part)
    dropped = unseen & (settings.cold_items == "drop")
    kept = pairs.positive & ~dropped
    ones = np.ones(len(part), dtype=np.float32)
    # A stored weight of 0 would vanish from sparse sums, and the pair with it.
    weights = np.where(pairs.weight == 0, np.finfo(np.float32).tiny, pairs.weight)
    split = Split(
        kind=kind,
        seed=settings.seed,
        user_ids=pairs.user_ids,
        items=pairs.items,
        train=build_pair_matrix(pairs, kept & (part == 0), ones),
        validation=build_pair_matrix(pairs, kept & (part == 1), ones),
        test=build_pair_matrix(pairs, kept & (part == 2), ones),
        train_negatives=build_pair_matrix(pairs, ~pairs.positive & (part == 0), weights),
        validation_negatives=build_pair_matrix(pairs, ~pairs.positive & (part == 1), weights),
        validation_cold_positives=build_pair_matrix(pairs, dropped & (part == 1), ones),
        train_times=_build_times_matrix(pairs, kept & (part == 0)),
        validation_times=_build_times_matrix(pairs, pairs.positive & (part == 1)),
        fingerprint=fingerprint,
        has_global_cut=assigned.test_from is not None,
        topics=pairs.topics,
        cuts=_find_cuts(pairs, assigned),
        filter_settings=settings,
    )
    _check_parts(split, dataset, sizes, settings)
    counts = pairs.counts | _count_split(split, pairs, unseen, part)
    return replace(
        split, counts=counts, notes=_describe_split(counts, kind, settings, _describe_leakage(pairs, assigned, counts))
    )


def _find_cuts(pairs: Pairs, assigned: PartAssignment) -> tuple[int, ...]:
    """Return the moments at which validation and test begin, and the end of the data; () without one for all users."""
    if assigned.test_from is None or pairs.datetime is None:
        return ()
    later = pairs.datetime[assigned.part == VALIDATION]
    begins = (int(later.min()),) if len(later) else ()
    return (*begins, assigned.test_from, int(pairs.datetime.max()) + 1)


def _build_times_matrix(pairs: Pairs, chosen: Bools) -> Csr | None:
    return None if pairs.datetime is None else build_pair_matrix(pairs, chosen, pairs.datetime.astype(np.float64))


def _find_cold_positives(pairs: Pairs, part: Ints) -> Bools:
    """Return which held-out positives are of items without a positive in train."""
    seen = np.zeros(len(pairs.items.ids), dtype=bool)
    seen[pairs.item[pairs.positive & (part == 0)]] = True
    return pairs.positive & (part > 0) & ~seen[pairs.item]


def build_pair_matrix(pairs: Pairs, chosen: Bools, values: Floats | Doubles) -> Csr:
    """Return the chosen pairs as a matrix of users and items, (U, I)."""
    rows = np.flatnonzero(chosen)
    shape = (len(pairs.user_ids), len(pairs.items.ids))
    start = np.searchsorted(pairs.user[rows], np.arange(shape[0] + 1))  # pairs are sorted by user and item
    return Csr((values[rows], pairs.item[rows], start.astype(np.int32)), shape=shape)


def _check_parts(split: Split, dataset: Dataset, sizes: Mapping[str, Any], settings: FilterSettings) -> None:
    wanted = {"train on": split.train, "test": split.test}
    if sizes.get("validation"):
        wanted["validate on"] = split.validation
    for verb, matrix in wanted.items():
        if not matrix.nnz:
            told = {**sizes, "cold_items": settings.cold_items}
            said = ", ".join(f"{name} = {value!r}" for name, value in told.items())
            raise RecsysError(
                f"{split.kind}: {dataset.name} leaves nobody to {verb}: {len(split.user_ids)} users, {said}"
            )


def _count_split(split: Split, pairs: Pairs, cold_items: Bools, part: Ints) -> dict[str, int]:
    new_users = (np.diff(split.train.indptr) == 0) & (np.diff(split.test.indptr) > 0)
    trained = np.bincount(split.train.indices, minlength=split.train.shape[1]) > 0
    return {
        "users": len(split.user_ids),
        "items": len(split.item_ids),
        "train_positives": split.train.nnz,
        "validation_positives": split.validation.nnz,
        "test_positives": split.test.nnz,
        "train_others": split.train_negatives.nnz,
        "validation_others": split.validation_negatives.nnz,
        "unseen_validation_positives": int((cold_items & (part == 1)).sum()),
        "unseen_test_positives": int((cold_items & (part == 2)).sum()),
        "users_without_train": int((np.diff(split.train.indptr) == 0).sum()),
        "users_with_validation": int((np.diff(split.validation.indptr) > 0).sum()),
        "users_with_test": int((np.diff(split.test.indptr) > 0).sum()),
        "new_test_users": int(new_users.sum()),
        "items_without_train": int((~trained).sum()),
        "new_test_items": len(np.unique(pairs.item[cold_items & (part == 2)])),
    }


def _describe_split(counts: dict[str, int], kind: str, settings: FilterSettings, leakage: str) -> tuple[str, ...]:
    which = settings.positive or "every interaction is one"
    said = [
        *describe_permissions(counts, settings.sources, settings.purposes),
        f"positives: {which}; {counts['filtered_users']} users with fewer than {settings.min_user_interactions} and "
        f"{counts['filtered_items']} items with fewer than {settings.min_item_interactions} of them are filtered out",
        f"{kind}: {leakage}",
    ]
    unseen = counts["unseen_validation_positives"], counts["unseen_test_positives"]
    if any(unseen):
        done = "dropped" if settings.cold_items == "drop" else "kept"
        said.append(f"{unseen[0]} validation and {unseen[1]} test positives of items unseen in training: {done}")
    repeated = counts["repeated_positives"] + counts["repeated_others"]
    if repeated:
        said.append(f"{repeated} rows repeat a pair: the first one counts")
    overruled = counts["overruled_others"]
    if overruled:
        said.append(f"{overruled} rows below the threshold belong to pairs that are positive at another time")
    return tuple(said)


def _describe_leakage(pairs: Pairs, assigned: PartAssignment, counts: dict[str, int]) -> str:
    if assigned.test_from is None:
        return assigned.leakage or _measure_leakage(pairs, assigned.part)
    # also of years that datetime does not have
    start = str(np.datetime64(assigned.test_from, "s")).replace("T", " ") + " UTC"
    return (
        f"no training data lies after test data, which starts at {start}; {counts['new_test_users']} of "
        f"{counts['users_with_test']} test users and {counts['new_test_items']} items of that time are not in train"
    )


def _measure_leakage(pairs: Pairs, part: Ints) -> str:
    """Return how many users have training positives later than their first test positive, in words."""
    if pairs.datetime is None:
        return "the data has no times, so it is unknown whether training data lies after test data"
    last, first = np.full(len(pairs.user_ids), -np.inf), np.full(len(pairs.user_ids), np.inf)
    train, test = (pairs.positive & (part == wanted) for wanted in (TRAIN, TEST))
    np.maximum.at(last, pairs.user[train], pairs.datetime[train])
    np.minimum.at(first, pairs.user[test], pairs.datetime[test])
    late, tested = int((last > first).sum()), int(np.isfinite(first).sum())
    return f"{late} of {tested} test users have training positives later than their first test positive"
