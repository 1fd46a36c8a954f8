"""The person on duty approves whatever waits, campaign by campaign, as `weaklink actions` tells of it."""

import sys
from pathlib import Path
from typing import cast

import pytest

from bench import duty
from tests.waiting import wait_until
from weaklink.sim.services import Services

# As the command line answers: a JSON object a line, and a line for each action that was approved.
_COMMAND = """
import json, sys
if "list" in sys.argv:
    assert "--json" in sys.argv
    for campaign in ("c-2", "c-1", "c-2"):
        print(json.dumps({"campaign_id": campaign, "action_id": "a"}))
else:
    print("a-1 SUSPEND cust-1 at lab-a: ACTIVE")
    print(f"approved {sys.argv[-1]}")
"""


def test_all_that_waits_is_approved_campaign_by_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "_DUTY_SECONDS", 0.0)

    class Answering:
        def command(self, *arguments: str) -> list[str]:
            return [sys.executable, "-c", _COMMAND, *arguments]

    log = tmp_path / "duty.log"
    person = duty.Duty(cast("Services", Answering()), {}, log)
    person.maybe()
    wait_until(lambda: person.approved == 2)
    person.stop()
    assert [line for line in log.read_text().splitlines() if line.startswith("approved")] == [
        "approved c-1",
        "approved c-2",
    ]
