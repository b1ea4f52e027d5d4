"""Segments of users by their training data, and the difference of two runs in each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr, stdtrit

from recsys.maths.popularity import count_item_users
from recsys.metrics.derived_tables import MapTable
from recsys.scores.hypothesis_tests import compute_user_differences, find_differing_users, has_enough_users
from recsys.scores.intervals import USER_BLOCK, bootstrap_means, draw_with_replacement
from recsys.scores.records import Score, Scores
from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.types import GroundTruth
from recsys.types.arrays import Bools, Csr, Doubles, Ints

if TYPE_CHECKING:
    import pandas as pd

SEGMENTS = MapTable("segments")
COLD_MAX_POSITIVES = 5  # training positives up to which a user is cold
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
SEGMENT_PARTS = {
    "activity": QUARTERS,
    "mainstreamness": QUARTERS,
    "taste entropy": QUARTERS,
    "cold": ("cold", "not cold"),
}
COLUMNS = (
    "run", "against", "metric", "k", "segment", "part", "base", "difference", "joint_low", "joint_high", "relative",
    "n_users", "n_differ", "worst",
)  # fmt: skip


def segment_users(truth: GroundTruth, users: Ints) -> dict[str, Ints]:
    """Return the part of each segment that each of all users belongs to, (U,) codes; -1 for those not in `users`.

    From train alone. activity: positives; mainstreamness: their mean popularity; taste entropy: Shannon's, over
    their features, or the regions of the first audit map where items have none: quarters of `users`, equals
    together. cold: at most 5 positives. A segment with one part is left out, and so is entropy without regions.
    """
    train = truth.split.train
    n = np.diff(train.indptr).astype(np.float64)
    popularity = train @ count_item_users(train) / np.maximum(n, 1.0)
    values = {"activity": n, "mainstreamness": np.asarray(popularity), "taste entropy": _compute_taste_entropies(truth)}
    coded = {name: _assign_quarters(value, users) for name, value in values.items() if value is not None}
    coded["cold"] = np.full(len(n), -1, dtype=np.int32)
    coded["cold"][users] = n[users] > COLD_MAX_POSITIVES
    return {name: codes for name, codes in coded.items() if len(np.unique(codes[users])) > 1}


def encode_parts(segments: Mapping[str, Ints]) -> Doubles:
    """Return 1 where a user is in a part of a segment, (U, P): the parts of all segments side by side."""
    return np.concatenate(
        [codes[:, None] == np.arange(len(SEGMENT_PARTS[name])) for name, codes in segments.items()]
        or [np.zeros((0, 0), dtype=bool)],
        axis=1,
    ).astype(np.float64)


def tabulate_segments(pairs: Sequence[tuple[Score, Score]], scores: Scores) -> "pd.DataFrame":
    """Return a row per pair of runs, per-user metric and part of a segment.

    difference and relative are within the part; joint_low and joint_high are limits that hold for all parts
    of the run and metric together with 95 % (`recsys.scores.simultaneous`; over users and halvings, for the maps at
    hand), so that
    the worst may be picked: `worst` marks the part with the largest loss relative to the base among those with
    limits. No limits where fewer than 20 users differ.
    """
    import pandas as pd

    rows = [row for cell, base in pairs if cell.shape != "catalogue" for row in _build_segment_rows(cell, base, scores)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compute_taste_entropies(truth: GroundTruth) -> Doubles | None:
    split, maps = truth.split, truth.audit_maps
    kinds: Csr = split.items.features
    if not kinds.nnz:
        if not maps:
            return None
        kinds = maps[0].assignment
    entropies = np.empty(split.train.shape[0])
    for first in range(0, len(entropies), USER_BLOCK):
        mass = sparse.csr_array(split.train[first : first + USER_BLOCK] @ kinds)
        row = np.repeat(np.arange(mass.shape[0]), np.diff(mass.indptr))[mass.data > 0]
        mixed = mass.data[mass.data > 0]
        share = mixed / np.bincount(row, mixed, minlength=mass.shape[0])[row]
        entropies[first : first + USER_BLOCK] = np.bincount(row, -share * np.log2(share), minlength=mass.shape[0])
    return entropies


def _assign_quarters(values: Doubles, users: Ints) -> Ints:
    codes = np.full(len(values), -1, dtype=np.int32)
    if len(users):
        codes[users] = np.searchsorted(np.quantile(values[users], [0.25, 0.5, 0.75]), values[users])
    return codes


def _build_segment_rows(cell: Score, base: Score, scores: Scores) -> list[dict[str, Any]]:
    parts = _list_segment_parts(base, scores)
    change, differ = compute_user_differences(cell, base), find_differing_users(cell, base)
    found = np.array([_average_in_part(change, base.user_weights, inside) for *_, inside, _ in parts])
    known = [i for i, (*_, inside, _) in enumerate(parts) if has_enough_users(inside & differ)]
    low, high = np.full((2, len(parts)), np.nan)
    if known:
        tables = [_build_part_values(change, base.user_weights, parts[i][2]) for i in known]
        drawn = np.array(bootstrap_means(tables, scores.users, scores.seed, scores.n_bootstrap))
        low[known], high[known] = compute_simultaneous_limits(found[known], drawn)
        if scores.halvings > 1 and cell.halving_parts.size:
            at = [parts[i][3] for i in known]
            halved = (cell.halving_parts[0] - base.halving_parts[0])[:, at] / base.halving_parts[1][:, at]
            sizes = np.array([parts[i][2].sum() for i in known])
            low[known], high[known] = _add_halvings(found[known], drawn, halved, sizes, scores.seed)
    rows = []
    for i, (name, part, inside, _) in enumerate(parts):
        level, n_differ = (
            _average_in_part(base.user_contributions, base.user_weights, inside),
            int((inside & differ).sum()),
        )
        relative = found[i] / level if level > 0 else float("nan")
        numbers = (level, found[i], low[i], high[i], relative, int(inside.sum()), n_differ, False)
        row = (cell.run, base.run, cell.metric, cell.k, name, part, *numbers)
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    _mark_worst(rows, cell.direction)
    return rows


def _add_halvings(values: Doubles, drawn: Doubles, halved: Doubles, sizes: Ints, seed: int) -> tuple[Doubles, Doubles]:
    """Return simultaneous limits of m values (m,) from draws of users (m, n) and the values of each halving (R, m).

    Halvings are drawn with replacement, the same ones in every part, and what a bootstrap of R lacks of their variance
    is added. The reach of each part is stretched as Student's t of its degrees of freedom stretches the normal
    distribution (Satterthwaite 1946): users and halvings, R - 1 where all variance is between halvings.
    """
    n_halvings = len(halved)
    apart = (halved - halved.mean(axis=0)) * np.sqrt(n_halvings / (n_halvings - 1.0))
    moved = apart[draw_with_replacement(seed, "halvings", drawn.shape[1], n_halvings)].mean(axis=1).T
    low, high = compute_simultaneous_limits(values, drawn + moved)
    within, between = drawn.var(axis=1, ddof=1), halved.var(axis=0, ddof=1) / n_halvings
    error, reach = np.sqrt((drawn + moved).var(axis=1, ddof=1)), (high - low) / 2.0
    shape = between**2 / (n_halvings - 1.0) + within**2 / np.maximum(sizes - 1.0, 1.0)
    freedom = np.divide((within + between) ** 2, shape, out=np.full(len(values), np.inf), where=shape > 0)
    normal = np.divide(reach, error, out=np.ones(len(values)), where=error > 0)
    reach = reach * stdtrit(np.minimum(freedom, 1e9), ndtr(normal)) / normal
    return values - reach, values + reach


def _list_segment_parts(base: Score, scores: Scores) -> list[tuple[str, str, Bools, int]]:
    """Return segment, part, users and place (as in `encode_parts`) of every part that has users."""
    named = [(name, code) for name in scores.segments for code in range(len(SEGMENT_PARTS[name]))]
    parts = [
        (name, SEGMENT_PARTS[name][code], (scores.segments[name] == code) & (base.user_weights > 0), place)
        for place, (name, code) in enumerate(named)
    ]
    return [part for part in parts if part[2].any()]


def _mark_worst(rows: list[dict[str, Any]], direction: int) -> None:
    known = [row for row in rows if direction and not np.isnan([row["joint_low"], row["relative"]]).any()]
    if known:
        min(known, key=lambda row: direction * row["relative"])["worst"] = True


def _average_in_part(parts: Doubles, shares: Doubles, inside: Bools) -> float:
    return float(parts[inside].sum() / shares[inside].sum())


def _build_part_values(parts: Doubles, shares: Doubles, inside: Bools) -> Doubles:
    """Return one number per user of a part, (1, U), whose mean is the part's difference."""
    return np.where(inside, parts * inside.sum() / shares[inside].sum(), np.nan)[None]
