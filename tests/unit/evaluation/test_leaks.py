"""Leaks planted in small tables, with their numbers worked out by hand."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from ces_ml.evaluation import FINDINGS, Finding, sorted_findings
from ces_ml.evaluation.leaks_in_counts import (
    audited_enough,
    deciding_events,
    presence_by_event,
    term_powers,
)
from ces_ml.evaluation.leaks_in_log import heralds, late_rows, own_events, twins
from ces_ml.evaluation.leaks_in_time import late_power, late_power_of_score, unequal_exposure
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec, Term
from ces_ml.spec.duration import DAY_US, Duration

ONCE = OutcomeSpec(task="conversion", event="paid", horizon="14d")
AGAIN = ONCE.model_copy(update={"repeatable": True})
SILENT = OutcomeSpec(task="churn", silence_of="login", horizon="28d", active_within="28d")


@dataclass
class Seen:
    """An onset with numbers of the test's choosing."""

    customers: int = 100
    with_onset: int = 100
    within: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0, 3: 0, 7: 0})
    rows: int = 0
    rows_near: int = 0
    outcomes_near: int = 0
    customers_near: int = 0


def table_of(columns: dict[str, np.ndarray], y: np.ndarray, customers=None) -> CountTable:
    n = len(y)
    keys = pd.DataFrame(
        {
            "customer_id": [f"c{k}" for k in (range(n) if customers is None else customers)],
            "as_of": pd.to_datetime(["2025-01-01"] * n, utc=True),
        }
    )
    X = sp.csr_array(np.column_stack([np.asarray(c, float) for c in columns.values()]))
    return CountTable(keys, X, CountSpec.of(list(columns), window="30d"), y.astype(np.int8))


def found_in(table: CountTable) -> list[Finding]:
    rows = np.arange(len(table))
    return deciding_events(table, presence_by_event(table), term_powers(table, rows))


def test_an_event_that_only_the_lost_have_is_found_with_its_numbers() -> None:
    y = np.r_[np.ones(300), np.zeros(200)]
    page = np.r_[np.zeros(300), np.ones(150), np.zeros(50)]
    noise = np.random.default_rng(0).poisson(1.0, 500)
    (finding,) = found_in(table_of({"cancel_page": page, "login": noise}, y))
    assert (finding.kind, finding.severity, finding.event) == (
        "decides_outcome",
        "failure",
        "cancel_page",
    )
    assert finding.numbers["customers"] == 150
    assert finding.numbers["rate"] == 1.0
    assert finding.numbers["base"] == pytest.approx(0.4)
    # All of 150, at doubt 0.01 shared by two events: 0.005 ** (1 / 150).
    assert finding.numbers["rate_at_least"] == pytest.approx(0.005 ** (1 / 150))
    assert finding.numbers["auc"] == pytest.approx(0.5 - 0.5 * 150 / 200)
    assert "100.0 % of the 150 customers with 'cancel_page' have the bad outcome" in finding.what


def test_the_same_event_on_few_customers_is_no_finding() -> None:
    y = np.r_[np.ones(300), np.zeros(200)]
    assert found_in(table_of({"rare": np.r_[np.zeros(300), np.ones(12), np.zeros(188)]}, y)) == []


def test_many_rows_of_few_customers_are_few_customers() -> None:
    y = np.r_[np.ones(300), np.zeros(200)]
    customers = np.r_[np.arange(300), 300 + np.arange(200) % 12]
    flag = np.r_[np.zeros(300), np.ones(200)]
    table = table_of({"flag": flag}, y, customers)
    assert presence_by_event(table)["flag"].customers == 12
    assert found_in(table) == []
    alone = table_of({"flag": flag}, y)
    assert [f.event for f in found_in(alone)] == ["flag"]


def test_a_strong_but_honest_event_is_no_finding() -> None:
    y = np.r_[np.ones(200), np.zeros(800)]
    demo = np.r_[np.ones(120), np.zeros(80), np.ones(60), np.zeros(740)]  # two of three convert
    assert found_in(table_of({"demo": demo}, y)) == []


def test_a_nearly_deciding_event_is_a_warning() -> None:
    y = np.r_[np.ones(400), np.zeros(600)]
    paid = np.r_[np.ones(380), np.zeros(20), np.ones(20), np.zeros(580)]  # 95 % of 400
    (finding,) = found_in(table_of({"paid_plan": paid}, y))
    assert finding.severity == "warning"
    assert finding.numbers["rate"] == pytest.approx(0.95)


def test_a_count_that_separates_decides_even_where_everybody_has_it() -> None:
    y = np.r_[np.ones(200), np.zeros(200)]
    n = np.r_[np.full(200, 9.0), np.full(200, 2.0)]
    (finding,) = found_in(table_of({"visits": n}, y))
    assert finding.severity == "failure"
    assert finding.numbers["auc"] == 1.0


def test_power_of_the_last_day_is_found_and_power_that_lasts_is_not() -> None:
    y = np.r_[np.ones(300), np.zeros(300)]
    signed = np.r_[np.ones(200), np.zeros(100), np.ones(10), np.zeros(290)]
    steady = np.r_[np.full(300, 4.0), np.full(300, 3.0)] + np.arange(600) % 3
    table = table_of({"contract_sent": signed, "login": steady}, y)
    rows, tenure = np.arange(600), np.full(600, 60 * DAY_US)
    before = sp.csr_array(np.column_stack([np.zeros(600), steady]))
    powers = term_powers(table, rows)
    (finding,) = late_power(table, rows, {Duration("1d"): before}, tenure, powers)
    assert (finding.severity, finding.event) == ("failure", "contract_sent")
    assert finding.numbers["auc"] == pytest.approx(0.5 + 0.5 * (200 / 300 - 10 / 300))
    assert finding.numbers["auc_earlier"] == 0.5
    assert finding.numbers["late_share"] == pytest.approx(1.0)
    assert "100 % of what 'contract_sent' over 30d says" in finding.what


def test_a_lead_is_not_asked_of_customers_who_were_not_there_yet() -> None:
    y = np.r_[np.ones(300), np.zeros(300)]
    table = table_of({"signed": np.r_[np.ones(200), np.zeros(400)]}, y)
    rows, powers = np.arange(600), term_powers(table, np.arange(600))
    before = {Duration("3d"): sp.csr_array((600, 1))}
    young, old = np.full(600, 5 * DAY_US), np.full(600, 12 * DAY_US)
    assert late_power(table, rows, before, young, powers) == []
    assert len(late_power(table, rows, before, old, powers)) == 1


def test_a_score_is_profiled_by_lead_and_stops_the_job_if_all_of_it_is_late() -> None:
    y = np.r_[np.ones(200), np.zeros(200)]
    table = table_of({"a": y}, y)
    rows, tenure = np.arange(400), np.full(400, 90 * DAY_US)
    now = y + 0.0
    earlier = {Duration("1d"): np.zeros(400), Duration("7d"): np.zeros(400)}
    profile, (finding,) = late_power_of_score(table, rows, now, earlier, tenure)
    assert profile == {"0d": 1.0, "1d": 0.5, "7d": 0.5}
    assert (finding.kind, finding.severity) == ("score_late_power", "failure")
    same = dict.fromkeys(earlier, now)
    assert late_power_of_score(table, rows, now, same, tenure)[1] == []


def exposed(days_good: float, days_bad: float, *, rate_good=1.0, rate_bad=1.0) -> list[Finding]:
    rng = np.random.default_rng(4)
    y = np.r_[np.ones(400), np.zeros(400)]
    days = np.where(y == 1, days_good, days_bad) * rng.uniform(0.8, 1.2, 800)
    total = rng.poisson(days * np.where(y == 1, rate_good, rate_bad))
    table = table_of({"login": total}, y)
    return unequal_exposure(table, np.arange(800), (days * DAY_US).astype(np.int64))


def test_counts_that_grow_with_time_observed_are_the_trap() -> None:
    (finding,) = exposed(24, 12)
    assert (finding.kind, finding.severity) == ("exposure", "failure")
    assert finding.numbers["exposure_auc"] == 1.0
    assert finding.numbers["totals_auc"] > 0.95
    assert finding.numbers["rates_auc"] == pytest.approx(0.5, abs=0.06)
    assert finding.numbers["good_days"] == pytest.approx(24, rel=0.05)
    assert finding.numbers["bad_days"] == pytest.approx(12, rel=0.05)


def test_behaviour_beside_unequal_exposure_is_only_a_warning() -> None:
    (finding,) = exposed(24, 12, rate_good=2.0)
    assert finding.severity == "warning"
    (other_way,) = exposed(12, 24)
    assert other_way.severity == "warning"


def test_equal_exposure_is_no_finding() -> None:
    assert exposed(20, 20, rate_good=2.0) == []


def test_own_events_stop_a_job_unless_the_outcome_repeats() -> None:
    table = table_of({"paid": np.zeros(4), "login": np.ones(4)}, np.array([0, 1, 0, 1]))
    presence = presence_by_event(table)
    (once,) = own_events(table, ONCE, ["paid"], presence)
    assert (once.kind, once.severity) == ("own_event", "failure")
    assert "nobody in the sample has it" in once.what
    (again,) = own_events(table, AGAIN, ["paid"], presence)
    assert again.severity == "warning"
    assert own_events(table, SILENT, ["login"], presence) == []


def test_a_twin_is_near_both_ways() -> None:
    table = table_of({"paid_mail": np.r_[np.ones(3), 0], "view": np.ones(4)}, np.arange(4) % 2)
    presence = presence_by_event(table)
    onsets = {
        "paid_mail": Seen(rows=200, rows_near=198, outcomes_near=195, customers_near=195),
        "view": Seen(rows=9000, rows_near=200, outcomes_near=200, customers_near=200),
    }
    (finding,) = twins(table, ONCE, ["paid"], onsets, 200, presence)
    assert (finding.event, finding.severity) == ("paid_mail", "failure")
    assert finding.numbers["near_outcome"] == pytest.approx(0.99)
    assert finding.numbers["outcome_near"] == pytest.approx(0.975)
    assert twins(table, AGAIN, ["paid"], onsets, 200, presence)[0].severity == "warning"
    few = {"paid_mail": Seen(rows=15, rows_near=15, outcomes_near=15, customers_near=15)}
    assert twins(table, ONCE, ["paid"], few, 15, presence) == []


def test_a_herald_stops_a_job_only_if_it_says_much() -> None:
    y = np.r_[np.ones(100), np.zeros(100)]
    table = table_of({"goodbye": np.r_[np.zeros(100), np.ones(90), np.zeros(10)]}, y)
    late = {"goodbye": Seen(within={0: 97, 1: 98, 3: 99, 7: 100})}
    presence = presence_by_event(table)
    (finding,) = heralds(table, SILENT, ["login"], late, presence)
    assert (finding.kind, finding.severity) == ("begins_with_outcome", "failure")
    assert finding.numbers["share"] == 0.97
    (silent,) = heralds(table, SILENT, ["login"], late, {})
    assert silent.severity == "warning"
    assert "nobody in the sample had it" in silent.what
    assert heralds(table, AGAIN, ["paid"], late, presence) == []
    early = {"goodbye": Seen(within={0: 10, 1: 20, 3: 30, 7: 50})}
    assert heralds(table, SILENT, ["login"], early, presence) == []


def test_late_rows_are_told_and_a_log_without_arrival_can_not_be_checked() -> None:
    (note,) = late_rows(None)
    assert (note.kind, note.severity) == ("no_arrival_time", "note")
    numbers = {
        "late": 0.25,
        "never_arrived": 0.01,
        "before": 0.0,
        "delay_days_p50": 1.5,
        "delay_days_p99": 20.0,
        "changed": 0.125,
        "early": 0.05,
    }
    (finding,) = late_rows(numbers)
    assert finding.severity == "warning"
    assert "25.0 % of the rows arrived late (half of these within 1.5 days" in finding.what
    assert "12.5 % of the counts would be larger" in finding.what
    assert late_rows({**numbers, "changed": 0.001}) == []
    (odd,) = late_rows({**numbers, "changed": 0.0, "before": 0.02})
    assert "2.0 % arrived before they happened" in odd.what


def test_too_few_customers_are_a_note_and_nothing_is_claimed_of_them() -> None:
    y = np.r_[np.ones(300), np.zeros(19)]
    table = table_of({"a": y + 1}, y)
    (note,) = audited_enough(table, np.arange(319))
    assert (note.kind, note.severity) == ("too_small", "note")
    assert note.numbers == {"good": 300, "bad": 19}
    assert term_powers(table, np.arange(319)) == {}


def test_findings_stand_worst_first() -> None:
    some = [
        Finding("late_rows", "warning", "", ""),
        Finding("no_arrival_time", "note", "", ""),
        Finding("exposure", "failure", "", ""),
        Finding("decides_outcome", "failure", "", "", event="b"),
        Finding("decides_outcome", "failure", "", "", event="a"),
    ]
    kinds = [(f.kind, f.event) for f in sorted_findings(some)]
    assert kinds[:3] == [("decides_outcome", "a"), ("decides_outcome", "b"), ("exposure", None)]
    assert kinds[-1][0] == "no_arrival_time"
    assert {f.kind for f in some} <= set(FINDINGS)


def test_two_terms_of_an_event_are_one_event() -> None:
    y = np.r_[np.ones(200), np.zeros(200)]
    table = table_of({"a": np.r_[np.zeros(200), np.ones(200)], "b": np.ones(400)}, y)
    terms = (Term(event="x", window="7d"), Term(event="x", window="30d"))
    both = CountTable(table.keys, table.X, CountSpec(terms=terms), table.y)
    presence = presence_by_event(both)
    assert presence["x"].customers == 400
    assert presence["x"].rate == 0.5
