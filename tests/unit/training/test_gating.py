"""Every rule of the gate: it holds, it does not hold, it can't be judged, it does not apply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ces_ml.errors import ConfigError
from ces_ml.evaluation import Calibration, Difference, band_migration
from ces_ml.exporters import ParityResult
from ces_ml.training import gating
from ces_ml.training.comparing import compared
from ces_ml.training.gate_config import PromotionConfig
from ces_ml.training.gating import CHALLENGER, CHAMPION, Evidence, judge_rules
from ces_ml.weights import Band, GoldenRow, Scale, Verdict, WeightedTerm, WeightSet


def weights(login: float = 1.0, kind: str | None = "better", **options) -> WeightSet:
    terms = tuple(
        WeightedTerm(name=n, event=n, window="30d", weight=w)
        for n, w in (("login", login), ("buy_<b>", 2.0))
    )
    verdict = None if kind is None else Verdict(kind=kind, words=f"is {kind}", against="x", rarer=9)
    bare = WeightSet(
        name="churn",
        terms=terms,
        intercept=0.0,
        scale=Scale(method="min_max", knots=((-9.0, 0.0), (9.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
        verdict=verdict,
    )
    rows = (GoldenRow(counts={}, raw_score=0.0, score=50.0, band="high"),)
    return bare.model_copy(update={"golden_rows": rows, **options})


def compared_on_rows(low: float = 0.01, seen: int | None = 0, moved: int = 2, **calibration):
    """A comparison as it comes from a log, with the numbers that a rule looks at."""
    bare = compared({CHAMPION: weights(), CHALLENGER: weights(1.5)})
    true = {"slope": 1.0, "intercept": 0.0, "in_the_large": 0.0, "ece": 0.01, "ece_by_chance": 0.01}
    champion, challenger = bare.sets
    found = Calibration(**{**true, **calibration}, bins=())
    bands = ["low"] * 10
    change = replace(
        bare.changes[0],
        differences=(
            Difference(CHAMPION, "roc_auc", low + 0.01, low, low + 0.02, 0.8),
            *(
                Difference(CHAMPION, metric, -low - 0.01, -low - 0.02, -low, 0.8)
                for metric in ("log_loss", "brier")
            ),
        ),
        migration=band_migration(
            bands, ["high"] * moved + bands[moved:], ["low", "high"], ["low", "high"]
        ),
    )
    sets = (replace(champion, seen=3), replace(challenger, seen=seen, calibration=found))
    return replace(bare, sets=sets, changes=(change,), rows=100, customers=90)


def judge(rules: dict, evidence: Evidence):
    found = judge_rules(PromotionConfig.parse({"verdict": False, **rules}), evidence)
    assert [r.rule for r in found] == list(rules)
    return found[0]


def both(comparison=None, why: str = "", **options) -> Evidence:
    return Evidence(weights(1.5, **options), weights(), comparison, why)


FIRST = Evidence(weights(), None, None, "no log")
CHAMPION_RULES = (
    {"beats_champion": {}},
    {"most_band_changes": 0.2},
    {"forbid_sign_flips": "all"},
)


def test_without_a_section_the_verdict_alone_is_asked() -> None:
    assert PromotionConfig().asked == ("verdict",)
    assert not PromotionConfig().needs_log
    assert PromotionConfig.parse({"verdict": False}).asked == ()


@pytest.mark.parametrize(
    ("kind", "passed", "words"),
    [
        ("better", True, "is better"),
        ("no_better", False, "they were not found to beat counting; verdict: is no_better"),
        (None, False, "can't be judged: these weights were never compared with counting"),
    ],
)
def test_the_verdict_must_be_that_the_weights_beat_counting(kind, passed, words) -> None:
    found = judge({"verdict": True}, Evidence(weights(kind=kind), None))
    assert (found.passed, found.found) == (passed, words)


@pytest.mark.parametrize("rules", CHAMPION_RULES)
def test_rules_about_the_champion_do_not_apply_to_the_first_promotion(rules) -> None:
    found = judge(rules, FIRST)
    assert (found.passed, found.applies) == (True, False)
    assert "first promotion" in found.found


@pytest.mark.parametrize("rules", CHAMPION_RULES)
def test_a_champion_that_cant_be_read_fails_the_rules_about_it(rules) -> None:
    found = judge(rules, replace(FIRST, why_no_champion="version 3 can't be read"))
    assert (found.passed, found.applies) == (False, True)
    assert found.found == "can't be judged: version 3 can't be read"


@pytest.mark.parametrize(
    "rules", [{"beats_champion": {}}, {"most_band_changes": 0.2}, {"calibration": {"ece": 0.1}}]
)
def test_rules_that_need_a_log_fail_with_the_reason_where_there_is_none(rules) -> None:
    found = judge(rules, both(None, "the log is not there ('/x')"))
    assert not found.passed
    assert found.found == "can't be judged: the log is not there ('/x')"


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier"])
@pytest.mark.parametrize(("by", "passed"), [(0.0, True), (0.009, True), (0.01, False)])
def test_the_surely_gained_part_must_be_more_than_is_asked(metric, by, passed) -> None:
    rule = {"beats_champion": {"metric": metric, "by": by}}
    found = judge(rule, both(compared_on_rows(low=0.01)))
    assert found.passed is passed
    assert "gain +0.02, at 90 % confidence at least +0.01; 100 held-out rows" in found.found
    assert "3 of them the champion may have learned from" in found.found


@pytest.mark.parametrize(
    ("seen", "words"), [(7, "may have learned from 7 of the 100"), (None, "do not say what")]
)
@pytest.mark.parametrize("rule", [{"beats_champion": {}}, {"calibration": {"ece": 0.5}}])
def test_a_challenger_that_may_know_the_rows_is_not_judged_on_them(rule, seen, words) -> None:
    found = judge(rule, both(compared_on_rows(seen=seen)))
    assert not found.passed
    assert found.found.startswith("can't be judged")
    assert words in found.found or "an unknown number" in found.found


def test_too_few_customers_for_an_interval_fail_the_rule() -> None:
    found = judge({"beats_champion": {}}, both(compared_on_rows(low=float("nan"))))
    assert not found.passed
    assert "too few held-out customers" in found.found


@pytest.mark.parametrize(
    ("most", "passed"), [(0.2, True), (0.19, False), (0.0, False), (1.0, True)]
)
def test_at_most_so_many_customers_change_band(most, passed) -> None:
    found = judge({"most_band_changes": most}, both(compared_on_rows(moved=2)))
    assert found.passed is passed
    assert found.found == "20 % of 10 held-out customers"


@pytest.mark.parametrize(
    ("forbidden", "passed"),
    [("all", False), (["login"], False), (["log*"], False), (["buy_<b>", "b*"], True)],
)
def test_forbidden_signs_may_not_flip(forbidden, passed) -> None:
    evidence = Evidence(weights(-1.0), weights(1.0))
    found = judge({"forbid_sign_flips": forbidden}, evidence)
    assert found.passed is passed
    assert found.found == ("none" if passed else "1: 'login' +1 → −1")


@pytest.mark.parametrize("forbidden", [["logn"], ["login", "sign_*"]])
def test_forbidden_signs_of_events_that_are_not_there_cant_be_judged(forbidden) -> None:
    found = judge({"forbid_sign_flips": forbidden}, Evidence(weights(), weights()))
    assert not found.passed
    assert found.found.startswith(f"can't be judged: no event or term is called {forbidden[-1]!r}")
    assert forbidden == ["login", "sign_*"] or "did you mean 'login'" in found.found


@pytest.mark.parametrize(
    ("rule", "calibration", "passed"),
    [
        ({"ece": 0.05}, {"ece": 0.05}, True),
        ({"ece": 0.05}, {"ece": 0.051}, False),
        ({"slope": [0.8, 1.25]}, {"slope": 0.8}, True),
        ({"slope": [0.8, 1.25]}, {"slope": 1.3}, False),
        ({"slope": [0.8, 1.25]}, {"slope": float("nan")}, False),
        ({"in_the_large": 0.02}, {"in_the_large": -0.02}, True),
        ({"in_the_large": 0.02}, {"in_the_large": -0.03}, False),
        ({"ece": 0.5, "slope": [0.8, 1.25]}, {"slope": 2.0}, False),
    ],
)
def test_probabilities_must_be_as_true_as_is_asked(rule, calibration, passed) -> None:
    found = judge({"calibration": rule}, both(compared_on_rows(**calibration)))
    assert found.passed is passed


def test_the_calibration_rule_applies_to_a_first_promotion_too() -> None:
    one = compared_on_rows()
    alone = replace(one, sets=one.sets[1:], changes=())
    evidence = Evidence(weights(1.5), None, alone)
    assert judge({"calibration": {"ece": 0.05}}, evidence).passed
    assert not judge({"calibration": {"ece": 0.001}}, evidence).passed


def test_exports_must_reproduce_the_golden_rows() -> None:
    assert judge({"export_parity": True}, both()).passed
    wrong = (GoldenRow(counts={"login": 1.0}, raw_score=9.0, score=50.0, band="high"),)
    found = judge({"export_parity": True}, both(golden_rows=wrong))
    assert not found.passed
    assert found.found.startswith("golden row 0 gives another score")
    none = judge({"export_parity": True}, both(golden_rows=()))
    assert not none.passed
    assert none.found == "can't be judged: the weight set has no golden rows"


@pytest.mark.parametrize(
    ("results", "passed", "words"),
    [
        ([("a", 0.0, "", True), ("b", 1e-12, "", True)], True, "a, b: 1 golden rows, off by 1e-12"),
        ([("a", 0.0, "", True), ("b", 9.0, "is off", True)], False, "b: is off"),
        ([("a", 0.0, "", True), ("b", 0.0, "absent", False)], True, "not installed: b"),
        ([("b", 0.0, "absent", False)], False, "can't be judged: no export can be run here"),
    ],
)
def test_every_export_that_can_be_run_must_hold(
    results, passed, words, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [ParityResult(f, "x", 1, largest, why, ran) for f, largest, why, ran in results]
    monkeypatch.setattr(gating, "check_parity", lambda weight_set: made)
    found = judge({"export_parity": True}, both())
    assert found.passed is passed
    assert words in found.found


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"beats_champon": {}}, "unknown key in the section `promotion`"),
        ({"beats_champion": {"metric": "auc"}}, "beats_champion: metric has a value"),
        ({"beats_champion": {"confidence": 0.4}}, "beats_champion: confidence has a value"),
        ({"most_band_changes": 20}, "most_band_changes has a value"),
        ({"calibration": {}}, "the calibration rule asks nothing"),
        ({"calibration": {"slope": [2, 1]}}, "the slope can't lie between these ends"),
        ({"forbid_sign_flips": "login"}, "signs may not flip are not a list"),
        ({"forbid_sign_flips": [1]}, "signs may not flip are not a list"),
    ],
)
def test_every_key_of_the_section_is_checked(section, message) -> None:
    with pytest.raises(ConfigError, match=message):
        PromotionConfig.parse(section)
