"""The gate before an alias: weights that do not beat counting need a person's word."""

from __future__ import annotations

from datetime import UTC, datetime

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.record import this_user
from ces_ml.weights import Verdict

__all__ = ["check_verdict"]


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
    if override is not None and not override.strip():
        raise TrackingError(
            "an override without a reason",
            got=show(override),
            allowed="a reason in words; it is kept in the history",
            hint='write for example --override "pilot with one team"',
        )
    if verdict is None:
        return {}
    kept = {"verdict": verdict.words}
    if verdict.worth_promoting:
        return kept
    if override is None:
        raise TrackingError(
            "the weights are not promoted: they were not found to beat counting",
            got=f"run {run_id} with the verdict: {verdict.words}",
            allowed="a run whose verdict is that it beats counting, or an override with a reason",
            hint='improve the counts, wait for more outcomes, or use --override "why" (in Python: '
            "override=)",
        )
    return kept | {
        "override_because": override,
        "override_by": this_user(),
        "override_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
