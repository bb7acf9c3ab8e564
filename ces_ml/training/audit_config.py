"""Which findings of the leak audit a person has looked at and allows."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from ces_ml.errors import ConfigError, did_you_mean, show
from ces_ml.evaluation import FINDINGS, Finding
from ces_ml.spec.counts import match_events
from ces_ml.spec.model import SpecModel

__all__ = ["AllowedLeak", "AuditConfig"]


class AllowedLeak(SpecModel):
    """Findings that may stand; written short, the name of a finding or an event type.

    Parameters
    ----------
    finding : str, optional
        A kind of finding, such as ``"decides_outcome"``; every kind when not given.
    event : str, optional
        Event type or glob pattern that it is about; every finding when not given.
    reason : str, optional
        Why; kept in the run.
    """

    error_class = ConfigError
    finding: str | None = None
    event: str | None = Field(default=None, min_length=1)
    reason: str = ""

    @field_validator("finding")
    @classmethod
    def _known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in FINDINGS:
            raise ConfigError(
                "the leak audit has no such finding",
                got=show(kind),
                allowed=did_you_mean(kind, FINDINGS),
                hint="name a finding as the audit prints it, or an event type as `event`",
            )
        return kind

    def covers(self, finding: Finding, known: list[str]) -> bool:
        """Return whether this entry allows a finding, in a log with the event types `known`."""
        if self.finding is not None and self.finding != finding.kind:
            return False
        if self.event is None:
            return True
        return finding.event in match_events([self.event], known)


class AuditConfig(SpecModel):
    """What the leak audit may find without stopping the job.

    Parameters
    ----------
    allow : sequence of AllowedLeak or str, optional
        A text is the kind of a finding, or else an event type or pattern; ``"*"`` is everything.

    Examples
    --------
    >>> config = AuditConfig(allow=["exposure", {"event": "demo_*", "reason": "booked early"}])
    >>> config.allow[0].finding, config.allow[1].event
    ('exposure', 'demo_*')
    """

    error_class = ConfigError
    allow: tuple[AllowedLeak, ...] = ()

    @field_validator("allow", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        entries = [value] if isinstance(value, str | dict) else value
        if not isinstance(entries, list | tuple):
            return entries
        return tuple(_entry(e) if isinstance(e, str) else e for e in entries)

    def with_all(self, reason: str) -> AuditConfig:
        """Return a copy that allows everything else too, for this reason."""
        return self.model_copy(update={"allow": (*self.allow, AllowedLeak(reason=reason))})

    def check(self, known: list[str]) -> None:
        """Refuse an entry about an event type that the log does not hold.

        Raises
        ------
        SpecError
            With the nearest event type.
        """
        for entry in self.allow:
            if entry.event is not None:
                match_events([entry.event], known)

    def reason_for(self, finding: Finding, known: list[str]) -> str | None:
        """Return why a finding is allowed: the first entry's reason; None if it is not."""
        for entry in self.allow:
            if entry.covers(finding, known):
                return entry.reason or "allowed in the configuration"
        return None


def _entry(text: str) -> dict[str, str]:
    if text == "*":
        return {}
    return {"finding": text} if text in FINDINGS else {"event": text}
