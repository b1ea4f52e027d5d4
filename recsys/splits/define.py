"""What all splits share: settings, filter, permissions, the record, its name and its notes."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from os import PathLike
from typing import Any, Protocol, cast

import numpy as np

from recsys.splits.pairs import filter_pairs
from recsys.splits.parts import TEST, TRAIN, PartAssignment
from recsys.splits.permissions import check_dataset
from recsys.splits.records import build_split
from recsys.splits.settings import FilterSettings, check_sizes
from recsys.support.forget_lists import ForgetList
from recsys.support.resolver import check_settings, list_settings, name_extension
from recsys.types.arrays import Ints
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError
from recsys.types.splits import Split
from recsys.types.topics import TopicPolicy


class SplitFunction(Protocol):
    """A split: a dataset in, train, validation and test out."""

    __name__: str

    def __call__(
        self,
        dataset: Dataset,
        *,
        positive: str | None = FilterSettings.positive,
        min_user_interactions: int = FilterSettings.min_user_interactions,
        min_item_interactions: int = FilterSettings.min_item_interactions,
        cold_items: str = FilterSettings.cold_items,
        sources: Sequence[str] | None = FilterSettings.sources,
        purposes: Sequence[str] | None = FilterSettings.purposes,
        topics: TopicPolicy | None = FilterSettings.topics,
        forget_list: str | PathLike[str] | ForgetList | None = FilterSettings.forget_list,
        seed: int = FilterSettings.seed,
        **settings: Any,
    ) -> Split:
        """Return the split, by the filter that all splits share and the settings of this one."""
        ...


_SHARED = {  # the settings of all splits
    name: one
    for name, one in inspect.signature(SplitFunction.__call__).parameters.items()
    if one.kind is one.KEYWORD_ONLY
}


def define_split(rule: Callable[..., Ints | PartAssignment]) -> SplitFunction:
    """Return the split that a rule makes: a function of P pairs that says which part each falls into.

    `rule(pairs, *, ...)` gets the filtered pairs (`recsys.splits.Pairs`) and returns their parts, (P,): 0 train, 1
    validation, 2 test; or a `PartAssignment` that also says what leaks. Its keyword-only parameters are the settings of
    the split beside the filter's. `test` and `validation` are shares where their defaults are, else numbers of pairs.
    `seed` is the one that all splits have.

    >>> import recsys as rs
    >>> @define_split
    ... def odd_ones(pairs, *, step: int = 2):
    ...     return np.where(np.arange(len(pairs.user)) % step, 2, 0)
    >>> data = rs.read_dataset([("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")])
    >>> odd_ones(data, cold_items="keep").test.nnz, odd_ones(data, step=3, cold_items="keep").test.nnz
    (2, 2)

    Raises:
        RecsysError: from the split, if a setting cannot be meant, the rule returns no part for each pair, or a part is
            empty.
    """
    own = list_settings(rule, "a split", n_inputs=1)
    is_ours = (rule.__module__ or "").startswith("recsys.")
    kind = rule.__name__ if is_ours else name_extension(rule, {})

    @wraps(rule)
    def split(dataset: Dataset, **given: Any) -> Split:
        filtering = FilterSettings(**{name: value for name, value in given.items() if name in _SHARED})
        settings = {name: value for name, value in given.items() if name not in _SHARED}
        sizes = {name: one for name, one in own.items() if name != "seed"}
        check_sizes(kind, sizes, settings)
        told = {name: one.default for name, one in sizes.items()} | check_settings(kind, sizes, settings)
        check_dataset(dataset)
        pairs = filter_pairs(dataset, filtering)
        assigned = rule(pairs, **told, **({"seed": filtering.seed} if "seed" in own else {}))
        if not isinstance(assigned, PartAssignment):
            assigned = PartAssignment(assigned)
        part = _check_part(kind, assigned.part, len(pairs.user))
        source = {} if is_ours else {"parts": hashlib.sha256(part.tobytes()).hexdigest()}
        fingerprint = filtering.compute_fingerprint(dataset, {"kind": kind, **told, **source})
        return build_split(
            dataset,
            pairs,
            PartAssignment(part, assigned.leakage, assigned.test_from),
            kind,
            told,
            filtering,
            fingerprint,
        )

    split.__signature__ = _join_signatures(own)  # type: ignore[attr-defined]
    return cast(SplitFunction, split)


def _join_signatures(own: Mapping[str, inspect.Parameter]) -> inspect.Signature:
    """Return the parameters of a split: the dataset, its own settings, and those that all share."""
    dataset = inspect.signature(SplitFunction.__call__).parameters["dataset"]
    first = [one.replace(kind=one.KEYWORD_ONLY) for name, one in own.items() if name != "seed"]
    return inspect.Signature([dataset, *first, *_SHARED.values()], return_annotation=Split)


def _check_part(kind: str, part: Any, n_pairs: int) -> Ints:
    found = np.asarray(part)
    if found.shape != (n_pairs,) or found.dtype.kind not in "iub":
        what = f"an array of shape {found.shape} and type {found.dtype}"
        raise RecsysError(
            f"{kind}: returns {what}, expected whole numbers of shape ({n_pairs},): the part of each pair"
        )
    if len(found) and not TRAIN <= int(found.min()) <= int(found.max()) <= TEST:
        raise RecsysError(
            f"{kind}: returns parts from {found.min()} to {found.max()}, expected 0 train, 1 validation or 2 test"
        )
    return np.ascontiguousarray(found, dtype=np.int32)
