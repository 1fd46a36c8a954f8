"""Raw identifiers to tokens: kind byte, epoch byte, and 15 bytes of HMAC-SHA-256 under the key of kind and epoch.

Whoever holds the key of IP can enumerate all of IPv4. That is why tokenising is an interface: a key file on one's own disk serves tests and
small consortia; in production parties call a rate-limited service that implements the same `Tokeniser`.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, Self, runtime_checkable

from weaklink.errors import ConfigurationError
from weaklink.partner import normalise
from weaklink.partner.config import PartnerConfig
from weaklink.partner.keys import Key, KeyRing, known_keys, load_keys, new_keys
from weaklink.partner.prompts import prompt_bands
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

_DIGEST_BYTES: Final = TOKEN_BYTES - 2
_FORMS: Final[dict[IdentifierKind, Callable[[str], str]]] = {
    IdentifierKind.IP: normalise.ip,
    IdentifierKind.EMAIL: normalise.email,
    IdentifierKind.CARD: normalise.card,
    IdentifierKind.BANK_ACCOUNT: normalise.bank_account,
    IdentifierKind.DEVICE: normalise.device,
    IdentifierKind.ORGANISATION: normalise.organisation,
}
"""Kinds with a rule of their own (PHONE has settings, too, and PROMPT has many forms)."""


class Tokeniser(Protocol):
    """Turns raw identifiers into tokens. Raw values must not leave the party, in messages and logs neither."""

    def tokens(self, kind: IdentifierKind, value: str) -> tuple[bytes, ...]:
        """The tokens of a raw value: one an epoch in use, and for PROMPT one a band. Raises RecordError (BAD_IDENTIFIER)."""
        ...

    def newest(self, kind: IdentifierKind, value: str) -> bytes:
        """The one token of the newest epoch, for fields that take one (`end_user`). Raises RecordError (BAD_IDENTIFIER)."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A tokeniser for which asking about many values at once is cheaper than one by one."""

    def prepare(self, identifiers: Iterable[tuple[IdentifierKind, str]]) -> None:
        """These raw values are about to be asked for. What cannot be one of its kind is left for `tokens` to refuse."""
        ...


class LocalTokeniser:
    """Tokens from keys in memory. `clock` gives seconds since 1970 and decides which epochs are in use. Thread-safe."""

    def __init__(
        self,
        keys: Sequence[Key],
        config: PartnerConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ring = KeyRing(keys)
        self._keyed = {(key.kind, key.epoch): hmac.new(key.secret, digestmod="sha256") for key in keys}
        self._config = config or PartnerConfig()
        self._clock = clock
        self._active: dict[IdentifierKind, tuple[Key, ...]] = {}
        self._active_until = float("-inf")
        self._cache: OrderedDict[tuple[IdentifierKind, str], tuple[bytes, ...]] = OrderedDict()

    @classmethod
    def load(cls, path: Path, config: PartnerConfig | None = None) -> Self:
        """From a key file. Raises ConfigurationError when it is missing, damaged, or readable by others."""
        return cls(load_keys(path), config)

    @classmethod
    def throwaway(cls, config: PartnerConfig | None = None) -> Self:
        """With fresh random keys that nobody keeps: for simulations, whose tokens meet nobody else's."""
        return cls(new_keys(datetime(1970, 1, 1, tzinfo=UTC)), config)

    @classmethod
    def reproducible(cls, config: PartnerConfig | None = None) -> Self:
        """With keys that everybody knows: for backtests, whose tokens never leave the process and must be the same in each run."""
        return cls(known_keys(datetime(1970, 1, 1, tzinfo=UTC)), config)

    def tokens(self, kind: IdentifierKind, value: str) -> tuple[bytes, ...]:
        """See `Tokeniser.tokens`."""
        keys = self._keys(kind)
        cached = self._cache.get((kind, value))
        if cached is not None:
            return cached
        forms = forms_of(kind, value, self._config)
        # One form after the other, and of each the epochs side by side: whoever reads the event sees which tokens mean the same value.
        made = tuple(self._token(key, form) for form in forms for key in keys)
        if self._config.token_cache_entries and kind is not IdentifierKind.PROMPT:
            self._cache[kind, value] = made
            if len(self._cache) > self._config.token_cache_entries:
                self._cache.popitem(last=False)
        return made

    def newest(self, kind: IdentifierKind, value: str) -> bytes:
        """See `Tokeniser.newest`."""
        return self._token(self._keys(kind)[-1], forms_of(kind, value, self._config)[0])

    def of_form(self, kind: IdentifierKind, form: str) -> tuple[bytes, ...]:
        """The tokens of a value that is in its normalised form already: one an epoch in use, oldest first."""
        return tuple(self._token(key, form) for key in self._keys(kind))

    @property
    def changes_at(self) -> float:
        """When another set of epochs comes into use, in seconds since 1970; infinity when nothing is planned."""
        return self._ring.active(self._clock())[1]

    def _token(self, key: Key, form: str) -> bytes:
        # A copy of a keyed hash costs half of a new one.
        keyed = self._keyed[key.kind, key.epoch].copy()
        keyed.update(form.encode())
        return bytes((key.kind, key.epoch)) + keyed.digest()[:_DIGEST_BYTES]

    def _keys(self, kind: IdentifierKind) -> tuple[Key, ...]:
        """The keys in use for a kind, oldest epoch first."""
        now = self._clock()
        if now >= self._active_until:
            self._active, self._active_until = self._ring.active(now)
            self._cache = OrderedDict()
        keys = self._active.get(kind)
        if not keys:
            raise ConfigurationError(
                f"the key file has no key for {kind.name} that is in use now: weaklink partner key rotate"
            )
        return keys


def forms_of(kind: IdentifierKind, value: str, config: PartnerConfig) -> tuple[str, ...]:
    """The normalised form of a value, which is what is hashed; for PROMPT one form a band. Raises RecordError (BAD_IDENTIFIER)."""
    forms = _forms(kind, value, config)
    # Whoever has the keys: what a service would not take is not taken with a key file either.
    if max(map(len, forms)) > normalise.FORM_CHARACTERS_MAX:
        raise normalise.refuse(kind, f"its written form is longer than {normalise.FORM_CHARACTERS_MAX} characters")
    return forms


def _forms(kind: IdentifierKind, value: str, config: PartnerConfig) -> tuple[str, ...]:
    if kind is IdentifierKind.PROMPT:
        return prompt_bands(value)
    if kind is IdentifierKind.PHONE:
        return (normalise.phone(value, config.phone_country_code, config.phone_trunk_prefix),)
    own = _FORMS.get(kind)
    if own is not None:
        return (own(value),)
    if kind in (IdentifierKind.TLS, IdentifierKind.REFERRAL):
        return (normalise.caseless(kind, value),)
    return (normalise.exact(kind, value),)
