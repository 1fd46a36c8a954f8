"""Actions as OpenID Shared Signals: security event tokens (RFC 8417), signed, with RISC and CAEP events.

OpenID Shared Signals Framework 1.0, RISC Profile 1.0 and CAEP 1.0 (all final, 2025). A whole account to be suspended is RISC's `account-disabled`
with reason `bulk-account`, its end `account-enabled`; what is milder, or only for a slice of the account's usage, is CAEP's `risk-level-change`.
Events tell what Weaklink asks for. Actions on identifiers are no events: these profiles speak of accounts (use STIX).
"""

import json
import os
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from weaklink.errors import ConfigurationError
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure

RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
ALGORITHM: Final = "ES256"
StreamStatus = Literal["enabled", "paused", "disabled"]

_LEVELS: Final = {Measure.OBSERVE: "LOW", Measure.SUSPEND: "HIGH"}
"""Risk of an account that is asked to be restricted; every other measure: MEDIUM."""


def claims_of(action: EnforcementAction, *, issuer: str, audience: str, subject_issuer: str) -> dict[str, Any] | None:
    """The claims of an action's token; None when its target is no account.

    `issuer` is Weaklink's URL, `audience` the receiver's, `subject_issuer` the URL under which the party's accounts are known (iss_sub, RFC 9493).
    The `jti` follows from action and revision, so that a token that is made again is the same event.
    """
    if action.target_account is None:
        return None
    name, event = _event(action)
    return {
        "iss": issuer,
        "aud": audience,
        "iat": int(action.issued_at.timestamp()),
        "jti": f"{action.action_id}.{action.revision}",
        "txn": action.campaign_id,
        "sub_id": {"format": "iss_sub", "iss": subject_issuer, "sub": action.target_account},
        "events": {name: event},
    }


def _event(action: EnforcementAction) -> tuple[str, dict[str, Any]]:
    ended = action.state is not ActionState.ACTIVE
    whole = action.slice_model is None and action.slice_end_user is None
    if action.measure is Measure.SUSPEND and whole:
        return (f"{RISC}account-enabled", {}) if ended else (f"{RISC}account-disabled", {"reason": "bulk-account"})
    level = _LEVELS.get(action.measure, "MEDIUM")
    event: dict[str, Any] = {
        "principal": "USER",
        "current_level": "LOW" if ended else level,
        "event_timestamp": int(action.issued_at.timestamp()),
        "initiating_entity": "policy",
        "reason_admin": {"en": _advice(action)},
    }
    if action.reasons:
        event["risk_reason"] = ", ".join(reason.code for reason in action.reasons)
    if ended:
        event["previous_level"] = level
    return f"{CAEP}risk-level-change", event


def _advice(action: EnforcementAction) -> str:
    parts = [f"{action.measure} until {action.expires_at:%Y-%m-%d %H:%M} UTC ({action.state.lower()})"]
    parts += [f"only model {action.slice_model}"] if action.slice_model else []
    parts += [f"only end user {action.slice_end_user.hex()}"] if action.slice_end_user else []
    return ", ".join(parts)


def verification_claims(
    *, issuer: str, audience: str, stream_id: str, jti: str, state: str | None, now: datetime
) -> dict[str, Any]:
    """The event by which a receiver tests a stream; `state` is what it gave."""
    event = {"state": state} if state is not None else {}
    return _stream_claims(
        "verification", event, issuer=issuer, audience=audience, stream_id=stream_id, jti=jti, now=now
    )


def stream_updated_claims(
    *, issuer: str, audience: str, stream_id: str, jti: str, status: StreamStatus, reason: str | None, now: datetime
) -> dict[str, Any]:
    """The event that tells a receiver that its stream was enabled, paused or disabled."""
    event = {"status": status, **({"reason": reason} if reason else {})}
    return _stream_claims(
        "stream-updated", event, issuer=issuer, audience=audience, stream_id=stream_id, jti=jti, now=now
    )


def _stream_claims(
    name: str, event: Mapping[str, Any], *, issuer: str, audience: str, stream_id: str, jti: str, now: datetime
) -> dict[str, Any]:
    return {
        "iss": issuer,
        "aud": audience,
        "iat": int(now.timestamp()),
        "jti": jti,
        "sub_id": {"format": "opaque", "id": stream_id},
        "events": {SSF + name: dict(event)},
    }


def signed(claims: Mapping[str, Any], key: ECKey) -> str:
    """The token: a JWT of type `secevent+jwt` (RFC 8417, section 2.3), signed with ES256."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "secevent+jwt"}
    return jwt.encode(header, dict(claims), key, [ALGORITHM])


def jwks(key: ECKey) -> dict[str, Any]:
    """The public key as a JWK set, for receivers."""
    return dict(KeySet([key]).as_dict(private=False))


def new_signing_key(path: Path) -> ECKey:
    """Make a key and write it (mode 0600). Raises ConfigurationError when the file exists."""
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"signing key {path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(key.as_dict(private=True), file)
    return key


def load_signing_key(path: Path) -> ECKey:
    """A key that `new_signing_key` wrote. Raises ConfigurationError when it is missing, damaged or open to others."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise ConfigurationError(
                f"{path} has mode {mode & 0o777:04o}: others could sign with it; chmod 600 {shlex.quote(str(path))}"
            )
        key = ECKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(
            f"signing key {path} cannot be read: {error.strerror}; weaklink partner signing-key {path} makes one"
        ) from error
    except (ValueError, TypeError, KeyError, JoseError) as error:
        # Not the error's own text: it may quote the key.
        raise ConfigurationError(f"{path} is no signing key: weaklink partner signing-key makes one") from error
    if not key.is_private:
        raise ConfigurationError(f"{path} is a public key: only the private one signs")
    key.ensure_kid()
    return key
