"""Rules become bounds and rows, by name; sets that can't hold together are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import ConstraintError, InfeasibleConstraintsError
from ces_ml.linear import (
    AtMost,
    Bounds,
    GroupShare,
    Order,
    Share,
    Sign,
    Sum,
    compile_constraints,
    parse_constraint,
)

NAMES = ["login", "page_view", "page_like", "purchase", "page_*"]
INF = np.inf


def test_no_rules_leave_every_weight_free():
    for nothing in (None, [], ()):
        region = compile_constraints(nothing, NAMES)
        assert (region.lower == -INF).all()
        assert (region.upper == INF).all()
        assert region.A.shape == (0, 5)
        assert region.bound_rules == ((None, None),) * 5


def test_text_objects_and_their_mixtures_mean_the_same():
    texts = ["login >= 0", "purchase >= 2 * login + 0.1"]
    objects = [Sign("login", ">="), Order("purchase", "login", 2, 0.1)]
    mixed = (texts[0], objects[1])
    expected = compile_constraints(texts, NAMES)
    for rules in (objects, mixed):
        region = compile_constraints(rules, NAMES)
        np.testing.assert_array_equal(region.lower, expected.lower)
        np.testing.assert_array_equal(region.A, expected.A)
        np.testing.assert_array_equal(region.b, expected.b)
        assert region.row_rules == expected.row_rules
    np.testing.assert_array_equal(expected.A, [[2, 0, 0, -1, 0]])
    np.testing.assert_array_equal(expected.b, [-0.1])


@pytest.mark.parametrize("rule", ["login >= 0", Sign("login", ">=")])
def test_one_rule_needs_no_list(rule):
    assert compile_constraints(rule, NAMES).lower[0] == 0


def test_a_glob_means_every_feature_that_it_matches():
    region = compile_constraints("pa?e_* >= 0", ["page_a", "page_\n", "page"])
    np.testing.assert_array_equal(region.lower, [0, 0, -INF])


def test_an_exact_name_wins_over_its_reading_as_a_glob():
    region = compile_constraints("page_* >= 0", NAMES)
    np.testing.assert_array_equal(region.lower, [-INF, -INF, -INF, -INF, 0])


def test_a_quoted_name_is_never_a_glob():
    with pytest.raises(ConstraintError, match="no feature has this name"):
        compile_constraints('"page_?iew" >= 0', NAMES)


def test_an_order_takes_an_exact_name_with_a_wildcard_in_it():
    region = compile_constraints("login >= page_*", NAMES)
    np.testing.assert_array_equal(region.A, [[-1, 0, 0, 0, 1]])


def test_bounds_of_several_rules_are_intersected_and_the_tightest_rule_is_named():
    region = compile_constraints(
        ["* >= -2", "-1 <= login <= 5", "login <= 3", "purchase = 0.5"], ["login", "purchase"]
    )
    np.testing.assert_array_equal(region.lower, [-1, 0.5])
    np.testing.assert_array_equal(region.upper, [3, 0.5])
    assert region.bound_rules == (
        ("-1 <= login <= 5", "login <= 3"),
        ("purchase = 0.5", "purchase = 0.5"),
    )


def test_a_chain_keeps_the_words_of_its_user_for_each_of_its_rows():
    region = compile_constraints("  login <= page_view <= purchase ", NAMES)
    assert region.row_rules == ("login <= page_view <= purchase",) * 2


def test_the_matrices_can_not_be_written_to():
    region = compile_constraints("login >= 0", NAMES)
    with pytest.raises(ValueError, match="read-only"):
        region.lower[0] = 1


def test_names_of_any_characters_are_found():
    hostile = ["", "a b", 'q"', "new\nline", "🎉", "x*"]
    rules = [Sign(name, ">=", exact=True) for name in hostile]
    for form in (rules, [str(rule) for rule in rules]):
        np.testing.assert_array_equal(compile_constraints(form, hostile).lower, np.zeros(6))


@pytest.mark.parametrize(
    ("rules", "match"),
    [
        ("purchse >= 0", r"(?s)rule 'purchse >= 0'.*did you mean 'purchase'"),
        ("purchase >= page_vew", r"(?s)'purchase >= page_vew'.*did you mean 'page_view'"),
        ("zz_* >= 0", "no feature matches this pattern"),
        ("login >= pag*", "wildcards are not read in 'login >= pag\\*'"),
        (3, "constraints are a list of rules"),
        ([3], "constraints are a list of rules"),
        ({"login": 0}, "constraints are a list of rules"),
        (b"login >= 0", "constraints are a list of rules"),
        ([None], "constraints are a list of rules"),
    ],
)
def test_what_names_nothing_or_is_no_rule_is_refused(rules, match):
    with pytest.raises(ConstraintError, match=match):
        compile_constraints(rules, NAMES)


def test_two_features_of_one_name_are_refused_once_there_are_rules():
    compile_constraints(None, ["a", "a"])
    with pytest.raises(ConstraintError, match="two features have the same name"):
        compile_constraints("a >= 0", ["a", "a"])


CONFLICTS = [
    (["login >= 1", "login <= 0"], None),
    (["a >= b + 0.1", "b >= a"], None),
    (["a >= b + 1e-6", "b >= a"], None),
    (["c >= 0", "a >= 2 * b", "0 <= b", "b >= 1", "a <= 1", "d <= 3"], [1, 3, 4]),
    (["a >= b + 1 >= c + 2 >= a + 3"], None),
    (["* >= 1", "a >= b + 0.1", "d = 2", "c <= 0.5"], [0, 3]),
    (["a <= b <= c", "c <= d", "d <= a - 0.5", "login >= 0"], [0, 1, 2]),
    (["a = 1", "a = 2", "a = 3"], [1, 2]),
    (["sum(a, b) = 1", "login >= 0", "a >= 1", "b >= 0.5"], [0, 2, 3]),
    (["sum(all) = 1", "sum(a, b) <= 2", "sum(all) = 2"], [0, 2]),
    (["exclude a", "b >= 0", "a >= b + 0.5"], None),
    (["at most 2 events", "a = 1", "b >= 1", "c >= 1", "d <= 1"], [0, 1, 2, 3]),
    (["at most 1 of a, b", "include a", "include b", "c >= 0"], [0, 1, 2]),
    (["include a", "exclude a, b", "b <= 1"], [0, 1]),
]


@pytest.mark.parametrize(("rules", "smallest"), CONFLICTS)
def test_a_conflict_names_a_smallest_set_of_rules_in_the_words_of_the_user(rules, smallest):
    names = ["login", "a", "b", "c", "d"]
    expected = [rules[i] for i in (smallest or range(len(rules)))]
    with pytest.raises(InfeasibleConstraintsError, match="no weights obey") as caught:
        compile_constraints(rules, names)
    assert caught.value.got == "; ".join(f"`{rule}`" for rule in expected)
    for rule in expected:
        compile_constraints([other for other in expected if other != rule], names)


def test_a_share_is_a_row_of_all_weights_by_their_signs():
    region = compile_constraints(["a >= 0", "b <= 0", "c = 0.5", "a <= 40%"], ["a", "b", "c"])
    np.testing.assert_allclose(region.A, [[0.6, 0.4, -0.4]])
    np.testing.assert_array_equal(region.b, [0])
    assert region.row_rules == ("a <= 40%",)
    low = compile_constraints(["* >= 0", "10% <= a <= 40%"], ["a", "b"])
    np.testing.assert_allclose(low.A, [[-0.9, 0.1], [0.6, -0.4]])


def test_a_share_given_exactly_is_an_equation():
    region = compile_constraints(["* >= 0", Share("a", 0.5, 0.5)], ["a", "b"])
    np.testing.assert_array_equal(region.A_eq, [[0.5, -0.5]])
    assert region.eq_rules == ("a = 50%",)


def test_a_glob_beside_a_share_means_each_feature_and_in_a_sum_all_together():
    names = ["s_a", "s_b", "c"]
    each = compile_constraints(["* >= 0", "s_* <= 20%"], names)
    group = compile_constraints(["* >= 0", GroupShare("s_*", high=0.2)], names)
    np.testing.assert_allclose(each.A, [[0.8, -0.2, -0.2], [-0.2, 0.8, -0.2]])
    np.testing.assert_allclose(group.A, [[0.8, 0.8, -0.2]])


@pytest.mark.parametrize(
    "rules",
    [
        ["a >= b >= c", "c >= 0"],
        ["c <= b <= a", "c = 1"],
        ["a >= 2 * c", "b >= 0.5 * a + 1", "c >= 0"],
        ["exclude a", "b >= 0", "c <= -1"],
        ["sum(a, b) = 0", "a >= 0", "c >= 0"],
    ],
)
def test_signs_may_follow_from_several_rules_together(rules):
    region = compile_constraints([*rules, "b <= 90%"], ["a", "b", "c"])
    assert region.row_rules[-1] == "b <= 90%"


def test_a_share_of_weights_without_known_sign_names_them_and_the_rule_to_add():
    with pytest.raises(ConstraintError, match="every weight has a known sign") as caught:
        compile_constraints(
            ["a >= 0", "c d <= 3".replace("c d", '"c d"'), "a <= 40%"], ["a", "c d"]
        )
    assert caught.value.got == "1 of 2 weights without one: 'c d'"
    assert caught.value.hint == 'add `"c d" >= 0` or `"c d" <= 0`, and so for each of them'
    many = [f"x{j}" for j in range(20)]
    with pytest.raises(ConstraintError, match=r"20 of 20 weights .* 8 more"):
        compile_constraints("x0 <= 40%", many)


def test_a_sum_is_a_row_or_an_equation_and_of_one_feature_a_bound():
    region = compile_constraints(
        ["sum(a*, b) <= 2", "sum(all) = 1", "sum(b) >= -1", Sum("a1", 0.5, 0.5)], ["a1", "a2", "b"]
    )
    np.testing.assert_array_equal(region.A, [[1, 1, 1]])
    np.testing.assert_array_equal(region.A_eq, [[1, 1, 1]])
    np.testing.assert_array_equal(region.b_eq, [1])
    np.testing.assert_array_equal(region.lower, [0.5, -INF, -1])
    np.testing.assert_array_equal(region.upper, [0.5, INF, INF])


def test_all_and_a_star_in_a_group_mean_every_feature_even_if_one_is_so_called():
    names = ["*", "all", "b"]
    for rule in ("sum(all) = 1", "sum(*) = 1"):
        assert compile_constraints(rule, names).A_eq.sum() == 3
    assert compile_constraints('sum("*", "all") = 1', names).A_eq.tolist() == [[1, 1, 0]]


def test_excluded_weights_are_fixed_at_zero_and_named_by_their_rule():
    region = compile_constraints(["exclude page_*, login", "login <= 2"], NAMES[:-1])
    np.testing.assert_array_equal(region.lower, [0, 0, 0, -INF])
    np.testing.assert_array_equal(region.upper, [0, 0, 0, INF])
    assert region.bound_rules[0] == ("exclude page_*, login",) * 2


def test_limits_on_the_number_and_kept_features_are_carried_along():
    region = compile_constraints(
        ["at most 2 of page_*", AtMost(3), "include login, page_view"], NAMES[:-1]
    )
    assert [(limit.members, limit.k) for limit in region.limits] == [
        ((1, 2), 2),
        ((0, 1, 2, 3), 3),
    ]
    assert region.limit_rules == ("at most 2 of page_*", "at most 3 events")
    assert region.kept == (0, 1)
    assert region.kept_rules == ("include login, page_view",) * 2


@pytest.mark.parametrize(
    "rule", ["sum(zz) >= 1", "sum(zz*) <= 3%", "exclude zz", "include zz", "at most 2 of zz, a"]
)
def test_groups_that_name_nothing_are_refused(rule):
    with pytest.raises(ConstraintError, match="no feature"):
        compile_constraints(rule, ["a", "b"])


def test_every_kind_says_what_it_is_in_its_own_text():
    rules = ["* >= 0", "a >= b", "a <= 40%", "sum(all) = 1", "exclude b", "at most 1 events"]
    again = [str(part) for rule in rules for part in parse_constraint(rule)]
    assert again == rules


@pytest.mark.parametrize(
    ("rules", "smallest"),
    [
        (["* >= 0", "a <= 20%", "sum(all) = 1", "sum(a, b) >= 1", "b <= 30%"], [1, 2, 3, 4]),
        (["* >= 0", "login <= 30%", "login >= 1", "sum(all) <= 3"], [1, 2, 3]),
    ],
)
def test_a_conflict_of_shares_takes_the_signs_from_all_rules(rules, smallest):
    with pytest.raises(InfeasibleConstraintsError, match="rules together") as caught:
        compile_constraints(rules, ["login", "a", "b"])
    assert caught.value.got == "; ".join(f"`{rules[i]}`" for i in smallest)
    for i in smallest:
        compile_constraints(rules[:i] + rules[i + 1 :], ["login", "a", "b"])


def test_rules_that_touch_in_one_point_hold_together():
    compile_constraints(["a >= 1", "a <= 1", "a >= b", "b >= a", "b <= 1"], ["a", "b"])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(-2, 3)).filter(
            lambda rule: rule[0] != rule[1]
        ),
        max_size=8,
    ),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-3, 3)), max_size=3),
)
def test_any_set_of_orders_holds_or_has_an_irreducible_conflict(orders, fixed):
    rules = [Order(g, s, 1.0, margin) for g, s, margin in orders]
    rules += [Bounds(name, value, value) for name, value in fixed]
    try:
        compile_constraints(rules, list("abcd"))
    except InfeasibleConstraintsError as error:
        kept = [text.strip("`") for text in error.got.split("; ")]
        with pytest.raises(InfeasibleConstraintsError, match="no weights obey"):
            compile_constraints(kept, list("abcd"))
        for i in range(len(kept)):
            compile_constraints(kept[:i] + kept[i + 1 :], list("abcd"))


def test_a_bare_star_means_every_feature_even_where_one_is_called_so() -> None:
    assert compile_constraints("* >= 0", ["*", "a"]).lower.tolist() == [0.0, 0.0]
    assert compile_constraints('"*" >= 0', ["*", "a"]).lower.tolist() == [0.0, -np.inf]
