"""The load that correlate's growth is measured with: its truth is what plain counting gives, and the measurement notices what is wrong."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench.growth import Grown, save_and_load, slower
from bench.link_load import Members, links, members, message, sources

from weaklink.correlate.memory import Block
from weaklink.correlate.run import ROWS_MAX, Run
from weaklink.errors import WeaklinkError
from weaklink.frames import LINKS, from_chunk


def test_who_shares_is_what_counting_gives() -> None:
    every = links(np.arange(3_000))
    holders = Counter(every["identifier"].to_list())
    shared = [
        account for identifier, account in every.select("identifier", "account").iter_rows() if holders[identifier] > 1
    ]
    assert 1_000 < len(shared) < 2_900
    parity = 0
    for account in shared:
        parity ^= account
    assert members(3_000) == Members(len(shared), sum(shared) % 2**64, parity)


def test_messages_bring_new_links_and_known_ones() -> None:
    assert (sources(np.arange(1_000)) <= np.arange(1_000)).all()
    rows = from_chunk(message(1_000, 50, 60, np.random.default_rng(1)), LINKS)
    old = links(np.arange(1_000))["account"].to_list()
    assert rows["account"].is_in(old).sum() == rows.height - 50
    assert rows["account"].n_unique() == rows.height


def test_what_a_grown_unit_says_is_right_before_and_after_it_is_loaded(tmp_path: Path) -> None:
    grown = Grown()
    grown.fill(30_000)
    first = grown.measure(messages=5).to_json()
    assert first["links"] == 30_000
    assert grown.said == members(grown.stored)
    found = save_and_load(grown, tmp_path)
    assert found["links"] == grown.stored == len(grown.links)
    grown.fill(grown.stored + 20_000)
    assert grown.said == members(grown.stored)
    assert grown.said != members(grown.stored - 100)


def test_slower_is_the_share_of_the_rate_that_is_lost() -> None:
    """Three quarters of the rate are a quarter slower, as the documentation counts it, although each row then takes a third longer; by the clock."""
    rates = ((1_600_000, 1), (1_500_000, 2), (1_200_000, 3))
    assert slower([{"rows_per_second": rate, "rows_per_cpu_second": cpu} for rate, cpu in rates]) == 0.25


def test_a_run_does_not_grow_beyond_what_its_directory_counts() -> None:
    """It says so before it takes memory, whether it is made or made smaller."""
    with pytest.raises(WeaklinkError, match=r"4,294,967,295 of them in one run, which counts up to 4,294,967,294"):
        Run(Block(1), ROWS_MAX + 1)
    run = Run(Block(1), 1)
    with pytest.raises(WeaklinkError, match="more partitions"):
        run.keep(np.zeros(0, dtype=np.uint8), ROWS_MAX + 1)
