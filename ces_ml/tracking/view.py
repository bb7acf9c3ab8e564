"""An experiment's view: the columns and charts of weights that a fresh browser shows at once.

MLflow's table of runs shows no metric, and its charts all of them, until a person chooses. What was
chosen can be shared as a view, which MLflow keeps in a tag of the experiment. The form of that tag
is not documented, so nothing depends on it: where MLflow reads it no longer, the pages look as they
do without it.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ces_ml.tracking.explain import explaining
from ces_ml.tracking.keys import metric_keys
from ces_ml.tracking.store import Store, open_store
from ces_ml.tracking.ui import VIEW_KEY, VIEW_TAG, experiment_url
from ces_ml.weights import WeightSet

__all__ = ["VIEW_KEY", "VIEW_TAG", "experiment_links", "keep_view", "view_state"]

#: Metrics that make a column, the first of them the order of the runs. MLflow lays columns out by
#: its own rule, metrics by name: each of these moves the weights further to the right.
_METRICS = ("roc_auc", "log_loss")
#: Metrics that get a chart only.
_CHARTS = ("lift_at_10",)
#: Runs with weights that can be promoted: no groups, and none of what was tried on the way.
_FILTER = "tags.`ces.kind` IS NULL"
_FEWEST_METRICS, _MOST_WEIGHTS, _MOST_LINES = 4, 12, 8
#: MLflow refuses longer tags of an experiment.
_MAX_TAG = 20_000


def view_state(
    weight_set: WeightSet, metrics: Mapping[str, float], tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the state of MLflow's page that shows main metrics, verdict and the top weights.

    Parameters
    ----------
    weight_set : WeightSet
        Its terms with the largest weights get columns and charts.
    metrics, tags : mapping
        What the run holds, under legal keys.
    """
    keys = metric_keys(weight_set.names)
    ranked = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    weights = [keys[t.name] for t in ranked]
    main = [m for m in _METRICS if m in metrics]
    main = main or [m for m in metrics if not m.startswith("weight")][:_FEWEST_METRICS]
    columns = ["attributes.`Models`", *(f"metrics.`{m}`" for m in main)]
    columns += ["tags.`verdict`"] if "verdict" in tags else []
    columns += [f"metrics.`{w}`" for w in weights[:_MOST_WEIGHTS]]
    first = f"metrics.`{main[0]}`" if main else "attributes.start_time"
    return {
        "searchFilter": _FILTER,
        "orderByKey": first,
        "orderByAsc": bool(main) and main[0] == "log_loss",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        **_charts([*main, *(m for m in _CHARTS if m in metrics and m not in main)], weights),
    }


def _charts(main: Sequence[str], weights: Sequence[str]) -> dict[str, Any]:
    """Return a section of weights (one a chart, then the largest together) and one of metrics."""
    sections = [
        {"uuid": f"ces-{name.lower()}", "name": name, "display": True, "isReordered": True}
        for name in ("Weights", "Metrics")
    ]
    parallel = {
        "type": "PARALLEL",
        "uuid": "ces-weights-side-by-side",
        "metricSectionId": "ces-weights",
        "selectedParams": [],
        "selectedMetrics": [*weights[:_MOST_LINES], *main[:1]],
        "showAllRuns": True,
    }
    bars = [(w, "ces-weights") for w in weights[:_MOST_WEIGHTS]]
    bars += [(m, "ces-metrics") for m in main]
    charts: list[dict[str, Any]] = [
        {
            "type": "BAR",
            "uuid": f"ces-bar-{k}",
            "metricSectionId": section,
            "metricKey": metric,
            "dataAccessKey": metric,
        }
        for k, (metric, section) in enumerate(bars)
    ]
    charts.append(parallel)
    common = {"isGenerated": False, "deleted": False}
    return {
        "compareRunCharts": [{**chart, **common} for chart in charts],
        "compareRunSections": sections,
        "isAccordionReordered": True,
    }


def keep_view(
    store: Store,
    experiment_id: str,
    weight_set: WeightSet,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> bool:
    """Write the view of the newest weights to the experiment; a failure is left unsaid.

    Returns
    -------
    bool
        Whether the view is there now.
    """
    with suppress(Exception):
        state = view_state(weight_set, metrics, tags)
        held = store.client.get_experiment(experiment_id).tags.get(VIEW_TAG)
        if held is not None and _state_of(held) == state:
            return True
        text = _tag(state, int(time.time() * 1000))
        if len(text) <= _MAX_TAG:
            store.client.set_experiment_tag(experiment_id, VIEW_TAG, text)
            return True
    return False


def experiment_links(
    base: str, store: str | os.PathLike[str] | None = None, most: int = 5
) -> list[tuple[str, str]]:
    """Return name and address of the experiments that weights were logged to, the latest first.

    Parameters
    ----------
    base : str
        Where the store's pages are served, such as ``"http://127.0.0.1:5000"``.
    store : str or path-like, optional
        See `default_store`.
    most : int, default=5

    Raises
    ------
    TrackingError
        If the store can't be opened.
    """
    opened = open_store(store, make=False)
    with explaining(opened.uri, "list the experiments"):
        found = opened.client.search_experiments(order_by=["last_update_time DESC"])
    return [
        (str(e.name), experiment_url(base, e.experiment_id, VIEW_KEY))
        for e in found
        if VIEW_TAG in e.tags
    ][:most]


def _tag(state: Mapping[str, Any], now: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    body = {"name": "weights", "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return json.dumps(body)


def _state_of(text: str) -> Any:
    """Return the state that a tag holds; None where it can't be read."""
    with suppress(Exception):
        packed = json.loads(text)["state"].removeprefix("deflate;")
        return json.loads(zlib.decompress(base64.b64decode(packed)))
    return None
