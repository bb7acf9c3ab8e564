"""The tracker: a fitted weight set becomes a run that can be compared, and a version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ces_ml.tracking.children import PARENT_TAG, log_children
from ces_ml.tracking.explain import explaining
from ces_ml.tracking.gate import check_verdict
from ces_ml.tracking.load import load_weight_set
from ces_ml.tracking.outbox import kept_if_not_logged
from ces_ml.tracking.patience import GIVING_UP, OPENING, patience
from ces_ml.tracking.pending import LOG_ID_TAG, PendingRun
from ces_ml.tracking.record import ChildRun, group_record, run_record, short_values
from ces_ml.tracking.registry import (
    check_name,
    model_of_run,
    move_alias,
    register,
)
from ces_ml.tracking.retries import tidied
from ces_ml.tracking.sending import log_dataset, log_files, log_model, log_values
from ces_ml.tracking.store import Store, open_store, resolve_store
from ces_ml.tracking.ui import experiment_url, run_url
from ces_ml.tracking.view import VIEW_KEY, keep_view
from ces_ml.weights import WeightSet

__all__ = ["RunInfo", "Tracker"]

_NONE: Mapping[str, Any] = MappingProxyType({})


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
    children : tuple of str
        Ids of the runs below it.
    """

    run_id: str
    experiment_id: str
    model_name: str | None
    model_version: str | None
    url: str | None
    ui_hint: str
    children: tuple[str, ...] = ()

    def experiment_page(self, base: str) -> str:
        """Return the address of the experiment's table, with its columns and charts of weights.

        Parameters
        ----------
        base : str
            Where the pages are served, such as ``"http://127.0.0.1:5000"``.
        """
        return experiment_url(base, self.experiment_id, VIEW_KEY)


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
        self,
        store: str | os.PathLike[str] | None = None,
        experiment: str = "ces-ml",
        *,
        outbox: str | os.PathLike[str] | None = None,
    ) -> None:
        self.store = resolve_store(store)
        self.experiment = experiment
        self.outbox = outbox

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
        parent_run_id: str | None = None,
        children: Sequence[ChildRun] = (),
    ) -> RunInfo:
        """Log a weight set as one run: every weight as metric ``weight/<term>`` and in a table.

        The ends of intervals are metrics ``weight_low/<term>`` and ``weight_high/<term>``. The
        experiment gets a view with columns and charts of these weights.

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
        parent_run_id : str, optional
            The run that this one stands below in MLflow's table; see `group`.
        children : sequence of ChildRun, optional
            What was tried on the way, logged below this run: three requests each.

        Returns
        -------
        RunInfo

        Raises
        ------
        TrackingError
            If an argument is not allowed.
        NotLoggedError
            If anything goes wrong after that; the run is then marked as failed where the store
            can be reached, and kept in an outbox.
        """
        if register_as is not None:
            check_name(register_as)
        record = run_record(
            weight_set,
            params=params,
            metrics=metrics,
            tags={**tags, **({} if parent_run_id is None else {PARENT_TAG: parent_run_id})},
            texts=texts,
            figures=figures,
            tables=tables,
            children=children,
        )
        run = PendingRun(
            weight_set=weight_set,
            record=record,
            run_name=run_name,
            experiment=self.experiment,
            register_as=register_as,
            store=self.store,
        )
        with kept_if_not_logged(run, self.store, self.outbox):
            return self.log_pending(run)

    def log_pending(self, run: PendingRun) -> RunInfo:
        """Log a run; one that was tried before is not logged twice. See `resume_outbox`."""
        store, register_as = self._open, run.register_as
        experiment_id = store.experiment_id(run.experiment)
        done = tidied(store, experiment_id, run) if run.again else None
        below: list[str] = []
        if done is not None:
            run_id, version = done
        else:
            with explaining(store.uri, "log the run"):
                made = store.client.create_run(
                    experiment_id,
                    start_time=run.started_ms,
                    run_name=run.run_name,
                    tags={LOG_ID_TAG: run.log_id},
                )
            run_id, version = str(made.info.run_id), None
            # One that waited in an outbox ends when it began: the wait is not what it took.
            end_time = run.started_ms if run.again else None
            with explaining(store.uri, "log the run"), _ending(store, run_id, end_time):
                model = _log_weights(store, experiment_id, run_id, run)
                log_values(store, run_id, run.record, model and model.model_id)
                log_files(store, run_id, run.record)
                below = log_children(store, experiment_id, run_id, run.record)
                if register_as is not None:
                    version = register(store, model, register_as)
        if run.weight_set is not None:
            with patience(OPENING):
                keep_view(store, experiment_id, run.weight_set, run.record.metrics, run.record.tags)
        url = run_url(store.uri, experiment_id, run_id) if store.is_server else None
        return RunInfo(
            run_id=run_id,
            experiment_id=experiment_id,
            model_name=register_as,
            model_version=version,
            url=url,
            ui_hint=f"open {url}" if url else f"ces-ml ui --store {shlex.quote(store.uri)}",
            children=tuple(below),
        )

    @contextmanager
    def group(self, name: str, tags: Mapping[str, str] = _NONE) -> Iterator[str]:
        """Make a run that others stand below; it ends when the block ends.

        The run is a heading and holds nothing else, so it waits in no outbox. What stands below
        does, and finds it again when it is logged later into the same store.

        Parameters
        ----------
        name : str
            Any text.
        tags : mapping of str to str, optional

        Yields
        ------
        str
            Its id, to be given to `log_run` as `parent_run_id`.

        Raises
        ------
        TrackingError
            If the store can't be opened or written.

        Examples
        --------
        >>> with tracker.group("half-lives") as parent:  # doctest: +SKIP
        ...     for weight_set in tried:
        ...         tracker.log_run(weight_set, run_name="one", params={}, metrics={},
        ...                         parent_run_id=parent)
        """
        store = self._open
        experiment_id = store.experiment_id(self.experiment)
        with explaining(store.uri, "log a group of runs"):
            own = {**group_record().tags, **short_values("tags", tags)}
            made = store.client.create_run(experiment_id, run_name=name, tags=own)
        with _ending(store, made.info.run_id, doing="end a group of runs"):
            yield str(made.info.run_id)

    def log_tried(
        self,
        name: str,
        children: Sequence[ChildRun],
        *,
        metrics: Mapping[str, float] = _NONE,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] = _NONE,
    ) -> str:
        """Log fits that were tried as child runs of a run that holds no weight set.

        Parameters
        ----------
        name : str
            Name of the run that they stand below; any text.
        children : sequence of ChildRun
        metrics : mapping of str to float, optional
            What is said of all of them together.
        tables : mapping of str to sequence of dict, optional
            Rows by artifact path, which ends in ``.json``.

        Returns
        -------
        str
            Id of the run that they stand below.

        Raises
        ------
        NotLoggedError
            If the store can't be opened or written; everything is then kept in an outbox.
        """
        run = PendingRun(
            weight_set=None,
            record=group_record(metrics=metrics, tables=tables, children=children),
            run_name=name,
            experiment=self.experiment,
            register_as=None,
            store=self.store,
        )
        with kept_if_not_logged(run, self.store, self.outbox):
            return self.log_pending(run).run_id

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

        No other rule is asked here: `ces_ml.training.promote` asks those of a configuration.

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
def _ending(
    store: Store, run_id: str, end_time: int | None = None, doing: str = "end the run"
) -> Iterator[None]:
    """End the run when the block ends: finished, failed, or killed where it was interrupted."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception), patience(GIVING_UP):
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            store.client.set_terminated(run_id, status)
        raise
    with explaining(store.uri, doing):
        store.client.set_terminated(run_id, "FINISHED", end_time=end_time)


def _log_weights(store: Store, experiment_id: str, run_id: str, run: PendingRun) -> Any:
    """Log data set and model of a run, and return the model; None for a run without weights."""
    if run.weight_set is None:
        return None
    log_dataset(store, run_id, run.weight_set)
    return log_model(store, experiment_id, run_id, run.run_name, run.weight_set, run.record)
