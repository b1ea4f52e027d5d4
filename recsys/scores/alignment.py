"""Alignment of runs: one row for every user of the split, and the users that all runs have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from recsys.types import GroundTruth, RecsysError, Slates, Split, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints
from recsys.types.names import check_name
from recsys.types.numbers import check_number


def align_runs(runs: Mapping[str, Slates | Ints], split: Split, k: int = 0) -> tuple[Ints, dict[str, Ints]]:
    """Return the users that were judged, and each run's picks (users of the split, K), -1 where there are none.

    Raises:
        RecsysError: if runs have no names, a run does not fit the split, shows an item twice, is about other users
            than the first, or its slates have fewer than k places.
    """
    check_run_names(runs)
    placed = {run: _align_run(run, slates, split) for run, slates in runs.items()}
    first = next(iter(placed))
    for run, (judged, _) in placed.items():
        if not np.array_equal(judged, placed[first][0]):
            both = int((judged & placed[first][0]).sum())
            raise RecsysError(
                f"runs '{first}' and '{run}' are about different users ({placed[first][0].sum()} and "
                f"{judged.sum()}, {both} in both): only runs over the same users can be compared"
            )
    for run, (_, items) in placed.items():
        if items.shape[1] < k:
            raise RecsysError(f"run '{run}': its slates have {items.shape[1]} items, expected at least k = {k}")
    users = np.flatnonzero(placed[first][0]).astype(np.int32)
    return users, {run: items for run, (_, items) in placed.items()}


def align_like_probabilities(slates: Slates | Ints, split: Split) -> Doubles | None:
    """Return the probability that each pick of a run is liked, (users of the split, K); None where it has none."""
    if not isinstance(slates, Slates) or slates.like_probabilities is None:
        return None
    placed = np.zeros((len(split.user_ids), slates.items.shape[1]))
    placed[slates.users] = slates.like_probabilities
    return placed


def check_run_names(runs: Mapping[str, Slates | Ints]) -> None:
    """Refuse runs that are none, or have no names."""
    if not isinstance(runs, Mapping) or not all(isinstance(run, str) for run in runs):
        found = f"the names {list(runs)}" if isinstance(runs, Mapping) else f"a {type(runs).__name__}"
        raise RecsysError(f'runs: found {found}, expected slates by name such as {{"als": slates}}')
    if not runs:
        raise RecsysError("nothing to evaluate: found no run, expected at least one")
    for run in runs:
        check_name("runs: a name", run)


def check_ground_truth(found: object) -> None:
    """Refuse anything but a ground truth."""
    if not isinstance(found, GroundTruth):
        split = "split" if isinstance(found, Split) else "a split"
        raise RecsysError(
            f"evaluate: found a {type(found).__name__}, expected what runs are judged against: "
            f"recsys.GroundTruth({split}), with maps for metrics that need them"
        )
    check_number("GroundTruth: popularity_exponent", found.popularity_exponent, 0.0, 1.0)


def check_split(found: object) -> None:
    """Refuse anything but a split."""
    if not isinstance(found, Split):
        hint = ": .split of a GroundTruth" if isinstance(found, GroundTruth) else ": recsys.splits makes one"
        raise RecsysError(f"compare: found a {type(found).__name__}, expected a Split{hint}")


def restrict_to_users(truth: GroundTruth, users: Ints) -> GroundTruth:
    """Return the truth with held-out positives of `users` only. Histories stay as they are.

    Raises:
        RecsysError: if a map is of another catalogue.
    """
    for taste_map in (*truth.objective_maps, *truth.audit_maps, *truth.content_maps):
        check_map(taste_map, truth.split)
    n_users = truth.split.test.shape[0]
    if len(users) == n_users:
        return truth
    kept = np.zeros(n_users, dtype=np.float32)
    kept[users] = 1.0
    test = sparse.csr_array(sparse.diags_array(kept) @ truth.split.test)
    test.eliminate_zeros()
    split = replace(truth.split, test=Csr(test))
    return replace(truth, split=split)


def _align_run(run: str, slates: Slates | Ints, split: Split) -> tuple[Bools, Ints]:
    n_users = split.train.shape[0]
    if isinstance(slates, Slates):
        _check_ids(run, slates, split)
        users, picks = slates.users, slates.items
    else:
        users, picks = np.arange(n_users, dtype=np.int32), _convert_picks(run, slates)
    if picks.ndim != 2 or len(picks) != len(users) or picks.dtype.kind not in "iu":
        raise RecsysError(
            f"run '{run}': found an array of shape {picks.shape} and type {picks.dtype}, expected whole numbers "
            f"with a row for each of {len(users)} users"
        )
    items = _check_picks(run, picks, split)
    judged = np.zeros(n_users, dtype=bool)
    judged[users] = True
    if judged.sum() != len(users):
        raise RecsysError(f"run '{run}': {len(users) - judged.sum()} users have more than one slate, expected one each")
    if np.array_equal(users, np.arange(n_users)):
        return judged, items
    placed = np.full((n_users, items.shape[1]), -1, dtype=np.int32)
    placed[users] = items
    return judged, placed


def _convert_picks(run: str, picks: Ints) -> Ints:
    if not isinstance(picks, np.ndarray | Sequence) or isinstance(picks, str):
        expected = "a Slates (recsys.rerank makes one), or an array of item codes"
        raise RecsysError(f"run '{run}': found a {type(picks).__name__}, expected {expected}")
    try:
        return np.asarray(picks)
    except ValueError:
        raise RecsysError(f"run '{run}': its rows differ in length, expected -1 where a slate has no more") from None


def _check_ids(run: str, slates: Slates, split: Split) -> None:
    for what, found, expected in (
        ("users", slates.user_ids, split.user_ids),
        ("items", slates.item_ids, split.item_ids),
    ):
        if found is not expected and not np.array_equal(found, expected):
            raise RecsysError(
                f"run '{run}': its {len(found)} {what} are not the {len(expected)} {what} of the split; "
                "expected slates that were made with this split"
            )


def _check_picks(run: str, picks: Ints, split: Split) -> Ints:
    """Return the picks as they are looked up: int32, row after row."""
    from recsys.kernels import hits  # compiled: it is slow to load

    n_items = split.train.shape[1]
    if picks.size and (picks.min() < -1 or picks.max() >= n_items):
        raise RecsysError(f"run '{run}': found item codes {picks.min()} to {picks.max()}, expected -1 to {n_items - 1}")
    picks = np.ascontiguousarray(picks, dtype=np.int32)
    row = hits.find_row_with_repeat(picks, np.zeros(n_items, dtype=np.int64))
    if row >= 0:
        shown, times = np.unique(picks[row][picks[row] >= 0], return_counts=True)
        item = split.item_ids[shown[times > 1][0]]
        raise RecsysError(f"run '{run}': row {row} shows item '{item}' twice, expected each item once")
    return picks


def check_map(taste_map: TasteMap, split: Split) -> None:
    """Refuse a map of another catalogue."""
    found, expected = taste_map.assignment.shape[0], split.train.shape[1]
    if found != expected:
        raise RecsysError(f"map '{taste_map.name}' is of {found} items, expected the {expected} items of the split")
