"""Actions and proposals to rows of the ledger and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from weaklink.enforce.action import Action, State, Target
from weaklink.enforce.view import Proposal

_PLAIN: Final = tuple(
    one.name for one in fields(Action) if one.name not in ("target", "state", "reasons", "campaign_id", "measure")
)


def action_row(action: Action) -> dict[str, Any]:
    """The row of `actions`."""
    return {
        **_target_columns(action.campaign_id, action.measure, action.target),
        **{name: getattr(action, name) for name in _PLAIN},
        "state": action.state.value,
        "reasons": [list(one) for one in action.reasons],
    }


def action_of(row: Mapping[Any, Any]) -> Action:
    """A row of `actions` as an Action."""
    return Action(
        campaign_id=row["campaign_id"],
        measure=row["measure"],
        target=Target.of(row),
        state=State(row["state"]),
        reasons=tuple((code, weight, parties) for code, weight, parties in row["reasons"]),
        **{name: row[name] for name in _PLAIN},
    )


def action_json(action: Action) -> dict[str, Any]:
    """The action for people and JSON: tokens in hex."""
    row = action_row(action)
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def proposal_row(proposal: Proposal) -> dict[str, Any]:
    """The row of `proposals`."""
    return {
        **_target_columns(proposal.campaign_id, proposal.measure, proposal.target),
        "proposal_id": proposal.proposal_id,
        "standing": proposal.standing,
        "decided_at_us": proposal.decided_at_us,
        "verdict": proposal.verdict,
        "action_id": proposal.action_id,
    }


def proposal_of(row: Mapping[Any, Any]) -> Proposal:
    """A row of `proposals` as a Proposal."""
    return Proposal(
        row["proposal_id"],
        row["campaign_id"],
        Target.of(row),
        row["measure"],
        row["standing"],
        row["decided_at_us"],
        row["verdict"],
        row["action_id"],
    )


def _target_columns(campaign_id: str, measure: str, target: Target) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "party": target.party,
        "measure": measure,
        "target_account": target.account,
        "target_token": target.token,
        "slice_model": target.slice_model,
        "slice_end_user": target.slice_end_user,
        "target_key": target.key,
    }
