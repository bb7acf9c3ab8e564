"""The path along alpha, the folds between which nothing crosses, and the choice of alpha."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from ces_ml.errors import SpecError
from ces_ml.linear import ConstrainedLogisticRegression, purged_folds
from ces_ml.linear.path import choose_alpha, default_alphas, regularization_path

MONTHS = pd.to_datetime([f"2024-{m:02d}-01" for m in range(1, 9)])


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(5)
    customers, moments = np.tile(np.arange(80), 8), MONTHS.repeat(80)
    X = rng.poisson(1.0, size=(len(customers), 4)).astype(float)
    y = (rng.random(len(customers)) < expit(X @ [0.9, 0.2, -0.5, 0.0] - 0.6)).astype(int)
    return X, y, customers, moments


# The path


def test_every_point_of_the_path_is_the_fit_at_its_alpha(panel):
    X, y, *_ = panel
    rules = ["x2 >= -0.2", "x0 >= x1"]
    model = ConstrainedLogisticRegression(constraints=rules, tol=1e-11)
    path = regularization_path(model, X, y, alphas=[1e-3, 1.0, 0.1])
    assert path.alphas.tolist() == [1.0, 0.1, 1e-3]
    assert path.feature_names == ("x0", "x1", "x2", "x3")
    assert not hasattr(model, "coef_")
    for k, alpha in enumerate(path.alphas):
        fit = ConstrainedLogisticRegression(alpha, constraints=rules, tol=1e-11).fit(X, y)
        np.testing.assert_allclose(path.coefs[k], fit.coef_[0], atol=1e-9)
        assert path.intercepts[k] == pytest.approx(fit.intercept_[0])
        assert path.objectives[k] == pytest.approx(fit.solver_result_.objective)
        assert path.n_iter[k] > 0
        assert path.status[k] == "optimal"


def test_less_penalty_lowers_the_objective_and_lengthens_the_weights(panel):
    X, y, *_ = panel
    path = regularization_path(ConstrainedLogisticRegression(constraints="* >= 0"), X, y)
    assert (np.diff(path.objectives) < 0).all()
    assert (np.diff(np.linalg.norm(path.coefs, axis=1)) > 0).all()
    assert path.coefs.shape == (20, 4)


def test_default_alphas_span_from_next_to_nothing_to_next_to_free(panel):
    X, y, *_ = panel
    path = regularization_path(ConstrainedLogisticRegression(), X, y, n_alphas=5)
    free = LogisticRegression(C=np.inf, tol=1e-8).fit(X, y).coef_[0]
    assert np.linalg.norm(path.coefs[0]) < 0.15 * np.linalg.norm(free)
    np.testing.assert_allclose(path.coefs[-1], free, atol=1e-3)
    ratios = path.alphas[1:] / path.alphas[:-1]
    assert ratios == pytest.approx(ratios[0])


@pytest.mark.parametrize("sample_weight", [False, True])
def test_default_alphas_do_not_depend_on_how_rows_are_held(panel, sample_weight):
    X, y, *_ = panel
    twice = np.random.default_rng(0).integers(1, 3, len(y))
    model = ConstrainedLogisticRegression()
    rows = (np.repeat(X, twice, axis=0), np.repeat(y, twice)) if sample_weight else (X, y)
    expected = default_alphas(model, *rows)
    for held in (X, sp.csr_matrix(X), pd.DataFrame(X)):
        weights = twice if sample_weight else None
        np.testing.assert_allclose(default_alphas(model, held, y, weights), expected)
    spread = rows[0].var(axis=0).max()
    good = rows[1].mean()
    assert expected[0] == pytest.approx(10 * good * (1 - good) * spread)


def test_lasso_starts_where_all_weights_are_zero(panel):
    X, y, *_ = panel
    model = ConstrainedLogisticRegression(l1_ratio=0.5)
    top = default_alphas(model, X, y)[0]
    path = regularization_path(model, X, y, alphas=[top * 1.001, top * 0.9])
    assert not path.coefs[0].any()
    assert path.coefs[1].any()


def test_columns_that_do_not_vary_still_get_a_grid():
    alphas = default_alphas(ConstrainedLogisticRegression(), np.ones((4, 1)), [0, 1, 0, 1])
    assert np.isfinite(alphas).all()
    assert (alphas > 0).all()


@pytest.mark.parametrize("alphas", [[], [-1.0], [np.nan], [np.inf, 1.0], ["a"]])
def test_alphas_that_are_no_strengths_are_refused(panel, alphas):
    with pytest.raises(SpecError, match="alphas are not strengths of a penalty"):
        regularization_path(ConstrainedLogisticRegression(), *panel[:2], alphas=alphas)


@pytest.mark.parametrize("n_alphas", [0, 2.5, True])
def test_a_number_of_alphas_that_is_none_is_refused(panel, n_alphas):
    with pytest.raises(SpecError, match="n_alphas is not a whole number"):
        regularization_path(ConstrainedLogisticRegression(), *panel[:2], n_alphas=n_alphas)


def test_outcomes_of_one_label_are_refused(panel):
    with pytest.raises(SpecError, match="not two labels"):
        default_alphas(ConstrainedLogisticRegression(), panel[0], np.ones(len(panel[1])))


# The folds


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=6, max_size=120),
    st.integers(0, 12),
    st.integers(2, 5),
    st.booleans(),
)
def test_nothing_crosses_from_the_test_rows_to_the_training_rows(rows, reach, n_splits, disjoint):
    customers, moments = (np.array(column) for column in zip(*rows, strict=True))
    try:
        folds = purged_folds(customers, moments, reach, n_splits, disjoint)
    except SpecError:
        assume(False)
        return
    assert len(folds) == n_splits
    tested = np.concatenate([test for _, test in folds])
    assert len(set(tested)) == len(tested)
    for train, test in folds:
        assert len(train) > 0
        assert len(test) > 0
        assert not set(train) & set(test)
        assert moments[train].max() + reach <= moments[test].min()
        assert moments[train].max() < moments[test].min()
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        if disjoint:
            assert not set(customers[train]) & set(customers[test])
        else:  # every row whose outcome was known is trained on
            early = moments + reach <= moments[test].min()
            early &= moments < moments[test].min()
            assert len(train) == early.sum()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=3), min_size=2, max_size=60), st.integers(2, 5))
def test_folds_by_customer_alone_divide_every_row_once(customers, n_splits):
    groups = np.array(customers, dtype=object)
    assume(len(set(customers)) >= n_splits)
    folds = purged_folds(groups, None, None, n_splits)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([test for _, test in folds])), np.arange(len(groups))
    )
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(groups)


def test_blocks_are_about_equal_and_all_later_rows_are_tested(panel):
    *_, customers, moments = panel
    folds = purged_folds(customers, moments, "28d", 3)
    assert [len(test) for _, test in folds] == [160, 160, 160]
    assert folds[-1][1].max() == len(customers) - 1
    assert moments[folds[0][1]].min() == MONTHS[2]


def test_the_first_fold_has_its_share_to_train_on_where_every_row_has_a_moment_of_its_own():
    times = np.arange(600.0)  # the first moment a reach of 20 after the first has 20 rows before it
    folds = purged_folds(np.arange(600), times, 20.0, 5)
    assert len(folds[0][0]) == 100
    assert times[folds[0][1]].min() == 119  # and what is between is purged
    assert {len(test) for _, test in folds} <= {96, 97}


def test_with_as_many_moments_as_folds_need_every_one_is_tested():
    folds = purged_folds(np.arange(6), np.arange(6.0), 1.0, 5)
    assert [test.tolist() for _, test in folds] == [[1], [2], [3], [4], [5]]


@pytest.mark.parametrize(
    "times",
    [MONTHS.repeat(80), MONTHS.repeat(80).tz_localize("UTC").tz_convert("Asia/Tokyo"), "text"],
    ids=["naive", "zoned", "text"],
)
@pytest.mark.parametrize("reach", ["31d", timedelta(days=31), 31 * 86_400_000_000])
def test_moments_and_lengths_of_every_kind_give_the_same_folds(panel, times, reach):
    *_, customers, moments = panel
    given_times = list(MONTHS.repeat(80).strftime("%Y-%m-%d")) if isinstance(times, str) else times
    expected = purged_folds(customers, moments, "744h", 3)
    for fold, same in zip(purged_folds(customers, given_times, reach, 3), expected, strict=True):
        np.testing.assert_array_equal(fold[0], same[0])
        np.testing.assert_array_equal(fold[1], same[1])


def test_the_part_of_a_customer_does_not_depend_on_the_order_of_the_rows(panel):
    *_, customers, _ = panel
    order = np.random.default_rng(0).permutation(len(customers))
    for (_, test), (_, other) in zip(
        purged_folds(customers, None, None, 4),
        purged_folds(customers[order], None, None, 4),
        strict=True,
    ):
        assert set(customers[test]) == set(customers[order][other])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_splits": 1}, "number of folds is not a whole number of at least 2"),
        ({"n_splits": 2.0}, "number of folds is not a whole number of at least 2"),
        ({"n_splits": 9}, "too few moments for folds by time"),
        ({"reach": "300d"}, "too few moments for folds by time"),
        ({"reach": "soon"}, "not a duration"),
        ({"reach": 1.5}, "reach is not how long"),
        ({"reach": -1}, "reach is not how long"),
        ({"times": np.arange(640), "reach": "28d"}, "reach is not how long"),
        ({"times": MONTHS}, "times do not give the moment of each row"),
        ({"times": [None, *MONTHS.repeat(80)[1:]]}, "a missing date"),
        ({"times": np.full(640, np.nan), "reach": 1}, "not finite"),
        ({"groups": []}, "groups do not name one customer"),
        ({"groups": np.zeros(640), "disjoint": True}, "fewer customers than folds"),
        ({"groups": np.zeros(640), "times": None}, "fewer customers than folds"),
    ],
)
def test_folds_that_can_not_be_made_are_refused(panel, options, message):
    given_options = {"groups": panel[2], "times": panel[3], "reach": "28d", "n_splits": 3}
    with pytest.raises(SpecError, match=message):
        purged_folds(**{**given_options, **options})


def test_an_empty_part_of_a_fold_is_refused():
    with pytest.raises(SpecError, match=r"fold 1 has no (training|test) rows"):
        purged_folds(["a", "b", "a", "b"], [0, 1, 2, 3], 1, 2, disjoint=True)


# The choice


def choose(panel, **options):
    X, y, customers, moments = panel
    given_options = {"groups": customers, "times": moments, "reach": "31d", "cv": 3}
    model = ConstrainedLogisticRegression(constraints="x0 >= 0", tol=1e-11)
    return choose_alpha(model, X, y, **{**given_options, "n_alphas": 6, **options})


def test_the_best_alpha_has_the_least_held_out_loss_computed_again(panel):
    X, y, customers, moments = panel
    choice = choose(panel)
    folds = purged_folds(customers, moments, "31d", 3)
    losses = np.empty((3, 6))
    for k, (train, test) in enumerate(folds):
        for a, alpha in enumerate(choice.alphas):
            fit = ConstrainedLogisticRegression(alpha, constraints="x0 >= 0", tol=1e-11)
            fit.fit(X[train], y[train])
            eta = fit.decision_function(X[test])
            losses[k, a] = np.logaddexp(0, (1 - 2 * y[test]) * eta).mean()
    np.testing.assert_allclose(choice.fold_losses, losses, rtol=1e-9)
    np.testing.assert_allclose(choice.mean, losses.mean(axis=0))
    np.testing.assert_allclose(choice.standard_error, losses.std(axis=0, ddof=1) / np.sqrt(3))
    assert choice.alpha == choice.best_alpha == choice.alphas[losses.mean(axis=0).argmin()]


def test_one_standard_error_takes_the_largest_alpha_within_it(panel):
    choice = choose(panel, rule="one_standard_error", n_alphas=12)
    best = choice.mean.argmin()
    within = choice.mean <= choice.mean[best] + choice.standard_error[best]
    assert choice.alpha == choice.alphas[within].max()
    assert choice.alpha > choice.best_alpha == choose(panel, n_alphas=12).alpha


def test_parallel_folds_and_repetition_do_not_change_the_choice(panel):
    one = choose(panel)
    with parallel_config("threading"):  # processes would spend seconds on starting
        two = choose(panel, n_jobs=2)
    np.testing.assert_array_equal(one.fold_losses, two.fold_losses)
    assert one.alpha == two.alpha


def test_data_frames_sparse_rows_weights_and_labels_are_divided_too(panel):
    X, y, customers, moments = panel
    names, labels = ["log in", "b", "c", "d"], np.array(["lost", "won"])[y]
    twice = np.random.default_rng(0).integers(1, 3, len(y))
    model = ConstrainedLogisticRegression(constraints='"log in" >= b', tol=1e-11)
    options = {"groups": customers, "times": moments, "reach": "31d", "cv": 2, "alphas": [0.1, 1]}
    plain = choose_alpha(model, X, y, twice, **options, feature_names=names)
    frame = choose_alpha(model, pd.DataFrame(X, columns=names), labels, twice, **options)
    sparse = choose_alpha(model, sp.coo_array(X), y, twice, **options, feature_names=names)
    for other in (frame, sparse):
        np.testing.assert_allclose(other.fold_losses, plain.fold_losses, rtol=1e-9)


def test_folds_may_be_given_and_serve_grid_search(panel):
    X, y, customers, moments = panel
    folds = purged_folds(customers, moments, "31d", 3)
    choice = choose(panel, cv=folds, groups=None, times=None, reach=None, alphas=[1e-3, 0.1, 10])
    search = GridSearchCV(
        ConstrainedLogisticRegression(constraints="x0 >= 0", tol=1e-11),
        {"alpha": [10, 0.1, 1e-3]},
        cv=folds,
        scoring="neg_log_loss",
    ).fit(X, y)
    np.testing.assert_allclose(-search.cv_results_["mean_test_score"], choice.mean, rtol=1e-9)
    assert search.best_params_ == {"alpha": choice.alpha}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "one_standard_eror"}, r"no such rule(.|\n)*did you mean 'one_standard_error'"),
        ({"cv": 1}, "number of folds"),
        ({"cv": [(np.arange(300), np.arange(400, 600))]}, "too few folds"),
    ],
)
def test_choices_that_can_not_be_made_are_refused(panel, options, message):
    with pytest.raises(SpecError, match=message):
        choose(panel, **options)


def test_training_rows_of_one_outcome_are_refused(panel):
    X, y, customers, moments = panel
    late = np.where(moments >= MONTHS[4], y, 0)
    with pytest.raises(SpecError, match="the training rows of fold 1 have one outcome only"):
        choose((X, late, customers, moments))
