"""Small systems keep BLAS to one thread, and leave the caller's threads as they were."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.kernels import RowBlocks
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.solver.threads import one_blas_thread

pytestmark = pytest.mark.skipif(
    not any(pool["user_api"] == "blas" for pool in threadpool_info()), reason="BLAS is not known"
)


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_the_number_of_threads_is_one_inside_and_as_before_outside():
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() == {1}
            with one_blas_thread():
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == before


def test_blocks_that_overlap_give_back_what_was_before_the_first():
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == before


def test_an_error_inside_gives_the_threads_back():
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == before


def test_a_fit_computes_its_steps_on_one_thread(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.poisson(1.0, (200, 3)).astype(float), rng.random(200) < 0.4
    seen = []
    evaluate = RowBlocks.evaluate

    def watched(self, w, c):
        seen.append(threads())
        return evaluate(self, w, c)

    monkeypatch.setattr(RowBlocks, "evaluate", watched)
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        ConstrainedLogisticRegression(constraints="* >= 0").fit(X, y)
        assert threads() == before
    assert seen
    assert all(found == {1} for found in seen)
    assert RowBlocks(X, y, None, LogisticLoss()).value(np.zeros(3), 0.0) == pytest.approx(
        np.log(2.0)
    )
