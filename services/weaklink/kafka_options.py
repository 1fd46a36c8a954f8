"""Connection options that every Kafka client of Weaklink shares."""

import re
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from weaklink.errors import ConfigurationError

_PORT: Final = 9092  # Kafka's own, where none is named
_ADDRESS: Final = re.compile(r"([A-Z_]+://)?(\[[^\s\]]+\]|[^\s:/\[\]]+)(:(?P<port>[0-9]{1,5}))?")
"""With what clients pass over: a protocol before it, as a broker's listener has one."""


class KafkaConfig(BaseModel):
    """How to reach the cluster (environment: WEAKLINK_KAFKA__<NAME>)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = "127.0.0.1:9092"
    """host:port of one or more brokers, by comma; the others are found through them."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers; anything beyond one machine wants SASL_SSL."""
    sasl_mechanism: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How to log in, with a SASL protocol: the one that neither sends the password nor is weaker than what Weaklink issues."""
    username: str | None = None
    """Of the principal whose ACLs apply."""
    password: SecretStr | None = None
    """Of that principal; never logged."""
    password_file: Path | None = None
    """A file that holds the password (a mounted secret), instead of `password`; a newline at its end does not count."""
    ssl_cafile: str | None = None
    """Certificates that a broker's must rest on (PEM). None: those of the operating system. Host names are always checked."""
    ssl_certfile: str | None = None
    """This client's own certificate chain (PEM), for mutual TLS."""
    ssl_keyfile: str | None = None
    """PEM file of that certificate's key; None: it is in `ssl_certfile`."""
    ssl_password: SecretStr | None = None
    """What the client's key is encrypted with; None: nothing."""
    bootstrap_timeout_ms: int = Field(default=5_000, ge=100)
    """How long a client looks for a broker that answers and lets it in, before it says that there is none."""
    session_timeout_ms: int = 8_000
    """A worker that the broker does not hear of for so long loses its partitions to others."""
    transaction_timeout_ms: int = 10_000
    """The broker aborts a transaction that a dead worker left open after so long; readers wait for that."""
    replication_factor: int = 1
    """Copies of every topic that `weaklink provision` makes: 3 on a cluster of three brokers or more."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for one in value.split(","):
            found = _ADDRESS.fullmatch(one.strip())
            if not found or not 0 < int(found["port"] or _PORT) < 65_536:
                raise ValueError(
                    f"{one.strip()!r} is no address of a broker: write host:port, and a comma between several"
                )
        return value

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.password and self.password_file:
            raise ValueError("password and password_file are both set: which one is meant?")
        if self.security_protocol.startswith("SASL") and not (self.username and (self.password or self.password_file)):
            raise ValueError(f"{self.security_protocol} needs username, and password or password_file")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("ssl_keyfile is the key of ssl_certfile, which is not set")
        return self

    def secret(self) -> str | None:
        """The password. Raises ConfigurationError when its file cannot be read."""
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else None
        try:
            return self.password_file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"WEAKLINK_KAFKA__PASSWORD_FILE {self.password_file} cannot be read: {type(error).__name__}"
            ) from error

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
                "sasl_plain_password": self.secret(),
            }
        if self.security_protocol.endswith("SSL"):
            options |= {
                "ssl_cafile": self.ssl_cafile,
                "ssl_certfile": self.ssl_certfile,
                "ssl_keyfile": self.ssl_keyfile,
                "ssl_password": self.ssl_password.get_secret_value() if self.ssl_password else None,
            }
        return options

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process: what it needs to connect just so (secrets among them)."""
        given = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        return {
            f"WEAKLINK_KAFKA__{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in given.items()
        }
