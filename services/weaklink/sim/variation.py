"""Worlds that differ in their parameters from seed to seed, so that nothing can be fitted to one choice of them."""

from typing import Any, Final

import numpy as np

from weaklink.sim.spec import BenignSpec, OperatorSpec, WorldSpec

_BENIGN: Final = (
    "second_account_share", "windows_per_day", "windows_log_sigma", "requests_person_log_sigma", "requests_log_sigma",
    "household_people", "household_card_share", "household_device_share", "card_share", "phone_share", "bank_share",
    "referral_share", "second_hand_share", "recycled_phone_share", "office_share", "office_people", "office_online_share",
    "fleet_share", "fleet_card_people", "mobile_share", "carrier_address_people", "vpn_share", "vpn_exits", "agencies",
    "agency_people", "lab_rooms", "lab_room_people", "lab_room_computers", "education_share", "scripted_share",
    "harness_accounts", "harness_teams", "resellers", "relays", "relay_accounts", "relay_customers", "popular_templates",
    "template_share", "address_days", "tenant_share", "chargeback_share", "refund_share", "closed_share",
)  # fmt: skip
_OPERATOR: Final = (
    "accounts", "ramp_days", "windows_per_day", "windows_jitter", "requests_per_window", "requests_log_sigma",
    "benign_mix", "accounts_per_card", "accounts_per_device", "accounts_per_phone", "accounts_per_address", "pool_window",
    "residential_share", "lease_days", "templates", "account_life_days", "ban_per_day", "replacement_hours", "phone_share",
)  # fmt: skip
_SIZE: Final = ("accounts", "account_life_days", "ban_per_day")
_CHAIN_EACH_MAX: Final = 3
"""Below this many accounts each, an identifier's sharing is a world's point and stays."""
_SHARE_MAX: Final = 0.95


def varied(spec: WorldSpec, seed: int) -> WorldSpec:
    """This seed's world: every listed parameter times its own factor in [1/(1+v), 1+v], v = `spec.variation`."""
    if spec.variation == 0:
        return spec
    random = np.random.default_rng([seed, 12])
    benign = spec.benign.model_copy(update=_changes(spec.benign, _BENIGN, spec.variation, random))
    operators = tuple(
        one.model_copy(update=_changes(one, _operator_fields(one), spec.variation, random)) for one in spec.operators
    )
    return spec.model_copy(update={"benign": benign, "operators": operators, "variation": 0.0})


def _operator_fields(spec: OperatorSpec) -> list[str]:
    """What may vary without taking away what the world is named for: chains stay chains, fixed sizes stay."""
    fields = [name for name in _OPERATOR if (spec.scales and spec.varies_in_size) or name not in _SIZE]
    if spec.account_life_days_max is not None:
        fields.remove("account_life_days")
    if spec.pool_window == 1:
        fields = [name for name in fields if name != "pool_window" and not name.startswith("accounts_per_")]
    return [
        name for name in fields if not (name.startswith("accounts_per_") and getattr(spec, name) <= _CHAIN_EACH_MAX)
    ]


def _changes(
    spec: BenignSpec | OperatorSpec, fields: tuple[str, ...] | list[str], variation: float, random: np.random.Generator
) -> dict[str, Any]:
    width = np.log1p(variation)
    changes: dict[str, Any] = {}
    for name in fields:
        value = getattr(spec, name) * float(np.exp(random.uniform(-width, width)))
        if isinstance(getattr(spec, name), int):
            value = max(1, round(value)) if getattr(spec, name) else 0
        elif name.endswith(("_share", "_mix")):
            value = min(value, _SHARE_MAX)
        changes[name] = value
    return changes
