"""Limits that hold for several differences at once, from the bootstrap draws that they share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.metrics.stratified import STRATIFIED_ACCURACY
from recsys.scores.hypothesis_tests import find_differing_users, has_enough_users
from recsys.scores.records import Score
from recsys.types.arrays import Doubles

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "run", "against", "k", "loss_metric", "loss", "loss_low", "loss_high", "gain_metric", "gain", "gain_low",
    "gain_high",
)  # fmt: skip


def compute_simultaneous_limits(values: Doubles, n_bootstrap: Doubles, sides: int = 2) -> tuple[Doubles, Doubles]:
    """Return limits of m values, (m,) each, that all hold together in 95 % of samples.

    value +- c * error, where c is the 95th percentile over the draws (m, n) of the largest distance of a draw
    from its value, in errors (the max-t band of Westfall and Young 1993): correlated values cost less than
    Bonferroni's correction. Draws that are not finite in every value are left out. With `sides` = 1 the lower limits
    alone hold: a distance is how far a draw lies above its value.
    """
    n_bootstrap = n_bootstrap[:, np.isfinite(n_bootstrap).all(axis=0)]
    if n_bootstrap.shape[1] < 2:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    errors = n_bootstrap.std(axis=1, ddof=1)
    apart = (n_bootstrap - values[:, None]) / np.where(errors > 0, errors, 1.0)[:, None]
    reach = float(np.quantile((np.abs(apart) if sides == 2 else apart).max(axis=0), 0.95)) * errors
    return values - reach, values + reach


def tabulate_loss_and_gain(pairs: Sequence[tuple[Score, Score]]) -> "pd.DataFrame":
    """Return a row per run, gain and loss: relative changes of both, with limits that hold for a gain and all losses.

    What may be lost is the first metric asked for, and stratified accuracy (`STRATIFIED_ACCURACY`) wherever it stands;
    every other metric is what may be gained. Limits are NaN where fewer than 20 users differ in one of these.
    Catalogue-level metrics share no draws with means over users and have no row.
    """
    import pandas as pd

    meant = [pair for pair in pairs if pair[0].shape != "catalogue" and pair[1].value > 0]
    rows = []
    for run in dict.fromkeys(cell.run for cell, _ in meant):
        first, *others = [pair for pair in meant if pair[0].run == run]
        losses = [first, *(pair for pair in others if pair[0].metric in STRATIFIED_ACCURACY)]
        for gain in others:
            rows += [] if gain in losses else _build_joint_rows(losses, gain)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _build_joint_rows(losses: Sequence[tuple[Score, Score]], gain: tuple[Score, Score]) -> list[dict[str, Any]]:
    pairs = [*losses, gain]
    values = np.array([cell.value / base.value - 1.0 for cell, base in pairs])
    low, high = np.full((2, len(pairs)), np.nan)
    if all(has_enough_users(find_differing_users(cell, base)) and (base.draws > 0).all() for cell, base in pairs):
        low, high = compute_simultaneous_limits(
            values, np.array([cell.draws / base.draws - 1.0 for cell, base in pairs])
        )
    numbers = [(f"{one.metric}@{one.k}", values[i], low[i], high[i]) for i, (one, _) in enumerate(pairs)]
    cell, base = gain
    return [dict(zip(COLUMNS, (cell.run, base.run, cell.k, *lost, *numbers[-1]), strict=True)) for lost in numbers[:-1]]
