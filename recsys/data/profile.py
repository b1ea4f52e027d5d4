"""The profile of a dataset: counts, density, inequality of popularity, ties in time."""

from dataclasses import dataclass

import numpy as np

from recsys.maths.popularity import gini
from recsys.types import Dataset, Interactions, Items, RecsysError
from recsys.types.arrays import Anys, Longs

N_BINS = 30
LOG_BINS_FROM_RATIO = 100  # weights that differ by more than this factor are binned by their logarithm


@dataclass(frozen=True)
class CountSummary:
    """How a count is spread over users or items."""

    minimum: int
    median: float
    mean: float
    p90: float
    maximum: int


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins; n of them, with n + 1 edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    logarithmic: bool = False  # bins of equal width in the logarithm


@dataclass(frozen=True)
class TimeSummary:
    """When it happened, and how often a time does not tell the order."""

    first: int  # seconds since 1970-01-01 UTC
    last: int
    rows: Histogram
    tied_users: float  # share of users with more than one row at their last time
    tied_rows: float  # share of rows whose user has another row at the same time


@dataclass(frozen=True)
class FeatureSummary:
    """One feature of items."""

    name: str
    items: int
    row_share: float  # of the rows


@dataclass(frozen=True)
class Description:
    """A dataset in numbers."""

    name: str
    fingerprint: str
    users: int
    items: int
    rows: int
    pairs: int  # distinct user-item pairs
    repeated_pairs: int  # that occur more than once
    density: float  # pairs / (users x items)
    gini: float  # of the rows per item: 0 when all items are as popular
    per_user: CountSummary
    per_item: CountSummary
    single_row_users: float  # share of users with one row
    rows_per_user: Histogram  # users by the logarithm of their rows
    popularity_curve: tuple[float, ...]  # share of the rows that the 1/30, 2/30, ... most popular items have
    weights: Histogram | tuple[tuple[float, int], ...]  # or each value and its rows, where they are few
    times: TimeSummary | None
    features: tuple[FeatureSummary, ...]  # most rows first
    items_without_features: int
    items_without_title: int
    items_without_year: int
    notes: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()  # of a table of one's own: field and column
    item_columns: tuple[tuple[str, str], ...] = ()  # the same of the table of its items
    dialect: str = ""  # how a text is written


def describe_dataset(dataset: Dataset) -> Description:
    """Return the numbers of a dataset; `draw` shows them.

    Raises:
        RecsysError: if it is no dataset.
    """
    if not isinstance(dataset, Dataset):
        raise RecsysError(
            f"describe: found a {type(dataset).__name__}, expected a Dataset: recsys.read_dataset makes one"
        )
    log, items = dataset.interactions, dataset.items
    users, catalogue = len(log.user_ids), len(log.item_ids)
    per_user, per_item = np.bincount(log.user, minlength=users), np.bincount(log.item, minlength=catalogue)
    _, again = np.unique(log.user.astype(np.int64) * catalogue + log.item, return_counts=True)
    return Description(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        users=users,
        items=catalogue,
        rows=len(log),
        pairs=len(again),
        repeated_pairs=int((again > 1).sum()),
        density=len(again) / (users * catalogue),
        gini=float(gini(per_item.astype(np.float64))),
        per_user=_summarize_counts(per_user),
        per_item=_summarize_counts(per_item),
        single_row_users=float((per_user == 1).mean()),
        rows_per_user=_build_histogram(per_user, 1.0, max(float(per_user.max()), 2.0), logarithmic=True),
        popularity_curve=_compute_popularity_curve(per_item),
        weights=_summarize_weights(log.weight),
        times=_summarize_times(log),
        features=_summarize_features(items, per_item),
        items_without_features=int((np.diff(items.features.indptr) == 0).sum()),
        items_without_title=int((items.titles == "").sum()),
        items_without_year=int((items.years == 0).sum()),
        notes=(*dataset.notes, *_describe_permissions(log)),
        columns=tuple(dataset.columns.items()),
        item_columns=tuple(dataset.card.get("item_columns", {}).items()),
        dialect=str(dataset.card.get("dialect", "")),
    )


def _summarize_counts(counts: Longs) -> CountSummary:
    return CountSummary(
        minimum=int(counts.min()),
        median=float(np.median(counts)),
        mean=float(counts.mean()),
        p90=float(np.quantile(counts, 0.9)),
        maximum=int(counts.max()),
    )


def _build_histogram(values: Anys, least: float, most: float, logarithmic: bool = False) -> Histogram:
    space = np.geomspace if logarithmic else np.linspace
    counts, edges = np.histogram(values, bins=space(least, most, N_BINS + 1))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()), logarithmic)


def _compute_popularity_curve(per_item: Longs) -> tuple[float, ...]:
    held = np.concatenate([[0], np.cumsum(np.sort(per_item)[::-1])])
    upto = np.ceil(np.arange(1, N_BINS + 1) * len(per_item) / N_BINS).astype(np.int64)
    return tuple((held[upto] / held[-1]).tolist())


def _summarize_weights(weight: Anys) -> Histogram | tuple[tuple[float, int], ...]:
    values, counts = np.unique(weight, return_counts=True)
    if len(values) <= 12:
        return tuple(zip(values.astype(float).tolist(), counts.tolist(), strict=True))
    least, most = float(values[0]), float(values[-1])
    return _build_histogram(
        weight.astype(np.float64), least, most, logarithmic=least > 0 and most > LOG_BINS_FROM_RATIO * least
    )


def _summarize_times(log: Interactions) -> TimeSummary | None:
    if log.datetime is None:
        return None
    when = log.datetime
    order = np.lexsort((when, log.user))
    user, time = log.user[order], when[order]
    same = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    tied = np.concatenate([same, [False]]) | np.concatenate([[False], same])
    last = np.concatenate([user[1:] != user[:-1], [True]])
    first, until = int(when.min()), int(when.max())
    return TimeSummary(
        first=first,
        last=until,
        rows=_build_histogram(when, first, max(until, first + 1)),
        tied_users=float(tied[last].mean()),
        tied_rows=float(tied.mean()),
    )


def _describe_permissions(log: Interactions) -> list[str]:
    """Return notes on the rows that splits leave out of these numbers, or can leave out."""
    said = []
    if log.consent is not None:
        said.append(
            f"{int((~log.consent).sum()):,} of {len(log):,} rows without consent: in these numbers, in no split"
        )
    if log.source is not None:
        names, rows = np.unique(log.source, return_counts=True)
        most = np.argsort(-rows, kind="stable")[:10]
        told = ", ".join(f"{names[i] or 'none'} {rows[i]:,}" for i in most) + (", ..." if len(names) > 10 else "")
        said.append(f"rows by source: {told}")
    if log.purposes is not None:
        found = sorted(zip(-log.purposes.sum(axis=0), log.purpose_names, strict=True))[:10]
        told = ", ".join(f"{name} {-n:,}" for n, name in found) + (", ..." if len(log.purpose_names) > 10 else "")
        said.append(f"rows by purpose: {told or 'none'}")
        none = int((~log.purposes.any(axis=1)).sum())
        said += [f"{none:,} of {len(log):,} rows permit no purpose: in these numbers, in no split"] if none else []
    return said


def _summarize_features(items: Items, per_item: Longs) -> tuple[FeatureSummary, ...]:
    held = np.asarray(items.features.sum(axis=0)).ravel().astype(np.int64)
    share = items.features.T @ per_item.astype(np.float64) / per_item.sum()
    order = np.lexsort((np.asarray(items.feature_names), -share))
    return tuple(FeatureSummary(items.feature_names[f], int(held[f]), float(share[f])) for f in order)
