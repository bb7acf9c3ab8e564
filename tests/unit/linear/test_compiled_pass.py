"""The compiled pass against the numpy pass, which knows the loss only through its contract."""

import numpy as np
import pytest
import scipy.sparse as sp
from numba.core.errors import TypingError

from ces_ml.linear.kernels import RowBlocks, parts
from ces_ml.linear.losses import LogisticLoss

LOSS = LogisticLoss()


def counts(n, p, mean, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.7, 1.0, (n, 1)) * mean / (1.0 + np.arange(p))
    X = np.log1p(rng.poisson(rates)).astype(dtype)
    return X, rng.random(n) < 0.3, rng


def agree(found, expected, tolerance=2e-14):
    assert found.value == pytest.approx(expected.value, rel=tolerance)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=tolerance)
    np.testing.assert_allclose(
        found.hessian, expected.hessian, atol=tolerance * np.abs(expected.hessian).max()
    )


@pytest.mark.parametrize("p", [1, 7, 8, 9, 40, 63, 65, 70])
@pytest.mark.parametrize("convert", [sp.csr_matrix, np.asarray], ids=["csr", "dense"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_any_width_equal_those_of_numpy(p, convert, weighted, monkeypatch):
    monkeypatch.setattr(parts, "PART", 1000)
    X, y, rng = counts(1003, p, mean=3.0)
    s = rng.choice([0.0, 1.0, 2.5], len(y)) if weighted else None
    w, c = rng.normal(0, 0.5, p), -0.4
    compiled, plain = (RowBlocks(convert(X), y, s, LOSS, compiled=k) for k in (True, False))
    agree(compiled.evaluate(w, c), plain.evaluate(w, c))
    assert compiled.value(w, c) == pytest.approx(plain.value(w, c), rel=2e-14)
    slope, expected = compiled.slope(w, c), plain.slope(w, c)
    assert slope.value == pytest.approx(expected.value, rel=2e-14)
    np.testing.assert_allclose(slope.gradient, expected.gradient, atol=2e-14)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_with_few_values_of_many_columns_are_scattered_and_sum_the_same(index, dtype):
    X, y, rng = counts(2000, 300, mean=0.3, dtype=dtype)
    X = sp.csr_array(X)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    assert parts._scattering_pays(X, 304)
    w = rng.normal(0, 0.5, 300)
    compiled, plain = (RowBlocks(X, y, None, LOSS, compiled=k) for k in (True, False))
    agree(compiled.evaluate(w, 0.1), plain.evaluate(w, 0.1))
    slope, expected = compiled.slope(w, 0.1), plain.slope(w, 0.1)
    np.testing.assert_allclose(slope.gradient, expected.gradient, atol=2e-14)


@pytest.mark.parametrize("convert", [sp.csr_matrix, np.asarray], ids=["csr", "dense"])
def test_the_number_of_threads_does_not_change_a_bit(convert, monkeypatch):
    monkeypatch.setattr(parts, "PART", 500)
    X, y, rng = counts(3000, 20, mean=3.0)
    w = rng.normal(size=20)
    results = []
    for n_threads in (1, 2, 5):
        blocks = RowBlocks(convert(X), y, None, LOSS, compiled=True, n_threads=n_threads)
        found = blocks.evaluate(w, 0.2)
        moments = blocks.moments()
        results.append([found.value, blocks.value(w, 0.2), *found.gradient, *moments.square])
        results[-1].extend([*found.hessian.ravel(), *blocks.slope(w, 0.2).gradient])
    assert results[0] == results[1] == results[2]


def test_columns_in_any_order_or_stored_twice_are_recognised_where_they_are():
    sorted_rows = sp.csr_array(counts(500, 12, mean=3.0)[0])
    y, w = np.arange(500) % 2, np.linspace(-1, 1, 12)
    expected = RowBlocks(sorted_rows, y, None, LOSS, compiled=True).evaluate(w, 0.0)
    shuffled = sorted_rows.copy()
    row = int(np.argmax(np.diff(shuffled.indptr) > 1))
    at = slice(shuffled.indptr[row], shuffled.indptr[row + 1])
    shuffled.indices[at], shuffled.data[at] = shuffled.indices[at][::-1], shuffled.data[at][::-1]
    before = shuffled.indices.copy()
    agree(RowBlocks(shuffled, y, None, LOSS, compiled=True).evaluate(w, 0.0), expected)
    np.testing.assert_array_equal(shuffled.indices, before)


def one_row(eta, y):
    """The loss of one row, with its derivatives, from the compiled pass."""
    blocks = RowBlocks(np.ones((1, 1)), np.array([y]), None, LOSS, compiled=True)
    found = blocks.evaluate(np.zeros(1), eta)
    return found.value, found.gradient[1], found.hessian[1, 1]


def test_the_compiled_loss_equals_the_loss_to_its_last_digits():
    rng = np.random.default_rng(1)
    wide = rng.uniform(-700, 700, 200)
    for eta in [0.0, -0.0, 1e-300, 1e-9, *np.linspace(-40, 40, 401), *wide]:
        for y in (0.0, 1.0):
            expected = LOSS.derivatives(np.array([y]), np.array([eta]))
            np.testing.assert_allclose(one_row(eta, y), np.ravel(expected), rtol=2e-15)


def test_the_compiled_loss_does_not_overflow_and_passes_nan_on():
    for eta in (-1e300, -800.0, 800.0, 1e300):
        for y in (0.0, 1.0):
            expected = LOSS.derivatives(np.array([y]), np.array([eta]))
            np.testing.assert_allclose(one_row(eta, y), np.ravel(expected), rtol=1e-14, atol=1e-300)
    assert one_row(-np.inf, 1.0)[0] == np.inf
    assert one_row(np.inf, 1.0)[0] < 1e-300
    assert np.isnan(one_row(np.nan, 1.0)[0])


def test_a_loss_that_the_compiled_pass_does_not_know_is_summed_by_numpy():
    class Squared:
        def value(self, y, eta):
            return (y - eta) ** 2

        def derivatives(self, y, eta):
            return (y - eta) ** 2, 2 * (eta - y), np.full(len(y), 2.0)

    X, y, _ = counts(50, 3, mean=2.0)
    found = RowBlocks(X, y, None, Squared(), compiled=True).evaluate(np.zeros(3), 0.0)
    assert found.value == pytest.approx(y.mean())


def test_a_failure_in_a_thread_is_raised():
    X, y, _ = counts(100, 3, mean=2.0)
    blocks = RowBlocks(X, y, None, LOSS, compiled=True, n_threads=2)
    with pytest.raises(TypingError, match="unicode"):
        blocks.value("not weights", 0.0)
