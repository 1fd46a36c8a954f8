"""Named worlds. One mechanism with other parameters each, so that a difference in detection has one cause."""

from collections.abc import Callable
from typing import Any, Final

from weaklink.errors import ConfigurationError
from weaklink.parties import PartyKind
from weaklink.sim.spec import BenignSpec, FloodSpec, FramingSpec, OperatorSpec, PartySpec, ReleaseSpec, WorldSpec

_ALL_MODELS: Final = ("atlas-3", "borealis-2", "cobalt-1", "borealis-3")

PARTIES: Final = (
    PartySpec(id="lab-atlas", kind=PartyKind.LAB, market_share=4, models=("atlas-3",), reaction_hours=1.5),
    PartySpec(
        id="lab-borealis", kind=PartyKind.LAB, market_share=3, models=("borealis-2", "borealis-3"), reaction_hours=2
    ),
    PartySpec(id="lab-cobalt", kind=PartyKind.LAB, market_share=2, models=("cobalt-1",), reaction_hours=3),
    PartySpec(id="router-delta", kind=PartyKind.ROUTER, market_share=2, models=_ALL_MODELS, reaction_hours=2),
    PartySpec(id="router-ember", kind=PartyKind.ROUTER, market_share=1.5, models=_ALL_MODELS, reaction_hours=4),
    PartySpec(id="router-fjord", kind=PartyKind.ROUTER, market_share=1, models=_ALL_MODELS, reaction_hours=6),
    PartySpec(id="cloud-garnet", kind=PartyKind.CLOUD, market_share=3, reaction_hours=3),
    PartySpec(id="cloud-harbor", kind=PartyKind.CLOUD, market_share=2, reaction_hours=4),
    PartySpec(id="cloud-iris", kind=PartyKind.CLOUD, market_share=1, reaction_hours=6),
    PartySpec(id="pay-juniper", kind=PartyKind.PAYMENT, market_share=3, reaction_hours=1),
    PartySpec(id="pay-krypton", kind=PartyKind.PAYMENT, market_share=2, reaction_hours=1),
    PartySpec(id="pay-lumen", kind=PartyKind.PAYMENT, market_share=1, reaction_hours=2),
)

OPERATORS: Final = (
    OperatorSpec(name="heron", accounts=220, start_day=2, end_day=20, labs_share=0.8),
    OperatorSpec(
        name="kestrel",
        accounts=150,
        start_day=3,
        end_day=19,
        labs_share=0.4,
        residential_share=0.1,
        accounts_per_device=3,
    ),
    OperatorSpec(
        name="osprey", accounts=100, start_day=5, end_day=20.5, labs_share=0.65, benign_mix=0.35, accounts_per_card=5
    ),
)

BASE: Final = WorldSpec(
    parties=PARTIES,
    releases=(ReleaseSpec(party="lab-borealis", model="borealis-3", day=11),),
    operators=OPERATORS,
)


def _operators(**changes: Any) -> WorldSpec:
    return BASE.model_copy(update={"operators": tuple(operator.model_copy(update=changes) for operator in OPERATORS)})


def _benign(**changes: Any) -> WorldSpec:
    return BASE.model_copy(update={"benign": BenignSpec(**changes)})


def _small() -> WorldSpec:
    one = OperatorSpec(
        name="heron",
        accounts=40,
        start_day=4,
        end_day=20,
        parties=("lab-atlas",),
        labs_share=1,
        requests_per_window=120,
        pool_window=12,
    )
    return BASE.model_copy(update={"operators": (one,)})


def _resellers() -> WorldSpec:
    return _operators(resold_share=0.3).model_copy(
        update={"benign": BenignSpec(resellers=18, reseller_windows_per_day=40)}
    )


_CHAIN: Final[dict[str, Any]] = {
    "pool_window": 1,
    "accounts_per_card": 2,
    "accounts_per_device": 2,
    "accounts_per_phone": 3,
    "accounts_per_address": 3,
    "fresh_cards_per_day": 40.0,
}

PRESETS: Final[dict[str, Callable[[], WorldSpec]]] = {
    "base": lambda: BASE,
    "chain": lambda: _operators(**_CHAIN),
    "carrier_nat": lambda: _benign(mobile_share=0.6, carrier_address_people=500),
    "slow_drip": lambda: _operators(windows_per_day=0.8, requests_per_window=9),
    "paraphrase": lambda: _operators(paraphrase_share=0.12),
    "churn": lambda: _operators(account_life_days=0.8, fresh_cards_per_day=60.0, windows_per_day=8),
    "pivot": lambda: _operators(pivot_share=1.0),
    "small": _small,
    "resellers": _resellers,
    "framing_one": lambda: BASE.model_copy(update={"framing": FramingSpec(parties=("router-fjord",))}),
    "framing_two": lambda: BASE.model_copy(update={"framing": FramingSpec(parties=("router-fjord", "lab-cobalt"))}),
    "card_flood": lambda: BASE.model_copy(update={"flood": FloodSpec()}),
    "benign_conduct": lambda: _operators(benign_conduct=True),
    "benign_chain": lambda: _operators(benign_conduct=True, **_CHAIN),
    "no_campaign": lambda: BASE.model_copy(update={"operators": ()}),
}


def preset(name: str, size: float = 1.0) -> WorldSpec:
    """A named world, with `size` times as many people and accounts. Raises ConfigurationError with the known names."""
    if name not in PRESETS:
        raise ConfigurationError(f"no world named {name!r}; there are: {', '.join(PRESETS)}")
    spec = PRESETS[name]().model_copy(update={"name": name})
    return spec if size == 1 else scaled(spec, size)


def scaled(spec: WorldSpec, size: float) -> WorldSpec:
    """The same world with `size` times as many people and campaign accounts."""
    benign = spec.benign
    whole = {
        field: max(1, round(getattr(benign, field) * size))
        for field in (
            "people",
            "agencies",
            "lab_rooms",
            "harness_accounts",
            "resellers",
            "popular_templates",
            "vpn_exits",
        )
    }
    operators = tuple(
        operator.model_copy(
            update={
                "accounts": max(12, round(operator.accounts * size)),
                "fresh_cards_per_day": operator.fresh_cards_per_day * size,
            }
        )
        for operator in spec.operators
    )
    return spec.model_copy(update={"benign": benign.model_copy(update=whole), "operators": operators})
