"""Halves of the users for cross-fitting: what is judged never knows the users whom the judge is made from."""

import numpy as np

from recsys.support import rng
from recsys.types.folds import Fold
from recsys.types.numbers import check_int

MAX_HALVINGS = 20
MIN_USERS_TO_HALVE = 100  # users below which the halves of a log are too small for maps


def make_folds(n_users: int, halvings: int = 3, seed: int = 0) -> tuple[Fold, ...]:
    """Return two folds for each of `halvings` random halvings of U users: the second exchanges the halves of the first.

    Halves are drawn by the seed and the halving's number alone, and differ in size by at most one user.
    () for fewer than 100 users: a judge of fewer than 50 would decide nothing.

    Raises:
        RecsysError: if a number is no whole number from 0 on.

    >>> [(fold.judge_users.sum() + fold.table_users.sum()).item() for fold in make_folds(100, halvings=1)]
    [4950, 4950]
    """
    n_users = check_int("make_folds: n_users", n_users, 0)
    halvings, seed = check_int("make_folds: halvings", halvings, 0), check_int("make_folds: seed", seed)
    if n_users < MIN_USERS_TO_HALVE:
        return ()
    users, folds = np.arange(n_users), list[Fold]()
    for halving in range(halvings):
        order = np.argsort(rng.draw_uniforms(seed, "judge halves", halving, users), kind="stable")
        one, other = np.sort(order[: n_users // 2]), np.sort(order[n_users // 2 :])
        folds += [Fold(halving, one, other), Fold(halving, other, one)]
    return tuple(folds)
