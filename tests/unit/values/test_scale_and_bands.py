from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ces_ml.errors import SpecError, WeightSetError
from ces_ml.weights import Band, Scale
from ces_ml.weights.scale import sigmoid, tidy

METHODS = ["quantiles", "min_max", "probability"]
RAW = hnp.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6)),
)


@pytest.mark.parametrize("method", METHODS)
@given(reference=RAW, raw=RAW)
def test_a_higher_raw_score_never_gives_a_lower_score(
    method: str, reference: np.ndarray, raw: np.ndarray
) -> None:
    score = Scale.fit(reference, method).apply(np.sort(raw), intercept=-0.5)
    assert ((score >= 0) & (score <= 100)).all()
    assert (np.diff(score) >= -1e-12).all()


@given(RAW)
def test_a_scale_survives_json(reference: np.ndarray) -> None:
    for method in METHODS:
        scale = Scale.fit(reference, method)
        assert Scale.model_validate_json(scale.model_dump_json()) == scale


def test_quantiles_give_the_percentile_among_the_reference() -> None:
    reference = np.random.default_rng(0).random(10_001)
    scale = Scale.fit(reference)
    assert scale.apply(np.sort(reference)[2500:2501]) == pytest.approx(25, abs=1e-6)
    middle = scale.apply(reference)
    assert np.abs(middle - 100 * np.argsort(np.argsort(reference)) / 10_000).max() < 1.5


def test_customers_who_are_tied_share_the_middle_of_their_ranks() -> None:
    scale = Scale.fit(np.array([0.0] * 60 + list(range(1, 41))))
    assert scale.apply(np.array([0.0]))[0] == pytest.approx(27.5)
    assert scale.apply(np.array([40.0]))[0] == 100


@pytest.mark.parametrize("method", ["quantiles", "min_max"])
def test_when_all_raw_scores_are_equal_everyone_scores_50(method: str) -> None:
    scale = Scale.fit(np.full(7, 3.25), method)
    assert scale.apply(np.array([-10.0, 3.25, 10.0])).tolist() == [50, 50, 50]


def test_min_max_gives_100_from_the_top_percentile_up() -> None:
    scale = Scale.fit(np.arange(101.0), "min_max", top=95)
    assert scale.apply(np.array([-5.0, 0.0, 47.5, 95.0, 100.0])).tolist() == [0, 0, 50, 100, 100]


def test_min_max_reaches_to_the_maximum_where_the_percentile_is_the_minimum() -> None:
    scale = Scale.fit(np.array([0.0] * 999 + [8.0]), "min_max")
    assert scale.apply(np.array([0.0, 2.0, 8.0])).tolist() == [0, 25, 100]


def test_probability_is_100_times_the_sigmoid_of_raw_plus_intercept() -> None:
    scale = Scale.fit(np.array([]), "probability")
    assert scale.apply(np.array([2.0]), intercept=-2.0) == [50.0]
    assert scale.apply(np.array([1.0]))[0] == pytest.approx(100 / (1 + np.exp(-1)), rel=1e-14)


def test_the_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert sigmoid([-1e308, 0.0, 1e308]).tolist() == [0.0, 0.5, 1.0]


def test_no_score_passes_100_in_the_last_bit() -> None:
    scale = Scale(method="min_max", knots=((-2.488, 28.8), (-0.306, 100.0)))
    assert np.interp(-0.30600000000000005, [-2.488, -0.306], [28.8, 100.0]) > 100
    assert scale.apply(np.array([-0.30600000000000005])) == [100.0]


def test_scores_are_flat_outside_the_reference() -> None:
    scale = Scale.fit(np.array([1.0, 2.0, 3.0]))
    assert scale.apply(np.array([-1e300, 1e300])).tolist() == [0, 100]


@pytest.mark.parametrize("method", ["quantiles", "min_max"])
def test_a_scale_without_reference_customers_is_refused(method: str) -> None:
    with pytest.raises(SpecError, match=r"without reference customers\n.*0 raw scores"):
        Scale.fit(np.array([]), method)


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(WeightSetError, match=r"'minmax'\n.*did you mean 'min_max'\?"):
        Scale.fit(np.arange(3.0), "minmax")


@pytest.mark.parametrize("options", [{"top": 0}, {"top": 101}, {"n_knots": 1}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(SpecError, match="the scale has no such percentiles"):
        Scale.fit(np.arange(3.0), "min_max", **options)


@pytest.mark.parametrize(
    "fields",
    [
        {"knots": ()},
        {"knots": ((0, 0), (0, 100))},
        {"knots": ((1, 0), (0, 100))},
        {"knots": ((0, 60), (1, 40))},
        {"knots": ((0, -1), (1, 40))},
        {"knots": ((0, 0), (1, 101))},
        {"method": "probability", "knots": ((0, 0), (1, 100))},
    ],
)
def test_a_map_that_does_not_rise_to_100_is_refused(fields: dict) -> None:
    with pytest.raises(WeightSetError, match="not a rising map to 0–100"):
        Scale(**fields)


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("from_score", {"from_score": -1}),
        ("from_score", {"from_score": 100.5}),
        ("rate", {"from_score": 0, "rate": 1.5}),
        ("rows", {"from_score": 0, "rows": -1}),
        ("name", {"from_score": 0, "name": ""}),
    ],
)
def test_a_band_out_of_range_is_refused(key: str, fields: dict) -> None:
    with pytest.raises(WeightSetError, match=f"{key} has a value that is not allowed"):
        Band(**{"name": "b", **fields})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_twice_is_rounding_once(value: float) -> None:
    assert tidy(tidy(value)) == tidy(value)
    assert tidy(value) == pytest.approx(value, rel=1e-11, abs=1e-290)


def test_there_is_one_zero() -> None:
    assert str(tidy(-0.0)) == "0.0"
