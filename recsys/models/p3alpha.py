"""Random walks of three steps over users and items."""

from dataclasses import dataclass

from recsys.models.checks import MemoryNeed, check_booleans, check_memory, check_non_negative, check_positive_ints
from recsys.models.fits import check_fit
from recsys.models.item_similarity import FittedItemSimilarity
from recsys.models.random_walk import compute_walk_links
from recsys.models.sparse_topk import estimate_link_memory, sum_weighted_popularity
from recsys.models.tfidf_bm25 import compute_relative_lengths
from recsys.types.arrays import Csr
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python


@dataclass(frozen=True)
class P3alpha:
    """Three steps of a random walk: to an item of the history, one of its users, one of theirs (Cooper et al. 2014).

    Transition probabilities are taken to the power of alpha: the link from j to i is sum_u (1 / n_j)^alpha
    (1 / |H_u|)^alpha over the users u of both, n_j the number of users of j; the score of i is the sum of the links
    from the history. A link stays if it is among the k largest from j (which `normalize` then scales to sum 1) and
    among the k largest of those to i, as Ferrari Dacrema et al. (2021) do; of equals the first in index order.
    Positives with a value x other than 1 have x / sum x for 1 / |H_u|. A user whose history links to nothing gets
    popularity. docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    alpha: float = 0.55  # power of the transition probabilities
    k: int = 100  # links that each item keeps
    normalize: bool = False  # whether the links of an item sum to 1

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("p3alpha", k=self.k)
        check_non_negative("p3alpha", alpha=self.alpha)
        check_booleans("p3alpha", normalize=self.normalize)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_link_memory(train, self.k)

    @check_fit("p3alpha")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedItemSimilarity:
        """Fit to the positives, (U, I): exact, in blocks of items.

        Raises:
            RecsysError: if there are no positives, or the links are too large for the memory of this machine.
        """
        check_memory("p3alpha", self.estimate_memory(train))
        links = compute_walk_links(train, self.alpha, 0.0, self.k, self.normalize)
        lengths, popularity = compute_relative_lengths(Csr(train.T)), sum_weighted_popularity(side)
        return FittedItemSimilarity(train, links, lengths, popularity=popularity)
