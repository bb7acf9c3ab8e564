"""Text and numbers pass through SQL unchanged: DuckDB itself is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.sql import float_literal, identifier, literal

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)
SETTINGS = settings(deadline=None)
HOSTILE = ("", "'", '"', "''", '";--', "\\", "\\'", "a\nb\r\tc", "$1", "?", "%s", "{0}", "🎉", "`")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@SETTINGS
@given(text=TEXT | st.sampled_from(HOSTILE))
def test_a_literal_is_the_text_itself(con: duckdb.DuckDBPyConnection, text: str) -> None:
    assert con.sql(f"SELECT {literal(text)}, 1").fetchall() == [(text, 1)]


@SETTINGS
@given(text=(TEXT | st.sampled_from(HOSTILE)).filter(bool))
def test_an_identifier_is_the_name_itself(con: duckdb.DuckDBPyConnection, text: str) -> None:
    relation = con.sql(
        f"SELECT {identifier(text)} AS {identifier(text)} FROM (SELECT 5) t({identifier(text)})"
    )
    assert relation.columns == [text]
    assert relation.fetchall() == [(5,)]


@given(text=TEXT, quote=st.sampled_from(['"', "`"]))
def test_the_quote_inside_an_identifier_is_doubled(text: str, quote: str) -> None:
    quoted = identifier(text, quote)
    assert quoted[0] == quoted[-1] == quote
    assert quoted[1:-1].replace(quote * 2, "").count(quote) == 0
    assert quoted[1:-1].replace(quote * 2, quote) == text


@pytest.mark.parametrize("function", [literal, identifier])
def test_a_nul_character_is_refused(function) -> None:
    with pytest.raises(
        SpecError, match=r"holds a NUL character\n.*'a\\x00b'\n.*without NUL\n.*rename"
    ):
        function("a\0b")


@SETTINGS
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(0.94)
@example(-math.log(2) / 86_400_000_000)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_float_literal_is_that_very_double(con: duckdb.DuckDBPyConnection, value: float) -> None:
    text = float_literal(value)
    found, kind = con.sql(f"SELECT {text}, typeof({text})").fetchall()[0]
    assert (found, kind) == (value, "DOUBLE")
    assert float(text) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_no_literal_can_write_is_refused(value: float) -> None:
    with pytest.raises(SpecError, match="can't be written as a number in SQL"):
        float_literal(value)
