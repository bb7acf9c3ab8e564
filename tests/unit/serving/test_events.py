import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from ces_ml.features import build_counts
from ces_ml.scoring import Scorer
from ces_ml.spec.as_of import AsOfTable
from ces_ml.weights import WeightSet

AS_OF = "2025-06-01T12:00:00Z"


def log(weight_set: WeightSet, n: int = 300) -> pd.DataFrame:
    """Events around the ends of windows, of four customers."""
    rng = np.random.default_rng(3)
    kinds = [*(t.event for t in weight_set.terms), "other"]
    age_s = np.where(rng.random(n) < 0.3, rng.choice([0, 7, 30, 90], n), rng.uniform(-2, 100, n))
    moments = pd.Timestamp(AS_OF) - pd.to_timedelta(np.round(age_s * 86400e6), unit="us")
    return pd.DataFrame(
        {
            "customer_id": rng.choice(["ann", "bob", "", "</script>"], n),
            "event_type": rng.choice(kinds, n),
            "timestamp": moments.as_unit("us"),
            "amount": np.round(rng.uniform(-20, 50, n), 2),
        }
    )


def test_events_are_counted_as_the_engine_counts_a_log(
    client: TestClient, weight_set: WeightSet
) -> None:
    frame = log(weight_set)
    rows = AsOfTable(
        pd.DataFrame({"customer_id": frame["customer_id"].unique(), "as_of": pd.Timestamp(AS_OF)}),
        unknown="keep",
    )
    table = build_counts(frame, weight_set.spec, as_of=rows, schema=weight_set.events)
    wanted = Scorer(weight_set).score(table).set_index("customer_id")
    for customers in (["ann"], ["bob", "", "</script>"]):
        held = frame[frame["customer_id"].isin(customers)]
        events = [
            {
                "customer_id": row.customer_id,
                "event_type": row.event_type,
                "timestamp": row.timestamp.isoformat(),
                "properties": {"amount": row.amount},
            }
            for row in held.itertuples()
        ]
        answer = client.post("/v1/score/events", json={"events": events, "as_of": AS_OF})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["unknown"] == ["other"]
        assert {row["customer_id"] for row in found["scores"]} == set(customers)
        for row in found["scores"]:
            expected = wanted.loc[row["customer_id"]]
            assert row["raw_score"] == pytest.approx(expected["raw_score"], abs=1e-9)
            assert row["score"] == pytest.approx(expected["score"], abs=1e-9)
            assert row["band"] == expected["band"]


def test_without_a_moment_the_score_is_of_now(client: TestClient) -> None:
    recent = (pd.Timestamp.now(tz="UTC") - pd.Timedelta("1h")).isoformat()
    later = (pd.Timestamp.now(tz="UTC") + pd.Timedelta("1h")).isoformat()
    events = [
        {"customer_id": 1, "event_type": "login", "timestamp": t}
        for t in (recent, later, "2001-01-01")
    ]
    found = client.post("/v1/score/events", json={"events": events}).json()
    assert found["scores"][0]["raw_score"] == pytest.approx(0.7 * np.log(2.0))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"timestamp": "yesterday"}, "not a moment"),
        ({"timestamp": "2025-13-01"}, "not a moment"),
        ({"timestamp": 1735689600}, "timestamp"),
        ({"event_type": "buy", "properties": {"amount": "a lot"}}, "not a number"),
        ({"event_type": "refund", "properties": {"amount": "a lot"}}, "can't compare"),
        ({"customer_id": None}, "customer_id"),
    ],
)
def test_events_that_can_not_be_counted_are_refused(
    client: TestClient, event: dict[str, object], words: str
) -> None:
    whole = {"customer_id": "a", "event_type": "login", "timestamp": "2025-05-31T00:00:00Z"} | event
    answer = client.post("/v1/score/events", json={"events": [whole], "as_of": AS_OF})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert words in error["got"]
    assert error["allowed"]
    assert error["next"]
