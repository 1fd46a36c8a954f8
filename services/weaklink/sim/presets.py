"""Named worlds, each in both families: one mechanism with other parameters, so that a difference in detection has one cause."""

from collections.abc import Callable
from typing import Any, Final

from weaklink.errors import ConfigurationError
from weaklink.sim.families import FAMILIES, Family
from weaklink.sim.spec import (
    BackdatingSpec,
    FloodSpec,
    FramingSpec,
    OmissionSpec,
    OperatorSpec,
    ReplaySpec,
    WorldSpec,
)

_REASONING: Final = (0.05, 0.75, 0.08, 0.05, 0.03, 0.03, 0.01)
_BENIGN_CONDUCT: Final[dict[str, Any]] = {"benign_conduct": True, "requests_per_window": 60.0, "windows_jitter": 0.9}


def _operators(family: Family, **changes: Any) -> WorldSpec:
    base = family.base
    return base.model_copy(update={"operators": tuple(one.model_copy(update=changes) for one in base.operators)})


def _benign(family: Family, **changes: Any) -> WorldSpec:
    return family.base.model_copy(update={"benign": family.base.benign.model_copy(update=changes)})


def _with(family: Family, **changes: Any) -> WorldSpec:
    return family.base.model_copy(update=changes)


def _small(family: Family) -> WorldSpec:
    """100,000 reasoning prompts by 40 accounts at one lab."""
    one = OperatorSpec(
        name="heron",
        accounts=40,
        scales=False,
        start_day=4,
        end_day=28,
        ramp_days=2,
        parties=(family.small_lab,),
        labs_share=1,
        task_shares=_REASONING,
        windows_per_day=0.5,
        requests_per_window=210,
        account_life_days=90,
        ban_per_day=0.004,
        pool_window=4,
    )
    return _with(family, operators=(one,))


def _churn(family: Family) -> WorldSpec:
    """No account lives for a day: a tenth of the usual number at once uses up more of them than usual in the end."""
    short: dict[str, Any] = {
        "account_life_days": 0.6,
        "account_life_days_max": 0.99,
        "windows_per_day": 5.0,
        "replacement_hours": 2.0,
        "openings_per_day_share": 4.0,
        "fresh_cards_per_day": 400.0,
    }
    operators = tuple(
        one.model_copy(update=short | {"accounts": max(2, one.accounts // 10)}) for one in family.base.operators
    )
    return _with(family, operators=operators)


def _giant(family: Family) -> WorldSpec:
    """24,000 accounts in a month, 16 million exchanges."""
    one = family.base.operators[0].model_copy(
        update={
            "accounts": 8_500,
            "varies_in_size": False,
            "account_life_days": 16.0,
            "start_day": 2,
            "end_day": 29.5,
            "pool_window": 400,
            "fresh_cards_per_day": 250.0,
            "requests_per_window": 150.0,
            "templates": 60,
        }
    )
    return _with(family, operators=(one,))


def _hydra(family: Family) -> WorldSpec:
    """A proxy network's 20,000 accounts, most of their requests ordinary customers'; beside it two of the usual campaigns."""
    one = family.base.operators[0].model_copy(
        update={
            "name": "hydra",
            "accounts": 20_000,
            "varies_in_size": False,
            "start_day": 1,
            "end_day": 29.5,
            "ramp_days": 8,
            "benign_mix": 0.65,
            "requests_log_sigma": 0.8,
            "residential_share": 0.5,
            "account_life_days": 200,
            "ban_per_day": 0.002,
            "pool_window": 600,
            "fresh_cards_per_day": 400.0,
            "templates": 150,
            "windows_per_day": 0.3,
        }
    )
    return _with(family, operators=(one, *family.base.operators[1:3]))


def _resellers(family: Family) -> WorldSpec:
    spec = _operators(family, resold_share=0.3)
    benign = spec.benign.model_copy(update={"resellers": 150, "reseller_windows_per_day": 4.0, "relays": 40})
    return spec.model_copy(update={"benign": benign})


def _demo(family: Family) -> WorldSpec:
    """A smaller and livelier world, for the eye: 300,000 events in three weeks, usage by the hour, three campaigns."""
    base = family.base
    operators = tuple(
        one.model_copy(
            update={
                "accounts": accounts,
                "start_day": day,
                "end_day": 20.0,
                "ramp_days": 2.0,
                "windows_per_day": 3.5,
                "requests_per_window": 22.0,
                "account_life_days": 60.0,
                "ban_per_day": 0.015,
                "fresh_cards_per_day": 4.0,
                "openings_per_day_share": 0.12,
            }
        )
        for one, accounts, day in zip(base.operators, (220, 150, 100), (2.0, 3.0, 5.0), strict=False)
    )
    return base.model_copy(
        update={
            "days": 21.0,
            "parties": tuple(one.model_copy(update={"window_seconds": 3600}) for one in base.parties),
            "releases": tuple(one.model_copy(update={"day": 11.0}) for one in base.releases),
            "operators": operators,
            "benign": base.benign.model_copy(
                update={"people": 7_000, "windows_per_day": 1.75, "requests_log_mean": 1.4, "history_days": 20.0}
                | {"agencies": 9, "lab_rooms": 8, "harness_accounts": 60, "harness_teams": 12, "resellers": 6}
                | {"relays": 3, "relay_windows_per_day": 4.0, "reseller_windows_per_day": 60.0}
                | {"popular_templates": 90, "vpn_exits": 18, "carrier_address_people": 250}
            ),
        }
    )


def _framing(family: Family, liars: int) -> WorldSpec:
    return _with(family, framing=FramingSpec(parties=family.liars[:liars]))


PRESETS: Final[dict[str, Callable[[Family], WorldSpec]]] = {
    "base": lambda f: f.base,
    "pivot": lambda f: _operators(f, pivot_share=1.0),
    "small": _small,
    "paraphrase": lambda f: _operators(f, paraphrase_share=0.12),
    "slow_drip": lambda f: _operators(
        f, windows_per_day=0.15, requests_per_window=40, account_life_days=45, ban_per_day=0.005
    ),
    "carrier_nat": lambda f: _benign(f, mobile_share=0.6, carrier_address_people=500),
    "churn": _churn,
    "chain": lambda f: _operators(f, **f.chain),
    "benign_conduct": lambda f: _operators(f, **_BENIGN_CONDUCT),
    "benign_chain": lambda f: _operators(f, **_BENIGN_CONDUCT, **f.chain),
    "resellers": _resellers,
    "programmes": lambda f: _operators(
        f, entry_plans=("EDUCATION", "EDUCATION", "STARTUP"), accounts_per_organisation=20, aged_share=0.4
    ),
    "framing_one": lambda f: _framing(f, 1),
    "framing_two": lambda f: _framing(f, 2),
    "card_flood": lambda f: _with(f, flood=FloodSpec()),
    "member_flood": lambda f: _with(f, flood=FloodSpec(parties=f.liars[:1])),
    "omission": lambda f: _with(f, omission=OmissionSpec(parties=(f.lax,))),
    "replay": lambda f: _with(f, replay=ReplaySpec(parties=(f.lax,))),
    "backdating": lambda f: _with(f, backdating=BackdatingSpec(parties=(f.lax,))),
    "hydra": _hydra,
    "giant": _giant,
    "no_campaign": lambda f: _with(f, operators=()),
    "demo": _demo,
}


def preset(name: str, size: float = 1.0, family: str = "tuning") -> WorldSpec:
    """A named world, with `size` times as many people and accounts (1: about 119,000 benign accounts, 30 days).

    Raises ConfigurationError with the known names.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"no world named {name!r}; there are: {', '.join(PRESETS)}")
    if family not in FAMILIES:
        raise ConfigurationError(f"no family of worlds named {family!r}; there are: {', '.join(FAMILIES)}")
    spec = PRESETS[name](FAMILIES[family]).model_copy(update={"name": name})
    return spec if size == 1 else scaled(spec, size)


_COUNTED: Final = (
    "people",
    "agencies",
    "lab_rooms",
    "harness_accounts",
    "harness_teams",
    "resellers",
    "relays",
    "popular_templates",
    "vpn_exits",
)
_ACCOUNTS_MIN: Final = 16


def scaled(spec: WorldSpec, size: float) -> WorldSpec:
    """The same world with `size` times as many people and campaign accounts."""
    whole = {name: max(1, round(getattr(spec.benign, name) * size)) for name in _COUNTED}
    operators = tuple(_scaled_operator(one, size) if one.scales else one for one in spec.operators)
    changes: dict[str, Any] = {"benign": spec.benign.model_copy(update=whole), "operators": operators}
    if spec.framing:
        changes["framing"] = spec.framing.model_copy(update={"victims": max(8, round(spec.framing.victims * size))})
    if spec.flood:
        changes["flood"] = spec.flood.model_copy(update={"cards": max(1, round(spec.flood.cards * size))})
    return spec.model_copy(update=changes)


def _scaled_operator(operator: OperatorSpec, size: float) -> OperatorSpec:
    fewest = _ACCOUNTS_MIN if operator.account_life_days_max is None else _ACCOUNTS_MIN // 4
    changes: dict[str, Any] = {
        "accounts": max(fewest, round(operator.accounts * size)),
        "fresh_cards_per_day": operator.fresh_cards_per_day * size,
    }
    if operator.pool_window > 1:
        changes["pool_window"] = max(3, round(operator.pool_window * size**0.5))
    return operator.model_copy(update=changes)
