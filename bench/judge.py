"""Compares what an engine put out with what is right. Returns what is wrong, as sentences; nothing wrong: an empty list."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal

import numpy as np
import polars as pl

from bench.truth import ACCOUNT_BITS, CAP, SHARED_MIN, Truth
from bench.world import ACCOUNTS, IDENTIFIERS, NAME_BYTES, Numbers, Words, account_names, tokens
from weaklink.account_keys import account_hash

MemberFormat = Literal["fnv64", "names"]
"""How a peer writes the members of an identifier: 64-bit FNV-1a keys, big-endian, or the accounts' names, one after another."""
_FNV_BASE: Final = np.uint64(0xCBF29CE484222325)
_FNV_PRIME: Final = np.uint64(0x100000001B3)


def judge_groups(truth: Truth, said: Iterable[tuple[bytes, bytes]], form: MemberFormat, *, once: bool) -> list[str]:
    """Messages (token, members): each shared identifier must have been said, `once`: exactly once, with true members, at least five, none twice."""
    groups = list(said)
    places, wrong = _identifiers(token for token, _ in groups), []
    if (places < 0).any():
        wrong.append(f"{int((places < 0).sum())} messages have a key that is no identifier of the world")
    known = places[places >= 0]
    found, times = np.unique(known, return_counts=True)
    if once and (times > 1).any():
        wrong.append(f"{int((times > 1).sum())} identifiers were said more than once")
    wrong += _difference("shared identifiers", truth.shared, found)
    sizes = np.array([len(value) // NAME_BYTES for _, value in groups], dtype=np.int64)
    if ((sizes < SHARED_MIN) | (sizes > CAP)).any():
        wrong.append(f"some identifier was said with fewer than {SHARED_MIN} or more than {CAP} members")
    members = _accounts(b"".join(value for _, value in groups), form)
    identifiers = np.repeat(places, sizes)
    true = (members >= 0) & (identifiers >= 0)
    pairs = (identifiers << ACCOUNT_BITS | members)[true]
    foreign = int((~true).sum() + (~np.isin(pairs, truth.pairs)).sum())
    if foreign:
        wrong.append(f"{foreign} members never showed the identifier")
    message = np.repeat(np.arange(len(groups)), sizes)
    if len(np.unique(message << ACCOUNT_BITS | np.maximum(members, 0))) != len(members):
        wrong.append("some identifier was said with a member twice")
    return wrong


def judge_members(truth: Truth, said: pl.DataFrame, party: str) -> list[str]:
    """Rows of `weaklink.shared`: every member of every shared identifier, each once; above the cap at least its documented sample."""
    keys = _account_keys(party)
    pairs = _pairs(said, party)
    wrong = [] if (pairs >= 0).all() else [f"{int((pairs < 0).sum())} rows name an identifier or account that is not of the world"]  # fmt: skip
    distinct = np.unique(pairs[pairs >= 0])
    if len(distinct) != int((pairs >= 0).sum()):
        wrong.append(f"{int((pairs >= 0).sum()) - len(distinct)} members were said more than once")
    if extra := int((~np.isin(distinct, truth.shared_pairs)).sum()):
        wrong.append(f"{extra} members were said that do not hold their identifier, or of one that is not shared")
    if missing := int((~np.isin(truth.members_required(keys), distinct)).sum()):
        wrong.append(f"{missing} members were not said")
    return wrong


def judge_links(truth: Truth, links: pl.DataFrame, party: str, mentions: int) -> list[str]:
    """Rows of `weaklink.links`: exactly the pairs of the world, and as many mentions."""
    pairs = _pairs(links, party)
    wrong = _difference("pairs", truth.pairs, np.unique(pairs))
    if links["mentions"].sum() != mentions:
        wrong.append(f"{links['mentions'].sum()} mentions were counted, there are {mentions}")
    return wrong


def judge_totals(said: pl.DataFrame, links: pl.DataFrame) -> list[str]:
    """Rows of `weaklink.shared` beside all links: nobody has been said with more mentions than there are, as one would be whose links were folded twice."""
    pair = ["identifier", "tail", "kind", "epoch", "account"]
    there = links.group_by(pair).agg(pl.col("mentions").cast(pl.Int64).sum().alias("there"))
    beyond = said.join(there, on=pair).filter(pl.col("mentions") > pl.col("there")).height
    return [f"{beyond} members were said with more mentions than there are"] if beyond else []


def account_fnv() -> Words:
    """64-bit FNV-1a of each account's name."""
    hashed = np.full(ACCOUNTS, _FNV_BASE, dtype=np.uint64)
    for column in account_names().T:
        hashed = (hashed ^ column) * _FNV_PRIME
    return hashed


def _difference(what: str, wanted: Numbers, found: Numbers) -> list[str]:
    missing, extra = (int((~np.isin(one, other)).sum()) for one, other in ((wanted, found), (found, wanted)))
    return [f"{missing} {what} of {len(wanted)} are missing, {extra} are too many"] if missing or extra else []


def _identifiers(said: Iterable[bytes]) -> Numbers:
    numbers: Mapping[bytes, int] = _numbers_of_tokens()
    return np.array([numbers.get(token, -1) for token in said], dtype=np.int64)


@cache
def _numbers_of_tokens() -> dict[bytes, int]:
    table = tokens()
    return {row.tobytes(): number for number, row in enumerate(table)}


def _accounts(members: bytes, form: MemberFormat) -> Numbers:
    own = account_fnv() if form == "fnv64" else account_names().view(">u8")[:, 0].astype(np.uint64)
    return _lookup(own, np.frombuffer(members, dtype=">u8").astype(np.uint64))


def _lookup(own: Words, sought: Words) -> Numbers:
    """Position of each in `own`, or -1."""
    order = np.argsort(own)
    place = np.minimum(np.searchsorted(own, sought, sorter=order), len(own) - 1)
    found = order[place]
    return np.where(own[found] == sought, found, -1)


def _account_keys(party: str) -> Words:
    names = pl.DataFrame({"name": [row.tobytes().decode() for row in account_names()]})
    keys: Words = names.select(account_hash(party, "name")).to_series().to_numpy()
    return keys


def _pairs(rows: pl.DataFrame, party: str) -> Numbers:
    """Rows of LINKS or SHARED as identifier << 32 | account; -1 where one of the two is unknown."""
    table = tokens()
    own = pl.DataFrame(
        {
            "identifier": np.ascontiguousarray(table[:, 2:10]).view("<u8")[:, 0],
            "tail": np.ascontiguousarray(table[:, 9:17]).view("<u8")[:, 0],
            "kind": table[:, 0],
            "epoch": table[:, 1],
            "number": np.arange(IDENTIFIERS),
        }
    )
    joined = rows.join(own, on=["identifier", "tail", "kind", "epoch"], how="left", maintain_order="left")
    identifiers = joined["number"].fill_null(-1).to_numpy()
    accounts = _lookup(_account_keys(party), rows["account"].to_numpy())
    return np.where((identifiers >= 0) & (accounts >= 0), identifiers << ACCOUNT_BITS | accounts, -1)
