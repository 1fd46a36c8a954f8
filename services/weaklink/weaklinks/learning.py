"""The closed loop's last step: what measures did to a campaign corrects what its next plan expects of them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from weaklink.weaklinks.config import WeakLinksConfig

LEARNED: Final = ("SUSPEND", "CHALLENGE", "THROTTLE")
"""Measures whose effect is learned: those on accounts, whose volume before and after is known."""


def learned(
    config: WeakLinksConfig, measures: Iterable[Mapping[str, Any]], losses: Mapping[str, Any] | None
) -> WeakLinksConfig:
    """The settings with `*_effect` as this campaign shows it. Arguments: Avro MeasureEffect and Losses of its CampaignCourse, or the like.

    An effect is the share of the volume that stays cut, replacements included. Seen is what the targets no longer make, less the
    share of the lost volume that replacements make again. It counts by the accounts it rests on, the setting by
    `learn_prior_accounts` of them (a beta prior's mean). A plan never expects more than the setting says, since what comes back comes back
    later, and never less than half of it, since growth may pass for replacement.
    """
    if config.learn_prior_accounts <= 0:
        return config
    back = returned_share(losses)
    found = {}
    for one in measures:
        if one["measure"] not in LEARNED or not one["measured"] or one["requests_per_day_before"] <= 0:
            continue
        name = f"{one['measure'].lower()}_effect"
        expected: float = getattr(config, name)
        cut = 1.0 - one["requests_per_day_after"] / one["requests_per_day_before"]
        # Who is only slowed or asked is not lost, and so not replaced.
        seen = max(cut, 0.0) * (1.0 - back if one["measure"] == "SUSPEND" else 1.0)
        weight = one["measured"] / (one["measured"] + config.learn_prior_accounts)
        found[name] = max((1.0 - weight) * expected + weight * min(seen, expected), expected / 2)
    return config.model_copy(update=found) if found else config


def returned_share(losses: Mapping[str, Any] | None) -> float:
    """Share of the volume before the first loss that replacements make again, 0 to 1. Accounts beyond the number lost are growth."""
    if losses is None or not losses["returned_requests_per_day"] or losses["requests_per_day_before"] <= 0:
        return 0.0
    replacing = min(1.0, losses["accounts"] / max(losses["returned_accounts"], 1))
    share: float = losses["returned_requests_per_day"] * replacing / losses["requests_per_day_before"]
    return min(share, 1.0)
