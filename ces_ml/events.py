"""What the columns of an event log are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.spec.model import SpecModel

__all__ = ["PRESETS", "EventSchema", "TimeUnit", "preset_columns"]

#: Units of times that are written as numbers since 1970.
TimeUnit = Literal["s", "ms", "us", "ns"]

#: Columns of well-known exports, as `EventSchema.preset` describes them.
PRESETS: dict[str, dict[str, Any]] = {
    "segment": {
        "customer_col": "user_id",
        "anonymous_col": "anonymous_id",
        "event_col": "event",
        "timestamp_col": "timestamp",
        "arrival_col": "received_at",
    },
    "segment_json": {
        "customer_col": "userId",
        "anonymous_col": "anonymousId",
        "event_col": "event",
        "timestamp_col": "timestamp",
        "arrival_col": "receivedAt",
    },
    "ga4": {
        "customer_col": "user_id",
        "anonymous_col": "user_pseudo_id",
        "event_col": "event_name",
        "timestamp_col": "event_timestamp",
        "timestamp_unit": "us",
        "value_col": "event_value_in_usd",
    },
    "snowplow": {
        "customer_col": "user_id",
        "anonymous_col": "domain_userid",
        "event_col": "event_name",
        "timestamp_col": "derived_tstamp",
        "arrival_col": "collector_tstamp",
    },
    "mixpanel": {
        "customer_col": "properties.distinct_id",
        "event_col": "event",
        "timestamp_col": "properties.time",
        "timestamp_unit": "s",
        "arrival_col": "properties.mp_processing_time_ms",
        "arrival_unit": "ms",
    },
    "amplitude": {
        "customer_col": "user_id",
        "anonymous_col": "device_id",
        "event_col": "event_type",
        "timestamp_col": "event_time",
        "arrival_col": "server_upload_time",
    },
}


class EventSchema(SpecModel):
    """Maps the columns of an event log to the words of ces-ml.

    Times without a zone are taken as UTC; times with a zone are converted to UTC. A name that is
    no column but has dots, such as ``properties.time``, is a field inside a column: the longest
    beginning that is a column, then the names of fields in its struct, map or JSON text.

    Parameters
    ----------
    customer_col : str, default="customer_id"
        Who did it: text, integer or UUID.
    event_col : str, default="event_type"
        What was done. Any text is allowed.
    timestamp_col : str, default="timestamp"
        When it was done: a timestamp column, text in ISO 8601, or a number with `timestamp_unit`.
    value_col : str, optional
        The number that ``measure: sum`` adds up unless a term names another column.
    arrival_col : str, optional
        When the row became known. With it, an event counts only if it had arrived before `as_of`.
    anonymous_col : str, optional
        Who did it where `customer_col` is null or empty: a device or cookie. Such a visitor is a
        customer of its own; it is not joined to the user that it may become.
    timestamp_unit : {"s", "ms", "us", "ns"}, optional
        Unit of times that are numbers since 1970-01-01 UTC.
    arrival_unit : {"s", "ms", "us", "ns"}, optional
        The same for `arrival_col`.

    Examples
    --------
    >>> EventSchema(customer_col="user", timestamp_col="ts").event_col
    'event_type'
    >>> EventSchema.preset("mixpanel").timestamp_col
    'properties.time'
    """

    customer_col: str = Field(default="customer_id", min_length=1)
    event_col: str = Field(default="event_type", min_length=1)
    timestamp_col: str = Field(default="timestamp", min_length=1)
    value_col: str | None = Field(default=None, min_length=1)
    arrival_col: str | None = Field(default=None, min_length=1)
    anonymous_col: str | None = Field(default=None, min_length=1)
    timestamp_unit: TimeUnit | None = None
    arrival_unit: TimeUnit | None = None

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return the schema of a well-known export.

        Parameters
        ----------
        name : {"segment", "segment_json", "ga4", "snowplow", "mixpanel", "amplitude"}
            What exported the log; see the references for its columns.

            - ``segment``: the warehouse table ``tracks``; ``segment_json``: raw track calls, one
              JSON object a line [1]_ [2]_.
            - ``ga4``: rows of the BigQuery export; times in microseconds, values in dollars [3]_.
            - ``snowplow``: the table ``atomic.events`` [4]_ [5]_.
            - ``mixpanel``: lines of the raw event export; ``properties.time`` in seconds,
              ``properties.mp_processing_time_ms`` as arrival [6]_.
            - ``amplitude``: lines of the Export API; times in UTC without a zone [7]_.
        **changes
            Columns that differ, for example ``value_col="properties.revenue"``.

        Raises
        ------
        SpecError
            If there is no such preset.

        References
        ----------
        .. [1] Segment, Warehouse Schemas and Spec: Track,
           twilio.com/docs/segment/connections/storage/warehouses/schema
        .. [2] Segment, Spec: Common Fields, twilio.com/docs/segment/connections/spec/common
        .. [3] Google, BigQuery Export schema, support.google.com/analytics/answer/7029846
        .. [4] Snowplow, Atomic event properties,
           docs.snowplow.io/docs/fundamentals/canonical-event
        .. [5] Snowplow, Timestamps, docs.snowplow.io/docs/events/timestamps
        .. [6] Mixpanel, Export Methods, docs.mixpanel.com/docs/export-methods
        .. [7] Amplitude, Export API, amplitude.com/docs/apis/analytics/export

        Examples
        --------
        >>> EventSchema.preset("ga4", anonymous_col=None).timestamp_unit
        'us'
        """
        return cls(**preset_columns(name, changes))

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
        if self.anonymous_col is not None:
            roles.append(self.anonymous_col)
        if len(set(roles)) < len(roles):
            raise SpecError(
                "one column is given two roles",
                got=", ".join(show(r) for r in roles),
                allowed="different columns for customer, event type and time",
                hint="correct customer_col, event_col, timestamp_col or anonymous_col",
            )
        if self.arrival_unit is not None and self.arrival_col is None:
            raise SpecError(
                "arrival_unit is given without an arrival column",
                got=f"arrival_unit: {self.arrival_unit}",
                allowed="arrival_unit with arrival_col",
                hint="name the arrival_col, or remove arrival_unit",
            )


def preset_columns(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a preset with changes; a column that is changed loses its unit.

    Raises
    ------
    SpecError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise SpecError(
            "unknown preset of the event schema",
            got=show(name),
            allowed=did_you_mean(str(name), PRESETS),
            hint="correct the preset, or name the columns themselves",
        )
    columns = dict(PRESETS[name])
    for role in ("timestamp", "arrival"):
        if f"{role}_col" in changes:
            columns.pop(f"{role}_unit", None)
    return {**columns, **changes}
