import json
from collections.abc import Callable

import pandas as pd
import pytest
from starlette.testclient import TestClient

from ces_ml.cli.serve import addresses
from ces_ml.scoring import Scorer
from ces_ml.serving import ServedWeights, make_app
from ces_ml.weights import WeightSet

COUNTS = [
    {"login": 3, "buy": 120.5},
    {"refund": 1.25, "visit": 4},
    {},
    {"login": 1e6, "buy": -900, "refund": 0.5, "visit": 7},
]


def ask(client: TestClient, rows: list[dict[str, object]], **more: object) -> dict[str, object]:
    answer = client.post("/v1/score/counts", json={"rows": rows, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_counts_are_scored_as_the_scorer_does(client: TestClient, weight_set: WeightSet) -> None:
    rows = [{"customer_id": f"c{k}", "counts": c} for k, c in enumerate(COUNTS)]
    found = ask(client, rows, n_reasons=5)
    frame = pd.DataFrame(COUNTS, columns=list(weight_set.names)).fillna(0)
    wanted = Scorer(weight_set, n_reasons=5).score(frame)
    for k, row in enumerate(found["scores"]):
        assert row["customer_id"] == f"c{k}"
        for column in ("score", "raw_score", "probability"):
            assert row[column] == pytest.approx(wanted[column][k], abs=1e-9)
        assert row["band"] == wanted["band"][k]
        names = [wanted[f"reason_{r}"][k] for r in range(1, 6)]
        assert [r["term"] for r in row["reasons"]] == [n for n in names if not pd.isna(n)]
        assert sum(r["points"] for r in row["reasons"]) == pytest.approx(row["raw_score"])
    assert found["weights"] == {"name": "churn", "fingerprint": weight_set.fingerprint}


def test_unknown_terms_are_told_and_never_shrink_the_answer(client: TestClient) -> None:
    rows = [{"counts": {"loggin": 3}}, {"counts": {"login": 1, "": 2}}]
    found = ask(client, rows)
    assert found["unknown"] == ["", "loggin"]
    assert [row["raw_score"] for row in found["scores"]] == [0.0, pytest.approx(0.7 * 0.6931471806)]


def test_hostile_names_and_ids_come_back_as_they_went_in(
    client: TestClient, weight_set: WeightSet
) -> None:
    name = weight_set.names[-1]
    found = ask(
        client, [{"customer_id": name, "counts": {name: 9}}, {"customer_id": 7, "counts": {}}]
    )
    assert found["scores"][0]["customer_id"] == name
    assert found["scores"][0]["reasons"] == [{"term": name, "points": pytest.approx(0.3)}]
    assert found["scores"][1]["customer_id"] == 7


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b'{"rows": []}', 422, "rows"),
        (b'{"rows": [{"counts": {"login": "3"}}]}', 422, "number"),
        (b'{"rows": [{"counts": {"login": true}}]}', 422, "number"),
        (b'{"rows": [{"counts": {"login": NaN}}]}', 422, "login"),
        (b'{"rows": [{"counts": {"login": 1e300}}]}', 422, "less than or equal"),
        (b'{"rows": [{"counts": {}, "count": 1}]}', 422, "Extra inputs"),
        (b'{"rows": [{"counts": {}}], "n_reasons": -1}', 422, "n_reasons"),
        (b'{"rows": [{"customer_id": 1.5, "counts": {}}]}', 422, "customer_id"),
        (b"\xff\xfe", 400, "not JSON"),
        (b'{"events": [{"customer_id": "a", "event_type": "b", "timestamp": "x"}]}', 422, "rows"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_in_four_parts(
    client: TestClient, body: bytes, status: int, words: str
) -> None:
    answer = client.post(
        "/v1/score/counts", content=body, headers={"content-type": "application/json"}
    )
    error = answer.json()["error"]
    assert answer.status_code == status
    assert words in error["problem"] + error["got"]
    assert error["allowed"]
    assert error["next"]


def test_a_body_is_limited_with_and_without_a_stated_length(weight_set: WeightSet) -> None:
    long = json.dumps({"rows": [{"customer_id": "x" * 900, "counts": {}}] * 40}).encode()
    with TestClient(make_app(ServedWeights(lambda: weight_set), max_body=20_000)) as client:
        stated = client.post("/v1/score/counts", content=long)
        pieces = (long[k : k + 1000] for k in range(0, len(long), 1000))
        streamed = client.post("/v1/score/counts", content=pieces)
        assert client.get("/health").status_code == 200
    for answer in (stated, streamed):
        assert answer.status_code == 413
        assert answer.json()["error"]["allowed"] == "at most 20,000 bytes"
        assert "got" not in answer.json()["error"]


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_is_not_marked_as_json_says_what_to_send(
    client: TestClient, kind: str | None
) -> None:
    body = b'{"rows": [{"counts": {}}]}'
    headers = {} if kind is None else {"content-type": kind}
    answer = client.post("/v1/score/counts", content=body, headers=headers)
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert error["got"] == (f"content-type: {kind}" if kind else "no content-type")
    assert error["next"] == "send content-type: application/json"


def test_the_addresses_that_are_printed_fit_and_name_every_path(client: TestClient) -> None:
    lines = addresses("http://127.0.0.1:65535")
    assert max(map(len, lines)) <= 80
    paths = [*client.get("/openapi.json").json()["paths"], "/openapi.json"]
    for path in paths:
        assert path in " ".join(lines), path


def test_paths_and_methods_that_are_not_there_are_refused_in_the_same_form(
    client: TestClient,
) -> None:
    json_type = {"content-type": "application/json"}
    for answer, status in (
        (client.get("/v1/nothing"), 404),
        (client.delete("/health"), 405),
        (client.post("/v1/score/counts", content=b'{"\xff', headers=json_type), 400),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]["problem"]
        assert None not in answer.json()["error"].values()


def test_a_foreign_host_is_refused(weight_set: WeightSet) -> None:
    app = make_app(ServedWeights(lambda: weight_set), hosts=["localhost", "127.0.0.1"])
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_health_weights_and_metrics_tell_what_is_served(
    client: TestClient, weight_set: WeightSet
) -> None:
    ask(client, [{"counts": {"login": 1}}, {"counts": {"other": 1}}])
    client.get("/no/such/path/" + "x" * 50)
    health = client.get("/health").json()
    assert (health["status"], health["last_error"]) == ("ok", None)
    assert health["weights"]["fingerprint"] == weight_set.fingerprint
    assert WeightSet.parse(client.get("/v1/weights").json()) == weight_set
    text = client.get("/metrics").text
    assert "ces_rows_scored_total 2.0" in text
    assert "ces_unknown_names_total 1.0" in text
    assert 'ces_requests_total{path="/v1/score/counts",status="200"} 1.0' in text
    assert 'path="other",status="404"' in text
    assert f'fingerprint="{weight_set.fingerprint}"' in text


def test_no_page_loads_anything_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) >= {"/v1/score/counts", "/v1/score/events", "/health", "/metrics"}


def test_other_weights_are_taken_whole_and_bad_ones_are_left(
    make_weight_set: Callable[..., WeightSet],
) -> None:
    first, second = make_weight_set(), make_weight_set(shift=1.0)
    offered: list[object] = [first]

    def load() -> WeightSet:
        if isinstance(offered[-1], Exception):
            raise offered[-1]
        return offered[-1]

    weights = ServedWeights(load)
    with TestClient(make_app(weights)) as client:
        row = [{"counts": {"login": 1}}]
        before = ask(client, row)["scores"][0]["raw_score"]
        assert not weights.refresh()
        offered.append(second)
        assert weights.refresh()
        after = ask(client, row)
        assert after["weights"]["fingerprint"] == second.fingerprint
        assert after["scores"][0]["raw_score"] > before
        offered.append(OSError("the disk is gone"))
        assert not weights.refresh()
        health = client.get("/health").json()
        assert (health["status"], health["last_error"]) == ("stale", "the disk is gone")
        assert ask(client, row)["scores"] == after["scores"]
        assert "ces_weights_stale 1.0" in client.get("/metrics").text
        offered.append(second)
        assert not weights.refresh()
        assert client.get("/health").json()["status"] == "ok"
