"""What parties have becomes events: fields found, raw values hashed at once, bad lines told, nothing counted twice."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.partner.conftest import TOKENISER

from weaklink.errors import ConfigurationError, RecordError
from weaklink.parties import PartyKind
from weaklink.partner import AddressLease, ApiUsage, EventBuilder, PaymentAttempt, Recorder
from weaklink.partner.connectors import CONNECTORS, connector
from weaklink.partner.connectors.lines import microseconds
from weaklink.partner.files import format_of
from weaklink.partner.upload import BadRow, Upload, UploadResult, bad_path
from weaklink.records.identifiers import IdentifierKind

KINDS = {"otel": PartyKind.LAB, "gateway": PartyKind.ROUTER, "stripe": PartyKind.PAYMENT, "cloud": PartyKind.CLOUD}
PROMPT = (
    "You are a patient teacher. Explain step by step how you reason about the question below, then give the answer."
)


def attribute(key: str, value: Any) -> dict[str, Any]:
    form = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {form: str(value)}}


def span(number: int = 1, **attributes: Any) -> dict[str, Any]:
    values = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "large", "gen_ai.response.model": "large-4",
        "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 5200, "enduser.id": "cust-42", "client.address": "203.0.113.7",
    }  # fmt: skip
    values |= {name.replace("__", "."): value for name, value in attributes.items()}
    return {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"{number:016x}", "name": "chat large", "kind": 3,
        "startTimeUnixNano": "1772442930000000000", "endTimeUnixNano": "1772442931123456789",
        "attributes": [attribute(name, value) for name, value in values.items() if value is not None],
    }  # fmt: skip


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "gw"}, "spans": list(spans)}]}
        ]
    }


def charge(kind: str = "charge.succeeded", number: int = 1, **fields: Any) -> dict[str, Any]:
    paid = {
        "object": "charge", "id": f"ch_{number}", "amount": 12_345, "currency": "usd", "customer": "cus_9",
        "billing_details": {"email": "Jo.Doe+x@gmail.com", "phone": "+14155550123"}, "metadata": {},
        "payment_method_details": {"type": "card", "card": {"fingerprint": "Xt5EWLLDS7FJjR1c", "funding": "prepaid", "wallet": None}},
        **fields,
    }  # fmt: skip
    return {"id": f"evt_{number}", "object": "event", "type": kind, "created": 1_772_442_930, "data": {"object": paid}}


def imported(
    tmp_path: Path, source: str, lines: Iterable[Any], *fields: str, name: str = "lines.ndjson"
) -> tuple[Recorder, UploadResult, list[BadRow]]:
    """Lines through the connector, the upload and a recorder that judges as ingest does."""
    file = tmp_path / name
    file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + "\n")
    bad: list[BadRow] = []
    with Recorder(
        "p-1", KINDS[source], tokeniser=TOKENISER, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC)
    ) as recorder:
        client = recorder.client()
        upload = Upload(
            lambda _: client, EventBuilder(TOKENISER), party="p-1", party_column=None, on_bad=lambda _, one: bad.append(one),
            connector=connector(source, fields),
        )  # fmt: skip
        result = upload.run(str(file), format_of(str(file)))
    return recorder, result, bad


def test_spans_of_inference_become_usage_and_spans_around_them_do_not(tmp_path: Path) -> None:
    agent = span(2, gen_ai__operation__name="invoke_agent")
    plain = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "03", "name": "GET /", "attributes": []}
    recorder, result, bad = imported(tmp_path, "otel", [export(span(), agent, plain)])
    (event,) = recorder.events(ApiUsage)
    assert (event.account, event.model, event.requests, event.input_tokens, event.output_tokens) == (
        "cust-42",
        "large-4",
        1,
        900,
        5200,
    )
    assert event.occurred_at == datetime(2026, 3, 2, 9, 15, 31, 123456, tzinfo=UTC)
    assert event.identifiers == TOKENISER.tokens(IdentifierKind.IP, "203.0.113.7")
    assert (result.published, result.skipped, bad) == (1, 2, [])


def test_a_prompt_leaves_as_bands_of_its_signature_and_as_nothing_else(tmp_path: Path) -> None:
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}])
    recorder, _, _ = imported(tmp_path, "otel", [export(span(gen_ai__input__messages=messages))])
    (event,) = recorder.events(ApiUsage)
    assert set(TOKENISER.tokens(IdentifierKind.PROMPT, PROMPT)) < set(event.identifiers)
    assert b"teacher" not in recorder.messages[0].value


def test_of_a_line_with_many_spans_only_the_bad_one_is_kept_and_can_be_imported_again(tmp_path: Path) -> None:
    recorder, result, bad = imported(
        tmp_path, "otel", [export(span(1), span(2, enduser__id=None), span(3)), "{broken", export(span(4))]
    )
    assert len(recorder.events(ApiUsage)) == result.published == 3
    assert [(one.line, one.reason, one.field) for one in bad] == [(1, "BAD_ACCOUNT", "account"), (2, "MALFORMED", None)]
    kept = [json.loads(line) for line in bad_path(str(tmp_path / "lines.ndjson")).read_text().splitlines()]
    mended, _, _ = imported(tmp_path, "otel", [kept[0]["raw"]], "account=gen_ai.request.model")
    assert [event.account for event in mended.events(ApiUsage)] == ["large"]


def test_a_file_imported_twice_has_the_same_event_ids(tmp_path: Path) -> None:
    lines = [export(span(1), span(2))]
    ids = [{event.event_id for event in imported(tmp_path, "otel", lines)[0].events(ApiUsage)} for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_gateway_logs_have_their_names_tried_or_told(tmp_path: Path) -> None:
    usual = {
        "request_id": "r-1", "time": "2026-03-02T09:15:30Z", "user_id": 77, "model": "m", "status": 200, "remote_addr": "198.51.100.9:44312",
        "usage": {"prompt_tokens": 10, "completion_tokens": "20"}, "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
    }  # fmt: skip
    own = {
        "ts": 1_772_442_930.5,
        "consumer": {"username": "acme"},
        "model": "m",
        "x_forwarded_for": "2001:db8::1, 10.0.0.1",
    }
    refused = usual | {"request_id": "r-2", "status": 429}
    recorder, result, bad = imported(tmp_path, "gateway", [usual, refused])
    (event,) = recorder.events(ApiUsage)
    assert (event.account, event.input_tokens, event.output_tokens) == ("77", 10, 20)
    assert event.identifiers[0] == TOKENISER.newest(IdentifierKind.IP, "198.51.100.9")
    assert set(TOKENISER.tokens(IdentifierKind.PROMPT, PROMPT)) < set(event.identifiers)
    assert (result.skipped, bad) == (1, [])
    named, _, _ = imported(tmp_path, "gateway", [own], "account=consumer.username")
    (event,) = named.events(ApiUsage)
    assert (event.account, event.occurred_at.microsecond) == ("acme", 500_000)
    assert event.identifiers == TOKENISER.tokens(IdentifierKind.IP, "2001:db8::1")
    _, _, bad = imported(tmp_path, "gateway", [own])
    assert "--field account=PATH" in bad[0].detail


def test_webhooks_of_charges_become_attempts_without_an_amount(tmp_path: Path) -> None:
    card = charge()["data"]["object"]
    lines = [
        charge(),
        charge("charge.failed", 2),
        charge(
            "charge.refunded",
            3,
            payment_method_details={"type": "us_bank_account", "us_bank_account": {"fingerprint": "Bk1"}},
        ),
        {**charge("charge.dispute.created", 4), "data": {"object": {"object": "dispute", "charge": card}}},
        charge("customer.created", 5),
    ]
    recorder, result, bad = imported(tmp_path, "stripe", lines)
    events = recorder.events(PaymentAttempt)
    assert [(one.outcome, one.instrument) for one in events] == [
        ("APPROVED", "PREPAID"), ("DECLINED", "PREPAID"), ("REFUNDED", "BANK_TRANSFER"), ("CHARGEBACK", "PREPAID"),
    ]  # fmt: skip
    assert events[0].identifiers == (
        *TOKENISER.tokens(IdentifierKind.CARD, "Xt5EWLLDS7FJjR1c"),
        *TOKENISER.tokens(IdentifierKind.EMAIL, "jodoe@gmail.com"),
        *TOKENISER.tokens(IdentifierKind.PHONE, "+14155550123"),
    )
    assert (result.skipped, bad) == (1, [])
    assert len({one.event_id for one in events}) == 4


def test_a_dispute_is_of_the_charge_that_it_names_when_that_came_before(tmp_path: Path) -> None:
    """As webhooks come: a dispute holds its charge's id, and nothing of what was paid with."""
    dispute = {**charge("charge.dispute.created", 2), "data": {"object": {"object": "dispute", "charge": "ch_1"}}}
    recorder, _, bad = imported(tmp_path, "stripe", [charge(), dispute])
    paid, disputed = recorder.events(PaymentAttempt)
    assert (bad, paid.outcome, disputed.outcome) == ([], "APPROVED", "CHARGEBACK")
    assert (disputed.account, disputed.instrument, disputed.identifiers) == (paid.account, paid.instrument, paid.identifiers)  # fmt: skip
    assert disputed.event_id != paid.event_id
    _, _, (alone,) = imported(tmp_path, "stripe", [dispute])
    assert (alone.reason, alone.field) == ("BAD_ACCOUNT", "charge")
    assert "same command" in alone.detail


def audit(name: str, when: str, allocation: str, **more: Any) -> dict[str, Any]:
    return {
        "eventName": name, "eventTime": when, "recipientAccountId": "123456789010", "eventID": f"{name}-{when}",
        "requestParameters": {"allocationId": allocation} if name == "ReleaseAddress" else {}, **more,
    }  # fmt: skip


def test_an_audit_log_gives_a_lease_at_its_beginning_and_at_its_end(tmp_path: Path) -> None:
    given = {"responseElements": {"publicIp": "198.51.100.77", "allocationId": "eipalloc-1"}}
    records = [
        audit("AllocateAddress", "2026-03-01T08:00:00Z", "eipalloc-1", **given),
        audit("DescribeAddresses", "2026-03-01T09:00:00Z", ""),
        audit("AllocateAddress", "2026-03-01T09:30:00Z", "", errorCode="AddressLimitExceeded"),
        audit("ReleaseAddress", "2026-03-02T08:00:00Z", "eipalloc-1"),
        audit("ReleaseAddress", "2026-03-02T09:00:00Z", "eipalloc-older"),
    ]
    recorder, result, bad = imported(tmp_path, "cloud", [{"Records": records}])
    begun, ended = recorder.events(AddressLease)
    assert (begun.account, begun.released_at) == ("123456789010", None)
    assert begun.identifiers == ended.identifiers == TOKENISER.tokens(IdentifierKind.IP, "198.51.100.77")
    assert (ended.occurred_at, ended.released_at) == (begun.occurred_at, datetime(2026, 3, 2, 8, tzinfo=UTC))
    assert result.skipped == 2
    assert [(one.line, one.reason) for one in bad] == [(1, "BAD_INTERVAL")]


def test_flow_logs_as_text_give_the_times_in_which_an_address_was_used(tmp_path: Path) -> None:
    flows = [
        "account-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr flow-direction start end log-status",
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 egress 1772442000 1772442060 OK",
        "1234 192.0.2.1 8.8.4.4 192.0.2.1 8.8.4.4 ingress 1772442060 1772442120 OK",
        "1234 10.0.0.5 192.0.2.1 10.0.0.5 192.0.2.1 egress 1772442000 1772442060 OK",
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 egress 1772449000 1772449060 OK",
        "1234 - - - - - 1772449000 1772449060 NODATA",
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 sideways 1772449000 1772449060 OK",
    ]
    recorder, result, bad = imported(tmp_path, "cloud", flows, name="flows.log")
    assert [(one.occurred_at.timestamp(), one.released_at.timestamp() if one.released_at else None) for one in recorder.events(AddressLease)] == [
        (1772442000, 1772442120), (1772449000, 1772449060),
    ]  # fmt: skip
    assert (result.published, result.skipped) == (2, 2)
    assert [(one.line, one.field) for one in bad] == [(7, "flow-direction")]


@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
def test_flow_records_far_apart_are_two_leases_in_either_order(tmp_path: Path, step: int) -> None:
    """Between two uses the address may have been a stranger's, who would be linked by a lease that covers both."""
    flows = [
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 egress 1772342000 1772342060 OK",
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 egress 1772442000 1772442060 OK",
        "1234 8.8.4.4 192.0.2.1 8.8.4.4 192.0.2.1 egress 1772442060 1772442120 OK",
    ]
    header = "account-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr flow-direction start end log-status"
    recorder, _, _ = imported(tmp_path, "cloud", [header, *flows[::step]], name="flows.log")
    leases = [(one.occurred_at.timestamp(), one.released_at and one.released_at.timestamp()) for one in recorder.events(AddressLease)]  # fmt: skip
    assert sorted(leases) == [(1772342000, 1772342060), (1772442000, 1772442120)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T09:15:30Z",
        "2026-03-02 09:15:30",
        1772442930,
        1772442930.0,
        "1772442930000",
        1772442930000000,
        "1772442930000000123",
    ],
)
def test_times_are_read_in_every_usual_unit(text: object) -> None:
    assert microseconds(text, "time") == 1_772_442_930_000_000


@pytest.mark.parametrize("text", ["soon", -1, float("nan"), 1e30, None, {}])
def test_what_is_no_time_is_told(text: object) -> None:
    with pytest.raises(RecordError):
        microseconds(text, "time")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "type", "data", "object", "Records", "eventName",
                         "start", "end", "charge", "time", "account", "model", "messages"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@example(source="gateway", line={"time": 1772442930, "account": "a", "model": "m", "device_id": "phone \ud83d"})
@example(source="gateway", line={"time": 1772442930, "account": "a", "model": "m", "input_tokens": float("inf")})
@example(source="otel", line=export(span(gen_ai__input__messages="[" * 100_000)))
@given(
    source=st.sampled_from(list(CONNECTORS)),
    line=st.dictionaries(
        st.sampled_from(["resourceSpans", "Records", "eventName", "start", "end", "type", "data", "time"]), JSON
    ),
)
@settings(max_examples=60)
def test_no_line_can_end_an_import(tmp_path_factory: pytest.TempPathFactory, source: str, line: dict[str, Any]) -> None:
    """Whatever a line holds, it is published, skipped or told, and the lines after it count."""
    folder = tmp_path_factory.mktemp("any")
    good = {"otel": export(span()), "gateway": {"time": 1772442930, "account": "a", "model": "m"}, "stripe": charge(),
            "cloud": audit("AllocateAddress", "2026-03-01T08:00:00Z", "", responseElements={"publicIp": "198.51.100.77"})}[source]  # fmt: skip
    recorder, _, bad = imported(folder, source, [line, good])
    assert len(recorder.messages) >= 1
    assert all(one.line == 1 for one in bad)


def test_what_no_connector_knows_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="otel, gateway, stripe, cloud"):
        connector("carrier-pigeon")
    with pytest.raises(ConfigurationError, match="no field named acount: there are account"):
        connector("otel", ["acount=x"])
    with pytest.raises(ConfigurationError, match="NAME=PATH"):
        connector("otel", ["account"])
