"""Every metric on small hand-made verdicts whose answer is known."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation import cases
from tests.evaluation.cases import action, actions, at, events, said, truth, usage, verdicts
from weaklink.backtest.replay import CAMPAIGNS
from weaklink.evaluation.calibration import calibration, reliability
from weaklink.evaluation.causality import agreement, cut_times
from weaklink.evaluation.cutting import best_choices, cut_curve, cutting
from weaklink.evaluation.detection import campaigns, detection, precision_recall
from weaklink.evaluation.harm import harm
from weaklink.evaluation.identity import identity, owners, stability
from weaklink.evaluation.judged import CROWD_ACCOUNTS_MIN, crowds
from weaklink.evaluation.promises import promises
from weaklink.evaluation.reach import reach, reached
from weaklink.evaluation.statistics import median_interval
from weaklink.evaluation.timing import campaign_times
from weaklink.evaluation.traits import traits

MEMBERS = said(*((f"bad-{i}", 0.9, "c-1" if i < 3 else None, 4.0 if i < 3 else None) for i in range(4)))
NOBODY = said(*((row["account"], 0.0, None, None) for row in cases.TRUTH.iter_rows(named=True)))


def test_precision_and_recall_count_accounts_and_volume() -> None:
    """Three of four accounts found with one customer among them; each account made 50 requests, the customer 4."""
    found = detection(verdicts())
    assert found["precision"] == 3 / 4
    assert found["recall"] == 3 / 4
    assert found["recall_volume"] == 150 / 200
    assert found["precision_volume"] == pytest.approx(150 / 154)
    assert found["false_flags"] == 1


def test_prevented_is_what_came_after_an_account_was_flagged() -> None:
    """Two accounts are flagged before four of their five windows, one before two, one never: 10 of 20 windows."""
    assert detection(verdicts())["prevented"] == 10 / 20


def test_a_request_at_the_very_moment_of_the_flag_is_not_prevented() -> None:
    """flagged_at is the end of a tick; what happened by then is not undone."""
    two = events(usage("bad-0", 4, 1), usage("bad-0", 5, 1))
    judged = verdicts(events=two, truth=cases.TRUTH.head(1), said=cases.SAID.head(1))
    assert detection(judged)["prevented"] == 1 / 2


def test_what_could_be_prevented_is_what_comes_after_the_tick_of_the_first_event() -> None:
    """First seen at hour 1: with ticks of an hour four of five windows are left, with ticks of a day none."""
    assert detection(verdicts(), 3600)["prevented_possible"] == 4 / 5
    assert detection(verdicts(), 24 * 3600)["prevented_possible"] == 0


def test_prevented_is_averaged_over_campaigns_and_the_worst_campaign_is_told() -> None:
    """A large campaign that was stopped does not hide a small one that was not."""
    two = truth(("bad-0", "heron", "CONSUMER", False), ("bad-1", "wren", "CONSUMER", False))
    seen = said(("bad-0", 0.9, "c-1", 4), ("bad-1", 0.1, None, None))
    used = events(*(usage("bad-0", hour, 100) for hour in (1, 5, 6, 7)), usage("bad-1", 6, 1))
    found = detection(verdicts(said=seen, truth=two, events=used))
    assert found["prevented"] == (3 / 4 + 0) / 2
    assert found["recall_worst"] == 0
    assert found["prevented_worst"] == 0


def test_an_account_that_the_run_does_not_know_counts_as_missed() -> None:
    """Recall is over the truth, not over what the run happens to mention."""
    assert detection(verdicts(said=cases.SAID.head(1)))["recall"] == 1 / 4


def test_without_campaigns_recall_is_undefined_and_flags_still_count() -> None:
    """In a world without campaigns every flag is false; precision is 0 and recall is not 1 but nothing."""
    innocent = cases.TRUTH.with_columns(operator=pl.lit(None, pl.String))
    found = detection(verdicts(truth=innocent))
    assert found["recall"] is None
    assert found["prevented"] is None
    assert found["flagged"] == found["false_flags"] == 4
    assert found["precision"] == 0
    assert detection(verdicts(said=NOBODY, truth=innocent))["precision"] is None


def test_campaigns_without_usage_have_recall_but_no_prevented() -> None:
    """An operator whose accounts never called a model is found or not; there is nothing to prevent."""
    found = campaigns(verdicts(events=events(usage("good-0", 1, 1))))
    assert found["recall"].to_list() == [3 / 4]
    assert found["prevented"].to_list() == [None]
    assert found["recall_volume"].to_list() == [None]


def test_the_curve_takes_equal_scores_together() -> None:
    """Two guilty at .95, one at .85, then a customer at .65 and a guilty at .40."""
    points = {round(p["threshold"], 2): (p["precision"], p["recall"]) for p in precision_recall(verdicts())}
    assert points == {0.95: (1, 2 / 4), 0.85: (1, 3 / 4), 0.40: (4 / 5, 1)}


def test_harm_counts_what_was_done_to_customers_even_if_it_was_taken_back() -> None:
    """A suspension that was withdrawn was a suspension, and so is it to take all leases from an account."""
    done = actions(
        action("SUSPEND", 4, account="good-1", withdrawn=5),
        action("SUSPEND", 6, account="good-1"),
        action("SUSPEND", 6, account="good-2"),
        action("THROTTLE", 6, account="good-3"),
        action("REVOKE_LEASE", 6, account="good-4"),
        action("REVOKE_LEASE", 6, kind="IP", value="192.0.2.7"),
        action("SUSPEND", 6, account="bad-0"),
    )
    found = harm(verdicts(done=done))
    assert found["benign_suspended"] == 3
    assert found["victims_suspended"] == 1
    assert found["resellers_suspended"] == 1
    assert found["benign_throttle"] == 1
    assert found["victims_flagged"] == 1
    assert found["resellers_flagged"] == 0
    assert found["false_flag_rate"] == 1 / 5


def test_disparity_is_the_difference_of_false_flag_rates_behind_crowded_addresses() -> None:
    """Of two customers behind one carrier's address one is flagged, of three others none: the rest of the crowd is guilty."""
    crowd = [usage(f"filler-{i}", 1, 1, ("IP", "192.0.2.1")) for i in range(CROWD_ACCOUNTS_MIN - 2)]
    near = [usage(name, 1, 1, ("IP", "192.0.2.1")) for name in ("good-0", "good-1")]
    many = events(*crowd, *near, usage("good-3", 1, 1, ("IP", "192.0.2.2")))
    assert crowds(many).height == CROWD_ACCOUNTS_MIN
    assert harm(verdicts(events=many))["disparity"] == 1 / 2
    assert harm(verdicts())["disparity"] is None


def test_times_run_from_the_campaigns_first_request() -> None:
    """First request at hour 1, first flag and measure at 4; OBSERVE is no measure; the suspension that stands holds 50 of 200."""
    (row,) = campaign_times(verdicts()).iter_rows(named=True)
    assert row["hours_to_first_flag"] == 3
    assert row["hours_to_first_measure"] == 3
    assert row["requests_before_measure"] == 40
    assert row["hours_to_containment"] is None
    assert row["suspended_volume_share"] == 1 / 4


def test_a_campaign_is_contained_when_what_follows_comes_from_flagged_accounts() -> None:
    """Once the third account is flagged, the fourth being found too, nothing of the next day is free."""
    all_found = cases.SAID.with_columns(
        flagged_at=pl.when(pl.col("account") == "bad-3").then(at(12)).otherwise("flagged_at")
    )
    (row,) = campaign_times(verdicts(said=all_found)).iter_rows(named=True)
    assert row["hours_to_containment"] == 11


def test_purity_is_the_share_of_the_main_operator_and_customers_are_impure() -> None:
    """c-1 has two of heron and a customer, c-2 one of heron."""
    found = identity(verdicts().accounts)
    assert found["purity"] == pytest.approx(3 / 4)
    assert found["purity_worst"] == pytest.approx(2 / 3)
    assert found["ids_per_campaign"] == 2
    assert found["main_id_share"] == pytest.approx(3 / 4)


def test_a_campaign_of_customers_is_wholly_impure() -> None:
    """That most members are benign is not purity."""
    seen = said(("good-0", 0.9, "c-9", 1), ("good-3", 0.9, "c-9", 1), ("bad-0", 0.9, "c-9", 1))
    assert owners(verdicts(said=seen).accounts)["purity"].to_list() == [0]


def test_ids_are_stable_when_they_last_or_merge_and_unstable_when_accounts_move() -> None:
    """Three of four members keep their id; then a whole campaign goes into another, which is a merger."""
    early = said(*((f"bad-{i}", 0.9, "c-1", 1) for i in range(4)))
    moved = said(*((f"bad-{i}", 0.9, "c-1" if i else "c-2", 1) for i in range(4)))
    merged = said(*((f"bad-{i}", 0.9, "c-7", 1) for i in range(4)))
    split = said(*((f"bad-{i}", 0.9, "c-7" if i else "c-8", 1) for i in range(4)))
    assert stability(early, early) == 1
    assert stability(early, moved) == 3 / 4
    assert stability(early, merged) == 1
    assert stability(early, split) == 3 / 4
    assert stability(NOBODY, early) is None


def test_calibration_is_zero_for_scores_that_are_true() -> None:
    """Accounts at 1 that are guilty and at 0 that are not: no error; all at one half: Brier one quarter."""
    perfect = verdicts().accounts.with_columns(score=pl.col("operator").is_not_null().cast(pl.Float64))
    assert calibration(perfect) == {"brier": 0, "calibration_error": 0, "calibration_error_scored": 0}
    half = perfect.with_columns(score=pl.lit(0.5))
    assert calibration(half)["brier"] == 0.25
    assert calibration(half)["calibration_error"] == pytest.approx(abs(4 / 9 - 0.5))


def test_bins_tell_what_share_of_their_accounts_is_guilty() -> None:
    """The bin of .9 and above holds two accounts, both guilty; that of .6 a customer."""
    bins = {one["low"]: (one["accounts"], one["truth"]) for one in reliability(verdicts().accounts)}
    assert bins == {0.0: (4, 0), 0.4: (1, 1), 0.6: (1, 0), 0.8: (1, 1), 0.9: (2, 1)}


def test_measures_reach_accounts_while_they_stand_and_cards_reach_who_shows_them() -> None:
    """bad-0 is suspended for good, bad-1 until hour 10 and by its card from 12; the customer's one request came before its challenge.

    After the first measure 160 requests are made, of which bad-0's and bad-1's 80 are reached (bad-1 has none from 10 to 12);
    card-0 was shown by a customer too, whose six requests come after.
    """
    curves = pl.DataFrame(
        {
            "campaign_id": ["c-1", "c-1", "c-2"],
            "measures": [1, 2, 1],
            "accounts": [20, 20, 60],
            "cut_share": [0.5, 0.9, 0.7],
            "accounts_only_cut_share": [0.1, 0.2, 0.3],
            "reached_share": [0.6, 0.9, 0.8],
            "accounts_only_reached_share": [0.2, 0.3, 0.4],
        }
    )
    judged = verdicts()
    found = cutting(judged, reached(judged, cases.EVENTS), curves)
    assert found["plan_cut_small_budget"] == pytest.approx((20 * 0.5 + 60 * 0.7) / 80)
    assert found["plan_accounts_only_cut_small_budget"] == pytest.approx((20 * 0.1 + 60 * 0.3) / 80)
    assert found["plan_reach_small_budget"] == pytest.approx((20 * 0.6 + 60 * 0.8) / 80)
    assert found["plan_accounts_only_reach_small_budget"] == pytest.approx((20 * 0.2 + 60 * 0.4) / 80)
    assert found["cut_after_measure"] == 80 / 160
    assert found["collateral_volume"] == 6 / 26
    assert found["plan_cut"] == pytest.approx((0.8 * 3 + 0.4) / 4)
    assert found["plan_gap"] == 0.01
    assert found["measures"] == 4


def test_taking_a_lessees_leases_back_reaches_what_comes_by_its_addresses_and_nothing_else() -> None:
    """Of bad-0's requests at hours 1, 5 and 9 the one by the leased address after the measure is reached; bad-1 comes by another."""
    lease = usage("lessee", 0, 0, ("IP", "20.0.0.1")) | {
        "party": "cloud-a",
        "party_kind": "cloud",
        "event_type": "AddressLease",
    }
    came_by = ((1, "20.0.0.1"), (5, "20.0.0.1"), (9, "20.0.0.9"))
    used = [usage("bad-0", hour, 10, ("IP", address)) for hour, address in came_by]
    happened = events(lease, *used, usage("bad-1", 6, 10, ("IP", "20.0.0.9")))
    measures = actions(action("REVOKE_LEASE", 3, account="lessee") | {"party": "cloud-a"})
    judged = verdicts(done=measures, events=happened)
    pairs = reach(measures.with_row_index("measure_number"), judged, happened)
    assert pairs["requests"].to_list() == [10]


def test_what_measures_promise_is_held_against_the_day_after_them_and_against_who_had_shown_their_identifiers() -> None:
    """Of bad-0's 40 requests 20 come in the day after its suspension, which promised 20: the later ten of them reach its card's block, too, and are
    shared with it. That promised 10, and is shared the five. What was issued on the last day is left out. Of the card's two customers one had shown it by then.
    """
    came = [usage("bad-0", hour, 10, ("CARD", "card-0")) for hour in (1, 3.5, 5, 30)]
    cards = [usage(f"good-{i}", hour, 4, ("CARD", "card-0")) for i, hour in ((1, 2), (2, 9))]
    happened = events(*came, *cards)
    done = actions(
        action("SUSPEND", 3, account="bad-0") | {"expected_cut": 20.0},
        action("BLOCK_IDENTIFIER", 4, kind="CARD", value="card-0")
        | {"benign_accounts_touched": 3, "expected_cut": 10.0},
        action("SUSPEND", 29, account="bad-1") | {"expected_cut": 70.0},
        action("OBSERVE", 1, account="bad-0") | {"expected_cut": 500.0},
    )
    judged = verdicts(done=done, events=happened)
    found = promises(reached(judged, happened), judged, happened)
    assert found == {"expected_cut_ratio": 30 / 20, "benign_holders_expected": 3, "benign_holders": 1}


@pytest.mark.parametrize(
    ("moved", "said_so", "found"), [(True, True, (1, 1.0, 0)), (True, False, (1, 0.0, 0)), (False, True, (0, None, 1))]
)
def test_moves_to_a_release_are_held_against_what_was_asked_for_from_the_next_day_on(
    *, moved: bool, said_so: bool, found: tuple[int, float | None, int]
) -> None:
    """Four accounts, a window every eight hours for six days; the release at hour 20, the new model from hour 40 on."""
    hours = range(0, 144, 8)
    asked = [
        usage(f"bad-{i}", hour, 10) | {"model": "new" if moved and hour >= 40 else "old", "task": "RUBRIC_GRADING"}
        for i in range(4)
        for hour in hours
    ]
    others = [usage("good-0", 50, 1) | {"model": "new", "task": "CHAT"}]
    released = {
        "party": "lab-a",
        "party_kind": "lab",
        "event_type": "ModelReleased",
        "occurred_at": at(20),
        "model": "new",
    }
    happened = events(*asked, *others, released)
    words = ["reward-grading", *(["pivot:new"] if said_so else [])]
    told = {"taken_requests": 500, "taken_requests_low": 400, "taken_requests_high": 540}
    plans = pl.DataFrame([{"campaign_id": "c-1", "accounts": 3, "traits": words, **told}]).match_to_schema(
        CAMPAIGNS, missing_columns="insert"
    )
    judged = replace(verdicts(said=MEMBERS, events=happened), campaigns=plans)
    got = traits(judged, happened)
    assert (got["pivots_true"], got["pivots_found"], got["pivots_false"]) == found
    assert got["stages_right"] == 1
    # Of 720 requests the three members made 540, the upper bound.
    assert (got["taken_ratio"], got["taken_covered"]) == (500 / 720, 1)


def test_the_best_choice_takes_what_adds_most_and_counts_no_request_twice() -> None:
    """Two measures that reach the same events are worth one."""
    pairs = pl.DataFrame(
        {
            "measure_number": [0, 0, 1, 1, 2],
            "usage_number": [10, 11, 10, 11, 12],
            "requests": [5, 5, 5, 5, 1],
        }
    )
    assert best_choices(pairs, 0) == []
    assert best_choices(pairs, 9) == [10, 11]
    assert best_choices(pairs.clear(), 9) == []


def test_the_curve_of_cuts_grows_with_the_measures_and_suspensions_alone_lie_below() -> None:
    """Of the 200 requests of four accounts the two suspensions reach 60, and the card's block 20 more."""
    curve = cut_curve(verdicts(), reached(verdicts(), cases.EVENTS))
    assert curve["measures_per_account"][-1] == 1.5
    assert curve["any"] == sorted(curve["any"])
    assert all(any_kind >= suspend for any_kind, suspend in zip(curve["any"], curve["suspend"], strict=True))
    assert curve["any"][-1] == 80 / 200
    assert curve["suspend"][-1] == 60 / 200


def test_agreement_compares_what_both_runs_said_by_then() -> None:
    """Of two flags by hour 8 one is missing in the other run; what was said later does not matter."""
    keys = ["account", "flagged_at"]
    whole, early = cases.SAID, cases.SAID.filter(pl.col("account") != "bad-0")
    assert agreement(whole, whole, keys, "flagged_at", at(8)) == 1
    assert agreement(whole, early, keys, "flagged_at", at(8)) == pytest.approx(2 / 3)
    assert agreement(whole, early, keys, "flagged_at", at(1)) is None  # nobody has said anything: that proves nothing


def test_cuts_are_ends_of_ticks_within_the_events() -> None:
    """Three cuts divide the span, on whole ticks."""
    times = pl.Series([at(hour) for hour in range(100)])
    cuts = cut_times(times, 3, 3600)
    assert len(cuts) == 3
    assert all(at(0) < cut < at(99) for cut in cuts)
    assert all((cut - at(0)) % timedelta(hours=1) == timedelta(0) for cut in cuts)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_an_interval_holds_its_median_and_lies_within_the_values(values: list[float]) -> None:
    """Whatever the runs gave: least <= low <= median <= high <= most, the same each time."""
    found = median_interval(values)
    assert found is not None
    assert found.least <= found.low <= found.median <= found.high <= found.most
    assert found == median_interval(values)


def test_no_values_have_no_interval() -> None:
    """An undefined figure stays undefined."""
    assert median_interval([]) is None
