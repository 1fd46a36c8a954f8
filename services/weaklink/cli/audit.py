"""`weaklink audit`: proves from the topics that every event counted once, and that parties read the actions that the ledger has, each once."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("audit")(audit)


def audit(
    as_json: bool = typer.Option(False, "--json", help="One JSON object with every partition, findings and remarks."),
) -> None:
    """For every source partition: consumed = accepted + rejected + duplicates, nothing left out, nothing twice. Exit code 1 if not."""
    import json

    from kafka.errors import KafkaError

    from weaklink.errors import BrokerError, brief
    from weaklink.ops.audit_probe import audit_topics
    from weaklink.ops.ledger_probe import audit_ledger
    from weaklink.settings import load_settings

    settings = load_settings()
    try:
        partitions = audit_topics(settings.kafka)
        actions = audit_ledger(settings)
    except KafkaError as error:
        raise BrokerError(
            f"{settings.kafka.bootstrap_servers} cannot be audited: {brief(error)} (WEAKLINK_KAFKA__BOOTSTRAP_SERVERS says where Kafka is)"
        ) from error
    findings = [finding for one in partitions for finding in one.findings] + list(actions.findings)
    remarks = [remark for one in partitions for remark in one.remarks] + list(actions.remarks)
    if as_json:
        found = {
            "partitions": [one.to_json() for one in partitions],
            "live_actions": actions.live,
            "active_at_parties": actions.active_at_parties,
            "findings": findings,
            "remarks": remarks,
        }
        typer.echo(json.dumps(found))
    else:
        from rich.table import Table

        from weaklink.cli.tables import console, folded

        to = console()
        table = Table("partition", box=None, pad_edge=False)
        for title in ("offsets", "consumed", "accepted", "rejected", "duplicates", "verdict"):
            table.add_column(title, justify="left" if title == "verdict" else "right")
        for one in partitions:
            span = "-" if one.first_offset is None else f"{one.first_offset}..{one.committed}"
            counts = (one.consumed, one.accepted, one.rejected, one.duplicates)
            verdict = {"wrong": "[red]wrong[/]", "proved": "[green]proved[/]"}.get(one.verdict, one.verdict)
            table.add_row(f"{one.topic}-{one.partition}", span, *(f"{count:,}" for count in counts), verdict)
        to.print(folded(table))
        for remark in remarks:
            to.print(f"note: {remark}", highlight=False, soft_wrap=True, markup=False)
        for finding in findings:
            # Parties choose the names in it: no markup.
            to.print(f"WRONG: {finding}", highlight=False, soft_wrap=True, style="red", markup=False)
        to.print(
            f"{actions.live} live actions"
            + ("" if actions.findings else ", all as their parties read them, none twice")
        )
    if findings:
        raise typer.Exit(1)
