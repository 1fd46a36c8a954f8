"""Pieces of a campaign that nothing but templates of its own joins.

A chain shows too few of its identifiers to hang together: what is seen of it is many pieces of a few persons each. A published
template joins strangers, and says nothing. A template most of whose holders are in pieces that look like an operator's is not published.
"""

from typing import Final

import numpy as np

from weaklink.campaigns.cluster import NONE, relabel
from weaklink.campaigns.cluster_config import TemplatesConfig
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.graph import Bools, Floats, Graph, Ints, counts, distinct
from weaklink.records.identifiers import IdentifierKind

_NO_PAIRS: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def reunited(graph: Graph, labels: Ints, sharing: Floats, config: TemplatesConfig) -> Ints:
    """`labels` with those pieces joined that have a template in common which is theirs. `sharing`: E of each piece, bits.

    A piece takes part when it shares many small groups of identifiers itself (`sharing_min`): a team on one card, whatever template
    it uses, does not. A template counts when `holders_share` of all its holders are in pieces, and `sharing_share` of these in pieces
    that take part. A piece hangs on it when `accounts_share` of its accounts have at least `bands` of its bands.
    Two operators may have found the same words; `pieces_min` pieces are one that was cut.
    """
    size = len(sharing)
    piece, node = _on_own_templates(graph, labels, sharing >= config.sharing_min, config) if size else _NO_PAIRS
    if len(piece) == 0:
        return labels
    component = components(size + len(graph.kind), piece, size + node)
    return relabel(np.where(labels == NONE, NONE, component[:size][labels]))


def _on_own_templates(graph: Graph, labels: Ints, takes_part: Bools, config: TemplatesConfig) -> tuple[Ints, Ints]:
    """Pairs (piece, PROMPT node) of pieces and the templates that they hang on."""
    links = np.flatnonzero((labels[graph.account] != NONE) & (graph.link_kind == IdentifierKind.PROMPT))
    held = counts(graph.node[links], len(graph.kind))
    links = links[takes_part[labels[graph.account[links]]]]
    sharing = counts(graph.node[links], len(graph.kind))
    own = (sharing >= config.holders_min) & (sharing >= config.sharing_share * held)
    own &= held >= config.holders_share * (graph.known + graph.unseen)
    links = links[own[graph.node[links]]]
    accounts = counts(graph.account[links], graph.n_accounts)
    links = links[accounts[graph.account[links]] >= config.bands]
    holding = np.unique(graph.account[links])
    pieces = counts(labels[labels != NONE], len(takes_part))
    enough = counts(labels[holding], len(takes_part)) >= config.accounts_share * pieces
    links = links[enough[labels[graph.account[links]]]]
    _, piece, node = distinct(labels[graph.account[links]], graph.node[links])
    many = counts(node, len(graph.kind))[node] >= config.pieces_min
    return piece[many], node[many]


def hangers_on(graph: Graph, labels: Ints, hot: Bools, config: TemplatesConfig) -> tuple[Ints, Ints]:
    """(accounts, label that each joins): hot accounts outside that have at least `bands` bands of a confirmed community's own template.

    It is the community's own when `holders_min` members and `members_share` of all its holders are of it, and `suspects_share` of its holders
    are members or hot: hardly anybody has it of whom nothing is believed.
    """
    prompts = np.flatnonzero(graph.link_kind == IdentifierKind.PROMPT)
    account, node = graph.account[prompts], graph.node[prompts]
    member = labels[account] != NONE
    suspects = counts(node[member | hot[account]], len(graph.kind))
    part, part_node, part_label = distinct(node[member], labels[account[member]])
    held, holders = counts(part, len(part_node)), (graph.known + graph.unseen)[part_node]
    own = (held >= config.holders_min) & (held >= config.members_share * holders)
    own &= suspects[part_node] >= config.suspects_share * holders
    # More than one community may hold enough of a template: who has most of it is asked.
    best = np.lexsort((part_label, -held, part_node))
    best = best[own[best]]
    node_label = np.full(len(graph.kind), NONE, np.int64)
    node_label[part_node[best[::-1]]] = part_label[best[::-1]]
    asked = ~member & hot[account] & (node_label[node] != NONE)
    pair, pair_account, pair_label = distinct(account[asked], node_label[node[asked]])
    bands = counts(pair, len(pair_account))
    order = np.lexsort((pair_label, -bands, pair_account))
    first = order[np.unique(pair_account[order], return_index=True)[1]]
    first = first[bands[first] >= config.bands]
    return pair_account[first], pair_label[first]
