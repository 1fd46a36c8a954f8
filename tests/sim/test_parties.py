"""Simulated parties: what an action does to the world, and what they answer."""

from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest

from tests.waiting import wait_until
from weaklink.parties import PartyKind
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ReceiptStatus
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import IdentifierKind
from weaklink.sim.parties import Ground, SimulatedParty
from weaklink.sim.publishing import TokenTable
from weaklink.sim.spec import HOUR_US, PartySpec
from weaklink.sim.tables import Accounts
from weaklink.sim.vocabulary import Vocabulary

NOW_US = 1_790_000_000_000_000
OPERATOR, HONEST = 0, 1


class Receipts:
    """Stands for the client's connection: keeps what would be published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ReceiptStatus, str | None]] = []

    def receipt(
        self, action_id: str, revision: int, status: ReceiptStatus, reason: str | None, note: str | None
    ) -> None:
        """As WeaklinkClient.receipt."""
        self.sent.append((action_id, status, note))


class Stand:
    """One lab with an operator's account (index 0), an honest one (1), and a card that it has published."""

    def __init__(self) -> None:
        accounts, vocabulary = Accounts(), Vocabulary(1)
        accounts.add(np.array([0]), np.array([0]), operator=0)
        accounts.add(np.array([0]), np.array([0]))
        self.card = int(vocabulary.mint(IdentifierKind.CARD, 1)[0])
        self.ground = Ground(accounts, TokenTable(vocabulary, LocalTokeniser.throwaway()))
        self.token = self.ground.tokens.tokens(self.card)[0]
        self.receipts = Receipts()
        spec = PartySpec(id="lab-one", kind=PartyKind.LAB, reaction_hours=2)
        self.party = SimulatedParty(0, spec, cast("WeaklinkClient", self.receipts), seed=1)

    def receive(self, measure: str, *, account: int | None = None, state: str = "ACTIVE", **more: Any) -> None:
        """An action arrives."""
        at = datetime.fromtimestamp(NOW_US / 1e6, UTC)
        fields = {
            "action_id": f"{measure}-{account}",
            "revision": 1,
            "state": state,
            "party": "lab-one",
            "campaign_id": "c-1",
            "measure": measure,
            "target_account": None if account is None else self.ground.accounts.name[account],
            "issued_at": at,
            "expires_at": at,
            "respond_by": at,
            "evidence_at": at,
            "confidence": 0.99,
            "expected_cut": 1.0,
            "benign_accounts_touched": 0,
            "tlp": "AMBER_STRICT",
        }
        self.party.inbox.put(EnforcementAction.model_validate(fields | more))

    def pass_time(self, hours: float) -> None:
        """The loop reaches this time, hour by hour."""
        for hour in np.arange(0, hours + 1):
            self.party.act(NOW_US + int(hour * HOUR_US), self.ground)

    def statuses(self) -> list[ReceiptStatus]:
        """What was answered, in order."""
        return [status for _, status, _ in self.receipts.sent]


def test_an_action_takes_effect_after_the_reaction_time_and_is_answered_then() -> None:
    """Nobody acts in the second in which the action arrives."""
    stand = Stand()
    stand.receive("SUSPEND", account=OPERATOR)
    stand.pass_time(1)
    assert stand.ground.taken.dead == set()
    assert stand.receipts.sent == []
    stand.pass_time(2)
    assert stand.ground.taken.dead == {OPERATOR}
    assert stand.statuses() == [ReceiptStatus.DONE]


def test_an_honest_customer_complains_and_gets_the_account_back() -> None:
    """The dispute goes out after the suspension; a withdrawal restores the account."""
    stand = Stand()
    stand.receive("SUSPEND", account=HONEST)
    stand.pass_time(12)
    assert stand.statuses() == [ReceiptStatus.DONE, ReceiptStatus.DISPUTED]
    assert stand.ground.toll.suspended == {HONEST}
    stand.receive("SUSPEND", account=HONEST, state="WITHDRAWN", revision=2)
    stand.pass_time(3)
    assert stand.ground.taken.dead == set()


def test_an_account_stays_suspended_until_the_last_action_on_it_is_withdrawn() -> None:
    """A suspension takes the place of a milder measure, or of one of a campaign that merged: their withdrawals come after it."""
    stand = Stand()
    stand.receive("SUSPEND", account=OPERATOR)
    stand.receive("CHALLENGE", account=OPERATOR, state="WITHDRAWN", revision=2)
    stand.receive("SUSPEND", account=OPERATOR, action_id="of another campaign")
    stand.receive("SUSPEND", account=OPERATOR, state="WITHDRAWN", revision=2)
    stand.pass_time(3)
    assert stand.ground.taken.dead == {OPERATOR}
    stand.receive("SUSPEND", account=OPERATOR, action_id="of another campaign", state="EXPIRED", revision=2)
    stand.pass_time(6)
    assert stand.ground.taken.dead == set()


@pytest.mark.parametrize(("account", "share"), [(OPERATOR, (0.7, 1.0)), (HONEST, (0.0, 0.15))])
def test_challenges_stop_operators_and_hardly_anybody_else(account: int, share: tuple[float, float]) -> None:
    """People pass a challenge, operators mostly fail it."""
    stand, failed = Stand(), 0
    for _ in range(200):
        stand.ground.taken.dead.clear()
        stand.receive("CHALLENGE", account=account)
        stand.pass_time(3)
        failed += account in stand.ground.taken.dead
    assert share[0] <= failed / 200 <= share[1]


def test_measures_on_tokens_reach_the_identifier_behind_them() -> None:
    """A blocked card is one that operators can no longer pay with; a token never sent is not ours."""
    stand = Stand()
    stand.receive("BLOCK_IDENTIFIER", target_token=stand.token)
    stand.receive("BLOCK_IDENTIFIER", target_token=bytes((4, 1)) + b"\0" * 15)
    stand.pass_time(3)
    assert stand.ground.taken.cards == {stand.card}
    assert sorted(stand.statuses()) == [ReceiptStatus.DONE, ReceiptStatus.NOT_OURS]


def test_a_slice_throttles_only_the_end_user() -> None:
    """A reseller goes on working for its other customers."""
    stand = Stand()
    end_user = int(stand.ground.tokens._vocabulary.mint(IdentifierKind.END_USER, 1)[0])
    token = stand.ground.tokens.tokens(end_user)[0]
    stand.receive("THROTTLE", account=HONEST, slice_end_user=token)
    stand.pass_time(3)
    assert set(stand.ground.taken.end_users) == {(HONEST, end_user)}
    assert stand.ground.taken.throttled == {}


def test_reading_errors_reach_the_loop() -> None:
    """A thread that cannot read actions does not die unnoticed."""
    stand = Stand()
    stand.party.start()
    wait_until(lambda: stand.party.error is not None)
    assert isinstance(stand.party.error, AttributeError)
