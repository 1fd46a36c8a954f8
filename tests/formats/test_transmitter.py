"""Streams of security event tokens over real HTTP: polled and pushed, acknowledged once, resumed after a restart."""

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.formats.actions import action
from weaklink.errors import BrokerError, ConfigurationError
from weaklink.formats import risc
from weaklink.formats.transmitter import SetStream, handler, push
from weaklink.partner.actions import HandledActions
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState

BEARER = "a-token-of-some-length"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ECKey:
    return risc.new_signing_key(tmp_path_factory.mktemp("key") / "key.json")


def stream_of(key: ECKey, folder: Path, *actions: EnforcementAction) -> SetStream:
    made = SetStream(
        key,
        "https://s.example",
        "lab-a",
        "https://lab-a.example",
        HandledActions(folder / "state"),
        long_poll_seconds=0.3,
    )
    for one in actions:
        made.offer(one)
    return made


THREE = [action(action_id=str(number) * 32) for number in range(3)]
NOW = {"returnImmediately": True}


def test_what_is_not_acknowledged_comes_again_and_what_is_does_not_even_after_a_restart(
    key: ECKey, tmp_path: Path
) -> None:
    stream = stream_of(key, tmp_path, *THREE)
    first = stream.poll(NOW | {"maxEvents": 2})
    assert (len(first["sets"]), first["moreAvailable"]) == (2, True)
    assert stream.poll(NOW | {"maxEvents": 2})["sets"] == first["sets"]
    done, refused = first["sets"]
    answer = {"ack": [done], "setErrs": {refused: {"err": "invalid_key", "description": "?"}}}
    assert list(stream.poll(NOW | answer)["sets"]) == [f"{'2' * 32}.1"]
    again = stream_of(key, tmp_path, *THREE)
    assert list(again.poll(NOW)["sets"]) == [f"{'2' * 32}.1"]


def test_acknowledging_only_returns_nothing_and_a_long_poll_ends(key: ECKey, tmp_path: Path) -> None:
    stream = stream_of(key, tmp_path, *THREE)
    assert stream.poll({"maxEvents": 0}) == {"sets": {}, "moreAvailable": True}
    assert stream_of(key, tmp_path / "empty").poll({}) == {"sets": {}, "moreAvailable": False}


def test_a_later_revision_takes_the_place_of_one_that_still_waits(key: ECKey, tmp_path: Path) -> None:
    stream = stream_of(key, tmp_path, action(), action(revision=2, state=ActionState.WITHDRAWN), action())
    ((jti, token),) = stream.poll(NOW)["sets"].items()
    assert jti.endswith(".2")
    assert list(jwt.decode(token, key, ["ES256"]).claims["events"]) == [f"{risc.RISC}account-enabled"]


ACTIONS = st.builds(
    lambda number, revision: action(action_id=f"{number:032x}", revision=revision), st.integers(0, 3), st.integers(1, 4)
)


@settings(max_examples=40)  # each writes a file, and waits for the disk
@given(st.lists(st.one_of(ACTIONS, st.integers(0, 3)), max_size=30))
def test_what_waits_is_what_going_through_all_of_it_finds(steps: list[EnforcementAction | int]) -> None:
    """Of every action its latest revision that is not acknowledged, in the order in which those came: an independent calculation, from the whole history."""
    key = ECKey.generate_key("P-256", auto_kid=True)
    with TemporaryDirectory() as folder:
        stream = stream_of(key, Path(folder))
        waiting: list[tuple[str, int]] = []
        acknowledged: dict[str, int] = {}
        for step in steps:
            if isinstance(step, int):  # the receiver acknowledges one of those that wait
                for action_id, revision in waiting[step : step + 1]:
                    stream.waiting()
                    stream.acknowledge(f"{action_id}.{revision}")
                    acknowledged[action_id] = revision
                    waiting.remove((action_id, revision))
                continue
            stream.offer(step)
            known = [acknowledged.get(step.action_id, 0), *(n for other, n in waiting if other == step.action_id)]
            if step.revision > max(known):
                waiting = [one for one in waiting if one[0] != step.action_id] + [(step.action_id, step.revision)]
        assert list(stream.waiting()) == [f"{action_id}.{revision}" for action_id, revision in waiting]
        stream.acknowledged.close()


class Looked(EnforcementAction):
    """An action that counts how often any of them is looked at."""

    times: ClassVar[int] = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "action_id":
            Looked.times += 1
        return super().__getattribute__(name)


def test_twenty_thousand_unacknowledged_actions_are_each_looked_at_a_few_times(
    key: ECKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign's accounts, each with a renewal: to go through all that wait for every one would keep the one serving thread busy for minutes."""
    # A signature for each is what it takes, and not what is asked here.
    monkeypatch.setattr(risc, "signed", lambda claims, _: claims["jti"])
    stream = stream_of(key, tmp_path)
    number = 20_000
    fields = action().model_dump()
    for revision in (1, 2):
        for one in range(number):
            stream.offer(Looked.model_construct(**fields | {"action_id": f"{one:032x}", "revision": revision}))
    Looked.times = 0
    assert list(stream.waiting()) == [f"{one:032x}.2" for one in range(number)]
    assert Looked.times <= 10 * 2 * number


def test_a_paused_stream_says_so_keeps_what_waits_and_goes_on(key: ECKey, tmp_path: Path) -> None:
    stream = stream_of(key, tmp_path, *THREE)
    stream.change_status("paused", "maintenance")
    ((jti, told),) = stream.poll(NOW)["sets"].items()
    assert jwt.decode(told, key, ["ES256"]).claims["events"] == {
        f"{risc.SSF}stream-updated": {"status": "paused", "reason": "maintenance"}
    }
    stream.change_status("enabled", None)
    assert len(stream.poll(NOW | {"ack": [jti]})["sets"]) == 4


@pytest.fixture
def served(key: ECKey, tmp_path: Path) -> Iterator[str]:
    """A transmitter's URL; stream and server live in one thread, as in the command."""
    ready: list[HTTPServer] = []
    started = threading.Event()

    def run() -> None:
        ready.append(HTTPServer(("127.0.0.1", 0), handler(stream_of(key, tmp_path, *THREE), BEARER)))
        started.set()
        ready[0].serve_forever()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    yield f"http://127.0.0.1:{ready[0].server_port}"
    ready[0].shutdown()
    thread.join()
    ready[0].server_close()


def ask(url: str, body: Any = None, bearer: str | None = BEARER) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def test_a_receiver_discovers_verifies_polls_and_acknowledges_over_http(served: str) -> None:
    status, found = ask(f"{served}/.well-known/ssf-configuration", bearer=None)
    assert (status, found["delivery_methods_supported"]) == (200, ["urn:ietf:rfc:8936"])
    keys = KeySet.import_key_set(ask(f"{served}/jwks.json", bearer=None)[1])
    assert ask(f"{served}/verify", {"stream_id": "0", "state": "abc"})[0] == 204
    _, polled = ask(f"{served}/poll", NOW)
    events = [jwt.decode(token, keys, ["ES256"]).claims["events"] for token in polled["sets"].values()]
    assert {f"{risc.SSF}verification": {"state": "abc"}} in events
    assert sum(f"{risc.RISC}account-disabled" in one for one in events) == 3
    assert ask(f"{served}/poll", NOW | {"ack": list(polled["sets"])}) == (200, {"sets": {}, "moreAvailable": False})
    assert ask(f"{served}/status", {"status": "paused"}) == (200, {"stream_id": "0", "status": "paused"})
    assert ask(f"{served}/status")[1]["status"] == "paused"


def test_strangers_and_nonsense_are_refused(served: str) -> None:
    for path in ("poll", "verify", "status"):
        assert ask(f"{served}/{path}", {}, bearer="somebody-elses-token")[0] == 401
        assert ask(f"{served}/{path}", {}, bearer=None)[0] == 401
    assert ask(f"{served}/poll", [])[0] == 400
    assert ask(f"{served}/poll", {"maxEvents": "many"})[0] == 400
    assert ask(f"{served}/status", {"status": "asleep"})[0] == 400
    assert ask(f"{served}/elsewhere", {})[0] == 404


def test_a_connection_that_is_kept_shuts_nobody_out(served: str) -> None:
    """Proxies keep theirs; the server has one thread."""
    kept = http.client.HTTPConnection(urlsplit(served).netloc, timeout=5)
    kept.request("GET", "/jwks.json")
    assert kept.getresponse().read()
    other = http.client.HTTPConnection(urlsplit(served).netloc, timeout=5)
    other.request("GET", "/jwks.json")
    assert other.getresponse().status == 200
    kept.close()
    other.close()


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str], list[int]]]:
    """URL, tokens received, and the statuses that it is going to answer (then 202). Redirects lead to `/elsewhere`, where all that comes counts as received."""
    received: list[str] = []
    answers: list[int] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(f"GET {self.path} {self.headers['Authorization']}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            assert (self.headers["Content-Type"], self.headers["Authorization"]) == (
                "application/secevent+jwt",
                f"Bearer {BEARER}",
            )
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status = answers.pop(0) if answers else 202
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", received, answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_tokens_are_pushed_once_and_what_fails_waits(
    key: ECKey, tmp_path: Path, receiver: tuple[str, list[str], list[int]]
) -> None:
    url, received, answers = receiver
    answers[:] = [202, 503]
    with pytest.raises(BrokerError, match="503"):
        list(push(stream_of(key, tmp_path, *THREE), url, BEARER))
    answers[:] = [400]
    assert len(list(push(stream_of(key, tmp_path, *THREE), url, BEARER))) == 1
    assert list(push(stream_of(key, tmp_path, *THREE), url, BEARER)) == []
    assert len(received) == 4
    assert len(set(received)) >= 3


@pytest.mark.parametrize("status", [200, 204, 301, 302, 303, 307, 308, 401])
def test_only_202_is_taking_and_nobody_is_followed_elsewhere(
    status: int, key: ECKey, tmp_path: Path, receiver: tuple[str, list[str], list[int]]
) -> None:
    """Otherwise a login page's 200 would count every action as delivered, none of which anybody has, and a redirect would be handed the bearer token."""
    url, received, answers = receiver
    answers[:] = [status]
    with pytest.raises(BrokerError, match=f"answers {status}"):
        list(push(stream_of(key, tmp_path, *THREE), url, BEARER))
    assert len(received) == 1
    assert len(list(push(stream_of(key, tmp_path, *THREE), url, BEARER))) == 3
    first, again, *_ = (jwt.decode(token, key, ["ES256"]).claims["jti"] for token in received)
    assert first == again


@pytest.mark.parametrize(
    "url", ["http://my-lab.example/events", "http://127.0.0.1.example/", "file:///etc/passwd", "my-lab"]
)
def test_tokens_do_not_leave_in_the_clear(key: ECKey, tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        list(push(stream_of(key, tmp_path, *THREE), url, BEARER))
