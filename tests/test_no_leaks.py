"""Nothing leaks: raw identifiers and secrets are planted, a whole pipeline runs on a cluster with SCRAM, and everything that it left is searched."""

import asyncio
import html
import io
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psutil
import psycopg
import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from tests import planted_ring
from tests.console.conftest import PASSWORD
from tests.console.visitor import console
from tests.enforce.conftest import log_of, new_database, open_database, postgres, rows_of  # noqa: F401  postgres is a fixture
from tests.log_lines import log_lines
from tests.ops.scram import joined, login
from tests.prerequisites import require
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import frames, topology
from weaklink.cli.main import app
from weaklink.console.config import ConsoleConfig
from weaklink.console.users import Role, Users
from weaklink.ops.access import CONSOLE, OPERATOR, SERVICE_PRINCIPALS
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.membership import issue_service_secret
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import provision
from weaklink.partner import AccountOpened, ApiUsage, PartnerConfig, WeaklinkClient
from weaklink.partner.reading import read_actions, read_rejects
from weaklink.partner.remote import RemoteTokeniser
from weaklink.records.codec import decode
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.reference.commands import commands
from weaklink.settings import Settings
from weaklink.sim.services import service_environment
from weaklink.small_topics import append
from weaklink.tokeniser.clients import grant

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-c", "from weaklink.cli.main import main; main()")
PROMPT = "Grade the planted answer against the rubric and explain every single deduction in detail. " * 3
PLANTED = {
    Kind.IP: "203.0.113.77",
    Kind.DEVICE: "planted-device-91",
    Kind.TLS: "t13planted_8daaf6152771",
    Kind.CARD: "4242 4242 4242 4242",
    Kind.BANK_ACCOUNT: "DE89 3704 0044 0532 0130 00",
    Kind.EMAIL: "Planted.Person@example.org",
    Kind.PHONE: "+49 30 12345678",
    Kind.API_KEY: "sk-planted-key",
    Kind.PROMPT: PROMPT,
    Kind.ORGANISATION: "Planted Works GmbH",
    Kind.REFERRAL: "PLANTED-10",
}
NEEDLES = (
    *planted_ring.NEEDLES,
    b"203.0.113",
    b"424242424242",
    b"4242 4242",
    b"370400440532",
    b"3704 0044",
    b"12345678",
    b"single deduction",
)
"""What of the planted values would show, as they were given or normalised, in small letters."""
_PAGES_MAX = 40
VISIBLE = "account-to-be-found"
"""An account's name, which may travel: that it is found shows that the search finds."""
FORGED = '{"event": "forged_by_a_party", "level": "error"}'
HOSTILE = (
    f"a\n{FORGED}",
    f"b\r\n{FORGED}",
    "c\x1b[31mred\x1b[0m",
    "d\x00e",
    "f\u2028g",
    "h\u202ei",
    f"j{FORGED}",
    "<script>alert(1)</script>",
)


def texts_of(content: bytes) -> Iterator[bytes]:
    """A message or file as it is, and where it is Arrow also unpacked: compression must not hide anything from the search."""
    yield content
    for read in (pl.read_ipc_stream, pl.read_ipc):
        try:
            frame = read(io.BytesIO(content))
        except Exception:  # not Arrow: most of what is searched is not
            continue
        unpacked = io.BytesIO()
        frame.write_ipc_stream(unpacked, compression="uncompressed")
        yield unpacked.getvalue()


def found_in(content: bytes, needles: tuple[bytes, ...]) -> list[bytes]:
    """Which of these are in it, in whatever case."""
    lowered = [text.lower() for text in texts_of(content)]
    return [needle for needle in needles if any(needle.lower() in text for text in lowered)]


class Left:
    """What a run left behind: messages by topic, files by path, and what commands printed."""

    def __init__(self, settings: Settings, folder: Path, printed: dict[str, bytes], secrets: dict[str, str]) -> None:
        self.folder, self.secrets = folder, secrets
        self.contents = {**printed, **self._files(folder), **self._messages(settings)}

    def messages(self, topic: str) -> list[bytes]:
        """Values of a topic."""
        return [
            content
            for place, content in self.contents.items()
            if place.split(" ")[0] == topic and place.endswith(" 1") and content
        ]

    @staticmethod
    def _files(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }

    @staticmethod
    def _messages(settings: Settings) -> dict[str, bytes]:
        consumer = KafkaConsumer(
            **settings.kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_uncommitted",
        )
        found: dict[str, bytes] = {}
        partitions = [
            TopicPartition(topic, number)
            for topic in sorted(consumer.topics())
            for number in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(one) < ends[one] for one in partitions):
            for source, records in consumer.poll(timeout_ms=500).items():
                for record in records:
                    parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
                    for number, part in enumerate(parts):
                        found[f"{source.topic} {source.partition} {record.offset} {number}"] = part
        consumer.close()
        return found

    def places_of(self, *needles: bytes) -> dict[str, list[bytes]]:
        """Where any of these is."""
        hits = {place: found_in(content, needles) for place, content in self.contents.items()}
        return {place: hit for place, hit in hits.items() if hit}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Left]:  # noqa: F811  the fixture
    """A run of all stages, exporter and console under their own logins, with tokeniser and a ledger on PostgreSQL: planted identifiers, a ring that
    becomes a campaign, actions on it with their receipts, hostile texts, rejects, a dead letter, snapshots, and what operators and parties ask for."""
    require(missing_tools())
    database = new_database(postgres)
    with psycopg.connect(
        database, autocommit=True
    ) as connection:  # its log tells of every statement, with the parameters
        connection.execute(f"ALTER DATABASE {database.rpartition('/')[2]} SET log_statement = 'all'".encode())
    log_begins = log_of(postgres).stat().st_size
    data, elsewhere = tmp_path_factory.mktemp("left"), tmp_path_factory.mktemp("party")
    with LocalCluster(tmp_path_factory.mktemp("kafka"), scram=True) as cluster:
        settings = Settings(kafka=cluster.kafka)
        provision(settings)
        party, kafka = joined(settings, "leak-lab")
        secrets = {party.principal: kafka.secret() or "", "admin": cluster.admin_password, "olga": PASSWORD}
        environments = {}
        for name in SERVICE_PRINCIPALS:
            secrets[name] = issue_service_secret(settings, name) or ""
            environments[name] = service_environment(login(settings.kafka, name, secrets[name]), data) | {
                "WEAKLINK_ENFORCE__LEDGER_URL": database
            }
        names = [stage.name for stage in topology.STAGES] + ["exporter"]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        services = {}
        for name, port in ports.items():
            with (data / f"{name}.log").open("ab") as log:
                services[name] = subprocess.Popen(
                    [*COMMAND, "run", name, "--metrics-port", str(port)],
                    env={**os.environ, **environments[f"weaklink.{name}"]}, stdout=log, stderr=log,
                )  # fmt: skip
        try:
            printed = publish(party.id, kafka.environment(), elsewhere)
            services["tokeniser"], remote, secrets["tokeniser"] = start_tokeniser(elsewhere, data, party.id)
            with WeaklinkClient(party.id, kafka, PartnerConfig(state_folder=data / "partner"), remote) as client:
                speak(client)
                planted_ring.tell(client, party.id, VISIBLE)
                with client.actions(idle_seconds=1) as actions:
                    wait_until(lambda: bool(list(read_actions(kafka, party.id))), lambda: ends_of_logs(data))
                    for received in actions:
                        received.refuse("customer", note="j" + FORGED)
                wait_until(lambda: len(list(read_rejects(kafka, party.id))) >= len(HOSTILE))
            append(settings.kafka, topology.RECEIPTS, [("x", f"no receipt of {VISIBLE}".encode())], "test")
            wait_until(lambda: caught_up(settings), lambda: ends_of_logs(data))
            printed |= console_pages(environments[CONSOLE], database, data / "console.log")
            printed |= {f"metrics of {name}": metrics_at(port) for name, port in ports.items()}
            printed |= printed_by(environments[OPERATOR], {**environments[OPERATOR], **kafka.environment()}, party.id)
            printed |= {f"ledger {number} {table}": row for number, (table, row) in enumerate(rows_of(database))}
            printed["log of PostgreSQL"] = log_of(postgres).read_bytes()[log_begins:]
            printed["log of the broker"] = (cluster.folder / "node-1" / "broker.log").read_bytes()
            for service in services.values():
                words = " ".join(psutil.Process(service.pid).cmdline())
                assert not [name for name, secret in secrets.items() if secret in words]
        finally:
            for service in services.values():
                service.terminate()
            for service in services.values():
                service.wait(PATIENCE_SECONDS)
        yield Left(settings, data, printed, secrets)


def caught_up(settings: Settings) -> bool:
    """Whether every stage has handled all of its input."""
    with LagProbe(settings.kafka) as probe:
        lags = {one.reader: one for one in probe.sample()}
    stages = [lags[stage.name] for stage in topology.STAGES]
    return all(row.committed is not None and row.records == 0 for lag in stages for row in lag.partitions if row.end)


def ends_of_logs(folder: Path) -> str:
    return "".join(path.read_text()[-1500:] for path in folder.glob("*.log"))


def start_tokeniser(folder: Path, logs: Path, party: str) -> tuple[subprocess.Popen[bytes], RemoteTokeniser, str]:
    """The service with the keys of `folder`, how the party asks it, and with what secret."""
    (port,) = free_ports(1)
    secret = grant(folder / "clients.json", party)
    environment = {
        "WEAKLINK_TOKENISER__KEY_FILE": str(folder / "keys.json"),
        "WEAKLINK_TOKENISER__CLIENTS_FILE": str(folder / "clients.json"),
        "WEAKLINK_TOKENISER__PORT": str(port),
        "WEAKLINK_LOG_JSON": "true",
    }
    with (logs / "tokeniser.log").open("ab") as log:
        process = subprocess.Popen([*COMMAND, "tokeniser", "serve"], env={**os.environ, **environment}, stdout=log, stderr=log)  # fmt: skip
    wait_until(lambda: answers(port), lambda: ends_of_logs(logs))
    return process, RemoteTokeniser(f"http://127.0.0.1:{port}", secret), secret


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def console_pages(environment: Mapping[str, str], database: str, log: Path) -> dict[str, bytes]:
    """What an operator sees who follows every link of the console, up to a number of pages, and what somebody who may not come in."""

    async def let_in() -> None:
        opened = open_database(database)
        users = Users(opened, ConsoleConfig())
        await opened.migrate()
        await users.create_tables()
        await users.add("olga", Role.OPERATOR, None, PASSWORD)
        await opened.close()

    asyncio.run(let_in())
    pages: dict[str, bytes] = {}
    links = ["/", "/actions", "/queue", "/parties", "/weak-links", "/lag.json"]
    with console(environment, log) as visitor:
        assert visitor.sign_in("mallory\x1b[2J", PASSWORD) == 401
        assert visitor.sign_in("olga", PASSWORD) == 200
        wait_until(lambda: "/campaigns/" in visitor.ask("/")[1], log.read_text)
        while links and len(pages) < _PAGES_MAX:
            if (link := links.pop(0)) not in pages:
                status, page = visitor.ask(link)
                assert status == 200, (link, page)
                pages[link] = page.encode()
                links += [html.unescape(one) for one in re.findall(r'href="(/(?:campaigns|accounts|actions)/[^"#]+)"', page)]  # fmt: skip
    return {f"console {link}": content for link, content in pages.items()}


def metrics_at(port: int) -> bytes:
    """What Prometheus gets there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        return bytes(answer.read())


def printed_by(operators: Mapping[str, str], parties: Mapping[str, str], party: str) -> dict[str, bytes]:
    """What commands print for operators, and for the party."""
    action = json.loads(output_of(operators, "actions list --json --limit 1").splitlines()[0])["action_id"]
    asked = [
        *((operators, words) for words in ("actions list", "actions dead-letters", "actions dead-letters --json", f"actions show {action}")),
        *((operators, words) for words in (f"actions history {action}", f"explain {action}", "campaigns list", "weak-links", f"scorecard {party}")),
        *((operators, f"campaigns export --format {form}") for form in ("json", "csv", "stix")),
        *((operators, words) for words in ("lag --json", "party list --json")),
        *((parties, f"partner {words} --party {party}") for words in ("actions --json", "rejects --json", "rejects --each", "export --format stix")),
    ]  # fmt: skip
    return {f"weaklink {words}": output_of(environment, words) for environment, words in asked}


def output_of(environment: Mapping[str, str], words: str) -> bytes:
    """Both of its outputs."""
    done = subprocess.run(
        [*COMMAND, *words.split()], env={**os.environ, **environment}, capture_output=True, timeout=PATIENCE_SECONDS, check=False
    )  # fmt: skip
    assert done.returncode == 0, (words, done.stderr.decode())
    assert done.stdout, words
    return done.stdout + done.stderr


def publish(party: str, environment: dict[str, str], folder: Path) -> dict[str, bytes]:
    """`weaklink partner publish` of a file with planted values, good lines and bad ones; what it printed."""
    rows = [
        {"event_type": "AccountOpened", "occurred_at": datetime.now(UTC).isoformat(), "account": VISIBLE, "plan": "FREE", "verified": "NONE",
         "identifiers": [{"kind": kind, "value": value}]}
        for kind, value in (
            *((kind.name, value) for kind, value in PLANTED.items()),
            ("IP", "planted-no-address"), ("EMAIL", "planted@no domain"), ("PHONE", "planted"), ("planted@example.org", "EMAIL"),
        )
    ]  # fmt: skip
    file = folder / "events.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"identifiers": "planted"\n')
    subprocess.run([*COMMAND, "partner", "key", "new", str(folder / "keys.json")], check=True, capture_output=True)
    run = subprocess.run(
        [*COMMAND, "partner", "publish", "--party", party, "--key-file", str(folder / "keys.json"), str(file)],
        env={**os.environ, **environment}, capture_output=True, timeout=PATIENCE_SECONDS, check=False, cwd=folder,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr.decode()
    assert f"{len(PLANTED)} published".encode() in run.stderr
    return {"stdout of publish": run.stdout, "stderr of publish": run.stderr}


def speak(client: WeaklinkClient) -> None:
    """Events with planted values from the SDK, and ones that go round it with texts that would forge lines of a log."""
    now = datetime.now(UTC)
    for number in range(8):
        account, raw = f"{VISIBLE}-{number}", list(PLANTED.items())
        client.send(
            client.build(AccountOpened, account=account, occurred_at=now, plan="FREE", verified="NONE", identifiers=raw)
        )
        client.send(
            client.build(
                ApiUsage, account=account, occurred_at=now, window_seconds=60, model="m", task="OTHER", requests=9,
                input_tokens=10, output_tokens=20, identifiers=raw, end_user="planted-user",
            )
        )  # fmt: skip
    client.flush()
    usage = {"occurred_at": now, "identifiers": [], "window_seconds": 60, "model": "m", "task": "OTHER", "requests": 1,
             "input_tokens": 1, "output_tokens": 1, "end_user": None, "address_class": "UNKNOWN"}  # fmt: skip
    for text in HOSTILE:
        client.publish_record("ApiUsage", {**usage, "event_id": uuid.uuid4().bytes, "account": text})
        client.publish_record("ApiUsage", {**usage, "event_id": uuid.uuid4().bytes, "account": "a", "model": text})
        client.receipt(text.encode().hex()[:32], 1, "DONE", reason=None, note="j" + FORGED)  # type: ignore[arg-type]
    client.flush()


@pytest.mark.kafka
def test_a_ring_became_a_campaign_and_was_acted_on(left: Left) -> None:
    """Else there would be little to search: decided by the stages themselves, and nothing that they publish is empty."""
    remembered = [decode(one) for one in left.messages(topology.CAMPAIGNS)]
    ring = f"{VISIBLE}-{planted_ring.RING}-"
    caught = {one["account"] for record, one in remembered if record == "CampaignMember" and one["flagged"]}
    assert len({one for one in caught if one.startswith(ring)}) > 10
    campaigns = {one["campaign_id"] for record, one in remembered if record == "Campaign"}
    decided = {decode(one)[1]["campaign_id"] for one in left.messages(topology.DECISIONS)}
    assert decided
    assert decided <= campaigns
    actions = [decode(one)[1] for one in left.messages("party.leak-lab.actions")]
    assert {one["campaign_id"] for one in actions} <= campaigns
    assert [one for one in actions if (one["target_account"] or "").startswith(ring)]
    assert sum(frames.from_chunk(one, frames.SHARED).height for one in left.messages(topology.SHARED)) > 10
    assert len(left.messages(topology.RECEIPTS)) > len(HOSTILE)


@pytest.mark.kafka
def test_no_raw_identifier_is_in_any_topic_log_ledger_snapshot_or_message(left: Left) -> None:
    """Neither as it was given nor normalised; what may travel is found in all of these places."""
    assert left.places_of(*NEEDLES) == {}
    places = " ".join(left.places_of(VISIBLE.encode()))
    for expected in (
        "party.leak-lab.events", "party.leak-lab.actions", topology.ACTIVITY, topology.CAMPAIGNS, topology.DECISIONS, "snapshots",
        "console /campaigns/", "console /accounts/", "console /actions", "ledger", "log of PostgreSQL", "weaklink actions list",
        "weaklink explain", "weaklink campaigns export --format stix", "weaklink partner actions",
    ):  # fmt: skip
        assert expected in places, (expected, sorted(left.contents))
    searched = " ".join(left.contents)  # where neither may be: tokens and hashes of accounts
    for expected in (
        topology.LINKS, topology.SHARED, topology.RECEIPTS, topology.FEEDBACK, "party.leak-lab.rejects", "log of the broker", "tokeniser.log",
        "exporter.log", "console.log", "metrics of exporter", "metrics of ingest", "weaklink actions dead-letters", "weaklink partner rejects",
    ):  # fmt: skip
        assert expected in searched, expected
    assert b"Kafka Server started" in left.contents["log of the broker"]
    assert b"tokens_asked" in left.contents["tokeniser.log"]
    assert b"kafka_consumergroup_group_lag" in left.contents["metrics of exporter"]
    assert topology.RECEIPTS.encode() in left.contents["weaklink actions dead-letters"]
    tables = {place.split()[2] for place in left.contents if place.startswith("ledger ")}
    assert {"actions", "decisions", "receipts", "dead_letters", "outbox"} <= tables


@pytest.mark.kafka
def test_no_secret_is_in_any_topic_log_ledger_or_snapshot(left: Left) -> None:
    """Of parties, services or the administrator."""
    assert all(len(secret) >= 20 for secret in left.secrets.values())
    assert left.places_of(*(secret.encode() for secret in left.secrets.values())) == {}


@pytest.mark.kafka
def test_a_log_is_lines_of_json_whatever_parties_send(left: Left) -> None:
    """No line is forged, and no control character comes through."""
    logs = {place: content for place, content in left.contents.items() if place.endswith(".log")}
    assert set(logs) == {f"{stage.name}.log" for stage in topology.STAGES} | {
        "tokeniser.log",
        "exporter.log",
        "console.log",
    }
    for place, content in logs.items():
        lines = log_lines(content)
        assert lines, place
        assert "forged_by_a_party" not in {line["event"] for line in lines}


def test_help_shows_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does any command take one as an option or argument: those are in the list of processes."""
    for name in ("KAFKA__PASSWORD", "PARTNER__TOKENISER_SECRET", "KAFKA__SSL_PASSWORD"):
        monkeypatch.setenv(f"WEAKLINK_{name}", "secret-of-the-environment")
    monkeypatch.setenv("WEAKLINK_ENFORCE__LEDGER_URL", "postgresql+asyncpg://w:secret-of-the-environment@db/w")
    assert "secret-of-the-environment" not in repr(Settings())
    for path, command in commands():
        result = CliRunner().invoke(app, [*path, "--help"])
        assert result.exit_code == 0
        assert "secret-of-the-environment" not in result.output
        names = {option for one in command.params if not getattr(one, "is_flag", False) for option in one.opts}
        assert not [name for name in names if re.search(r"password|secret$", name) and not name.endswith("-file")], path


def test_every_dependency_is_pinned_with_its_hashes_and_nothing_else_is_installed() -> None:
    """The lock has a version and hashes for every package, and every installation insists on them."""
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    packages = [block for block in blocks if not block.startswith("#")]
    assert len(packages) > 50
    for block in packages:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,_-]+\])?==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    for name in ("Makefile", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        installs = [line for line in text.splitlines() if re.search(r"pip install", line)]
        parts = [part for line in installs for part in re.split(r"&&", line) if "pip install" in part]
        assert parts
        assert all("--require-hashes" in part or "--no-deps" in part for part in parts), name
