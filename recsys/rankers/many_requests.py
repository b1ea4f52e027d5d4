"""A batch of requests to a ranker: answered one by one in their order, or as columns of arrays."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from recsys.rankers.answers import Recommendation, defer_recommendation
from recsys.rankers.batch_readers import BatchReader
from recsys.rankers.request_blocks import AnsweredBlock, BlockParts, PickedRequests, Slate, answer_in_blocks
from recsys.rankers.request_counts import RequestCounts
from recsys.rankers.slate_columns import SlateColumns, make_slate_columns
from recsys.rankers.slate_makers import SlateMaker
from recsys.types import RecsysError

Answered = Recommendation | RecsysError


class RequestBatch(NamedTuple):
    """Requests of a batch, and what answers them."""

    parts: BlockParts
    reader: BatchReader
    seed: int
    policy: str  # the ranker's name
    counts: RequestCounts  # the ranker's

    def list_answers(self) -> tuple[Answered, ...]:
        """Return the answer to each request, or what is wrong with it."""
        found: list[Answered] = []
        for block in self._answer_blocks():
            answers = {place: self._answer(slate) for place, slate in block.alone.items()}
            if block.picked is not None:
                unread = _UnreadAnswers(self.parts.slates, block.picked, self.policy)
                answers |= {place: defer_recommendation(unread, b) for b, place in enumerate(block.picked.places)}
            found += [answers[place] for place in range(block.size)]
        return tuple(found)

    def _answer(self, slate: Slate) -> Answered:
        return slate if isinstance(slate, RecsysError) else self.parts.slates.answer(slate, self.policy)

    def make_columns(self) -> SlateColumns:
        """Return the slates of all requests as columns."""
        return make_slate_columns(self.parts.slates, self._answer_blocks(), self.policy)

    def _answer_blocks(self) -> Iterator[AnsweredBlock]:
        blocks = answer_in_blocks(self.parts, self.reader, self.seed)
        return self.counts.count_batch(blocks, self.parts.slates)


class _UnreadAnswers(NamedTuple):
    """The answers with slates that were picked together."""

    maker: SlateMaker
    picked: PickedRequests
    policy: str

    def list_fields(self, place: int) -> dict[str, Any]:
        """Return the fields of one answer."""
        return self.maker.list_fields(self.picked.get_slate(place), self.policy)
