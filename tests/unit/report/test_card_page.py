"""The weight card as a page: names stay text, nothing is loaded, and it says what the set says."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from ces_ml.errors import OutputError, SpecError
from ces_ml.exporters import EXPORTERS
from ces_ml.formats import FORMATS, export
from ces_ml.report import visible, weight_card, weight_card_page
from ces_ml.spec import CountSpec
from ces_ml.weights import (
    Band,
    IntegerPoints,
    Interval,
    Provenance,
    Scale,
    WeightedTerm,
    WeightSet,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "</style><b>",
    "two\nlines",
    "",
    "🎉 café",
    "x" * 300,
]


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def weight_set_of(*weights: float, **changes: object) -> WeightSet:
    terms = CountSpec.of(HOSTILE[: len(weights)], window="30d").terms
    fields: dict[str, object] = {
        "name": "<b>churn</b>",
        "terms": tuple(
            WeightedTerm(**t.model_dump(), weight=w) for t, w in zip(terms, weights, strict=True)
        ),
        "intercept": -1.5,
        "rules": ("<script> >= 0",),
        "scale": Scale(method="probability"),
        "bands": (
            Band(name="<i>low", from_score=0, rate=0.25, rows=4000, low=0.2, high=0.3),
            Band(name="high", from_score=40),
        ),
    }
    return WeightSet(**{**fields, **changes})


def bars(page: Tags) -> list[tuple[float, float]]:
    found = [a for tag, a in page.tags if tag == "rect" and a.get("height") == "8" and "x" in a]
    return [(float(a["x"] or 0), float(a["width"] or 0)) for a in found]


def test_hostile_names_stay_text_and_nothing_is_loaded() -> None:
    page = Tags(weight_card_page(weight_set_of(*range(1, 9))))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "b", "i", "iframe"}
    assert not [a for _, held in page.tags for a in held if a.startswith("on") or a == "href"]
    shown = "".join(page.text)
    for name in HOSTILE:
        assert visible(name, 120) in shown
    assert "<b>churn</b>" in shown
    assert "<script> >= 0" in shown
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_bars_are_as_long_as_weights_and_start_at_zero() -> None:
    page = Tags(weight_card_page(weight_set_of(2.0, -1.0, 0.5, 0.0)))
    (x2, w2), (x1, w1), (x05, w05), (_, w0) = bars(page)
    assert w2 == pytest.approx(2 * w1, abs=0.2)
    assert w2 == pytest.approx(4 * w05, abs=0.4)
    assert w0 == 0
    assert x2 == x05 == pytest.approx(x1 + w1, abs=0.11)
    assert x2 + w2 == pytest.approx(149, abs=0.11)


def test_a_card_without_any_weight_can_be_drawn() -> None:
    assert bars(Tags(weight_card_page(weight_set_of(0.0)))) == [(1.0, 0.0)]


def test_intervals_points_and_provenance_are_shown_where_they_are_known() -> None:
    bare = weight_card_page(weight_set_of(0.5, -0.25))
    assert "interval</th>" not in bare.split("What the score says")[0]
    assert "points</th>" not in bare
    plain = weight_set_of(0.5, -0.25)
    terms = tuple(
        t.model_copy(update={"interval": Interval(low=t.weight - 0.1, high=0.75, level=0.9)})
        for t in plain.terms
    )
    points = {t.name: round(t.weight * 4) for t in terms}
    full = weight_set_of(
        0.5,
        -0.25,
        terms=terms,
        points=IntegerPoints(values=points, scale=0.25, intercept=-1.5, log_loss_given_up=0.0),
        provenance=Provenance(
            data_digest="ab" * 32,
            config_digest="cd" * 32,
            as_of=("2024-01-01T00:00:00Z",),
            rows=80123,
            customers=50456,
            positives=30789,
            metrics={"roc_auc": 0.75},
        ),
    )
    shown = "".join(Tags(weight_card_page(full)).text)
    for words in ("+0.4 … +0.75", "+2", "-1", "80,123, of 50,456 customers", "roc_auc 0.75"):
        assert words in shown
    assert full.fingerprint in shown
    assert "25.0%" in shown
    assert "20.0% … 30.0%" in shown


def test_cards_are_formats_beside_those_of_scorers(tmp_path) -> None:
    weight_set = weight_set_of(0.5)
    assert set(FORMATS) == {*EXPORTERS, "card_md", "card_html"}
    for format, text in (
        ("card_md", weight_card(weight_set)),
        ("card_html", weight_card_page(weight_set)),
    ):
        assert export(weight_set, tmp_path / format, format).read_text("utf-8") == text
    with pytest.raises(SpecError, match=r"unknown export format(.|\n)*did you mean 'card_html'"):
        export(weight_set, tmp_path / "w", "card_htm")
    with pytest.raises(SpecError, match="unknown option of the export"):
        export(weight_set, tmp_path / "w", "card_md", penalty="x")
    with pytest.raises(OutputError, match="the output path is a folder"):
        export(weight_set, tmp_path)
