"""The splitter: nothing crosses, and it works where scikit-learn's own splitters do."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

import ces_ml
from ces_ml import PurgedGroupTimeSeriesSplit
from ces_ml.errors import SpecError
from ces_ml.linear import purged_folds

MONTHS = pd.date_range("2024-01-01", periods=8, freq="30D", tz="UTC")


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    customers, moments = np.tile(np.arange(60), 8), MONTHS.repeat(60)
    X = rng.poisson(1.0, size=(480, 3)).astype(float)
    y = (rng.random(480) < 1 / (1 + np.exp(1 - X @ [1.0, 0.5, 0.0]))).astype(int)
    return X, y, customers, moments


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=6, max_size=80),
    n_splits=st.integers(2, 4),
    gap=st.integers(0, 5),
    horizon=st.integers(0, 10),
    customers=st.sampled_from(["disjoint", "shared"]),
    window=st.one_of(st.none(), st.integers(1, 40)),
)
def test_no_information_crosses(rows, n_splits, gap, horizon, customers, window) -> None:
    who, when = (np.array(column) for column in zip(*rows, strict=True))
    cv = PurgedGroupTimeSeriesSplit(
        n_splits, times=when, horizon=horizon, gap=gap, customers=customers, window=window
    )
    try:
        folds = list(cv.split(rows, groups=who))
    except SpecError:
        assume(False)
    assert len(folds) == n_splits
    tested = np.concatenate([test for _, test in folds])
    assert len(np.unique(tested)) == len(tested)
    for train, test in folds:
        first = when[test].min()
        # The whole outcome window of a training row lies before every test row is counted.
        assert when[train].max() + gap + horizon <= first
        assert when[train].max() < first
        if customers == "disjoint":
            assert not set(who[train]) & set(who[test])
        if window is not None and customers == "shared":
            assert when[train].min() >= first - window


def test_an_expanding_window_trains_on_all_that_is_known_and_a_rolling_one_on_the_last_part(
    panel,
) -> None:
    X, _, customers, moments = panel
    options = {"times": moments, "gap": "1d", "horizon": "29d", "customers": "shared"}
    expanding = list(PurgedGroupTimeSeriesSplit(3, **options).split(X, groups=customers))
    rolling = list(
        PurgedGroupTimeSeriesSplit(3, window="60d", **options).split(X, groups=customers)
    )
    for (train, test), (last, same) in zip(expanding, rolling, strict=True):
        first = moments[test].min()
        np.testing.assert_array_equal(test, same)
        np.testing.assert_array_equal(
            train, np.flatnonzero(moments <= first - pd.Timedelta(days=30))
        )
        np.testing.assert_array_equal(last, train[moments[train] >= first - pd.Timedelta(days=60)])
    assert len(rolling[-1][0]) < len(expanding[-1][0])


def test_it_makes_the_folds_that_alpha_is_chosen_by(panel) -> None:
    X, _, customers, moments = panel
    cv = PurgedGroupTimeSeriesSplit(3, times=moments, gap="2d", horizon="28d")
    same = purged_folds(customers, moments, "30d", 3, disjoint=True)
    for found, expected in zip(cv.split(X, groups=customers), same, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_cross_val_score_and_grid_search_take_it(panel) -> None:
    X, y, customers, moments = panel
    cv = PurgedGroupTimeSeriesSplit(3, times=moments, horizon="30d")
    assert cv.get_n_splits() == 3
    model = LogisticRegression()
    scores = cross_val_score(model, X, y, groups=customers, cv=cv)
    by_hand = [
        clone(model).fit(X[train], y[train]).score(X[test], y[test])
        for train, test in purged_folds(customers, moments, "30d", 3, disjoint=True)
    ]
    np.testing.assert_allclose(scores, by_hand)
    search = GridSearchCV(model, {"C": [0.01, 1.0]}, cv=cv).fit(X, y, groups=customers)
    assert search.n_splits_ == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_routed_times_and_groups_follow_the_rows_into_a_nested_search(panel) -> None:
    X, y, customers, moments = panel
    inner = PurgedGroupTimeSeriesSplit(2, horizon="30d", customers="shared")
    outer = PurgedGroupTimeSeriesSplit(2, horizon="30d", customers="shared")
    times = moments.to_numpy()
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, cv=inner)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            search, X, y, cv=outer, params={"groups": customers, "times": times}
        )
    by_hand = []
    for train, test in outer.split(X, groups=customers, times=times):
        part = GridSearchCV(
            LogisticRegression(),
            {"C": [0.01, 1.0]},
            cv=list(inner.split(X[train], times=times[train])),
        ).fit(X[train], y[train])
        by_hand.append(part.score(X[test], y[test]))
    np.testing.assert_allclose(scores, by_hand)


def test_it_can_be_shown_and_has_its_parameters() -> None:
    cv = PurgedGroupTimeSeriesSplit(4, horizon="28d", window="90d")
    assert repr(cv).startswith("PurgedGroupTimeSeriesSplit(")
    assert (cv.n_splits, cv.horizon, cv.window) == (4, "28d", "90d")
    assert "PurgedGroupTimeSeriesSplit" in ces_ml.__all__


@pytest.mark.parametrize(
    ("options", "groups", "message"),
    [
        ({}, "given", "does not know the moment of each row"),
        ({"times": MONTHS[:3]}, "given", "does not know the moment of each row"),
        ({"times": "given"}, None, "does not know the customer of each row"),
        ({"times": "given", "customers": "together"}, "given", "customers can't be divided so"),
        ({"times": "given", "n_splits": 1}, "given", "number of folds is not a whole number"),
        ({"times": "given", "gap": -3}, "given", "gap is not the time between"),
        ({"times": "given", "horizon": 2.5}, "given", "horizon is not the length of an outcome"),
        ({"times": "given", "window": True}, "given", "window is not how long before its first"),
        ({"times": "given", "window": "1d", "horizon": "30d"}, "given", "has no training rows"),
        ({"times": "given", "horizon": "1000d"}, "given", "too few moments for folds by time"),
    ],
)
def test_what_can_not_be_split_is_refused(panel, options, groups, message) -> None:
    X, _, customers, moments = panel
    options = {k: moments if isinstance(v, str) and v == "given" else v for k, v in options.items()}
    cv = PurgedGroupTimeSeriesSplit(**{"n_splits": 3, **options})
    with pytest.raises(SpecError, match=message):
        list(cv.split(X, groups=customers if groups else None))
