"""Setups of published protocols: a matrix to fit to, users to evaluate, and their held-out positives."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys.metrics.sampled import draw_negatives
from recsys.reproductions.published_settings import Protocol
from recsys.support import rng
from recsys.types import Items, RecsysError, SampledNegatives, Scorer, Split
from recsys.types.arrays import Csr, Floats, Ints, make_empty_matrix


@dataclass(frozen=True, eq=False)
class ReproductionSetup:
    """Fit to `fit`, judge on `split`. Users who are held out are no rows of `fit`: their `train` is folded in."""

    fit_positives: Csr  # (U', I) positives
    ratings: Csr | None  # (U', I) the same cells with the values of the log
    split: Split
    negatives: tuple[SampledNegatives, ...] = ()  # one per draw; none where the whole catalogue is ranked
    folds_in: bool = False

    def adapt_scorer(self, fitted: Scorer) -> Scorer:
        """Return the scorer of the split's users, which folds their histories in where users are held out."""
        return FoldedScorer(fitted, self.split.train) if self.folds_in else fitted


@dataclass(frozen=True, eq=False)
class FoldedScorer:
    """A scorer of users whom the model has not seen, by their histories."""

    fitted: Scorer
    histories: Csr  # (B, I)
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of the users in these rows, (B, I)."""
        return self.fitted.fold(self.histories[users])

    def fold(self, histories: Csr) -> Floats:
        """Return the scores of further histories."""
        return self.fitted.fold(histories)


def draw_protocol_negatives(split: Split, protocol: Protocol, seed: int) -> tuple[SampledNegatives, ...]:
    """Return the negatives that the protocol draws, none where the whole catalogue is ranked."""
    wanted = protocol.negatives
    if wanted is None:
        return ()
    return tuple(draw_negatives(split, wanted.n, rng.derive_seed(seed, "draw", draw)) for draw in range(wanted.draws))


def widen_catalogue(split: Split, catalogue: int | None) -> Split:
    """Return the split with items that no user has, up to a catalogue of the given size.

    Raises:
        RecsysError: if the data has more items already.
    """
    items = split.items
    more = 0 if catalogue is None else catalogue - len(items.ids)
    if more < 0:
        raise RecsysError(f"[protocol]: catalogue is {catalogue}, expected at least the {len(items.ids)} of the data")
    names = np.array([f"unrated {number}" for number in range(more)], dtype=np.str_)
    features = sparse.vstack([items.features, make_empty_matrix((more, items.features.shape[1]))], format="csr")
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
        train=_widen_matrix(split.train, more),
        validation=_widen_matrix(split.validation, more),
        test=_widen_matrix(split.test, more),
        train_negatives=_widen_matrix(split.train_negatives, more),
        validation_negatives=_widen_matrix(split.validation_negatives, more),
    )


def _widen_matrix(matrix: Csr, n_added: int) -> Csr:
    shape = (matrix.shape[0], matrix.shape[1] + n_added)
    return Csr((matrix.data, matrix.indices, matrix.indptr), shape=shape)
