"""Guest runs: positives in a row that fit none of the rest of their history count less, and are told."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from recsys import maps as families
from recsys.evidence.confirmations import confirm_pairs
from recsys.maths.one_offs import find_threshold
from recsys.maths.shrinkage import fit_dirichlet_multinomial
from recsys.support.rng import make_generator
from recsys.types import RecsysError, Split, TasteMap
from recsys.types.arrays import Csr, Doubles, Ints, Longs
from recsys.types.guest_runs import GuestRuns
from recsys.types.numbers import check_int, check_number
from recsys.types.time_weights import SECONDS_PER_DAY, get_positive_times

SHARE, WEIGHT, SHORTEST, LONGEST, MAX_DAYS = 0.02, 0.1, 8, 12, 1.0


class FoundRuns(NamedTuple):
    """The run of each of U histories that fits the rest of it least."""

    order: Longs  # (E,) the places of `train`, by user, then time
    scores: Doubles  # (U,) -inf where a history has no run
    starts: Longs  # (U,) the place of its first positive in the user's part of `order`
    lengths: Longs  # (U,) positives, 0 where there is none

    def list_places(self, pointers: Ints | Longs, user: int) -> Longs:
        """Return the places of a user's run among the positives."""
        first = int(pointers[user]) + int(self.starts[user])
        return self.order[first : first + int(self.lengths[user])]


def detect_guest_runs(
    split: Split,
    *,
    maps: Sequence[TasteMap] | None = None,
    share: float = SHARE,
    weight: float = WEIGHT,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
    max_days: float = MAX_DAYS,
    confirmed: Iterable[tuple[str, str]] = (),
) -> Split:
    """Return the split whose training positives count `weight` where somebody else may have used the account.

    The score of a run of positives in a row is how much better the catalogue explains it than the rest of the history
    does: the sum over its items of log q_z - log p_z, a mean over own `maps`, which are made where they are not given.
    q is the mix of everybody over the regions z of a map, and p that of the rest of the history, shrunk to q by kappa
    (`fit_dirichlet_multinomial`). The run of a history is that with the largest score of all which have `shortest` to
    `longest` positives, at most half of the history, and span at most `max_days`. Positives of one moment stand in an
    order that is drawn once for all items.

    At most a `share` of the histories that have a run are flagged, those with the largest scores above 0: without any
    guest as many are, which is the price of finding some. Histories shorter than twice `shortest` are not judged;
    `split.guest_runs` counts them. `confirmed` are pairs of ids of user and item that count whole.

    Models read the weights in `split.side_information`, objectives in the context of a pool. They are multiplied with
    those of a half-life and of one-offs.

    Raises:
        RecsysError: for a setting out of its range, data without times, maps that are of another split, or a confirmed
            pair that is no training positive.
    """
    share = check_number("guest_runs: share", share, above=0.0, below=1.0)
    weight = check_number("guest_runs: weight", weight, above=0.0, most=1.0)
    train = split.train
    found = find_runs(split, maps=maps, shortest=shortest, longest=longest, max_days=max_days)
    has_run = found.lengths > 0
    threshold = max(find_threshold(found.scores[has_run].astype(np.float32), share), 0.0)
    scores = np.zeros(train.nnz, np.float32)
    for user in np.flatnonzero(found.scores > 0.0).tolist():
        scores[found.list_places(train.indptr, user)] = found.scores[user]
    short = int((np.diff(train.indptr)[~has_run] > 0).sum())
    told = Csr((scores, train.indices, train.indptr), shape=train.shape)
    made = GuestRuns(told, threshold, weight, int(has_run.sum()), short)
    return replace(split, guest_runs=confirm_pairs("guest_runs", split, made, confirmed))


def find_runs(
    split: Split, *, maps: Sequence[TasteMap] | None = None, shortest: int = SHORTEST, longest: int = LONGEST,
    max_days: float = MAX_DAYS,
) -> FoundRuns:  # fmt: skip
    """Return the run of each history that fits the rest of it least, as `detect_guest_runs` says.

    Raises:
        RecsysError: as there.
    """
    check_int("guest_runs: shortest", shortest, 2)
    check_int("guest_runs: longest", longest, shortest)
    max_days = check_number("guest_runs: max_days", max_days, above=0.0)
    if split.train_times is None:
        raise RecsysError("guest_runs: the data has no times, expected a column datetime: what is met in a row is read")
    own = tuple(families.objective_maps(split.train) if maps is None else maps)
    if not own:
        raise RecsysError("guest_runs: found no maps, expected one or more")
    for one in own:
        one.check_assignment(split.shape[1])
    train, times = split.train, get_positive_times(split.train, split.train_times)
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    drawn = make_generator(0, "guest_runs").permutation(train.shape[1])
    order = np.lexsort((drawn[train.indices], times, users))
    regions = np.stack([one.hard_regions for one in own], axis=1).astype(np.int32)
    priors = fit_region_priors(train, regions)
    kernels = load_kernels()
    scores, starts, lengths = np.empty(train.shape[0]), *(np.empty(train.shape[0], np.int64) for _ in range(2))
    kernels.find_guest_runs(
        train.indptr, train.indices[order], times[order], regions, priors, shortest, longest,
        max_days * SECONDS_PER_DAY, scores, starts, lengths,
    )  # fmt: skip
    return FoundRuns(order, scores, starts, lengths)


@cache
def load_kernels() -> Any:
    """Return the compiled scan, imported when first asked for: importing Numba takes a while."""
    from recsys.kernels import guest_runs

    return guest_runs


def fit_region_priors(train: Csr, regions: Ints) -> Doubles:
    """Return kappa q_z of each of M maps, (M, Z), for histories (U, I) and the region of each item in each map, (I, M).

    In each region is one positive of everybody more, so that none is empty.
    """
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    sizes = regions.max(axis=0, initial=0) + 1
    priors = np.full((len(sizes), int(sizes.max(initial=1))), np.finfo(np.float64).tiny)
    for number, size in enumerate(sizes.tolist()):
        z = regions[train.indices, number]
        there = z >= 0
        cells = users[there] * size + z[there]
        counts = np.bincount(cells, minlength=train.shape[0] * size).reshape(-1, size)
        _, kappa = fit_dirichlet_multinomial(counts)
        shares = counts.sum(axis=0) + 1.0
        priors[number, :size] = kappa * shares / shares.sum()
    return priors
