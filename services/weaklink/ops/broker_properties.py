"""What the nodes of a local cluster (`broker`) are told: Kafka's own settings, with or without SCRAM and TLS."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ADMIN: Final = "admin"

# Small machine, quick failover: with Kafka's defaults a killed controller stalls partitions for 8-9 s, with these for about 4 s.
_COMMON: Final = """
process.roles=broker,controller
controller.listener.names=CONTROLLER
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=16777216
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates of a local cluster, in PEM. `node`: key (PKCS #8) and chain of every node, for 127.0.0.1, common name `admin`.

    `clients_too`: a client's certificate is asked for, and its common name is the principal.
    """

    authority: Path
    node: Path
    clients_too: bool = False


@dataclass(frozen=True, slots=True)
class Security:
    """Who is let in. `admin_password`: with SCRAM (None: without); `reauth_ms`: how long a SCRAM session lasts (None: for ever)."""

    admin_password: str | None
    tls: Tls | None
    reauth_ms: int | None

    @property
    def protocol(self) -> str:
        """Of the clients' listener, by Kafka's name."""
        return ("SASL_" if self.admin_password is not None else "") + ("SSL" if self.tls else "PLAINTEXT")

    def lines(self) -> dict[str, str]:
        """The settings that say so."""
        lines: dict[str, str] = {}
        if self.admin_password is not None:
            lines |= {
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
                "listener.name.client.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
                f'username="{ADMIN}" password="{self.admin_password}";',
            }
        if self.admin_password is not None and self.reauth_ms is not None:
            lines["listener.name.client.scram-sha-512.connections.max.reauth.ms"] = str(self.reauth_ms)
        if self.tls:
            lines |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self.tls.node),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.tls.authority),
                "ssl.client.auth": "required" if self.tls.clients_too else "none",
                "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            }
        if self.admin_password is not None or (self.tls and self.tls.clients_too):
            lines |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "false",
                # ANONYMOUS: the plaintext controller listener, which is bound to loopback. Without it the broker never serves.
                "super.users": f"User:{ADMIN};User:ANONYMOUS",
            }
        return lines


def server_properties(node: int, ports: Sequence[int], data: Path, security: Security, more: Mapping[str, str]) -> str:
    """The file of node 1, 2, ... `ports`: of every node's client listener, then of every node's controller. `more` comes last, and counts."""
    nodes = len(ports) // 2
    client, controller = ports[node - 1], ports[nodes + node - 1]
    replicas = min(nodes, 3)
    lines = {
        "node.id": str(node),
        "listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "inter.broker.listener.name": "CLIENT",
        "listener.security.protocol.map": f"CLIENT:{security.protocol},CONTROLLER:PLAINTEXT",
        "controller.quorum.bootstrap.servers": ",".join(f"127.0.0.1:{port}" for port in ports[nodes:]),
        "log.dirs": str(data),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(min(replicas, 2)),
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(min(replicas, 2)),
    }
    if nodes == 1:
        # A lone node has nobody to fail over to: a busy machine must not make it count as gone.
        lines["broker.session.timeout.ms"] = "30000"
    every = lines | security.lines() | dict(more)
    return _COMMON + "\n".join(f"{key}={value}" for key, value in every.items()) + "\n"


def ports_of(properties: str) -> tuple[int, int]:
    """A node's ports in such a file: of its client listener, and of its controller."""
    client, controller = re.findall(
        r"^listeners=CLIENT://[^:]+:(\d+),CONTROLLER://[^:]+:(\d+)$", properties, re.MULTILINE
    )[0]
    return int(client), int(controller)
