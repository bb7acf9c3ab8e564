from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest

from ces_ml.report import backtest_figure

FOLDS = [
    {
        "test_from": f"2025-0{k}-01T00:00:00+00:00",
        "roc_auc": 0.7 + k / 100,
        "total_count_roc_auc": 0.6,
        "slope": 1.0,
        "intercept": 0.1 * k,
    }
    for k in (1, 2, 3)
]
WEIGHTS = {"login": [0.5, 0.6, 0.4], "refund": [-0.2, -0.1, -0.3]}


def test_metrics_calibration_and_weights_are_drawn_over_the_folds(drawn) -> None:
    assert backtest_figure(FOLDS, WEIGHTS).startswith(b"\x89PNG")
    top, middle, bottom = drawn[0].axes
    lines = {line.get_label(): line for axes in (top, middle, bottom) for line in axes.get_lines()}
    assert lines["learned"].get_ydata() == pytest.approx([0.71, 0.72, 0.73])
    assert lines["total count"].get_ydata() == pytest.approx([0.6] * 3)
    assert lines["intercept (true: 0)"].get_ydata() == pytest.approx([0.1, 0.2, 0.3])
    assert lines["refund"].get_ydata() == pytest.approx([-0.2, -0.1, -0.3])
    days = [text.get_text() for text in bottom.get_xticklabels()]
    assert days == ["2025-01-01", "2025-02-01", "2025-03-01"]


def test_a_fold_without_metrics_leaves_a_gap(drawn) -> None:
    backtest_figure([FOLDS[0], {"test_from": "2025-02-01"}, FOLDS[2]], WEIGHTS)
    (learned,) = [x for x in drawn[0].axes[0].get_lines() if x.get_label() == "learned"]
    assert np.isnan(learned.get_ydata()[1])


def test_hostile_names_are_drawn_literally_and_only_the_largest_are_named(drawn) -> None:
    hostile = ("_hidden", "$x^2$", "two\nlines", "", "😀", "x" * 400, "<script>")
    weights = dict.fromkeys(hostile, (2.0, 3.0, 1.0)) | {"small": (0.1, 0.1, 0.1)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backtest_figure(FOLDS, weights)
    legend = drawn[0].axes[2].get_legend()
    shown = {text.get_text().strip("\u200a") for text in legend.get_texts()}
    assert {"_hidden", "$x^2$", "two\\nlines", '""', "x" * 29 + "…", "<script>"} <= shown
    assert "small" not in shown
    assert legend.get_title().get_text() == "1 more in grey"
    assert not any(text.get_parse_math() for text in legend.get_texts())


def test_the_user_s_settings_change_no_byte() -> None:
    before = backtest_figure(FOLDS, WEIGHTS)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert backtest_figure(FOLDS, WEIGHTS) == before
