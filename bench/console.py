"""The console at the size of a bad year: 1,000 campaigns, 100,000 accounts, 20,000 actions. `python -m bench.console`.

Real topic, real ledger (SQLite), the application as it is served: first without a browser, size and time of each page (nothing is judged), then by
clicks in Chromium (`bench.console_browser`), where errors and lists without pages fail
(`--chromium`: this alone). Results: build/console/.
"""

import asyncio
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from bench.console_browser import find_chromium, measure_in_chromium, report_steps
from bench.console_data import LARGEST, PASSWORD, Size, fill_ledger, fill_topic
from weaklink.console.app import make_app
from weaklink.console.config import ConsoleConfig
from weaklink.ops.broker import existing_or_local
from weaklink.ops.provision import provision
from weaklink.settings import Settings

ROUNDS = 7
OUT = Path("build/console")


def sign_in(client: TestClient, name: str) -> None:
    """The client keeps the cookie."""
    client.cookies.clear()
    token = re.findall(r'name="token" value="([^"]+)"', client.get("/login").text)[0]
    client.post("/login", data={"name": name, "password": PASSWORD, "token": token})


def measure_pages(client: TestClient, who: str) -> list[dict[str, Any]]:
    """Size and median time of each page for this person."""
    sign_in(client, who)
    largest = f"/campaigns/{LARGEST}"
    pages = ["/", "/?page=20", largest, f"{largest}?page=100", "/accounts/lab-1/acct-0-1", "/actions", "/actions?page=10", "/parties", "/lag"]  # fmt: skip
    rows = []
    for page in pages:
        spent = []
        for _ in range(ROUNDS):
            began = time.process_time()
            answer = client.get(page)
            spent.append(time.process_time() - began)
        took = round(1000 * statistics.median(spent), 1)
        size = len(answer.content)
        rows.append({"who": who, "page": page, "status": answer.status_code, "bytes": size, "cpu_ms_median": took})
    return rows


def measure_served(settings: Settings) -> tuple[list[dict[str, Any]], float, int]:
    """Rows of pages, processor seconds to read the topic, and MiB of memory that this took at most."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    app = make_app(settings)
    with TestClient(app) as client:
        while app.state.cases.error is not None:
            time.sleep(0.1)
        read = round(time.process_time() - began, 1)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        rows = [*measure_pages(client, "operator"), *measure_pages(client, "party")]
    return rows, read, grown


def main() -> None:
    """Fill, read, ask, print; then the same in Chromium."""
    size, chromium = Size(), find_chromium()
    if chromium is None:
        sys.exit(
            "Chromium is not on PATH: install it (Debian: `apt install chromium`), the console is measured in it, too"
        )
    with tempfile.TemporaryDirectory() as folder, existing_or_local(Path(folder) / "kafka") as kafka:
        console = ConsoleConfig(names=("testserver", "127.0.0.1"), lag_seconds=600)
        settings = Settings(kafka=kafka, data_folder=Path(folder), console=console)
        provision(settings)
        began = time.process_time()
        fill_topic(kafka, size)
        asyncio.run(fill_ledger(settings, size))
        print(f"filled in {time.process_time() - began:.1f} s of processor time", file=sys.stderr)
        if "--chromium" not in sys.argv:
            report_pages(size, *measure_served(settings))
        steps = measure_in_chromium(settings, chromium, size, OUT)
    problems = report_steps(size, steps, OUT)
    if problems:
        sys.exit("\n".join(problems))


def report_pages(size: Size, rows: list[dict[str, Any]], read: float, grown: int) -> None:
    """Print, and write pages.json."""
    for row in rows:
        print(f"{row['who']:9} {row['page']:40} {row['status']} {row['bytes']:>9,} bytes {row['cpu_ms_median']:>8} ms")
    asked = {"campaigns": size.campaigns, "accounts": sum(size.of_each()), "actions": size.actions}
    result = asked | {"read_cpu_seconds": read, "memory_growth_mib": grown, "pages": rows}
    OUT.mkdir(parents=True, exist_ok=True)
    out = OUT / "pages.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"read in {read} s of processor time, {grown} MiB more memory at most; {out}")


if __name__ == "__main__":
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    main()
