"""Stages, services beside them, and internal topics in flow order: the one table that the CLI, provisioning, lag, compose checks and README follow."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """An internal topic. Partitions and replication come from the settings; these are its own properties."""

    name: str
    key: str
    value: str
    cleanup: Literal["delete", "compact"]
    retention_days: int | None  # None: kept for ever (compacted topics: the last of each key)
    partitions_setting: Literal["links", "activity", "shared", "single", "decisions"]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage: the service of that name, its consumer group, and the topics on both sides."""

    name: str
    runtime: Literal["columnar", "faust"]
    group: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service beside the stages, which `weaklink run` knows too. It only looks: it is in no group, and one is enough."""

    name: str
    summary: str


PARTY_EVENTS: Final = "party.<id>.events"
PARTY_REJECTS: Final = "party.<id>.rejects"
PARTY_ACTIONS: Final = "party.<id>.actions"
PARTIES: Final = "weaklink.parties"
LINKS: Final = "weaklink.links"
ACTIVITY: Final = "weaklink.activity"
SHARED: Final = "weaklink.shared"
CAMPAIGNS: Final = "weaklink.campaigns"
DECISIONS: Final = "weaklink.decisions"
RECEIPTS: Final = "weaklink.receipts"
FEEDBACK: Final = "weaklink.feedback"
BENIGN: Final = "weaklink.benign"
EQUATIONS: Final = "weaklink.equations"
EPOCHS: Final = "weaklink.epochs"

TOPICS: Final = (
    TopicSpec(PARTIES, "party id", "JSON: weaklink.parties.Party", "compact", None, "single"),
    TopicSpec(LINKS, "partition number", "Arrow IPC: weaklink.frames.LINKS", "delete", 7, "links"),
    TopicSpec(ACTIVITY, "partition number", "Arrow IPC: weaklink.frames.ACTIVITY", "delete", 7, "activity"),
    TopicSpec(EQUATIONS, "partition number", "Arrow IPC: weaklink.frames.EQUATIONS", "delete", 7, "single"),
    TopicSpec(RECEIPTS, "action id", "Avro: Receipt", "delete", 14, "decisions"),
    TopicSpec(SHARED, "partition number", "Arrow IPC: weaklink.frames.SHARED", "delete", 7, "shared"),
    TopicSpec(CAMPAIGNS, "campaign id", "Avro: Campaign", "compact", None, "single"),
    TopicSpec(DECISIONS, "campaign id", "Avro: Decision", "delete", 14, "decisions"),
    TopicSpec(FEEDBACK, "action id", "Avro: Feedback", "delete", 14, "decisions"),
    TopicSpec(BENIGN, "entry", "JSON: weaklink.benign.BenignRecord", "delete", None, "single"),
    TopicSpec(EPOCHS, "epoch", "JSON: weaklink.epochs.Expiry", "delete", None, "single"),
)

STAGES: Final = (
    StageSpec(
        "ingest",
        "columnar",
        "weaklink.ingest",
        (PARTY_EVENTS,),
        (LINKS, ACTIVITY, EQUATIONS, RECEIPTS, PARTY_REJECTS),
        "party events to links and activity, exactly once",
    ),
    StageSpec("correlate", "columnar", "weaklink.correlate", (LINKS,), (SHARED,), "links to shared identifiers"),
    StageSpec(
        "campaigns",
        "columnar",
        "weaklink.campaigns",
        (ACTIVITY, SHARED, EQUATIONS, FEEDBACK, BENIGN),
        (CAMPAIGNS, DECISIONS),
        "accounts to campaigns, and the weak links that feed them",
    ),
    StageSpec(
        "enforce",
        "faust",
        "weaklink.enforce",
        (DECISIONS, RECEIPTS),
        (PARTY_ACTIONS, PARTY_REJECTS, FEEDBACK),
        "decisions to actions, receipts to the ledger",
    ),
)


SERVICES: Final = (
    ServiceSpec("exporter", "lag, members and parties as metrics for Prometheus"),
    ServiceSpec("console", "the web page for investigators and parties"),
)


def stage(name: str) -> StageSpec:
    """The stage of that name. Raises KeyError with the known names."""
    for spec in STAGES:
        if spec.name == name:
            return spec
    raise KeyError(f"no stage {name!r}; there are {', '.join(spec.name for spec in STAGES)}")
