"""Keys under numbers are those of a dict, whatever comes together and in which order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink.campaigns import keys
from weaklink.campaigns.keys import KeyIndex

BATCHES = st.lists(st.lists(st.sampled_from([0, 1, 2, 5, 9, 2**63, 2**64 - 1])), max_size=5)


@pytest.mark.parametrize("few", [0, 1 << 18])
@given(batches=BATCHES, asked=st.lists(st.sampled_from([0, 3, 9, 2**64 - 1])))
def test_numbers_are_given_in_the_order_in_which_keys_come(
    few: int, batches: list[list[int]], asked: list[int]
) -> None:
    index, expected = KeyIndex(np.uint64), dict[int, int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_FEW_KEYS", few)
        for batch in batches:
            found = index.add(np.array(batch, np.uint64))
            for key in sorted(set(batch)):  # ascending among those that came together
                expected.setdefault(key, len(expected))
            assert found.tolist() == [expected[key] for key in batch]
        assert index.find(np.array(asked, np.uint64)).tolist() == [expected.get(key, -1) for key in asked]
    assert index.keys.tolist() == sorted(expected)
