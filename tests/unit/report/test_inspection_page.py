"""The page of an inspection: hostile names stay text, many types legible, nothing is loaded."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import ces_ml
from ces_ml.report import inspection_page
from ces_ml.report.inspection_figures import MAX_TYPES

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "</style><b>",
    'it\'s "quoted"; --',
    "two\nlines",
    "",
    "🎉 café $x^2$ -->",
    "x" * 300,
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.text.append(data)


def log_of(names: list[str], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 40 * len(names) + 400
    return pd.DataFrame(
        {
            "customer_id": rng.choice(["<script>alert(2)</script>", "b", "c"], n),
            "event_type": rng.choice(names, n),
            "timestamp": pd.Timestamp("2025-01-01")
            + pd.to_timedelta(rng.integers(0, 90 * 86_400, n), unit="s"),
        }
    )


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


@pytest.fixture(scope="module")
def hostile() -> str:
    log = log_of(HOSTILE)
    burst = pd.DataFrame(
        {
            "customer_id": "<script>alert(2)</script>",
            "event_type": HOSTILE[0],
            "timestamp": pd.Timestamp("2025-02-01") + pd.to_timedelta(range(500), unit="s"),
        }
    )
    found = ces_ml.inspect_events(pd.concat([log, burst]))
    assert found.busy_hours
    assert found.bursts
    return inspection_page(found, "<script>alert(3)</script>")


def test_hostile_names_are_text_and_nothing_else(hostile: str) -> None:
    tags = parsed(hostile)
    held = {t for t, _ in tags.tags}
    assert not held & {"script", "iframe", "link", "object", "embed", "form"}
    assert len([t for t, _ in tags.tags if t == "b"]) == 8  # one a tile, none from a name
    assert "alert(1)</script>" not in hostile
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in hostile
    assert "&lt;script&gt;alert(3)&lt;/script&gt;" in hostile
    text = "".join(tags.text)
    for shown in ("{{ 7 * 7 }}", "{% for x in y %}", "two\\nlines", "</style><b>", "🎉 café"):
        assert shown in text
    assert "x" * 79 + "…" in text
    images = [a for t, a in tags.tags if t == "img"]
    assert len(images) == 3
    assert not [a for _, a in tags.tags if any(key.startswith("on") for key in a)]


def test_the_page_needs_nothing_beside_itself(hostile: str) -> None:
    sources = [a["src"] for t, a in parsed(hostile).tags if "src" in a]
    assert all(s.startswith("data:image/png;base64,") for s in sources)
    assert "default-src 'none'" in hostile
    assert not re.search(r"https?://(?!www\.w3\.org)", hostile)


@pytest.mark.slow
def test_five_hundred_types_are_all_there_and_the_figure_stays_small() -> None:
    names = [f"event {k:03d}" for k in range(500)]
    found = ces_ml.inspect_events(log_of(names))
    page = inspection_page(found)
    assert len(found.types) == 500
    assert all(page.count(f"event {k:03d}") >= 1 for k in range(500))
    assert page.count("<details>") == 1
    assert "400 more event types" in page
    assert f"{500 - MAX_TYPES} other types" not in page  # stands in the figure
    assert len(page) < 3_000_000


def test_one_event_makes_a_page() -> None:
    one = pd.DataFrame({"customer_id": [1], "event_type": ["a"], "timestamp": ["2025-01-01"]})
    page = inspection_page(ces_ml.inspect_events(one))
    assert "Nothing stands out." in page
