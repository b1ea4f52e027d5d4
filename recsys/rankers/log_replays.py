"""The replay of a log of receipts: how many slates are the same, and what each other one is for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recsys.control.receipt_logs import ReceiptLog
from recsys.control.receipts import Receipt
from recsys.rankers.rankers import Ranker
from recsys.rankers.receipts import VERDICTS, ReplayResult, Verdict
from recsys.types import RecsysError

MAX_LISTED = 1000  # receipts that are listed one by one
HARMLESS: tuple[Verdict, ...] = ("equal", "inputs forgotten")  # a person who is forgotten is no fault of the system


@dataclass(frozen=True)
class ReplayedReceipt:
    """A receipt whose slate was not found to be the same."""

    line: int  # of the log, from 1
    digest: str  # of the receipt
    verdict: Verdict
    differences: tuple[str, ...]


@dataclass(frozen=True)
class ReplayReport:
    """What the replay of a log found."""

    log: str
    counts: dict[str, int]  # receipts by verdict: `recsys.rankers.receipts.VERDICTS`
    others: tuple[ReplayedReceipt, ...]  # those that are not equal, the first 1,000
    notes: tuple[str, ...]

    @property
    def n_receipts(self) -> int:
        """The number of receipts."""
        return sum(self.counts.values())

    @property
    def is_proven(self) -> bool:
        """Whether every slate is the same, but for those of inputs that are forgotten."""
        return sum(self.counts[verdict] for verdict in HARMLESS) == self.n_receipts

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can say it."""
        listed = [{**vars(one), "differences": list(one.differences)} for one in self.others]
        return {
            "log": self.log,
            "receipts": self.n_receipts,
            "counts": dict(self.counts),
            "others": listed,
            "notes": list(self.notes),
        }


def replay_log(log: ReceiptLog, rankers: Sequence[Ranker]) -> ReplayReport:
    """Replay every receipt of a log with that of the rankers which its artefact names.

    Raises:
        RecsysError: without a ranker, or for a log that cannot be read or was changed.
    """
    if not rankers:
        raise RecsysError("receipts: found no ranker, expected those that answered")
    by_name = {ranker.name: ranker for ranker in rankers}
    counts, others = Counter[str](), list[ReplayedReceipt]()
    for line, receipt in enumerate(log, start=1):
        found = _replay(receipt, by_name.get(receipt.artefact, rankers[0]))
        counts[found.verdict] += 1
        if found.verdict != "equal" and len(others) < MAX_LISTED:
            others.append(ReplayedReceipt(line, receipt.digest, found.verdict, found.differences))
    notes = []
    if cut := log.cut_bytes:
        notes.append(f"line {sum(counts.values()) + 1:,} was cut and is left out ({cut:,} bytes)")
    if (more := sum(counts.values()) - counts["equal"] - len(others)) > 0:
        notes.append(f"{more:,} further receipts are counted and not listed")
    return ReplayReport(str(log.path), {verdict: counts[verdict] for verdict in VERDICTS}, tuple(others), tuple(notes))


def _replay(receipt: Receipt, ranker: Ranker) -> ReplayResult:
    """Return what a replay finds; a request that the ranker refuses today differs."""
    try:
        return ranker.replay(receipt)
    except RecsysError as error:
        return ReplayResult("differs", (f"refused: {error}",))
