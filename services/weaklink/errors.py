"""Every error that Weaklink raises on purpose. A message says what was wrong, where, and what to do."""

from typing import Final

_BRIEF_MAX: Final = 300


def brief(error: BaseException) -> str:
    """What a library says, fit for a line: some put a whole response of the broker into it."""
    text = " ".join(str(error).split())
    return text if len(text) <= _BRIEF_MAX else f"{text[:_BRIEF_MAX]} ..."


class WeaklinkError(Exception):
    """Base of all of Weaklink's own errors: catch it to catch them all."""


class ConfigurationError(WeaklinkError):
    """A setting, a key file or a command-line argument cannot be used."""


class RecordError(WeaklinkError):
    """A record does not fit its schema or Weaklink's rules.

    `reason` is one of `weaklink.records.reasons`, `field` names the offending field where there is one.
    """

    def __init__(self, reason: str, detail: str, field: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" + (f" (field {field})" if field else ""))
        self.reason = reason
        self.detail = detail
        self.field = field


class SchemaError(WeaklinkError):
    """A schema is unknown, or not one that Weaklink can read."""


class PartyError(WeaklinkError):
    """A party is unknown, or its id or kind is not allowed."""


class BrokerError(WeaklinkError):
    """Kafka cannot be reached, refused a request, or is not what was expected."""


class TokeniserError(WeaklinkError):
    """The consortium's tokeniser cannot be reached, or refused a request."""


class CheckpointError(WeaklinkError):
    """A snapshot cannot be read or written."""


class LedgerError(WeaklinkError):
    """The ledger cannot be reached, or its schema is not the expected one."""
