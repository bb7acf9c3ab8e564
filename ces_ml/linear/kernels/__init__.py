"""Sums over blocks of rows: the only thing that the solver asks of the data.

`ces_ml.linear.kernels.parquet_blocks`, for rows in files, is imported by itself: it needs pyarrow.
"""

from ces_ml.linear.kernels.contract import (
    BlockObjective,
    Evaluation,
    Moments,
    PointwiseLoss,
    Slope,
)
from ces_ml.linear.kernels.row_blocks import RowBlocks, distant_columns, distant_range

__all__ = [
    "BlockObjective",
    "Evaluation",
    "Moments",
    "PointwiseLoss",
    "RowBlocks",
    "Slope",
    "distant_columns",
    "distant_range",
]
