"""Logs of API gateways (NDJSON, one request or one window of requests a line) to ApiUsage.

Gateways name things differently: the usual names are tried in order, and `--field name=path` says where a party's own log has it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from weaklink.partner.connectors.lines import Fields, address, count, event_id, microseconds, raw, texts
from weaklink.records import reasons

_USUAL: Final = {
    "id": ("request_id", "id", "requestId", "trace_id", "call_id"),
    "time": ("timestamp", "time", "@timestamp", "ts", "startTime", "start_time", "created_at"),
    "account": ("account", "account_id", "customer_id", "user_id", "consumer.id", "api_key_id", "team_id", "user"),
    "end_user": ("end_user", "end_user_id", "metadata.end_user"),
    "model": ("model", "response.model", "request.model", "ai.model"),
    "task": ("task",),
    "requests": ("requests", "request_count"),
    "window_seconds": ("window_seconds",),
    "input_tokens": ("input_tokens", "prompt_tokens", "usage.input_tokens", "usage.prompt_tokens", "response.usage.prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens", "usage.output_tokens", "usage.completion_tokens", "response.usage.completion_tokens"),
    "ip": ("client_ip", "remote_addr", "ip", "x_forwarded_for", "requester_ip_address", "request.client_ip", "source_ip"),
    "tls": ("ja4", "ja3", "tls_fingerprint"),
    "device": ("device_id",),
    "api_key": ("api_key_hash", "api_key"),
    "prompt": ("prompt", "messages", "request.messages", "request.prompt"),
    "status": ("status", "status_code", "response.status", "http_status"),
}  # fmt: skip


class GatewayLogs:
    """See the module, and `connectors.Connector`. Requests that the gateway refused (HTTP status 400 and above) are no usage."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._fields = Fields(_USUAL, own)

    def parts(self, line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """The line."""
        return (line,)

    def rows(self, part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """One usage a line."""
        get, need = self._fields.get, self._fields.need
        status = get(part, "status")
        if str(status).isdigit() and int(status) >= 400:
            return None
        row = {
            "event_type": "ApiUsage",
            "occurred_at": microseconds(need(part, "time"), "time"),
            "account": str(need(part, "account", reasons.BAD_ACCOUNT)),
            "model": str(need(part, "model", reasons.BAD_TEXT)),
            "task": get(part, "task"),
            "requests": count(get(part, "requests") or 1, "requests"),
            "window_seconds": count(get(part, "window_seconds"), "window_seconds"),
            "input_tokens": count(get(part, "input_tokens"), "input_tokens"),
            "output_tokens": count(get(part, "output_tokens"), "output_tokens"),
            "end_user": None if (end_user := get(part, "end_user")) is None else str(end_user),
            "identifiers": [
                *raw("IP", address(get(part, "ip"))),
                *raw("TLS", get(part, "tls")),
                *raw("DEVICE", get(part, "device")),
                *raw("API_KEY", get(part, "api_key")),
                *raw("PROMPT", "\n".join(texts(get(part, "prompt")))),
            ],
        }
        if (request := get(part, "id")) is not None:
            row["event_id"] = event_id("gateway", request)
        return [row]

    def finish(self) -> list[dict[str, Any]]:
        """Nothing is gathered."""
        return []
