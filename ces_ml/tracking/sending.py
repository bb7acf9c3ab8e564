"""Sending the parts of a run to a store: data set, model, values, files."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from ces_ml.tracking import flavor
from ces_ml.tracking.keys import model_label
from ces_ml.tracking.patience import GIVING_UP, patience
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.tracking.record import RunRecord
from ces_ml.tracking.registry import FINGERPRINT_TAG
from ces_ml.tracking.store import Store
from ces_ml.weights import WeightSet

__all__ = ["log_dataset", "log_files", "log_model", "log_values"]

#: Sizes of one request: well below MLflow's 100 tags, 100 parameters, 1000 metrics and 1 MB.
_TAGS, _PARAMS, _METRICS = 50, 50, 500
_T = TypeVar("_T")


def log_dataset(store: Store, run_id: str, weight_set: WeightSet) -> None:
    """Note our own digest as the run's data set: MLflow's would look at 10,000 rows only."""
    source = weight_set.provenance
    if source is None:
        return
    entities = mlflow_part("mlflow.entities")
    code = mlflow_part("mlflow.data.code_dataset_source").CodeDatasetSource
    data = mlflow_part("mlflow.data.meta_dataset").MetaDataset(
        code(tags={"ces.data_digest": source.data_digest}),
        name="training rows",
        digest=source.data_digest.removeprefix("sha256:")[:32],
    )
    fields = data.to_dict() | {
        "profile": json.dumps(
            {
                "num_rows": source.rows,
                "customers": source.customers,
                "positives": source.positives,
                "as_of": list(source.as_of),
            }
        )
    }
    use = entities.InputTag("mlflow.data.context", "training")
    store.client.log_inputs(
        run_id, [entities.DatasetInput(entities.Dataset.from_dictionary(fields), tags=[use])]
    )


def log_model(
    store: Store,
    experiment_id: str,
    run_id: str,
    run_name: str,
    weight_set: WeightSet,
    record: RunRecord,
) -> Any:
    """Log ``weights.json`` with its flavors as a model of the run, and return the model."""
    entities = mlflow_part("mlflow.entities")
    client = store.client
    model = client.create_logged_model(
        experiment_id,
        name=model_label(run_name, run_id),
        source_run_id=run_id,
        params=record.params,
        tags={
            FINGERPRINT_TAG: weight_set.fingerprint,
            "ces.weight_set": weight_set.name,
            "mlflow.user": record.tags["mlflow.user"],
            "mlflow.source.name": record.tags["mlflow.source.name"],
        },
        model_type="ces-weight-set",
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            flavor.save_model(
                weight_set,
                Path(folder),
                artifact_path=model.artifact_location,
                run_id=run_id,
                model_id=model.model_id,
                model_uuid=model.model_id,
            )
            client.log_model_artifacts(model.model_id, folder)
    except BaseException:
        with suppress(Exception), patience(GIVING_UP):
            client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.log_outputs(run_id, [entities.LoggedModelOutput(model.model_id, step=0)])
    return client.finalize_logged_model(model.model_id, "READY")


def log_values(store: Store, run_id: str, record: RunRecord, model_id: str | None = None) -> None:
    """Send tags, parameters and metrics together: one request unless there are very many."""
    entities = mlflow_part("mlflow.entities")
    now = int(time.time() * 1000)
    metrics = [entities.Metric(k, v, now, 0, model_id=model_id) for k, v in record.metrics.items()]
    params = [entities.Param(k, v) for k, v in record.params.items()]
    tags = [entities.RunTag(k, v) for k, v in record.tags.items()]
    parts = zip_longest(_parts(metrics, _METRICS), _parts(params, _PARAMS), _parts(tags, _TAGS))
    for some_metrics, some_params, some_tags in parts:
        store.client.log_batch(run_id, some_metrics or [], some_params or [], some_tags or [])


def _parts(items: list[_T], size: int) -> Iterator[list[_T]]:
    return (items[k : k + size] for k in range(0, len(items), size))


def log_files(store: Store, run_id: str, record: RunRecord) -> None:
    """Upload the files of a run."""
    with tempfile.TemporaryDirectory() as folder:
        for path, content in record.files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        store.client.log_artifacts(run_id, folder)
