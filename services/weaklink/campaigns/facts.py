"""What a campaign's message tells of it besides identity, members and plan."""

from typing import Any, Final

import polars as pl

from weaklink.campaigns import evidence
from weaklink.campaigns.evidence import CONDUCT_PARTS
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import JUDGED
from weaklink.campaigns.state import CampaignsState
from weaklink.campaigns.taken import taken
from weaklink.campaigns.traits import traits
from weaklink.records.identifiers import IdentifierKind

_REASONS_MAX: Final = 8
_WEIGHT_MIN: Final = 0.05
_CODES: Final = {
    "task_mix": "TASK_MIX",
    "regularity": "REGULARITY",
    "output_share": "OUTPUT_SHARE",
    "camouflage": "CAMOUFLAGE",
    "age": "ACCOUNT_AGE",
    "plan_part": "PLAN",
    "verified_part": "VERIFICATION",
    "opened_from": "OPENED_FROM",
    "mail": "MAIL",
    "closed": "CLOSED_BY_PARTY",
    "feedback": "FEEDBACK",
}


def facts(members: pl.DataFrame, links: pl.DataFrame, evaluation: Evaluation, state: CampaignsState) -> dict[str, Any]:
    """Fields of the Avro record Campaign. `members`: planning.plan_members rows; `links`: planning.shared_links."""
    own = members.filter("flagged")
    suspended = state.feedback.rows().select("account", "suspended_at_us").drop_nulls()
    found = traits(own, state.profiles, evaluation.now_us, suspended)
    conduct = evidence.conduct(
        state.accounts(evaluation.now_us, own["account"], JUDGED), evaluation.population.conduct, state.config.conduct
    )
    held = links.join(own.select("account"), on="account", how="semi")
    shared = held.group_by("identifier", "slot", "kind").len().filter(pl.col("len") > 1)
    return {
        "shared_identifiers": shared["identifier"].n_unique(),
        "requests": int(own["requests"].sum() or 0),
        "output_tokens": int(own["output_tokens"].sum() or 0),
        "requests_per_day": float(own["requests_per_day"].sum() or 0.0),
        "traits": found.traits,
        "models": found.models,
        "pivots": [
            {
                "model": one.model,
                "released_at": one.released_at_us,
                "share": one.share,
                "hours_median": one.hours_median,
            }
            for one in found.pivots
        ],
        "growth_per_hour": found.growth_per_hour,
        "replaced_share": found.replaced_share,
        "severity": found.severity,
        "taken": taken(own).record(),
        "evidence": _reasons(own, held.join(shared, on=["identifier", "slot", "kind"], how="semi"), conduct),
    }


def _reasons(own: pl.DataFrame, held: pl.DataFrame, conduct: pl.DataFrame) -> list[dict[str, Any]]:
    """Heaviest first: mean conduct by part, structure, and per kind coverage x ln(1 + shared identifiers)."""
    if own.height == 0:
        return []
    means = conduct.select(pl.all().mean()).row(0, named=True) | {"structure": own["structure"].mean()}
    parties = own["party"].n_unique()
    found = [(_CODES[name], means[name], parties) for name in CONDUCT_PARTS]
    found.append(("RARE_SHARING", means["structure"], parties))
    by_kind = held.group_by("kind").agg(
        pl.col("account").n_unique().alias("covered"),
        pl.col("identifier").n_unique().alias("identifiers"),
        pl.col("party").n_unique().alias("parties"),
    )
    for kind, covered, identifiers, many in by_kind.with_columns(
        (pl.col("covered") / own.height), (pl.col("identifiers") + 1).log()
    ).iter_rows():
        found.append((f"SHARED_{IdentifierKind(kind).name}", covered * identifiers, many))
    heavy = sorted((row for row in found if abs(row[1] or 0.0) >= _WEIGHT_MIN), key=lambda row: (-abs(row[1]), row[0]))
    return [{"code": code, "weight": round(weight, 4), "parties": many} for code, weight, many in heavy[:_REASONS_MAX]]
