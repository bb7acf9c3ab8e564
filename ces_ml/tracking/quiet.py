"""MLflow, imported late and quiet: the one place that sets its switches and imports it."""

from __future__ import annotations

import importlib
import os
from typing import Any

__all__ = ["FORCED", "PREFERRED", "mlflow_part"]

#: Always so: nothing is sent to anybody. MLflow reads ``DO_NOT_TRACK`` as the word "true" only.
FORCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
#: So unless the user has chosen otherwise.
PREFERRED = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def mlflow_part(name: str = "mlflow") -> Any:
    """Import `name` (``"mlflow"`` or a part of it) with telemetry off, and return the module.

    The import takes about two seconds the first time, so it happens inside functions only.
    """
    os.environ.update(FORCED)
    for key, value in PREFERRED.items():
        os.environ.setdefault(key, value)
    return importlib.import_module(name)
