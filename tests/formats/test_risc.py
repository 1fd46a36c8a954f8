"""Security event tokens: the right event for each action, verified as a receiver does with the published keys alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from tests.formats.actions import action
from weaklink.errors import ConfigurationError
from weaklink.formats import risc
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure

URLS = {"issuer": "https://weaklink.example", "audience": "lab-a", "subject_issuer": "https://lab-a.example"}


def claims(one: EnforcementAction) -> dict[str, Any]:
    found = risc.claims_of(one, **URLS)
    assert found is not None
    return found


def received(token: str, keys: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, after a receiver's checks."""
    read = jwt.decode(token, KeySet.import_key_set(keys), [risc.ALGORITHM])
    essential = {
        name: {"essential": True, "value": URLS[url]} for name, url in (("iss", "issuer"), ("aud", "audience"))
    }
    jwt.JWTClaimsRegistry(**essential).validate(read.claims)  # type: ignore[arg-type]
    return read.header, read.claims


def test_a_suspension_is_account_disabled_with_reason_bulk_account(tmp_path: Path) -> None:
    key = risc.new_signing_key(tmp_path / "key.json")
    header, found = received(risc.signed(claims(action()), key), risc.jwks(key))
    assert (header["typ"], header["alg"], header["kid"]) == ("secevent+jwt", "ES256", key.kid)
    assert found["events"] == {
        "https://schemas.openid.net/secevent/risc/event-type/account-disabled": {"reason": "bulk-account"}
    }
    assert found["sub_id"] == {"format": "iss_sub", "iss": "https://lab-a.example", "sub": "u-1042"}
    # RFC 8417 and SSF: neither an expiry nor a plain subject, which would make it pass for an access token.
    assert set(found) == {"iss", "aud", "iat", "jti", "txn", "sub_id", "events"}


@pytest.mark.parametrize("state", [ActionState.WITHDRAWN, ActionState.EXPIRED])
def test_a_suspension_that_ended_is_account_enabled(state: ActionState) -> None:
    assert list(claims(action(state=state))["events"]) == [f"{risc.RISC}account-enabled"]


@pytest.mark.parametrize(
    ("measure", "level"), [(Measure.CHALLENGE, "MEDIUM"), (Measure.THROTTLE, "MEDIUM"), (Measure.OBSERVE, "LOW"), (Measure.REQUIRE_END_USER_IDS, "MEDIUM")]
)  # fmt: skip
def test_milder_measures_change_the_level_of_risk_and_back(measure: Measure, level: str) -> None:
    (event,) = claims(action(measure=measure))["events"].values()
    assert (event["principal"], event["current_level"]) == ("USER", level)
    (ended,) = claims(action(measure=measure, state=ActionState.WITHDRAWN))["events"].values()
    assert (ended["current_level"], ended["previous_level"]) == ("LOW", level)


def test_a_suspension_of_a_slice_does_not_disable_the_account() -> None:
    (name,) = claims(action(slice_model="m-large"))["events"]
    assert name == f"{risc.CAEP}risk-level-change"
    assert "only model m-large" in claims(action(slice_model="m-large"))["events"][name]["reason_admin"]["en"]


def test_actions_on_identifiers_are_no_events() -> None:
    assert risc.claims_of(action("block-card-withdrawn"), **URLS) is None


def test_a_token_made_again_is_the_same_event_and_a_revision_is_another() -> None:
    assert claims(action())["jti"] == claims(action())["jti"] != claims(action(revision=2))["jti"]


def test_stream_events_name_their_stream() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    of = {"issuer": "i", "audience": "a", "stream_id": "s-1", "jti": "1", "now": now}
    verification = risc.verification_claims(**of, state="VGhpcyBpcyBhbiBleGFtcGxl")  # type: ignore[arg-type]
    assert verification["sub_id"] == {"format": "opaque", "id": "s-1"}
    assert verification["events"] == {f"{risc.SSF}verification": {"state": "VGhpcyBpcyBhbiBleGFtcGxl"}}
    updated = risc.stream_updated_claims(**of, status="paused", reason="maintenance")  # type: ignore[arg-type]
    assert updated["events"] == {f"{risc.SSF}stream-updated": {"status": "paused", "reason": "maintenance"}}


def test_a_token_that_was_changed_or_signed_by_another_is_refused(tmp_path: Path) -> None:
    key, other = risc.new_signing_key(tmp_path / "a"), risc.new_signing_key(tmp_path / "b")
    token = risc.signed(claims(action()), key)
    forged = risc.signed(claims(action()), other).rpartition(".")[2]
    with pytest.raises(BadSignatureError):
        received(f"{token.rpartition('.')[0]}.{forged}", risc.jwks(key))


def test_the_published_keys_hold_no_private_half_and_the_file_is_its_owners(tmp_path: Path) -> None:
    key = risc.new_signing_key(tmp_path / "key.json")
    assert all("d" not in one for one in risc.jwks(key)["keys"])
    assert risc.load_signing_key(tmp_path / "key.json").kid == key.kid
    (tmp_path / "key.json").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        risc.load_signing_key(tmp_path / "key.json")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        risc.new_signing_key(tmp_path / "key.json")
    damaged = tmp_path / "damaged"
    damaged.write_text('{"kty": "EC", "d": "secret"}')
    damaged.chmod(0o600)
    with pytest.raises(ConfigurationError, match="no signing key") as caught:
        risc.load_signing_key(damaged)
    assert "secret" not in str(caught.value)
