from __future__ import annotations

import struct
import subprocess
import sys
import warnings
from itertools import pairwise

import matplotlib

from ces_ml.report import weights_figure
from ces_ml.report.figures import MAX_BARS, NEGATIVE, POSITIVE


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_hostile_names_are_drawn_without_a_warning(make_weight_set) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        width, height = size(weights_figure(make_weight_set()))
    assert width > 600
    assert height > 300


def test_equal_weight_sets_give_equal_bytes_whatever_the_user_s_settings(make_weight_set) -> None:
    before = weights_figure(make_weight_set())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert weights_figure(make_weight_set()) == before


def test_bars_stand_by_magnitude_and_show_their_sign_by_colour(make_weight_set, drawn) -> None:
    weights_figure(make_weight_set(("small", "minus", "plus", "biggest")))
    axes = drawn[0].axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["biggest", "plus", "minus", "small"]
    colours = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert colours == [c.lower() for c in (NEGATIVE, POSITIVE, NEGATIVE, POSITIVE)]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_names_are_shown_with_escapes_cut_and_without_mathematics(make_weight_set, drawn) -> None:
    weights_figure(make_weight_set(name="$x^2$\nchurn"))
    axes = drawn[0].axes[0]
    labels = {t.get_text() for t in axes.get_yticklabels()}
    assert "two\\nlines\\t" in labels
    assert '""' in labels
    assert "␣␣" in labels
    assert "right \\u202e left" in labels
    assert "x" * 41 + "…" in labels
    assert "$\\frac{x}$ costs $5" in labels
    assert not any(t.get_parse_math() for t in axes.get_yticklabels())
    assert axes.get_title(loc="left") == "$x^2$\\nchurn"


def test_everything_that_is_written_lies_inside_the_image(make_weight_set, drawn) -> None:
    weights_figure(make_weight_set())
    figure = drawn[0]
    axes = figure.axes[0]
    texts = [*axes.get_yticklabels(), *axes.texts, axes.xaxis.label]
    boxes = [t.get_window_extent() for t in texts]
    assert min(b.x0 for b in boxes) >= 0
    assert max(b.x1 for b in boxes) <= figure.bbox.width
    assert min(b.y0 for b in boxes) >= 0
    heights = sorted(b.y0 for b in (t.get_window_extent() for t in axes.get_yticklabels()))
    tall = max(t.get_window_extent().height for t in axes.get_yticklabels())
    assert min(b - a for a, b in pairwise(heights)) > tall


def test_more_terms_than_fit_are_counted(make_weight_set, drawn) -> None:
    weights_figure(make_weight_set(tuple(f"event {k}" for k in range(MAX_BARS + 7))))
    axes = drawn[0].axes[0]
    assert len(axes.patches) == MAX_BARS
    assert "… 7 more" in axes.get_xlabel()


def test_intervals_are_drawn_and_their_level_is_told(make_weight_set, drawn) -> None:
    weights_figure(make_weight_set(("a", "b")))
    weights_figure(make_weight_set(("a", "b"), intervals=False))
    having, lacking = (f.axes[0] for f in drawn)
    assert "90% intervals" in having.get_xlabel()
    assert "interval" not in lacking.get_xlabel()
    assert len(having.lines) > len(lacking.lines)


def test_weights_that_are_all_zero_are_drawn(make_weight_set) -> None:
    assert size(weights_figure(make_weight_set(("only",), intervals=False)))


def test_neither_importing_nor_drawing_loads_pyplot() -> None:
    code = (
        "import sys, ces_ml.report as r; assert 'matplotlib' not in sys.modules;"
        "from ces_ml.weights import *;"
        "w = WeightSet(name='x', intercept=0, scale=Scale(method='probability'),"
        " bands=(Band(name='b', from_score=0),),"
        " terms=(WeightedTerm(name='t', event='t', window='1d', weight=1),));"
        "r.weights_figure(w); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
