"""Which community of an evaluation is which campaign: by the accounts that they have in common.

An identity is cheap to keep and dear to change, since every measure is issued anew under another one. So both a split and a merger
must last before they count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weaklink.campaigns.config import TrackConfig
from weaklink.campaigns.identity import Campaign
from weaklink.campaigns.profiles import US_PER_HOUR


@dataclass(frozen=True, slots=True)
class Matched:
    """`ids`: community to campaign. `merged`: campaign to the one that it became part of. `new`: community to the one it split from.

    `apart`: campaigns that lie in another's community, but not for long enough: their members stay theirs.
    """

    ids: dict[int, str]
    merged: dict[str, str]
    new: dict[int, str | None]
    apart: frozenset[str]


def match(
    communities: Sequence[int],
    overlaps: Sequence[tuple[int, str, int, int]],
    sizes: Mapping[str, int],
    campaigns: Mapping[str, Campaign],
    *,
    now_us: int,
    config: TrackConfig,
) -> Matched:
    """Match `communities` to `campaigns`, whose `apart_since_us`, `joins` and `joins_since_us` it keeps.

    `overlaps`: (community, campaign id, accounts in common, those of them that are both long-standing members and still active).
    `sizes`: members of each campaign. A community is the campaign that it has most accounts in common with, the older one on a tie.
    A campaign whose members lie in several communities keeps them all until that has been so for `split_hours` on end: only then the
    smaller ones become campaigns of their own, if they and what they leave both have `split_accounts_min` active accounts of that age.
    An operator that replaces its accounts every day moves from one community to the next, and is one all the same. A campaign that no
    community continues and most of whose members lie in another's is merged when that has been so for `merge_hours` on end.
    """
    ranked = sorted(overlaps, key=lambda o: (-o[2], campaigns[o[1]].detected_at_us, o[1], o[0]))
    best: dict[int, tuple[str, int]] = {}  # and the long-standing active accounts in common
    continues: dict[str, int] = {}
    for community, campaign, _, active in ranked:
        if community not in best:
            best[community] = (campaign, active)
            continues.setdefault(campaign, community)
    ids: dict[int, str] = {}
    new: dict[int, str | None] = {community: None for community in communities if community not in best}
    lasting = _lasting_splits(best, campaigns, now_us, config)
    for community, (campaign, active) in best.items():
        fewer = min(active, best[continues[campaign]][1])
        stays = community == continues[campaign] or campaign not in lasting or fewer < config.split_accounts_min
        if stays:
            ids[community] = campaign
        else:
            new[community] = campaign
    into: dict[str, str] = {}
    for community, campaign, common, _ in ranked:
        other = campaign not in continues and campaign not in into and community in ids
        if other and common >= config.merge_share * sizes.get(campaign, common):
            into[campaign] = ids[community]
    merged = _lasting_mergers(into, campaigns, now_us, config)
    return Matched(ids, merged, new, frozenset(into.keys() - merged.keys()))


def _lasting_splits(
    best: Mapping[int, tuple[str, int]], campaigns: Mapping[str, Campaign], now_us: int, config: TrackConfig
) -> set[str]:
    """Campaigns that have lain in several communities for so long that they are several."""
    lasting = set()
    for name, many in Counter(campaign for campaign, _ in best.values()).items():
        campaign = campaigns[name]
        if many == 1:
            campaign.apart_since_us = None
            continue
        if campaign.apart_since_us is None:
            campaign.apart_since_us = now_us
        if now_us - campaign.apart_since_us >= config.split_hours * US_PER_HOUR:
            lasting.add(name)
    return lasting


def _lasting_mergers(
    into: Mapping[str, str], campaigns: Mapping[str, Campaign], now_us: int, config: TrackConfig
) -> dict[str, str]:
    """Those of `into` that have been so for long. A campaign that comes apart from the other begins anew."""
    lasting = {}
    for name, campaign in campaigns.items():
        other = into.get(name)
        if other is None or other != campaign.joins:
            campaign.joins, campaign.joins_since_us = other, None if other is None else now_us
        since_us = campaign.joins_since_us
        if other is not None and since_us is not None and now_us - since_us >= config.merge_hours * US_PER_HOUR:
            lasting[name] = other
    return lasting
