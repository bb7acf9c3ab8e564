from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.spec import TRANSFORMS, CountRule, CountSpec, Term
from ces_ml.spec.counts import match_events
from ces_ml.spec.terms import saturate

EVENTS = st.one_of(st.sampled_from(["a", "a 7d", "a #2", "a 7d #2", "", " "]), st.text(max_size=4))
TERMS = st.lists(
    st.builds(
        Term,
        name=st.sampled_from(["", "", "", "a", "a #2", "a 7d"]),
        event=EVENTS,
        window=st.sampled_from(["7d", "30d"]),
        cap=st.sampled_from([None, 1.0]),
        transform=st.sampled_from(sorted(TRANSFORMS)),
    ),
    min_size=1,
    max_size=8,
)


def named(*terms: dict) -> tuple[str, ...]:
    return CountSpec(terms=tuple(Term(**{"window": "7d", **t}) for t in terms)).names


def test_a_term_is_named_for_its_event() -> None:
    assert named({"event": "login"}, {"event": 'say "hi"\n'}) == ("login", 'say "hi"\n')


def test_terms_of_one_event_are_named_for_what_differs() -> None:
    assert named({"event": "login"}, {"event": "login", "window": "90d"}, {"event": "buy"}) == (
        "login 7d",
        "login 90d",
        "buy",
    )


def test_a_name_holds_everything_that_differs_and_nothing_else() -> None:
    assert named({"event": "a", "cap": 3}, {"event": "a", "measure": "active_days"}) == (
        "a count 3.0",
        "a active_days",
    )


def test_a_given_name_stays_and_the_others_make_way() -> None:
    assert named({"event": "a"}, {"event": "b", "name": "a"}) == ("a #2", "a")


def test_equal_terms_are_numbered_past_the_names_that_are_taken() -> None:
    assert named({"event": "a"}, {"event": "a #2"}, {"event": "a"}) == ("a", "a #2", "a #3")
    assert named({"event": "a"}, {"event": "a"}, {"event": "a #2"}) == ("a", "a #3", "a #2")


@given(TERMS)
def test_names_are_unique_whatever_the_events_are_called(terms: list[Term]) -> None:
    names = CountSpec(terms=tuple(terms)).names
    assert len(set(names)) == len(terms)


@given(TERMS)
def test_naming_named_terms_changes_nothing(terms: list[Term]) -> None:
    spec = CountSpec(terms=tuple(terms))
    assert CountSpec(terms=spec.terms) == spec


@given(TERMS)
def test_a_spec_survives_json(terms: list[Term]) -> None:
    spec = CountSpec(terms=tuple(terms))
    assert CountSpec.parse(json.loads(spec.model_dump_json())) == spec
    assert CountSpec.model_validate_json(spec.model_dump_json()) == spec


def test_events_are_listed_once_in_order_of_first_use() -> None:
    spec = CountSpec(
        terms=tuple(Term(event=e, window=w) for e, w in [("b", "7d"), ("a", "7d"), ("b", "9d")])
    )
    assert spec.events == ("b", "a")


def test_a_spec_without_terms_is_refused() -> None:
    with pytest.raises(SpecError, match="terms has a value that is not allowed"):
        CountSpec(terms=())


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="window: a length of time of zero holds no events"):
        Term(event="x", window="0d")


def test_a_property_is_refused_where_nothing_is_summed() -> None:
    with pytest.raises(
        SpecError, match=r"measure count does not use property\n.*'amount'\n.*sum, mean"
    ):
        Term(event="x", window="7d", property="amount")


def test_active_days_do_not_decay() -> None:
    with pytest.raises(
        SpecError, match=r"measure active_days does not use half_life\n.*half_life: 3d"
    ):
        Term(event="x", window="7d", measure="active_days", half_life="3d")


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_transforms_are_odd_rising_and_keep_zero(transform: str) -> None:
    n = np.linspace(-9, 9, 19)
    g = saturate(n, None, transform)
    assert saturate(np.zeros(1), None, transform) == [0.0]
    np.testing.assert_array_equal(g, -saturate(-n, None, transform))
    assert (np.diff(g) > 0).all()


def test_the_cap_comes_before_the_transform_and_cuts_both_ends() -> None:
    g = saturate(np.array([-9.0, 2.0, 9.0]), 3.0, "log1p")
    np.testing.assert_allclose(g, [-np.log(4), np.log(3), np.log(4)], rtol=1e-15)


LOG = ["buy_deli", "buy_meat", "buy_*", "login", "[x]", "x", "multi\nline"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["login"], ["login"]),
        (["buy_?eat"], ["buy_meat"]),
        (["*"], sorted(LOG)),
        (["buy_*"], ["buy_*"]),  # an exact name is never a pattern
        (["[x]"], ["[x]"]),
        (["multi*"], ["multi\nline"]),
        (["login", "l*", "x"], ["login", "x"]),
    ],
)
def test_patterns_match_and_exact_names_win(patterns: list[str], found: list[str]) -> None:
    assert match_events(patterns, LOG) == found


def test_matching_takes_case_seriously() -> None:
    with pytest.raises(SpecError, match=r"no event type in the log matches\n.*'Login'\n.*'login'"):
        match_events(["Login"], LOG)


def test_an_event_that_never_occurs_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"'logn'\n.*did you mean 'login'\?"):
        CountSpec.from_rules([CountRule(events="logn", window="7d")], LOG)


def test_hostile_names_match_themselves(hostile: str) -> None:
    written = "[*]" if hostile == "*" else hostile  # a bare star means every event type
    assert match_events([written], [hostile, "other"]) == [hostile]


def test_rules_make_terms_in_sorted_order_with_their_options() -> None:
    rules = [
        CountRule(events="b*", window="7d", cap=5, transform="sqrt"),
        CountRule(events=("login",), window="30d", measure="active_days"),
    ]
    spec = CountSpec.from_rules(rules, ["login", "buy_b", "buy_a", "other"])
    assert (
        spec.terms
        == CountSpec(
            terms=(
                Term(event="buy_a", window="7d", cap=5, transform="sqrt"),
                Term(event="buy_b", window="7d", cap=5, transform="sqrt"),
                Term(event="login", window="30d", measure="active_days"),
            )
        ).terms
    )


def test_the_order_of_the_log_does_not_matter() -> None:
    rules = [CountRule(window="7d")]
    assert CountSpec.from_rules(rules, LOG) == CountSpec.from_rules(rules, LOG[::-1] + LOG)


def test_a_rule_leaves_out_what_it_says() -> None:
    rule = CountRule(exclude=("multi*", "[x]", "nothing like it"), window="7d")
    assert CountSpec.from_rules([rule], LOG).names == (
        "buy_*",
        "buy_deli",
        "buy_meat",
        "login",
        "x",
    )


def test_patterns_do_not_bring_in_the_events_of_the_outcome() -> None:
    spec = CountSpec.from_rules([CountRule(events="*", window="7d")], ["a", "b"], exclude=["b"])
    assert spec.names == ("a",)


def test_a_rule_that_names_an_event_of_the_outcome_is_refused() -> None:
    with pytest.raises(SpecError, match=r"names an event of the outcome\n.*'b'"):
        CountSpec.from_rules([CountRule(events=("a", "b"), window="7d")], ["a", "b"], exclude=["b"])


def test_a_rule_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="leaves no event type to count"):
        CountSpec.from_rules([CountRule(events="b*", window="7d")], ["a", "b"], exclude=["b"])


def test_a_rule_without_events_is_refused() -> None:
    with pytest.raises(SpecError, match="events has a value that is not allowed"):
        CountRule(events=(), window="7d")


def test_rules_that_count_the_same_event_alike_are_refused() -> None:
    rules = [CountRule(events="*", window="7d"), CountRule(events="login", window="7d")]
    with pytest.raises(SpecError, match=r"two count rules count the same\n.*'login' over 7d"):
        CountSpec.from_rules(rules, ["login", "purchase"])
    other = [CountRule(events="*", window="7d"), CountRule(events="login", window="28d")]
    assert CountSpec.from_rules(other, ["login", "purchase"]).names == (
        "login 7d", "purchase", "login 28d",
    )  # fmt: skip


def test_a_star_means_every_event_type_even_where_one_is_called_so() -> None:
    held = ["*", "login"]
    assert match_events(["*"], held) == ["*", "login"]
    assert match_events(["[*]"], held) == ["*"]
