"""Weight sets compared wherever they are: runs, versions, aliases and files, by one log."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ces_ml.errors import CesError, CesWarning, SpecError, TrackingError, show
from ces_ml.report import comparison_page
from ces_ml.tracking import load_weight_set, open_store
from ces_ml.tracking.load import parts_of
from ces_ml.tracking.run_files import add_run_files, read_run_file, run_of
from ces_ml.tracking.store import Store
from ces_ml.training.comparing import WeightSetComparison, compare_weight_sets
from ces_ml.training.config import TrainingConfig
from ces_ml.weights import WeightSet

__all__ = ["CONFIG_FILE", "ComparedRuns", "compare_runs", "comparison_files", "config_of_run"]

Ref = str | os.PathLike[str]
#: Artifact of a run that holds the configuration it was trained with.
CONFIG_FILE = "config.yaml"


@dataclass(frozen=True)
class ComparedRuns:
    """A comparison, and where it was kept.

    Parameters
    ----------
    comparison : WeightSetComparison
    page : str
        The comparison as an HTML page.
    logged_to : tuple of str
        Ids of the challengers' runs that hold the page; files have no run.
    """

    comparison: WeightSetComparison
    page: str
    logged_to: tuple[str, ...]


def compare_runs(
    refs: Sequence[Ref],
    config: TrainingConfig | None = None,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    store: Ref | None = None,
    log: bool = True,
    progress: Callable[[str], None] = lambda stage: None,
) -> ComparedRuns:
    """Compare weight sets by reference, and keep the page in the runs of the challengers.

    Parameters
    ----------
    refs : sequence of str or path-like
        Two or more, as `load_weight_set` takes them: the one in use first.
    config : TrainingConfig, optional
        Log, rows, outcome and split to compare on. When not given, the configuration that the last
        challenger's run has kept; where its log can't be read, weights alone are compared.
    events, labels, treated : path, frame, table or relation, optional
        As in `train`.
    store : str or path-like, optional
    log : bool, default=True
        Whether the runs of the challengers get the page and its numbers as artifacts.
    progress : callable, optional

    Returns
    -------
    ComparedRuns

    Raises
    ------
    SpecError
        If fewer than two are named, or one twice.
    TrackingError, WeightSetError
        If one can't be found or read.
    ConfigError, EventLogError
        If a configuration is given and its log can't be read.

    Warns
    -----
    CesWarning
        If the page could not be kept in a run.
    """
    names = _names(refs)
    sets: dict[str, WeightSet] = {n: load_weight_set(r, store) for n, r in names.items()}
    opened: Store | None = None
    runs: dict[str, str | None] = dict.fromkeys(names)
    if any(parts_of(os.fspath(r)) != ("file",) for r in refs):
        opened = open_store(store, make=False)
        runs = {n: run_of(opened, r) for n, r in names.items()}
    given = {"labels": labels, "treated": treated, "progress": progress}
    if config is not None:
        comparison = compare_weight_sets(sets, config, events, **given)
    else:
        comparison = _by_kept_config(sets, opened, list(runs.values()), events, given)
    page = comparison_page(comparison.as_dict())
    logged = []
    if log and opened is not None:
        for run_id in dict.fromkeys(run for run in list(runs.values())[1:] if run):
            try:
                add_run_files(opened, run_id, comparison_files(comparison, page))
            except TrackingError as error:  # what was found is not lost for that
                warnings.warn(
                    f"the comparison of {len(sets)} weight sets could not be kept in run {run_id}: "
                    f"{error.problem} ({error.got})",
                    CesWarning,
                    stacklevel=2,
                )
            else:
                logged.append(run_id)
    return ComparedRuns(comparison, page, tuple(logged))


def config_of_run(store: Store, run_id: str) -> TrainingConfig:
    """Return the configuration that a run has kept.

    Raises
    ------
    TrackingError
        If the run has none.
    ConfigError
        If it is not one that this version can read.
    """
    text = read_run_file(store, run_id, CONFIG_FILE)
    return TrainingConfig.from_yaml(text, source=f"{CONFIG_FILE} of run {run_id}")


def comparison_files(comparison: WeightSetComparison, page: str | None = None) -> dict[str, str]:
    """Return page and numbers of a comparison, by the artifact path that they are kept under."""
    first = comparison.sets[0]
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", first.name).strip("_")[:60] or "weights"
    stem = f"compare/with_{safe}-{first.fingerprint.removeprefix('sha256:')[:8]}"
    body = comparison.as_dict()
    return {
        f"{stem}.html": page or comparison_page(body),
        f"{stem}.json": json.dumps(body, indent=2, ensure_ascii=False) + "\n",
    }


def _by_kept_config(
    sets: dict[str, WeightSet],
    store: Store | None,
    runs: list[str | None],
    events: Any,
    given: dict[str, Any],
) -> WeightSetComparison:
    """Compare on the log of the last challenger's run if that can be read, else the weights."""
    run_id = next((run for run in runs[:0:-1] if run), None)
    if store is None or run_id is None:
        why = "no configuration: the challengers are files"
    else:
        try:
            return compare_weight_sets(sets, config_of_run(store, run_id), events, **given)
        except CesError as error:
            why = f"{error.problem} ({error.got})"
    bare = compare_weight_sets(sets, progress=given["progress"])
    return bare.without_log(why)


def _names(refs: Sequence[Ref]) -> dict[str, Ref]:
    """Return a short name for every reference."""
    texts = [os.fspath(ref) for ref in refs]
    twice = next((t for k, t in enumerate(texts) if t in texts[:k]), None)
    if twice is not None:
        raise SpecError(
            "a weight set is named twice",
            got=show(twice),
            allowed="different weight sets",
            hint="name the weight set in use first, then its challengers",
        )
    short = [_short(text) for text in texts]
    return {
        s if short.count(s) == 1 else text: ref
        for s, text, ref in zip(short, texts, refs, strict=True)
    }


def _short(text: str) -> str:
    kind, *parts = parts_of(text)
    if kind == "run":
        return f"run {parts[0][:8]}"
    if kind == "alias":
        return f"{parts[0]}@{parts[1]}"
    if kind == "version":
        return f"{parts[0]} version {parts[1]}"
    return text if kind == "model" else os.path.basename(text)
