"""How users choose from a slate, and how what they consume changes them: each part can be turned off."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from recsys.support import rng
from recsys.types import check_choice, make_unknown_name_error
from recsys.types.arrays import Doubles, Ints, Longs
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_number, convert_fields_to_python

CHOICES = ("multinomial", "cascade")


@dataclass(frozen=True)
class Behaviour:
    """How a group of users chooses and changes. The log-odds of a like, v, are those of now.

    `multinomial`: one item of the slate or none, by a multinomial logit: an item at place r (from 1) has the weight
    a(r) exp(sharpness v), nothing has exp(no_choice). `cascade`: places are looked at in order, each with the
    probability a(r), and the first item that is liked at first sight, with probability expit(sharpness v - no_choice),
    is taken. Attention is a(r) = r^-position_exponent exp(-position_decay (r - 1)): 1 at every place by default.

    Without the recommender a user finds only what the user is aware of: at first the `known_share` of the catalogue
    that the user would come upon first, later also whatever was shown (awareness in Fleder and Hosanagar 2009).

    Chaney, Stewart and Engelhardt 2018 have position_exponent = 0.8, Mansoury et al. 2020 position_decay = 0.1.

    Raises:
        RecsysError: if a setting is out of range.
    """

    choice: Literal["multinomial", "cascade"] = "multinomial"
    sharpness: float = 1.0  # how much log-odds of a like decide
    no_choice: float = 0.0  # log-weight of taking nothing
    position_exponent: float = 0.0
    position_decay: float = 0.0
    organic_share: float = 0.0  # probability that a user finds an item without the recommender in a round
    known_share: float = 1.0  # of all items, those that a user knows at first and may find without the recommender
    drift: float = 0.0  # log-odds that a region gains when one of its items is liked, and loses when it is not
    satiation: float = 0.0  # log-odds that a region loses for each item consumed of late
    satiation_memory: float = 0.8  # share of satiation that is left after a round

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_choice("choice", self.choice, CHOICES, where="behaviour")
        for name in ("sharpness", "position_exponent", "position_decay", "drift", "satiation"):
            check_number(f"behaviour: {name}", getattr(self, name))
        check_number("behaviour: no_choice", self.no_choice, -np.inf)
        for name in ("organic_share", "known_share", "satiation_memory"):
            check_number(f"behaviour: {name}", getattr(self, name), most=1.0)

    @property
    def changes_tastes(self) -> bool:
        """Whether what is consumed changes what is liked."""
        return self.drift > 0 or self.satiation > 0

    def get_attention(self, k: int) -> Doubles:
        """Return the attention to each of k places, (k,), 1 at the first."""
        place = np.arange(1, k + 1)
        return np.asarray(place**-self.position_exponent * np.exp(-self.position_decay * (place - 1)))

    def choose(self, logits: Doubles, slates: Ints, users: Longs, seed: int, number: int) -> Ints:
        """Return the place that each user takes from its slate, (B,) from 0, -1 for none.

        `logits` (B, k) are the log-odds of a like, -inf where nothing can be taken. Draws are named by round, user
        and item: in every simulation of a seed the same item meets the same luck.
        """
        attention = self.get_attention(slates.shape[1])
        if self.choice == "cascade":
            luck = rng.draw_uniforms(seed, "first sight", number, users[:, None], slates)
            looked = rng.draw_uniforms(seed, "attention", number, users[:, None], np.arange(slates.shape[1]))
            taken = (luck < expit(self.sharpness * logits - self.no_choice)) & (looked < attention)
            return np.where(taken.any(axis=1), taken.argmax(axis=1), -1).astype(np.int32)
        noise = rng.draw_uniforms(seed, "choice", number, users[:, None], slates)
        value = self.sharpness * logits + np.log(attention) - np.log(-np.log(noise))
        nothing = self.no_choice - np.log(-np.log(rng.draw_uniforms(seed, "no choice", number, users)))
        best = value.argmax(axis=1)
        return np.where(value[np.arange(len(best)), best] > nothing, best, -1).astype(np.int32)

    @staticmethod
    def check_groups(given: Mapping[str, "Behaviour"], names: Iterable[str]) -> None:
        """Refuse behaviours of groups that there are not, or that are none.

        Raises:
            RecsysError: naming the group, with the nearest one.
        """
        known = [str(name) for name in names]
        for name, behaviour in given.items():
            if name not in known:
                raise make_unknown_name_error("group", name, known, where="world")
            if not isinstance(behaviour, Behaviour):
                raise RecsysError(f"world: group {name}: found a {type(behaviour).__name__}, expected a Behaviour")
