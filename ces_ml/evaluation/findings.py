"""What a leak audit says: findings with numbers, and which of them stop a training job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["FINDINGS", "SEVERITIES", "Finding", "sorted_findings"]

Severity = Literal["failure", "warning", "note"]
#: How bad a finding is, worst first, and what that means.
SEVERITIES: dict[str, str] = {
    "failure": "stops the training job unless it is allowed",
    "warning": "to be looked at; the job goes on",
    "note": "what could not be checked",
}
#: Every kind of finding and what it is about.
FINDINGS: dict[str, str] = {
    "decides_outcome": "an event that almost determines the outcome",
    "own_event": "the outcome's own event among the counts",
    "twin_of_outcome": "an event that happens together with the outcome, almost always",
    "begins_with_outcome": "an event that begins only when the outcome does, or after it",
    "late_power": "an event that is informative only in the last days before as_of",
    "score_late_power": "a score that is informative only in the last days before as_of",
    "exposure": "customers of one outcome were observed for longer than those of the other",
    "late_rows": "rows that arrived after they were due",
    "no_arrival_time": "rows that arrived late can't be told",
    "too_small": "too few customers to audit",
}


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Parameters
    ----------
    kind : str
        A key of `FINDINGS`.
    severity : {"failure", "warning", "note"}
        See `SEVERITIES`.
    what : str
        What was found, with its numbers, as a sentence without its full stop.
    advice : str
        What to do about it.
    event : str, optional
        The event type that it is about.
    numbers : mapping of str to float
        The same numbers, by name.
    allowed : str, optional
        Why a person lets it stand.
    """

    kind: str
    severity: Severity
    what: str
    advice: str
    event: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    allowed: str | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the finding as one row of a table."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "event": self.event,
            "what": self.what,
            "advice": self.advice,
            "allowed": self.allowed,
            **self.numbers,
        }


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with the worst first; then by kind, in the order of `FINDINGS`, and event."""
    severities, kinds = list(SEVERITIES), list(FINDINGS)
    return tuple(
        sorted(
            findings,
            key=lambda f: (severities.index(f.severity), kinds.index(f.kind), f.event or ""),
        )
    )
