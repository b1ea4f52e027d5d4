"""Slates of very many users on a cluster of Spark, and what is made of logs that no machine holds."""

from recsys.spark.als import ALSRun, fit_als
from recsys.spark.evaluations import evaluate
from recsys.spark.frames import rank
from recsys.spark.runs import run_batch
from recsys.spark.sessions import open_session
from recsys.spark.splits import split

__all__ = ["ALSRun", "evaluate", "fit_als", "open_session", "rank", "run_batch", "split"]
