from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from ces_ml.report import calibration_figure

BINS = [
    {"rows": 50, "probability": 0.1, "rate": 0.05, "low": 0.02, "high": 0.12},
    {"rows": 50, "probability": 0.4, "rate": 0.55, "low": 0.43, "high": 0.66},
]
METRICS = {"slope": 1.3, "intercept": 0.1, "ece": 0.1, "ece_by_chance": 0.02}


def test_rates_are_drawn_against_probabilities_with_their_intervals(drawn) -> None:
    assert calibration_figure(BINS, METRICS).startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    (container,) = axes.containers
    points, _, (bars,) = container.lines
    assert points.get_xdata() == pytest.approx([0.1, 0.4])
    assert points.get_ydata() == pytest.approx([0.05, 0.55])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(np.array([[0.02, 0.12], [0.43, 0.66]]))
    assert "slope 1.30" in axes.get_title(loc="left")
    assert "by chance alone 0.0200" in axes.get_title(loc="left")


def test_what_is_not_known_is_not_written(drawn) -> None:
    calibration_figure(BINS[:1], {"slope": float("nan"), "intercept": 0.0})
    assert drawn[0].axes[0].get_title(loc="left") == "calibration"


def test_the_user_s_settings_change_no_byte() -> None:
    before = calibration_figure(BINS, METRICS)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert calibration_figure(BINS, METRICS) == before
