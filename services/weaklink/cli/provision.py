"""`weaklink provision`: topics, principals, ACLs and quotas as the topology and the registry of parties want them."""

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from weaklink.ops.access_differences import Difference
    from weaklink.ops.topics import Step

_COLOURS = {"create": "green", "configure": "yellow", "fine": "dim", "surplus": "magenta", "conflict": "red"}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("provision")(provision)


def provision(
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and change nothing."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Execute the plan without asking."),
    check: bool = typer.Option(
        False, "--check", help="Change nothing; exit code 1 unless everything is as it should be."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON lines."),
) -> None:
    """Create or mend Weaklink's topics and those of every registered party, with principals, ACLs and quotas; shows the plan first."""
    from weaklink.ops.membership import apply_access
    from weaklink.ops.provision import plan, plan_access, unknown_topics
    from weaklink.ops.topics import Change
    from weaklink.ops.topics_admin import apply
    from weaklink.settings import load_settings

    settings = load_settings()
    steps = plan(settings)
    show_plan(steps, as_json=as_json)
    access = plan_access(settings)
    show_access(access, as_json=as_json)
    show_unknown(unknown_topics(settings), as_json=as_json)
    if check:
        raise typer.Exit(1 if access or any(step.change is not Change.FINE for step in steps) else 0)
    pending = [step for step in steps if step.change not in (Change.FINE, Change.SURPLUS)]
    if dry_run or not (pending or any(one.mendable for one in access)):
        return
    if any(step.change is Change.CONFLICT for step in steps) or yes or typer.confirm("Execute this plan?", err=True):
        apply(settings.kafka, steps)
        # Planned again: before the first run there is no registry of parties to plan from.
        left = plan_access(settings)
        apply_access(settings, left)
        mended = sum(one.mendable for one in left)
        typer.echo(f"done: {len(pending)} topics, {mended} permissions, quotas and secrets", err=True)
    else:
        raise typer.Exit(1)


def show_access(steps: "list[Difference]", *, as_json: bool) -> None:
    """One line per difference in principals, ACLs and quotas; nothing where there is none."""
    for step in steps:
        if as_json:
            typer.echo(json.dumps({"change": step.change, "what": step.what, "advice": step.advice}))
        else:
            typer.echo(f"{step.change}: {step.what}{f' ({step.advice})' if step.advice else ''}")


def show_unknown(topics: list[str], *, as_json: bool) -> None:
    """One line per topic that nobody asked for. It is left as it is, and is no reason for a bad exit code: a removed party's topics may be kept."""
    for topic in topics:
        if as_json:
            typer.echo(json.dumps({"change": "unknown", "topic": topic}))
        else:
            typer.echo(
                f"unknown: {topic} (of no registered party and of no stage: keep it, or delete it with kafka-topics)"
            )


def show_plan(steps: "list[Step]", *, as_json: bool) -> None:
    """Print one line per topic: what will happen to it and why."""
    if as_json:
        for step in steps:
            typer.echo(
                json.dumps({"change": step.change, "topic": step.topic.name, "partitions": step.topic.partitions,
                            "replication_factor": step.topic.replication_factor, "configs": dict(step.topic.configs), "details": step.details})
            )  # fmt: skip
        return
    from rich.table import Table

    from weaklink.cli.tables import print_table

    table = Table("", "topic", "partitions", "replicas", "difference", box=None, pad_edge=False)
    for step in steps:
        colour = _COLOURS[step.change]
        table.add_row(
            f"[{colour}]{step.change}[/]",
            step.topic.name,
            str(step.topic.partitions),
            str(step.topic.replication_factor),
            "\n".join(step.details),
        )
    print_table(table)
