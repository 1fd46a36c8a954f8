"""Keys rotate in mid-stream, on a real broker with every stage: no link is lost, campaigns keep their ids, and an epoch that ended leaves nothing."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from tests.campaigns.test_track import PARTIES, world_with
from tests.enforce.conftest import new_database, postgres, rows_of  # noqa: F401  postgres is a fixture
from tests.events_of_worlds import Account, Publisher, holders, publish, token
from tests.prerequisites import require
from tests.waiting import wait_until
from weaklink import topology
from weaklink.account_keys import account_key
from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.runs import LinkRuns
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party
from weaklink.partner.reading import read_rejects
from weaklink.records.codec import decode
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.settings import Settings
from weaklink.sim.services import Services, service_environment
from weaklink.stream.checkpoint import read as read_snapshot
from weaklink.stream.compacted import read_compacted

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class Pipeline:
    """A cluster with every stage, and what can be seen of it from outside."""

    def __init__(self, settings: Settings, services: Services, folder: Path, database: str) -> None:
        self.settings, self.services, self.folder, self.database = settings, services, folder, database

    def remembered(self) -> list[tuple[str, dict[str, Any]]]:
        """What the topic of campaigns says now."""
        return [decode(one.value) for one in read_compacted([topology.CAMPAIGNS], self.settings) if one.value]

    def members(self) -> dict[Account, str]:
        """Campaign of each flagged member."""
        return {
            (one["party"], one["account"]): one["campaign_id"]
            for record, one in self.remembered()
            if record == "CampaignMember" and one["flagged"]
        }

    def campaigns_of(self, accounts: Iterable[Account]) -> set[str | None]:
        """Campaigns that these accounts are in; None among them where one is in none."""
        members = self.members()
        return {members.get(one) for one in accounts}

    def snapshots(self, stage: str) -> list[dict[str, pl.DataFrame]]:
        """Every snapshot that there is of a stage, oldest first."""
        while True:
            try:
                paths = sorted(self.folder.glob(f"snapshots/{stage}/*/*.snapshot"), key=lambda path: path.name)
                return [read_snapshot(pa.BufferReader(path.read_bytes())).frames for path in paths]
            except FileNotFoundError:  # dropped while we looked
                continue

    def shared(self) -> pl.DataFrame:
        """The links of the newest snapshot of campaigns."""
        return self.snapshots("campaigns")[-1]["links"]

    def correlated_epochs(self) -> set[int]:
        """Epochs of the tokens in correlate's snapshots."""
        found = (LinkRuns.from_frames(CorrelateConfig(), one).links()["epoch"] for one in self.snapshots("correlate"))
        return {epoch for epochs in found for epoch in epochs}

    def ledger(self) -> bytes:
        """Every value in the ledger."""
        return b" ".join(values for _, values in rows_of(self.database))

    def weaklink(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [sys.executable, "-c", "from weaklink.cli.main import main; main()", *words],
            env=os.environ | dict(self.services.environment), check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text()[-700:] for path in self.services.folder.glob("*.log"))


@pytest.fixture
def pipeline(tmp_path: Path, postgres: str) -> Iterator[Pipeline]:  # noqa: F811  the fixture
    """With the ledger on PostgreSQL, as in production."""
    require(missing_tools())
    database = new_database(postgres)
    with LocalCluster(tmp_path / "kafka") as cluster:
        settings = Settings(kafka=cluster.kafka, data_folder=tmp_path / "data", clock="event")
        provision(settings)
        for name, kind in PARTIES.items():
            add_party(settings, Party(id=name, kind=kind))
        environment = service_environment(cluster.kafka, tmp_path / "data") | {
            "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "1",
            "WEAKLINK_ENFORCE__LEDGER_URL": database,
        }
        with Services(environment, tmp_path / "logs") as services:
            yield Pipeline(settings, services, tmp_path / "data", database)
            services.check()


def test_a_rotation_in_mid_stream_loses_no_link_and_the_end_of_an_epoch_leaves_nothing_of_it(
    pipeline: Pipeline,
) -> None:
    """Accounts before, during and after the rotation share their identifiers; then the old epoch is ended, and stages are killed."""
    publisher, kafka = Publisher(world_with("c")), pipeline.settings.kafka
    accounts = sorted(publisher.opened)
    campaign = [one for one in accounts if one[1].startswith("c-")]
    publish(kafka, publisher.events(accounts, 1))
    wait_until(lambda: len(set(campaign) & set(pipeline.members())) > 30, pipeline.logs)
    found_as = pipeline.members()
    (identity,) = {found_as[one] for one in campaign if one in found_as}

    both = campaign + [one for one in accounts if one not in campaign][::2]
    after = [publisher.copy(one, f"after-{one[1]}") for one in campaign[:16]]
    publish(kafka, publisher.events(both, 1, 2, usage=False))
    publish(kafka, publisher.events(after, 2))
    wait_until(lambda: pipeline.campaigns_of(after) == {identity}, pipeline.logs)
    old = {token(value, 1) for values in publisher.values.values() for value in values}
    named = {one["target_token"] for record, one in ((r, v.get("measure") or {}) for r, v in pipeline.remembered()) if record == "StandingMeasure"}  # fmt: skip
    assert named & old

    assert "over" in pipeline.weaklink("epochs", "expire", "1", "--reason", "a key leaked", "--by", "ann", "--yes")
    assert "a key leaked" in pipeline.weaklink("epochs", "list")

    def forgotten() -> bool:
        told = b"".join(value for _, one in pipeline.remembered() for value in _binary(one))
        return not any(one in told or one in ledger or one.hex().encode() in ledger for ledger in [pipeline.ledger()] for one in old)  # fmt: skip

    wait_until(lambda: set(pipeline.shared()["epoch"]) == {2}, pipeline.logs)
    wait_until(forgotten, pipeline.logs)
    assert all(set(one["links"]["epoch"]) <= {2} for one in pipeline.snapshots("campaigns"))
    wait_until(lambda: pipeline.correlated_epochs() == {2}, pipeline.logs)

    # An independent count of who holds what under the newer tokens: whoever sent them, and whose older ones were equated for their party.
    sent, said = holders(publisher, [*both, *after]), holders(publisher, both)
    found = pipeline.shared().select("identifier", "account").unique()
    expected = []
    for value, earlier in holders(publisher, accounts).items():
        parties = {party for party, _ in said.get(value, ())}
        known = {one for one in earlier if one[0] in parties or len(parties) > 1}
        if parties and len(earlier | sent[value]) > 1 and value[0] != Kind.TLS:
            identifier = int.from_bytes(token(value, 2)[2:10], "little")
            expected += [(identifier, account_key(*one)) for one in known | sent[value]]
    assert set(found.rows()) == set(expected)

    for stage in ("campaigns", "correlate", "ingest"):
        pipeline.services.kill(stage)
    later = [publisher.copy(one, f"later-{one[1]}") for one in campaign[16:24]]
    stale = [publisher.copy(one, f"stale-{one[1]}") for one in campaign[24:28]]
    publish(kafka, publisher.events(later, 2) + publisher.events(stale, 1))
    wait_until(lambda: pipeline.campaigns_of(later) == {identity}, pipeline.logs)
    assert pipeline.campaigns_of([one for one in (*campaign, *after) if one in found_as or one in after]) == {identity}

    def rejected() -> list[str]:
        return [one.reason for party in PARTIES for one in read_rejects(kafka, party)]

    wait_until(lambda: len(rejected()) >= len(stale), pipeline.logs)
    assert rejected() == ["EXPIRED_EPOCH"] * len(stale)


def _binary(values: Any) -> Iterator[bytes]:
    """Every byte string in a record."""
    if isinstance(values, bytes):
        yield values
    elif isinstance(values, dict):
        for one in values.values():
            yield from _binary(one)
    elif isinstance(values, list):
        for one in values:
            yield from _binary(one)
