"""A split without held-out data, for models in production."""

from collections.abc import Sequence
from os import PathLike

import numpy as np

from recsys.splits.pairs import filter_pairs
from recsys.splits.permissions import describe_permissions
from recsys.splits.records import build_pair_matrix
from recsys.splits.settings import FilterSettings
from recsys.support.forget_lists import ForgetList
from recsys.types.arrays import make_empty_matrix
from recsys.types.datasets import Dataset
from recsys.types.splits import Split
from recsys.types.topics import TopicPolicy

_SETTINGS = {"kind": "random", "test": 0.5, "validation": 0.0}  # part of the fingerprint


def no_holdout(
    dataset: Dataset,
    *,
    positive: str | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    sources: Sequence[str] | None = None,
    purposes: Sequence[str] | None = None,
    topics: TopicPolicy | None = None,
    forget_list: str | PathLike[str] | ForgetList | None = None,
    seed: int = 0,
) -> Split:
    """Return the filtered data with every positive in train, by the rules of the other splits.

    Raises:
        RecsysError: if a setting is invalid, or nobody is left.
    """
    least = (min_user_interactions, min_item_interactions)
    settings = FilterSettings(positive, *least, "keep", seed, sources, purposes, topics, forget_list)
    pairs = filter_pairs(dataset, settings)
    ones = np.ones(len(pairs.user), dtype=np.float32)
    none = make_empty_matrix((len(pairs.user_ids), len(pairs.items.ids)))
    return Split(
        kind="whole",
        seed=settings.seed,
        user_ids=pairs.user_ids,
        items=pairs.items,
        train=build_pair_matrix(pairs, pairs.positive, ones),
        validation=none,
        test=none,
        train_negatives=build_pair_matrix(pairs, ~pairs.positive, ones),
        validation_negatives=none,
        train_times=None
        if pairs.datetime is None
        else build_pair_matrix(pairs, pairs.positive, pairs.datetime.astype(np.float64)),
        fingerprint=settings.compute_fingerprint(dataset, _SETTINGS, "whole "),
        topics=pairs.topics,
        filter_settings=settings,
        counts=pairs.counts,
        notes=tuple(describe_permissions(pairs.counts, settings.sources, settings.purposes)),
    )
