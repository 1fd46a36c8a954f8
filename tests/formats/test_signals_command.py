"""`weaklink partner signals serve|push` as processes on a real broker: actions in, security event tokens at a receiver, once."""

import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from kafka import KafkaProducer

from tests.formats.actions import values
from tests.formats.test_transmitter import BEARER, receiver  # noqa: F401  # a fixture
from tests.waiting import PATIENCE_SECONDS
from weaklink.formats.risc import RISC, jwks, new_signing_key
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import encode
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka
_PROGRAM = "from weaklink.cli.main import main; main()"


class Member:
    """A party with a signing key, and the means to run its commands."""

    def __init__(self, kafka: KafkaConfig, folder: Path) -> None:
        settings = Settings(kafka=kafka)
        provision(settings)
        self.party = add_party(settings, Party(id=f"t-{uuid.uuid4().hex[:12]}", kind=PartyKind.LAB))
        self._kafka = kafka
        published: Any = jwks(new_signing_key(folder / "signing.json"))
        self.keys = KeySet.import_key_set(published)
        (folder / "bearer").write_text(BEARER)
        self._options = (
            "--party", self.party.id, "--signing-key", str(folder / "signing.json"),
            "--issuer", "https://signals.example", "--bearer-file", str(folder / "bearer"),
        )  # fmt: skip
        self._environment = os.environ | {
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "WEAKLINK_PARTNER__STATE_FOLDER": str(folder / "state"),
        }

    def ask(self, action_id: str, **fields: Any) -> None:
        """Put a suspension on the party's topic."""
        action = values("EnforcementAction", "suspend") | {"party": self.party.id, "action_id": action_id} | fields
        producer = KafkaProducer(**self._kafka.client_options())
        producer.send(self.party.actions_topic, encode("EnforcementAction", action)).get(PATIENCE_SECONDS)
        producer.close()

    def start(self, command: str, *words: str) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        program = (sys.executable, "-c", _PROGRAM, "partner", "signals", command, *self._options, *words)
        return subprocess.Popen(
            program, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def push(self, url: str) -> str:
        """What `push` says; it must end with 0."""
        process = self.start("push", "--url", url)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, err
        return out

    def events(self, tokens: list[str]) -> dict[str, list[str]]:
        """jti -> events of tokens, verified with the published keys."""
        claims = [jwt.decode(token, self.keys, ["ES256"]).claims for token in tokens]
        return {one["jti"]: list(one["events"]) for one in claims}


@pytest.fixture
def member(kafka: KafkaConfig, tmp_path: Path) -> Member:
    made = Member(kafka, tmp_path)
    made.ask("1" * 32)
    made.ask("2" * 32)
    return made


@pytest.fixture
def serving(member: Member) -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes to be ended."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def polled(url: str, **request: Any) -> dict[str, str]:
    """What a poll brings; the server holds it until there is something."""
    asked = urllib.request.Request(url, json.dumps(request).encode(), {"Authorization": f"Bearer {BEARER}"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:
        found: dict[str, str] = json.loads(answer.read())["sets"]
        return found


def test_actions_are_pushed_to_a_receiver_once(member: Member, receiver: tuple[str, list[str], list[int]]) -> None:  # noqa: F811
    url, received, _ = receiver
    assert member.push(url) == f"2 security event tokens taken by {url}\n"
    assert member.events(received) == {f"{n * 32}.1": [f"{RISC}account-disabled"] for n in "12"}
    member.ask("2" * 32, revision=2, state="WITHDRAWN")
    assert member.push(url) == f"1 security event tokens taken by {url}\n"
    assert member.events(received[2:]) == {f"{'2' * 32}.2": [f"{RISC}account-enabled"]}
    assert member.push(url).startswith("0 ")


def test_a_receiver_polls_gets_what_comes_later_and_after_a_restart_only_what_is_new(
    member: Member, serving: list["subprocess.Popen[str]"]
) -> None:
    def serve() -> str:
        process = member.start("serve", "--port", "0")
        serving.append(process)
        assert process.stderr
        told = next(line for line in process.stderr if "signals of" in line)
        found = re.search(r"http://127\.0\.0\.1:\d+/poll", told)
        assert found, told
        return found[0]

    def until(url: str, number: int, acknowledged: list[str]) -> dict[str, str]:
        found = polled(url, ack=acknowledged)
        while len(found) < number:
            found = polled(url)
        return found

    url = serve()
    first = until(url, 2, [])
    assert set(member.events(list(first.values()))) == {f"{n * 32}.1" for n in "12"}
    member.ask("3" * 32)
    assert set(until(url, 1, list(first))) == {f"{'3' * 32}.1"}
    serving[0].kill()
    assert set(until(serve(), 1, [])) == {f"{'3' * 32}.1"}
