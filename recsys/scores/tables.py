"""Long tables of scores: values, differences from one run, and values per user."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.scores.halvings import choose_interval, spread_over_halvings
from recsys.scores.hypothesis_tests import (
    MIN_DIFFERING_USERS,
    compute_contrast,
    compute_user_differences,
    detectable_multiplier,
    find_differing_users,
    p_different,
)
from recsys.scores.intervals import NO_INTERVAL, Interval, bootstrap_means, sum_sign_flips
from recsys.scores.records import Score, Scores
from recsys.scores.runs import build_user_score
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import PerUser
from recsys.types.arrays import Doubles
from recsys.types.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd

N_SIGN_FLIPS = 2000


@needs_extra("recsys.scores.tabulate_scores")
def tabulate_scores(scores: Scores) -> "pd.DataFrame":
    """Return a row per run, metric and k.

    run, metric, k, value, ci_low, ci_high (95 %), n_users, convention, direction (1: more is better, -1: less,
    0: neither), seconds (of the run), and NaN where a metric has none of them: hits and held_out (behind it,
    means over maps), maps (that define it).
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "run": [cell.run for cell in scores.cells],
            "metric": [cell.metric for cell in scores.cells],
            "k": [cell.k for cell in scores.cells],
            "value": [cell.value for cell in scores.cells],
            "ci_low": [cell.limits.low for cell in scores.cells],
            "ci_high": [cell.limits.high for cell in scores.cells],
            "n_users": [cell.n_users for cell in scores.cells],
            "convention": [cell.convention for cell in scores.cells],
            "direction": [cell.direction for cell in scores.cells],
            "seconds": [float(scores.seconds.get(cell.run, np.nan)) for cell in scores.cells],
            **{name: [cell.counts.get(name, np.nan) for cell in scores.cells] for name in ("hits", "held_out", "maps")},
        }
    )


@needs_extra("recsys.scores.tabulate_differences")
@limit_to_one_blas_thread()
def tabulate_differences(scores: Scores, against: str) -> "pd.DataFrame":
    """Return each run's differences from the run `against`, paired by user: a row per other run, metric and k.

    run, against, metric, k, difference (run minus against), ci_low, ci_high; relative (difference over the value
    of `against`), relative_low, relative_high, from the same joint draws; p_value; detectable; n_users; n_differ.

    Per-user metrics are compared on the users whom both runs define (n_users), so a difference can differ from
    that of two rows of `tabulate_scores`. p_value: two-sided sign-flip randomisation over users, all maps of a user
    flipped together, (1 + at least as large) / (1 + 2000); NaN for catalogue-level metrics. Signs of users know nothing
    of halvings: with several of them p_value is at least that of Student's t over users, maps and halvings.
    detectable: the smallest difference that this data shows with 80 % power at the 5 % level. n_differ: the users
    whose values differ, NaN for catalogue-level metrics; where they are fewer than 20, limits and detectable are NaN,
    because such intervals hold the truth too rarely (`benchmarks/errors.py`). relative limits are NaN, too, where the
    value of `against` is 0 in some draw.

    Raises:
        RecsysError: if there is no run `against`.
    """
    pairs = pair_with_base(scores, against)
    return tabulate_paired_differences(pairs, compute_p_values(pairs, scores, N_SIGN_FLIPS))


def pair_with_base(scores: Scores, against: str) -> list[tuple[Score, Score]]:
    """Return each score beside that of the run `against`, per-user metrics over the users whom both define.

    Raises:
        RecsysError: if there is no run `against`.
    """
    base = scores.select_run(against)
    pairs = [pair for run in scores.runs if run != against for pair in zip(scores.select_run(run), base, strict=True)]
    return pairs if scores.replicates > 1 else _restrict_to_common_users(pairs, scores)


def tabulate_paired_differences(pairs: list[tuple[Score, Score]], p_values: Doubles) -> "pd.DataFrame":
    """Return the table of `tabulate_differences`, of pairs and their p-values."""
    import pandas as pd

    rows = [_build_difference_row(cell, other, p) for (cell, other), p in zip(pairs, p_values, strict=True)]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


@needs_extra("recsys.scores.tabulate_user_values")
def tabulate_user_values(scores: Scores) -> "pd.DataFrame":
    """Return the value of each user: run, user_id, metric, k, value; a row each where it is defined.

    For metrics over maps it is the user's mean over the maps that define it; catalogue-level metrics have none.
    """
    import pandas as pd

    cells = [cell for cell in scores.cells if cell.shape != "catalogue"]
    known = [np.flatnonzero(~np.isnan(cell.per_user)) for cell in cells]
    sizes = [len(users) for users in known]
    row = np.concatenate([*known, np.empty(0, dtype=np.int64)])
    return pd.DataFrame(
        {
            "run": _repeat_as_categories([cell.run for cell in cells], sizes),
            "user_id": pd.Categorical.from_codes(row, pd.Index(scores.user_ids.astype(object))),
            "metric": _repeat_as_categories([cell.metric for cell in cells], sizes),
            "k": np.repeat(np.array([cell.k for cell in cells], dtype=np.int64), sizes),
            "value": np.concatenate([*(c.per_user[u] for c, u in zip(cells, known, strict=True)), np.empty(0)]),
        }
    )


_COLUMNS = (
    "run", "against", "metric", "k", "difference", "ci_low", "ci_high", "relative", "relative_low",
    "relative_high", "p_value", "detectable", "n_users", "n_differ",
)  # fmt: skip


def _repeat_as_categories(names: list[str], sizes: list[int]) -> Any:
    import pandas as pd

    kinds = list(dict.fromkeys(names))
    codes = np.array([kinds.index(name) for name in names], dtype=np.int64)
    return pd.Categorical.from_codes(np.repeat(codes, sizes), pd.Index(kinds, dtype=object))


def _restrict_to_common_users(pairs: list[tuple[Score, Score]], scores: Scores) -> list[tuple[Score, Score]]:
    """Return the pairs, both scores of a per-user metric restricted to the same users."""
    unlike = [
        p for p, (a, b) in enumerate(pairs) if a.shape == "users" and _encode_undefined(a) != _encode_undefined(b)
    ]
    tables = [_keep_common_users(cell, other) for p in unlike for cell, other in (pairs[p], pairs[p][::-1])]
    drawn = bootstrap_means(tables, scores.users, scores.seed, scores.n_bootstrap)
    same = list(pairs)
    for n, p in enumerate(unlike):
        a, b = (_rebuild_score(cell, tables[2 * n + i], drawn[2 * n + i], scores) for i, cell in enumerate(pairs[p]))
        same[p] = (a, b)
    return same


def _encode_undefined(cell: Score) -> bytes:
    return np.isnan(cell.per_user).tobytes()


def _keep_common_users(cell: Score, other: Score) -> Doubles:
    values = np.where(np.isnan(other.per_user), np.nan, cell.per_user)[None]
    return values[~np.isnan(values).all(axis=1)]


def _rebuild_score(cell: Score, values: Doubles, drawn: Doubles, scores: Scores) -> Score:
    """Return a score over fewer users; halvings vary it as they vary the score over all of them."""
    answer = PerUser(cell.per_user, cell.convention, cell.direction)
    made = replace(build_user_score(cell.run, cell.metric, cell.k, answer, values, drawn), convention=cell.convention)
    if scores.halvings < 2:
        return made
    halved = cell.draws[-scores.halvings :] - cell.value + made.value
    draws = spread_over_halvings(drawn, halved, scores.seed)
    spread, freedom = choose_interval("users", scores.halvings, made.n_users, len(scores.users))
    limits = spread(made.value, draws) if made.n_users > 1 else NO_INTERVAL
    return replace(
        made,
        draws=draws,
        limits=limits,
        make_interval=spread,
        degrees_of_freedom=freedom,
        halving_parts=cell.halving_parts,
    )


def compute_p_values(pairs: list[tuple[Score, Score]], scores: Scores, n: int) -> Doubles:
    """Return the two-sided p-value of each pair; NaN for catalogue-level metrics.

    By n sign flips of users; with several halvings it is no smaller than by t over users, maps and halvings.
    """
    p_values = p_sign_flips(pairs, scores, n)
    if scores.halvings < 2:
        return p_values
    by_t = [np.nan if a.shape == "catalogue" else p_different(compute_contrast(a, b, 1.0)) for a, b in pairs]
    return np.asarray(np.fmax(p_values, by_t))


def p_sign_flips(pairs: list[tuple[Score, Score]], scores: Scores, n: int) -> Doubles:
    """Return the two-sided p-value of each pair by n sign flips of users; NaN for catalogue-level metrics."""
    p_values = np.full(len(pairs), np.nan)
    flipped = [p for p, (a, b) in enumerate(pairs) if a.shape != "catalogue" and not np.isnan(a.value - b.value)]
    parts = np.array([compute_user_differences(*pairs[p]) for p in flipped]).reshape(-1, len(scores.users))
    seen = np.abs(parts.sum(axis=1)) * (1.0 - 1e-9)  # sums of the same numbers in another order are ties
    larger = np.abs(sum_sign_flips(parts, scores.users, scores.seed, n)) >= seen
    p_values[flipped] = (1.0 + larger.sum(axis=0)) / (n + 1.0)
    return p_values


def _build_difference_row(cell: Score, base: Score, p_value: float) -> dict[str, Any]:
    difference = cell.value - base.value
    n_users, n_differ = (
        _count_common_users(cell, base),
        np.nan if cell.shape == "catalogue" else float(find_differing_users(cell, base).sum()),
    )
    told = n_users > 1 and not n_differ < MIN_DIFFERING_USERS
    limits = cell.make_interval(difference, cell.draws - base.draws) if told else NO_INTERVAL
    detectable = detectable_multiplier(cell.degrees_of_freedom(cell.draws - base.draws)) * limits.error
    relative, around = _compute_relative(cell, base, told)
    return dict(
        zip(
            _COLUMNS,
            (
                *(cell.run, base.run, cell.metric, cell.k),
                *(difference, limits.low, limits.high),
                *(relative, around.low, around.high),
                *(p_value, detectable, n_users, n_differ),
            ),
            strict=True,
        )
    )


def _compute_relative(cell: Score, base: Score, has_interval: bool) -> tuple[float, Interval]:
    if not base.value > 0:
        return float("nan"), NO_INTERVAL
    relative = cell.value / base.value - 1.0
    if not has_interval or (base.draws <= 0).any():
        return relative, NO_INTERVAL
    return relative, cell.make_interval(relative, cell.draws / base.draws - 1.0)


def _count_common_users(cell: Score, base: Score) -> int:
    if cell.shape == "catalogue":
        return min(cell.n_users, base.n_users)
    return int((~np.isnan(cell.per_user) & ~np.isnan(base.per_user)).sum())
