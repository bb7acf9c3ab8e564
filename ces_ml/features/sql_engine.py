"""An engine that counts with SQL: the same text over every session."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.engine import LogProfile, moment_of
from ces_ml.features.history import read_history
from ces_ml.features.judging import Sample, choose_rows, make_sample
from ces_ml.features.long_counts import (
    count_blocks,
    count_matrix,
    register_plan,
    row_denominators,
)
from ces_ml.features.matrix import stacked
from ces_ml.features.profile import of_accounts, read_profile, read_profile_and_customers
from ces_ml.features.sampling import ObservedLog, check_moments, make_candidates
from ces_ml.features.session import Session, number
from ces_ml.spec.as_of import AsOf, AsOfAnchor, AsOfDates, AsOfTable, parse_moment, to_us
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import SECOND_US
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql.plan import CountPlan, Property
from ces_ml.sql.population import first_known_sql

__all__ = ["RowsToCount", "SqlEngine"]

#: Places of the matrix that are filled at a time where memory is limited.
_BLOCK = 1 << 24
#: Measures that read a number, and what they do with it.
_READS = {"sum": "sums a value", "mean": "averages a value", "duration": "adds up durations"}


@dataclass(frozen=True)
class _Sampled:
    """Outcomes of the rows in ``cu``, and what the log holds that is not counted."""

    sample: Sample
    report: dict[str, int]
    unseen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsToCount:
    """Rows that stand ready to be counted, as relations of a session.

    Parameters
    ----------
    plan : CountPlan
        What ``vo`` and ``pv`` hold.
    report, not_counted : dict of str to int
        As those of a `CountTable`.
    moment_us : int, optional
        The moment of all rows, where it is one: then a row is a customer of
        ``fk(customer_id, known_us)`` known before it. Otherwise rows are those of ``cu``.
    arrival : bool
        Whether ``ev`` has ``arrival_us``.
    span : (int, int), optional
        Only events of ``[since, until)`` can count.
    """

    plan: CountPlan
    report: dict[str, int]
    not_counted: dict[str, int]
    moment_us: int | None
    arrival: bool
    span: tuple[int, int] | None


class SqlEngine:
    """An `Engine` over one event log in a session. Use it in a ``with`` block.

    Parameters
    ----------
    session : Session
        Where the SQL runs.
    schema : EventSchema
        What the columns of the log are called.
    observed_until : datetime or str, optional
        End of the log's observation; the time of its last event when not given.
    """

    def __init__(
        self, session: Session, schema: EventSchema, *, observed_until: Any = None
    ) -> None:
        self.session, self.schema = session, schema
        self._observed_us = None if observed_until is None else to_us(parse_moment(observed_until))
        self._profile: LogProfile | None = None

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
        self.session.close()

    def profile(self) -> LogProfile:
        """Read the log once and say what it holds.

        Where accounts are the customers, events of users without one at the time are dropped as
        ``no_account``, and ``users_without_account`` says how many users they are of.

        Raises
        ------
        EventLogError
            If a column is missing or unusable, or no row is left.
        """
        if self._profile is None:
            select, naive = self.session.prelude(self.schema, ())
            arrival = self.schema.arrival_col is not None
            found = read_profile(self.session.fetch, select, naive=naive, arrival=arrival)
            self._profile = of_accounts(self.session, found)
        return self._profile

    def table(
        self,
        spec: CountSpec,
        as_of: AsOf | None = None,
        outcome: OutcomeSpec | None = None,
        *,
        treated: Any = None,
    ) -> CountTable:
        """Count for every customer in the sample at `as_of`, with outcomes where asked.

        Parameters
        ----------
        spec : CountSpec
            Event types are taken by their exact names; those that the log lacks count 0.
        as_of : AsOfDates, AsOfAnchor or AsOfTable, optional
            One second after the last event, in whole seconds, when not given; the rows of the
            outcome's `labels` where it has them.
        outcome : OutcomeSpec, optional
            With it: eligibility, censoring and `y`. Without: everyone seen before `as_of`.
        treated : path, frame or table, optional
            Treatments, where the outcome's own `treated` does not name them.

        Returns
        -------
        CountTable

        Raises
        ------
        EventLogError
            If nobody is in the sample, `as_of` lies outside the log, or no outcome window ends
            before the log does.
        SpecError
            If `as_of` and the outcome's `labels` both give the rows.
        """
        made = self._sampled(spec, as_of, outcome, treated)
        keys = self._keys(self._rows())
        made.report["rows"] = len(keys)
        X = self.count(spec, len(keys), made.report)
        y, weight = made.sample.y, made.sample.sample_weight
        return CountTable(keys, X, spec, y, made.report, weight, made.unseen)

    def blocks(
        self,
        spec: CountSpec,
        as_of: AsOf | None = None,
        outcome: OutcomeSpec | None = None,
        *,
        treated: Any = None,
        size: int,
    ) -> Generator[CountTable, None, None]:
        """Yield what `table` returns in tables of `size` rows, the last one shorter.

        The counts are sorted on the way, through the disk where the memory is limited, and held
        one block at a time; ids, moments and outcomes are held as a whole (some 30 bytes a row).
        Until the last block is read nothing else may be asked. The report of each block is that of
        the whole.
        """
        made = self._sampled(spec, as_of, outcome, treated)
        cu = self._rows()
        made.report["rows"] = len(cu)
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        register_plan(self.session, plan, made.report)
        denominators = row_denominators(self.session, spec)
        arrival = self.schema.arrival_col is not None
        y, weight = made.sample.y, made.sample.sample_weight
        with self._in_reach(plan):
            for rows, X in count_blocks(
                self.session, plan, len(cu), size, denominators, arrival=arrival
            ):
                yield CountTable(
                    self._keys(cu.slice(rows.start, rows.stop - rows.start)),
                    X,
                    spec,
                    None if y is None else y[rows],
                    made.report,
                    None if weight is None else weight[rows],
                    made.unseen,
                )

    def _sampled(
        self,
        spec: CountSpec,
        as_of: AsOf | None,
        outcome: OutcomeSpec | None,
        treated: Any,
        *,
        held: bool = True,
    ) -> _Sampled:
        """Make ``ev`` and ``cu``; without `held` the outcomes stay in the session."""
        profile = self.profile()
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        self._check_values(spec)
        if outcome is not None and outcome.labels is not None:
            as_of = _labelled(as_of, outcome)
        column = outcome.growth.property if outcome is not None and outcome.growth else None
        grows = Property(column) if column else None
        properties = tuple(dict.fromkeys([*plan.properties, *([grows] if grows else [])]))
        self._make_ev(properties, plan)
        report, unseen = self._reported(profile, spec)
        log = self._observed(profile)
        as_of = as_of or _after(profile)
        make_candidates(self.session, log, as_of, outcome, max(plan.windows), report)
        value = f"p{properties.index(grows)}" if grows else None
        if not held:
            choose_rows(self.session, log, outcome, report, value=value, treated=treated)
            return _Sampled(Sample(), report, unseen)
        sample = make_sample(self.session, log, outcome, report, value=value, treated=treated)
        return _Sampled(sample, report, unseen)

    def _make_ev(self, properties: tuple[Property, ...], plan: CountPlan) -> None:
        select, _ = self.session.prelude(self.schema, properties, plan.filters)
        self.session.make(
            "VIEW",
            "ev",
            f"SELECT * FROM ({select}) WHERE customer_id IS NOT NULL AND event_type IS NOT NULL "
            "AND ts_us IS NOT NULL",
        )

    def _reported(
        self, profile: LogProfile, spec: CountSpec
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return what was read and dropped, and the events of types that are not counted."""
        report = {"rows_read": profile.rows, **profile.dropped}
        if self.schema.arrival_col is not None:
            report["null_arrival"] = profile.never_arrived
        counted = set(spec.events)
        unseen = {e: n for e, n in profile.event_types.items() if e not in counted}
        unseen = dict(sorted(unseen.items(), key=lambda item: -item[1]))
        report["event_types_not_counted"] = len(unseen)
        report["events_not_counted"] = sum(unseen.values())
        return report, unseen

    def _observed(self, profile: LogProfile) -> ObservedLog:
        end_us = profile.last_us if self._observed_us is None else self._observed_us
        arrival = self.schema.arrival_col is not None
        return ObservedLog(profile, end_us, arrival, self.schema.customer_col)

    def rows_to_count(self, spec: CountSpec, as_of: AsOf | None = None) -> RowsToCount:
        """Make the relations that `count_sql` reads, for everyone seen before `as_of`.

        What `table` does before it counts, for who counts with a query of their own.

        Raises
        ------
        EventLogError
            As `table`.
        """
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        arrival = self.schema.arrival_col is not None
        moments = as_of.moments if isinstance(as_of, AsOfDates) else (None,)
        if arrival or len(moments) > 1 or isinstance(as_of, AsOfAnchor | AsOfTable):
            made = self._sampled(spec, as_of, None, None)
            report, unseen, moment_us = made.report, made.unseen, None
            report["rows"] = number(self.session, "SELECT COUNT(*) FROM cu")
            reach = self.session.fetch("SELECT MIN(as_of_us) AS a, MAX(as_of_us) AS b FROM cu")
            first, last = (reach[c][0].as_py() for c in ("a", "b"))
        else:
            known = self._profile_and_customers()
            profile = self.profile()
            self._check_values(spec)
            self._make_ev(plan.properties, plan)
            if not known:
                self.session.make("TABLE", "fk", first_known_sql(arrival=False))
            report, unseen = self._reported(profile, spec)
            dates = as_of if isinstance(as_of, AsOfDates) else _after(profile)
            [moment_us] = check_moments(self._observed(profile), dates, None, max(plan.windows))
            report["rows"] = number(
                self.session, f"SELECT COUNT(*) FROM fk WHERE known_us < {moment_us}"
            )
            first = last = moment_us
        register_plan(self.session, plan, report)
        span = None if plan.pairs() else (first - max(plan.windows), last)
        return RowsToCount(plan, report, unseen, moment_us, arrival, span)

    def _profile_and_customers(self) -> bool:
        """Make ``fk`` by the reading of the log that its profile takes, where that can be."""
        if self._profile is not None or self.session.by_account:
            return False
        select, naive = self.session.prelude(self.schema, ())
        self._profile = read_profile_and_customers(self.session, select, naive=naive)
        return self._profile is not None

    def count(self, spec: CountSpec, n_rows: int, report: dict[str, int]) -> Any:
        """Count the rows of the relation ``cu``, numbered from 0, as csr_array.

        Parameters
        ----------
        spec : CountSpec
            The one whose columns ``ev`` has: that of the last `table`.
        n_rows : int
        report : dict of str to int
            Gets how many starts of pairs have no end, where pairs are counted.
        """
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        arrival = self.schema.arrival_col is not None
        register_plan(self.session, plan, report)
        denominators = row_denominators(self.session, spec)
        with self._in_reach(plan):
            if not self.session.bounded:
                return count_matrix(self.session, plan, n_rows, denominators, arrival=arrival)
            size = max(1, _BLOCK // len(spec.terms))
            blocks = count_blocks(self.session, plan, n_rows, size, denominators, arrival=arrival)
            return stacked((X for _, X in blocks), len(spec.terms))

    def _in_reach(self, plan: CountPlan) -> AbstractContextManager[None]:
        """Let the session read only what the counts can reach."""
        if plan.pairs():  # the start of a pair may lie before the window that its end lies in
            return nullcontext()
        reach = self.session.fetch("SELECT MIN(as_of_us) AS a, MAX(as_of_us) AS b FROM cu")
        first, last = (reach[c][0].as_py() for c in ("a", "b"))
        return self.session.narrowed(first - max(plan.windows), last)

    def support(self) -> dict[str, int]:
        """Return how many customers have each event type. Reads the log once more."""
        select, _ = self.session.prelude(self.schema, ())
        found = self.session.fetch(
            f"SELECT event_type, COUNT(DISTINCT customer_id) AS n FROM ({select}) "
            "WHERE event_type IS NOT NULL AND ts_us IS NOT NULL GROUP BY event_type"
        ).to_pydict()
        return dict(zip(found["event_type"], found["n"], strict=True))

    def history(self, spec: CountSpec) -> NDArray[np.float64]:
        """Return three numbers for each row of the last `table`; see `read_history`."""
        return read_history(self.session, spec, arrival=self.schema.arrival_col is not None)

    def _check_values(self, spec: CountSpec) -> None:
        for term in spec.terms:
            reads = _READS.get(term.measure)
            if reads and not (term.property or term.until or self.schema.value_col):
                raise EventLogError(
                    f"term {show(term.name)} {reads} but no column is named",
                    got=f"measure: {term.measure} without property",
                    allowed="a property of the term, or value_col in the event schema",
                    hint="name the value column",
                )

    def _rows(self) -> Any:
        return self.session.fetch("SELECT customer_id, as_of_us FROM cu ORDER BY r")

    def _keys(self, found: Any) -> pd.DataFrame:
        customer = found["customer_id"].to_pandas()
        moments = pd.DatetimeIndex(found["as_of_us"].to_numpy().astype("datetime64[us]"), tz="UTC")
        return pd.DataFrame({self.schema.customer_col: customer, "as_of": moments})


def _after(profile: LogProfile) -> AsOfDates:
    """Return one second after the last event, in whole seconds."""
    moment = moment_of((profile.last_us // SECOND_US + 1) * SECOND_US)
    return AsOfDates((moment,), moment.isoformat())


def _labelled(as_of: AsOf | None, outcome: OutcomeSpec) -> AsOf:
    """Return the rows of a table of labels."""
    if as_of is None and outcome.labels is not None:
        return outcome.labels.table()
    if isinstance(as_of, AsOfTable) and as_of.y_col is not None:
        return as_of
    raise SpecError(
        "the rows are given twice",
        got=f"as_of: {show(str(as_of))}, and labels",
        allowed="labels alone: every row of their table has its own as_of",
        hint="remove as_of, or the labels",
    )
