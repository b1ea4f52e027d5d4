"""Rankers: a model, a blend and its scales as one immutable object that answers single requests."""

from recsys.rankers.answers import Answer
from recsys.rankers.policies import Policy
from recsys.rankers.rankers import Ranker
from recsys.rankers.warmups import warmup

__all__ = ["Answer", "Policy", "Ranker", "warmup"]
