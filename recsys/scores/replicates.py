"""One score from those of several splits or seeds, with a two-level interval: replicates, and users within them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import stdtrit

from recsys.scores.intervals import MAX_BOOTSTRAP, NO_INTERVAL, Interval, bootstrap_means, check_bootstrap_memory
from recsys.scores.records import Score, Scores
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError
from recsys.types.arrays import Doubles, Longs
from recsys.types.numbers import check_int


@limit_to_one_blas_thread()
def pool_replicates(replicates: Sequence[Scores]) -> Scores:
    """Return scores that are means over replicates, over all users that any of them judged.

    A replicate is the same benchmark with another seed. Users are matched by id: whoever is in several splits is
    drawn in all of them or in none (Owen 2007, "the pigeonhole bootstrap"), never pooled as if they were
    several people. Limits: see `two_level_interval`. Each replicate has maps of its own: what they vary is part of what
    replicates vary.

    Raises:
        RecsysError: if there are fewer than two replicates, or their runs, metrics or cut-offs differ.
    """
    if len(replicates) < 2:
        raise RecsysError(f"replicates: found {len(replicates)}, expected at least 2")
    first = replicates[0]
    for i, other in enumerate(replicates):
        if other.halvings != first.halvings:
            found = f"{first.halvings} and {other.halvings} halvings of the users"
            raise RecsysError(f"replicates 1 and {i + 1}: found {found}, expected as many")
    draws = check_int("replicates: n_bootstrap", first.n_bootstrap, 2, MAX_BOOTSTRAP)
    check_bootstrap_memory("replicates: n_bootstrap", draws, len(replicates) * len(first.cells))
    _check_same_cells(replicates)
    user_ids = np.unique(np.concatenate([scores.user_ids for scores in replicates]))
    places = [np.searchsorted(user_ids, scores.user_ids) for scores in replicates]
    users = np.arange(len(user_ids), dtype=np.int32)
    keyed = [{(cell.run, cell.metric, cell.k): cell for cell in scores.cells} for scores in replicates]
    stacks = [[cells[key] for cells in keyed] for key in keyed[0]]
    scattered = [
        [_scatter_to_all_users(c, p, len(users)) for c, p in zip(stack, places, strict=True)] for stack in stacks
    ]
    meant = [i for i, stack in enumerate(stacks) if stack[0].shape != "catalogue"]
    tables = [np.stack([_rebuild_user_values(parts, shares) for parts, shares in scattered[i]]) for i in meant]
    drawn = dict(zip(meant, bootstrap_means(tables, users, first.seed, draws), strict=True))
    cells = tuple(_pool_cells(stack, scattered[i], drawn.get(i)) for i, stack in enumerate(stacks))
    return Scores(
        cells,
        users,
        user_ids,
        first.seed,
        draws,
        dict(first.seconds),
        replicates=len(replicates),
        halvings=first.halvings,
    )


def _check_same_cells(replicates: Sequence[Scores]) -> None:
    names = [{(cell.run, cell.metric, cell.k): None for cell in scores.cells} for scores in replicates]
    for i, found in enumerate(names):
        for run, metric, k in {*found} ^ {*names[0]}:
            raise RecsysError(f"replicates 1 and {i + 1}: only one of them has {metric}@{k} of run '{run}'")


def two_level_interval(value: float, n_bootstrap: Doubles, n_replicates: int, n_users: int) -> Interval:
    """Return value +- t * standard error from draws of replicates and users, and the replicates' own values.

    A bootstrap of R replicates finds (R - 1) / R of the variance between them; what is missing is added. t has
    the degrees of freedom of `two_level_degrees_of_freedom`.
    """
    variance, between = _split_variance(n_bootstrap, n_replicates)
    return _build_t_interval(value, variance, _compute_two_level_freedom(variance, between, n_replicates, n_users))


def two_level_degrees_of_freedom(n_bootstrap: Doubles, n_replicates: int, n_users: int) -> float:
    """Return Satterthwaite's (1946) degrees of freedom: R - 1 where all variance is between replicates."""
    return _compute_two_level_freedom(*_split_variance(n_bootstrap, n_replicates), n_replicates, n_users)


def _compute_two_level_freedom(variance: float, between: float, n_replicates: int, n_users: int) -> float:
    within = max(variance - between, 0.0)
    shape = between**2 / (n_replicates - 1) + within**2 / max(n_users - 1, 1)
    return variance**2 / shape if shape > 0 else n_users - 1.0


def _split_variance(n_bootstrap: Doubles, n_replicates: int) -> tuple[float, float]:
    """Return the variance of the mean over replicates, and the part of it that lies between replicates."""
    drawn, values = n_bootstrap[:-n_replicates], n_bootstrap[-n_replicates:]
    between = float(values.var(ddof=1)) / n_replicates
    known = drawn[np.isfinite(drawn)]
    return float(known.var(ddof=1)) + between / n_replicates if len(known) > 1 else float("nan"), between


def _pool_catalogue_interval(value: float, n_bootstrap: Doubles, cells: Sequence[Score]) -> Interval:
    """Return limits of a catalogue-level mean: users err alike in all replicates, which differ beside that."""
    *parts, values = np.split(n_bootstrap, np.cumsum([len(cell.draws) for cell in cells]))
    found = zip(cells, values, parts, strict=True)
    within = float(np.mean([cell.make_interval(float(one), part).error for cell, one, part in found]))
    return _build_t_interval(value, within**2 + float(values.var(ddof=1)) / len(cells), len(cells) - 1.0)


def _build_t_interval(value: float, variance: float, freedom: float) -> Interval:
    if not np.isfinite(variance):
        return NO_INTERVAL
    error = float(np.sqrt(variance))
    reach = float(stdtrit(freedom, 0.975)) * error if error > 0 else 0.0
    return Interval(value - reach, value + reach, error)


def _return_freedom(n_bootstrap: Doubles, freedom: float) -> float:
    return freedom


def _pool_cells(stack: Sequence[Score], scattered: list[tuple[Doubles, Doubles]], drawn: Doubles | None) -> Score:
    values = np.array([cell.value for cell in stack])
    value, n = float(values.mean()), len(stack)
    parts, shares = (np.mean(arrays, axis=0) for arrays in zip(*scattered, strict=True))
    spread: Callable[[float, Doubles], Interval] = partial(_pool_catalogue_interval, cells=stack)
    freedom: Callable[[Doubles], float] = partial(_return_freedom, freedom=n - 1.0)
    draws = np.concatenate([*(cell.draws for cell in stack), values])
    if drawn is not None:
        n_users = int((shares > 0).sum())
        spread = partial(two_level_interval, n_replicates=n, n_users=n_users)
        freedom = partial(two_level_degrees_of_freedom, n_replicates=n, n_users=n_users)
        draws = np.concatenate([drawn, values])
    return replace(
        stack[0],
        value=value,
        limits=spread(value, draws),
        n_users=round(float(np.mean([cell.n_users for cell in stack]))),
        per_user=np.divide(parts, shares, out=np.full(len(shares), np.nan), where=shares > 0),
        user_contributions=parts,
        user_weights=shares,
        draws=draws,
        make_interval=spread,
        degrees_of_freedom=freedom,
        counts={name: float(np.mean([cell.counts.get(name, np.nan) for cell in stack])) for name in stack[0].counts},
    )


def _scatter_to_all_users(cell: Score, place: Longs, n_users: int) -> tuple[Doubles, Doubles]:
    """Return a score's parts and shares with a place for every user of any replicate; nothing for a catalogue."""
    parts, shares = np.zeros((2, n_users if len(cell.user_contributions) else 0))
    if len(cell.user_contributions):
        parts[place], shares[place] = cell.user_contributions, cell.user_weights
    return parts, shares


def _rebuild_user_values(parts: Doubles, shares: Doubles) -> Doubles:
    """Return one number per user whose mean over those who have one is the score's value."""
    known = shares > 0
    return np.where(known, parts * known.sum(), np.nan)
