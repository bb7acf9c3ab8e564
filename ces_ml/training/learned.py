"""What a weight set was learned from, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ces_ml.spec.count_table import CountTable

__all__ = ["Learned"]


@dataclass(frozen=True)
class Learned:
    """The training rows of a job, as the provenance of its weights states them.

    Parameters
    ----------
    rows, customers, positives : int
    as_of : (str, str)
        The first moment and the last, ISO 8601, UTC.
    digest : str
        What tells these rows from others; see `CountTable.digest` and `RowsInSpark.learned`.
    """

    rows: int
    customers: int
    positives: int
    as_of: tuple[str, str]
    digest: str

    @classmethod
    def of(cls, table: CountTable) -> Self:
        """Return the numbers of rows in this process."""
        return cls(
            rows=len(table),
            customers=table.customer.nunique(),
            positives=int(table.outcomes.sum()),
            as_of=(table.as_of.min().isoformat(), table.as_of.max().isoformat()),
            digest=table.digest(),
        )
