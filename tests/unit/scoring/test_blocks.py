"""Many rows at once, and one customer alone, score as the arithmetic on arrays says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import WeightSetError
from ces_ml.scoring import Scorer
from ces_ml.scoring.frames import align
from ces_ml.scoring.lines import Lines
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import (
    Band,
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    contributions,
    scores,
)

KNOTS = st.lists(
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=12, unique=True
).map(sorted)


@settings(deadline=None)
@given(at=KNOTS, data=st.data())
def test_lines_are_those_of_numpy_to_the_last_bit(at: list[float], data: st.DataObject) -> None:
    heights = sorted(data.draw(st.lists(st.floats(0, 100), min_size=len(at), max_size=len(at))))
    knots = list(zip(at, heights, strict=True))
    beside = [np.nextafter(x, to) for x in at for to in (-np.inf, np.inf)]
    inside = np.linspace(at[0], at[-1], 5001)
    x = np.array([*at, *beside, *inside, -1e300, 1e300])
    expected = np.clip(np.interp(x, at, heights), heights[0], heights[-1])
    np.testing.assert_array_equal(Lines(knots)(x), expected)


def test_knots_too_close_for_bins_are_joined_all_the_same() -> None:
    knots = [(0.0, 0.0), (1e-9, 20.0), (2e-9, 30.0), (5.0, 100.0)]
    x = np.linspace(-1e-9, 4e-9, 101)
    np.testing.assert_array_equal(Lines(knots)(x), np.interp(x, *np.array(knots).T))
    tiny = [(0.0, 0.0), (1e-300, 100.0)]
    assert Lines(tiny)(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0, 100]


def many(transform: str, cap: float | None = None) -> WeightSet:
    rng = np.random.default_rng(1)
    terms = CountSpec(
        terms=tuple(
            Term(event=f"t{k}", window="7d", transform=transform, cap=cap) for k in range(6)
        )
    ).terms
    return WeightSet(
        name="many",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=rng.normal()) for t in terms),
        intercept=0.2,
        scale=Scale(
            method="quantiles", knots=((-2.0, 0.0), (0.0, 40.0), (1.0, 45.0), (9.0, 100.0))
        ),
        bands=(Band(name="a", from_score=0), Band(name="b", from_score=40)),
    )


@pytest.mark.parametrize("transform", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("low", [0, -4])
def test_blocks_give_what_the_arithmetic_on_arrays_gives(
    transform: str, cap: float | None, low: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ces_ml.scoring.blocks._ROWS", 16)
    weights = many(transform, cap)
    X = np.random.default_rng(2).integers(low, 9, (50, 6)).astype(float)
    raw = contributions(weights, X).sum(axis=1)
    frame = pd.DataFrame(X, columns=list(weights.names))
    shapes = [
        X,
        np.asfortranarray(X),
        X.astype(int),
        X.astype(object),
        sp.csr_array(X),
        frame,
        frame.copy().assign(between=1.0)[["t0", "t1", "between", "t2", "t3", "t4", "t5"]],
        frame[list(reversed(weights.names))],
        pd.DataFrame({n: X[:, k].copy() for k, n in enumerate(weights.names)}),
        frame.astype("float32"),
        frame.astype(int).astype({"t0": "Int64"}),
        pl.from_pandas(frame).with_columns(pl.col("t1").cast(pl.Int16)),
        pa.Table.from_pandas(frame),
        pa.RecordBatch.from_pandas(frame),
    ]
    for shape in shapes:
        found = Scorer(weights, 6).score(shape)
        np.testing.assert_allclose(found["raw_score"], raw, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found["score"], scores(weights, raw), rtol=0, atol=1e-9)
        assert found["band"].tolist() == band_names(weights, found["score"].to_numpy()).tolist()
        points = found[[f"points_{k}" for k in range(1, 7)]].sum(axis=1)
        np.testing.assert_allclose(points, raw, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("transform", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_an_endless_count_is_refused_in_every_shape(
    bad: float, transform: str, cap: float | None
) -> None:
    weights = many(transform, cap)
    X = np.ones((20, 6))
    X[7, 3] = bad
    frame = pd.DataFrame(X, columns=list(weights.names))
    for shape in (X, sp.csr_array(X), frame, pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        with pytest.raises(WeightSetError, match="not a finite number"):
            Scorer(weights, 0).score(shape)


@pytest.mark.parametrize("transform", ["identity", "log1p"])
def test_a_missing_number_is_0_in_a_frame_and_refused_in_an_array(transform: str) -> None:
    weights = many(transform)
    X = np.ones((20, 6))
    X[7, 3] = np.nan
    zero = Scorer(weights).score(np.nan_to_num(X))
    frame = pd.DataFrame(X, columns=list(weights.names))
    for shape in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        pd.testing.assert_frame_equal(Scorer(weights).score(shape), zero)
    for shape in (X, sp.csr_array(X)):
        with pytest.raises(WeightSetError, match="not a finite number"):
            Scorer(weights).score(shape)


def test_counts_are_taken_from_where_they_lie() -> None:
    weights = many("identity")
    frame = pd.DataFrame(np.ones((20, 6)), columns=list(weights.names))
    for held in (frame, frame.assign(customer_id="a")):
        X = align(weights, held).X
        assert np.shares_memory(X, held["t3"].to_numpy())
    other = pl.from_pandas(frame)
    columns = align(weights, other).X.columns
    assert np.shares_memory(columns[3], other["t3"].to_numpy())


@given(data=st.data())
def test_one_customer_scores_as_in_a_frame(data: st.DataObject) -> None:
    transform = data.draw(st.sampled_from(["identity", "log1p", "sqrt"]))
    weights = many(transform, data.draw(st.none() | st.floats(0.5, 9)))
    counts = data.draw(
        st.dictionaries(st.sampled_from([*weights.names, "other"]), st.floats(-1e6, 1e6))
    )
    n_reasons = data.draw(st.integers(0, 6))
    scorer = Scorer(weights, n_reasons)
    found, row = scorer.score_one(counts), scorer.score(counts).iloc[0]
    assert list(found) == list(row.index)
    for name, value in found.items():
        if isinstance(value, float):
            assert value == pytest.approx(row[name], rel=1e-12, abs=1e-9)
        else:
            assert value == (None if pd.isna(row[name]) else row[name])


@pytest.mark.parametrize("bad", [np.inf, np.nan, "many", [1]])
def test_one_customer_with_a_count_that_is_none_is_refused(bad: object) -> None:
    with pytest.raises(WeightSetError, match=r"not a finite number(.|\n)*for 't2'"):
        Scorer(many("log1p")).score_one({"t2": bad})
    assert Scorer(many("log1p")).score_one({"t2": None})["raw_score"] == 0
