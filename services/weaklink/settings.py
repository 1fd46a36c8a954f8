"""All settings, composed of one section per folder. Environment: WEAKLINK_<SECTION>__<NAME>."""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from weaklink.accounts_config import AccountsConfig
from weaklink.campaigns.config import CampaignsConfig
from weaklink.console.config import ConsoleConfig
from weaklink.correlate.config import CorrelateConfig
from weaklink.enforce.config import EnforceConfig
from weaklink.errors import ConfigurationError
from weaklink.ingest.config import IngestConfig
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access_config import AccessConfig
from weaklink.ops.config import ExporterConfig
from weaklink.partner.config import PartnerConfig
from weaklink.stream.config import StreamConfig
from weaklink.tokeniser.config import TokeniserConfig
from weaklink.weaklinks.config import WeakLinksConfig

_PREFIX: Final = "WEAKLINK_"
_OTHERS: Final = frozenset({"PARTY", "SCHEMAS", "HOST", "LEDGER_PASSWORD", "ACCOUNTS_SECRET"})
"""Variables that are no settings: an option of commands, the schemas of the guide's programs, and what compose files are given."""


class TopicsConfig(BaseModel):
    """Partitions of internal topics; fixed once they are created."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    links_partitions: int = 4
    """How many workers of correlate can share the work at most."""
    activity_partitions: int = 4
    """Read by campaigns, which one process owns."""
    shared_partitions: int = 4
    """As many as `links_partitions`, or more."""
    decisions_partitions: int = 4
    """Of decisions, receipts and feedback: how many workers of enforce can share the work at most."""
    chunk_bytes_max: int = 8 << 20
    """Largest message of an internal topic; the broker's `message.max.bytes` must allow it."""
    events_message_bytes_max: int = 1 << 20
    """Largest batch that a party may publish."""
    rejects_message_bytes_max: int = 2 << 20
    """More than that of events: the original comes back with headers."""
    party_partition_bytes_max: int | None = Field(default=None, ge=1 << 28)
    """What a partition of a party's events or rejects may hold; beyond it the oldest go before their days are over. None: as much as comes
    (at its quota of 4 MiB/s a party writes 2.5 TB in the seven days that its events are kept)."""


class Settings(BaseSettings):
    """Everything that a person can set."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore")

    clock: Literal["append", "event"] = "append"
    """What time it is: that of the broker (append), or that of the events (event: replay, demo, backtest)."""
    data_folder: Path = Path("build/weaklink")
    """Of the process: ledger (SQLite), snapshots, spilled state, unless their own settings say otherwise."""
    log_json: bool | None = None
    """JSON lines, or readable ones; unset: JSON unless stderr is a terminal."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    otlp_traces_url: str = ""
    """Where traces go, over OTLP/HTTP, as `http://collector:4318/v1/traces` (extra `otel`). Empty: there are none."""

    kafka: KafkaConfig = KafkaConfig()
    topics: TopicsConfig = TopicsConfig()
    access: AccessConfig = AccessConfig()
    accounts: AccountsConfig = AccountsConfig()
    stream: StreamConfig = StreamConfig()
    ingest: IngestConfig = IngestConfig()
    correlate: CorrelateConfig = CorrelateConfig()
    campaigns: CampaignsConfig = CampaignsConfig()
    weaklinks: WeakLinksConfig = WeakLinksConfig()
    enforce: EnforceConfig = EnforceConfig()
    partner: PartnerConfig = PartnerConfig()
    tokeniser: TokeniserConfig = TokeniserConfig()
    exporter: ExporterConfig = ExporterConfig()
    console: ConsoleConfig = ConsoleConfig()

    @model_validator(mode="after")
    def _gaps_are_seen(self) -> Self:
        shortest = min([self.correlate.lifetime_seconds_default, *self.correlate.lifetime_seconds.values()])
        if self.ingest.use_gap_hours * 3600 > shortest:
            raise ValueError(
                f"ingest.use_gap_hours is {self.ingest.use_gap_hours}, longer than the shortest lifetime of a link (correlate: {shortest} s): "
                "two uses that are to stay apart would become one"
            )
        return self


def load_settings() -> Settings:
    """Settings from the environment. Raises ConfigurationError that names the variable which cannot be used, or which there is not."""
    unknown = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and not _is_known(name))
    if unknown:
        raise ConfigurationError("; ".join(map(_no_such_setting, unknown)))
    try:
        return Settings()
    except ValidationError as error:
        wrong = [(_PREFIX + "__".join(map(str, one["loc"])).upper(), one["type"], one["msg"]) for one in error.errors()]
        raise ConfigurationError(
            "; ".join(
                _no_such_setting(name) if kind == "extra_forbidden" else f"{name}: {told}" for name, kind, told in wrong
            )
        ) from None


def _no_such_setting(name: str) -> str:
    """What to do with a variable that names none: most are misspelt."""
    near = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), _names(Settings, ""), n=1, cutoff=0.8)
    meant = f"did you mean {_PREFIX}{near[0]}? Correct it" if near else "correct it"
    return f"no setting has the name {name}: {meant} or unset it (all are in the reference, Settings)"


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Every variable, without what they all begin with: it would make all of them alike."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper()


def _is_known(name: str) -> bool:
    """Names below a section are checked by the section itself."""
    first = name.upper().removeprefix(_PREFIX).split("__")[0]
    return first in _OTHERS or first.lower() in Settings.model_fields
