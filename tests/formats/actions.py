"""Actions and campaigns to export: the shipped examples, changed as a test needs."""

from typing import Any

from weaklink.partner.models import EnforcementAction
from weaklink.records.codec import decode
from weaklink.records.examples import examples


def values(record: str, name: str) -> dict[str, Any]:
    """The values of a shipped example, as the codec reads them."""
    example = next(one for one in examples() if (one.schema.record, one.name) == (record, name))
    return decode(example.golden_path.read_bytes())[1]


def action(name: str = "suspend", **fields: Any) -> EnforcementAction:
    """An action: the example of that name with these fields."""
    return EnforcementAction.model_validate(values("EnforcementAction", name) | fields)
