"""Who may do what, as a table: what each principal gets, what nobody gets, and what a comparison says."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.admin import ResourceType

from weaklink import topology
from weaklink.ops.access import (
    EVERYBODY,
    NOBODY,
    SERVICE_PRINCIPALS,
    Access,
    Grant,
    QuotaEntity,
    all_grants,
    closures,
    denials,
    party_grants,
    quotas_apart,
    service_grants,
    wanted_access,
)
from weaklink.ops.access_config import AccessConfig
from weaklink.ops.access_differences import differences
from weaklink.parties import Party, PartyKind

CONFIG = AccessConfig()
IDS = st.from_regex(r"[a-z0-9-]{2,40}", fullmatch=True)


def party(party_id: str, *, suspended: bool = False) -> Party:
    return Party(id=party_id, kind=PartyKind.LAB, suspended_at=datetime.now(UTC) if suspended else None)


def covers(grant: Grant, resource: str, name: str) -> bool:
    """Whether an ACL speaks of this resource."""
    if grant.resource != resource:
        return False
    return name.startswith(grant.name) if grant.prefixed else grant.name in (name, "*")


PAIRS = st.tuples(IDS, IDS) | st.tuples(IDS, st.sampled_from(["a", "-2"])).map(
    lambda pair: (pair[0][:30], pair[0][:30] + pair[1])
)
"""Two ids, often one that begins with the other."""


@given(PAIRS)
def test_no_right_of_a_party_reaches_what_is_anothers(pair: tuple[str, str]) -> None:
    """Whatever two ids are called, also when one begins with the other."""
    one, another = pair
    mine, theirs = party(one), party(another)
    if one == another:
        return
    for grant in party_grants(mine):
        for topic in (theirs.events_topic, theirs.actions_topic, theirs.rejects_topic):
            assert not covers(grant, "TOPIC", topic)
        assert not covers(grant, "GROUP", theirs.actions_topic)
        assert not any(
            covers(grant, "TOPIC", spec.name) or covers(grant, "GROUP", spec.name) for spec in topology.TOPICS
        )


def test_a_party_has_four_rights_and_none_to_create_describe_or_transact() -> None:
    grants = party_grants(party("lab"))
    assert {(one.resource, one.operation) for one in grants} == {
        ("TOPIC", "WRITE"),
        ("TOPIC", "READ"),
        ("GROUP", "READ"),
    }
    assert len(grants) == 4
    assert not any(one.deny for one in grants)


def test_a_service_reads_its_input_writes_its_output_and_no_more() -> None:
    """Only ingest may read what parties publish, only enforce may write what they are told."""
    grants = service_grants([party("lab")])
    may = {
        (operation, topic): {
            one.principal for one in grants if one.operation == operation and covers(one, "TOPIC", topic)
        }
        for operation in ("READ", "WRITE")
        for topic in (
            "party.lab.events",
            "party.lab.actions",
            "party.lab.rejects",
            topology.DECISIONS,
            topology.PARTIES,
        )
    }
    watchers = {"weaklink.exporter", "weaklink.console", "weaklink.operator"}
    assert may["READ", "party.lab.events"] == {"weaklink.ingest"} | watchers
    assert may["READ", "party.lab.rejects"] == {"weaklink.operator"}
    assert {one.operation for one in grants if one.principal in watchers - {"weaklink.operator"}} == {
        "READ",
        "DESCRIBE",
    }
    assert may["WRITE", "party.lab.events"] == set()
    assert may["WRITE", "party.lab.actions"] == {"weaklink.enforce"}
    assert may["WRITE", "party.lab.rejects"] == {"weaklink.ingest", "weaklink.enforce"}
    assert may["WRITE", topology.DECISIONS] == {"weaklink.campaigns"}
    assert may["WRITE", topology.PARTIES] == set()
    stages = {"weaklink.ingest", "weaklink.campaigns", "weaklink.enforce"}
    assert may["READ", topology.PARTIES] == stages | {"weaklink.exporter", "weaklink.operator"}
    operations = {one.operation for one in grants}
    assert operations == {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    assert {one.resource for one in grants} == {"TOPIC", "GROUP", "TRANSACTIONAL_ID"}


def test_a_suspended_party_is_denied_everything_and_has_no_secret() -> None:
    one = party("lab", suspended=True)
    assert denials(one) <= all_grants([one])
    wanted = wanted_access({"lab": one}, CONFIG)
    assert one.principal not in wanted.secrets
    assert set(SERVICE_PRINCIPALS) == set(wanted.secrets)
    assert wanted_access({"lab": one}, AccessConfig(authentication="certificate")).secrets == frozenset()


def test_whatever_has_no_acl_is_closed_by_one_of_nobodys() -> None:
    """Of every kind of resource that Kafka has, and without a right or a secret for anybody. Without one the check says what is open."""
    kinds = {one.name for one in ResourceType if one not in (ResourceType.UNKNOWN, ResourceType.ANY)}
    assert {(one.resource, one.name) for one in closures()} == {
        (kind, "kafka-cluster" if kind == "CLUSTER" else "*") for kind in kinds
    }
    assert {(one.principal, one.operation, one.deny, one.host) for one in closures()} == {(NOBODY, "ALL", True, "*")}
    wanted = wanted_access({}, CONFIG)
    assert NOBODY not in wanted.secrets
    steps = differences(wanted, replace(wanted, grants=wanted.grants - closures()), CONFIG)
    assert {step.grant for step in steps} == closures()
    assert all(step.mendable and "allow.everyone.if.no.acl.found=true" in step.what for step in steps)
    (secret,) = differences(wanted, replace(wanted, secrets=wanted.secrets | {NOBODY}), CONFIG)
    assert (secret.principal, secret.mendable) == (NOBODY, True)


def test_nothing_differs_where_everything_is_as_it_should_be() -> None:
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    assert differences(wanted, wanted, CONFIG) == []


@pytest.mark.parametrize(
    ("grant", "told"),
    [
        (Grant("somebody", "TOPIC", "*", "READ"), True),
        (Grant("*", "TOPIC", "weaklink.links", "READ"), True),
        (Grant("somebody", "TOPIC", "wea", "READ", prefixed=True), True),
        (Grant("somebody", "CLUSTER", "kafka-cluster", "ALTER"), True),
        (Grant("somebody", "TOPIC", "__consumer_offsets", "READ"), True),
        (Grant("somebody", "USER", "User:weaklink.enforce", "CREATE_TOKENS"), True),
        (Grant("somebody", "TOPIC", "weaklink.links", "ALL", deny=True), False),
        (Grant("somebody", "TOPIC", "another-product", "READ"), False),
        (Grant("somebody", "TOPIC", "wea", "READ"), False),
        (Grant("somebody", "USER", "User:another", "CREATE_TOKENS"), False),
    ],
)  # fmt: skip
def test_strangers_rights_are_told_where_they_reach_weaklinks_resources(grant: Grant, told: bool) -> None:
    """They are never removed by Weaklink, and may be allowed by name."""
    strangers_are_told(grant, told=told)


@pytest.mark.parametrize(
    ("denial", "told"),
    [
        (Grant("*", "TOPIC", "weaklink.links", "READ", deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links", "WRITE", deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links", "DESCRIBE", deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links", "ALL", deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links", "READ", deny=True, host="10.0.0.1"), True),
        (Grant("*", "TOPIC", "*", "WRITE", deny=True), True),
        (Grant("*", "TOPIC", "wea", "READ", prefixed=True, deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links.", "READ", prefixed=True, deny=True), True),
        (Grant("*", "TOPIC", "party.lab.events", "WRITE", deny=True), True),
        (Grant("*", "GROUP", "party.lab.mine", "READ", deny=True), True),
        (Grant("*", "GROUP", "weaklink.correlate", "DESCRIBE", deny=True), True),
        (Grant("*", "TRANSACTIONAL_ID", "*", "ALL", deny=True), True),
        (Grant("*", "TOPIC", "weaklink.links", "DELETE", deny=True), False),
        (Grant("*", "TOPIC", "another-product", "ALL", deny=True), False),
        (Grant("*", "TOPIC", "wea", "READ", deny=True), False),
        (Grant("*", "GROUP", "*", "DELETE", deny=True), False),
        (Grant("*", "CLUSTER", "kafka-cluster", "CREATE", deny=True), False),
    ],
)  # fmt: skip
def test_a_denial_of_everybody_is_told_where_it_takes_a_right_of_weaklinks(denial: Grant, told: bool) -> None:
    """It outweighs what the table grants, for one address too; what nobody of Weaklink's may do anyhow, anybody may deny."""
    strangers_are_told(denial, told=told)


def strangers_are_told(grant: Grant, *, told: bool) -> None:
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    found = replace(wanted, grants=wanted.grants | {grant})
    steps = differences(wanted, found, CONFIG)
    assert [step.what for step in steps] == ([str(grant)] if told else [])
    assert not any(step.mendable for step in steps)
    assert differences(wanted, found, AccessConfig(other_principals=(f"User:{grant.principal}",))) == []


def test_a_right_for_one_host_is_not_the_right_for_every_host() -> None:
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    write = Grant("party.lab", "TOPIC", "party.lab.events", "WRITE")
    narrowed = Grant("party.lab", "TOPIC", "party.lab.events", "WRITE", host="10.0.0.1")
    steps = differences(wanted, Access(wanted.grants - {write} | {narrowed}, wanted.quotas, wanted.secrets), CONFIG)
    assert [(step.change, step.grant) for step in steps] == [("grant", write), ("revoke", narrowed)]


def test_a_quota_that_is_missing_too_high_or_unknown_is_told_with_both_values() -> None:
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    quotas = {
        "party.lab": {**wanted.quotas["party.lab"], "request_percentage": 800.0, "strange": 1.0},
        "party.gone": {"x": 1.0},
    }
    del quotas["party.lab"]["producer_byte_rate"]
    steps = differences(wanted, Access(wanted.grants, quotas, wanted.secrets), CONFIG)
    assert [step.principal for step in steps] == ["party.gone", "party.lab"]
    assert steps[1].quotas == {"producer_byte_rate": 4194304.0, "request_percentage": 50.0, "strange": None}
    assert "request_percentage 800.0 -> 50.0" in steps[1].what
    assert "strange 1.0 -> unset" in steps[1].what


def test_only_a_quota_of_one_user_and_all_its_clients_is_the_users_own() -> None:
    """Kafka knows eight kinds of entities, and addresses."""
    own, client, anybody = QuotaEntity("party.lab"), QuotaEntity("party.lab", "a"), QuotaEntity(EVERYBODY)
    others = [client, QuotaEntity("party.lab", EVERYBODY), anybody, QuotaEntity("", "a"), QuotaEntity(address="::1")]
    quotas = {one: {"x": float(number)} for number, one in enumerate([own, *others])}
    assert quotas_apart(quotas) == ({"party.lab": quotas[own]}, {one: quotas[one] for one in others})


@pytest.mark.parametrize("client", ["producer-1", EVERYBODY])
@pytest.mark.parametrize("principal", ["party.lab", "party.gone", "weaklink.ingest"])
def test_a_quota_of_a_principals_client_is_told_and_taken_away(principal: str, client: str) -> None:
    """Kafka ranks it above the principal's own: it would lift a party's limit."""
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    others = {QuotaEntity(principal, client): {"producer_byte_rate": 1e12}}
    (step,) = differences(wanted, replace(wanted, other_quotas=others), CONFIG)
    assert (step.change, step.principal, step.client, step.quotas) == (
        "quota",
        principal,
        client,
        {"producer_byte_rate": None},
    )
    who = "every client" if client == EVERYBODY else "client producer-1"
    assert step.what.startswith(f"user {principal}, {who}: producer_byte_rate 1000000000000.0, which outranks")
    assert step.mendable


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        (QuotaEntity(EVERYBODY), "every user: request_percentage 5.0"),
        (QuotaEntity(EVERYBODY, EVERYBODY), "every user, every client: request_percentage 5.0"),
        (QuotaEntity(client=EVERYBODY), "every client: request_percentage 5.0"),
        (QuotaEntity(client="weaklink-enforce-relay"), "client weaklink-enforce-relay: request_percentage 5.0"),
        (QuotaEntity(client="another-product"), None),
        (QuotaEntity(EVERYBODY, "another-product"), None),
        (QuotaEntity("another"), None),
        (QuotaEntity("another", "kafka-python"), None),
        (QuotaEntity("weaklink.admin", "x"), None),
        (QuotaEntity(address="10.0.0.1"), None),
        (QuotaEntity(address=EVERYBODY), None),
    ],
)
def test_a_quota_of_everybody_is_told_where_it_reaches_the_services(entity: QuotaEntity, told: str | None) -> None:
    """They have none, so it slows them. Others may need it: it is left, and may be allowed by name."""
    wanted = wanted_access({"lab": party("lab")}, CONFIG)
    found = replace(wanted, other_quotas={entity: {"request_percentage": 5.0}})
    steps = differences(wanted, found, CONFIG)
    assert [step.what for step in steps] == ([told] if told else [])
    assert not any(step.mendable for step in steps)
    assert differences(wanted, found, AccessConfig(other_principals=(f"User:{EVERYBODY}",))) == []


def test_a_secret_of_another_kind_is_told_of_every_principal_of_weaklinks_and_of_nobody_else() -> None:
    """Also of one that should have a secret, of a suspended one and of one that was removed: it lets in whoever knows it."""
    wanted = wanted_access({"lab": party("lab"), "out": party("out", suspended=True)}, CONFIG)
    names = {"party.lab", "party.out", "party.gone", "weaklink.ingest", "weaklink.admin", "admin", "weaklink.me"}
    steps = differences(wanted, replace(wanted, other_secrets=frozenset(names)), CONFIG, "weaklink.me")
    assert [(step.change, step.principal, step.mechanism, step.mendable) for step in steps] == [
        ("secret", name, "SCRAM-SHA-256", True) for name in ("party.gone", "party.lab", "party.out", "weaklink.ingest")
    ]
    assert "party.lab has a secret of the kind SCRAM-SHA-256" in steps[1].what
    assert (
        differences(wanted, replace(wanted, other_secrets=frozenset({"weaklink.ingest"})), CONFIG, "weaklink.ingest")
        == []
    )


@pytest.mark.parametrize("login", ["weaklink.admin", "weaklink.whoever-provisions"])
def test_whoever_provisions_is_never_locked_out(login: str) -> None:
    """Neither rights nor secret of the login in use are taken, whatever it is called; another unknown one of such a name has none."""
    wanted = wanted_access({}, CONFIG)
    rights = {Grant(login, "TOPIC", "weaklink.", "ALL", prefixed=True)}
    found = Access(wanted.grants | rights, wanted.quotas, wanted.secrets | {login, "weaklink.unknown"})
    steps = differences(wanted, found, CONFIG, login)
    assert [step.principal for step in steps] == ["weaklink.unknown"]
