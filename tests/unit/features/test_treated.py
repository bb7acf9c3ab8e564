"""Customers that something was done to, and what becomes of their rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec

from .engines import ENGINES
from .refusals import refused

T = pd.Timestamp("2024-02-01")
SPEC = CountSpec.of(["campaign_mail", "seen"], window="30d")
US, WEEK = pd.Timedelta("1us"), pd.Timedelta("7D")
#: When customers a to f are treated.
TOUCHED = {"a": T - US, "b": T, "c": T + WEEK - US, "d": T + WEEK}
BOUGHT = ["b", "d", "e"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def log(touched: dict[str, pd.Timestamp]) -> pd.DataFrame:
    events = [(c, "seen", T - WEEK) for c in "abcdef"] + [("~", "seen", T + 9 * WEEK)]
    events += [(c, "campaign_mail", at) for c, at in touched.items()]
    events += [(c, "buy", T + 6 * WEEK / 7) for c in BOUGHT]
    return pd.DataFrame(events, columns=["customer_id", "event_type", "timestamp"])


def count(
    engine: str, touched: dict[str, pd.Timestamp], table: Any = None, **how: Any
) -> CountTable:
    gap_and_horizon = {"gap": "1d", "horizon": "6d"}
    outcome = OutcomeSpec(task="conversion", event="buy", treated=how, **gap_and_horizon)
    return build_counts(log(touched), SPEC, as_of=T, outcome=outcome, treated=table, engine=engine)


COMPARED = {"treated": 2, "treated_good": 1, "untreated": 4, "untreated_good": 2}


def test_a_row_is_treated_from_as_of_to_the_end_of_its_window(engine: str) -> None:
    table = count(engine, TOUCHED, events="campaign_*", how="exclude")
    assert table.customer.tolist() == ["a", "d", "e", "f"]
    assert table.report["left_out_treated"] == 2
    assert COMPARED.items() <= table.report.items()
    assert table.sample_weight is None
    assert table.to_pandas()["campaign_mail"].tolist() == [1, 0, 0, 0]  # history is counted


def test_treated_rows_may_weigh_less_or_be_kept(engine: str) -> None:
    table = count(engine, TOUCHED, events="campaign_mail", how="weight", weight=0.25)
    assert table.customer.tolist() == list("abcdef")
    assert table.sample_weight.tolist() == [1, 0.25, 0.25, 1, 1, 1]
    assert COMPARED.items() <= table.report.items()
    assert "left_out_treated" not in table.report
    kept = count(engine, TOUCHED, events="campaign_mail", how="keep")
    assert COMPARED.items() <= kept.report.items()
    assert kept.sample_weight is None
    assert kept.digest() != table.digest()


def test_weights_follow_their_rows(engine: str) -> None:
    table = count(engine, TOUCHED, events="campaign_mail", how="weight", weight=0.25)
    assert table.take(table.customer.isin(["b", "d"]).to_numpy()).sample_weight.tolist() == [
        0.25,
        1,
    ]


def test_a_table_of_treatments_may_hold_spans(engine: str) -> None:
    spans = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d", "e", "f", None, "b"],
            "from": [T - WEEK, T - WEEK, T - WEEK, T + WEEK, T + WEEK - US, T, T, None],
            "to": [T, T + US, None, T + 2 * WEEK, T + 2 * WEEK, T, T, T],
        }
    )
    table = count(engine, {"z": T}, spans, to_col="to")
    # a: over at as_of; b: still going on; c: goes on; d: begins too late; f: a moment.
    assert table.customer.tolist() == ["a", "d"]
    assert table.report["left_out_treated"] == 4
    moments = count(engine, {"z": T}, spans)
    assert moments.customer.tolist() == ["a", "b", "c", "d"]


def test_treatments_of_ids_of_another_type_are_refused() -> None:
    spans = pd.DataFrame({"customer_id": [1], "from": [T]})
    with pytest.raises(EventLogError, match="ids in the table of treatments are not of the log's"):
        count("duckdb", TOUCHED, spans)


def test_treatments_that_end_before_they_begin_are_refused() -> None:
    spans = pd.DataFrame({"customer_id": ["a"], "from": [T], "to": [T - US]})
    with pytest.raises(EventLogError, match=r"end before they begin\n.*1 row with 'to' before"):
        count("duckdb", TOUCHED, spans, to_col="to")


def test_treatments_that_come_from_nowhere_are_refused() -> None:
    with pytest.raises(SpecError, match=r"no treatments are named\n(.*\n)+.*pass treated="):
        count("duckdb", TOUCHED)
    with pytest.raises(SpecError, match=r"no event type.*matches\n.*'campain_\*'"):
        count("duckdb", TOUCHED, events="campain_*")


def test_a_sample_of_treated_rows_only_can_be_judged_but_not_excluded(engine: str) -> None:
    everybody = dict.fromkeys("abcdef", T)
    table = count(engine, everybody, events="campaign_mail", how="weight", weight=0.5)
    assert table.report["untreated"] == 0
    outcome = OutcomeSpec(
        task="conversion", event="buy", horizon="7d", treated={"events": "campaign_mail"}
    )
    match = "nobody is left in the sample\n.*left_out_treated: 6"
    refused(EventLogError, match, log(everybody), SPEC, as_of=T, outcome=outcome, engine=engine)
