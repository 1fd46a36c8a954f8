"""`make bench-latency`: how long it takes from an event's publication to the action on its party's topic, while ordinary traffic comes at a steady rate.

Everything is real: broker, four stages, ledger. Among the traffic campaigns and newcomers to them are planted at known moments (`plants`). Each account's
latency counts from when its events were *due* to be published, so that waiting to be sent counts too, until the first action on it was appended.
"""

import argparse
import json
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.load import figures, pictures
from bench.load.people import PARTIES, People
from bench.load.pipeline import BROKER_HEAP_MIB, ActionReader, Pipeline, Sampler, await_drained, running, start_sender
from bench.load.plants import Plant, account_name, party_of, schedule
from bench.load.script import Script, heads, write_openings, write_traffic
from bench.processes import EngineFailed

_CAMPAIGN_SECONDS: Final = 5.0
_NEWCOMER_SECONDS: Final = 0.5
_KNOWN_SECONDS: Final = 15.0
_WARM_SECONDS: Final = 20.0
"""Load before what counts."""
_OPENINGS_PER_SECOND: Final = 20_000
_DRAIN_SECONDS_MAX: Final = 240.0
_AFTER_SECONDS: Final = 15.0
_LEAD_US: Final = 3_000_000
_OWN: Final = ("measuring", "load")
"""Processes that are no part of the pipeline: the load maps its script, which it reads on and on."""
_BATCHES: Final = 100
_RATE_SHARE: Final = 0.95


@dataclass(frozen=True)
class Plan:
    """One rate for so long."""

    rate: int
    seconds: float
    accounts: int
    folder: Path


def measure(plan: Plan) -> dict[str, Any]:
    """One run, and its figures. Raises EngineFailed when the pipeline does not start or never catches up with the openings."""
    load_before = os.getloadavg()[0]
    folder = plan.folder / f"latency-{plan.rate}"
    folder.mkdir(parents=True, exist_ok=True)
    people = People(accounts=plan.accounts)
    try:
        with running(folder, PARTIES) as pipeline, closing(ActionReader(pipeline)) as actions:
            openings = write_openings(folder / "openings.bin", people, _OPENINGS_PER_SECOND, _now_us())
            start_sender(pipeline, folder / "openings.bin", folder / "openings.npz", _now_us() + _LEAD_US).wait()
            planted = schedule(_WARM_SECONDS + plan.seconds, _CAMPAIGN_SECONDS, _NEWCOMER_SECONDS, _KNOWN_SECONDS)
            began = time.monotonic()
            script = write_traffic(folder / "traffic.bin", people, plan.rate, _WARM_SECONDS + plan.seconds, planted, _now_us())  # fmt: skip
            encoding_seconds = time.monotonic() - began
            await_drained(pipeline, _DRAIN_SECONDS_MAX)
            found = _under_load(plan, pipeline, actions, script, folder)
            found |= {"openings": openings.events, "encoding_seconds": round(encoding_seconds, 1)}
            found["machine"] |= {"load_before": round(load_before, 2)}
        return found
    finally:
        for name in ("openings.bin", "traffic.bin", "openings.npz"):
            (folder / name).unlink(missing_ok=True)


def _under_load(plan: Plan, pipeline: Pipeline, actions: ActionReader, script: Script, folder: Path) -> dict[str, Any]:
    start_us = _now_us() + _LEAD_US
    sender = start_sender(pipeline, folder / "traffic.bin", folder / "sent.npz", start_us)
    wanted = {_key(plant, account) for plants in script.plants.values() for plant in plants for account in plant.accounts}  # fmt: skip
    counts_s = start_us / 1e6 + _WARM_SECONDS
    with Sampler(pipeline, also={"load": sender.pid}) as sampler:
        while sender.poll() is None:
            pipeline.services.check()
            actions.read(0.2)
        until = time.monotonic() + _AFTER_SECONDS
        while wanted - actions.first_ms.keys() and time.monotonic() < until:
            actions.read(0.2)
    if sender.returncode:
        raise EngineFailed(f"the load's process ended with {sender.returncode}")
    drained = await_drained(pipeline, _DRAIN_SECONDS_MAX)
    actions.read(1.0)
    samples = [one for one in sampler.samples if counts_s <= one.at <= counts_s + plan.seconds]
    sent = np.load(folder / "sent.npz")
    found: dict[str, Any] = {
        "rate": plan.rate,
        "seconds": plan.seconds,
        "events": script.events,
        "accounts": plan.accounts,
    }
    found |= _latencies(script, actions, start_us)
    found |= figures.resources(samples) | {"load_process": _sending(script, sent, start_us, folder / "traffic.bin")}
    found |= {"seconds_to_drain": round(drained, 1), "measures": actions.measures, "machine": figures.machine(samples)}
    found |= {"restarts": pipeline.services.restarts}
    return found | {"verdict": verdict(found), "samples": [vars(one) for one in samples]}


def _latencies(script: Script, actions: ActionReader, start_us: int) -> dict[str, Any]:
    """Of what was planted after the warming up."""
    by_class: dict[str, list[float]] = {"campaign": [], "newcomer": []}
    missed: list[str] = []
    for plants in script.plants.values():
        for plant in plants:
            if plant.due_us < _WARM_SECONDS * 1e6:
                continue
            for account in plant.accounts:
                at = actions.first_ms.get(_key(plant, account))
                if at is None:
                    missed.append(account_name(plant.campaign, account))
                else:
                    by_class["newcomer" if plant.newcomer else "campaign"].append(at / 1e3 - (start_us + plant.due_us) / 1e6)  # fmt: skip
    every = [value for values in by_class.values() for value in values]
    return {
        "latency": {name: figures.latency(values) for name, values in (by_class | {"all": every}).items()},
        "evidence_to_action": figures.latency(actions.evidence_seconds),
        "accounts_without_action": len(missed),
        "accounts_without_action_named": missed[:20],
        "seconds_each": {name: [round(value, 3) for value in values] for name, values in by_class.items()},
    }


def _sending(script: Script, sent: Any, start_us: int, path: Path) -> dict[str, Any]:
    """How the load's process did: late sends and slow answers would be its own or the broker's fault, not the pipeline's."""
    due = np.array([one.due_us for one in heads(path)]) + start_us
    seconds = float(sent["answered_us"].max() - start_us) / 1e6
    return {
        "requests": script.requests,
        "events_per_second": round(script.events / seconds),
        "cores": round(float(sent["cpu_seconds"]) / seconds, 3),
        "sent_late": figures.latency(((sent["sent_us"] - due) / 1e6).tolist()),
        "acknowledged_after": figures.latency(((sent["answered_us"] - sent["sent_us"]) / 1e6).tolist()),
    }


def verdict(found: dict[str, Any]) -> dict[str, bool]:
    """What was to be shown, each yes or no. Messages behind swing by some transactions' worth, events by a second's. Ingest may have got to remember event
    ids, and grows by what its tables of them do. The broker's JVM takes heap when it likes, up to what it was given."""
    lag, ids = found["behind_messages"], found["event_ids_mib"]
    memory = {name: one for name, one in found["memory_mib"].items() if name not in _OWN}
    heap_left_mib = max(0.0, BROKER_HEAP_MIB - memory["broker"]["second_quarter"])
    allowed_mib = {"ingest": max(0.0, ids["last_quarter"] - ids["second_quarter"]), "broker": heap_left_mib}
    grown = [figures.memory_grew(one, allowed_mib.get(name, 0.0)) for name, one in memory.items()]
    return {
        "latency_within_bars": figures.within_bars(found["latency"]["all"]),
        "every_planted_account_acted_on": not found["accounts_without_action"],
        "no_growth_of_lag": not any(
            figures.lag_grew(one, batches=found["rate"] if stage == "ingest" else _BATCHES)
            for stage, one in lag.items()
        ),
        "no_growth_of_memory": not any(grown),
        "rate_was_sent": found["load_process"]["events_per_second"] >= _RATE_SHARE * found["rate"],
    }


def _key(plant: Plant, account: int) -> tuple[str, str]:
    return PARTIES[party_of(account)].id, account_name(plant.campaign, account)


def _now_us() -> int:
    return time.time_ns() // 1000


def summary(found: dict[str, Any]) -> str:
    """A few lines for people."""
    load = found["load_process"]
    return "\n".join(
        [
            f"{found['rate']:,} events/s for {found['seconds']:.0f} s, {found['accounts']:,} accounts",
            *(f"  {name:9} {_said(found['latency'][name])}" for name in ("all", "newcomer", "campaign")),
            f"  load: {load['events_per_second']:,} events/s, {load['cores']:.2f} of a core, at most {load['sent_late']['max_seconds']:.2f} s late",
            "  cores: " + ", ".join(f"{name} {cores:.2f}" for name, cores in found["cores"].items()),
            f"  MiB a quarter in and at the end: {_grown(found['memory_mib'])}",
            f"  of ingest's its event ids: {_grown({'MiB': found['event_ids_mib']})}",
            f"  messages behind: {_grown(found['behind_messages'])}",
            *(f"  {'yes' if kept else 'NO '} {name.replace('_', ' ')}" for name, kept in found["verdict"].items()),
        ]
    )


def _said(one: dict[str, Any]) -> str:
    if not one["count"]:
        return "none measured"
    quantiles = ", ".join(f"{name} {one[f'{name}_seconds']:.2f}" for name in ("p50", "p90", "p99", "max"))
    return f"{one['count']:5} accounts, seconds: {quantiles}"


def _grown(series: dict[str, dict[str, float]]) -> str:
    return ", ".join(
        f"{name} {one['second_quarter']:.0f} -> {one['last_quarter']:.0f} (most {one['most']:.0f})"
        for name, one in series.items()
    )


def main() -> int:
    """0: measured, whatever the figures are; they say themselves what was reached. 1: events were lost or accounts not acted on."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.latency", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[20_000, 100_000], help="events/s, one run each")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each run, after 20 s of warming up")
    parser.add_argument("--accounts", type=int, default=200_000)
    parser.add_argument(
        "--folder", type=Path, default=Path("build/bench"), help="where latency.json and latency.svg go"
    )
    given = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for rate in given.rates:
        runs.append(measure(Plan(rate, given.seconds, given.accounts, given.folder)))
        print(summary(runs[-1]), flush=True)
        (given.folder / "latency.json").write_text(json.dumps({"bars": figures.BARS, "runs": runs}, indent=1) + "\n", encoding="utf-8")  # fmt: skip
        pictures.latency(runs, given.folder / "latency.svg")
    return 1 if any(one["accounts_without_action"] for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
