"""The verifier: reads every topic and the ledger from outside, and counts lost events, effects that came twice, and wrong rejects.

It shares no code with ingest, correlate, campaigns and enforce. docs/chaos.md says what counts as what.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer

from chaos.lab import Lab
from chaos.rebuilding import compare_campaigns
from chaos.row import Row
from chaos.verifier.actions import Actions
from chaos.verifier.campaigns import Campaigns
from chaos.verifier.columns import Columns
from chaos.verifier.events import Expected, Rejects
from chaos.verifier.findings import Findings
from chaos.verifier.reading import read_topics
from weaklink import topology
from weaklink.kafka_options import KafkaConfig

Refused = Callable[[str, str, dict[str, Any]], bool]


def verify(
    kafka: KafkaConfig,
    ledger_url: str | None,
    *,
    published: set[bytes] | None = None,
    refused: Refused | None = None,
    stages: Sequence[str] = ("ingest", "correlate", "enforce"),
    but: Collection[str] = (),
) -> Findings:
    """What became of every event, decision and receipt. To be called when nothing waits any more.

    published: ids of events that the broker acknowledged. refused: which readable events must be rejected all the same (none).
    stages: whose output is judged. but: parties whose events cannot be read as records (they inflate to gigabytes), and are judged elsewhere.
    """
    found, expected = Findings(), Expected()
    if refused:
        expected.refused = refused
    with closing(KafkaConsumer(**kafka.client_options(), group_id=None)) as consumer:
        topics = sorted(consumer.topics())

    def of(kind: str) -> list[str]:
        return [name for name in topics if name.startswith("party.") and name.endswith(f".{kind}") and name.split(".")[1] not in but]  # fmt: skip

    read_topics(kafka, of("events"), expected.take)
    found.counted["events"], found.counted["repeated"] = expected.events, expected.repeated
    if published is not None:
        expected.check_published(published, found)
    if "ingest" in stages:
        rejects, columns = Rejects(), Columns()
        read_topics(kafka, of("rejects"), rejects.take)
        rejects.compare(expected.bad, found)
        found.counted["rejects"] = len(rejects.named)
        read_topics(kafka, [topology.ACTIVITY], columns.activity.take)
        read_topics(kafka, [topology.LINKS], columns.links.take)
        read_topics(kafka, [topology.SHARED], columns.take_shared)
        columns.compare(expected, found, shared="correlate" in stages)
    if "enforce" in stages and ledger_url:
        actions = Actions()
        read_topics(kafka, [topology.DECISIONS], actions.take_decision)
        read_topics(kafka, [topology.RECEIPTS], actions.take_receipt)
        read_topics(kafka, [*of("actions"), topology.FEEDBACK], actions.take_published)
        read_topics(kafka, of("rejects"), actions.take_reject)
        actions.compare(expected, ledger_url, found)
    return found


def verify_lab(lab: Lab, **options: Any) -> Findings:
    """The same for a laboratory whose services were stopped, with the events that its publisher had acknowledged, and with what campaigns said and held."""
    found = verify(lab.kafka, lab.ledger_url, published=lab.publisher.acknowledged, **options)
    if lab.of("campaigns"):
        campaigns = Campaigns()
        read_topics(lab.kafka, [topology.DECISIONS], campaigns.take_decision)
        read_topics(lab.kafka, [topology.CAMPAIGNS], campaigns.take_record)
        campaigns.compare(found)
        compare_campaigns(lab, found)
    return found


def row_of(fault: str, trials: int, lab: Lab, found: Findings, *, failed_share_max: float = 0.0) -> Row:
    """A row from what the laboratory measured and what the verifier found. failed_share_max: of the events, which the broker may not have acknowledged:
    what never came onto a topic cannot be lost there, and a fault without events would hold."""
    row = Row(
        fault, trials, found.counted.get("events", 0), found.lost, found.duplicate_effects, found.rejected_wrongly,
        lab.watch.stall_seconds_max, lab.watch.memory_growth_mib,
    )  # fmt: skip
    row.extra |= {
        "stall_seconds": lab.watch.stalls,
        "stood_longest": lab.watch.longest,
        "counted": found.counted,
        "findings": found.sentences[:10],
    }
    failed, sent = lab.publisher.failed, len(lab.publisher.handed_over)
    row.extra |= {
        "events_failed": len(failed),
        "memory_by": "samples" if lab.watch.memory_sampled else "high-water mark",
    }
    row.bar(
        len(failed) <= failed_share_max * sent,
        f"{len(failed)} of {sent} events were not acknowledged, e.g. {next(iter(failed.values()), '')}",
    )
    return row
