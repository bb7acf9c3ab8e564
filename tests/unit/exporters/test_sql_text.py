"""What exported SQL is made of, dialect by dialect; databases run it in tests/integration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pandas as pd
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.errors import SpecError, WeightSetError
from ces_ml.events import EventSchema
from ces_ml.exporters import EXPORTERS, export
from ces_ml.exporters.sql import DIALECTS, RUN_BY, SQL_OPTIONS, SqlOptions, conformance, sql_text
from ces_ml.exporters.sql.conformance import TERM_KINDS
from ces_ml.exporters.sql.golden_events import GOLDEN_AS_OF, golden_events, run_in_sqlite
from ces_ml.features import build_counts
from ces_ml.scoring import Scorer
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, GoldenRow, Recalibration, Scale, WeightedTerm, WeightSet

HOSTILE = (
    "it's", "'; DROP TABLE events; --", "back\\", "\\'; DROP TABLE x", "line\nbreak", "🎉", "",
    "{{ x }}", "{% raw %}", "{# y #}", "/* c */", "100%", ":name", "$1", "${a}", "?", "`", "]",
)  # fmt: skip
#: A sign of every hostile name that must not stand in the text as it is.
SIGNS = ("; DROP", "/* c", "back\\", "🎉", "{{ x", "{% raw", "{# y", "100%", ":name", "${a}", "?")
#: What a dialect does not have, as it would be written here; a parser lets most of it pass.
LACKING = {
    "duckdb": (r"`", r"\bSIGNED\b", r"\bFLOAT64\b"),
    "postgresql": (r"`", r"\bAS DOUBLE\)", r"\bIFNULL\b", r"\bSTRING\b", r"\bLOG\("),
    "sqlite": (r"`", r"::", r"\bDOUBLE\b", r"\bMOD\(", r"\bEXTRACT\(", r"\bREPLACE VIEW\b"),
    "spark": (r"::", r"\bNOT MATERIALIZED\b", r"\bFILTER \(", r'"'),
    "bigquery": (r"::", r'"', r"\bVALUES\b", r"\bVARCHAR\b", r"\bDOUBLE\b", r"\bBIGINT\b",
                 r"\bMATERIALIZED\b", r"\bvo\("),
    "snowflake": (r"`", r"\bMATERIALIZED\b", r"\bVALUES\b", r"\bTEXT\b", r"\bUNNEST\b"),
    "redshift": (r"`", r"\bMATERIALIZED\b", r"\bVALUES\b", r"\bAS DOUBLE\)", r"\braw\b",
                 r"\bLATERAL\b", r"\bTEXT\b"),
    "mysql": (r'"', r"::", r"\|\|", r"\bVALUES\b", r"\bMATERIALIZED\b", r"\bFULL JOIN\b",
              r"AS (BIGINT|INTEGER|INT|VARCHAR|TEXT|FLOAT)\b", r"\bEXTRACT\("),
    "clickhouse": (r"\bLAG\(", r"::", r"\bAS (BIGINT|DOUBLE)\b", r"\bMATERIALIZED\b",
                   r"AS Float64\b", r"AS Int64\b", r"\bvo\("),
    "tsql": (r"`", r"::", r"\|\|", r"\b(TRUE|FALSE)\b", r"\bLN\(", r"\bMOD\(", r"\bDOUBLE\b",
             r"\b(GREATEST|LEAST)\(", r"\bREPLACE VIEW\b", r"\bEXTRACT\(", r"\bLIMIT\b",
             r"\bBOOLEAN\b", r"\bMATERIALIZED\b", r"\bvo\([^)]*\) AS \(\s*VALUES"),
}  # fmt: skip


def weigh(*terms: Term, **changes: Any) -> WeightSet:
    spec = CountSpec(terms=terms)
    fields: dict[str, Any] = {
        "name": "it's {{ x }} */ --\nDROP TABLE events",
        "terms": tuple(
            WeightedTerm(**t.model_dump(), weight=0.5 - k) for k, t in enumerate(spec.terms)
        ),
        "intercept": -0.25,
        "scale": Scale(method="min_max", knots=((0.0, 0.0), (4.0, 100.0))),
        "bands": (Band(name="low; '--", from_score=0), Band(name="{{ x }}", from_score=30)),
        "golden_rows": (GoldenRow(counts={}, raw_score=0.0, score=0.0, band="low; '--"),),
    }
    return WeightSet(**{**fields, **changes})


EVERY_KIND = tuple(
    t.model_copy(update={"name": kind}) for kind, t in TERM_KINDS.items() if t.per != "seat"
)
WEIGHT_SET = weigh(*EVERY_KIND, *(Term(event=name, window="7d") for name in HOSTILE))
#: What else a weight set may hold.
READ = {
    "events": EventSchema(value_col="v", arrival_col="seen", anonymous_col="device"),
    "calibration": Recalibration(method="isotonic", knots=((-2.0, 0.1), (1.5, 0.9))),
    "scale": Scale(method="probability"),
}


def bare(text: str) -> str:
    """Return SQL without its comments and literals."""
    return re.sub(r"'[^']*'", "''", re.sub(r"^--.*$", "", text, flags=re.MULTILINE))


def every_text(dialect: str, weight_set: WeightSet = WEIGHT_SET) -> list[str]:
    names = weight_set.names
    options: list[dict[str, Any]] = [
        {"shape": "query", "as_of": "parameter"},
        {"shape": "view", "output": "terms", "as_of": "2025-01-01"},
        {"shape": "check"},
        {"counts_table": "db.counts", "columns": {n: f"c{t}" for t, n in enumerate(names)}},
        {"customer_type": "number", "reasons": 0},
    ]
    made = [sql_text(weight_set, dialect=dialect, **chosen) for chosen in options]
    few = weight_set.model_copy(update={"terms": weight_set.terms[:1]})
    kinds = DIALECTS[dialect].times
    timed: list[dict[str, Any]] = [{"timestamp_type": kind} for kind in kinds]
    timed.append({"shape": "check_events", "timestamp_type": next(iter(kinds))})
    return made + [sql_text(few, dialect=dialect, **chosen) for chosen in timed]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_shape_is_one_statement_to_a_parser_of_the_dialect(dialect: str) -> None:
    reader = DIALECTS[dialect].sqlglot
    for weight_set in (WEIGHT_SET, WEIGHT_SET.model_copy(update=READ)):
        for text in every_text(dialect, weight_set):
            parsed = sqlglot.parse(text, dialect=reader)
            assert len([statement for statement in parsed if statement is not None]) == 1
            assert not list(parsed[0].find_all(sqlglot.exp.Command)), "a statement not understood"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_written_that_the_dialect_lacks(dialect: str) -> None:
    for weight_set in (WEIGHT_SET, WEIGHT_SET.model_copy(update=READ)):
        for text in map(bare, every_text(dialect, weight_set)):
            for lacking in LACKING[dialect]:
                found = re.search(lacking, text)
                assert found is None, f"{lacking}: {text[found.start() - 60 : found.end() + 60]}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_sign_of_a_hostile_name_is_in_the_text(dialect: str) -> None:
    for text in every_text(dialect):
        text = text.replace(DIALECTS[dialect].parameter, "")
        for sign in SIGNS:
            assert sign not in text, sign
        assert "\\" not in text
        assert re.search(r"[^\x00-\x7f]", text) is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_floats_are_never_decimals(dialect: str) -> None:
    for text in every_text(dialect):
        for line in re.sub(r"'\d{4}-[^']*'", "''", text).splitlines():
            if not line.startswith("--"):
                assert re.search(r"\d\.\d+(?![\dE])", line) is None, line


@given(
    name=st.text(max_size=30).filter(lambda t: "\0" not in t), dialect=st.sampled_from([*DIALECTS])
)
def test_any_name_is_one_literal_of_harmless_signs(name: str, dialect: str) -> None:
    text = DIALECTS[dialect].literal(name)
    assert re.fullmatch(r"[A-Za-z0-9 _.,/()+=<>'\[\]-]*", text)
    assert len(sqlglot.parse(f"SELECT {text}", dialect=DIALECTS[dialect].sqlglot)) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_name_with_nul_is_refused(dialect: str) -> None:
    with pytest.raises(SpecError, match="NUL character"):
        sql_text(weigh(Term(event="a\0b", window="7d")), dialect=dialect)
    with pytest.raises(SpecError, match="NUL character"):
        sql_text(WEIGHT_SET, dialect=dialect, columns={"timestamp": "a\0b"})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("output", ["scores", "terms"])
def test_a_dbt_model_renders_to_the_query(dialect: str, output: str) -> None:
    columns = {"timestamp": "{{ t }}", "value": "{% raw %}{# x", "took": "}} %}"}
    common = {"dialect": dialect, "output": output, "columns": columns}
    query = sql_text(WEIGHT_SET, **common, events_table="crm.events")
    model = sql_text(WEIGHT_SET, **common, shape="dbt", events_table="crm.events")
    called: list[Any] = []
    words = DIALECTS[dialect]

    def source(*names: str) -> str:
        called.append(names)
        return ".".join(map(words.quoted, names))

    # dbt renders with the extensions of Jinja that it needs; none of them reads text.
    rendered = (
        jinja2.Environment(undefined=jinja2.StrictUndefined)
        .from_string(model)
        .render(config=lambda **options: called.append(options) or "", source=source)
    )
    assert called == [{"materialized": "view"}, ("crm", "events")]
    assert rendered.strip() == query.strip().rstrip(";")


def test_a_dbt_model_takes_its_moment_from_a_variable_that_must_be_a_number() -> None:
    model = sql_text(WEIGHT_SET, shape="dbt", as_of="parameter", events_table="stg_events")
    template = jinja2.Environment().from_string(model)
    given: dict[str, Any] = {"config": lambda **_: "", "ref": lambda name: f"<{name}>"}
    made = template.render(**given, var=lambda name: "1711843200000000")
    assert "CAST(1711843200000000 AS BIGINT) AS as_of_us" in made
    assert "FROM <stg_events>" in made
    assert "DROP" not in bare(template.render(**given, var=lambda name: "0) AS x; DROP"))


def test_the_registry_exports_sql_with_its_options(tmp_path) -> None:
    path = export(WEIGHT_SET, tmp_path / "s.sql", "sql", dialect="postgresql", shape="view",
                  events_table='analytics."odd.name"', view="crm.score")  # fmt: skip
    text = path.read_text(encoding="utf-8")
    assert 'CREATE OR REPLACE VIEW "crm"."score" AS\nWITH' in text
    assert 'FROM "analytics"."odd.name"' in text
    assert set(SQL_OPTIONS) == set(SqlOptions.model_fields) == set(EXPORTERS["sql"].options)
    with pytest.raises(SpecError, match=r"unknown option(.|\n)*did you mean 'dialect'"):
        export(WEIGHT_SET, tmp_path / "x", "sql", dialekt="duckdb")


def test_columns_may_be_given_as_text() -> None:
    text = sql_text(WEIGHT_SET, columns="value=amount, timestamp = at", reasons="1")
    assert 'CAST("amount" AS DOUBLE)' in text
    assert 'epoch_us("at")' in text
    assert "reason_1" in text
    assert "reason_2" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "postgres"}, r"unknown dialect(.|\n)*did you mean 'postgresql'"),
        ({"shape": "veiw"}, r"shape has a value(.|\n)*did you mean 'view'"),
        ({"output": "row"}, "output has a value"),
        ({"reasons": -1}, "reasons has a value"),
        ({"timestamp_type": "text"}, r"DuckDB has no such type of times(.|\n)*timestamp"),
        ({"dialect": "sqlite", "arrival_type": "timestamptz"}, "SQLite has no such type of times"),
        ({"as_of": "yesterday"}, "yesterday"),
        ({"as_of": "parameter", "shape": "view"}, "a view takes no parameters"),
        ({"events_table": "a..b"}, "events_table is not the name of a table"),
        ({"events_table": "a.b."}, "events_table is not the name of a table"),
        ({"events_table": 'a"b'}, "events_table is not the name of a table"),
        ({"events_table": "a.b.c.d.e"}, "events_table is not the name of a table"),
        ({"view": ""}, "view is not the name of a table"),
        ({"counts_table": ".x"}, "counts_table is not the name of a table"),
        ({"shape": "dbt", "events_table": "a.b.c"}, "not the name of a model or source"),
        ({"shape": "dbt", "events_table": "x') }}{{ y"}, "not the name of a model or source"),
        ({"columns": "amount"}, r"columns are not pairs(.|\n)*properties.amount=amount"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        sql_text(WEIGHT_SET, **options)


@pytest.mark.parametrize(
    ("term", "schema", "message"),
    [
        (
            Term(event="x", per="seat", window="7d", name="busy"),
            EventSchema(),
            r"term 'busy' can't be exported to SQL(.|\n)*per: seat(.|\n)*counts_table",
        ),
        (
            Term(event="x", measure="sum", window="7d"),
            EventSchema(),
            "term 'x' reads a column but none is named",
        ),
        (
            Term(event="x", measure="sum", property="properties.amount", window="7d"),
            EventSchema(),
            r"a term reads a field inside a column(.|\n)*'properties.amount'(.|\n)*columns=",
        ),
        (
            Term(event="x", where='"body.kind" = 3', window="7d"),
            EventSchema(),
            r"the filter '\"body.kind\" = 3' reads a field inside a column",
        ),
        (
            Term(event="x", window="7d"),
            EventSchema.preset("mixpanel"),
            "the time column reads a field inside a column",
        ),
    ],
)
def test_what_one_table_of_events_cannot_answer_is_refused(
    term: Term, schema: EventSchema, message: str
) -> None:
    for dialect in DIALECTS:
        with pytest.raises(SpecError, match=message):
            sql_text(weigh(term, events=schema), dialect=dialect)


def test_what_made_up_events_must_give_is_what_the_scorer_says() -> None:
    schema = EventSchema(value_col="value", arrival_col="seen")
    weight_set = WEIGHT_SET.model_copy(update={"events": schema})
    options = SqlOptions(as_of=GOLDEN_AS_OF)
    log = golden_events(weight_set, options)
    frame = pd.DataFrame(log.rows, columns=[name for name, _ in log.columns])
    for column in ("timestamp", "seen"):
        frame[column] = pd.to_datetime(frame[column].astype("Int64"), unit="us", utc=True)
    frame["returned"] = frame["returned"].astype("boolean")
    table = build_counts(frame, weight_set.spec, as_of=GOLDEN_AS_OF, schema=schema)
    scored = Scorer(weight_set).score(table).set_index("customer_id")
    assert (table.X.toarray() != 0).any(axis=0).sum() > 0.9 * len(weight_set.terms)
    assert sorted(scored.index) == sorted(log.customers[:-1])
    found = duckdb.sql(sql_text(weight_set, shape="check_events").rstrip(";\n")).df()
    found = found.set_index("customer").loc[scored.index]
    assert found["raw_expected"].to_numpy() == pytest.approx(
        scored["raw_score"].to_numpy(), abs=1e-9
    )
    assert found["band_expected"].tolist() == scored["band"].tolist()


def test_made_up_events_need_a_log_and_a_sqlite_that_computes() -> None:
    with pytest.raises(SpecError, match="made-up events are counted, and a table of counts"):
        sql_text(WEIGHT_SET, shape="check_events", counts_table="counts")
    with pytest.raises(SpecError, match=r"golden events can't be scored(.|\n)*no such function: f"):
        run_in_sqlite("SELECT f(1)")


def test_a_column_without_a_name_is_refused() -> None:
    with pytest.raises(SpecError, match=r"a table or column has no name(.|\n)*columns"):
        sql_text(weigh(Term(event="", window="7d")), counts_table="counts")
    with pytest.raises(SpecError, match="a table or column has no name"):
        sql_text(weigh(Term(event="x", window="7d")), columns={"timestamp": ""})


def test_the_command_line_writes_sql(tmp_path: Path) -> None:
    weights = weigh(Term(event="x", window="7d")).save(tmp_path / "w.json")
    words = ["export", weights, "--format", "sql", "--dialect", "postgresql", "--shape", "view"]
    words += ["--events-table", "crm.events", "--option", "reasons=0", "-o", tmp_path / "s.sql"]
    result = CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    text = (tmp_path / "s.sql").read_text(encoding="utf-8")
    assert text == sql_text(
        WeightSet.load(weights), dialect="postgresql", shape="view", events_table="crm.events",
        reasons=0,
    )  # fmt: skip
    wrong = CliRunner().invoke(app, [*map(str, words[:3]), "sql", "--dialect", "x", "-o", "y"])
    assert wrong.exit_code == 2


def test_a_weight_set_without_golden_rows_has_nothing_to_check() -> None:
    with pytest.raises(WeightSetError, match="no golden rows to check the SQL with"):
        sql_text(WEIGHT_SET.model_copy(update={"golden_rows": ()}), shape="check")


def test_the_unit_in_the_event_schema_is_the_type_of_the_times() -> None:
    schema = EventSchema.preset("ga4", anonymous_col=None)
    text = sql_text(weigh(Term(event="x", window="7d"), events=schema), dialect="bigquery")
    assert "CAST(`event_timestamp` AS INT64) AS ts_us" in text


def test_snowflake_names_are_written_as_they_are_stored() -> None:
    text = sql_text(WEIGHT_SET, dialect="snowflake", events_table='raw."odd name".Events')
    assert 'FROM "RAW"."odd name"."Events"' in text
    assert '"CUSTOMER_ID" AS customer_id' in text


def test_the_conformance_table_is_about_every_dialect_and_kind() -> None:
    table = conformance()
    assert list(table) == list(DIALECTS)
    for dialect, statuses in table.items():
        assert list(statuses) == list(TERM_KINDS)
        assert statuses["count"] == ("runs" if dialect in RUN_BY else "parsed")
        for kind, status in statuses.items():
            term = TERM_KINDS[kind].model_copy(update={"name": kind})
            if status == "refused":
                with pytest.raises(SpecError, match="can't be exported to SQL"):
                    sql_text(weigh(term), dialect=dialect)
            else:
                assert sql_text(weigh(term), dialect=dialect)
