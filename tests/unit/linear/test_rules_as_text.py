"""Rules are read from one line of text, and written back to it."""

import math
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ces_ml.errors import ConstraintError
from ces_ml.linear import Bounds, Order, Sign, parse_constraint
from ces_ml.linear.constraints.text import EXAMPLES

FORMS = {
    "login >= 0": (Sign("login", ">="),),
    "login≥0": (Sign("login", ">="),),
    "refund <= 0": (Sign("refund", "<="),),
    "login >= -0.0": (Sign("login", ">="),),
    "0 <= login": (Bounds("login", low=0),),
    "0 >= login": (Bounds("login", high=0),),
    "0 <= login <= 2": (Bounds("login", 0, 2),),
    "2 >= login >= 0": (Bounds("login", 0, 2),),
    "login <= 1.5": (Bounds("login", high=1.5),),
    "-.5e1 <= login": (Bounds("login", low=-5),),
    "login >= - 1": (Bounds("login", low=-1),),
    "login >= +1": (Bounds("login", low=1),),
    "support_call = -0.5": (Bounds("support_call", -0.5, -0.5),),
    "-0.5 = support_call": (Bounds("support_call", -0.5, -0.5),),
    "purchase >= page_view": (Order("purchase", "page_view"),),
    "purchase >= 2 * page_view": (Order("purchase", "page_view", 2),),
    "purchase>=2*page_view": (Order("purchase", "page_view", 2),),
    "0.5 *b <= a": (Order("a", "b", 0.5),),
    "a >= b + 0.1": (Order("a", "b", margin=0.1),),
    "a >= b+0.1": (Order("a", "b", margin=0.1),),
    "a >= b - 0.1": (Order("a", "b", margin=-0.1),),
    "a >= b -0.1": (Order("a", "b", margin=-0.1),),
    "2 * a - 1 >= b": (Order("a", "b", 0.5, 0.5),),
    "b <= a": (Order("a", "b"),),
    "a >= -1 * b": (Order("a", "b", -1),),
    "bronze <= silver <= gold": (Order("silver", "bronze"), Order("gold", "silver")),
    "gold >= silver >= bronze": (Order("gold", "silver"), Order("silver", "bronze")),
    "0 <= a <= b <= 5": (Bounds("a", low=0), Order("b", "a"), Bounds("b", high=5)),
    "page_* >= 0": (Sign("page_*", ">="),),
    "* >= 0": (Sign("*", ">="),),
    '"page_*" >= 0': (Sign("page_*", ">=", exact=True),),
    '"" >= 0': (Sign("", ">="),),
    '"2" >= "inf"': (Order("2", "inf"),),
    r'"say \"hi\"\n\t\r\\ \u00e9 \U0001F600" <= 0': (Sign('say "hi"\n\t\r\\ é 😀', "<="),),
    "вход >= 0": (Sign("вход", ">="),),
    "खरीद >= ログイン": (Order("खरीद", "ログイン"),),
    "/pricing-page?:v1.2 >= 0": (Sign("/pricing-page?:v1.2", ">="),),
    "2fa >= 0": (Sign("2fa", ">="),),
    "-x <= 0": (Sign("-x", "<="),),
    "1_000 >= 0": (Sign("1_000", ">="),),
}

HOSTILE = [
    "",
    " ",
    "-",
    "--",
    "2",
    "-2.5",
    "2*b",
    "1e5",
    "nan",
    "Infinity",
    "*",
    "a*",
    "a?",
    "a b",
    'say "hi"',
    "back\\slash",
    "two\nlines",
    "\x00\x1b\u2028",
    "a >= 0",
    "'; DROP TABLE events; --",
    "<script>",
    "🎉",
    "\ud800",
    "a\u200db",
]
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=12),
    st.text(alphabet='ab*?.-+0 2e"\\<>=', max_size=8),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
nonzero = numbers.filter(lambda x: x != 0)
signs = st.builds(Sign, names, st.sampled_from([">=", "<="]), exact=st.booleans())
bounds = st.one_of(
    st.builds(
        lambda name, ends, exact: Bounds(name, min(ends), max(ends), exact),
        names,
        st.tuples(numbers, numbers),
        st.booleans(),
    ),
    st.builds(lambda name, low: Bounds(name, low=low), names, numbers),
    st.builds(lambda name, high: Bounds(name, high=high), names, numbers),
)
orders = st.builds(
    lambda pair, factor, margin: Order(*pair, factor, margin),
    st.tuples(names, names).filter(lambda pair: pair[0] != pair[1]),
    nonzero,
    numbers,
)


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_read_as_the_rule_it_states(text):
    assert parse_constraint(text) == FORMS[text]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_error_messages_is_a_rule(text):
    assert parse_constraint(text) == FORMS[text]


@given(st.one_of(signs, bounds, orders))
@example(Sign("2*b", ">="))
@example(Bounds("x", 0, math.inf))
@example(Bounds("x", -math.inf, -0.0))
@example(Order("a", "b", 1.0, -5e-324))
@example(Order("a", "b", 1e300, 1e-7))
def test_a_rule_is_read_back_from_its_own_text(rule):
    text = str(rule)
    assert parse_constraint(text) == (rule,)
    assert len(text.splitlines()) == 1


@given(st.text(max_size=30))
def test_any_text_is_either_a_rule_or_a_constraint_error(text):
    try:
        rules = parse_constraint(text)
    except ConstraintError:
        return
    assert [parse_constraint(str(rule)) for rule in rules] == [(rule,) for rule in rules]


@pytest.mark.parametrize("rule", [Sign("a", ">="), Bounds("a", 0, 1), Order("a", "b", 2, 0.1)])
def test_rules_are_values_that_can_be_hashed_and_pickled(rule):
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert len({rule, pickle.loads(pickle.dumps(rule))}) == 1


REFUSED = {
    "": "the rule is empty",
    "   ": "the rule is empty",
    "login": "compares nothing",
    "login >=": "a name or a number is missing at character 9",
    ">= 0": "a name or a number is missing at character 1",
    "login > 0": "operators of a rule are >=, <= and =; something else stands at character 7",
    "login == 0": "operators of a rule",
    "login =< 0": "operators of a rule",
    "login => 0": "operators of a rule",
    "login <> 0": "operators of a rule",
    "login >= 0 please": "goes on after its end with 'please' at character 12",
    "a b >= 0": "goes on after its end with 'b'",
    "login <= 40%": "'%' has no meaning in a rule at character 12",
    "sum(a) = 1": r"'\(' has no meaning",
    "login >= inf": "inf is not a finite number, at character 10",
    "login <= nan": "nan is not a finite number",
    "login <= -Infinity": "-Infinity is not a finite number",
    "login <= 1e999": "1e999 is not a finite number",
    "2 <= login <= 1": "contradictory bounds on 'login'",
    "0 <= 2": "compares two numbers",
    "a = b": "= fixes one weight at one number",
    "1 = a = 1": "= fixes one weight at one number",
    "a <= b >= c": "a chain must go one way",
    "2 * a >= 1": "a bound takes the plain name",
    "a + 1 >= 0": "a bound takes the plain name",
    "a + b >= c": "a number is missing at character 5",
    "2 * 3 >= a": "the name of a feature is missing",
    "a >= 0 * b": "a finite factor other than zero",
    "-1 * a >= b": "factor on the greater side must be positive",
    "a >= a": "compares a feature with itself",
    '"a >= 0': "the quoted name does not end; it begins at character 1",
    '"\\q" >= 0': "an unknown escape stands in a quoted name at character 2",
    '"\\U00110000" >= 0': "an unknown escape",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_a_rule_is_refused_with_the_reason_and_the_place(text):
    with pytest.raises(ConstraintError, match=REFUSED[text]) as caught:
        parse_constraint(text)
    assert caught.value.got
    assert caught.value.allowed
    assert caught.value.hint


def test_a_rule_that_is_not_text_is_refused():
    with pytest.raises(ConstraintError, match="a rule is a line of text"):
        parse_constraint(3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Sign("a", ">"), "one of two operators"),
        (lambda: Sign(3, ">="), "addresses a feature by its name"),
        (lambda: Bounds("a"), "open on both sides"),
        (lambda: Bounds("a", math.nan), "not finite numbers"),
        (lambda: Bounds("a", math.inf), "not finite numbers"),
        (lambda: Bounds("a", 2, 1), "contradictory bounds on 'a'"),
        (lambda: Bounds("a", "low"), "low is not a number"),
        (lambda: Order("a", "b", math.inf), "finite factor"),
        (lambda: Order("a", "b", margin=math.nan), "finite margin"),
        (lambda: Order("a", None), "addresses a feature by its name"),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(make, match):
    with pytest.raises(ConstraintError, match=match):
        make()
