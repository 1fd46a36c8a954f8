"""XARF 4 reports of accounts to whoever runs the address that they came from.

XARF: eXtended Abuse Reporting Format, specification 4.2. Extraction of a model over its API is `connection`/`scraping` with the pattern
`api_harvesting`. Weaklink knows no addresses, only tokens: who exports says which address an account came from, out of its own logs.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from xarf import parse

from weaklink.errors import ConfigurationError
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState

VERSION: Final = "4.2.0"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "tag:weaklink,2026:xarf")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: organisation, mail address for answers, domain."""

    org: str
    contact: str
    domain: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the reporting party saw of an account: its address, and the requests of a time."""

    address: str
    requests: int
    first_seen: datetime
    last_seen: datetime | None = None
    port: int | None = None


def report(action: EnforcementAction, source: Source, reporter: Reporter) -> dict[str, Any] | None:
    """The report of one active action on an account; None for any other. Raises ConfigurationError when it is none by XARF's own schemas.

    It names the address and what was seen from it: not the account, not the campaign, and nobody's evidence.
    """
    if action.target_account is None or action.state is not ActionState.ACTIVE:
        return None
    contact = {"org": reporter.org, "contact": reporter.contact, "domain": reporter.domain}
    optional: Mapping[str, Any] = {
        "source_port": source.port,
        "last_seen": source.last_seen.isoformat() if source.last_seen else None,
    }
    made = {
        "xarf_version": VERSION,
        "report_id": str(uuid.uuid5(_NAMESPACE, f"{action.action_id}.{action.revision}|{source.address}")),
        "timestamp": action.issued_at.isoformat(),
        "reporter": contact,
        "sender": contact,
        "source_identifier": source.address,
        "category": "connection",
        "type": "scraping",
        "protocol": "tcp",
        "destination_port": 443,
        "scraping_pattern": "api_harvesting",
        "target_content": "api_data",
        "total_requests": source.requests,
        "first_seen": source.first_seen.isoformat(),
        "confidence": round(action.confidence, 3),
        "evidence_source": "traffic_analysis",
        "description": "Systematic extraction of a model's outputs over its API by an account of an organised campaign.",
        **{name: value for name, value in optional.items() if value is not None},
    }
    if errors := parse(made).errors:
        raise ConfigurationError(f"no XARF report: {'; '.join(f'{one.field}: {one.message}' for one in errors)}")
    return made
