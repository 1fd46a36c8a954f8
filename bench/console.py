"""The console at the size of a bad year: 1,000 campaigns, 100,000 accounts, 20,000 actions. `python -m bench.console`.

Real topic, real ledger (SQLite), the application as it is served, without a browser. Prints size and time of each page; nothing is judged.
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
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from starlette.testclient import TestClient

from weaklink import topology
from weaklink.console.app import make_app
from weaklink.console.config import ConsoleConfig
from weaklink.console.users import Role, Users
from weaklink.enforce.clock import Clock
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import existing_or_local
from weaklink.ops.provision import provision
from weaklink.records.codec import decode, encode
from weaklink.records.examples import examples
from weaklink.settings import Settings

CAMPAIGNS, ACCOUNTS, ACTIONS, LARGEST, ROUNDS = 1_000, 100_000, 20_000, 20_000, 7
NOW = datetime(2026, 9, 23, tzinfo=UTC)
PASSWORD = uuid.uuid4().hex


def sample(record: str) -> dict[str, Any]:
    """The values of a shipped example."""
    return next(dict(one.values) for one in examples() if one.schema.record == record)


def sizes() -> list[int]:
    """Accounts of each campaign: one holds a fifth of them, the others share the rest alike."""
    rest = (ACCOUNTS - LARGEST) // (CAMPAIGNS - 1)
    return [LARGEST] + [rest] * (CAMPAIGNS - 1)


def messages() -> Iterator[tuple[bytes, bytes]]:
    """The topic: every campaign with its course and graph, every account with its evidence."""
    head, evidence, course, graph = (
        sample(name) for name in ("Campaign", "MemberEvidence", "CampaignCourse", "CampaignGraph")
    )
    day = course["days"][0]
    days = [day | {"day": NOW - timedelta(days=35 - n), "requests": 1000 * n} for n in range(35)]
    identifier, account = graph["identifiers"][0], graph["accounts"][0]
    for number, many in enumerate(sizes()):
        name = f"c-{number:016x}"
        party = [f"lab-{n}" for n in range(8)]
        volume = 1000.0 * many
        own = {"campaign_id": name, "state": "OPEN", "accounts": many, "parties": party, "requests_per_day": volume}
        yield name.encode(), encode("Campaign", head | own)
        yield f"case/course/{name}".encode(), encode("CampaignCourse", course | {"campaign_id": name, "days": days})
        shown = [
            account | {"party": party[n % 8], "account": f"acct-{number}-{n}", "holds": [n % 40, (n * 7) % 40]}
            for n in range(100)
        ]
        parties = [graph["parties"][0] | {"party": one} for one in party]
        full = {"campaign_id": name, "identifiers": [identifier] * 40, "accounts": shown, "parties": parties}
        yield f"case/graph/{name}".encode(), encode("CampaignGraph", graph | full)
        for n in range(many):
            who = {"campaign_id": name, "party": party[n % 8], "account": f"acct-{number}-{n}"}
            member = who | {
                "score": 0.99,
                "since": NOW,
                "flagged": True,
                "fast": False,
                "missed_since": None,
                "grounds": 3,
            }
            yield f"member/{number}-{n}".encode(), encode("CampaignMember", member)
            yield f"case/evidence/{number}-{n}".encode(), encode("MemberEvidence", evidence | who)


def fill_topic(kafka: KafkaConfig) -> None:
    """Publish everything."""
    producer = KafkaProducer(**kafka.client_options(), linger_ms=50, compression_type="lz4", batch_size=1 << 18)
    for key, value in messages():
        producer.send(topology.CAMPAIGNS, key=key, value=value)
    producer.flush(300)
    producer.close()


async def fill_ledger(settings: Settings) -> None:
    """Actions of the largest campaign, and an operator and a party that look."""
    database = Database(ledger_url(settings))
    await database.migrate()
    ledger = Ledger(database, settings.enforce, Clock("append", 1))
    measure = sample("Decision")["measures"][0]
    fields = {"op": "ISSUE", "measure": "CHALLENGE", "target_token": None, "slice_model": None, "slice_end_user": None}
    for first in range(0, ACTIONS, 2000):
        asked = [
            measure | fields | {"party": f"lab-{n % 8}", "target_account": f"acct-0-{n}"}
            for n in range(first, first + 2000)
        ]
        head = {"campaign_id": f"c-{0:016x}", "decided_at": NOW + timedelta(hours=2 * first), "measures": asked}
        value = encode("Decision", sample("Decision") | head)
        await ledger.handle_decision(decode(value)[1], value)
    users = Users(database, settings.console)
    await users.create_tables()
    await users.add("operator", Role.OPERATOR, None, PASSWORD)
    await users.add("party", Role.PARTY, "lab-1", PASSWORD)
    await database.close()


def sign_in(client: TestClient, name: str) -> None:
    """The client keeps the cookie."""
    client.cookies.clear()
    token = re.findall(r'name="token" value="([^"]+)"', client.get("/login").text)[0]
    client.post("/login", data={"name": name, "password": PASSWORD, "token": token})


def measure_pages(client: TestClient, who: str) -> list[dict[str, Any]]:
    """Size and median time of each page for this person."""
    sign_in(client, who)
    largest = f"/campaigns/c-{0:016x}"
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


def main() -> None:
    """Fill, read, ask, print."""
    with tempfile.TemporaryDirectory() as folder, existing_or_local(Path(folder) / "kafka") as kafka:
        console = ConsoleConfig(names=("testserver",), lag_seconds=600)
        settings = Settings(kafka=kafka, data_folder=Path(folder), console=console)
        provision(settings)
        began = time.process_time()
        fill_topic(kafka)
        asyncio.run(fill_ledger(settings))
        print(f"filled in {time.process_time() - began:.1f} s of processor time", file=sys.stderr)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        app = make_app(settings)
        with TestClient(app) as client:
            while app.state.cases.error is not None:
                time.sleep(0.1)
            read = round(time.process_time() - began, 1)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
            rows = [*measure_pages(client, "operator"), *measure_pages(client, "party")]
    for row in rows:
        print(f"{row['who']:9} {row['page']:40} {row['status']} {row['bytes']:>9,} bytes {row['cpu_ms_median']:>8} ms")
    asked = {"campaigns": CAMPAIGNS, "accounts": sum(sizes()), "actions": ACTIONS}
    result = asked | {"read_cpu_seconds": read, "memory_growth_mib": grown, "pages": rows}
    out = Path("build/console/pages.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"read in {read} s of processor time, {grown} MiB more memory at most; {out}")


if __name__ == "__main__":
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    main()
