"""Weight sets in MLflow: logged, compared, promoted, loaded. Importing this imports no MLflow."""

from ces_ml.tracking.aliases import AliasHistory, alias_history, rollback
from ces_ml.tracking.gate import RuleResult
from ces_ml.tracking.grouping import grouped
from ces_ml.tracking.history import Move
from ces_ml.tracking.keys import metric_keys
from ces_ml.tracking.lineage import git_tags
from ces_ml.tracking.load import load_weight_set
from ces_ml.tracking.record import ChildRun
from ces_ml.tracking.store import default_store, open_store
from ces_ml.tracking.tracker import RunInfo, Tracker
from ces_ml.tracking.ui import experiment_url, start_ui, ui_command
from ces_ml.tracking.view import experiment_links

__all__ = [
    "AliasHistory",
    "ChildRun",
    "Move",
    "RuleResult",
    "RunInfo",
    "Tracker",
    "alias_history",
    "default_store",
    "experiment_links",
    "experiment_url",
    "git_tags",
    "grouped",
    "load_weight_set",
    "metric_keys",
    "open_store",
    "rollback",
    "start_ui",
    "ui_command",
]
