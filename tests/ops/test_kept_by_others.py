"""What is left to a person where Strimzi keeps the principals: commands that name what `weaklink strimzi` makes."""

import shlex

import pytest
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import kept_by_others, membership
from weaklink.ops.access_config import AccessConfig
from weaklink.ops.strimzi import resources
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings

PARTY = Party(id="my-lab", kind=PartyKind.LAB)
SASL = KafkaConfig(security_protocol="SASL_SSL", username="weaklink.admin", password="x")  # type: ignore[arg-type]  # pydantic makes it a secret


@pytest.mark.parametrize(
    ("kafka", "managed", "by_others"),
    [(KafkaConfig(), None, False), (KafkaConfig(), False, False), (SASL, None, False), (SASL, True, False), (SASL, False, True)],
)  # fmt: skip
def test_others_keep_principals_where_there_are_some_and_weaklink_keeps_none(
    kafka: KafkaConfig, managed: bool | None, by_others: bool
) -> None:
    """On a PLAINTEXT connection there are none: nobody can be kept out, and the command says so."""
    settings = Settings(kafka=kafka, access=AccessConfig(managed=managed))
    assert membership.is_kept_by_others(settings) is by_others


def test_commands_name_resources_that_there_are() -> None:
    """Every KafkaUser and KafkaTopic in them is one of the party's; a Secret has the name of its KafkaUser."""
    names = {(one["kind"].lower(), one["metadata"]["name"]) for one in resources(Settings(), [PARTY], "kafka")}
    names.add(("secret", PARTY.principal))
    commands = [*kept_by_others.to_remove("my-lab", topics_too=True), *kept_by_others.to_rotate("my-lab")]
    deleted = [shlex.split(one)[4:] for one in commands if " delete " in one]
    found = {(kind, name) for kind, *rest in deleted for name in rest}
    assert found == {("kafkauser", PARTY.principal), ("secret", PARTY.principal)} | {
        ("kafkatopic", name) for name in (PARTY.events_topic, PARTY.rejects_topic, PARTY.actions_topic)
    }
    assert found <= names
    assert not any("kafkatopic" in one for one in kept_by_others.to_remove("my-lab", topics_too=False))


@pytest.mark.parametrize("commands", [kept_by_others.to_keep_out("my-lab"), kept_by_others.to_let_in("my-lab")])
def test_what_is_applied_is_what_the_command_prints(commands: list[str]) -> None:
    """Its options exist."""
    words = shlex.split(commands[0].partition("|")[0])
    assert words == ["weaklink", "strimzi", "--only", "my-lab"]
    assert "--only" in CliRunner().invoke(app, ["strimzi", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
