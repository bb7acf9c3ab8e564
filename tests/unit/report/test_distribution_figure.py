from __future__ import annotations

import matplotlib
import pytest

from ces_ml.report import distribution_figure
from ces_ml.weights import Band

TABLE = [
    {"from_score": 0.0, "to_score": 50.0, "good": 0.25, "bad": 0.9},
    {"from_score": 50.0, "to_score": 100.0, "good": 0.75, "bad": 0.1},
]
BANDS = (Band(name="at_risk", from_score=0), Band(name="$x^{2}$ 😀\n", from_score=60))


def test_both_outcomes_are_drawn_with_where_bands_begin(drawn) -> None:
    assert distribution_figure(TABLE, BANDS).startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    heights = {tuple(p.get_data().values.round(6)) for p in axes.patches}
    assert heights == {(25.0, 75.0), (90.0, 10.0)}
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [0, 60]
    assert axes.texts[0].get_text() == "at_risk"
    assert not any(t.get_parse_math() for t in axes.texts)
    legend = [t.get_text() for t in axes.get_legend().get_texts()]
    assert legend == ["bad outcomes", "good outcomes"]


@pytest.mark.filterwarnings("error")
def test_names_of_bands_may_hold_anything() -> None:
    assert distribution_figure(TABLE, BANDS).startswith(b"\x89PNG")


def test_the_user_s_settings_change_no_byte() -> None:
    before = distribution_figure(TABLE)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert distribution_figure(TABLE) == before
