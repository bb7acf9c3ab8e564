"""Leaks that time shows: power of the last days only, and customers observed for longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import show
from ces_ml.evaluation.baselines import counted_once
from ces_ml.evaluation.certainty import Auc, auc_by_customer, auc_drop
from ces_ml.evaluation.findings import Finding
from ces_ml.evaluation.leaks_in_counts import customer_codes, dense_column, enough_of_both
from ces_ml.spec import CountTable, Duration
from ces_ml.spec.duration import DAY_US

__all__ = ["late_power", "late_power_of_score", "unequal_exposure"]

#: Power that is worth a word, and that may stop a job; shares of it that are late. What customers
#: did in the last week often says most, so a week stops no job.
SOME_POWER, MUCH_POWER = 0.05, 0.15
HALF_LATE, MOSTLY_LATE = 0.5, 0.8
LATE_US = 3 * DAY_US
#: A lead is only asked of windows and customers that reach back this many times as far.
REACH = 4
#: Exposure alone that is worth a word, and that may stop a job (distance from a coin).
SOME_EXPOSURE, MUCH_EXPOSURE = 0.1, 0.2


_ADVICE: dict[str, str] = {
    "failure": "such an event follows a decision that is already made: leave it out, or ",
    "warning": "make sure that it happens before the outcome is decided, or ",
}


def late_power(
    table: CountTable,
    rows: NDArray[np.int64],
    earlier: Mapping[Duration, Any],
    tenure_us: NDArray[np.int64],
    powers: Mapping[str, Auc],
) -> list[Finding]:
    """Return terms that are informative only in the last days before `as_of`.

    Parameters
    ----------
    table : CountTable
    rows : ndarray of int, of shape (n_audited,)
        The audited rows of the table.
    earlier : mapping of Duration to csr_array of shape (n_audited, n_terms)
        Their counts as of moments that lie this much earlier.
    tenure_us : ndarray of shape (n_audited,)
        How long the customers had been known.
    powers : mapping of str to Auc
        Of the terms on the audited rows.

    Returns
    -------
    list of Finding
        Of kind ``late_power``, at most one an event type: its most telling term and lead.
    """
    y, customer = table.outcomes[rows], customer_codes(table, rows)
    now = sp.csc_array(table.X[rows])
    before = {lead: sp.csc_array(X) for lead, X in earlier.items()}
    reach = float(np.median(tenure_us))
    found: dict[str, Finding] = {}
    for t, term in enumerate(table.spec.terms):
        power = powers[term.name]
        if power.power_at_least() < SOME_POWER:
            continue
        for lead in sorted(before, key=lambda lead: lead.us):
            if REACH * lead.us > min(term.window.us, reach):
                continue
            drop = auc_drop(y, dense_column(now, t), dense_column(before[lead], t), customer)
            finding = _late(power, drop, lead, f"{show(term.event, 60)} over {term.window}")
            if finding is None:
                continue
            severity, what, numbers = finding
            held = found.get(term.event)
            if held is None or (held.severity, severity) == ("warning", "failure"):
                found[term.event] = Finding(
                    "late_power",
                    severity,
                    what,
                    _ADVICE[severity] + f"give the outcome a gap of at least {lead}, so that there "
                    "is time to act",
                    term.event,
                    numbers,
                )
            if severity == "failure":
                break
    return list(found.values())


def late_power_of_score(
    table: CountTable,
    rows: NDArray[np.int64],
    now: NDArray[np.float64],
    earlier: Mapping[Duration, NDArray[np.float64]],
    tenure_us: NDArray[np.int64],
) -> tuple[dict[str, float], list[Finding]]:
    """Return the AUC of a score by lead time, and whether most of it is late.

    Parameters
    ----------
    table : CountTable
    rows : ndarray of int, of shape (n_audited,)
    now : ndarray of shape (n_audited,)
        Raw scores of the audited rows.
    earlier : mapping of Duration to ndarray of shape (n_audited,)
        Raw scores from counts as of moments that lie this much earlier.
    tenure_us : ndarray of shape (n_audited,)

    Returns
    -------
    (dict of str to float, list of Finding)
        AUC under ``"0d"`` and every lead; findings of kind ``score_late_power``.
    """
    y, customer = table.outcomes[rows], customer_codes(table, rows)
    if not enough_of_both(y, customer):
        return {}, []
    power = auc_by_customer(y, now, customer)
    profile, found = {"0d": power.value}, list[Finding]()
    reach = min(float(np.median(tenure_us)), max(t.window.us for t in table.spec.terms))
    for lead in sorted(earlier, key=lambda lead: lead.us):
        drop = auc_drop(y, now, earlier[lead], customer)
        profile[str(lead)] = power.value - drop.value
        if found or REACH * lead.us > reach or power.power_at_least() < SOME_POWER:
            continue
        finding = _late(power, drop, lead, "the score")
        if finding is not None:
            severity, what, numbers = finding
            found.append(
                Finding(
                    "score_late_power",
                    severity,
                    what,
                    f"look at the terms with most weight for events that follow the decision; a "
                    f"gap of {lead} in the outcome shows what remains",
                    None,
                    numbers,
                )
            )
    return profile, found


def unequal_exposure(
    table: CountTable, rows: NDArray[np.int64], tenure_us: NDArray[np.int64]
) -> list[Finding]:
    """Return whether totals say how long customers were observed rather than what they did.

    Exposure is the part of the longest window in which the customer was known. Where customers
    with the bad outcome were counted until they left, theirs is shorter: totals then rank well,
    totals per day of exposure do not.

    Parameters
    ----------
    table : CountTable
    rows : ndarray of int, of shape (n_audited,)
    tenure_us : ndarray of shape (n_audited,)

    Returns
    -------
    list of Finding
        At most one, of kind ``exposure``.
    """
    y, customer = table.outcomes[rows], customer_codes(table, rows)
    window = max(t.window.us for t in table.spec.terms)
    days = np.minimum(tenure_us, window) / DAY_US
    exposure = auc_by_customer(y, days, customer)
    if exposure.power_at_least() < SOME_EXPOSURE:
        return []
    total = np.asarray(table.X[rows] @ counted_once(table.spec.terms), dtype=np.float64)
    totals = auc_by_customer(y, total, customer)
    rates = auc_by_customer(y, total / np.maximum(days, 1.0), customer)
    # The trap's own direction: who stayed was observed for longer, and counted more for it.
    gained = max(0.0, totals.value - 0.5)
    trap = (
        exposure.value > 0.5
        and exposure.power_at_least() >= MUCH_EXPOSURE
        and gained >= SOME_POWER
        and max(0.0, rates.value - 0.5) <= HALF_LATE * gained
    )
    medians = [float(np.median(days[y == c])) for c in (1, 0)]
    what = (
        f"customers with the good outcome were observed for {medians[0]:.1f} days in the window "
        f"(median), those with the bad one for {medians[1]:.1f}: this alone has AUC "
        f"{exposure.value:.3f}, total counts {totals.value:.3f}, counts per day of it "
        f"{rates.value:.3f}"
    )
    return [
        Finding(
            "exposure",
            "failure" if trap else "warning",
            what,
            "take as_of at the same moments for everybody, never at a moment that depends on the "
            "outcome, and use windows that customers of both outcomes fill",
            None,
            {
                "exposure_auc": exposure.value,
                "totals_auc": totals.value,
                "rates_auc": rates.value,
                "good_days": medians[0],
                "bad_days": medians[1],
            },
        )
    ]


def _late(
    power: Auc, drop: Auc, lead: Duration, subject: str
) -> tuple[Any, str, dict[str, float]] | None:
    """Return severity, sentence and numbers if much of the power is younger than the lead."""
    lost = drop.value if power.value > 0.5 else -drop.value
    share = lost / power.power
    soon = lead.us <= LATE_US
    if lost - 2.576 * drop.error <= 0 or share < (HALF_LATE if soon else MOSTLY_LATE):
        return None
    bad = soon and share >= MOSTLY_LATE and power.power_at_least() >= MUCH_POWER
    what = (
        f"{100 * min(share, 1.0):.0f} % of what {subject} says about the outcome comes from the "
        f"last {lead}: AUC {power.value:.3f}, counted {lead} earlier {power.value - drop.value:.3f}"
    )
    numbers = {
        "auc": power.value,
        "auc_earlier": power.value - drop.value,
        "lead_days": lead.us / DAY_US,
        "late_share": share,
    }
    return ("failure" if bad else "warning"), what, numbers
