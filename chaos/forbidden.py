"""What no party may do, each act as a raw request, without a client library's manners; and whether the broker refused it."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from kafka.admin import KafkaAdminClient
from kafka.errors import NodeNotReadyError
from kafka.protocol.admin import (
    AlterClientQuotasRequest,
    CreateTopicsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
)
from kafka.protocol.consumer import FetchRequest, JoinGroupRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.record.default_records import DefaultRecordBatchBuilder

from weaklink import topology
from weaklink.kafka_options import KafkaConfig

_UNASKED: Final = ""
"""What the broker says of a record in a transaction without a name: it refuses it without asking its authorizer, which is what writes its log."""
REFUSALS: Final = frozenset({3, 29, 30, 31, 53})
"""Unknown topic (what may not be described is not there); topic, group, cluster, transactional id: authorization failed."""
_DENIED: Final = re.compile(
    r"Principal = User:(?P<principal>\S+) is Denied operation = (?P<operation>\S+) .* on resource = (?P<resource>\S+) for request = (?P<request>\S+)"
)
"""As Kafka's authorizer logs it."""
_INTERNAL: Final = (topology.LINKS, topology.DECISIONS, topology.PARTIES, topology.BENIGN)
_BATCH_BYTES: Final = 1 << 16
_TIMEOUT_MS: Final = 10_000
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2


@dataclass
class Forbidden:
    """Tries everything against `other`, under the login of `own` (ids of parties). `allowed`: acts that were not refused, with the answer's codes.

    `refused`: how often each was, by what the broker's log must say of it: "WRITE Topic:LITERAL:party.lab-a.events Produce".
    """

    kafka: KafkaConfig
    own: str
    other: str
    attempts: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    """Times that the broker had it wait before it might send anything."""
    allowed: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._admin = KafkaAdminClient(**self.kafka.client_options())
        self._acts = self._all_acts()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self._admin.close()

    def try_all(self) -> None:
        """Every act once."""
        for name, (told, act) in self._acts.items():
            codes = error_codes(self._send(act())) - {0}
            self.attempts += 1
            if codes and codes <= REFUSALS:
                self.refused[told] += 1
            else:
                self.allowed.append(f"{name}: {sorted(codes)}")

    def _all_acts(self) -> dict[str, tuple[str, Callable[[], Any]]]:
        own, other = f"party.{self.own}", f"party.{self.other}"
        closed = (*(f"{other}.{kind}" for kind in ("events", "actions", "rejects")), f"{own}.actions", *_INTERNAL)

        def write(name: str) -> tuple[str, Callable[[], Any]]:
            return f"WRITE {_topic(name)} Produce", partial(produce, name, None, None)

        def read(name: str) -> tuple[str, Callable[[], Any]]:
            return f"READ {_topic(name)} Fetch", partial(fetch, name)

        def join_group(group: str) -> tuple[str, Callable[[], Any]]:
            return f"READ Group:LITERAL:{group} JoinGroup", partial(join, group)

        def take(name: str) -> tuple[str, Callable[[], Any]]:
            return f"WRITE TransactionalId:LITERAL:{name} InitProducerId", partial(open_transaction, name)

        def delete() -> DeleteTopicsRequest:
            return DeleteTopicsRequest(topic_names=[f"{other}.events"], timeout_ms=_TIMEOUT_MS, max_version=5)

        return {
            **{f"write {name}": write(name) for name in closed},
            **{f"read {name}": read(name) for name in (*closed[:3], *_INTERNAL, f"{own}.events")},
            **{f"join {group}": join_group(group) for group in (f"{other}.actions", "weaklink.enforce")},
            **{f"take {name}": take(name) for name in (f"{own}.x", "weaklink.ingest.0")},
            "write its events in a transaction": (
                f"WRITE TransactionalId:LITERAL:{own}.x Produce",
                lambda: produce(f"{own}.events", f"{own}.x", self._producer_id()),
            ),
            "write its events in no one's transaction": (
                _UNASKED,
                lambda: produce(f"{own}.events", None, self._producer_id()),
            ),
            "create a topic": (f"CREATE {_topic(f'{own}.more')} CreateTopics", lambda: create(f"{own}.more")),
            "delete another's topic": (f"DELETE {_topic(f'{other}.events')} DeleteTopics", delete),
            "empty another's topic": (
                f"DELETE {_topic(f'{other}.actions')} DeleteRecords",
                lambda: empty(f"{other}.actions"),
            ),
            "lift its own quota": (
                "ALTER_CONFIGS Cluster:LITERAL:kafka-cluster AlterClientQuotas",
                lambda: lift_quota(own),
            ),
        }

    def _producer_id(self) -> int:
        request = InitProducerIdRequest(
            transactional_id=None, transaction_timeout_ms=_TIMEOUT_MS, producer_id=-1, producer_epoch=-1, max_version=4
        )
        return int(self._send(request).producer_id)

    def _send(self, request: Any) -> Any:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self._admin._manager.run(self._admin._manager.send, request)
            except NodeNotReadyError:  # kafka-python's word for a connection that the broker has told to wait
                self.throttled += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)


def _topic(name: str) -> str:
    return f"Topic:LITERAL:{name}"


def unlogged(refused: Mapping[str, int], log: str, principal: str) -> dict[str, int]:
    """Which of the acts that were refused the broker's log does not have so often, and how often they are missing. `log`: its text; `principal`: whose."""
    found = Counter(
        f"{line['operation']} {line['resource']} {line['request']}"
        for line in map(re.Match.groupdict, _DENIED.finditer(log))
        if line["principal"] == principal
    )
    return {told: times - found[told] for told, times in refused.items() if told != _UNASKED and found[told] < times}


def produce(topic: str, transactional_id: str | None, producer_id: int | None) -> ProduceRequest:
    """Write one record; with a producer id, as part of a transaction."""
    batch = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=producer_id is not None,
        producer_id=-1 if producer_id is None else producer_id, producer_epoch=-1 if producer_id is None else 0,
        base_sequence=-1 if producer_id is None else 0, batch_size=_BATCH_BYTES,
    )  # fmt: skip
    batch.append(0, None, b"forged", b"forged", [])
    one = ProduceRequest.TopicProduceData
    data = one.PartitionProduceData(index=0, records=bytes(batch.build()))
    return ProduceRequest(
        transactional_id=transactional_id, acks=-1, timeout_ms=_TIMEOUT_MS,
        topic_data=[one(name=topic, partition_data=[data])], max_version=9,
    )  # fmt: skip


def fetch(topic: str) -> FetchRequest:
    """Read a topic from its first message."""
    one = FetchRequest.FetchTopic
    partition = one.FetchPartition(
        partition=0, current_leader_epoch=-1, fetch_offset=0, log_start_offset=-1, partition_max_bytes=1 << 20
    )
    return FetchRequest(
        replica_id=-1, max_wait_ms=1, min_bytes=0, max_bytes=1 << 20, isolation_level=0, session_id=0, session_epoch=-1,
        topics=[one(topic=topic, partitions=[partition])], forgotten_topics_data=[], rack_id="", max_version=12,
    )  # fmt: skip


def join(group: str) -> JoinGroupRequest:
    """Become a member of a group."""
    protocol = JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")
    return JoinGroupRequest(
        group_id=group, session_timeout_ms=_TIMEOUT_MS, rebalance_timeout_ms=_TIMEOUT_MS, member_id="", group_instance_id=None,
        protocol_type="consumer", protocols=[protocol], max_version=5,
    )  # fmt: skip


def open_transaction(name: str) -> InitProducerIdRequest:
    """Take a transactional id, whoever uses it now."""
    return InitProducerIdRequest(
        transactional_id=name, transaction_timeout_ms=_TIMEOUT_MS, producer_id=-1, producer_epoch=-1, max_version=4
    )


def create(topic: str) -> CreateTopicsRequest:
    """Make a topic."""
    one = CreateTopicsRequest.CreatableTopic(
        name=topic, num_partitions=1, replication_factor=1, assignments=[], configs=[]
    )
    return CreateTopicsRequest(topics=[one], timeout_ms=_TIMEOUT_MS, validate_only=False)


def empty(topic: str) -> DeleteRecordsRequest:
    """Delete what a topic holds."""
    one = DeleteRecordsRequest.DeleteRecordsTopic
    partition = one.DeleteRecordsPartition(partition_index=0, offset=-1)
    return DeleteRecordsRequest(topics=[one(name=topic, partitions=[partition])], timeout_ms=_TIMEOUT_MS)


def lift_quota(principal: str) -> AlterClientQuotasRequest:
    """Give a principal a thousand times its quota."""
    entry = AlterClientQuotasRequest.EntryData
    one = entry(
        entity=[entry.EntityData(entity_type="user", entity_name=principal)],
        ops=[entry.OpData(key="producer_byte_rate", value=1e12, remove=False)],
    )
    return AlterClientQuotasRequest(entries=[one], validate_only=False)


def error_codes(message: Any) -> set[int]:
    """Every error code anywhere in a response."""
    found: set[int] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name == "error_code":
                    found.add(int(inner))
                walk(inner)
        elif isinstance(value, (list, tuple)):
            for inner in value:
                walk(inner)

    walk(message.to_dict())
    return found
