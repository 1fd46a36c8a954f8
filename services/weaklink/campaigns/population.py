"""What is measured over all accounts at once, apart from what is worked out for each: an evaluation of a few accounts takes it as given."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weaklink.campaigns.graph import KINDS, Floats, Ints


@dataclass(frozen=True, slots=True)
class TypicalConduct:
    """What the conduct of one account is held against."""

    task_weights: tuple[float, ...]
    """Nats of one usage window of each task, in the order of profiles.TASKS."""
    output_ratio: float
    """Median of ln(output tokens / input tokens) of the accounts with usage; 0 when there is none."""


@dataclass(frozen=True, slots=True)
class Tails:
    """u_k(d): the share of accounts that share identifiers of kind k with at least d persons.

    `degrees[k]`: the distinct degrees that occur, ascending; `shares[k]`: the share at each, and 0 beyond the last.
    """

    degrees: tuple[Floats, ...]
    shares: tuple[Floats, ...]

    def at(self, kind: Ints, degree: Floats) -> Floats:
        """u_k(d) of each pair; for the degree 0, and for a kind that nobody shares, it means nothing."""
        result = np.zeros(len(degree))
        for k in range(KINDS):
            asked = np.flatnonzero(kind == k)
            if len(asked):
                result[asked] = self.shares[k][np.searchsorted(self.degrees[k], degree[asked], side="left")]
        return result

    @staticmethod
    def of(kind: Ints, degree: Floats, accounts: Floats) -> "Tails":
        """Measured on the degrees of all who share any of a kind, a row for each, as shares of `accounts` by kind."""
        degrees, shares = [], []
        for k in range(KINDS):
            found, many = np.unique(degree[kind == k], return_counts=True)
            at_least = np.cumsum(many[::-1])[::-1] / max(float(accounts[k]), 1.0)
            degrees.append(found)
            shares.append(np.append(at_least, 0.0))
        return Tails(tuple(degrees), tuple(shares))


@dataclass(frozen=True, slots=True)
class Sharing:
    """How common sharing is: at the account's own party alone (`own`), and at all parties together (`everywhere`)."""

    own: Tails
    everywhere: Tails


@dataclass(frozen=True, slots=True)
class Mixture:
    """Log odds that a pair of accounts is one operator's, by [class, closeness], and the share of such pairs in each class."""

    log_odds: Floats
    share: Floats


@dataclass(frozen=True, slots=True)
class RingPopulation:
    """What rings are held against: the parties without conduct, when their links began (ascending), the mixture of each pass."""

    parties: frozenset[str]
    times_us: Ints
    mixtures: tuple[Mixture, ...]


@dataclass(frozen=True, slots=True)
class SizeTail:
    """The share of accounts in components of at least so many persons: `shares` at each of `sizes` (ascending), 0 beyond the last."""

    sizes: Floats
    shares: Floats

    def at(self, size: Floats) -> Floats:
        """The share at each of these sizes."""
        result: Floats = self.shares[np.searchsorted(self.sizes, size, side="left")]
        return result


@dataclass(frozen=True, slots=True)
class Population:
    """All such measures. A full evaluation makes a new one; evaluations of what changed since keep to it."""

    conduct: TypicalConduct
    sharing: Sharing
    chains: SizeTail
    honest_pieces: tuple[float, ...]
    """Large components over identifiers of very few holders that honest life is expected to have (`pieces.honest_pieces`)."""
    silent: frozenset[str]
    """Parties that report no usage at all: payment processors and clouds."""
    pi: Floats | None
    """Mean belief of the holders of each kind; None while it is being measured."""
    trust: Mapping[str, float]
    """What the evidence of each party counts at others (`reporters.trust`); one that is not named is trusted."""
    rings: RingPopulation
