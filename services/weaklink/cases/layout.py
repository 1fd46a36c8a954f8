"""Where the parts of a campaign's picture go: parties, accounts and identifiers in three columns, so that lines cross little. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ROW: Final = 18.0
TOP: Final = 40.0
COLUMNS: Final = {"party": 130.0, "account": 420.0, "identifier": 720.0}
WIDTH: Final = 980.0
_SWEEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Node:
    """One part. `cut`: a measure stands against it; `weight`: requests a day; `label` and `title` are text, not markup."""

    kind: str
    label: str
    title: str
    x: float
    y: float
    weight: float
    cut: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes, and lines as pairs of their places. Units: points."""

    nodes: list[Node]
    lines: list[tuple[int, int]]
    width: float
    height: float
    omitted: str


def layout(graph: Mapping[str, Any]) -> Picture:
    """Of a CampaignGraph record. Identifiers stand at the middle of those who hold them, and accounts with their party."""
    parties = {one["party"]: place for place, one in enumerate(graph["parties"])}
    accounts = [one for one in graph["accounts"] if one["party"] in parties]
    order = sorted(
        range(len(accounts)), key=lambda i: (parties[accounts[i]["party"]], -accounts[i]["requests_per_day"])
    )
    holders: list[list[int]] = [[] for _ in graph["identifiers"]]
    for index, one in enumerate(accounts):
        for place in one["holds"]:
            holders[place].append(index)
    tokens = [place for place, held in enumerate(holders) if held]
    for _ in range(_SWEEPS):
        at = {account: row for row, account in enumerate(order)}
        tokens.sort(key=lambda place: (_mean([at[one] for one in holders[place]]), place))
        where = {place: row * max(1, len(order)) / max(1, len(tokens)) for row, place in enumerate(tokens)}
        order.sort(
            key=lambda i: (parties[accounts[i]["party"]], _mean([where[one] for one in accounts[i]["holds"]]), i)
        )
    return _drawn(graph, accounts, order, tokens)


def _mean(values: list[Any]) -> float:
    return sum(values) / len(values) if values else 0.0


def _drawn(graph: Mapping[str, Any], accounts: list[Any], order: list[int], tokens: list[int]) -> Picture:
    height = TOP + ROW * max(len(order), len(tokens) * 1.2, len(graph["parties"]) * 2, 4)
    nodes: list[Node] = []
    account_at, token_at = {}, {}
    for row, index in enumerate(order):
        account_at[index] = len(nodes)
        nodes.append(_account(accounts[index], TOP + _step(row, len(order), height)))
    for row, place in enumerate(tokens):
        token_at[place] = len(nodes)
        nodes.append(_identifier(graph["identifiers"][place], TOP + _step(row, len(tokens), height)))
    lines = [(account_at[i], token_at[place]) for i in order for place in accounts[i]["holds"]]
    for row, party in enumerate(graph["parties"]):
        mine = [account_at[i] for i in order if accounts[i]["party"] == party["party"]]
        lines += [(len(nodes), one) for one in mine]
        y = _mean([nodes[one].y for one in mine]) or TOP + _step(row, len(graph["parties"]), height)
        nodes.append(_party(party, y))
    _apart(nodes, "party")
    height = max([height, *(one.y + ROW for one in nodes)])
    left = graph["accounts_total"] - len(accounts), graph["identifiers_total"] - len(tokens)
    omitted = f"Not shown: {left[0]:,} more accounts, {left[1]:,} more shared identifiers." if any(left) else ""
    return Picture(nodes, lines, WIDTH, height, omitted)


def _step(row: int, rows: int, height: float) -> float:
    return (row + 0.5) * (height - TOP) / max(rows, 1)


def _apart(nodes: list[Node], kind: str) -> None:
    """Keep nodes of a column two rows apart, in their order."""
    last = float("-inf")
    for place in sorted((i for i, one in enumerate(nodes) if one.kind == kind), key=lambda i: (nodes[i].y, i)):
        one = nodes[place]
        y = max(one.y, last + 2 * ROW)
        nodes[place] = Node(one.kind, one.label, one.title, one.x, y, one.weight, one.cut)
        last = y


def _account(one: Mapping[str, Any], y: float) -> Node:
    against = f", {one['measure']}" if one["measure"] else ""
    title = f"{one['account']} at {one['party']}: {one['requests_per_day']:,.0f} requests a day{against}"
    label = one["account"] if len(one["account"]) <= 22 else one["account"][:21] + "…"
    cut = one["measure"] not in (None, "OBSERVE")
    return Node("account", label, title, COLUMNS["account"], y, one["requests_per_day"], cut)


def _identifier(one: Mapping[str, Any], y: float) -> Node:
    measures = f", {one['measures']} measures" if one["measures"] else ""
    token = one["token"].hex()
    title = f"{one['kind']} {token}: {one['members']:,} members at {one['parties']} parties, {one['others']:,} others{measures}"
    label = f"{one['kind']} {token[4:12]} · {one['members']:,}"
    return Node("identifier", label, title, COLUMNS["identifier"], y, one["requests_per_day"], one["measures"] > 0)


def _party(one: Mapping[str, Any], y: float) -> Node:
    title = (
        f"{one['party']}: {one['accounts']:,} accounts, {one['requests_per_day']:,.0f} requests a day, {one['measures']:,} measures"
        + (f" that are to cut {one['expected_cut']:,.0f} a day" if one["expected_cut"] else "")
    )
    return Node("party", one["party"], title, COLUMNS["party"], y, one["requests_per_day"], False)
