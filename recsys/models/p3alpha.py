"""Random walks of three steps over users and items."""

from dataclasses import dataclass

from recsys.models.by_links import ByLinks
from recsys.models.checks import Need, at_least_one, enough_memory, from_zero, yes_or_no
from recsys.models.fits import checked_fit
from recsys.models.neighbours import for_links
from recsys.models.walks import walk_links
from recsys.models.weightings import lengths
from recsys.types.arrays import Csr
from recsys.types.models import Side
from recsys.types.numbers import make_plain


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
        RecsysError: if a setting cannot be meant.
    """

    alpha: float = 0.55
    k: int = 100
    normalize: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        at_least_one("p3alpha", k=self.k)
        from_zero("p3alpha", alpha=self.alpha)
        yes_or_no("p3alpha", normalize=self.normalize)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_links(train, self.k)

    @checked_fit("p3alpha")
    def fit(self, train: Csr, side: Side | None = None) -> ByLinks:
        """Fit to the positives, (U, I): exact, in blocks of items.

        Raises:
            RecsysError: if there are no positives, or the links are too large for the memory of this machine.
        """
        enough_memory("p3alpha", self.need(train))
        links = walk_links(train, self.alpha, 0.0, self.k, self.normalize)
        return ByLinks(train, links, lengths(Csr(train.T)))
