"""Rankers: a model, a blend and its scales as one immutable object that answers single requests."""

from recsys.rankers.added_items import AddedItems
from recsys.rankers.answers import Recommendation
from recsys.rankers.indexes import Index
from recsys.rankers.log_replays import ReplayReport, replay_log
from recsys.rankers.policies import Policy
from recsys.rankers.profiles import ProfileEntry, UserProfile
from recsys.rankers.rankers import Ranker
from recsys.rankers.receipts import ReplayResult
from recsys.rankers.request_counts import RankerMetrics
from recsys.rankers.updates import UpdateReport
from recsys.rankers.user_dials import UserDials
from recsys.rankers.warmups import warmup

__all__ = [
    "AddedItems",
    "Index",
    "Policy",
    "ProfileEntry",
    "Ranker",
    "RankerMetrics",
    "Recommendation",
    "ReplayReport",
    "ReplayResult",
    "UpdateReport",
    "UserDials",
    "UserProfile",
    "replay_log",
    "warmup",
]
