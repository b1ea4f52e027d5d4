"""Random scores: a baseline."""

from dataclasses import dataclass

import numpy as np

from recsys.models.checks import check_ints
from recsys.models.fits import check_fit
from recsys.models.matrices import canonicalize_histories
from recsys.support import rng
from recsys.types.arrays import Csr, Floats, Ints
from recsys.types.models import SideInformation
from recsys.types.numbers import convert_fields_to_python


@dataclass(frozen=True, eq=False)
class FittedRandom:
    """A fitted random model: one number in [0, 1] per user and item, whoever else is asked for."""

    n_items: int
    seed: int
    factors: None = None

    def score(self, users: Ints) -> Floats:
        """Return the scores of B users against all I items, (B, I)."""
        numbers = rng.draw_uniforms(self.seed, "random", np.asarray(users)[:, None], np.arange(self.n_items))
        return numbers.astype(np.float32)

    def fold(self, histories: Csr) -> Floats:
        """Return scores of B histories (B, I), (B, I): drawn from the items they hold, so that they stay the same."""
        rows = canonicalize_histories(histories, self.n_items)
        keys = [rng.derive_seed(self.seed, *row.indices.tolist()) for row in rows]
        numbers = rng.draw_uniforms(self.seed, "fold", np.array(keys, np.uint64)[:, None], np.arange(self.n_items))
        return numbers.astype(np.float32)


@dataclass(frozen=True)
class Random:
    """A baseline that ranks at random.

    Raises:
        RecsysError: if the seed is no whole number.
    """

    seed: int = 0  # makes the draws; the same seed gives the same numbers

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        check_ints("random", seed=self.seed)

    @check_fit("random", weighs=False)
    def fit(self, train: Csr, side: SideInformation | None = None) -> FittedRandom:
        """Remember how many items there are."""
        return FittedRandom(train.shape[1], self.seed)
