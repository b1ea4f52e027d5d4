"""A batch of requests to a ranker: answered one by one in their order, or as columns of arrays."""

from typing import NamedTuple

from recsys.rankers.answers import Recommendation
from recsys.rankers.batch_readers import BatchReader
from recsys.rankers.request_blocks import BlockParts, answer_in_blocks
from recsys.rankers.slate_columns import SlateColumns, make_slate_columns
from recsys.types import RecsysError


class RequestBatch(NamedTuple):
    """Requests of a batch, and what answers them."""

    parts: BlockParts
    reader: BatchReader
    seed: int
    policy: str  # the ranker's name

    def list_answers(self) -> tuple[Recommendation | RecsysError, ...]:
        """Return the answer to each request, or what is wrong with it."""
        slates = (slate for block in answer_in_blocks(*self[:3]) for slate in block.list_slates())
        answer = self.parts.slates.answer
        return tuple([one if isinstance(one, RecsysError) else answer(one, self.policy) for one in slates])

    def make_columns(self) -> SlateColumns:
        """Return the slates of all requests as columns."""
        return make_slate_columns(self.parts.slates, answer_in_blocks(*self[:3]), self.policy)
