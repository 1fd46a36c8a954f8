"""What is told of a campaign's members to people who work on the case: each piece of evidence, and the picture of who shares what."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.campaigns import evidence
from weaklink.campaigns.identity import Campaign
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.state import CampaignsState
from weaklink.frames import token_bytes
from weaklink.records.identifiers import HARD_KINDS, IdentifierKind

PIECES_MAX: Final = 16
IDENTIFIERS_MAX: Final = 40
ACCOUNTS_MAX: Final = 100
PARTIES_MAX: Final = 50
_WEIGHT_MIN: Final = 0.05
_SURE: Final = 1e-6
CODES: Final = {
    "task_mix": ("TASK_MIX", "last_usage_us"),
    "regularity": ("REGULARITY", "last_usage_us"),
    "output_share": ("OUTPUT_SHARE", "last_usage_us"),
    "camouflage": ("CAMOUFLAGE", "last_usage_us"),
    "age": ("ACCOUNT_AGE", "opened_at_us"),
    "plan_part": ("PLAN", "opened_at_us"),
    "verified_part": ("VERIFICATION", "opened_at_us"),
    "opened_from": ("OPENED_FROM", "opened_at_us"),
    "mail": ("MAIL", "opened_at_us"),
    "closed": ("CLOSED_BY_PARTY", "closed_at_us"),
    "feedback": ("FEEDBACK", "spoken_at_us"),
}
"""Part of conduct -> code, and the column that says when what it rests on was last seen."""
_ATTRIBUTES: Final = ("plan", "verified", "mail_class", "address_class")
_LINK: Final = ("identifier", "tail", "kind", "epoch")


def member_evidence(
    members: pl.DataFrame, links: pl.DataFrame, evaluation: Evaluation, state: CampaignsState
) -> list[dict[str, Any]]:
    """Fields of Avro MemberEvidence by member, times in microseconds, with its key as `key`.

    `members`: planning.plan_members rows of one campaign; `links`: planning.shared_links. The pieces add up to the belief: what is
    neither conduct nor unusual sharing of its own comes from its company (its chain, and what others that it shares with are believed to be).
    """
    profiles = state.accounts(evaluation.now_us, members["account"])
    conduct = evidence.conduct(profiles, evaluation.population.conduct, state.config.conduct).drop("b")
    told = evaluation.accounts.select("account", pl.col("score").alias("p"))
    rows = (
        profiles.select(
            "account", "opened_at_us", "closed_at_us", "last_usage_us", *(pl.col(n).cast(pl.String) for n in _ATTRIBUTES),
            pl.max_horizontal("disputed_at_us", "declined_at_us").alias("spoken_at_us"),
            pl.min_horizontal("closed_at_us", "suspended_at_us").alias("lost_at_us"), "disputed",
        )
        .hstack(conduct)
        .join(members.drop("opened_at_us", "disputed"), on="account", maintain_order="left")
        .join(told, on="account", maintain_order="left")
    )  # fmt: skip
    shares = _shares(members, links)
    prior = state.config.belief.prior_logit
    return [_one(row, shares.get(row["account"], []), prior, evaluation.now_us) for row in rows.iter_rows(named=True)]


def _one(row: Mapping[str, Any], shares: list[dict[str, Any]], prior: float, now_us: int) -> dict[str, Any]:
    p = min(max(row["p"], _SURE), 1 - _SURE)
    belief = float(np.log(p / (1 - p)))
    hard = [one for one in shares if IdentifierKind[one["kind"]] in HARD_KINDS]
    structure = 0.0 if row["disputed"] else row["structure"]
    own = sum(row[name] for name in CODES)
    found = [(code, row[name], 1, row[at]) for name, (code, at) in CODES.items()]
    found.append(
        ("RARE_SHARING", structure, _most(hard, "parties", 1), max((one["last_at"] for one in hard), default=None))
    )
    company = belief - prior - own - structure
    newest = max((one["last_at"] for one in shares), default=None)
    found.append(("COMPANY", company, max(row["supporting_parties"], 1), newest))
    pieces = [
        {"code": code, "weight": round(weight, 1), "parties": parties, "at": at}
        for code, weight, parties, at in sorted(found, key=lambda one: (-abs(one[1]), one[0]))
        if abs(weight) >= _WEIGHT_MIN
    ]
    same = ("account", "party", "own_finding", "hard_identifier", "established", "reseller", "supporting_parties")
    return {
        **{name: row[name] for name in (*same, *_ATTRIBUTES, "requests", "requests_per_day")},
        "key": row["account"],
        "account": row["account_name"],
        "at": now_us,
        "score": round(row["score"], 3),
        "belief": round(belief, 1),
        "prior": round(prior, 2),
        "pieces": pieces[:PIECES_MAX],
        "shares": shares,
        "first_seen_at": row["first_seen_us"],
        "last_seen_at": row["last_seen_us"],
        "opened_at": row["opened_at_us"],
        "lost_at": row["lost_at_us"],
    }


def _most(rows: list[dict[str, Any]], name: str, least: int) -> int:
    return max((one[name] for one in rows), default=least)


def _by_account(links: pl.DataFrame) -> pl.DataFrame:
    """[*_LINK, account, party, last_seen_us]: one row per token and account, over all slots."""
    return links.group_by(*_LINK, "account").agg(
        pl.col("party").first(), pl.col("last_seen_us").max(), pl.col("holders").max()
    )


def _tokens(members: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """[*_LINK, members, others, parties]: what two or more members hold."""
    # A column first: asked within each group, whether an account is a member is prepared anew for each of them.
    marked = held.with_columns(pl.col("account").is_in(members["account"].implode()).alias("inside"))
    counts = marked.group_by(_LINK).agg(
        pl.col("inside").sum().cast(pl.Int64).alias("members"), (~pl.col("inside")).sum().cast(pl.Int64).alias("others")
    )
    parties = marked.filter("inside").select(*_LINK, "party").unique().group_by(_LINK)
    return counts.filter(pl.col("members") > 1).join(parties.agg(pl.len().cast(pl.Int64).alias("parties")), on=_LINK)


def _shares(members: pl.DataFrame, links: pl.DataFrame) -> dict[int, list[dict[str, Any]]]:
    """By account what it shares with other members, by kind. `members` counts those of its most shared identifier, `others` likewise."""
    held = _by_account(links)
    own = held.join(members.select("account"), on="account", how="semi")
    grouped = (
        own.drop("party").join(_tokens(members, held), on=_LINK)
        .group_by("account", "kind")
        .agg(
            pl.len().cast(pl.Int64).alias("identifiers"),
            (pl.col("members").max() - 1).alias("members"),
            pl.col("others").max(),
            pl.col("parties").max(),
            pl.col("last_seen_us").max().alias("last_at"),
        )
        .sort("account", "members", "kind", descending=[False, True, False])
    )  # fmt: skip
    found: dict[int, list[dict[str, Any]]] = {}
    for row in grouped.iter_rows(named=True):
        account = row.pop("account")
        found.setdefault(account, []).append(row | {"kind": IdentifierKind(row["kind"]).name})
    return found


def graph(campaign: Campaign, members: pl.DataFrame, links: pl.DataFrame, now_us: int) -> dict[str, Any]:
    """Fields of Avro CampaignGraph, times in microseconds."""
    held = _by_account(links)
    tokens = _tokens(members, held)
    own = held.join(members.select("account", "requests_per_day"), on="account")
    used = own.group_by(_LINK).agg(pl.col("last_seen_us").max(), pl.col("requests_per_day").sum())
    shown = (
        tokens.join(used, on=_LINK)
        .sort("members", "others", "identifier", "tail", descending=[True, False, False, False])
        .head(IDENTIFIERS_MAX)
        .with_row_index("place")
    )
    asked = _measures_by_token(campaign)
    identifiers = []
    for row in shown.iter_rows(named=True):
        token = token_bytes(*(row[name] for name in _LINK))
        counts = {name: row[name] for name in ("members", "others", "parties", "requests_per_day")}
        kind = IdentifierKind(row["kind"]).name
        identifiers.append(
            {"token": token, "kind": kind, "last_at": row["last_seen_us"], "measures": asked.get(token, 0), **counts}
        )
    holds = own.join(shown.select(*_LINK, "place"), on=_LINK).group_by("account").agg(pl.col("place").sort())
    against = _measure_by_account(campaign)
    accounts = [
        {
            "party": row["party"],
            "account": row["account_name"],
            "requests_per_day": row["requests_per_day"],
            "reseller": row["reseller"],
            "measure": against.get((row["party"], row["account_name"])),
            "holds": row["place"],
        }
        for row in members.join(holds, on="account")
        .sort("requests_per_day", "account", descending=[True, False])
        .head(ACCOUNTS_MAX)
        .iter_rows(named=True)
    ]
    return {
        "campaign_id": campaign.campaign_id,
        "at": now_us,
        "accounts_total": members.height,
        "identifiers_total": tokens.height,
        "identifiers": identifiers,
        "accounts": accounts,
        "parties": _parties(campaign, members),
    }


def _measures_by_token(campaign: Campaign) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for one in campaign.measures:
        if one["target_token"] is not None:
            found[one["target_token"]] = found.get(one["target_token"], 0) + 1
    return found


def _measure_by_account(campaign: Campaign) -> dict[tuple[str, str], str]:
    return {
        (one["party"], one["target_account"]): one["measure"]
        for one in campaign.measures
        if one["target_account"] is not None
    }


def _parties(campaign: Campaign, members: pl.DataFrame) -> list[dict[str, Any]]:
    counted = members.group_by("party").agg(pl.len().alias("accounts"), pl.col("requests_per_day").sum())
    found = {row["party"]: row | {"measures": 0, "expected_cut": 0.0} for row in counted.iter_rows(named=True)}
    for one in campaign.measures:
        empty = {"party": one["party"], "accounts": 0, "requests_per_day": 0.0, "measures": 0, "expected_cut": 0.0}
        row = found.setdefault(one["party"], empty)
        row["measures"] += 1
        row["expected_cut"] += one["expected_cut"]
    ranked = sorted(found.values(), key=lambda row: (-row["requests_per_day"], row["party"]))
    return ranked[:PARTIES_MAX]
