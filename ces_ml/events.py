"""What the columns of an event log are called."""

from __future__ import annotations

from pydantic import Field

from ces_ml.errors import SpecError, show
from ces_ml.spec.model import SpecModel

__all__ = ["EventSchema"]


class EventSchema(SpecModel):
    """Maps the columns of an event log to the words of ces-ml.

    Times without a zone are taken as UTC; times with a zone are converted to UTC.

    Parameters
    ----------
    customer_col : str, default="customer_id"
        Who did it: text, integer or UUID.
    event_col : str, default="event_type"
        What was done. Any text is allowed.
    timestamp_col : str, default="timestamp"
        When it was done: a timestamp column, or text in ISO 8601.
    value_col : str, optional
        The number that ``measure: sum`` adds up unless a term names another column.
    arrival_col : str, optional
        When the row became known. With it, an event counts only if it had arrived before `as_of`.

    Examples
    --------
    >>> EventSchema(customer_col="user", timestamp_col="ts").event_col
    'event_type'
    """

    customer_col: str = Field(default="customer_id", min_length=1)
    event_col: str = Field(default="event_type", min_length=1)
    timestamp_col: str = Field(default="timestamp", min_length=1)
    value_col: str | None = Field(default=None, min_length=1)
    arrival_col: str | None = Field(default=None, min_length=1)

    def model_post_init(self, context: object) -> None:
        """Refuse one column in two roles, and a customer column that can't stand beside `as_of`."""
        if self.customer_col == "as_of":
            raise SpecError(
                "the customer column can't be called as_of",
                got="customer_col: 'as_of'",
                allowed="any other name; as_of is the moment that counts are taken",
                hint="rename the column in the log",
            )
        roles = [self.customer_col, self.event_col, self.timestamp_col]
        if len(set(roles)) < len(roles):
            raise SpecError(
                "one column is given two roles",
                got=", ".join(show(r) for r in roles),
                allowed="three different columns for customer, event type and time",
                hint="correct customer_col, event_col or timestamp_col",
            )
