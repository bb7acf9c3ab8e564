from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from ces_ml.linear import RulePrice, prices_table
from ces_ml.report import weight_card
from ces_ml.report.plain_text import markdown_text, visible
from ces_ml.spec import OutcomeSpec
from ces_ml.weights import Band, IntegerPoints, Verdict


def rows(card: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, split at bars that are not escaped."""
    part = card.split(f"## {heading}\n\n")[1].split("\n\n")[0]
    return [re.split(r" (?<!\\)\| ", f" {line} ")[1:-1] for line in part.splitlines()[2:]]


def test_every_term_has_one_row_of_five_cells(make_weight_set) -> None:
    weight_set = make_weight_set()
    table = rows(weight_card(weight_set), "Weights")
    assert len(table) == len(weight_set.terms)
    assert {len(cells) for cells in table} == {5}
    assert table[0][0] == markdown_text(weight_set.terms[-1].name)


def test_weights_intervals_and_measures_are_told(make_weight_set) -> None:
    card = weight_card(make_weight_set(("login", "view")))
    assert "| view | -0.125 | -0.875 … +1.125 (90%) | – | count of view in 30d, " in card
    assert "half-life 7d, cap 9, log1p |" in card
    assert "| login | 0 |" in card
    assert "Intercept: -1.25." in card
    assert "| login | 0 | – |" in weight_card(make_weight_set(("login",), intervals=False))


def test_evidence_and_how_to_read_it_are_told(make_weight_set) -> None:
    plain = make_weight_set(("login",))
    terms = [t.model_copy(update={"evidence": "strong"}) for t in plain.terms]
    card = weight_card(plain.model_copy(update={"terms": tuple(terms)}), sure="By 7 <customers>.")
    assert "(90%) | strong | count of login" in card
    assert "\nBy 7 &lt;customers&gt;.\n" in card


def test_rules_bands_and_provenance_are_told(make_weight_set) -> None:
    weight_set = make_weight_set()
    card = weight_card(weight_set)
    assert "- purchase &gt;= page_view\n" in card
    assert rows(card, "Bands") == [
        ["at_risk", "0 to 40", "12.5%", "–", "0.79", "1,200"],
        ["potential", "40 to 80", "–", "–", "–", "–"],
        ["ad\\|vocate", "80 to 100", "90.0%", "–", "5.66", "55"],
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


def with_points(weight_set, **values: int):
    card = IntegerPoints(
        values=dict.fromkeys(weight_set.names, 0) | values,
        scale=0.125,
        intercept=-2.5,
        log_loss_given_up=0.00123,
        metrics={"roc_auc": 0.75, "log_loss": 0.4},
    )
    return weight_set.model_copy(update={"points": card})


def test_points_are_told_with_what_they_cost(make_weight_set) -> None:
    card = weight_card(with_points(make_weight_set(("login", "view", "refund")), view=2, refund=-5))
    assert rows(card, "Points") == [["refund", "-5"], ["view", "+2"]]
    assert "Terms without points: 1. " in card
    assert "One is worth 0.125 of weight; a customer without any has log-odds -2.5." in card
    assert "given up on the training rows: +0.0012 nats" in card


def test_points_stand_beside_the_held_out_metrics_of_the_weights(make_weight_set) -> None:
    weight_set = with_points(make_weight_set(("login",)), login=1)
    source = weight_set.provenance.model_copy(update={"metrics": {"roc_auc": 0.8}})
    card = weight_card(weight_set.model_copy(update={"provenance": source}))
    assert "On held-out rows: ROC AUC 0.7500 (weights 0.8000)." in card
    assert "On held-out" not in weight_card(weight_set.model_copy(update={"provenance": None}))


def test_prices_and_penalty_are_told_literally(make_weight_set) -> None:
    prices = [
        RulePrice('"a|b" <= 0', 0.25, -0.1, -0.0456, 0.0123, {"a|b": (0.0, 0.5)}, held_out=True),
        RulePrice("x <= 40%", 0.1, *[float("nan")] * 3, note="the others can't be read without it"),
        RulePrice("y >= 0", 1e-9, 0.0, 3e-9, 0.0, held_out=True),
    ]
    card = weight_card(
        make_weight_set(("login",)), prices=prices_table(prices), penalty="alpha <1>, by *folds*."
    )
    assert rows(card, "Price of rules") == [
        ['"a\\|b" &lt;= 0', "0.25", "-0.0456", "+0.0123", "a\\|b 0 → 0.5"],
        ["y &gt;= 0", "0", "0", "0", "none"],
        ["x &lt;= 40%", "0.1", "–", "–", "the others can't be read without it"],
    ]
    assert "ROC AUC on held-out rows" in card
    assert "alpha &lt;1&gt;, by \\*folds\\*." in card


def test_what_was_not_asked_for_has_no_section(make_weight_set) -> None:
    card = weight_card(make_weight_set())
    assert "## Points" not in card
    assert "## Price" not in card


def test_verdict_comparisons_bar_and_data_are_told_literally(make_weight_set) -> None:
    verdict = Verdict(
        kind="better", words="beats counting by <0.06>", against="total_count", rarer=99
    )
    bands = (
        Band(name="low", from_score=0, rate=0.1, rows=300, low=0.08, high=0.13),
        Band(name="high", from_score=50, rate=0.5, rows=100, low=0.42, high=0.58),
    )
    gains = [
        {"against": "total_count", "metric": m, "value": v, "low": v - 0.01, "high": v + 0.01}
        for m, v in (("roc_auc", 0.06), ("log_loss", -0.02))
    ]
    gains.append({**gains[0], "against": "boosting", "low": math.nan, "high": math.nan})
    card = weight_card(
        make_weight_set(("login",)).model_copy(update={"verdict": verdict, "bands": bands}),
        differences=[{**g, "level": 0.9} for g in gains],
        bar="the first band has *30* times",
        data=[{"what": "outcome", "words": "enough? no"}, {"what": "a|b", "words": "few"}],
    )
    assert "**beats counting by &lt;0.06&gt;** (best way of counting: total count)." in card
    table = card.split("| the weights minus |")[1].split("\n\n")[0]
    assert "| total count | +0.0600 (+0.0500 … +0.0700) | -0.0200 (-0.0300 … -0.0100) |" in table
    assert "| ceiling: boosting | +0.0600 | – |" in table
    assert "with 90 % intervals over resampled customers" in card
    assert rows(card, "Bands")[1] == ["high", "50 to 100", "50.0%", "42.0% … 58.0%", "2.50", "100"]
    assert "On held-out rows the first band has \\*30\\* times." in card
    assert rows(card, "Enough data?") == [["outcome", "enough? no"], ["a\\|b", "few"]]


def test_a_verdict_against_a_count_that_is_read_in_reverse_says_so(make_weight_set) -> None:
    verdict = Verdict(kind="worse", words="w", against="equal_weights", reversed=True, rarer=40)
    card = weight_card(make_weight_set().model_copy(update={"verdict": verdict}))
    assert "**w** (best way of counting: equal weights, fewer is better)." in card
