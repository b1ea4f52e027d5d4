"""Slates of very many users on a cluster of Spark: data frames of requests, and files."""

from recsys.spark.frames import rank
from recsys.spark.runs import run_batch
from recsys.spark.sessions import open_session

__all__ = ["open_session", "rank", "run_batch"]
