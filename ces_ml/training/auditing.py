"""The leak audit of a training job: evidence from the log, findings, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ces_ml.errors import LeakError
from ces_ml.evaluation import (
    Finding,
    leaks_in_counts,
    leaks_in_log,
    leaks_in_time,
    sorted_findings,
)
from ces_ml.features import Engine, Evidence, SqlEngine, gather_evidence, onset_events
from ces_ml.spec.count_table import CountTable
from ces_ml.training.config import TrainingConfig
from ces_ml.weights import WeightSet, raw_scores

__all__ = ["Audit", "LeakAudit"]


@dataclass(frozen=True)
class Audit:
    """What the leak audit of a training job found.

    Parameters
    ----------
    findings : tuple of Finding
        The worst first. Those that were allowed say why.
    rows : int
        Rows that power, lead time and exposure were measured on; a sample by customer.
    score_by_lead : mapping of str to float
        ROC AUC of the score on these rows (training rows among them) as counted at `as_of`
        (``"0d"``) and 1, 3 and 7 days earlier.
    """

    findings: tuple[Finding, ...]
    rows: int
    score_by_lead: Mapping[str, float] = field(default_factory=dict)

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of a severity, without failures that are allowed."""
        return [f for f in self.findings if f.severity == severity and f.allowed is None]

    @property
    def allowed(self) -> list[Finding]:
        """The findings that would have stopped the job."""
        return [f for f in self.findings if f.severity == "failure" and f.allowed is not None]

    @property
    def verdict(self) -> str:
        """The audit in a few words."""
        words = [f"{len(self.allowed)} allowed"] if self.allowed else ["passed"]
        warned = len(self.of("warning"))
        if warned:
            words.append(f"{warned} warning{'s' * (warned > 1)}")
        return ", ".join(words)


class LeakAudit:
    """Audits a training job: `look` while the log is open, `check` before the fit, then `finish`.

    Parameters
    ----------
    config : TrainingConfig
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._known: list[str] = []
        self._evidence: Evidence | None = None
        self._found: tuple[Finding, ...] = ()

    def look(self, engine: Engine, table: CountTable) -> None:
        """Take from the log what the audit needs; the engine can't count again afterwards."""
        self._known = list(engine.profile().event_types)
        self._config.audit.check(self._known)
        if isinstance(engine, SqlEngine):
            self._evidence = gather_evidence(
                engine, table, self._config.outcome, seed=self._config.seed
            )

    def check(self, table: CountTable) -> None:
        """Look for leaks in the log and the counts.

        Raises
        ------
        LeakError
            If a finding stops the job and is not allowed.
        """
        if self._evidence is None:
            return
        self._found = self._judged(_findings(self._config, table, self._evidence, self._known))
        _stop_on_failures(self._found)

    def finish(self, table: CountTable, weight_set: WeightSet) -> Audit:
        """Return the audit, with the lead time of the fitted score.

        Raises
        ------
        LeakError
            If nearly all of what the score says comes from the last days, and it is not allowed.
        """
        evidence = self._evidence
        if evidence is None:
            return Audit((), 0)
        profile, late = leaks_in_time.late_power_of_score(
            table,
            evidence.rows,
            raw_scores(weight_set, table.X[evidence.rows]),
            {lead: raw_scores(weight_set, X) for lead, X in evidence.earlier.items()},
            evidence.tenure_us,
        )
        judged = self._judged(late)
        _stop_on_failures(judged)
        return Audit(sorted_findings((*self._found, *judged)), len(evidence.rows), profile)

    def _judged(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return the findings in order; failures that are allowed get the reason why."""
        config = self._config.audit
        return sorted_findings(
            replace(f, allowed=config.reason_for(f, self._known)) if f.severity == "failure" else f
            for f in findings
        )


def _findings(
    config: TrainingConfig, table: CountTable, evidence: Evidence, known: list[str]
) -> list[Finding]:
    outcome = config.outcome
    own = onset_events(outcome, known)
    presence = leaks_in_counts.presence_by_event(table)
    seen: dict[str, Any] = dict(evidence.onsets)
    found = [
        *leaks_in_log.own_events(table, outcome, own, presence),
        *leaks_in_log.twins(table, outcome, own, seen, evidence.outcome_moments, presence),
        *leaks_in_log.heralds(table, outcome, own, seen, presence),
        *leaks_in_log.late_rows(evidence.lateness),
        *leaks_in_counts.audited_enough(table, evidence.rows),
    ]
    rows, tenure = evidence.rows, evidence.tenure_us
    powers = leaks_in_counts.term_powers(table, rows)
    found += leaks_in_counts.deciding_events(table, presence, powers)
    if powers:
        found += leaks_in_time.late_power(table, rows, evidence.earlier, tenure, powers)
        found += leaks_in_time.unequal_exposure(table, rows, tenure)
    return found


def _stop_on_failures(findings: Iterable[Finding]) -> None:
    failures = [f for f in findings if f.severity == "failure" and f.allowed is None]
    if not failures:
        return
    listed = "".join(f"\n    {f.kind}: {f.what}\n      → {f.advice}" for f in failures)
    events = list(dict.fromkeys(f.event or f.kind for f in failures))
    raise LeakError(
        "the leak audit stops this job: counts seem to know the outcome",
        got=f"{len(failures)} finding{'s' * (len(failures) > 1)}{listed}",
        allowed="no such finding, or one that you have looked at and allow",
        hint="follow the arrows; or allow a finding by its kind or event, "
        f"`audit: {{allow: {_yaml_list(events)}}}`, or all with --allow-leaks REASON",
        findings=tuple(failures),
    )


def _yaml_list(names: list[str]) -> str:
    import json

    return json.dumps(names)
