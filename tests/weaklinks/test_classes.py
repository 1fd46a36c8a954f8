"""Weak classes: shares of volume, lift and its interval."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaklink.weaklinks.classes import CLASSES, classes


def accounts(campaign: dict[str, int], benign: dict[str, int], volume: float = 10.0) -> pl.DataFrame:
    rows = [(True, plan) for plan, count in campaign.items() for _ in range(count)]
    rows += [(False, plan) for plan, count in benign.items() for _ in range(count)]
    return pl.DataFrame(rows, schema=["campaign", "plan"], orient="row").with_columns(pl.lit(volume).alias("requests"))


def test_a_programme_that_campaigns_prefer_has_a_lift_whose_interval_lies_above_one() -> None:
    found = classes(accounts({"EDUCATION": 80, "PAID": 20}, {"EDUCATION": 50, "PAID": 950}))
    education = found.row(0, named=True)
    assert (education["dimension"], education["value"]) == ("plan", "EDUCATION")
    assert education["campaign_share"] == pytest.approx(0.8)
    assert education["benign_share"] == pytest.approx(0.05)
    assert 10 < education["lift_low"] < education["lift"] < education["lift_high"] < 25
    paid = found.filter(pl.col("value") == "PAID").row(0, named=True)
    assert paid["lift_high"] < 1


def test_shares_are_of_volume_and_one_large_account_does_not_make_a_sure_finding() -> None:
    many = accounts({"TRIAL": 50, "PAID": 50}, {"TRIAL": 50, "PAID": 50})
    one_large = many.with_row_index().with_columns(
        pl.when(pl.col("index") == 0).then(100_000.0).otherwise(10.0).alias("requests")
    )
    trial = classes(one_large).filter(pl.col("value") == "TRIAL").row(0, named=True)
    assert trial["campaign_share"] > 0.99
    assert trial["lift_low"] < 1


def test_a_class_that_no_benign_customer_uses_has_a_finite_lift() -> None:
    found = classes(accounts({"TRIAL": 10}, {"PAID": 10})).filter(pl.col("value") == "TRIAL").row(0, named=True)
    assert found["benign_share"] == 0
    assert 1 < found["lift"] < found["lift_high"] < 1e6


def test_without_usage_accounts_count_and_unknown_classes_are_left_out() -> None:
    frame = accounts({"TRIAL": 3, "PAID": 1}, {"PAID": 4}, volume=0.0).with_columns(
        pl.lit(None, pl.String).alias("verified")
    )
    found = classes(frame)
    assert found.filter(pl.col("value") == "TRIAL")["campaign_share"].item() == pytest.approx(0.75)
    assert found["dimension"].unique().to_list() == ["plan"]
    assert classes(frame.drop("plan", "verified")).schema == CLASSES


_counts = st.dictionaries(st.sampled_from(["FREE", "TRIAL", "PAID"]), st.integers(1, 30), min_size=1)


@settings(max_examples=60, deadline=None)
@given(_counts, _counts)
def test_shares_add_up_and_every_lift_lies_in_its_interval(campaign: dict[str, int], benign: dict[str, int]) -> None:
    found = classes(accounts(campaign, benign))
    assert found["campaign_share"].sum() == pytest.approx(1)
    assert found["benign_share"].sum() == pytest.approx(1)
    assert ((found["lift_low"] <= found["lift"]) & (found["lift"] <= found["lift_high"])).all()
    assert found["campaign_accounts"].sum() == sum(campaign.values())
