"""The benign list: of an entry's records the latest counts, nothing raw is in it, and its topic keeps every change."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.topics import create_topics
from weaklink.benign import ADD, REMOVE, BenignRecord, account_entry, expiry, latest, record, token_entry
from weaklink.benign_files import read_benign
from weaklink.benign_topic import read_records, write_records
from weaklink.cli.main import app
from weaklink.errors import BrokerError, ConfigurationError, RecordError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import provision
from weaklink.partner.keys import new_keys, save_keys
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.settings import Settings
from weaklink.small_topics import append

NOW = datetime(2026, 3, 2, tzinfo=UTC)
TOKENISER = LocalTokeniser.throwaway()


def change(entry: str = "account:lab-a/c-1", op: str = ADD, minutes: float = 0, **fields: object) -> BenignRecord:
    at = NOW + timedelta(minutes=minutes)
    return record(**{"entry": entry, "op": op, "reason": "known", "by": "ann", "recorded_at": at, **fields})


@given(order=st.permutations(range(6)))
def test_the_latest_record_counts_whatever_the_order_of_reading(order: list[int]) -> None:
    """Added, removed, added again: listed; and of two at one time the removal counts."""
    first = [change(minutes=0), change(op=REMOVE, minutes=1), change(minutes=2, reason="again")]
    second = [change("account:lab-a/c-2", minutes=m) for m in (0, 1)] + [change("account:lab-a/c-2", REMOVE, 1)]
    records = [*first, *second]
    found = latest(records[i] for i in order)
    assert found["account:lab-a/c-1"].reason == "again"
    assert not found["account:lab-a/c-2"].holds(NOW)


def test_an_entry_has_no_effect_from_its_expiry_on() -> None:
    entry = change(expires_at=NOW + timedelta(days=1))
    assert entry.holds(NOW)
    assert not entry.holds(NOW + timedelta(days=1))
    assert change().holds(NOW + timedelta(days=10_000))


@pytest.mark.parametrize(
    "entry",
    ["4111 1111 1111 1111", "token:4111", "token:" + "ff" * 17, "account:lab-a", "account:LAB/c-1", "token:xyz"],
)
def test_what_is_no_token_and_no_account_is_refused(entry: str) -> None:
    """A raw value cannot come onto the list by mistake."""
    with pytest.raises(ConfigurationError, match="benign list"):
        change(entry)


def test_expiry_is_never_a_number_of_days_or_a_date() -> None:
    assert expiry("never", NOW) is None
    assert expiry("10d", NOW) == NOW + timedelta(days=10)
    assert expiry("2026-05-01", NOW) == datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="180d"):
        expiry("soon", NOW)


def test_a_hub_table_is_a_list_of_values_whose_kind_says_why(tmp_path: Path) -> None:
    """Its column kind (exchange, contract) is the reason; each value is listed under the kinds that it can have."""
    path = tmp_path / "hubs.parquet"
    pl.DataFrame({"identifier": ["0abc", "0abd"], "kind": ["exchange", "contract"]}).write_parquet(path)
    found = list(read_benign(path, TOKENISER.tokens, [Kind.CARD, Kind.BANK_ACCOUNT], by="ann", now=NOW))
    assert [one.reason for one in found] == ["exchange", "exchange", "contract", "contract"]
    assert {one.entry for one in found[:2]} == {token_entry(TOKENISER.newest(k, "0abc")) for k in (Kind.CARD, Kind.BANK_ACCOUNT)}  # fmt: skip
    assert not any(b"0abc" in one.to_json() for one in found)
    with pytest.raises(ConfigurationError, match=r"line 1.*--as"):
        list(read_benign(path, TOKENISER.tokens, [], by="ann", now=NOW))


def test_a_file_may_name_accounts_tokens_and_values_with_their_own_reason_and_expiry(tmp_path: Path) -> None:
    token = TOKENISER.newest(Kind.IP, "192.0.2.7")
    path = tmp_path / "list.csv"
    path.write_text(
        "party,account,token,kind,value,reason,expires_at\n"
        "lab-a,c-17,,,,our own tests,2026-09-01\n"
        f",,{token.hex().upper()},,,,\n"
        ",,,ip,192.0.2.7,,\n"
    )
    one, two, three = read_benign(path, TOKENISER.tokens, [], by="ann", now=NOW, reason="carrier")
    assert (one.entry, one.reason, one.expires_at) == (account_entry("lab-a", "c-17"), "our own tests", datetime(2026, 9, 1, tzinfo=UTC))  # fmt: skip
    assert two.entry == three.entry == token_entry(token)
    assert (two.reason, two.expires_at, two.kind) == ("carrier", None, "IP")


def test_a_bad_row_is_told_with_its_line_and_without_its_value(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("kind,value\nip,192.0.2.7\nip,secret-thing\n")
    with pytest.raises(ConfigurationError, match="line 3") as caught:
        list(read_benign(path, TOKENISER.tokens, [], by="ann", now=NOW))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RecordError)


@pytest.mark.parametrize(("said", "listed"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_what_its_source_does_not_call_benign_cannot_come_onto_the_list(
    tmp_path: Path, said: str, listed: bool
) -> None:
    """A feed of malicious indicators, imported whole by mistake, would hide a campaign."""
    csv, ndjson = tmp_path / "feed.csv", tmp_path / "feed.ndjson"
    csv.write_text(f"kind,value,benign\nip,192.0.2.7,{said}\n")
    ndjson.write_text(json.dumps({"kind": "IP", "value": "192.0.2.7", "benign": said in ("true", "1")}) + "\n")
    for path in (csv, ndjson):
        if listed:
            assert len(list(read_benign(path, TOKENISER.tokens, [], by="ann", now=NOW))) == 1
        else:
            with pytest.raises(ConfigurationError, match=r"line \d.*not call it benign"):
                list(read_benign(path, TOKENISER.tokens, [], by="ann", now=NOW))


@pytest.mark.kafka
def test_the_topic_keeps_every_record_in_its_order(kafka: KafkaConfig) -> None:
    """What cannot be read among them changes nothing, and is said."""
    topic = f"benign-{uuid.uuid4().hex[:8]}"
    with pytest.raises(BrokerError, match="weaklink provision"):
        read_records(kafka, topic)
    create_topics(kafka, [topic], partitions=1)
    records = [change(minutes=i, op=(ADD, REMOVE)[i % 2]) for i in range(5)]
    assert write_records(kafka, records, topic) == 5
    newer = json.dumps(json.loads(records[0].to_json()) | {"severity": "low"}).encode()
    append(kafka, topic, [("of a newer version", newer), ("of nobody", None)], "the list")
    assert write_records(kafka, records[:1], topic) == 1
    with capture_logs() as logs:
        assert read_records(kafka, topic) == [*records, records[0]]
    assert [(one["event"], one["offset"]) for one in logs] == [("benign_record_not_readable", n) for n in (5, 6)]


@pytest.mark.kafka
def test_a_person_adds_lists_removes_and_reads_the_history(
    kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line, on the real topic: raw values are hashed here, and what was removed stays in the history."""
    provision(Settings(kafka=kafka))
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    keys = tmp_path / "keys.json"
    save_keys(keys, new_keys(datetime(1970, 1, 1, tzinfo=UTC)))
    runner, account = CliRunner(), f"account:lab-a/{uuid.uuid4().hex}"
    name = account.removeprefix("account:")

    def benign(*arguments: str, text: str | None = None) -> str:
        done = runner.invoke(app, ["benign", *arguments], input=text, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    def listed() -> dict[str, dict[str, str]]:
        rows = [json.loads(line) for line in benign("list", "--json").splitlines()]
        return {row["entry"]: row for row in rows}

    benign("add", "--account", name, "--reason", "red team", "--by", "ann", "--expires", "30d")
    marked = f"lab-a/[red]{uuid.uuid4().hex[:4]}[/nothing]"
    assert marked in benign("add", "--account", marked, "--reason", "[bold]", "--by", "ann")
    raw = f"10.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}.7"
    shown = benign("add", "--kind", "ip", "--value", "-", "--reason", "office", "--by", "ann", "--key-file", str(keys), text=raw + "\n")  # fmt: skip
    assert raw not in shown
    token = token_entry(LocalTokeniser.load(keys).newest(Kind.IP, raw))
    assert listed()[account]["reason"] == "red team"
    assert listed()[token]["by"] == "ann"
    benign("remove", "--account", name, "--reason", "left", "--by", "bob")
    assert account not in listed()
    history = [json.loads(line) for line in benign("history", account, "--json").splitlines()]
    assert [(row["op"], row["by"], row["reason"]) for row in history] == [(ADD, "ann", "red team"), (REMOVE, "bob", "left")]  # fmt: skip
    with pytest.raises(ConfigurationError, match="not on the benign list"):
        benign("remove", "--account", name, "--reason", "twice", "--by", "bob")
