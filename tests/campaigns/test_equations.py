"""Rotation of keys: tokens of two epochs are one identifier, for whom they may be; what is over is forgotten; campaigns go on."""

from collections.abc import Callable
from itertools import product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_track import PARTIES, engine_of, world_with
from tests.campaigns.worlds import conform
from weaklink import frames
from weaklink.account_keys import account_key
from weaklink.benign import ADD, record, token_entry
from weaklink.campaigns.casebook import Casebook, observer
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.journal import Journal
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.state import CampaignsState
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.stream.stage import Message
from weaklink.weaklinks.config import WeakLinksConfig

OLD, NEW = 1, 2
_SHIFT = 1 << 40


def of_epoch(shared: pl.DataFrame, epoch: int) -> pl.DataFrame:
    """The same values under the keys of an epoch: other identifiers, other tails."""
    moved = pl.col("identifier") + (epoch - OLD) * _SHIFT
    tail = pl.col("identifier") // (1 << 56) + pl.lit(epoch, pl.UInt64) * 256
    return conform(
        shared.with_columns(moved.alias("identifier"), tail.alias("tail"), pl.lit(epoch).alias("epoch")), frames.SHARED
    )


def said_by(shared: pl.DataFrame, *parties: str) -> pl.DataFrame:
    """EQUATIONS of every identifier in `shared`, as these parties say them."""
    one = shared.select("identifier", "kind").unique()
    old, new = (
        of_epoch(one.with_columns(slot=0, account=0, first_seen_us=0, last_seen_us=0, appended_at_us=0), epoch)
        for epoch in (OLD, NEW)
    )
    pairs = new.select("identifier", "kind", "tail", "epoch").hstack(
        old.select(pl.col("identifier").alias("former"), pl.col("tail").alias("former_tail"), pl.col("epoch").alias("former_epoch"))
    )  # fmt: skip
    rows = [pairs.with_columns(pl.lit(party).alias("party")) for party in parties]
    return pl.concat(rows).select(frames.EQUATIONS.names()).cast(frames.EQUATIONS)


def links_of(state: CampaignsState) -> pl.DataFrame:
    return state.equated(state.links.rows()).sort("identifier", "slot", "account")


@pytest.fixture(scope="module")
def world() -> tuple[pl.DataFrame, pl.DataFrame]:
    """(activity, shared) of a world with one campaign."""
    made = world_with("c")
    return made.activity(), made.shared()


def state_of(activity: pl.DataFrame, *shared: pl.DataFrame, equations: pl.DataFrame | None = None) -> CampaignsState:
    state = CampaignsState(CampaignsConfig())
    state.fold_activity(activity)
    for one in shared:
        state.fold_shared(one)
    if equations is not None:
        state.fold_equations(equations)
    return state


def test_two_epochs_of_one_world_read_as_the_one(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Some accounts before the rotation, some after it, some on both sides: every node has all of its holders, once."""
    activity, shared = world
    side = pl.col("account") % 3
    before, after = shared.filter(side != 0), shared.filter(side != 1)
    rotated = state_of(
        activity, of_epoch(after, NEW), of_epoch(before, OLD), equations=said_by(shared, "lab-a", "lab-b", "pay-a")
    )
    assert_frame_equal(links_of(rotated), links_of(state_of(activity, of_epoch(shared, OLD))))
    again = CampaignsState(CampaignsConfig())
    again.from_frames(rotated.to_frames())
    assert_frame_equal(links_of(again), links_of(rotated))


def test_after_the_older_epoch_is_over_the_same_holders_are_on_the_newer_tokens(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    """What was equated has moved, what was not is gone, and no table has a byte of the older epoch."""
    activity, shared = world
    kept = shared.filter(pl.col("identifier") % 5 != 0)
    state = state_of(activity, of_epoch(shared, OLD), equations=said_by(kept, "lab-a", "lab-b", "pay-a"))
    assert state.forget_epochs_before(NEW) == shared.height
    assert_frame_equal(links_of(state), links_of(state_of(activity, of_epoch(kept, NEW))))
    assert state.forget_epochs_before(NEW) == 0
    state.fold_shared(of_epoch(shared, OLD))  # what was on its way
    state.fold_equations(said_by(shared, "lab-a", "lab-b"))
    assert set(state.links.rows()["epoch"]) == {NEW}
    assert state.equations.empty


_accounts = st.sampled_from([("lab-a", "anna"), ("lab-b", "bo"), ("pay-a", "cy")])
_uses = st.lists(st.tuples(_accounts, st.sampled_from([10, 11]), st.sampled_from([OLD, NEW])), max_size=12)
_sayings = st.lists(st.tuples(st.sampled_from(list(PARTIES)), st.sampled_from([10, 11]), st.sampled_from([10, 11])), max_size=8)  # fmt: skip


def _shared(uses: list[tuple[tuple[str, str], int, int]]) -> pl.DataFrame:
    rows = [
        {
            "identifier": value + (epoch - OLD) * _SHIFT, "tail": epoch * 256, "kind": int(Kind.CARD), "epoch": epoch, "slot": 0,
            "account": account_key(*account), "first_seen_us": 5, "last_seen_us": 5, "appended_at_us": 5, "mentions": 1,
            "requests": 0, "holders": 2,
        }
        for account, value, epoch in uses
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=frames.SHARED)


def _equations(sayings: list[tuple[str, int, int]]) -> pl.DataFrame:
    rows = [(new + _SHIFT, old, party, int(Kind.CARD), NEW * 256, NEW, OLD * 256, OLD) for party, new, old in sayings]
    return pl.DataFrame(rows, schema=frames.EQUATIONS, orient="row")


def _by_hand(uses: list[tuple[tuple[str, str], int, int]], sayings: list[tuple[str, int, int]]) -> set[tuple[int, int]]:
    """(identifier, account) as the rule reads: the party's own word, else two parties'; of several the one that most say, then the smallest."""
    said = set(sayings)
    found = set()
    for account, value, epoch in uses:
        identifier = value + (epoch - OLD) * _SHIFT
        if epoch == NEW:
            by = {old: {party for party, new, other in said if (new, other) == (value, old)} for old in (10, 11)}
            ranked = sorted((old for old in by if by[old]), key=lambda old: (-len(by[old]), old))
            own = [old for old in ranked if account[0] in by[old]]
            common = [old for old in ranked if len(by[old]) >= 2]
            identifier = (own or common or [identifier])[0]
        found.add((identifier, account_key(*account)))
    return found


@settings(max_examples=60)
@given(_uses, _sayings, st.randoms())
def test_who_says_what_decides_for_whom_it_holds_in_whatever_order_it_came(
    uses: list[tuple[tuple[str, str], int, int]], sayings: list[tuple[str, int, int]], random: object
) -> None:
    """Liars among the sayings: one party alone moves its own accounts and nobody else's."""
    activity = _activity()
    state = state_of(activity, _shared(uses), equations=_equations(sayings))
    shuffled = list(sayings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = state_of(activity, _shared(uses))
    for one in shuffled:
        other.fold_equations(_equations([one]))
    assert_frame_equal(links_of(state), links_of(other))
    assert set(links_of(state).select("identifier", "account").rows()) == _by_hand(uses, sayings)


def _activity() -> pl.DataFrame:
    rows = [
        {"party": party, "account_name": name} for party, name in (("lab-a", "anna"), ("lab-b", "bo"), ("pay-a", "cy"))
    ]
    keyed = pl.DataFrame(rows).with_columns(
        pl.Series("account", [account_key(row["party"], row["account_name"]) for row in rows], pl.UInt64),
        record=pl.lit("AccountOpened"), hour=0, first_seen_us=1, last_seen_us=1, appended_at_us=1, events=1,
    )  # fmt: skip
    return conform(keyed, frames.ACTIVITY)


def test_a_framed_stranger_stays_a_stranger() -> None:
    """A hostile party says that a victim's card and the campaign's are one: the victim, of another party, holds what it held."""
    uses = [(("lab-b", "bo"), 10, NEW), (("lab-a", "anna"), 11, OLD)]
    state = state_of(_activity(), _shared(uses), equations=_equations([("pay-a", 10, 11)]))
    assert set(links_of(state)["identifier"]) == {10 + _SHIFT, 11}


def test_what_a_party_refused_and_what_people_listed_moves_with_the_identifier() -> None:
    """Refusals by the party's own word; a listed identifier only where two parties equate it: one alone could whitelist what it likes."""
    old, new = (
        frames.token_bytes(10 + (epoch - OLD) * _SHIFT, epoch * 256, int(Kind.CARD), epoch) for epoch in (OLD, NEW)
    )
    for parties, listed in product([("lab-a",), ("lab-a", "lab-b")], [True]):
        state = state_of(_activity(), equations=_equations([(party, 10, 10) for party in parties]))
        for party in ("lab-a", "pay-a"):
            fields = {"party": party, "measure": "BLOCK_IDENTIFIER", "target_account": None, "target_token": old}
            state.fold_feedback([fields | {"verdict": "DISPUTED", "recorded_at": 7}])
        at = pl.datetime(2026, 1, 1, time_zone="UTC")
        when = pl.select(at).item()
        state.fold_benign([record(entry=token_entry(old), op=ADD, reason="gateway", by="ann", recorded_at=when)])
        state.forget_epochs_before(NEW)
        refused = set(state.refusals.rows().select("party", "target").rows())
        both = len(parties) > 1
        assert refused == {(party, new) for party in (("lab-a", "pay-a") if both else ("lab-a",))}
        assert state.benign.table.rows()["token"].to_list() == ([new] if both and listed else [])
        assert old not in b"".join(one.write_ipc(None, compression="uncompressed").getvalue() for one in state.to_frames().values())  # fmt: skip


def _named(*uses: tuple[tuple[str, str], int, int]) -> pl.DataFrame:
    """ACTIVITY of accounts whose customer is known by the token of an epoch."""
    rows = [
        {
            "party": account[0], "account_name": account[1], "account": account_key(*account), "record": "ApiUsage", "task": "OTHER",
            "end_user": frames.token_bytes(value + (epoch - OLD) * _SHIFT, epoch * 256, int(Kind.END_USER), epoch),
            "windows": 1, "requests": 10, "hour": 0, "first_seen_us": 1, "last_seen_us": epoch, "appended_at_us": 1, "events": 1,
        }
        for account, value, epoch in uses
    ]  # fmt: skip
    return conform(pl.DataFrame(rows), frames.ACTIVITY)


@pytest.mark.parametrize("equated_first", [False, True])
def test_a_customer_with_tokens_of_two_epochs_is_one_customer(equated_first: bool) -> None:
    """Counted once, with the usage of both, whatever comes first; for the reseller that says so alone; and still there when the older epoch is over."""
    anna, bo = ("lab-a", "anna"), ("lab-b", "bo")
    uses = _named((anna, 10, OLD), (anna, 10, NEW), (anna, 11, OLD), (bo, 10, OLD), (bo, 10, NEW))
    said = _equations([("lab-a", 10, 10)]).with_columns(pl.lit(int(Kind.END_USER), pl.UInt8).alias("kind"))
    state = CampaignsState(CampaignsConfig())
    folds: list[Callable[[], None]] = [lambda: state.fold_equations(said), lambda: state.fold_activity(uses)]
    for fold in folds if equated_first else folds[::-1]:
        state.news()
        fold()
    # Whoever is judged by how many customers it names is judged again when they turn out to be fewer.
    assert account_key(*anna) in pl.concat(state.news().accounts)

    def customers(account: tuple[str, str]) -> list[tuple[bytes, int, int]]:
        key = pl.Series([account_key(*account)], dtype=pl.UInt64)
        (counted,) = state.accounts(NOW_US, key)["end_users"]
        found = state.customers.of(key).select("end_user", "requests", "last_seen_us").rows()
        assert counted == len(found)
        return sorted(found)

    def token(value: int, epoch: int) -> bytes:
        return frames.token_bytes(value + (epoch - OLD) * _SHIFT, epoch * 256, int(Kind.END_USER), epoch)

    assert customers(anna) == [(token(11, OLD), 10, OLD), (token(10, NEW), 20, NEW)]
    assert customers(bo) == [(token(10, OLD), 10, OLD), (token(10, NEW), 10, NEW)]
    assert state.customers.rows()["requests"].sum() == 50
    state.forget_epochs_before(NEW)
    assert customers(anna) == [(token(10, NEW), 20, NEW)]
    assert customers(bo) == [(token(10, NEW), 10, NEW)]
    again = CampaignsState(CampaignsConfig())
    again.from_frames(state.to_frames())
    assert_frame_equal(again.customers.rows(), state.customers.rows())


def test_a_campaign_outlives_the_epoch_it_was_found_in_and_nothing_tells_of_it_any_more() -> None:
    """Same id, same members; measures on the older tokens fall; what the topic holds has none of them, nor has the next snapshot."""
    made = world_with("c")
    activity, shared = made.activity(), made.shared()
    engine = Engine(CampaignsConfig(), WeakLinksConfig())
    engine.state.fold_activity(activity)
    engine.state.fold_shared(of_epoch(shared, OLD))
    journal, casebook = Journal(), Casebook()
    engine.observe(observer(casebook, engine))
    topic: dict[bytes | None, bytes | None] = {}

    def tick(hours: int) -> None:
        updates = engine.tick(NOW_US + hours * US_PER_HOUR, PARTIES)
        said.extend(change for update in updates for change in update.changes)
        written: list[Message] = [*journal.changes(engine), *casebook.changes(engine, NOW_US + hours * US_PER_HOUR)]
        topic.update({one.key: one.value for one in written})

    said: list[dict[str, object]] = []
    tick(1)
    members = engine.tracker.members.select("account", "campaign_id")
    assert members.height > 30
    old_tokens = {
        frames.token_bytes(*row)
        for row in of_epoch(shared, OLD).select("identifier", "tail", "kind", "epoch").unique().iter_rows()
    }

    def held() -> set[bytes]:
        contents = b"".join(one for one in topic.values() if one)
        return {one for one in old_tokens if one in contents}

    assert held()
    engine.state.fold_equations(said_by(shared, "lab-a", "lab-b", "pay-a"))
    tick(2)
    assert_frame_equal(engine.tracker.members.select("account", "campaign_id"), members)
    engine.state.forget_epochs_before(NEW)
    engine.replan()
    tick(3)
    assert_frame_equal(engine.tracker.members.select("account", "campaign_id"), members)
    assert held() == set()
    standing = [one["target_token"] for campaign in engine.tracker.campaigns.values() for one in campaign.measures]
    assert {one[1] for one in standing if one} == {NEW}
    withdrawn = {one["target_token"] for one in said if one["op"] == "WITHDRAW"} - {None}
    assert withdrawn == {
        one["target_token"] for one in said if one["op"] == "ISSUE" and one["target_token"] in old_tokens
    }
    stored = b"".join(one.write_ipc(None, compression="uncompressed").getvalue() for one in engine.state.to_frames().values())  # fmt: skip
    assert not [one for one in old_tokens if one in stored]
    assert engine.state.links.rows()["identifier"].min() >= _SHIFT  # type: ignore[operator]
    restarted = Engine(CampaignsConfig(), WeakLinksConfig())
    restarted.state.from_frames(engine.state.to_frames())
    Journal().recall([Message("t", value, key) for key, value in topic.items()], restarted)
    restarted.tick(NOW_US + 4 * US_PER_HOUR, PARTIES)
    assert_frame_equal(restarted.tracker.members.select("account", "campaign_id"), members)


def test_a_snapshot_from_before_there_were_equations_is_read(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """An upgrade needs no rebuild from the log: what is new is empty."""
    state = engine_of(world_with("c")).state
    older = {name: frame for name, frame in state.to_frames().items() if name != "equations"}
    again = CampaignsState(CampaignsConfig())
    again.from_frames(older)
    assert_frame_equal(again.links.rows(), state.links.rows())
    assert again.equations.empty
