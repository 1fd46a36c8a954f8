"""A rolling restart from the commit before to this one: same topics, same state, worker by worker under load, nothing lost or doubled."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.campaigns.test_track import PARTIES, world_with
from tests.events_of_worlds import Publisher, holders, publish, token
from tests.prerequisites import require
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import frames, topology
from weaklink.account_keys import account_key
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.audit_probe import audit_topics
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.ledger_probe import audit_ledger
from weaklink.ops.provision import provision
from weaklink.records.codec import decode
from weaklink.settings import Settings
from weaklink.sim.services import service_environment
from weaklink.stream.compacted import read_compacted

ROOT = Path(__file__).parents[1]
PARTS = ("services", "schemas")
"""What runs."""
WORKERS = (("ingest", "one"), ("ingest", "two"), ("correlate", "one"), ("campaigns", "one"), ("enforce", "one"))  # fmt: skip


SET_UP = """
import sys
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.settings import load_settings
settings = load_settings()
provision(settings)
for one in sys.argv[1:]:
    name, _, kind = one.partition(":")
    add_party(settings, Party(id=name, kind=PartyKind(kind)))
"""


def _git(*words: str, root: Path = ROOT) -> bytes:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True).stdout


def revision_before(root: Path = ROOT) -> str:
    """What to upgrade from: UPGRADE_FROM, else the last tag behind this commit, else what was before the last commit that changed what runs.

    Of these the first that has other services or schemas than this tree: an upgrade to the same shows nothing. Skips, and says why, when there is none.
    """
    if named := os.environ.get("UPGRADE_FROM"):
        return named
    require(() if shutil.which("git") else ["git is not installed: the version before cannot be had"])
    try:
        is_shallow = _git("rev-parse", "--is-shallow-repository", root=root).strip() == b"true"
    except subprocess.CalledProcessError:
        pytest.skip("this is no git repository: the version before cannot be had; name one in UPGRADE_FROM")
    changed = _git("rev-list", "--max-count=1", "HEAD", "--", *PARTS, root=root).decode().strip()
    for words in (("describe", "--tags", "--abbrev=0", "HEAD~1"), ("rev-parse", "--verify", "--quiet", f"{changed}~1")):
        try:
            found = _git(*words, root=root).decode().strip()
        except subprocess.CalledProcessError:
            continue
        if _git("diff", "--name-only", found, "--", *PARTS, root=root):
            return found
    why = (
        "a clone of few commits, in which none with other services or schemas is left: git fetch --unshallow --tags"
        if is_shallow
        else "no commit before this one has other services or schemas"
    )
    pytest.skip(f"nothing was upgraded: {why}; or name a commit in UPGRADE_FROM")


def check_out(revision: str, folder: Path) -> Path:
    """The package as of a revision. What did not change is copied with its compiled loops, which would take a minute to make again."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part)
    for line in _git("diff", "--name-status", "--no-renames", revision, "--", *PARTS).decode().splitlines():
        status, name = line.split("\t")
        if status == "A":
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(_git("show", f"{revision}:{name}"))
    for name in _git("ls-files", "--others", "--exclude-standard", "--", *PARTS).decode().splitlines():
        (folder / name).unlink(missing_ok=True)
    return folder / "services"


@dataclass
class Deployment:
    """Workers as processes, each of the one version or the other."""

    kafka: KafkaConfig
    folder: Path
    before: Path
    processes: dict[tuple[str, str], subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, *, old: bool) -> dict[str, str]:
        return (
            os.environ
            | service_environment(self.kafka, self.folder / "data")
            | {"PYTHONPATH": str(self.before if old else ROOT / "services")}
        )

    def set_up(self) -> None:
        """Topics and parties, as the version before makes them."""
        done = subprocess.run(
            [sys.executable, "-c", SET_UP, *(f"{name}:{kind.value}" for name, kind in PARTIES.items())],
            env=self.environment(old=True), check=False, capture_output=True, text=True, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr

    def log(self, worker: tuple[str, str], *, old: bool) -> Path:
        return self.folder / f"{'old' if old else 'new'}-{'-'.join(worker)}.log"

    def start(self, worker: tuple[str, str], *, old: bool) -> None:
        stage, slot = worker
        with self.log(worker, old=old).open("ab") as log:
            self.processes[worker] = subprocess.Popen(
                [sys.executable, "-c", "from weaklink.cli.main import main; main()", "run", stage, "--slot", slot],
                env=self.environment(old=old), stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def stop(self, worker: tuple[str, str]) -> None:
        """As an orchestrator does; it must leave in order."""
        process = self.processes.pop(worker)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, self.log(worker, old=True).read_text()[-3000:]

    def logs(self) -> str:
        return "".join(path.read_text()[-500:] for path in sorted(self.folder.glob("*.log")))


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """A cluster, and the version before."""
    revision = revision_before()
    logging.getLogger(__name__).warning("upgrading from %s", revision)
    before = check_out(revision, folder / "before")
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(folder / "kafka"))
        deployment = Deployment(cluster.kafka, folder, before)
        try:
            yield deployment
        finally:
            for process in deployment.processes.values():
                process.kill()
                process.wait()


def read_all(kafka: KafkaConfig, topic: str, schema: pl.Schema) -> pl.DataFrame:
    """Every committed chunk of a topic."""
    consumer = KafkaConsumer(**kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found = [frames.empty(schema)]
    while any(consumer.position(one) < ends[one] for one in partitions):
        for records in consumer.poll(timeout_ms=300).values():
            found += [frames.from_chunk(one.value, schema) for one in records]
    consumer.close()
    return pl.concat(found)


def caught_up(kafka: KafkaConfig) -> bool:
    """Whether every stage has handled all of its input."""
    with LagProbe(kafka) as probe:
        lags = {one.reader: one for one in probe.sample()}
    stages = [lags[stage.name] for stage in topology.STAGES]
    return all(row.committed is not None and row.records == 0 for lag in stages for row in lag.partitions if row.end)


def campaign_ids(kafka: KafkaConfig) -> set[str]:
    remembered = [decode(one.value) for one in read_compacted([topology.CAMPAIGNS], Settings(kafka=kafka)) if one.value]
    return {one["campaign_id"] for record, one in remembered if record == "Campaign"}


class Repository:
    """A repository of a few commits, each of one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return _git(*identity, *words, root=self.folder).decode().strip()

    def commit(self, path: str, text: str) -> str:
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD")


def test_the_version_before_is_one_whose_services_or_schemas_were_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits to anything else, and tags of the same services, are passed over; a shallow clone that has no such commit says so."""
    monkeypatch.delenv("UPGRADE_FROM", raising=False)
    repository = Repository(tmp_path / "all")
    repository.commit("services/a", "one")
    second = repository.commit("schemas/a", "two")
    repository.commit("services/a", "three")
    repository.commit("docs", "four")
    repository.git("tag", "v1")
    repository.commit("docs", "five")
    assert revision_before(repository.folder) == second
    repository.commit("schemas/a", "six")
    assert revision_before(repository.folder) == "v1"
    repository.commit("docs", "seven")
    (tmp_path / "shallow").mkdir()
    _git("clone", "--quiet", "--depth=1", "--no-tags", repository.folder.as_uri(), str(tmp_path / "shallow"))
    with pytest.raises(pytest.skip.Exception, match="nothing was upgraded: a clone of few commits"):
        revision_before(tmp_path / "shallow")
    with pytest.raises(pytest.skip.Exception, match="no git repository"):
        revision_before(tmp_path)
    monkeypatch.setenv("UPGRADE_FROM", "v0")
    assert revision_before(tmp_path) == "v0"


@pytest.mark.kafka
def test_a_rolling_restart_from_the_version_before_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Events come all the while. What came out is counted from the topics, and compared with what was published."""
    require(missing_tools())
    publisher = Publisher(world_with("c"))
    accounts = sorted(publisher.opened, key=lambda one: (not one[1].startswith("c-"), one))
    with deployed(tmp_path) as deployment:
        kafka = deployment.kafka
        deployment.set_up()
        for worker in WORKERS:
            deployment.start(worker, old=True)
        publish(kafka, publisher.events(accounts[: len(accounts) // 2], 1))
        wait_until(lambda: bool(campaign_ids(kafka)), deployment.logs)
        ids = campaign_ids(kafka)

        settings = Settings(kafka=kafka, data_folder=tmp_path / "data", clock="event")
        provision(settings)
        slices = [accounts[len(accounts) // 2 + number :: 2 * len(WORKERS)] for number in range(2 * len(WORKERS))]
        slices = [[one for one in some if one in set(accounts[len(accounts) // 2 :])] for some in slices]
        for number, worker in enumerate(WORKERS):
            publish(kafka, publisher.events(slices[2 * number], 1))
            deployment.stop(worker)
            publish(kafka, publisher.events(slices[2 * number + 1], 1))
            deployment.start(worker, old=False)
        wait_until(lambda: caught_up(kafka), deployment.logs)

        activity = read_all(kafka, topology.ACTIVITY, frames.ACTIVITY)
        assert activity["events"].sum() == publisher.published
        links = read_all(kafka, topology.LINKS, frames.LINKS)
        mentions = Counter(
            (int.from_bytes(token(value, 1)[2:10], "little"), account_key(*account))
            for account in accounts
            for value in set(publisher.values[account])
        )
        counted = links.group_by("identifier", "account").agg(pl.col("mentions").cast(pl.Int64).sum())
        assert {(one, other): many for one, other, many in counted.iter_rows()} == mentions
        shared = read_all(kafka, topology.SHARED, frames.SHARED).select("identifier", "account").unique()
        assert set(shared.rows()) == {
            (int.from_bytes(token(value, 1)[2:10], "little"), account_key(*account))
            for value, own in holders(publisher, accounts).items()
            if len(own) > 1
            for account in own
        }
        assert ids <= campaign_ids(kafka)
        assert [finding for one in audit_topics(kafka) for finding in one.findings] == []
        actions = audit_ledger(settings)
        assert actions.live > 0
        assert not actions.findings
        for stage, slot in WORKERS[2:4]:
            log = deployment.log((stage, slot), old=False).read_text()
            assert "recovered" in log
            assert '"snapshot": true' in log
            assert "snapshot_" not in log
