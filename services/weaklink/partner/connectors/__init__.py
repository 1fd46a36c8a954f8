"""What parties really have, to the rows of `weaklink.partner.rows`: OpenTelemetry spans, gateway logs, payment webhooks, cloud logs.

A connector takes a line apart (`parts`) and makes the rows of each part (`rows`); what it gathers over lines comes at the end (`finish`).
Rows hold raw values only on their way to `event_of`, which makes tokens of them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from weaklink.errors import ConfigurationError
from weaklink.partner.connectors.cloud import CloudLogs
from weaklink.partner.connectors.gateway import GatewayLogs
from weaklink.partner.connectors.otel import GenAiSpans
from weaklink.partner.connectors.stripe import PaymentWebhooks


class Connector(Protocol):
    """Lines of one source to rows."""

    def parts(self, line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """The parts of a line that stand for themselves, each in the form of a line, so that a bad one can be kept and imported again."""
        ...

    def rows(self, part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The rows of a part; none yet where they come with `finish`; None: it is no event of ours. Raises RecordError with the field."""
        ...

    def finish(self) -> list[dict[str, Any]]:
        """Rows that stand only now that all lines have been seen."""
        ...


CONNECTORS: Final[dict[str, Callable[[Mapping[str, str]], Connector]]] = {
    "otel": GenAiSpans,
    "gateway": GatewayLogs,
    "stripe": PaymentWebhooks,
    "cloud": CloudLogs,
}
"""Source -> its connector, made with the fields that the party names differently (our name -> path in a line)."""


def connector(source: str, fields: Iterable[str] = ()) -> Connector:
    """The connector of a source; `fields` are `name=path.in.the.line`. Raises ConfigurationError for names that there are not."""
    if source not in CONNECTORS:
        raise ConfigurationError(f"{source} is no source: there are {', '.join(CONNECTORS)}")
    pairs = [field.partition("=") for field in fields]
    if any(not name or not path for name, _, path in pairs):
        raise ConfigurationError("--field is NAME=PATH, e.g. account=consumer.username")
    return CONNECTORS[source]({name: path for name, _, path in pairs})
