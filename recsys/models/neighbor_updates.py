"""Item neighbours without some rows: only similarities to items whose vectors changed are computed anew."""

import numpy as np

from recsys.models.item_knn import ItemKNN
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.sparse_topk import iter_row_blocks, keep_top_k, stack_rows
from recsys.models.tfidf_bm25 import compute_cosines, compute_relative_lengths
from recsys.types.arrays import Anys, Bools, Csr, Ints


def update_item_neighbors(
    fitted: FittedItemSimilarity, settings: ItemKNN, after: Csr, users: Ints
) -> tuple[FittedItemSimilarity, int]:
    """Return item kNN of the positives `after` (U, I), bit for bit, and how many items' neighbours were sought anew.

    `settings` name the `shrink`. The vectors that changed are those of items that one of `users` had, whose weight says
    how many items that user has. The k nearest of another item stay, but for these. They are sought anew among all
    where one that was among them fell below the last, so that an item that was not kept may have its place.
    """
    rows, k, shrink = settings.weigh_items(after), settings.k, float(settings.shrink or 0)
    changed = np.unique(fitted.train[users].indices)
    near = compute_cosines(rows[changed], rows, shrink)  # (C, I), to the bit what it is the other way round
    near[np.arange(len(changed)), changed] = 0.0
    old, narrow = Csr(fitted.links.T), near.astype(np.float32)
    parts, anew = [], 0
    for part in iter_row_blocks(*old.shape):
        kept, unsure = _merge_rows(old[part].toarray(), changed, narrow[:, part].T, k)
        places = np.flatnonzero(unsure | np.isin(np.arange(part.start, part.stop), changed))
        anew += len(places)
        if len(places):
            own = part.start + places
            found = compute_cosines(rows[own], rows, shrink)
            found[np.arange(len(own)), own] = 0.0
            kept[places] = keep_top_k(found, k).toarray()
        parts.append(Csr(kept))
    links = Csr(stack_rows(iter(parts)).T)
    return FittedItemSimilarity(after, links, compute_relative_lengths(Csr(after.T)), fitted.similarity), anew


def _merge_rows(old: Anys, changed: Ints, similarities: Anys, k: int) -> tuple[Anys, Bools]:
    """Return rows of kept neighbours, (n, I), with new `similarities` (n, C) to `changed`, and which are unsure.

    A row that had fewer than k neighbours had all there are. Of others, what was not kept is at most the last, and as
    large as the last only behind those that were kept: the row is sure where its new last is larger, or as large and
    no changed item was or is at that place.
    """
    last = old.min(axis=1, initial=np.inf, where=old > 0)
    full = (old > 0).sum(axis=1) >= k
    tied = (old[:, changed] == last[:, None]).any(axis=1) | (similarities == last[:, None]).any(axis=1)
    old[:, changed] = similarities
    merged = keep_top_k(old, k).toarray()
    least = np.where((merged > 0).sum(axis=1) >= k, merged.min(axis=1, initial=np.inf, where=merged > 0), 0.0)
    return merged, full & ~((least > last) | ((least == last) & ~tied))
