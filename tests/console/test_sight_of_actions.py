"""What a party's pages say of an action that it was sent, and that has come to wait for a person since."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from tests.campaigns.test_method import NOW_US
from tests.console.conftest import Case, opened, sign_in
from tests.enforce.samples import decision, decoded, proposal
from weaklink.enforce import receipts
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger

pytestmark = pytest.mark.kafka
NEW = {
    "confidence": 0.9876, "expected_cut": 4321.0, "benign_accounts_touched": 77,
    "reasons": [{"code": "SHARED_REFERRAL", "weight": 3.21, "parties": 3}],
}  # fmt: skip


async def reopen(case: Case, then: str) -> None:
    """lab-b's action is withdrawn, its party is told, and it is proposed again with more than may be done without a person."""
    database = Database(ledger_url(case.settings))
    ledger = Ledger(database, EnforceConfig(benign_accounts_touched_max=5), Clock("append", 1))
    party, account = case.accounts[1]
    try:
        await propose(ledger, case, 1, op="WITHDRAW", party=party, target_account=account)
        await propose(ledger, case, 2, party=party, target_account=account, **NEW)
        if then == "DECLINED":
            await ledger.decide(case.actions[1], receipts.declined, by="olga", note="not this one")
        elif then == "WITHDRAWN":
            await propose(ledger, case, 3, op="WITHDRAW", party=party, target_account=account)
        elif then == "ACTIVE":
            await ledger.decide(case.actions[1], receipts.approved, by="olga", note=None)
    finally:
        await database.close()


async def propose(ledger: Ledger, case: Case, later: int, **fields: Any) -> None:
    value = decision(proposal(**fields), campaign_id=case.campaign, at_us=NOW_US + later, evidence_us=NOW_US)
    outcome = await ledger.handle_decision(decoded(value), value)
    assert outcome is not None
    assert len(outcome.changes) == 1


@pytest.mark.parametrize("then", ["WAITING", "DECLINED", "WITHDRAWN", "ACTIVE"])
def test_a_measure_that_nobody_has_approved_is_not_told_on_any_page_of_its_party(fresh_case: Case, then: str) -> None:
    """Neither that it waits or was declined, nor how sure it is and why: the party sees its action as it was last sent."""
    asyncio.run(reopen(fresh_case, then))
    party, account = fresh_case.accounts[1]
    pages = [
        "/actions", f"/actions/{fresh_case.actions[1]}", f"/accounts/{party}/{quote(account)}", f"/campaigns/{fresh_case.campaign}",
    ]  # fmt: skip
    with opened(fresh_case) as client:
        bea, olga = sign_in(client, "bea"), sign_in(client, "olga")
        told = [client.get(one, headers=bea).text for one in pages]
        assert all(fresh_case.actions[1][:12] in text for text in told)
        assert all(f'<span class="state {then.lower()}">{then}</span>' in client.get(one, headers=olga).text for one in pages)  # fmt: skip
        if then == "ACTIVE":  # a person has approved it: now the party is told everything
            assert "98.8%" in told[1]
            assert "4,321" in told[1]
            return
        for text in told:
            assert '<span class="state withdrawn">WITHDRAWN</span>' in text
            for hidden in ("WAITING", "DECLINED", "98.8%", ">99%<", "4,321", ">77<", "+3.21", "not this one"):
                assert hidden not in text
        listed = {state: client.get(f"/actions?state={state}", headers=bea).text for state in ("WITHDRAWN", then)}
        assert fresh_case.actions[1][:12] in listed["WITHDRAWN"]
        assert then == "WITHDRAWN" or fresh_case.actions[1][:12] not in listed[then]
