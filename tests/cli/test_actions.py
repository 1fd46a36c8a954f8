"""`weaklink actions approve|decline|withdraw` on many: what is decided is said, whatever comes of the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import typer
from typer.testing import CliRunner

from tests.enforce.samples import decision, decoded, proposal
from weaklink.cli import actions
from weaklink.cli.ledger import read
from weaklink.enforce import receipts
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.settings import Settings

CAMPAIGN = "c-bulk"
Answer = TypeVar("Answer")


class World:
    """A ledger in which three actions of a campaign wait for a person, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"WEAKLINK_DATA_FOLDER": str(folder), "WEAKLINK_CLOCK": "event"}
        self._url = ledger_url(Settings(data_folder=folder))
        measures = [proposal(target_account=name, benign_accounts_touched=99) for name in ("a", "b", "c")]
        message = decision(*measures, campaign_id=CAMPAIGN)

        async def decide(ledger: Ledger) -> dict[str, str]:
            outcome = await ledger.handle_decision(decoded(message), message)
            assert outcome is not None
            return {one.action.target.name: one.action.action_id for one in outcome.changes}

        self.waiting = self.on_ledger(decide)

    def on_ledger(self, work: Callable[[Ledger], Awaitable[Answer]]) -> Answer:
        """Do this beside the command."""

        async def run() -> Answer:
            database = Database(self._url)
            try:
                await database.migrate()
                config = EnforceConfig()
                return await work(Ledger(database, config, Clock("event", config.clock_lead_hours_max)))
            finally:
                await database.close()

        return asyncio.run(run())

    def run(self, *arguments: str) -> tuple[int, list[str], str]:
        """Exit code, lines and what was said beside them."""
        app = typer.Typer()
        actions.register(app)
        app.callback()(lambda: None)
        done = CliRunner().invoke(app, ["actions", *arguments], env=self.environment)
        return done.exit_code, done.stdout.splitlines(), done.stderr


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_of_many_each_is_said_and_one_that_has_ended_meanwhile_stops_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approvals are published as they are made: the person must read of every one, and the rest must not be left undecided by the first that fails."""

    def looked_up_and_overtaken(query: Callable[..., Awaitable[Answer]]) -> Answer:
        """Between finding what waits and deciding it, somebody else declines one."""
        found = read(query)
        world.on_ledger(lambda ledger: ledger.decide(world.waiting["b"], receipts.declined, by="otto", note=None))
        return found

    monkeypatch.setattr("weaklink.cli.actions.read", looked_up_and_overtaken)
    code, lines, beside = world.run("approve", "--campaign", CAMPAIGN, "--by", "eva")
    assert code == 1
    assert sorted(lines) == sorted(f"{world.waiting[name]} SUSPEND {name} at lab-a: ACTIVE" for name in ("a", "c"))
    assert f"{world.waiting['b']} is DECLINED" in beside
    assert "1 of 3 actions could not be decided" in beside
    monkeypatch.undo()
    _, listed, _ = world.run("list", "--state", "ACTIVE", "--json")
    assert len(listed) == 2


def test_when_all_are_decided_the_command_ends_well(world: World) -> None:
    """Every one is on the standard output, and nothing beside it."""
    code, lines, beside = world.run("decline", "--campaign", CAMPAIGN, "--by", "eva")
    assert (code, beside) == (0, "")
    assert sorted(lines) == sorted(
        f"{ident} SUSPEND {name} at lab-a: DECLINED" for name, ident in world.waiting.items()
    )
