"""When the next kill comes."""

from chaos.faults import kill_services


def test_a_pause_between_kills_has_the_restart_in_it() -> None:
    """Kills come every 5 to 15 s, not that and a restart; one that is overdue comes at once."""
    assert kill_services.rest_seconds(5.0, killed_at=100.0, now=103.0) == 2.0
    assert kill_services.rest_seconds(5.0, killed_at=100.0, now=109.0) == 0.0
