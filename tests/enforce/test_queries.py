"""What the ledger is asked about measures on tokens, on both databases."""

from tests.enforce.conftest import open_database
from tests.enforce.samples import decision, decoded, proposal, receipt
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import on_tokens


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
