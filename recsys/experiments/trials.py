"""What a published protocol makes of the data: a matrix to fit to, users to judge, and against what."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys import seeds
from recsys.experiments.recipes import Protocol
from recsys.metrics.sampled import draw_negatives
from recsys.types import Items, Negatives, RecsysError, Scorer, Split
from recsys.types.arrays import Csr, Floats, Ints, empty


@dataclass(frozen=True, eq=False)
class Trial:
    """Fit to `fit`, judge on `split`. Users who are held out are no rows of `fit`: their `train` is folded in."""

    fit: Csr  # (U', I) positives
    ratings: Csr | None  # (U', I) the same cells with the values of the log
    split: Split
    negatives: tuple[Negatives, ...] = ()  # one per draw; none where the whole catalogue is ranked
    folded: bool = False

    def scorer(self, fitted: Scorer) -> Scorer:
        """Return what scores the users of the split."""
        return Folded(fitted, self.split.train) if self.folded else fitted


@dataclass(frozen=True, eq=False)
class Folded:
    """Users whom the model has not seen, by their histories."""

    fitted: Scorer
    histories: Csr  # (B, I)
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of the users in these rows, (B, I)."""
        return self.fitted.fold(self.histories[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of further histories."""
        return self.fitted.fold(histories)


def against(split: Split, protocol: Protocol, seed: int) -> tuple[Negatives, ...]:
    """Return the negatives that the protocol draws, none where the whole catalogue is ranked."""
    wanted = protocol.negatives
    if wanted is None:
        return ()
    return tuple(draw_negatives(split, wanted.n, seeds.derive(seed, "draw", draw)) for draw in range(wanted.draws))


def widened(split: Split, catalogue: int | None) -> Split:
    """Return the split with as many items that nobody has as it needs for a catalogue of that size.

    Raises:
        RecsysError: if the data has more items already.
    """
    items = split.items
    more = 0 if catalogue is None else catalogue - len(items.ids)
    if more < 0:
        raise RecsysError(f"[protocol]: catalogue is {catalogue}, expected at least the {len(items.ids)} of the data")
    names = np.array([f"unrated {number}" for number in range(more)], dtype=np.str_)
    features = sparse.vstack([items.features, empty((more, items.features.shape[1]))], format="csr")
    wide = Items(
        np.concatenate([items.ids, names]),
        np.concatenate([items.titles, np.full(more, "", dtype=np.str_)]),
        Csr(features),
        items.feature_names,
        np.concatenate([items.years, np.zeros(more, dtype=np.int32)]),
    )
    return replace(
        split,
        items=wide,
        train=_wide(split.train, more),
        validation=_wide(split.validation, more),
        test=_wide(split.test, more),
        train_other=_wide(split.train_other, more),
        validation_other=_wide(split.validation_other, more),
    )


def _wide(matrix: Csr, more: int) -> Csr:
    shape = (matrix.shape[0], matrix.shape[1] + more)
    return Csr((matrix.data, matrix.indices, matrix.indptr), shape=shape)
