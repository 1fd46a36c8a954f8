"""Prompt signatures: MinHash over word shingles, cut into LSH bands, so that prompts that are alike, not only equal, share a token.

MinHash: A. Broder, "On the resemblance and containment of documents", 1997: the chance that two sets agree in the minimum of a random
hash is their Jaccard similarity J. Banding: P. Indyk and R. Motwani, 1998: with b bands of r minima each, two prompts share at least one
band with chance 1 - (1 - J^r)^b. With r = 5 and b = 9 that is 97.2 % at J = 0.8, 25 % at J = 0.5 and 0.3 % at J = 0.2,
for 9 of an event's 32 identifiers (18 while two key epochs overlap).

Each shingle's 45 hashes are cut from one SHAKE-128 output, so that they are independent, the same on every platform, and need no densification
for short prompts, which one-permutation hashing would. They are no secret: a band becomes a token only under the party's key.
"""

import hashlib
import re
import unicodedata
from struct import Struct
from typing import Final

from weaklink.errors import RecordError
from weaklink.records import reasons

SHINGLE_WORDS: Final = 3
BANDS: Final = 9
ROWS: Final = 5
WORDS_MAX: Final = 4096
"""Beyond this a prompt is cut: the template stands at its beginning, and the time per prompt stays bounded."""

_HASHES: Final = Struct(f"<{BANDS * ROWS}I")
# Scripts that are written without spaces count by the character.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def shingles(prompt: str) -> set[str]:
    """The sets of three words in a row, case and punctuation removed. Words that are numbers all count as one word: templates differ in them.

    Raises RecordError (BAD_IDENTIFIER) when there is no word in it.
    """
    folded = unicodedata.normalize("NFKC", prompt).casefold()
    words = ["0" if word.isdigit() else word for word in _WORD.findall(folded)[:WORDS_MAX]]
    if not words:
        raise RecordError(reasons.BAD_IDENTIFIER, "not a usable PROMPT: it has no words", "identifiers")
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(count)}


def signature(prompt: str) -> tuple[int, ...]:
    """The MinHash signature: BANDS * ROWS minima of 32 bits."""
    hashes = (_HASHES.unpack(hashlib.shake_128(shingle.encode()).digest(_HASHES.size)) for shingle in shingles(prompt))
    return tuple(map(min, zip(*hashes, strict=True)))


def prompt_bands(prompt: str) -> tuple[str, ...]:
    """One text per band, to be hashed under the key of PROMPT: equal texts mean equal minima in that band."""
    minima = signature(prompt)
    return tuple(
        f"{band}:" + ",".join(f"{value:08x}" for value in minima[band * ROWS : (band + 1) * ROWS])
        for band in range(BANDS)
    )
