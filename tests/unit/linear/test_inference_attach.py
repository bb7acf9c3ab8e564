"""Intervals in a weight set: there after saving, refused for other weights."""

import numpy as np
import pytest
from scipy.special import expit

from ces_ml.errors import SpecError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals, with_intervals
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

NAMES = ("login", "call", "never")


def fitted(rules=("login >= 0", "call = -0.5")):
    rng = np.random.default_rng(0)
    X = rng.poisson(1.0, size=(400, 3)) * [1.0, 1.0, 0.0]
    y = (rng.random(400) < expit(X @ [0.6, -0.5, 0.0])).astype(int)
    model = ConstrainedLogisticRegression(constraints=list(rules))
    model.fit(X, y, feature_names=NAMES)
    return model, weight_intervals(model, X, y, level=0.8)


def weight_set_of(model, names=NAMES):
    terms = tuple(
        WeightedTerm(name=name, event=name, window="28d", weight=w)
        for name, w in zip(names, model.coef_[0], strict=True)
    )
    return WeightSet(
        name="churn",
        terms=terms,
        intercept=float(model.intercept_[0]),
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )


def test_intervals_and_evidence_are_there_after_saving(tmp_path):
    model, found = fitted()
    plain = weight_set_of(model)
    stated = with_intervals(plain, found)
    login, call, never = WeightSet.load(stated.save(tmp_path / "w.json")).terms
    assert (login.interval.low, login.interval.high) == pytest.approx((found.low[0], found.high[0]))
    assert login.interval.level == 0.8
    assert (login.evidence, call.evidence, never.evidence) == ("strong", "rule", "none")
    assert (call.interval.low, call.interval.high) == (-0.5, -0.5)
    assert never.interval is None  # nobody did it: its ends are infinite
    assert stated.weights == plain.weights
    assert stated.fingerprint != plain.fingerprint


def test_intervals_of_other_weights_are_refused():
    model, found = fitted()
    with pytest.raises(SpecError, match="the intervals are of other weights"):
        with_intervals(weight_set_of(model, ("a", "b", "c")), found)
    other, _ = fitted(rules=("login >= 0",))
    with pytest.raises(SpecError, match="is not the one that the interval is of"):
        with_intervals(weight_set_of(other), found)
