"""The estimator keeps every promise of scikit-learn, for every choice of its parameters."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ces_ml.linear import Bounds, ConstrainedLogisticRegression

GRID = [
    ConstrainedLogisticRegression(alpha, constraints=constraints, fit_intercept=fit_intercept)
    for alpha in (0.0, 1e-4, 1.0)
    for fit_intercept in (True, False)
    for constraints in (None, "* >= -50", ["-50 <= * <= 50"], [Bounds("*", high=50.0)])
]
GRID += [
    ConstrainedLogisticRegression(alpha, constraints=constraints, l1_ratio=l1_ratio, prior=prior)
    for alpha in (1e-4, 1e-2)
    for l1_ratio in (0.5, 1.0)
    for prior in (None, {"x0": 1.0})
    for constraints in (None, ["* >= -50", "sum(all) <= 60"])
]


# The checks fit separable data, which without a penalty have no optimum.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(GRID)
def test_every_choice_of_parameters_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
