"""What the topic of campaigns says as of now, held in memory for people who ask: the newest record of each key.

Evidence stays in its bytes until somebody asks for it: a hundred thousand accounts are a hundred megabytes so, and a gigabyte decoded.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from weaklink.records.codec import decode
from weaklink.records.schemas import by_fingerprint

_FRAME: Final = slice(2, 10)
RUNNING: Final = ("OPEN", "DORMANT")


@dataclass(frozen=True, slots=True)
class Member:
    """An account that is in a campaign. `score`: 0 to 1; `fast`: taken in as a newcomer, not confirmed yet."""

    campaign_id: str
    party: str
    account: str
    score: float
    since: datetime
    flagged: bool
    fast: bool


@dataclass
class Cases:
    """Campaigns, members, evidence, graphs, courses. `take` folds one message; everything else only reads."""

    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    courses: dict[str, dict[str, Any]] = field(default_factory=dict)
    classes: dict[str, Any] | None = None
    version: int = 0
    """Counts messages: whoever has seen this one need not look again."""
    _members: dict[str, dict[tuple[str, str], Member]] = field(default_factory=dict)
    _where: dict[tuple[str, str], str] = field(default_factory=dict)
    _evidence: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _graphs: dict[str, bytes] = field(default_factory=dict)
    _keys: dict[bytes, tuple[str, Any]] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """The newest record of a key; None: it counts no more. Records that are nobody's business here are passed over."""
        self.version += 1
        if not value:
            self._forget(key)
            return
        schema = by_fingerprint().get(value[_FRAME])
        record = schema.record if schema else ""
        if record in ("Campaign", "CampaignCourse", "WeakClasses", "CampaignMember", "MemberEvidence", "CampaignGraph"):
            self._keep(key, record, value)

    def _keep(self, key: bytes, record: str, value: bytes) -> None:
        values = decode(value)[1]
        name = values.get("campaign_id", "")
        ident: Any = name
        if record == "Campaign":
            self.campaigns[name] = values
        elif record == "CampaignCourse":
            self.courses[name] = values
        elif record == "WeakClasses":
            self.classes = values
        elif record == "CampaignGraph":
            self._graphs[name] = value
        else:
            ident = values["party"], values["account"]
            if record == "MemberEvidence":
                self._evidence[ident] = value
            else:
                self._leave(ident)
                fields = ("score", "since", "flagged", "fast")
                self._members.setdefault(name, {})[ident] = Member(name, *ident, *(values[one] for one in fields))
                self._where[ident] = name
        self._keys[key] = record, ident

    def _forget(self, key: bytes) -> None:
        record, ident = self._keys.pop(key, ("", None))
        if record == "CampaignMember":
            self._leave(ident)
        elif record == "WeakClasses":
            self.classes = None
        else:
            held: dict[str, dict[Any, Any]] = {
                "Campaign": self.campaigns,
                "CampaignCourse": self.courses,
                "CampaignGraph": self._graphs,
                "MemberEvidence": self._evidence,
            }
            held.get(record, {}).pop(ident, None)

    def _leave(self, ident: tuple[str, str]) -> None:
        before = self._where.pop(ident, None)
        if before is not None:
            self._members[before].pop(ident, None)

    def members(self, campaign_id: str, party: str | None = None) -> list[Member]:
        """Members of a campaign, the surest first; only those of `party` if it is given."""
        found = self._members.get(campaign_id, {}).values()
        mine = [one for one in found if party in (None, one.party)]
        return sorted(mine, key=lambda one: (-one.score, one.party, one.account))

    def member(self, party: str, account: str) -> Member | None:
        """The account as a member of a campaign; None: it is in none."""
        name = self._where.get((party, account))
        return None if name is None else self._members[name][party, account]

    def evidence(self, party: str, account: str) -> dict[str, Any] | None:
        """MemberEvidence of an account; None: its campaign has not been planned since it joined."""
        value = self._evidence.get((party, account))
        return None if value is None else decode(value)[1]

    def graph(self, campaign_id: str) -> dict[str, Any] | None:
        """CampaignGraph; None: it has not been planned yet."""
        value = self._graphs.get(campaign_id)
        return None if value is None else decode(value)[1]

    def named(self, account: str, party: str | None = None) -> list[Member]:
        """Members of that name, at any party or this one."""
        found = [self.member(*key) for key in self._where if key[1] == account and party in (None, key[0])]
        return sorted((one for one in found if one), key=lambda one: one.party)

    def accounts_by_party(self, campaign_id: str) -> dict[str, int]:
        """How many members a campaign has at each party."""
        counts: dict[str, int] = {}
        for party, _ in self._members.get(campaign_id, {}):
            counts[party] = counts.get(party, 0) + 1
        return counts

    def running(self) -> list[dict[str, Any]]:
        """Campaigns that run, most volume first."""
        found = [one for one in self.campaigns.values() if one["state"] in RUNNING]
        return sorted(found, key=lambda one: (-one["requests_per_day"], one["campaign_id"]))
