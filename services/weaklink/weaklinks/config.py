"""Settings of the weak-link plan. Every field has its unit in its name or its docstring."""

from pydantic import BaseModel, ConfigDict


class WeakLinksConfig(BaseModel):
    """Environment: WEAKLINK_WEAKLINKS__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")
