"""How many attempts to sign in are taken, from whom, and what they may cost; and when a session is over because nobody is there."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from tests.console.conftest import Case, opened, sign_in
from tests.console.visitor import console
from tests.log_lines import log_lines
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink.console import live, users
from weaklink.console.attempts import Attempts
from weaklink.console.config import ConsoleConfig
from weaklink.console.security import LOGIN_COOKIE, REFRESH_HEADER
from weaklink.enforce.database import wall_us

_MINUTE_US = 60_000_000


def test_a_pause_ends() -> None:
    """After its time, and at once by the right password."""
    now = [0.0]
    attempts = Attempts(ConsoleConfig(attempts_max=2, attempts_minutes=1), clock=lambda: now[0])
    assert [attempts.begin("a", "192.0.2.1") for _ in range(3)] == [True, True, False]
    assert attempts.begin("b", "192.0.2.1")
    now[0] = 61
    assert attempts.begin("a", "192.0.2.1")
    attempts.right("a", "192.0.2.1")
    assert [attempts.begin("a", "192.0.2.1") for _ in range(3)] == [True, True, False]
    attempts.forget_last("a", "192.0.2.1")  # it could not be judged
    assert attempts.begin("a", "192.0.2.1")


def test_an_address_waits_whatever_names_it_tries() -> None:
    """Others do not wait with it; who signs in rightly uses nothing up; one subscriber's IPv6 addresses are one, and IPv4 is the same in either."""
    now = [0.0]
    attempts = Attempts(ConsoleConfig(attempts_address_max=3, attempts_minutes=1), clock=lambda: now[0])
    for number in range(10):
        assert attempts.begin(f"right-{number}", "192.0.2.1")
        attempts.right(f"right-{number}", "192.0.2.1")
    assert [attempts.begin(f"n{number}", "192.0.2.1") for number in range(4)] == [True] * 3 + [False]
    assert not attempts.begin("n9", "::ffff:192.0.2.1")
    assert [attempts.begin(f"m{number}", f"2001:db8::{number}") for number in range(4)] == [True] * 3 + [False]
    assert attempts.begin("n9", "2001:db8:0:1::1")
    now[0] = 61
    assert attempts.begin("n9", "192.0.2.1")


def test_what_is_over_is_forgotten() -> None:
    """Else the names that a stranger invents would fill the memory."""
    now = [0.0]
    attempts = Attempts(ConsoleConfig(attempts_minutes=1), clock=lambda: now[0])
    for number in range(10_000):
        now[0] += 1
        assert attempts.begin(f"n{number}", f"2001:db8:{number:x}::1")
    assert len(attempts._by_name._times) <= 61
    assert len(attempts._by_address._times) <= 61


def test_a_proxy_is_an_address_or_a_network() -> None:
    """A name would never match: everybody behind that proxy would count as one."""
    assert ConsoleConfig(proxies=("10.0.0.0/8", "::1")).proxies == ("10.0.0.0/8", "::1")
    with pytest.raises(ValidationError, match="proxy-1"):
        ConsoleConfig(proxies=("proxy-1",))


def form_of(client: TestClient) -> tuple[dict[str, str], dict[str, str]]:
    """Fields and headers of a sign-in that is refused for its password alone; the client keeps no cookies from here on."""
    form = client.get("/login")
    (token,) = re.findall(r'name="token" value="([^"]+)"', form.text)
    headers = {"cookie": f"{LOGIN_COOKIE}={form.cookies[LOGIN_COOKIE]}"}
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # each answer brings a new one
    client.cookies.clear()
    return {"password": "wrong" * 3, "token": token}, headers


@pytest.mark.kafka
def test_many_names_from_one_address_do_not_keep_the_console_busy(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a core and 32 MiB: without a limit, who knows no name at all could have every core and thread of the console."""
    at_once, most = 0, 0
    hashed = users._hashed

    def counted(password: str, salt: bytes) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        found = hashed(password, salt)
        at_once -= 1
        return found

    monkeypatch.setattr(users, "_hashed", counted)
    with opened(case) as client, ThreadPoolExecutor(20) as pool:
        data, headers = form_of(client)
        asked = [
            pool.submit(client.post, "/login", data={"name": f"nobody-{number}", **data}, headers=headers)
            for number in range(200)
        ]
        began = time.monotonic()
        assert client.get("/login").status_code == 200
        assert time.monotonic() - began < 5
        statuses = [one.result(PATIENCE_SECONDS).status_code for one in asked]
    assert sorted(statuses) == [401] * 20 + [429] * 180
    assert most <= 2


@pytest.mark.kafka
def test_many_addresses_are_held_back_where_too_many_wait(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the addresses: no more than twenty are under way, and the next ones come later."""
    go_on = threading.Event()
    hashed = users._hashed

    def held(password: str, salt: bytes) -> bytes:
        go_on.wait(PATIENCE_SECONDS)
        return hashed(password, salt)

    monkeypatch.setattr(users, "_hashed", held)
    numbers = iter(range(1000))
    monkeypatch.setattr("weaklink.console.attempts._client", lambda _: f"192.0.2.{next(numbers)}")
    with opened(case) as client, ThreadPoolExecutor(40) as pool:
        data, headers = form_of(client)
        asked = [
            pool.submit(client.post, "/login", data={"name": f"nobody-{number}", **data}, headers=headers)
            for number in range(40)
        ]
        try:
            wait_until(lambda: sum(one.done() for one in asked) == 20)
            assert client.get("/login").status_code == 200
        finally:
            go_on.set()
        assert sorted(one.result(PATIENCE_SECONDS).status_code for one in asked) == [401] * 20 + [429] * 20


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Microseconds by which sessions are ahead of the wall clock."""
    ahead = [0]
    monkeypatch.setattr(users, "wall_us", lambda: wall_us() + ahead[0])
    return ahead


@pytest.mark.kafka
def test_an_open_page_does_not_keep_a_session(case: Case, clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream, and what it fetches by itself, would keep an abandoned screen signed in for twelve hours; a person's own request does keep it."""
    looked = 0
    session = users.Users.session

    async def counted(self: users.Users, token: str, **options: Any) -> users.Session | None:
        nonlocal looked
        looked += 1
        return await session(self, token, **options)

    monkeypatch.setattr(users.Users, "session", counted)
    monkeypatch.setattr(live, "_BEAT_SECONDS", 0.1)
    with opened(case) as client, ThreadPoolExecutor(1) as pool:
        left, busy = sign_in(client, "ana", anew=True), sign_in(client, "ana", anew=True)
        stream = pool.submit(client.get, "/events", headers=left)
        try:
            clock[0] += 40 * _MINUTE_US
            before = looked
            wait_until(lambda: looked > before + 2)
            assert client.get("/", headers={**left, REFRESH_HEADER: "1"}).status_code == 200
            assert client.get("/", headers=busy).status_code == 200
            assert not stream.done()
            clock[0] += 21 * _MINUTE_US
            gone = client.get("/", headers=left)
            assert (gone.status_code, gone.headers["location"]) == (303, "/login")
            assert stream.result(PATIENCE_SECONDS).status_code == 200  # it has ended
            assert client.get("/", headers=busy).status_code == 200
        finally:
            clock[0] += 24 * 60 * _MINUTE_US  # ends the stream in any case


@pytest.mark.kafka
@pytest.mark.parametrize(("proxies", "counted"), [(["127.0.0.0/8"], "203.0.113.7"), (["192.0.2.1"], "127.0.0.1")])
def test_an_address_is_that_of_the_client_behind_a_known_proxy(
    case: Case, tmp_path: Path, proxies: list[str], counted: str
) -> None:
    """Of any other, what it says of its client is not believed: whoever guesses passwords could invent an address for each."""
    environment = {
        **case.settings.kafka.environment(),
        "WEAKLINK_DATA_FOLDER": str(case.settings.data_folder),
        "WEAKLINK_CONSOLE__PROXIES": json.dumps(proxies),
    }
    log = tmp_path / "console.log"
    with console(environment, log) as visitor:
        visitor.headers["x-forwarded-for"] = "198.51.100.1, 203.0.113.7"
        assert visitor.sign_in("nobody", "wrong" * 3) == 401
    (refused,) = [one for one in log_lines(log.read_bytes()) if one["event"] == "sign_in_refused"]
    assert refused["address"] == counted
