"""The recorder: a party's code tested without Kafka, judged as ingest would judge it."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.ingest.batches import Record, batch_of
from tests.partner.conftest import usage
from tests.partner.test_models import RECORDS

from weaklink.errors import RecordError
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.pipeline import Pipeline
from weaklink.parties import Party, PartyKind
from weaklink.partner import ActionReceipt, ApiUsage, AsyncWeaklinkClient, Recorder, WeaklinkClient
from weaklink.partner.recorder import AGE_DAYS_MAX, AHEAD_SECONDS_MAX, LEASE_AHEAD_DAYS_MAX, judge
from weaklink.partner.symbols import Measure
from weaklink.records import reasons
from weaklink.records.codec import encode


def report(client: WeaklinkClient, requests: int = 31) -> None:
    """A party's code: one report of usage."""
    client.publish(
        client.build(
            ApiUsage, account="cust-42", identifiers=[("IP", "203.0.113.7")], window_seconds=60, model="large-4", task="OTHER",
            requests=requests, input_tokens=1, output_tokens=2,
        )
    )  # fmt: skip


def obey(client: WeaklinkClient) -> list[str]:
    """A party's code: does what it is asked to do, but for what it disputes."""
    seen = []
    with client.actions() as actions:
        for received in actions:
            seen.append(str(received.action.target_account))
            if received.action.target_account == "our-own-red-team":
                received.dispute("ours")
            else:
                received.done()
    return seen


def test_published_events_are_captured_as_ingest_would_have_them() -> None:
    with Recorder("my-lab", PartyKind.LAB) as recorder:
        report(recorder.client())
        (event,) = recorder.events(ApiUsage)
        assert (event.account, event.requests, event.identifiers[0][:2]) == ("cust-42", 31, b"\x01\x01")
        assert recorder.messages[0].key == b"cust-42"
        assert recorder.events(ActionReceipt) == []


def test_issued_actions_are_handled_once_and_answered() -> None:
    with Recorder("my-lab", PartyKind.LAB) as recorder:
        first = recorder.issue(measure=Measure.SUSPEND, target_account="cust-42")
        second = recorder.issue(measure=Measure.CHALLENGE, target_account="our-own-red-team")
        client = recorder.client()
        assert obey(client) == ["cust-42", "our-own-red-team"]
        assert obey(client) == []
        recorder.issue(first.model_copy(update={"revision": 2}))
        assert obey(client) == ["cust-42"]
        assert recorder.receipts == [
            (first.action_id, 1, "ACCEPTED"), (second.action_id, 1, "ACCEPTED"), (first.action_id, 1, "DONE"),
            (second.action_id, 1, "DISPUTED"), (first.action_id, 2, "ACCEPTED"), (first.action_id, 2, "DONE"),
        ]  # fmt: skip


def test_an_action_whose_handling_fails_comes_again() -> None:
    with Recorder("my-lab", PartyKind.LAB) as recorder:
        recorder.issue(target_account="cust-42")
        client = recorder.client()

        def stumble() -> None:
            with client.actions() as actions:
                next(iter(actions))
                raise RuntimeError("the party's own database is away")

        with pytest.raises(RuntimeError):
            stumble()
        assert obey(client) == ["cust-42"]


def test_what_ingest_would_reject_is_raised_at_the_publish_or_kept() -> None:
    stale = usage(occurred_at=datetime.now(UTC) - timedelta(days=8))
    with Recorder("my-lab", PartyKind.LAB) as recorder, pytest.raises(RecordError, match="TOO_OLD"):
        recorder.client().publish_record("ApiUsage", stale)
    with Recorder("my-lab", PartyKind.LAB, strict=False) as recorder:
        client = recorder.client()
        client.publish_record("ApiUsage", stale)
        client.publish_record("ApiUsage", usage(requests=-1))
        report(client)
        assert [(one.reason, one.field) for one in recorder.rejects] == [
            ("TOO_OLD", "occurred_at"),
            ("NEGATIVE_COUNT", "requests"),
        ]
        assert len(recorder.events(ApiUsage)) == 1


def test_a_repeated_event_counts_once() -> None:
    values = usage()
    with Recorder("my-lab", PartyKind.LAB) as recorder:
        for _ in range(3):
            recorder.client().publish_record("ApiUsage", values)
        assert (len(recorder.events(ApiUsage)), recorder.duplicates) == (1, 2)


def test_the_asynchronous_client_works_over_a_recorder() -> None:
    async def main(client: WeaklinkClient) -> list[str]:
        async with AsyncWeaklinkClient.of(client) as one:
            event = await one.build(
                ApiUsage, account="a", window_seconds=0, model="m", task="OTHER", requests=1, input_tokens=1, output_tokens=1
            )  # fmt: skip
            await asyncio.gather(one.publish(event), one.send(event.model_copy(update={"event_id": bytes(16)})))
            seen = []
            async with one.actions(idle_seconds=0) as actions:
                async for received in actions:
                    seen.append(str(received.action.target_account))
                    await received.done()
            return seen

    with Recorder("my-lab", PartyKind.LAB) as recorder:
        action = recorder.issue(target_account="cust-42")
        assert asyncio.run(main(recorder.client())) == ["cust-42"]
        assert len(recorder.events(ApiUsage)) == 2
        assert recorder.receipts == [(action.action_id, 1, "ACCEPTED"), (action.action_id, 1, "DONE")]


def test_age_limits_are_those_of_ingest() -> None:
    config = IngestConfig()
    limits = {
        "ApiUsage": config.usage_age_days_max,
        "PaymentAttempt": config.usage_age_days_max,
        "AddressLease": config.lease_age_days_max,
    }
    assert limits == AGE_DAYS_MAX
    assert config.future_seconds_max == AHEAD_SECONDS_MAX
    assert config.lease_ahead_days_max == LEASE_AHEAD_DAYS_MAX


NOW = datetime(2026, 3, 10, tzinfo=UTC)
NEAR = st.sampled_from(
    [timedelta(days=days, seconds=seconds) for days in (0, -7, -90) for seconds in (-1, 0, 1, 299, 301)]
)
CASES = RECORDS.flatmap(
    lambda case: st.tuples(
        st.just(case[0]),
        st.sampled_from([case[1]]) | NEAR.map(lambda ago: case[1] | {"occurred_at": NOW + ago}),
        st.sampled_from(list(PartyKind)),
    )
)


PIPELINE = Pipeline(IngestConfig(), Frames(SchemaRegistryConfig()), age_limits=True)


def verdict_of_ingest(value: bytes, kind: PartyKind) -> str | None:
    """The reason that the real pipeline gives; None: accepted."""
    batch = batch_of([Record(value)], party="p-1", now_us=int(NOW.timestamp()) * 1_000_000)
    outcome = PIPELINE.run([batch], Party(id="p-1", kind=kind), lambda *_: np.zeros(1, dtype=np.bool_))
    return outcome.rejects[0].reason if outcome.rejects else None


BEFORE_THE_YEAR_ONE = {
    "event_id": bytes(16), "account": "cust-42", "identifiers": [b"\x01" + bytes(16)], "occurred_at": NOW,
    "released_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
}  # fmt: skip
"""A lease that Avro can write and no datetime in UTC can hold."""


@given(CASES)
@example(("AddressLease", BEFORE_THE_YEAR_ONE, PartyKind.LAB))
@example(("AddressLease", BEFORE_THE_YEAR_ONE, PartyKind.CLOUD))
@example(("AddressLease", BEFORE_THE_YEAR_ONE | {"released_at": NOW + timedelta(days=30)}, PartyKind.CLOUD))
@example(("AddressLease", BEFORE_THE_YEAR_ONE | {"released_at": NOW + timedelta(days=30, seconds=1)}, PartyKind.CLOUD))
@settings(max_examples=200)
def test_the_recorder_judges_as_ingest_does(case: tuple[str, dict[str, Any], PartyKind]) -> None:
    """Accepted by both or rejected by both; where several rules are broken the first one told may differ."""
    record, values, kind = case
    try:
        value = encode(record, values)
    except RecordError:
        return
    try:
        judge(value, kind, NOW)
        own = None
    except RecordError as error:
        own = error.reason
        if (record, error.reason, error.field) == ("ModelReleased", reasons.IN_THE_FUTURE, "released_at"):
            return  # the SDK alone refuses a release that lies beyond the year 2149
        if (error.field, values.get("revision")) == ("revision", 0):
            return  # which revisions there are enforce knows: an answer to one that was never issued comes back from there
    theirs = verdict_of_ingest(value, kind)
    assert (own is None) == (theirs is None), (own, theirs)
    if theirs == reasons.RECORD_NOT_ALLOWED:
        assert own == theirs
