"""Verdicts through the console end in the ledger, with who, when and why; on SQLite and on PostgreSQL."""

import asyncio
from typing import Any

import pytest

from tests.console.conftest import Case, opened, sign_in, token_of
from weaklink.console.users import Users
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.queries import show_action

pytestmark = pytest.mark.kafka


def in_ledger(case: Case, ident: str) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        database = Database(ledger_url(case.settings))
        async with database.read() as connection:
            found = await show_action(connection, ident)
        await database.close()
        return found

    return asyncio.run(run())


def test_an_operator_approves_declines_and_withdraws(fresh_case: Case) -> None:
    """What waits is approved, what stands is withdrawn; a second verdict is told to be too late; the sessions of who is removed end."""
    waits, stands = fresh_case.actions[3], fresh_case.actions[1]
    with opened(fresh_case) as client:
        headers = sign_in(client, "olga")
        token = token_of(client, headers)
        assert waits[:12] in client.get("/queue", headers=headers).text
        sent = {"token": token, "note": "seen by hand", "back": "queue"}
        assert client.post(f"/actions/{waits}/approve", data=sent, headers=headers).headers["location"] == "/queue"
        found = in_ledger(fresh_case, waits)
        assert found["state"] == "ACTIVE"
        assert (found["approvals"][0]["verdict"], found["approvals"][0]["decided_by"]) == ("APPROVED", "olga")
        assert (found["history"][-1]["actor"], found["history"][-1]["note"]) == ("olga", "seen by hand")
        late = client.post(f"/actions/{waits}/decline", data=sent, headers=headers)
        assert late.status_code == 409
        assert "could not be changed" in late.text
        assert in_ledger(fresh_case, waits)["state"] == "ACTIVE"
        client.post(f"/actions/{stands}/withdraw", data={"token": token}, headers=headers)
        assert in_ledger(fresh_case, stands)["state"] == "WITHDRAWN"
        assert client.post(f"/actions/{stands}/forget", data={"token": token}, headers=headers).status_code == 404
        asyncio.run(remove(fresh_case, "olga"))
        assert client.get("/queue", headers=headers).status_code == 303


async def remove(case: Case, name: str) -> None:
    database = Database(ledger_url(case.settings))
    assert await Users(database, case.settings.console).remove(name)
    await database.close()
