"""Party scorecards: how much of the campaigns came in by each party, how it acts on what it is asked, and what comes back."""

from typing import Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks import measures as m

_HOUR_US: Final = 3_600_000_000
_ENDING: Final = ("DISPUTED", "NOT_OURS", "REFUSED")
_OBEYED: Final = ("ACCEPTED", "DONE", "PARTLY_DONE")
_FEEDS: Final = pl.DataFrame(
    [
        *((str(PartyKind.PAYMENT), kind) for kind in m.INSTRUMENT_KINDS),
        (str(PartyKind.CLOUD), int(IdentifierKind.IP)),
    ],
    schema={"party_kind": pl.String, "kind": pl.UInt8},
    orient="row",
)
"""What accounts of parties that serve nothing themselves feed others' accounts with: a payer's address is no lease, nor a lessee's card a payment."""
SCORECARDS: Final = pl.Schema(
    [
        ("party", pl.String()),
        ("party_kind", pl.String()),
        ("accounts", pl.Int64()),
        ("requests_entered", pl.Int64()),
        ("volume_entered_share", pl.Float64()),
        ("actions", pl.Int64()),
        ("answered", pl.Int64()),
        ("disputed_share", pl.Float64()),
        ("hours_to_act", pl.Float64()),
        ("accounts_after", pl.Int64()),
        ("requests_after_share", pl.Float64()),
    ]
)
"""One row per party that campaigns touch.

accounts: of campaigns at it. requests_entered: requests of campaigns that came in by it (own accounts; at payment parties also accounts
elsewhere that hold a card or bank account which the party sent, at clouds those that were on an address at the time for which it sent it), with
volume_entered_share of all of them; shares of parties overlap, as one request may need a card, a lease and an account.
answered, disputed_share: receipts to its actions, and those of them that refuse or dispute. hours_to_act: median from issue to
the receipt that obeys. accounts_after, requests_after_share: re-emergence, campaign accounts first seen at it after its first
action, and the share of its own accounts' requests that is theirs.
Null where there is nothing to measure.
"""


def scorecards(
    members: pl.DataFrame, links: pl.DataFrame, owners: pl.DataFrame, actions: pl.DataFrame, parties: pl.DataFrame
) -> pl.DataFrame:
    """SCORECARDS over all campaigns, the widest door first.

    members: a row per campaign account, [account UInt64, party, requests Int64, first_seen_us Int64]. links: frames.SHARED.
    owners: [account, party] of every account in them.
    actions: [party, issued_at_us Int64, answer String, answered_at_us Int64], null where there was no receipt. parties: [party, party_kind].
    """
    total = int(members["requests"].sum() or 0)
    answered = pl.col("answer").is_not_null()
    acted = pl.col("answer").is_in(_OBEYED)
    by_action = actions.group_by("party").agg(
        pl.len().alias("actions"),
        answered.sum().alias("answered"),
        (pl.col("answer").is_in(_ENDING).sum() / answered.sum()).fill_nan(None).alias("disputed_share"),
        ((pl.col("answered_at_us") - pl.col("issued_at_us")).filter(acted).median() / _HOUR_US).alias("hours_to_act"),
        pl.col("issued_at_us").min().alias("first_action_us"),
    )
    own = members.join(by_action.select("party", "first_action_us"), on="party", how="left")
    after = (pl.col("first_seen_us") > pl.col("first_action_us")).fill_null(value=False)
    by_account = own.group_by("party").agg(
        pl.len().alias("accounts"),
        after.sum().alias("accounts_after"),
        (pl.col("requests").filter(after).sum() / pl.col("requests").sum())
        .fill_nan(None)
        .alias("requests_after_share"),
    )
    came = (
        entered(members, links, owners, parties)
        .group_by("party")
        .agg(pl.col("requests").sum().alias("requests_entered"))
    )
    return (
        came.join(by_account, on="party", how="full", coalesce=True)
        .join(by_action, on="party", how="left")
        .join(parties, on="party", how="left")
        .with_columns(
            pl.col("accounts", "accounts_after", "requests_entered", "actions", "answered").fill_null(0),
            (pl.col("requests_entered").fill_null(0) / total if total else pl.lit(0.0)).alias("volume_entered_share"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SCORECARDS.items())
        .sort("volume_entered_share", "party", descending=[True, False])
    )


def entered(members: pl.DataFrame, links: pl.DataFrame, owners: pl.DataFrame, parties: pl.DataFrame) -> pl.DataFrame:
    """[party, account, requests]: each campaign account with every party by which it came in, once. Arguments as of `scorecards`."""
    node = ["identifier", "slot", "kind"]
    feeders = owners.join(parties, on="party").join(_FEEDS, on="party_kind").select("account", "party", "kind")
    held = links.filter(pl.col("kind").is_in(_FEEDS["kind"].implode())).select(*node, "account").unique()
    fed = (
        held.join(members.select("account", "requests"), on="account")
        .join(held.join(feeders, on=["account", "kind"]).select(*node, "party").unique(), on=node)
        .select("party", "account", "requests")
    )
    return pl.concat([members.select("party", "account", "requests"), fed]).unique(["party", "account"])
