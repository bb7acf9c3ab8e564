"""The parity matrix: which consumer gives, for which kind of count, the score that ces-ml gives.

The table is what the consumers did, not what they should do; it is made anew with ``--overwrite``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.exporters import EXPORTERS
from ces_ml.features import build_counts
from ces_ml.scoring import Scorer
from ces_ml.weights import Scale, WeightSet, raw_scores

from .consumers import Refused
from .kinds import AS_OF, KINDS, log_of, rows_of, weight_set_of

TOLERANCE = 1e-9
ROOT = Path(__file__).parents[3]
README, BEGIN, END = ROOT / "README.md", "<!-- parity matrix -->\n", "<!-- end -->\n"
GOLDEN = ROOT / "tests" / "golden" / "parity.md"
#: Export, what runs it, and what goes in.
CONSUMERS = {
    "python": ("Python module", "CPython", "events"),
    "javascript": ("JavaScript module", "Node", "events"),
    "onnx": ("ONNX", "onnxruntime", "counts"),
    "pmml": ("PMML 4.4", "PMML4S", "counts"),
}
#: What the tests of SQL call kinds; arrival is an option of every kind there.
SQL_KINDS = {
    "duration": "duration of a column",
    "pairs": "duration of pairs",
    "filter": "where",
    "arrival": "count",
}
AS_OF_US = AS_OF.value // 1000


def truth(weight_set: WeightSet, log: pd.DataFrame) -> tuple[WeightSet, Any, pd.DataFrame]:
    """Return the weight set on the scale of the log, its counts, and the scores of the batch."""
    counts = build_counts(log, weight_set.spec, as_of=AS_OF, schema=weight_set.events)
    scale = Scale.fit(raw_scores(weight_set, counts.X), n_knots=6)
    weight_set = weight_set.model_copy(update={"scale": scale})
    return weight_set, counts, Scorer(weight_set).score(counts)


def run(format: str, consumer: Any, weight_set: WeightSet, log: pd.DataFrame) -> float:
    """Return the largest difference from the scorer, over all customers and numbers."""
    weight_set, counts, wanted = truth(weight_set, log)
    if CONSUMERS[format][2] == "events":
        asked = [(rows_of(log, customer), AS_OF_US) for customer in counts.keys["who"]]
        rows = consumer.count(weight_set, asked)
    else:
        X = counts.X.toarray() if hasattr(counts.X, "toarray") else counts.X
        rows = [dict(zip(weight_set.names, line, strict=True)) for line in X.tolist()]
    assert len(rows) > 20
    found = consumer.score(weight_set, rows)
    assert wanted["score"].nunique() > 5
    assert [f["band"] for f in found] == wanted["band"].tolist()
    return max(
        float(np.abs(np.array([f[key] for f in found]) - wanted[key]).max())
        for key in ("raw_score", "score", "probability")
    )


def cell(format: str, consumer: Any, kind: str) -> str:
    try:
        apart = run(format, consumer, weight_set_of(kind), log_of(kind))
    except Refused:
        return "refused"
    assert apart <= TOLERANCE, f"{format}, {kind}: {apart:.1e} apart"
    return CONSUMERS[format][2]


def matrix(consumers: dict[str, Any]) -> str:
    head = ["export", "run by", *KINDS]
    lines = [head, ["---"] * len(head)]
    for format, (export, runner, _) in CONSUMERS.items():
        cells = [cell(format, consumers[format], kind) for kind in KINDS]
        lines.append([export, runner, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in [*lines, *sql_lines()]) + "\n"


def sql_lines() -> list[list[str]]:
    """Return the rows of SQL: what its own tests, which start the databases, hold it to."""
    if find_spec("ces_ml.exporters.sql") is None:
        return []
    sql = import_module("ces_ml.exporters.sql.conformance")
    words = {"runs": "events", "parsed": "parsed", "refused": "refused"}
    return [
        [
            f"SQL: {dialect}",
            sql.RUN_BY.get(dialect, "not run: sqlglot parses it"),
            *(words[status[SQL_KINDS.get(kind, kind)]] for kind in KINDS),
        ]
        for dialect, status in sql.conformance().items()
    ]


@pytest.mark.slow
def test_the_parity_matrix_is_what_the_consumers_did(
    consumers: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    made = matrix(consumers)
    if pytestconfig.getoption("--overwrite"):
        GOLDEN.write_text(made, encoding="utf-8")
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        text = before + BEGIN + made + END + rest.partition(END)[2]
        README.write_text(text, encoding="utf-8")
    assert made == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        *((f, k) for f in ("python", "javascript") for k in ("pairs", "filter", "arrival")),
        ("onnx", "mean"),
        ("pmml", "sum"),
    ],
)
def test_a_consumer_scores_as_the_batch_does(
    format: str, kind: str, consumers: dict[str, Any]
) -> None:
    assert cell(format, consumers[format], kind) == CONSUMERS[format][2]


def test_every_export_that_is_not_sql_is_in_the_matrix() -> None:
    assert {*CONSUMERS, "json", "sql"} >= set(EXPORTERS)


def test_the_readme_shows_the_parity_matrix() -> None:
    shown = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == GOLDEN.read_text(encoding="utf-8")
