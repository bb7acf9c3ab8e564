from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest

from ces_ml.report import alpha_figure

ALPHAS = (1.0, 0.1, 0.01)
TRIED = [
    {"alpha": a, "log_loss": 0.4 + k, "standard_error": 0.05, "fold_1": 0.3 + k, "fold_2": 0.5 + k}
    for k, a in enumerate(ALPHAS)
]


def test_losses_and_weights_are_drawn_over_the_same_strengths(drawn) -> None:
    png = alpha_figure(TRIED, {"login": (0.0, 0.5, 1.0), "refund": (0.0, -0.1, -0.2)}, 0.1)
    assert png.startswith(b"\x89PNG")
    above, below = drawn[0].axes
    lines = {line.get_label(): line for line in above.get_lines()}
    assert lines["mean"].get_ydata() == pytest.approx([0.4, 1.4, 2.4])
    assert lines["each fold"].get_ydata() == pytest.approx([0.3, 1.3, 2.3])
    assert above.get_xscale() == "log"
    weights = {line.get_label(): line for line in below.get_lines()}
    assert weights["refund"].get_ydata() == pytest.approx([0.0, -0.1, -0.2])
    assert weights["refund"].get_xdata() == pytest.approx(ALPHAS)
    for axes in (above, below):
        assert [0.1, 0.1] in [np.asarray(line.get_xdata()).tolist() for line in axes.get_lines()]
    assert above.get_title(loc="left") == "alpha = 0.1 (dashed)"


def test_only_the_largest_weights_at_the_strength_chosen_are_named(drawn) -> None:
    weights = {f"event {k:02}": (0.0, float(k), float(-k)) for k in range(10)}
    alpha_figure(TRIED, weights, 0.1)
    legend = drawn[0].axes[1].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [f"event {k:02}" for k in range(9, 2, -1)]
    assert legend.get_title().get_text() == "3 more in grey"


def test_hostile_names_are_drawn_literally_without_a_warning(make_weight_set, drawn) -> None:
    hostile = ("_hidden", "$x^2$", "two\nlines", "", "😀", "x" * 400, "<script>")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alpha_figure(TRIED, dict.fromkeys(hostile, (0.0, 1.0, 2.0)), 0.1)
    texts = drawn[0].axes[1].get_legend().get_texts()
    shown = {text.get_text().strip("\u200a") for text in texts}
    assert {"_hidden", "$x^2$", "two\\nlines", '""', "x" * 29 + "…", "<script>"} <= shown
    assert not any(text.get_parse_math() for text in texts)


def test_the_user_s_settings_change_no_byte() -> None:
    weights = {"login": (0.0, 0.5, 1.0)}
    before = alpha_figure(TRIED, weights, 0.1)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert alpha_figure(TRIED, weights, 0.1) == before
