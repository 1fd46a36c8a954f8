"""Settings of who may do what on the cluster. Every field has its unit in its name or its docstring."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AccessConfig(BaseModel):
    """Environment: WEAKLINK_ACCESS__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    managed: bool | None = None
    """Whether `provision` and `party` keep principals, ACLs and quotas. None: wherever the connection is not PLAINTEXT."""
    authentication: Literal["scram", "certificate"] = "scram"
    """What parties and services prove themselves with. `certificate`: mutual TLS, and nobody is issued a secret."""
    secret_bytes: int = Field(default=32, ge=16, le=128)
    """Randomness in a new secret."""
    scram_iterations: int = Field(default=8_192, ge=4_096, le=16_384)
    """Rounds of PBKDF2 between a secret and what the cluster stores of it (Kafka takes 4,096 to 16,384)."""

    producer_bytes_per_second_max: int = Field(default=4 << 20, ge=1024)
    """What one party may write to one broker, as it is compressed: some 40,000 events a second as the SDK packs them. A tenth of what one worker
    of ingest takes, so that a party that floods, or wins a factor of ten by repeating itself, keeps the pipeline busy and not more."""
    consumer_bytes_per_second_max: int = Field(default=16 << 20, ge=1024)
    """What one party may read from one broker."""
    request_percent_max: float = Field(default=50.0, gt=0)
    """Share of one request thread of one broker that one party may use; a broker with 8 of them has 800 percent."""
    controller_mutations_per_second_max: float = Field(default=1.0, gt=0)
    """Topic partitions that a party may ask to create or delete; it may do neither, so this bounds what asking costs."""

    other_principals: tuple[str, ...] = ()
    """Principals that are none of Weaklink's and may hold ACLs on its resources, as Kafka writes them (`User:backup`).
    `User:<default>`: quotas of everybody, which slow the services too, are meant to be there."""
