"""The topics of a ranker: those of the split that it was fitted to, held against the policy that it is given."""

from collections.abc import Mapping
from typing import Any

from recsys.control.topics import read_topic_policy
from recsys.types import RecsysError, Split
from recsys.types.topics import TopicItems

PLACE = "ranker: control: topics"


def resolve_topics(control: Any, split: Split) -> TopicItems | None:
    """Return the topics of a split, by the policy that `control` names where it does; None where there is no policy.

    A model has learned from all rows of the split, so that a split with items of sensitive topics is refused: leaving
    them out afterwards would leave what the model learned from them.

    Raises:
        RecsysError: as `read_topic_policy` does, for a split that was made by another policy, or by none and has items
            of sensitive topics.
    """
    if not isinstance(control, Mapping) or control.get("topics") is None:
        return split.topics
    policy = read_topic_policy(control["topics"], PLACE)
    advice = "expected one made with this policy: topics= of recsys.splits.no_holdout and of every other split"
    if split.topics is not None:
        if split.topics.digest != policy.digest:
            raise RecsysError(f"{PLACE}: the split was made by another policy, {advice}")
        return split.topics
    found = policy.find_topic_items(split.items)
    if count := int(found.find_sensitive_items().sum()):
        raise RecsysError(f"{PLACE}: {count:,} items of the split are of sensitive topics, {advice}")
    return found
