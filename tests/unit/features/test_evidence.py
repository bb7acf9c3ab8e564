"""The evidence of an audit, against the same numbers taken from the log with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ces_ml.events import EventSchema
from ces_ml.features import DuckDBEngine, build_counts, gather_evidence
from ces_ml.features import evidence as evidence_module
from ces_ml.features.evidence import LEADS, Evidence
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec, Term, parse_as_of

MINUTE, DAY = pd.Timedelta("1min"), pd.Timedelta("1D")
AS_OF = "2025-03-01, 2025-03-15"
ODD = 'say "hi"; it\'s'


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 6000
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 150, n),
            "event_type": rng.choice(["login", "view", ODD], n, p=[0.5, 0.4, 0.1]),
            "timestamp": pd.Timestamp("2025-01-01")
            + pd.to_timedelta(rng.integers(0, 100 * 86_400, n), unit="s"),
        }
    )
    payers = np.arange(0, 150, 2)
    paid = pd.Timestamp("2025-03-05") + pd.to_timedelta(rng.integers(0, 30 * 1440, 75), unit="min")
    own = pd.DataFrame({"customer_id": payers, "event_type": "paid", "timestamp": paid})
    mail = own.assign(event_type="thanks", timestamp=paid + 3 * MINUTE)
    call = own.assign(event_type="call", timestamp=paid - pd.to_timedelta(rng.choice(
        [0.5, 2.0, 5.0, 20.0], 75), unit="D"))  # fmt: skip
    frame = pd.concat([frame, own, mail, call], ignore_index=True)
    delay = np.where(rng.random(len(frame)) < 0.3, rng.exponential(3.0, len(frame)), 0.0)
    frame["arrival"] = frame["timestamp"] + pd.to_timedelta((delay * 86_400).round(), unit="s")
    frame.loc[::50, "arrival"] = pd.NaT
    return frame


OUTCOME = OutcomeSpec(task="conversion", event="paid", horizon="14d")
SPEC = CountSpec(
    terms=(
        Term(event="login", window="30d"),
        Term(event="view", window="14d", half_life="7d"),
        Term(event=ODD, window="30d", measure="active_days"),
        Term(event="thanks", window="30d"),
        Term(event="call", window="30d"),
    )
)


def gathered(
    log: pd.DataFrame, outcome: OutcomeSpec = OUTCOME, arrival: str | None = None
) -> tuple[CountTable, Evidence]:
    schema = EventSchema(arrival_col=arrival)
    with DuckDBEngine(log, schema) as engine:
        table = engine.table(SPEC, parse_as_of(AS_OF), outcome)
        return table, gather_evidence(engine, table, outcome)


def test_counts_of_a_lead_are_the_counts_as_of_so_much_earlier(log: pd.DataFrame) -> None:
    table, evidence = gathered(log)
    assert len(evidence.rows) == len(table)
    for lead in LEADS:
        moments = [
            pd.Timestamp(m) - pd.Timedelta(lead.us, "us") for m in ("2025-03-01", "2025-03-15")
        ]
        before = build_counts(log, SPEC, as_of=moments).to_pandas()
        before["as_of"] += pd.Timedelta(lead.us, "us")
        wanted = table.keys.merge(before, how="left")[list(SPEC.names)].fillna(0.0)
        np.testing.assert_allclose(evidence.earlier[lead].toarray(), wanted.to_numpy(), rtol=1e-12)


def test_tenure_is_the_time_since_the_first_event(log: pd.DataFrame) -> None:
    table, evidence = gathered(log)
    first = log.groupby("customer_id")["timestamp"].min().dt.tz_localize("UTC")
    wanted = table.as_of - table.customer.map(first)
    assert evidence.tenure_us.tolist() == (wanted // pd.Timedelta("1us")).tolist()


def test_onsets_and_neighbours_are_those_of_pandas(log: pd.DataFrame) -> None:
    table, evidence = gathered(log)
    held = log[log["customer_id"].isin(table.customer)]
    first = held.groupby(["event_type", "customer_id"])["timestamp"].min()
    onset = first["paid"]
    for event in ("login", ODD, "thanks", "call"):
        begun = first[event]
        lead = (onset - begun).dropna()
        seen = evidence.onsets[event]
        assert seen.customers == len(begun)
        assert seen.with_onset == len(lead)
        wanted = {days: int((lead <= days * DAY).sum()) for days in (0, 1, 3, 7)}
        assert dict(seen.within) == wanted
        rows = held[held["event_type"] == event]
        pairs = rows.merge(onset.rename("paid").reset_index(), on="customer_id")
        near = pairs[(pairs["timestamp"] - pairs["paid"]).abs() <= 10 * MINUTE]
        assert seen.rows == len(rows)
        assert seen.rows_near == len(near)
        assert seen.outcomes_near == seen.customers_near == near["customer_id"].nunique()
    assert evidence.outcome_moments == len(onset)
    assert evidence.onsets["thanks"].rows_near == len(onset)
    assert evidence.onsets["call"].within[1] > 0


def test_for_silence_the_onset_is_the_last_sign_of_life(log: pd.DataFrame) -> None:
    silent = OutcomeSpec(task="churn", silence_of="login", horizon="14d", active_within="30d")
    table, evidence = gathered(log, silent)
    held = log[log["customer_id"].isin(table.customer)]
    last = held[held["event_type"] == "login"].groupby("customer_id")["timestamp"].max()
    first = held[held["event_type"] == "thanks"].groupby("customer_id")["timestamp"].min()
    lead = (last - first).dropna()
    assert evidence.onsets["thanks"].with_onset == len(lead)
    assert evidence.onsets["thanks"].within[0] == int((lead <= pd.Timedelta(0)).sum())
    assert evidence.outcome_moments == 0


def test_lateness_is_that_of_pandas(log: pd.DataFrame) -> None:
    assert gathered(log)[1].lateness is None
    table, evidence = gathered(log, arrival="arrival")
    late = evidence.lateness
    kept = log[log["customer_id"].isin(table.customer)]
    days = (kept["arrival"] - kept["timestamp"]) / DAY
    assert late["late"] == pytest.approx((days > 0).mean())
    assert late["never_arrived"] == pytest.approx(days.isna().mean())
    assert late["before"] == 0
    assert late["delay_days_p90"] == pytest.approx(days[days > 0].quantile(0.9))
    pairs = changed = 0
    windows = {t.event: pd.Timedelta(t.window.us, "us") for t in SPEC.terms}
    for customer, moment in table.keys.itertuples(index=False):
        mine = kept[kept["customer_id"] == customer]
        as_of = moment.tz_localize(None)
        for event, window in windows.items():
            inside = mine[
                (mine["event_type"] == event)
                & (mine["timestamp"] < as_of)
                & (mine["timestamp"] >= as_of - window)
            ]
            pairs += bool(len(inside))
            changed += bool((~(inside["arrival"] < as_of)).any())
    assert late["changed"] == pytest.approx(changed / pairs)


def test_many_rows_are_audited_by_a_sample_of_whole_customers(
    log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_module, "MOST_ROWS", 60)
    table, evidence = gathered(log)
    again = gathered(log.sample(frac=1, random_state=0))[1]
    assert 0 < len(evidence.rows) <= 60 < len(table)
    assert evidence.rows.tolist() == again.rows.tolist()
    chosen = set(table.customer.iloc[evidence.rows])
    others = np.setdiff1d(np.arange(len(table)), evidence.rows)
    assert not chosen & set(table.customer.iloc[others])
    assert evidence.earlier[LEADS[0]].shape == (len(evidence.rows), len(SPEC.terms))
