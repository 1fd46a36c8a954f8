"""OpenTelemetry traces, as an option (extra `otel`, setting `otlp_traces_url`): one trace for each transaction of a stage, each rebuild, each decision.

Until `export_to` is called, `span` costs next to nothing and needs no package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weaklink import __version__
from weaklink.errors import ConfigurationError

_tracer: Any = None


def configure_traces(service: str, url: str) -> None:
    """Export spans over OTLP/HTTP to this URL (a collector's `/v1/traces`). Raises ConfigurationError without the extra `otel`."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"WEAKLINK_OTLP_TRACES_URL is set, and {error.name} is not installed: pip install 'weaklink[otel]'"
        ) from error
    export_to(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))


def export_to(service: str, processor: Any) -> None:
    """Hand spans to this opentelemetry.sdk.trace.SpanProcessor from now on."""
    global _tracer  # noqa: PLW0603  # one for a process, as OpenTelemetry has it
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create({"service.name": f"weaklink-{service}", "service.version": __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("weaklink", __version__)


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[Any]:
    """A span over the block, below the one that is open; an exception marks it as failed and goes on. Gives None when nobody traces.

    Attributes are OpenTelemetry's semantic conventions where there are some (messaging.*), else `weaklink.*`, given with `__` for dots.
    """
    if _tracer is None:
        yield None
        return
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    with _tracer.start_as_current_span(name, attributes=named) as made:
        yield made
