"""Replay of a plan: when measures take effect, whom they reach, and what each party could have done alone."""

from typing import Any

import polars as pl
import pytest

from weaklink.account_keys import account_key
from weaklink.frames import SHARED
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.replay import replay_plan, token_holdings

HOUR_US = 3_600_000_000
CONFIG = WeakLinksConfig(suspend_effect=1.0, block_identifier_effect=0.5)
CARD = b"\x04" + b"c" * 16
ONE, TWO = account_key("lab-a", "one"), account_key("lab-b", "two")


def prevented(
    measures: list[tuple[str, str, str | None, bytes | None, int]],
    hours: dict[str, float],
    until_us: int | None = None,
    holdings: pl.DataFrame | None = None,
) -> dict[str, Any]:
    usage = pl.DataFrame(
        {
            "account": [ONE, TWO] * 10,
            "at_us": [hour * HOUR_US for hour in range(10) for _ in "ab"],
            "requests": [10] * 20,
        },
        schema_overrides={"account": pl.UInt64},
    )
    if holdings is None:
        held = {"token": [CARD, CARD], "account": [ONE, TWO], "share": [1.0, 0.5]}
        holdings = pl.DataFrame(held, schema_overrides={"account": pl.UInt64})
    columns = {
        "party": pl.String,
        "measure": pl.String,
        "target_account": pl.String,
        "target_token": pl.Binary,
        "issued_at_us": pl.Int64,
    }
    plan = pl.DataFrame(measures, schema=columns, orient="row").with_columns(
        pl.lit(until_us, pl.Int64).alias("until_us")
    )
    found = replay_plan(plan, usage, holdings, hours, CONFIG)
    assert set(found["requests"]) == {200.0}
    return {row["acting"]: row for row in found.iter_rows(named=True)}


def test_a_suspension_prevents_what_comes_after_the_party_has_acted() -> None:
    found = prevented([("lab-a", "SUSPEND", "one", None, 2 * HOUR_US)], {"lab-a": 3.0})
    assert found["every party"]["prevented"] == pytest.approx(50)
    assert found["every party"]["prevented_share"] == pytest.approx(0.25)
    assert found["every party"]["accounts_reached"] == 1
    assert found["no plan"]["prevented"] == 0


def test_a_measure_that_was_withdrawn_prevents_nothing_from_then_on() -> None:
    found = prevented([("lab-a", "SUSPEND", "one", None, 2 * HOUR_US)], {"lab-a": 0.0}, until_us=5 * HOUR_US)
    assert found["every party"]["prevented"] == pytest.approx(30)


def test_a_blocked_card_reaches_accounts_at_other_parties_by_what_depends_on_it() -> None:
    found = prevented([("pay-a", "BLOCK_IDENTIFIER", None, CARD, 0)], {"pay-a": 0.0})
    assert found["pay-a"]["prevented"] == pytest.approx(100 * 0.5 * 1.0 + 100 * 0.5 * 0.5)
    assert found["pay-a"]["accounts_reached"] == 2


def test_a_lessee_that_loses_its_leases_takes_with_it_what_comes_by_its_addresses() -> None:
    lessee = account_key("cloud-a", "lessee")
    rows = [(10, ONE), (11, ONE), (12, TWO), (10, lessee), (11, lessee)]
    zero = dict.fromkeys(SHARED.names(), 0)
    links = pl.DataFrame(
        [zero | {"identifier": i, "kind": int(IdentifierKind.IP), "account": account} for i, account in rows],
        schema=SHARED,
    )
    holdings = token_holdings(links)
    assert holdings.filter(pl.col("account") == ONE)["share"].to_list() == [0.5, 0.5]
    found = prevented([("cloud-a", "REVOKE_LEASE", "lessee", None, 0)], {"cloud-a": 0.0}, holdings=holdings)
    assert found["cloud-a"]["prevented"] == pytest.approx(100 * CONFIG.revoke_lease_effect)
    assert found["cloud-a"]["accounts_reached"] == 1


def test_together_parties_prevent_at_least_what_each_does_alone_and_never_count_a_request_twice() -> None:
    plan = [
        ("lab-a", "SUSPEND", "one", None, 0),
        ("lab-b", "SUSPEND", "two", None, 0),
        ("pay-a", "BLOCK_IDENTIFIER", None, CARD, 0),
    ]
    found = prevented(plan, {"lab-a": 0.0, "lab-b": 0.0, "pay-a": 0.0})
    assert found["every party"]["prevented"] == pytest.approx(200)
    alone = [found[party]["prevented"] for party in ("lab-a", "lab-b", "pay-a")]
    assert max(alone) < 200
    assert [found[party]["measures"] for party in ("every party", "lab-a", "no plan")] == [3, 1, 0]
