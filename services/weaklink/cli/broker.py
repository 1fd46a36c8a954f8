"""`weaklink broker`: a Kafka broker to try things with."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("broker")(broker)


def broker(
    folder: Annotated[Path, typer.Option(help="Where its data and its log go.")] = Path("build/broker"),
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where clients find it, on this machine alone; 0: any that is free.")
    ] = 9092,
) -> None:
    """A Kafka broker on this machine, to try Weaklink with: one node, for whoever reaches it, until Ctrl-C or SIGTERM. Needs Java 17.

    What is in its folder is there again at the next start. For anything that must not be lost: a cluster of your own.
    """
    import contextlib

    from weaklink.folders import alone_in
    from weaklink.listening import listen
    from weaklink.ops.broker import LocalCluster
    from weaklink.sim.services import interruptible

    with contextlib.suppress(KeyboardInterrupt), interruptible(), alone_in(folder):
        listen("the broker", "127.0.0.1", port, "--port").close()  # Java would tell of it in its log, after a while
        with LocalCluster(folder, port=port or None, keep=True) as cluster:
            typer.echo(f"Kafka is at {cluster.bootstrap_servers}; Ctrl-C stops it. In other terminals:", err=True)
            typer.echo(f"export WEAKLINK_KAFKA__BOOTSTRAP_SERVERS={cluster.bootstrap_servers}")
            cluster.await_end(1)
    typer.echo("stopped", err=True)
