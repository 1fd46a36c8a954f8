"""Rows to records: in order, readable, with a few faults that are counted."""

from itertools import pairwise

import pytest

from weaklink.errors import RecordError
from weaklink.partner.models import AccountClosed, AccountOpened, AddressLease, ApiUsage, ModelReleased, PaymentAttempt
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.codec import decode, encode
from weaklink.sim.faults import Faults
from weaklink.sim.presets import preset
from weaklink.sim.publishing import EventWriter, TokenTable
from weaklink.sim.worlds import World

MODELS = {
    model.record: model
    for model in (AccountClosed, AccountOpened, AddressLease, ApiUsage, ModelReleased, PaymentAttempt)
}


@pytest.fixture(scope="module")
def world() -> World:
    """A small world."""
    return World(preset("base", 0.05), seed=4)


def writer(world: World) -> EventWriter:
    """A writer with throw-away keys."""
    return EventWriter(world.accounts, TokenTable(world.vocabulary, LocalTokeniser.throwaway()), b"run-one")


def test_every_record_is_one_that_ingest_accepts(world: World) -> None:
    """Each event survives the wire and the SDK's own model of what is valid; ids are unique, times in order."""
    ids, times = set(), []
    for _, record, values in writer(world).records(world.benign.sample(3_000, seed=1)):
        name, read = decode(encode(record, values))
        assert name == record
        model = MODELS[record](**read)
        ids.add(model.event_id)
        times.append(model.occurred_at)
    assert len(ids) == len(times) == 3_000
    assert all(before <= after for before, after in pairwise(times))


def test_tokens_lead_back_to_their_identifier(world: World) -> None:
    """A party finds the card behind a token that it has sent, and nothing behind one that it has not."""
    table = TokenTable(world.vocabulary, LocalTokeniser.throwaway())
    for number in range(1, 400):
        for token in table.tokens(number):
            assert table.number(token) == number
    assert table.number(b"\4\1" + b"\0" * 15) is None


def test_faults_are_added_and_never_replace_a_genuine_event(world: World) -> None:
    """Every genuine record goes out once; what is added is either the same again or invalid."""
    faults = Faults(1)
    genuine = list(writer(world).records(world.benign.head(8_000)))
    sent = [one for record in genuine for one in faults.around(*record)]
    assert faults.duplicates > 0
    assert faults.damaged > 0
    assert len(sent) == len(genuine) + faults.duplicates + faults.damaged
    known = {values["event_id"] for _, _, values in genuine}
    bad = [(record, values) for _, record, values in sent if values["event_id"] not in known]
    assert len(bad) == faults.damaged
    for record, values in bad:
        with pytest.raises((ValueError, RecordError)):
            MODELS[record](**values)
