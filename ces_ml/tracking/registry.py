"""The model registry: versions of a weight set, and the alias that scorers follow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ces_ml.errors import TrackingError, did_you_mean, show
from ces_ml.tracking.explain import error_code, explaining
from ces_ml.tracking.record import this_user
from ces_ml.tracking.store import Store

__all__ = ["FINGERPRINT_TAG", "check_name", "model_of_run", "move_alias", "register", "version_of"]

FINGERPRINT_TAG = "ces.fingerprint"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_ALIAS = re.compile(r"(?!(?i:latest$|v\d+$))[A-Za-z0-9_-]{1,255}")


def model_of_run(store: Store, run_id: str, name: str | None = None) -> Any:
    """Return the logged model that holds the weight set of a run.

    Parameters
    ----------
    store : Store
    run_id : str
        32 hexadecimal digits.
    name : str, optional
        Name of the logged model, where a run has several.

    Raises
    ------
    TrackingError
        If there is no such run, or no weight set in it.
    """
    with explaining(store.uri, "read the run"):
        try:
            run = store.client.get_run(run_id) if _RUN_ID.fullmatch(run_id) else None
        except Exception as error:
            if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
                raise
            run = None
        if run is None:
            raise TrackingError(
                "no run with this id in the tracking store",
                got=show(run_id),
                allowed=did_you_mean(run_id, _recent_runs(store), most=5),
                hint="take the id from the run's page, or check the store",
            )
        outputs = run.outputs.model_outputs if run.outputs else []
        models = [store.client.get_logged_model(output.model_id) for output in outputs]
    ours = [m for m in models if FINGERPRINT_TAG in m.tags and name in (None, m.name)]
    if not ours:
        raise TrackingError(
            "the run holds no weight set" + (f" called {show(name)}" if name else ""),
            got=f"run {run_id} with {len(models)} logged models, status {run.info.status}",
            allowed=did_you_mean(name or "", [m.name for m in models if FINGERPRINT_TAG in m.tags])
            if name
            else "a run made by ces-ml that came to its end",
            hint="choose a finished run of `ces-ml train`",
        )
    return max(ours, key=lambda m: int(m.creation_timestamp))


def register(store: Store, model: Any, name: str) -> str:
    """Make a version of the registered model `name` from a logged model; return the version.

    Raises
    ------
    TrackingError
        If the name is not allowed.
    """
    check_name(name)
    with explaining(store.uri, f"register {show(name)}"):
        try:
            store.client.create_registered_model(name)
        except Exception as error:  # it is there already, or another process was faster
            if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                raise
        # Behind a server the source must be the model's id. Without one MLflow would look that id
        # up in its global store, so the place itself is given.
        source = f"models:/{model.model_id}" if store.is_server else model.artifact_location
        made = store.client.create_model_version(
            name,
            source=source,
            run_id=model.source_run_id,
            model_id=model.model_id,
            tags={
                FINGERPRINT_TAG: model.tags[FINGERPRINT_TAG],
                "ces.model_id": model.model_id,
                "ces.weight_set": model.tags.get("ces.weight_set", ""),
            },
        )
        version = str(made.version)
        versions = json.loads(model.tags.get("mlflow.modelVersions", "[]"))
        versions.append({"name": name, "version": made.version})
        # MLflow's pages read this tag to show the version beside the run.
        store.client.set_logged_model_tags(
            model.model_id, {"mlflow.modelVersions": json.dumps(versions)}
        )
    return version


def version_of(store: Store, name: str, *, alias: str | None = None, number: str = "") -> Any:
    """Return the version of `name` that has the alias, or the number.

    Raises
    ------
    TrackingError
        If name, alias or version is not there; the message names the nearest.
    """
    with explaining(store.uri, "read the model registry"):
        try:
            model = store.client.get_registered_model(name)
        except Exception as error:
            if error_code(error) not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            known = [m.name for m in store.client.search_registered_models(max_results=1000)]
            raise TrackingError(
                "no registered weight set with this name",
                got=show(name),
                allowed=did_you_mean(name, known),
                hint="correct the name, or register a run with `ces-ml promote`",
            ) from error
        aliases = dict(model.aliases)
        if alias is not None and alias not in aliases:
            raise TrackingError(
                f"{show(name)} has no such alias",
                got=show(alias),
                allowed=did_you_mean(alias, aliases),
                hint="correct the alias, or set it with `ces-ml promote`",
            )
        wanted = str(aliases[alias]) if alias is not None else number
        versions = store.client.search_model_versions(_named(name))
        found = [v for v in versions if str(v.version) == wanted]
    if not found:
        raise TrackingError(
            f"{show(name)} has no such version",
            got=show(wanted),
            allowed=did_you_mean(wanted, [str(v.version) for v in versions]),
            hint="correct the version, or use an alias such as @champion",
        )
    return found[0]


def move_alias(
    store: Store,
    model: Any,
    name: str,
    alias: str,
    reason: str | None,
    beside: Mapping[str, str] = _NOTHING,
) -> str:
    """Point `alias` of `name` at a logged model, registered if needed; return the version.

    The version keeps as tags what an alias does not: where it came from, when, who and why, and
    what stands in `beside`.
    """
    check_name(name)
    if not _ALIAS.fullmatch(alias):
        raise TrackingError(
            "not an alias",
            got=show(alias),
            allowed="letters, digits, _ and -, such as champion; not `latest`, not v1, v2, …",
            hint="choose another alias",
        )
    with explaining(store.uri, "read the model registry"):
        versions = list(store.client.search_model_versions(_named(name)))
    held = [str(v.version) for v in versions if v.tags.get("ces.model_id") == model.model_id]
    version = max(held, key=int) if held else register(store, model, name)
    with explaining(store.uri, f"promote version {version} of {show(name)}"):
        aliases = dict(store.client.get_registered_model(name).aliases)
        before = str(aliases.get(alias, "none"))
        if before == version:
            return version
        history = {
            "promoted_from": before,
            "promoted_to": alias,
            "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "promoted_by": this_user(),
            "promoted_because": reason or "no reason given",
            "fingerprint": model.tags[FINGERPRINT_TAG],
            **beside,
        }
        # History first: if the alias can't be moved, nothing has changed for any scorer.
        for key, value in history.items():
            store.client.set_model_version_tag(name, version, key, value)
        store.client.set_registered_model_alias(name, alias, version)
    return version


def check_name(name: str) -> None:
    """Refuse a name that MLflow's registry can't hold."""
    if not name.strip() or any(c in name for c in "/:'\"@") or not name.isprintable():
        raise TrackingError(
            "not a name for a registered weight set",
            got=show(name),
            allowed="printable text without / : @ and quotes, such as churn",
            hint="choose another name",
        )


def _named(name: str) -> str:
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _recent_runs(store: Store) -> list[str]:
    experiments = [e.experiment_id for e in store.client.search_experiments(max_results=200)]
    runs = store.client.search_runs(experiments, max_results=500)
    return [run.info.run_id for run in runs]
