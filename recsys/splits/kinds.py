"""The four kinds of split."""

from collections.abc import Sequence

from recsys.splits import parts
from recsys.splits.pairs import Pairs, filter_pairs
from recsys.splits.permissions import check_dataset
from recsys.splits.records import split_of
from recsys.splits.settings import Settings
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError
from recsys.types.splits import Split


def global_time(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user: int = 0,
    min_item: int = 0,
    unseen: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split at two points in time, the same for all users: no training data is later than test data.

    `test` and `validation` are shares of all positives; pairs tied with a cut fall to its later side, so a
    part may be larger than its share. Users who come after the cut stay, as rows without training positives.

    Raises:
        RecsysError: if a setting cannot be meant, the data has no datetime, or a part is empty.
    """
    settings = Settings("global_time", test, validation, positive, min_user, min_item, unseen, seed, sources)
    pairs = _timed(dataset, settings)
    part, test_from = parts.by_time(pairs, settings)
    return split_of(dataset, pairs, part, settings, test_from)


def per_user_time(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user: int = 0,
    min_item: int = 0,
    unseen: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split by each user's time: the last share of the positives is test, the one before validation.

    Shares are rounded to the nearest number (halves up), at least one for test; one always stays in train.

    Raises:
        RecsysError: if a setting cannot be meant, the data has no datetime, or a part is empty.
    """
    settings = Settings("per_user_time", test, validation, positive, min_user, min_item, unseen, seed, sources)
    pairs = _timed(dataset, settings)
    return split_of(dataset, pairs, parts.by_user(pairs, settings, timed=True), settings)


def leave_last(
    dataset: Dataset,
    *,
    test: int = 1,
    validation: int = 0,
    positive: str | None = None,
    min_user: int = 0,
    min_item: int = 0,
    unseen: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split that tests on each user's last `test` positives; `validation` (0 or 1) is what is before.

    One positive always stays in train: who has too few gives up validation first.

    Raises:
        RecsysError: if a setting cannot be meant, the data has no datetime, or a part is empty.
    """
    settings = Settings("leave_last", test, validation, positive, min_user, min_item, unseen, seed, sources)
    pairs = _timed(dataset, settings)
    return split_of(dataset, pairs, parts.by_user(pairs, settings, timed=True), settings)


def random(
    dataset: Dataset,
    *,
    test: float = 0.2,
    validation: float = 0.0,
    positive: str | None = None,
    min_user: int = 0,
    min_item: int = 0,
    unseen: str = "drop",
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Return the split of each user's positives at random: `per_user_time` with random numbers as times.

    So the shares hold for every user, not only on average, and others are dealt out as positives are.

    Raises:
        RecsysError: if a setting cannot be meant, or a part is empty.
    """
    settings = Settings("random", test, validation, positive, min_user, min_item, unseen, seed, sources)
    pairs = filter_pairs(dataset, settings)
    return split_of(dataset, pairs, parts.by_user(pairs, settings, timed=False), settings)


def _timed(dataset: Dataset, settings: Settings) -> Pairs:
    check_dataset(dataset)
    if dataset.interactions.datetime is None:
        raise RecsysError(f"{settings.kind}: {dataset.name} has no datetime, and this split needs one: use random")
    return filter_pairs(dataset, settings)
