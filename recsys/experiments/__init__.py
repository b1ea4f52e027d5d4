"""Experiments: benchmarks, evaluations and exports, each from a config."""

from recsys.experiments.benchmark import bench
from recsys.experiments.comparisons import compare_folders
from recsys.experiments.demands import demand
from recsys.experiments.evaluation import evaluate_files
from recsys.experiments.exports import export
from recsys.experiments.forget_jobs import finish_forgets
from recsys.experiments.half_lives import choose_half_life
from recsys.experiments.recommendations import recommend
from recsys.experiments.results import Bench
from recsys.experiments.update_jobs import add_items_to_ranker, update_ranker

__all__ = [
    "Bench",
    "add_items_to_ranker",
    "bench",
    "choose_half_life",
    "compare_folders",
    "demand",
    "evaluate_files",
    "export",
    "finish_forgets",
    "recommend",
    "update_ranker",
]
