"""Decisions without campaigns: where only enforce is under test."""

import time
from typing import Any

from kafka import KafkaProducer

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import encode


class Decisions:
    """Decisions as campaigns writes them, each on accounts of its own: SUSPEND at one `party`, a lab, on two parties' evidence."""

    def __init__(self, kafka: KafkaConfig, name: str = "decisions", party: str = "lab-a") -> None:
        self._producer = KafkaProducer(
            **kafka.client_options(), acks="all", transactional_id=f"weaklink.chaos.{name}", linger_ms=0
        )
        self._producer.init_transactions()
        self._name, self._party = name, party
        self._at_us = time.time_ns() // 1000

    def decide(self, first: int, count: int, *, commit: bool = True, measures: int = 1, at_us: int | None = None) -> None:  # fmt: skip
        """Decisions number `first` and following, in one transaction that is committed or aborted. `at_us`: when they are said to be taken."""
        self._producer.begin_transaction()
        for number in range(first, first + count):
            campaign_id = f"chaos-{self._name}-{number}"
            value = message(campaign_id, self._party, measures, at_us or self._at_us)
            self._producer.send(topology.DECISIONS, key=campaign_id.encode(), value=value)
        if commit:
            self._producer.commit_transaction()
        else:
            self._producer.flush()
            self._producer.abort_transaction()

    def weigh_down(self, count: int, size_bytes: int) -> None:
        """So many decisions of that size each, as the largest campaigns have them, and with nothing in them that can be done: what is tried is
        whether there is room for them."""
        self._producer.begin_transaction()
        for number in range(count):
            campaign_id = f"chaos-{self._name}-{number}"
            value = message(campaign_id, self._party, 1, self._at_us, op="WITHDRAW", target_account=None, slice_model="x" * size_bytes)  # fmt: skip
            self._producer.send(topology.DECISIONS, key=campaign_id.encode(), value=value)
        self._producer.commit_transaction()

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()


def message(campaign_id: str, party: str, measures: int, at_us: int, **changed: Any) -> bytes:
    """One Decision. changed: what its measures have in place of what is usual."""
    proposed = {
        "op": "ISSUE", "party": party, "measure": "SUSPEND", "target_token": None, "slice_model": None, "slice_end_user": None,
        "confidence": 0.95, "reasons": [{"code": "SHARED_CARD", "weight": 1.5, "parties": 2}], "expected_cut": 40.0,
        "benign_accounts_touched": 0, "supporting_parties": 2, "own_finding": False, "hard_identifier": True, "established": False,
        "from_plan": True,
    }  # fmt: skip
    return encode(
        "Decision",
        {
            "campaign_id": campaign_id, "decided_at": at_us, "evidence_at": at_us, "confidence": 0.97, "accounts": 40,
            "requests_per_day": 5000.0,
            "measures": [proposed | {"target_account": f"{campaign_id}-{n}"} | changed for n in range(measures)],
        },
    )  # fmt: skip
