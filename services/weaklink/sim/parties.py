"""Simulated parties: each reads its actions through the partner SDK, carries them out after its reaction time, and answers.

A party knows what a party can know; where it would look closer (is this customer honest after all?) it asks the truth.
"""

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from weaklink.partner.client import WeaklinkClient
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure, ReceiptStatus
from weaklink.sim.publishing import TokenTable
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.spec import HOUR_US, PartySpec
from weaklink.sim.tables import Accounts

_POLL_SECONDS: Final = 0.4
_THROTTLED_TO: Final = 0.2
_OPERATOR_PASSES: Final = 0.1
_HONEST_PASSES: Final = 0.97
_HONEST_COMPLAINS: Final = 0.9
_COMPLAINT_HOURS: Final = 6.0
_HOLDS_NOTHING: Final = ("passed", "watched")
"""Notes of actions that were carried out and took nothing away."""


@dataclass
class Toll:
    """Honest accounts by what was done to them."""

    suspended: set[int] = field(default_factory=set)
    challenged: set[int] = field(default_factory=set)
    throttled: set[int] = field(default_factory=set)


class Accountbook:
    """Finds a party's accounts by name."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts, self._known = accounts, 0
        self._indices: dict[tuple[int, str], int] = {}

    def find(self, party: int, name: str) -> int | None:
        """The index of an account, None when the party has none of that name."""
        for index in range(self._known, len(self._accounts)):
            self._indices[self._accounts.party[index], self._accounts.name[index]] = index
        self._known = len(self._accounts)
        return self._indices.get((party, name))


@dataclass
class Ground:
    """What the parties of a loop act on together."""

    accounts: Accounts
    tokens: TokenTable
    taken: Restrictions = field(default_factory=Restrictions)
    toll: Toll = field(default_factory=Toll)
    book: Accountbook = field(init=False)

    def __post_init__(self) -> None:
        self.book = Accountbook(self.accounts)


class Receipt(Protocol):
    """How a party answers, as `WeaklinkClient.receipt`."""

    def __call__(
        self, action_id: str, revision: int, status: ReceiptStatus, reason: str | None = None, note: str | None = None
    ) -> object:
        """Send one receipt."""


class PartyDesk:
    """What one party does about the actions in its `inbox`; `act` is called by a loop with its event time."""

    def __init__(self, index: int, spec: PartySpec, receipt: Receipt, seed: int) -> None:
        self.index, self.spec, self._receipt = index, spec, receipt
        self.answered = 0
        self._random = np.random.default_rng([seed, 9, index])
        self.inbox: queue.SimpleQueue[EnforcementAction] = queue.SimpleQueue()
        self._due: list[tuple[int, EnforcementAction, bool]] = []
        self._standing: dict[tuple[str, int, bytes], set[str]] = {}
        """What is held -> the actions that hold it: it is let go when the last of them is withdrawn."""

    def act(self, now_us: int, ground: Ground) -> None:
        """Carry out what is due at this event time, and answer."""
        while not self.inbox.empty():
            self._due.append((now_us + int(self.spec.reaction_hours * HOUR_US), self.inbox.get(), False))
        ripe = [one for one in self._due if one[0] <= now_us]
        self._due = [one for one in self._due if one[0] > now_us]
        for _, action, complaint in ripe:
            if complaint:
                self._answer(action, ReceiptStatus.DISPUTED, "the customer is known to us and has shown who they are")
                continue
            self._carry_out(action, now_us, ground)

    @property
    def waiting(self) -> int:
        """Actions received and not yet carried out."""
        return len(self._due) + self.inbox.qsize()

    def _carry_out(self, action: EnforcementAction, now_us: int, ground: Ground) -> None:
        tokens, taken = ground.tokens, ground.taken
        account = ground.book.find(self.index, action.target_account) if action.target_account else None
        number = tokens.number(action.target_token) if action.target_token else None
        if account is None and number is None:
            self._answer(action, ReceiptStatus.NOT_OURS, "no such account, and no token that we sent")
            return
        holders = self._standing.setdefault(_held_by(action, account, number), set())
        if action.state is not ActionState.ACTIVE:
            holders.discard(action.action_id)
            if not holders:
                self._undo(action, account, number, ground)
            self._answer(action, ReceiptStatus.DONE)
            return
        honest = account is not None and ground.accounts.operator[account] < 0
        note = self._apply(action, account, number, ground)
        if note not in _HOLDS_NOTHING:
            holders.add(action.action_id)
        self._answer(action, ReceiptStatus.DONE, note=note)
        harsh = action.measure in (Measure.SUSPEND, Measure.THROTTLE) or (account in taken.dead)
        if honest and harsh and action.slice_end_user is None and self._random.random() < _HONEST_COMPLAINS:
            self._due.append((now_us + int(_COMPLAINT_HOURS * HOUR_US), action, True))

    def _apply(self, action: EnforcementAction, account: int | None, number: int | None, ground: Ground) -> str | None:
        taken, toll, tokens = ground.taken, ground.toll, ground.tokens
        honest = account is not None and ground.accounts.operator[account] < 0
        if account is None:
            return self._apply_to_token(action.measure, number, taken)
        match action.measure:
            case Measure.SUSPEND | Measure.REVOKE_LEASE:
                taken.dead.add(account)
                toll.suspended |= {account} if honest else set()
            case Measure.CHALLENGE | Measure.REQUIRE_END_USER_IDS:
                toll.challenged |= {account} if honest else set()
                passed = self._random.random() < (_HONEST_PASSES if honest else _OPERATOR_PASSES)
                taken.dead |= set() if passed else {account}
                return "passed" if passed else "failed"
            case Measure.THROTTLE if action.slice_end_user is not None:
                taken.end_users[account, tokens.number(action.slice_end_user) or 0] = _THROTTLED_TO
            case Measure.THROTTLE:
                taken.throttled[account] = _THROTTLED_TO
                toll.throttled |= {account} if honest else set()
            case _:
                return "watched"
        return None

    def _apply_to_token(self, measure: Measure, number: int | None, taken: Restrictions) -> str | None:
        if number is not None and measure is Measure.BLOCK_IDENTIFIER:
            taken.cards.add(number)
        elif number is not None and measure is Measure.REVOKE_LEASE:
            taken.addresses.add(number)
        else:
            return "watched"
        return None

    def _undo(self, action: EnforcementAction, account: int | None, number: int | None, ground: Ground) -> None:
        taken, tokens = ground.taken, ground.tokens
        if account is not None and action.slice_end_user is not None:
            taken.end_users.pop((account, tokens.number(action.slice_end_user) or 0), None)
        elif account is not None and action.measure is Measure.THROTTLE:
            taken.throttled.pop(account, None)
        elif account is not None:
            taken.dead.discard(account)
        if number is not None:
            taken.cards.discard(number)
            taken.addresses.discard(number)

    def _answer(
        self, action: EnforcementAction, status: ReceiptStatus, reason: str | None = None, note: str | None = None
    ) -> None:
        self._receipt(action.action_id, action.revision, status, reason, note)
        self.answered += 1


class SimulatedParty(PartyDesk):
    """A party of a running pipeline: a thread of its own reads the actions through the partner SDK."""

    def __init__(self, index: int, spec: PartySpec, client: WeaklinkClient, seed: int) -> None:
        super().__init__(index, spec, client.receipt, seed)
        self.client = client
        self.received = 0
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"actions-{spec.id}", daemon=True)

    def start(self) -> None:
        """Begin to read actions."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the actions topic."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20)

    def _read(self) -> None:
        try:
            with self.client.actions() as subscription:
                while not self._stopping.is_set():
                    for received in subscription.poll(_POLL_SECONDS):
                        self.received += 1
                        self.inbox.put(received.action)
        except BaseException as error:  # kept for the loop's thread, which raises it
            self.error = error


def _held_by(action: EnforcementAction, account: int | None, number: int | None) -> tuple[str, int, bytes]:
    """What an action takes away: an account's life, part of its traffic, or a token."""
    if account is None:
        return "token", number or 0, b""
    throttles = action.slice_end_user is not None or action.measure is Measure.THROTTLE
    return "traffic" if throttles else "account", account, action.slice_end_user or b""


def check(parties: Sequence[SimulatedParty]) -> None:
    """Raise what a party's reading thread ran into."""
    for party in parties:
        if party.error is not None:
            raise party.error
