"""Evidence of one account by itself: conduct (what it does) and structure (how unusual its sharing is)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink import frames
from weaklink.campaigns import belief_loops
from weaklink.campaigns.evidence_config import ConductConfig, StructureConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Floats, Graph, Ints, Paths, counts, sums
from weaklink.campaigns.population import Sharing, Tails, TypicalConduct
from weaklink.campaigns.profiles import TASK_COLUMNS, TASKS, US_PER_DAY

USAGE_PARTS: Final = ("task_mix", "regularity", "output_share")
CONDUCT_PARTS: Final = (
    "task_mix",
    "regularity",
    "output_share",
    "camouflage",
    "age",
    "plan_part",
    "verified_part",
    "opened_from",
    "mail",
    "closed",
    "feedback",
)


_OPENING: Final = {
    "plan_part": ("plan", frames.PLAN),
    "verified_part": ("verified", frames.VERIFIED),
    "opened_from": ("address_class", frames.ADDRESS_CLASS),
    "mail": ("mail_class", frames.MAIL_CLASS),
}
_ROUNDED: Final = 9
BLOCK_ACCOUNTS: Final = 1 << 16
"""All accounts are gone through in blocks of so many, so that what is worked out on the way takes no memory to speak of."""


def typical_conduct(accounts: pl.DataFrame, config: ConductConfig) -> TypicalConduct:
    """The population's task mix and output ratio. Every account counts alike, so that volume cannot bend them."""
    used = accounts.select("windows", *TASK_COLUMNS, "input_tokens", "output_tokens").filter(pl.col("windows") > 0)
    shares = used.select((pl.col(name) / pl.col("windows")).sum() for name in TASK_COLUMNS).row(0)
    prior = config.population_prior_accounts
    weights = []
    for task, share in zip(TASKS, shares, strict=True):
        population = ((share or 0.0) + prior / len(TASKS)) / (used.height + prior)
        ratio = float(np.log(config.campaign_task_shares[task] / population))
        weights.append(round(max(-config.task_window_clip, min(config.task_window_clip, ratio)), 9))
    median = float(np.median(_output_ratio(used))) if used.height else 0.0
    return TypicalConduct(tuple(weights), median)


def _output_ratio(accounts: pl.DataFrame) -> Floats:
    """Logarithm of output tokens for each input token."""
    output, asked = (accounts[name].to_numpy().astype(np.float64) for name in ("output_tokens", "input_tokens"))
    ratio: Floats = np.round(np.log(output + 1) - np.log(asked + 1), _ROUNDED)
    return ratio


def conduct(accounts: pl.DataFrame, typical: TypicalConduct, config: ConductConfig) -> pl.DataFrame:
    """The parts of conduct, in nats, and their sum `b`, a row per account in the same order.

    `accounts`: profiles.ACCOUNTS with the unpacked `plan`, `verified`, `address_class` and `mail_class`, and Boolean `disputed` and `declined`.
    Sums are rounded to 1e-9, so that the order in which floats were added leaves no trace.
    """
    # In numpy: hundreds of expressions cost more than what they compute for the few accounts that a tick touches.
    windows = accounts["windows"].to_numpy().astype(np.float64)
    used = windows > 0
    opened, first, last = (
        accounts[name].to_numpy().astype(np.float64) for name in ("opened_at_us", "first_seen_us", "last_seen_us")
    )
    known = ~np.isnan(opened)
    old = last - np.where(known, opened, first) >= config.old_account_days * US_PER_DAY
    closed = [accounts[name].to_numpy() == 1 for name in ("closed_distillation", "closed_abuse")]
    spoken = [accounts[name].to_numpy() for name in ("disputed", "declined")]
    ratio = _output_ratio(accounts) - typical.output_ratio - config.output_margin
    parts = {
        "task_mix": np.where(used, _task_mix(accounts, typical, config), 0.0),
        "regularity": _regularity(accounts, windows, config),
        "output_share": np.where(used, np.clip(config.output_weight * ratio, *config.output_clip), 0.0),
        "age": np.where(old, config.old_account, np.where(known, config.new_account, 0.0)),
        "closed": np.select(closed, [config.closed_distillation, config.closed_abuse], 0.0),
        "feedback": np.select(spoken, [config.disputed, config.declined], 0.0),
    }
    for part, (column, symbols) in _OPENING.items():
        parts[part] = _looked_up(accounts[column], symbols, getattr(config, column))
    usage = sum((parts[name] for name in USAGE_PARTS), np.zeros(accounts.height))
    mixed = np.log((1 - config.camouflaged_share) * np.exp(usage) + config.camouflaged_share)
    parts["camouflage"] = np.round(mixed - usage, _ROUNDED)
    b = np.round(sum((parts[name] for name in CONDUCT_PARTS), np.zeros(accounts.height)), _ROUNDED)
    return pl.DataFrame({**{name: parts[name] for name in CONDUCT_PARTS}, "b": b})


def reckoned(accounts: pl.DataFrame, typical: TypicalConduct, config: ConductConfig) -> Floats:
    """`b` of `conduct` of any number of accounts."""
    blocks = accounts.iter_slices(BLOCK_ACCOUNTS)
    found: Floats = np.concatenate(
        [np.zeros(0), *(conduct(block, typical, config)["b"].to_numpy() for block in blocks)]
    )
    return found


def _looked_up(column: pl.Series, symbols: pl.Enum, weights: dict[str, float]) -> Floats:
    """Weight of each symbol; 0 of one without a weight, and of null."""
    by_place = np.array([*(weights.get(symbol, 0.0) for symbol in symbols.categories), 0.0])
    places = (column if column.dtype == symbols else column.cast(symbols)).to_physical().to_numpy()
    if places.dtype.kind == "f":  # there are nulls
        places = np.nan_to_num(places, nan=len(by_place) - 1).astype(np.int64)
    found: Floats = by_place[places]
    return found


def _regularity(accounts: pl.DataFrame, windows: Floats, config: ConductConfig) -> Floats:
    """How much the requests of an account's windows are alike: log-likelihood ratio of their spread."""
    enough = windows >= config.regular_windows_min
    many = np.where(enough, windows, np.maximum(config.regular_windows_min, 2))
    total, squares = (accounts[name].to_numpy() for name in ("log_requests_sum", "log_requests_sq_sum"))
    variance = np.maximum(squares / many - (total / many) ** 2, 0) * many / (many - 1)
    sigma2 = config.regular_sigma**2
    told = config.regular_weight * (many - 1) * (np.log(1 / config.regular_sigma) - variance / 2 * (1 / sigma2 - 1))
    return np.where(enough, np.clip(told, *config.regular_clip), 0.0)


def _task_mix(accounts: pl.DataFrame, typical: TypicalConduct, config: ConductConfig) -> Floats:
    """Log-likelihood ratio of the task mix, campaign against population."""
    total = np.zeros(accounts.height)
    for name, weight in zip(TASK_COLUMNS, typical.task_weights, strict=True):
        total += accounts[name].to_numpy() * weight
    clipped: Floats = np.clip(config.task_weight * total, *config.task_clip)
    return clipped


@dataclass(frozen=True, slots=True)
class Degrees:
    """With how many persons each account shares identifiers, by kind; hard kinds only. Rows, ascending; most accounts have none.

    At its own party: `own_key` (account * KINDS + kind), `own`, the persons. At others, one row for each account, kind and foreign party:
    `foreign_key`, `foreign_party`, and `foreign`, the persons there.
    """

    n_accounts: int
    own_key: Ints
    own: Floats
    foreign_key: Ints
    foreign_party: Ints
    foreign: Floats


def degrees(graph: Graph, along: Paths) -> Degrees:
    """Degrees of all accounts of the graph."""
    return Degrees(
        graph.n_accounts,
        *belief_loops.sharing(
            along.starts,
            along.order,
            graph.node,
            graph.kind,
            IS_HARD,
            graph.group,
            along.first,
            graph.group_party,
            graph.group_persons,
            len(graph.parties),
        ),
    )


def sharing(graph: Graph, degree: Degrees) -> Sharing:
    """How common sharing is, measured on the whole graph."""
    key, row = np.unique(np.concatenate((degree.own_key, degree.foreign_key)), return_inverse=True)
    everywhere = sums(row.reshape(-1), np.concatenate((degree.own, degree.foreign)), len(key))
    accounts = _could_share(graph)
    return Sharing(Tails.of(degree.own_key % KINDS, degree.own, accounts), Tails.of(key % KINDS, everywhere, accounts))


def structure(degree: Degrees, typical: Sharing, trusted: Floats, config: StructureConfig) -> tuple[Floats, Floats]:
    """(structure of each account, what of it makes the account a witness), in nats.

    clip(ln(.6 / u_k(d)), 0, 2.5) per hard kind k, where u_k(d) is the share of accounts, at parties where the kind occurs,
    that share identifiers of the kind with at least d persons. What only foreign parties show counts at most 1 per foreign party,
    over all kinds together, times what that party is `trusted` (0 to 1, by party of the graph). A witness is who has evidence that
    `colluding_max` other parties cannot have made up: what its own party shows, and what others show but for the strongest so many.
    """
    key, foreign_key = degree.own_key, degree.foreign_key
    own = _rarity(key % KINDS, degree.own, typical.own, config)
    at = np.searchsorted(key, foreign_key)
    there = at < len(key)
    there[there] = key[at[there]] == foreign_key[there]
    beside, known = degree.foreign.copy(), np.zeros(len(foreign_key))
    beside[there] += degree.own[at[there]]
    known[there] = own[at[there]]
    together = _rarity(foreign_key % KINDS, beside, typical.everywhere, config)
    more = np.maximum(together - known, 0)
    accuser = foreign_key // KINDS * len(trusted) + degree.foreign_party
    said, row = np.unique(accuser, return_inverse=True)
    row = row.reshape(-1)
    over = sums(row, more, len(said))
    shown = np.minimum(over, config.foreign_party_max) * trusted[said % len(trusted)]
    borne_out = _without_strongest(said // len(trusted), shown, degree.n_accounts, config.colluding_max)
    more *= config.foreign_party_max / np.maximum(over[row], config.foreign_party_max) * trusted[degree.foreign_party]
    by_account, alone = np.empty(degree.n_accounts), np.empty(degree.n_accounts)
    # Few accounts share anything of most kinds, and a number for each account and kind is more than all else that is known of it.
    for first in range(0, degree.n_accounts, BLOCK_ACCOUNTS):
        last = min(first + BLOCK_ACCOUNTS, degree.n_accounts)
        low, high = first * KINDS, last * KINDS
        rows, foreign = (slice(*np.searchsorted(keys, (low, high))) for keys in (key, foreign_key))
        total = np.zeros(high - low)
        total[key[rows] - low] = own[rows]
        alone[first:last] = total.reshape(-1, KINDS).sum(axis=1)
        total += sums(foreign_key[foreign] - low, more[foreign], high - low)
        by_account[first:last] = np.minimum(total, config.kind_max).reshape(-1, KINDS).sum(axis=1)
    return np.minimum(by_account, config.total_max), np.minimum(alone + borne_out, config.total_max)


def _without_strongest(account: Ints, shown: Floats, n_accounts: int, strongest: int) -> Floats:
    """What foreign parties show of each account without so many of the strongest.

    account, shown: a row for each account and foreign party, accounts ascending.
    """
    order = np.lexsort((-shown, account))
    first = np.searchsorted(account, account)  # rows of an account are together, in either order
    rank = np.arange(len(account)) - first
    left = rank >= strongest
    return sums(account[left], shown[order][left], n_accounts)


def _could_share(graph: Graph) -> Floats:
    """Accounts at the parties where a kind occurs, by kind: those that could have shared one."""
    occurs = np.zeros((KINDS, len(graph.parties)), bool)
    occurs[graph.kind[graph.group_node], graph.group_party] = True
    return occurs @ counts(graph.party, len(graph.parties)).astype(np.float64)


def _rarity(kind: Ints, degree: Floats, tails: Tails, config: StructureConfig) -> Floats:
    """clip(ln(.6 / u_k(d)), 0, 2.5) of each pair; 0 where nothing is shared."""
    result = np.zeros(len(degree))
    asked = np.flatnonzero(degree > 0)
    tail = np.maximum(tails.at(kind[asked], degree[asked]), config.tail_floor)
    result[asked] = np.clip(np.log(config.log_share / tail), 0, config.kind_max)
    return result
