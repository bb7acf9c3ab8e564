"""What a run leaves in MLflow: keys, values and files, ready to be sent in few calls."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from ces_ml._version import __version__
from ces_ml.errors import TrackingError, show
from ces_ml.tracking.keys import legal_key, metric_keys
from ces_ml.weights import WeightSet

__all__ = [
    "ChildRun",
    "RunRecord",
    "check_artifact_path",
    "finite_metrics",
    "group_record",
    "own_tags",
    "run_record",
    "short_values",
    "this_user",
    "weights_table",
]

WEIGHTS_TABLE = "weights_table.json"
LONG_VALUES = "long_values.json"
#: Longer values MLflow cuts without an error.
MAX_PARAM, MAX_TAG = 6000, 8000
_NONE: Mapping[str, Any] = MappingProxyType({})
_LIMITS = {"params": MAX_PARAM, "tags": MAX_TAG}


@dataclass(frozen=True)
class ChildRun:
    """A fit that was tried: a strength of the penalty, a fold, an alternative.

    It holds numbers only. It has no weight set that could be loaded or promoted.

    Parameters
    ----------
    name : str
        Name of the run; any text.
    kind : str
        What the children of one parent have in common, such as ``"alpha"``; the tag ``ces.kind``.
    params : mapping of str to str, optional
        What it was made with.
    metrics : mapping of str to float, optional
        How good it is. Values that are not finite are left out.
    weights : mapping of str to float, optional
        Weight by term; logged under the keys that the parent's weights have. Those that are not
        finite are left out too.
    """

    name: str
    kind: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """Everything of a run but its weight set, under legal keys and within MLflow's limits.

    Parameters
    ----------
    params, tags : dict of str to str
    metrics : dict of str to float
        Finite.
    files : dict of str to bytes
        Content by path below the run's artifact folder.
    children : tuple of ChildRun
        Runs below it.
    """

    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, bytes]
    children: tuple[ChildRun, ...] = ()


def run_record(
    weight_set: WeightSet,
    *,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    texts: Mapping[str, str],
    figures: Mapping[str, bytes],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    children: Sequence[ChildRun] = (),
) -> RunRecord:
    """Bring everything of a run under legal keys and within MLflow's limits.

    Every weight is a metric ``weight/<term>``, the ends of its interval ``weight_low/<term>`` and
    ``weight_high/<term>``. Metrics that are not finite are left out: MLflow would show infinity
    as 1.8e308. Values that MLflow would cut are cut and end in their hash, so that values that
    differ still look different; they are kept whole in the artifact ``long_values.json``.

    Raises
    ------
    TrackingError
        If the path of an artifact is not a path below the run's folder.
    """
    every_table = {**tables, WEIGHTS_TABLE: weights_table(weight_set)}
    long: dict[str, dict[str, str]] = {}
    every_tag = {**own_tags(weight_set), **tags}
    every_tag["mlflow.loggedArtifacts"] = _listed(every_table)
    short_params = short_values("params", params, long)
    short_tags = short_values("tags", every_tag, long)
    files = {path: text.encode() for path, text in texts.items()}
    files |= figures
    files |= {path: _table(rows).encode() for path, rows in every_table.items()}
    if long:
        files[LONG_VALUES] = json.dumps(long, indent=2, ensure_ascii=False).encode()
    for path in files:
        check_artifact_path(path)
    finite = finite_metrics(metrics) | _weight_metrics(weight_set)
    return RunRecord(
        params=short_params, metrics=finite, tags=short_tags, files=files, children=_plain(children)
    )


def weights_table(weight_set: WeightSet) -> list[dict[str, Any]]:
    """Return the weights with their raw names, one row a term, in the order of the terms."""
    return [
        {
            "term": t.name,
            "event": t.event,
            "measure": t.measure,
            "window": str(t.window),
            "weight": t.weight,
            "low": t.interval.low if t.interval else None,
            "high": t.interval.high if t.interval else None,
            "level": t.interval.level if t.interval else None,
            "evidence": t.evidence,
        }
        for t in weight_set.terms
    ]


def this_user() -> str:
    """Return the login name, or ``"unknown"`` where there is none (containers)."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"


def own_tags(weight_set: WeightSet) -> dict[str, str]:
    """Return who logged what, made with which versions from which data and configuration."""
    tags = {
        "ces.weight_set": weight_set.name,
        "ces.fingerprint": weight_set.fingerprint,
        **_who(),
    }
    if weight_set.provenance is not None:
        tags["ces.data_digest"] = weight_set.provenance.data_digest
        tags["ces.config_digest"] = weight_set.provenance.config_digest
        tags |= {f"version.{p}": v for p, v in weight_set.provenance.versions.items()}
    return tags


def group_record(
    *,
    metrics: Mapping[str, float] = _NONE,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = _NONE,
    children: Sequence[ChildRun] = (),
) -> RunRecord:
    """Return what a run holds that has no weight set, and stands above others."""
    tags = {"ces.kind": "group", **_who()}
    if tables:
        tags["mlflow.loggedArtifacts"] = _listed(tables)
    files = {path: _table(rows).encode() for path, rows in tables.items()}
    return RunRecord({}, finite_metrics(metrics), tags, files, _plain(children))


def _plain(children: Iterable[ChildRun]) -> tuple[ChildRun, ...]:
    """Return the children with the numbers that JSON knows: they may have to wait in a file."""
    return tuple(
        replace(
            child,
            params={k: str(v) for k, v in child.params.items()},
            metrics=finite_metrics(child.metrics),
            weights={k: float(w) for k, w in child.weights.items() if math.isfinite(w)},
        )
        for child in children
    )


def _who() -> dict[str, str]:
    return {
        "ces.version": __version__,
        "mlflow.user": this_user(),
        "mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else "python",
        "mlflow.source.type": "LOCAL",
    }


def finite_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that are finite numbers, under legal keys."""
    return {legal_key(k): float(v) for k, v in metrics.items() if math.isfinite(v)}


def _weight_metrics(weight_set: WeightSet) -> dict[str, float]:
    names = weight_set.names
    keys = (metric_keys(names, p) for p in ("weight/", "weight_low/", "weight_high/"))
    weight, low, high = keys
    found = {weight[t.name]: t.weight for t in weight_set.terms}
    for t in weight_set.terms:
        if t.interval is not None:
            found |= {low[t.name]: t.interval.low, high[t.name]: t.interval.high}
    return {k: v for k, v in found.items() if math.isfinite(v)}


def short_values(
    kind: Literal["params", "tags"],
    values: Mapping[str, str],
    long: dict[str, dict[str, str]] | None = None,
) -> dict[str, str]:
    """Return `values` under legal keys, within MLflow's limits; what is cut goes into `long`."""
    short = {}
    for key, value in values.items():
        text = str(value)
        if len(text) > _LIMITS[kind]:
            where = ""
            if long is not None:
                long.setdefault(kind, {})[key] = text
                where = f", whole text in the artifact {LONG_VALUES}"
            seal = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            end = f"… (cut, sha256 {seal}{where})"
            text = text[: _LIMITS[kind] - len(end)] + end
        short[legal_key(key)] = text
    return short


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows in the form of ``mlflow.log_table``, which its page compares across runs."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    data = [[_cell(row.get(column)) for column in columns] for row in rows]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def _listed(tables: Iterable[str]) -> str:
    """Return the tag by which MLflow's page finds the tables that it compares across runs."""
    return json.dumps([{"path": path, "type": "table"} for path in tables])


def _cell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def check_artifact_path(path: str) -> None:
    """Refuse a path that does not stay below the run's folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise TrackingError(
            "not the path of an artifact",
            got=show(path),
            allowed="a relative path with / between folders, such as figures/weights.png",
            hint="correct the path",
        )
