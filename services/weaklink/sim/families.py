"""The two families of worlds. Constants are fitted on `TUNING` and judged on `TESTING`: these differ in their parameters.

| | tuning | testing |
|---|---|---|
| members | 3 labs, 3 routers, 3 clouds, 3 payment processors | 4 labs, 4 routers, 2 clouds, 4 payment processors, other shares |
| usage windows | 6, 12 and 24 h | 1, 4, 8 and 24 h |
| customers | one set of parameters | fewer or more of everything: households, offices, carriers, cards, templates, accounts each |
| older accounts | half, opened up to 10 days before | two fifths, up to 16 days |
| campaigns | four of like style | five: reasoning, coding, data, vision; pools of 3 to 14 accounts; patient and hasty ones; two with referral codes |
| from seed to seed | only the draw differs | every parameter of `variation.py` differs by a factor of up to 1.3 either way |
"""

from dataclasses import dataclass
from typing import Any, Final

from weaklink.parties import PartyKind
from weaklink.sim.spec import BenignSpec, OperatorSpec, PartySpec, ReleaseSpec, WorldSpec

_LAB, _ROUTER, _CLOUD, _PAYMENT = PartyKind.LAB, PartyKind.ROUTER, PartyKind.CLOUD, PartyKind.PAYMENT


@dataclass(frozen=True, slots=True)
class Family:
    """A base world, and the changes that named worlds make to its operators and members."""

    base: WorldSpec
    chain: dict[str, Any]
    """Of operators: what makes each bought identifier serve at most three accounts."""
    liars: tuple[str, str]
    """Members that lie: one, or both in collusion."""
    lax: str
    """The member that withholds, repeats or backdates."""
    small_lab: str


_TUNING_MODELS: Final = ("atlas-3", "borealis-2", "cobalt-1", "borealis-3")
_TUNING_PARTIES: Final = (
    PartySpec(
        id="lab-atlas", kind=_LAB, market_share=4, models=("atlas-3",), window_seconds=21_600, reaction_hours=1.5
    ),
    PartySpec(
        id="lab-borealis",
        kind=_LAB,
        market_share=3,
        models=("borealis-2", "borealis-3"),
        window_seconds=43_200,
        reaction_hours=2,
    ),
    PartySpec(
        id="lab-cobalt", kind=_LAB, market_share=2, models=("cobalt-1",), window_seconds=21_600, reaction_hours=3
    ),
    PartySpec(id="router-delta", kind=_ROUTER, market_share=2, models=_TUNING_MODELS, window_seconds=86_400),
    PartySpec(
        id="router-ember",
        kind=_ROUTER,
        market_share=1.5,
        models=_TUNING_MODELS,
        window_seconds=21_600,
        reaction_hours=4,
    ),
    PartySpec(
        id="router-fjord", kind=_ROUTER, market_share=1, models=_TUNING_MODELS, window_seconds=43_200, reaction_hours=6
    ),
    PartySpec(id="cloud-garnet", kind=_CLOUD, market_share=3, reaction_hours=3),
    PartySpec(id="cloud-harbor", kind=_CLOUD, market_share=2, reaction_hours=4),
    PartySpec(id="cloud-iris", kind=_CLOUD, market_share=1, reaction_hours=6),
    PartySpec(id="pay-juniper", kind=_PAYMENT, market_share=3, reaction_hours=1),
    PartySpec(id="pay-krypton", kind=_PAYMENT, market_share=2, reaction_hours=1),
    PartySpec(id="pay-lumen", kind=_PAYMENT, market_share=1, reaction_hours=2),
)
_TUNING_OPERATORS: Final = (
    OperatorSpec(name="heron", accounts=850, start_day=3, end_day=29, labs_share=0.8),
    OperatorSpec(
        name="kestrel",
        accounts=550,
        start_day=5,
        end_day=28,
        labs_share=0.4,
        residential_share=0.1,
        accounts_per_device=3,
    ),
    OperatorSpec(
        name="osprey", accounts=350, start_day=8, end_day=29.5, labs_share=0.65, benign_mix=0.4, accounts_per_card=5
    ),
    OperatorSpec(name="merlin", accounts=150, start_day=4, end_day=26, requests_per_window=220, pool_window=20),
)

TUNING: Final = Family(
    base=WorldSpec(
        family="tuning",
        parties=_TUNING_PARTIES,
        releases=(ReleaseSpec(party="lab-borealis", model="borealis-3", day=15),),
        operators=_TUNING_OPERATORS,
    ),
    chain={
        "pool_window": 1,
        "accounts_per_card": 2,
        "accounts_per_device": 2,
        "accounts_per_phone": 3,
        "accounts_per_address": 3,
        "home_proxy_share": 0.0,
        "pays_from_addresses": False,
        "fresh_cards_per_day": 400.0,
    },
    liars=("router-fjord", "lab-cobalt"),
    lax="lab-borealis",
    small_lab="lab-atlas",
)

_TESTING_MODELS: Final = ("quartz-5", "rhyolite-4", "slate-2", "topaz-1", "quartz-6")
_TESTING_PARTIES: Final = (
    PartySpec(
        id="alder-ai",
        kind=_LAB,
        market_share=5,
        models=("quartz-5", "quartz-6"),
        window_seconds=14_400,
        reaction_hours=1,
    ),
    PartySpec(
        id="birch-labs", kind=_LAB, market_share=3, models=("rhyolite-4",), window_seconds=86_400, reaction_hours=4
    ),
    PartySpec(
        id="cedar-models", kind=_LAB, market_share=3, models=("slate-2",), window_seconds=28_800, reaction_hours=2
    ),
    PartySpec(id="dogwood", kind=_LAB, market_share=1, models=("topaz-1",), window_seconds=3_600, reaction_hours=6),
    PartySpec(id="elm-gateway", kind=_ROUTER, market_share=3, models=_TESTING_MODELS, window_seconds=28_800),
    PartySpec(id="fir-router", kind=_ROUTER, market_share=1, models=_TESTING_MODELS, window_seconds=86_400),
    PartySpec(
        id="ginkgo-hub", kind=_ROUTER, market_share=1, models=_TESTING_MODELS, window_seconds=3_600, reaction_hours=5
    ),
    PartySpec(
        id="hazel-api", kind=_ROUTER, market_share=0.5, models=_TESTING_MODELS, window_seconds=14_400, reaction_hours=8
    ),
    PartySpec(id="iris-cloud", kind=_CLOUD, market_share=4, reaction_hours=2),
    PartySpec(id="juniper-hosting", kind=_CLOUD, market_share=1, reaction_hours=8),
    PartySpec(id="kauri-pay", kind=_PAYMENT, market_share=5, reaction_hours=1),
    PartySpec(id="larch-cards", kind=_PAYMENT, market_share=2, reaction_hours=2),
    PartySpec(id="maple-bank", kind=_PAYMENT, market_share=1, reaction_hours=3),
    PartySpec(id="nettle-wallet", kind=_PAYMENT, market_share=1, reaction_hours=1),
)
_TESTING_OPERATORS: Final = (
    OperatorSpec(
        name="auk",
        accounts=700,
        start_day=4,
        end_day=28,
        labs_share=0.75,
        accounts_per_card=8,
        accounts_per_device=5,
        accounts_per_phone=7,
        accounts_per_address=12,
        pool_window=60,
        task_shares=(0.10, 0.45, 0.20, 0.08, 0.08, 0.07, 0.02),
    ),
    OperatorSpec(
        name="bittern",
        accounts=450,
        start_day=2,
        end_day=29,
        labs_share=0.3,
        residential_share=0.6,
        accounts_per_card=4,
        accounts_per_device=3,
        accounts_per_phone=4,
        accounts_per_address=5,
        pool_window=30,
        templates=20,
        accounts_per_referral=14,
        task_shares=(0.12, 0.10, 0.08, 0.10, 0.40, 0.18, 0.02),
    ),
    OperatorSpec(
        name="crane",
        accounts=350,
        start_day=9,
        end_day=29.5,
        ramp_days=2,
        labs_share=0.9,
        account_life_days=7,
        windows_per_day=0.7,
        requests_per_window=110,
        accounts_per_card=10,
        accounts_per_device=6,
        templates=6,
        task_shares=(0.08, 0.15, 0.25, 0.32, 0.08, 0.10, 0.02),
    ),
    OperatorSpec(
        name="dunlin",
        accounts=220,
        start_day=3,
        end_day=27,
        ramp_days=10,
        benign_mix=0.4,
        account_life_days=25,
        windows_per_day=0.3,
        accounts_per_organisation=14,
        accounts_per_referral=10,
        task_shares=(0.10, 0.20, 0.10, 0.10, 0.12, 0.08, 0.30),
    ),
    OperatorSpec(
        name="egret", accounts=120, start_day=6, end_day=25, labs_share=1.0, requests_per_window=260, pool_window=15
    ),
)

TESTING: Final = Family(
    base=WorldSpec(
        family="testing",
        variation=0.3,
        parties=_TESTING_PARTIES,
        releases=(ReleaseSpec(party="alder-ai", model="quartz-6", day=13),),
        benign=BenignSpec(
            people=62_000,
            history_days=16.0,
            existing_share=0.4,
            second_account_share=0.28,
            windows_per_day=0.2,
            windows_log_sigma=1.0,
            requests_log_mean=3.0,
            household_people=1.7,
            household_card_share=0.35,
            household_device_share=0.18,
            card_share=0.45,
            office_share=0.28,
            office_people=30,
            fleet_card_people=9,
            mobile_share=0.3,
            carrier_address_people=180,
            vpn_share=0.09,
            vpn_exits=60,
            agencies=45,
            agency_people=10,
            lab_rooms=40,
            lab_room_people=34,
            lab_room_computers=12,
            scripted_share=0.014,
            harness_accounts=150,
            harness_teams=22,
            resellers=25,
            relays=18,
            relay_accounts=6,
            popular_templates=200,
            template_share=0.3,
            address_days=7.0,
        ),
        operators=_TESTING_OPERATORS,
    ),
    chain={
        "pool_window": 1,
        "accounts_per_card": 2,
        "accounts_per_device": 3,
        "accounts_per_phone": 2,
        "accounts_per_address": 2,
        "accounts_per_referral": 0,
        "accounts_per_organisation": 0,
        "home_proxy_share": 0.0,
        "pays_from_addresses": False,
        "fresh_cards_per_day": 400.0,
    },
    liars=("hazel-api", "birch-labs"),
    lax="alder-ai",
    small_lab="cedar-models",
)

FAMILIES: Final = {"tuning": TUNING, "testing": TESTING}
