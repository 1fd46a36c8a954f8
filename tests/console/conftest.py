"""A console on a real topic and a real ledger, with an operator and users of two parties."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kafka import KafkaProducer
from starlette.testclient import TestClient

from tests.cases.world import filled, publish
from tests.enforce.conftest import new_database, postgres  # noqa: F401  a fixture
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink.cases.reader import read_cases
from weaklink.console.app import make_app
from weaklink.console.config import ConsoleConfig
from weaklink.console.users import Role, Users
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, ledger_url
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import encode
from weaklink.settings import Settings

PASSWORD = "correct horse battery"
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}</script><script>alert(2)</script>"
PEOPLE = {"olga": None, "ana": "lab-a", "bea": "lab-b"}


@dataclass(frozen=True)
class Case:
    """What a console shows. `actions`: ids; the first was done, the last waits. `accounts`: whose they are, (party, account)."""

    settings: Settings
    topic: str
    campaign: str
    other_campaign: str
    accounts: list[tuple[str, str]]
    actions: list[str]


def make_case(kafka: KafkaConfig, folder: Path, patch: pytest.MonkeyPatch, ledger: str | None = None) -> Case:
    """Fill a topic and a ledger, and let people in."""
    topic = f"campaigns-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [topic], partitions=1, configs={"cleanup.policy": "compact"})
    publish(kafka, topic)
    patch.setattr("weaklink.topology.CAMPAIGNS", topic)
    settings = Settings(
        kafka=kafka,
        data_folder=folder,
        console=ConsoleConfig(refresh_seconds=0.2, lag_seconds=1, names=("testserver", "127.0.0.1")),
        enforce=EnforceConfig(ledger_url=ledger),
    )
    known = read_cases(kafka)
    first, second = (one["campaign_id"] for one in known.running())
    members = known.members(first)
    one_each = [next(m for m in members if m.party == party) for party in ("lab-a", "lab-b", "pay-a")]
    accounts = [(one.party, one.account) for one in one_each]
    add_hostile(kafka, topic, first)
    actions = filled(ledger_url(settings), first, [*accounts, ("lab-a", HOSTILE)])
    asyncio.run(let_in(settings))
    return Case(settings, topic, first, second, accounts, actions)


def add_hostile(kafka: KafkaConfig, topic: str, campaign_id: str) -> None:
    """A member of lab-a whose name is made to break out of a page."""
    now = datetime(2026, 9, 23, tzinfo=UTC)
    member = {
        "campaign_id": campaign_id, "party": "lab-a", "account": HOSTILE, "score": 1.0, "since": now, "flagged": True, "fast": False,
        "missed_since": None, "grounds": None,
    }  # fmt: skip
    producer = KafkaProducer(**kafka.client_options())
    producer.send(topic, key=b"member/hostile", value=encode("CampaignMember", member)).get(60)
    producer.close()


async def let_in(settings: Settings) -> None:
    """Everybody of PEOPLE, with the same password."""
    database = Database(ledger_url(settings))
    users = Users(database, settings.console)
    await users.create_tables()
    for name, party in PEOPLE.items():
        await users.add(name, Role.PARTY if party else Role.OPERATOR, party, PASSWORD)
    await database.close()


@pytest.fixture(scope="module")
def case(kafka: KafkaConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """On SQLite; for tests that change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        yield make_case(kafka, tmp_path_factory.mktemp("console"), patch)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def fresh_case(
    request: pytest.FixtureRequest, kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Case:
    """A case of one test alone, on each database in turn."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = new_database(server)
    return make_case(kafka, tmp_path, monkeypatch, url)


@pytest.fixture(scope="module")
def client(case: Case) -> Iterator[TestClient]:
    """A browser without cookies in front of the console."""
    with opened(case) as found:
        yield found


def opened(case: Case) -> TestClient:
    """To be used with `with`: the console runs as long."""
    return Ready(make_app(case.settings), follow_redirects=False)


class Ready(TestClient):
    """Waits until the topic has been read."""

    def __enter__(self) -> "Ready":
        super().__enter__()
        wait_until(lambda: self.app.state.cases.error is None)  # type: ignore[attr-defined]
        return self


def sign_in(client: TestClient, name: str, *, anew: bool = False) -> dict[str, str]:
    """Cookies of a session, as a `cookie` header; the client itself keeps none. One session of a name serves many tests."""
    known: dict[str, dict[str, str]] = client.__dict__.setdefault("signed_in", {})
    if anew or name not in known:
        known[name] = _signed_in(client, name)
    return dict(known[name])


def _signed_in(client: TestClient, name: str) -> dict[str, str]:
    client.cookies.clear()
    form = client.get("/login")
    (token,) = re.findall(r'name="token" value="([^"]+)"', form.text)
    answer = client.post("/login", data={"name": name, "password": PASSWORD, "token": token})
    assert answer.status_code == 303, answer.text
    cookie = f"weaklink_session={client.cookies['weaklink_session']}"
    client.cookies.clear()
    return {"cookie": cookie}


def token_of(client: TestClient, headers: dict[str, str]) -> str:
    """The token of the forms of a session."""
    tokens: list[str] = re.findall(r'name="token" value="([^"]+)"', client.get("/", headers=headers).text)
    return tokens[0]
