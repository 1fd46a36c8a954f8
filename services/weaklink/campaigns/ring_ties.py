"""Which pairs of accounts are one operator's, by what they share and how soon after each other: a mixture measured on the data.

Two accounts that meet on an identifier by chance came to it at any two times; two of one operator came close together. How
close chance would bring them is known exactly (their ranks in time are uniform), so that for every class of identifiers the
share of pairs that chance explains can be read off the pairs that lie far apart: the local false discovery rate (Efron 2004),
with Storey's estimate of the null share. Nothing is learned from labels, and where there is nothing but chance no pair is tied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import isotonic_regression

from weaklink.campaigns.cluster_config import RingsConfig
from weaklink.campaigns.graph import Floats, Graph, Ints, counts, distinct, ranges, sums
from weaklink.campaigns.population import Mixture

DEGREES: Final[Ints] = np.array([2, 3, 5, 10, 20, 50, 100])
"""Upper ends of the classes of identifiers by holders."""
TRUST: Final[Floats] = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
"""Upper ends of the classes of identifiers by how many of their other pairs are one operator's."""
BINS: Final = 13
"""Bins of closeness: bin k holds the pairs that a share of 2^-(k+1) to 2^-k of chance pairs come as close as; the last all below."""
CHANCE: Final[Floats] = np.append(2.0 ** -np.arange(1.0, BINS), 2.0 ** -(BINS - 1.0))
MANY: Final = 3
"""Common identifiers are counted as 1, 2, 3 or more."""
_ROUNDS: Final = 100
_PRIOR_PAIRS: Final = 10.0
"""Pairs as close as chance has it that the measured closeness of one operator's pairs is shrunk to."""
_SHARE_MIN, _SHARE_MAX = 0.001, 0.99


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of accounts that hold an identifier in common, and the rows (identifier, pair) that they come from."""

    low: Ints
    high: Ints
    closeness: Ints  # bin of each pair, of the identifier at which they are closest
    many: Ints  # identifiers in common, less 1, up to MANY - 1
    degree: Ints  # of the pair's rarest identifier
    row_pair: Ints
    row_node: Ints
    row_degree: Ints


def pairs(graph: Graph, links: Ints, degree: Ints, times: Ints) -> Pairs:
    """All pairs of holders of one node, of the links given (sorted by node, account). `degree`: holders of each node.

    Closeness is measured in ranks among all `links`, so that busy hours do not pass for company.
    """
    links = links[counts(graph.node[links], len(graph.kind))[graph.node[links]] > 1]
    node, account, first = graph.node[links], graph.account[links], graph.link_first_us[links]
    one, other = _holders(node)
    before, until = np.searchsorted(times, first, "left"), np.searchsorted(times, first, "right")
    between = np.maximum(until[one], until[other]) - np.minimum(before[one], before[other])
    pair, low, high = distinct(np.minimum(account[one], account[other]), np.maximum(account[one], account[other]))
    n = len(low)
    apart = np.ones(n)
    np.minimum.at(apart, pair, between / max(len(times), 1))
    rarest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(rarest, pair, degree[node[one]])
    by_chance = 2 * apart - apart**2  # share of pairs of uniform ranks that lie at most so far apart
    closeness = np.minimum(np.floor(-np.log2(np.maximum(by_chance, 2.0**-BINS))), BINS - 1).astype(np.int64)
    many = np.minimum(counts(pair, n), MANY) - 1
    return Pairs(low, high, closeness, many, rarest, pair, node[one], degree[node[one]])


def _holders(node: Ints) -> tuple[Ints, Ints]:
    """Every unordered pair of rows with the same (sorted) node."""
    last = np.searchsorted(node, node, side="right")
    one = np.arange(len(node), dtype=np.int64)
    after = last - one - 1
    return np.repeat(one, after), ranges(one + 1, after)


def posterior(
    found: Pairs, config: RingsConfig, known: Sequence[Mixture] | None = None
) -> tuple[Floats, tuple[Mixture, ...]]:
    """(probability of each pair to be one operator's, the mixture of each pass), by the `known` mixtures or by measured ones.

    First by classes of degree and number of common identifiers; then again by classes of trust: what share of an identifier's other
    pairs the last pass took for one operator's. That is what tells an operator's wallet with 50 accounts from a counter with 50 customers.
    """
    rows, degree = found.row_pair, np.searchsorted(DEGREES, found.row_degree)
    classes, size = np.searchsorted(DEGREES, found.degree) * MANY + found.many, (len(DEGREES) + 1) * MANY
    mixtures = [known[0] if known else fit(classes, found.closeness, size, config)]
    prior = mixtures[0].share[degree * MANY + found.many[rows]]
    p = _at(mixtures[0], classes, found)
    for turn in range(1, config.trust_rounds + 1):
        trust = np.zeros(len(p))
        np.maximum.at(trust, rows, others(found, p, prior, config.trust_prior_pairs))
        classes, size = np.searchsorted(TRUST, trust) * MANY + found.many, (len(TRUST) + 1) * MANY
        mixtures.append(known[turn] if known else fit(classes, found.closeness, size, config))
        p = _at(mixtures[turn], classes, found)
    return p, tuple(mixtures)


def others(found: Pairs, value: Floats, prior: Floats, prior_pairs: float) -> Floats:
    """For each row (identifier, pair), the mean `value` of the identifier's other pairs, shrunk to `prior` by `prior_pairs`."""
    size = int(found.row_node.max(initial=-1)) + 1
    own = value[found.row_pair]
    total, many = sums(found.row_node, own, size), counts(found.row_node, size)
    rest: Floats = (total[found.row_node] - own + prior_pairs * prior) / np.maximum(
        many[found.row_node] - 1 + prior_pairs, 1e-9
    )
    return rest


def coherent(found: Pairs, config: RingsConfig) -> Floats:
    """For each pair, the second highest coherence of its rare identifiers, 0 where it has no two.

    Coherence is the share of the identifier's other pairs that have another identifier in common too. It needs no times: rings that
    open their accounts slowly are held together by it.
    """
    size = len(found.low)
    n = int(found.row_node.max(initial=-1)) + 1
    several = found.many > 0
    value = others(found, several.astype(np.float64), np.zeros(len(found.row_node)), 0.0)
    value = np.where((found.row_degree <= config.coherent_degree_max) & (counts(found.row_node, n)[found.row_node] > 1), value, 0.0)  # fmt: skip
    order = np.lexsort((-value, found.row_pair))
    first = np.searchsorted(found.row_pair[order], np.arange(size))
    second = np.minimum(first + 1, len(order) - 1)
    has = several & (found.row_pair[order[second]] == np.arange(size)) if size else np.zeros(0, bool)
    return np.where(has, value[order[second]], 0.0) if size else np.zeros(0)


def fit(classes: Ints, closeness: Ints, size: int, config: RingsConfig) -> Mixture:
    """The mixture by expectation maximisation over the counts of [class, closeness].

    Chance pairs have the known closeness CHANCE. The share of each class that is one operator's is bounded by what its far
    half leaves (Storey 2002), less `null_margin` standard errors; closeness of one operator's pairs is monotone in its odds.
    """
    seen = counts(classes * BINS + closeness, size * BINS).reshape(size, BINS).astype(np.float64)
    pairs_of = seen.sum(axis=1)
    far = (seen[:, 0] + 1) / (pairs_of + 2)
    null = (far + config.null_margin * np.sqrt(far * (1 - far) / (pairs_of + 2))) / CHANCE[0]
    share_max = np.clip(1 - null, _SHARE_MIN, _SHARE_MAX)
    share = np.minimum(0.5, share_max)
    close = _normed(np.exp(np.arange(BINS) / 2) * CHANCE)
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-_log_odds(share, close)))
        one = seen * p
        share = np.clip((one.sum(axis=1) + 1) / (pairs_of + 2), _SHARE_MIN, share_max)
        ratio = isotonic_regression((one.sum(axis=0) + _PRIOR_PAIRS * CHANCE) / CHANCE, weights=CHANCE).x
        close = _normed(ratio * CHANCE)
    return Mixture(np.round(_log_odds(share, close), 9), share)


def _log_odds(share: Floats, close: Floats) -> Floats:
    odds: Floats = np.log(share / (1 - share))[:, None] + np.log(close / CHANCE)[None, :]
    return odds


def _normed(values: Floats) -> Floats:
    result: Floats = values / values.sum()
    return result


def _at(mixture: Mixture, classes: Ints, found: Pairs) -> Floats:
    p: Floats = 1 / (1 + np.exp(-mixture.log_odds[classes, found.closeness]))
    return p
