"""Experiments: a config, carried out."""

from recsys.experiments.benches import Bench, bench
from recsys.experiments.comparisons import compare_folders
from recsys.experiments.exports import export
from recsys.experiments.external import evaluate
from recsys.experiments.recommendations import recommend

__all__ = ["Bench", "bench", "compare_folders", "evaluate", "export", "recommend"]
