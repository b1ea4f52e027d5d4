"""The policy of a ranker: how picks are scaled, ordered and drawn."""

import math
from dataclasses import dataclass

from recsys.reranking.orders import check_order
from recsys.types.numbers import check_flag, check_int, check_number, convert_fields_to_python


@dataclass(frozen=True)
class Policy:
    """Settings of a ranker that are those of `recsys.rerank` and `recsys.candidates`.

    Raises:
        RecsysError: if one of them is invalid.
    """

    k: int = 10  # picks of a slate, where a request does not say
    n: int = 200  # candidates that `Ranker.rank` retrieves
    order: str = "gain"  # how picks stand: as picked, or by "relevance"
    temperature: float = 0.0  # of the softmax over gains; 0 picks the largest
    epsilon: float = 0.0  # the share of slots that may show any candidate
    seed: int = 0  # of draws, where a request does not say
    exclude_seen: bool = True  # whether `Ranker.rank` leaves out items that the user has seen
    exploration_share: float = 0.0  # the share of retrieval that is kept for regions the history never touched

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        for name, least in (("k", 1), ("n", 1), ("seed", None)):
            check_int(f"ranker: {name}", getattr(self, name), least)
        for name, most in (("temperature", math.inf), ("epsilon", 1.0), ("exploration_share", 1.0)):
            check_number(f"ranker: {name}", getattr(self, name), most=most)
        check_order(self.order, "ranker: ", drawn=self.is_stochastic)
        check_flag("ranker: exclude_seen", self.exclude_seen)

    @property
    def is_stochastic(self) -> bool:
        """Whether picks are drawn."""
        return self.temperature > 0 or self.epsilon > 0
