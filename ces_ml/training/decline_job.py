"""The job that finds customers whose score fell beyond noise, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features import open_engine
from ces_ml.scoring import split_change
from ces_ml.scoring.decline import MOST_FALSE, change_interval, fall_p_values, q_values
from ces_ml.spec import CountTable, Duration, parse_as_of, parse_moment
from ces_ml.training.change_job import change_counts
from ces_ml.training.customers import check_customers
from ces_ml.weights import WeightSet, band_names, raw_scores, scores

__all__ = ["Declines", "declines"]

#: Fewest past changes that noise is told from.
_FEWEST = 6


@dataclass(frozen=True)
class Declines:
    """Falls of scores, and which of them are beyond noise.

    Parameters
    ----------
    falls : DataFrame of shape (n_judged, …)
        One row a customer who was known over the whole history, the least likely fall first: the
        customer, ``as_of``, ``raw_before``, ``raw_after``, ``raw_change``, ``score_before``,
        ``score_after``, ``score_change``, ``band_before``, ``band_after``, ``noise`` (spread of the
        customer's own changes), ``z``, ``p_value``, ``q_value``, ``change_low``, ``change_high``
        (from the intervals of the weights), ``alert``, and for alerts ``reason_k``, ``part_k``,
        ``points_k``: the terms that took most of the raw score, by how much (new events set against
        those that left), and the part of `PARTS` that took it.
    report : mapping of str to int
        How many were judged, alerted, left out as too new, and how many false alerts are expected
        if nobody's habits changed.
    """

    falls: pd.DataFrame
    report: Mapping[str, int] = field(default_factory=dict)

    @property
    def alerts(self) -> pd.DataFrame:
        """The rows that are beyond noise."""
        return self.falls[self.falls["alert"]].reset_index(drop=True)


def declines(
    weight_set: WeightSet,
    events: Any,
    *,
    as_of: Any,
    over: str = "7d",
    history: int = 12,
    level: float = MOST_FALSE,
    control: Literal["rate", "discoveries"] = "rate",
    n_reasons: int = 3,
    schema: EventSchema | None = None,
    engine: str = "duckdb",
    **options: Any,
) -> Declines:
    """Find customers whose score fell beyond noise.

    The raw score is taken at `as_of` and at ``as_of − k·over``; the last change is judged by the
    earlier ones (see `fall_p_values`). An alert is a fall that is unlikely for the customer's own
    habits and, where weights have intervals, one whose interval lies below 0. Customers who were
    not yet known at the earliest moment are not judged; the log should reach back further than that
    by the longest window, or early scores rise with the log.

    Parameters
    ----------
    weight_set : WeightSet
    events : path, glob, frame, table or relation
        The log.
    as_of : str, date or datetime
        The moment of the alert.
    over : str, default="7d"
        Between which moments a change is measured.
    history : int, default=12
        Earlier changes that say what noise is, at least 6.
    level : float, default=0.01
        With `control` ``"rate"``: the share of customers with unchanged habits for whom an alert is
        raised falsely. With ``"discoveries"``: the share of false ones among the alerts.
    control : {"rate", "discoveries"}, default="rate"
        ``"discoveries"`` is Benjamini–Hochberg over all customers; the fewer really decline, the
        fewer alerts.
    n_reasons : int, default=3
    schema : EventSchema, optional
    engine : {"duckdb"}, default="duckdb"
    **options
        Options of the engine.

    Returns
    -------
    Declines

    Raises
    ------
    SpecError
        If the history is too short, or an option is not allowed.
    EventLogError
        If the log does not reach back over the history, nobody is known over all of it, or the
        log can't answer.
    """
    _check(history, level, control, n_reasons)
    schema = schema or weight_set.events
    check_customers(weight_set, schema, options)
    counted = {"schema": schema, "engine": engine, **options}
    last = parse_moment(as_of)
    step = timedelta(microseconds=Duration(over).us)
    moments = _moments(last, step, history + 2)
    with open_engine(events, **counted) as opened:
        _check_reach(opened.profile().first, moments, over)
        table = opened.table(weight_set.spec, parse_as_of(moments))
    names, raw, newer = _histories(table, weight_set, moments)
    p, z, noise = fall_p_values(raw[:, :-1] - raw[:, 1:])
    q = q_values(p)
    now, then = (_design(table, m, names) for m in moments[:2])
    change = raw[:, 0] - raw[:, 1]
    low, high = change_interval(weight_set, now - then, change)
    after, before = scores(weight_set, raw[:, 0]), scores(weight_set, raw[:, 1])
    unlikely = (p if control == "rate" else q) <= level
    columns = {
        schema.customer_col: names,
        "as_of": pd.Timestamp(last),
        "raw_before": raw[:, 1],
        "raw_after": raw[:, 0],
        "raw_change": change,
        "score_before": before,
        "score_after": after,
        "score_change": after - before,
        "band_before": band_names(weight_set, before),
        "band_after": band_names(weight_set, after),
        "noise": noise,
        "z": z,
        "p_value": p,
        "q_value": q,
        "change_low": low,
        "change_high": high,
        "alert": unlikely & (change < 0) & (high < 0),
    }
    falls = pd.DataFrame(columns).sort_values(["p_value", "z"], kind="stable", ignore_index=True)
    alerts = int(falls["alert"].sum())
    if alerts and n_reasons:
        span = (moments[1], moments[0])
        falls = _with_reasons(falls, weight_set, events, span, counted, n_reasons)
    expected = level * (len(falls) if control == "rate" else alerts)
    report = {
        "judged": len(falls),
        "left_out_too_new": newer,
        "alerts": alerts,
        "expected_false_alerts": round(expected),
    }
    return Declines(falls, report)


def _moments(last: Any, step: timedelta, n: int) -> list[Any]:
    try:
        moments = [last - k * step for k in range(n)]
    except OverflowError:
        moments = []
    if len(set(moments)) < n:
        raise SpecError(
            "the steps of the history do not fit the calendar",
            got=f"{n - 1} steps of {step} before {last.isoformat()}",
            allowed="steps of some length, after the year 1",
            hint="correct `over`, or take less history",
        )
    return moments


def _check(history: int, level: float, control: str, n_reasons: int) -> None:
    if n_reasons < 0:
        raise SpecError(
            "the number of reasons is negative",
            got=show(n_reasons),
            allowed="0 or more",
            hint="correct n_reasons",
        )
    if history < _FEWEST:
        raise SpecError(
            "the history is too short to tell noise from a fall",
            got=f"{history} earlier changes",
            allowed=f"at least {_FEWEST}",
            hint="take more history, or shorter steps in `over`",
        )
    if not 0 < level < 1:
        raise SpecError(
            "the level is no share",
            got=show(level),
            allowed="above 0 and below 1, for example 0.01",
            hint="correct the level",
        )
    if control not in ("rate", "discoveries"):
        options = ("rate", "discoveries")
        raise SpecError.unknown("unknown control", control, options, hint="correct `control`")


def _check_reach(first: datetime, moments: list[datetime], over: str) -> None:
    """Refuse a history that begins before the log."""
    if first < moments[-1]:
        return
    held = sum(first < moment for moment in moments)
    fits = held - 2
    remedy = f"history={fits}" if fits >= _FEWEST else "shorter steps in `over`"
    raise EventLogError(
        "the log does not reach back over the history",
        got=f"a log from {first.isoformat()}; history {len(moments) - 2} in steps of {over} begins "
        f"{moments[-1].isoformat()}",
        allowed=f"a history of at least {_FEWEST} earlier changes that begins after the log does",
        hint=f"take {remedy}, or a longer log",
    )


def _histories(
    table: CountTable, weight_set: WeightSet, moments: list[Any]
) -> tuple[pd.Series, Any, int]:
    """Return the customers known at every moment, and their raw scores, the latest first."""
    long = pd.DataFrame(
        {
            "customer": table.customer.to_numpy(),
            "as_of": table.as_of,
            "raw": raw_scores(weight_set, sp.csr_array(table.X)),
        }
    )
    wide = long.pivot(index="customer", columns="as_of", values="raw")
    wide = wide.reindex(columns=[pd.Timestamp(m) for m in moments])
    known = wide.notna().all(axis=1)
    if not known.any():
        raise EventLogError(
            "nobody is known over the whole history",
            got=f"{len(wide):,} customers, none with an event before {moments[-1].isoformat()}",
            allowed="a log that reaches back further than the history",
            hint="take less history, or shorter steps in `over`",
        )
    wide = wide[known]
    names = pd.Series(wide.index, name=None)
    return names, wide.to_numpy(np.float64), int((~known).sum())


def _design(table: CountTable, moment: Any, names: pd.Series) -> Any:
    """Return ``g(n)`` of customers at a moment."""
    mine = np.flatnonzero((table.as_of == pd.Timestamp(moment)).to_numpy())
    places = pd.Index(table.customer.iloc[mine]).get_indexer(pd.Index(names))
    return table.take(mine[places]).design()


def _with_reasons(
    falls: pd.DataFrame,
    weight_set: WeightSet,
    events: Any,
    span: tuple[Any, Any],
    counted: dict[str, Any],
    n_reasons: int,
) -> pd.DataFrame:
    names, counts, _ = change_counts(weight_set, events, span, counted)
    alerted = falls.index[falls["alert"]]
    rows = pd.Index(names).get_indexer(pd.Index(falls.iloc[alerted, 0]))
    mine = counts.take(rows)
    parts = split_change(weight_set, mine, keys=pd.DataFrame({"place": alerted})).parts
    parts = parts.sort_values("raw_points", kind="stable")
    of_term = parts.groupby(["place", "term"], sort=False)
    net = of_term.agg(points=("raw_points", "sum"), part=("part", "first")).reset_index()
    net = net[net["points"] < 0].sort_values("points", kind="stable")
    rank = net.groupby("place").cumcount()
    for k in range(n_reasons):
        nth = net[rank == k].set_index("place")
        for column, source in (("reason", "term"), ("part", "part"), ("points", "points")):
            falls[f"{column}_{k + 1}"] = nth[source].reindex(falls.index)
    return falls
