"""What a simulated world is made of: frozen parameters, units last in their names.

Worlds themselves are in `base_worlds` (the two families) and `presets` (what each named world changes).
Counts are those of a world of size 1, which has about 119,000 benign accounts.
"""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from weaklink.parties import PartyKind

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartySpec(_Spec):
    """A simulated member of the consortium."""

    id: str
    kind: PartyKind
    market_share: float = 1.0
    """Relative number of customers among the parties of its kind."""
    models: tuple[str, ...] = ()
    window_seconds: int = 3600
    """Length of the windows over which a lab or router adds up usage."""
    reaction_hours: float = 2.0
    """Event time between the issue of an action and its enforcement."""


class ReleaseSpec(_Spec):
    """A lab releases a model."""

    party: str
    model: str
    day: float


class BenignSpec(_Spec):
    """Ordinary customers, and how they share identifiers."""

    people: int = 68_000
    history_days: float = 10.0
    """Accounts older than the world were opened within these days before its start; only their opening is reported."""
    existing_share: float = 0.5
    """Accounts that are older than the world."""
    second_account_share: float = 0.22
    """People with an account at a second lab or router."""
    windows_per_day: float = 0.21
    """Usage events of an average account; individual rates are lognormal around it."""
    windows_log_sigma: float = 0.9
    requests_log_mean: float = 3.2
    """Requests in a window: lognormal, with a spread between people and one between a person's windows."""
    requests_person_log_sigma: float = 0.9
    requests_log_sigma: float = 0.85
    output_person_log_sigma: float = 0.6
    """Spread between people of ln(output tokens / input tokens)."""

    household_people: float = 2.0
    """Mean size; sizes are geometric."""
    household_card_share: float = 0.25
    """Households whose people pay with one card."""
    household_device_share: float = 0.12
    card_share: float = 0.5
    """People who pay by card at all."""
    phone_share: float = 0.3
    """Accounts whose opening shows a phone number."""
    bank_share: float = 0.06
    """Payers who pay from a bank account."""
    referral_share: float = 0.12
    """Openings with somebody's referral code; a few codes are everybody's."""
    second_hand_share: float = 0.015
    """People whose device was somebody else's during the first part of the world."""
    recycled_phone_share: float = 0.02
    """People whose phone number was another's, who opened accounts with it."""

    office_share: float = 0.22
    office_people: float = 22.0
    """Mean size; sizes are lognormal."""
    office_size_log_sigma: float = 0.8
    office_online_share: float = 0.45
    """Of the events on working days of people who have an office, those that come from there."""
    fleet_share: float = 0.08
    """Offices whose people pay with cards of the company's, each shared by a few of them."""
    fleet_card_people: int = 6
    mobile_share: float = 0.22
    """People who are often behind a carrier's NAT."""
    carrier_address_people: int = 250
    """People behind one address of a carrier."""
    vpn_share: float = 0.06
    vpn_exits: int = 90
    agencies: int = 30
    agency_people: int = 14
    """People of an agency: one corporate card, one office, one organisation, one template of the house."""
    lab_rooms: int = 60
    """Rooms of shared computers at universities, whose people share devices and addresses, on education plans."""
    lab_room_people: int = 24
    lab_room_computers: int = 8
    rooms_per_university: int = 4
    """Rooms that share the university's organisation and gateway address."""
    education_share: float = 0.05
    """Accounts on education or startup plans outside the rooms."""

    scripted_share: float = 0.012
    """People who run batch jobs: a campaign's tasks and regularity, on their own means."""
    harness_accounts: int = 200
    """Evaluation harnesses: steady, heavy on grading, on well-known templates. Conduct like a campaign's, nothing else."""
    harness_teams: int = 40
    """Teams that run the harnesses, a few accounts each at several labs, from one address and on one card."""
    resellers: int = 40
    """Resellers that name their end users."""
    reseller_end_users: int = 120
    reseller_windows_per_day: float = 6.0
    relays: int = 12
    """Relays that do not: accounts of one firm on its card and addresses, whose customers have accounts of their own, too."""
    relay_accounts: int = 8
    relay_customers: int = 60
    """People whose own accounts come through the relay's addresses."""
    relay_windows_per_day: float = 1.0
    popular_templates: int = 300
    template_share: float = 0.25
    """Usage windows on a popular template."""
    address_days: float = 10.0
    """Time after which a home's address is given to another home."""
    tenant_share: float = 0.05
    """People who rent machines at a cloud."""
    freed_address_share: float = 0.25
    """Addresses of tenants that are let to whoever comes when their first lease ends."""
    declined_share: float = 0.03
    chargeback_share: float = 0.012
    refund_share: float = 0.02
    closed_share: float = 0.04
    """Accounts that their owners close."""
    wrongly_closed_share: float = 0.002
    """Honest accounts that their party closes as FRAUD or TERMS; a tenth of them as DISTILLATION."""


class ShownSpec(_Spec):
    """What parties record, of honest customers and operators alike: the share of events that show an identifier at all."""

    address_share: float = 0.8
    device_share: float = 0.75
    tls_share: float = 0.7
    payment_address_share: float = 0.5
    payment_email_share: float = 0.4


class OperatorSpec(_Spec):
    """One campaign: what it wants, what it can spend, and how it hides."""

    name: str
    accounts: int = 700
    """Accounts that it keeps alive at once."""
    scales: bool = True
    """Whether a larger world makes it larger."""
    varies_in_size: bool = True
    """Whether `WorldSpec.variation` may change how many accounts it opens."""
    start_day: float = 3.0
    end_day: float = 29.0
    ramp_days: float = 5.0
    labs_share: float = 0.7
    """Accounts opened at labs directly; the others at routers."""
    parties: tuple[str, ...] = ()
    """Parties that it uses; empty: every lab and router."""
    task_shares: tuple[float, ...] = ()
    """What it is after, in the order of `conduct.TASKS`; empty: the mix that the reports give."""
    windows_per_day: float = 0.5
    windows_jitter: float = 0.5
    """Spread of the gap between windows, as a share of it."""
    requests_per_window: float = 150.0
    requests_log_sigma: float = 0.45
    output_log_ratio: float = 0.3
    """Mean of ln(output tokens / input tokens); ordinary people's is -0.5."""
    benign_mix: float = 0.2
    """Share of windows that are made to look like ordinary use."""
    benign_conduct: bool = False
    """Every window looks like ordinary use."""
    accounts_per_card: int = 6
    accounts_per_device: int = 4
    accounts_per_phone: int = 5
    accounts_per_address: int = 8
    pays_from_addresses: bool = True
    """Whether payments come from the accounts' addresses; otherwise from where nobody looks."""
    accounts_per_referral: int = 0
    """0: shows no referral codes."""
    accounts_per_organisation: int = 0
    """Accounts that name one invented organisation; 0: none does."""
    pool_window: int = 40
    """Identifiers of a kind in use side by side; 1 with few accounts each makes chains."""
    residential_share: float = 0.3
    """Addresses that are residential proxies; the others are leased from clouds."""
    home_proxy_share: float = 0.4
    """Residential proxies that run in the homes of ordinary customers of this world, who share the address."""
    recycled_lease_share: float = 0.3
    """Leased addresses that an honest tenant had before, while there are such."""
    lease_days: float = 5.0
    templates: int = 12
    template_share: float = 0.8
    """Of the windows that do not look ordinary, those on one of its templates."""
    paraphrase_share: float = 0.0
    """Words of a template that each account changes."""
    phone_share: float = 0.5
    """Accounts whose opening shows a phone number."""
    account_life_days: float = 16.0
    """Mean time after which it leaves an account of its own will."""
    account_life_days_max: float | None = None
    ban_per_day: float = 0.02
    """Chance that the account's own party finds and closes it without Weaklink."""
    replacement_hours: float = 8.0
    fresh_cards_per_day: float = 20.0
    """How many new cards it can buy."""
    openings_per_day_share: float = 0.25
    """Accounts that it can open in a day in place of lost ones, as a share of `accounts`: identities and hands are scarce, too."""
    pivot_share: float = 0.5
    """Accounts that move to a new model within 24 h of its release."""
    entry_plans: tuple[str, ...] = ("TRIAL", "PAID", "PAID", "PAID", "STARTUP", "EDUCATION", "FREE")
    """Plans of new accounts, drawn evenly. EDUCATION, STARTUP and FREE need no card."""
    aged_share: float = 0.0
    """Accounts that were bought: opened long before the campaign."""
    resold_share: float = 0.0
    """Volume that comes as end users of resellers, on top of its own accounts."""


class FramingSpec(_Spec):
    """Members that lie: they report invented accounts, closed for distillation, on identifiers of honest people."""

    parties: tuple[str, ...]
    victims: int = 40
    accounts_per_victim: int = 3
    windows: int = 8
    start_day: float = 6.0


class FloodSpec(_Spec):
    """Campaigns' cards are made to look like everybody's: the operators give them away to strangers, or members invent the strangers."""

    parties: tuple[str, ...] = ()
    """Members that report invented accounts with the cards, each all of them. Empty: real strangers, at parties by their share of the market."""
    cards: int = 10
    """Cards of each operator."""
    strangers_per_card: int = 120
    start_day: float = 4.0


class OmissionSpec(_Spec):
    """A member withholds part of its events."""

    parties: tuple[str, ...]
    share: float = 0.7
    """Accounts of which it tells nothing from `start_day` on."""
    start_day: float = 5.0


class ReplaySpec(_Spec):
    """A member sends old events again: some as they were, some with a new time."""

    parties: tuple[str, ...]
    share: float = 0.3
    """Events that it sends again."""
    retimed_share: float = 0.5
    """Of those, the ones that claim to have happened at the time of sending; of usage that makes invented volume."""
    delay_days_max: float = 6.5


class BackdatingSpec(_Spec):
    """A member gives false times, as early as ingest's age limit of 7 days lets through."""

    parties: tuple[str, ...]
    share: float = 0.5
    """Usage and payments that are dated back."""
    days_max: float = 6.9


class WorldSpec(_Spec):
    """A whole world. The same spec and seed give the same world."""

    name: str = "base"
    family: str = "tuning"
    start: datetime = datetime(2026, 9, 1, tzinfo=UTC)
    days: float = 30.0
    step_hours: float = 6.0
    """Time after which operators look around: notice bans, open accounts, move."""
    variation: float = 0.0
    """Every seed draws its own world: each parameter that `variation.py` lists is multiplied by a factor between 1/(1+v) and 1+v."""
    parties: tuple[PartySpec, ...]
    releases: tuple[ReleaseSpec, ...] = ()
    shown: ShownSpec = Field(default_factory=ShownSpec)
    benign: BenignSpec = Field(default_factory=BenignSpec)
    operators: tuple[OperatorSpec, ...] = ()
    framing: FramingSpec | None = None
    flood: FloodSpec | None = None
    omission: OmissionSpec | None = None
    replay: ReplaySpec | None = None
    backdating: BackdatingSpec | None = None

    @property
    def start_us(self) -> int:
        """Microseconds since 1970."""
        return int(self.start.timestamp() * 1_000_000)

    @property
    def end_us(self) -> int:
        """Microseconds since 1970."""
        return self.start_us + int(self.days * DAY_US)
