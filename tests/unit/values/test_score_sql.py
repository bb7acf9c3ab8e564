import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.spec import CountSpec, Term
from ces_ml.sql.quoting import identifier
from ces_ml.weights import (
    Band,
    Recalibration,
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    contributions,
    probabilities,
    raw_scores,
    scores,
)
from ces_ml.weights.score_sql import (
    SqlWords,
    band_sql,
    contribution_sql,
    number_sql,
    probability_sql,
    raw_score_sql,
    score_sql,
    sigmoid_sql,
    transformed_sql,
)

CON = duckdb.connect()
#: Counts that show a careless formula: tiny, huge, negative, zero.
HARD = [0.0, 1e-300, 1e-17, 1e-9, 0.3, 1.0, 8.0, 41.0, 1e6, 1e15, 1e300]
HARD += [-x for x in HARD]


def terms_of(*options: dict) -> tuple[WeightedTerm, ...]:
    rng = np.random.default_rng(len(options))
    named = CountSpec(
        terms=tuple(
            Term(name=f"t{k}", event=f"e{k}", window="7d", **o) for k, o in enumerate(options)
        )
    ).terms
    return tuple(WeightedTerm(**t.model_dump(), weight=rng.normal()) for t in named)


def weight_set_of(
    terms: tuple[WeightedTerm, ...],
    scale: Scale | None = None,
    calibration: Recalibration | None = None,
    bands: tuple[Band, ...] = (Band(name="all", from_score=0),),
) -> WeightSet:
    return WeightSet(
        name="test",
        terms=terms,
        intercept=-0.7,
        scale=scale or Scale(method="probability"),
        bands=bands,
        calibration=calibration,
    )


def ask(expression: str, **columns) -> np.ndarray:
    """Evaluate an expression over columns, in DuckDB."""
    frame = pd.DataFrame({"_row": range(len(next(iter(columns.values())))), **columns})
    with CON.cursor() as con:
        con.register("frame", frame)
        found = con.sql(f"SELECT {expression} AS x FROM frame ORDER BY _row").fetchall()
    return np.array([row[0] for row in found])


@pytest.mark.parametrize("transform", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("cap", [None, 8.0])
def test_every_transform_and_cap_equals_the_arithmetic_on_arrays(
    transform: str, cap: float | None
) -> None:
    terms = terms_of({"transform": transform, "cap": cap})
    n = np.array(HARD)
    expected = contributions(weight_set_of(terms), n[:, None])[:, 0]
    found = ask(contribution_sql(terms[0], "n"), n=n)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"half_life": "3d"},
        {"measure": "active_days"},
        {"measure": "distinct", "property": "page"},
        {"measure": "sum", "property": "amount"},
        {"measure": "duration", "until": "end"},
        {"per": "day"},
        {"cap_per_day": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("transform", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("cap", [None, 8.0])
def test_the_shorter_text_for_counted_numbers_gives_the_same(
    options: dict, transform: str, cap: float | None
) -> None:
    term = terms_of(options | {"transform": transform, "cap": cap})[0]
    n = np.array([0.0, 1.0, 2.0, 8.0, 9.0, 4e15])
    if options.keys() & {"half_life", "per", "cap_per_day"}:
        n = np.append(n, [1e-17, 0.25])
    if term.measure in ("sum", "duration"):
        n = np.append(n, [-3.5, 1e-17, -1e-17])
    expected = contributions(weight_set_of((term,)), n[:, None])[:, 0]
    found = ask(contribution_sql(term, "n", counted=True), n=n)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_count_without_cap_and_sign_is_one_call() -> None:
    term = terms_of({"transform": "log1p"})[0]
    one = number_sql(1.0)
    assert transformed_sql(term, "n", counted=True) == f"LN({one} + n)"
    assert transformed_sql(term, "n", SqlWords(log1p="LOG1P"), counted=True) == "LOG1P(n)"


def test_words_replace_functions_and_literals() -> None:
    words = SqlWords(
        ln="LOG", exp="EXPO", sqrt="ROOT", number="CAST({} AS FLOAT)", literal=lambda t: f"N'{t}'"
    )
    log, root = terms_of({"transform": "log1p"}, {"transform": "sqrt"})
    assert "LOG(CAST(1.0" in transformed_sql(log, "n", words)
    assert "ROOT(n)" in transformed_sql(root, "n", words)
    assert "EXPO(CAST(0.0" in sigmoid_sql("z", words)
    bands = (Band(name="a", from_score=0), Band(name="b", from_score=5))
    assert "N'b' ELSE N'a'" in band_sql(bands, "s", words)


def test_no_text_holds_a_comment_for_negative_numbers() -> None:
    terms = terms_of({"transform": "log1p", "cap": 3}, {"transform": "sqrt"})
    weight_set = weight_set_of(
        tuple(t.model_copy(update={"weight": -1.5}) for t in terms),
        Scale(method="min_max", knots=((-3.0, 0.0), (-1.0, 100.0))),
        Recalibration(method="platt", slope=0.5, intercept=-2.0),
    )
    texts = [contribution_sql(t, "n") for t in terms]
    texts += [score_sql(weight_set, "raw"), probability_sql(weight_set, "raw")]
    assert all("--" not in t.replace(" ", "") for t in texts)


def test_a_missing_count_adds_nothing_and_a_missing_score_stays_missing() -> None:
    term = terms_of({"transform": "log1p", "cap": 3})[0]
    assert ask(contribution_sql(term, "CAST(NULL AS DOUBLE)"), n=[1.0])[0] == 0.0
    scale = Scale(method="min_max", knots=((0.0, 0.0), (5.0, 100.0)))
    weight_set = weight_set_of((term,), scale)
    assert ask(score_sql(weight_set, "CAST(NULL AS DOUBLE)"), n=[1.0])[0] is None
    assert ask(probability_sql(weight_set, "CAST(NULL AS DOUBLE)"), n=[1.0])[0] is None


def test_the_sigmoid_neither_overflows_nor_underflows() -> None:
    z = np.array([-1e308, -800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0, 1e308])
    found = ask(sigmoid_sql("z"), z=z)
    np.testing.assert_allclose(found, 0.5 + 0.5 * np.tanh(0.5 * z), rtol=0, atol=1e-15)
    assert (np.diff(found) >= 0).all()


KNOTS = st.lists(
    st.tuples(st.floats(-50, 50).map(lambda x: round(x, 4)), st.floats(0, 100)),
    min_size=1,
    max_size=8,
    unique_by=lambda k: k[0],
).map(lambda ks: tuple(zip(sorted(k[0] for k in ks), sorted(k[1] for k in ks), strict=True)))


@settings(deadline=None, max_examples=30)
@given(knots=KNOTS, data=st.data())
def test_knots_are_joined_exactly_as_on_arrays(knots, data) -> None:
    scale = Scale(method="quantiles", knots=knots)
    isotonic = tuple((x, y / 100) for x, y in knots)
    weight_set = weight_set_of(
        terms_of({}), scale, Recalibration(method="isotonic", knots=isotonic)
    )
    at = [x for x, _ in scale.knots]
    near = [np.nextafter(x, side) for x in at for side in (-np.inf, np.inf)]
    raw = np.array(at + near + data.draw(st.lists(st.floats(-60, 60), max_size=20)))
    np.testing.assert_array_equal(
        ask(score_sql(weight_set, "raw"), raw=raw), scores(weight_set, raw)
    )
    np.testing.assert_array_equal(
        ask(probability_sql(weight_set, "raw"), raw=raw), probabilities(weight_set, raw)
    )


OPTIONS = st.fixed_dictionaries(
    {
        "transform": st.sampled_from(["identity", "log1p", "sqrt"]),
        "cap": st.none() | st.floats(0.01, 50),
    }
)


@settings(deadline=None, max_examples=30)
@given(
    options=st.lists(OPTIONS, min_size=1, max_size=6),
    names=st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
        min_size=3,
        max_size=3,
    ),
    method=st.sampled_from(["quantiles", "probability"]),
    calibration=st.sampled_from([None, Recalibration(method="platt", slope=1.7, intercept=-0.4)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_whole_score_equals_the_arithmetic_on_arrays(
    options, names, method, calibration, seed
) -> None:
    knots = ((-2.0, 0.0), (-0.5, 12.5), (0.1, 12.5), (3.0, 99.0))
    scale = Scale(method=method, knots=() if method == "probability" else knots)
    bands = tuple(Band(name=n, from_score=s) for n, s in zip(names, (0, 12.5, 70), strict=True))
    weight_set = weight_set_of(terms_of(*options), scale, calibration, bands)
    rng = np.random.default_rng(seed)
    n = rng.integers(-4, 30, size=(12, len(options))) * rng.choice([1.0, 0.25, 1e-12], size=(12, 1))
    columns = {f"n'{k}": n[:, k] for k in range(len(options))}
    added = [
        contribution_sql(t, identifier(c)) for t, c in zip(weight_set.terms, columns, strict=True)
    ]
    raw = ask(raw_score_sql(added), **columns)
    np.testing.assert_allclose(raw, raw_scores(weight_set, n), rtol=0, atol=1e-12)
    score = ask(score_sql(weight_set, "raw"), raw=raw)
    np.testing.assert_allclose(score, scores(weight_set, raw), rtol=0, atol=1e-9)
    found = ask(probability_sql(weight_set, "raw"), raw=raw)
    np.testing.assert_allclose(found, probabilities(weight_set, raw), rtol=0, atol=1e-12)
    found = ask(band_sql(weight_set.bands, "s"), s=score)
    assert found.tolist() == band_names(weight_set, score).tolist()
