"""Looks at an installation for `doctor.py`: this machine, the ledger, the brokers. Changes nothing (but for one file that it writes and removes)."""

import itertools
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from weaklink import topology
from weaklink.errors import CheckpointError, LedgerError, SchemaError, WeaklinkError, brief
from weaklink.ops import doctor
from weaklink.ops.admin import open_admin
from weaklink.ops.doctor import Finding, Level, ok
from weaklink.ops.doctor_epochs import examine_epochs
from weaklink.ops.membership import is_managed
from weaklink.ops.provision import plan, plan_access
from weaklink.records.schemas import all_schemas, schema_folder
from weaklink.settings import Settings

_DOCTOR: Final = "doctor"
_PER_ADDRESS: Final = "max.connections.per.ip"
_CONNECT_SECONDS: Final = 3.0
_UNAUTHORISED: Final = ("AuthorizationFailed", "Authorization failed")


def examine(settings: Settings, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Every finding, the most basic first; what needs the brokers is left out when there are none. `clock`: seconds since 1970."""
    found = look_at_machine(settings)
    reached, brokers = _brokers(settings)
    found += brokers
    if reached:
        found += _cluster(settings, clock)
    return found


def look_at_machine(settings: Settings) -> list[Finding]:
    """What can be seen without Kafka: packages, schemas, disk, snapshots, ledger."""
    return [*_machine(settings), _ledger(settings)]


def _machine(settings: Settings) -> Iterator[Finding]:
    yield doctor.packages_finding(list(_wrong_packages()))
    try:
        schemas = all_schemas()
        yield ok("schemas", f"{len(schemas)} in {schema_folder()}")
    except SchemaError as error:
        yield Finding("schemas", Level.ERROR, str(error), "install weaklink again")
    folder = settings.data_folder.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    fix = "free some, or point WEAKLINK_DATA_FOLDER elsewhere"
    yield doctor.disk_finding(f"data folder {settings.data_folder}", usage.free, usage.total, fix)
    yield _snapshots(settings)


def _wrong_packages() -> Iterator[tuple[str, str, str]]:
    """Packages that are pinned because private names of theirs are relied upon, in another version. Those of extras that are not there are no fault."""
    for requirement in metadata.requires("weaklink") or ():
        if pinned := re.match(r"([\w-]+)==([\w.]+)", requirement):
            try:
                installed = metadata.version(pinned[1])
            except metadata.PackageNotFoundError:
                continue
            if installed != pinned[2]:
                yield pinned[1], pinned[2], installed


def _snapshots(settings: Settings) -> Finding:
    from weaklink.stream.checkpoint import SnapshotStore

    url = settings.stream.snapshot_url or str(Path(settings.data_folder) / "snapshots")
    try:
        with _as_it_was(Path(url) / _DOCTOR):
            SnapshotStore(url, _DOCTOR, kept=1).probe()
    except CheckpointError as error:
        fix = "give the service's user the right to write there, or set WEAKLINK_STREAM__SNAPSHOT_URL"
        return Finding("snapshots", Level.ERROR, str(error), fix)
    return ok("snapshots", f"can be written at {url}")


@contextmanager
def _as_it_was(folder: Path) -> Iterator[None]:
    """Empty folders that the block made on the way to this one are removed again."""
    made = list(itertools.takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    try:
        yield
    finally:
        with suppress(OSError):  # somebody else has written there meanwhile
            for one in made:
                one.rmdir()


def _ledger(settings: Settings) -> Finding:
    import sqlalchemy as sa
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from weaklink import enforce
    from weaklink.enforce.database import is_missing, ledger_url, reading_engine

    try:
        url = ledger_url(settings)
    except WeaklinkError as error:
        return Finding("ledger", Level.ERROR, str(error), "set WEAKLINK_ENFORCE__LEDGER_URL")
    where = url.render_as_string()
    scripts = ScriptDirectory(str(Path(enforce.__file__).parent / "migrations"))
    head = scripts.get_current_head() or ""
    known = [script.revision for script in scripts.walk_revisions()]
    if is_missing(url):
        return doctor.ledger_finding(where, None, head, known)
    engine = reading_engine(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except (sa.exc.SQLAlchemyError, OSError, LedgerError) as error:
        told = str(error).splitlines()[0]
        return Finding(
            "ledger", Level.ERROR, f"{where} cannot be opened: {told}", "start the database; check WEAKLINK_ENFORCE__LEDGER_URL"
        )  # fmt: skip
    finally:
        engine.dispose()
    return doctor.ledger_finding(where, current, head, known)


def _brokers(settings: Settings) -> tuple[bool, list[Finding]]:
    """Whether the cluster answers and lets this user in; and every broker that it names, from this machine."""
    kafka = settings.kafka
    found = []
    try:
        with open_admin(kafka) as admin:
            brokers = admin.describe_cluster()["brokers"]
    except WeaklinkError as error:
        fix = "start it; check WEAKLINK_KAFKA__BOOTSTRAP_SERVERS, and the login"
        return False, [Finding("broker", Level.ERROR, str(error), fix)]
    for one in brokers:
        try:
            socket.create_connection((one["host"], one["port"]), _CONNECT_SECONDS).close()
        except OSError as error:
            found.append(
                Finding(
                    "broker", Level.ERROR,
                    f"broker {one['broker_id']} says that it is at {one['host']}:{one['port']}, which cannot be reached from here: {error}",
                    "start it, or mend its advertised.listeners",
                )
            )  # fmt: skip
    return True, found or [ok("broker", f"{len(brokers)} at {kafka.bootstrap_servers}")]


def _cluster(settings: Settings, clock: Callable[[], float]) -> list[Finding]:
    found: list[Finding] = []
    with open_admin(settings.kafka) as admin:
        looks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
            ("versions", lambda: [doctor.version_finding(_versions(admin))]),
            ("clock", lambda: [_clock(admin, clock)]),
            ("disk", lambda: _log_folders(admin)),
            ("topics", lambda: doctor.topics_findings(plan(settings))),
            ("replication", lambda: doctor.replication_findings(admin.describe_topics())),
            ("access", lambda: _access(settings)),
            ("epochs", lambda: [examine_epochs(settings, clock())]),
            ("connections", lambda: _connections(settings, admin)),
            ("stages", lambda: [_members(admin)]),
        )
        for check, look in looks:
            try:
                found += look()
            except (KafkaError, WeaklinkError) as error:
                found.append(_refused(check, error))
    return found


def _refused(check: str, error: Exception) -> Finding:
    told = brief(error)
    if any(word in told for word in _UNAUTHORISED):
        return Finding(
            check, Level.WARNING, f"this user may not look: {told}", "run the doctor as the cluster's administrator"
        )
    return Finding(
        check, Level.ERROR, f"Kafka refused to be asked: {told}", "run it again; if it stays, see the broker's log"
    )


def _versions(admin: KafkaAdminClient) -> dict[int, tuple[int, ...]]:
    brokers = [one["broker_id"] for one in admin.describe_cluster()["brokers"]]
    return {broker: tuple(admin.get_broker_version_data(broker).broker_version) for broker in brokers}


def _clock(admin: KafkaAdminClient, clock: Callable[[], float]) -> Finding:
    """The leader of the metadata quorum tells when it was last caught up with itself: its own time, now (KIP-836)."""
    before_ms = clock() * 1000
    (partition,) = admin.describe_metadata_quorum()["topics"][0]["partitions"]
    after_ms = clock() * 1000
    leader = next(one for one in partition["current_voters"] if one["replica_id"] == partition["leader_id"])
    return doctor.clock_finding(before_ms, leader["last_caught_up_timestamp"], after_ms)


def _log_folders(admin: KafkaAdminClient) -> list[Finding]:
    """Disks of the brokers (KIP-827; -1 where they do not tell)."""
    return [
        doctor.disk_finding(
            f"broker {broker['broker']}, {folder['log_dir']}", folder["usable_bytes"], folder["total_bytes"],
            "add disk, or shorten retention of the largest topics",
        )
        for broker in admin.describe_log_dirs()
        for folder in broker["log_dirs"]
        if folder["total_bytes"] > 0
    ]  # fmt: skip


def _access(settings: Settings) -> list[Finding]:
    if is_managed(settings):
        return [*doctor.access_findings(plan_access(settings)), *doctor.accounts_findings(settings.accounts.content())]
    if settings.kafka.security_protocol == "PLAINTEXT":
        what = "anyone who reaches the brokers may read and write everything: for one machine only"
        return [
            Finding(
                "access", Level.WARNING, what, "docs/security.md: SASL_SSL, an authorizer, and principals for everyone"
            )
        ]
    return [ok("access", "kept by others (WEAKLINK_ACCESS__MANAGED=false)")]


def _connections(settings: Settings, admin: KafkaAdminClient) -> list[Finding]:
    """Where parties log in, they are strangers to each other: none may use up the brokers' connections, and who is thrown out must be out."""
    if not is_managed(settings):
        return []
    brokers = [str(one["broker_id"]) for one in admin.describe_cluster()["brokers"]]
    resources = [ConfigResource(ConfigResourceType.BROKER, broker) for broker in brokers]
    told: dict[str, Any] = admin.describe_configs(resources, config_filter="all").get("broker", {})
    values = {int(broker): {name: one["value"] for name, one in told.get(broker, {}).items()} for broker in brokers}
    limits = {broker: int(one[_PER_ADDRESS]) if _PER_ADDRESS in one else None for broker, one in values.items()}
    return [doctor.connections_finding(limits), doctor.sessions_finding(values)]


def _members(admin: KafkaAdminClient) -> Finding:
    existing = {str(one["group_id"]) for one in admin.list_groups()}
    groups = {stage.name: stage.group for stage in topology.STAGES}
    described: dict[str, Any] = admin.describe_groups(sorted(set(groups.values()) & existing)) if existing else {}
    return doctor.members_finding(
        {stage: len(described[group]["members"]) if group in described else 0 for stage, group in groups.items()}
    )
