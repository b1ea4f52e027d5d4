"""Welcome back: what users began and did not finish, in slots of its own."""

from typing import Any

import numpy as np

from recsys.models.purchase_counts import count_purchases
from recsys.splits.repeats import select_rows
from recsys.splits.settings import find_positives
from recsys.types import Dataset, RecsysError, Split
from recsys.types.arrays import Csr
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import SECONDS_PER_DAY

SHARE, HALF_LIFE = 0.2, 7.0
_MAX_HALVINGS = 100.0  # no row weighs less than 2^-100


def build_unfinished(
    dataset: Dataset,
    split: Split,
    begun: str,
    *,
    share: float = SHARE,
    half_life: float = HALF_LIFE,
    max_days: float | None = None,
    now: Any = None,
) -> RepeatHistories:
    """Return what the users of a split began and did not finish, as the guard `repeat` gives it slots.

    `begun` says which rows are a beginning, such as "weight < 4" where {"view": 1, "purchase": 4} are the `events` of
    the data; none of them is a positive of the split. An item is unfinished where the user has rows of `begun` and
    no positive of it before the moment `now`. Its score is the sum of 2^(-age / half_life) over these rows, days
    before `now`; with `max_days`, an item whose last row is older is given up. `share` is the most of a slate that goes
    to unfinished items: the cap.

    `now` is by default when the first held-out part begins, in a split at points in time, and the end of the rows where
    nothing is held out. Rows that the split may not use, and those of forgotten people and items, are left out as in
    `recsys.splits.select_purchases`.

    Raises:
        RecsysError: if the data has no times, or is not that of the split, `begun` is no such expression, holds for
            positives or for no row before `now`, a number is out of its range, or `now` is missing in a split by user.
    """
    share = check_number("build_unfinished: share", share, most=1.0, noun="a share")
    half_life = check_number("build_unfinished: half_life", half_life, above=0.0)
    days = np.inf if max_days is None else check_number("build_unfinished: max_days", max_days, above=0.0)
    moment = _find_moment(dataset, split, now)
    left = _select_unfinished(dataset, split, begun, moment)
    late = left.pairs[left.datetime >= moment - days * SECONDS_PER_DAY]
    left = left.take_rows(np.isin(left.pairs, late))
    ages = (moment - left.datetime) / (half_life * SECONDS_PER_DAY)
    scores = count_purchases(left, np.exp2(-np.minimum(ages, _MAX_HALVINGS))).astype(np.float32)
    nothing = Csr(split.shape, dtype=np.float64)
    return RepeatHistories(scores, np.full(split.shape[0], share), nothing, share, moment)


def _find_moment(dataset: Dataset, split: Split, now: Any) -> int:
    when = dataset.interactions.datetime
    if when is None:
        raise RecsysError(
            f"{dataset.name}: has no times, and what is unfinished needs them: expected a column datetime"
        )
    if now is not None:
        return int(parse_moment("build_unfinished: now", now))
    if split.has_global_cut:
        return split.cuts[0]
    if split.test.nnz or split.validation.nnz:
        found = f"a split of kind {split.kind}, whose held-out rows have no common beginning"
        raise RecsysError(
            f"build_unfinished: found {found}, expected now=, or a split at one point in time: global_time"
        )
    return int(when.max()) + 1


def _select_unfinished(dataset: Dataset, split: Split, begun: str, moment: int) -> Purchases:
    """Return the rows of `begun` before a moment whose user has no positive of the item before it."""
    if not isinstance(begun, str):
        raise RecsysError(f"build_unfinished: begun is {begun!r}, expected text such as 'weight < 4'")
    positive = None if split.filter_settings is None else split.filter_settings.positive
    finished = select_rows(dataset, split, positive, moment)
    try:
        rows = select_rows(dataset, split, begun, moment)
        both = [find_positives(dataset.interactions.weight, one, dataset.columns) for one in (begun, positive)]
    except RecsysError as error:
        raise RecsysError(f"build_unfinished: begun: {str(error).removeprefix('positive: ')}") from None
    if (n_both := int((both[0] & both[1]).sum())) > 0:
        found = f"{n_both:,} positives ({positive or 'all rows'}) satisfy begun, {begun!r}"
        raise RecsysError(f"build_unfinished: {found}, expected an expression for rows that are none")
    if not len(rows):
        shown = np.datetime64(moment, "s")
        raise RecsysError(f"build_unfinished: no row before {shown} satisfies {begun!r}, expected some")
    return rows.take_rows(~np.isin(rows.pairs, finished.pairs))
