"""A content model: what a user consumed as a mix of attributes, and items by how much of that mix they have."""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from recsys.models.checks import CheckedArrays
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.simulation.policies import Recommender, RunningRecommender
from recsys.simulation.records import Population
from recsys.types import RecsysError
from recsys.types.arrays import Csr, Doubles, Floats, Ints
from recsys.types.models import SideInformation
from recsys.types.numbers import check_int, convert_fields_to_python
from recsys.types.user_rows import mark_user_rows

RIDGE = 1e-9  # share of the largest diagonal: attributes that no item has, or that say the same, leave a solution


@dataclass(frozen=True, eq=False)
class FittedProfiles(CheckedArrays):
    """Users as non-negative mixes of attributes."""

    profiles: Doubles = field(metadata=mark_user_rows("the mix of attributes"))  # (U, F)
    attributes: Doubles  # (I, F)
    mean_profile: Doubles  # (F,) of those who consumed something
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return how much of the mix of each of B users is in each of I items, (B, I)."""
        return np.asarray(self.profiles[users] @ self.attributes.T, dtype=np.float32)

    def fold(self, histories: Csr) -> Floats:
        """Return the same for B histories (B, I); one with nothing has the mean of all mixes."""
        found = canonicalize_histories(histories, len(self.attributes))
        profiles = solve_profiles(self.attributes, found)
        profiles[np.diff(found.indptr) == 0] = self.mean_profile
        return np.asarray(profiles @ self.attributes.T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class AttributeProfiles:
    """Content filtering: each user is the non-negative mix of attributes that is nearest to what was consumed.

    The mix p of a user is min |A p - h|^2 over p >= 0: A are the attributes of all items, h is 1 for what the user has
    and 0 for all else. An item's score is the product of its attributes with p (Chaney et al. 2018).
    """

    attributes: Doubles  # (I, F) numbers from 0 on

    @check_fit("attribute_profiles")
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedProfiles:
        """Fit to the positives, (U, I).

        Raises:
            RecsysError: if there are attributes for another number of items.
        """
        if len(self.attributes) != train.shape[1]:
            raise RecsysError(
                f"attribute_profiles: attributes of {len(self.attributes)} items, expected those of {train.shape[1]}"
            )
        profiles = solve_profiles(self.attributes, train)
        some = np.diff(train.indptr) > 0
        return FittedProfiles(profiles, self.attributes, profiles[some].mean(axis=0))


def solve_profiles(attributes: Doubles, histories: Csr) -> Doubles:
    """Return the non-negative least squares of each of B histories (B, I) in the attributes (I, F), (B, F).

    All share the triangular root of A'A, so that each is solved in F numbers instead of I.
    """
    gram = attributes.T @ attributes
    root = cholesky(gram + RIDGE * max(gram.diagonal().max(), 1e-300) * np.eye(len(gram)))
    wanted = solve_triangular(root, np.asarray((histories @ attributes).T, dtype=np.float64), trans="T")
    return np.stack([nnls(root, wanted[:, row])[0] for row in range(histories.shape[0])])


@dataclass(frozen=True)
class ContentRecommender:
    """Shows what has most of the attributes that the user consumed so far, by `AttributeProfiles`.

    Attributes are those of the world, or the features of the items of its log; the rest is as in `Recommender`.

    Raises:
        RecsysError: if a setting is out of range.
    """

    k: int = 10
    pool: int = 100  # candidates of each user
    retrain_every: int = 1  # rounds
    random_rounds: int = 0

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        for name, least in (("k", 1), ("pool", self.k), ("retrain_every", 0), ("random_rounds", 0)):
            check_int(f"policy content: {name}", getattr(self, name), least)

    def start(self, population: Population, seed: int) -> RunningRecommender:
        """Return the policy, not yet fitted.

        Raises:
            RecsysError: for a world whose items have no attributes.
        """
        model = AttributeProfiles(get_attributes(population))
        made = Recommender(
            model, k=self.k, pool=self.pool, retrain_every=self.retrain_every, random_rounds=self.random_rounds
        )
        return made.start(population, seed)


def get_attributes(population: Population) -> Doubles:
    """Return the attributes of a world's items, or the features of its log's, (I, F).

    Raises:
        RecsysError: where it has none.
    """
    found = getattr(population, "attributes", None)
    if found is None and population.history is not None:
        found = population.history.items.features.toarray()
    if found is None or not found.shape[1]:
        raise RecsysError("policy content: the items of this world have no attributes, expected some")
    return np.asarray(found, dtype=np.float64)
