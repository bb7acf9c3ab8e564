"""The text of an export to SQL: its head, its relations, and the statement around them."""

from __future__ import annotations

import re
from typing import Any

from ces_ml.errors import SpecError, show
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.exporters.sql.proof import proven_relations, statement
from ces_ml.exporters.sql.relations import (
    AS_OF_VARIABLE,
    Relations,
    counted_relations,
    given_relations,
)
from ces_ml.exporters.sql.scored import TOLERANCE, checked_relations, scored_relations
from ces_ml.weights.weight_set import WeightSet

__all__ = ["SQL_OPTIONS", "sql_text"]

#: What every option of the export does, in words.
SQL_OPTIONS: dict[str, str] = {
    "dialect": "duckdb, postgresql, sqlite, spark, bigquery, snowflake, redshift, mysql (also "
    "MariaDB), clickhouse, tsql",
    "shape": "query, view, dbt; check: a query that proves itself on the golden rows; "
    "check_events: on made-up events",
    "output": "scores: a row a customer; terms: a row a customer and term, with points",
    "reasons": "how many of the largest contributions a row names",
    "events_table": "the log, for example analytics.events",
    "counts_table": "a table of counts instead of the log",
    "view": "what the view is called",
    "as_of": "now, parameter, or a moment",
    "timestamp_type": "timestamp, timestamptz, s, ms, us, ns, or text (SQLite)",
    "arrival_type": "the same for the arrival column",
    "customer_type": "text, or number: ids are integers",
    "by_account": "true: the log has the account of every event, for weights learned on accounts",
    "columns": "columns called otherwise than in the weight set: properties.amount=amount",
}
#: Stands for the table in the text of a dbt model, until braces have been made harmless; no name
#: can hold a NUL.
_TABLE = "\0table\0"


def sql_text(weight_set: WeightSet, **options: Any) -> str:
    """Return SQL that scores raw events, or counts, as `weight_set` does.

    Parameters
    ----------
    weight_set : WeightSet
    **options
        Those of `SqlOptions`.

    Returns
    -------
    str
        One statement, deterministic: equal weight sets and options give equal text.

    Raises
    ------
    SpecError
        If an option is not allowed, or a term can't be counted from one table of events.
    WeightSetError
        If golden rows are to be checked and there are none.

    Examples
    --------
    >>> from ces_ml.spec import CountSpec
    >>> from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet
    >>> term = CountSpec.of(["login"], window="30d").terms[0]
    >>> weight_set = WeightSet(
    ...     name="demo",
    ...     terms=(WeightedTerm(**term.model_dump(), weight=0.5),),
    ...     intercept=-1.0,
    ...     scale=Scale(method="min_max", knots=((0, 0), (5, 100))),
    ...     bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=50)),
    ... )
    >>> text = sql_text(weight_set, dialect="postgresql", shape="view", view="crm.engagement")
    >>> [line for line in text.splitlines() if not line.startswith("--")][0]
    'CREATE OR REPLACE VIEW "crm"."engagement" AS'
    """
    chosen = SqlOptions(**options)
    head = _head(weight_set, chosen)
    weight_set = _of_customers(weight_set, chosen)
    if chosen.shape == "check":
        relations, last = checked_relations(weight_set, chosen)
    elif chosen.shape == "check_events":
        relations, last = proven_relations(weight_set, chosen)
    else:
        relations = _read(weight_set, chosen)
        scored, last = scored_relations(weight_set, chosen)
        relations |= scored
    body = statement(relations, last, chosen)
    if chosen.shape == "dbt":
        return "{{ config(materialized='view') }}\n" + head + _for_dbt(body, chosen)
    if chosen.shape == "view":
        name = ".".join(map(chosen.words.quoted, chosen.parts("view")))
        body = f"{chosen.words.view.format(name)}\n{body}"
    return f"{head}{body};\n"


def _of_customers(weight_set: WeightSet, options: SqlOptions) -> WeightSet:
    """Return the weight set as it reads its table: with the account as the customer, if it is."""
    learned = weight_set.account_col
    over_log = options.counts_table is None and options.shape != "check"
    if over_log and options.by_account != (learned is not None):
        raise SpecError(
            "the weights were learned on accounts, and the log has users"
            if learned
            else "the weights were learned on the customers of the log, not on accounts",
            got=f"account_col {show(learned)} without by_account" if learned else "by_account",
            allowed=f"by_account: true over a log with the account of every event in its column "
            f"{show(learned)}; or a table of counts of accounts: counts_table"
            if learned
            else "by_account for weights that were trained with `accounts`",
            hint="join the log with the table of users and accounts in a view, and export over it"
            if learned
            else "leave out by_account",
        )
    return weight_set.model_copy(update={"events": weight_set.scored_events})


def _read(weight_set: WeightSet, options: SqlOptions) -> Relations:
    given = options.counts_table is not None
    option = "counts_table" if given else "events_table"
    if options.shape == "dbt":
        table = _TABLE
    else:
        table = ".".join(map(options.words.quoted, options.parts(option)))
    return (given_relations if given else counted_relations)(weight_set, options, table)


def _for_dbt(body: str, options: SqlOptions) -> str:
    """Return the text in which no brace of ours, or of a name, means anything to Jinja."""
    body = body.replace("{", "{{ '{' }}")
    parts = options.parts("counts_table" if options.counts_table is not None else "events_table")
    names = ", ".join(f"'{part}'" for part in parts)
    macro = f"{{{{ {'ref' if len(parts) == 1 else 'source'}({names}) }}}}"
    body = body.replace(AS_OF_VARIABLE, "{{ var('as_of_us') | int }}")
    return body.replace(_TABLE, macro) + "\n"


def _head(weight_set: WeightSet, options: SqlOptions) -> str:
    """Return the comment that says what this is; of names only what can't end a comment."""
    words = options.words
    lines = [
        f"Customer engagement score {_harmless(weight_set.name)}, for {words.title}.",
        f"Weights: {weight_set.fingerprint}",
        f"Scores agree with ces-ml to {TOLERANCE:.0e}; the exports with shape=check (golden "
        "rows) and shape=check_events (made-up events) prove it: ok is 1 in every row.",
    ]
    if options.shape != "check" and options.counts_table is None:
        lines.append(
            "Counts are taken in [as_of - window, as_of), in UTC; everyone seen before as_of has "
            "a row. Values that are summed must be finite numbers."
        )
    lines += words.notes
    lines += [
        f"n{t}: {_harmless(term.name)}: {term.measure} over {term.window}, weight {term.weight:g}"
        for t, term in enumerate(weight_set.terms)
    ]
    return "".join(f"-- {line}\n" for line in lines)


def _harmless(name: str) -> str:
    """Return a name of letters, digits, spaces, points and _; what else it holds becomes a point.

    Examples
    --------
    >>> _harmless("it's {{ x }} -- y")
    'it.s .. x .. .. y'
    """
    return re.sub(r"[^\w .]|[\n\r]", ".", name)[:80]
