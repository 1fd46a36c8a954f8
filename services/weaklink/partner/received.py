"""An action in its party's hands, and what its subscription knows of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import TopicPartition

from weaklink.partner.models import EnforcementAction
from weaklink.partner.publisher import Failures
from weaklink.partner.symbols import ReceiptStatus

if TYPE_CHECKING:
    from weaklink.partner.client import WeaklinkClient


@dataclass(slots=True, eq=False)
class ReceivedAction:
    """An action and the means to answer it. Not answered by the time the next is asked for: ACCEPTED stands as the answer for now."""

    action: EnforcementAction
    source: TopicPartition
    offset: int
    _client: "WeaklinkClient"
    handed_out: bool = False
    settled: bool = False
    failures: Failures = field(default_factory=list)
    """Of its receipts, one each. Not the client's, which any thread's `flush` empties, as long as it depends on them whether this is handled."""

    def answer(self, status: ReceiptStatus, reason: str | None = None, note: str | None = None) -> None:
        """Queue the receipt. It is awaited before the action counts as handled."""
        self._client._receipt(self.action.action_id, self.action.revision, status, reason, note, failures=self.failures)
        self.settled = True

    def done(self, note: str | None = None) -> None:
        """It has been carried out."""
        self.answer(ReceiptStatus.DONE, note=note)

    def refuse(self, reason: str, note: str | None = None) -> None:
        """It will not be carried out."""
        self.answer(ReceiptStatus.REFUSED, reason, note)

    def dispute(self, reason: str, note: str | None = None) -> None:
        """The evidence must be wrong: this lowers it, and withdraws what rested on it."""
        self.answer(ReceiptStatus.DISPUTED, reason, note)


def handed_out(batch: Sequence[ReceivedAction]) -> Iterator[ReceivedAction]:
    """One after the other: what has been asked for counts as handled when the next one is, and what has not does not."""
    for received in batch:
        received.handed_out = True
        yield received
        received.settled = True
