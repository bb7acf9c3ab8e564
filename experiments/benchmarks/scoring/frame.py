"""What does scoring a frame of counts cost beside the bare product, and through mlflow.pyfunc?"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
from harness import main
from task import counts, weight_set

N_ROWS = int(os.environ.get("CES_BENCHMARK_ROWS", "1000000"))
#: Records that are scored one call each; their time is stated a million rows.
N_RECORDS = 200


def arrays(transform: str) -> Any:
    """Return the product as it would be written by hand: it is warm, and memory is there."""

    def prepare() -> Any:
        import numpy as np

        X = counts(N_ROWS).to_numpy()
        w = np.array([t.weight for t in weight_set().terms])
        return X, w, transform

    return prepare


def product(state: Any) -> float:
    import numpy as np

    X, w, transform = state
    return round(float(((np.log1p(X) if transform == "log1p" else X) @ w).sum()), 3)


def scorer(transform: str, n_reasons: int) -> Any:
    def prepare() -> Any:
        from ces_ml.scoring import Scorer

        made = Scorer(weight_set(transform), n_reasons)
        frame = counts(N_ROWS)
        made.score(frame[:1000])
        return made, frame

    return prepare


def score(state: Any) -> float:
    made, frame = state
    return round(float(made.score(frame)["raw_score"].sum()), 3)


def shaped(shape: str) -> Any:
    def prepare() -> Any:
        import polars as pl
        import pyarrow as pa
        import scipy.sparse as sp

        made, frame = scorer("log1p", 0)()
        change = {
            "polars": pl.from_pandas,
            "Arrow": pa.Table.from_pandas,
            "CSR": lambda f: sp.csr_array(f.to_numpy()),
        }
        return made, change[shape](frame)

    return prepare


def pyfunc() -> Any:
    import mlflow

    from ces_ml.tracking.flavor import save_model

    with tempfile.TemporaryDirectory() as folder:
        save_model(weight_set(), Path(folder) / "model")
        model = mlflow.pyfunc.load_model(f"{folder}/model")
    frame = counts(N_ROWS)
    model.predict(frame[:1000])
    return model, frame


def through_pyfunc(state: Any) -> float:
    model, frame = state
    return round(float(model.predict(frame)["raw_score"].sum()), 3)


def records_through_pyfunc(state: Any) -> float:
    import pandas as pd

    model, frame = state
    records = frame[:N_RECORDS].to_dict("records")
    return round(sum(float(model.predict(pd.DataFrame([r]))["raw_score"][0]) for r in records), 3)


def records(state: Any) -> float:
    made, frame = state
    rows = frame[:N_RECORDS].to_dict("records")
    return round(sum(made.score_one(r)["raw_score"] for r in rows), 3)


#: Who takes part, by name: what it prepares, and what is timed. More exports join here.
PEERS = {
    "X @ w": (arrays("identity"), product),
    "ces-ml, identity": (scorer("identity", 0), score),
    "log1p(X) @ w": (arrays("log1p"), product),
    "ces-ml, log1p": (scorer("log1p", 0), score),
    "ces-ml, log1p, polars": (shaped("polars"), score),
    "ces-ml, log1p, Arrow": (shaped("Arrow"), score),
    "ces-ml, log1p, CSR": (shaped("CSR"), score),
    "ces-ml, log1p, 3 reasons": (scorer("log1p", 3), score),
    "mlflow.pyfunc, log1p, 3 reasons": (pyfunc, through_pyfunc),
    f"ces-ml, {N_RECORDS} records": (scorer("log1p", 3), records),
    f"mlflow.pyfunc, {N_RECORDS} records": (pyfunc, records_through_pyfunc),
}

if __name__ == "__main__":
    main(__file__, PEERS, "X @ w", ["numpy", "pandas", "mlflow"], results="results_frame.json")
