"""Scores: every figure of the summary follows from the topics and the truth."""

from datetime import UTC, datetime
from typing import Any

import pytest

from weaklink.sim.outcome import Flagged, Outcome
from weaklink.sim.presets import preset
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.score import account_names, campaign_scores, summarise
from weaklink.sim.worlds import World

SUMMARY_KEYS = {
    "events_published", "events_accepted", "events_rejected", "events_duplicate", "campaigns_true", "campaigns_found",
    "account_precision", "account_recall", "prevented_share", "benign_suspended", "actions_issued", "receipts",
    "action_latency_seconds_p50", "action_latency_seconds_p99", "peak_memory_mib",
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    """A small world that has run to its end."""
    made = World(preset("small", 0.05), seed=2)
    for start, end in made.steps():
        for operator in made.operators:
            operator.step(start, end, Restrictions())
    return made


def action(
    party: str, account: str | None, measure: str, latency: float, *, state: str = "ACTIVE", revision: int = 1
) -> dict[str, Any]:
    """One revision of an action."""
    return {"action_id": f"{measure}-{account}", "campaign_id": "c-1", "party": party, "target_account": account, "measure": measure,
            "state": state, "revision": revision, "latency_seconds": latency}  # fmt: skip


def test_precision_recall_and_harm_are_counted_against_the_truth(world: World) -> None:
    """Three quarters of the operator's accounts and one honest one are flagged; one honest one is suspended."""
    names = account_names(world)
    guilty = [name for name, operator in zip(names, world.accounts.operator, strict=True) if operator >= 0]
    honest = [name for name, operator in zip(names, world.accounts.operator, strict=True) if operator < 0]
    found = guilty[: len(guilty) * 3 // 4]
    plan = {"volume_cut_share": 0.9, "gap": 0.0}
    outcome = Outcome(
        published=100, accepted=95, rejected=3, duplicates=2, receipts=7,
        campaigns={"c-1": {"plan": plan}},
        detected_us={"c-1": world.spec.start_us},
        flagged={name: Flagged("c-1", 0) for name in [*found, honest[0]]},
        actions=[action(*found[0], "SUSPEND", 1.0), action(*honest[0], "SUSPEND", 3.0), action(*honest[1], "CHALLENGE", 3.0),
                 action(*found[1], "SUSPEND", 99.0, state="WITHDRAWN"), action(*honest[1], "CHALLENGE", 0.1, revision=2)],
    )  # fmt: skip
    summary = summarise(world, outcome, {"heron": 250}, {"heron": 1000}, {"ingest": 12.34})
    assert set(summary) == SUMMARY_KEYS
    assert summary["account_precision"] == pytest.approx(len(found) / (len(found) + 1), abs=1e-4)
    assert summary["account_recall"] == pytest.approx(len(found) / len(guilty), abs=1e-4)
    assert (summary["prevented_share"], summary["benign_suspended"], summary["actions_issued"]) == (0.75, 1, 3)
    assert summary["action_latency_seconds_p50"] == 3.0  # a renewal, and it comes soon, is no news
    assert summary["action_latency_seconds_p99"] == pytest.approx(3.0, abs=0.1)
    assert summary["campaigns_found"] == 1
    (score,) = campaign_scores(world, outcome, {"heron": 250}, {"heron": 1000})
    assert score.campaign_ids == ("c-1",)
    assert score.found == len(found)
    assert score.weak_links == {"SUSPEND": 2, "CHALLENGE": 1}


def test_nothing_found_scores_nothing(world: World) -> None:
    """An empty outcome is neither precise nor found, and nothing was prevented."""
    summary = summarise(world, Outcome(), {"heron": 1000}, {"heron": 1000}, {})
    assert summary["campaigns_found"] == 0
    assert (summary["account_precision"], summary["account_recall"], summary["prevented_share"]) == (None, 0.0, 0.0)
    assert summary["action_latency_seconds_p99"] is None  # and not the best there is
    assert datetime.fromtimestamp(world.spec.start_us / 1e6, UTC) == world.spec.start
