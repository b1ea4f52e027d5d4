"""Evaluation of runs: long tables of values, differences and values per user, with intervals."""

from recsys.scores.comparisons import Comparison, compare
from recsys.scores.records import Score, Scores
from recsys.scores.runs import compute_metrics, evaluate
from recsys.scores.tables import tabulate_differences, tabulate_scores, tabulate_user_values

__all__ = [
    "Comparison",
    "Score",
    "Scores",
    "compare",
    "compute_metrics",
    "evaluate",
    "tabulate_differences",
    "tabulate_scores",
    "tabulate_user_values",
]
