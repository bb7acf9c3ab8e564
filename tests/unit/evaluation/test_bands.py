from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.evaluation import choose_bands
from ces_ml.evaluation.bands import _candidates
from ces_ml.weights import BAND_NAMES, Band, Scale, WeightedTerm, WeightSet, band_names


def sample(n: int, seed: int, rate=lambda s: 0.1 + 0.008 * s) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.uniform(0, 100, n), 2)
    return score, (rng.random(n) < rate(score)).astype(int)


def cuts(bands: tuple[Band, ...]) -> list[float]:
    return [b.from_score for b in bands[1:]]


def likelihood(score: np.ndarray, y: np.ndarray, at: list[float]) -> tuple[float, list, list]:
    total, rates, rows = 0.0, [], []
    for low, high in zip([-1.0, *at], [*at, 101.0], strict=True):
        inside = y[(score >= low) & (score < high)]
        rows.append(len(inside))
        rates.append(inside.mean() if len(inside) else np.nan)
        for label in inside:
            p = rates[-1]
            total += np.log(p if label else 1 - p)
    return total, rates, rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_bands", [2, 3])
def test_the_cuts_are_the_likeliest_of_all_allowed_ones(seed: int, n_bands: int) -> None:
    score, y = sample(150, seed)
    names = BAND_NAMES[:n_bands]
    tried = []
    for pair in combinations(_candidates(score).tolist(), n_bands - 1):
        total, rates, rows = likelihood(score, y, list(pair))
        if (np.diff(rates) > 0).all() and min(rows) >= 15:
            tried.append((total, pair))
    found = choose_bands(score, y, names)
    assert likelihood(score, y, cuts(found))[0] == pytest.approx(max(tried)[0], abs=1e-9)
    assert len(tried) > 5


def test_steps_in_the_outcome_rate_are_found() -> None:
    score, y = sample(20_000, 0, lambda s: np.select([s < 25, s < 80], [0.05, 0.3], 0.7))
    bands = choose_bands(score, y)
    assert cuts(bands) == pytest.approx([25, 80], abs=3)
    assert [b.rate for b in bands] == pytest.approx([0.05, 0.3, 0.7], abs=0.05)
    assert [b.name for b in bands] == list(BAND_NAMES)


@given(
    st.lists(
        st.tuples(st.floats(0, 100) | st.sampled_from([0.0, 50.0, 100.0]), st.integers(0, 1)),
        max_size=60,
    ),
    st.integers(2, 4),
    st.sampled_from([0.05, 0.1, 0.25]),
)
@settings(max_examples=300, deadline=None)
def test_bands_cover_the_score_and_count_every_row(rows, n_bands: int, least: float) -> None:
    score = np.array([s for s, _ in rows])
    y = np.array([v for _, v in rows])
    names = tuple(f"b{k}" for k in range(n_bands))
    bands = choose_bands(score, y, names, least_share=least)
    starts = [b.from_score for b in bands]
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert starts[-1] <= 100
    assert [b.name for b in bands] == list(names)
    for band, low, high in zip(bands, starts, [*starts[1:], np.inf], strict=True):
        inside = y[(score >= low) & (score < high)]
        assert band.rows == len(inside)
        assert band.rate == (pytest.approx(inside.mean()) if len(inside) else None)


@pytest.mark.parametrize("seed", range(5))
def test_chosen_bands_hold_the_least_share_and_their_rates_rise(seed: int) -> None:
    score, y = sample(400, seed)
    bands = choose_bands(score, y, least_share=0.2)
    assert min(b.rows for b in bands) >= 80
    assert (np.diff([b.rate for b in bands]) > 0).all()


def test_the_order_of_the_rows_does_not_matter() -> None:
    score, y = sample(500, 3)
    score = np.round(score)  # many ties
    order = np.random.default_rng(0).permutation(500)
    assert choose_bands(score[order], y[order]) == choose_bands(score, y)


def test_of_equally_likely_cuts_those_nearest_to_thirds_are_taken() -> None:
    score, y = np.arange(12) * 5.0, np.array([0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0])
    bands = choose_bands(score, y)
    assert [b.rows for b in bands] == [2, 6, 4]
    farther = [10.0, 30.0]  # bands of 2, 4 and 6 rows
    assert likelihood(score, y, farther)[0] == pytest.approx(likelihood(score, y, cuts(bands))[0])


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_on_a_score_puts_that_score_into_the_upper_band(seed: int) -> None:
    score, y = sample(150, seed)
    score = np.round(score / 50, 1)  # 0.0 to 2.0: cuts of one decimal fall on the scores
    tried = []
    for pair in combinations(_candidates(score).tolist(), 2):
        total, rates, rows = likelihood(score, y, list(pair))
        if min(rows) >= 15 and (np.diff(rates) > 0).all():
            tried.append(total)
    assert likelihood(score, y, cuts(choose_bands(score, y)))[0] == pytest.approx(max(tried))


def test_cuts_are_short_where_the_scores_leave_room() -> None:
    score, y = sample(1_000, 1)
    assert all(round(c, 1) == c for c in cuts(choose_bands(score, y)))


def test_cuts_are_as_long_as_close_scores_need() -> None:
    score, y = sample(1_000, 1)
    bands = choose_bands(50 + score / 1e4, y)
    apart = [b.rows for b in choose_bands(score, y)]
    assert [b.rows for b in bands] == pytest.approx(apart, abs=2)  # those cuts are rounded
    assert all(50 < c < 50.01 for c in cuts(bands))


def test_candidates_rise_and_stand_between_their_quantiles() -> None:
    score = np.concatenate([np.zeros(500), 1e-3 * np.arange(300), np.linspace(1, 100, 200)])
    grid = _candidates(score)
    at = np.unique(np.percentile(score, np.arange(0, 101, 5)))
    assert ((at[:-1] < grid) & (grid <= at[1:])).all()


def test_the_rates_belong_to_the_bands_that_a_weight_set_gives() -> None:
    score, y = sample(700, 2)
    score[:50] = 0.0
    bands = choose_bands(score, y)
    weight_set = WeightSet(
        name="x",
        terms=(WeightedTerm(name="x", event="x", window="1d", weight=1.0),),
        intercept=0.0,
        scale=Scale(method="probability"),
        bands=bands,
    )
    given_names = band_names(weight_set, score)
    for band in bands:
        assert band.rows == (given_names == band.name).sum()
        assert band.rate == pytest.approx(y[given_names == band.name].mean())


def test_rates_that_fall_give_thirds() -> None:
    score = np.linspace(0, 100, 300)
    bands = choose_bands(score, (score < 50).astype(int))
    assert [b.rows for b in bands] == [100, 100, 100]
    assert [b.rate for b in bands] == [1.0, 0.5, 0.0]


def test_few_rows_give_thirds() -> None:
    bands = choose_bands(np.array([10.0, 50.0, 90.0]), np.array([1, 0, 0]))
    assert [(b.rows, b.rate) for b in bands] == [(1, 1.0), (1, 0.0), (1, 0.0)]


@pytest.mark.parametrize(
    ("score", "rows", "rates"),
    [
        ([50.0] * 40, [0, 40, 0], [None, 0.5, None]),
        ([0.0] * 40, [40, 0, 0], [0.5, None, None]),
        ([0.0] * 36 + [100.0] * 4, [36, 0, 4], [0.5, None, 0.5]),
        ([], [0, 0, 0], [None, None, None]),
    ],
)
def test_scores_without_thirds_give_equal_parts_of_0_to_100(score, rows, rates) -> None:
    bands = choose_bands(np.array(score), np.arange(len(score)) % 2)
    assert cuts(bands) == [33.3, 66.7]
    assert [b.rows for b in bands] == rows
    assert [b.rate for b in bands] == rates


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_outcome_only_gives_thirds(outcome: int) -> None:
    bands = choose_bands(np.linspace(0, 100, 90), np.full(90, outcome))
    assert [b.rows for b in bands] == [30, 30, 30]
    assert [b.rate for b in bands] == [outcome] * 3


@pytest.mark.parametrize(
    ("score", "y", "options", "message"),
    [
        ([1.0, 101.0], [0, 1], {}, r"outside 0 to 100\n.*1 of 2, such as 101"),
        ([1.0, np.nan], [0, 1], {}, r"outside 0 to 100\n.*1 of 2"),
        ([1.0], [0, 1], {}, "do not stand row by row"),
        ([1.0, 2.0], [0, 3], {}, r"outcomes are not 0 or 1\n.*1 other values among 2"),
        ([1.0, 2.0], [0, 1], {"names": ("one",)}, r"can't be named so\n.*\n.*two to 5"),
        ([1.0, 2.0], [0, 1], {"names": ("a", "a")}, "can't be named so"),
        (
            [1.0, 2.0],
            [0, 1],
            {"least_share": 0.5},
            r"no band can hold such a share of the rows\n.*\n.*1/3",
        ),
        ([1.0, 2.0], [0, 1], {"least_share": 0.0}, "no band can hold such a share"),
    ],
)
def test_what_can_not_be_banded_is_refused(score, y, options: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        choose_bands(np.array(score), np.array(y), **options)
