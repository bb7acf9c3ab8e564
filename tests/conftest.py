"""What all tests share: the environment, and the option of tests with golden files."""

import os

# Before scipy is imported: with it, scikit-learn's estimator checks test arrays of other kinds too.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest
from hypothesis import settings

# CI repeats the same examples, so that a change is judged by itself; other runs search on. A
# deadline would judge the machine.
settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--overwrite",
        action="store_true",
        help="write the golden files anew from what the code gives now, then look at the diff",
    )
