"""Slices by END_USER: the customers of a reseller that behave like a campaign, and no others."""

import numpy as np
import polars as pl
import pytest

from weaklink.account_keys import account_key
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.end_users import end_user_slices
from weaklink.campaigns.population import TypicalConduct
from weaklink.campaigns.profiles import END_USERS, TASK_COLUMNS, Profiles
from weaklink.frames import ACTIVITY
from weaklink.weaklinks.candidates import SLICES

CONFIG = CampaignsConfig()
TYPICAL = TypicalConduct(task_weights=(-1.5, 1.2, 1.4, 0.9, 0.3, 0.2, 0.3), output_ratio=-0.4)
SHOP = account_key("lab-a", "shop")


def customer(number: int, tasks: dict[str, int], requests: int, output: float) -> dict[str, object]:
    windows = sum(tasks.values())
    log = float(np.log(requests / windows))
    return {
        "account": SHOP,
        "end_user": b"\x0c\x00" + number.to_bytes(15, "big"),
        "last_seen_us": 1,
        "requests": requests,
        "windows": windows,
        "input_tokens": 1000,
        "output_tokens": int(1000 * output),
        **{name: tasks.get(name.removeprefix("windows_").upper(), 0) for name in TASK_COLUMNS},
        "log_requests_sum": windows * log,
        "log_requests_sq_sum": windows * log**2,
    }


def shop(guilty: int, honest: int) -> pl.DataFrame:
    bad = [customer(i, {"REASONING_ELICITATION": 6, "RUBRIC_GRADING": 4}, 400, 3.0) for i in range(guilty)]
    good = [customer(100 + i, {"OTHER": 5, "TOOL_USE": 1}, 30, 0.6) for i in range(honest)]
    return pl.DataFrame([*bad, *good], schema=END_USERS)


RESELLERS = pl.DataFrame({"account": [SHOP], "requests_per_day": [100.0]}, schema_overrides={"account": pl.UInt64})


@pytest.mark.parametrize(("guilty", "honest"), [(1, 5), (3, 60), (0, 40)])
def test_only_customers_that_behave_like_the_campaign_are_sliced_with_their_part_of_the_volume(
    guilty: int, honest: int
) -> None:
    named = shop(guilty, honest)
    found = end_user_slices(RESELLERS, named, TYPICAL, CONFIG)
    assert found["slice_end_user"].to_list() == named["end_user"].head(guilty).to_list()
    assert found["slice_model"].null_count() == guilty
    volume = 100 * guilty * 400 / named["requests"].sum()
    assert found["requests_per_day"].sum() == pytest.approx(volume)


def test_the_order_of_rows_changes_nothing_and_resellers_of_other_campaigns_are_left_alone() -> None:
    named = shop(2, 9)
    found = end_user_slices(RESELLERS, named, TYPICAL, CONFIG)
    assert found.equals(end_user_slices(RESELLERS, named.reverse(), TYPICAL, CONFIG))
    other = RESELLERS.with_columns(pl.lit(7, pl.UInt64).alias("account"))
    assert end_user_slices(other, named, TYPICAL, CONFIG).equals(pl.DataFrame(schema=SLICES))


def test_profiles_keep_what_a_customers_conduct_is_judged_by() -> None:
    zero = {name: 0 for name, dtype in ACTIVITY.items() if dtype.is_numeric()}
    rows = [
        zero | {"account": SHOP, "party": "lab-a", "account_name": "shop", "record": "ApiUsage", "task": task, "end_user": user,
                "windows": 2, "requests": 9, "output_tokens": 5, "log_requests_sum": 3.0, "log_requests_sq_sum": 5.0, "hour": hour}
        for hour, (task, user) in enumerate([("VISION", b"u"), ("OTHER", b"u"), ("VISION", None)])
    ]  # fmt: skip
    profiles = Profiles()
    profiles.fold(pl.DataFrame(rows, schema=ACTIVITY))
    (row,) = profiles.end_users.rows().iter_rows(named=True)
    assert (row["windows"], row["requests"], row["windows_vision"], row["windows_other"]) == (4, 18, 2, 2)
    assert (row["output_tokens"], row["log_requests_sum"], row["log_requests_sq_sum"]) == (10, 6.0, 10.0)
