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


def onnx() -> Any:
    """Return a session of one thread, as all others have, and the counts row by row."""
    import numpy as np
    import onnxruntime

    from ces_ml.exporters import render

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        render(weight_set(), "onnx"), options, providers=["CPUExecutionProvider"]
    )
    X = np.ascontiguousarray(counts(N_ROWS).to_numpy())
    session.run(["raw_score"], {"counts": X[:1000]})
    return session, X


def through_onnx(state: Any) -> float:
    session, X = state
    found = session.run(["raw_score", "score", "probability", "band"], {"counts": X})
    return round(float(found[0].sum()), 3)


def sql() -> Any:
    """Return DuckDB with the counts in a table of its own, and the exported query over it."""
    import duckdb

    from ces_ml.exporters import render

    con = duckdb.connect(config={"threads": 1})
    frame = counts(N_ROWS)
    frame.insert(0, "customer_id", range(N_ROWS))
    con.execute("CREATE TABLE counts AS SELECT * FROM frame")
    query = render(weight_set(), "sql", counts_table="counts", reasons=0, customer_type="number")
    return con, str(query).rstrip().rstrip(";")


def through_sql(state: Any) -> float:
    import pyarrow.compute as pc

    con, query = state
    return round(pc.sum(con.sql(query).to_arrow_table()["raw_score"]).as_py(), 3)


def python_module() -> Any:
    from types import ModuleType

    from ces_ml.exporters import render

    module = ModuleType("scorer")
    exec(compile(render(weight_set(), "python"), "scorer.py", "exec"), module.__dict__)
    return module, counts(N_ROWS)


def records_through_the_module(state: Any) -> float:
    module, rows = state
    return round(sum(module.score_counts(row)["raw_score"] for row in rows), 3)


#: Who takes part, by name: what it prepares, and what is timed. All have one thread.
PEERS = {
    "X @ w": (arrays("identity"), product),
    "ces-ml, identity": (scorer("identity", 0), score),
    "log1p(X) @ w": (arrays("log1p"), product),
    "ces-ml, log1p": (scorer("log1p", 0), score),
    "ces-ml, log1p, polars": (shaped("polars"), score),
    "ces-ml, log1p, Arrow": (shaped("Arrow"), score),
    "ces-ml, log1p, CSR": (shaped("CSR"), score),
    "ces-ml, log1p, 3 reasons": (scorer("log1p", 3), score),
    "ONNX export, onnxruntime, log1p": (onnx, through_onnx),
    "SQL export, DuckDB, log1p": (sql, through_sql),
    "20,000 rows: ces-ml, 3 reasons": (
        few(scorer("log1p", 3), lambda f: f[:N_RECORDS].copy()),
        score,
    ),
    "20,000 records: ces-ml, 3 reasons": (
        few(scorer("log1p", 3), records_of),
        records_as_a_frame,
    ),
    "20,000 records: ces-ml, no reasons": (
        few(scorer("log1p", 0), records_of),
        records_as_a_frame,
    ),
    "20,000 records: Python module": (few(python_module, records_of), records_through_the_module),
    "20,000 records: mlflow.pyfunc, 3 reasons": (few(pyfunc, records_of), records_through_pyfunc),
    "200 records one by one: Python module": (
        few(python_module, singles_of),
        records_through_the_module,
    ),
    "200 records one by one: ces-ml": (few(scorer("log1p", 3), singles_of), singles),
    "200 records one by one: mlflow.pyfunc": (few(pyfunc, singles_of), singles_through_pyfunc),
}

if __name__ == "__main__":
    main(
        __file__,
        PEERS,
        "X @ w",
        ["numpy", "pandas", "mlflow", "onnxruntime", "duckdb"],
        results="results_frame.json",
    )
