"""Epochs of keys whose overlap is over: told until somebody has ended them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from weaklink.epochs import Expiry
from weaklink.ops.doctor import Level
from weaklink.ops.doctor_epochs import epochs_finding, examine_epochs
from weaklink.partner.keys import new_keys, rotated
from weaklink.settings import Settings

ROTATED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KEYS = rotated(new_keys(datetime(2025, 3, 1, tzinfo=UTC)), ROTATED, timedelta(days=90))
"""Epoch 1 until 30 May, and epoch 2."""
OVER = datetime(2026, 5, 30, 9, 30, tzinfo=UTC)


def expiry(epoch: int, at: datetime) -> Expiry:
    return Expiry(epoch=epoch, expires_at=at, reason="rotation", by="ann", recorded_at=at - timedelta(days=1))


@pytest.mark.parametrize(
    ("days_after", "expiries", "level"),
    [
        (-1, [], Level.OK),  # both are in use
        (0, [], Level.WARNING),
        (9, [], Level.WARNING),
        (9, [expiry(1, OVER)], Level.OK),
        (9, [expiry(1, OVER + timedelta(days=30))], Level.OK),  # somebody has said when
        (9, [expiry(2, OVER)], Level.OK),  # all before it, too
    ],
)
def test_an_overlap_that_is_over_is_told_unless_the_epoch_has_an_end(
    days_after: int, expiries: list[Expiry], level: Level
) -> None:
    """Which epoch, since when, and what to run."""
    finding = epochs_finding(KEYS, expiries, OVER + timedelta(days=days_after))
    assert finding.level is level
    if level is Level.WARNING:
        assert "the overlap of epoch 1 is over since 2026-05-30 09:30 UTC" in finding.what
        assert finding.fix.startswith("weaklink epochs expire 1 --reason ")


def test_the_newest_epoch_that_is_late_is_the_one_to_end() -> None:
    """That ends those before it."""
    keys = [*KEYS[:1], *new_keys(ROTATED, 3)] + [
        one for one in rotated(new_keys(ROTATED, 2), ROTATED, timedelta(days=10)) if one.epoch == 2
    ]
    finding = epochs_finding(keys, [], OVER + timedelta(days=1))
    assert "epoch 1 is over" in finding.what
    assert "epoch 2 is over since 2026-03-11" in finding.what
    assert "expire 2 " in finding.fix
    assert "epoch 2" in epochs_finding(keys, [expiry(1, OVER)], OVER + timedelta(days=1)).what


def test_without_a_key_file_nothing_is_asked_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    """No broker is needed for either."""
    settings = Settings()
    assert examine_epochs(settings, 0.0).level is Level.OK
    broken = tmp_path / "keys.json"
    broken.write_text("{}")
    broken.chmod(0o600)
    settings = settings.model_copy(update={"tokeniser": settings.tokeniser.model_copy(update={"key_file": broken})})
    finding = examine_epochs(settings, 0.0)
    assert (finding.level, str(broken) in finding.what) == (Level.WARNING, True)
