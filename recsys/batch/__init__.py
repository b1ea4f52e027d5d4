"""Slates of very many users by one ranker: from Arrow record batches to Arrow record batches, and to files."""

from recsys.batch.counts import BatchCounts
from recsys.batch.ranking import RankedBatches, rank_batches

__all__ = ["BatchCounts", "RankedBatches", "rank_batches"]
