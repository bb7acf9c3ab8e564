"""How a weight set lies in MLflow: its JSON, and the two flavors that say how to read it.

The payload is ``weights.json``, so that loading executes nothing. The ``python_function`` flavor
serves ``mlflow models serve``, ``predict`` and ``spark_udf``; its loader is a module of the
installed package. The module is named here and imported by MLflow only when it serves.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ces_ml._version import __version__
from ces_ml.files import write_text
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.weights import WeightSet

__all__ = ["FLAVOR_NAME", "LOADER_MODULE", "PAYLOAD", "save_model", "signature"]

FLAVOR_NAME = "ces"
LOADER_MODULE = "ces_ml.scoring.pyfunc"
PAYLOAD = "weights.json"


def signature(weight_set: WeightSet) -> Any:
    """Return the signature: one optional column of counts a term; what a score consists of.

    Columns are of any type, because MLflow refuses whole numbers for a column of doubles. They
    are optional, because a count that is not there is 0; of a frame without one known column
    MLflow leaves 0 rows and 0 columns, which the loader must refuse. MLflow takes a column named
    ``""`` for one without a name; with such a term the inputs are left open.
    """
    types = mlflow_part("mlflow.types.schema")
    ModelSignature = mlflow_part("mlflow.models").ModelSignature
    counts = [types.ColSpec(types.AnyType(), name, required=False) for name in weight_set.names]
    outputs = [
        types.ColSpec(types.DataType.double, "score"),
        types.ColSpec(types.DataType.double, "raw_score"),
        types.ColSpec(types.DataType.string, "band"),
        types.ColSpec(types.DataType.double, "probability"),
    ]
    inputs = None if "" in weight_set.names else types.Schema(counts)
    return ModelSignature(inputs=inputs, outputs=types.Schema(outputs))


def save_model(weight_set: WeightSet, path: Path, **identity: Any) -> None:
    """Write the MLflow model of a weight set to the folder `path`.

    Parameters
    ----------
    weight_set : WeightSet
    path : pathlib.Path
        An empty or new folder.
    **identity
        What `mlflow.models.Model` is told: ``model_id``, ``run_id``, ``artifact_path``.
    """
    model = mlflow_part("mlflow.models").Model(signature=signature(weight_set), **identity)
    write_text(path / PAYLOAD, weight_set.to_json())
    write_text(path / "requirements.txt", f"ces-ml=={__version__}\n")
    write_text(
        path / "python_env.yaml",
        f"python: {platform.python_version()}\nbuild_dependencies: []\n"
        "dependencies:\n- -r requirements.txt\n",
    )
    mlflow_part("mlflow.pyfunc").add_to_model(
        model, loader_module=LOADER_MODULE, data=PAYLOAD, python_env="python_env.yaml"
    )
    model.add_flavor(FLAVOR_NAME, data=PAYLOAD, schema_version=weight_set.schema_version)
    model.save(str(path / "MLmodel"))
