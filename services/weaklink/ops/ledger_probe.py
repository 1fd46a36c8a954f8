"""Reads what `audit_actions.py` compares: the ledger, and every party's actions topic to its end. Changes nothing."""

import re
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from kafka import TopicPartition

from weaklink.edge_offsets import edge_offsets
from weaklink.errors import LedgerError, RecordError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.audit_actions import ActionsAudit, Published, Told, audit_actions
from weaklink.ops.committed_reading import committed_reader, partitions_of, read_spans
from weaklink.parties import ACTIONS_TOPICS, party_of_topic
from weaklink.records.codec import decode
from weaklink.settings import Settings

_SECOND_LOOK_SECONDS: Final = 1.5


def audit_ledger(settings: Settings) -> ActionsAudit:
    """The verdict on all actions. enforce may go on meanwhile: what looks wrong is looked at twice.

    Raises LedgerError when the ledger cannot be read, BrokerError and kafka's errors. A ledger that was never made has no actions.
    """
    verdict = _audit_once(settings)
    if verdict.findings:
        time.sleep(_SECOND_LOOK_SECONDS)
        second = _audit_once(settings)
        lasting = tuple(one for one in second.findings if one in set(verdict.findings))
        verdict = ActionsAudit(second.live, second.active_at_parties, lasting, second.remarks)
    return verdict


def _audit_once(settings: Settings) -> ActionsAudit:
    # Topics first: whatever a party has read by then, the ledger knows of. What the ledger has beyond waits in the outbox, or is on its way.
    published = read_published(settings.kafka)
    return audit_actions(*read_ledger(settings), published)


def read_published(kafka: KafkaConfig) -> list[Published]:
    """What every party has read; a message that is no action is a finding."""
    with closing(committed_reader(kafka)) as consumer:
        topics = sorted(topic for topic in consumer.topics() if re.fullmatch(ACTIONS_TOPICS, topic))
        partitions = partitions_of(consumer, topics)
        begins, ends = (edge_offsets(ask, partitions) for ask in (consumer.beginning_offsets, consumer.end_offsets))
        found = {
            topic: Published(
                topic, party_of_topic(topic), all(not begins[tp] for tp in partitions if tp.topic == topic), {}, []
            )
            for topic in topics
        }

        def take(tp: TopicPartition, record: Any) -> None:
            where = f"{tp.topic}-{tp.partition} offset {record.offset}"
            try:
                name, values = decode(record.value)
            except RecordError as error:
                found[tp.topic].findings.append(f"{where}: cannot be read: {error}")
                return
            if name == "EnforcementAction":
                found[tp.topic].take(_told(where, values))
            else:
                found[tp.topic].findings.append(f"{where}: {name} where actions belong")

        read_spans(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, take)
    return list(found.values())


def read_ledger(settings: Settings) -> tuple[list[Told], dict[str, int]]:
    """Every action, and the newest revision of each that still lies in the outbox, or was given up with its party. Raises LedgerError."""
    import sqlalchemy as sa

    from weaklink.enforce.database import is_missing, ledger_url, reading_engine
    from weaklink.enforce.tables import PARTY_GONE, actions, outbox

    url = ledger_url(settings)
    if is_missing(url):
        return [], {}
    engine = reading_engine(url)
    not_told = sa.or_(outbox.c.closed_wall_us.is_(None), outbox.c.error == PARTY_GONE)
    waiting_for = sa.select(outbox.c.once).where(not_told, outbox.c.once.startswith("action/"))
    try:
        with engine.connect() as connection:
            waiting: dict[str, int] = {}
            for once in connection.scalars(waiting_for):
                _, ident, revision = once.split("/")
                waiting[ident] = max(waiting.get(ident, 0), int(revision))
            found = [_told("the ledger", row) for row in connection.execute(sa.select(actions)).mappings()]
    except sa.exc.SQLAlchemyError as error:
        raise LedgerError(
            f"the ledger at {url.render_as_string()} cannot be read: {error}; was `weaklink run enforce` ever started?"
        ) from error
    finally:
        engine.dispose()
    # A party that came back is told later revisions; what it missed before them does not matter any more.
    told = {one.action_id: one.revision for one in found}
    return found, {ident: revision for ident, revision in waiting.items() if revision >= told.get(ident, 0)}


def _told(where: str, values: Mapping[Any, Any]) -> Told:
    token, end_user = values["target_token"], values["slice_end_user"]
    target = (
        values["target_account"],
        bytes(token).hex() if token is not None else None,
        values["slice_model"],
        bytes(end_user).hex() if end_user is not None else None,
    )
    plain = {name: values[name] for name in ("action_id", "revision", "state", "party", "campaign_id", "measure")}
    return Told(where=where, target=target, **plain)
