"""The job that explains changes: an event log and a weight set in, parts of the change out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.scoring.change import ChangeCounts, ScoreChange, split_change
from ces_ml.spec import CountSpec, Duration, Term, parse_moment
from ces_ml.spec.as_of import to_us
from ces_ml.spec.duration import SECOND_US
from ces_ml.spec.where import All, IsNull, Not, parse_where
from ces_ml.sql.measures import NO_WEIGHT
from ces_ml.training.customers import check_customers
from ces_ml.weights import WeightSet

__all__ = ["change_counts", "explain_change"]

#: Customers among whom a name like one that is not known is looked for.
_MOST_SEARCHED = 1000


def explain_change(
    weight_set: WeightSet,
    events: Any,
    *,
    start: Any,
    end: Any,
    against: WeightSet | None = None,
    customers: Iterable[Any] | None = None,
    schema: EventSchema | None = None,
    engine: str = "duckdb",
    **options: Any,
) -> ScoreChange:
    """Say why scores changed between two moments, exactly.

    The change of a customer's score is split, term by term, into events that left the window
    (``aged_out``), decay of those that stay (``faded``) and what became known in between
    (``new``: done since `start`, or done before it and arrived since), and with `against` into
    what other weights make of it; see `split_change` for the path and its law.

    Parameters
    ----------
    weight_set : WeightSet
        The weights at `start`, and at `end` where there is no `against`.
    events : path, glob, frame, table or relation
        The log.
    start, end : str, date or datetime
        The two moments, a whole number of seconds apart.
    against : WeightSet, optional
        The weights at `end`.
    customers : iterable of str or int, optional
        Whom to explain; everyone known before `end` when not given. Who was not known at `start`
        comes from counts of 0.
    schema : EventSchema, optional
        The columns of the log; those of each weight set when not given.
    engine : {"duckdb"}, default="duckdb"
    **options
        Options of the engine.

    Returns
    -------
    ScoreChange
        The parts add up to the change of the raw score and of the score, to 1e-9.

    Raises
    ------
    SpecError
        If `start` is not before `end`.
    EventLogError
        If the log can't be read, or a moment lies outside it, or a customer is not known.
    """
    moments = _two_moments(start, end)
    own = schema is None
    schema = schema or weight_set.events
    for learned in (weight_set, against):
        if learned is not None:
            check_customers(learned, schema, options)
    counted = {"schema": schema, "engine": engine, **options}
    names, counts, report = change_counts(weight_set, events, moments, counted)
    other = None
    if against is not None:
        if own:
            counted["schema"] = against.events
        table = build_counts(events, against.spec, as_of=moments[1], **counted)
        other = _rows(sp.csr_array(table.X), table.customer, names)
    if customers is not None:
        chosen = _chosen(names, customers)
        names = names.iloc[chosen].reset_index(drop=True)
        counts = counts.take(chosen)
        other = None if other is None else other[chosen]
    keys = pd.DataFrame({schema.customer_col: names})
    found = split_change(weight_set, counts, against, other, keys)
    return replace(found, report=report)


def change_counts(
    weight_set: WeightSet, events: Any, moments: tuple[Any, Any], options: dict[str, Any]
) -> tuple[pd.Series, ChangeCounts, dict[str, int]]:
    """Count what `split_change` needs in one pass over the log.

    Returns
    -------
    (Series, ChangeCounts, dict)
        The customers known before the second moment, their counts, and the report of the reading.
    """
    terms = weight_set.spec.terms
    passed = to_us(moments[1]) - to_us(moments[0])
    more, kept_at, day_at = _more_terms(terms, passed, options["schema"].value_col)
    spec = CountSpec(terms=(*terms, *more))
    table = build_counts(events, spec, as_of=list(moments), **options)
    last = (table.as_of == pd.Timestamp(moments[1])).to_numpy()
    names = table.customer[last].reset_index(drop=True)
    after = sp.csc_array(table.X[np.flatnonzero(last)])
    before = sp.csc_array(_rows(table.X[np.flatnonzero(~last)], table.customer[~last], names))
    n = len(terms)
    kept, faded = [], []
    for t, term in enumerate(terms):
        if t not in kept_at:
            kept.append(sp.csc_array((len(names), 1)))
            faded.append(kept[-1])
            continue
        held = before[:, [kept_at[t]]]
        if term.per is None:
            kept.append(held)
            faded.append(_faded(term, before, kept_at[t], passed))
        else:
            kept.append(_divided(held, before, day_at[t]))
            faded.append(_divided(held, after, day_at[t]))
    counts = ChangeCounts(
        before[:, list(range(n))].tocsr(),
        sp.hstack(kept).tocsr(),
        sp.hstack(faded).tocsr(),
        after[:, list(range(n))].tocsr(),
    )
    return names, counts, {**table.report, "rows": len(names)}


def _more_terms(
    terms: tuple[Term, ...], passed: int, value_col: str | None
) -> tuple[list[Term], dict[int, int], dict[int, tuple[int, int]]]:
    """Return the terms that count what stays, and where the columns of each term stand.

    At the first moment the window is shorter by what passes: what it holds is still inside at the
    second. Beside a mean that fades stands the sum of its weights. Rates are counted without their
    divisor, and beside them the events of the term with and without it: their ratio is the divisor.
    """
    more: list[Term] = []
    kept_at: dict[int, int] = {}
    day_at: dict[int, tuple[int, int]] = {}
    for t, term in enumerate(terms):
        if term.window.us <= passed:
            continue
        plain = {"name": "", "per": None}
        window = Duration(f"{(term.window.us - passed) // SECOND_US}s")
        kept_at[t] = len(terms) + len(more)
        more.append(term.model_copy(update={**plain, "window": window}))
        if term.measure == "mean" and term.half_life is not None:
            more.append(_weights_of(term, window, value_col))
        if term.per is not None:
            members = term.counted if term.until is None else (term.until,)
            day_at[t] = (len(terms) + len(more), len(terms) + len(more) + 1)
            own = {"event": term.event, "members": members, "window": term.window}
            more += [Term(**own), Term(**own, per=term.per)]
    return more, kept_at, day_at


def _faded(term: Term, counts: Any, column: int, passed: int) -> Any:
    """Return what becomes of a count in a time in which no event came or left."""
    held = counts[:, [column]]
    if term.half_life is None:
        return held
    stays = float(2.0 ** (-passed / term.half_life.us))
    if term.measure != "mean":
        return held * stays
    # All weights of a mean fade alike, and it stays, until there is no weight left.
    weights = counts[:, [column + 1]].toarray()[:, 0]
    enough = weights * stays > NO_WEIGHT
    return sp.csc_array(held.multiply(enough[:, None].astype(np.float64)))


def _weights_of(term: Term, window: Duration, value_col: str | None) -> Term:
    """Return the term that adds up the weights of a mean that fades."""
    present = Not(IsNull(str(term.property or value_col)))
    where = present if term.where is None else All((parse_where(term.where), present))
    return Term(
        event=term.event,
        members=term.counted,
        window=window,
        half_life=term.half_life,
        where=str(where),
    )


def _divided(held: Any, counts: Any, columns: tuple[int, int]) -> Any:
    whole, rate = (counts[:, [c]].toarray()[:, 0] for c in columns)
    divisor = np.where(rate > 0, whole / np.where(rate > 0, rate, 1.0), 1.0)
    return sp.csc_array(held.multiply((1.0 / divisor)[:, None]))


def _rows(X: Any, customers: pd.Series, names: pd.Series) -> Any:
    """Return the rows of customers in the order of `names`; 0 for those that are not there."""
    places = pd.Index(customers).get_indexer(pd.Index(names))
    known = np.flatnonzero(places >= 0)
    chooser = sp.csr_array(
        (np.ones(len(known)), (known, places[known])), shape=(len(names), X.shape[0])
    )
    return sp.csr_array(chooser @ X)


def _chosen(names: pd.Series, customers: Iterable[Any]) -> NDArray[np.int64]:
    """Return the rows of customers, each once; a number and its text are one customer here."""
    places = pd.Index(names.astype(str))
    wanted = list(dict.fromkeys(str(c) for c in customers))
    rows = places.get_indexer(pd.Index(wanted, dtype=object))
    if (rows < 0).any():
        missing = wanted[int(np.argmax(rows < 0))]
        some = places[:_MOST_SEARCHED].tolist()
        near = [show(c, 40) for c in get_close_matches(missing, some) or some[:3]]
        raise EventLogError(
            "a customer is not known before the end",
            got=show(missing),
            allowed=f"one of the {len(places):,} customers who are, such as {', '.join(near)}",
            hint="check the id, and that the customer has an event before the end",
        )
    return np.asarray(rows, np.int64)


def _two_moments(start: Any, end: Any) -> tuple[Any, Any]:
    first, last = parse_moment(start), parse_moment(end)
    passed = to_us(last) - to_us(first)
    if passed <= 0 or passed % SECOND_US:
        raise SpecError(
            "a change needs a moment and a later one, whole seconds apart",
            got=f"from {first.isoformat()} to {last.isoformat()}",
            allowed="a start before the end",
            hint="correct the moments",
        )
    return first, last
