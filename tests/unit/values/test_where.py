"""Filters on properties: what they mean, how they are written, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.spec import CountRule, Term
from ces_ml.spec.where import (
    All,
    Comparison,
    Condition,
    IsNull,
    IsTrue,
    Membership,
    Not,
    OneOf,
    parse_where,
)
from ces_ml.sql.filters import filter_sql

NAMES = st.text(min_size=1, max_size=6) | st.sampled_from(
    [
        "amount",
        "and",
        "NOT",
        "is",
        "true",
        "a b",
        'say "hi"',
        "it's",
        "größe",
        "1st",
        "x.y",
        "_",
        "--",
    ]
)
VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.booleans()
)
ORDERED = st.sampled_from(["<", "<=", ">", ">="])
LEAVES = st.one_of(
    st.builds(Comparison, NAMES, st.sampled_from(["=", "!="]), VALUES),
    st.builds(Comparison, NAMES, ORDERED, VALUES.filter(lambda v: not isinstance(v, bool))),
    st.builds(Membership, NAMES, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
    st.builds(IsNull, NAMES),
    st.builds(IsTrue, NAMES),
)


def joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    def parts(kind: type[Condition]) -> st.SearchStrategy[tuple[Condition, ...]]:
        other = inner.filter(lambda c: not isinstance(c, kind))
        return st.lists(other, min_size=2, max_size=3).map(tuple)

    return st.one_of(
        st.builds(Not, inner), st.builds(All, parts(All)), st.builds(OneOf, parts(OneOf))
    )


CONDITIONS = st.recursive(LEAVES, joined, max_leaves=8)


@given(CONDITIONS)
def test_the_canonical_text_reads_back_as_the_same_condition(condition: Condition) -> None:
    back = parse_where(str(condition))
    assert back == condition
    assert repr(back) == repr(condition)  # 1, 1.0 and true are equal, and not the same
    assert str(back) == str(condition)


WORDS = ("a", "and", "or", "not", "in", "is", "null", "(", ")", ",", "=", "<", "1", "'x'", '"y"')
SOUP = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@given(st.text(max_size=30) | SOUP)
def test_any_text_is_read_or_refused_in_four_parts(text: str) -> None:
    found = read(text)
    if isinstance(found, SpecError):
        assert found.problem == "the filter can't be read"
        assert all((found.got, found.allowed, found.hint))
    else:
        assert parse_where(str(found)) == found


def read(text: str) -> Condition | SpecError:
    try:
        return parse_where(text)
    except SpecError as error:
        return error


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("amount>100", "amount > 100"),
        ("amount == 1e2", "amount = 100.0"),
        ("amount <> -.5", "amount != -0.5"),
        ("a AND b Or Not c", "a and b or not c"),
        ("(a or b) and c", "(a or b) and c"),
        ("a and (b and (c and d))", "a and b and c and d"),
        ("a or ((b or c))", "a or b or c"),
        ("not (a = 1)", "not a = 1"),
        ("not (a or b)", "not (a or b)"),
        ("not not a", "not not a"),
        ("not x in (1)", "x not in (1)"),
        ("not x is null", "x is not null"),
        ("x is not null", "x is not null"),
        ("currency in('EUR','it''s')", "currency in ('EUR', 'it''s')"),
        ("returned = TRUE", "returned = true"),
        ('"order value" > 1', '"order value" > 1'),
        ('"amount" > 1', "amount > 1"),
        ('"and" > 1', '"and" > 1'),
        ('"a""b" = \'"\'', '"a""b" = \'"\''),
        ("größe > 1", "größe > 1"),
        ("x = '--'", "x = '--'"),
        ("x\n=\t1 ", "x = 1"),
    ],
)
def test_a_filter_has_one_canonical_text(written: str, canonical: str) -> None:
    assert str(parse_where(written)) == canonical
    assert Term(event="x", window="1d", where=written).where == canonical
    assert CountRule(window="1d", where=written).where == canonical


@pytest.mark.parametrize(
    ("text", "got", "allowed"),
    [
        ("", "the text ends", "a column"),
        ("amount >", "the text ends", "a number, 'text', true or false"),
        ("amount > 100 adn returned", "'adn' at character 14", "did you mean 'and'"),
        ("amount > EUR", "'EUR' at character 10", "a number, 'text'"),
        ("amount 100", "'100' at character 8", "and, or, or the end"),
        ("100 < amount", "'100' at character 1", "a column"),
        ("x = null", "'null' at character 5", "`is null`"),
        ("x in (null)", "'null' at character 7", "`is null`"),
        ("x in ()", r"'\)' at character 7", "a number"),
        ("x in 1", "'1' at character 6", r"`\(`"),
        ("x is 1", "'1' at character 6", "`null`"),
        ("(x", "the text ends", r"`\)`"),
        ("x)", r"'\)' at character 2", "the end"),
        ("returned < true", "'true' at character 12", "have no order"),
        ("x = 1; DROP TABLE ev", "'; DROP TABLE ev' at character 6", "comparisons"),
        ("x = 'open", '"\'open" at character 5', "columns, numbers"),
        ("x = 1 -- y", "'-- y' at character 7", "columns, numbers"),
        ("f(x) = 1", r"'\(' at character 2", "and, or, or the end"),
        ("x = 1e999", "'1e999' at character 5", "fits 64 bits"),
        ("x = 9223372036854775808", "'9223372036854775808'", "fits 64 bits"),
        ("x = 12abc", "'12abc' at character 5", "columns, numbers"),
        ('"" = 1', "'\"\" = 1' at character 1", "columns, numbers"),
        ("not " * 60 + "x", "'not'", "at most 50 conditions"),
        ("(" * 5000, r"'\('", "at most 50 conditions"),
    ],
)
def test_what_is_no_filter_is_refused_where_it_stops_making_sense(
    text: str, got: str, allowed: str
) -> None:
    with pytest.raises(
        SpecError, match=rf"(?s)^the filter can't be read\n.*{got}.*\n  allowed: .*{allowed}"
    ):
        parse_where(text)


def test_a_filter_in_a_rule_is_refused_with_its_place() -> None:
    with pytest.raises(SpecError, match=r"where: the filter can't be read"):
        CountRule.parse({"window": "7d", "where": "amount >"})


@given(CONDITIONS.filter(lambda c: "\0" not in str(c)))
def test_no_column_and_no_text_of_a_filter_reaches_sql_unquoted(condition: Condition) -> None:
    text = filter_sql(condition, lambda name, kind: "«»")
    outside = text.split("'")[::2]  # what stands between string literals
    allowed = set("«»()=<>, -+.0123456789") | set("COALESCE AND OR NOT IN IS NULL FALSE TRUE E")
    assert set("".join(outside)) <= allowed


def test_text_with_nul_is_refused_on_its_way_to_sql() -> None:
    with pytest.raises(SpecError, match="holds a NUL character"):
        filter_sql(parse_where("x = 'a\0b'"), lambda name, kind: name)
