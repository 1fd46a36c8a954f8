"""Settings of the exporter."""

from pydantic import BaseModel, ConfigDict, Field


class ExporterConfig(BaseModel):
    """Environment: WEAKLINK_EXPORTER__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_seconds: float = Field(default=5.0, ge=0.1)
    """Time between two samples of lag; metrics older than four intervals are not shown."""
    window_seconds: float = Field(default=60.0, ge=10)
    """Time over which trend and verdicts (ok, slow, stopped) are taken."""
