"""What a party may do on a cluster with SCRAM, and every forbidden act, tried and seen refused by the broker itself."""

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from chaos.forbidden import error_codes
from kafka import KafkaProducer
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError
from kafka.protocol.admin import (
    AlterClientQuotasRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteGroupsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
    DescribeClientQuotasRequest,
    DescribeConfigsRequest,
    DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest,
)
from kafka.protocol.consumer import FetchRequest, JoinGroupRequest, ListOffsetsRequest, OffsetFetchRequest
from kafka.protocol.metadata import FindCoordinatorRequest, MetadataRequest
from kafka.protocol.producer import InitProducerIdRequest
from tests.ops.scram import Act, Requests, joined, login
from tests.partner.conftest import TOKENISER, usage
from tests.prerequisites import require
from tests.topics import no_ingest
from tests.waiting import PATIENCE_SECONDS, wait_until
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app
from weaklink.errors import BrokerError, ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import membership
from weaklink.ops.access import (
    CONSOLE,
    EVERYBODY,
    EXPORTER,
    SERVICE_PRINCIPALS,
    Grant,
    QuotaEntity,
    denials,
    party_quotas,
)
from weaklink.ops.access_admin import add_grants, read_quotas, remove_grants, set_quotas
from weaklink.ops.admin import open_admin
from weaklink.ops.broker import LocalCluster
from weaklink.ops.doctor import access_findings
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.provision import plan_access, provision, remove_party
from weaklink.parties import Party
from weaklink.partner import PartnerConfig, WeaklinkClient
from weaklink.partner.client import DeliveryError
from weaklink.partner.models import ApiUsage
from weaklink.settings import Settings
from weaklink.tokeniser.clients import grant, load_clients

pytestmark = pytest.mark.kafka

_REAUTH_MS: Final = 4_000
_TOPIC_REFUSED, _GROUP_REFUSED, _CLUSTER_REFUSED, _ID_REFUSED = 29, 30, 31, 53
_INVISIBLE = 3  # "unknown topic": what may not be described is not there


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A broker with SCRAM whose sessions last four seconds: every client here logs in again on the way."""
    require(missing_tools())
    with LocalCluster(tmp_path_factory.mktemp("scram"), scram=True, reauth_ms=_REAUTH_MS) as running:
        yield running


@pytest.fixture(scope="module")
def settings(cluster: LocalCluster) -> Settings:
    """The administrator's, with everything provisioned and every service's secret issued."""
    settings = Settings(kafka=cluster.kafka)
    provision(settings)
    return settings


@pytest.fixture(scope="module")
def own(settings: Settings) -> tuple[Party, KafkaConfig]:
    """The party that tries."""
    return joined(settings, "own-lab")


@pytest.fixture(scope="module")
def other(settings: Settings) -> tuple[Party, KafkaConfig]:
    """The party that it tries to get at."""
    return joined(settings, "other-lab")


@pytest.fixture(scope="module")
def requests(own: tuple[Party, KafkaConfig], other: tuple[Party, KafkaConfig]) -> Iterator[Requests]:
    """Raw requests under the party's own login."""
    opened = Requests(own[1])
    yield opened
    opened.close()


def fetch(topic: str) -> Act:
    """Read a topic's first message."""
    one = FetchRequest.FetchTopic
    partition = one.FetchPartition(
        partition=0, current_leader_epoch=-1, fetch_offset=0, log_start_offset=-1, partition_max_bytes=1 << 20
    )
    request = FetchRequest(
        replica_id=-1, max_wait_ms=1, min_bytes=0, max_bytes=1 << 20, isolation_level=0, session_id=0, session_epoch=-1,
        topics=[one(topic=topic, partitions=[partition])], forgotten_topics_data=[], rack_id="", max_version=12,
    )  # fmt: skip
    return lambda requests: requests.send(request)


def ends(topic: str) -> Act:
    """Ask how much a topic holds."""
    one = ListOffsetsRequest.ListOffsetsTopic
    partition = one.ListOffsetsPartition(partition_index=0, current_leader_epoch=-1, timestamp=-1)
    request = ListOffsetsRequest(replica_id=-1, isolation_level=0, topics=[one(name=topic, partitions=[partition])])
    return lambda requests: requests.send(request)


def sent(request: Any) -> Act:
    """Any other request."""
    return lambda requests: requests.send(request)


def create_topic(name: str) -> Act:
    """Make a topic."""
    one = CreateTopicsRequest.CreatableTopic(
        name=name, num_partitions=1, replication_factor=1, assignments=[], configs=[]
    )
    return sent(CreateTopicsRequest(topics=[one], timeout_ms=5000, validate_only=False))


def configs(kind: int, name: str) -> Act:
    """Ask for settings (kind 2: a topic's, 4: a broker's)."""
    one = DescribeConfigsRequest.DescribeConfigsResource(
        resource_type=kind, resource_name=name, configuration_keys=None
    )
    return sent(DescribeConfigsRequest(resources=[one], include_synonyms=False, include_documentation=False))


def alter_config(topic: str) -> Act:
    """Change a topic's retention."""
    resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    change = resource.AlterableConfig(name="retention.ms", config_operation=0, value="1")
    one = resource(resource_type=2, resource_name=topic, configs=[change])
    return sent(IncrementalAlterConfigsRequest(resources=[one], validate_only=False))


def transaction(name: str) -> Act:
    """Take a transactional id."""
    return sent(
        InitProducerIdRequest(
            transactional_id=name, transaction_timeout_ms=10_000, producer_id=-1, producer_epoch=-1, max_version=4
        )
    )


def coordinator(group: str) -> Act:
    """What every use of a group begins with."""
    return sent(FindCoordinatorRequest(key=group, key_type=0, max_version=3))


def join(group: str) -> Act:
    """Become a member of a group."""
    protocol = JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")
    request = JoinGroupRequest(
        group_id=group, session_timeout_ms=10_000, rebalance_timeout_ms=10_000, member_id="", group_instance_id=None,
        protocol_type="consumer", protocols=[protocol], max_version=5,
    )  # fmt: skip
    return sent(request)


def offsets(group: str) -> Act:
    """Ask how far a group has come."""
    return sent(OffsetFetchRequest(group_id=group, topics=None, max_version=5))


def delete_records(topic: str) -> Act:
    """Empty a topic."""
    one = DeleteRecordsRequest.DeleteRecordsTopic
    partition = one.DeleteRecordsPartition(partition_index=0, offset=-1)
    return sent(DeleteRecordsRequest(topics=[one(name=topic, partitions=[partition])], timeout_ms=5000))


def more_partitions(topic: str) -> Act:
    """Widen a topic."""
    one = CreatePartitionsRequest.CreatePartitionsTopic(name=topic, count=9, assignments=None)
    return sent(CreatePartitionsRequest(topics=[one], timeout_ms=5000, validate_only=False))


def own_quota() -> Act:
    """Lift its own quota."""
    entry = AlterClientQuotasRequest.EntryData
    one = entry(
        entity=[entry.EntityData(entity_type="user", entity_name="party.own-lab")],
        ops=[entry.OpData(key="producer_byte_rate", value=1e12, remove=False)],
    )
    return sent(AlterClientQuotasRequest(entries=[one], validate_only=False))


OTHERS_TOPICS = ("party.other-lab.actions", "party.other-lab.rejects", "party.other-lab.events")
INTERNAL_TOPICS = (*(spec.name for spec in topology.TOPICS), "__consumer_offsets", "__transaction_state")
TRANSACTIONAL_IDS = ("weaklink.ingest.local", "party.own-lab.x", "anything")
OTHERS_GROUPS = ("party.other-lab.actions", "weaklink.ingest", "weaklink.enforce", "party.own-lab", "anything")

FORBIDDEN: dict[str, tuple[Act, set[int]]] = {
    **{
        f"read {topic}": (fetch(topic), {_TOPIC_REFUSED})
        for topic in (*OTHERS_TOPICS, *INTERNAL_TOPICS, "party.own-lab.events")
    },
    **{f"measure {topic}": (ends(topic), {_TOPIC_REFUSED}) for topic in (*OTHERS_TOPICS, topology.LINKS)},
    **{
        f"create {topic}": (create_topic(topic), {_TOPIC_REFUSED})
        for topic in ("party.own-lab.more", "party.new.events", "weaklink.x", "x")
    },
    **{
        f"settings of {topic}": (configs(2, topic), {_TOPIC_REFUSED})
        for topic in ("party.own-lab.events", "party.other-lab.events", topology.LINKS)
    },
    "settings of the broker": (configs(4, "1"), {_CLUSTER_REFUSED}),
    **{
        f"alter {topic}": (alter_config(topic), {_TOPIC_REFUSED})
        for topic in ("party.own-lab.events", "party.other-lab.actions")
    },
    **{f"transactional id {name}": (transaction(name), {_ID_REFUSED}) for name in TRANSACTIONAL_IDS},
    **{f"find group {group}": (coordinator(group), {_GROUP_REFUSED}) for group in OTHERS_GROUPS},
    **{f"join group {group}": (join(group), {_GROUP_REFUSED}) for group in OTHERS_GROUPS},
    **{f"offsets of group {group}": (offsets(group), {_GROUP_REFUSED}) for group in OTHERS_GROUPS},
    "delete another's group": (
        sent(DeleteGroupsRequest(groups_names=["party.other-lab.actions"], max_version=2)),
        {_GROUP_REFUSED},
    ),
    "delete its own group": (
        sent(DeleteGroupsRequest(groups_names=["party.own-lab.actions"], max_version=2)),
        {_GROUP_REFUSED},
    ),
    **{
        f"delete {topic}": (
            sent(DeleteTopicsRequest(topic_names=[topic], timeout_ms=5000, max_version=5)),
            {_TOPIC_REFUSED, _INVISIBLE},
        )
        for topic in ("party.own-lab.events", "party.other-lab.events", topology.LINKS)
    },
    **{
        f"empty {topic}": (delete_records(topic), {_TOPIC_REFUSED})
        for topic in ("party.own-lab.actions", "party.own-lab.events", "party.other-lab.events")
    },
    "widen its own topic": (more_partitions("party.own-lab.events"), {_TOPIC_REFUSED}),
    "read quotas": (sent(DescribeClientQuotasRequest(components=[], strict=False)), {_CLUSTER_REFUSED}),
    "lift its own quota": (own_quota(), {_CLUSTER_REFUSED}),
    "look at disks": (sent(DescribeLogDirsRequest(topics=None)), {_CLUSTER_REFUSED}),
}


@pytest.mark.parametrize("act", FORBIDDEN)
def test_what_a_party_may_not_do_is_refused_by_the_broker(act: str, requests: Requests) -> None:
    """Each act is answered with the refusal that belongs to it, and with nothing else."""
    attempt, refusals = FORBIDDEN[act]
    codes = error_codes(attempt(requests)) - {0}
    assert codes, f"{act}: not refused"
    assert codes <= refusals


@pytest.mark.parametrize(
    "topic",
    [*OTHERS_TOPICS, topology.LINKS, topology.DECISIONS, topology.PARTIES, topology.BENIGN, "party.own-lab.actions",
     "party.own-lab.rejects", "__consumer_offsets"],
)  # fmt: skip
def test_a_party_can_write_its_events_and_nothing_else(topic: str, own: tuple[Party, KafkaConfig]) -> None:
    """A producer is refused at the topic, or does not find it at all."""
    producer = KafkaProducer(**own[1].client_options(), max_block_ms=5_000)
    try:
        with pytest.raises(KafkaError, match=r"Authorization|authorized|Failed to update metadata"):
            producer.send(topic, b"forged", partition=0).get(timeout=PATIENCE_SECONDS)
    finally:
        producer.close(timeout=5)


def test_a_party_sees_its_own_three_topics_and_no_group_of_others(
    own: tuple[Party, KafkaConfig], requests: Requests
) -> None:
    """What is closed is not even listed."""
    party = own[0]
    answer = requests.send(MetadataRequest(topics=None, max_version=9))
    assert {topic.name for topic in answer.topics} == {party.events_topic, party.actions_topic, party.rejects_topic}
    assert all(group["group_id"].startswith("party.own-lab.") for group in requests.admin.list_groups())


def test_a_party_cannot_touch_rights_or_secrets(own: tuple[Party, KafkaConfig]) -> None:
    """Neither read nor give itself rights, nor change its own secret or another's."""
    requests = Requests(own[1].model_copy(update={"bootstrap_timeout_ms": 10_000}))
    try:
        everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        with pytest.raises(KafkaError, match=r"ClusterAuthorizationFailed|not authorized|Cluster auth"):
            requests.admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything))
        with pytest.raises(BrokerError, match="refused 1 of 1 ACLs: ClusterAuthorizationFailedError"):
            add_grants(requests.admin, [Grant("party.own-lab", "TOPIC", topology.LINKS, "READ")])
        for user in ("party.own-lab", "party.other-lab", "admin"):
            change = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, "mine now")
            refused = requests.admin.alter_user_scram_credentials([change])
            assert "needs ALTER permission" in refused[user]
        gone = UserScramCredentialDeletion("party.other-lab", ScramMechanism.SCRAM_SHA_512)
        assert "needs ALTER permission" in requests.admin.alter_user_scram_credentials([gone])["party.other-lab"]
    finally:
        requests.close()


def test_a_party_publishes_reads_and_answers_under_its_own_rights(
    settings: Settings, own: tuple[Party, KafkaConfig], tmp_path: Path
) -> None:
    """The SDK needs no right beyond those four, across several logins of a session; others may not use its topic."""
    party, kafka = own
    config = PartnerConfig(state_folder=tmp_path)
    with WeaklinkClient(party.id, kafka, config, TOKENISER) as client:
        begun = time.monotonic()
        while time.monotonic() - begun < 2.5 * _REAUTH_MS / 1000:
            assert client.publish(ApiUsage(**usage())).topic == party.events_topic
            time.sleep(0.5)
        with client.actions(idle_seconds=0.5) as actions:
            assert list(actions) == []
    with WeaklinkClient("other-lab", kafka, config, TOKENISER) as forger, pytest.raises((DeliveryError, BrokerError)):
        forger.publish(ApiUsage(**usage()))


def test_nobody_gets_in_with_a_wrong_secret_or_without_one(own: tuple[Party, KafkaConfig]) -> None:
    """A wrong secret is told as an error, not as silence."""
    wrong = login(own[1], "party.own-lab", "wrong").model_copy(update={"bootstrap_timeout_ms": 3_000})
    with pytest.raises(KafkaError):
        Requests(wrong)
    nobody = KafkaConfig(bootstrap_servers=own[1].bootstrap_servers, bootstrap_timeout_ms=3_000)
    with pytest.raises(KafkaError):
        Requests(nobody)


def test_a_party_is_added_with_quotas(settings: Settings, own: tuple[Party, KafkaConfig]) -> None:
    """Bytes in and out, request share, and what asking for topics costs."""
    with open_admin(settings.kafka) as admin:
        assert read_quotas(admin)[QuotaEntity(own[0].principal)] == party_quotas(settings.access)


def test_suspending_ends_live_sessions_at_once_and_resuming_takes_a_new_secret(settings: Settings) -> None:
    """A session that writes and reads is cut at its next request; the old secret never lets anybody in again."""
    party, kafka = joined(settings, "suspended-lab")
    producer = KafkaProducer(
        **kafka.client_options(), max_block_ms=5_000, delivery_timeout_ms=5_000, request_timeout_ms=4_000
    )
    producer.send(party.events_topic, b"before").get(timeout=PATIENCE_SECONDS)
    session = Requests(kafka)
    assert error_codes(fetch(party.actions_topic)(session)) == {0}
    suspended = membership.suspend_party(settings, party.id)
    assert suspended.suspended_at
    # At once: neither waits for the four seconds after which the broker asks for the secret again.
    assert error_codes(fetch(party.actions_topic)(session)) == {0, _TOPIC_REFUSED}
    with pytest.raises(KafkaError, match=r"Authorization|authorized"):
        producer.send(party.events_topic, b"after").get(timeout=PATIENCE_SECONDS)
    session.close()
    producer.close(timeout=1)
    assert not [one for one in plan_access(settings) if "suspended-lab" in one.what]
    with pytest.raises(KafkaError):
        Requests(kafka.model_copy(update={"bootstrap_timeout_ms": 3_000}))
    secret = membership.resume_party(settings, party.id)
    assert secret
    assert secret != kafka.secret()
    again = Requests(login(settings.kafka, party.principal, secret))
    assert error_codes(fetch(party.actions_topic)(again)) == {0}
    again.close()
    with pytest.raises(KafkaError):
        Requests(kafka.model_copy(update={"bootstrap_timeout_ms": 3_000}))


def test_a_rotated_secret_ends_old_sessions_when_the_broker_asks_again(settings: Settings) -> None:
    """The old secret lets nobody in; a session that it opened lasts until the re-authentication interval is over."""
    party, kafka = joined(settings, "rotating-lab")
    session = Requests(kafka.model_copy(update={"bootstrap_timeout_ms": 2_000}))
    assert error_codes(fetch(party.actions_topic)(session)) == {0}
    secret = membership.rotate_party(settings, party.id)
    assert secret

    def ended() -> bool:
        try:
            return error_codes(fetch(party.actions_topic)(session)) != {0}
        except KafkaError:
            return True

    wait_until(ended)
    session.close()
    fresh = Requests(login(settings.kafka, party.principal, secret))
    assert error_codes(fetch(party.actions_topic)(fresh)) == {0}
    fresh.close()


def test_where_others_keep_principals_the_registry_changes_and_what_strimzi_is_given_cuts_a_party_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands touch no right and no secret; they print what does, and its denials end a live session at its next request."""
    party, kafka = joined(settings, "strimzi-lab")
    for name, value in settings.kafka.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEAKLINK_ACCESS__MANAGED", "false")

    def weaklink(*words: str) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def user() -> dict[str, Any]:
        (found,) = json.loads(weaklink("strimzi", "--only", party.id))["items"]
        return dict(found["spec"])

    told = weaklink("party", "add", party.id, "--kind", str(party.kind), "--partitions", str(party.events_partitions))
    assert "get secret party.strimzi-lab" in told
    session = Requests(kafka)
    assert "delete secret party.strimzi-lab" in weaklink("party", "rotate", party.id)
    assert user()["authentication"] == {"type": "scram-sha-512"}
    assert "weaklink strimzi --only strimzi-lab |" in weaklink("party", "suspend", party.id)
    assert error_codes(fetch(party.actions_topic)(session)) == {0}
    assert "authentication" not in user()
    kinds = {"topic": "TOPIC", "group": "GROUP", "transactionalId": "TRANSACTIONAL_ID", "cluster": "CLUSTER"}
    denied = {
        Grant(party.principal, kinds[one["resource"]["type"]], one["resource"].get("name", "kafka-cluster"), "ALL", deny=True)
        for one in user()["authorization"]["acls"]
    }  # fmt: skip
    assert denied == denials(party)
    with open_admin(settings.kafka) as admin:
        add_grants(admin, denied)
    assert error_codes(fetch(party.actions_topic)(session)) == {0, _TOPIC_REFUSED}
    session.close()
    assert "strimzi-lab |" in weaklink("party", "resume", party.id)
    assert "authentication" in user()
    assert "delete kafkauser party.strimzi-lab" in weaklink("party", "remove", party.id)
    assert CliRunner().invoke(app, ["strimzi", "--only", party.id]).exit_code != 0
    monkeypatch.delenv("WEAKLINK_ACCESS__MANAGED")
    provision(settings)  # takes away what others had left


@pytest.mark.parametrize("delete_topics", [False, True])
def test_removing_a_party_leaves_no_right_no_quota_and_no_secret(settings: Settings, delete_topics: bool) -> None:
    """And a live session can neither read nor write any more, whether its topics stay or not."""
    party, kafka = joined(settings, f"removed-lab-{delete_topics:d}")
    session = Requests(kafka)
    producer = KafkaProducer(
        **kafka.client_options(), max_block_ms=5_000, delivery_timeout_ms=5_000, request_timeout_ms=4_000
    )
    producer.send(party.events_topic, b"before").get(timeout=PATIENCE_SECONDS)
    assert error_codes(fetch(party.actions_topic)(session)) == {0}
    remove_party(settings, party.id, delete_topics=delete_topics, wait=no_ingest)
    assert _TOPIC_REFUSED in error_codes(fetch(party.actions_topic)(session))
    with pytest.raises(KafkaError):
        producer.send(party.events_topic, b"after").get(timeout=PATIENCE_SECONDS)
    session.close()
    producer.close(timeout=1)
    provision(settings)  # the services' rights on topics that stay
    assert not [one for one in plan_access(settings) if party.id in one.what]
    with pytest.raises(KafkaError):
        Requests(kafka.model_copy(update={"bootstrap_timeout_ms": 3_000}))


def give_old_secret(settings: Settings, principal: str) -> None:
    """A secret of the kind that Weaklink does not issue, as somebody gives it by hand."""
    with open_admin(settings.kafka) as admin:
        change = UserScramCredentialUpsertion(principal, ScramMechanism.SCRAM_SHA_256, "x" * 20)
        assert admin.alter_user_scram_credentials([change]) == {principal: None}
        wait_until(lambda: ScramMechanism.SCRAM_SHA_256 in kinds_of_secrets(settings, principal))


def kinds_of_secrets(settings: Settings, principal: str) -> set[ScramMechanism]:
    with open_admin(settings.kafka) as admin:
        found = admin.describe_user_scram_credentials()
    return {info["mechanism"] for info in found[principal]["credential_infos"]} if principal in found else set()


@pytest.mark.parametrize("act", ["suspend", "remove", "rotate"])
def test_a_secret_of_another_kind_goes_with_the_secret_and_so_does_a_quota_of_a_client(
    settings: Settings, act: str
) -> None:
    """Neither outlives the party, and a rotated secret is the only one."""
    party, _ = joined(settings, f"{act}-kinds-lab")
    give_old_secret(settings, party.principal)
    with open_admin(settings.kafka) as admin:
        set_quotas(admin, party.principal, {"producer_byte_rate": 1e12}, "producer-1")
    if act == "suspend":
        membership.suspend_party(settings, party.id)
    elif act == "remove":
        remove_party(settings, party.id, delete_topics=True, wait=no_ingest)
        with open_admin(settings.kafka) as admin:
            assert not [one for one in read_quotas(admin) if one.user == party.principal]
    else:
        membership.rotate_party(settings, party.id)
    assert kinds_of_secrets(settings, party.principal) == ({ScramMechanism.SCRAM_SHA_512} if act == "rotate" else set())
    if act != "remove":
        remove_party(settings, party.id, delete_topics=True, wait=no_ingest)


@pytest.mark.parametrize("principal", [EXPORTER, CONSOLE])
def test_what_is_seen_on_the_network_looks_and_changes_nothing(
    settings: Settings, other: tuple[Party, KafkaConfig], principal: str
) -> None:
    """Exporter and console measure every reader's lag, and the console reads campaigns; neither writes anywhere, nor reads what came back to parties."""
    kafka = login(settings.kafka, principal, membership.issue_service_secret(settings, principal) or "")
    with LagProbe(kafka) as probe:
        lags = {one.reader: one for one in probe.sample()}
        probe.last_event_us()
    assert {*(stage.name for stage in topology.STAGES), f"party {other[0].id}"} <= set(lags)
    assert other[0].events_topic in {row.topic for row in lags["ingest"].partitions}
    session = Requests(kafka)
    assert error_codes(fetch(topology.CAMPAIGNS)(session)) == ({0} if principal == CONSOLE else {0, _TOPIC_REFUSED})
    assert error_codes(fetch(topology.PARTIES)(session)) == ({0} if principal == EXPORTER else {0, _TOPIC_REFUSED})
    assert error_codes(fetch(other[0].rejects_topic)(session)) == {0, _TOPIC_REFUSED}
    session.close()
    for topic in (topology.BENIGN, topology.EPOCHS, topology.DECISIONS, other[0].actions_topic, other[0].events_topic):
        producer = KafkaProducer(**kafka.client_options(), max_block_ms=5_000)
        with pytest.raises(KafkaError, match=r"Authorization|authorized|Failed to update metadata"):
            producer.send(topic, b"forged", partition=0).get(timeout=PATIENCE_SECONDS)
        producer.close(timeout=5)


def everybody_quota(admin: KafkaAdminClient, percent: float | None) -> None:
    """Set or remove the quota of every user that has none of its own."""
    entry = AlterClientQuotasRequest.EntryData
    change = entry.OpData(key="request_percentage", value=percent or 0.0, remove=percent is None)
    one = entry(entity=[entry.EntityData(entity_type="user", entity_name=None)], ops=[change])
    manager = admin._manager
    answer = manager.run(manager.send, AlterClientQuotasRequest(entries=[one], validate_only=False))
    assert error_codes(answer) == {0}


def test_the_check_names_each_difference_and_provisioning_mends_what_it_can(
    settings: Settings, other: tuple[Party, KafkaConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right too many, a right too few, another quota, a stranger's right: each is a line, and the exit code is 1."""
    for name, value in settings.kafka.environment().items():
        monkeypatch.setenv(name, value)
    for principal in SERVICE_PRINCIPALS:
        assert membership.issue_service_secret(settings, principal)
    clean = CliRunner().invoke(app, ["provision", "--check"], env={"COLUMNS": "200"})
    assert clean.exit_code == 0, clean.output
    party = other[0]
    surplus = Grant(party.principal, "TOPIC", topology.LINKS, "READ")
    stranger = Grant("somebody", "TOPIC", "*", "READ")
    missing = Grant(party.principal, "TOPIC", party.rejects_topic, "READ")
    with open_admin(settings.kafka) as admin:
        add_grants(admin, [surplus, stranger])
        remove_grants(admin, [missing])
        set_quotas(admin, party.principal, {"producer_byte_rate": 1.0})
        set_quotas(admin, party.principal, {"producer_byte_rate": 1e12}, "producer-1")
        set_quotas(admin, party.principal, {"consumer_byte_rate": 1e12}, EVERYBODY)
        everybody_quota(admin, 800.0)
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion("party.never-added", ScramMechanism.SCRAM_SHA_512, "x" * 20)]
        )
    give_old_secret(settings, party.principal)
    try:
        checked = CliRunner().invoke(app, ["provision", "--check"], env={"COLUMNS": "200"})
        assert checked.exit_code == 1
        for expected in (
            f"revoke: {surplus}",
            f"grant: {missing}",
            f"revoke: {stranger} (none of Weaklink's principals",
            "quota: party.other-lab: producer_byte_rate 1.0 ->",
            "quota: user party.other-lab, client producer-1: producer_byte_rate 1000000000000.0",
            "quota: user party.other-lab, every client: consumer_byte_rate 1000000000000.0",
            "quota: every user: request_percentage 800.0 (Weaklink's services have no quota",
            "secret: party.never-added has a secret and should have none",
            "secret: party.other-lab has a secret of the kind SCRAM-SHA-256",
        ):
            assert expected in checked.output
        mended = CliRunner().invoke(app, ["provision", "--yes"])
        assert mended.exit_code == 0, mended.output
        left = CliRunner().invoke(app, ["provision", "--check"], env={"COLUMNS": "200"})
        assert [
            line for line in left.output.splitlines() if ":" in line and "somebody" not in line and "->" in line
        ] == []
        assert [one.what for one in plan_access(settings)] == [str(stranger), "every user: request_percentage 800.0"]
        assert kinds_of_secrets(settings, party.principal) == {ScramMechanism.SCRAM_SHA_512}
    finally:
        with open_admin(settings.kafka) as admin:
            remove_grants(admin, [stranger])
            everybody_quota(admin, None)
            wait_until(lambda: QuotaEntity(EVERYBODY) not in read_quotas(admin))
    assert CliRunner().invoke(app, ["provision", "--check"]).exit_code == 0


def test_a_denial_of_everybody_stops_a_service_and_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `kafka-acls --add --deny-principal 'User:*' --operation Read --topic weaklink.links` makes it. A person has to take it away."""
    for name, value in settings.kafka.environment().items():
        monkeypatch.setenv(name, value)
    principal = "weaklink.correlate"
    session = Requests(login(settings.kafka, principal, membership.issue_service_secret(settings, principal) or ""))
    denial = Grant("*", "TOPIC", topology.LINKS, "READ", deny=True)
    with open_admin(settings.kafka) as admin:
        try:
            assert error_codes(fetch(topology.LINKS)(session)) == {0}
            add_grants(admin, [denial])
            assert error_codes(fetch(topology.LINKS)(session)) == {0, _TOPIC_REFUSED}
            checked = CliRunner().invoke(app, ["provision", "--check"], env={"COLUMNS": "200"})
            assert checked.exit_code == 1
            assert f"revoke: {denial} (everybody, Weaklink's too: remove it with kafka-acls" in checked.output
            assert str(denial) in [one.what for one in access_findings(plan_access(settings))]
        finally:
            remove_grants(admin, [denial])
            session.close()


def test_the_command_shows_a_secret_once_and_a_file_keeps_it_from_the_screen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`party add` again shows none; `party rotate --secret-file` writes one with mode 0600 that works, and never overwrites a file."""
    for name, value in settings.kafka.environment().items():
        monkeypatch.setenv(name, value)
    run = CliRunner()
    added = run.invoke(app, ["party", "add", "cli-lab", "--kind", "lab", "--partitions", "1"])
    assert added.exit_code == 0, added.output
    (secret,) = (line.partition("=")[2] for line in added.stdout.splitlines() if "PASSWORD=" in line)
    assert "PASSWORD" not in run.invoke(app, ["party", "add", "cli-lab", "--kind", "lab", "--partitions", "1"]).stdout
    file = tmp_path / "login"
    rotated = run.invoke(app, ["party", "rotate", "cli-lab", "--secret-file", str(file)])
    assert rotated.exit_code == 0, rotated.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert lines["WEAKLINK_KAFKA__PASSWORD"] not in rotated.output
    assert lines["WEAKLINK_KAFKA__PASSWORD"] != secret
    again = run.invoke(app, ["party", "rotate", "cli-lab", "--secret-file", str(file)])
    assert isinstance(again.exception, ConfigurationError)
    party = Requests(login(settings.kafka, "party.cli-lab", lines["WEAKLINK_KAFKA__PASSWORD"]))
    assert error_codes(fetch("party.cli-lab.actions")(party)) == {0}
    party.close()
    for command in (
        ["party", "suspend", "cli-lab"],
        ["party", "resume", "cli-lab"],
        ["principal", "secret", "weaklink.ingest"],
    ):
        assert run.invoke(app, command).exit_code == 0
    assert run.invoke(app, ["party", "rotate", "nobody"]).exit_code == 1


@pytest.mark.parametrize("act", ["suspend", "remove"])
def test_who_is_kept_out_of_kafka_is_kept_out_of_the_tokeniser_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Where its list of clients is here; where it is not, the command says what has to be done there. Nobody else loses anything."""
    clients = tmp_path / "clients.json"
    for name, value in settings.kafka.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEAKLINK_TOKENISER__CLIENTS_FILE", str(clients))
    run = CliRunner()
    for party in (f"{act}-here", f"{act}-elsewhere"):
        assert run.invoke(app, ["party", "add", party, "--kind", "lab", "--partitions", "1"]).exit_code == 0
    for party in (f"{act}-here", "stays-lab"):
        grant(clients, party)
    here = run.invoke(app, ["party", act, f"{act}-here"])
    assert (here.exit_code, "does not answer" in here.stdout) == (0, True), here.output
    elsewhere = run.invoke(app, ["party", act, f"{act}-elsewhere"])
    assert elsewhere.exit_code == 0, elsewhere.output
    assert f"weaklink tokeniser revoke {act}-elsewhere" in elsewhere.stderr
    assert set(load_clients(clients).values()) == {"stays-lab"}
