from __future__ import annotations

import sys
import types
from pathlib import Path

import pandas as pd
import pytest

from ces_ml._version import __version__
from ces_ml.scoring import Scorer
from ces_ml.scoring.frames import KEY_COLUMNS
from ces_ml.tracking import flavor
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.weights import WeightSet, raw_scores


@pytest.fixture(params=["every name", "no empty name"])
def weight_set(request: pytest.FixtureRequest, make_weight_set) -> WeightSet:
    """MLflow can't state a column without a name, so both ways must serve."""
    names = make_weight_set().names
    return make_weight_set(names if request.param == "every name" else tuple(filter(None, names)))


@pytest.fixture
def saved(weight_set: WeightSet, tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    flavor.save_model(weight_set, path)
    return path


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the scoring room: sum of weight × count over the columns that are there."""

    class Model:
        def __init__(self, path: str) -> None:
            self.weight_set = WeightSet.load(path)

        def predict(self, frame: pd.DataFrame, params: object = None) -> pd.Series:
            counts = frame.reindex(columns=list(self.weight_set.names), fill_value=0)
            return pd.Series(raw_scores(self.weight_set, counts.to_numpy(dtype=float)))

    module = types.ModuleType(flavor.LOADER_MODULE)
    module._load_pyfunc = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, flavor.LOADER_MODULE, module)


def test_the_payload_is_the_json_of_the_weight_set(saved: Path, weight_set: WeightSet) -> None:
    assert (saved / "weights.json").read_text(encoding="utf-8") == weight_set.to_json()
    assert WeightSet.load(saved / "weights.json") == weight_set


def test_the_model_states_two_flavors_and_its_environment(saved: Path) -> None:
    model = mlflow_part("mlflow.models").Model.load(str(saved))
    assert model.flavors["ces"] == {"data": "weights.json", "schema_version": 1}
    assert model.flavors["python_function"]["loader_module"] == "ces_ml.scoring.pyfunc"
    assert (saved / "requirements.txt").read_text() == f"ces-ml=={__version__}\n"
    assert "-r requirements.txt" in (saved / "python_env.yaml").read_text()
    assert sorted(p.name for p in saved.iterdir()) == [
        "MLmodel",
        "python_env.yaml",
        "requirements.txt",
        "weights.json",
    ]


def test_the_signature_keeps_hostile_names(saved: Path, weight_set: WeightSet) -> None:
    model = mlflow_part("mlflow.models").Model.load(str(saved))
    inputs = model.signature.inputs
    expected = [*weight_set.names, "customer_id", "as_of"]
    assert inputs is None if "" in weight_set.names else inputs.input_names() == expected
    assert model.signature == flavor.signature(weight_set)
    outputs = model.signature.outputs.input_names()
    scored = Scorer(weight_set).score({"login": 3})
    assert outputs == [c for c in scored.columns if c not in KEY_COLUMNS]
    assert model.signature.outputs.optional_input_names() == outputs[5::2]


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "int32", "uint8", "bool"])
def test_counts_of_every_number_type_are_served(
    kind: str, saved: Path, weight_set: WeightSet
) -> None:
    model = mlflow_part("mlflow.pyfunc").load_model(str(saved))
    names = list(weight_set.names)
    rows = [[k % 2 for k in range(len(names) + 1)], [1] * (len(names) + 1)]
    frame = pd.DataFrame(rows, columns=[*names, "extra"]).astype(kind)
    expected = raw_scores(weight_set, frame[names].to_numpy(dtype=float))
    assert model.predict(frame).tolist() == pytest.approx(expected.tolist())


@pytest.mark.usefixtures("loader")
def test_terms_without_a_column_count_zero_and_keep_every_row(saved: Path) -> None:
    model = mlflow_part("mlflow.pyfunc").load_model(str(saved))
    frame = pd.DataFrame({"case": [1, 2, 3], "unknown": ["a", "b", "c"]})
    assert len(model.predict(frame)) == 3
