"""Who changes band, and how far two scores agree, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from ces_ml.errors import SpecError
from ces_ml.evaluation import agreement, band_migration, latest_rows

BANDS = ("at_risk", "<b>potential</b>", "")


@given(st.lists(st.tuples(st.sampled_from(BANDS), st.sampled_from(BANDS)), max_size=60))
def test_the_matrix_is_what_counting_customer_by_customer_gives(pairs) -> None:
    before = np.array([a for a, _ in pairs], dtype=object)
    after = np.array([b for _, b in pairs], dtype=object)
    found = band_migration(before, after, BANDS, BANDS)
    for i, a in enumerate(BANDS):
        for j, b in enumerate(BANDS):
            assert found.counts[i][j] == sum(pair == (a, b) for pair in pairs)
    assert found.customers == len(pairs)
    n = len(pairs) or 1
    place = {band: k for k, band in enumerate(BANDS)}
    assert found.changed == sum(a != b for a, b in pairs) / n
    assert found.up == sum(place[b] > place[a] for a, b in pairs) / n
    assert found.down == sum(place[b] < place[a] for a, b in pairs) / n


def test_bands_of_other_names_move_customers_neither_up_nor_down() -> None:
    low = np.array(["low", "high"], dtype=object)
    found = band_migration(low, np.array(["high", "top"], object), ["low", "high"], ["high", "top"])
    assert found.counts == ((1, 0), (0, 1))
    assert (found.changed, found.up, found.down) == (1.0, None, None)


def test_a_band_that_is_not_named_is_refused() -> None:
    bands = np.array(["at_risk"], dtype=object)
    with pytest.raises(SpecError, match="a band that is not named"):
        band_migration(bands, np.array(["at_rsk"], dtype=object), ["at_risk"], ["at_risk"])
    with pytest.raises(SpecError, match="do not stand customer by customer"):
        band_migration(bands, bands[:0], ["at_risk"], ["at_risk"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30))
def test_the_latest_row_of_every_customer_is_taken_once(rows) -> None:
    who = np.array([w for w, _ in rows], dtype="<U1")
    when = np.array([t for _, t in rows], dtype=np.int64)
    expected = {}
    for k, (customer, moment) in enumerate(rows):
        if customer not in expected or moment >= rows[expected[customer]][1]:
            expected[customer] = k
    assert latest_rows(who, when).tolist() == sorted(expected.values())


def test_correlations_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=200).round(1)  # with ties
    other = one + rng.normal(size=200)
    found = agreement(one, other)
    assert found.pearson == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-11)
    ranks = np.corrcoef(rankdata(one), rankdata(other))[0, 1]
    assert found.spearman == pytest.approx(ranks, abs=1e-11)
    assert agreement(one, -one).spearman == -1.0


def test_a_score_that_is_the_same_for_everybody_correlates_with_nothing() -> None:
    found = agreement(np.zeros(5), np.arange(5.0))
    assert (found.pearson, found.spearman) == (None, None)
    assert agreement(np.zeros(1), np.ones(1)).pearson is None
    with pytest.raises(SpecError, match="do not stand row by row"):
        agreement(np.zeros(2), np.zeros(3))
