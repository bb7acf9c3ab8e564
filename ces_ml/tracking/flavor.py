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
#: Columns beside the customer's that say who a row is, and how many reasons a score has: as the
#: scorer has them, which a test holds together.
KEYS = ("customer_id", "as_of")
N_REASONS = 3


def signature(weight_set: WeightSet) -> Any:
    """Return the signature: optional columns of counts and keys in, all of a score out.

    Columns are of any type, because MLflow refuses whole numbers for a column of doubles. They
    are optional, because a count that is not there is 0. MLflow drops columns that are not listed,
    so the columns that say who a row is are listed too; of a frame without one listed column it
    leaves no rows at all, which the loader refuses. MLflow takes a column named ``""`` for one
    without a name; with such a term the inputs are left open.
    """
    types = mlflow_part("mlflow.types.schema")
    ModelSignature = mlflow_part("mlflow.models").ModelSignature
    names = dict.fromkeys((*weight_set.names, weight_set.scored_events.customer_col, *KEYS))
    columns = [types.ColSpec(types.AnyType(), name, required=False) for name in names]
    double, string = types.DataType.double, types.DataType.string
    outputs = [
        types.ColSpec(double, "score"),
        types.ColSpec(double, "raw_score"),
        types.ColSpec(string, "band"),
        types.ColSpec(double, "probability"),
    ]
    for k in range(1, min(N_REASONS, len(weight_set.terms)) + 1):
        # A reason that adds nothing is the empty text, and has no points.
        outputs.append(types.ColSpec(string, f"reason_{k}"))
        outputs.append(types.ColSpec(double, f"points_{k}", required=False))
    inputs = None if "" in names else types.Schema(columns)
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
