"""Events from raw values: identifiers go in as they are at the party and come out as tokens."""

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from weaklink.errors import RecordError
from weaklink.partner.models import Event
from weaklink.partner.outside_lists import Classes
from weaklink.partner.tokens import Preparing, Tokeniser
from weaklink.records import reasons
from weaklink.records.identifiers import IDENTIFIERS_MAX, IdentifierKind

E = TypeVar("E", bound=Event)

_REASON_BY_FIELD = {
    "event_id": reasons.BAD_EVENT_ID,
    "account": reasons.BAD_ACCOUNT,
    "identifiers": reasons.BAD_IDENTIFIER,
    "end_user": reasons.BAD_IDENTIFIER,
}
_REASON_BY_TYPE = {
    "too_long": reasons.TOO_MANY_IDENTIFIERS,
    "greater_than_equal": reasons.NEGATIVE_COUNT,
    "value_error": reasons.BAD_TEXT,
    "too_old": reasons.TOO_OLD,
    "in_the_future": reasons.IN_THE_FUTURE,
    "string_too_short": reasons.BAD_TEXT,
    "string_too_long": reasons.BAD_TEXT,
}


class EventBuilder:
    """Builds validated events with the tokens of this tokeniser, and the classes of their raw addresses where `classes` is given."""

    def __init__(self, tokeniser: Tokeniser, classes: Classes | None = None) -> None:
        self._tokeniser = tokeniser
        self._classes = classes

    def build(
        self,
        model: type[E],
        /,
        *,
        identifiers: Iterable[tuple[IdentifierKind | str, str]] | None = None,
        end_user: str | None = None,
        **fields: Any,
    ) -> E:
        """An event of that model. `identifiers` are (kind, raw value) pairs, `end_user` the reseller's own id of its customer.

        Raises RecordError with the reason that ingest would give, naming the field.
        """
        if identifiers is not None:
            raw = list(identifiers)
            fields["identifiers"] = self.tokens(raw)
            fields = self.classes(model, raw) | fields
        if end_user is not None:
            fields["end_user"] = self.end_user(end_user)
            fields["identifiers"] = self.with_customer(fields.get("identifiers", ()), end_user)
        return validated(model, fields)

    def classes(self, model: type[Event], identifiers: Iterable[tuple[IdentifierKind | str, str]]) -> dict[str, str]:
        """The fields `address_class` and `mail_class` of raw identifiers, as far as the model has them and a list knows them."""
        if self._classes is None:
            return {}
        found: dict[str, str] = {}
        for kind, value in identifiers:
            of = kind_of(kind)
            if of is IdentifierKind.IP and "address_class" in model.model_fields:
                found.setdefault("address_class", self._classes.address_class(value))
            if of is IdentifierKind.EMAIL and "mail_class" in model.model_fields:
                found.setdefault("mail_class", self._classes.mail_class(value))
        return {name: symbol for name, symbol in found.items() if symbol != "UNKNOWN"}

    def end_user(self, value: str) -> bytes:
        """The END_USER token of a reseller's own id of its customer."""
        return self._tokeniser.newest(IdentifierKind.END_USER, value)

    def with_customer(self, tokens: tuple[bytes, ...], value: str) -> tuple[bytes, ...]:
        """An event's tokens; while two epochs of keys overlap also both END_USER tokens of its customer, the older first, where they still fit.

        `end_user` has room for one. Side by side they say that the customer is the one known by the older token; END_USER tokens link no accounts.
        """
        both = self._tokeniser.tokens(IdentifierKind.END_USER, value)
        others = tuple(token for token in tokens if token not in both)
        if len(both) == 1 or len(others) + len(both) > IDENTIFIERS_MAX:
            return tokens
        # Apart from other tokens of the kind, or it would not be seen that these two stand side by side.
        return (*both, *others) if others and others[-1][0] == IdentifierKind.END_USER else (*others, *both)

    def tokens(self, identifiers: Iterable[tuple[IdentifierKind | str, str]]) -> tuple[bytes, ...]:
        """The tokens of raw identifiers, each once, in their order."""
        values = [(kind_of(kind), value) for kind, value in identifiers]
        if isinstance(self._tokeniser, Preparing):
            self._tokeniser.prepare(values)
        found = (token for kind, value in values for token in self._tokeniser.tokens(kind, value))
        return tuple(dict.fromkeys(found))


def kind_of(kind: IdentifierKind | str) -> IdentifierKind:
    """The kind of that name. Raises RecordError with the known ones."""
    if isinstance(kind, IdentifierKind):
        return kind
    try:
        return IdentifierKind[kind.strip().upper()]
    except KeyError:
        # Not what was given: it is the value itself where somebody swapped the two.
        known = ", ".join(one.name for one in IdentifierKind)
        raise RecordError(reasons.BAD_IDENTIFIER, f"no kind of identifier; there are {known}", "identifiers") from None


def validated(model: type[E], fields: dict[str, Any]) -> E:
    """The model with these fields. Raises RecordError (not pydantic's ValidationError) with reason and field."""
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else None
        by_type = _REASON_BY_TYPE.get(first["type"])
        if first["type"] == "too_long" and name == "identifiers":
            reason = reasons.TOO_MANY_IDENTIFIERS
        elif name is None:
            reason = reasons.BAD_INTERVAL
        else:
            reason = _REASON_BY_FIELD.get(name) or by_type or reasons.MALFORMED
        raise RecordError(reason, f"{model.__name__}: {first['msg']}", name) from None
