"""OpenTelemetry spans of generative AI calls (OTLP in JSON, one export request a line) to ApiUsage.

Names: OpenTelemetry semantic conventions for generative AI (`gen_ai.*`), older names of token counts included. JSON form: OTLP 1.x, "JSON Protobuf
Encoding" (ids in hexadecimal, 64-bit numbers as text). Spans of inference count; those of agents and tools around them would count it twice.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from weaklink.errors import RecordError
from weaklink.partner.connectors.lines import Fields, address, count, event_id, microseconds, raw, texts
from weaklink.records import reasons

_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion"})
_USUAL: Final = {
    "account": ("enduser.id", "user.id", "weaklink.account"),
    "end_user": ("weaklink.end_user",),
    "model": ("gen_ai.response.model", "gen_ai.request.model"),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "task": ("weaklink.task",),
    "ip": ("client.address", "http.client_ip", "source.address"),
    "tls": ("tls.client.ja4", "tls.client.ja3"),
    "device": ("device.id",),
    "system": ("gen_ai.system_instructions",),
    "prompt": ("gen_ai.input.messages", "gen_ai.prompt"),
}


class GenAiSpans:
    """See the module, and `connectors.Connector`. Fields are attributes of the span, then of its resource."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._fields = Fields(_USUAL, own)

    def parts(self, line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Each span as an export request of its own."""
        if not isinstance(line.get("resourceSpans"), list):
            raise RecordError(reasons.MALFORMED, "no OTLP trace export: it has no list resourceSpans", "resourceSpans")
        for resource in line["resourceSpans"]:
            for scope in resource.get("scopeSpans", ()):
                for span in scope.get("spans", ()):
                    alone = {**scope, "spans": [span]}
                    yield {"resourceSpans": [{**resource, "scopeSpans": [alone]}]}

    def rows(self, part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """One usage a span of inference."""
        resource = part["resourceSpans"][0]
        span = resource["scopeSpans"][0]["spans"][0]
        values = _attributes(resource.get("resource", {})) | _attributes(span)
        operation = values.get("gen_ai.operation.name")
        if not any(name.startswith("gen_ai.") for name in values) or (operation and operation not in _INFERENCE):
            return None
        if not span.get("traceId") or not span.get("spanId"):
            raise RecordError(reasons.BAD_EVENT_ID, "a span without traceId and spanId", "spanId")
        get = self._fields.get
        row = {
            "event_type": "ApiUsage",
            "event_id": event_id("otel", span["traceId"], span["spanId"]),
            "occurred_at": microseconds(span.get("endTimeUnixNano") or span.get("startTimeUnixNano"), "occurred_at"),
            "account": str(self._fields.need(values, "account", reasons.BAD_ACCOUNT)),
            "model": str(self._fields.need(values, "model", reasons.BAD_TEXT)),
            "requests": 1,
            "window_seconds": 0,
            "input_tokens": count(get(values, "input_tokens"), "input_tokens"),
            "output_tokens": count(get(values, "output_tokens"), "output_tokens"),
            "task": get(values, "task") or ("TOOL_USE" if "gen_ai.tool.definitions" in values else "OTHER"),
            "end_user": get(values, "end_user"),
            "identifiers": [
                *raw("IP", address(get(values, "ip"))),
                *raw("TLS", get(values, "tls")),
                *raw("DEVICE", get(values, "device")),
                *raw("PROMPT", _prompt(get(values, "system"), get(values, "prompt"))),
            ],
        }
        return [row]

    def finish(self) -> list[dict[str, Any]]:
        """Nothing is gathered."""
        return []


def _attributes(owner: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span or resource by name."""
    return {one["key"]: _value(one.get("value", {})) for one in owner.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    """A value of OTLP's AnyValue."""
    for name in ("stringValue", "boolValue", "doubleValue"):
        if name in value:
            return value[name]
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"].get("values", ())]
    if "kvlistValue" in value:
        return {one["key"]: _value(one.get("value", {})) for one in value["kvlistValue"].get("values", ())}
    return None


def _prompt(*given: Any) -> str | None:
    """The text of instructions and messages, given as text, as JSON in text, or as nested values."""
    found: list[str] = []
    for value in given:
        nested = value
        if isinstance(value, str) and value[:1] in "[{":
            try:
                nested = json.loads(value)
            except (ValueError, RecursionError):
                nested = value
        found += texts(nested)
    return "\n".join(found) or None
