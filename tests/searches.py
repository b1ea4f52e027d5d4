"""A small search: the texts of its config and of its sweep file."""

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
