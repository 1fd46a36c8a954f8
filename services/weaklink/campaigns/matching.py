"""Which community of an evaluation is which campaign: by the accounts that they have in common."""

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from weaklink.campaigns.config import TrackConfig
from weaklink.campaigns.profiles import US_PER_HOUR


@dataclass(frozen=True, slots=True)
class Matched:
    """`ids`: community to campaign. `merged`: campaign to the one that it became part of. `new`: community to the one it split from."""

    ids: dict[int, str]
    merged: dict[str, str]
    new: dict[int, str | None]


def match(
    communities: Sequence[int],
    overlaps: Sequence[tuple[int, str, int, int]],
    sizes: Mapping[str, int],
    apart_since_us: MutableMapping[str, int],
    *,
    now_us: int,
    config: TrackConfig,
) -> Matched:
    """Match `communities` to campaigns.

    `overlaps`: (community, campaign id, accounts in common, detected at). `sizes`: members of each campaign. A community is
    the campaign that it has most accounts in common with, the older one on a tie. A campaign whose members lie in several communities
    keeps them all until that has been so for `split_hours` on end (`apart_since_us` remembers since when): only then the smaller
    ones become campaigns of their own. A campaign that no community continues and most of whose members lie in another's is merged.
    """
    ranked = sorted(overlaps, key=lambda o: (-o[2], o[3], o[1], o[0]))
    best: dict[int, tuple[str, int]] = {}
    continues: dict[str, int] = {}
    for community, campaign, common, _ in ranked:
        if community not in best:
            best[community] = (campaign, common)
            continues.setdefault(campaign, community)
    ids: dict[int, str] = {}
    new: dict[int, str | None] = {community: None for community in communities if community not in best}
    lasting = _lasting_splits(best, apart_since_us, now_us, config)
    for community, (campaign, common) in best.items():
        stays = community == continues[campaign] or campaign not in lasting or common < config.split_accounts_min
        if stays:
            ids[community] = campaign
        else:
            new[community] = campaign
    merged: dict[str, str] = {}
    for community, campaign, common, _ in ranked:
        other = campaign not in continues and campaign not in merged and community in ids
        if other and common >= config.merge_share * sizes.get(campaign, common):
            merged[campaign] = ids[community]
    return Matched(ids, merged, new)


def _lasting_splits(
    best: Mapping[int, tuple[str, int]], apart_since_us: MutableMapping[str, int], now_us: int, config: TrackConfig
) -> set[str]:
    """Campaigns that have lain in several communities for so long that they are several."""
    pieces = Counter(campaign for campaign, _ in best.values())
    lasting = set()
    for campaign, many in pieces.items():
        if many == 1:
            apart_since_us.pop(campaign, None)
        elif now_us - apart_since_us.setdefault(campaign, now_us) >= config.split_hours * US_PER_HOUR:
            del apart_since_us[campaign]
            lasting.add(campaign)
    return lasting
