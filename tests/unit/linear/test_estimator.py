"""The estimator: names, inputs, weights, invariances, and its place in scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ces_ml.errors import ConstraintError, InfeasibleConstraintsError, SpecError
from ces_ml.linear import ConstrainedLogisticRegression

SEEDS = range(12)
NAMES = ["login", "page view", "purchase"]


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(7)
    X = rng.poisson(1.5, size=(400, 3)).astype(float)
    return X, (rng.random(400) < 1 / (1 + np.exp(1 - X @ [0.8, -0.3, 0.4]))).astype(int)


def same(model, other, atol=1e-9):
    scale = np.maximum(1.0, np.abs(other.coef_))
    np.testing.assert_allclose(model.coef_ / scale, other.coef_ / scale, atol=atol)
    np.testing.assert_allclose(model.intercept_, other.intercept_, atol=atol)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("rules", [None, ["* >= -1000", "x0 >= x1 - 1000"]])
def test_with_slack_rules_it_equals_scikit_learn(counts, alpha, fit_intercept, rules):
    X, y = counts
    model = ConstrainedLogisticRegression(alpha, constraints=rules, fit_intercept=fit_intercept)
    model.fit(X, y)
    peer = LogisticRegression(
        C=1 / (alpha * len(y)), solver="newton-cholesky", tol=1e-10, fit_intercept=fit_intercept
    ).fit(X, y)
    same(model, peer, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)
    assert model.score(X, y) == peer.score(X, y)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weight_of_two_is_the_row_twice(seed, truth):
    problem = truth.random_problem(4 * seed + 1)
    twice = np.random.default_rng(seed).integers(0, 4, len(problem.y))
    twice[:2] = 1
    model = ConstrainedLogisticRegression(
        problem.alpha, constraints=problem.rules, fit_intercept=problem.fit_intercept, tol=1e-11
    )
    repeated = pickle.loads(pickle.dumps(model)).fit(
        np.repeat(problem.X, twice, axis=0), np.repeat(problem.y, twice)
    )
    same(model.fit(problem.X, problem.y, twice), repeated, atol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_rows_and_columns_does_not_matter(seed, truth):
    problem = truth.random_problem(4 * seed + 1)
    rng = np.random.default_rng(seed)
    n, p = problem.X.shape
    rows, columns = rng.permutation(n), rng.permutation(p)
    model = ConstrainedLogisticRegression(
        problem.alpha, constraints=problem.rules, fit_intercept=problem.fit_intercept, tol=1e-11
    )
    other = pickle.loads(pickle.dumps(model))
    model.fit(problem.X, problem.y, problem.s)
    other.fit(
        problem.X[np.ix_(rows, columns)],
        problem.y[rows],
        problem.s[rows],
        feature_names=[f"x{j}" for j in columns],
    )
    other.coef_ = other.coef_[:, np.argsort(columns)]
    same(other, model, atol=1e-8)


@pytest.mark.parametrize(
    "convert",
    [sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array, sp.lil_matrix, np.asfortranarray],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_every_storage_gives_the_same_weights(counts, convert, dtype):
    X, y = counts
    rules = ["x1 >= 0", "x0 >= 2 * x2"]
    dense = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    other = ConstrainedLogisticRegression(constraints=rules).fit(convert(X.astype(dtype)), y)
    same(other, dense)
    assert other.coef_.dtype == np.float64
    np.testing.assert_allclose(other.predict_proba(convert(X)), dense.predict_proba(X), atol=1e-8)


def test_large_sparse_data_gives_the_weights_of_dense_data():
    rng = np.random.default_rng(1)
    X = sp.random_array((20_000, 60), density=0.2, format="csr", rng=rng)
    assert X.nnz >= 200_000
    y = rng.random(20_000) < 1 / (1 + np.exp(1 - X @ rng.normal(size=60)))
    rules = ["* >= 0", "x0 >= x1 >= x2"]
    sparse = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    dense = ConstrainedLogisticRegression(constraints=rules).fit(X.toarray(), y)
    same(sparse, dense)
    assert sparse.solver_result_.active == dense.solver_result_.active


@pytest.mark.parametrize("labels", [(0, 1), ("churned", "kept"), (False, True), (-1.0, 1.0)])
def test_any_two_labels_are_kept_and_the_second_is_the_good_one(counts, labels):
    X, y = counts
    model = ConstrainedLogisticRegression().fit(X, np.array(labels)[y])
    assert model.classes_.tolist() == list(labels)
    assert set(model.predict(X)) <= set(labels)
    np.testing.assert_array_equal(model.predict(X) == labels[1], model.decision_function(X) > 0)
    np.testing.assert_allclose(
        np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12
    )


def test_a_data_frame_gives_the_names_that_rules_use(counts):
    X, y = counts
    frame = pd.DataFrame(X, columns=NAMES)
    model = ConstrainedLogisticRegression(constraints='"page view" >= 0').fit(frame, y)
    assert model.coef_[0, 1] == 0.0
    assert model.feature_names_in_.tolist() == NAMES
    assert model.constraints_.feature_names == tuple(NAMES)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[NAMES[::-1]])


def test_polars_columns_are_names_too(counts):
    polars = pytest.importorskip("polars")
    X, y = counts
    frame = polars.DataFrame(X, schema=NAMES)
    model = ConstrainedLogisticRegression(constraints='"page view" >= 0').fit(frame, y)
    assert model.coef_[0, 1] == 0.0


def test_arrays_are_addressed_by_position_or_by_given_names(counts):
    X, y = counts
    by_position = ConstrainedLogisticRegression(constraints="x1 >= 0").fit(X, y)
    by_name = ConstrainedLogisticRegression(constraints='"page view" >= 0')
    for form in (X, sp.csr_array(X)):
        same(by_name.fit(form, y, feature_names=NAMES), by_position)
    assert not hasattr(by_name, "feature_names_in_")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["a", "b"], "does not fit the number of columns"),
        ("abc", "not a sequence of texts"),
        ([1, 2, 3], "not a sequence of texts"),
    ],
)
def test_names_that_do_not_fit_the_columns_are_refused(counts, names, match):
    with pytest.raises(SpecError, match=match):
        ConstrainedLogisticRegression().fit(*counts, feature_names=names)


def test_names_that_contradict_the_data_frame_are_refused(counts):
    X, y = counts
    frame = pd.DataFrame(X, columns=NAMES)
    ConstrainedLogisticRegression().fit(frame, y, feature_names=NAMES)
    with pytest.raises(SpecError, match="contradicts the column names"):
        ConstrainedLogisticRegression().fit(frame, y, feature_names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"alpha": -1}, "alpha is out of its range"),
        ({"alpha": np.nan}, "alpha is out of its range"),
        ({"alpha": "1"}, "alpha is out of its range"),
        ({"l1_ratio": -0.1}, "l1_ratio is out of its range"),
        ({"l1_ratio": 1.1}, r"(?s)l1_ratio is out of its range.*at least 0, at most 1"),
        ({"prior": {"x0": 1}, "prior_strength": -1}, "prior_strength is out of its range"),
        ({"prior": {}}, "prior is not a mapping of hand-set weights"),
        ({"prior": [1, 2, 3]}, "prior is not a mapping of hand-set weights"),
        ({"prior": {"x9": 1}}, r"(?s)prior names a feature that is not there.*did you mean 'x"),
        ({"prior": {"x0": np.nan}}, "prior weight of 'x0' is not a finite number"),
        ({"prior": {"x0": "2"}}, "prior weight of 'x0' is not a finite number"),
        ({"tol": np.inf}, "tol is out of its range"),
        ({"max_iter": 0}, "max_iter is out of its range"),
        ({"max_iter": 2.5}, "max_iter is out of its range"),
        ({"max_iter": True}, "max_iter is out of its range"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_at_fit(counts, parameters, match):
    model = ConstrainedLogisticRegression(**parameters)
    with pytest.raises(SpecError, match=match):
        model.fit(*counts)


def test_numbers_of_numpy_are_numbers(counts):
    model = ConstrainedLogisticRegression(np.float64(0.1), tol=np.float32(1e-6))
    model.set_params(max_iter=np.int64(50)).fit(*counts)
    assert model.solver_result_.status == "optimal"


def test_rules_that_do_not_fit_the_data_are_refused_at_fit(counts):
    with pytest.raises(ConstraintError, match="no feature has this name"):
        ConstrainedLogisticRegression(constraints="login >= 0").fit(*counts)
    with pytest.raises(InfeasibleConstraintsError, match="these 2 rules together"):
        ConstrainedLogisticRegression(constraints=["x0 >= 1", "x0 <= 0"]).fit(*counts)


def test_a_conflict_below_the_resolution_of_the_solver_is_still_an_error(counts, monkeypatch):
    monkeypatch.setattr("ces_ml.linear.solver.newton.nearest_feasible", lambda *args: None)
    with pytest.raises(InfeasibleConstraintsError, match="less than the solver can resolve"):
        ConstrainedLogisticRegression(constraints="x0 >= x1").fit(*counts)


def test_outcomes_without_two_classes_are_refused(counts):
    X, y = counts
    with pytest.raises(ValueError, match=r"at least 2 classes .* only one class: 1"):
        ConstrainedLogisticRegression().fit(X, np.ones(len(y), dtype=int))
    with pytest.raises(ValueError, match="only one class: 0"):
        ConstrainedLogisticRegression().fit(X, y, sample_weight=(y == 0).astype(float))
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        ConstrainedLogisticRegression().fit(X, np.arange(len(y)) % 3)


def test_weights_of_rows_must_not_be_negative(counts):
    X, y = counts
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        ConstrainedLogisticRegression().fit(X, y, sample_weight=-np.ones(len(y)))


def test_fit_leaves_parameters_and_data_as_they_are(counts):
    X, y = counts
    rules = ["x1 >= 0"]
    sparse = sp.csr_array(X)
    before = sparse.copy()
    model = ConstrainedLogisticRegression(constraints=rules).fit(sparse, y)
    assert model.constraints is rules
    assert rules == ["x1 >= 0"]
    np.testing.assert_array_equal(sparse.data, before.data)


def test_a_fitted_model_survives_pickling(counts):
    model = ConstrainedLogisticRegression(constraints="x1 >= 0").fit(*counts)
    again = pickle.loads(pickle.dumps(model))
    same(again, model, atol=0)
    assert again.solver_result_.active == ("x1 >= 0",)


def test_it_works_in_pipeline_grid_search_and_calibration(counts):
    X, y = counts
    rules = [
        None,
        ["x1 >= 0"],
        ["* >= 0", "x0 >= x2"],
        ["* >= 0", "x0 <= 60%", "sum(all) = 1"],
        ["at most 2 events"],
    ]
    pipeline = make_pipeline(StandardScaler(), ConstrainedLogisticRegression())
    grid = {
        "constrainedlogisticregression__constraints": rules,
        "constrainedlogisticregression__alpha": [1e-4, 1e-1],
        "constrainedlogisticregression__l1_ratio": [0.0, 0.5],
        "constrainedlogisticregression__prior": [None, {"x0": 1}],
    }
    search = GridSearchCV(pipeline, grid, cv=3, scoring="neg_log_loss").fit(X, y)
    assert search.best_params_["constrainedlogisticregression__constraints"] in rules
    calibrated = CalibratedClassifierCV(ConstrainedLogisticRegression(constraints="x1 >= 0"), cv=3)
    assert calibrated.fit(X, y).predict_proba(X).shape == (400, 2)
