"""The tracker: a fitted weight set becomes a run that can be compared, and a version."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from ces_ml.tracking import flavor
from ces_ml.tracking.explain import explaining
from ces_ml.tracking.gate import check_verdict
from ces_ml.tracking.keys import model_label
from ces_ml.tracking.load import load_weight_set
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.tracking.record import RunRecord, run_record
from ces_ml.tracking.registry import (
    FINGERPRINT_TAG,
    check_name,
    model_of_run,
    move_alias,
    register,
)
from ces_ml.tracking.store import Store, open_store, resolve_store
from ces_ml.tracking.ui import run_url
from ces_ml.weights import WeightSet

__all__ = ["RunInfo", "Tracker"]

_NONE: Mapping[str, Any] = MappingProxyType({})
#: Sizes of one request: well below MLflow's 100 tags, 100 parameters, 1000 metrics and 1 MB.
_TAGS, _PARAMS, _METRICS = 50, 50, 500
_T = TypeVar("_T")


@dataclass(frozen=True)
class RunInfo:
    """Where a logged run is found again.

    Parameters
    ----------
    run_id, experiment_id : str
        As MLflow numbers them.
    model_name, model_version : str or None
        The registered model and its version, where the run was registered.
    url : str or None
        The run's page, for a store behind a server.
    ui_hint : str
        What to do to see the run: open the page, or start one with `ces-ml ui`.
    """

    run_id: str
    experiment_id: str
    model_name: str | None
    model_version: str | None
    url: str | None
    ui_hint: str


class Tracker:
    """Logs weight sets to an MLflow store, promotes them, and loads them back.

    No global setting of MLflow is read or changed: a program may use several stores at once.

    Parameters
    ----------
    store : str or path-like, optional
        An MLflow URI or the path of a ``.db`` file. Default: ``MLFLOW_TRACKING_URI``, else
        ``mlflow.db`` in the current folder. It is opened at first use.
    experiment : str, default="ces-ml"
        Runs are logged here.

    Raises
    ------
    TrackingError
        If `store` is not a store. Every method raises it when the store can't do what was asked.

    Examples
    --------
    >>> tracker = Tracker("sqlite:////data/mlflow.db")
    >>> info = tracker.log_run(weight_set, run_name="base", params={}, metrics={"auc": 0.8})
    ... # doctest: +SKIP
    >>> tracker.promote(info.run_id, "churn", reason="first model")  # doctest: +SKIP
    '1'
    >>> tracker.load("models:/churn@champion")  # doctest: +SKIP
    """

    def __init__(
        self, store: str | os.PathLike[str] | None = None, experiment: str = "ces-ml"
    ) -> None:
        self.store = resolve_store(store)
        self.experiment = experiment

    @cached_property
    def _open(self) -> Store:
        return open_store(self.store)

    def log_run(
        self,
        weight_set: WeightSet,
        *,
        run_name: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str] = _NONE,
        texts: Mapping[str, str] = _NONE,
        figures: Mapping[str, bytes] = _NONE,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] = _NONE,
        register_as: str | None = None,
    ) -> RunInfo:
        """Log a weight set as one run: every weight as metric ``weight/<term>`` and in a table.

        Parameters
        ----------
        weight_set : WeightSet
        run_name : str
            Any text.
        params : mapping of str to str
            How the weights were made.
        metrics : mapping of str to float
            How good they are. Values that are not finite are left out.
        tags : mapping of str to str, optional
            Anything else; the fingerprint and the digests are added.
        texts : mapping of str to str, optional
            Text by artifact path.
        figures : mapping of str to bytes, optional
            PNG by artifact path.
        tables : mapping of str to sequence of dict, optional
            Rows by artifact path, which ends in ``.json``.
        register_as : str, optional
            Name of the registered model that gets a new version.

        Returns
        -------
        RunInfo

        Raises
        ------
        TrackingError
            If anything goes wrong; the run is then marked as failed.
        """
        if register_as is not None:
            check_name(register_as)
        record = run_record(
            weight_set,
            params=params,
            metrics=metrics,
            tags=tags,
            texts=texts,
            figures=figures,
            tables=tables,
        )
        store = self._open
        experiment_id = store.experiment_id(self.experiment)
        with explaining(store.uri, "log the run"):
            made = store.client.create_run(experiment_id, run_name=run_name)
        run_id = str(made.info.run_id)
        version = None
        with explaining(store.uri, "log the run"), _ending(store, run_id):
            _log_dataset(store, run_id, weight_set)
            model = _log_model(store, experiment_id, run_id, run_name, weight_set, record)
            _log_values(store, run_id, record, model.model_id)
            _log_files(store, run_id, record)
            if register_as is not None:
                version = register(store, model, register_as)
        url = run_url(store.uri, experiment_id, run_id) if store.is_server else None
        return RunInfo(
            run_id=run_id,
            experiment_id=experiment_id,
            model_name=register_as,
            model_version=version,
            url=url,
            ui_hint=f"open {url}" if url else f"ces-ml ui --store {shlex.quote(store.uri)}",
        )

    def promote(
        self,
        run_id: str,
        name: str,
        alias: str = "champion",
        reason: str | None = None,
        *,
        override: str | None = None,
    ) -> str:
        """Point an alias of a registered model at the weight set of a run.

        Weights whose verdict is not that they beat counting are refused, unless a person says
        why they are wanted all the same. A weight set without a verdict (of an earlier version)
        is promoted.

        The run is registered under `name` if it is not yet. The version keeps the history as
        tags: ``promoted_from``, ``promoted_to``, ``promoted_at`` (UTC), ``promoted_by``,
        ``promoted_because`` and ``fingerprint``; ``verdict``, where there is one; after an override
        ``override_because``, ``override_by`` and ``override_at`` too. Where the alias points there
        already, nothing changes.

        Parameters
        ----------
        run_id : str
        name : str
            Name of the registered model.
        alias : str, default="champion"
        reason : str, optional
            Why, for people who read the history.
        override : str, optional
            Why weights that do not beat counting are promoted.

        Returns
        -------
        str
            The version that the alias points at now.

        Raises
        ------
        TrackingError
            If the verdict is not that the weights beat counting, and there is no override.
        """
        model = model_of_run(self._open, run_id)
        beside = check_verdict(self.load(run_id).verdict, run_id, override)
        return move_alias(self._open, model, name, alias, reason, beside)

    def load(self, ref: str | os.PathLike[str]) -> WeightSet:
        """Return the weight set that `ref` means in this store; see `load_weight_set`."""
        return load_weight_set(ref, self.store)


@contextmanager
def _ending(store: Store, run_id: str) -> Iterator[None]:
    """End the run when the block ends: finished, failed, or killed where it was interrupted."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception):
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            store.client.set_terminated(run_id, status)
        raise
    store.client.set_terminated(run_id, "FINISHED")


def _log_dataset(store: Store, run_id: str, weight_set: WeightSet) -> None:
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


def _log_model(
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
        with suppress(Exception):
            client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.log_outputs(run_id, [entities.LoggedModelOutput(model.model_id, step=0)])
    return client.finalize_logged_model(model.model_id, "READY")


def _log_values(store: Store, run_id: str, record: RunRecord, model_id: str) -> None:
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


def _log_files(store: Store, run_id: str, record: RunRecord) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, content in record.files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        store.client.log_artifacts(run_id, folder)
