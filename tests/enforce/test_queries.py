"""What the ledger is asked about actions, on both databases."""

import random
from dataclasses import replace
from statistics import median
from typing import Any

import pytest
import sqlalchemy as sa

from tests.enforce.conftest import open_database
from tests.enforce.samples import decision, decoded, proposal, receipt
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import Filter, answers, count_actions, find_ids, list_actions, on_account, on_tokens
from weaklink.enforce.tables import actions
from weaklink.errors import LedgerError


async def test_measures_on_tokens_are_counted_by_what_their_parties_answered(ledger_address: str) -> None:
    """Of this campaign, and none on accounts; who is touched counts where it was carried out."""
    database = open_database(ledger_address)
    await database.migrate()
    ledger = Ledger(database, EnforceConfig(), Clock("event", 24))
    cards = [b"\x04\x00" + bytes([n]) * 15 for n in range(3)]
    block = {"measure": "BLOCK_IDENTIFIER", "target_account": None, "expected_cut": 10.0, "benign_accounts_touched": 2}
    message = decision(proposal(), *(proposal(**block, target_token=card) for card in cards))
    outcome = await ledger.handle_decision(decoded(message), message)
    other = decision(proposal(**block, target_token=cards[0]), campaign_id="c-2", at_us=1_000_001)
    await ledger.handle_decision(decoded(other), other)
    assert outcome is not None
    by_token = {change.action.target.token: change.action.action_id for change in outcome.changes}
    for card, word in ((cards[0], "DONE"), (cards[1], "PARTLY_DONE")):
        await ledger.handle_receipts([decoded(receipt(by_token[card], word))])
    async with database.read() as connection:
        (found,) = await on_tokens(connection, "c-1")
    await database.close()
    assert found == {
        "measure": "BLOCK_IDENTIFIER", "standing": 3, "obeyed": 2, "refused": 0, "expected_cut": 30.0, "benign_accounts_touched": 4,
    }  # fmt: skip
    assert all(isinstance(found[name], int) for name in ("standing", "obeyed", "refused", "benign_accounts_touched"))


async def decide(ledger: Ledger, at_us: int, *measures: dict[str, Any]) -> list[str]:
    """Ids of the actions that a decision changes, in the order of its measures."""
    message = decision(*measures, at_us=at_us)
    outcome = await ledger.handle_decision(decoded(message), message)
    assert outcome is not None
    by_account = {change.action.target.account: change.action.action_id for change in outcome.changes}
    return [by_account[one["target_account"]] for one in measures]


async def test_scorecards_are_counted_as_they_would_be_by_hand(database: Database, ledger: Ledger) -> None:
    """Of what parties have seen: medians of even and odd numbers, answers that seem to come before their questions, parties without any."""
    rng = random.Random(7)
    words = ["ACCEPTED", "DONE", "PARTLY_DONE", "DISPUTED", "NOT_OURS", "REFUSED", None]
    accounts = [proposal(party=f"lab-{n % 4}", target_account=f"a{n}") for n in range(90)]
    idents = await decide(
        ledger, 1_000_000, *accounts, proposal(party="lab-z", target_account="z", benign_accounts_touched=50)
    )
    rows: list[dict[str, Any]] = []
    async with database.write() as connection:
        for ident, one in zip(idents, accounts, strict=False):
            word = rng.choice(words) if one["party"] != "lab-3" else None
            found = {
                "answer": word,
                "answered_at_us": word and rng.randrange(10**9),
                "overdue": word is None and rng.random() < 0.5,
            }
            await connection.execute(sa.update(actions).where(actions.c.action_id == ident).values(**found))
            rows.append(found | {"party": one["party"]})
    wanted = []
    for party in (f"lab-{n}" for n in range(4)):
        mine = [one for one in rows if one["party"] == party]
        waits = [max(one["answered_at_us"] - 1_000_000, 0) for one in mine if one["answer"] in words[:3]]
        wanted.append(
            {
                "party": party, "actions": len(mine), "answered": sum(one["answer"] is not None for one in mine),
                "ending": sum(one["answer"] in words[3:6] for one in mine), "overdue": sum(one["overdue"] for one in mine),
                "wait_us": median(waits) if waits else None,
            }
        )  # fmt: skip
    async with database.read() as connection:
        assert sorted(await answers(connection), key=lambda one: str(one["party"])) == wanted


async def test_an_action_is_found_by_the_beginning_of_its_id_alone(database: Database, ledger: Ledger) -> None:
    """Nothing but digits and letters up to f is a beginning, whatever a pattern, or the database's order of signs, makes of it."""
    idents = await decide(ledger, 1, *(proposal(target_account=f"a{n}") for n in range(40)))
    async with database.read() as connection:
        assert await find_ids(connection, idents) == idents
        for prefix in {one[:length] for one in idents for length in (1, 2, 3, 31)}:
            same = [one for one in idents if one.startswith(prefix)]
            if len(same) == 1:
                assert await find_ids(connection, [prefix]) == same
            else:
                with pytest.raises(LedgerError, match="several actions begin with"):
                    await find_ids(connection, [prefix])
        for wrong in (
            "",
            "_",
            "%",
            idents[0] + "0",
            idents[0][:8] + "%",
            idents[0][:8] + "\x00",
            idents[0][:31] + "g",
            "-",
            "é",
        ):
            with pytest.raises(LedgerError, match="no action has the id"):
                await find_ids(connection, [wrong])


async def test_a_party_s_list_is_as_it_was_sent_whatever_waits_since(database: Database, ledger: Ledger) -> None:
    """Neither place nor number nor words tell it that somebody thinks about one of its actions; an operator sees what waits first."""
    first = await decide(ledger, 1, proposal(target_account="a1"))
    await decide(ledger, 2, proposal(op="WITHDRAW", target_account="a1"))
    second = await decide(ledger, 3, proposal(target_account="a2"))
    ended = Filter(party="lab-a", published=True, states=("WITHDRAWN",))
    everything = replace(ended, states=())

    async def told() -> list[Any]:
        async with database.read() as connection:
            lists = [await list_actions(connection, which) for which in (ended, everything)]
            counts = [await count_actions(connection, which) for which in (ended, everything)]
            return [lists, counts, await on_account(connection, "lab-a", "a1", published=True)]

    before = await told()
    assert [one["action_id"] for one in before[0][1]] == [*second, *first]
    assert before[1] == [1, 2]
    await decide(ledger, 10, proposal(target_account="a1", benign_accounts_touched=50, confidence=0.99))
    assert await told() == before
    async with database.read() as connection:
        (waits, _), total = (
            await list_actions(connection, Filter()),
            await count_actions(connection, Filter(states=("WAITING",))),
        )
        assert (waits["action_id"], waits["state"], total) == (first[0], "WAITING", 1)
        assert waits["waits_because"]
        (mine,) = await on_account(connection, "lab-a", "a1")
        assert mine == waits
    await decide(ledger, 11, proposal(op="WITHDRAW", target_account="a1"))
    assert await told() == before
