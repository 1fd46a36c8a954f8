"""From measured cost to larger rates: the arithmetic of docs/scaling.md. `python -m bench.scaling` prints its tables, `--write` puts them into the document.

What the arithmetic takes for granted (how evenly rows lie over partitions, how many rows are left after folding, how many links live, how soon a worker has
caught up) is checked by `bench.scaling_simulation`, with the product's own state where there is one.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from pathlib import Path
from typing import Final

from bench.scaling_simulation import Check, checks
from weaklink.correlate.packed import LINK_BYTES
from weaklink.ingest.config import IngestConfig

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
RATES: Final = (1_000_000, 10_000_000, 100_000_000)
_US: Final = 1_000_000
_GB: Final = 1e9


@dataclass(frozen=True)
class Costs:
    """Measured, rounded up: processor microseconds on one core of the benchmark's machine, and bytes. See docs/scaling.md for where each comes from."""

    ingest_us_per_event: float = 1.3
    ingest_us_per_message: float = 120.0
    ingest_us_per_record_read_again: float = 0.5
    correlate_us_per_row: float = 0.65
    correlate_us_per_message: float = 160.0
    campaigns_us_per_activity_row: float = 4.4
    campaigns_us_per_shared_row: float = 3.5
    broker_us_per_event: float = 0.5
    event_bytes: float = 130.0
    link_row_bytes: float = 45.0
    activity_row_bytes: float = 60.0
    shared_row_bytes: float = 45.0
    stored_link_bytes: float = 60.0


@dataclass(frozen=True)
class Load:
    """What parties send: an account reports its usage once a minute (`window_seconds` 60), with so many identifiers."""

    seconds_between_reports: float = 60.0
    identifiers_per_event: float = 3.3
    links_per_account: float = 12.0
    shared_share: float = 0.3
    new_share: float = 0.001


@dataclass(frozen=True)
class Policy:
    """How full things may be. `link_partition_links`: what is saved, loaded and taken over in seconds."""

    utilisation: float = 0.6
    event_partition_events_per_second: float = 20_000.0
    duplicate_window_offsets: int = IngestConfig().duplicate_window_offsets
    link_partition_links: float = 20e6
    broker_cores: int = 16
    broker_network_bytes_per_second: float = 750e6
    replication: int = 3
    transaction_seconds_min: float = 0.25
    message_share_max: float = 0.25
    """Transactions of ingest grow until the cost of messages is at most this share of that of their rows."""


@dataclass(frozen=True)
class Plan:
    """What a rate takes."""

    events_per_second: int
    transaction_seconds: float
    rows_per_message: float
    accounts: float
    rows_per_event: float
    link_rows_per_second: float
    event_partitions: int
    ingest_workers: int
    ids_bytes: float
    reread_seconds: float
    correlate_workers: int
    link_partitions: int
    links: float
    state_bytes: float
    snapshot_copy_bytes: float
    campaigns_cores: float
    hottest_share: float
    broker_in_bytes_per_second: float
    broker_out_bytes_per_second: float
    brokers: int


def distinct_share(draws: float, kinds: float) -> float:
    """Of so many draws from equally likely kinds: the share that is distinct, which is what folding leaves."""
    per_kind = draws / kinds
    return (1 - exp(-per_kind)) / per_kind if per_kind > 1e-9 else 1.0


def fullest(rows: float, partitions: int) -> float:
    """Rows of the fullest of so many partitions over those of the mean, for keys that are hashes and of which none weighs much (normal tail)."""
    return 1 + sqrt(2 * log(max(partitions, 2)) * partitions / rows)


def ids_bytes(window: int) -> int:
    """Of a source partition's event ids when both of its tables are full (`weaklink.ingest.dedupe`): each has room for a power of two, three words an id and
    two for its slots."""
    return 2 * 5 * 8 * (1 << (window - 1).bit_length())


def reread_seconds(event_partitions: int, workers: int, costs: Costs, policy: Policy) -> float:
    """When one worker of ingest dies: how long those who take its partitions read their windows again, by which no partition of theirs is read meanwhile."""
    taken = ceil(event_partitions / workers / max(workers - 1, 1))
    return taken * policy.duplicate_window_offsets * costs.ingest_us_per_record_read_again / _US


def plan(rate: int, costs: Costs, load: Load, policy: Policy) -> Plan:
    """The arithmetic: with transactions as short as they may be while messages between ingest and correlate still carry enough rows."""
    seconds = policy.transaction_seconds_min
    while True:
        found, share = _plan(rate, costs, load, policy, seconds)
        if share <= policy.message_share_max:
            return found
        seconds *= 2


def _plan(rate: int, costs: Costs, load: Load, policy: Policy, seconds: float) -> tuple[Plan, float]:
    accounts = rate * load.seconds_between_reports
    links = accounts * load.links_per_account
    ingest_workers = correlate_workers = 1
    # Workers make messages, which take workers: a few rounds until both agree.
    for _ in range(20):
        link_partitions = max(correlate_workers, ceil(links / policy.link_partition_links))
        # Of one worker's transaction: its accounts are those of its partitions.
        folded = distinct_share(rate * seconds / ingest_workers, accounts / ingest_workers)
        rows = rate * folded * load.identifiers_per_event
        messages = min(rows, ingest_workers * link_partitions / seconds)
        ingest_us = rate * costs.ingest_us_per_event + messages * costs.ingest_us_per_message
        correlate_us = rows * costs.correlate_us_per_row + messages * costs.correlate_us_per_message
        ingest_workers, correlate_workers = (ceil(one / _US / policy.utilisation) for one in (ingest_us, correlate_us))
    event_partitions = max(ingest_workers, ceil(rate / policy.event_partition_events_per_second))
    shared_rows = rate * load.identifiers_per_event * load.new_share * load.shared_share
    activity_rows = rate * folded
    inside = (
        rows * costs.link_row_bytes + activity_rows * costs.activity_row_bytes + shared_rows * costs.shared_row_bytes
    )
    arriving = rate * costs.event_bytes + inside
    leaving = arriving * policy.replication  # each stage reads once, followers copy
    by_network = ceil(leaving / policy.broker_network_bytes_per_second)
    by_processor = ceil(
        rate * costs.broker_us_per_event * policy.replication / _US / policy.utilisation / policy.broker_cores
    )
    campaigns_us = activity_rows * costs.campaigns_us_per_activity_row + shared_rows * costs.campaigns_us_per_shared_row
    return Plan(
        events_per_second=rate,
        transaction_seconds=seconds,
        rows_per_message=rows / messages,
        accounts=accounts,
        rows_per_event=rows / rate,
        link_rows_per_second=rows,
        event_partitions=event_partitions,
        ingest_workers=ingest_workers,
        ids_bytes=event_partitions * ids_bytes(policy.duplicate_window_offsets),
        reread_seconds=reread_seconds(event_partitions, ingest_workers, costs, policy),
        correlate_workers=correlate_workers,
        link_partitions=link_partitions,
        links=links,
        state_bytes=links * costs.stored_link_bytes,
        snapshot_copy_bytes=links / link_partitions * LINK_BYTES,
        campaigns_cores=campaigns_us / _US,
        hottest_share=policy.utilisation * _US / costs.correlate_us_per_row / rows,
        broker_in_bytes_per_second=arriving,
        broker_out_bytes_per_second=leaving,
        brokers=max(by_network, by_processor, policy.replication),
    ), messages * costs.correlate_us_per_message / (rows * costs.correlate_us_per_row)


def single_owner_limit(costs: Costs, load: Load, policy: Policy) -> int:
    """Events/s at which folding alone fills the one core of campaigns as far as the policy lets it."""
    one = plan(_US, costs, load, policy)
    return int(_US * policy.utilisation / one.campaigns_cores)


def tables(found: list[Check]) -> Mapping[str, str]:
    """Name of a table in the document -> its lines."""
    costs, load, policy = Costs(), Load(), Policy()
    plans = [plan(rate, costs, load, policy) for rate in RATES]
    lines = {
        "active accounts": [f"{one.accounts / 1e6:,.0f} M" for one in plans],
        "ingest workers (one core each)": [f"{one.ingest_workers:,}" for one in plans],
        "partitions of events (20,000 events/s each)": [f"{one.event_partitions:,}" for one in plans],
        "memory and mapped files of event ids, all ingest workers": [f"{one.ids_bytes / _GB:,.0f} GB" for one in plans],
        "of these an ingest worker, of which 0.27 GB in memory": [
            f"{one.ids_bytes / one.ingest_workers / _GB:,.1f} GB" for one in plans
        ],
        "reading event ids again after a worker's death": [f"{one.reread_seconds:,.1f} s" for one in plans],
        "transactions of ingest last": [f"{one.transaction_seconds:g} s" for one in plans],
        "link rows/s after folding": [f"{one.link_rows_per_second / 1e6:,.1f} M" for one in plans],
        "correlate workers (one core each)": [f"{one.correlate_workers:,}" for one in plans],
        "rows in a message of links": [f"{one.rows_per_message:,.0f}" for one in plans],
        "partitions of links": [f"{one.link_partitions:,}" for one in plans],
        "links stored": [f"{one.links / 1e9:,.1f} billion" for one in plans],
        "memory of links, all workers": [f"{one.state_bytes / _GB:,.0f} GB" for one in plans],
        "copy for a snapshot, in each correlate worker": [f"{one.snapshot_copy_bytes / _GB:,.1f} GB" for one in plans],
        "memory of links and copies, a correlate worker": [
            f"{(one.state_bytes / one.correlate_workers + one.snapshot_copy_bytes) / _GB:,.1f} GB" for one in plans
        ],
        "into the brokers": [f"{one.broker_in_bytes_per_second / _GB:,.2f} GB/s" for one in plans],
        "out of the brokers, followers included": [
            f"{one.broker_out_bytes_per_second / _GB:,.2f} GB/s" for one in plans
        ],
        "brokers (16 cores, 10 Gbit/s)": [f"{one.brokers:,}" for one in plans],
        "share of all link rows that one identifier may have": [f"{one.hottest_share:.2%}" for one in plans],
        "cores that folding takes of campaigns, which has one": [f"{one.campaigns_cores:,.1f}" for one in plans],
    }
    head = ["| | " + " | ".join(f"{rate // _US:,} M events/s" for rate in RATES) + " |", "|---|" + "--:|" * len(RATES)]
    checked = ["| what is taken for granted | arithmetic | simulation | apart at most |", "|---|--:|--:|--:|"]
    checked += [f"| {one.what} | {one.arithmetic:,.3f} | {one.simulated:,.3f} | {one.apart_max:.0%} |" for one in found]
    return {
        "needs": "\n".join([*head, *(f"| {name} | {' | '.join(values)} |" for name, values in lines.items())]),
        "checks": "\n".join(checked),
        "limit": f"**{single_owner_limit(costs, load, policy):,} events/s**",
    }


def written(text: str, values: Mapping[str, str]) -> str:
    """A document with its tables replaced: each stands between `<!-- name -->` and `<!-- end -->`."""
    for name, value in values.items():
        before, _, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise ValueError(f"the document has no table {name}")
        inner = f"\n{value}\n" if "\n" in value else value
        text = f"{before}<!-- {name} -->{inner}{end}{after}"
    return text


def main() -> int:
    """0: the simulation agrees with the arithmetic."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    given = parser.parse_args()
    found = checks(distinct_share, fullest)
    values = tables(found)
    if given.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), values), encoding="utf-8")
    for value in values.values():
        print(value, end="\n\n")
    return 0 if all(one.agrees for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
