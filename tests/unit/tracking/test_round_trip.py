"""Names that hold anything come back from the store as they went in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ces_ml.tracking import Tracker, metric_keys, open_store
from ces_ml.weights import Band, Interval, Scale, WeightedTerm, WeightSet

text = st.text(max_size=40) | st.text(alphabet="aA-0f/._: \n\\é😀'\"%;<", max_size=12)


def weight_set(names: list[str], label: str) -> WeightSet:
    return WeightSet(
        name=label,
        terms=tuple(
            WeightedTerm(
                name=name,
                event=name,
                window="30d",
                weight=k / 8,
                interval=Interval(low=k / 8 - 1, high=k / 8 + 1, level=0.9),
            )
            for k, name in enumerate(names, start=1)
        ),
        intercept=-1.0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )


@pytest.fixture(scope="module")
def tracker(template_db: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    db = shutil.copy(template_db, tmp_path_factory.mktemp("round") / "mlflow.db")
    return Tracker(db, experiment="round trips")


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(text, unique=True, min_size=1, max_size=6), label=text.filter(bool))
@example(names=["", " ", "\x00", "</script>", "'; DROP TABLE runs; --"], label="😀/\\\n")
@example(names=["a/b", "a_b", "A_b", "a?b", "a_b-00000000"], label="..")
def test_a_weight_set_with_any_names_is_loaded_as_it_was_logged(
    tracker: Tracker, names: list[str], label: str
) -> None:
    logged = weight_set(names, label)
    info = tracker.log_run(logged, run_name=label, params={n: n for n in names}, metrics={})
    assert tracker.load(info.run_id) == logged
    client = open_store(tracker.store).client
    run = client.get_run(info.run_id)
    for prefix, end in (("weight/", 0.0), ("weight_low/", -1.0), ("weight_high/", 1.0)):
        keys = metric_keys(names, prefix)
        found = {name: run.data.metrics[keys[name]] for name in names}
        assert found == {name: k / 8 + end for k, name in enumerate(names, start=1)}
    path = Path(client.download_artifacts(info.run_id, "weights_table.json"))
    table = json.loads(path.read_text(encoding="utf-8"))
    assert [row[table["columns"].index("term")] for row in table["data"]] == names
