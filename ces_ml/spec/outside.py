"""Tables that are given beside the log: outcomes that were decided elsewhere, and treatments."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, show
from ces_ml.spec.as_of import AsOfTable
from ces_ml.spec.model import SpecModel

__all__ = ["LabelSpec", "TreatedSpec"]


class LabelSpec(SpecModel):
    """A table that gives the rows and their outcomes: (customer, as_of, y).

    The same (customer, as_of) twice is an error. A row without `y` is dropped and counted. Ids
    must be of the log's type; they are never converted.

    Parameters
    ----------
    path : str, optional
        Parquet, CSV or TSV file; relative to the configuration file. May be left out when the
        table is passed from Python.
    customer_col : str, optional
        The log's customer column when not given.
    as_of_col, y_col : str, default="as_of", "y"
        The moment of the row, and its outcome: 0 or 1, or false and true; 1 is the good one.
    unknown : {"leave_out", "keep"}, default="leave_out"
        What becomes of rows whose customer has no event before `as_of`: they are left out and
        counted, or kept with counts of 0.

    Examples
    --------
    >>> LabelSpec(path="renewals.csv", y_col="renewed").as_of_col
    'as_of'
    """

    path: str | None = None
    customer_col: str | None = Field(default=None, min_length=1)
    as_of_col: str = Field(default="as_of", min_length=1)
    y_col: str = Field(default="y", min_length=1)
    unknown: Literal["leave_out", "keep"] = "leave_out"

    def model_post_init(self, context: object) -> None:
        """Refuse one column in two roles."""
        _different(self.customer_col, self.as_of_col, self.y_col)

    def table(self, source: Any = None) -> AsOfTable:
        """Return the rows in the form that an engine takes as its `as_of`.

        Parameters
        ----------
        source : path, frame or table, optional
            `path` when not given.

        Raises
        ------
        SpecError
            If there is neither.
        """
        given = self.path if source is None else source
        if given is None:
            raise SpecError(
                "no table of labels is named",
                got="no path in `labels`, and no table passed from Python",
                allowed="the path of a Parquet or CSV file, or a frame",
                hint="add `path` to `labels`, or pass labels=",
            )
        return AsOfTable(given, self.customer_col, self.as_of_col, self.y_col, self.unknown)


class TreatedSpec(SpecModel):
    """Customers that something was done to, which may have changed their outcome.

    A row is treated iff a treatment begins in ``[as_of, end of the outcome window)``, or began
    before `as_of` and was still going on then. How many rows that are, and how often their
    outcome is good beside that of the others, is reported whatever is done with them. Treatments
    before `as_of` are history: their events are counted like all others.

    Parameters
    ----------
    events : str or sequence of str, optional
        Event types or patterns of the log that are treatments, for example ``"campaign_*"``.
    path : str, optional
        A table of treatments instead: Parquet, CSV or TSV, relative to the configuration file.
        May be left out when the table is passed from Python.
    customer_col : str, optional
        The log's customer column when not given.
    from_col, to_col : str, default="from", none
        When a treatment began and ended (half-open). Without `to_col` it is a moment; without a
        value in it, the treatment goes on.
    how : {"exclude", "weight", "keep"}, default="exclude"
        Treated rows are left out, enter with `weight`, or enter like all others.
    weight : float, optional
        For ``how: weight``: the weight of a treated row, where any other has 1.

    Examples
    --------
    >>> TreatedSpec(events="campaign_*", how="weight", weight=0.5).events
    ('campaign_*',)
    """

    events: tuple[str, ...] = ()
    path: str | None = None
    customer_col: str | None = Field(default=None, min_length=1)
    from_col: str = Field(default="from", min_length=1)
    to_col: str | None = Field(default=None, min_length=1)
    how: Literal["exclude", "weight", "keep"] = "exclude"
    weight: float | None = Field(default=None, gt=0, le=1)

    @field_validator("events", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def model_post_init(self, context: object) -> None:
        """Refuse what says nothing or two things."""
        if self.events and self.path is not None:
            raise SpecError(
                "treatments are given twice",
                got=f"events: {show(self.events)} and path: {show(self.path)}",
                allowed="events of the log, or a table",
                hint="remove one of them",
            )
        if (self.how == "weight") != (self.weight is not None):
            raise SpecError(
                "what treated rows weigh is not clear",
                got=f"how: {self.how}, weight: {self.weight}",
                allowed="`how: weight` with a weight above 0 and at most 1, or neither",
                hint="write for example {how: weight, weight: 0.5}",
            )
        _different(self.customer_col, self.from_col, self.to_col)


def _different(*columns: str | None) -> None:
    named = [c for c in columns if c is not None]
    if len(set(named)) < len(named):
        raise SpecError(
            "one column is given two roles",
            got=", ".join(show(c) for c in named),
            allowed="different columns",
            hint="correct the names of the columns",
        )
