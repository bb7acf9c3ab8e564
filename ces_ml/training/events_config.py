"""The section ``events`` of a configuration: where the log is and what its columns are called."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ces_ml.errors import ConfigError
from ces_ml.events import EventSchema, preset_columns
from ces_ml.features import AccountMapping, AdbcSource, PreparedLog
from ces_ml.features.build import ENGINES
from ces_ml.spec.as_of import parse_moment

__all__ = ["EventsConfig"]


class EventsConfig(EventSchema):
    """Where the event log is and what its columns are called.

    Beside the keys below and those of `EventSchema`, ``preset: segment`` (or another of
    `ces_ml.events.PRESETS`) names the columns of a well-known export; keys that are written beside
    it win.

    Parameters
    ----------
    path : str, optional
        Parquet, CSV, TSV or JSON-lines file, glob, folder of Parquet files, prepared log, or
        DuckDB database; relative to the configuration file. May be left out when events are passed
        from Python.
    table : str, optional
        Table of a DuckDB database, beside its path; or, with ``engine: spark`` and no path, a
        table or view that Spark knows.
    format : str, optional
        With ``engine: spark``, the format of what lies at the path, such as ``delta``.
    adbc : AdbcSource, optional
        A query of a database, in place of a path.
    since, until : date or datetime, optional
        Only events of ``[since, until)`` are read.
    partition_col : str, optional
        Hive partition with the UTC date of an event's time.
    accounts : AccountMapping, optional
        With it accounts are the customers.
    observed_until : date or datetime, optional
        End of the log's observation; the time of its last event when not given.
    engine : {"duckdb", "spark"}, default="duckdb"
        What counts: DuckDB on this machine, or the Spark that the job runs in.
    driver_rows : int, default=1000000
        With ``engine: spark``, how many rows a training job brings to its own process. Where there
        are more, they stay in Spark: the weights are fitted to all of them there, and the job
        looks at the rows of so many customers as make about this number.
    """

    error_class = ConfigError
    called = "the section `events`"
    path: str | None = None
    table: str | None = None
    format: str | None = Field(default=None, min_length=1)
    adbc: AdbcSource | None = None
    since: datetime | None = None
    until: datetime | None = None
    partition_col: str | None = Field(default=None, min_length=1)
    accounts: AccountMapping | None = None
    observed_until: datetime | None = None
    engine: Literal["duckdb", "spark"] = "duckdb"
    driver_rows: int = Field(default=1_000_000, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "preset" not in data:
            return data
        rest = {k: v for k, v in data.items() if k != "preset"}
        return preset_columns(str(data["preset"]), rest)

    @field_validator("observed_until", "since", "until", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        return None if value is None else parse_moment(value)

    def model_post_init(self, context: object) -> None:
        """Refuse two logs at once, and a format that nothing reads."""
        super().model_post_init(context)
        if self.format is not None and (self.engine != "spark" or self.path is None):
            raise ConfigError(
                "the format of the event log is named, but nothing reads it",
                got=f"format: {self.format} with engine: {self.engine}"
                + ("" if self.path else " and no path"),
                allowed="format with a path and `engine: spark`",
                hint="add `engine: spark`, or leave out `format`",
            )
        if self.path is not None and self.adbc is not None:
            raise ConfigError(
                "two event logs are named",
                got="path and adbc",
                allowed="one of them",
                hint="remove the one that is not meant",
            )

    @property
    def event_schema(self) -> EventSchema:
        """The column names alone."""
        return EventSchema(**self.model_dump(include=set(EventSchema.model_fields)))

    @property
    def source(self) -> str | AdbcSource | None:
        """The log, where one is named."""
        return self.path if self.adbc is None else self.adbc

    @property
    def named(self) -> bool:
        """Whether a log is named: by a path, a query, or as a table of Spark."""
        return self.source is not None or (self.engine == "spark" and self.table is not None)

    @property
    def described(self) -> str | None:
        """The log in words, without an address or a secret."""
        if self.source is None:
            return self.table if self.named else None
        return self.path if self.adbc is None else self.adbc.described

    @property
    def options(self) -> dict[str, Any]:
        """What `open_engine` is to know beside the log and its columns."""
        keys = ("table", "format", "since", "until", "partition_col", "accounts", "observed_until")
        return {k: getattr(self, k) for k in keys if getattr(self, k) is not None}

    def on(self, engine: str | None) -> EventsConfig:
        """Return the section with another engine; itself without one.

        Raises
        ------
        ConfigError
            If there is no such engine.
        """
        if engine is None:
            return self
        if engine not in ENGINES:
            raise ConfigError.unknown("unknown engine", engine, ENGINES, hint="correct the engine")
        return self.model_copy(update={"engine": engine})

    def located(self, folder: str | os.PathLike[str]) -> EventsConfig:
        """Return the section with its paths relative to `folder`.

        A prepared log names its columns itself.
        """
        changes: dict[str, Any] = {}
        if self.path is not None and "://" not in self.path:
            changes["path"] = os.path.join(folder, self.path)
            if PreparedLog.is_at(changes["path"]):
                known = PreparedLog.read(changes["path"]).schema_with(self)
                changes |= {k: getattr(known, k) for k in EventSchema.model_fields}
        if self.accounts is not None:
            changes["accounts"] = self.accounts.located(folder)
        return self.model_copy(update=changes)
