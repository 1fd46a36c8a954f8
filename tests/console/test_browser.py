"""The console in a real Chromium: clicks, keyboard, live updates, accessibility, light and dark. Screenshots go to build/console/."""

import asyncio
import re
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.conftest import HOSTILE, PASSWORD, Case, make_case
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink.console.app import make_app
from weaklink.console.security import REFRESH_HEADER
from weaklink.console.users import Users
from weaklink.enforce import receipts
from weaklink.enforce.clock import Clock
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.ports import free_ports

pytestmark = pytest.mark.kafka
SHOTS = Path(__file__).parents[2] / "build" / "console"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@pytest.fixture(scope="module")
def case(kafka: KafkaConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A case of these tests alone: they decide."""
    with pytest.MonkeyPatch.context() as patch:
        yield make_case(kafka, tmp_path_factory.mktemp("browser"), patch)


@pytest.fixture(scope="module")
def address(case: Case) -> Iterator[str]:
    """Where the console listens."""
    (port,) = free_ports(1)
    app = make_app(case.settings)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started and app.state.cases.error is None and app.state.lag.report is not None)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def chromium(address: str) -> Iterator[Browser]:
    """Debian's, or whatever is on PATH under its names. Starts after the console: Playwright keeps an event loop in this thread."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed: the browser's tests of the console are left out")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A page that has to end without an error in its console, and without a request to anywhere else."""
    context = chromium.new_context(base_url=address, viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: errors.append(asked.url) if not asked.url.startswith(address) else None)
    yield page
    context.close()
    assert errors == []


def sign_in(page: Page, name: str) -> None:
    """By keyboard alone."""
    page.goto("/")
    page.get_by_label("Name").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Campaigns")


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def addresses(case: Case) -> dict[str, str]:
    party, account = case.accounts[0]
    return {
        "campaigns": "/", "campaign": f"/campaigns/{case.campaign}", "account": f"/accounts/{party}/{quote(account)}",
        "queue": "/queue", "actions": "/actions", "action": f"/actions/{case.actions[0]}", "parties": f"/parties?party={party}",
        "weak-links": "/weak-links", "lag": "/lag",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_in_light_and_dark(page: Page, case: Case, scheme: str) -> None:
    """axe-core finds nothing against WCAG 2.1 A and AA, contrast included; and each page has one heading, a title and a way around it."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto("/login")
    found = {"login": Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})}
    shot(page, f"login-{scheme}")
    sign_in(page, "olga")
    for name, where in addresses(case).items():
        page.goto(where)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        expect(page.get_by_role("status")).to_have_text("Live.")
        assert page.title().endswith("Weaklink")
        shot(page, f"{name}-{scheme}")
        found[name] = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    problems = {name: one.generate_report() for name, one in found.items() if one.violations_count}
    assert problems == {}


def test_the_keyboard_reaches_everything(page: Page, case: Case) -> None:
    """The first stop leaps to the content; from the list, Enter opens a campaign; the focus can be seen."""
    sign_in(page, "olga")
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == f"/campaigns/{case.campaign}":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Campaign {case.campaign}")


def test_a_campaign_is_a_picture_a_story_and_evidence(page: Page, case: Case) -> None:
    """The graph has its parts, the weak links a cross, and the same is there as a table for who does not see it."""
    sign_in(page, "olga")
    page.get_by_role("link", name=case.campaign).click()
    graph = page.locator("svg.graph")
    expect(graph).to_be_visible()
    assert graph.locator(".account").count() > 10
    assert graph.locator(".identifier").count() > 3
    assert graph.locator(".is-cut .cross").count() > 0
    assert page.locator("#timeline li").count() >= 2
    assert page.locator("#evidence tbody tr").count() >= 1
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("table", name="Shared identifiers, most members first")).to_be_visible()
    page.locator("#members").get_by_role("link", name=case.accounts[0][1], exact=True).click()
    expect(page.get_by_role("heading", name="What would change this")).to_be_visible()


def test_a_verdict_is_a_click_and_everybody_sees_it_at_once(
    page: Page, case: Case, chromium: Browser, address: str
) -> None:
    """One person approves with a note; on another's open queue the action goes without a reload."""
    waits = case.actions[3]
    other = chromium.new_context(base_url=address).new_page()
    sign_in(other, "olga")
    other.goto("/queue")
    expect(other.get_by_role("link", name=waits[:12])).to_be_visible()
    sign_in(page, "olga")
    page.get_by_role("link", name="Queue").click()
    page.get_by_label("Note").first.fill("looked at by hand")
    shot(page, "queue-before-verdict")
    page.get_by_role("button", name=f"Approve action {waits[:12]}").click()
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    expect(other.get_by_text("Nothing waits.")).to_be_visible()  # by its stream: nobody loaded this page again
    other.context.close()
    page.goto(f"/actions/{waits}")
    expect(page.get_by_role("cell", name="looked at by hand")).to_be_visible()
    expect(page.get_by_role("cell", name="olga")).to_be_visible()
    page.get_by_role("button", name=f"Withdraw action {waits[:12]}").click()
    expect(page.locator("#action .facts .state")).to_have_text("WITHDRAWN")
    shot(page, "action-withdrawn")


def test_what_happens_elsewhere_appears_and_what_is_being_typed_stays(page: Page, case: Case) -> None:
    """Another process withdraws an action: the open page shows it; a note that is half written is not taken away."""
    stands = case.actions[1]
    sign_in(page, "olga")
    asked: list[bool] = []
    page.on("request", lambda one: asked.append(REFRESH_HEADER in one.headers) if one.url.endswith(stands) else None)
    page.goto(f"/actions/{stands}")
    assert asked == [False]  # by a person
    page.get_by_label("Note").fill("half a sent")
    withdraw(case, stands)
    expect(page.locator("body[data-refreshed]")).to_be_attached()
    assert all(asked[1:])  # by the page
    expect(page.get_by_label("Note")).to_have_value("half a sent")
    page.goto("/actions?state=WITHDRAWN")
    expect(page.get_by_role("link", name=stands[:12])).to_be_visible()


def withdraw(case: Case, ident: str) -> None:
    """As `weaklink actions withdraw` does."""

    async def run() -> None:
        database = Database(ledger_url(case.settings))
        await Ledger(database, case.settings.enforce, Clock("append", 1)).decide(
            ident, receipts.taken_back, by="somebody", note=None
        )
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))  # the browser's own loop runs in this one
    thread.start()
    thread.join(PATIENCE_SECONDS)


def test_a_stream_of_updates_tells_no_content_and_ends_with_its_session(case: Case, address: str) -> None:
    """Numbers alone; and when the session is signed out elsewhere, the stream is over."""

    async def session() -> tuple[str, Database, Users]:
        database = Database(ledger_url(case.settings))
        users = Users(database, case.settings.console)
        return await users.sign_in("ana"), database, users

    async def end(database: Database, users: Users, token: str) -> None:
        await users.sign_out(token)
        await database.close()

    def look() -> list[bytes]:
        loop = asyncio.new_event_loop()
        token, database, users = loop.run_until_complete(session())
        asked = urllib.request.Request(f"{address}/events", headers={"cookie": f"weaklink_session={token}"})
        with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as stream:
            told = [stream.readline() for _ in range(3)]
            loop.run_until_complete(end(database, users, token))
            told += stream.readlines()  # returns when the stream has ended
        loop.close()
        return told

    with ThreadPoolExecutor(1) as pool:  # the browser's own loop runs in this thread
        told = pool.submit(look).result(PATIENCE_SECONDS)
    assert told[0] == b"event: changed\n"
    assert all(re.fullmatch(rb"(event: changed|data: \d+|: still here)?\n", line) for line in told)


def test_a_party_sees_its_own_and_hostile_names_are_words(page: Page, case: Case) -> None:
    """Its campaign and accounts; neither queue nor weak links; and what a name says is shown, not done."""
    sign_in(page, "ana")
    expect(page.get_by_role("link", name="Queue")).to_have_count(0)
    shot(page, "party-campaigns")
    page.get_by_role("link", name=case.campaign).click()
    assert "lab-b" not in page.content()
    shot(page, "party-campaign")
    page.locator("#members").get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Account {HOSTILE}")
    assert page.locator("img").count() == 0
    page.get_by_role("link", name="Parties").click()
    expect(page.get_by_role("heading", name="lab-a beside the others")).to_be_visible()
    shot(page, "party-scorecard")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
