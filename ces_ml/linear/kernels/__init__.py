"""Sums over blocks of rows: the only thing that the solver asks of the data."""

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation, PointwiseLoss
from ces_ml.linear.kernels.row_blocks import RowBlocks, distant_columns

__all__ = ["BlockObjective", "Evaluation", "PointwiseLoss", "RowBlocks", "distant_columns"]
