"""Keys of accounts: 64 bits that stand for a party and the name that it gives to an account, in every record behind ingest.

Names are chosen by parties. Under a hash that everybody can compute a party finds, within seconds, a name of its own whose key is that of another
party's customer, and what it says of the one is then said of the other; and it can choose names whose keys are small, which a hub's sample takes
first. So where parties are strangers to each other the keys are SipHash-2-4 under a secret of the installation, the same for every stage.
Without a secret they are xxh3-64: for one machine, for backtests, and for what was written before there was a secret.
"""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh
import xxhash
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from weaklink.accounts_config import AccountsConfig
from weaklink.errors import ConfigurationError

_PERSON: Final = b"weaklinkaccounts"
_NAMES_FORM: Final = pl.CompatLevel.oldest()


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="WEAKLINK_", env_nested_delimiter="__", extra="ignore")

    accounts: AccountsConfig = AccountsConfig()


@cache
def secret_words() -> tuple[int, int] | None:
    """The two halves of SipHash's key, made of this process' secret when first asked for; None: there is none."""
    try:
        content = _Environment().accounts.content()
    except ValidationError as error:
        raise ConfigurationError("; ".join(f"WEAKLINK_ACCOUNTS: {one['msg']}" for one in error.errors())) from None
    if content is None:
        return None
    key = hashlib.blake2b(content, digest_size=16, person=_PERSON).digest()
    return int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")


def account_hash(party: str, column: str) -> pl.Expr:
    """Stable 64-bit key (UInt64) of the accounts of a party that are named in a String column."""
    if secret_words() is None:
        expression: pl.Expr = plh.col(column).nchash.xxh3_64(seed=_seed(party))
        return expression
    return pl.col(column).map_batches(partial(_keyed, party), return_dtype=pl.UInt64)


def account_key(party: str, account: str) -> int:
    """`account_hash` of one account, as an int."""
    return keyer(party)(account.encode())


def keyer(party: str) -> Callable[[bytes], int]:
    """What makes the key of one account of a party from its name in UTF-8."""
    if secret_words() is None:
        return partial(xxhash.xxh3_64_intdigest, seed=_seed(party))
    return partial(_key_of, party)


def _seed(party: str) -> int:
    return xxhash.xxh3_64_intdigest(party.encode())


def _prefix(party: str) -> npt.NDArray[np.uint8]:
    """No party's id has a zero byte: no two pairs of party and name give the same bytes."""
    return np.frombuffer(party.encode() + b"\0", np.uint8)


def _keyed(party: str, names: pl.Series) -> pl.Series:
    text = names.fill_null("").to_arrow(compat_level=_NAMES_FORM)
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    found = pl.Series(names.name, _siphash(party, content, ends))
    return found.set(names.is_null(), None) if names.null_count() else found


def _key_of(party: str, name: bytes) -> int:
    return int(_siphash(party, np.frombuffer(name, np.uint8), np.array([0, len(name)]))[0])


def _siphash(party: str, content: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    from weaklink.account_loops import (
        siphash,  # numba is slow to import, and most installations of one machine never need it
    )

    words = secret_words()
    assert words is not None  # whoever calls this has asked
    prefix, found = _prefix(party), np.empty(len(ends) - 1, np.uint64)
    longest = len(prefix) + int(np.diff(ends).max(initial=0))
    scratch = np.empty(longest // 8 + 1, "<u8")
    siphash(prefix, content, ends, np.uint64(words[0]), np.uint64(words[1]), scratch.view(np.uint8), scratch, found)
    return found
