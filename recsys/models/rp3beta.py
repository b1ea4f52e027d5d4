"""Random walks of three steps over users and items, less the pull of popular items."""

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
class RP3beta:
    """P3alpha with its links divided by the popularity of the item they lead to (Paudel et al. 2017).

    The link from j to i is sum_u (1 / n_j)^alpha (1 / |H_u|)^alpha / n_i^beta over the users u of both, n_i the number
    of users of i. Which links stay, what `normalize` scales, and what values other than 1 and users without links
    get is as for `P3alpha`. docs/models.md says how near the defaults come to tuned settings.

    Raises:
        RecsysError: if a setting cannot be meant.
    """

    alpha: float = 0.3
    beta: float = 0.5
    k: int = 200
    normalize: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        at_least_one("rp3beta", k=self.k)
        from_zero("rp3beta", alpha=self.alpha, beta=self.beta)
        yes_or_no("rp3beta", normalize=self.normalize)

    def need(self, train: Csr) -> Need:
        """Return the bytes that fitting to the positives, (U, I), takes and keeps."""
        return for_links(train, self.k)

    @checked_fit("rp3beta")
    def fit(self, train: Csr, side: Side | None = None) -> ByLinks:
        """Fit to the positives, (U, I): exact, in blocks of items.

        Raises:
            RecsysError: if there are no positives, or the links are too large for the memory of this machine.
        """
        enough_memory("rp3beta", self.need(train))
        links = walk_links(train, self.alpha, self.beta, self.k, self.normalize)
        return ByLinks(train, links, lengths(Csr(train.T)))
