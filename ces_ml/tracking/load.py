"""A weight set from wherever it is: a file, a run, a registered version or an alias.

Only ``weights.json`` is fetched, and it is checked: format, fingerprint, golden rows, and the
fingerprint that the store noted when the weight set was logged. Nothing in it is executed.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.explain import explaining
from ces_ml.tracking.flavor import PAYLOAD
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.tracking.registry import FINGERPRINT_TAG, model_of_run, version_of
from ces_ml.tracking.store import Store, open_store
from ces_ml.weights import WeightSet

__all__ = ["load_from_store", "load_weight_set", "parts_of"]

_ALIAS_REF = re.compile(r"models:/([^/]+)@([^/@]+)")
_VERSION_REF = re.compile(r"models:/([^/]+)/([0-9]+)")
_MODEL_REF = re.compile(r"models:/(m-[0-9a-f]{32})")
_RUN_REF = re.compile(r"(?:runs:/)?([0-9a-f]{32})(?:/([^/]+))?")


def load_weight_set(
    ref: str | os.PathLike[str], store: str | os.PathLike[str] | None = None
) -> WeightSet:
    """Return the weight set that `ref` means.

    Parameters
    ----------
    ref : str or path-like
        The path of a weight set file; ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; a run
        id, also written ``runs:/ID``; or ``models:/m-…``, as MLflow's pages show it.
    store : str or path-like, optional
        Where runs and versions are looked up; see `default_store`. A file needs no store.

    Raises
    ------
    TrackingError
        If `ref` is not understood or not in the store; the message names the nearest.
    WeightSetError
        If what was found is truncated, edited or of an unknown version.

    Examples
    --------
    >>> load_weight_set("models:/churn@champion", store="sqlite:////data/mlflow.db")
    ... # doctest: +SKIP
    """
    text = os.fspath(ref)
    if not text.startswith(("models:", "runs:")) and not _RUN_REF.fullmatch(text):
        path = Path(text)
        looks_like_path = "@" not in path.name and (path.suffix or os.sep in text)
        if not looks_like_path and not path.is_file():
            raise _not_a_reference(text)
        return WeightSet.load(text)
    _check_form(text)
    return load_from_store(open_store(store, make=False), text)


def load_from_store(store: Store, ref: str) -> WeightSet:
    """Return the weight set that `ref` (not a file) means in an open store."""
    location, expected = _locate(store, ref)
    uri = location.rstrip("/") + "/" + PAYLOAD
    download = mlflow_part("mlflow.artifacts").download_artifacts
    with explaining(store.uri, f"load {show(ref)}"), tempfile.TemporaryDirectory() as folder:
        path = download(artifact_uri=uri, tracking_uri=store.uri, dst_path=folder)
        text = Path(path).read_text(encoding="utf-8")
    weight_set = WeightSet.from_json(text, source=ref)
    if expected and weight_set.fingerprint != expected:
        raise TrackingError(
            "the weight set in the store is not the one that was logged there",
            got=weight_set.fingerprint,
            allowed=expected,
            hint="somebody replaced its file: take another version, or train again",
        )
    return weight_set


def parts_of(ref: str) -> tuple[str, ...]:
    """Return what kind of reference `ref` is, and its parts.

    ``("run", id)``, ``("model", id)``, ``("alias", name, alias)``, ``("version", name, number)``,
    or ``("file",)`` for everything else.

    Examples
    --------
    >>> parts_of("models:/churn@champion"), parts_of("weights.json")
    (('alias', 'churn', 'champion'), ('file',))
    """
    forms = {"model": _MODEL_REF, "run": _RUN_REF, "alias": _ALIAS_REF, "version": _VERSION_REF}
    for kind, form in forms.items():
        if match := form.fullmatch(ref):
            return (kind, *(part for part in match.groups() if part is not None))
    return ("file",)


def _locate(store: Store, ref: str) -> tuple[str, str | None]:
    """Return the folder of a logged weight set and the fingerprint noted when it was logged."""
    _check_form(ref)
    if match := _MODEL_REF.fullmatch(ref):
        return _place_of_model(store, match[1])
    if match := _RUN_REF.fullmatch(ref):
        model = model_of_run(store, match[1], match[2])
        return str(model.artifact_location), model.tags[FINGERPRINT_TAG]
    if match := _ALIAS_REF.fullmatch(ref):
        version = version_of(store, match[1], alias=match[2])
    else:
        match = _VERSION_REF.fullmatch(ref)
        assert match is not None  # noqa: S101  - _check_form lets nothing else through
        version = version_of(store, match[1], number=str(int(match[2])))
    return _place_of_version(store, version)


def _place_of_version(store: Store, version: Any) -> tuple[str, str | None]:
    expected = version.tags.get(FINGERPRINT_TAG)
    if match := _MODEL_REF.fullmatch(version.source):
        place, noted = _place_of_model(store, match[1])
        return place, expected or noted
    return str(version.source), expected


def _place_of_model(store: Store, model_id: str) -> tuple[str, str | None]:
    with explaining(store.uri, f"find the logged model {model_id}"):
        model = store.client.get_logged_model(model_id)
    return str(model.artifact_location), model.tags.get(FINGERPRINT_TAG)


def _check_form(ref: str) -> None:
    forms = (_MODEL_REF, _RUN_REF, _ALIAS_REF, _VERSION_REF)
    if not any(form.fullmatch(ref) for form in forms):
        raise _not_a_reference(ref)


def _not_a_reference(text: str) -> TrackingError:
    alias = re.fullmatch(r"(?:models:/*)?([^/@:]+)@([^/@]+)", text)
    hint = f"write models:/{alias[1]}@{alias[2]}" if alias else "correct the reference"
    return TrackingError(
        "not a reference to a weight set",
        got=show(text),
        allowed="models:/NAME@ALIAS, models:/NAME/VERSION, a run id of 32 hexadecimal digits, "
        "runs:/ID, or the path of a file",
        hint=hint,
    )
