"""The relations that the counting SQL reads, as common table expressions over a table of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ces_ml.errors import SpecError, show
from ces_ml.exporters.sql.dialect import Dialect
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.spec.as_of import parse_moment, to_us
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.where import All, Comparison, Condition, IsTrue, Not, OneOf, Value, parse_where
from ces_ml.sql.counting import count_sql
from ces_ml.sql.filters import Kind, condition_sql, value_sql
from ces_ml.sql.plan import CountPlan, Property
from ces_ml.sql.population import first_known_sql
from ces_ml.weights.weight_set import WeightSet
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = [
    "AS_OF_VARIABLE",
    "CUSTOMER",
    "Relations",
    "counted_relations",
    "given_relations",
    "row_list",
    "row_relation",
]

#: Names and queries of common table expressions, in order.
Relations = dict[str, str]
#: The customer in relations; the table may call it otherwise.
CUSTOMER = "customer_id"
#: Stands for the variable of dbt until braces have been made harmless; no name can hold a NUL.
AS_OF_VARIABLE = "\0as_of\0"


def counted_relations(weight_set: WeightSet, options: SqlOptions, table: str) -> Relations:
    """Return the relations from the log to ``counts(customer_id, as_of_us, n0, n1, …)``.

    Everyone who is known before ``as_of`` is there, with 0 where nothing was counted.

    Raises
    ------
    SpecError
        If a term can't be counted from one table of events.
    """
    _check(weight_set)
    words = options.words
    plan = CountPlan.of(weight_set.spec.terms, weight_set.events.value_col)
    arrival = weight_set.events.arrival_col is not None
    made: Relations = {
        "mo": f"SELECT {_moment(options)} AS as_of_us",
        "ev": _events(weight_set, options, plan, table),
        "fk": first_known_sql(arrival=arrival).strip(),
        # ClickHouse joins by equal keys only: the condition stands after the join.
        "cu": "SELECT f.customer_id AS r, f.customer_id AS customer_id, f.known_us AS known_us,"
        "\n  m.as_of_us AS as_of_us\nFROM fk f CROSS JOIN mo m\nWHERE f.known_us < m.as_of_us",
    }
    for name, last, rows in (("vo", "part", plan.vocabulary()), ("pv", "is_start", plan.pairs())):
        if rows:
            names = ("event_type", "code", "window_us", last)
            held = [[words.exact_literal(event), *map(str, numbers)] for event, *numbers in rows]
            made[row_relation(words, name, names)] = row_list(words, names, held)
    for k, part in enumerate(plan.parts):
        made[f"counted{k}"] = count_sql(
            plan, part, arrival=arrival, words=words.count_words
        ).strip()
    made["counts"] = _counts(weight_set, words, plan)
    return made


def given_relations(weight_set: WeightSet, options: SqlOptions, table: str) -> Relations:
    """Return the relation ``counts`` over a table of counts, a column a term."""
    words = options.words
    columns = [
        f"COALESCE(CAST({_given(options, name)} AS {words.double}), "
        f"{words.number.format('0E0')}) AS n{t}"
        for t, name in enumerate(weight_set.names)
    ]
    customer = _customer(weight_set, options)
    head = f"{customer} AS {CUSTOMER}, {_moment(options)} AS as_of_us"
    return {"counts": f"SELECT {head},\n  " + ",\n  ".join(columns) + f"\nFROM {table}"}


def row_relation(words: Dialect, name: str, names: Sequence[str]) -> str:
    """Return how a relation whose query is a `row_list` is introduced."""
    return f"{name}({', '.join(names)})" if words.rows == "values" else name


def row_list(words: Dialect, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a query for a few rows of expressions; at least one row."""
    if words.rows == "union":
        selects = [
            "SELECT " + ", ".join(f"{e} AS {n}" for e, n in zip(row, names, strict=True))
            for row in rows
        ]
        return "\n  UNION ALL ".join(selects)
    if words.rows == "tuples":
        # Long chains of UNION ALL are more than ClickHouse will plan.
        fields = ", ".join(f"tupleElement(t, {k + 1}) AS {n}" for k, n in enumerate(names))
        held = ",\n  ".join(f"tuple({', '.join(row)})" for row in rows)
        return f"SELECT {fields} FROM (SELECT arrayJoin([{held}]) AS t) v"
    if words.rows == "structs":
        first = ", ".join(f"{e} AS {n}" for e, n in zip(rows[0], names, strict=True))
        others = [f"STRUCT({', '.join(row)})" for row in rows[1:]]
        held = ",\n  ".join([f"STRUCT({first})", *others])
        return f"SELECT {', '.join(names)} FROM UNNEST([{held}])"
    values = ",\n  ".join(f"({', '.join(row)})" for row in rows)
    if words.rows == "derived":
        listed = ", ".join(names)
        return f"SELECT {listed} FROM (VALUES {values}) AS v({listed})"
    # The columns get their names from `row_relation`.
    return f"VALUES {values}"


def _given(options: SqlOptions, name: str) -> str:
    return options.words.quoted(options.columns.get(name, name))


def _check(weight_set: WeightSet) -> None:
    for term in weight_set.terms:
        if term.per == "seat":
            raise SpecError(
                f"term {show(term.name)} can't be exported to SQL: it is taken per seat",
                got="per: seat, which needs the table of users and accounts beside the log",
                allowed="per: day, or terms without per; a table of counts with per: seat",
                hint="export over a table of counts: counts_table",
            )
        reads = term.measure in ("sum", "mean", "duration")
        if reads and not (term.property or term.until or weight_set.events.value_col):
            raise SpecError(
                f"term {show(term.name)} reads a column but none is named",
                got=f"measure: {term.measure} without property or value_col",
                allowed="a property of the term, or value_col in the event schema",
                hint="train again with the column named",
            )


def _moment(options: SqlOptions) -> str:
    words = options.words
    if options.as_of == "now":
        return words.now
    if options.as_of == "parameter":
        if options.shape == "dbt":
            return words.whole(AS_OF_VARIABLE)
        return words.parameter
    return words.whole(str(to_us(parse_moment(options.as_of))))


def _customer(weight_set: WeightSet, options: SqlOptions) -> str:
    """Return the customer's id in the form that it is grouped by."""
    words, schema = options.words, weight_set.events
    whose = "the customer column"
    column = options.column(schema.customer_col, whose)
    number = options.customer_type == "number"
    key = "{}" if number else (words.key or words.exact)
    if schema.anonymous_col is None or options.counts_table is not None:
        return key.format(column)
    other = options.column(schema.anonymous_col, whose)
    if number:
        return f"COALESCE({column}, {other})"
    nobody = words.exact_literal("")
    held = ", ".join(f"NULLIF({words.exact.format(c)}, {nobody})" for c in (column, other))
    return f"COALESCE({held})"


def _events(weight_set: WeightSet, options: SqlOptions, plan: CountPlan, table: str) -> str:
    words, schema = options.words, weight_set.events
    timestamp = options.column(schema.timestamp_col, "the time column")
    event = options.column(schema.event_col, "the event column")
    kind = options.time_type("timestamp", schema.timestamp_unit)
    columns = [
        f"{_customer(weight_set, options)} AS customer_id",
        f"{words.exact.format(event)} AS event_type",
        f"{words.time(timestamp, kind)} AS ts_us",
        *(f"{_property(p, options)} AS p{k}" for k, p in enumerate(plan.properties)),
        *(f"{_filter(f, options)} AS f{k}" for k, f in enumerate(plan.filters)),
    ]
    if schema.arrival_col is not None:
        column = options.column(schema.arrival_col, "the arrival column")
        kind = options.time_type("arrival", schema.arrival_unit)
        columns.append(f"{words.time(column, kind)} AS arrival_us")
    read = ",\n    ".join(columns)
    return f"""SELECT * FROM (
  SELECT {read}
  FROM {table}
) src
WHERE customer_id IS NOT NULL AND event_type IS NOT NULL AND ts_us IS NOT NULL"""


def _property(wanted: Property, options: SqlOptions) -> str:
    column = options.column(wanted.column, "a term")
    if wanted.kind == "text":
        return options.words.distinct.format(column)
    return f"CAST({column} AS {options.words.double})"


def _filter(where: str, options: SqlOptions) -> str:
    """Return 1 where a filter holds, and 0 where it does not or is null."""
    words = options.words

    def column_sql(name: str, kind: Kind) -> str:
        column = options.column(name, f"the filter {show(where)}")
        return words.exact.format(column) if kind == "text" else column

    def value(held: Value) -> str:
        if isinstance(held, bool):
            return words.true if held else words.false
        if isinstance(held, str):
            return words.exact_literal(held)
        return str(held) if isinstance(held, int) else words.number.format(value_sql(held))

    condition = condition_sql(_compared(parse_where(where)), column_sql, value)
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _compared(condition: Condition) -> Condition:
    """Return a condition in which columns of true and false are compared, as T-SQL asks."""
    match condition:
        case IsTrue(column):
            return Comparison(column, "=", True)
        case Not(inner):
            return Not(_compared(inner))
        case All(parts):
            return All(tuple(map(_compared, parts)))
        case OneOf(parts):
            return OneOf(tuple(map(_compared, parts)))
    return condition


def _counts(weight_set: WeightSet, words: Dialect, plan: CountPlan) -> str:
    """Return the query that brings the long counts to one row a customer."""
    of_part: Mapping[int, list[str]] = {k: [] for k in range(len(plan.parts))}
    columns, nothing = [], words.number.format("0E0")
    for t, (code, a) in enumerate(plan.columns):
        k = plan.parts.index(plan.aggregates[a].part)
        held = f"MAX(CASE WHEN code = {code} THEN CAST(a{a} AS {words.double}) END)"
        of_part[k].append(f"{held} AS n{t}")
        found = f"COALESCE(q{k}.n{t}, {nothing})"
        columns.append(f"{found}{_divided(weight_set.terms[t], words)} AS n{t}")
    joins = []
    for k, named in of_part.items():
        listed = ",\n    ".join(named)
        joins.append(
            f"LEFT JOIN (\n  SELECT r, {listed}\n  FROM counted{k} GROUP BY r\n"
            f") q{k} ON q{k}.r = c.r"
        )
    head = "SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us"
    return "\n".join([",\n  ".join([head, *columns]), "FROM cu c", *joins])


def _divided(term: WeightedTerm, words: Dialect) -> str:
    if term.per is None:
        return ""
    exposed = "(c.as_of_us - c.known_us)"
    most, one, day = (
        words.number.format(value_sql(v))
        for v in (max(term.window.us / DAY_US, 1.0), 1.0, float(DAY_US))
    )
    return (
        f" / CASE WHEN {exposed} > {term.window.us} THEN {most} "
        f"WHEN {exposed} < {DAY_US} THEN {one} ELSE {exposed} / {day} END"
    )
