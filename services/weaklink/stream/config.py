"""Settings of the columnar runner. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class StreamConfig(BaseModel):
    """Environment: WEAKLINK_STREAM__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
