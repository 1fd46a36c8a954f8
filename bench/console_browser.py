"""The console by clicks in a real Chromium: time until each page is usable, what was transferred, errors, and the longest list on it."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from playwright.sync_api import Locator, Page, sync_playwright

from bench.console_data import LARGEST, PASSWORD, Size
from weaklink.console.app import make_app
from weaklink.console.pages import PAGE
from weaklink.ops.ports import free_ports
from weaklink.settings import Settings

PATIENCE_SECONDS = 120
# Usable: loaded, its stream of updates open, and painted.
USABLE = """() => new Promise(done => {
  const look = () => document.getElementById("live").textContent === "Live."
    ? requestAnimationFrame(() => setTimeout(done)) : requestAnimationFrame(look);
  look();
})"""
BYTES = """() => ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind)).reduce((sum, one) => sum + one.transferSize, 0)"""
LONGEST = """() => Math.max(0, ...[...document.querySelectorAll("main tbody, main ol, main ul")].map(one => one.children.length))"""


@dataclass(frozen=True)
class Step:
    """A page that was opened by a click. `usable_ms`: from the click; `longest`: rows of its longest list; `elements` of its document."""

    name: str
    usable_ms: float
    transferred_kb: float
    longest: int
    elements: int
    paged: bool
    errors: tuple[str, ...]


def find_chromium() -> str | None:
    """Debian's, or whatever is on PATH under its names."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The console's address, once it has read the topic."""
    (port,) = free_ports(1)
    app = make_app(settings)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.started or app.state.cases.error is not None or app.state.lag.report is None:
            if time.monotonic() > deadline or not thread.is_alive():
                raise TimeoutError(f"the console has not read its topic in {PATIENCE_SECONDS} s")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


class Walk:
    """Clicks, and a step for each."""

    def __init__(self, page: Page, shots: Path) -> None:
        self.page, self.shots = page, shots
        self.steps: list[Step] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", lambda answer: self.errors.append(answer.url) if answer.status >= 400 else None)
        shots.mkdir(parents=True, exist_ok=True)

    def click(self, name: str, what: Locator, *, picture: bool = True) -> None:
        """Click on what leads to another page, and measure that page."""
        began = time.perf_counter()
        with self.page.expect_navigation(wait_until="load"):
            what.click()
        self.page.evaluate(USABLE)
        took = time.perf_counter() - began
        size, longest = self.page.evaluate(BYTES), self.page.evaluate(LONGEST)
        elements = self.page.evaluate("document.querySelectorAll('*').length")
        paged = self.page.locator("nav.pager").count() > 0
        if picture:
            self.page.screenshot(path=self.shots / f"size-{name.replace(' ', '-')}.png")
        errors, self.errors[:] = tuple(self.errors), []
        self.steps.append(Step(name, round(1000 * took, 1), round(size / 1000, 1), longest, elements, paged, errors))

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def through(self, name: str, pages_max: int) -> None:
        """Next, until the last page or so many of them."""
        for number in range(2, pages_max + 1):
            if self.link("Next").count() == 0:
                break
            self.click(f"{name} page {number}", self.link("Next"), picture=number == 2)


def walk(found: Walk, size: Size) -> None:
    """Every list to be paged, both filters, the largest campaign, an account, the queue."""
    page = found.page
    page.goto("/")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    found.click("sign in", page.get_by_role("button", name="Sign in"), picture=False)
    found.click("campaigns", found.link("Campaigns"))
    found.through("campaigns", -(-size.campaigns // PAGE))
    page.get_by_role("searchbox", name="Id contains").fill(LARGEST)
    found.click("campaigns filtered", page.get_by_role("button", name="Show"))
    found.click("largest campaign", found.link(LARGEST).first)
    found.through("largest campaign", 4)
    found.click("account", page.locator("#members tbody a").first)
    found.click("queue", found.link("Queue"))
    found.through("queue", 4)
    found.click("actions", found.link("Actions"))
    page.get_by_label("State").select_option("WAITING")
    found.click("actions filtered", page.get_by_role("button", name="Show"))
    found.through("actions filtered", 2)
    found.click("parties", found.link("Parties"))


def measure_in_chromium(settings: Settings, chromium: str, size: Size, out: Path) -> list[Step]:
    """Serve the console and walk through it. Screenshots: out/size-*.png. The console starts first: Playwright keeps an event loop in this thread."""
    with served(settings) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(base_url=address, viewport={"width": 1400, "height": 1000})
        found = Walk(context.new_page(), out)
        walk(found, size)
        browser.close()
    return found.steps


def problems(size: Size, steps: list[Step]) -> list[str]:
    """What is not as it has to be: errors, a list longer than a page, a list that must have several pages and offers none."""
    said = [f"{step.name}: {error}" for step in steps for error in step.errors]
    said += [f"{step.name}: a list of {step.longest} rows, no more than {PAGE} belong on a page" for step in steps if step.longest > PAGE]  # fmt: skip
    many = {"campaigns": size.campaigns, "largest campaign": size.largest, "actions": size.actions}
    wanted = {name for name, rows in many.items() if rows > PAGE}
    return said + [f"{step.name}: no way to the next page" for step in steps if step.name in wanted and not step.paged]


def report_steps(size: Size, steps: list[Step], out: Path) -> list[str]:
    """Print, write size.json, return what is wrong."""
    for step in steps:
        print(f"{step.name:30} {step.usable_ms:>8} ms {step.transferred_kb:>8} kB {step.elements:>6} elements, {len(step.errors)} errors")  # fmt: skip
    wrong = problems(size, steps)
    result = asdict(size) | {"problems": wrong, "steps": [asdict(step) for step in steps]}
    (out / "size.json").write_text(json.dumps(result, indent=1) + "\n")
    return wrong
