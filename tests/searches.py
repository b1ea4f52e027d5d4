"""A small search: the texts of its config and of its sweep file, and what happens before a trial of it."""

from collections.abc import Callable
from itertools import count

import pytest

from recsys.sweeps import trial_search

CONFIG = """
[data]
path = "ratings.csv"

[filter]
positive = "rating >= 3"

[split]
validation = 0.3
test = 0.3

[model]
kind = "ease"

[pool]
n = 15

[slate]
k = [5]

[evaluation]
metrics = ["ndcg", "recall", "self_information", "coverage"]
n_bootstrap = 100
"""
SWEEP = """
extends = "small.toml"

[sweep]
maximize = ["ndcg@5", "self_information@5"]
trials = 6
accuracy_budget = "60%"

[blends.novel]
relevance = 1.0
novelty = { float = [0.01, 1.0], log = true }
mmr = { weight = { float = [0.0, 0.5] }, agg = { choice = ["max", "mean"] } }
"""


def act_before_trials(patch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Call `act` before each trial is judged, with its number among those of the process, from 1."""
    build, numbers = trial_search.build_trial_function, count(1)

    def build_watched(method, evaluator):
        evaluate = build(method, evaluator)
        return lambda drawn: (act(next(numbers)), evaluate(drawn))[1]

    patch.setattr(trial_search, "build_trial_function", build_watched)
