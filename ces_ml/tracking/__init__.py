"""Weight sets in MLflow: logged, compared, promoted, loaded. Importing this imports no MLflow."""

from ces_ml.tracking.aliases import AliasHistory, alias_history, rollback
from ces_ml.tracking.explain import without_password
from ces_ml.tracking.gate import RuleResult
from ces_ml.tracking.grouping import grouped
from ces_ml.tracking.history import Move
from ces_ml.tracking.keys import metric_keys
from ces_ml.tracking.lineage import git_tags
from ces_ml.tracking.load import load_weight_set
from ces_ml.tracking.record import ChildRun
from ces_ml.tracking.registry import check_name
from ces_ml.tracking.resume import KeptRun, Resumed, list_outbox, resume_outbox
from ces_ml.tracking.store import default_store, open_store
from ces_ml.tracking.tracker import RunInfo, Tracker
from ces_ml.tracking.ui import experiment_url, page_of, start_ui, ui_command
from ces_ml.tracking.view import experiment_links

__all__ = [
    "AliasHistory",
    "ChildRun",
    "KeptRun",
    "Move",
    "Resumed",
    "RuleResult",
    "RunInfo",
    "Tracker",
    "alias_history",
    "check_name",
    "default_store",
    "experiment_links",
    "experiment_url",
    "git_tags",
    "grouped",
    "list_outbox",
    "load_weight_set",
    "metric_keys",
    "open_store",
    "page_of",
    "resume_outbox",
    "rollback",
    "start_ui",
    "ui_command",
    "without_password",
]
