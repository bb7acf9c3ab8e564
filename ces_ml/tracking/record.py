"""What a run leaves in MLflow: keys, values and files, ready to be sent in few calls."""

from __future__ import annotations

import getpass
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ces_ml._version import __version__
from ces_ml.errors import TrackingError, show
from ces_ml.tracking.keys import legal_key, metric_keys
from ces_ml.weights import WeightSet

__all__ = ["RunRecord", "run_record", "this_user", "weights_table"]

WEIGHTS_TABLE = "weights_table.json"
LONG_VALUES = "long_values.json"
#: Longer values MLflow cuts without an error.
MAX_PARAM, MAX_TAG = 6000, 8000
_CUT = f"… (cut; whole text in the artifact {LONG_VALUES})"


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
    """

    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, bytes]


def run_record(
    weight_set: WeightSet,
    *,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    texts: Mapping[str, str],
    figures: Mapping[str, bytes],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> RunRecord:
    """Bring everything of a run under legal keys and within MLflow's limits.

    Metrics that are not finite are left out: MLflow would show infinity as 1.8e308. Values that
    MLflow would cut are cut, and kept whole in the artifact ``long_values.json``.

    Raises
    ------
    TrackingError
        If the path of an artifact is not a path below the run's folder.
    """
    keys = metric_keys(weight_set.names)
    every_metric = {legal_key(k): float(v) for k, v in metrics.items()}
    every_metric |= {keys[term.name]: term.weight for term in weight_set.terms}
    every_table = {**tables, WEIGHTS_TABLE: weights_table(weight_set)}
    long: dict[str, dict[str, str]] = {}
    every_tag = {**_own_tags(weight_set), **tags}
    every_tag["mlflow.loggedArtifacts"] = json.dumps(
        [{"path": path, "type": "table"} for path in every_table]
    )
    short_params = _within("params", params, MAX_PARAM, long)
    short_tags = _within("tags", every_tag, MAX_TAG, long)
    files = {path: text.encode() for path, text in texts.items()}
    files |= figures
    files |= {path: _table(rows).encode() for path, rows in every_table.items()}
    if long:
        files[LONG_VALUES] = json.dumps(long, indent=2, ensure_ascii=False).encode()
    for path in files:
        _check_artifact_path(path)
    finite = {k: v for k, v in every_metric.items() if math.isfinite(v)}
    return RunRecord(params=short_params, metrics=finite, tags=short_tags, files=files)


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


def _own_tags(weight_set: WeightSet) -> dict[str, str]:
    tags = {
        "ces.weight_set": weight_set.name,
        "ces.fingerprint": weight_set.fingerprint,
        "ces.version": __version__,
        "mlflow.user": this_user(),
        "mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else "python",
        "mlflow.source.type": "LOCAL",
    }
    if weight_set.provenance is not None:
        tags["ces.data_digest"] = weight_set.provenance.data_digest
        tags["ces.config_digest"] = weight_set.provenance.config_digest
    return tags


def _within(
    kind: str, values: Mapping[str, str], limit: int, long: dict[str, dict[str, str]]
) -> dict[str, str]:
    """Return `values` under legal keys, cut at `limit`; what is cut goes whole into `long`."""
    short = {}
    for key, value in values.items():
        text = str(value)
        if len(text) > limit:
            long.setdefault(kind, {})[key] = text
            text = text[: limit - len(_CUT)] + _CUT
        short[legal_key(key)] = text
    return short


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows in the form of ``mlflow.log_table``, which its page compares across runs."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    data = [[_cell(row.get(column)) for column in columns] for row in rows]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def _cell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def _check_artifact_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise TrackingError(
            "not the path of an artifact",
            got=show(path),
            allowed="a relative path with / between folders, such as figures/weights.png",
            hint="correct the path",
        )
