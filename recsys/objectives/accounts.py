"""What other people's accounts show."""

import numpy as np

from recsys import seeds
from recsys.maths import squared_distances
from recsys.objectives._aspects import at_least_one, mixes_of, of_candidates, own_mixes
from recsys.objectives._shelves import shelves
from recsys.objectives._worths import worth
from recsys.types import Context, Coverage, Factors, Pool, RecsysError
from recsys.types.arrays import Bools, Csr, Doubles, Longs
from recsys.types.numbers import whole


def account_gap(
    pool: Pool,
    k: int,
    *,
    accounts: int = 200,
    beta: float = 1.0,
    seed: int = 0,
    form: str = "range",
    slope: float = 0.0,
    offset: float = 0.0,
) -> Coverage:
    """Return the gain in the chance that something on another account's shelf is shown here and liked.

    F(S) = sum_v rho_v [1 - prod over i in S and L_v of (1 - P(like_ui))], over at most `accounts` accounts v drawn by
    `seed` among the users with a history, the same for everybody, the user's own left out. L_v is the shelf of v: the k
    items that the factor model scores highest of those that v has not met. rho_v is proportional to
    exp(-beta |p_u - p_v|^2 / h), p the mixes of histories over the regions of all own maps, h the median of the
    squared distances between the drawn accounts that differ; a user without history has no near ones: all v alike.

    P(like) on [0, 1] is as `form` says, as for `relevance`: "probability" is what the formula asks for; by range the
    best candidate is sure to be liked (counted as 1 - 1e-12), and ends all shelves that it stands on. Monotone
    submodular, so that greedy selection reaches at least 1 - 1/e of the optimum.

    :Formula: P(like_n) sum over shelves v with n of rho_v prod over j in S and L_v of (1 - P(like_j))
    :Range: [0, 1], over a slate too
    :More: candidates that accounts a bit unlike the user's are shown
    :Cost: U (A Z + N V), A accounts, Z regions, V shelves of an item; A I d once for each k
    :Source: this project; the form is that of IA-Select (Agrawal et al. 2009)

    Raises:
        RecsysError: for a setting that cannot be meant, or a pool without histories, maps or factors.
    """
    accounts = whole("account_gap: accounts", accounts, 1)
    if not 0 <= beta < np.inf:
        raise RecsysError(f"account_gap: beta is {beta}, expected a number from 0 on")
    mixes, all_ = own_mixes(pool.context, "account_gap"), pool.context.everybody
    train, factors = all_.need_train("account_gap"), all_.need_factors("account_gap")
    drawn, name = _drawn(all_, train, accounts, seed), f"{accounts} {seed}"
    theirs = all_.tables.get(f"account mixes {name}", lambda: mixes_of(Csr(train[drawn]), all_.need_maps()))
    on_shelf = all_.tables.get(f"shelves {name} {k}", lambda: _on_shelves(all_, factors, drawn, k))
    spread = all_.tables.get(f"account distances {name}", lambda: _usual_distance(theirs))
    liked, at = of_candidates(pool, on_shelf, worth(pool, form, slope, offset, "account_gap"))
    rho = _weights(mixes[pool.users], theirs, beta / spread, pool.codes[:, None] == drawn)
    return at_least_one(liked, at, rho, 1.0, "account_gap")


def _drawn(context: Context, train: Csr, accounts: int, seed: int) -> Longs:
    """Return at most `accounts` users with a history, in order."""

    def make() -> Longs:
        there = np.flatnonzero(np.diff(train.indptr))
        order = seeds.generator(seed + context.seed, "accounts").permutation(len(there))
        return np.sort(there[order[:accounts]])

    return context.tables.get(f"accounts {accounts} {seed}", make)


def _on_shelves(context: Context, factors: Factors, drawn: Longs, k: int) -> Csr:
    """Return 1 where an item is on the shelf of a drawn account, (I, A) float32."""
    best = shelves(factors.user_factors[drawn], factors.item_factors, Csr(context.need_met("account_gap")[drawn]), k)
    account, _ = np.nonzero(best >= 0)
    shape = (len(factors.item_factors), len(drawn))
    return Csr((np.ones(len(account), np.float32), (best[best >= 0], account)), shape=shape)


def _usual_distance(mixes: Doubles) -> float:
    """Return the median of the squared distances between rows that differ, 1 where none do."""
    apart = squared_distances(mixes, mixes)
    return float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0


def _weights(own: Doubles, others: Doubles, beta: float, oneself: Bools) -> Doubles:
    """Return rho, (B, A): rows sum to 1, or are 0 where there is no other account."""
    apart = np.where(own.any(axis=1, keepdims=True), squared_distances(own, others), 0.0)
    nearest = np.where(oneself, np.inf, apart).min(axis=1, keepdims=True, initial=np.inf)
    further = np.maximum(apart - np.where(np.isfinite(nearest), nearest, 0.0), 0.0)
    near = np.where(oneself, 0.0, np.exp(-beta * further))
    total = near.sum(axis=1, keepdims=True)
    return np.asarray(near / np.where(total > 0, total, 1.0))
