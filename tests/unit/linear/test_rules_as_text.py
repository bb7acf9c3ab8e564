"""Rules are read from one line of text, and written back to it."""

import math
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ces_ml.errors import ConstraintError
from ces_ml.linear import (
    AtMost,
    Bounds,
    Exclude,
    GroupShare,
    Include,
    Order,
    Share,
    Sign,
    Sum,
    parse_constraint,
)
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
    "login <= 40%": (Share("login", high=0.4),),
    "40% >= login": (Share("login", high=0.4),),
    "login<=40 %": (Share("login", high=0.4),),
    "10% <= purchase": (Share("purchase", low=0.1),),
    "5% <= login <= 40%": (Share("login", 0.05, 0.4),),
    "40% >= login >= 5%": (Share("login", 0.05, 0.4),),
    "login = 7%": (Share("login", 0.07, 0.07),),
    "12.5% = login": (Share("login", 0.125, 0.125),),
    "login <= 0%": (Share("login", 0, 0),),
    '"page_*" <= 1e1%': (Share("page_*", high=0.1, exact=True),),
    "page_* <= 10%": (Share("page_*", high=0.1),),
    "sum(social_*) <= 30%": (GroupShare("social_*", high=0.3),),
    'sum(a, b, "c d") <= 30%': (GroupShare(["a", "b", "c d"], high=0.3),),
    "10% <= sum(a,b*) <= 30%": (GroupShare(["a", "b*"], 0.1, 0.3),),
    "sum(all) = 1": (Sum("*", 1, 1),),
    "1 = sum (*)": (Sum("*", 1, 1),),
    'sum("all", "x*") <= -1': (Sum(["all", "x*"], high=-1, exact="x*"),),
    "sum(social_*) <= 2": (Sum("social_*", high=2),),
    "sum(a, b) >= 0.5": (Sum(["a", "b"], low=0.5),),
    "0 <= sum(a, b) <= 2": (Sum(["a", "b"], 0, 2),),
    "sum >= 0": (Sign("sum", ">="),),
    "all >= 0": (Sign("all", ">="),),
    "exclude >= 0": (Sign("exclude", ">="),),
    "include = 2": (Bounds("include", 2, 2),),
    "at <= most": (Order("most", "at"),),
    "exclude social_*": (Exclude("social_*"),),
    'exclude a, "b, c"': (Exclude(["a", "b, c"]),),
    "exclude exclude": (Exclude("exclude"),),
    "include login": (Include("login"),),
    "at most 5 events": (AtMost(5),),
    "at most 1 event": (AtMost(1),),
    "at most 3 of social_*": (AtMost(3, "social_*"),),
    'at most 2 of a, "of"': (AtMost(2, ["a", "of"]),),
    "at most 2 of all": (AtMost(2),),
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


fractions = st.floats(0.0, 1.0)
shares = st.builds(
    lambda name, ends, exact: Share(name, *sorted(ends), exact=exact),
    names,
    st.tuples(fractions, fractions).filter(lambda ends: sorted(ends) != [0.0, 1.0]),
    st.booleans(),
)
several = st.lists(names, min_size=1, max_size=4, unique=True)
groups = st.one_of(
    st.builds(
        lambda members, ends, exact: GroupShare(members, *sorted(ends), exact=members[:exact]),
        several,
        st.tuples(fractions, fractions).filter(lambda ends: sorted(ends) != [0.0, 1.0]),
        st.integers(0, 4),
    ),
    st.builds(
        lambda members, ends, exact: Sum(members, *sorted(ends), exact=members[:exact]),
        several,
        st.tuples(numbers, numbers),
        st.integers(0, 4),
    ),
    st.builds(lambda members, low: Sum(members, low=low), several, numbers),
)
choices = st.one_of(
    st.builds(lambda members, exact: Exclude(members, members[:exact]), several, st.integers(0, 4)),
    st.builds(lambda members, exact: Include(members, members[:exact]), several, st.integers(0, 4)),
    st.builds(AtMost, st.integers(1, 10**20), several),
)


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_read_as_the_rule_it_states(text):
    assert parse_constraint(text) == FORMS[text]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_error_messages_is_a_rule(text):
    assert parse_constraint(text) == FORMS[text]


@settings(deadline=None)
@given(st.one_of(signs, bounds, orders, shares, groups, choices))
@example(Share("x", 0.07000000000000001, 1.0))
@example(Share("x", 0.0, 5e-324))
@example(Sum(["*", "all"], 0, 0, exact=["*"]))
@example(Sign("2*b", ">="))
@example(Bounds("x", 0, math.inf))
@example(Bounds("x", -math.inf, -0.0))
@example(Order("a", "b", 1.0, -5e-324))
@example(Order("a", "b", 1e300, 1e-7))
def test_a_rule_is_read_back_from_its_own_text(rule):
    text = str(rule)
    assert parse_constraint(text) == (rule,)
    assert len(text.splitlines()) == 1


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_either_a_rule_or_a_constraint_error(text):
    try:
        rules = parse_constraint(text)
    except ConstraintError:
        return
    assert [parse_constraint(str(rule)) for rule in rules] == [(rule,) for rule in rules]


@pytest.mark.parametrize("rule", [Sign("a", ">="), Share("a", 0.1), Sum(["a", "b"], 0, 1)])
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
    "login <= 40$": r"'\$' has no meaning in a rule at character 12",
    "login <= 40% of all": "goes on after its end with 'of'",
    "login <= 140%": "limits of a share are out of range",
    "login >= -5%": "limits of a share are out of range",
    "40% <= login <= 5%": "limits of a share are out of range",
    "login <= 100%": "limits of a share are open on both sides",
    "0% <= login": "limits of a share are open on both sides",
    "5% <= login <= 2": "one limit is a share and the other is a plain number",
    "5% <= login <= 40% <= 50%": "a share or a sum is that of one name or group",
    "5% <= 40% <= login": "a share or a sum stands between its limits",
    "5% <= 40%": "a share or a sum is that of one name or group",
    "5% <= a <= b": "a share or a sum is that of one name or group",
    "5% = a = 5%": "a share or a sum is that of one name or group",
    "2 * login <= 40%": "a share takes the plain name",
    "sum(a) >= b": "a share or a sum is that of one name or group",
    "sum(a) >= sum(b)": "a share or a sum is that of one name or group",
    "2 * sum(a) >= 1": "a sum takes no factor",
    "2 <= sum(a) <= 1": "limits of a sum are out of range",
    "sum() >= 1": "the name of a feature is missing at character 5",
    "sum(a,) >= 1": "the name of a feature is missing at character 7",
    "sum(a >= 1": "the closing bracket is missing at character 7",
    "sum(a, a) >= 1": "a group names no feature, or one of them twice",
    "exclude a b": "goes on after its end with 'b'",
    "exclude a,": "the name of a feature is missing",
    "exclude 3": "the name of a feature is missing at character 9",
    "at most events": "a whole number of events is missing at character 9",
    "at most 2.5 events": "a whole number of events is missing",
    "at most 0 events": "not a whole number of at least 1",
    "at most 5": "`events`, or `of` and names, is missing at character 10",
    "at most 5 things": "`events`, or `of` and names, is missing at character 11",
    "at most 5 of": "the name of a feature is missing",
    "at most 5 events please": "goes on after its end with 'please'",
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
        (lambda: Share(3, 0.1), "addresses a feature by its name"),
        (lambda: Share("a", math.nan), "limits of a share are out of range"),
        (lambda: Share("a", 40), "limits of a share are out of range"),
        (lambda: Share("a", "x"), "low is not a number"),
        (lambda: Share("a"), "open on both sides"),
        (lambda: GroupShare([], 0.1), "names no feature, or one of them twice"),
        (lambda: GroupShare(["a", 3], 0.1), "addresses a feature by its name"),
        (lambda: Sum("a"), "limits of a sum are open on both sides"),
        (lambda: Sum("a", math.inf), "limits of a sum are out of range"),
        (lambda: Sum(None, 1), "addresses a feature by its name"),
        (lambda: Exclude(["a", "a"]), "one of them twice"),
        (lambda: Include(()), "names no feature"),
        (lambda: AtMost(0), "not a whole number of at least 1"),
        (lambda: AtMost(2.0), "not a whole number of at least 1"),
        (lambda: AtMost(True), "not a whole number of at least 1"),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(make, match):
    with pytest.raises(ConstraintError, match=match):
        make()
