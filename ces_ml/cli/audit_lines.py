"""What the command line says of a leak audit."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ces_ml.report import visible
from ces_ml.training.auditing import Audit

__all__ = ["print_audit"]

_COLOURS = {"failure": "red", "warning": "yellow", "note": "dim"}


def print_audit(console: Console, audit: Audit) -> None:
    """Print the verdict, every finding with what to do, and the score by lead time."""
    console.print(Text(f"leak audit: {audit.verdict}"))
    for finding in audit.findings:
        colour = _COLOURS[finding.severity]
        state = finding.severity if finding.allowed is None else "allowed"
        head = f"  {state}, {finding.kind}: "
        # Event names in the sentence are quoted already; a reason is anybody's text.
        console.print(Text.assemble((head, colour), finding.what), soft_wrap=True)
        if finding.allowed is not None:
            console.print(Text(f"    because: {visible(finding.allowed)}"), soft_wrap=True)
        console.print(Text(f"    → {finding.advice}", style="dim"), soft_wrap=True)
    if audit.score_by_lead:
        shown = ", ".join(
            f"{auc:.3f}" + ("" if lead == "0d" else f" {lead} earlier")
            for lead, auc in audit.score_by_lead.items()
        )
        console.print(
            f"[dim]ROC AUC of the score as counted at as_of, on {audit.rows:,} rows: {shown}[/dim]"
        )
