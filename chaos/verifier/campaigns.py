"""What campaigns asked for and what it keeps: a fold of the decisions that it committed, beside the last record of each key on `weaklink.campaigns`.

Which decisions are right cannot be told from outside: they depend on when evaluations took place. What must hold whatever was decided:

- A tick decides once on a measure, and later than the tick before (docs/design.md: a tick's decisions and records are one transaction). So no measure of a
  campaign is decided on twice as of one moment, or as of an earlier one afterwards, and nothing is withdrawn that does not stand.
- A measure that stands is kept as it was last issued. So the standing measures on the topic are the fold of all decisions, value for value.
- An account is in one campaign, which is there and not over; a campaign's plan counts the measures that are there.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.verifier.actions import OF_THE_LABORATORY
from chaos.verifier.avro import read
from chaos.verifier.findings import Findings

_KEY: Final = ("party", "measure", "target_account", "target_token", "slice_model", "slice_end_user")
_OVER: Final = frozenset({"MERGED", "DISSOLVED"})

MeasureKey = tuple[object, ...]
"""Campaign, then what makes a measure the same one."""
Issued = tuple[int, Mapping[str, Any]]
"""When (microseconds, by the stage's clock), and the measure."""


@dataclass
class Campaigns:
    """Fed with `weaklink.decisions`, in order within each partition, and with `weaklink.campaigns`."""

    decisions: list[Mapping[str, Any]] = field(default_factory=list)
    newest: dict[bytes, bytes] = field(default_factory=dict)

    def take_decision(self, record: Any) -> None:
        """One message of `weaklink.decisions`."""
        _, decision = read(record.value)
        if not decision["campaign_id"].startswith(OF_THE_LABORATORY):
            self.decisions.append(decision)

    def take_record(self, record: Any) -> None:
        """One message of `weaklink.campaigns`: the last one of a key counts, and one without a value takes it away."""
        if record.value:
            self.newest[record.key] = record.value
        else:
            self.newest.pop(record.key, None)

    def compare(self, found: Findings) -> None:
        """Each decision once, and what the topic keeps as the decisions left it."""
        records: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for value in self.newest.values():
            name, fields = read(value)
            records[name].append(fields)
        campaigns = {one["campaign_id"]: one for one in records["Campaign"]}
        kept = records["StandingMeasure"]
        _compare_standing(self._folded(found), kept, found)
        _compare_members(records["CampaignMember"], campaigns, found)
        _compare_plans(Counter(one["campaign_id"] for one in kept), campaigns, found)
        found.counted["measures_decided"] = sum(len(one["measures"]) for one in self.decisions)
        found.counted["measures_standing"], found.counted["members"] = len(kept), len(records["CampaignMember"])

    def _folded(self, found: Findings) -> dict[MeasureKey, Issued]:
        """What stands after all decisions."""
        stand: dict[MeasureKey, Issued] = {}
        decided: dict[MeasureKey, int] = {}
        for decision in self.decisions:
            at_us = decision["decided_at"]
            for measure in decision["measures"]:
                key = _key(decision["campaign_id"], measure)
                if (before_us := decided.get(key)) is not None and at_us <= before_us:
                    found.duplicate(1, f"a decision on {key} as of {at_us}, after one as of {before_us}")
                    continue
                decided[key] = at_us
                if measure["op"] == "ISSUE":
                    stand[key] = at_us, measure
                elif stand.pop(key, None) is None:
                    found.loss(1, f"the decision that issued {key}, which was withdrawn as of {at_us}")
        return stand


def _key(campaign_id: str, measure: Mapping[str, Any]) -> MeasureKey:
    return campaign_id, *(measure[name] for name in _KEY)


def _compare_standing(folded: dict[MeasureKey, Issued], records: list[dict[str, Any]], found: Findings) -> None:
    kept: dict[MeasureKey, Issued] = {}
    for one in records:
        key = _key(one["campaign_id"], one["measure"])
        if key in kept:
            found.duplicate(1, f"{key} stands under two keys of weaklink.campaigns")
        kept[key] = one["issued_at"], one["measure"]
    for key in folded.keys() | kept.keys():
        if key not in kept:
            found.loss(1, f"{key} was decided, and is not kept")
        elif key not in folded:
            found.loss(
                1, f"{key} is kept as of {kept[key][0]}, and the decisions that led there do not leave it standing"
            )
        elif folded[key] != kept[key]:
            found.loss(
                1, f"{key} is kept as of {kept[key][0]}, and was last decided as of {folded[key][0]}, or otherwise"
            )


def _compare_members(records: list[dict[str, Any]], campaigns: Mapping[str, Any], found: Findings) -> None:
    times = Counter((one["party"], one["account"]) for one in records)
    if several := [account for account, count in times.items() if count > 1]:
        found.duplicate(times.total() - len(times), f"accounts that are members twice, e.g. {several[0]}")
    for one in records:
        campaign = campaigns.get(one["campaign_id"])
        if campaign is None or campaign["state"] in _OVER:
            state = "is not there" if campaign is None else f"is {campaign['state']}"
            found.loss(1, f"{one['party']}/{one['account']} is a member of {one['campaign_id']}, which {state}")


def _compare_plans(standing: Counter[str], campaigns: Mapping[str, Any], found: Findings) -> None:
    for campaign_id in campaigns.keys() | standing.keys():
        said = campaigns[campaign_id]["plan"]["measures"] if campaign_id in campaigns else 0
        if said > standing[campaign_id]:
            found.loss(
                said - standing[campaign_id], f"{campaign_id} says {said} measures, {standing[campaign_id]} are kept"
            )
        elif said < standing[campaign_id]:
            found.duplicate(standing[campaign_id] - said, f"{campaign_id} says {said} measures, {standing[campaign_id]} are kept")  # fmt: skip
