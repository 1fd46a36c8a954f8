"""The tokeniser as a process of its own, over TLS: the same tokens as from the key file, limits, rotation, and no value in any log."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.certificates import Authority
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink.errors import ConfigurationError, PartyError, RecordError, TokeniserError
from weaklink.ops.ports import free_ports
from weaklink.partner.builder import EventBuilder
from weaklink.partner.config import PartnerConfig
from weaklink.partner.keys import load_keys, new_keys, rotated, save_keys
from weaklink.partner.models import AccountOpened
from weaklink.partner.remote import PATH, RemoteTokeniser, open_tokeniser
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.tokeniser.clients import grant, load_clients, revoke
from weaklink.tokeniser.config import TokeniserConfig

PROMPT = "You are grading the answer of a student against the rubric below; explain each point that you take away. " * 3
VALUES = {
    Kind.IP: "203.0.113.77",
    Kind.DEVICE: "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
    Kind.TLS: "T13D1516H2_8DAAF6152771",
    Kind.CARD: "4242 4242 4242 4242",
    Kind.BANK_ACCOUNT: "de89 3704 0044 0532 0130 00",
    Kind.EMAIL: "Planted.Person@example.org",
    Kind.PHONE: "+49 30 12345678",
    Kind.API_KEY: "sk-planted-in-a-test",
    Kind.PROMPT: PROMPT,
    Kind.ORGANISATION: "Planted GmbH",
    Kind.REFERRAL: "PLANTED-10",
    Kind.END_USER: "planted-user-7",
}

OPENED: dict[str, Any] = {"account": "a", "occurred_at": datetime.now(UTC), "plan": "FREE", "verified": "NONE"}


class Service:
    """The process, its files and its log."""

    def __init__(self, folder: Path, authority: Authority, **limits: str) -> None:
        self.folder, self.authority = folder, authority
        self.keys, self.clients, self.log = folder / "keys.json", folder / "clients.json", folder / "log"
        self.port, self.metrics_port = free_ports(2)
        save_keys(self.keys, new_keys(datetime(1970, 1, 1, tzinfo=UTC)))
        environment = {
            "WEAKLINK_TOKENISER__KEY_FILE": str(self.keys),
            "WEAKLINK_TOKENISER__CLIENTS_FILE": str(self.clients),
            "WEAKLINK_TOKENISER__PORT": str(self.port),
            "WEAKLINK_STREAM__METRICS_PORT": str(self.metrics_port),
            "WEAKLINK_TOKENISER__CERTFILE": str(authority.leaf("tokeniser")),
            **{f"WEAKLINK_TOKENISER__{name.upper()}": value for name, value in limits.items()},
        }
        command = [sys.executable, "-c", "from weaklink.cli.main import main; main()", "tokeniser", "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
        wait_until(self._answers, self.log.read_text)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes = b"", secret: str = "") -> tuple[int, bytes]:
        """A request without the client's manners."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS, context=context)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {secret}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def config(self, secret: str, **fields: object) -> PartnerConfig:
        """Settings of a party that asks here."""
        return PartnerConfig.model_validate(
            {
                "tokeniser_url": f"https://127.0.0.1:{self.port}",
                "tokeniser_secret": SecretStr(secret),
                "tokeniser_cafile": self.authority.certificate,
                **fields,
            }
        )

    def lines(self) -> list[dict[str, object]]:
        """What it logged of calls."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == "tokens_asked"]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def service(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("tokeniser"), authority)
    yield running
    running.stop()


def test_its_tokens_are_those_of_the_key_file_for_every_kind(service: Service) -> None:
    """One by one, and prepared together; `newest` too."""
    local = LocalTokeniser.load(service.keys)
    remote = open_tokeniser(service.config(grant(service.clients, "same-lab")))
    assert isinstance(remote, RemoteTokeniser)
    assert {kind: remote.tokens(kind, value) for kind, value in VALUES.items()} == {
        kind: local.tokens(kind, value) for kind, value in VALUES.items()
    }
    assert remote.newest(Kind.END_USER, "u-1") == local.newest(Kind.END_USER, "u-1")
    assert set(VALUES) == set(Kind)
    remote.close()


def test_an_events_values_are_asked_for_in_one_call_and_known_ones_not_again(service: Service) -> None:
    remote = RemoteTokeniser.of(service.config(grant(service.clients, "calls-lab")))
    builder = EventBuilder(remote)
    identifiers = [(kind, value) for kind, value in VALUES.items() if kind is not Kind.END_USER]
    for _ in range(3):
        builder.build(AccountOpened, **OPENED, identifiers=identifiers)
    calls = [line for line in service.lines() if line["party"] == "calls-lab"]
    assert [call["status"] for call in calls] == [200]
    assert calls[0]["kinds"] == {kind.name: len(set(remote.tokens(kind, VALUES[kind]))) for kind, _ in identifiers}
    with pytest.raises(RecordError) as caught:
        builder.build(AccountOpened, **OPENED, identifiers=[("IP", "planted-no-ip")])
    assert "planted" not in str(caught.value)


def test_long_values_go_out_in_more_calls_and_what_is_too_long_is_kept_back(service: Service) -> None:
    """Whatever may be published with a key file may be asked for, in whatever script; the rest is the value's fault, not the service's."""
    remote = RemoteTokeniser.of(service.config(grant(service.clients, "long-lab")))
    local = LocalTokeniser.load(service.keys)
    long = [("🦊" * 4_000) + str(number) for number in range(30)] + [
        "\x01" * 4_000 + str(number) for number in range(5)
    ]
    remote.prepare((Kind.DEVICE, value) for value in long)
    calls = [line for line in service.lines() if line["party"] == "long-lab"]
    assert {call["status"] for call in calls} == {200}
    assert 1 < len(calls) < len(long)
    assert [remote.tokens(Kind.DEVICE, value) for value in long] == [local.tokens(Kind.DEVICE, value) for value in long]
    assert len([line for line in service.lines() if line["party"] == "long-lab"]) == len(calls)
    for kind, value in (
        (Kind.CARD, "f" * 4_096),
        (Kind.BANK_ACCOUNT, "b" * 4_096),
        (Kind.ORGANISATION, "\ufdfa" * 1_000),
    ):
        for tokeniser in (remote, local):
            with pytest.raises(RecordError, match="its written form is longer than 4096 characters"):
                tokeniser.tokens(kind, value)
    remote.close()


def test_no_value_no_token_and_no_secret_is_in_its_log(service: Service) -> None:
    """Every call is there, who asked and how much: served, malformed, unknown kind, too large and unauthorised ones."""
    secret = grant(service.clients, "quiet-lab")
    remote = RemoteTokeniser.of(service.config(secret))
    tokens = [token.hex() for kind, value in VALUES.items() for token in remote.tokens(kind, value)]
    bodies = (
        b'{"items": [{"kind": "CARD", "form": "planted',
        b'{"items": [{"kind": "planted", "form": "planted"}]}',
        b'{"items": [{"kind": "CARD", "form": ["planted"]}]}',
        b'{"items": [{"kind": "CARD", "form": "\\ud800planted"}]}',
        b'{"items": []}',
        b"[" * 100_000,
        json.dumps({"items": [{"kind": "CARD", "form": "planted" * 1_000}]}).encode(),
        json.dumps({"items": [{"kind": "CARD", "form": f"planted{n}"} for n in range(1_001)]}).encode(),
        b"planted" * 200_000,
    )
    answers = [service.ask("POST", "/v1/tokens", body, secret) for body in bodies]
    assert {status for status, _ in answers} == {400, 413}
    assert not any(b"planted" in answer or b"ud800" in answer for _, answer in answers)
    assert service.ask("POST", "/v1/tokens", bodies[1], "planted-secret")[0] == 401
    assert service.ask("GET", "/v1/tokens", b"", secret)[0] == 405
    assert service.ask("GET", "/v1/keys", b"", secret)[0] == 404
    text = service.log.read_text().lower()
    assert len([line for line in service.lines() if line["party"] == "quiet-lab"]) >= len(bodies) + len(VALUES)
    assert len([line for line in service.lines() if line["party"] is None]) == 1
    for hidden in ("planted", "4242", "203.0.113", "12345678", "f81d4fae", "rubric", secret.lower(), *tokens):
        assert hidden not in text, hidden
    assert not any(key.secret.hex() in text for key in load_keys(service.keys))


def test_its_metrics_count_calls_by_party_where_no_party_can_read_them(service: Service) -> None:
    """At a port of their own, on loopback; and no value or secret is in them."""
    secret = grant(service.clients, "counted-lab")
    body = json.dumps({"items": [{"kind": "CARD", "form": VALUES[Kind.CARD]}] * 3}).encode()
    assert service.ask("POST", PATH, body, secret)[0] == 200
    assert service.ask("POST", PATH, body, "no secret")[0] == 401
    assert service.ask("GET", "/metrics", secret=secret)[0] == 404
    with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        text = answer.read().decode()
    lines = text.splitlines()
    assert 'weaklink_token_calls_total{party="counted-lab",status="200"} 1.0' in lines
    assert 'weaklink_tokens_total{party="counted-lab"} 3.0' in lines
    assert any(line.startswith('weaklink_token_calls_total{party="",status="401"} ') for line in lines)
    assert not any(value in text for value in (secret, *VALUES.values()))


def test_a_secret_that_is_revoked_or_replaced_asks_no_more_and_the_file_holds_none(service: Service) -> None:
    first = grant(service.clients, "gone-lab")
    second = grant(service.clients, "gone-lab")
    assert first not in service.clients.read_text()
    with pytest.raises(TokeniserError, match=r"status 401: is the secret the present one\?") as caught:
        RemoteTokeniser.of(service.config(first)).tokens(Kind.CARD, "planted")
    assert "planted" not in str(caught.value)
    remote = RemoteTokeniser.of(service.config(second))
    assert remote.tokens(Kind.CARD, "one")
    revoke(service.clients, "gone-lab")
    with pytest.raises(TokeniserError):
        remote.tokens(Kind.CARD, "two")
    with pytest.raises(PartyError, match="gone-lab is not among"):
        revoke(service.clients, "gone-lab")
    assert "gone-lab" not in load_clients(service.clients).values()


def test_a_rotated_key_is_in_use_at_once_and_answers_say_when_it_changes(authority: Authority, tmp_path: Path) -> None:
    """During the overlap both epochs' tokens come, side by side; the client forgets what it knew when the old epoch ends."""
    service = Service(tmp_path, authority)
    try:
        config = service.config(grant(service.clients, "lab"))
        (old,) = RemoteTokeniser.of(config).tokens(Kind.CARD, "c")
        now = datetime.now(UTC)
        save_keys(service.keys, rotated(load_keys(service.keys), now, timedelta(days=1)), replace=True)
        late = [now.timestamp()]
        remote = RemoteTokeniser(f"https://127.0.0.1:{service.port}", _secret(config), config, clock=lambda: late[0])
        both = remote.tokens(Kind.CARD, "c")
        assert [token[1] for token in both] == [1, 2]
        assert both[0] == old
        bands = remote.tokens(Kind.PROMPT, PROMPT)
        assert [token[1] for token in bands] == [1, 2] * (len(bands) // 2)
        asked = len(service.lines())
        assert remote.tokens(Kind.CARD, "c") == both
        assert len(service.lines()) == asked
        late[0] += 2 * 86_400
        remote.tokens(Kind.CARD, "c")
        assert len(service.lines()) == asked + 1
    finally:
        service.stop()


def test_files_that_could_not_be_read_count_as_soon_as_they_can(authority: Authority, tmp_path: Path) -> None:
    """chmod and chown change neither time nor size of a file: a rotation after a leak waited for a restart."""
    service = Service(tmp_path, authority)
    try:
        remote = RemoteTokeniser.of(service.config(grant(service.clients, "lab")))
        save_keys(service.keys, rotated(load_keys(service.keys), datetime.now(UTC), timedelta()), replace=True)
        service.keys.chmod(0o644)
        assert [remote.newest(Kind.CARD, value)[1] for value in ("a", "b")] == [1, 1]
        assert service.log.read_text().count("file_unusable") == 1
        service.keys.chmod(0o600)
        assert remote.newest(Kind.CARD, "c")[1] == 2
        remote.close()
    finally:
        service.stop()


def test_the_list_of_clients_stays_readable_for_whom_it_was(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    grant(path, "lab")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10_001, 10_002)
    before = path.stat()
    revoke(path, "lab")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert load_clients(path) == {}


def test_a_rotation_that_nobody_planned_reaches_what_clients_know_already(authority: Authority, tmp_path: Path) -> None:
    """With the next value that is asked for, or within an hour: the most frequent identifiers are never asked for again, and would have
    tokens of the old epoch alone for the whole overlap."""
    service = Service(tmp_path, authority)
    try:
        config = service.config(grant(service.clients, "lab"))
        began = time.time()
        late = [began]
        url = f"https://127.0.0.1:{service.port}"
        asking, quiet = (RemoteTokeniser(url, _secret(config), config, clock=lambda: late[0]) for _ in range(2))
        (old,) = asking.tokens(Kind.CARD, "frequent")
        assert quiet.tokens(Kind.CARD, "frequent") == (old,)
        save_keys(service.keys, rotated(load_keys(service.keys), datetime.now(UTC), timedelta(days=90)), replace=True)
        assert len(asking.tokens(Kind.CARD, "rare")) == 2
        both = asking.tokens(Kind.CARD, "frequent")
        assert both[0] == old
        assert [token[1] for token in both] == [1, 2]
        assert quiet.tokens(Kind.CARD, "frequent") == (old,)
        late[0] = began + 3_700
        assert quiet.tokens(Kind.CARD, "frequent") == both
        asking.close()
        quiet.close()
    finally:
        service.stop()


def test_after_a_rotation_values_that_are_known_and_new_ones_are_answered_together(
    authority: Authority, tmp_path: Path
) -> None:
    """An event with a known value and a new one has the new epoch's tokens of both; and without an overlap those alone, as after a leak."""
    service = Service(tmp_path, authority)
    try:
        remote = RemoteTokeniser.of(service.config(grant(service.clients, "lab")))
        remote.prepare([(Kind.CARD, "frequent"), (Kind.EMAIL, "a@example.org")])
        save_keys(service.keys, rotated(load_keys(service.keys), datetime.now(UTC), timedelta()), replace=True)
        remote.prepare([(Kind.CARD, "frequent"), (Kind.CARD, "rare")])
        local = LocalTokeniser.load(service.keys)
        for kind, value in ((Kind.CARD, "frequent"), (Kind.CARD, "rare"), (Kind.EMAIL, "a@example.org")):
            assert remote.tokens(kind, value) == local.tokens(kind, value)
        remote.close()
    finally:
        service.stop()


def test_a_party_over_its_limit_waits_or_is_told(authority: Authority, tmp_path: Path) -> None:
    """The client waits as long as it is told; beyond its own timeout it raises. Others are served meanwhile."""
    service = Service(tmp_path, authority, values_per_second_max="0.5", values_burst_max="10")
    try:
        secret = grant(service.clients, "greedy-lab")
        patient = RemoteTokeniser.of(service.config(secret))
        patient.prepare([(Kind.CARD, f"p{n}") for n in range(10)])
        assert patient.tokens(Kind.CARD, "one more")
        statuses = {line["status"] for line in service.lines()}
        assert statuses == {200, 429}
        hasty = RemoteTokeniser.of(service.config(secret, tokeniser_timeout_seconds=5))  # ten values take twenty
        with pytest.raises(TokeniserError, match="status 429"):
            hasty.prepare([(Kind.CARD, f"r{n}") for n in range(10)])
        other = RemoteTokeniser.of(service.config(grant(service.clients, "other-lab"), tokeniser_timeout_seconds=30))
        assert other.tokens(Kind.CARD, "x")
    finally:
        service.stop()


def test_values_never_cross_the_network_in_clear() -> None:
    """Neither side starts without TLS beyond loopback, and a service that nobody vouches for is not asked."""
    with pytest.raises(ConfigurationError, match="must not go over the network without TLS"):
        RemoteTokeniser("http://tokeniser.example", "s")
    with pytest.raises(ValueError, match="would cross the network in clear"):
        TokeniserConfig(host="0.0.0.0")
    assert TokeniserConfig(host="0.0.0.0", behind_proxy=True).certfile is None
    with pytest.raises(ConfigurationError, match="which one is meant"):
        open_tokeniser(PartnerConfig(key_file=Path("k"), tokeniser_url="https://t"))
    assert open_tokeniser(PartnerConfig()) is None


def test_a_service_with_a_strangers_certificate_is_not_asked(service: Service, tmp_path: Path) -> None:
    secret = grant(service.clients, "wary-lab")
    stranger = Authority(tmp_path / "other").certificate
    config = service.config(secret, tokeniser_cafile=stranger, tokeniser_timeout_seconds=0.5)
    with pytest.raises(TokeniserError, match="cannot be reached: SSLCertVerificationError"):
        RemoteTokeniser.of(config).tokens(Kind.CARD, "planted")
    assert not [line for line in service.lines() if line["party"] == "wary-lab"]


def _secret(config: PartnerConfig) -> str:
    assert config.tokeniser_secret
    return config.tokeniser_secret.get_secret_value()
