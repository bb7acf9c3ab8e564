"""Counts and scores in one query of DuckDB: events in, one row of scores a customer out.

The counts are those of `ces_ml.sql.counting.count_sql`, the formula that of
`ces_ml.weights.score_sql`. Weights, caps and names are data in relations: ``tw(code, w0, c0, t0,
…)`` holds what a group of events weighs, and ``tn(t, term)`` what a term is called. Terms that
read one aggregate in one way are one *form*: a column of the query, however many groups it has.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ces_ml.errors import EventLogError
from ces_ml.features.session import Session
from ces_ml.features.sql_engine import RowsToCount
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.terms import Term
from ces_ml.sql.counting import count_sql
from ces_ml.sql.plan import Part
from ces_ml.sql.quoting import float_literal
from ces_ml.weights.score_sql import (
    SqlWords,
    band_sql,
    counts_whole,
    probability_sql,
    score_sql,
    transform_sql,
)
from ces_ml.weights.weight_set import WeightSet
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = ["one_query_can_score", "score_query", "score_stream"]

_ZERO = float_literal(0.0)
_NEVER = "CAST('nan' AS DOUBLE)"


@dataclass(frozen=True)
class _Form:
    """Terms that are computed by one column: at most one a group of events."""

    aggregate: int
    transform: str
    per_us: int | None
    capped: bool
    turn: int
    whole: bool
    signed: bool


def one_query_can_score(weight_set: WeightSet) -> bool:
    """Return whether `score_stream` knows every term; seats are counted another way."""
    return all(t.per in (None, "day") for t in weight_set.terms)


def score_stream(
    session: Session,
    weight_set: WeightSet,
    rows: RowsToCount,
    *,
    customer_col: str,
    n_reasons: int = 3,
) -> Generator[Any, None, None]:
    """Yield the scores of rows that stand ready to be counted, in the order of moment and id.

    Parameters
    ----------
    session : Session
        A DuckDB session, as `SqlEngine.rows_to_count` left it.
    weight_set : WeightSet
    rows : RowsToCount
    customer_col : str
        What ids are called.
    n_reasons : int, default=3

    Yields
    ------
    pyarrow.RecordBatch
        Columns as `ces_ml.scoring.Scorer.score` names them. They are made as they are read; what
        DuckDB holds meanwhile goes through the disk where its memory is limited.

    Raises
    ------
    EventLogError
        If a sum is larger than any number.
    """
    n_reasons = min(n_reasons, len(weight_set.terms))
    query = score_query(session, weight_set, rows, n_reasons)
    named = [customer_col, "as_of", "score", "raw_score", "band", "probability"]
    for k in range(1, n_reasons + 1):
        named += [f"reason_{k}", f"points_{k}"]
    with nullcontext() if rows.span is None else session.narrowed(*rows.span):
        for batch in session.stream(query, as_written=True):
            overflown = pc.sum(pc.is_nan(batch["raw_score"])).as_py()
            if overflown:
                raise EventLogError(
                    "sums of a value column are larger than any number",
                    got=f"{overflown:,} or more customers with sums beyond 1.8e308",
                    allowed="values whose sums are finite",
                    hint="clean or rescale the value column",
                )
            yield batch.rename_columns(named)


def score_query(session: Session, weight_set: WeightSet, rows: RowsToCount, n_reasons: int) -> str:
    """Register the weights and return the query."""
    words = SqlWords(literal=_literal)
    forms = _forms(weight_set, rows)
    _register(session, weight_set, rows, forms)
    if rows.moment_us is None:
        whose = "SELECT r, customer_id, as_of_us FROM cu"
        known = (
            "SELECT c.r AS r, c.as_of_us - f.known_us AS known_us FROM cu c "
            "JOIN fk f ON c.customer_id = f.customer_id"
        )
        order = "r"
    else:
        at = rows.moment_us
        whose = (
            f"SELECT customer_id AS r, customer_id, {at} AS as_of_us FROM fk WHERE known_us < {at}"
        )
        known = f"SELECT customer_id AS r, {at} - known_us AS known_us FROM fk"
        order = "CAST(r AS VARCHAR)"
    reasons = "".join(f", {text}" for k in range(n_reasons) for text in _reason(k + 1))
    return f"""
SELECT customer_id, make_timestamptz(as_of_us) AS as_of, score, raw AS raw_score,
  {band_sql(weight_set.bands, "score", words)} AS band,
  {probability_sql(weight_set, "raw", words)} AS probability{reasons}
FROM (
  SELECT *, {score_sql(weight_set, "raw", words)} AS score
  FROM (
    SELECT k.r AS r, k.customer_id AS customer_id, k.as_of_us AS as_of_us,
      COALESCE(s.raw, {_ZERO}) AS raw{", s.top AS top" if n_reasons else ""}
    FROM ({whose}) k
    LEFT JOIN ({_sums(rows, forms, known, n_reasons)}) s ON k.r = s.r
  ) x
) y
ORDER BY {order}"""


def _reason(k: int) -> tuple[str, str]:
    names = "(SELECT list(term ORDER BY t) FROM tn)"
    return (
        f"list_extract({names}, list_extract(top, {k}).t + 1) AS reason_{k}",
        f"list_extract(top, {k}).c AS points_{k}",
    )


def _forms(weight_set: WeightSet, rows: RowsToCount) -> dict[_Form, list[tuple[int, int]]]:
    """Return the forms, each with the groups and numbers of its terms."""
    forms: dict[_Form, list[tuple[int, int]]] = {}
    for t, term in enumerate(weight_set.terms):
        code, aggregate = rows.plan.columns[t]
        per_us = term.window.us if term.per is not None else None
        turn = 0
        while True:  # terms that differ by cap or weight only are columns of their own
            form = _Form(
                aggregate,
                term.transform,
                per_us,
                term.cap is not None,
                turn,
                counts_whole(term) and term.cap is None,
                _may_be_negative(term),
            )
            held = forms.setdefault(form, [])
            if code not in (c for c, _ in held):
                held.append((code, t))
                break
            turn += 1
    return forms


def _may_be_negative(term: Term) -> bool:
    return term.measure not in ("count", "active_days", "distinct")


def _register(
    session: Session,
    weight_set: WeightSet,
    rows: RowsToCount,
    forms: dict[_Form, list[tuple[int, int]]],
) -> None:
    """Make ``tw`` and ``tn``."""
    codes = range(len(rows.plan.groups))
    columns: dict[str, Any] = {"code": pa.array(codes, pa.int32())}
    for f, held in enumerate(forms.values()):
        of_code: dict[int, tuple[int, WeightedTerm]] = {
            code: (t, weight_set.terms[t]) for code, t in held
        }
        mine = [of_code.get(code) for code in codes]
        columns[f"w{f}"] = pa.array([m and m[1].weight for m in mine], pa.float64())
        columns[f"c{f}"] = pa.array([m and m[1].cap for m in mine], pa.float64())
        columns[f"t{f}"] = pa.array([m and m[0] for m in mine], pa.int32())
    session.register("tw", **columns)
    names = pa.array(weight_set.names, pa.string())
    session.register("tn", t=pa.array(range(len(names)), pa.int32()), term=names)


def _sums(
    rows: RowsToCount, forms: dict[_Form, list[tuple[int, int]]], known: str, n_reasons: int
) -> str:
    """Return the query for ``(r, raw[, top])``: the sum of contributions and the largest of them.

    A contribution without a finite count is NaN, and so is the sum then.
    """
    numbered = dict(enumerate(forms))
    parts = [_part(rows, part, numbered, known, n_reasons) for part in rows.plan.parts]
    together = " UNION ALL ".join(parts)
    if not n_reasons:
        return f"SELECT r, SUM(c) AS raw FROM ({together}) u GROUP BY r"
    # Of equal contributions the first in the order of the terms comes first.
    key = f"struct_pack(a := {_ZERO} - ABS(c), t := t, c := c)"
    return f"""
SELECT r, SUM(c) AS raw, MIN({key}, {n_reasons}) AS top
FROM ({together}) u WHERE c <> {_ZERO} GROUP BY r"""


def _part(
    rows: RowsToCount,
    part: Part,
    forms: dict[int, _Form],
    known: str,
    n_reasons: int,
) -> str:
    """Return the contributions of one query of the plan, ``(r, c)`` or ``(r, t, c)``."""
    mine = {f: form for f, form in forms.items() if form.aggregate in rows.plan.of_part(part)}
    counted = count_sql(rows.plan, part, arrival=rows.arrival, moment_us=rows.moment_us)
    columns, added = ["q.r AS r"], {}
    exposed = any(form.per_us is not None for form in mine.values())
    for f, form in mine.items():
        n = f"CAST(q.a{form.aggregate} AS DOUBLE)"
        if form.per_us is not None:
            days = f"LEAST(e.known_us, {form.per_us}) / {float_literal(float(DAY_US))}"
            n = f"{n} / GREATEST({days}, {float_literal(1.0)})"
        columns += [f"{n} AS n{f}", f"p.w{f} AS w{f}", f"p.t{f} AS t{f}"]
        if form.capped:
            columns.append(f"p.c{f} AS c{f}")
        added[f] = _contribution(f, form)
    exposure = f"LEFT JOIN ({known}) e ON q.r = e.r" if exposed else ""
    inner = f"""
  SELECT {", ".join(columns)}
  FROM ({counted}) q JOIN tw p ON q.code = p.code {exposure}"""
    cut = ", ".join(
        ["r", *(f"n{f}, w{f}, t{f}, {_cut(f, form)} AS m{f}" for f, form in mine.items())]
    )
    inner = f"SELECT {cut} FROM ({inner}) b"
    if not n_reasons:
        return f"SELECT r, {' + '.join(added.values())} AS c FROM ({inner}) d"
    if len(added) == 1:
        [(f, text)] = added.items()
        return f"SELECT r, t{f} AS t, {text} AS c FROM ({inner}) d"
    pairs = ", ".join(f"struct_pack(t := t{f}, c := {text})" for f, text in added.items())
    return (
        f"SELECT r, x.t AS t, x.c AS c FROM (SELECT r, UNNEST([{pairs}]) AS x FROM ({inner}) d) g"
    )


def _cut(f: int, form: _Form) -> str:
    if not form.capped:
        return f"n{f}"
    return f"CASE WHEN n{f} > c{f} THEN c{f} WHEN n{f} < -c{f} THEN -c{f} ELSE n{f} END"


def _contribution(f: int, form: _Form) -> str:
    moved = transform_sql(form.transform, f"m{f}", whole=form.whole, signed=form.signed)
    cases = f"WHEN w{f} IS NULL OR n{f} IS NULL THEN {_ZERO}"
    if form.signed:  # only what adds up values can pass all numbers
        cases = f"WHEN NOT isfinite(n{f}) THEN {_NEVER} {cases}"
    return f"CASE {cases} ELSE w{f} * ({moved}) END"


def _literal(text: str) -> str:
    """Return a string literal of DuckDB, which may hold what standard SQL can't: NUL."""
    quoted = "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
    return f"({quoted})"
