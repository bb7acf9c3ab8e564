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
#: Records that are scored at once through pyfunc, which looks at every number; and one by one.
N_RECORDS, N_SINGLE = 20_000, 200


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


def few(prepare: Any, change: Any) -> Any:
    def prepared() -> Any:
        made, frame = prepare()
        return made, change(frame)

    return prepared


def records_of(frame: Any) -> Any:
    return frame[:N_RECORDS].to_dict("records")


def singles_of(frame: Any) -> Any:
    return frame[:N_SINGLE].to_dict("records")


def records_through_pyfunc(state: Any) -> float:
    made, rows = state
    return round(float(made.predict(rows)["raw_score"].sum()), 3)


def records_as_a_frame(state: Any) -> float:
    import pandas as pd

    made, rows = state
    return round(float(made.score(pd.DataFrame(rows))["raw_score"].sum()), 3)


def singles_through_pyfunc(state: Any) -> float:
    made, rows = state
    return round(sum(float(made.predict([row])["raw_score"].iloc[0]) for row in rows), 3)


def singles(state: Any) -> float:
    made, rows = state
    return round(sum(made.score_one(row)["raw_score"] for row in rows), 3)


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
    "20,000 rows: ces-ml, 3 reasons": (
        few(scorer("log1p", 3), lambda f: f[:N_RECORDS].copy()),
        score,
    ),
    "20,000 records: ces-ml, 3 reasons": (
        few(scorer("log1p", 3), records_of),
        records_as_a_frame,
    ),
    "20,000 records: mlflow.pyfunc": (few(pyfunc, records_of), records_through_pyfunc),
    "200 records one by one: ces-ml": (few(scorer("log1p", 3), singles_of), singles),
    "200 records one by one: mlflow.pyfunc": (few(pyfunc, singles_of), singles_through_pyfunc),
}

if __name__ == "__main__":
    main(__file__, PEERS, "X @ w", ["numpy", "pandas", "mlflow"], results="results_frame.json")
