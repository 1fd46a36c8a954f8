"""`weaklink partner` on a real broker: files go out, bad lines are kept, answers arrive."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from kafka import KafkaProducer
from tests.partner.conftest import Member
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.errors import ConfigurationError, PartyError
from weaklink.records.examples import examples

pytestmark = pytest.mark.kafka
RUN = CliRunner()
LINE = {"event_type": "ApiUsage", "occurred_at": "2026-03-02T09:15:30Z", "account": "a", "model": "m"}


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file, made and found as a party would."""
    path = tmp_path / "keys.json"
    assert RUN.invoke(app, ["partner", "key", "new", str(path)]).exit_code == 0
    monkeypatch.setenv("WEAKLINK_PARTNER__KEY_FILE", str(path))
    return path


def test_good_lines_go_out_and_bad_ones_are_told_and_kept(member: Member, tmp_path: Path) -> None:
    file = tmp_path / "e.ndjson"
    good = LINE | {"identifiers": [{"kind": "IP", "value": "192.0.2.7"}]}
    file.write_text("\n".join([json.dumps(good), "{broken", json.dumps(LINE | {"requests": -5}), json.dumps(LINE)]))
    result = RUN.invoke(app, ["partner", "publish", "--party", member.party.id, str(file)])
    assert result.exit_code == 3
    assert f"{file}:2: MALFORMED" in result.stderr
    assert f"{file}:3: NEGATIVE_COUNT (requests)" in result.stderr
    kept = [json.loads(line) for line in Path(f"{file}.bad").read_text().splitlines()]
    assert [(one["line"], one["reason"], one["raw"]) for one in kept] == [
        (2, "MALFORMED", "{broken"),
        (3, "NEGATIVE_COUNT", json.dumps(LINE | {"requests": -5})),
    ]
    assert len(member.published()) == 2
    assert all(one[0] == 1 for _, _, values in member.published() for one in values["identifiers"])


def test_a_file_published_twice_has_the_same_event_ids(member: Member, tmp_path: Path) -> None:
    file = tmp_path / "e.ndjson"
    file.write_text(f"{json.dumps(LINE)}\n{json.dumps(LINE)}\n")
    for _ in range(2):
        assert RUN.invoke(app, ["partner", "publish", "--party", member.party.id, str(file)]).exit_code == 0
    ids = [values["event_id"] for _, _, values in member.published()]
    assert len(ids) == 4
    assert len(set(ids)) == 2


def test_standard_input_and_csv_are_taken(member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    piped = RUN.invoke(app, ["partner", "publish", "--party", member.party.id, "-"], input=json.dumps(LINE) + "\n")
    assert piped.exit_code == 0, piped.output
    (tmp_path / "e.csv").write_text(
        "event_type,occurred_at,account,model,requests\nApiUsage,2026-03-02T09:15:30Z,c,m,7\n"
    )
    assert RUN.invoke(app, ["partner", "publish", "--party", member.party.id, "e.csv"]).exit_code == 0
    assert sorted((values["account"], values["requests"]) for _, _, values in member.published()) == [
        ("a", 1),
        ("c", 7),
    ]


def test_parquet_in_the_form_of_the_backtest_goes_to_the_parties_it_names(member: Member, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "party": [member.party.id, member.party.id, "not-added-here"],
            "party_kind": ["lab"] * 3,
            "event_type": ["AccountOpened", "ApiUsage", "ApiUsage"],
            "occurred_at": [datetime(2026, 3, 2, tzinfo=UTC)] * 3,
            "account": ["a", "b", "c"],
            "identifiers": [[{"kind": "DEVICE", "value": "d"}]] * 3,
            "model": [None, "m", "m"],
            "requests": [None, 4, 4],
        }
    )
    file = tmp_path / "e.parquet"
    frame.write_parquet(file)
    mixed = RUN.invoke(app, ["partner", "publish", "--party-column", "party", str(file)])
    assert mixed.exit_code == 3
    assert "not-added-here is not added" in mixed.stderr
    assert [(record, values["account"]) for _, record, values in sorted(member.published(), key=str)] == [
        ("AccountOpened", "a"),
        ("ApiUsage", "b"),
    ]
    own = RUN.invoke(app, ["partner", "publish", "--party", member.party.id, str(file)])
    assert own.exit_code == 0
    assert "1 of other parties skipped" in own.stderr


def test_what_cannot_be_meant_is_refused_before_anything_is_published(member: Member, tmp_path: Path) -> None:
    both = RUN.invoke(app, ["partner", "publish", "--party", "x", "--party-column", "party", "e.csv"])
    assert isinstance(both.exception, ConfigurationError)
    (tmp_path / "e.csv").write_text("account\n")
    unknown = RUN.invoke(app, ["partner", "publish", "--party", "nobody-here", str(tmp_path / "e.csv")])
    assert isinstance(unknown.exception, PartyError)
    second = RUN.invoke(app, ["partner", "publish", "--party", member.party.id, str(tmp_path / "e.csv"), "e.txt"])
    assert isinstance(second.exception, ConfigurationError)
    assert member.published() == []


def test_actions_are_shown_and_answered_by_hand(member: Member) -> None:
    action = "0f6b1d0c9a8e7d6c5b4a392817061524"
    member.issue((action, 1), (action, 2))
    shown = RUN.invoke(app, ["partner", "actions", "--party", member.party.id])
    assert shown.output.count("SUSPEND") == 2
    as_json = RUN.invoke(app, ["partner", "actions", "--party", member.party.id, "--json"])
    assert [json.loads(line)["revision"] for line in as_json.output.splitlines()] == [1, 2]
    answered = RUN.invoke(
        app,
        ["partner", "receipt", "--party", member.party.id, "--action", action, "--revision", "2", "--status", "refused", "--reason", "ours"],
    )  # fmt: skip
    assert answered.exit_code == 0, answered.output
    assert member.receipts() == [(action, 2, "REFUSED")]


def test_actions_against_tokens_are_shown_in_hexadecimal(member: Member) -> None:
    block = next(one for one in examples() if one.name == "block-card-withdrawn")
    member.issue(block.golden_path.read_bytes())
    as_json = RUN.invoke(app, ["partner", "actions", "--party", member.party.id, "--json"])
    assert json.loads(as_json.output)["target_token"] == block.values["target_token"].hex()


@pytest.mark.parametrize(("offset", "shown", "last"), [("42", "42", 42), ("42-61", "42 to 61", 61)])
def test_rejects_are_shown_with_reason_and_place(member: Member, offset: str, shown: str, last: int) -> None:
    """One event, or a whole record batch that could not be unpacked."""
    producer = KafkaProducer(**member.kafka.client_options())
    headers = {
        "reason": "TOO_OLD",
        "field": "occurred_at",
        "detail": "9 days old",
        "topic": member.party.events_topic,
        "partition": "1",
        "offset": offset,
    }
    producer.send(
        member.party.rejects_topic,
        b"\x00bytes",
        headers=[(f"weaklink-{name}", text.encode()) for name, text in headers.items()],
    )
    producer.close()
    text = RUN.invoke(app, ["partner", "rejects", "--each", "--party", member.party.id]).output
    assert f"{member.party.events_topic} partition 1 offset {shown}: TOO_OLD (occurred_at): 9 days old" in text
    (line,) = RUN.invoke(
        app, ["partner", "rejects", "--each", "--party", member.party.id, "--json"]
    ).output.splitlines()
    reject = json.loads(line)
    assert (reject["value"], reject["offset"], reject["last_offset"]) == (b"\x00bytes".hex(), 42, last)
    assert "older than this record's limit" in reject["explanation"]


def test_keys_rotate_into_a_second_epoch(keys: Path) -> None:
    rotated = RUN.invoke(app, ["partner", "key", "rotate", str(keys), "--overlap-days", "7"])
    assert rotated.exit_code == 0
    assert {entry["epoch"] for entry in json.loads(keys.read_text())["keys"]} == {1, 2}
    refused = RUN.invoke(app, ["partner", "key", "rotate", str(keys)])
    assert refused.exit_code == 1
    assert "--overlap-days 0" in str(refused.exception)
    leaked = RUN.invoke(app, ["partner", "key", "rotate", str(keys), "--overlap-days", "0"])
    assert "weaklink epochs expire 2 --at now" in leaked.output
    assert {entry["epoch"] for entry in json.loads(keys.read_text())["keys"]} == {3}


def test_logs_are_imported_by_the_name_of_their_source(member: Member, tmp_path: Path) -> None:
    file = tmp_path / "gateway.ndjson.gz"
    good = {"id": "r-1", "time": "2026-03-02T09:15:30Z", "team": "acme", "model": "m", "remote_addr": "192.0.2.7"}
    with gzip.open(file, "wt") as lines:
        lines.write(
            f"{json.dumps(good)}\n{json.dumps(good | {'time': 'soon'})}\n{json.dumps(good | {'status': 500})}\n"
        )
    command = ["partner", "import", "gateway", "--party", member.party.id, "--field", "account=team", str(file)]
    result = RUN.invoke(app, command)
    assert result.exit_code == 3, result.output
    assert f"{file}:2: MALFORMED (time)" in result.stderr
    assert "1 published, 1 no events of this source skipped, 1 bad" in result.stderr
    assert [json.loads(line)["line"] for line in Path(f"{file}.bad").read_text().splitlines()] == [2]
    ((_, record, values),) = member.published()
    assert (record, values["account"], values["identifiers"][0][:2]) == ("ApiUsage", "acme", b"\x01\x01")
    assert isinstance(RUN.invoke(app, [*command[:2], "smoke-signals", *command[3:]]).exception, ConfigurationError)


def test_what_ends_in_one_log_may_have_begun_in_an_earlier_one(member: Member, tmp_path: Path) -> None:
    """One connector reads all files of a command, in their order."""
    given = {"eventName": "AllocateAddress", "eventTime": "2026-03-01T08:00:00Z", "eventID": "1", "recipientAccountId": "1234"}  # fmt: skip
    returned = given | {"eventName": "ReleaseAddress", "eventTime": "2026-03-02T08:00:00Z", "eventID": "2"}
    lines = [
        given | {"responseElements": {"publicIp": "198.51.100.77", "allocationId": "eipalloc-1"}},
        returned | {"requestParameters": {"allocationId": "eipalloc-1"}},
    ]
    files = [tmp_path / f"day-{number}.ndjson" for number in (1, 2)]
    for file, line in zip(files, lines, strict=True):
        file.write_text(json.dumps(line) + "\n")
    result = RUN.invoke(app, ["partner", "import", "cloud", "--party", member.party.id, *map(str, files)])
    assert result.exit_code == 0, result.output
    begun, ended = sorted(
        (values for _, _, values in member.published()), key=lambda one: one["released_at"] is not None
    )
    assert (begun["released_at"], ended["occurred_at"]) == (None, begun["occurred_at"])
    assert ended["identifiers"] == begun["identifiers"]
