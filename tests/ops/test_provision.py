"""Provisioning: a plan that is shown before it is executed, and that finds nothing to do the second time."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from structlog.testing import capture_logs
from tests.waiting import PATIENCE_SECONDS, wait_until
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app
from weaklink.cli.provision import show_plan
from weaklink.errors import BrokerError, PartyError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import topics_admin
from weaklink.ops.provision import add_party, plan, provision, remove_party
from weaklink.ops.topics import Change, Topic, compare, internal_topics, party_topics
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.parties import Party, PartyKind
from weaklink.party_registry import PartyRegistry, read_parties
from weaklink.settings import Settings, TopicsConfig
from weaklink.small_topics import append
from weaklink.tokeniser.clients import grant, load_clients


def unique_party(kind: PartyKind = PartyKind.LAB, **fields: object) -> Party:
    return Party.model_validate({"id": f"t-{uuid.uuid4().hex[:12]}", "kind": kind, **fields})


@pytest.fixture
def settings(kafka: KafkaConfig) -> Settings:
    """Settings for the test cluster, with its internal topics in place."""
    settings = Settings(kafka=kafka)
    provision(settings)
    return settings


@pytest.fixture
def admin(kafka: KafkaConfig) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(**kafka.client_options())
    yield client
    client.close()


def as_found(topic: Topic, **changes: object) -> Topic:
    fields = {"name": topic.name, "partitions": topic.partitions, "replication_factor": topic.replication_factor}
    return Topic(**{**fields, "configs": {**topic.configs, "segment.ms": "1"}, **changes})  # type: ignore[arg-type]


def test_every_topic_of_the_topology_is_planned_with_the_brokers_clock() -> None:
    topics = internal_topics(Settings())
    assert [topic.name for topic in topics] == [spec.name for spec in topology.TOPICS]
    assert {topic.configs["message.timestamp.type"] for topic in topics} == {"LogAppendTime"}


def test_compacted_topics_compact_and_the_others_have_a_retention() -> None:
    topics = {topic.name: topic.configs for topic in internal_topics(Settings())}
    assert topics[topology.CAMPAIGNS]["cleanup.policy"] == "compact"
    assert not {"retention.ms", "retention.bytes"} & topics[topology.PARTIES].keys()
    assert topics[topology.BENIGN]["cleanup.policy"] == "delete"
    assert topics[topology.BENIGN]["retention.ms"] == "-1"
    assert topics[topology.LINKS]["cleanup.policy"] == "delete"
    assert topics[topology.LINKS]["retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert topics[topology.DECISIONS]["retention.ms"] == str(14 * 24 * 3600 * 1000)


def test_a_chunk_of_the_largest_size_fits_its_topic_with_its_headers() -> None:
    settings = Settings()
    for topic in internal_topics(settings):
        assert int(topic.configs["max.message.bytes"]) > settings.topics.chunk_bytes_max


def test_rejects_takes_larger_messages_than_events_and_keeps_them_longer() -> None:
    events, rejects, actions = party_topics(Settings(), unique_party(events_partitions=5))
    assert int(rejects.configs["max.message.bytes"]) > int(events.configs["max.message.bytes"])
    assert (
        int(actions.configs["retention.ms"])
        > int(rejects.configs["retention.ms"])
        > int(events.configs["retention.ms"])
    )
    assert (events.partitions, rejects.partitions, actions.partitions) == (5, 1, 1)


def test_what_a_party_writes_can_be_bounded_in_bytes_too_but_not_what_it_is_told() -> None:
    """A party that floods loses its own oldest events, not the brokers' disks; its actions stay for their days."""
    bounded = Settings(topics=TopicsConfig(party_partition_bytes_max=1 << 30))
    sizes = [topic.configs.get("retention.bytes") for topic in party_topics(bounded, unique_party())]
    assert sizes == [str(1 << 30), str(1 << 30), "-1"]
    assert {topic.configs["retention.bytes"] for topic in party_topics(Settings(), unique_party())} == {"-1"}


def test_what_could_lose_records_in_silence_is_said_of_every_topic_whatever_the_brokers_defaults_are() -> None:
    """Else a limit that somebody set on the topic, or on the brokers, would not differ from anything."""
    for topic in [*internal_topics(Settings()), *party_topics(Settings(), unique_party())]:
        assert topic.configs["unclean.leader.election.enable"] == "false"
        if topic.configs["cleanup.policy"] == "delete":
            assert {"retention.ms", "retention.bytes"} <= topic.configs.keys()


def test_three_replicas_need_two_in_sync() -> None:
    three = Settings(kafka=KafkaConfig(replication_factor=3))
    assert {topic.configs["min.insync.replicas"] for topic in internal_topics(three)} == {"2"}
    assert {topic.replication_factor for topic in internal_topics(three)} == {3}


def test_a_topic_that_is_as_it_should_be_is_fine_whatever_else_the_broker_reports() -> None:
    target = internal_topics(Settings())[0]
    (step,) = compare([target], {target.name: as_found(target)})
    assert step.change is Change.FINE


def test_a_differing_setting_is_changed_and_named_with_both_values() -> None:
    target = internal_topics(Settings())[1]
    found = as_found(target, configs={**target.configs, "retention.ms": "1000"})
    (step,) = compare([target], {target.name: found})
    assert step.change is Change.CONFIGURE
    assert step.configs == {"retention.ms": target.configs["retention.ms"]}
    assert step.details == (f"retention.ms: 1000 -> {target.configs['retention.ms']}",)


def test_everything_that_differs_about_a_topic_is_told_at_once() -> None:
    """A wrong count hides neither the other count nor a setting, and nothing of it is executed."""
    (target,) = (topic for topic in internal_topics(Settings()) if topic.name == topology.LINKS)
    changed = {"retention.ms": "1000", "retention.bytes": "5", "compression.type": "gzip"}
    found = as_found(
        target,
        partitions=9,
        replication_factor=2,
        configs={**target.configs, **changed},
        overrides=frozenset({*target.configs, "compression.type"}),
    )
    (step,) = compare([target], {target.name: found})
    assert (step.change, step.configs) == (Change.CONFLICT, None)
    assert step.conflicts == frozenset({"partitions", "replicas"})
    starts = [detail.split(":")[0] for detail in step.details]
    assert starts == [
        f"has 9 partitions, should have {target.partitions}",
        f"has 2 replicas, should have {target.replication_factor}",
        "retention.ms",
        "retention.bytes",
        "compression.type",
    ]
    with pytest.raises(BrokerError) as refused:
        apply(KafkaConfig(bootstrap_servers="127.0.0.1:1"), [step])
    assert all(detail in str(refused.value) for detail in step.details)


def test_a_setting_of_the_topic_itself_that_is_none_of_weaklinks_is_told_and_left() -> None:
    """Retention on a compacted topic, a codec: not what the brokers' defaults say, nor what was asked for."""
    target = internal_topics(Settings())[0]
    others = {"retention.ms": "1000", "compression.type": "gzip"}
    found = as_found(target, configs={**target.configs, **others}, overrides=frozenset({*target.configs, *others}))
    (step,) = compare([target], {target.name: found})
    assert (step.change, step.configs) == (Change.SURPLUS, None)
    told, retention = step.details
    assert told.startswith("compression.type: gzip is set on the topic")
    assert "kafka-configs --alter --delete-config compression.type" in told
    assert retention.startswith("retention.ms: 1000 is set on the topic")
    apply(KafkaConfig(bootstrap_servers="127.0.0.1:1"), [step])  # nothing to do: it does not even connect


def test_what_is_left_does_not_keep_the_rest_from_being_mended() -> None:
    (target,) = (topic for topic in internal_topics(Settings()) if topic.name == topology.LINKS)
    changed = {"retention.bytes": "5", "segment.bytes": "1048576"}
    found = as_found(target, configs={**target.configs, **changed}, overrides=frozenset(changed))
    (step,) = compare([target], {target.name: found})
    assert (step.change, step.configs) == (Change.CONFIGURE, {"retention.bytes": "-1"})
    assert step.details[0] == "retention.bytes: 5 -> -1"
    assert step.details[1].startswith("segment.bytes: 1048576 is set on the topic")


def test_a_difference_is_told_to_its_end_in_a_narrow_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of settings are longer than a column may be; a log is eighty columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "follower.replication.throttled.replicas.of.a.name.that.is.longer"
    target = replace(internal_topics(Settings())[0], name="party.a-party-with-a-long-name.rejects")
    found = as_found(target, configs={**target.configs, name: "*"}, overrides=frozenset({name}))
    show_plan(compare([target], {target.name: found}), as_json=False)
    printed = capsys.readouterr().out
    assert "…" not in printed
    lines = printed.splitlines()
    begin = lines[0].index("difference")
    assert name in "".join(line[begin:].strip() for line in lines[1:])


@pytest.mark.parametrize("changes", [{"partitions": 9}, {"replication_factor": 2}])
def test_another_count_of_partitions_or_replicas_is_a_conflict_that_nothing_executes(changes: dict[str, int]) -> None:
    target = internal_topics(Settings())[0]
    steps = compare([target], {target.name: as_found(target, **changes)})
    assert steps[0].change is Change.CONFLICT
    with pytest.raises(BrokerError, match=r"weaklink\.parties has"):
        apply(KafkaConfig(bootstrap_servers="127.0.0.1:1"), steps)  # raised before any connection


@pytest.mark.kafka
def test_provisioning_twice_changes_nothing_the_second_time(settings: Settings) -> None:
    assert {step.change for step in provision(settings)} == {Change.FINE}


@pytest.mark.kafka
def test_a_setting_that_somebody_changed_is_mended(settings: Settings, admin: KafkaAdminClient) -> None:
    party = add_party(settings, unique_party())
    resource = ConfigResource(ConfigResourceType.TOPIC, party.events_topic, configs={"retention.ms": "60000"})
    assert admin.alter_configs([resource])["topic"][party.events_topic] == "OK"
    changed = [step for step in provision(settings) if step.topic.name == party.events_topic]
    assert [step.change for step in changed] == [Change.CONFIGURE]
    assert {step.change for step in plan_topics(settings.kafka, party_topics(settings, party))} == {Change.FINE}


@pytest.mark.kafka
def test_a_setting_that_loses_records_is_mended_and_any_other_is_told_and_left(
    settings: Settings, admin: KafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check names both; what the broker itself reports as its default is no difference."""
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers)
    party = add_party(settings, unique_party())

    def told() -> tuple[int, dict[str, tuple[str, list[str]]]]:
        checked = CliRunner().invoke(app, ["provision", "--check", "--json"])
        lines = [json.loads(line) for line in checked.stdout.splitlines()]
        steps = {line["topic"]: (line["change"], line["details"]) for line in lines if "details" in line}
        return checked.exit_code, {name: step for name, step in steps.items() if step[0] != "fine"}

    assert told() == (0, {})
    by_topic = {
        party.events_topic: {"retention.bytes": "1048576", "unclean.leader.election.enable": "true"},
        topology.PARTIES: {"retention.ms": "60000", "compression.type": "gzip"},
    }
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=some) for name, some in by_topic.items()]
    assert set(admin.alter_configs(resources)["topic"].values()) == {"OK"}
    try:
        code, steps = told()
        assert code == 1
        assert steps.keys() == by_topic.keys()
        change, details = steps[party.events_topic]
        assert (change, sorted(details)) == (
            "configure",
            ["retention.bytes: 1048576 -> -1", "unclean.leader.election.enable: true -> false"],
        )
        change, details = steps[topology.PARTIES]
        assert (change, [detail.split(" is set")[0] for detail in details]) == (
            "surplus",
            ["compression.type: gzip", "retention.ms: 60000"],
        )
        assert CliRunner().invoke(app, ["provision", "--yes"]).exit_code == 0
        assert told() == (1, {topology.PARTIES: steps[topology.PARTIES]})
    finally:
        gone = dict.fromkeys(by_topic[topology.PARTIES])
        admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topology.PARTIES, configs=gone)])
    assert told() == (0, {})


@pytest.mark.kafka
def test_a_setting_that_the_broker_refuses_is_an_error_not_silence(settings: Settings) -> None:
    (target,) = (topic for topic in internal_topics(settings) if topic.name == topology.RECEIPTS)
    bad = Topic(target.name, target.partitions, target.replication_factor, {"retention.ms": "not-a-number"})
    with pytest.raises(BrokerError, match=r"refused topic settings: weaklink\.receipts"):
        apply(settings.kafka, plan_topics(settings.kafka, [bad]))


@pytest.mark.kafka
def test_more_topics_than_kafka_takes_in_one_request_are_created_and_changed_in_several(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of parties at once: the controller refuses a request that makes too many records."""
    targets = [topic for _ in range(4) for topic in party_topics(settings, unique_party())]
    monkeypatch.setattr(
        topics_admin, "_RECORDS_IN_REQUEST_MAX", max(1 + t.partitions + len(t.configs) for t in targets)
    )
    requests: list[int] = []

    def counted(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def request(admin: Any, some: Any) -> None:
            requests.append(len(some))
            original(admin, some)

        return request

    for name in ("_create", "_configure"):
        monkeypatch.setattr(topics_admin, name, counted(getattr(topics_admin, name)))
    apply(settings.kafka, plan_topics(settings.kafka, targets))
    assert len(requests) > 4
    assert sum(requests) == len(targets)
    requests.clear()
    changed = [replace(topic, configs={**topic.configs, "retention.ms": "60000"}) for topic in targets]
    apply(settings.kafka, plan_topics(settings.kafka, changed))
    assert sum(requests) == len(targets)
    # The controller has taken it; the broker that is asked hears of it a moment later.
    wait_until(lambda: {step.change for step in plan_topics(settings.kafka, changed)} == {Change.FINE})


@pytest.mark.kafka
def test_the_broker_stamps_the_time_itself(settings: Settings) -> None:
    party = add_party(settings, unique_party(events_partitions=1))
    producer = KafkaProducer(**settings.kafka.client_options())
    producer.send(party.events_topic, b"x", timestamp_ms=1000).get(timeout=PATIENCE_SECONDS)
    producer.close()
    consumer = KafkaConsumer(
        party.events_topic,
        **settings.kafka.client_options(),
        auto_offset_reset="earliest",
        consumer_timeout_ms=PATIENCE_SECONDS * 1000,
    )
    assert next(consumer).timestamp > 1_600_000_000_000
    consumer.close()


@pytest.mark.kafka
def test_a_party_that_is_added_has_its_topics_and_is_in_the_registry(settings: Settings) -> None:
    party = add_party(settings, unique_party(PartyKind.CLOUD, name="A cloud", events_partitions=3))
    assert read_parties(settings.kafka)[party.id] == party
    planned = {step.topic.name: step.change for step in plan(settings)}
    assert {planned[topic] for topic in (party.events_topic, party.rejects_topic, party.actions_topic)} == {Change.FINE}


@pytest.mark.kafka
def test_adding_a_party_again_changes_its_name_and_nothing_else(settings: Settings) -> None:
    party = add_party(settings, unique_party())
    again = add_party(settings, Party(id=party.id, kind=party.kind, name="Renamed"))
    assert (again.name, again.added_at) == ("Renamed", party.added_at)
    assert read_parties(settings.kafka)[party.id] == again


@pytest.mark.kafka
def test_a_party_cannot_change_its_kind_or_its_partitions(settings: Settings) -> None:
    party = add_party(settings, unique_party())
    with pytest.raises(PartyError, match="is a lab already"):
        add_party(settings, party.model_copy(update={"kind": PartyKind.CLOUD}))
    with pytest.raises(BrokerError, match="has 2 partitions, should have 4"):
        add_party(settings, party.model_copy(update={"events_partitions": 4}))
    assert read_parties(settings.kafka)[party.id] == party


@pytest.mark.kafka
def test_removing_a_party_keeps_its_topics_unless_told_otherwise(settings: Settings, admin: KafkaAdminClient) -> None:
    """And then they go when ingest has let go of them: a transaction into a topic that is gone holds up every party."""
    party = add_party(settings, unique_party())
    remove_party(settings, party.id)
    assert party.id not in read_parties(settings.kafka)
    assert party.events_topic in admin.list_topics()
    add_party(settings, party)
    waited = []

    def wait(seconds: float) -> None:
        assert party.id not in read_parties(settings.kafka)
        assert party.rejects_topic in admin.list_topics()
        waited.append(seconds)

    remove_party(settings, party.id, delete_topics=True, wait=wait)
    assert waited == [2 * (settings.ingest.registry_refresh_seconds + settings.stream.gate_seconds)]
    assert not {party.events_topic, party.rejects_topic, party.actions_topic} & set(admin.list_topics())


@pytest.mark.kafka
def test_a_reader_of_the_registry_sees_what_is_added_and_removed_meanwhile(settings: Settings) -> None:
    registry = PartyRegistry(settings.kafka)
    party = unique_party()
    assert party.id not in registry.refresh()
    add_party(settings, party)
    assert party.id in registry.refresh()
    remove_party(settings, party.id)
    assert party.id not in registry.refresh()
    registry.close()


@pytest.mark.kafka
def test_a_record_of_the_registry_that_cannot_be_read_is_passed_over_and_said(settings: Settings) -> None:
    """Of a kind that a newer version knows, say: whoever was known stays so, whoever comes after it is known, and no worker ends of it."""
    registry, known, new, later = PartyRegistry(settings.kafka), unique_party(), unique_party(), unique_party()
    add_party(settings, known)
    assert known.id in registry.refresh()
    odd = json.dumps(known.model_dump(mode="json") | {"kind": "broker-of-brokers"}).encode()
    append(settings.kafka, topology.PARTIES, [(known.id, odd), (new.id, odd)], "the registry")
    add_party(settings, later)
    with capture_logs() as logs:
        found = registry.refresh()
        registry.refresh()
    assert found[known.id] == known
    assert later.id in found
    assert new.id not in found
    assert registry.unreadable == {known.id, new.id}
    assert [(one["event"], one["party"]) for one in logs] == [
        ("party_not_readable", one_id) for one_id in (known.id, new.id)
    ]
    add_party(settings, new)
    assert new.id in registry.refresh()
    remove_party(settings, known.id)
    remove_party(settings, new.id)
    assert not {known.id, new.id} & registry.refresh().keys()
    assert registry.unreadable == set()
    registry.close()


@pytest.mark.kafka
def test_the_commands_add_list_show_and_remove_a_party(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers)
    party, run = unique_party(), CliRunner()
    added = run.invoke(app, ["party", "add", party.id, "--kind", "router", "--partitions", "3", "--name", "R"])
    assert added.exit_code == 0, added.output
    assert party.id in run.invoke(app, ["party", "list", "--json"]).output
    assert '"ApiUsage"' in run.invoke(app, ["party", "show", party.id]).output
    assert run.invoke(app, ["provision", "--check"]).exit_code == 0
    monkeypatch.setenv("WEAKLINK_INGEST__REGISTRY_REFRESH_SECONDS", "0.1")
    monkeypatch.setenv("WEAKLINK_STREAM__GATE_SECONDS", "0.1")
    declined = run.invoke(app, ["party", "remove", party.id, "--delete-topics"], input="n\n")
    assert declined.exit_code == 1
    assert party.id in read_parties(settings.kafka)
    assert party.id not in run.invoke(app, ["provision", "--check", "--json"]).output.partition("unknown")[2]
    assert run.invoke(app, ["party", "remove", party.id]).exit_code == 0
    assert party.id not in read_parties(settings.kafka)
    checked = run.invoke(app, ["provision", "--check"])
    assert checked.exit_code == 0  # they may be kept, and are told
    assert f"unknown: {party.rejects_topic} (" in checked.output
    assert run.invoke(app, ["party", "add", party.id, "--kind", "router", "--partitions", "3"]).exit_code == 0
    removed = run.invoke(app, ["party", "remove", party.id, "--delete-topics", "--yes"])
    assert removed.exit_code == 0
    assert "its topics go in 0.4 s, when ingest has let go of them" in removed.stderr
    assert party.id not in run.invoke(app, ["provision", "--check"]).output


@pytest.mark.kafka
def test_what_an_earlier_party_left_is_nobody_elses_with_its_id(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics with messages stand in the way, empty ones (an add that broke off) do not; the tokeniser's secret of the earlier one is void."""
    clients = tmp_path / "clients.json"
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("WEAKLINK_TOKENISER__CLIENTS_FILE", str(clients))
    party, run = unique_party(), CliRunner()
    words = ["party", "add", party.id, "--kind", "lab", "--partitions", "1"]
    assert run.invoke(app, words).exit_code == 0
    assert run.invoke(app, ["party", "remove", party.id]).exit_code == 0
    grant(clients, party.id)
    assert run.invoke(app, words).exit_code == 0
    assert party.id not in load_clients(clients).values()
    append(settings.kafka, party.actions_topic, [("cust-42", b"an action")], "an action")
    assert run.invoke(app, words).exit_code == 0  # it is registered: the same party
    assert run.invoke(app, ["party", "remove", party.id]).exit_code == 0
    refused = run.invoke(app, words)
    assert isinstance(refused.exception, PartyError)
    assert party.actions_topic in str(refused.exception)
    assert party.rejects_topic not in str(refused.exception)
    assert party.id not in read_parties(settings.kafka)
    assert run.invoke(app, [*words, "--same-party"]).exit_code == 0


def test_a_bad_party_id_says_what_is_allowed() -> None:
    result = CliRunner().invoke(app, ["party", "add", "No.Dots", "--kind", "lab"])
    assert isinstance(result.exception, PartyError)
    assert "2 to 40 of a-z" in str(result.exception)
