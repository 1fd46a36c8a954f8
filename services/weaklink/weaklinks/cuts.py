"""The weak-link plan of a campaign: the measures that cut most of its volume with least harm, each to the party able to take it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.weaklinks import collateral, listing
from weaklink.weaklinks import measures as m
from weaklink.weaklinks.assemble import Assembled, assemble
from weaklink.weaklinks.candidates import SLICES, Candidates, candidates
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import Holdings, holdings
from weaklink.weaklinks.problem import Solution
from weaklink.weaklinks.solve import solve

MEMBER_COLUMNS: Final = (
    "account",
    "party",
    "account_name",
    "score",
    "requests_per_day",
    "established",
    "organisation_verified",
    "own_finding",
    "supporting_parties",
    "hard_identifier",
    "reseller",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """measures: dicts in the shape of `ProposedMeasure` (op ISSUE), those that cut most first. The rest is about them together.

    volume_cut_share: share of the campaign's volume, 0 to 1. benign_accounts_touched: each once. gap: how far the best plan may
    lie above this one, as a share of the proven bound (0: proven best). solver: `milp`, or `greedy` when the program found nothing
    better in time. unit_requests_per_day: of one account-equivalent (0: no usage at all), for `accounts.account_measures` until the
    next plan.
    """

    measures: list[dict[str, Any]]
    volume_cut_share: float
    benign_accounts_touched: int
    gap: float
    solver: str
    unit_requests_per_day: float


def plan_campaign(
    members: pl.DataFrame,
    links: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    time_limit_seconds: float | None = None,
    *,
    slices: pl.DataFrame | None = None,
) -> Plan:
    """Work out the plan of one campaign.

    members: `MEMBER_COLUMNS` (account UInt64, score 0 to 1, requests_per_day f64, supporting_parties Int32, the rest bool).
    links: the columns of `frames.SHARED` joined with [party, account_name, score, requests_per_day,
    organisation_verified], of every node that two
    or more members hold, for members and for all its other holders. parties: id to kind; an account of a party that is not
    in it is only observed. time_limit_seconds: for the solver; default `config.time_limit_seconds`. slices:
    `candidates.SLICES`, the campaign's part of its resellers' traffic, where it is known.
    """
    held, found, bystanders = prepared(members, links, parties, config, slices)
    assembled = assemble(held.members, found, bystanders, held.unit_requests_per_day, config)
    solution = solve(assembled.problem, config, time_limit_seconds)
    return Plan(
        measures=listing.measures(held, found, bystanders, assembled, solution.chosen, config=config),
        volume_cut_share=_cut_share(assembled, solution),
        benign_accounts_touched=collateral.touched(bystanders, solution.chosen[: assembled.shared]),
        gap=solution.gap,
        solver=solution.solver,
        unit_requests_per_day=held.unit_requests_per_day,
    )


def prepared(
    members: pl.DataFrame,
    links: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    slices: pl.DataFrame | None,
) -> tuple[Holdings, Candidates, pl.DataFrame]:
    """(holdings with `own`, candidate measures, bystanders): what a plan is made from. Arguments: see `plan_campaign`."""
    slices = pl.DataFrame(schema=SLICES) if slices is None else slices
    held = holdings(members, links, parties, slices, config)
    own = m.own_measure(config).alias("own")
    held = replace(held, members=held.members.with_columns(own))
    found = candidates(held, slices, config)
    return held, found, collateral.bystanders(held, found.cuts_tokens, config)


def _cut_share(assembled: Assembled, solution: Solution) -> float:
    volumes = assembled.problem.volumes
    total = float(volumes.sum())
    return float(volumes @ assembled.problem.cut(solution.chosen)) / total if total else 0.0
