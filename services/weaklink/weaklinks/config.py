"""Settings of weak links. Every field has its unit in its name or its docstring.

Volumes are counted in *account-equivalents*: the mean requests a day of the campaign's active accounts is 1, so that
prices mean the same for a slow drip and for a flood.
"""

from pydantic import BaseModel, ConfigDict, Field


class WeakLinksConfig(BaseModel):
    """Environment: WEAKLINK_WEAKLINKS__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_limit_seconds: float = Field(default=10.0, gt=0)
    """Longest that one campaign's plan may take to solve. A guard: a plan that ran into it depends on the machine's speed."""
    gap_relative: float = Field(default=0.005, ge=0)
    """The program stops when its plan is proven to be within this share of the best."""
    gap_accepted: float = Field(default=0.015, ge=0)
    """Where the program is too large to be solved at once, a plan that is proven to be within this share of the best is taken."""
    exact_measures_max: int = Field(default=1500, ge=0)
    """Measures, after reductions, up to which the program is solved at once (in about 0.3 s of processor time at 1,200)."""
    nodes_max: int = Field(default=200, ge=1)
    """Nodes of its search for larger ones, so that equal campaigns get equal plans on any machine that is quick enough for the time limit."""
    dual_iterations: int = Field(default=200, ge=0)
    """Steps of the dual bound for larger ones (about 0.8 s of processor time at 14,000 measures)."""

    suspend_score_min: float = 0.9
    """SUSPEND is proposed only above this belief (DETECTION: step 10)."""
    act_score_min: float = 0.5
    """Below this belief an account is only observed."""
    suspend_parties_min: int = 2
    """Parties whose evidence SUSPEND needs, unless the addressed party's own finding stands behind it."""

    suspend_effect: float = Field(default=0.9, ge=0, le=1)
    challenge_effect: float = Field(default=0.8, ge=0, le=1)
    throttle_effect: float = Field(default=0.75, ge=0, le=1)
    require_end_user_ids_effect: float = Field(default=0.3, ge=0, le=1)
    block_identifier_effect: float = Field(default=0.4, ge=0, le=1)
    revoke_lease_effect: float = Field(default=0.3, ge=0, le=1)
    """`*_effect`: share of the volume that flows through the target which stays cut, replacements included. SUSPEND, CHALLENGE and
    BLOCK_IDENTIFIER are fitted in the closed loop with one measure carried out at a time, THROTTLE from what parties let through;
    the last two are judgements (docs/decisions/2026-11-23-effects-of-measures.md)."""

    learn_prior_accounts: float = Field(default=200.0, ge=0)
    """Effects of SUSPEND, CHALLENGE and THROTTLE are corrected for each campaign by what they did to it (`learning.learned`): the setting counts
    as much as so many accounts on which the effect was measured. 0: nothing is learned."""

    suspend_cost: float = 0.06
    challenge_cost: float = 0.04
    throttle_cost: float = 0.04
    require_end_user_ids_cost: float = 0.05
    block_identifier_cost: float = 0.3
    revoke_lease_cost: float = 0.1
    """`*_cost`: what asking a party for it costs, in account-equivalents."""

    account_replacement: float = 0.02
    card_replacement: float = 0.2
    bank_account_replacement: float = 0.25
    lease_replacement: float = 0.02
    """`*_replacement`: what the operator pays for another one, in account-equivalents; lowers the price of a measure, never below `price_min`."""
    price_min: float = 0.01
    """Lowest price of a measure, in account-equivalents."""

    suspend_harm: float = 1.0
    challenge_harm: float = 0.2
    throttle_harm: float = 0.3
    require_end_user_ids_harm: float = 0.0
    block_identifier_harm: float = 1.0
    revoke_lease_harm: float = 1.0
    """`*_harm`: how badly the measure hurts a benign account that it touches, 0 to 1."""
    benign_account_price: float = 1.0
    """Price of one benign account fully hurt, in account-equivalents."""
    benign_volume_price: float = 1.0
    """Price of benign volume cut, per volume."""

    idle_volume: float = 0.25
    """Volume that a member without usage counts as, in account-equivalents: it will be used."""
    benign_score_max: float = 0.5
    """Holders of a token outside the campaign with a belief below this count as benign."""
    feeding_accounts_min: int = 3
    """Accounts that come by the cards or addresses of a payer or lessee, from which their belief says something about it."""
    lessee_addresses_min: int = 2
    """Addresses that feed the campaign, from which a lessee outside it is asked about as a whole."""
    hub_holders_max: int = 1000
    """A token with more holders is never cut: beyond it correlate no longer names them, so the harm is unknown."""
    address_recent_hours: float = 48.0
    """Addresses last used longer ago (before the newest link) are not worth a measure."""
    hours_to_act: float = Field(default=4.0, ge=0)
    """A replayed plan: a party's usual time from issue to effect, where no receipts tell its own."""
    reasons_max: int = 4
    """Reasons given with a measure, heaviest first."""
