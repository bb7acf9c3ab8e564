"""Child runs: what was tried on the way to a weight set, one light run each below its run."""

from __future__ import annotations

import time
from typing import Any

from ces_ml.tracking.keys import metric_keys
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.tracking.record import ChildRun, RunRecord, short_values
from ces_ml.tracking.store import Store

__all__ = ["PARENT_TAG", "log_children"]

#: MLflow's pages show a run with this tag below the run that it names.
PARENT_TAG = "mlflow.parentRunId"
_KIND_TAG = "ces.kind"
#: Not the fingerprint: what a child holds is another weight set than its parent's.
_INHERITED = (
    "ces.weight_set",
    "ces.version",
    "ces.data_digest",
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
)


def log_children(
    store: Store,
    experiment_id: str,
    parent_run_id: str,
    record: RunRecord,
) -> list[str]:
    """Log the children of a run below it and return their ids, in order.

    Three requests a child. A value longer than MLflow takes is cut with its hash, as everywhere.
    """
    entities = mlflow_part("mlflow.entities")
    who = {k: v for k, v in record.tags.items() if k in _INHERITED}
    made = []
    for child in record.children:
        own = {**who, _KIND_TAG: child.kind, PARENT_TAG: parent_run_id}
        run = store.client.create_run(experiment_id, run_name=child.name, tags=own)
        run_id = str(run.info.run_id)
        made.append(run_id)
        now = int(time.time() * 1000)
        metrics: list[Any] = [
            entities.Metric(key, value, now, 0) for key, value in _metrics(child).items()
        ]
        params = [entities.Param(k, v) for k, v in short_values("params", child.params).items()]
        # A request takes a thousand values: all but the largest weight sets fit into one.
        store.client.log_batch(run_id, metrics[:_METRICS], params)
        for start in range(_METRICS, len(metrics), _METRICS):
            store.client.log_batch(run_id, metrics[start : start + _METRICS])
        store.client.set_terminated(run_id, "FINISHED")
    return made


#: With the 100 parameters that fit beside them, a request stays below MLflow's 1000 values.
_METRICS = 900


def _metrics(child: ChildRun) -> dict[str, float]:
    keys = metric_keys(child.weights)
    return {**child.metrics, **{keys[n]: w for n, w in child.weights.items()}}
