"""Slates of very many users by one ranker: from Arrow record batches to Arrow record batches, and to files."""

from recsys.batch.counts import BatchCounts
from recsys.batch.ranking import RankedBatches, rank_batches
from recsys.batch.runs import BatchRun, run_batch

__all__ = ["BatchCounts", "BatchRun", "RankedBatches", "rank_batches", "run_batch"]
