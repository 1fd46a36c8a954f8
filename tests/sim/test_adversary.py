"""What operators do about what is taken from them: they find other means, but not at once, and hands are scarce."""

from collections.abc import Iterable, Iterator

import polars as pl

from weaklink.sim.presets import preset
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.spec import DAY_US, HOUR_US
from weaklink.sim.worlds import World

_CHAIN = preset("chain", 0.05).model_copy(update={"days": 20.0})
_CALM = {"account_life_days": 1e4, "ban_per_day": 0.001, "residential_share": 0.0, "lease_days": 1e3}
SPEC = _CHAIN.model_copy(update={"operators": (_CHAIN.operators[0].model_copy(update=_CALM),)})
OWN = SPEC.operators[0]
LOST_US = SPEC.start_us + 12 * DAY_US
STEP_US = int(SPEC.step_hours * HOUR_US)


def told(*, leases: bool = False, accounts: bool = False) -> Iterator[tuple[int, pl.DataFrame]]:
    """(start, events) of each step of the operator, from which at `LOST_US` all it leases or all its accounts are taken."""
    world, taken = World(SPEC, 5), Restrictions()
    parts: list[pl.DataFrame] = []
    (operator,) = world.operators
    for start, end in world.steps():
        if start == LOST_US:
            taken.addresses |= used(parts, "AddressLease") if leases else set()
            taken.dead |= set(operator.fleet["account"].tolist()) if accounts else set()
        parts.append(operator.step(start, end, taken))
        yield start, parts[-1]


def of(part: pl.DataFrame, record: str) -> pl.DataFrame:
    return part.filter(pl.col("record").cast(pl.String) == record)


def used(parts: Iterable[pl.DataFrame], record: str) -> set[int]:
    """Identifiers that these events show."""
    return set(pl.concat([of(part, record) for part in parts])["identifiers"].explode().drop_nulls().to_list())


def asked(parts: Iterable[tuple[int, pl.DataFrame]]) -> dict[int, int]:
    return {start: int(of(part, "ApiUsage")["requests"].sum()) for start, part in parts}


def test_an_operator_without_addresses_waits_until_it_has_found_others_and_then_goes_on() -> None:
    steps = dict(told(leases=True))
    gone = used((part for start, part in steps.items() if start < LOST_US), "AddressLease")
    requests, calm = asked(steps.items()), asked(told())
    before = {start: many for start, many in requests.items() if start < LOST_US}
    assert before == {start: many for start, many in calm.items() if start < LOST_US}
    assert requests[LOST_US] == 0  # nowhere to come from
    after = [part for start, part in steps.items() if start >= LOST_US]
    assert used(after, "AddressLease")
    assert not gone & used(after, "ApiUsage")
    late = LOST_US + 4 * DAY_US
    resumed = sum(many for start, many in requests.items() if start >= late)
    assert resumed > 0.6 * sum(many for start, many in calm.items() if start >= late)


def test_an_operator_that_lost_everything_opens_no_more_accounts_a_day_than_it_has_hands_for() -> None:
    serving = {i for i, party in enumerate(SPEC.parties) if str(party.kind) in ("lab", "router")}
    opened = {
        start: of(part, "AccountOpened").filter(pl.col("party").is_in(list(serving))).height
        for start, part in told(accounts=True)
    }
    a_day = OWN.openings_per_day_share * OWN.accounts
    days = [
        sum(opened.get(start + i * STEP_US, 0) for i in range(DAY_US // STEP_US))
        for start in opened
        if start >= LOST_US
    ]
    assert max(days) > 0.5 * a_day
    assert max(days) <= 2 * a_day  # what it had ready, and what it does meanwhile
