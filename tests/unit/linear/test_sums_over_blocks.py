"""Losses, penalties and block sums, against their formulas and finite differences."""

import numpy as np
import pytest
import scipy.sparse as sp

from ces_ml.linear.kernels import RowBlocks, distant_columns, row_blocks
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.penalties import Ridge

LOSS = LogisticLoss()


def data(n=700, p=6, dtype=np.float64):
    rng = np.random.default_rng(3)
    X = (rng.poisson(1.0, (n, p)) * rng.random((n, p))).astype(dtype)
    return X, (rng.random(n) < 0.4).astype(float), rng.choice([0.0, 0.5, 2.0], n), rng


def naive(X, y, s, w, c):
    """The law of the contract, row by row, in the plainest way."""
    X1 = np.column_stack([X.astype(float), np.ones(len(y))])
    q = 1 / (1 + np.exp(-(X1 @ np.append(w, c))))
    s = s / s.sum()
    value = -(s @ (y * np.log(q) + (1 - y) * np.log(1 - q)))
    return value, X1.T @ (s * (q - y)), X1.T @ np.diag(s * q * (1 - q)) @ X1


STORAGES = {
    "dense": (lambda X: X, False),
    "dense, compiled": (lambda X: X, True),
    "fortran order": (np.asfortranarray, False),
    "fortran order, compiled": (np.asfortranarray, True),
    "every other column, compiled": (lambda X: np.repeat(X, 2, axis=1)[:, ::2], True),
    "csr_matrix, densified": (sp.csr_matrix, False),
    "csr_array, densified": (sp.csr_array, False),
    "csr_matrix, compiled": (sp.csr_matrix, True),
    "csr_array, compiled": (sp.csr_array, True),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_gives_the_sums_of_the_contract(storage, dtype, monkeypatch):
    monkeypatch.setattr(row_blocks, "DENSE_BLOCK", 2000)  # several blocks, the last one short
    convert, compiled = STORAGES[storage]
    X, y, s, rng = data(dtype=dtype)
    w, c = rng.normal(size=6), 0.3
    blocks = RowBlocks(convert(X), y, s, LOSS, compiled=compiled)
    value, gradient, hessian = blocks.evaluate(w, c)
    expected = naive(X, y, s, w, c)
    assert value == pytest.approx(expected[0], rel=1e-13)
    assert blocks.value(w, c) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-14)
    np.testing.assert_allclose(hessian, expected[2], atol=1e-14)
    np.testing.assert_array_equal(hessian, hessian.T)
    slope = blocks.slope(w, c)
    assert slope.value == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(slope.gradient, gradient, atol=1e-15)
    mean, square = blocks.moments()
    np.testing.assert_allclose(mean, s @ X / s.sum(), rtol=1e-13)
    np.testing.assert_allclose(square, s @ X.astype(float) ** 2 / s.sum(), rtol=1e-13)


def test_equal_calls_give_equal_bits():
    X, y, s, rng = data()
    w = rng.normal(size=6)
    blocks = RowBlocks(sp.csr_array(X), y, s, LOSS, compiled=True)
    first, second = blocks.evaluate(w, 0.1), blocks.evaluate(w, 0.1)
    assert first.value == second.value
    np.testing.assert_array_equal(first.hessian, second.hessian)


def test_entries_that_are_stored_twice_are_added_without_touching_the_data_of_the_user():
    X = sp.csr_array((np.ones(4), np.array([1, 0, 0, 2]), np.array([0, 3, 4])), shape=(2, 3))
    y, s, w = np.array([0.0, 1.0]), np.ones(2), np.array([0.1, 0.2, -0.3])
    for compiled in (True, False):
        found = RowBlocks(X, y, s, LOSS, compiled=compiled).evaluate(w, 0.0)
        np.testing.assert_allclose(found.hessian, naive(X.toarray(), y, s, w, 0.0)[2], atol=1e-15)
    assert X.nnz == 4


def test_gradient_and_hessian_are_the_derivatives_of_the_value():
    X, y, s, rng = data()
    blocks = RowBlocks(X, y, s, LOSS)
    z, h = rng.normal(size=7) * 0.3, 1e-5
    _, gradient, hessian = blocks.evaluate(z[:-1], z[-1])
    for j in range(7):
        e = np.eye(7)[j] * h
        up, down = (blocks.evaluate((z + d)[:-1], (z + d)[-1]) for d in (e, -e))
        assert (up.value - down.value) / (2 * h) == pytest.approx(gradient[j], abs=1e-9)
        np.testing.assert_allclose((up.gradient - down.gradient) / (2 * h), hessian[j], atol=1e-9)


def test_the_derivatives_of_the_loss_are_its_finite_differences():
    eta, h = np.linspace(-8, 8, 33), 1e-5
    for y in (np.zeros(33), np.ones(33)):
        loss, slope, curvature = LOSS.derivatives(y, eta)
        np.testing.assert_allclose(loss, LOSS.value(y, eta), rtol=1e-13)
        np.testing.assert_allclose(
            (LOSS.value(y, eta + h) - LOSS.value(y, eta - h)) / (2 * h), slope, atol=1e-9
        )
        slopes = [LOSS.derivatives(y, eta + d)[1] for d in (h, -h)]
        np.testing.assert_allclose((slopes[0] - slopes[1]) / (2 * h), curvature, atol=1e-9)


def test_the_loss_neither_overflows_nor_loses_its_digits():
    eta = np.array([-1e300, -800.0, -100.0, 100.0, 800.0, 1e300])
    with np.errstate(all="raise", under="ignore"):
        for y in (0.0, 1.0):
            loss, slope, curvature = LOSS.derivatives(np.full(6, y), eta)
            assert np.isfinite([loss, slope, curvature]).all()
            np.testing.assert_allclose(loss, LOSS.value(np.full(6, y), eta), rtol=1e-13)
    loss, slope, curvature = LOSS.derivatives(np.array([1.0]), np.array([100.0]))
    np.testing.assert_allclose([loss[0], -slope[0], curvature[0]], np.exp(-100.0), rtol=1e-13)


def test_the_derivatives_of_the_ridge_are_its_finite_differences():
    ridge, w, h = Ridge(0.7), np.array([0.3, -2.0]), 1e-6
    for j in range(2):
        e = np.eye(2)[j] * h
        slope = (ridge.value(w + e) - ridge.value(w - e)) / (2 * h)
        assert slope == pytest.approx(ridge.gradient(w)[j], abs=1e-9)
    np.testing.assert_array_equal(ridge.curvature(w), [0.7, 0.7])


def test_only_columns_far_from_zero_are_shifted():
    X = np.array([[0.0, 1e6, 5.0, -1e3], [3.0, 1e6 + 2, 5.0, 1e3]])
    np.testing.assert_array_equal(distant_columns(X), [0, 1e6 + 1, 5, 0])
