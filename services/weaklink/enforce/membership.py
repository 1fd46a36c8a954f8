"""Which parties the registry does not have: they are asked for nothing new, and what waits for them is given up once it cannot be delivered."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from weaklink.kafka_options import KafkaConfig
from weaklink.party_registry import PartyRegistry

log = structlog.get_logger()

Unregistered = Callable[[Collection[str]], Awaitable[frozenset[str]]]
"""Those of some parties (ids) that are not registered; none while that cannot be told."""


class Membership:
    """The registry as of the last `look`; whoever is not in it is looked for again, as a party is registered before anything is asked of it."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._registry: PartyRegistry | None = None
        self._known: frozenset[str] | None = None  # None: it cannot be read
        self._complaint = ""
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> None:
        """Take in who has come and gone."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._read)  # the broker may take its time

    async def unregistered(self, parties: Collection[str]) -> frozenset[str]:
        """See `Unregistered`."""
        if self._known is not None and not self._known.issuperset(parties):
            await self.look()
        return frozenset() if self._known is None else frozenset(parties) - self._known

    def _read(self) -> None:
        try:
            self._registry = self._registry or PartyRegistry(self._kafka)
            # Whoever has a record that cannot be read is a party all the same.
            self._known, self._complaint = frozenset({*self._registry.refresh(), *self._registry.unreadable}), ""
        except Exception as error:  # whatever it is: no decision is set aside for it, and no worker stops
            if str(error) != self._complaint:  # once, for as long as the same is wrong
                log.warning("parties_unknown", error=str(error), meaning="every party is taken to be registered")
            self._known, self._complaint = None, str(error)


async def all_registered(_: Collection[str]) -> frozenset[str]:
    """For whoever has no registry to ask."""
    return frozenset()
