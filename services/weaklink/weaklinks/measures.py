"""Which party may be asked for which measure: the rules of addressing (DESIGN: Words; DETECTION: step 10).

A party is only ever told about its own accounts and about tokens that its own events carried.
"""

from typing import Final

import polars as pl

from weaklink.frames import enum_type
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig

MEASURE: Final = enum_type("EnforcementAction", "measure")
SUSPEND: Final = "SUSPEND"
CHALLENGE: Final = "CHALLENGE"
THROTTLE: Final = "THROTTLE"
BLOCK_IDENTIFIER: Final = "BLOCK_IDENTIFIER"
REVOKE_LEASE: Final = "REVOKE_LEASE"
REQUIRE_END_USER_IDS: Final = "REQUIRE_END_USER_IDS"
OBSERVE: Final = "OBSERVE"

INSTRUMENT_KINDS: Final = (int(IdentifierKind.CARD), int(IdentifierKind.BANK_ACCOUNT))
"""Kinds that a payment party can block."""
SERVING: Final = (str(PartyKind.LAB), str(PartyKind.ROUTER))
"""Kinds of party that serve exchanges, and so can slow them down or ask a reseller for its customers' ids."""


def own_measure(config: WeakLinksConfig) -> pl.Expr:
    """The one measure (`MEASURE`) that may be asked of an account's own party.

    Reads outside, feeds_surely, party_kind, serves, reseller, established, organisation_verified, hard_identifier, own_finding, supporting_parties.
    Of a lessee that is not in the campaign (`outside`, `holdings`) nothing but its leases may be asked.
    A reseller is never suspended, challenged or throttled as a whole: its other customers would pay for one of them.
    """
    serving = pl.col("party_kind").is_in(SERVING)
    backed = (pl.col("supporting_parties") >= config.suspend_parties_min) | pl.col("own_finding")
    outside = pl.col("outside")
    known = pl.col("established") | pl.col("organisation_verified")
    suspend = (pl.col("serves") > config.suspend_score_min) & pl.col("hard_identifier") & ~known & backed
    return (
        pl.when((pl.col("serves") < config.act_score_min) | pl.col("party_kind").is_null())
        .then(pl.lit(OBSERVE))
        .when(pl.col("reseller"))
        .then(pl.when(serving).then(pl.lit(REQUIRE_END_USER_IDS)).otherwise(pl.lit(OBSERVE)))
        .when((pl.col("party_kind") == str(PartyKind.CLOUD)) & (suspend | outside | (pl.col("feeds_surely") & ~known)))
        .then(pl.lit(REVOKE_LEASE))
        .when(suspend)
        .then(pl.lit(SUSPEND))
        .when(known & serving)
        .then(pl.lit(THROTTLE))
        .otherwise(pl.lit(CHALLENGE))
        .cast(MEASURE)
    )


def effect(config: WeakLinksConfig) -> dict[str, float]:
    """Share of what flows through the target that each measure cuts durably."""
    return {
        SUSPEND: config.suspend_effect,
        CHALLENGE: config.challenge_effect,
        THROTTLE: config.throttle_effect,
        REQUIRE_END_USER_IDS: config.require_end_user_ids_effect,
        BLOCK_IDENTIFIER: config.block_identifier_effect,
        REVOKE_LEASE: config.revoke_lease_effect,
        OBSERVE: 0.0,
    }


def harm(config: WeakLinksConfig) -> dict[str, float]:
    """How badly each measure hurts a benign account that it touches, 0 to 1."""
    return {
        SUSPEND: config.suspend_harm,
        CHALLENGE: config.challenge_harm,
        THROTTLE: config.throttle_harm,
        REQUIRE_END_USER_IDS: config.require_end_user_ids_harm,
        BLOCK_IDENTIFIER: config.block_identifier_harm,
        REVOKE_LEASE: config.revoke_lease_harm,
        OBSERVE: 0.0,
    }


def account_prices(config: WeakLinksConfig) -> dict[str, float]:
    """Price of each measure on an account: its cost less what a new account costs the operator, at least `price_min`."""
    costs = {
        SUSPEND: config.suspend_cost,
        CHALLENGE: config.challenge_cost,
        THROTTLE: config.throttle_cost,
        REQUIRE_END_USER_IDS: config.require_end_user_ids_cost,
        REVOKE_LEASE: config.revoke_lease_cost,
        OBSERVE: config.price_min + config.account_replacement,
    }
    return {name: max(config.price_min, cost - config.account_replacement) for name, cost in costs.items()}


def token_prices(config: WeakLinksConfig) -> dict[int, float]:
    """Price of the measure on a token of each kind that one can be taken on."""
    net = {
        int(IdentifierKind.CARD): config.block_identifier_cost - config.card_replacement,
        int(IdentifierKind.BANK_ACCOUNT): config.block_identifier_cost - config.bank_account_replacement,
        int(IdentifierKind.IP): config.revoke_lease_cost - config.lease_replacement,
    }
    return {kind: max(config.price_min, price) for kind, price in net.items()}
