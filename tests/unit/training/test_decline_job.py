"""Customers whose score fell beyond noise are found, with reasons; the others are left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec
from ces_ml.training import declines
from ces_ml.weights import Band, Interval, Scale, WeightedTerm, WeightSet

DAYS, STOPPED = 200, 40
AS_OF = "2024-07-18"
START = np.datetime64("2024-01-01", "us")
WEIGHTS = {"login": 0.5, "purchase": 0.8, "ticket": -0.3}


def weights(width: float = 0.1) -> WeightSet:
    terms = CountSpec.of(WEIGHTS, window="28d", half_life="14d", transform="log1p").terms
    return WeightSet(
        name="stay",
        terms=tuple(
            WeightedTerm(
                **t.model_dump(),
                weight=(w := WEIGHTS[t.event]),
                interval=Interval(low=w - width, high=w + width, level=0.9),
            )
            for t in terms
        ),
        intercept=0.0,
        scale=Scale(method="min_max", knots=((0.0, 0.0), (4.0, 100.0))),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=50)),
    )


def history(seed: int, n: int = 1_000, *, stopped: int = 0) -> pd.DataFrame:
    """Customers with habits of their own that never change, but for those that stop."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.7, 0.6, n) + 0.01
    rate[:stopped] = 1.5
    parts = [pd.DataFrame({"customer_id": np.arange(n), "event_type": "seen", "day": 0.0})]
    for kind in WEIGHTS:
        who = np.repeat(np.arange(n), rng.poisson(rate * DAYS))
        frame = pd.DataFrame({"customer_id": who, "event_type": kind})
        parts.append(frame.assign(day=rng.uniform(0, DAYS, len(who))))
    log = pd.concat(parts, ignore_index=True)
    log = log[~((log["customer_id"] < stopped) & (log["day"] > DAYS - 15))]
    us = (log.pop("day") * 86_400e6).astype("int64").to_numpy()
    return log.assign(timestamp=START + us.astype("timedelta64[us]"))


@pytest.mark.slow
def test_customers_with_unchanged_habits_are_alerted_as_rarely_as_stated() -> None:
    false, judged = 0, 0
    for seed in range(3):
        found = declines(weights(0.001), history(seed), as_of=AS_OF, level=0.02)
        false, judged = false + len(found.alerts), judged + len(found.falls)
        assert found.report["expected_false_alerts"] == 20
    assert judged == 3_000
    assert 35 <= false <= 85  # 60 are expected; four standard deviations are 31
    calm = declines(weights(0.001), history(9), as_of=AS_OF, level=0.1, control="discoveries")
    assert len(calm.alerts) <= 1


def test_customers_who_stop_are_found_with_what_they_stopped() -> None:
    log = history(5, stopped=STOPPED)
    found = declines(weights(), log, as_of=AS_OF, over="14d", history=10)
    alerts = found.alerts
    assert (alerts["customer_id"] < STOPPED).sum() >= 0.9 * STOPPED
    gone = alerts[alerts["customer_id"] < STOPPED]
    assert set(gone["reason_1"]) <= {"login", "purchase"}  # never the ticket, which takes
    assert set(gone["part_1"]) <= {"aged_out", "faded"}
    assert (alerts["points_1"] < 0).all()
    assert (alerts["change_high"] < 0).all()
    assert (alerts["raw_after"] - alerts["raw_before"]).tolist() == alerts["raw_change"].tolist()
    by_rate = declines(weights(), log, as_of=AS_OF, over="14d", level=0.1, control="discoveries")
    right = by_rate.alerts["customer_id"] < STOPPED
    assert right.sum() >= 0.8 * STOPPED
    assert (~right).mean() < 0.25


def test_a_fall_inside_the_interval_of_the_score_is_no_alert() -> None:
    log = history(5, stopped=STOPPED)
    unsure = declines(weights(width=5.0), log, as_of=AS_OF, over="14d", history=8)
    assert unsure.alerts.empty
    assert (unsure.falls["p_value"] <= 0.01).sum() >= STOPPED // 2
    assert "reason_1" not in unsure.falls


def test_customers_who_are_too_new_for_a_history_are_left_out_and_counted() -> None:
    log = history(2, 100)
    young = log.tail(1).assign(customer_id=1000, timestamp=START + np.timedelta64(190, "D"))
    found = declines(weights(), pd.concat([log, young]), as_of=AS_OF)
    assert found.report["left_out_too_new"] == 1
    assert 1000 not in found.falls["customer_id"].tolist()


def test_questions_that_have_no_answer_are_refused() -> None:
    log = history(2, 20)
    with pytest.raises(SpecError, match="the history is too short"):
        declines(weights(), log, as_of=AS_OF, history=3)
    with pytest.raises(SpecError, match="the level is no share"):
        declines(weights(), log, as_of=AS_OF, level=1.5)
    with pytest.raises(SpecError, match="did you mean 'rate'"):
        declines(weights(), log, as_of=AS_OF, control="rates")  # type: ignore[arg-type]
    with pytest.raises(EventLogError, match=r"reach back over the history(.|\n)*history=\d+, or a"):
        declines(weights(), log, as_of=AS_OF, history=40)
    short = log[log["timestamp"] >= pd.Timestamp(AS_OF) - pd.Timedelta(days=20)]
    with pytest.raises(EventLogError, match=r"history 12 in steps of 7d(.|\n)*shorter steps"):
        declines(weights(), short, as_of=AS_OF)
    late = log.assign(arrived=np.maximum(log["timestamp"], pd.Timestamp("2024-06-01")))
    schema = EventSchema(arrival_col="arrived")
    with pytest.raises(EventLogError, match="nobody is known over the whole history"):
        declines(weights(), late, as_of=AS_OF, schema=schema)


@pytest.mark.parametrize("over", ["0d", "9000w"])
def test_a_step_of_no_length_or_past_the_calendar_is_refused(over: str) -> None:
    with pytest.raises(SpecError, match="the steps of the history do not fit the calendar"):
        declines(weights(), history(0, 20), as_of=AS_OF, over=over)


def test_a_negative_number_of_reasons_is_refused() -> None:
    with pytest.raises(SpecError, match="the number of reasons is negative"):
        declines(weights(), history(0, 20), as_of=AS_OF, n_reasons=-1)
