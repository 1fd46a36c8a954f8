"""Settings of policy, timers, ledger. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class EnforceConfig(BaseModel):
    """Environment: WEAKLINK_ENFORCE__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
