"""Settings of the partner SDK. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class PartnerConfig(BaseModel):
    """Environment: WEAKLINK_PARTNER__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
