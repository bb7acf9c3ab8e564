"""ces-ml: learn the weights of a Customer Engagement Score from outcomes.

The names below are imported when they are first used, so ``import ces_ml`` is quick and brings in
neither scikit-learn nor MLflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ces_ml._version import __version__

if TYPE_CHECKING:
    from ces_ml.evaluation import PurgedGroupTimeSeriesSplit as PurgedGroupTimeSeriesSplit
    from ces_ml.events import EventSchema as EventSchema
    from ces_ml.features import AccountMapping as AccountMapping
    from ces_ml.features import AdbcSource as AdbcSource
    from ces_ml.features import build_counts as build_counts
    from ces_ml.features import inspect_events as inspect_events
    from ces_ml.features import prepare_events as prepare_events
    from ces_ml.features import read_counts as read_counts
    from ces_ml.features import write_counts as write_counts
    from ces_ml.formats import export as export
    from ces_ml.linear import ConstrainedLogisticRegression as ConstrainedLogisticRegression
    from ces_ml.scoring import OnlineScorer as OnlineScorer
    from ces_ml.scoring import Scorer as Scorer
    from ces_ml.spec import CountRule as CountRule
    from ces_ml.spec import CountSpec as CountSpec
    from ces_ml.spec import OutcomeSpec as OutcomeSpec
    from ces_ml.tracking import Tracker as Tracker
    from ces_ml.tracking import load_weight_set as load_weight_set
    from ces_ml.training import TrainingConfig as TrainingConfig
    from ces_ml.training import backtest as backtest
    from ces_ml.training import declines as declines
    from ces_ml.training import explain_change as explain_change
    from ces_ml.training import record as record
    from ces_ml.training import score_events as score_events
    from ces_ml.training import score_to_file as score_to_file
    from ces_ml.training import train as train
    from ces_ml.weights import WeightSet as WeightSet

_HOMES = {
    "AccountMapping": "ces_ml.features",
    "AdbcSource": "ces_ml.features",
    "ConstrainedLogisticRegression": "ces_ml.linear",
    "CountRule": "ces_ml.spec",
    "CountSpec": "ces_ml.spec",
    "EventSchema": "ces_ml.events",
    "OnlineScorer": "ces_ml.scoring",
    "OutcomeSpec": "ces_ml.spec",
    "PurgedGroupTimeSeriesSplit": "ces_ml.evaluation",
    "Scorer": "ces_ml.scoring",
    "Tracker": "ces_ml.tracking",
    "TrainingConfig": "ces_ml.training",
    "WeightSet": "ces_ml.weights",
    "backtest": "ces_ml.training",
    "build_counts": "ces_ml.features",
    "declines": "ces_ml.training",
    "explain_change": "ces_ml.training",
    "export": "ces_ml.formats",
    "inspect_events": "ces_ml.features",
    "load_weight_set": "ces_ml.tracking",
    "prepare_events": "ces_ml.features",
    "read_counts": "ces_ml.features",
    "record": "ces_ml.training",
    "score_events": "ces_ml.training",
    "score_to_file": "ces_ml.training",
    "train": "ces_ml.training",
    "write_counts": "ces_ml.features",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ces_ml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
