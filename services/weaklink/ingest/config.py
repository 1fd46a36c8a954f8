"""Settings of party events to links and activity. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class IngestConfig(BaseModel):
    """Environment: WEAKLINK_INGEST__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
