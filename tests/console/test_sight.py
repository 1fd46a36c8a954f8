"""What a party's pages count: its own accounts, and never how many others have."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cases.world import case_messages
from weaklink.campaigns.config import CampaignsConfig
from weaklink.cases.explanation import explain
from weaklink.cases.store import Cases, Member
from weaklink.console import sight
from weaklink.console.users import Role, Viewer
from weaklink.enforce.config import EnforceConfig

ANA = Viewer("ana", Role.PARTY, "lab-a")
OLGA = Viewer("olga", Role.OPERATOR, None)


@pytest.fixture(scope="module")
def cases() -> Cases:
    found = Cases()
    for one in case_messages():
        found.take(one.key or b"", one.value)
    return found


def own_members(cases: Cases) -> list[Member]:
    return [one for name in cases.campaigns for one in cases.members(name, "lab-a")]


def company(graph: Mapping[str, Any], account: str, kind: str, party: str) -> int:
    """Counted by hand: other accounts of the party on the account's most shared identifier of that kind."""
    held = {one["account"]: set(one["holds"]) for one in graph["accounts"] if one["party"] == party}
    places = [at for at in held.get(account, ()) if graph["identifiers"][at]["kind"] == kind]
    return max((sum(place in holds for holds in held.values()) - 1 for place in places), default=0)


def test_what_an_account_shares_is_counted_among_the_partys_own_accounts(cases: Cases) -> None:
    """Members anew, parties and outsiders not at all; an operator's numbers stay, and differ from these."""
    differs = 0
    for member in own_members(cases):
        mine, whole = (sight.evidence(cases, who, "lab-a", member.account) for who in (ANA, OLGA))
        graph = cases.graph(member.campaign_id)
        assert mine
        assert whole
        assert graph
        assert whole == cases.evidence("lab-a", member.account)
        assert {one["kind"] for one in mine["shares"]} == {one["kind"] for one in whole["shares"]}
        before = {one["kind"]: one for one in whole["shares"]}
        for one in mine["shares"]:
            assert (one["parties"], one["others"]) == (None, None)
            assert one["members"] == company(graph, member.account, one["kind"], "lab-a")
            differs += one["members"] != before[one["kind"]]["members"]
    assert differs


def test_the_words_of_a_party_have_no_number_of_others(cases: Cases) -> None:
    """Neither of members elsewhere nor of parties; of its own accounts they have one."""
    told = [
        one["words"]
        for member in own_members(cases)
        for one in explain(
            sight.evidence(cases, ANA, "lab-a", member.account) or {}, CampaignsConfig(), EnforceConfig()
        ).shares
    ]
    assert any("of your own" in words for words in told)
    assert not any("parties" in words or "outside" in words for words in told)
    for words in told:
        assert re.fullmatch(r"[\d,]+ [^\d]+ that other members hold too(, up to [\d,]+ more accounts of your own [^\d]+)?", words)  # fmt: skip


def test_nothing_of_a_partys_account_changes_with_others_accounts(cases: Cases) -> None:
    """The same evidence and graph but for counts of others: what the party gets is the same, order and all."""
    member = own_members(cases)[0]

    class Grown(Cases):
        def evidence(self, party: str, account: str) -> dict[str, Any] | None:
            found = cases.evidence(party, account)
            assert found
            more = [one | {"members": one["members"] + 50, "others": 9, "parties": 7} for one in found["shares"]]
            return found | {"shares": more[::-1]}

        def graph(self, campaign_id: str) -> dict[str, Any] | None:
            found = cases.graph(campaign_id)
            assert found
            last = len(found["identifiers"]) - 1
            grown = [
                one | {"members": one["members"] + 50, "parties": 7, "last_at": found["at"]}
                for one in found["identifiers"][::-1]
            ]
            holders = [one | {"holds": sorted(last - at for at in one["holds"])} for one in found["accounts"]]
            return found | {"identifiers": grown, "accounts": holders}

        def accounts_by_party(self, campaign_id: str) -> dict[str, int]:
            return cases.accounts_by_party(campaign_id)

    grown = Grown()
    assert sight.evidence(grown, ANA, "lab-a", member.account) == sight.evidence(cases, ANA, "lab-a", member.account)
    assert sight.graph(grown, ANA, member.campaign_id) == sight.graph(cases, ANA, member.campaign_id)
