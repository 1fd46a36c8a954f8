"""Raw identifiers of a simulated world, numbered: events carry the numbers, `raw` gives the values that a party would see."""

from typing import Final

import numpy as np
import numpy.typing as npt

from weaklink.records.identifiers import IdentifierKind

Ids = npt.NDArray[np.int32]
"""Numbers of identifiers; 0 is none."""

# First octets that are publicly routed in all their addresses.
_PUBLIC_OCTETS: Final = tuple(octet for octet in range(20, 92) if octet not in (38, 44))
_BLOCK: Final = 1 << 24
_ODD: Final = 0x9E3779B1  # odd, so that multiplying by it permutes the numbers modulo a power of two

_WORDS: Final = """
act analyse answer approach argument assess assume award balance basis break brief candidate careful case
chain check choose cite claim classify clause clear code collect combine compare complete concise conclude
condition confidence consider constraint context contrast correct count criterion criticise decide decompose
define demonstrate derive describe detail diagram difference direct discuss distinct document draft edge
effect enumerate equation error estimate evaluate evidence exact example exclude expand expect expert explain
explicit express extend factor fail final follow force format formal frame function general generate give goal
grade graph group guide hidden hint hypothesis identify imagine imply improve include independent infer inner
input inspect instruct interpret introduce isolate judge justify key label language law layer lemma length
level limit list logic long main map mark match maximum mean measure method minimum model modify name natural
note number object observe omit only order outline output pair paragraph parse part pattern perform phrase
plan point policy precise predict premise present prior problem proceed produce prompt proof propose prove
provide purpose question quote range rank rate reason recall record reduce refer reflect refine reject relate
relevant rely repeat rephrase require resolve respond restate result return review revise reward rewrite role
rubric rule sample scale scope score search section select sense sentence separate sequence series short show
simple sketch solve sort source specific stage standard state step strategy strict structure style subject
subtask suggest sum summarise support table target task teach term test text theory think thorough token tone
tool topic trace transform translate trial true type unit update use user valid value vary verify version view
weigh word work write yield
""".split()  # noqa: SIM905  # a list of 240 quoted words is not easier to read


class Vocabulary:
    """Identifiers by number, from 1. `mint` makes new ones; equal seeds make equal values."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._kinds: list[int] = [0]
        self._values: list[str] = [""]
        self._minted: dict[IdentifierKind, int] = {}
        self._random = np.random.default_rng([seed, 7])

    def __len__(self) -> int:
        return len(self._values)

    def raw(self, number: int) -> tuple[str, str]:
        """Kind and value of one identifier."""
        return IdentifierKind(self._kinds[number]).name, self._values[number]

    def kinds(self) -> npt.NDArray[np.uint8]:
        """The kind byte of every number."""
        return np.asarray(self._kinds, dtype=np.uint8)

    def values(self) -> list[str]:
        """The value of every number."""
        return self._values

    def mint(self, kind: IdentifierKind, count: int) -> Ids:
        """New identifiers of a kind that is not PROMPT."""
        first = self._minted.get(kind, 0)
        self._minted[kind] = first + count
        return self._append(kind, [self._value(kind, first + i) for i in range(count)])

    def mint_prompts(self, texts: list[str]) -> Ids:
        """New PROMPT identifiers with these texts."""
        return self._append(IdentifierKind.PROMPT, texts)

    def template(self, words: int = 70) -> list[str]:
        """A new prompt template, as words."""
        return [_WORDS[i] for i in self._random.integers(0, len(_WORDS), words)]

    def paraphrase(self, template: list[str], share: float) -> str:
        """The template as text, with this share of its words replaced."""
        changed = self._random.random(len(template)) < share
        other = self._random.integers(0, len(_WORDS), len(template))
        return " ".join(_WORDS[o] if c else w for w, c, o in zip(template, changed, other, strict=True))

    def _append(self, kind: IdentifierKind, values: list[str]) -> Ids:
        first = len(self._values)
        self._values += values
        self._kinds += [int(kind)] * len(values)
        return np.arange(first, len(self._values), dtype=np.int32)

    def _value(self, kind: IdentifierKind, index: int) -> str:
        opaque = f"{(index * _ODD + self._seed * 104_729) % (1 << 32):08x}{index:08x}"
        match kind:
            case IdentifierKind.IP:
                octet = _PUBLIC_OCTETS[index % len(_PUBLIC_OCTETS)]
                rest = (index // len(_PUBLIC_OCTETS) * _ODD + self._seed * 7919) % _BLOCK
                value = f"{octet}.{rest >> 16}.{rest >> 8 & 255}.{rest & 255}"
            case IdentifierKind.PHONE:
                value = f"+49151{index:08d}"
            case IdentifierKind.EMAIL:
                value = f"user.{opaque}@{'mail' if index % 3 else 'post'}.example"
            case IdentifierKind.CARD:
                value = f"fp_{opaque}"
            case IdentifierKind.API_KEY:
                value = f"sk-{opaque}"
            case IdentifierKind.ORGANISATION:
                value = f"Organisation {opaque}"
            case _:
                value = opaque
        return value
