"""Settings of links to shared identifiers. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class CorrelateConfig(BaseModel):
    """Environment: WEAKLINK_CORRELATE__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
