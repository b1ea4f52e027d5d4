"""How a ranker picks, beside what its blend says."""

import math
from dataclasses import dataclass
from typing import get_args

from recsys.slates import Order
from recsys.types import RecsysError, check_choice
from recsys.types.numbers import make_plain, number, whole

HISTORIES = ("exclude", "keep")


@dataclass(frozen=True)
class Policy:
    """Settings of a ranker that are those of `recsys.rerank` and `recsys.candidates`.

    Raises:
        RecsysError: if one of them cannot be meant.
    """

    k: int = 10  # picks of a slate, where a request does not say
    n: int = 200  # candidates that `Ranker.rank` retrieves
    order: str = "gain"  # how picks stand: as picked, or by "relevance"
    temperature: float = 0.0  # of the softmax over gains; 0 picks the largest
    epsilon: float = 0.0  # the share of slots that may show any candidate
    seed: int = 0  # of draws, where a request does not say
    history: str = "exclude"  # whether `Ranker.rank` may retrieve what was met: "keep"
    reach: float = 0.0  # the share of retrieval that is kept for regions the history never touched

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        make_plain(self)
        for name, least in (("k", 1), ("n", 1), ("seed", None)):
            whole(f"ranker: {name}", getattr(self, name), least)
        for name, most in (("temperature", math.inf), ("epsilon", 1.0), ("reach", 1.0)):
            number(f"ranker: {name}", getattr(self, name), most=most)
        check_choice("order", self.order, get_args(Order), where="ranker")
        if self.order == "relevance" and self.drawn:
            raise RecsysError(
                "ranker: order is 'relevance' where picks are drawn, expected 'gain': chances are by slot"
            )
        check_choice("history", self.history, HISTORIES, where="ranker")

    @property
    def drawn(self) -> bool:
        """Whether picks are drawn."""
        return self.temperature > 0 or self.epsilon > 0
