"""One-offs: positives that fit nothing else of their history, and what tells them in a history that is new."""

from dataclasses import dataclass

from recsys.types.arrays import Csr, Doubles, Floats
from recsys.types.checks import check_array, check_finite, check_matrix
from recsys.types.errors import RecsysError
from recsys.types.held_back import HeldBack
from recsys.types.numbers import check_int


@dataclass(frozen=True, eq=False)
class OneOffs(HeldBack):
    """The score of each training positive of U users as a one-off, and what a score is made of.

    `recsys.evidence.detect_one_offs` makes it. The score is 0 for what was bought again, or of a short history.
    """

    vectors: Floats  # (I, d) unit rows of the space `cooccurrence`, in which isolation is measured
    n_near: int  # of the nearest others that isolation is the distance to
    min_history: int  # positives below which a history has no one-off
    item_factors: Floats | None = None  # (I, f) that influence is measured with
    fold_weights: Doubles | None = None  # (5,) or (6,): those of `recsys.maths.one_offs.FoldWeights`
    region_shares: Csr | None = None  # (I, Z) in the place of factors, where a model has none

    def check_one_offs(self, place: str, train: Csr) -> None:
        """Refuse arrays that do not go together, or not with the positives (U, I).

        Raises:
            RecsysError: naming `place`.
        """
        n_items = train.shape[1]
        self.check_held_back(place, train)
        check_array(f"{place}: vectors", self.vectors, (n_items, None))
        check_finite(f"{place}: vectors", self.vectors)
        check_int(f"{place}: n_near", self.n_near, 1)
        check_int(f"{place}: min_history", self.min_history, 2)
        if self.region_shares is not None:
            check_matrix(f"{place}: region_shares", self.region_shares, (n_items, self.region_shares.shape[1]))
            return
        if self.item_factors is None or self.fold_weights is None:
            raise RecsysError(f"{place}: has neither item_factors and fold_weights nor region_shares, expected either")
        check_array(f"{place}: item_factors", self.item_factors, (n_items, None))
        check_array(f"{place}: fold_weights", self.fold_weights, (6 if len(self.fold_weights) == 6 else 5,))
        check_finite(f"{place}: item_factors", self.item_factors)
        check_finite(f"{place}: fold_weights", self.fold_weights)
