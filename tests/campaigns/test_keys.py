"""Keys in two layers are the keys that they would be in one, whatever comes, is looked for and is forgotten in which order."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaklink.campaigns import keys
from weaklink.campaigns.keys import LayeredIndex, LayeredKeys

BATCHES = st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=12)


@pytest.fixture(autouse=True, scope="module")
def _small_layers() -> Iterator[None]:
    """Layers so small that some keys are in either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_RECENT_MIN", 3)
        yield


@settings(max_examples=200, deadline=None)
@given(BATCHES)
def test_a_layered_set_holds_what_was_inserted(batches: list[list[int]]) -> None:
    found, known = LayeredKeys(), set[int]()
    for batch in batches:
        found.insert(np.array(sorted(set(batch) - known), np.int64))
        known |= set(batch)
        assert len(found) == len(known)
        assert found.has(np.arange(41)).tolist() == [key in known for key in range(41)]
        assert np.array_equal(np.sort(np.concatenate(found.layers)), sorted(known))


@pytest.mark.parametrize("few", [0, 1 << 18])
@settings(max_examples=200, deadline=None)
@given(BATCHES, st.data())
def test_numbers_of_keys_last_until_they_are_forgotten_and_are_not_given_again(
    few: int, batches: list[list[int]], data: st.DataObject
) -> None:
    """However many keys there are: among many they are looked for in another way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_FEW_KEYS", few)
        follow(batches, data)


def follow(batches: list[list[int]], data: st.DataObject) -> None:
    """An index beside a dict."""
    index, known, given_so_far = LayeredIndex(np.uint64), dict[int, int](), 0
    for batch in batches:
        for key in sorted(set(batch) - known.keys()):
            known[key], given_so_far = given_so_far, given_so_far + 1
        assert index.add(np.array(batch, np.uint64)).tolist() == [known[key] for key in batch]
        if data.draw(st.booleans()):
            gone = np.array(data.draw(st.lists(st.booleans(), min_size=given_so_far, max_size=given_so_far)), bool)
            index.forget(gone)
            known = {key: number for key, number in known.items() if not gone[number]}
        asked = np.arange(41, dtype=np.uint64)
        assert index.find(asked).tolist() == [known.get(key, -1) for key in range(41)]
        between = index.between(np.array([0, 20], np.uint64), np.array([5, 33], np.uint64))
        assert sorted(between.tolist()) == sorted(n for key, n in known.items() if key < 5 or 20 <= key < 33)
        assert (index.given, len(index)) == (given_so_far, len(known))
        if data.draw(st.booleans()):
            assert index.in_order().tolist() == [known[key] for key in sorted(known)]
