"""Recorded events go out at the pace asked for."""

from datetime import UTC, datetime, timedelta

from weaklink.partner.pace import Pace


class Wall:
    """A clock that only moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_an_hour_of_events_takes_a_second_at_3600() -> None:
    """Waits are event time divided by the speed, and a late or repeated event does not wait."""
    wall = Wall()
    pace = Pace(3600, lambda: wall.now, wall.sleep)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    passed = []
    for minutes in (0, 30, 60, 45, 60, 120):
        pace.wait(start + timedelta(minutes=minutes))
        passed.append(wall.now - 100)
    assert passed == [0, 0.5, 1, 1, 1, 2]


def test_time_spent_elsewhere_is_made_up_for() -> None:
    """A slow publisher does not wait on top of its slowness."""
    wall = Wall()
    pace = Pace(1, lambda: wall.now, wall.sleep)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    pace.wait(start)
    wall.now += 10
    pace.wait(start + timedelta(seconds=4))
    assert wall.now == 110
    pace.wait(start + timedelta(seconds=12))
    assert wall.now == 112
