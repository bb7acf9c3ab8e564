"""The rules of the promotion gate, judged one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate

from ces_ml.errors import WeightSetError, did_you_mean, show
from ces_ml.exporters import check_parity
from ces_ml.tracking import RuleResult
from ces_ml.tracking.gate import NOT_BETTER
from ces_ml.training.comparing import WeightSetComparison
from ces_ml.training.gate_config import PromotionConfig
from ces_ml.training.weight_changes import sign_flips
from ces_ml.weights import WeightSet

__all__ = ["Evidence", "judge_rules"]

#: What the two weight sets are called in the comparison that the rules are judged by.
CHAMPION, CHALLENGER = "champion", "challenger"
_FIRST = "does not apply: the first promotion, there is no champion yet"


@dataclass(frozen=True)
class Evidence:
    """What the rules are judged by.

    Parameters
    ----------
    challenger : WeightSet
    champion : WeightSet or None
        None for a first promotion.
    comparison : WeightSetComparison or None
        Of champion and challenger (or the challenger alone) on held-out rows; None where no rule
        asks for it or it could not be made.
    why_none : str
        Why it could not be made.
    why_no_champion : str
        Why the weights in use could not be read; empty where they were, or there are none.
    """

    challenger: WeightSet
    champion: WeightSet | None
    comparison: WeightSetComparison | None = None
    why_none: str = ""
    why_no_champion: str = ""


@dataclass(frozen=True)
class _Found:
    """What a rule found; `passed` is None where the rule does not apply."""

    passed: bool | None
    words: str


def judge_rules(rules: PromotionConfig, evidence: Evidence) -> tuple[RuleResult, ...]:
    """Judge every rule that is asked, in order.

    A rule that can't be judged has not passed, and says why.
    """
    results = []
    for name in rules.asked:
        required, judge = _RULES[name]
        found = judge(rules, evidence)
        applies = found.passed is not None
        passed = found.passed is not False
        results.append(RuleResult(name, required(rules), found.words, passed, applies))
    return tuple(results)


def _verdict(rules: PromotionConfig, evidence: Evidence) -> _Found:
    verdict = evidence.challenger.verdict
    if verdict is None:
        return _Found(False, "can't be judged: these weights were never compared with counting")
    if verdict.worth_promoting:
        return _Found(True, verdict.words)
    return _Found(False, f"{NOT_BETTER}; verdict: {verdict.words}")


def _beats_champion(rules: PromotionConfig, evidence: Evidence) -> _Found:
    asked = rules.beats_champion
    missing = _missing(evidence)
    if missing is not None or asked is None or evidence.comparison is None:
        return missing or _Found(None, _FIRST)
    comparison = evidence.comparison
    champion, challenger = comparison.sets
    if challenger.seen is None:
        return _Found(False, "can't be judged: the weights do not say what they learned from")
    if challenger.seen:
        return _Found(
            False,
            f"can't be judged: the weights may have learned from {challenger.seen:,} of the "
            f"{comparison.rows:,} held-out rows",
        )
    d = next(d for d in comparison.changes[0].differences if d.metric == asked.metric)
    up = asked.metric == "roc_auc"
    gain, least = (d.value, d.low) if up else (-d.value, -d.high)
    if not math.isfinite(least):
        return _Found(False, "can't be judged: too few held-out customers for an interval")
    words = (
        f"gain {_signed(gain)}, at {_percent(asked.confidence)} confidence at least "
        f"{_signed(least)}; "
        f"{comparison.rows:,} held-out rows of {comparison.customers:,} customers"
    )
    if champion.seen:
        words += f" ({champion.seen:,} of them the champion may have learned from)"
    return _Found(least > asked.by, words)


def _sign_flips(rules: PromotionConfig, evidence: Evidence) -> _Found:
    if evidence.champion is None:
        return _no_champion(evidence)
    flips = sign_flips(evidence.champion, evidence.challenger)
    forbidden = rules.forbid_sign_flips
    if forbidden != "all":
        terms = (*evidence.champion.terms, *evidence.challenger.terms)
        known = list(dict.fromkeys(n for t in terms for n in (t.event, t.name)))
        nobody = next((p for p in forbidden if not any(_meant(p, n) for n in known)), None)
        if nobody is not None:  # misspelt, it would let every flip pass
            return _Found(
                False,
                f"can't be judged: no event or term is called {show(nobody)}; "
                f"{did_you_mean(nobody, known)}",
            )
        flips = tuple(
            f for f in flips if any(_meant(p, n) for p in forbidden for n in (f.event, f.term))
        )
    if not flips:
        return _Found(True, "none")
    told = "; ".join(f"{show(f.term)} {_signed(f.before)} → {_signed(f.after)}" for f in flips[:5])
    more = f"; {len(flips) - 5} more" if len(flips) > 5 else ""
    return _Found(False, f"{len(flips)}: {told}{more}")


def _meant(pattern: str, name: str) -> bool:
    """Return whether a name or pattern of the rule means an event or term."""
    return name == pattern or re.fullmatch(translate(pattern), name) is not None


def _band_changes(rules: PromotionConfig, evidence: Evidence) -> _Found:
    missing = _missing(evidence)
    if missing is not None or evidence.comparison is None:
        return missing or _Found(None, _FIRST)
    migration = evidence.comparison.changes[0].migration
    if migration is None or not migration.customers or rules.most_band_changes is None:
        return _Found(False, "can't be judged: no customer was held out")
    words = f"{_percent(migration.changed)} of {migration.customers:,} held-out customers"
    return _Found(migration.changed <= rules.most_band_changes, words)


def _calibration(rules: PromotionConfig, evidence: Evidence) -> _Found:
    asked, comparison = rules.calibration, evidence.comparison
    if comparison is None or asked is None:
        return _Found(False, f"can't be judged: {evidence.why_none}")
    challenger = comparison.sets[-1]
    found = challenger.calibration
    if found is None:
        return _Found(False, "can't be judged: there are no held-out rows")
    if challenger.seen != 0:
        rows = "an unknown number" if challenger.seen is None else f"{challenger.seen:,}"
        return _Found(
            False,
            f"can't be judged: the weights may have learned from {rows} of the "
            f"{comparison.rows:,} held-out rows",
        )
    held, words = [], []
    if asked.ece is not None:
        held.append(found.ece <= asked.ece)
        words.append(f"ece {found.ece:.3g} (by chance {found.ece_by_chance:.3g})")
    if asked.slope is not None:
        held.append(asked.slope[0] <= found.slope <= asked.slope[1])
        words.append(f"slope {found.slope:.3g}" if math.isfinite(found.slope) else "no slope")
    if asked.in_the_large is not None:
        held.append(abs(found.in_the_large) <= asked.in_the_large)
        words.append(f"in the large {_signed(found.in_the_large)}")
    return _Found(all(held), ", ".join(words))


def _export_parity(rules: PromotionConfig, evidence: Evidence) -> _Found:
    weight_set = evidence.challenger
    if not weight_set.golden_rows:
        return _Found(False, "can't be judged: the weight set has no golden rows")
    try:
        weight_set.verify()
    except WeightSetError as error:
        return _Found(False, error.problem)
    found = check_parity(weight_set)
    ran = [f for f in found if f.ran]
    broken = [f for f in ran if not f.ok]
    if broken:
        return _Found(False, "; ".join(f"{f.format}: {f.problem}" for f in broken))
    if not ran:
        return _Found(False, "can't be judged: no export can be run here")
    worst = max(f.largest for f in ran)
    words = (
        f"{', '.join(f.format for f in ran)}: {ran[0].rows} golden rows, off by {worst:.1g} at most"
    )
    left = ", ".join(f.format for f in found if not f.ran)
    return _Found(True, words + (f"; not installed: {left}" if left else ""))


def _missing(evidence: Evidence) -> _Found | None:
    """Return why a rule about the champion on held-out rows is not judged; None where it can be."""
    if evidence.champion is None:
        return _no_champion(evidence)
    if evidence.comparison is None:
        return _Found(False, f"can't be judged: {evidence.why_none}")
    return None


def _no_champion(evidence: Evidence) -> _Found:
    if evidence.why_no_champion:
        return _Found(False, f"can't be judged: {evidence.why_no_champion}")
    return _Found(None, _FIRST)


def _beats_required(rules: PromotionConfig) -> str:
    asked = rules.beats_champion
    if asked is None:
        return ""
    name = {"roc_auc": "ROC AUC", "log_loss": "log loss", "brier": "Brier score"}[asked.metric]
    return f"{name} better by more than {asked.by:g} at {_percent(asked.confidence)} confidence"


def _flips_required(rules: PromotionConfig) -> str:
    if rules.forbid_sign_flips == "all":
        return "no weight changes its sign"
    return "no change of sign: " + ", ".join(map(show, rules.forbid_sign_flips))


def _calibration_required(rules: PromotionConfig) -> str:
    asked = rules.calibration
    if asked is None:
        return ""
    words = [] if asked.ece is None else [f"ece ≤ {asked.ece:g}"]
    words += [] if asked.slope is None else [f"slope {asked.slope[0]:g} to {asked.slope[1]:g}"]
    words += [] if asked.in_the_large is None else [f"in the large within ±{asked.in_the_large:g}"]
    return ", ".join(words)


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


_Judge = Callable[[PromotionConfig, Evidence], _Found]
#: By key of the configuration: what is required, in words, and what judges it.
_RULES: dict[str, tuple[Callable[[PromotionConfig], str], _Judge]] = {
    "verdict": (lambda rules: "beats counting", _verdict),
    "beats_champion": (_beats_required, _beats_champion),
    "forbid_sign_flips": (_flips_required, _sign_flips),
    "most_band_changes": (
        lambda rules: f"at most {_percent(rules.most_band_changes or 0.0)} change band",
        _band_changes,
    ),
    "calibration": (_calibration_required, _calibration),
    "export_parity": (
        lambda rules: "golden rows reproduced by every export that runs here",
        _export_parity,
    ),
}
