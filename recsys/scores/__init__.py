"""Runs held against a yardstick: long tables of values, differences and what each user got, with intervals."""

from recsys.scores.comparisons import Comparison, compare
from recsys.scores.records import Score, Scores
from recsys.scores.runs import score, values
from recsys.scores.tables import differences, per_user, summary

__all__ = ["Comparison", "Score", "Scores", "compare", "differences", "per_user", "score", "summary", "values"]
