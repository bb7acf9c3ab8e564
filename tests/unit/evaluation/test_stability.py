import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.evaluation import weight_stability


def test_flips_are_those_counted_by_hand() -> None:
    # a: + − + (two flips of sign); b: + 0 − (one, past the zero); c: steady.
    W = np.array([[1.0, 0.5, 2.0], [-1.0, 0.0, 2.0], [3.0, -0.5, 2.0]])
    rows = {r["term"]: r for r in weight_stability(W, ["a", "b", "c"])}
    assert [rows[n]["sign_flips"] for n in "abc"] == [2, 1, 0]
    # a>b, c>a, c>b; then b>a, c>a, c>b; then a>b, a>c, c>b: (a, b) twice, (a, c) once.
    assert [rows[n]["rank_flips"] for n in "abc"] == [3, 2, 1]
    assert rows["a"]["mean"] == 1.0
    assert rows["a"]["sd"] == 2.0
    assert (rows["a"]["low"], rows["a"]["high"]) == (-1.0, 3.0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=6).map(
        lambda rows: np.array(rows, dtype=float)
    )
)
def test_rank_flips_are_those_of_a_plain_loop(W) -> None:
    expected = [0, 0, 0]
    for k in range(len(W) - 1):
        for i in range(3):
            for j in range(3):
                if (W[k, i] - W[k, j]) * (W[k + 1, i] - W[k + 1, j]) < 0:
                    expected[i] += 1
    assert [r["rank_flips"] for r in weight_stability(W, "abc")] == expected


def test_round_off_around_a_tie_is_no_flip() -> None:
    W = np.array([[1.0, 1.0 + 1e-10, 1e-12], [1.0, 1.0 - 1e-10, -1e-12]])
    assert not any(r["sign_flips"] + r["rank_flips"] for r in weight_stability(W, "abc"))


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="weights and names do not fit"):
        weight_stability(np.ones((2, 3)), ["a"])
