from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .consumers import JavaScript, Onnx, Pmml, Python


@pytest.fixture(scope="session")
def consumers() -> Iterator[dict[str, Any]]:
    """Everything that reads an export, by format; each starts when it is first asked."""
    node = JavaScript()
    yield {"python": Python(), "javascript": node, "onnx": Onnx(), "pmml": Pmml()}
    node.close()
