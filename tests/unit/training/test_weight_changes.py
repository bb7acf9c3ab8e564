"""Signs and ranks that flip, by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.training.weight_changes import (
    importance,
    otherwise,
    rank_flips,
    sign_flips,
    weight_rows,
)
from ces_ml.weights import Band, Interval, Scale, WeightedTerm, WeightSet


def weight_set(*terms: WeightedTerm) -> WeightSet:
    return WeightSet(
        name="churn",
        terms=terms,
        intercept=0.0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )


def term(name: str, weight: float, half: float | None = None, **options) -> WeightedTerm:
    ends = None if half is None else Interval(low=weight - half, high=weight + half, level=0.9)
    given = {"name": name, "event": name, "window": "30d", **options}
    return WeightedTerm(weight=weight, interval=ends, **given)


def test_a_sign_flips_where_both_weights_have_one_and_they_differ() -> None:
    before = weight_set(term("a", 1.0), term("b", 1.0), term("c", 0.0), term("<x>", -2.0))
    after = weight_set(term("a", 2.0), term("b", -1.0), term("c", -1.0), term("<x>", 0.5))
    assert [(f.term, f.before, f.after) for f in sign_flips(before, after)] == [
        ("b", 1.0, -1.0),
        ("<x>", -2.0, 0.5),
    ]


@pytest.mark.parametrize(
    ("half_before", "half_after", "clear"),
    [(0.5, 0.5, True), (1.5, 0.5, False), (0.5, 1.5, False), (None, 0.5, False)],
)
def test_a_flip_is_clear_where_both_intervals_leave_out_zero(
    half_before, half_after, clear
) -> None:
    before, after = weight_set(term("a", 1.0, half_before)), weight_set(term("a", -1.0, half_after))
    [flip] = sign_flips(before, after)
    assert flip.clear is clear


def test_an_event_whose_terms_have_other_names_flips_where_its_signs_agree() -> None:
    before = weight_set(term("login 30d", 1.0, event="login"), term("b", 1.0))
    both = (
        term("login 7d", -1.0, event="login", window="7d"),
        term("login 90d", -0.5, event="login", window="90d"),
    )
    [flip] = sign_flips(before, weight_set(*both))
    assert (flip.term, flip.event, flip.before, flip.after) == ("login", "login", 1.0, -1.5)
    mixed = (both[0], term("login 90d", 0.5, event="login", window="90d"))
    assert sign_flips(before, weight_set(*mixed)) == ()


weights = st.lists(st.sampled_from([0.0, 0.1, -0.1, 0.5, -2.0, 3.0]), min_size=1, max_size=7)


@given(weights, st.randoms())
def test_ranks_flip_where_a_pair_is_ordered_one_way_then_the_other(values, random) -> None:
    names = [f"t{k}" for k in range(len(values))]
    shuffled = random.sample(values, len(values))
    a = importance(weight_set(*map(term, names, values)))
    b = importance(weight_set(*map(term, names, shuffled)))
    found, swapped, pairs = rank_flips(a, b, most=100)
    expected = {
        frozenset(pair)
        for pair in combinations(names, 2)
        if (a[pair[0]] - a[pair[1]]) * (b[pair[0]] - b[pair[1]]) < -1e-12
    }
    assert {frozenset((f.above, f.below)) for f in found} == expected
    assert (swapped, pairs) == (len(expected), len(names) * (len(names) - 1) // 2)
    for f in found:
        assert a[f.above] > a[f.below]
        assert b[f.above] < b[f.below]


def test_importance_is_weight_times_spread_as_a_share() -> None:
    found = importance(weight_set(term("a", -2.0), term("b", 1.0)), {"a": 1.0, "b": 6.0})
    assert found == {"a": 0.25, "b": 0.75}
    assert importance(weight_set(term("a", 0.0))) == {"a": 0.0}


def test_rows_hold_every_term_and_say_what_is_counted_otherwise() -> None:
    before = weight_set(term("a", 1.0, 0.5), term("gone", 0.1))
    after = weight_set(term("new", 3.0), term("a", -1.0, window="90d", transform="log1p", cap=5.0))
    rows = {row.term: row for row in weight_rows([before, after])}
    assert list(rows) == ["a", "new", "gone"]
    assert rows["new"].weights == (None, 3.0)
    assert rows["gone"].ranks == (2, None)
    assert rows["a"].intervals == ((0.5, 1.5), None)
    assert rows["a"].flipped
    assert rows["a"].otherwise == "window 30d → 90d, cap none → 5, transform identity → log1p"
    assert rows["new"].otherwise == ""


def test_event_types_counted_as_one_are_compared_by_what_they_are() -> None:
    one = term("buy", 1.0, members=("buy_a", "buy_b"))
    other = term("buy", 1.0, members=("buy_a",))
    assert otherwise(one, other) == "2 → 1 event types"


def test_rank_flips_are_listed_by_the_smaller_of_their_two_gaps() -> None:
    a = dict(zip("xyz", np.array([0.6, 0.3, 0.1]), strict=True))
    b = dict(zip("xyz", np.array([0.1, 0.3, 0.6]), strict=True))
    found, swapped, _ = rank_flips(a, b, most=1)
    assert swapped == 3
    assert [(f.above, f.below) for f in found] == [("x", "z")]
