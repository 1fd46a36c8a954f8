"""Topics, principals, ACLs and quotas as they should be: a plan first, then its execution, for the whole and for each party. Idempotent."""

import time
from collections.abc import Callable
from contextlib import closing

from kafka import KafkaConsumer

from weaklink import topology
from weaklink.edge_offsets import edge_offsets
from weaklink.errors import PartyError
from weaklink.ops import membership
from weaklink.ops.access_differences import Difference
from weaklink.ops.admin import open_admin
from weaklink.ops.committed_reading import partitions_of
from weaklink.ops.topics import Change, Step, internal_topics, party_topics
from weaklink.ops.topics_admin import apply, drop_topics, plan_topics
from weaklink.parties import Party
from weaklink.party_registry import find_party, read_parties, write_party
from weaklink.settings import Settings


def plan(settings: Settings) -> list[Step]:
    """The plan for everything: internal topics, and the three of every registered party."""
    steps = plan_topics(settings.kafka, internal_topics(settings))
    if any(step.topic.name == topology.PARTIES and step.change is Change.CREATE for step in steps):
        return steps
    parties = read_parties(settings.kafka)
    targets = [topic for _, party in sorted(parties.items()) for topic in party_topics(settings, party)]
    return steps + (plan_topics(settings.kafka, targets) if targets else [])


def unknown_topics(settings: Settings) -> list[str]:
    """Topics with Weaklink's prefixes that are none of its own: of parties that were removed, of another version, or made by somebody."""
    with open_admin(settings.kafka) as admin:
        found = set(admin.list_topics())
    known = {topic.name for topic in internal_topics(settings)}
    if topology.PARTIES in found:
        known |= {
            topic.name for party in read_parties(settings.kafka).values() for topic in party_topics(settings, party)
        }
    return sorted(name for name in found - known if name.startswith(("weaklink.", "party.")))


def plan_access(settings: Settings) -> list[Difference]:
    """What differs in principals, ACLs and quotas; nothing where Weaklink does not keep them (`access.managed`)."""
    if not membership.is_managed(settings):
        return []
    with open_admin(settings.kafka) as admin:
        registered = topology.PARTIES in admin.list_topics()
    return membership.plan_access(settings, read_parties(settings.kafka) if registered else {})


def provision(settings: Settings) -> list[Step]:
    """Plan and execute: topics, then principals, ACLs and quotas. Returns the topics' plan; a second call finds everything fine."""
    steps = plan(settings)
    apply(settings.kafka, steps)
    membership.apply_access(settings, plan_access(settings))
    return steps


def add_party(settings: Settings, party: Party) -> Party:
    """Create the party's topics and ACLs, then register it (in this order: ingest leaves topics of unknown parties alone).

    It has no secret yet (`membership.issue_secret`). Adding it again mends its topics and ACLs and changes its name.
    Returns the party as registered.
    Raises PartyError when the id is taken by a party of another kind, BrokerError when the cluster is not provisioned.
    """
    parties = read_parties(settings.kafka)
    known = parties.get(party.id)
    if known and known.kind is not party.kind:
        raise PartyError(
            f"{party.id} is a {known.kind} already: remove it first, or give the new {party.kind} another id"
        )
    if known:
        party = party.model_copy(update={"added_at": known.added_at, "suspended_at": known.suspended_at})
    apply(settings.kafka, plan_topics(settings.kafka, party_topics(settings, party)))
    membership.admit(settings, party, parties)
    if party != known:
        write_party(settings.kafka, party.id, party)
    return party


def topics_with_messages(settings: Settings, party: Party) -> list[str]:
    """Topics of a party in which there are messages, or were: where it is not registered, those of an earlier one with its id.

    Empty ones may be of an `add_party` that did not come to its end.
    """
    with open_admin(settings.kafka) as admin:
        there = set(admin.list_topics())
    names = [topic.name for topic in party_topics(settings, party) if topic.name in there]
    if not names:
        return []
    with closing(KafkaConsumer(**settings.kafka.client_options())) as consumer:
        ends = edge_offsets(consumer.end_offsets, partitions_of(consumer, names))
    return sorted({one.topic for one, end in ends.items() if end > 0})


def remove_party(
    settings: Settings, party_id: str, *, delete_topics: bool = False, wait: Callable[[float], None] = time.sleep
) -> None:
    """End a party's sessions at once and take it out of the registry; on demand its topics go with all that they hold.

    `wait` is given the seconds that pass between the two. Raises PartyError when it is unknown.
    """
    party = find_party(settings.kafka, party_id)
    membership.lock_out(settings, party)
    write_party(settings.kafka, party_id, None)
    if delete_topics:
        # Ingest reads the registry and admits partitions at intervals, and may then have rejects in hand. A transaction into a topic that is gone
        # stands still for a minute, and with it every party's events.
        wait(2 * (settings.ingest.registry_refresh_seconds + settings.stream.gate_seconds))
        drop_topics(settings.kafka, [topic.name for topic in party_topics(settings, party)])
    membership.forget(settings, party, topics_too=delete_topics)
