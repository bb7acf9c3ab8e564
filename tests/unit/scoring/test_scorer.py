import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import CesWarning, SpecError, WeightSetError
from ces_ml.features import build_counts
from ces_ml.scoring import Scorer
from ces_ml.scoring.pyfunc import PyfuncScorer, _load_pyfunc
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet


@pytest.fixture
def weight_set() -> WeightSet:
    terms = CountSpec(
        terms=(
            Term(event="login", window="30d", transform="log1p"),
            Term(event="refund", window="90d", measure="sum", property="amount", cap=50),
            Term(event="buy 'x'", window="30d", transform="sqrt", cap=9),
        )
    ).terms
    return WeightSet(
        name="test",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=w)
            for t, w in zip(terms, [0.7, -0.02, 0.4], strict=True)
        ),
        intercept=-1.5,
        scale=Scale(method="min_max", knots=((-1.0, 0.0), (3.0, 100.0))),
        bands=(
            Band(name="at_risk", from_score=0),
            Band(name="potential", from_score=40),
            Band(name="advocate", from_score=75),
        ),
    )


COUNTS = pd.DataFrame({"login": [0, 3, 20], "refund": [0.0, 10, 80], "buy 'x'": [0, 4, 100]})


def test_scores_follow_the_formula_by_hand(weight_set: WeightSet) -> None:
    found = Scorer(weight_set).score(COUNTS)
    for k in range(3):
        login, refund, buy = COUNTS.iloc[k]
        raw = 0.7 * np.log1p(login) - 0.02 * min(refund, 50) + 0.4 * np.sqrt(min(buy, 9))
        assert found["raw_score"][k] == pytest.approx(raw, abs=1e-12)
        assert found["score"][k] == pytest.approx(np.clip((raw + 1) / 4 * 100, 0, 100), abs=1e-9)
        assert found["probability"][k] == pytest.approx(1 / (1 + np.exp(1.5 - raw)), abs=1e-12)
    assert found["band"].tolist() == ["at_risk", "potential", "advocate"]


def test_all_reasons_sum_to_the_raw_score(weight_set: WeightSet) -> None:
    found = Scorer(weight_set, n_reasons=3).score(COUNTS)
    points = found[["points_1", "points_2", "points_3"]].sum(axis=1)
    np.testing.assert_allclose(points, found["raw_score"], atol=1e-12)


def test_reasons_are_the_largest_contributions_and_absent_ones_are_missing(
    weight_set: WeightSet,
) -> None:
    found = Scorer(weight_set, n_reasons=2).score(COUNTS)
    assert found["reason_1"].isna().tolist() == [True, False, False]
    assert found["reason_1"][2] == "login"
    assert found["reason_2"][2] == "buy 'x'"
    assert "reason_3" not in found


@pytest.mark.parametrize(
    "shape",
    [
        lambda f: pl.from_pandas(f),
        lambda f: pa.Table.from_pandas(f),
        lambda f: f.to_numpy(dtype=float),
        lambda f: sp.csr_array(f.to_numpy(dtype=float)),
        lambda f: f[["refund", "buy 'x'", "login"]],
        lambda f: f.assign(unknown=1),
        lambda f: f.astype("Int64"),
    ],
    ids=["polars", "arrow", "ndarray", "csr", "reordered", "extra column", "nullable integers"],
)
def test_every_shape_of_counts_gives_the_same_scores(weight_set: WeightSet, shape) -> None:
    expected = Scorer(weight_set).score(COUNTS)
    pd.testing.assert_frame_equal(Scorer(weight_set).score(shape(COUNTS)), expected)


def test_one_customer_can_be_a_mapping(weight_set: WeightSet) -> None:
    found = Scorer(weight_set).score({"login": 3, "refund": 10, "buy 'x'": 4})
    assert found["raw_score"][0] == Scorer(weight_set).score(COUNTS)["raw_score"][1]
    assert Scorer(weight_set).score({})["raw_score"][0] == 0


def test_keys_travel_with_the_scores(weight_set: WeightSet) -> None:
    found = Scorer(weight_set).score(COUNTS.assign(customer_id=["a", "b", "c"]))
    assert found["customer_id"].tolist() == ["a", "b", "c"]


def test_missing_counts_are_zero(weight_set: WeightSet) -> None:
    frame = COUNTS.astype(float)
    frame.loc[1, "login"] = np.nan
    expected = Scorer(weight_set).score(COUNTS.assign(login=[0, 0, 20]))
    pd.testing.assert_frame_equal(Scorer(weight_set).score(frame), expected)


def test_a_term_without_a_column_counts_zero_and_is_named(weight_set: WeightSet) -> None:
    with pytest.warns(CesWarning, match="1 of 3 terms have no column and count 0: 'refund'"):
        found = Scorer(weight_set).score(COUNTS.drop(columns="refund"))
    assert found["raw_score"][1] > Scorer(weight_set).score(COUNTS)["raw_score"][1]


def test_no_rows_give_no_scores(weight_set: WeightSet) -> None:
    found = Scorer(weight_set).score(COUNTS.iloc[:0])
    assert len(found) == 0
    assert "reason_1" in found


def test_a_frame_without_any_term_is_refused(weight_set: WeightSet) -> None:
    with pytest.raises(WeightSetError, match=r"no column of the weight set(.|\n)*mean 'login'"):
        Scorer(weight_set).score(pd.DataFrame({"logins": [1]}))


def test_counts_that_are_not_numbers_are_refused(weight_set: WeightSet) -> None:
    with pytest.raises(WeightSetError, match="column 'login' does not hold counts"):
        Scorer(weight_set).score(COUNTS.assign(login=["a", "b", "c"]))
    with pytest.raises(WeightSetError, match="not a finite number"):
        Scorer(weight_set).score(COUNTS.assign(login=[1.0, np.inf, 2.0]))


def test_an_array_of_another_width_is_refused(weight_set: WeightSet) -> None:
    with pytest.raises(WeightSetError, match=r"one column a term(.|\n)*shape \(2, 5\)"):
        Scorer(weight_set).score(np.zeros((2, 5)))


def test_something_that_is_no_table_is_refused(weight_set: WeightSet) -> None:
    with pytest.raises(WeightSetError, match="can't be scored"):
        Scorer(weight_set).score(42)


def test_a_negative_number_of_reasons_is_refused(weight_set: WeightSet) -> None:
    with pytest.raises(SpecError, match="number of reasons is negative"):
        Scorer(weight_set, n_reasons=-1)


def test_a_table_counted_otherwise_is_refused(weight_set: WeightSet) -> None:
    log = pd.DataFrame({"customer_id": ["a"], "event_type": ["login"], "timestamp": ["2025-01-01"]})
    table = build_counts(log, CountSpec.of(["login"], window="7d"))
    with pytest.raises(WeightSetError, match="counted by another specification"):
        Scorer(weight_set).score(table)


def test_more_rows_than_a_block_score_the_same(
    weight_set: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = pd.concat([COUNTS] * 10, ignore_index=True)
    expected = Scorer(weight_set).score(many)
    monkeypatch.setattr("ces_ml.scoring.blocks._ROWS", 7)
    pd.testing.assert_frame_equal(Scorer(weight_set).score(many), expected)


@given(
    names=st.lists(st.text(max_size=12), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_hostile_names_score_like_any_other(names: list[str], data: st.DataObject) -> None:
    weights = [data.draw(st.floats(-5, 5).map(lambda w: round(w, 6))) for _ in names]
    counts = [data.draw(st.integers(0, 1000)) for _ in names]
    terms = CountSpec.of(names, window="30d").terms
    hostile = WeightSet(
        name="hostile",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=w) for t, w in zip(terms, weights, strict=True)
        ),
        intercept=0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Scorer(hostile).score(dict(zip(hostile.names, counts, strict=True)))
    expected = sum(w * n for w, n in zip(weights, counts, strict=True))
    assert found["raw_score"][0] == pytest.approx(expected, abs=1e-9)


def test_the_pyfunc_face_gives_the_same_scores(weight_set: WeightSet, tmp_path) -> None:
    weight_set.save(tmp_path / "weights.json")
    for place in (tmp_path, tmp_path / "weights.json"):
        found = _load_pyfunc(str(place)).predict(COUNTS)
        expected = Scorer(weight_set).score(COUNTS)
        reasons = [c for c in expected if c.startswith("reason_")]
        points = [c for c in expected if c.startswith("points_")]
        others = [c for c in expected if c not in (*reasons, *points)]
        pd.testing.assert_frame_equal(found[others], expected[others])
        missing = expected[reasons].isna().to_numpy()
        assert missing.any()
        # What MLflow's server writes as JSON and its Spark function as a column.
        texts, numbers = found[reasons].to_numpy(), found[points].to_numpy(dtype=object)
        assert (texts[missing] == "").all()
        assert all(n is None for n in numbers[missing])
        assert (texts[~missing] == expected[reasons].to_numpy()[~missing]).all()
        assert (numbers[~missing] == expected[points].to_numpy()[~missing]).all()
    whole = json.dumps(found.to_dict(orient="records"), allow_nan=False)
    assert json.loads(whole)[0]["points_3"] is None


def test_the_pyfunc_face_takes_what_is_missing_as_zero_and_keeps_every_row(
    weight_set: WeightSet,
) -> None:
    face = PyfuncScorer(weight_set)
    sparse = pd.DataFrame({"login": [3, None, 1], "zz": 9, "customer_id": ["a", "b", "c"]})
    whole = pd.DataFrame({"login": [3, 0, 1], "refund": 0, "buy 'x'": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = face.predict(sparse)
    assert found["customer_id"].tolist() == ["a", "b", "c"]
    assert found["score"].tolist() == Scorer(weight_set).score(whole)["score"].tolist()
    nobody = face.predict(pd.DataFrame({"customer_id": ["d", "e"]}))
    assert nobody["raw_score"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("frame", [pd.DataFrame(index=range(2)), pd.DataFrame({"zz": [1, 2]})])
def test_the_pyfunc_face_refuses_rows_without_any_known_column(
    weight_set: WeightSet, frame: pd.DataFrame
) -> None:
    with pytest.raises(WeightSetError, match="no column that the weights know"):
        PyfuncScorer(weight_set).predict(frame)
