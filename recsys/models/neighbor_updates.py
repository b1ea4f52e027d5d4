"""Item neighbours of other rows: only similarities to items whose vectors changed are computed anew."""

import numpy as np

from recsys.models.item_knn import ItemKNN
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.sparse_topk import iter_row_blocks, keep_top_k, stack_rows
from recsys.models.tfidf_bm25 import compute_cosines, compute_relative_lengths
from recsys.types.arrays import Anys, Bools, Csr, Ints

_MOST_TOUCHED = 0.5  # of the items: from here on a fit is faster


def update_item_neighbors(
    fitted: FittedItemSimilarity, settings: ItemKNN, after: Csr, users: Ints
) -> tuple[FittedItemSimilarity, int]:
    """Return item kNN of the positives `after` (U, I), bit for bit, and how many items' neighbours were sought anew.

    `settings` name the `shrink`. The vectors that changed are those of rows that went or came and, but
    for "cosine", of all items that one of `users` had or has: their weights say how many items that user has. Items
    that share no user with one of them keep their neighbours. The k nearest of others stay, but for these; they are
    sought anew among all where one that was among them fell below the last, so that an item that was not kept may have
    its place. Where that is most of the catalogue, all of it is fitted anew.
    """
    rows, k, shrink = settings.weigh_items(after), settings.k, float(settings.shrink or 0)
    changed = _find_changed_items(fitted, after, users)
    sharing = np.unique(rows[changed].indices)
    touched = np.union1d(fitted.train[users].indices, after[sharing].indices)
    if len(touched) > _MOST_TOUCHED * after.shape[1]:
        return settings.fit(after), after.shape[1]
    near = compute_cosines(rows[changed], rows, shrink)  # (C, I), to the bit what it is the other way round
    near[np.arange(len(changed)), changed] = 0.0
    old, narrow = Csr(fitted.links.T), near.astype(np.float32)
    parts, anew = [old], 0
    for part in iter_row_blocks(len(touched), old.shape[1]):
        own = touched[part]
        kept, unsure = _merge_rows(old[own].toarray(), changed, narrow[:, own].T, k)
        places = np.flatnonzero(unsure | np.isin(own, changed))
        anew += len(places)
        if len(places):
            found = compute_cosines(rows[own[places]], rows, shrink)
            found[np.arange(len(places)), own[places]] = 0.0
            kept[places] = keep_top_k(found, k).toarray()
        parts.append(Csr(kept))
    place = np.arange(len(near.T))
    place[touched] = len(near.T) + np.arange(len(touched))
    links = Csr(stack_rows(iter(parts))[place].T)
    return FittedItemSimilarity(after, links, compute_relative_lengths(Csr(after.T)), fitted.similarity), anew


def _find_changed_items(fitted: FittedItemSimilarity, after: Csr, users: Ints) -> Ints:
    """Return the items whose vectors are others than before, ascending."""
    before, now = fitted.train[users], after[users]
    changed = before - now if fitted.similarity == "cosine" else before + now
    return np.unique(changed.nonzero()[1]).astype(np.int32)


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
