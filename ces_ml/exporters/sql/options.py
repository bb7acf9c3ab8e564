"""What an export to SQL is told about the place it will run in."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, show
from ces_ml.exporters.sql.dialect import Dialect
from ces_ml.exporters.sql.dialects import NUMBER_TIMES, dialect_named
from ces_ml.spec.as_of import parse_moment
from ces_ml.spec.model import SpecModel

__all__ = ["SqlOptions"]

#: A part of a table's name: a word, or anything in double quotes.
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_DBT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SqlOptions(SpecModel):
    """Where the events are, and what is made of them.

    Parameters
    ----------
    dialect : str
        A key of `DIALECTS`.
    shape : {"query", "view", "dbt", "check", "check_events"}, default="query"
        A query; a statement that makes a view of it; a model file of dbt; a query that scores the
        golden rows and says whether each is right; or one that counts and scores made-up events.
    output : {"scores", "terms"}, default="scores"
        One row a customer; or one row a customer and term that is not 0, with its count and points.
    reasons : int, default=3
        How many of the largest contributions a row of scores names.
    events_table : str, default="events"
        The log: a table's name, with schema and database before it and points between them.
        What holds a point is put in double quotes. For dbt: the name of a model, or
        ``source.table``.
    counts_table : str, optional
        A table of counts instead of the log: one row a customer, one column a term.
    view : str, default="ces_score"
        What the view is called, with its schema before it.
    as_of : str, default="now"
        ``"now"``; ``"parameter"``, a placeholder for integer UTC microseconds (a variable of dbt);
        or a moment such as ``"2025-01-01"``.
    timestamp_type, arrival_type : {"timestamp", "timestamptz", "s", "ms", "us", "ns", "text"}
        What the time columns are: a timestamp in UTC without a zone; a moment, with a zone; a
        number since 1970 in a unit; or text in ISO 8601 (SQLite only). Default: the unit in the
        weight set, else text in SQLite and timestamp elsewhere.
    customer_type : {"text", "number"}, default="text"
        Whether customer ids are integers.
    by_account : bool, default=False
        For weights that were learned on accounts: the log has the account of every event, in the
        column that the weight set calls `account_col`. Without it such weights are not exported
        over a log, whose users they would score.
    columns : dict of str to str, optional
        Columns that are called otherwise than in the weight set, for example
        ``{"properties.amount": "amount"}``; or the names of terms in `counts_table`. As text:
        ``"properties.amount=amount, user=user_id"``.

    Raises
    ------
    SpecError
        If an option is unknown, has a value that is not allowed, or does not go with another.
    """

    called = "the options of the SQL export"
    dialect: str = "duckdb"
    shape: Literal["query", "view", "dbt", "check", "check_events"] = "query"
    output: Literal["scores", "terms"] = "scores"
    reasons: int = Field(default=3, ge=0)
    events_table: str = "events"
    counts_table: str | None = None
    view: str = "ces_score"
    as_of: str = "now"
    timestamp_type: str | None = None
    arrival_type: str | None = None
    customer_type: Literal["text", "number"] = "text"
    by_account: bool = False
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("columns", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not sign or not name.strip() or not held.strip() for name, sign, held in pairs):
            raise SpecError(
                "columns are not pairs of names",
                got=show(value),
                allowed="for example properties.amount=amount, user=user_id",
                hint="correct `columns`; from Python a mapping does the same",
            )
        return {name.strip(): held.strip() for name, _, held in pairs}

    def model_post_init(self, context: object) -> None:
        """Refuse what does not go together."""
        words = self.words
        for option in ("timestamp_type", "arrival_type"):
            kind = getattr(self, option)
            if kind is not None and kind not in words.times:
                raise SpecError.unknown(
                    f"{words.title} has no such type of times",
                    kind,
                    words.times,
                    hint=f"correct `{option}`, or cast the column in a view",
                )
        if self.as_of not in ("now", "parameter"):
            parse_moment(self.as_of)
        if self.as_of == "parameter" and self.shape == "view":
            raise SpecError(
                "a view takes no parameters",
                got="as_of: parameter with shape: view",
                allowed="as_of: now, or a moment; parameters with shape: query or dbt",
                hint="correct `as_of` or `shape`",
            )
        for option in ("events_table", "counts_table", "view"):
            if getattr(self, option) is not None:
                self.parts(option)

    @property
    def words(self) -> Dialect:
        """The dialect."""
        return dialect_named(self.dialect)

    def parts(self, option: str) -> tuple[str, ...]:
        """Return the name in an option piece by piece.

        Raises
        ------
        SpecError
            If it is no name of a table; for dbt, of a model or source.
        """
        text = str(getattr(self, option))
        found, at = [], 0
        while match := _PART.match(text, at):
            found.append(match[1].replace('""', '"') if match[1] else match[2])
            at = match.end()
            if at < len(text) and text[at] == ".":
                at += 1
            else:
                break
        dbt = self.shape == "dbt" and option != "view"
        wrong = dbt and (len(found) > 2 or not all(map(_DBT_NAME.fullmatch, found)))
        if at != len(text) or not found or text.endswith(".") or len(found) > 4 or wrong:
            raise SpecError(
                f"{option} is not the name of a " + ("model or source" if dbt else "table"),
                got=show(text),
                allowed="a model, or source.table, of letters, digits and _"
                if dbt
                else 'for example events, analytics.events, or analytics."odd.name"',
                hint=f"correct `{option}`",
            )
        return tuple(found)

    def time_type(self, role: str, unit: str | None) -> str:
        """Return the type of a time column: ``timestamp`` or ``arrival``."""
        stated: str | None = getattr(self, f"{role}_type")
        if stated is not None:
            return stated
        if unit in NUMBER_TIMES:
            return str(unit)
        return "timestamp" if "timestamp" in self.words.times else "text"

    def column(self, name: str, who: str) -> str:
        """Return the quoted column that the weight set calls `name`.

        Raises
        ------
        SpecError
            If it is a field inside a column and no column is named for it.
        """
        if name in self.columns:
            return self.words.quoted(self.columns[name])
        if "." in name:
            raise SpecError(
                f"{who} reads a field inside a column, which the SQL export does not open",
                got=show(name),
                allowed="a column of its own for it",
                hint=f"make one in a view and name it: columns={{{show(name)}: 'its_column'}}",
            )
        return self.words.quoted(name)
