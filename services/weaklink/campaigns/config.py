"""Settings of detection. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class CampaignsConfig(BaseModel):
    """Environment: WEAKLINK_CAMPAIGNS__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
