"""Weight sets with hostile names, and a store that is made once and copied."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from ces_ml.tracking import Tracker, open_store
from ces_ml.weights import Band, Interval, Provenance, Scale, WeightedTerm, WeightSet

HOSTILE = (
    "login",
    "a|b `code`",
    "two\nlines\t",
    "<script>alert('1')</script>",
    "$x^{2}$; DROP TABLE runs; --",
    "quotes \" and ' and \\",
    "😀",
    "",
    " ",
    "..",
    "view:/pricing?x=1",
    "注册成功",
    "x" * 400,
    "case",
    "Case",
)


@pytest.fixture
def make_weight_set() -> Callable[..., WeightSet]:
    def make(names: tuple[str, ...] = HOSTILE, shift: float = 0.0) -> WeightSet:
        terms = tuple(
            WeightedTerm(
                name=name,
                event=name,
                window="30d",
                weight=shift + k / 8,
                interval=Interval(low=k / 8 - 1, high=k / 8 + 1, level=0.9) if k % 2 else None,
            )
            for k, name in enumerate(names)
        )
        return WeightSet(
            name="churn",
            terms=terms,
            intercept=-1.0,
            scale=Scale(method="probability"),
            bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=60)),
            provenance=Provenance(
                data_digest="ab" * 32, config_digest="cd" * 32, rows=20, customers=10, positives=5
            ),
        )

    return make


@pytest.fixture
def weight_set(make_weight_set: Callable[..., WeightSet]) -> WeightSet:
    return make_weight_set()


@pytest.fixture(scope="session")
def template_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store. MLflow takes seconds to make one; a copy takes milliseconds."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``noload`` loader")  # MLflow's own
        open_store(path)
    return path


@pytest.fixture
def db(template_db: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template_db, tmp_path / "mlflow.db"))


@pytest.fixture
def tracker(db: Path) -> Tracker:
    return Tracker(db, experiment="tests")


@pytest.fixture
def log(tracker: Tracker) -> Callable[..., str]:
    """Log a weight set and return the run's id."""

    def log(weight_set: WeightSet, **options: object) -> str:
        given = {"run_name": "base", "params": {}, "metrics": {}, **options}
        return tracker.log_run(weight_set, **given).run_id  # type: ignore[arg-type]

    return log
