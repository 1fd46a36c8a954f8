"""What everything in a world shares: its parameters, its seed, and the registers of identifiers and accounts."""

from dataclasses import dataclass, field

from weaklink.sim.spec import WorldSpec
from weaklink.sim.tables import Accounts
from weaklink.sim.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Freed:
    """A cloud's address that honest tenants have had, and when the last of them was gone."""

    address: int
    from_us: int


@dataclass
class Scene:
    """A world's registers, empty at first. Whoever draws at random derives its generator from `seed` and a number of its own."""

    spec: WorldSpec
    seed: int
    vocabulary: Vocabulary = field(init=False)
    accounts: Accounts = field(default_factory=Accounts)
    freed: list[Freed] = field(default_factory=list)
    """Addresses to be let again, the longest free first; who takes one removes it."""

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary(self.seed)
