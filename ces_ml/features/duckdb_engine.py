"""Counting with DuckDB, on one machine."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.errors import CesWarning, EventLogError, SpecError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import prelude_sql
from ces_ml.features.engine import LogProfile, moment_of
from ces_ml.features.matrix import long_to_csr
from ces_ml.features.profile import read_profile
from ces_ml.features.sources import open_source
from ces_ml.spec.as_of import AsOf, AsOfAnchor, AsOfDates, parse_moment, to_us
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec, match_events
from ces_ml.spec.duration import DAY_US, SECOND_US
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql.counting import CountPlan, count_sql
from ces_ml.sql.population import (
    anchored_sql,
    dated_sql,
    first_known_sql,
    good_outcome,
    outcome_sql,
    reasons_to_leave_out,
)
from ces_ml.sql.quoting import literal

__all__ = ["DuckDBEngine"]


class DuckDBEngine:
    """An `Engine` over one event log. Use it in a ``with`` block.

    Parameters
    ----------
    events : path, glob, pandas.DataFrame, polars.DataFrame, pyarrow.Table or DuckDB relation
        The log. A folder means all Parquet files below it.
    schema : EventSchema, optional
        What its columns are called.
    observed_until : datetime or str, optional
        End of the log's observation; the time of its last event when not given.
    threads : int, optional
        Threads that DuckDB uses; all cores by default. Does not change results.
    memory_limit : str, optional
        For example ``"2GB"``: beyond it DuckDB spills to disk.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "event_type": "login",
    ...     "timestamp": pd.to_datetime(["2025-01-01", "2025-01-05", "2025-01-05"])})
    >>> with DuckDBEngine(log) as engine:
    ...     table = engine.table(CountSpec.of(["login"], window="3d"), None)
    >>> table.to_pandas()["login"].tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        events: Any,
        schema: EventSchema | None = None,
        *,
        observed_until: Any = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        import duckdb

        self.schema = schema or EventSchema()
        self._observed_us = None if observed_until is None else to_us(parse_moment(observed_until))
        self._profile: LogProfile | None = None
        self._duckdb_error = duckdb.Error
        self._con = duckdb.connect()
        try:
            self._set(threads, memory_limit)
            self._guard(lambda: open_source(self._con, events, self.schema))
        except BaseException:
            self._con.close()
            raise

    def _set(self, threads: int | None, memory_limit: str | None) -> None:
        # What does not fit memory goes to a folder of its own, which DuckDB removes at the end;
        # by default it would be `.tmp` in whatever folder the job was started from.
        spill = os.path.join(tempfile.gettempdir(), f"ces-ml-{uuid.uuid4().hex}")
        for setting in (
            "TimeZone='UTC'",
            "autoinstall_known_extensions=false",
            "autoload_known_extensions=false",
            "preserve_insertion_order=false",
            f"temp_directory={literal(spill)}",
        ):
            self._con.execute(f"SET {setting}")
        try:
            if threads is not None:
                self._con.execute(f"SET threads={int(threads)}")
            if memory_limit is not None:
                self._con.execute(f"SET memory_limit={literal(str(memory_limit))}")
        except (self._duckdb_error, ValueError, TypeError) as error:
            raise SpecError(
                "an option of the engine has a value that is not allowed",
                got=f"threads={show(threads)}, memory_limit={show(memory_limit)}",
                allowed="threads: a whole number from 1; memory_limit: a size such as '2GB'",
                hint="correct the option, or leave it out",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory."""
        self._con.close()

    def profile(self) -> LogProfile:
        """Read the log once and say what it holds.

        Raises
        ------
        EventLogError
            If a column is missing or unusable, or no row is left.
        """
        if self._profile is None:
            select, naive = self._prelude(())
            self._profile = read_profile(
                self._fetch, select, naive=naive, arrival=self.schema.arrival_col is not None
            )
        return self._profile

    def _prelude(self, properties: tuple[str, ...]) -> tuple[str, bool]:
        described = self._guard(lambda: self._con.sql("SELECT * FROM source LIMIT 0"))
        types = dict(zip(described.columns, map(str, described.types), strict=True))

        def ask(query: str) -> tuple[Any, ...]:
            return tuple(self._fetch(query).to_pylist()[0].values())

        return prelude_sql(types, ask, self.schema, properties)

    def table(
        self, spec: CountSpec, as_of: AsOf | None = None, outcome: OutcomeSpec | None = None
    ) -> CountTable:
        """Count for every customer in the sample at `as_of`, with outcomes where asked.

        Parameters
        ----------
        spec : CountSpec
            Event types are taken by their exact names; those that the log lacks count 0.
        as_of : AsOfDates or AsOfAnchor, optional
            One second after the last event, in whole seconds, when not given.
        outcome : OutcomeSpec, optional
            With it: eligibility, censoring and `y`. Without: everyone seen before `as_of`.

        Returns
        -------
        CountTable

        Raises
        ------
        EventLogError
            If nobody is in the sample, `as_of` lies outside the log, or no outcome window ends
            before the log does.
        """
        profile = self.profile()
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        self._check_values(spec)
        select, _ = self._prelude(plan.properties)
        self._con.execute(
            "CREATE OR REPLACE TEMP VIEW ev AS SELECT * FROM "
            f"({select}) WHERE customer_id IS NOT NULL AND event_type IS NOT NULL "
            "AND ts_us IS NOT NULL"
        )
        if as_of is None:
            moment = moment_of((profile.last_us // SECOND_US + 1) * SECOND_US)
            as_of = AsOfDates((moment,), moment.isoformat())
        report = {"rows_read": profile.rows, **profile.dropped}
        if self.schema.arrival_col is not None:
            report["null_arrival"] = profile.never_arrived
        unseen = set(profile.event_types) - set(spec.events)
        report["event_types_not_counted"] = len(unseen)
        report["events_not_counted"] = sum(profile.event_types[e] for e in unseen)
        self._candidates(as_of, outcome, max(plan.windows))
        y = self._sample(outcome, report)
        keys = self._keys()
        report["rows"] = len(keys)
        X = self._count(plan, len(keys))
        return CountTable(keys=keys, X=X, spec=spec, y=y, report=report)

    def _check_values(self, spec: CountSpec) -> None:
        for term in spec.terms:
            if term.measure == "sum" and not (term.property or self.schema.value_col):
                raise EventLogError(
                    f"term {show(term.name)} sums a value but no column is named",
                    got="measure: sum without property",
                    allowed="a property of the term, or value_col in the event schema",
                    hint="name the value column",
                )

    def _candidates(self, as_of: AsOf, outcome: OutcomeSpec | None, longest_us: int) -> None:
        """Make ``ca(customer_id, as_of_us)``: everyone known before their moment."""
        profile, arrival = self.profile(), self.schema.arrival_col is not None
        observed_us = profile.last_us if self._observed_us is None else self._observed_us
        end_us = max(profile.last_us, observed_us)
        self._make("TABLE", "fk", first_known_sql(arrival=arrival))
        if isinstance(as_of, AsOfAnchor):
            if as_of.event not in profile.event_types:
                raise EventLogError(
                    "the anchor event of as_of never occurs",
                    got=show(as_of.event),
                    allowed=did_you_mean(as_of.event, profile.event_types),
                    hint="correct the event in as_of",
                )
            self._register("an", event_type=pa.array([as_of.event], pa.string()))
            self._make("TABLE", "ca", anchored_sql(as_of.after.us, end_us + SECOND_US))
            return
        moments = [to_us(m) for m in as_of.moments]
        reach_us = 0 if outcome else longest_us
        outside = [m for m in moments if not profile.first_us < m <= end_us + reach_us + 1]
        if outside and (outcome is None or len(outside) == len(moments)):
            raise EventLogError(
                "as_of lies outside the log",
                got=f"{moment_of(outside[0]).isoformat()} ({len(outside)} of {len(moments)} dates)",
                allowed=f"from {profile.first.isoformat()} to {moment_of(end_us).isoformat()}"
                + ("" if outcome else ", or later by less than the longest window"),
                hint="choose a date inside the log",
            )
        if outcome is None and moments[-1] - end_us > DAY_US:
            days = (moments[-1] - end_us) / DAY_US
            warnings.warn(
                f"as_of is {days:.1f} days after the log's last event: recent counts are too low",
                CesWarning,
                stacklevel=3,
            )
        self._register("mo", as_of_us=pa.array(moments, pa.int64()))
        self._make("TABLE", "ca", dated_sql())

    def _sample(self, outcome: OutcomeSpec | None, report: dict[str, int]) -> Any:
        """Make ``cu(r, customer_id, as_of_us)`` from the candidates and return `y` in its order."""
        total = self._number("SELECT COUNT(*) FROM ca")
        if total == 0:
            raise EventLogError(
                "nobody is in the sample",
                got="0 customers with an event before as_of, and as_of inside the log",
                allowed="at least one",
                hint="check as_of",
            )
        order = "ROW_NUMBER() OVER (ORDER BY as_of_us, CAST(customer_id AS VARCHAR)) - 1 AS r"
        if outcome is None:
            self._make("TABLE", "cu", f"SELECT {order}, customer_id, as_of_us FROM ca")
            return None
        profile, arrival = self.profile(), self.schema.arrival_col is not None
        patterns = outcome.event or outcome.silence_of
        own = match_events(patterns, list(profile.event_types))
        self._register("oe", event_type=pa.array(own, pa.string()))
        self._make("TABLE", "oc", outcome_sql(outcome, arrival=arrival))
        end = profile.last_us if self._observed_us is None else self._observed_us
        report["candidates"] = total
        passed = "TRUE"
        for reason, condition in reasons_to_leave_out(outcome, end):
            left = f"SELECT COUNT(*) FROM oc WHERE {passed} AND {condition}"
            report[f"left_out_{reason}"] = self._number(left)
            passed += f" AND NOT ({condition})"
        if report["left_out_censored"] == total:
            latest = moment_of(end - outcome.reach).isoformat()
            raise EventLogError(
                "no outcome is known yet: every horizon ends after the log does",
                got=f"{total:,} rows; the log ends at {moment_of(end).isoformat()}",
                allowed=f"as_of up to {latest} (gap {outcome.gap}, horizon {outcome.horizon})",
                hint="choose an earlier as_of or a shorter horizon",
            )
        self._make(
            "TABLE",
            "cu",
            f"SELECT {order}, customer_id, as_of_us, "
            f"CAST({good_outcome(outcome)} AS TINYINT) AS y FROM oc WHERE {passed}",
        )
        if self._number("SELECT COUNT(*) FROM cu") == 0:
            left_out = {k: v for k, v in report.items() if k.startswith("left_out_")}
            raise EventLogError(
                "nobody is left in the sample",
                got=", ".join(f"{k}: {v:,}" for k, v in left_out.items()),
                allowed="at least one row",
                hint="check active_within, the outcome's event and as_of",
            )
        return self._fetch("SELECT y FROM cu ORDER BY r")["y"].to_numpy().astype(np.int8)

    def _keys(self) -> pd.DataFrame:
        found = self._fetch("SELECT customer_id, as_of_us FROM cu ORDER BY r")
        customer = found["customer_id"].to_pandas()
        moments = pd.DatetimeIndex(found["as_of_us"].to_numpy().astype("datetime64[us]"), tz="UTC")
        return pd.DataFrame({self.schema.customer_col: customer, "as_of": moments})

    def _count(self, plan: CountPlan, n_rows: int) -> Any:
        self._register(
            "vo",
            event_type=pa.array(plan.events, pa.string()),
            code=pa.array(range(len(plan.events)), pa.int32()),
            window_us=pa.array(plan.windows, pa.int64()),
        )
        query = count_sql(plan, arrival=self.schema.arrival_col is not None)
        found = self._fetch(query)
        aggregates = [_finite(found[f"a{k}"]) for k in range(len(plan.aggregates))]
        return long_to_csr(
            found["r"].to_numpy(), found["code"].to_numpy(), aggregates, plan, n_rows
        )

    def _make(self, kind: str, name: str, select: str) -> None:
        self._guard(lambda: self._con.execute(f"CREATE OR REPLACE TEMP {kind} {name} AS {select}"))

    def _register(self, name: str, **columns: Any) -> None:
        self._con.register(name, pa.table(columns))

    def _fetch(self, query: str) -> Any:
        # con.sql, not con.execute: only the former keeps ORDER BY when Arrow is fetched.
        return self._guard(lambda: self._con.sql(query).to_arrow_table())

    def _number(self, query: str) -> int:
        return int(self._fetch(query).column(0)[0].as_py())

    def _guard(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._duckdb_error as error:
            raise EventLogError(
                "the event log can't be counted",
                got=str(error).splitlines()[0][:300],
                allowed="readable files, and memory or disk enough",
                hint="check the files; a memory_limit lets DuckDB spill to disk",
            ) from error


def _finite(column: Any) -> NDArray[np.float64]:
    """Return an aggregate as floats, NaN where there is none; refuse sums past all floats."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    overflown = np.isinf(values).sum() + np.isnan(values).sum() - column.null_count
    if overflown:
        raise EventLogError(
            "sums of a value column are larger than any number",
            got=f"{overflown:,} sums beyond 1.8e308",
            allowed="values whose sums are finite",
            hint="clean or rescale the value column",
        )
    return values
