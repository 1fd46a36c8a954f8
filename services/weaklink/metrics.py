"""Every metric of Weaklink, in one list. `weaklink run --metrics-port` serves those of its process to Prometheus; lag comes from `weaklink run exporter`.

Names follow Prometheus' conventions (base units, `_total`). Those of lag are kafka-lag-exporter's, so that dashboards made for it work.
`docs/reference` shows `LISTED`; a test holds dashboards, alert rules and the documents to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REBUILD: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
_HUMAN: Final = (1.0, 10.0, 60.0, 600.0, 3600.0, 4 * 3600.0, 24 * 3600.0, 72 * 3600.0, 168 * 3600.0)
"""From a party's own automation to a week on somebody's desk."""

COLUMNAR: Final = "ingest, correlate, campaigns"
EXPORTER: Final = "exporter"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One metric as it is documented. `sample_names`: what a query may name."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    service: str
    meaning: str

    @property
    def sample_names(self) -> frozenset[str]:
        """Names of the time series that Prometheus stores."""
        ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[self.kind]
        return frozenset(self.name + end for end in ends)


LISTED: Final[list[Listed]] = []
"""Every metric, in the order of this file."""


def _counter(service: str, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    LISTED.append(Listed(name, "counter", tuple(labels), service, meaning))
    return Counter(name, meaning, labels)


def _gauge(service: str, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    LISTED.append(Listed(name, "gauge", tuple(labels), service, meaning))
    return Gauge(name, meaning, labels)


def _histogram(
    service: str, name: str, meaning: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SECONDS
) -> Histogram:
    LISTED.append(Listed(name, "histogram", tuple(labels), service, meaning))
    return Histogram(name, meaning, labels, buckets=buckets)


def _exported(name: str, meaning: str, labels: Sequence[str]) -> Listed:
    """A gauge that is made anew at each scrape, so that what is gone leaves no stale series."""
    LISTED.append(Listed(name, "gauge", tuple(labels), EXPORTER, meaning))
    return LISTED[-1]


BUILD: Final = _gauge("all", "weaklink_build_info", "1, with the version that runs", ["version"])

RECORDS: Final = _counter("all", "weaklink_records", "Records that a stage consumed and committed", ["stage"])
MESSAGES: Final = _counter(
    COLUMNAR, "weaklink_messages", "Messages that a stage produced and committed", ["stage", "topic"]
)
PROCESS_SECONDS: Final = _histogram(
    COLUMNAR, "weaklink_process_seconds", "Batch time: to fold one transaction's input", ["stage"]
)
COMMIT_SECONDS: Final = _histogram(COLUMNAR, "weaklink_commit_seconds", "Time of one Kafka transaction", ["stage"])
TRANSACTIONS_ABORTED: Final = _counter(
    COLUMNAR, "weaklink_transactions_aborted", "Transactions that had to be redone", ["stage"]
)
PARTITIONS_WAITING: Final = _gauge(
    "ingest", "weaklink_partitions_waiting", "Source partitions that wait for the schema registry to answer", ["stage"]
)
UNITS: Final = _gauge(COLUMNAR, "weaklink_units", "Units of state that this process owns", ["stage"])
REBUILD_SECONDS: Final = _histogram(
    COLUMNAR, "weaklink_rebuild_seconds", "Time to rebuild state after an assignment", ["stage"], _REBUILD
)
SNAPSHOT_SECONDS: Final = _histogram(COLUMNAR, "weaklink_snapshot_seconds", "Time to write one snapshot", ["stage"])
SNAPSHOT_FAILURES: Final = _counter(
    COLUMNAR, "weaklink_snapshot_failures", "Snapshots that could not be written, or were damaged when read", ["stage"]
)
STATE_ROWS: Final = _gauge(
    COLUMNAR, "weaklink_state_rows", "Rows of state; but for ingest, as of the last snapshots", ["stage", "kind"]
)
STATE_BYTES: Final = _gauge(
    "correlate, campaigns", "weaklink_state_bytes", "State in memory, as of the last snapshots", ["stage"]
)
SPILLED_BYTES: Final = _gauge(
    "ingest",
    "weaklink_spilled_bytes",
    "Event ids in files, beyond `ingest.duplicate_memory_bytes_max`: slower than in memory",
    ["stage"],
)
ACCEPTED: Final = _counter("ingest", "weaklink_accepted", "Events accepted", ["party"])
REJECTS: Final = _counter("ingest", "weaklink_rejects", "Events rejected", ["party", "reason"])
DUPLICATES: Final = _counter("ingest", "weaklink_duplicates", "Events that repeated an earlier one", ["party"])
CAMPAIGNS: Final = _gauge("campaigns", "weaklink_campaigns", "Campaigns that stand", ["state"])
CAMPAIGN_ACCOUNTS: Final = _gauge("campaigns", "weaklink_campaign_accounts", "Accounts in campaigns that stand")
DECISIONS: Final = _counter(
    "enforce", "weaklink_decisions", "Decisions that enforce handled, or knew already", ["outcome"]
)
ACTION_CHANGES: Final = _counter("enforce", "weaklink_action_changes", "Changes of actions", ["measure", "cause"])
RECEIPTS: Final = _counter("enforce", "weaklink_receipts", "Receipts that enforce handled", ["party", "outcome"])
RECEIPT_SECONDS: Final = _histogram(
    "enforce",
    "weaklink_receipt_delay_seconds",
    "From an action's last revision to the party's receipt for it",
    ["party"],
    _HUMAN,
)
ACTIONS: Final = _gauge("enforce", "weaklink_actions", "Actions in the ledger", ["state"])
ACTIONS_OVERDUE: Final = _gauge(
    "enforce", "weaklink_actions_overdue", "Standing actions whose receipt is overdue", ["party"]
)
OUTBOX_MESSAGES: Final = _gauge("enforce", "weaklink_outbox_messages", "Messages that wait to be published")
OUTBOX_OLDEST_SECONDS: Final = _gauge(
    "enforce", "weaklink_outbox_oldest_seconds", "Age of the oldest message that waits to be published"
)
OUTBOX_GIVEN_UP: Final = _counter(
    "enforce",
    "weaklink_outbox_given_up",
    "Messages that were given up: too large for their topic, or of a party that was removed",
    ["topic"],
)
LEDGER_SECONDS: Final = _histogram(
    "enforce", "weaklink_ledger_seconds", "Time of one piece of work on the ledger", ["work"]
)
PRUNED_ROWS: Final = _counter("enforce", "weaklink_pruned_rows", "Rows that the ledger has forgotten", ["table"])
TOKEN_CALLS: Final = _counter(
    "tokeniser",
    "weaklink_token_calls",
    "Calls for tokens, by HTTP status; the party is empty where none has the secret",
    ["party", "status"],
)
TOKENS: Final = _counter("tokeniser", "weaklink_tokens", "Tokens given", ["party"])
TOKEN_CALL_SECONDS: Final = _histogram("tokeniser", "weaklink_token_call_seconds", "Time of one call for tokens")

LAG_RECORDS: Final = _exported(
    "kafka_consumergroup_group_lag",
    "Records before the last stable offset that the group has not committed",
    ["group", "topic", "partition"],
)
LAG_SECONDS: Final = _exported(
    "kafka_consumergroup_group_lag_seconds",
    "Age of the oldest record that the group has not committed; 0 when none waits",
    ["group", "topic", "partition"],
)
LAG_RECORDS_SUM: Final = _exported("kafka_consumergroup_group_sum_lag", "Records behind, all partitions", ["group"])
LAG_SECONDS_MAX: Final = _exported(
    "kafka_consumergroup_group_max_lag_seconds", "Age of the oldest record that waits in any partition", ["group"]
)
GROUP_OFFSET: Final = _exported(
    "kafka_consumergroup_group_offset",
    "Committed offset; absent where there is none",
    ["group", "topic", "partition"],
)
PARTITION_END: Final = _exported("kafka_partition_latest_offset", "Last stable offset", ["topic", "partition"])
LAG_VERDICT: Final = _exported(
    "weaklink_lag_verdict",
    "0 ok, 1 not watched for long enough, 2 slow, 3 stopped: over the last minute",
    ["group", "topic", "partition"],
)
LAG_SKEW: Final = _exported(
    "weaklink_lag_skew", "Share of the lag in the worst partition, times their number: 1 is even", ["group"]
)
LAG_CAUGHT_UP: Final = _exported(
    "weaklink_lag_caught_up_seconds", "Time until caught up; +Inf when not at the present pace", ["group"]
)
GROUP_MEMBERS: Final = _exported("weaklink_group_members", "Processes in the group", ["group"])
PARTY_EVENTS_WAITING: Final = _exported(
    "weaklink_party_events_waiting", "Events of the party that ingest has not read", ["party"]
)
PARTY_ACTIONS_UNREAD: Final = _exported(
    "weaklink_party_actions_unread", "Actions that the party has not read", ["party"]
)
PARTY_ACTIONS_UNREAD_SECONDS: Final = _exported(
    "weaklink_party_actions_unread_seconds", "Age of the oldest action that the party has not read", ["party"]
)
PARTY_SILENT: Final = _exported(
    "weaklink_party_silent_seconds",
    "Since the broker took the party's last event; where its topic holds none, since the last one seen, or since the party was added",
    ["party"],
)
LAG_SAMPLES_FAILED: Final = _counter(
    EXPORTER, "weaklink_lag_samples_failed", "Times that Kafka could not be asked for lag"
)
