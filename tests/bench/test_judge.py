"""The benchmark's judge: right output passes, and every way of being wrong is told."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from bench.judge import account_fnv, judge_groups, judge_links, judge_members, judge_totals
from bench.truth import CAP, SHARED_MIN, Truth, make_truth
from bench.world import World, account_names, make_world, tokens

from bench import said, topics
from weaklink import frames, topology
from weaklink.account_keys import account_hash
from weaklink.kafka_options import KafkaConfig

PARTY = "bench"


def plain_holders(world: World) -> dict[int, set[int]]:
    """Accounts of each identifier, by a dict of sets."""
    holders: dict[int, set[int]] = defaultdict(set)
    for account, identifiers in zip(world.accounts.tolist(), world.identifiers.tolist(), strict=True):
        for one in identifiers:
            if one >= 0:
                holders[one].add(account)
    return holders


@dataclass
class Case:
    """A world with its truth, and output that is right."""

    world: World
    truth: Truth
    holders: dict[int, set[int]]

    def groups(self) -> list[tuple[bytes, bytes]]:
        """What a peer should say, members as FNV keys."""
        table, keys = tokens(), account_fnv().astype(">u8")
        return [
            (table[one].tobytes(), keys[sorted(accounts)[:CAP]].tobytes())
            for one, accounts in self.holders.items()
            if len(accounts) >= SHARED_MIN
        ]

    def rows(self, schema: pl.Schema, least: int) -> pl.DataFrame:
        """Every (identifier, account) of identifiers with so many accounts, as Weaklink writes it."""
        table, every = tokens(), account_names()
        pairs = [(one, account) for one, own in self.holders.items() if len(own) >= least for account in sorted(own)]
        found = table[[one for one, _ in pairs]]
        names = pl.DataFrame({"name": [every[account].tobytes().decode() for _, account in pairs]})
        columns = {
            "identifier": np.ascontiguousarray(found[:, 2:10]).view("<u8")[:, 0],
            "tail": np.ascontiguousarray(found[:, 9:17]).view("<u8")[:, 0],
            "kind": found[:, 0],
            "epoch": found[:, 1],
            "account": names.select(account_hash(PARTY, "name")).to_series(),
        }
        return pl.DataFrame({name: columns.get(name, np.ones(len(pairs))) for name in schema}).cast(schema)


@pytest.fixture(scope="module")
def case() -> Case:
    """Enough events that some prompt template is above the cap."""
    world = make_world(40_000, 1_795_000_000_000_000)
    # One template for half of all events, so that the cap is reached.
    world.identifiers[::2, 2] = world.identifiers[:, 2].min()
    return Case(world, make_truth(world), plain_holders(world))


def test_truth_is_what_a_dict_of_sets_says(case: Case) -> None:
    """Pairs, holders, and who shares."""
    assert len(case.truth.pairs) == sum(len(own) for own in case.holders.values())
    assert {one: int(case.truth.holders[one]) for one in case.holders} == {
        one: len(own) for one, own in case.holders.items()
    }
    assert set(case.truth.shared.tolist()) == {one for one, own in case.holders.items() if len(own) >= SHARED_MIN}
    assert case.truth.holders.max() > CAP


def test_right_groups_pass(case: Case) -> None:
    """In either form of members."""
    assert judge_groups(case.truth, case.groups(), "fnv64", once=True) == []
    keys = account_fnv().astype(">u8").tobytes()
    names = {keys[8 * row : 8 * row + 8]: name.tobytes() for row, name in enumerate(account_names())}
    said = [
        (token, b"".join(names[value[at : at + 8]] for at in range(0, len(value), 8))) for token, value in case.groups()
    ]
    assert judge_groups(case.truth, said, "names", once=True) == []


def test_every_wrong_group_is_told(case: Case) -> None:
    """Missing, repeated, not shared, foreign members, repeated members, too few, an unknown key."""
    right = case.groups()
    token, members = right[0]
    lonely = next(one for one, own in case.holders.items() if len(own) < SHARED_MIN)
    active = set.union(*case.holders.values())
    stranger = next(one for one in range(200_000) if one not in active)
    foreign = account_fnv()[[stranger]].astype(">u8").tobytes()
    wrong = {
        "missing": right[1:],
        "more than once": [*right, right[0]],
        "too many": [*right, (tokens()[lonely].tobytes(), members)],
        "never showed": [(token, members[:-8] + foreign), *right[1:]],
        "a member twice": [(token, members + members[:8]), *right[1:]],
        "fewer than": [(token, members[:8]), *right[1:]],
        "no identifier of the world": [*right, (b"x" * 17, members)],
    }
    for expected, groups in wrong.items():
        assert expected in " ".join(judge_groups(case.truth, groups, "fnv64", once=True))
    assert judge_groups(case.truth, wrong["more than once"], "fnv64", once=False) == []


def test_members_are_judged_one_by_one(case: Case) -> None:
    """Weaklink says every member: one missing, one twice or one too many is told; above the cap the larger keys need not be said."""
    right = case.rows(frames.SHARED, SHARED_MIN)
    assert judge_members(case.truth, right, PARTY) == []
    hub = int(case.truth.holders.argmax())
    own = np.ascontiguousarray(tokens()[[hub], 2:10]).view("<u8")[0, 0]
    of_hub = right.filter(pl.col("identifier") == own).sort("account")
    others = right.filter(pl.col("identifier") != own)
    assert judge_members(case.truth, pl.concat([others, of_hub.head(CAP)]), PARTY) == []
    assert "1 members were not said" in judge_members(case.truth, pl.concat([others, of_hub.slice(1)]), PARTY)
    assert "1 members were not said" in judge_members(case.truth, others[1:].vstack(of_hub), PARTY)
    assert "more than once" in judge_members(case.truth, pl.concat([right, right.head(1)]), PARTY)[0]
    assert "not shared" in judge_members(case.truth, case.rows(frames.SHARED, 1), PARTY)[0]
    unknown = right.with_columns(account=pl.lit(7, pl.UInt64))
    assert "not of the world" in judge_members(case.truth, unknown, PARTY)[0]


def test_links_must_be_the_pairs_and_count_every_mention(case: Case) -> None:
    """ingest alone."""
    right = case.rows(frames.LINKS, 1)
    mentions = int(right["mentions"].sum())
    assert judge_links(case.truth, right, PARTY, mentions) == []
    assert "missing" in judge_links(case.truth, right[1:], PARTY, mentions - 1)[0]
    assert "mentions were counted" in judge_links(case.truth, right, PARTY, mentions + 1)[0]


def test_nobody_is_said_with_more_mentions_than_there_are(case: Case) -> None:
    """Less is right: a member is said when it comes, and may come again."""
    links, members = case.rows(frames.LINKS, 1), case.rows(frames.SHARED, SHARED_MIN)
    assert judge_totals(members, links) == []
    assert judge_totals(members, pl.concat([links, links])) == []
    twice = members.with_columns(mentions=pl.when(pl.int_range(pl.len()) < 3).then(2).otherwise(1).cast(pl.UInt32))
    assert judge_totals(twice, links) == ["3 members were said with more mentions than there are"]


@pytest.mark.parametrize("rows_kept", [1, 1_000, 2_000_000])
def test_what_was_processed_twice_shows_although_every_member_is_said_once(
    case: Case, monkeypatch: pytest.MonkeyPatch, rows_kept: int
) -> None:
    """Sets of members hide it, the links between the stages do not; however many of them are kept before they are folded."""
    monkeypatch.setattr(said, "_ROWS_KEPT", rows_kept)
    links = case.rows(frames.LINKS, 1)
    messages = [frames.to_chunk(one) for one in links.iter_slices(links.height // 5)]
    members = [frames.to_chunk(case.rows(frames.SHARED, SHARED_MIN))]
    log = {topology.LINKS: messages, topology.SHARED: members}
    monkeypatch.setattr(topics, "read_each", lambda _, topic: ((b"", value) for value in log[topic]))
    judged = (KafkaConfig(), case.truth, PARTY, links.height)
    assert said.judge_pipeline(*judged) == said.judge_ingest(*judged) == []
    log[topology.LINKS] = [*messages, messages[2]]
    wrong = [f"{links.height + links.height // 5} mentions were counted, there are {links.height}"]
    assert said.judge_pipeline(*judged) == said.judge_ingest(*judged) == wrong
    log[topology.LINKS] = messages[1:]
    assert any("are missing" in one for one in said.judge_pipeline(*judged))
