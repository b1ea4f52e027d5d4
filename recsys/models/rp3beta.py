"""Random walks of three steps over users and items, less the pull of popular items."""

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
class RP3beta:
    """P3alpha with its links divided by the popularity of the item they lead to (Paudel et al. 2017).

    The link from j to i is sum_u (1 / n_j)^alpha (1 / |H_u|)^alpha / n_i^beta over the users u of both, n_i the number
    of users of i. Which links stay, what `normalize` scales, and what values other than 1 and users without links
    get is as for `P3alpha`. docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting is invalid.
    """

    alpha: float = 0.3  # power of the transition probabilities
    beta: float = 0.5  # power of the popularity that a link is divided by; 0 is `P3alpha`
    k: int = 200  # links that each item keeps
    normalize: bool = False  # whether the links of an item sum to 1

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_positive_ints("rp3beta", k=self.k)
        check_non_negative("rp3beta", alpha=self.alpha, beta=self.beta)
        check_booleans("rp3beta", normalize=self.normalize)

    def estimate_memory(self, train: Csr) -> MemoryNeed:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return estimate_link_memory(train, self.k)

    @check_fit("rp3beta")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedItemSimilarity:
        """Fit to the positives, (U, I): exact, in blocks of items.

        Raises:
            RecsysError: if there are no positives, or the links are too large for the memory of this machine.
        """
        check_memory("rp3beta", self.estimate_memory(train))
        links = compute_walk_links(train, self.alpha, self.beta, self.k, self.normalize)
        lengths, popularity = compute_relative_lengths(Csr(train.T)), sum_weighted_popularity(side)
        return FittedItemSimilarity(train, links, lengths, popularity=popularity)
