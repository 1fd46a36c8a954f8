"""What enforcement has taken from an operator, as the operator notices it."""

from dataclasses import dataclass, field


@dataclass
class Restrictions:
    """Accounts by their index in Accounts, identifiers by their number in Vocabulary."""

    dead: set[int] = field(default_factory=set)
    """Accounts that no longer work."""
    throttled: dict[int, float] = field(default_factory=dict)
    """Share of its requests that an account may still make."""
    cards: set[int] = field(default_factory=set)
    """Cards that cannot pay any more."""
    addresses: set[int] = field(default_factory=set)
    """Leased addresses that were taken back."""
    end_users: dict[tuple[int, int], float] = field(default_factory=dict)
    """(reseller account, END_USER) -> share of its requests that still pass."""
