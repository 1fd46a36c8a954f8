"""STIX 2.1 bundles of campaigns and of actions.

STIX Version 2.1, OASIS Standard, 10 June 2021. Marked with TLP 2.0 by the OASIS extension definition (CTI Technical Committee,
"TLP 2.0 marking definition", extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d).
Identifiers of objects follow from what they say (UUID version 5), so that an export that is made again updates the objects of the one before.
Of all versions under one identifier `created` is the same (3.6 "Versioning"), and none is `revoked`, which would be for good: an action that was
withdrawn, and a campaign that was dissolved, can come back under theirs.
Tokens are keyed hashes: they stand in patterns of an object type of their own, `x-weaklink-token`, and mean something only to who holds the keys.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stix2
from stix2.patterns import EqualityComparisonExpression, ObjectPath, ObservationExpression, StringConstant

from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure, Tlp
from weaklink.records.identifiers import IdentifierKind

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "tag:weaklink,2026:stix")
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""`created` of every object: when a campaign or an action was first told of is in no later version of it."""
_SHORTEST: Final = timedelta(milliseconds=1)
_TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP_MARKINGS: Final = {
    Tlp.CLEAR: ("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "clear"),
    Tlp.GREEN: ("marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "green"),
    Tlp.AMBER: ("marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", "amber"),
    Tlp.AMBER_STRICT: ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", "amber+strict"),
    Tlp.RED: ("marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", "red"),
}
_MEANS: Final = {
    Measure.CHALLENGE: "Ask the account to prove who it is.",
    Measure.THROTTLE: "Limit the account's rate.",
    Measure.SUSPEND: "Suspend the account.",
    Measure.BLOCK_IDENTIFIER: "Accept this identifier for no account.",
    Measure.REVOKE_LEASE: "Take the leased address back.",
    Measure.REQUIRE_END_USER_IDS: "Require the reseller to name its end users.",
    Measure.OBSERVE: "Watch; nothing else.",
}


def campaign_bundle(
    campaign: Mapping[str, Any],
    members: Iterable[Mapping[str, Any]] = (),
    actions: Iterable[EnforcementAction] = (),
    *,
    party: str | None = None,
    tlp: Tlp = Tlp.AMBER,
) -> dict[str, Any]:
    """One campaign as a bundle: the campaign, its accounts as observed data, and the actions against it.

    `campaign` and `members` are the values of Campaign and CampaignMember records. With `party` the bundle is fit for that party: only its
    own accounts and actions, and of the campaign only its name, state, begin and confidence. Without, everything (for operators).
    Members that are not confirmed are left out. Raises ValueError when an action is another campaign's.
    """
    own = [one for one in members if one["flagged"] and party in (None, one["party"])]
    asked = [one for one in actions if party in (None, one.party)]
    if any(one.campaign_id != campaign["campaign_id"] for one in asked):
        raise ValueError(f"an action of another campaign than {campaign['campaign_id']}")
    made = _Objects(tlp)
    subject = _campaign(campaign, made, told_all=party is None)
    made.add(subject)
    by_party: dict[str, list[Mapping[str, Any]]] = {}
    for member in own:
        by_party.setdefault(member["party"], []).append(member)
    for name, theirs in sorted(by_party.items()):
        _observe(subject, name, theirs, made)
    for action in asked:
        _act(subject, action, made)
    return made.bundle(f"campaign:{campaign['campaign_id']}:{party or ''}")


def actions_bundle(actions: Iterable[EnforcementAction]) -> dict[str, Any]:
    """What one party was asked to do, as a bundle: indicators, courses of action, and a campaign object that tells no more than the action did.

    Of each action the latest revision counts. Raises ValueError when the actions are several parties'.
    """
    latest: dict[str, EnforcementAction] = {}
    for action in actions:
        if action.action_id not in latest or latest[action.action_id].revision <= action.revision:
            latest[action.action_id] = action
    if len({action.party for action in latest.values()}) > 1:
        raise ValueError("actions of several parties: a bundle is one party's")
    made = _Objects(Tlp.AMBER)
    for action in latest.values():
        subject = stix2.Campaign(
            id=_id("campaign", action.campaign_id), name=action.campaign_id, created=_BEGIN, modified=_BEGIN,
            created_by_ref=made.creator.id, object_marking_refs=made.marking(Tlp.AMBER),
            aliases=[action.campaign_id], objective=_OBJECTIVE,
        )  # fmt: skip
        made.add(subject)
        _act(subject, action, made)
    return made.bundle("actions:" + ",".join(f"{key}.{one.revision}" for key, one in sorted(latest.items())))


_OBJECTIVE: Final = "Extraction of a model's capabilities by many accounts under one operator."


class _Objects:
    """Objects of a bundle, each once, with who made them and their markings."""

    def __init__(self, tlp: Tlp) -> None:
        self.tlp = tlp
        self._objects: dict[str, Any] = {}
        self.creator = stix2.Identity(
            id=_id("identity", "weaklink"), name="Weaklink", identity_class="system", created=_BEGIN, modified=_BEGIN
        )
        self.add(self.creator)

    def add(self, one: Any) -> Any:
        """The object, kept under its id."""
        self._objects[one["id"]] = one
        return one

    def marking(self, tlp: Tlp) -> list[str]:
        """References to the TLP 2.0 marking, which the bundle then carries."""
        key, word = _TLP_MARKINGS[tlp]
        if key not in self._objects:
            # As OASIS publishes it; the library knows only TLP 1.
            self._objects[key] = {
                "type": "marking-definition",
                "spec_version": "2.1",
                "id": key,
                "created": "2022-10-01T00:00:00.000Z",
                "name": f"TLP:{word.upper()}",
                "extensions": {_TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": word}},
            }
        return [key]

    def relate(self, source: Any, kind: str, target: Any, at: datetime, tlp: Tlp) -> None:
        """Add a relationship."""
        self.add(
            stix2.Relationship(
                id=_id("relationship", f"{source.id}|{kind}|{target.id}"), source_ref=source.id, relationship_type=kind, target_ref=target.id,
                created=_BEGIN, modified=at, created_by_ref=self.creator.id, object_marking_refs=self.marking(tlp),
            )
        )  # fmt: skip

    def bundle(self, name: str) -> dict[str, Any]:
        """The bundle as JSON-ready values."""
        plain = [one if isinstance(one, dict) else _plain(one) for one in self._objects.values()]
        return {"type": "bundle", "id": _id("bundle", name), "objects": plain}


def _campaign(campaign: Mapping[str, Any], made: _Objects, *, told_all: bool) -> Any:
    models = campaign["models"] if told_all else ()
    words = [f"{campaign['state'].capitalize()} since {campaign['detected_at']:%Y-%m-%d}."]
    if told_all:
        words += [
            f"{campaign['accounts']} accounts at {len(campaign['parties'])} parties ({', '.join(campaign['parties'])})",
            f"{campaign['requests']} exchanges so far, {campaign['requests_per_day']:.0f} a day now.",
        ]
        words += [f"Models: {', '.join(models)}."] if models else []
        words.append(
            f"The plan of {campaign['plan']['measures']} measures cuts {campaign['plan']['volume_cut_share']:.0%}."
        )
    return stix2.Campaign(
        id=_id("campaign", campaign["campaign_id"]), name=campaign["campaign_id"], description=" ".join(words),
        created=_BEGIN, modified=_later(campaign["updated_at"]), created_by_ref=made.creator.id,
        first_seen=campaign["detected_at"], objective=_OBJECTIVE, confidence=round(100 * campaign["confidence"]),
        last_seen=max(campaign["evidence_at"], campaign["detected_at"]) if told_all else None,
        labels=[trait.lower().replace("_", "-") for trait in campaign["traits"]] or None if told_all else None,
        object_marking_refs=made.marking(made.tlp),
    )  # fmt: skip


def _observe(subject: Any, party: str, members: list[Mapping[str, Any]], made: _Objects) -> None:
    """The members of one party, and the sighting of the campaign in them."""
    accounts = [made.add(_account(party, member["account"])) for member in members]
    first, last = min(member["since"] for member in members), max(member["since"] for member in members)
    observed = made.add(
        stix2.ObservedData(
            id=_id("observed-data", f"{subject.name}|{party}"), created=_BEGIN, modified=subject.modified, created_by_ref=made.creator.id,
            first_observed=first, last_observed=last, number_observed=len(accounts), object_refs=sorted(one.id for one in accounts),
            object_marking_refs=made.marking(made.tlp),
        )
    )  # fmt: skip
    where = made.add(
        stix2.Identity(
            id=_id("identity", party), name=party, identity_class="organization", created=_BEGIN, modified=_BEGIN
        )
    )
    made.add(
        stix2.Sighting(
            id=_id("sighting", f"{subject.name}|{party}"), sighting_of_ref=subject.id, observed_data_refs=[observed.id],
            where_sighted_refs=[where.id], first_seen=first, last_seen=last, count=len(accounts), created=_BEGIN, modified=subject.modified,
            created_by_ref=made.creator.id, object_marking_refs=made.marking(made.tlp),
        )
    )  # fmt: skip


def _act(subject: Any, action: EnforcementAction, made: _Objects) -> None:
    """One action: an indicator for its target, and the course of action that mitigates it."""
    marked = made.marking(action.tlp)
    told_at = _later(action.issued_at)
    begin, until, means = action.issued_at, action.expires_at, _MEANS[action.measure]
    if action.state is not ActionState.ACTIVE:
        # It ended when this revision was issued, at the latest. When it began the revision does not say; STIX wants an end after the begin.
        until = min(action.issued_at, action.expires_at)
        begin, means = min(action.evidence_at, until - _SHORTEST), f"Is over ({action.state.lower()}). It was: {means}"
    labels = [action.state.lower()]
    indicator = made.add(
        stix2.Indicator(
            id=_id("indicator", action.action_id), name=_target(action), description=_why(action), indicator_types=["malicious-activity"],
            pattern=str(_pattern(action)), pattern_type="stix", valid_from=begin, valid_until=until,
            created=_BEGIN, modified=told_at, created_by_ref=made.creator.id, labels=labels,
            confidence=round(100 * action.confidence), object_marking_refs=marked,
        )
    )  # fmt: skip
    course = made.add(
        stix2.CourseOfAction(
            id=_id("course-of-action", action.action_id), name=action.measure.value, description=means + _slice(action),
            created=_BEGIN, modified=told_at, created_by_ref=made.creator.id, labels=labels, object_marking_refs=marked,
            external_references=[{"source_name": "weaklink-action", "external_id": f"{action.action_id}.{action.revision}"}],
        )
    )  # fmt: skip
    made.relate(indicator, "indicates", subject, told_at, action.tlp)
    made.relate(course, "mitigates", indicator, told_at, action.tlp)


def _pattern(action: EnforcementAction) -> ObservationExpression:
    if action.target_account is not None:
        path, value = ObjectPath("user-account", ["user_id"]), action.target_account
    else:
        path, value = ObjectPath("x-weaklink-token", ["value"]), (action.target_token or b"").hex()
    return ObservationExpression(EqualityComparisonExpression(path, StringConstant(value)))


def _target(action: EnforcementAction) -> str:
    if action.target_account is not None:
        return f"account {action.target_account}"
    token = action.target_token or b"\0"
    return f"{IdentifierKind(token[0]).name} token {token.hex()}"


def _why(action: EnforcementAction) -> str:
    reasons = [f"{reason.code} ({reason.parties} parties)" for reason in action.reasons]
    return f"Serves campaign {action.campaign_id}. Evidence: {', '.join(reasons) or 'none given'}."


def _slice(action: EnforcementAction) -> str:
    parts = [f" Only model {action.slice_model}."] if action.slice_model else []
    if action.slice_end_user:
        parts.append(f" Only end user {action.slice_end_user.hex()}.")
    return "".join(parts)


def _later(at: datetime) -> datetime:
    """`modified`, which is never before `created`."""
    return max(at, _BEGIN)


def _account(party: str, account: str) -> Any:
    return stix2.UserAccount(user_id=account, account_type=f"weaklink-{party}")


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid.uuid5(_NAMESPACE, f'{kind}|{name}')}"


def _plain(one: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.serialize())
    return found
