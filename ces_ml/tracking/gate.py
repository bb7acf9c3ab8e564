"""The gate before an alias: rules that must hold, or a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.record import this_user
from ces_ml.weights import Verdict

__all__ = ["NOT_BETTER", "RuleResult", "check_override", "check_verdict", "refusal"]

NOT_BETTER = "they were not found to beat counting"


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule of the gate.

    Parameters
    ----------
    rule : str
        Its key in the configuration.
    required, found : str
        In words. Where the rule can't be judged, `found` says why, and it has not passed.
    passed : bool
        Also True where the rule does not apply.
    applies : bool
        False for rules about the weights in use, where there are none yet.
    """

    rule: str
    required: str
    found: str
    passed: bool
    applies: bool = True

    def as_dict(self) -> dict[str, object]:
        """Return the result as JSON can hold it."""
        return asdict(self)


def check_override(override: str | None) -> None:
    """Refuse an override that gives no reason.

    Raises
    ------
    TrackingError
        If it is blank.
    """
    if override is not None and not override.strip():
        raise TrackingError(
            "an override without a reason",
            got=show(override),
            allowed="a reason in words; it is kept in the history",
            hint='write for example --override "pilot with one team"',
        )


def check_verdict(verdict: Verdict | None, run_id: str, override: str | None) -> dict[str, str]:
    """Return what the history keeps of verdict and override, if the weights may be promoted.

    Parameters
    ----------
    verdict : Verdict or None
        None for weight sets that were never judged: they pass.
    run_id : str
    override : str, optional
        Why the weights are wanted although they do not beat counting.

    Raises
    ------
    TrackingError
        If they do not beat counting and nobody says why they are wanted, or the override is empty.
    """
    check_override(override)
    if verdict is None:
        return {}
    kept = {"verdict": verdict.words}
    if verdict.worth_promoting:
        return kept
    if override is None:
        raise TrackingError(
            f"the weights are not promoted: {NOT_BETTER}",
            got=f"run {run_id} with the verdict: {verdict.words}",
            allowed="a run whose verdict is that it beats counting, or an override with a reason",
            hint='improve the counts, wait for more outcomes, or use --override "why" (in Python: '
            "override=)",
        )
    return kept | override_tags(override)


def override_tags(override: str) -> dict[str, str]:
    """Return the tags of an override: why, who and when."""
    return {
        "override_because": override,
        "override_by": this_user(),
        "override_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def refusal(run_id: str, results: Sequence[RuleResult]) -> TrackingError:
    """Return the error of a gate whose rules do not all hold."""
    failed = [r for r in results if not r.passed]
    return TrackingError(
        f"the weights are not promoted: {len(failed)} of {len(results)} rules of the gate "
        + ("does not hold" if len(failed) == 1 else "do not hold"),
        got=f"run {run_id}; " + "; ".join(f"{r.rule}: {r.found}" for r in failed),
        allowed="; ".join(f"{r.rule}: {r.required}" for r in failed)
        + "; or an override with a reason",
        hint="improve the weights, change the section `promotion` of the configuration, or use "
        '--override "why" (in Python: override=)',
    )
