"""A whole run: what it finds, that it never looks ahead, and what it writes."""

import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from tests.backtest.histories import RING, START, history, written
from weaklink.backtest.run import OUTPUTS, Summary, backtest
from weaklink.cli import backtest as command
from weaklink.cli.backtest import seconds
from weaklink.cli.main import app
from weaklink.errors import ConfigurationError
from weaklink.settings import Settings

HOUR = 3600


def run(
    folder: Path, frame: pl.DataFrame, name: str, tick_seconds: int = 4 * HOUR
) -> tuple[Summary, dict[str, pl.DataFrame]]:
    out = folder / name
    summary = backtest([written(folder, frame, f"{name}-events")], out, tick_seconds, Settings())
    return summary, {one: pl.read_parquet(out / f"{one}.parquet") for one in OUTPUTS}


def test_the_operator_is_found_and_no_customer_is(tmp_path: Path) -> None:
    summary, found = run(tmp_path, history(), "whole")
    flagged = found["accounts"].filter(pl.col("flagged_at").is_not_null())["account"].to_list()
    assert len([name for name in flagged if name.startswith("ring-")]) == RING
    assert not [name for name in flagged if name.startswith("person-")]
    assert summary.flagged == len(flagged)
    assert found["accounts"].height == history().select("party", "account").drop_nulls().n_unique()
    assert found["accounts"]["score"].is_between(0, 1).all()
    standing = found["campaigns"].filter(pl.col("state") == "OPEN")
    assert standing["accounts"].sum() >= RING
    assert (standing["requests"] > 0).all()
    assert (standing["traits"].list.len() > 0).all()


def test_actions_go_to_the_party_that_can_take_them_with_the_inputs_own_values(tmp_path: Path) -> None:
    _, found = run(tmp_path, history(), "whole")
    actions = found["actions"]
    assert actions["action_id"].is_unique().all()
    blocks = actions.filter(pl.col("measure") == "BLOCK_IDENTIFIER")
    assert set(blocks["party"]) <= {"pay-a"}
    assert blocks["target_value"].str.starts_with("ring-card-").all()
    assert (blocks["target_kind"] == "CARD").all()
    own = actions.filter(pl.col("target_kind") == "ACCOUNT")
    assert own.height
    assert (own["target_value"] == own["target_account"]).all()
    assert not own["target_account"].str.starts_with("person-").any()
    known = found["accounts"].select("party", pl.col("account").alias("target_account"))
    assert own.join(known, on=["party", "target_account"], how="anti").is_empty()


def test_a_run_says_what_to_harden_who_let_it_in_and_what_its_plans_would_have_prevented(tmp_path: Path) -> None:
    summary, found = run(tmp_path, history(), "whole")
    overall = found["weak_links"].filter(pl.col("campaign_id").is_null())
    trial = overall.filter((pl.col("dimension") == "plan") & (pl.col("value") == "TRIAL")).row(0, named=True)
    assert trial["campaign_share"] == pytest.approx(1)
    assert trial["benign_share"] == 0
    assert trial["recommendation"].startswith("harden plan TRIAL: 100 % of campaign volume")
    prepaid = overall.filter((pl.col("dimension") == "instrument") & (pl.col("value") == "PREPAID"))
    assert prepaid["campaign_accounts"].item() >= RING
    cards = {row["party"]: row for row in found["scorecards"].iter_rows(named=True)}
    assert cards["lab-a"]["volume_entered_share"] + cards["lab-b"]["volume_entered_share"] == pytest.approx(1)
    assert cards["pay-a"]["volume_entered_share"] == pytest.approx(1)
    replays = found["replays"].filter(pl.col("acting") == "every party")
    assert (replays["prevented_share"] > 0.2).all()
    assert found["replays"].filter(pl.col("acting") == "no plan")["prevented"].sum() == 0
    assert set(found["curves"]["campaign_id"]) <= set(found["campaigns"]["campaign_id"])
    assert found["curves"]["cut_share"].is_between(0, 1 + 1e-9).all()
    assert summary.findings[0].startswith("replayed, the plans prevent ")
    assert any(line.startswith("harden ") for line in summary.findings)


def test_a_world_without_a_campaign_gives_no_findings(tmp_path: Path) -> None:
    quiet = history().filter(~pl.col("account").str.contains("ring-|payer-").fill_null(value=False))
    summary, found = run(tmp_path, quiet, "quiet")
    assert summary.findings == ()
    for name in ("weak_links", "scorecards", "replays", "curves"):
        assert found[name].is_empty()


def test_what_is_said_at_a_time_does_not_change_when_the_future_is_cut_off(tmp_path: Path) -> None:
    cut = START + timedelta(hours=64)
    _, whole = run(tmp_path, history(), "whole")
    _, past = run(tmp_path, history().filter(pl.col("occurred_at") < cut), "past")
    early = whole["accounts"].filter(pl.col("flagged_at") <= cut).select("party", "account", "flagged_at")
    assert early.height
    assert_frame_equal(
        early, past["accounts"].filter(pl.col("flagged_at").is_not_null()).select("party", "account", "flagged_at")
    )
    columns = pl.exclude("withdrawn_at")
    known = whole["actions"].filter(pl.col("issued_at") <= cut).select(columns)
    assert known.height
    assert_frame_equal(known, past["actions"].select(columns), check_row_order=False)


def test_two_runs_say_the_same(tmp_path: Path) -> None:
    """To the bit, action ids included: what changed between two runs is what was changed."""
    _, one = run(tmp_path, history(), "one", 24 * HOUR)
    _, other = run(tmp_path, history(), "other", 24 * HOUR)
    for name in ("accounts", "campaigns", "actions"):
        assert_frame_equal(one[name], other[name])


def test_the_order_of_files_and_rows_changes_nothing(tmp_path: Path) -> None:
    whole = history()
    backtest([written(tmp_path, whole, "a")], tmp_path / "one", 24 * HOUR, Settings())
    halves = [written(tmp_path, whole[::2].reverse(), "b"), written(tmp_path, whole[1::2], "c")]
    backtest(halves, tmp_path / "two", 24 * HOUR, Settings())
    names = ["party", "account", "flagged_at"]
    one, two = (pl.read_parquet(tmp_path / name / "accounts.parquet").select(names) for name in ("one", "two"))
    assert_frame_equal(one, two)


def test_the_command_says_what_it_did_and_where_bad_rows_are(tmp_path: Path) -> None:
    frame = pl.concat([history().head(60), history().head(2), history().head(1).with_columns(account=pl.lit(""))])
    path = written(tmp_path, frame)
    result = CliRunner().invoke(app, ["backtest", str(path), "--out", str(tmp_path / "out"), "--tick", "1d"])
    assert result.exit_code == 0, result.output
    assert "60 of 63 rows" in result.output
    assert "1 rejected, 2 duplicates" in result.output
    rejects = pl.read_parquet(tmp_path / "out" / "rejects.parquet")
    assert rejects["line"].to_list() == [61, 62, 63]


@pytest.mark.parametrize("out", ["events.parquet", "events.parquet/below"])
def test_where_nothing_can_be_written_nothing_is_replayed(tmp_path: Path, out: str) -> None:
    """It would be said after the whole history, which would have to be replayed again."""
    path, phases = written(tmp_path, history(), "events"), list[str]()
    with pytest.raises(ConfigurationError, match=r"events\.parquet.* cannot be written"):
        backtest([path], tmp_path / out, 24 * HOUR, Settings(), lambda phase, done, total: phases.append(phase))
    assert phases == []


def test_what_libraries_print_is_not_among_the_results(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """HiGHS writes to the standard output of the process by itself, now and then."""
    with command._results_only():
        os.write(1, b"noise\n")
    os.write(1, b"result\n")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("result\n", "noise\n")


def test_nothing_usable_is_one_clear_error(tmp_path: Path) -> None:
    path = written(tmp_path, history().head(3).with_columns(account=pl.lit("")))
    with pytest.raises(ConfigurationError, match="none of the 3 rows can be used"):
        backtest([path], tmp_path / "out", HOUR, Settings())


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)])
def test_lengths_of_time_are_read(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0h", "1", "h", "1w", "-1h", "1.5h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a length of time"):
        seconds(text)


def test_what_a_benign_list_names_links_and_flags_nobody(tmp_path: Path) -> None:
    """With the operator's own values listed as shared infrastructure, in the form of a hub table, nobody is found; some accounts listed are not."""
    frame = history()
    values = frame["identifiers"].explode().drop_nulls().struct.unnest()
    own = values.filter(pl.col("value").str.starts_with("ring-"))["value"].unique()
    prompts = values.filter(pl.col("kind") == "PROMPT")["value"].unique()
    hubs = tmp_path / "hubs.parquet"
    pl.DataFrame({"identifier": pl.concat([own, prompts]), "kind": "exchange"}).write_parquet(hubs)
    some = tmp_path / "customers.csv"
    some.write_text("party,account,reason\nlab-a,ring-0,our own tests\n")
    file = written(tmp_path, frame, "listed")
    for benign, least, most in (([hubs], 0, 0), ([some], RING // 2, RING - 1)):
        backtest([file], tmp_path / "out", 4 * HOUR, Settings(), benign=benign)
        found = pl.read_parquet(tmp_path / "out" / "accounts.parquet").filter(pl.col("flagged_at").is_not_null())
        ring = found.filter(pl.col("account").str.starts_with("ring-"))
        assert least <= ring.height <= most
        assert "ring-0" not in ring["account"].to_list()
