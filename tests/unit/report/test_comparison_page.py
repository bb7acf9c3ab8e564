"""The page of a comparison: hostile names stay text, nothing is loaded, numbers stand as given."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from ces_ml.report import comparison_page
from ces_ml.report.comparison_page import SHOWN

HOSTILE = "<script>alert('1')</script>\"{{ 7 * 7 }}\n"


class Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, name: str) -> int:
        return sum(tag == name for tag, _ in self.tags)


def one(name: str, held: bool) -> dict:
    return {
        "name": name,
        "weight_set": HOSTILE,
        "fingerprint": "sha256:" + "ab" * 32,
        "verdict": HOSTILE,
        "recorded": {"roc_auc": 0.7},
        "metrics": {"roc_auc": 0.8123, "log_loss": 0.5} if held else {},
        "calibration": {"slope": 1.1, "ece": 0.02, "ece_by_chance": 0.01} if held else None,
        "seen": 0,
    }


def row(name: str, weights=(1.0, -0.5), flipped: bool = True) -> dict:
    return {
        "term": name,
        "event": name,
        "weights": list(weights),
        "intervals": [[0.5, 1.5], None],
        "evidence": ["strong", None],
        "shares": [0.6, None],
        "ranks": [1, None],
        "flipped": flipped,
        "otherwise": "window 7d → 30d",
    }


def body(n_terms: int = 3, held: bool = True, names=("old", HOSTILE)) -> dict:
    change = {
        "name": names[1],
        "sign_flips": [
            {"term": HOSTILE, "event": HOSTILE, "before": 1.0, "after": -0.5, "clear": True}
        ],
        "rank_flips": [{"above": HOSTILE, "below": "b", "before": [0.6, 0.4], "after": [0.3, 0.7]}],
        "swapped": 12,
        "pairs": 40,
        "only_before": [],
        "only_after": [],
        "otherwise": [],
        "differences": [],
        "migration": None,
        "agreement": None,
    }
    if held:
        ends = {"against": "old", "level": 0.9}
        change["differences"] = [
            {**ends, "metric": "roc_auc", "value": -0.02, "low": -0.03, "high": -0.01},
            {**ends, "metric": "log_loss", "value": -0.1, "low": None, "high": None},
        ]
        change["migration"] = {
            "before": ["at_risk", HOSTILE],
            "after": ["at_risk", HOSTILE],
            "counts": [[70, 10], [5, 15]],
            "changed": 0.15,
            "up": 0.1,
            "down": 0.05,
        }
        change["agreement"] = {"pearson": 0.91234, "spearman": None}
    return {
        "sets": [one(name, held) for name in names],
        "weights": [row(HOSTILE), *(row(f"t{k}", flipped=False) for k in range(n_terms - 1))],
        "changes": [change],
        "rows": 100 if held else 0,
        "customers": 90 if held else 0,
        "good": 30 if held else 0,
        "split": HOSTILE,
        "level": 0.9,
        "notes": [HOSTILE] if held else [],
    }


def test_hostile_names_are_shown_and_never_run() -> None:
    page = comparison_page(body(), title=HOSTILE)
    parsed = Page(page)
    assert parsed.count("script") == 0
    assert "<script>alert('1')</script>\"{{ 7 * 7 }}\\n" in parsed.text
    assert "49" not in parsed.text
    policy = dict(parsed.tags[3][1])["content"] if parsed.tags[3][0] == "meta" else ""
    metas = [attrs for tag, attrs in parsed.tags if tag == "meta"]
    assert any("default-src 'none'" in (m.get("content") or "") for m in metas), policy
    for tag, attrs in parsed.tags:
        assert tag not in ("link", "iframe", "object", "img")
        assert not any(key.startswith("on") or key in ("src", "href") for key in attrs)


def test_the_numbers_of_a_comparison_are_on_the_page() -> None:
    text = Page(comparison_page(body())).text
    for words in (
        "compared on 100 rows of 90 customers, 30 with the good outcome",
        "0.8123",
        "−0.0200 −0.0300 to −0.0100",
        "no interval",
        "15 % of customers change band",
        "– rank correlation (linear 0.912)",
        "12 of 40 pairs of terms change rank",
        "1 weight changes sign",
        "+1.00 −0.500 clear",
        "60 % → 30 %",
        "changes sign; window 7d → 30d",
    ):
        assert words in text, words
    assert "70 70 %" in text
    assert "10 10 %" in text


def test_a_loss_is_marked_and_what_is_not_known_is_not_coloured() -> None:
    parsed = Page(comparison_page(body()))
    kinds = [a.get("class") for tag, a in parsed.tags if tag == "span" and "class" in a]
    assert kinds == ["bad", ""]


def test_without_held_out_rows_the_metrics_noted_at_training_stand_there() -> None:
    text = Page(comparison_page(body(held=False))).text
    assert "Metrics noted at training" in text
    assert "can't be compared with one another" in text
    assert "0.7000" in text
    assert "Who changes band" not in text


@pytest.mark.parametrize(("terms", "unfolds"), [(SHOWN, 0), (SHOWN + 7, 1)])
def test_many_terms_unfold(terms: int, unfolds: int) -> None:
    parsed = Page(comparison_page(body(n_terms=terms)))
    assert parsed.count("details") == unfolds
    assert parsed.count("svg") == terms
    assert ("7 more terms" in parsed.text) is bool(unfolds)


def test_every_drawing_lies_inside_its_frame() -> None:
    wild = body()
    wild["weights"].append(row("far", weights=(1e6, -1e6)))
    wild["weights"].append(row("zero", weights=(0.0, None)))
    for tag, attrs in Page(comparison_page(wild)).tags:
        if tag == "circle":
            assert 0 <= float(attrs["cx"]) <= 220


def test_weights_that_are_all_zero_can_be_drawn() -> None:
    flat = body(n_terms=1)
    flat["weights"][0] |= {"weights": [0.0, 0.0], "intervals": [None, None]}
    assert Page(comparison_page(flat)).count("circle") == 2
