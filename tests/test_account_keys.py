"""Keys of accounts: whoever chooses names must not be able to choose keys."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink import account_keys
from weaklink.account_keys import account_hash, account_key, keyer
from weaklink.account_loops import siphash
from weaklink.errors import ConfigurationError

SECRET = "0123456789abcdef"
# Found within seconds: its xxh3-64 at `evil-lab` is that of `cust-42` at `my-lab`.
FORGED = "yw1aaaaaaaaaaaaal0abaaaaaaaaaaaabcfbaaaaaaaaaaaaejtbaaaaaaaaaaaamp2aaaaaaaaaaaaarlsaaaaaaaaaaaaavbubaaaaaaaaaaaan3qbaaaaaaaaaaaa"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A process with a secret."""
    monkeypatch.setenv("WEAKLINK_ACCOUNTS__SECRET", SECRET)
    account_keys.secret_words.cache_clear()
    yield SECRET
    monkeypatch.undo()
    account_keys.secret_words.cache_clear()


def reference(data: bytes, key: bytes) -> int:
    """SipHash-2-4 as its authors write it down, in whole numbers."""
    mask = (1 << 64) - 1
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turned(word: int, bits: int) -> int:
        return (word << bits | word >> 64 - bits) & mask

    def round_() -> None:
        for a, b, c, d, one, two in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
            v[a] = (v[a] + v[b]) & mask
            v[c] = (v[c] + v[d]) & mask
            v[b] = turned(v[b], one) ^ v[a]
            v[d] = turned(v[d], two) ^ v[c]
            v[a] = turned(v[a], 32)

    padded = data + b"\0" * (7 - len(data) % 8) + bytes((len(data) & 255,))
    for place in range(0, len(padded), 8):
        word = int.from_bytes(padded[place : place + 8], "little")
        v[3] ^= word
        round_()
        round_()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        round_()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@given(st.binary(max_size=41), st.lists(st.binary(max_size=130), max_size=9), st.binary(min_size=16, max_size=16))
def test_the_loop_is_siphash(prefix: bytes, texts: list[bytes], key: bytes) -> None:
    """Of each text behind the prefix, as the authors' reference says, and the vector of their paper."""
    assert reference(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5
    ends = np.cumsum([0, *map(len, texts)])
    scratch = np.empty((len(prefix) + max(map(len, texts), default=0)) // 8 + 1, np.uint64)
    found = np.empty(len(texts), np.uint64)
    one, two = (np.uint64(int.from_bytes(key[i : i + 8], "little")) for i in (0, 8))
    front, data = np.frombuffer(prefix, np.uint8), np.frombuffer(b"".join(texts), np.uint8)
    siphash(front, data, ends, one, two, scratch.view(np.uint8), scratch, found)
    assert found.tolist() == [reference(prefix + text, key) for text in texts]


def test_without_a_secret_a_party_can_choose_the_key_of_anothers_customer() -> None:
    """Why there is one: what it says of the name that it made up would be said of the customer."""
    assert account_key("evil-lab", FORGED) == account_key("my-lab", "cust-42")


def test_with_a_secret_names_that_were_made_up_have_keys_of_their_own(secret: str) -> None:
    assert account_key("evil-lab", FORGED) != account_key("my-lab", "cust-42")


def test_a_column_and_a_single_name_have_the_same_keys_with_and_without_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stages that see a frame and those that see a record must mean the same account; and another secret means other accounts."""
    names = pl.DataFrame({"name": ["", "a", "cust-42", "über", "x" * 128, None, "last"]})
    found = []
    for one in ("", SECRET, SECRET + "!"):
        monkeypatch.setenv("WEAKLINK_ACCOUNTS__SECRET", one) if one else None
        account_keys.secret_words.cache_clear()
        keys = names.select(account_hash("lab-a", "name")).to_series()
        known = [None if name is None else account_key("lab-a", name) for name in names["name"]]
        assert keys.to_list() == known
        assert names[2:4].select(account_hash("lab-a", "name")).to_series().to_list() == known[2:4]
        assert keyer("lab-a")("über".encode()) == known[3]
        found.append(keys.drop_nulls())
    monkeypatch.undo()
    account_keys.secret_words.cache_clear()
    assert len(pl.concat(found).unique()) == sum(map(len, found))


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"short\n", "holds 5 bytes")])
def test_a_secret_that_cannot_be_used_is_told(
    content: bytes | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not passed over: keys of half the stages would be others."""
    file = tmp_path / "accounts"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("WEAKLINK_ACCOUNTS__SECRET_FILE", str(file))
    account_keys.secret_words.cache_clear()
    with pytest.raises(ConfigurationError, match=told):
        account_key("lab-a", "a")
    monkeypatch.undo()
    account_keys.secret_words.cache_clear()
