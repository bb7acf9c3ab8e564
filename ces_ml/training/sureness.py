"""How sure the weights of a job are: intervals from its training rows, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ces_ml.errors import SpecError, show
from ces_ml.evaluation import TimeSplit
from ces_ml.linear import ConstrainedLogisticRegression, WeightIntervals, weight_intervals
from ces_ml.spec.count_table import CountTable

__all__ = ["Sureness", "sureness"]


@dataclass(frozen=True)
class Sureness:
    """Intervals of the weights of a job.

    Parameters
    ----------
    intervals : WeightIntervals or None
        By customer, from the training rows.
    why_none : str
        Why there are no intervals; empty where there are.
    """

    intervals: WeightIntervals | None
    why_none: str = ""

    @property
    def words(self) -> str:
        """How to read the intervals, or why there are none, in a sentence or two."""
        found = self.intervals
        if found is None:
            return f"No intervals: {self.why_none}."
        level = f"{found.level:.0%}".replace("%", " %")
        parts = [
            f"{level} intervals by {found.n_customers:,} customers of the training rows; they "
            "respect the rules. Evidence is of the sign, from the data alone: strong at 99 %, some "
            "at 90 %, none, or rule where a rule says what the weight is."
        ]
        if found.broken:
            rules = ", ".join(show(rule) for rule in found.broken)
            parts.append(
                "The data clearly break these rules, and the intervals are about the best weights "
                f"under them: {rules}."
            )
        return " ".join(parts)


def sureness(
    model: ConstrainedLogisticRegression, table: CountTable, split: TimeSplit, *, level: float
) -> Sureness:
    """Return intervals of the weights of a model that was fitted on the training rows.

    Rows of one customer stand together, and sample weights count as they did in the fit.

    Parameters
    ----------
    model : ConstrainedLogisticRegression
    table : CountTable
    split : TimeSplit
    level : float
        Nominal coverage.

    Returns
    -------
    Sureness
        Without intervals where the training rows give none; a job does not fail for that.
    """
    rows = table.take(split.train)
    # float32, as the weights were fitted.
    X = rows.design().astype(np.float32)
    try:
        found = weight_intervals(
            model,
            X,
            rows.outcomes,
            rows.sample_weight,
            groups=rows.customer.to_numpy(),
            level=level,
        )
    except SpecError as error:
        return Sureness(None, f"{error.problem}; {error.hint}")
    return Sureness(found)
