"""Proof of promise 3 (a decision acts once): the actions as their parties read them, against the ledger. Pure; `ledger_probe.py` reads both."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Target = tuple[str | None, str | None, str | None, str | None]
"""Account, token, and the slice's model and end user; tokens in hex."""
_SHOWN_TO_PARTIES: Final = frozenset({"ACTIVE", "WITHDRAWN", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class Told:
    """One revision of an action: as a message on a party's topic, or as the ledger holds it (`where` says which)."""

    where: str
    action_id: str
    revision: int
    state: str
    party: str
    campaign_id: str
    measure: str
    target: Target

    @property
    def effect(self) -> tuple[str, str, Target, str]:
        """Of this there may be one live action at a time: campaign, party, target, measure."""
        return self.campaign_id, self.party, self.target, self.measure


@dataclass
class Published:
    """What one party has read: the newest revision of every action, and sentences on what is wrong by itself."""

    topic: str
    party: str
    complete: bool
    """Whether the topic still holds its first record."""
    newest: dict[str, Told]
    findings: list[str]

    def take(self, message: Told) -> None:
        """The next message of the topic, in order."""
        if message.party != self.party:
            self.findings.append(f"{message.where}: an action for {message.party} on the topic of {self.party}")
        before = self.newest.get(message.action_id)
        if before and before.revision == message.revision and _content(before) != _content(message):
            self.findings.append(
                f"{message.where}: revision {message.revision} of action {message.action_id} says something else than at {before.where}"
            )
        # A revision may come again, after a later one too: the SDK goes by the number, and so does this.
        if before is None or message.revision > before.revision:
            self.newest[message.action_id] = message


@dataclass(frozen=True, slots=True)
class ActionsAudit:
    """Live actions in the ledger, those that parties see as active, and what differs. `remarks`: what could not be compared."""

    live: int
    active_at_parties: int
    findings: tuple[str, ...]
    remarks: tuple[str, ...]


def audit_actions(ledger: Sequence[Told], waiting: Mapping[str, int], published: Sequence[Published]) -> ActionsAudit:
    """Compare every action, and every effect that is live on either side.

    ledger: all actions (revision 0: never published). waiting: action id -> newest revision that still lies in the outbox,
    or was given up because its party was removed.
    """
    findings = [finding for one in published for finding in one.findings]
    remarks: list[str] = []
    by_party = {one.party: one for one in published}
    for action in ledger:
        if action.revision == 0:
            continue
        topic = by_party.get(action.party)
        if topic is None:
            remarks.append(f"party {action.party} has no actions topic any more: its actions are not compared")
        elif action.action_id not in waiting:
            _compare(action, topic, findings, remarks)
    known = {action.action_id for action in ledger}
    for topic in published:
        for action_id, message in topic.newest.items():
            if action_id not in known:
                text = f"{message.where}: action {action_id} is {message.state} at {topic.party}, and not in the ledger"
                (findings if message.state == "ACTIVE" else remarks).append(text)
    active = [one for topic in published for one in topic.newest.values() if one.state == "ACTIVE"]
    findings += _several("parties read", active)
    live = [one for one in ledger if one.state in ("ACTIVE", "WAITING")]
    findings += _several("the ledger has", live)
    if waiting:
        remarks.append(
            f"{len(waiting)} actions have a revision that waits to be published, or that nobody is there for"
        )
    return ActionsAudit(len(live), len(active), tuple(findings), tuple(dict.fromkeys(remarks)))


def _compare(action: Told, topic: Published, findings: list[str], remarks: list[str]) -> None:
    message = topic.newest.get(action.action_id)
    name = f"action {action.action_id} ({action.measure} at {action.party})"
    if message is None:
        if topic.complete:
            findings.append(f"{topic.topic}: {name}: the ledger has revision {action.revision}, the topic none")
        else:
            remarks.append(
                f"{topic.topic}: its oldest records have expired: actions that are only in them are not compared"
            )
    elif message.revision != action.revision:
        findings.append(
            f"{message.where}: {name}: the party reads revision {message.revision}, the ledger has {action.revision}"
        )
    elif message.effect != action.effect:
        findings.append(f"{message.where}: {name}: the party reads {message.effect}, the ledger has {action.effect}")
    elif action.state in _SHOWN_TO_PARTIES and message.state != action.state:
        findings.append(f"{message.where}: {name}: the party reads {message.state}, the ledger has {action.state}")
    elif action.state not in _SHOWN_TO_PARTIES and message.state == "ACTIVE":
        # It waits for a person again, or was declined: what the party knows of it is an end.
        findings.append(f"{message.where}: {name}: the party reads ACTIVE, in the ledger it is {action.state}")


def _several(whose: str, live: Sequence[Told]) -> list[str]:
    by_effect: dict[tuple[str, str, Target, str], list[Told]] = defaultdict(list)
    for one in live:
        by_effect[one.effect].append(one)
    return [
        f"{whose} {len(several)} live actions {measure} of campaign {campaign_id} on the same target at {party} "
        f"({target[0] or target[1]}): {', '.join(f'{one.action_id} ({one.where})' for one in several)}"
        for (campaign_id, party, target, measure), several in by_effect.items()
        if len(several) > 1
    ]


def _content(told: Told) -> tuple[object, ...]:
    return told.effect, told.state
