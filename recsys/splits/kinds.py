"""The four kinds of split."""

from collections.abc import Sequence

from recsys.splits import parts
from recsys.splits.pairs import Pairs, filter_pairs
from recsys.splits.permissions import check_dataset
from recsys.splits.records import build_split
from recsys.splits.settings import SplitSettings
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError
from recsys.types.splits import Split


def global_time(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    cold_items: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split at two points in time, the same for all users: no training data is later than test data.

    `test` and `validation` are shares of all positives; pairs tied with a cut fall to its later side, so a
    part may be larger than its share. Users who come after the cut stay, as rows without training positives.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    settings = SplitSettings(
        "global_time",
        test,
        validation,
        positive,
        min_user_interactions,
        min_item_interactions,
        cold_items,
        seed,
        sources,
    )
    pairs = _filter_timed_pairs(dataset, settings)
    part, test_from = parts.assign_parts_by_time(pairs, settings)
    return build_split(dataset, pairs, part, settings, test_from)


def per_user_time(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    cold_items: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split by each user's time: the last share of the positives is test, the one before validation.

    Shares are rounded to the nearest number (halves up), at least one for test; one always stays in train.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    settings = SplitSettings(
        "per_user_time",
        test,
        validation,
        positive,
        min_user_interactions,
        min_item_interactions,
        cold_items,
        seed,
        sources,
    )
    pairs = _filter_timed_pairs(dataset, settings)
    return build_split(dataset, pairs, parts.assign_parts_by_user(pairs, settings, timed=True), settings)


def leave_last(
    dataset: Dataset,
    *,
    test: int = 1,
    validation: int = 0,
    positive: str | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    cold_items: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split that tests on each user's last `test` positives; `validation` (0 or 1) comes before them.

    One positive always stays in train: who has too few gives up validation first.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    settings = SplitSettings(
        "leave_last",
        test,
        validation,
        positive,
        min_user_interactions,
        min_item_interactions,
        cold_items,
        seed,
        sources,
    )
    pairs = _filter_timed_pairs(dataset, settings)
    return build_split(dataset, pairs, parts.assign_parts_by_user(pairs, settings, timed=True), settings)


def random(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user_interactions: int = 0,
    min_item_interactions: int = 0,
    cold_items: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split of each user's positives at random: `per_user_time` with random numbers as times.

    So the shares hold for every user, not only on average, and others are dealt out as positives are.

    Raises:
        RecsysError: if a setting is invalid, or a part is empty.
    """
    settings = SplitSettings(
        "random", test, validation, positive, min_user_interactions, min_item_interactions, cold_items, seed, sources
    )
    pairs = filter_pairs(dataset, settings)
    return build_split(dataset, pairs, parts.assign_parts_by_user(pairs, settings, timed=False), settings)


def _filter_timed_pairs(dataset: Dataset, settings: SplitSettings) -> Pairs:
    check_dataset(dataset)
    if dataset.interactions.datetime is None:
        raise RecsysError(f"{settings.kind}: {dataset.name} has no datetime, and this split needs one: use random")
    return filter_pairs(dataset, settings)
