"""The same links by plain dicts and loops: what the sorted runs are compared with."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import polars as pl

from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.packed import REQUESTS_MAX, REQUESTS_PER_ROW_MAX
from weaklink.frames import LINKS
from weaklink.records.identifiers import IdentifierKind

Use = dict[str, Any]
Node = tuple[int, int, int, int]
Member = tuple[Node, int]


def frame(uses: list[Use]) -> pl.DataFrame:
    """Uses as a LINKS frame."""
    return pl.DataFrame(uses, schema=LINKS)


def tail_of(identifier: int, rest: int) -> int:
    """A tail as tokens have it: its lowest byte is the highest one of the identifier."""
    return rest % 2**56 << 8 | identifier >> 56


def node_of(use: Use) -> Node:
    """What accounts share."""
    return use["identifier"], use["slot"], use["kind"], use["epoch"]


@dataclass(frozen=True)
class Episode:
    """One stretch of use of a node, with the merged link of each account in it."""

    node: Node
    links: dict[int, Use]


def episodes(uses: list[Use], config: CorrelateConfig) -> list[Episode]:
    """All uses of all nodes, cut where nobody used the node for longer than its kind's gap."""
    by_node: dict[Node, list[Use]] = defaultdict(list)
    for use in uses:
        by_node[node_of(use)].append(use)
    found = []
    for node, own in by_node.items():
        end = None
        for use in sorted(own, key=lambda one: int(one["first_seen_us"])):
            if end is None or (use["slot"] == 0 and begin_cell(use, config) - end > gap_cells(node[2], config)):
                found.append(Episode(node, {}))
                end = end_cell(use, config)
            end = max(end, end_cell(use, config))
            links = found[-1].links
            links[use["account"]] = merged(links[use["account"]], use) if use["account"] in links else capped(use)
    return found


def shared_members(uses: list[Use], config: CorrelateConfig) -> set[Member]:
    """Who shares a node with somebody."""
    return {
        (one.node, account)
        for one in episodes(uses, config)
        if len(one.links) >= config.share_accounts_min
        for account in one.links
    }


def capped(use: Use) -> Use:
    return use | {"requests": min(use["requests"], REQUESTS_PER_ROW_MAX)}


def merged(one: Use, other: Use) -> Use:
    other = capped(other)
    return one | {
        "tail": min(one["tail"], other["tail"]),
        "first_seen_us": min(one["first_seen_us"], other["first_seen_us"]),
        "last_seen_us": max(one["last_seen_us"], other["last_seen_us"]),
        "appended_at_us": max(one["appended_at_us"], other["appended_at_us"]),
        "mentions": min(one["mentions"] + other["mentions"], 2**32 - 1),
        "requests": min(one["requests"] + other["requests"], REQUESTS_MAX),
    }


def lifetime_cells(kind: int, config: CorrelateConfig) -> int:
    seconds = config.lifetime_seconds.get(IdentifierKind(kind), config.lifetime_seconds_default)
    return -(-seconds // config.time_cell_seconds)


def gap_cells(kind: int, config: CorrelateConfig) -> int:
    return lifetime_cells(kind, config) + 1


def begin_cell(use: Use, config: CorrelateConfig) -> int:
    return int(use["first_seen_us"]) // (config.time_cell_seconds * 1_000_000)


def end_cell(use: Use, config: CorrelateConfig) -> int:
    return int(use["last_seen_us"]) // (config.time_cell_seconds * 1_000_000)
