"""Who is of a party that is suspended or removed has no console any more; on SQLite and on PostgreSQL."""

import asyncio
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from tests.console.conftest import PASSWORD, Case, opened, sign_in
from tests.topics import create_topics
from weaklink.cli.main import app
from weaklink.console.users import Role, Users
from weaklink.enforce.database import Database, ledger_url
from weaklink.errors import ConfigurationError, LedgerError, PartyError
from weaklink.kafka_options import KafkaConfig
from weaklink.party_registry import read_parties

pytestmark = pytest.mark.kafka
Run = Callable[..., Result]


@pytest.fixture
def registry(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of this test alone, whose parties are told apart by no broker: here it is about the console."""
    topic = f"parties-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [topic], partitions=1, configs={"cleanup.policy": "compact"})
    monkeypatch.setattr("weaklink.topology.PARTIES", topic)
    monkeypatch.setattr("weaklink.ops.membership._needs_principals", lambda *_: None)
    monkeypatch.setattr("weaklink.ops.membership._needs_management", lambda *_: None)
    for name, value in kafka.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run(fresh_case: Case, registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands of somebody who has the ledger of the case at hand."""
    settings = fresh_case.settings
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(settings.data_folder))
    monkeypatch.setenv("WEAKLINK_TOKENISER__CLIENTS_FILE", str(tmp_path / "clients.json"))
    if settings.enforce.ledger_url:
        monkeypatch.setenv("WEAKLINK_ENFORCE__LEDGER_URL", settings.enforce.ledger_url)

    def invoke(*words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, words, input=stdin)

    return invoke


def add(run: Run, party: str, *names: str) -> None:
    assert (done := run("party", "add", party, "--kind", "lab", "--partitions", "1")).exit_code == 0, done.output
    for name in names:
        let_in(run, party, name)


def let_in(run: Run, party: str, name: str) -> Result:
    return run("console", "user", "add", name, "--party", party, "--password-stdin", stdin=f"{PASSWORD}\n")


def signs_in(client: TestClient, name: str) -> bool:
    """Whether the password is still good for a session."""
    client.cookies.clear()
    (token,) = re.findall(r'name="token" value="([^"]+)"', client.get("/login").text)
    answer = client.post("/login", data={"name": name, "password": PASSWORD, "token": token})
    client.cookies.clear()
    assert answer.status_code in (303, 401), answer.text
    return bool(answer.status_code == 303)


@pytest.mark.parametrize("act", ["suspend", "remove"])
def test_the_sessions_of_a_party_that_is_kept_out_end_and_nobody_of_it_signs_in(
    fresh_case: Case, run: Run, act: str
) -> None:
    """From the next request, and after a restart; others stay signed in. Nobody is added to a suspended party."""
    mine, other = f"t-{uuid.uuid4().hex[:8]}", f"t-{uuid.uuid4().hex[:8]}"
    with opened(fresh_case) as client:
        add(run, mine, "mia", "max")
        add(run, other, "otto")
        live = {name: sign_in(client, name) for name in ("mia", "otto", "olga")}
        assert [client.get("/actions", headers=live[name]).status_code for name in live] == [200, 200, 200]
        done = run("party", act, mine)
        assert (done.exit_code, "max, mia no more" in done.stdout) == (0, True), done.output
        assert [client.get("/actions", headers=live[name]).status_code for name in live] == [303, 200, 200]
        assert client.get("/actions", headers=live["mia"]).headers["location"] == "/login"
        assert client.post("/logout", headers=live["mia"]).status_code == 401
        assert [signs_in(client, name) for name in ("mia", "max", "otto")] == [False, False, True]
        assert isinstance(let_in(run, mine, "mia").exception, PartyError)
    with opened(fresh_case) as client:
        assert [client.get("/actions", headers=live[name]).status_code for name in live] == [303, 200, 200]
        assert not signs_in(client, "mia")


def test_who_was_of_a_removed_party_is_not_of_the_next_one_with_its_id(fresh_case: Case, run: Run) -> None:
    """Also where the ledger was out of reach when it was removed; and to add a party again ends nobody's access."""
    party = f"t-{uuid.uuid4().hex[:8]}"
    with opened(fresh_case) as client:
        add(run, party, "mia")
        headers = sign_in(client, "mia")
        assert run("party", "remove", party).exit_code == 0
        add(run, party)
        assert client.get("/", headers=headers).status_code == 303
        assert not signs_in(client, "mia")
        assert "mia" not in run("console", "user", "list").stdout

        add(run, party, "max")  # a second time: it is registered, and keeps its people
        assert run("party", "add", party, "--kind", "lab", "--partitions", "1").exit_code == 0
        assert signs_in(client, "max")
        with pytest.MonkeyPatch.context() as elsewhere:
            elsewhere.delenv("WEAKLINK_ENFORCE__LEDGER_URL", raising=False)
            elsewhere.setenv("WEAKLINK_DATA_FOLDER", str(fresh_case.settings.data_folder / "elsewhere"))
            assert f"weaklink console user remove --party {party}" in run("party", "remove", party).stderr
            assert not (fresh_case.settings.data_folder / "elsewhere").exists()
        assert signs_in(client, "max")
        add(run, party)
        assert not signs_in(client, "max")


def test_nobody_gets_an_id_whose_actions_are_in_the_ledger(run: Run) -> None:
    """Its page of the console would show them."""
    refused = run("party", "add", "lab-a", "--kind", "lab").exception
    assert isinstance(refused, PartyError)
    assert re.search(r"[1-9]\d* actions in the ledger", str(refused))


def test_everybody_of_a_party_is_removed_by_one_command(fresh_case: Case, run: Run) -> None:
    """The one that `party remove` names: nobody else loses anything, and it says when there is nobody."""
    assert run("console", "user", "remove", "--party", "lab-a").exit_code == 0
    assert {name for name in ("ana", "bea", "olga") if name in run("console", "user", "list").stdout} == {"bea", "olga"}
    for words in (["--party", "lab-a"], ["ana"], [], ["bea", "--party", "lab-b"]):
        assert isinstance(run("console", "user", "remove", *words).exception, ConfigurationError)


def test_a_ledger_that_does_not_answer_keeps_no_party_in_and_is_told(
    registry: None, kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The party is out of the registry, and the error names the command that is left; a party with that id is not registered before."""
    monkeypatch.setenv("WEAKLINK_TOKENISER__CLIENTS_FILE", str(tmp_path / "clients.json"))
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(tmp_path))
    party, run = f"t-{uuid.uuid4().hex[:8]}", CliRunner()
    words = ["party", "add", party, "--kind", "lab", "--partitions", "1"]
    assert run.invoke(app, words).exit_code == 0
    monkeypatch.setenv("WEAKLINK_ENFORCE__LEDGER_URL", "postgresql://weaklink@127.0.0.1:1/weaklink")
    for attempt in (["party", "remove", party], words):
        error = run.invoke(app, attempt).exception
        assert isinstance(error, LedgerError)
        assert f"weaklink console user remove --party {party}" in str(error)
        assert party not in read_parties(kafka)


def test_a_sign_in_under_way_when_its_party_is_removed_is_none(fresh_case: Case) -> None:
    """The password was right, then the user went, then the session is made: it is nobody's, also when the name comes back."""

    async def scenario() -> None:
        database = Database(ledger_url(fresh_case.settings))
        users = Users(database, fresh_case.settings.console)
        assert await users.check("ana", PASSWORD)
        assert await users.remove_party("lab-a") == ["ana"]
        token = await users.sign_in("ana")
        assert await users.session(token) is None
        await users.add("ana", Role.PARTY, "lab-b", PASSWORD)
        assert await users.session(token) is None
        await database.close()

    asyncio.run(scenario())
