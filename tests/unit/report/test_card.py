from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ces_ml.report import weight_card
from ces_ml.report.plain_text import markdown_text, visible
from ces_ml.spec import OutcomeSpec


def rows(card: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, split at bars that are not escaped."""
    part = card.split(f"## {heading}\n\n")[1].split("\n\n")[0]
    return [re.split(r" (?<!\\)\| ", f" {line} ")[1:-1] for line in part.splitlines()[2:]]


def test_every_term_has_one_row_of_four_cells(make_weight_set) -> None:
    weight_set = make_weight_set()
    table = rows(weight_card(weight_set), "Weights")
    assert len(table) == len(weight_set.terms)
    assert {len(cells) for cells in table} == {4}
    assert table[0][0] == markdown_text(weight_set.terms[-1].name)


def test_weights_intervals_and_measures_are_told(make_weight_set) -> None:
    card = weight_card(make_weight_set(("login", "view")))
    assert "| view | -0.125 | -0.875 … +1.125 (90%) | count of view in 30d, " in card
    assert "half-life 7d, cap 9, log1p |" in card
    assert "| login | 0 |" in card
    assert "Intercept: -1.25." in card
    assert "| login | 0 | – |" in weight_card(make_weight_set(("login",), intervals=False))


def test_rules_bands_and_provenance_are_told(make_weight_set) -> None:
    weight_set = make_weight_set()
    card = weight_card(weight_set)
    assert "- purchase &gt;= page_view\n" in card
    assert rows(card, "Bands") == [
        ["at_risk", "0 to 40", "12.5%", "1,200"],
        ["potential", "40 to 80", "–", "–"],
        ["ad\\|vocate", "80 to 100", "90.0%", "55"],
    ]
    values = dict(map(tuple, rows(card, "Provenance")))
    assert values["fingerprint"] == f"`{weight_set.fingerprint}`"
    assert values["rows"] == "2,000"
    assert values["auc"] == "0.8125"
    assert values["version of numpy"] == "2.4.6"
    assert values["as of"] == "2025-01-01T00:00:00+00:00"


def test_a_weight_set_without_rules_and_provenance_has_a_card_too(make_weight_set) -> None:
    weight_set = make_weight_set(("login",)).model_copy(update={"rules": (), "provenance": None})
    card = weight_card(weight_set)
    assert "No rules: the weights are free." in card
    assert len(rows(card, "Provenance")) == 1


def test_the_outcome_is_told(make_weight_set) -> None:
    churn = OutcomeSpec(task="churn", silence_of="*", horizon="28d", active_within="90d")
    card = weight_card(make_weight_set().model_copy(update={"outcome": churn}))
    assert "Learned from **churn** (silence of: \\*), horizon 28d, gap 0d." in card


@given(st.text())
def test_markdown_shows_any_text_literally_on_one_line(text: str) -> None:
    shown = markdown_text(text)
    assert len(shown.splitlines()) == 1
    assert not re.search(r"[<>]", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`|*\[\]]", re.sub(r"\\[`|*\[\]]", "", shown))


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_visible_text_prints_and_keeps_its_limit(text: str, limit: int) -> None:
    assert visible(text).isprintable()
    assert visible(text)
    assert len(visible(text, limit)) <= limit


def test_nothing_of_a_hostile_name_is_markup(make_weight_set) -> None:
    card = weight_card(make_weight_set(name="<img src=x> | `churn`"))
    assert card.startswith("# Weight card: &lt;img src=x&gt; \\| \\`churn\\`\n")
    assert "<script" not in card
    assert "two\\\\nlines" in card
    assert "\\[link\\](http://x) \\*bold\\* \\_soft\\_" in card
