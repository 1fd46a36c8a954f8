"""Connection options that every Kafka client of Weaklink shares."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class KafkaConfig(BaseModel):
    """How to reach the cluster (environment: WEAKLINK_KAFKA__<NAME>)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = "127.0.0.1:9092"
    """host:port of one or more brokers, by comma; the others are found through them."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers; anything beyond one machine wants SASL_SSL."""
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How to log in, with a SASL protocol."""
    username: str | None = None
    """Of the principal whose ACLs apply."""
    password: SecretStr | None = None
    """Of that principal; never logged."""
    ssl_cafile: str | None = None
    """PEM file of the authorities that may sign the brokers' certificates; unset: the system's."""
    ssl_certfile: str | None = None
    """PEM file of the client's certificate, where brokers ask for one."""
    ssl_keyfile: str | None = None
    """PEM file of that certificate's key."""
    bootstrap_timeout_ms: int = Field(default=5_000, ge=100)
    """How long a client looks for a broker that answers and lets it in, before it says that there is none."""
    session_timeout_ms: int = 10_000
    """A worker that the broker does not hear of for so long loses its partitions to others."""
    transaction_timeout_ms: int = 10_000
    """The broker aborts a transaction that a dead worker left open after so long; readers wait for that."""
    replication_factor: int = 1
    """Copies of every topic that `weaklink provision` makes: 3 on a cluster of three brokers or more."""

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for KafkaConsumer, KafkaProducer and KafkaAdminClient."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "bootstrap_timeout_ms": self.bootstrap_timeout_ms,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value() if self.password else None,
            }
        if self.security_protocol.endswith("SSL"):
            options |= {
                "ssl_cafile": self.ssl_cafile,
                "ssl_certfile": self.ssl_certfile,
                "ssl_keyfile": self.ssl_keyfile,
            }
        return options
