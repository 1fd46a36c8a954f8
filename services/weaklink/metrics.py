"""Every metric of the services, in one list. `weaklink run --metrics-port` serves them to Prometheus."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

RECORDS: Final = Counter("weaklink_records", "Records that a stage consumed and committed", ["stage"])
MESSAGES: Final = Counter("weaklink_messages", "Messages that a stage produced and committed", ["stage", "topic"])
PROCESS_SECONDS: Final = Histogram(
    "weaklink_process_seconds", "Time to fold one transaction's input", ["stage"], buckets=_SECONDS
)
COMMIT_SECONDS: Final = Histogram(
    "weaklink_commit_seconds", "Time of one Kafka transaction", ["stage"], buckets=_SECONDS
)
TRANSACTIONS_ABORTED: Final = Counter("weaklink_transactions_aborted", "Transactions that had to be redone", ["stage"])
PARTITIONS_WAITING: Final = Gauge(
    "weaklink_partitions_waiting", "Source partitions that wait for the schema registry to answer", ["stage"]
)
UNITS: Final = Gauge("weaklink_units", "Units of state that this process owns", ["stage"])
REBUILD_SECONDS: Final = Gauge(
    "weaklink_rebuild_seconds", "Duration of the last rebuild of state after an assignment", ["stage"]
)
SNAPSHOT_SECONDS: Final = Histogram(
    "weaklink_snapshot_seconds", "Time to write one snapshot", ["stage"], buckets=_SECONDS
)
SNAPSHOT_FAILURES: Final = Counter(
    "weaklink_snapshot_failures", "Snapshots that could not be written, or were damaged when read", ["stage"]
)
STATE_ROWS: Final = Gauge("weaklink_state_rows", "Rows of state", ["stage", "kind"])
REJECTS: Final = Counter("weaklink_rejects", "Events rejected", ["party", "reason"])
ACCEPTED: Final = Counter("weaklink_accepted", "Events accepted", ["party"])
DUPLICATES: Final = Counter("weaklink_duplicates", "Events that repeated an earlier one", ["party"])
SLOW_PATH: Final = Counter(
    "weaklink_slow_path", "Events that the columnar reader refused and the record-by-record one read", ["party"]
)
DECISIONS: Final = Counter("weaklink_decisions", "Decisions that enforce handled, or knew already", ["outcome"])
ACTION_CHANGES: Final = Counter("weaklink_action_changes", "Changes of actions", ["measure", "cause"])
RECEIPTS: Final = Counter("weaklink_receipts", "Receipts that enforce handled", ["party", "outcome"])
ACTIONS: Final = Gauge("weaklink_actions", "Actions in the ledger", ["state"])
OUTBOX_MESSAGES: Final = Gauge("weaklink_outbox_messages", "Messages that wait to be published")
OUTBOX_OLDEST_SECONDS: Final = Gauge("weaklink_outbox_oldest_seconds", "Age of the oldest message that waits")
LEDGER_SECONDS: Final = Histogram(
    "weaklink_ledger_seconds", "Time of one piece of work on the ledger", ["work"], buckets=_SECONDS
)
PRUNED_ROWS: Final = Counter("weaklink_pruned_rows", "Rows that the ledger has forgotten", ["table"])


def serve(host: str, port: int) -> None:
    """Serve the metrics of this process at http://host:port/metrics, in a thread of its own."""
    start_http_server(port, addr=host)
