"""Logs of a cloud to AddressLease: audit logs (AWS CloudTrail's form) of public addresses given out and returned, and flow logs.

CloudTrail: `AllocateAddress` and `ReleaseAddress` of Amazon EC2; a release names an allocation, whose address the log told earlier, or is asked for.
Flow logs (VPC flow log records, as text with a header line or as NDJSON): for each account and public address the times in which it was used,
so long as no more than an hour lies between two records. The record must have `flow-direction`: without it nobody can tell whose address is whose.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weaklink.errors import RecordError
from weaklink.partner.connectors.lines import Fields, at, count, event_id, microseconds, raw
from weaklink.records import reasons

_GAP_SECONDS: Final = 3_600
_USUAL: Final = {
    "account": ("account-id", "account_id", "recipientAccountId", "userIdentity.accountId"),
    "egress_address": ("pkt-srcaddr", "pkt_srcaddr", "srcaddr"),
    "ingress_address": ("pkt-dstaddr", "pkt_dstaddr", "dstaddr"),
    "direction": ("flow-direction", "flow_direction"),
}


@dataclass(slots=True)
class _Use:
    """A time in which an account used an address, in seconds since 1970."""

    begin: int
    end: int


class CloudLogs:
    """See the module, and `connectors.Connector`. Remembers allocations and open times of use: memory grows with the addresses in a file."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._fields = Fields(_USUAL, own)
        self._allocated: dict[str, tuple[str, int]] = {}
        self._uses: dict[tuple[str, str], _Use] = {}

    def parts(self, line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Each of CloudTrail's `Records`; any other line stands for itself."""
        records = line.get("Records")
        return records if isinstance(records, list) else (line,)

    def rows(self, part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """A lease that begins or ends; of flow records one whose time of use is over."""
        if "eventName" in part:
            return self._audit(part)
        if "start" in part and "end" in part:
            return self._flow(part)
        raise RecordError(reasons.MALFORMED, "neither a CloudTrail event (eventName) nor a flow record (start, end)")

    def finish(self) -> list[dict[str, Any]]:
        """The times of use that were still open."""
        rows = [_used(account, address, use) for (account, address), use in self._uses.items()]
        self._uses.clear()
        return rows

    def _audit(self, event: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        if event.get("errorCode") or event["eventName"] not in ("AllocateAddress", "ReleaseAddress"):
            return None
        when = microseconds(event.get("eventTime"), "eventTime")
        account = str(self._fields.need(event, "account", reasons.BAD_ACCOUNT))
        allocation = str(
            at(event, "responseElements.allocationId") or at(event, "requestParameters.allocationId") or ""
        )
        address = at(event, "responseElements.publicIp") or at(event, "requestParameters.publicIp")
        row: dict[str, Any] = {"event_type": "AddressLease", "account": account, "occurred_at": when}
        if event["eventName"] == "AllocateAddress":
            if not address:
                raise RecordError(reasons.BAD_IDENTIFIER, "an AllocateAddress without publicIp", "publicIp")
            self._allocated[allocation or str(address)] = (str(address), when)
        else:
            known = self._allocated.pop(allocation, None) or self._allocated.pop(str(address), None)
            if known is None:
                raise RecordError(
                    reasons.BAD_INTERVAL,
                    f"the lease of {allocation or 'this address'} began before these logs: give those of its beginning first, in the same command",
                    "allocationId",
                )
            address, began = known
            row |= {"occurred_at": began, "released_at": when}
        row["event_id"] = event_id("cloudtrail", event.get("eventID") or (account, address, when, event["eventName"]))
        row["identifiers"] = raw("IP", address)
        return [row]

    def _flow(self, record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        if record.get("log-status", "OK") != "OK":
            return None  # no traffic, or not captured
        direction = self._fields.need(record, "direction")
        if direction not in ("egress", "ingress"):
            raise RecordError(reasons.MALFORMED, "neither egress nor ingress", "flow-direction")
        address = str(self._fields.need(record, f"{direction}_address", reasons.BAD_IDENTIFIER))
        try:
            if not ipaddress.ip_address(address).is_global:
                return None  # an address inside the cloud's networks links nobody outside
        except ValueError:
            raise RecordError(reasons.BAD_IDENTIFIER, "neither IPv4 nor IPv6", "address") from None
        key = (str(self._fields.need(record, "account", reasons.BAD_ACCOUNT)), address)
        begin, end = count(record["start"], "start"), count(record["end"], "end")
        if end < begin:
            raise RecordError(reasons.BAD_INTERVAL, "end lies before start", "end")
        use = self._uses.get(key)
        # Backwards, too: records come in any order, and between two uses the address may have been somebody else's.
        if use is None or begin > use.end + _GAP_SECONDS or end < use.begin - _GAP_SECONDS:
            self._uses[key] = _Use(begin, end)
            return [_used(*key, use)] if use else []
        use.begin, use.end = min(use.begin, begin), max(use.end, end)
        return []


def _used(account: str, address: str, use: _Use) -> dict[str, Any]:
    return {
        "event_type": "AddressLease",
        "event_id": event_id("flow", account, address, use.begin),
        "account": account,
        "occurred_at": use.begin * 1_000_000,
        "released_at": use.end * 1_000_000,
        "identifiers": raw("IP", address),
    }
