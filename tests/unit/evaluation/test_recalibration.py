"""Recalibration against scikit-learn's isotonic and logistic regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ces_ml.errors import CesWarning, EventLogError, SpecError
from ces_ml.evaluation import calibration, recalibrate


def sample(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    z = rng.normal(0.0, 2.0, n)
    return (rng.random(n) < 1 / (1 + np.exp(-(0.4 + 0.5 * z)))).astype(int), z


@pytest.mark.parametrize("weighted", [False, True])
def test_platt_is_logistic_regression_on_the_log_odds(weighted) -> None:
    y, z = sample(2000)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted else None
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(z[:, None], y, weight)
    at = np.linspace(-9, 9, 50)
    found = recalibrate("platt", y, z, weight)
    expected = model.predict_proba(at[:, None])[:, 1]
    np.testing.assert_allclose(found.apply(at), expected, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.floats(-5, 5, width=16), st.integers(1, 4)),
        min_size=2,
        max_size=50,
    )
)
def test_isotonic_is_that_of_scikit_learn_kept_off_the_ends(rows) -> None:
    y, z, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    y[:2] = 0, 1
    edge = 0.5 / (len(y) + 1)
    model = IsotonicRegression(out_of_bounds="clip").fit(z, y, weight)
    found = recalibrate("isotonic", y, z, weight)
    np.testing.assert_allclose(found.apply(z), np.clip(model.predict(z), edge, 1 - edge), atol=1e-7)
    between = found.apply(np.linspace(-7, 7, 40))
    assert (np.diff(between) >= 0).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_probabilities_become_true_on_rows_that_took_no_part(method) -> None:
    y, z = sample(20_000)
    found = recalibrate(method, y[:10_000], z[:10_000])
    before = calibration(y[10_000:], 1 / (1 + np.exp(-z[10_000:])))
    after = calibration(y[10_000:], found.apply(z[10_000:]))
    assert before.slope == pytest.approx(0.5, abs=0.05)
    assert after.slope == pytest.approx(1.0, abs=0.08)
    assert after.ece < 0.2 * before.ece


def test_a_score_that_ranks_the_wrong_way_round_gives_everyone_the_rate() -> None:
    y, z = sample(2000)
    with pytest.warns(CesWarning, match=r"slope is -0\.\d+\): everyone gets the outcome rate"):
        found = recalibrate("platt", y, -z)
    np.testing.assert_allclose(found.apply(np.array([-3.0, 3.0])), y.mean())


def test_where_there_is_no_line_nothing_is_changed() -> None:
    with pytest.warns(CesWarning, match=r"Platt's line can't be fitted: on 4 held-out rows"):
        assert recalibrate("platt", np.array([0, 1, 0, 1]), np.zeros(4)) is None


def test_what_can_not_be_recalibrated_is_refused() -> None:
    with pytest.raises(SpecError, match=r"(?s)can't be recalibrated so.*isotonic"):
        recalibrate("isotonik", np.array([0, 1]), np.array([0.0, 1.0]))
    with pytest.raises(EventLogError, match="only one outcome occurs"):
        recalibrate("platt", np.array([1, 1]), np.array([0.0, 1.0]))
