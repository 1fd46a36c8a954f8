"""What a simulated world is made of: frozen parameters, units last in their names. Presets of them are in `presets`."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from weaklink.parties import PartyKind


class PartySpec(BaseModel):
    """A simulated member of the consortium."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: PartyKind
    market_share: float = 1.0
    """Relative number of customers among the parties of its kind."""
    models: tuple[str, ...] = ()
    reaction_hours: float = 2.0
    """Event time between the issue of an action and its enforcement."""


class ReleaseSpec(BaseModel):
    """A lab releases a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    party: str
    model: str
    day: float


class BenignSpec(BaseModel):
    """Ordinary customers, and how they share identifiers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = 6_000
    history_days: float = 30.0
    """Accounts older than the world were opened within these days before its start; only their opening is reported."""
    existing_share: float = 0.75
    windows_per_day: float = 1.1
    """Usage events of an average account; individual rates are lognormal around it."""
    household_people: float = 2.6
    household_card_share: float = 0.3
    """Households whose people pay with one card."""
    household_device_share: float = 0.12
    office_people: int = 30
    office_share: float = 0.25
    mobile_share: float = 0.25
    """People who are often behind a carrier's NAT."""
    carrier_address_people: int = 250
    """People behind one address of a carrier."""
    vpn_share: float = 0.06
    vpn_exits: int = 12
    agencies: int = 6
    agency_people: int = 14
    """People of an agency: one corporate card, one office, one organisation."""
    lab_rooms: int = 5
    """Rooms of shared computers, whose people share devices and address."""
    lab_room_people: int = 18
    harness_accounts: int = 40
    """Evaluation harnesses: steady, heavy on grading, on well-known templates. Conduct like a campaign's, nothing else."""
    resellers: int = 4
    reseller_end_users: int = 120
    reseller_windows_per_day: float = 60.0
    popular_templates: int = 60
    template_share: float = 0.3
    """Usage windows on a popular template."""
    address_days: float = 6.0
    """Time after which a home's address is given to another home."""
    chargeback_share: float = 0.012
    refund_share: float = 0.02


class OperatorSpec(BaseModel):
    """One campaign: what it wants, what it can spend, and how it hides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    accounts: int = 150
    """Accounts that it keeps alive at once."""
    start_day: float = 2.0
    end_day: float = 20.0
    ramp_days: float = 2.0
    labs_share: float = 0.7
    """Accounts opened at labs directly; the others at routers."""
    parties: tuple[str, ...] = ()
    """Parties that it uses; empty: every lab and router."""
    windows_per_day: float = 3.5
    requests_per_window: float = 22.0
    requests_log_sigma: float = 0.4
    benign_mix: float = 0.25
    """Share of windows that are made to look like ordinary use."""
    benign_conduct: bool = False
    """Every window looks like ordinary use."""
    accounts_per_card: int = 6
    accounts_per_device: int = 4
    accounts_per_phone: int = 5
    accounts_per_address: int = 8
    pool_window: int = 40
    """Identifiers of a kind in use side by side; 1 with few accounts each makes chains."""
    residential_share: float = 0.3
    """Addresses that are residential proxies, in the ranges of ordinary homes; the others are leased from clouds."""
    lease_days: float = 5.0
    templates: int = 5
    paraphrase_share: float = 0.0
    """Words of a template that each account changes."""
    account_life_days: float = 60.0
    """Mean time after which it leaves an account of its own will."""
    ban_per_day: float = 0.015
    """Chance that the account's own party finds and closes it without Weaklink."""
    replacement_hours: float = 8.0
    fresh_cards_per_day: float = 4.0
    """How many new cards it can buy."""
    pivot_share: float = 0.6
    """Accounts that move to a new model within 24 h of its release."""
    entry_plans: tuple[str, ...] = ("TRIAL", "PAID", "PAID", "STARTUP", "EDUCATION")
    aged_share: float = 0.0
    """Accounts that were bought: opened long before the campaign."""
    resold_share: float = 0.0
    """Volume that comes as end users of resellers, on top of its own accounts."""


class FramingSpec(BaseModel):
    """Members that lie: they report invented accounts, closed for distillation, on identifiers of honest people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parties: tuple[str, ...]
    victims: int = 40
    accounts_per_victim: int = 3
    start_day: float = 6.0


class FloodSpec(BaseModel):
    """The operator gives its cards away, so that strangers make them look like everybody's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cards: int = 4
    strangers_per_card: int = 150
    start_day: float = 4.0


class WorldSpec(BaseModel):
    """A whole world. The same spec and seed give the same world."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "base"
    start: datetime = datetime(2026, 9, 1, tzinfo=UTC)
    days: float = 21.0
    step_hours: float = 6.0
    """Time after which operators look around: notice bans, open accounts, move."""
    parties: tuple[PartySpec, ...]
    releases: tuple[ReleaseSpec, ...] = ()
    benign: BenignSpec = Field(default_factory=BenignSpec)
    operators: tuple[OperatorSpec, ...] = ()
    framing: FramingSpec | None = None
    flood: FloodSpec | None = None

    @property
    def start_us(self) -> int:
        """Microseconds since 1970."""
        return int(self.start.timestamp() * 1_000_000)

    @property
    def end_us(self) -> int:
        """Microseconds since 1970."""
        return self.start_us + int(self.days * DAY_US)


HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
