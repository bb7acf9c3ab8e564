"""Rows in files give the weights that the same rows in memory give, or an error that helps."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ces_ml.errors import ConstraintError, SpecError
from ces_ml.linear import ConstrainedLogisticRegression, fit_parquet
from ces_ml.linear.kernels import parquet_blocks
from ces_ml.linear.kernels.parquet_blocks import ParquetBlocks
from ces_ml.linear.losses import LogisticLoss

NAMES = ["login", "log out", "größe", "refund", "x4", "x5"]
RULES = ["login >= 0", '"log out" <= 0.1', "login >= größe", "refund <= 0"]


def frame(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(0.7, 1.0, (n, 1)) * np.linspace(2, 0.2, len(NAMES)))
    y = rng.random(n) < 1 / (1 + np.exp(1.0 - np.log1p(X) @ [0.3, 0.2, 0.5, -0.4, 0.1, 0.0]))
    columns = {name: np.log1p(X[:, j]) for j, name in enumerate(NAMES)}
    columns["x4"] = X[:, 4].astype(np.int16)
    columns["x5"] = X[:, 5] > 0
    return columns, y, rng.choice([0.5, 1.0, 2.0], n)


def table(n=2000, **changes):
    columns, y, s = frame(n)
    return pa.table({**columns, "stayed": y, "s": s, **changes})


def in_memory(columns, y, s=None, **parameters):
    X = np.column_stack([columns[name] for name in NAMES]).astype(float)
    model = ConstrainedLogisticRegression(constraints=RULES, **parameters)
    return model.fit(X, y, s, feature_names=NAMES)


def agree(found, expected):
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-8)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, atol=1e-8)
    assert found.solver_result_.status == "optimal"
    assert found.solver_result_.active == expected.solver_result_.active
    assert found.solver_result_.objective == pytest.approx(expected.solver_result_.objective)


def test_many_rows_in_row_groups_and_files_give_the_weights_of_memory(tmp_path):
    columns, y, s = frame(300_000)
    whole = pa.table({**columns, "stayed": y, "s": s})
    pq.write_table(whole[:120_000], tmp_path / "a.parquet", row_group_size=50_000)
    pq.write_table(whole[120_000:], tmp_path / "b.parquet", row_group_size=70_000)
    estimator = ConstrainedLogisticRegression(constraints=RULES, tol=1e-10)
    found = fit_parquet(tmp_path, target="stayed", features=NAMES, weight="s", estimator=estimator)
    agree(found, in_memory(columns, y, s, tol=1e-10))
    assert list(found.feature_names_in_) == NAMES
    assert list(found.classes_) == [False, True]
    assert not hasattr(estimator, "coef_")


def test_one_small_file_gives_the_weights_of_memory_whatever_the_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_blocks, "BLOCK", 300 * len(NAMES))
    columns, y, _ = frame(2000)
    pq.write_table(pa.table({**columns, "stayed": y}), tmp_path / "c.parquet")
    estimator = ConstrainedLogisticRegression(constraints=RULES)
    found = fit_parquet(tmp_path / "c.parquet", target="stayed", estimator=estimator)
    agree(found, in_memory(columns, y))


def test_outcomes_may_be_words(tmp_path):
    columns, y, _ = frame(2000)
    words = np.where(y, "stayed", "left")
    words = pa.array(words).dictionary_encode()
    pq.write_table(pa.table({**columns, "y": words}), tmp_path / "d.parquet")
    found = fit_parquet(
        tmp_path, target="y", estimator=ConstrainedLogisticRegression(constraints=RULES)
    )
    assert list(found.classes_) == ["left", "stayed"]
    agree(found, in_memory(columns, y))


def test_columns_far_from_zero_are_shifted_as_in_memory(tmp_path):
    columns, y, _ = frame(2000)
    columns["refund"] = columns["refund"] + 1e7
    pq.write_table(pa.table({**columns, "stayed": y}), tmp_path / "e.parquet")
    found = fit_parquet(
        tmp_path, target="stayed", estimator=ConstrainedLogisticRegression(constraints=RULES)
    )
    expected = in_memory(columns, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-7)
    assert found.solver_result_.status == "optimal"


def test_the_sums_are_those_of_the_contract(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_blocks, "BLOCK", 300 * len(NAMES))
    columns, y, s = frame(1000)
    pq.write_table(pa.table({**columns, "y": y, "s": s}), tmp_path / "f.parquet")
    blocks = ParquetBlocks(tmp_path, target="y", weight="s", loss=LogisticLoss())
    X = np.column_stack([*columns.values(), np.ones(1000)]).astype(float)
    w, c = np.linspace(-0.5, 0.5, 6), 0.2
    q = 1 / (1 + np.exp(-X @ np.append(w, c)))
    s = s / s.sum()
    found = blocks.evaluate(w, c)
    assert found.value == pytest.approx(-(s @ np.where(y, np.log(q), np.log(1 - q))), rel=1e-13)
    assert blocks.value(w, c) == pytest.approx(found.value, rel=1e-14)
    np.testing.assert_allclose(found.gradient, X.T @ (s * (q - y)), atol=1e-14)
    np.testing.assert_allclose(found.hessian, (X.T * (s * q * (1 - q))) @ X, atol=1e-14)
    slope = blocks.slope(w, c)
    assert slope.value == pytest.approx(found.value, rel=1e-14)
    np.testing.assert_allclose(slope.gradient, found.gradient, atol=1e-15)
    np.testing.assert_allclose(blocks.moments().mean, (s @ X)[:-1], rtol=1e-13)
    assert blocks.every(7).n_rows == 143
    monkeypatch.setattr(parquet_blocks, "SAMPLE", 600)
    assert blocks.every(7).n_rows == 72  # every 14th: no more than 100 rows of 6


def nulls():
    values = np.ones(2000)
    return pa.array(values, mask=np.arange(2000) == 1500)


WRONG = {
    "a missing target": ({}, {"target": "staid"}, "no such column.*\n.*\n.*did you mean 'stayed'"),
    "a missing feature": ({}, {"features": ["logim"]}, "no such column.*\n.*\n.*'login'"),
    "a missing weight": ({}, {"weight": "ss"}, "no such column"),
    "a feature that is the target": ({}, {"features": ["stayed"]}, "used twice"),
    "no features": ({}, {"features": []}, "no column of counts"),
    "text as a feature": ({"x4": ["a"] * 2000}, {}, "'x4' of .* is not numeric\n.*string"),
    "an empty value": ({"x4": nulls()}, {}, "'x4' of .* has empty values\n.*1 nulls"),
    "an empty outcome": ({"stayed": nulls()}, {}, "'stayed' of .* has empty values"),
    "infinity": ({"x4": np.full(2000, np.inf)}, {}, "'x4' of .* not finite\n.*inf"),
    "a negative weight": ({"s": np.full(2000, -1.0)}, {"weight": "s"}, "'s' is negative"),
    "one outcome": ({"stayed": np.ones(2000)}, {}, "not two different values\n.*1 in rows"),
    "three outcomes": ({"stayed": np.arange(2000) % 3}, {}, "not two different values\n.*3 in"),
    "one outcome of positive weight": (
        {"s": frame(2000)[1].astype(float)},
        {"weight": "s"},
        "not two different values\n.*1 in rows",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_is_said(case, tmp_path):
    changes, arguments, message = WRONG[case]
    pq.write_table(table(**changes), tmp_path / "wrong.parquet")
    with pytest.raises(SpecError, match=message) as caught:
        fit_parquet(tmp_path, **({"target": "stayed"} | arguments))
    assert caught.value.got
    assert caught.value.allowed
    assert caught.value.hint


def test_files_without_rows_and_folders_without_files_are_refused(tmp_path):
    with pytest.raises(SpecError, match="holds no Parquet file"):
        fit_parquet(tmp_path, target="stayed")
    with pytest.raises(SpecError, match="no Parquet file can be read"):
        fit_parquet(tmp_path / "nowhere.parquet", target="stayed")
    pq.write_table(table()[:0], tmp_path / "empty.parquet")
    with pytest.raises(SpecError, match="has no rows"):
        fit_parquet(tmp_path, target="stayed")
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(SpecError, match="no Parquet file can be read"):
        fit_parquet(tmp_path / "text.parquet", target="stayed")


def test_parameters_and_rules_are_checked_as_in_memory(tmp_path):
    pq.write_table(table(), tmp_path / "g.parquet")
    with pytest.raises(SpecError, match="alpha is out of its range"):
        fit_parquet(tmp_path, target="stayed", estimator=ConstrainedLogisticRegression(-1.0))
    estimator = ConstrainedLogisticRegression(constraints="nowhere >= 0")
    with pytest.raises(ConstraintError, match="nowhere"):
        fit_parquet(tmp_path, target="stayed", estimator=estimator)
