"""What an earlier try of the same run left in the store, before it is logged again."""

from __future__ import annotations

from contextlib import suppress

from ces_ml.tracking.explain import explaining
from ces_ml.tracking.pending import LOG_ID_TAG, PendingRun
from ces_ml.tracking.store import Store

__all__ = ["tidied"]


def tidied(store: Store, experiment_id: str, run: PendingRun) -> tuple[str, str | None] | None:
    """Return id and version of `run` if all of it is in the store; mark earlier tries as failed.

    All of it is there if the earlier try came to its end, or to the version of the registered
    model, which is made last.

    Parameters
    ----------
    store : Store
    experiment_id : str
    run : PendingRun

    Returns
    -------
    tuple of str and str or None, or None
        The run's id, and its version if it is registered; None if it must be logged again.
    """
    with explaining(store.uri, "look for an earlier try of the run"):
        tries = store.client.search_runs([experiment_id], f"tags.`{LOG_ID_TAG}` = '{run.log_id}'")
        for found in tries:
            run_id = str(found.info.run_id)
            version = _version_of_run(store, run_id, run.register_as)
            ended = found.info.status == "FINISHED"
            if ended or version is not None:
                if not ended:
                    store.client.set_terminated(run_id, "FINISHED", end_time=run.started_ms)
                return run_id, version
        for found in tries:
            if found.info.status not in ("FAILED", "KILLED"):
                with suppress(Exception):  # a permission to log new runs may not be one to end old
                    store.client.set_terminated(found.info.run_id, "FAILED")
    return None


def _version_of_run(store: Store, run_id: str, register_as: str | None) -> str | None:
    if register_as is None:
        return None
    versions = store.client.search_model_versions(f"run_id = '{run_id}'")
    return next((str(v.version) for v in versions if v.name == register_as), None)
