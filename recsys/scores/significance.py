"""The table of declared comparisons: differences, tests against 0 and against a margin, verdicts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsys.scores.hypothesis_tests import (
    MIN_DIFFERING_USERS,
    SIGNIFICANCE_LEVEL,
    adjust_p_values,
    compute_contrast,
    count_needed_flips,
    decide_verdict,
    effect_size,
    p_different,
    p_equivalent,
    p_noninferior,
)
from recsys.scores.records import Score, Scores
from recsys.scores.tables import compute_p_values, tabulate_paired_differences
from recsys.types.arrays import Doubles

if TYPE_CHECKING:
    import pandas as pd


def tabulate_tests(
    pairs: Sequence[tuple[Score, Score]], scores: Scores, margin: float, explore: bool
) -> "pd.DataFrame":
    """Return the columns of `recsys.scores.tabulate_differences`, and beside them, for each pair and metric:

    direction, base (the value of `against`), p_adjusted (of p_value), effect_size (d_z), detectable_relative,
    p_noninferior, p_equivalent and both adjusted, noninferior and equivalent ("yes", "no", "" where it cannot be
    asked), verdict.

    p_value is that of `tabulate_differences`; for catalogue-level metrics and over replicates, Student's t. Where fewer
    than 20 users differ, only difference, p_value and effect_size are given, and nothing that rests on an error.
    """
    pairs = list(pairs)
    p_values = compute_p_values(pairs, scores, count_needed_flips(len(pairs)))
    by_t = [i for i, (cell, _) in enumerate(pairs) if cell.shape == "catalogue" or scores.replicates > 1]
    p_values[by_t] = [p_different(compute_contrast(*pairs[i], 1.0)) for i in by_t]
    table = tabulate_paired_differences(pairs, p_values)
    few = table.n_differ.to_numpy() < MIN_DIFFERING_USERS
    bases, margins = np.array([base.value for _, base in pairs]), {}
    for name, test in (("p_noninferior", p_noninferior), ("p_equivalent", p_equivalent)):
        margins[name] = np.where(few, np.nan, [test(*pair, margin) for pair in pairs])
    table = table.assign(
        direction=[cell.direction for cell, _ in pairs],
        base=bases,
        p_adjusted=adjust_p_values(p_values, explore),
        effect_size=[effect_size(*pair) if pair[0].shape != "catalogue" else np.nan for pair in pairs],
        detectable_relative=table.detectable / np.where(bases > 0, bases, np.nan),
        **margins,
        **{f"{name}_adjusted": adjust_p_values(p, explore) for name, p in margins.items()},
    )
    table["noninferior"] = _label_p_values(table.p_noninferior_adjusted.to_numpy())
    table["equivalent"] = _label_p_values(table.p_equivalent_adjusted.to_numpy())
    columns = ("difference", "direction", "n_differ", "p_adjusted", "p_equivalent_adjusted")
    table["verdict"] = [decide_verdict(*row) for row in zip(*(table[name] for name in columns), strict=True)]
    return table


def _label_p_values(p_values: Doubles) -> list[str]:
    return ["" if np.isnan(p) else "yes" if p <= SIGNIFICANCE_LEVEL else "no" for p in p_values]
