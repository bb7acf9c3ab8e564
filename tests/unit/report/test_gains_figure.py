from __future__ import annotations

import matplotlib
import pytest

from ces_ml.report import gains_figure

TABLE = [
    {"share": 0.25, "found": 0.6, "lift": 2.4, "best": 0.8},
    {"share": 1.0, "found": 1.0, "lift": 1.0, "best": 1.0},
]


def test_gains_and_lift_are_drawn_over_the_share_of_customers(drawn) -> None:
    assert gains_figure(TABLE).startswith(b"\x89PNG")
    gains, lift = drawn[0].axes
    score, best, chance = gains.get_lines()
    assert score.get_xdata() == pytest.approx([0, 25, 100])
    assert score.get_ydata() == pytest.approx([0, 60, 100])
    assert best.get_ydata() == pytest.approx([0, 80, 100])
    assert chance.get_ydata() == pytest.approx([0, 100])
    assert lift.get_lines()[0].get_ydata() == pytest.approx([2.4, 1.0])


@pytest.mark.parametrize(("flags", "words"), [("high", "good"), ("low", "bad")])
def test_what_is_looked_for_is_said(flags: str, words: str, drawn) -> None:
    gains_figure(TABLE, flags=flags)
    gains = drawn[0].axes[0]
    assert words in gains.get_ylabel()
    assert {"high": "highest", "low": "lowest"}[flags] in gains.get_xlabel()


def test_the_user_s_settings_change_no_byte() -> None:
    before = gains_figure(TABLE)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert gains_figure(TABLE) == before
