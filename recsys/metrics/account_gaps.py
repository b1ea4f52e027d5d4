"""The account gap: items that a user would like and that only other accounts are shown."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.metrics._hits import sum_over_hits
from recsys.metrics._shared import count_test_positives, divide_or_nan, get_shown_matrix
from recsys.support import rng
from recsys.types import Evaluation, PerUser, TasteMap
from recsys.types.arrays import Csr, Doubles, Ints, Longs
from recsys.types.numbers import check_int

USERS = 256  # at a time: a table of them and of all shelves
ROUNDING = 1e-12  # of a distance: one at an edge is in the band below it


def account_gap(evaluation: Evaluation, k: int) -> PerUser:
    """Share of another account's slots with items that the user would like and is not shown.

    The other account is any other user with a slate, all alike; would like: held-out positives. 0 where everybody is
    shown the same, so that less of it is no merit of its own: it says what there is to find on other shelves.
    `compute_account_gap_curve` has it by how far the accounts are.

    :Formula: mean over other users v with a slate of (held-out positives on the slate of v, not on one's own) / k
    :Range: [0, 1]
    :Better: neither
    :Cost: U (k + T), T held-out positives
    :Source: this project
    """
    test, top = evaluation.truth.split.test, evaluation.get_top_picks(k)
    there = (top >= 0).any(axis=1)
    times = np.bincount(top[top >= 0], minlength=test.shape[1]).astype(np.float64)
    held_out = Csr((np.ones(test.nnz), test.indices, test.indptr), shape=test.shape)
    missed = held_out @ times - sum_over_hits(evaluation, times[test.indices], np.ones(k))
    values = np.where(count_test_positives(evaluation) > 0, divide_or_nan(missed, k * (there.sum() - there)), np.nan)
    convention = (
        "held-out positives on another slate and not on one's own / k, all other users with a slate alike; mean over "
        "users with held-out positives, an empty slate shows nothing"
    )
    return PerUser(values, convention, 0)


@dataclass(frozen=True, eq=False)
class AccountGaps:
    """The account gap of each of U users in D bands of distance to the other accounts."""

    edges: Doubles  # (D + 1,) a band is above its lower edge, up to its upper one; the first has 0 too
    pairs: Longs  # (D,) how many pairs of a user and an account are behind it
    unfamiliar: Doubles  # (U, D) share of the accounts' slots with what the user has not met and is not shown
    gaps: Doubles  # (U, D) the same, each slot by how likely the user is to like it

    @property
    def curve(self) -> Doubles:
        """The mean of `gaps` over the users with accounts in the band, (D,)."""
        known = ~np.isnan(self.gaps)
        return divide_or_nan(np.where(known, self.gaps, 0.0).sum(axis=0), known.sum(axis=0))


def compute_account_gap_curve(
    evaluation: Evaluation,
    k: int,
    taste_map: TasteMap,
    likes: Callable[[Ints], Doubles] | None = None,
    *,
    bands: int = 10,
    accounts: int = 500,
    seed: int = 0,
) -> AccountGaps:
    """Return the account gap by the distance of the other account.

    AG_u(band) = mean over accounts v in the band of (1/k) sum of P(like_ui) over the items i of the slate of v that u
    has neither met nor on their own slate. Far accounts are unfamiliar but implausible, near ones plausible but
    familiar: the curve says where the most is to be found. `likes` returns P(like) of all items for B users (by their
    codes), (B, I); by default it is 1 for held-out positives and 0 for the rest.

    Distances are |p_u - p_v|, p the mixes of histories over the regions of `taste_map`; v are at most `accounts` users
    with a history on the map and a slate, drawn by `seed`, never u. The bands have edges at the quantiles of the
    distances between these accounts. Users without a history on the map have NaN, and so has a band without accounts.

    Raises:
        RecsysError: if `bands`, `accounts` or `seed` is no whole number, or one of the first two is below 1.
    """
    bands, accounts = check_int("account gaps: bands", bands, 1), check_int("account gaps: accounts", accounts, 1)
    seed = check_int("account gaps: seed", seed)
    split, top = evaluation.truth.split, evaluation.get_top_picks(k)
    mixes = distributions.user_mixes(split.train, taste_map.assignment)
    there = np.flatnonzero(mixes.any(axis=1) & (top >= 0).any(axis=1))
    drawn = np.sort(there[rng.make_generator(seed, "accounts").permutation(len(there))[:accounts]])
    columns, on_shelf = _make_slate_matrix(top[drawn])
    edges = _compute_band_edges(mixes[drawn], bands)
    total, gained, fresh = (np.zeros((len(top), bands)) for _ in range(3))
    shown, met = get_shown_matrix(evaluation, k), split.seen
    for b in iter_blocks(len(top), USERS):
        users = np.arange(b.start, b.stop, dtype=np.int32)
        new = ((met[b] + shown[b])[:, columns].toarray() == 0).astype(np.float64)
        like = split.test[b][:, columns].toarray() > 0 if likes is None else likes(users)[:, columns]
        apart = np.sqrt(distributions.squared_distances(mixes[b], mixes[drawn]))
        band = np.searchsorted(edges[1:-1], apart) + bands * np.arange(len(users))[:, None]
        pair = (users[:, None] != drawn) & mixes[b].any(axis=1, keepdims=True)
        for table, worth in ((total, None), (fresh, new), (gained, new * like)):
            each = np.ones(pair.shape) if worth is None else (on_shelf @ worth.T).T / k
            table[b] = np.bincount(band[pair], each[pair], minlength=table[b].size).reshape(-1, bands)
    return AccountGaps(
        edges, total.sum(axis=0).astype(np.int64), divide_or_nan(fresh, total), divide_or_nan(gained, total)
    )


def _make_slate_matrix(slates: Ints) -> tuple[Ints, Csr]:
    """Return the items on any of A slates, (C,), and a matrix with 1 where an item is on a slate, (A, C)."""
    items, place = np.unique(slates[slates >= 0], return_inverse=True)
    account, _ = np.nonzero(slates >= 0)
    return items, Csr((np.ones(len(place)), (account, place)), shape=(len(slates), len(items)))


def _compute_band_edges(mixes: Doubles, bands: int) -> Doubles:
    """Return the edges of bands with as many pairs of accounts each, (D + 1,), from 0 to the largest there can be."""
    apart = np.sqrt(distributions.squared_distances(mixes, mixes))[np.triu_indices(len(mixes), 1)]
    inner = np.quantile(apart, np.arange(1, bands) / bands) + ROUNDING if len(apart) else np.zeros(bands - 1)
    return np.concatenate([[0.0], inner, [np.sqrt(2.0)]])
