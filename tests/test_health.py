"""Probes: what /healthz, /readyz and /metrics answer, over real HTTP."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.waiting import wait_until
from weaklink.health import Health, HealthServer


class Clock:
    """Stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(silence_seconds_max=30, clock=clock)


@pytest.fixture
def url(health: Health) -> Iterator[str]:
    server = HealthServer("127.0.0.1", 0, health)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_worker_that_rebuilds_is_healthy_and_not_ready(url: str, health: Health) -> None:
    """An orchestrator must not kill it for that."""
    assert (asked(f"{url}/healthz")[0], asked(f"{url}/readyz")[0]) == (200, 503)
    health.turned(ready=True)
    assert (asked(f"{url}/healthz")[0], asked(f"{url}/readyz")[0]) == (200, 200)
    health.turned(ready=False)
    assert (asked(f"{url}/healthz")[0], asked(f"{url}/readyz")[0]) == (200, 503)


def test_a_loop_that_hangs_is_neither_healthy_nor_ready(url: str, health: Health, clock: Clock) -> None:
    """Whatever it last said of itself."""
    health.turned(ready=True)
    clock.now = 30.5
    status, said = asked(f"{url}/healthz")
    assert (status, said) == (503, "the loop turned 30.5 s ago\n")
    assert asked(f"{url}/readyz")[0] == 503


def test_metrics_are_served_beside_them(url: str) -> None:
    """With the version that runs; any other path is told what there is."""
    status, text = asked(f"{url}/metrics")
    assert status == 200
    assert 'weaklink_build_info{version="' in text
    assert asked(f"{url}/other") == (404, "there are /metrics, /healthz and /readyz\n")


def test_an_answer_that_cannot_be_given_is_a_line_of_the_log(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server of Python's library would write a traceback to stderr."""
    monkeypatch.setattr("weaklink.health.choose_encoder", lambda _: 1 / 0)
    with capture_logs() as logs:
        with pytest.raises(OSError, match=r"without response|reset"):
            asked(url + "/metrics")
        wait_until(lambda: [line["event"] for line in logs] == ["probe_not_answered"])
    assert capsys.readouterr().err == ""
