"""A test of a party's own code, without Kafka: events are judged as Weaklink would judge them, actions are put in front of it."""

from weaklink.partner import ApiUsage, PartyKind, Recorder, WeaklinkClient
from weaklink.partner.symbols import Measure


def report_minute(client: WeaklinkClient, account: str, requests: int) -> None:
    """The code under test."""
    client.publish(
        client.build(
            ApiUsage, account=account, identifiers=[("IP", "203.0.113.7")], window_seconds=60, model="large-4", task="OTHER",
            requests=requests, input_tokens=9_000, output_tokens=52_000,
        )
    )


def test_a_minute_is_reported_and_a_suspension_is_done() -> None:
    with Recorder("my-lab", PartyKind.LAB) as recorder:
        client = recorder.client()
        report_minute(client, "cust-42", 31)
        assert [event.requests for event in recorder.events(ApiUsage)] == [31]

        asked = recorder.issue(measure=Measure.SUSPEND, target_account="cust-42")
        with client.actions() as actions:
            for received in actions:
                received.done()
        assert recorder.receipts == [(asked.action_id, 1, "ACCEPTED"), (asked.action_id, 1, "DONE")]
