from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from ces_ml.spec import CountSpec, CountTable, Term
from ces_ml.weights import WeightedTerm

COUNTS = np.array([[0.0, 5.0, -4.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [9.0, 1.0, 16.0]])


@pytest.fixture
def table() -> CountTable:
    spec = CountSpec(
        terms=(
            Term(event="a", window="7d", cap=3),
            Term(event="b", window="7d", transform="log1p"),
            Term(event="y", window="7d", measure="sum", cap=9, transform="sqrt"),
        )
    )
    days = pd.to_datetime(["2024-01-01", "2024-01-01", "2024-02-01", "2024-02-01"], utc=True)
    keys = pd.DataFrame({"user": ["u1", "u2", "u1", "u3"], "as_of": days})
    y = np.array([0, 1, 1, 0], dtype=np.int8)
    return CountTable(keys, sp.csr_array(COUNTS), spec, y, {"rows": 4})


def test_the_design_is_transform_of_capped_counts(table: CountTable) -> None:
    expected = np.column_stack(
        [
            np.minimum(COUNTS[:, 0], 3),
            np.log1p(COUNTS[:, 1]),
            np.sign(COUNTS[:, 2]) * np.sqrt(np.minimum(np.abs(COUNTS[:, 2]), 9)),
        ]
    )
    np.testing.assert_allclose(table.design().toarray(), expected, rtol=1e-15)


def test_the_design_leaves_the_counts_alone(table: CountTable) -> None:
    table.design()
    np.testing.assert_array_equal(table.X.toarray(), COUNTS)


def test_the_design_of_whole_numbers_is_not_cut_to_whole_numbers(table: CountTable) -> None:
    whole = replace(table, X=sp.csr_array(COUNTS.astype(np.int64)))
    np.testing.assert_array_equal(whole.design().toarray(), table.design().toarray())


def test_the_design_adds_up_entries_that_are_stored_twice(table: CountTable) -> None:
    split = sp.csr_array((np.array([2.0, 3.0]), np.array([1, 1]), np.array([0, 2, 2, 2, 2])))
    split.resize((4, 3))
    assert replace(table, X=split).design()[0, 1] == pytest.approx(np.log1p(5.0))


@pytest.mark.parametrize("rows", [np.array([False, True, False, True]), np.array([1, 3])])
def test_rows_are_taken_with_all_that_belongs_to_them(table: CountTable, rows) -> None:
    part = table.take(rows)
    assert len(part) == 2
    assert part.customer.tolist() == ["u2", "u3"]
    assert part.as_of.index.tolist() == [0, 1]
    np.testing.assert_array_equal(part.X.toarray(), COUNTS[[1, 3]])
    assert part.y.tolist() == [1, 0]


def test_rows_without_outcomes_can_be_taken_too(table: CountTable) -> None:
    assert replace(table, y=None).take(np.array([0])).y is None


def test_the_frame_holds_keys_counts_and_outcomes_even_when_an_event_is_called_y(
    table: CountTable,
) -> None:
    frame = table.to_pandas()
    assert list(frame.columns) == ["user", "as_of", "a", "b", "y", "y"]
    np.testing.assert_array_equal(frame.iloc[:, 2:5].to_numpy(), COUNTS)
    assert frame.iloc[:, 5].tolist() == [0, 1, 1, 0]
    assert list(replace(table, y=None).to_pandas().columns) == ["user", "as_of", "a", "b", "y"]


def other_unit(table: CountTable, unit: str) -> CountTable:
    return replace(table, keys=table.keys.assign(as_of=table.as_of.dt.as_unit(unit)))


@pytest.mark.parametrize(
    "same",
    [
        lambda t: replace(t, report={}),
        lambda t: replace(t, keys=t.keys.rename(columns={"user": "customer"})),
        lambda t: other_unit(t, "s"),
        lambda t: other_unit(t, "ns"),
        lambda t: replace(t, X=t.X + 1e-12 * (t.X != 0)),
        lambda t: replace(t, X=sp.csr_array(t.X.tocsc())),
        lambda t: replace(t, keys=t.keys.set_index(np.array([3, 1, 2, 0]))),
        lambda t: t.take(np.array([3, 2, 1, 0])).take(np.array([3, 2, 1, 0])),
    ],
    ids=[
        "report",
        "column name",
        "seconds",
        "nanoseconds",
        "last bits",
        "storage",
        "index",
        "back",
    ],
)
def test_the_digest_is_of_the_content_alone(table: CountTable, same) -> None:
    assert same(table).digest() == table.digest()


def test_the_digest_does_not_see_how_zeros_and_columns_are_stored(table: CountTable) -> None:
    X = sp.csr_array(
        (
            np.array([-4.0, 5.0, 0.0, 2.0, 9.0, 1.0, 16.0]),
            np.array([2, 1, 0, 0, 0, 1, 2]),
            np.array([0, 3, 4, 4, 7]),
        ),
        shape=(4, 3),
    )
    assert replace(table, X=X).digest() == table.digest()


def one_more(table: CountTable) -> CountTable:
    X = table.X.toarray()
    X[2, 1] += 1
    return replace(table, X=sp.csr_array(X))


@pytest.mark.parametrize(
    "different",
    [
        one_more,
        lambda t: replace(t, y=None),
        lambda t: replace(t, y=1 - t.y),
        lambda t: replace(t, keys=t.keys.assign(user=["u1", "u2", "u1", "u4"])),
        lambda t: replace(t, keys=t.keys.assign(as_of=t.as_of + pd.Timedelta("1us"))),
        lambda t: replace(t, spec=CountSpec.of(["a", "b", "z"], window="7d")),
        lambda t: t.take(np.array([0, 1, 2])),
        lambda t: t.take(np.array([1, 0, 2, 3])),
    ],
    ids=["count", "no y", "y", "customer", "moment", "names", "rows", "order"],
)
def test_the_digest_changes_with_the_content(table: CountTable, different) -> None:
    assert different(table).digest() != table.digest()


def test_terms_of_a_weight_set_give_the_same_design(table: CountTable) -> None:
    terms = tuple(WeightedTerm(**t.model_dump(), weight=1.0) for t in table.spec.terms)
    again = replace(table, spec=CountSpec(terms=terms))
    np.testing.assert_array_equal(again.design().toarray(), table.design().toarray())
